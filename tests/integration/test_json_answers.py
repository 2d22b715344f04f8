"""test_json_answers.py SHEAF: structured answers as users of the command meet them.

The provider is `sheaf sim` with answers from a file, whose ledger says how often each was asked and billed.
Standard library only. Ends with "N passed, N failed"; skipped where the command has no simulator.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
import urllib.request

SHEAF = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.environ["SHEAF_BIN"])
OTHERS = ("OPENAI_API_KEY", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
PLAIN = {k: v for k, v in os.environ.items() if k not in OTHERS}

# What each prompt is answered with, and what comes of it: value, score, repairs. None: no JSON.
ANSWERS = {
    "strict": ('{"n": 7, "tags": ["a"]}', {"n": 7, "tags": ["a"]}, 100, None),
    "fenced": ('Here you are:\n```json\n{"n": 8}\n```\nAnything else?', {"n": 8}, 93, ["fence", "text_around"]),
    "slips": ("{'n': 9, tags: ['x', True,],}", {"n": 9, "tags": ["x", True]}, 80,
              ["trailing_comma", "single_quotes", "unquoted_key", "python_literal"]),
    "cut": ('{"n": 5, "tags": ["one", "tw', {"n": 5, "tags": ["one", "tw"]}, 55, ["truncated", "cut_string"]),
    "prose": ("I am sorry, I cannot.", None, 0, None),
    "wrong": ('{"n": "many", "extra": 1}', {"n": "many", "extra": 1}, 100, None),
}
SCHEMA = {"type": "object", "required": ["n"], "additionalProperties": False,
          "properties": {"n": {"type": "integer", "minimum": 6},
                         "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}}}}


def check(held, what, *facts):
    if not held:
        raise AssertionError(" ".join([what] + [repr(f)[:2000] for f in facts]))


def same(got, wanted, what):
    check(got == wanted, "%s: got %r, wanted %r" % (what, got, wanted))


class Room:
    """A test's directory, with a simulator that gives the answers."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="sheaf-json-")
        self.write("answers.jsonl", "".join(
            json.dumps({"prompt": prompt, "answer": answer[0]}) + "\n" for prompt, answer in ANSWERS.items()))
        self.write("in.jsonl", "".join(
            json.dumps({"custom_id": prompt, "prompt": prompt}) + "\n" for prompt in ANSWERS))
        self.sim = subprocess.Popen([SHEAF, "sim", "--port", "0", "--answer", "canned:answers.jsonl"],
                                    cwd=self.path, env=PLAIN, stdout=subprocess.PIPE)
        self.url = self.sim.stdout.readline().decode().strip()

    def close(self):
        self.sim.kill()
        self.sim.wait()
        self.sim.stdout.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def at(self, name):
        return os.path.join(self.path, name)

    def write(self, name, text):
        with open(self.at(name), "w", encoding="utf-8") as file:
            file.write(text)

    def run(self, *args, code=0):
        done = subprocess.run([SHEAF, "run", "in.jsonl", "-o", "out.jsonl", "--base-url", self.url + "/v1",
                               "--model", "gpt-4o-mini"] + list(args), cwd=self.path, env=PLAIN,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        check(done.returncode == code, "exit code %d, wanted %d" % (done.returncode, code), done.stderr)
        return done.stderr.decode()

    def lines(self):
        with open(self.at("out.jsonl"), encoding="utf-8") as file:
            return {line["custom_id"]: line for line in map(json.loads, file)}

    def asked(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + "/_sim/stats", timeout=10) as answer:
            return json.load(answer)["received"]


def without_the_option_lines_say_nothing_of_json(room):
    err = room.run()
    for line in room.lines().values():
        check("json" not in line["sheaf"], "no member", line)
    check("  json  " not in err, "no line in the summary", err)


def every_row_succeeds_with_its_value_and_its_score(room):
    err = room.run("--json")
    lines = room.lines()
    same(len(lines), len(ANSWERS), "lines")
    for prompt, (text, value, score, repaired) in ANSWERS.items():
        line = lines[prompt]
        same(line["error"], None, prompt)
        same(line["sheaf"]["text"], text, prompt + " keeps its text")
        judged = line["sheaf"]["json"]
        same(judged["score"], score, prompt + " score")
        same("value" in judged, value is not None, prompt + " has a value")
        same(judged.get("value"), value, prompt + " value")
        same(judged.get("repaired"), repaired, prompt + " repaired")
        same(line["sheaf"]["attempts"], 2 if score == 0 else 1, prompt + " attempts")
    same(lines["prose"]["sheaf"]["json"]["fault"], "the answer holds no JSON", "fault")
    same(lines["prose"]["sheaf"]["history"][0]["error_class"], "invalid_response", "history")
    same(lines["prose"]["sheaf"]["history"][0]["billing"], "billed", "history")
    check("json         2 strict, 3 repaired, 0 against the schema, 1 not JSON" in err, "summary", err)
    same(room.asked(), len(ANSWERS) + 1, "requests at the simulator")


def a_schema_lowers_scores_and_says_what_is_wrong(room):
    room.write("schema.json", json.dumps(SCHEMA))
    err = room.run("--json-schema", "schema.json", "--json-retries", "2")
    judged = {prompt: line["sheaf"]["json"] for prompt, line in room.lines().items()}
    attempts = {prompt: line["sheaf"]["attempts"] for prompt, line in room.lines().items()}
    same(judged["strict"]["score"], 100, "strict")
    check("fault" not in judged["strict"] and "faults" not in judged["strict"], "strict", judged)
    same(judged["wrong"]["faults"], 2, "a type and a member")
    same(judged["wrong"]["score"], 70, "two faults of 15 points")
    same(judged["slips"]["faults"], 1, "an element")
    same(judged["slips"]["fault"], "/tags/1: string wanted, boolean found", "slips")
    same(judged["cut"]["fault"], "/n: below the minimum of 6", "cut")
    same(attempts, {"strict": 1, "fenced": 1, "slips": 3, "cut": 3, "prose": 3, "wrong": 3}, "attempts")
    check("1 strict, 1 repaired, 3 against the schema, 1 not JSON" in err, "summary", err)
    check("schema.json: not checked: pattern" in err, "the unchecked keyword is named", err)
    same(room.asked(), 2 + 4 * 3, "requests at the simulator")


def with_no_retries_everything_is_asked_once(room):
    room.run("--json", "--json-retries", "0")
    same(room.asked(), len(ANSWERS), "requests at the simulator")


def a_bad_schema_is_refused_before_anything_is_sent(room):
    room.write("schema.json", '{"properties": {"n": {"type": "whole"}}}')
    err = room.run("--json-schema", "schema.json", code=3)
    check("schema.json: byte 31, type:" in err, "the place and the keyword", err)
    err = room.run("--json-schema", "missing.json", code=3)
    check("missing.json" in err, "the file", err)
    err = room.run("--json-retries", "6", "--json", code=2)
    check("--json-retries" in err and "from 0 to 5" in err, "the range", err)
    same(room.asked(), 0, "requests at the simulator")
    check(not os.path.exists(room.at("out.jsonl")), "no output was begun")


def a_config_file_and_the_manual_know_the_options(room):
    room.write("schema.json", json.dumps(SCHEMA))
    room.write("config.json", '{"json": true, "json_schema": "schema.json", "json_retries": 0, "quiet": true}')
    room.run("--config", "config.json")
    same(room.lines()["wrong"]["sheaf"]["json"]["faults"], 2, "faults")
    done = subprocess.run([SHEAF, "help", "run"], env=PLAIN, stdout=subprocess.PIPE)
    for option in (b"--json ", b"--json-schema FILE", b"--json-retries N"):
        check(option in done.stdout, "help names it", option)


def main():
    if subprocess.run([SHEAF, "help", "sim"], stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL).returncode:
        return 77
    passed = failed = 0
    for test in (without_the_option_lines_say_nothing_of_json, every_row_succeeds_with_its_value_and_its_score,
                 a_schema_lowers_scores_and_says_what_is_wrong, with_no_retries_everything_is_asked_once,
                 a_bad_schema_is_refused_before_anything_is_sent, a_config_file_and_the_manual_know_the_options):
        room = Room()
        try:
            test(room)
            passed += 1
        except Exception:
            failed += 1
            print("FAILED " + test.__name__)
            traceback.print_exc(file=sys.stdout)
        finally:
            room.close()
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
