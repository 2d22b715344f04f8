"""test_jobs.py SHEAF: provider jobs as users of the command meet them: run --lane batch and auto, sheaf jobs.

The provider is `sheaf sim`, whose ledger says what was billed, live and in jobs. Shares the helpers of test_cli.py.

    helpers, runs, the same as live, what goes wrong, commands, settings, standard streams, files, money, looks
"""
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request

sys.dont_write_bytecode = True
import test_cli  # noqa: E402
from test_cli import PLAIN, SHEAF, check, count_lines, one_sentence, same, texts, wait_for  # noqa: E402

CLEAN = {k: v for k, v in PLAIN.items() if not k.startswith("SHEAF_BATCH_")}
# The simulator stands for each: provider, what comes behind its address, the key's variable.
PLACES = {"openai": ("/v1", "OPENAI_API_KEY"), "anthropic": ("", "ANTHROPIC_API_KEY"),
          "gemini": ("/v1beta", "GEMINI_API_KEY"), "mistral": ("/v1", "MISTRAL_API_KEY"),
          "groq": ("/openai/v1", "GROQ_API_KEY")}
QUICK = ("--poll-interval-ms", "100", "--poll-max-ms", "200")

# ---- helpers: they name the room otherwise, as functions of a room are tests ----


def sheaf(at, *args, stdin=b"", code=None, env=None, limit=40, cwd=None):
    """A command to its end; what hangs is killed, and told."""
    process = subprocess.Popen([SHEAF] + [str(a) for a in args], cwd=cwd or at.path, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(CLEAN, **(env or {})))
    try:
        out, err = process.communicate(stdin, timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError("sheaf %s took over %d s: %r" % (args, limit, err[-1500:]))
    done = test_cli.Done(process.returncode, out.decode(), err.decode())
    if code is not None:
        check(done.code == code, "exit code %d, wanted %d" % (done.code, code), args, done.err, done.out[-800:])
    return done


def to(sim, provider="openai", model="gpt-4o-mini"):
    return ("--provider", provider, "--base-url", sim.url + PLACES[provider][0], "--model", model) + QUICK


def keys():
    return {variable: "k" for _, variable in PLACES.values()}


def sim_of(at, *args, batch_ms=300):
    return at.sim("--batch-time", "fixed:%d" % batch_ms, *args)


def batch(at, sim, *args, code=0, env=None, rows="in.jsonl", provider="openai", **more):
    return sheaf(at, "run", rows, "-o", "out.jsonl", "--lane", "batch", *to(sim, provider), *args, code=code,
                 env=dict(keys(), **(env or {})), **more)


def listed(at, *args, code=0):
    return json.loads(sheaf(at, "jobs", "list", "--json", *args, code=code).out)["jobs"]


def is_whole(at, count, name="out.jsonl"):
    lines = at.lines(name)
    same([line["custom_id"] for line in lines], ["id-%d" % i for i in range(count)], "rows")
    same(texts(lines), ["echo: question %d" % i for i in range(count)], "texts")
    return lines


def billed(sim):
    """Rows billed: live, in jobs."""
    stats = sim.ledger_at_rest()
    in_jobs = stats["billed_batch"]["requests"]
    return stats["billed"]["requests"] - in_jobs, in_jobs


def events(at, name="events.jsonl"):
    return at.lines(name)


# ---- runs ----


def answers_come_from_a_job(at, provider, *quirks):
    sim = sim_of(at, *quirks)
    at.rows("in.jsonl", 30, max_tokens=50)
    batch(at, sim, provider=provider)
    is_whole(at, 30)
    same(billed(sim), (0, 30), "billed live and in jobs")
    jobs = listed(at)
    same([(job["state"], job["requests"], job["provider"]) for job in jobs], [("collected", 30, provider)])


def openai_answers_from_a_job(room):
    answers_come_from_a_job(room, "openai")


def anthropic_answers_from_a_job(room):
    answers_come_from_a_job(room, "anthropic")


def gemini_answers_from_a_job(room):
    answers_come_from_a_job(room, "gemini")


def mistral_answers_from_a_job(room):
    answers_come_from_a_job(room, "mistral")


def groq_answers_from_a_job(room):
    answers_come_from_a_job(room, "groq")


def azures_oddities_do_no_harm(room):
    answers_come_from_a_job(room, "openai", "--batch-quirk", "azure")


def what_is_seen_late_by_the_provider_is_no_failure(room):
    answers_come_from_a_job(room, "openai", "--batch-quirk", "late")


def oddities_of_results_do_no_harm(room):
    answers_come_from_a_job(room, "openai", "--batch-quirk", "duplicate,foreign")


def a_large_input_is_several_jobs(room):
    sim = sim_of(room)
    room.rows("in.jsonl", 25)
    batch(room, sim, "--max-requests-per-job", "10", "--max-jobs", "2")
    is_whole(room, 25)
    same([job["requests"] for job in listed(room)], [10, 10, 5])
    same(billed(sim), (0, 25))


def rows_of_several_models_are_jobs_of_their_own(room):
    sim = sim_of(room)
    with open(room.at("in.jsonl"), "w") as file:
        for i in range(12):
            file.write(json.dumps({"custom_id": "id-%d" % i, "prompt": "question %d" % i,
                                   "model": ("gpt-4o", "gpt-4o-mini")[i % 2]}) + "\n")
    batch(room, sim)
    is_whole(room, 12)
    same(sorted((job["model"], job["requests"]) for job in listed(room)), [("gpt-4o", 6), ("gpt-4o-mini", 6)])


def ids_that_no_provider_takes_come_back_whole(room):
    sim = sim_of(room)
    ids = ["a b", "é/ü", "x" * 200, "same-start-" + "y" * 80, "\"quoted\"", "row\\1"]
    room.write("in.jsonl", "".join(json.dumps({"custom_id": name, "prompt": "p %d" % i, "max_tokens": 9}) + "\n"
                                   for i, name in enumerate(ids)))
    for provider in ("openai", "anthropic"):
        sheaf(room, "run", "in.jsonl", "-o", provider, "--lane", "batch", *to(sim, provider), code=0, env=keys())
        same([line["custom_id"] for line in room.lines(provider)], ids)
        same(texts(room.lines(provider)), ["echo: p %d" % i for i in range(len(ids))])


def embeddings_travel_in_jobs(room):
    sim = sim_of(room)
    room.rows("in.jsonl", 8)
    for name, lane in (("a.jsonl", "live"), ("b.jsonl", "batch")):
        sheaf(room, "run", "in.jsonl", "-o", name, "--lane", lane, "--url", "/v1/embeddings",
              *to(sim, model="text-embedding-3-small"), code=0, env=keys())
    vectors = [[line["response"]["body"]["data"][0]["embedding"] for line in room.lines(name)]
               for name in ("a.jsonl", "b.jsonl")]
    same(len(vectors[0]), 8)
    same(vectors[0], vectors[1])
    same(billed(sim), (8, 8))


def auto_runs_few_live_and_many_in_jobs(room):
    sim = sim_of(room)
    for count, wanted in ((20, (20, 0)), (21, (20, 21))):
        room.rows("in.jsonl", count)
        sheaf(room, "run", "in.jsonl", "-o", "out-%d" % count, "--lane", "auto", *to(sim), code=0, env=keys())
        is_whole(room, count, "out-%d" % count)
        same(billed(sim), wanted, "billed live and in jobs")


def a_live_run_makes_no_state_file(room):
    sim = sim_of(room)
    room.rows("in.jsonl", 5)
    sheaf(room, "run", "in.jsonl", "-o", "out.jsonl", *to(sim), code=0, env=keys())
    check(not [name for name in os.listdir(room.path) if "sqlite" in name], os.listdir(room.path))


# ---- the same as live ----


def essence(lines):
    """What must not depend on the lane."""
    return [(line["custom_id"], line["sheaf"].get("text"), line["sheaf"].get("finish_reason"),
             line["sheaf"].get("usage"), line["sheaf"].get("error_class"),
             (line.get("response") or {}).get("status_code")) for line in lines]


def a_thousand_rows_are_the_same_in_jobs_as_live(room):
    sim = sim_of(room, batch_ms=500)
    with open(room.at("in.jsonl"), "w") as file:
        for i in range(1000):
            row = {"custom_id": "id-%d" % i, "prompt": "question %d \u00e9\u6f22\n\"%s\"" % (i, "w " * (i % 17))}
            if i % 50 == 7:
                row["temperature"] = 99  # refused by the provider as invalid
            if i % 90 == 11:
                row["max_tokens"] = 2  # ends before the answer does
            file.write(json.dumps(row) + "\n")
    for name, lane in (("live.jsonl", "live"), ("batch.jsonl", "batch")):
        sheaf(room, "run", "in.jsonl", "-o", name, "--lane", lane, "--max-requests-per-job", "300", *to(sim),
              code=4, env=keys())
    live, jobs = essence(room.lines("live.jsonl")), essence(room.lines("batch.jsonl"))
    same(len(live), 1000)
    for one, other in zip(live, jobs):
        same(other, one, "in a job against live")
    classes = [row[4] for row in live]
    same(classes.count("invalid_request"), 20)
    check(any(row[2] == "length" for row in live), "no answer was cut")
    same(billed(sim), (980, 980))


def every_provider_answers_in_jobs_as_live(room):
    for provider in PLACES:
        sim = sim_of(room)
        with open(room.at("in.jsonl"), "w") as file:
            for i in range(40):
                row = {"custom_id": "id-%d" % i, "prompt": "question %d" % i, "max_tokens": 2 if i % 9 == 4 else 60}
                if i % 10 == 3:
                    row["temperature"] = 99
                file.write(json.dumps(row) + "\n")
        lines = {}
        for lane in ("live", "batch"):
            name = provider + "-" + lane
            sheaf(room, "run", "in.jsonl", "-o", name, "--lane", lane, *to(sim, provider), code=4, env=keys())
            lines[lane] = essence(room.lines(name))
        for one, other in zip(lines["live"], lines["batch"]):
            same(other, one, provider + ", in a job against live")
        same(len(lines["live"]), 40)
        same([row[4] for row in lines["live"]].count("invalid_request"), 4, provider)
        same(billed(sim), (36, 36), provider)


# ---- what goes wrong ----


def rows_that_fail_in_a_job_run_live(room):
    sim = sim_of(room, "--batch-fail", "0.3")
    room.rows("in.jsonl", 60)
    done = batch(room, sim)
    is_whole(room, 60)
    live, in_jobs = billed(sim)
    check(live > 0 and live + in_jobs == 60, "billed", live, in_jobs)
    same(listed(room)[0]["rescued"], live)
    check("%d that jobs did not bring ran live" % live in done.err, done.err)


def without_rescue_they_end_as_what_happened(room):
    sim = sim_of(room, "--batch-fail", "0.3")
    room.rows("in.jsonl", 60)
    batch(room, sim, "--rescue", "off", code=4)
    lines = room.lines("out.jsonl")
    same(len(lines), 60)
    live, in_jobs = billed(sim)
    same(live, 0)
    same(len([text for text in texts(lines) if text]), in_jobs)
    same({line["sheaf"].get("error_class") for line in lines}, {None, "server"})


def a_job_that_expires_with_half_is_made_whole(room):
    sim = sim_of(room, "--batch-partial", "1")
    room.rows("in.jsonl", 20)
    batch(room, sim)
    is_whole(room, 20)
    same(billed(sim), (10, 10))


def a_job_that_takes_too_long_is_cancelled_and_its_rows_run_live(room):
    sim = sim_of(room, batch_ms=60000)
    room.rows("in.jsonl", 10)
    batch(room, sim, "--timeout-ms", "500")
    is_whole(room, 10)
    same(billed(sim), (10, 0))


def a_run_that_is_killed_goes_on_and_pays_nothing_twice(room):
    sim = sim_of(room, batch_ms=1200)
    room.rows("in.jsonl", 40)
    command = ("run", "in.jsonl", "-o", "out.jsonl", "--lane", "batch", "--max-requests-per-job", "8", *to(sim))
    for n in range(6):
        process = room.start(*command, env=keys())
        time.sleep(0.05 + 0.11 * n)
        process.kill()
        process.wait()
    # A kill before the call that makes a job leaves it to three looks at the list, a minute long.
    sheaf(room, *command, code=0, env=keys(), limit=150)
    is_whole(room, 40)
    same(billed(sim), (0, 40))


def answer_lost(at, path, skip=0):
    at.write("faults.jsonl", json.dumps({"fault": "reset-head", "path": path, "skip": skip, "first": 1}) + "\n")
    return sim_of(at, "--faults", at.at("faults.jsonl"))


def a_job_whose_making_was_not_answered_is_found_again(room):
    for provider, path in (("openai", "/v1/batches"), ("mistral", "/v1/batch/jobs"),
                           ("anthropic", "/v1/messages/batches"), ("gemini", "/v1beta/models/*")):
        sim = answer_lost(room, path)
        name = "out-" + provider
        room.rows("in.jsonl", 7, max_tokens=40)
        # Without a mark a job is only known for ours when it stays the only one for a minute.
        sheaf(room, "run", "in.jsonl", "-o", name, "--lane", "batch", *to(sim, provider), code=0, env=keys(), limit=150)
        is_whole(room, 7, name)
        same(billed(sim), (0, 7), provider)
        same(len(listed(room, "--state", name + ".jobs.sqlite")), 1, provider)


def ask(url, body=None):
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, {
        "content-type": "application/json", "x-api-key": "k", "anthropic-version": "2023-06-01"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as reply:
        return json.load(reply)


def a_job_that_may_be_one_of_two_is_left_to_a_person(room):
    sim = answer_lost(room, "/v1/messages/batches", skip=1)
    rows = [{"custom_id": "x%d" % i, "params": {"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "of somebody else"}]}} for i in range(3)]
    foreign = ask(sim.url + "/v1/messages/batches", {"requests": rows})["id"]
    room.rows("in.jsonl", 3, max_tokens=40)
    done = sheaf(room, "run", "in.jsonl", "-o", "out.jsonl", "--lane", "batch", *to(sim, "anthropic"), code=4,
                 env=keys())
    for way in ("--adopt ID", "--resubmit", "--abandon"):
        check("sheaf jobs decide 1 %s --state out.jsonl.jobs.sqlite" % way in done.err, way, done.err)
    done = sheaf(room, "jobs", "status", code=4)
    check("sheaf jobs decide 1 --resubmit" in done.err and "undecided" in done.out, done.out, done.err)
    same(sheaf(room, "jobs", "wait", code=4, env=keys()).out, "")  # nothing is sent before it is decided
    ours = [job["id"] for job in ask(sim.url + "/v1/messages/batches")["data"] if job["id"] != foreign]
    same(len(ours), 1)
    sheaf(room, "jobs", "decide", "1", "--adopt", ours[0], code=0)
    sheaf(room, "jobs", "wait", code=0, env=keys())
    is_whole(room, 3)
    same(billed(sim), (0, 6))


def a_job_that_is_made_again_on_request_is_a_second_one(room):
    sim = answer_lost(room, "/v1/messages/batches", skip=1)
    rows = [{"custom_id": "x%d" % i, "params": {"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "of somebody else"}]}} for i in range(3)]
    ask(sim.url + "/v1/messages/batches", {"requests": rows})
    room.rows("in.jsonl", 3, max_tokens=40)
    sheaf(room, "run", "in.jsonl", "-o", "out.jsonl", "--lane", "batch", *to(sim, "anthropic"), code=4, env=keys())
    sheaf(room, "jobs", "decide", "1", "--resubmit", code=0)
    sheaf(room, "jobs", "wait", code=0, env=keys())
    is_whole(room, 3)
    same(billed(sim), (0, 9))


def an_interrupt_leaves_jobs_running_and_names_the_command(room):
    sim = sim_of(room, batch_ms=4000)
    room.rows("in.jsonl", 10)
    process = room.start("run", "in.jsonl", "-o", "out.jsonl", "--lane", "batch", *to(sim), env=keys())
    wait_for(lambda: sim.stats()["received_by_path"].get("/v1/batches"), what="a job")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    same(process.returncode, 6, err)
    check(b"sheaf jobs wait --state out.jsonl.jobs.sqlite" in err, err)
    sheaf(room, "jobs", "wait", code=0, env=keys())
    is_whole(room, 10)
    same(billed(sim), (0, 10))


def a_bad_line_is_named_with_its_field(room):
    sim = sim_of(room)
    room.write("in.jsonl", '"good"\n{"prompt":5}\n')
    done = batch(room, sim, code=3)
    check("in.jsonl:2:" in done.err and "prompt" in done.err, done.err)
    same(billed(sim), (0, 0))


def a_provider_without_jobs_says_so(room):
    room.rows("in.jsonl", 2)
    done = sheaf(room, "run", "in.jsonl", "-o", "out.jsonl", "--lane", "batch", "--provider", "ollama", "--model", "m",
                 code=2)
    one_sentence(done.err, "ollama", "--lane live")
    check(not room.has("out.jsonl.jobs.sqlite"))


def two_runs_do_not_share_a_state_file(room):
    sim = sim_of(room, batch_ms=3000)
    room.rows("in.jsonl", 3)
    first = room.start("run", "in.jsonl", "-o", "out.jsonl", "--lane", "batch", *to(sim), env=keys())
    wait_for(lambda: sim.stats()["received_by_path"].get("/v1/batches"), what="a job")
    done = sheaf(room, "run", "in.jsonl", "-o", "other.jsonl", "--lane", "batch", "--state", "out.jsonl.jobs.sqlite",
                 *to(sim), env=keys())
    check(done.code in (2, 3, 8), done.code, done.err)
    one_sentence(done.err, "out.jsonl.jobs.sqlite")
    same([job["state"] for job in listed(room)][:1] != [], True)  # others may look meanwhile
    first.kill()


# ---- commands ----


def submit_ends_when_jobs_are_made_and_wait_brings_their_rows(room):
    sim = sim_of(room, batch_ms=1000)
    room.rows("in.jsonl", 12)
    os.mkdir(room.at("elsewhere"))
    done = sheaf(room, "jobs", "submit", "in.jsonl", "-o", "out.jsonl", "--max-requests-per-job", "5", *to(sim), code=0,
                 env=keys())
    same(re.findall(r"^job (\d)", done.out, re.M), ["1", "2", "3"])
    check("sheaf jobs wait --state out.jsonl.jobs.sqlite" in done.out, done.out)
    same(count_lines(room.at("out.jsonl")), 0)
    sheaf(room, "jobs", "wait", "--state", "../out.jsonl.jobs.sqlite", code=0, env=keys(), cwd=room.at("elsewhere"))
    is_whole(room, 12)
    same(billed(sim), (0, 12))
    same(sheaf(room, "jobs", "wait", code=0, env=keys()).out, "")  # there is nothing left to do


def the_state_file_remembers_what_submit_was_told(room):
    sim = sim_of(room, batch_ms=600)
    os.mkdir(room.at("elsewhere"))
    room.write("p.json", PRICES)
    room.write("c.json", json.dumps({"base_url": sim.v1, "model": "gpt-4o-mini", "template": "Say {line}", "limit": 2,
                                     "poll_interval_ms": 100, "temperature": 0.5}))
    room.write("in.txt", "one\ntwo\nthree\n")
    sheaf(room, "jobs", "submit", "in.txt", "-o", "out.jsonl", "--config", "c.json", "--prices", "p.json", "--system", "s",
          code=0, env=keys())
    os.remove(room.at("c.json"))
    sheaf(room, "jobs", "wait", "--state", "../out.jsonl.jobs.sqlite", code=0, env=keys(), cwd=room.at("elsewhere"))
    same(texts(room.lines("out.jsonl")), ["echo: Say one", "echo: Say two"])
    sheaf(room, "jobs", "wait", "--limit", "3", code=0, env=keys())  # a flag wins, and the third row is a job, too
    same(texts(room.lines("out.jsonl")), ["echo: Say one", "echo: Say two", "echo: Say three"])
    same(billed(sim), (0, 3))


def a_run_that_goes_on_is_shown_and_keeps_others_out(room):
    sim = sim_of(room, batch_ms=30000)
    room.rows("in.jsonl", 3)
    process = room.start("run", "in.jsonl", "-o", "out.jsonl", "--lane", "batch", *to(sim), env=keys())
    wait_for(lambda: sim.stats()["received_by_path"].get("/v1/batches"), what="a job")
    told = json.loads(sheaf(room, "jobs", "status", "--json", code=0).out)
    same((told["run"]["is_live"], told["run"]["pid"]), (True, process.pid))
    for args in (("wait",), ("collect",), ("cancel",), ("status", "--refresh"), ("decide", "1", "--abandon"),
                 ("cancel", "1")):
        one_sentence(sheaf(room, "jobs", *args, code=3, env=keys()).err, "out.jsonl", "run")
    process.kill()
    process.wait()
    one_sentence(sheaf(room, "jobs", "cancel", "7", code=3, env=keys()).err, "7")
    one_sentence(sheaf(room, "jobs", "cancel", "x", code=2, env=keys()).err, "x")


def collect_fetches_what_is_done_and_waits_for_nothing(room):
    for provider in PLACES:
        sim = sim_of(room, batch_ms=3000)
        name = "out-" + provider
        room.rows("in.jsonl", 6, max_tokens=40)
        sheaf(room, "jobs", "submit", "in.jsonl", "-o", name, *to(sim, provider), code=0, env=keys())
        state = ("--state", name + ".jobs.sqlite")
        sheaf(room, "jobs", "collect", *state, code=0, env=keys())
        same(count_lines(room.at(name)), 0, provider)
        wait_for(lambda: sheaf(room, "jobs", "collect", *state, code=0, env=keys()) and count_lines(room.at(name)),
                 seconds=30, what="a job of " + provider)
        is_whole(room, 6, name)
        same(billed(sim), (0, 6), provider)


def status_asks_the_provider_when_told_to(room):
    sim = sim_of(room, batch_ms=600)
    room.rows("in.jsonl", 10)
    sheaf(room, "jobs", "submit", "in.jsonl", "-o", "out.jsonl", *to(sim), code=0, env=keys())
    before = json.loads(sheaf(room, "jobs", "status", "--json", code=0).out)["jobs"][0]
    check(before["state"] in ("submitting", "validating", "queued"), before)
    received = sim.stats()["received"]
    same(json.loads(sheaf(room, "jobs", "status", "--json", code=0).out)["jobs"][0]["state"], before["state"])
    same(sim.stats()["received"], received, "status asked somebody")
    def refreshed():
        told = sheaf(room, "jobs", "status", "--refresh", "--json", code=0, env=keys()).out
        return json.loads(told)["jobs"][0]

    wait_for(lambda: refreshed()["state"] == "completed", seconds=30, what="the job")
    after = refreshed()
    same((after["completed"], after["requests"]), (10, 10))
    same(count_lines(room.at("out.jsonl")), 0)
    for line in sheaf(room, "jobs", "gc", "--base-url", sim.v1, "--json", "--states", ".", code=0,
                      env=keys()).out.splitlines():
        raise AssertionError("a known job is called unknown: " + line)
    text = sheaf(room, "jobs", "status", code=0).out
    check(re.search(r"1 +openai +completed +10/10", text), text)


def cancel_ends_every_job_and_collect_takes_what_there_is(room):
    for provider in ("openai", "anthropic", "mistral"):
        sim = sim_of(room, batch_ms=20000)
        name = "out-" + provider
        room.rows("in.jsonl", 8, max_tokens=40)
        sheaf(room, "jobs", "submit", "in.jsonl", "-o", name, "--max-requests-per-job", "4", *to(sim, provider), code=0,
              env=keys())
        state = ("--state", name + ".jobs.sqlite")
        sheaf(room, "jobs", "cancel", *state, code=0, env=keys())
        done = sheaf(room, "jobs", "wait", *state, env=keys(), code=5)
        check("8 requests that were read have no result yet" in done.err, done.err)
        same(room.lines(name), [], provider)
        same([job["state"] for job in listed(room, *state)], ["collected"] * 2, provider)
        same(billed(sim), (0, 0), provider)


def cancel_of_one_job_leaves_the_others(room):
    sim = sim_of(room, batch_ms=6000)
    room.rows("in.jsonl", 8)
    sheaf(room, "jobs", "submit", "in.jsonl", "-o", "out.jsonl", "--max-requests-per-job", "4", *to(sim), code=0,
          env=keys())
    sheaf(room, "jobs", "cancel", "2", code=0, env=keys())
    done = sheaf(room, "jobs", "wait", code=4, env=keys())
    check("4 requests that were read have no result yet" in done.err, done.err)
    same([line["custom_id"] for line in room.lines("out.jsonl")], ["id-%d" % i for i in range(4)])
    sheaf(room, "jobs", "wait", code=0, env=keys())  # they are in nobody's job now
    is_whole(room, 8)
    same(billed(sim), (0, 8))


def decide_is_acted_on_by_the_next_run(room):
    sim = sim_of(room, batch_ms=60000)
    room.rows("in.jsonl", 4)
    sheaf(room, "jobs", "submit", "in.jsonl", "-o", "out.jsonl", *to(sim), code=0, env=keys())
    done = sheaf(room, "jobs", "decide", "1", "--abandon", code=0)
    check("sheaf jobs wait --state out.jsonl.jobs.sqlite" in done.out, done.out)
    same(listed(room)[0]["decision"], "abandon")
    sheaf(room, "jobs", "wait", "--rescue", "off", env=keys(), code=5)
    same(len(room.lines("out.jsonl")), 4)
    check(listed(room)[0]["state"] in ("abandoned", "collected"), listed(room))


def decide_needs_one_job_and_one_decision(room):
    sim = sim_of(room)
    room.rows("in.jsonl", 3)
    batch(room, sim)
    for args, word in (((), "one job"), (("1",), "--adopt"), (("1", "--resubmit", "--abandon"), "one of"),
                       (("x", "--abandon"), "one job")):
        one_sentence(sheaf(room, "jobs", "decide", *args, code=2).err, word)
    for args, word in ((("1", "--abandon"), "over"), (("9", "--abandon"), "9")):
        one_sentence(sheaf(room, "jobs", "decide", *args, code=3).err, word)


def gc_names_jobs_that_no_state_file_knows(room):
    sim = sim_of(room, batch_ms=60000)
    room.rows("in.jsonl", 3)
    os.mkdir(room.at("states"))
    ids = []
    for name in ("a", "b", "c"):
        sheaf(room, "jobs", "submit", "in.jsonl", "-o", name, "--state", "states/%s.jobs.sqlite" % name, *to(sim),
              code=0, env=keys())
        ids += [job["job"] for job in listed(room, "--state", "states/%s.jobs.sqlite" % name)]
    same(len(set(ids)), 3)
    os.rename(room.at("states/b.jobs.sqlite"), room.at("lost"))
    ask = ("jobs", "gc", "--base-url", sim.v1, "--json")
    found = [json.loads(line)["job"] for line in sheaf(room, *ask, "--states", "states", code=0,
                                                       env=keys()).out.splitlines()]
    same(found, [ids[1]])
    found = [json.loads(line)["job"] for line in sheaf(room, *ask, "--state", "lost", "--states", "states", code=0,
                                                       env=keys()).out.splitlines()]
    same(found, [])
    found = [json.loads(line)["job"] for line in sheaf(room, *ask, code=0, env=keys()).out.splitlines()]
    same(sorted(found), sorted(ids))
    one_sentence(sheaf(room, *ask, "--cancel", code=2, env=keys()).err, "--state")
    told = sheaf(room, *ask, "--states", "states", "--cancel", code=0, env=keys()).err
    check("cancelled " + ids[1] in told, told)
    after = {job["job"]: job["state"] for job in map(json.loads, sheaf(room, *ask, code=0, env=keys()).out.splitlines())}
    check(after[ids[1]] in ("ending", "cancelled"), after)
    check(all(after[id] in ("validating", "queued", "running") for id in (ids[0], ids[2])), after)
    one_sentence(sheaf(room, "jobs", "gc", "--provider", "ollama", code=2).err, "ollama", "no batch API")


def a_wrong_key_loses_nothing_and_the_right_one_goes_on(room):
    sim = sim_of(room, "--key", "right-key-0123456789")
    room.rows("in.jsonl", 5)
    done = batch(room, sim, code=4, env={"OPENAI_API_KEY": "wrong-key-0123456789"})
    check("refused the key" in done.err and "5 requests wait for their job to be created" in done.err, done.err)
    check("are with the provider" not in done.err, done.err)
    batch(room, sim, env={"OPENAI_API_KEY": "right-key-0123456789"})
    is_whole(room, 5)
    same(billed(sim), (0, 5))


def gc_leaves_jobs_without_our_mark_until_they_are_named(room):
    sim = sim_of(room, batch_ms=60000)
    room.rows("in.jsonl", 3)
    os.mkdir(room.at("none"))
    ids = []
    for name in ("a", "b"):
        sheaf(room, "jobs", "submit", "in.jsonl", "-o", name, *to(sim, "anthropic"), code=0, env=keys())
        ids += [job["job"] for job in listed(room, "--state", name + ".jobs.sqlite")]
    ask = ("jobs", "gc", "--provider", "anthropic", "--base-url", to(sim, "anthropic")[3], "--states", "none")
    told = sheaf(room, *ask, "--cancel", code=0, env=keys()).err
    check("2 jobs carry no mark" in told and "cancelled" not in told, told)
    told = sheaf(room, *ask, "--cancel", ids[0], code=0, env=keys()).err
    check("cancelled " + ids[0] in told and ids[1] not in told, told)


def list_shows_every_state_file_of_a_folder(room):
    sim = sim_of(room)
    room.rows("in.jsonl", 2)
    for name in ("a", "b"):
        sheaf(room, "run", "in.jsonl", "-o", name, "--lane", "batch", *to(sim), code=0, env=keys())
    text = sheaf(room, "jobs", "list", code=0).out
    same(re.findall(r"^(\S+)\.jobs\.sqlite$", text, re.M), ["a", "b"])
    same(len(re.findall(r"^ +1 +openai +collected +2/2", text, re.M)), 2, text)
    one_sentence(sheaf(room, "jobs", "status", code=2).err, "--state")
    one_sentence(sheaf(room, "jobs", "status", "--state", "none", code=3).err, "none")
    check("no jobs" in sheaf(room, "jobs", "list", code=0, cwd="/").out)


def lanes_tell_what_each_provider_has(room):
    told = json.loads(sheaf(room, "jobs", "lanes", "--json", code=0).out)
    lanes = {lane["provider"]: lane["batch"] for lane in told["lanes"]}
    same(set(lanes), {"openai", "anthropic", "gemini", "ollama", "azure", "groq", "mistral"})
    same(lanes["ollama"], None)
    same(lanes["openai"]["requests_max"], 50000)
    same((lanes["anthropic"]["requests_max"], lanes["anthropic"]["inline"]), (100000, True))
    for name, lane in lanes.items():
        check(lane is None or lane["discount_pct"] == 50, name, lane)
    text = sheaf(room, "jobs", "lanes", code=0).out
    for name in lanes:
        check(re.search("^%s$" % name, text, re.M), name, text)
    check("no batch API" in text)


def an_unknown_command_and_help_read_well(room):
    one_sentence(sheaf(room, "jobs", "frob", code=2).err, "jobs frob", "help jobs")
    for args in (("help", "jobs"), ("jobs", "--help"), ("jobs", "list", "--help"), ("jobs", "wait", "--help")):
        text = sheaf(room, *args, code=0).out
        check("sheaf jobs submit" in text, args)
        check(max(map(len, text.splitlines())) <= 100, "too wide", args)
    one_sentence(sheaf(room, "jobs", "list", "--rpm", "3", code=2).err, "--rpm")
    one_sentence(sheaf(room, "jobs", "wait", "in.jsonl", code=2).err, "in.jsonl")


# ---- settings ----


def settings(at, *args, env=None, command=("jobs", "lanes", "--json")):
    told = json.loads(sheaf(at, *command, *args, env=env, code=0).out)["settings"]
    return {row["variable"][12:]: (row["value"], row["source"]) for row in told}


def the_environment_gives_settings_and_says_so(room):
    same(settings(room), {"ENABLED": (1, "default"), "THRESHOLD": (20, "default"), "POLL_INTERVAL_MS": (30000, "default"),
                          "TIMEOUT_MS": (0, "default"), "MAX_REQUESTS": (0, "default")})
    env = {"SHEAF_BATCH_ENABLED": "false", "SHEAF_BATCH_THRESHOLD": "7", "SHEAF_BATCH_POLL_INTERVAL_MS": "2000",
           "SHEAF_BATCH_TIMEOUT_MS": "9000", "SHEAF_BATCH_MAX_REQUESTS": "11"}
    same(settings(room, env=env),
         {"ENABLED": (0, "environment"), "THRESHOLD": (7, "environment"), "POLL_INTERVAL_MS": (2000, "environment"),
          "TIMEOUT_MS": (9000, "environment"), "MAX_REQUESTS": (11, "environment")})


def a_bad_setting_is_named_by_its_variable(room):
    room.rows("in.jsonl", 1)
    for name, value in (("THRESHOLD", "many"), ("POLL_INTERVAL_MS", "5"), ("TIMEOUT_MS", "-1"), ("MAX_REQUESTS", "1.5"),
                        ("ENABLED", "perhaps")):
        done = sheaf(room, "run", "in.jsonl", "-o", "o", "--provider", "sim", "--model", "m", code=2,
                     env={"SHEAF_BATCH_" + name: value})
        one_sentence(done.err, "SHEAF_BATCH_" + name, value)


def a_flag_wins_over_the_environment_and_that_over_the_config_file(room):
    sim = sim_of(room)
    room.rows("in.jsonl", 12)
    room.write("c.json", json.dumps({"max_requests_per_job": 2, "lane": "batch"}))
    at = ("run", "in.jsonl", "--config", "c.json", *to(sim))
    for name, env, flags, wanted in (("config", {}, (), 6), ("env", {"SHEAF_BATCH_MAX_REQUESTS": "3"}, (), 4),
                                     ("flag", {"SHEAF_BATCH_MAX_REQUESTS": "3"}, ("--max-requests-per-job", "6"), 2)):
        sheaf(room, *at, "-o", name, *flags, code=0, env=dict(keys(), **env))
        same(len(listed(room, "--state", name + ".jobs.sqlite")), wanted, name)


def disabled_jobs_run_live_and_it_is_said_once(room):
    sim = sim_of(room)
    room.rows("in.jsonl", 30)
    env = dict(keys(), SHEAF_BATCH_ENABLED="0")
    for lane in ("batch", "auto"):
        done = sheaf(room, "run", "in.jsonl", "-o", lane, "--lane", lane, *to(sim), code=0, env=env)
        same(done.err.count("SHEAF_BATCH_ENABLED"), 1, done.err)
        is_whole(room, 30, lane)
        check(not room.has(lane + ".jobs.sqlite"))
    same(billed(sim), (60, 0))
    one_sentence(sheaf(room, "jobs", "submit", "in.jsonl", "-o", "x", *to(sim), code=2, env=env).err,
                 "SHEAF_BATCH_ENABLED")


def the_threshold_of_the_environment_decides_for_auto(room):
    sim = sim_of(room)
    room.rows("in.jsonl", 6)
    for value, wanted in (("6", (6, 0)), ("5", (6, 6))):
        sheaf(room, "run", "in.jsonl", "-o", "out-" + value, "--lane", "auto", *to(sim), code=0,
              env=dict(keys(), SHEAF_BATCH_THRESHOLD=value))
        same(billed(sim), wanted)


def a_lane_that_is_none_is_refused(room):
    room.rows("in.jsonl", 1)
    for value in ("merged", "fast"):
        one_sentence(sheaf(room, "run", "in.jsonl", "-o", "o", "--lane", value, code=2).err, "lane", value, "batch")
    one_sentence(sheaf(room, "run", "in.jsonl", "-o", "o", "--batch-mode", "submit", code=2).err, "sheaf help jobs")
    one_sentence(sheaf(room, "serve", "--lane", "batch", code=2).err, "--lane")


# ---- standard streams ----


def standard_input_is_kept_for_those_who_come_later(room):
    sim = sim_of(room, batch_ms=600)
    lines = b"".join(b'{"custom_id":"id-%d","prompt":"question %d"}\n' % (i, i) for i in range(5))
    done = sheaf(room, "jobs", "submit", "-", "-o", "out.jsonl", *to(sim), stdin=lines, code=0, env=keys())
    check("out.jsonl.jobs.sqlite.input" in done.err, done.err)
    same(room.read("out.jsonl.jobs.sqlite.input"), lines)
    sheaf(room, "jobs", "wait", code=0, env=keys())
    is_whole(room, 5)
    done = sheaf(room, "run", "-", "-o", "out.jsonl", "--lane", "batch", *to(sim), stdin=b'"another"\n', code=3,
                 env=keys())
    one_sentence(done.err, "standard input differs")
    same(billed(sim), (0, 5))


def standard_output_needs_a_state_file_of_its_own(room):
    sim = sim_of(room)
    room.rows("in.jsonl", 5)
    args = ("run", "in.jsonl", "-o", "-", "--lane", "batch", *to(sim))
    one_sentence(sheaf(room, *args, code=2, env=keys()).err, "--state")
    done = sheaf(room, *args, "--state", "s.jobs.sqlite", "--quiet", code=0, env=keys())
    same(texts(map(json.loads, done.out.splitlines())), ["echo: question %d" % i for i in range(5)])
    same(done.err, "")
    one_sentence(sheaf(room, *args, "--state", "s.jobs.sqlite", code=3, env=keys()).err, "s.jobs.sqlite")
    same(billed(sim), (0, 5))


# ---- files ----


def the_state_file_is_sqlite_that_others_read(room):
    sim = sim_of(room)
    room.rows("in.jsonl", 7)
    batch(room, sim)
    with sqlite3.connect("file:%s?mode=ro" % room.at("out.jsonl.jobs.sqlite"), uri=True) as base:
        views = {row[0] for row in base.execute("select name from sqlite_master where type = 'view'")}
        check({"job_list", "event_list", "request_list"} <= views, views)
        same(base.execute("select count(*) from job_list").fetchone()[0], 1)
        same(base.execute("pragma integrity_check").fetchone()[0], "ok")
        dump = "\n".join(base.iterdump())
    check("question" not in dump, "the state file holds text of rows")
    mode = os.stat(room.at("out.jsonl.jobs.sqlite.spool")).st_mode & 0o777 if room.has(
        "out.jsonl.jobs.sqlite.spool") else 0o700
    same(mode, 0o700, "mode of the spool")


def no_key_is_written_anywhere(room):
    sim = sim_of(room, "--key", "sk-secret-4711", batch_ms=300)
    room.rows("in.jsonl", 4)
    done = batch(room, sim, "--events", "events.jsonl", env={"OPENAI_API_KEY": "sk-secret-4711"})
    is_whole(room, 4)
    for folder, _, names in os.walk(room.path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                check(b"sk-secret" not in file.read(), "the key is in", name)
    check("sk-secret" not in done.err + done.out)


def events_tell_what_becomes_of_jobs(room):
    sim = sim_of(room, batch_ms=800)
    room.rows("in.jsonl", 40)
    batch(room, sim, "--events", "events.jsonl", "--max-requests-per-job", "20")
    told = events(room)
    now = time.time() * 1000
    for line in told:
        check(now - 60000 < line["ts"] <= now + 1000, "a time", line)
        check(line["event"] in ("job", "progress", "end"), line)
    same((told[-1]["event"], told[-1]["exit_code"]), ("end", 0))
    for flight in (1, 2):
        states = [line["state"] for line in told if line["event"] == "job" and line["flight"] == flight]
        same((states[0], states[-1]), ("prepared", "collected"))
        last = [line for line in told if line["event"] == "job" and line["flight"] == flight][-1]
        same((last["requests"], last["ended"], last["rescued"], last["failed"]), (20, 20, 0, 0))
        check(last["job"], last)
    check(any(line["event"] == "progress" and line["total"] == 40 for line in told), told)


def an_input_that_changed_is_refused(room):
    sim = sim_of(room, batch_ms=600)
    room.rows("in.jsonl", 5)
    sheaf(room, "jobs", "submit", "in.jsonl", "-o", "out.jsonl", *to(sim), code=0, env=keys())
    room.rows("in.jsonl", 5, system="another")
    done = sheaf(room, "jobs", "wait", code=3, env=keys())
    check("in.jsonl" in done.err, done.err)


def jobs_that_still_run_are_not_forgotten_by_no_resume(room):
    sim = sim_of(room, batch_ms=600)
    room.rows("in.jsonl", 5)
    sheaf(room, "jobs", "submit", "in.jsonl", "-o", "out.jsonl", *to(sim), code=0, env=keys())
    one_sentence(batch(room, sim, "--no-resume", code=2).err, "1 of the jobs", "collect")
    sheaf(room, "jobs", "wait", code=0, env=keys())
    batch(room, sim, "--no-resume")
    is_whole(room, 5)
    check(room.has("out.jsonl.bak") and room.has("out.jsonl.jobs.sqlite.bak"), os.listdir(room.path))
    same(billed(sim), (0, 10))


def a_live_run_does_not_send_what_jobs_hold(room):
    sim = sim_of(room, batch_ms=900)
    room.rows("in.jsonl", 5)
    sheaf(room, "jobs", "submit", "in.jsonl", "-o", "out.jsonl", *to(sim), code=0, env=keys())
    sheaf(room, "run", "in.jsonl", "-o", "out.jsonl", *to(sim), code=0, env=keys())
    is_whole(room, 5)
    same(billed(sim), (0, 5))


# ---- money ----

PRICES = json.dumps({"date": "2030-01-01", "prices": [
    {"provider": "openai", "model": "gpt-4o-mini", "input": 2, "output": 10}]})


def the_forecast_tells_both_prices_before_anything_is_sent(room):
    sim = sim_of(room)
    room.write("p.json", PRICES)
    room.rows("in.jsonl", 10, max_tokens=1000)
    done = batch(room, sim, "--prices", "p.json", "--max-requests-per-job", "4")
    check("forecast: 10 requests in 3 jobs of openai" in done.err, done.err)
    live = float(re.search(r"live +at most \$([\d.]+), ", done.err).group(1))
    half = float(re.search(r"batch +at most \$([\d.]+), ", done.err).group(1))
    check(0.1 <= live < 0.102 and abs(live - 2 * half) < 0.00015, live, half)  # 10,000 tokens written at $10 a million
    check(re.search(r"batch .*\$0\.005\d+ a request", done.err), done.err)
    check(done.err.index("forecast") < done.err.index("collected"), done.err)
    again = batch(room, sim, "--prices", "p.json")
    check("forecast" not in again.err, again.err)
    check("forecast" not in sheaf(room, "run", "in.jsonl", "-o", "quiet", "--lane", "batch", "--quiet", *to(sim), code=0,
                                  env=keys()).err)


def an_unknown_price_is_called_one(room):
    sim = sim_of(room)
    room.rows("in.jsonl", 3)
    done = sheaf(room, "run", "in.jsonl", "-o", "out.jsonl", "--lane", "batch", *to(sim, model="no-such-model"), code=0,
                 env=keys())
    check("unknown price" in done.err, done.err)


def the_summary_tells_what_live_would_have_cost(room):
    sim = sim_of(room)
    room.write("p.json", PRICES)
    room.rows("in.jsonl", 50)
    done = batch(room, sim, "--prices", "p.json")
    stats = sim.stats()["billed_batch"]
    live = (stats["input_tokens"] * 2 + stats["output_tokens"] * 10) / 1e6
    told = re.search(r"batch cost +\$([\d.]+); live these requests would have cost \$([\d.]+)", done.err)
    check(told, done.err)
    check(abs(float(told.group(2)) - live) < 1e-5, told.groups(), live)
    check(abs(float(told.group(1)) - live / 2) < 1e-5, told.groups(), live)
    lines = room.lines("out.jsonl")
    cost = sum(line["sheaf"]["cost_usd"] for line in lines)
    check(abs(cost - live / 2) < 1e-5, cost, live / 2)


def a_plan_has_a_column_for_jobs(room):
    room.write("p.json", PRICES)
    room.rows("in.jsonl", 10, max_tokens=1000)
    args = ("plan", "in.jsonl", "--model", "gpt-4o-mini", "--prices", "p.json")
    told = json.loads(sheaf(room, *args, "--json", "--max-requests-per-job", "4", code=0).out)
    check(abs(told["cost"]["live_usd"] - 2 * told["cost"]["batch_usd"]) < 1e-7, told["cost"])
    same(told["batch"]["jobs"], 3)
    text = sheaf(room, *args, code=0).out
    check(re.search(r"live +at most \$", text) and re.search(r"batch +at most \$", text), text)
    check("batch jobs   1" in text, text)


if __name__ == "__main__":
    sys.exit(test_cli.run_all(globals()))
