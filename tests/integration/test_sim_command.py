"""test_sim_command.py SHEAF: `sheaf sim` as its users meet it: options, addresses, signals.

What it serves is tested by test_sim*.c; what a run makes of it by test_sim_ledger.py.
"""
import json
import signal
import sys
import threading
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
import test_cli  # noqa: E402
from test_cli import check, same  # noqa: E402

ASK = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()


def post(url, body=ASK, **headers):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, body, dict({"content-type": "application/json"}, **headers))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def ended(code, room, *args):
    process = room.start("sim", *args)
    out, err = process.communicate(timeout=10)
    same((process.returncode, out), (code, b""), args)
    return err.decode()


def what_cannot_be_read_is_refused_with_the_remedy(room):
    room.write("bad.jsonl", '{"fault":"500"}\n{"fault":"none such"}\n')
    for args, words in (
            (("--port", "x"), ("--port", "0 to 65535")),
            (("--port", "65536"), ("--port", "0 to 65535")),
            (("--port",), ("--port", "needs a value")),
            (("--latency", "slow"), ("--latency", "fixed:MS", "lognormal:MEDIAN_MS:SIGMA")),
            (("--fault", "429"), ("--fault", "KIND:SHARE")),
            (("--fault", "429:0.9,500:0.9"), ("--fault", "exceed 1")),
            (("--answer", "wisely"), ("--answer", "echo | lorem")),
            (("--strict", "perhaps"), ("--strict", "on | off")),
            (("--colour", "red"), ("--colour", "sheaf help sim")),
            (("--",), ("--", "sheaf help sim")),
            (("8080",), ("8080", "options only"))):
        test_cli.one_sentence(ended(2, room, *args), *words)
    for args, words in (
            (("--faults", "bad.jsonl"), ("bad.jsonl", "line 2")),
            (("--faults", "none.jsonl"), ("none.jsonl",)),
            (("--answer", "canned:none.jsonl"), ("none.jsonl",)),
            (("--host", "example.org"), ("example.org", "address"))):
        test_cli.one_sentence(ended(8, room, *args), *words)


def a_port_that_is_taken_is_told(room):
    sim = room.sim()
    port = sim.url.rsplit(":", 1)[1]
    test_cli.one_sentence(ended(8, room, "--port", port), "listen")


def a_switch_may_stand_alone(room):
    for args, status in ((("--strict",), 400), (("--strict", "--seed", "7"), 400), (("--strict=off",), 200),
                         (("--strict", "off"), 200), (("--seed=7", "--strict", "on"), 400)):
        sim = room.sim(*args)
        body = json.dumps(dict(json.loads(ASK), colour="red")).encode()
        same(post(sim.v1 + "/chat/completions", body)[0], status, args)
        same(sim.stats()["seed"], 7 if "--seed" in args or "--seed=7" in args else 1)


def the_last_words_are_the_ledger(room):
    for number in (signal.SIGINT, signal.SIGTERM):
        sim = room.sim("--answer", "lorem:3:0")
        same(post(sim.v1 + "/chat/completions")[0], 200)
        same(post(sim.v1 + "/chat/completions", **{"x-sheaf-fault": "500"})[0], 500)
        sim.process.send_signal(number)
        out, err = sim.process.communicate(timeout=10)
        same((sim.process.returncode, out), (0, b""))
        ledger = json.loads(err)
        same((ledger["received"], ledger["faults"]["500"]), (2, 1))
        same(ledger["billed"], {"requests": 1, "input_tokens": 2, "output_tokens": 3})


def a_signal_ends_it_also_with_requests_under_way(room):
    sim = room.sim("--latency", "fixed:3600000")
    failed = []

    def ask():
        try:
            post(sim.v1 + "/chat/completions")
        except OSError as error:
            failed.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    test_cli.wait_for(lambda: sim.stats()["in_flight"] == 1)
    sim.process.send_signal(signal.SIGINT)
    sim.process.communicate(timeout=10)
    same(sim.process.returncode, 0)
    asking.join(10)
    check(failed, "the client is let go")


def help_is_given_wherever_it_is_asked_for(room):
    for args in (("--help",), ("-h",), ("--seed", "1", "--help")):
        process = room.start("sim", *args)
        out, err = process.communicate(timeout=10)
        same((process.returncode, err), (0, b""))
        for word in (b"--capacity", b"garbage-head", b"x-sheaf-fault", b"/_sim/ledger", b"--faults FILE"):
            check(word in out, "the help lacks", word)


if __name__ == "__main__":
    sys.exit(test_cli.run_all(globals()))
