"""test_jobs_kill.py SHEAF: provider jobs under kill -9.

The same command is started again and again against `sheaf sim` and killed at instants drawn from a seed, over
preparing, uploading, creating, polling, collecting and running live what a job lost, until it is let end. Then every row
has its answer once and in order, no job was created twice, and nothing is left of the spool; and after every kill the
state file can be read by others. Shares the helpers of test_jobs.py; more than 200 kills in all.

    SHEAF_TEST_SEED draws other instants; SHEAF_TEST_KILLS more of them (for each provider, 60)

    houses, what holds after a kill, what holds at the end, providers
"""
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request

sys.dont_write_bytecode = True
import test_cli  # noqa: E402
from test_cli import SEED, SHEAF, check, same, texts  # noqa: E402
from test_jobs import CLEAN, keys, to  # noqa: E402

ROWS = 240
JOB_ROWS = {"openai": 48, "mistral": 48, "gemini": 48, "anthropic": 80}
KILLS = int(os.environ.get("SHEAF_TEST_KILLS", "60"))
HOUSE_KILLS = 20
END_SECONDS = 110  # a call that made no job is looked for in the provider's list for a minute
LISTS = {"openai": ("/v1/batches?limit=100", "data", "id"), "mistral": ("/v1/batch/jobs", "data", "id"),
         "anthropic": ("/v1/messages/batches?limit=100", "data", "id"),
         "gemini": ("/v1beta/batches", "operations", "name")}

def measured_slowness():
    """A build with sanitizers, or a busy machine, comes as far only later: in starts of a plain build."""
    begun = time.time()
    for _ in range(5):
        subprocess.run([SHEAF, "help"], stdout=subprocess.DEVNULL, check=True)
    return min(10, max(1, (time.time() - begun) / 5 / 0.012))


slowness = measured_slowness()
struck = {}  # where kills struck: how often
struck_lock = threading.Lock()

# ---- houses: an input, its output and a simulator of its own ----


class House:
    def __init__(self, at, provider, number, sim_options=(), options=(), faults=()):
        self.provider, self.name = provider, "%s %d" % (provider, number)
        self.path = at.at("house-%d" % number)
        os.mkdir(self.path)
        self.random = random.Random("%d %s" % (SEED, self.name))
        if faults:
            with open(os.path.join(self.path, "faults.jsonl"), "w") as file:
                file.writelines(json.dumps(fault) + "\n" for fault in faults)
            sim_options += ("--faults", os.path.join(self.path, "faults.jsonl"))
        self.sim = at.sim("--batch-time", "uniform:300:1500", "--seed", str(number), *sim_options)
        self.output = os.path.join(self.path, "out.jsonl")
        self.state = self.output + ".jobs.sqlite"
        self.kills, self.code = 0, None
        self.command = [SHEAF, "run", "in.jsonl", "-o", "out.jsonl", "--lane", "batch", "--max-requests-per-job",
                        str(JOB_ROWS[provider]), "--max-jobs", "3", *to(self.sim, provider), *options]
        with open(os.path.join(self.path, "in.jsonl"), "w") as file:
            for row in range(ROWS):
                prompt = "question %d %s" % (row, "w " * self.random.randrange(600))
                file.write(json.dumps({"custom_id": "id-%d" % row, "prompt": prompt, "max_tokens": 2000}) + "\n")

    def start(self):
        self.said = open(os.path.join(self.path, "said"), "wb")
        return subprocess.Popen(self.command, cwd=self.path, env=dict(CLEAN, **keys()), stdin=subprocess.DEVNULL,
                                stdout=self.said, stderr=self.said)

    def end(self, process, seconds):
        """Its exit code; None: it did not end within that time."""
        try:
            self.code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self.said.close()
        return self.code

    def told(self):
        with open(os.path.join(self.path, "said"), "rb") as file:
            return file.read().decode()[-1500:]

    def delay(self):
        """Most is done within the first instants of a start; the rest is waiting for the provider."""
        at = self.random.uniform(0.005, 0.06) if self.random.random() < 0.7 else self.random.uniform(0.05, 0.4)
        return at * slowness

    def strike(self):
        """One start and one kill. Answers whether the command ended by itself before."""
        process = self.start()
        if self.end(process, self.delay()) is not None:
            same(self.code, 0, "%s ended by itself: %s" % (self.name, self.told()))
            return True
        process.kill()
        process.wait()
        self.said.close()
        self.kills += 1
        self.look()
        return False

    # ---- what holds after a kill ----

    def look(self):
        """The state file as another program finds it: a copy, so that the next run finds what the kill left."""
        where = "before the first record"
        if os.path.exists(self.state):
            copy = os.path.join(self.path, "copy.sqlite")
            for ending in ("", "-wal"):
                if os.path.exists(copy + ending):
                    os.unlink(copy + ending)
                if os.path.exists(self.state + ending):
                    shutil.copyfile(self.state + ending, copy + ending)
            state = sqlite3.connect(copy)
            same(state.execute("PRAGMA integrity_check").fetchall(), [("ok",)], self.name)
            try:
                last = state.execute("SELECT type, json FROM event_list ORDER BY seq DESC LIMIT 1").fetchone()
            except sqlite3.OperationalError as error:  # killed before its tables were there
                check("no such table" in str(error), self.name, error)
                last = None
            if last:
                planned = dict(state.execute("SELECT flight, requests FROM job_list WHERE marker<>''"))
                check(sum(planned.values()) <= ROWS, self.name, planned)
                kept = json.loads(last[1])
                what = kept.get("step") or kept.get("state") or [name for name in ("job", "file", "upload") if name in kept]
                where = " ".join([last[0]] + ([what] if isinstance(what, str) else what))
            state.close()
        with struck_lock:
            struck[where] = struck.get(where, 0) + 1

    # ---- what holds at the end ----

    def listed(self):
        path, member, name = LISTS[self.provider]
        request = urllib.request.Request(self.sim.url + path, headers={
            "authorization": "Bearer k", "x-api-key": "k", "x-goog-api-key": "k", "anthropic-version": "2023-06-01"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as reply:
            return [job[name] for job in json.load(reply)[member]]

    def is_whole(self):
        with open(self.output, "rb") as file:
            lines = [json.loads(line) for line in file.read().decode().splitlines()]
        same([line["custom_id"] for line in lines], ["id-%d" % row for row in range(ROWS)], self.name + ", rows")
        with open(os.path.join(self.path, "in.jsonl")) as file:
            wanted = ["echo: " + json.loads(line)["prompt"] for line in file]
        for row, (got, right) in enumerate(zip(texts(lines), wanted)):
            check((got or "").strip() == right.strip(), self.name, "row %d" % row, got, right, self.told())

    def is_made_once(self):
        state = sqlite3.connect(self.state)
        jobs = state.execute("SELECT flight, job, requests, state FROM job_list").fetchall()
        state.close()
        same({job[3] for job in jobs}, {"collected"}, self.name)
        same(sum(job[2] for job in jobs), ROWS, self.name + ", rows in jobs")
        same(sorted(self.listed()), sorted(job[1] for job in jobs), self.name + ", jobs of the provider and of ours")
        same(len(jobs), ROWS // JOB_ROWS[self.provider], self.name + ", jobs")

    def has_left_nothing(self):
        left = [name for name in os.listdir(self.path) if "spool" in name or name.endswith(".tmp")]
        same(left, [], self.name)

    def check_end(self):
        self.is_whole()
        self.is_made_once()
        self.has_left_nothing()


# ---- providers ----


def survive(at, provider, kinds):
    """Kills in one house after the other; then all that did not end by themselves go on to their ends side by side."""
    houses = []
    while sum(house.kills for house in houses) < KILLS or len(houses) < len(kinds):
        house = House(at, provider, len(houses), **kinds[len(houses) % len(kinds)])
        houses.append(house)
        while house.kills < HOUSE_KILLS and not house.strike():
            pass
    running = [(house, house.start()) for house in houses if house.code is None]
    until = time.time() + END_SECONDS
    try:
        for house, process in running:
            code = house.end(process, max(0.1, until - time.time()))
            check(code == 0, house.name, "exit code", code, house.told())
    finally:
        for _, process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    for house in houses:
        house.check_end()


# Where files go, where jobs are made, where results come from.
PATHS = {"openai": ("/v1/files", "/v1/batches", "/v1/files/*"),
         "mistral": ("/v1/files", "/v1/batch/jobs", "/v1/files/*"),
         "anthropic": ("", "/v1/messages/batches", "/v1/messages/batches/*"),
         "gemini": ("", "/v1beta/models/*", "/v1beta/batches/*")}


def kinds_of(provider):
    files, making, results = PATHS[provider]
    slow = [{"fault": "drip", "path": path} for path in (files, making) if path]  # killed while an answer comes
    cut = [{"fault": "reset-head", "path": making, "first": 2}, {"fault": "reset-body", "path": results, "first": 2},
           {"fault": "cut", "path": results, "skip": 4, "first": 2}]
    if files:
        cut += [{"fault": "reset", "path": files, "first": 1}, {"fault": "500", "path": files, "skip": 1, "first": 1}]
    paid_twice = ("--resend-unknown", "always")  # what a kill cut off live is asked again
    return [dict(faults=slow, sim_options=("--drip", "1")),
            dict(faults=cut),
            dict(sim_options=("--batch-fail", "0.2"), options=paid_twice),
            dict(sim_options=("--batch-partial", "0.5", "--batch-quirk", "late,duplicate,foreign"), options=paid_twice)]


def jobs_of_openai_survive_kills(room):
    survive(room, "openai", kinds_of("openai"))


def jobs_of_anthropic_survive_kills(room):
    survive(room, "anthropic", kinds_of("anthropic"))


def jobs_of_gemini_survive_kills(room):
    survive(room, "gemini", kinds_of("gemini"))


def jobs_of_mistral_survive_kills(room):
    survive(room, "mistral", kinds_of("mistral"))


if __name__ == "__main__":
    failed = test_cli.run_all({name: value for name, value in globals().items() if name.startswith("jobs_of_")})
    print("%d kills; the last record before them: %s" % (
        sum(struck.values()), ", ".join("%s %d" % at for at in sorted(struck.items()))))
    if len(sys.argv) < 3 and not failed:
        check(sum(struck.values()) > 200, "too few kills")
        for part in ("before", "fact", "intent create", "state", "over"):
            check(any(where.startswith(part) for where in struck), "no kill struck after", part)
    sys.exit(failed)
