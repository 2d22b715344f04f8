"""test_cli.py SHEAF: the sheaf command as its users meet it.

Each test is a function whose name says what holds; each has a directory of its own. The provider is
`sheaf sim`, whose ledger says what was asked and billed, or a small server of raw sockets for what the
simulator cannot do. Standard library only. Ends with "N passed, N failed".

    helpers, forms of input, results, stops, resume, bad input, secrets, faults, looks, main
"""
import concurrent.futures
import csv
import fcntl
import json
import os
import pty
import random
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback
import urllib.request

SHEAF = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.environ["SHEAF_BIN"])
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OLLAMA_HOST")
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
PLAIN = {k: v for k, v in os.environ.items() if k not in KEYS + PROXIES}
SEED = int(os.environ.get("SHEAF_TEST_SEED", "20260921"))

# ---- helpers ----


def check(held, what="", *facts):
    if not held:
        raise AssertionError(" ".join([str(what)] + [repr(f)[:2000] for f in facts]))


def same(got, wanted, what=""):
    check(got == wanted, "%s: got %r, wanted %r" % (what, got, wanted))


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


class Room:
    """A test's directory, and what it starts there."""

    @staticmethod
    def closed_port():
        """A port that nobody listens on: one that was just given back."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            return taken.getsockname()[1]

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="sheaf-cli-")
        self.started = []

    def close(self):
        for stop in self.started:
            stop()
        shutil.rmtree(self.path, ignore_errors=True)

    def at(self, name):
        return os.path.join(self.path, name)

    def write(self, name, content):
        with open(self.at(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return self.at(name)

    def rows(self, name, count, **fields):
        lines = [dict({"custom_id": "id-%d" % i, "prompt": "question %d" % i}, **fields)
                 for i in range(count)]
        return self.write(name, "".join(json.dumps(line) + "\n" for line in lines))

    def read(self, name):
        with open(self.at(name), "rb") as file:
            return file.read()

    def lines(self, name):
        text = self.read(name)
        check(text.endswith(b"\n") or not text, name, "ends in a torn line")
        return [json.loads(line) for line in text.decode().splitlines()]

    def has(self, name):
        return os.path.exists(self.at(name))

    def start(self, *args, env=None, **more):
        process = subprocess.Popen([SHEAF] + [str(a) for a in args], cwd=self.path,
                                   env=dict(PLAIN, **(env or {})), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **more)

        def stop():
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr, process.stdin):
                if pipe:
                    pipe.close()

        self.started.append(stop)
        return process

    def run(self, *args, env=None, stdin=b"", code=None, limit=40, **more):
        process = self.start("run", *args, env=env, stdin=subprocess.PIPE, **more)
        try:
            out, err = process.communicate(stdin, timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError("sheaf run %s took over %d s: %r" % (args, limit, err[-800:]))
        done = Done(process.returncode, out, err.decode())
        if code is not None:
            check(done.code == code, "exit code %d, wanted %d" % (done.code, code), args, done.err)
        return done

    def sim(self, *args):
        process = self.start("sim", "--port", "0", *args)
        url = process.stdout.readline().decode().strip()
        check(url.startswith("http://127.0.0.1:"), "the simulator's first line is its address", url)
        return Sim(url, process)

    def server(self, reply):
        server = Server(reply)
        self.started.append(server.close)
        return server


class Sim:
    def __init__(self, url, process):
        self.url, self.v1, self.process = url, url + "/v1", process
        self.to = ("--base-url", self.v1, "--model", "gpt-4o-mini")

    def stats(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + "/_sim/stats", timeout=10) as answer:
            return json.load(answer)

    def ledger_at_rest(self):
        """The ledger once nothing is under way any more."""
        for _ in range(200):
            stats = self.stats()
            if stats["in_flight"] == 0:
                return stats
            time.sleep(0.02)
        return stats


class Server:
    """Raw sockets: reply(head, body, n) answers bytes, None (closes) or a float (seconds to wait, then 200)."""

    def __init__(self, reply):
        self.reply, self.seen, self.open = reply, [], True
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    more = client.recv(65536)
                    if not more:
                        return
                    data += more
                head, data = data.split(b"\r\n\r\n", 1)
                length = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
                while len(data) < length:
                    data += client.recv(65536)
                body, data = data[:length], data[length:]
                with self.lock:
                    self.seen.append((head, body))
                    n = len(self.seen)
                answer = self.reply(head, body, n)
                if answer is None:
                    return
                if isinstance(answer, float):
                    time.sleep(answer)
                    answer = http(200, chat("ok"))
                client.sendall(answer)
        except OSError:
            pass
        finally:
            client.close()

    def close(self):
        self.open = False
        self.listener.close()


def http(status, body, kind="application/json", headers=""):
    body = body if isinstance(body, bytes) else body.encode()
    head = "HTTP/1.1 %d X\r\ncontent-type: %s\r\ncontent-length: %d\r\n%s\r\n" % (
        status, kind, len(body), headers)
    return head.encode() + body


def chat(text):
    return json.dumps({
        "id": "c", "object": "chat.completion", "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})


def texts(lines):
    return [line["sheaf"].get("text") for line in lines]


def wait_for(held, seconds=10, what="it"):
    end = time.time() + seconds
    while not held():
        check(time.time() < end, "waited too long for", what)
        time.sleep(0.01)


def count_lines(path):
    try:
        with open(path, "rb") as file:
            return file.read().count(b"\n")
    except FileNotFoundError:
        return 0


def one_sentence(err, *words):
    """What a user reads about a mistake: one sentence of ours, with these words, before hints on how to go on."""
    ours = [line for line in err.splitlines() if line.startswith("sheaf: ")]
    same(len(ours), 1, "sentences in " + repr(err))
    for word in words:
        check(word in ours[0], "the sentence lacks", word, ours[0])


# ---- forms of input ----


def every_form_of_a_jsonl_line_is_answered_in_order(room):
    sim = room.sim()
    room.write("in.jsonl", "\n".join([
        '"one"', '{"prompt":"two","temperature":0.5}', "",
        '{"custom_id":"talk","messages":[{"role":"user","content":"three"}],"max_tokens":50}',
        '{"custom_id":"batch","method":"POST","url":"/v1/chat/completions","body":{"model":"theirs",'
        '"messages":[{"role":"user","content":"four"}]}}']))
    room.run("in.jsonl", "-o", "out.jsonl", *sim.to, code=0)
    lines = room.lines("out.jsonl")
    same(texts(lines), ["echo: one", "echo: two", "echo: three", "echo: four"])
    same([line["custom_id"] for line in lines], ["row-1", "row-2", "talk", "batch"])
    same([line["sheaf"]["model"] for line in lines], ["gpt-4o-mini"] * 3 + ["theirs"])


def a_body_goes_out_as_the_bytes_it_was(room):
    server = room.server(lambda head, body, n: http(200, chat("ok")))
    body = '{ "model" : "m", "messages":[{"role":"user","content":"\\u00e9\\u002f"}], "top_p":0.90 }'
    room.write("in.jsonl", '{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":%s}\n' % body)
    room.run("in.jsonl", "-o", "out.jsonl", "--base-url", server.url + "/v1", code=0)
    same(server.seen[0][1].decode(), body)


def text_is_a_prompt_a_line_and_a_template_wraps_it(room):
    sim = room.sim()
    room.write("in.txt", "first\r\n\nsecond\n")
    room.run("in.txt", "-o", "a.jsonl", *sim.to, code=0)
    same(texts(room.lines("a.jsonl")), ["echo: first", "echo: second"])
    room.run("in.txt", "-o", "b.jsonl", "--template", "Say {line} {{now}}", *sim.to, code=0)
    same(texts(room.lines("b.jsonl")), ["echo: Say first {now}", "echo: Say second {now}"])


def csv_columns_fill_a_template(room):
    sim = room.sim()
    with open(room.at("in.csv"), "w", newline="") as file:
        csv.writer(file).writerows([["name", "city"], ["Ada", 'Lon"don'], ["Alan", "two\nlines"]])
    room.run("in.csv", "-o", "out.jsonl", "--template", "{name} from {city}", *sim.to, code=0)
    same(texts(room.lines("out.jsonl")), ['echo: Ada from Lon"don', "echo: Alan from two\nlines"])


def a_template_with_an_unknown_column_is_refused(room):
    room.write("in.csv", "name\nAda\n")
    done = room.run("in.csv", "-o", "out.jsonl", "--template", "{nme}", "--provider", "sim", "--model",
                    "m", code=3)
    one_sentence(done.err, "nme", "name")


def stdin_and_stdout_make_a_filter(room):
    sim = room.sim("--latency", "uniform:1:30")
    done = room.run("-", "-o", "-", *sim.to, "--quiet", code=0,
                    stdin=b"".join(b'"%d"\n' % i for i in range(50)))
    same(texts(map(json.loads, done.out.splitlines())), ["echo: %d" % i for i in range(50)])
    same(done.err, "")


def stdout_in_completion_order_has_every_row(room):
    sim = room.sim("--latency", "uniform:1:40")
    room.rows("in.jsonl", 40)
    done = room.run("in.jsonl", "-o", "-", "--order", "completion", *sim.to, code=0)
    indexes = [json.loads(line)["sheaf"]["index"] for line in done.out.splitlines()]
    same(sorted(indexes), list(range(40)))
    check(indexes != sorted(indexes), "40 rows of random latency all came in order")


def a_reader_that_leaves_is_a_host_failure_and_not_a_crash(room):
    sim = room.sim("--latency", "fixed:5")
    room.rows("in.jsonl", 2000)
    process = room.start("run", "in.jsonl", "-o", "-", "--concurrency", "8", *sim.to)
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=20)
    same(process.returncode, 8, err)


def order_is_the_inputs_unless_completion_is_asked_for(room):
    sim = room.sim("--latency", "uniform:1:60")
    room.rows("in.jsonl", 60)
    for order in ("input", "completion"):
        room.run("in.jsonl", "-o", order, "--order", order, *sim.to, code=0)
        indexes = [line["sheaf"]["index"] for line in room.lines(order)]
        same(sorted(indexes), list(range(60)))
        same(indexes == sorted(indexes), order == "input", order)


def limit_takes_the_first_rows_and_more_can_follow(room):
    sim = room.sim()
    room.rows("in.jsonl", 30)
    room.run("in.jsonl", "-o", "out.jsonl", "--limit", "7", *sim.to, code=0)
    same([line["custom_id"] for line in room.lines("out.jsonl")], ["id-%d" % i for i in range(7)])
    room.run("in.jsonl", "-o", "out.jsonl", *sim.to, code=0)
    same(len(room.lines("out.jsonl")), 30)
    same(sim.stats()["received"], 30)


def a_dry_run_names_every_bad_line_and_sends_nothing(room):
    sim = room.sim()
    room.write("in.jsonl", '"good"\n{"prompt":\n{"prompt":5}\n{"x":1}\n[1]\n{"prompt":"also good"}\n')
    done = room.run("in.jsonl", "--dry-run", *sim.to, code=3)
    for at in ("in.jsonl:2:", "in.jsonl:3:", "in.jsonl:4:", "in.jsonl:5:"):
        check(at in done.err, at, done.err)
    same(done.err.count("in.jsonl:"), 4)
    check("2 requests are good, 4 are not" in done.out.decode(), done.out)
    same(sim.stats()["received"], 0)
    check(not room.has("out.jsonl"))


def a_dry_run_needs_no_key_and_estimates_the_cost(room):
    room.rows("in.jsonl", 3, max_tokens=1000000)
    done = room.run("in.jsonl", "--dry-run", "--model", "gpt-4o-mini", code=0)
    check(re.search(r"at most about \$1\.8", done.out.decode()), done.out)  # 3 M tokens at $0.60 a million


def the_config_file_gives_options_and_the_command_line_wins(room):
    sim = room.sim()
    room.rows("in.jsonl", 5)
    room.write("c.json", json.dumps({"model": "from-config", "base_url": sim.v1, "limit": 3, "quiet": True,
                                     "params": {"top_p": 0.5}, "concurrency": 2, "system": "s"}))
    done = room.run("in.jsonl", "-o", "out.jsonl", "--config", "c.json", "--model", "from-line", code=0)
    lines = room.lines("out.jsonl")
    same([line["sheaf"]["model"] for line in lines], ["from-line"] * 3)
    same(done.err, "")


def config_equals_file_is_a_config_too(room):
    sim = room.sim()
    room.rows("in.jsonl", 5)
    room.write("c.json", json.dumps({"model": "m", "base_url": sim.v1, "limit": 2}))
    room.run("in.jsonl", "-o", "out.jsonl", "--config=c.json", code=0)
    same(len(room.lines("out.jsonl")), 2)


def a_config_file_that_is_wrong_is_refused_with_its_reason(room):
    room.rows("in.jsonl", 1)
    for content, words in (('{"modle":"m"}', ("c.json", "modle")), ('{"model":', ("c.json",)),
                           ("[]", ("c.json", "object")), ('{"limit":"many"}', ("limit", "many")),
                           ('{"quiet":1}', ("quiet", "true or false")), ('{"model":null}', ("model",))):
        room.write("c.json", content)
        done = room.run("in.jsonl", "-o", "out.jsonl", "--config", "c.json", code=2)
        one_sentence(done.err, *words)
    one_sentence(room.run("in.jsonl", "-o", "o", "--config", "none.json", code=2).err, "none.json")


def the_summary_and_metrics_are_valid_and_agree_with_the_ledger(room):
    sim = room.sim("--latency", "fixed:2")
    room.rows("in.jsonl", 40)
    room.run("in.jsonl", "-o", "out.jsonl", "--summary", "s.json", "--metrics", "m.txt", *sim.to, code=0)
    summary, billed = json.loads(room.read("s.json")), sim.stats()["billed"]
    text = json.dumps(summary)
    for number in (billed["input_tokens"], billed["output_tokens"]):
        check(str(number) in text, number, summary)
    same(summary["succeeded"], 40, "succeeded")
    metrics = room.read("m.txt").decode()
    check(metrics.endswith("# EOF\n"), metrics[-80:])
    for line in metrics.splitlines():
        check(line.startswith("# ") or re.match(r'^[a-zA-Z_:][\w:]*(\{[^}]*\})? [-+.\deE]+(Inf|NaN)?$', line),
              "no OpenMetrics line", line)


def quiet_is_silent(room):
    sim = room.sim()
    room.rows("in.jsonl", 5)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--quiet", *sim.to, code=0)
    same((done.out, done.err), (b"", ""))


def streamed_answers_give_the_same_text(room):
    sim = room.sim("--answer", "lorem:30:0")
    room.rows("in.jsonl", 10)
    room.run("in.jsonl", "-o", "whole.jsonl", *sim.to, code=0)
    done = room.run("in.jsonl", "-o", "stream.jsonl", "--stream", *sim.to, code=0)
    check("first token" in done.err, done.err)
    for name in ("whole.jsonl", "stream.jsonl"):
        same([len(text.split()) for text in texts(room.lines(name))], [30] * 10, name)
        same([line["sheaf"]["usage"]["output_total"] for line in room.lines(name)], [30] * 10, name)


def every_provider_is_spoken_to_in_its_own_dialect(room):
    sim = room.sim("--key", "the-key")
    room.rows("in.jsonl", 4)
    for name, base, variable, path in (
            ("openai", "/v1", "OPENAI_API_KEY", "/v1/chat/completions"),
            ("anthropic", "", "ANTHROPIC_API_KEY", "/v1/messages"),
            ("gemini", "/v1beta", "GEMINI_API_KEY", "generateContent"),
            ("gemini", "/v1beta", "GOOGLE_API_KEY", "generateContent"),
            ("ollama", "", None, "/api/chat")):
        for stream in ([], ["--stream"]):
            out = name + str(variable) + str(len(stream))
            other = room.sim() if name == "ollama" else sim  # Ollama has no keys
            room.run("in.jsonl", "-o", out, "--provider", name, "--model", "m", "--base-url",
                     other.url + base, *stream, env={variable: "the-key"} if variable else {}, code=0)
            same(texts(room.lines(out)), ["echo: question %d" % i for i in range(4)], name)
            check(any(path in p for p in other.stats()["received_by_path"]), name, other.stats())


def ollama_host_from_the_environment_is_the_server(room):
    sim = room.sim()
    room.rows("in.jsonl", 2)
    room.run("in.jsonl", "-o", "out.jsonl", "--provider", "ollama", "--model", "m", code=0,
             env={"OLLAMA_HOST": sim.url[len("http://"):]})
    same(sim.stats()["received_by_path"], {"/api/chat": 2})


def several_models_in_one_file_each_get_their_rows(room):
    sim = room.sim()
    room.write("in.jsonl", '{"prompt":"a","model":"x"}\n{"prompt":"b","model":"y"}\n{"prompt":"c"}\n')
    room.run("in.jsonl", "-o", "out.jsonl", *sim.to, code=0)
    same([line["sheaf"]["model"] for line in room.lines("out.jsonl")], ["x", "y", "gpt-4o-mini"])


def embeddings_travel_by_url(room):
    sim = room.sim("--dimensions", "8")
    room.write("in.jsonl", '{"input":"one"}\n{"input":["two","three"]}\n')
    room.run("in.jsonl", "-o", "out.jsonl", "--url", "/v1/embeddings", *sim.to, code=0)
    lines = room.lines("out.jsonl")
    same([len(line["response"]["body"]["data"]) for line in lines], [1, 2])
    same(len(lines[0]["response"]["body"]["data"][0]["embedding"]), 8)
    same(sim.stats()["received_by_path"], {"/v1/embeddings": 2})


def the_simulator_inside_needs_no_key_and_no_network(room):
    room.rows("in.jsonl", 20)
    room.run("in.jsonl", "-o", "out.jsonl", "--provider", "sim", "--model", "m", "--sim-fault", "500:0.2",
             "--sim-time-scale", "0.5", "--sim-seed", "3", "--retry-base-ms", "5", code=0)
    same(len(room.lines("out.jsonl")), 20)


def params_and_temperature_reach_every_request_in_either_order(room):
    server = room.server(lambda head, body, n: http(200, chat("ok")))
    room.write("in.jsonl", '"x"\n{"prompt":"y","temperature":1}\n')
    params, temperature = ("--params", '{"top_p":0.9,"stop":["a"]}'), ("--temperature", "0.25")
    for n, args in enumerate((params + temperature, temperature + params, params, temperature)):
        server.seen.clear()
        room.run("in.jsonl", "-o", "out%d" % n, "--concurrency", "1", "--base-url", server.url + "/v1",
                 "--model", "m", *args, code=0)
        bodies = sorted((json.loads(body) for _, body in server.seen),
                        key=lambda body: body["messages"][0]["content"])
        same([body.get("top_p") for body in bodies], [0.9 if "--params" in args else None] * 2, args)
        same([body.get("temperature") for body in bodies],
             [0.25 if "--temperature" in args else None, 1], args)


# ---- results ----


def every_line_has_the_fields_of_the_interchange(room):
    sim = room.sim()
    room.write("in.jsonl", '{"custom_id":"a","prompt":"x"}\n{"custom_id":"b","prompt":"y","top_p":-1}\n')
    server = room.server(lambda head, body, n: http(400, '{"error":{"message":"no","code":"bad"}}')
                         if b"-1" in body else http(200, chat("ok"), headers="x-request-id: r1\r\n"))
    room.run("in.jsonl", "-o", "out.jsonl", "--base-url", server.url + "/v1", "--model", "m", code=4)
    good, bad = room.lines("out.jsonl")
    for line in (good, bad):
        same(sorted(line), ["custom_id", "error", "id", "response", "sheaf"])
        for field in ("index", "fingerprint", "attempts", "latency_ms", "queue_ms", "lane", "endpoint",
                      "billing", "error_class"):
            check(field in line["sheaf"], field, line)
        check(re.fullmatch("[0-9a-f]{32}", line["sheaf"]["fingerprint"]), line["sheaf"]["fingerprint"])
    same(sorted(good["response"]), ["body", "request_id", "status_code"])
    same((good["response"]["status_code"], good["error"]), (200, None))
    same(good["sheaf"]["usage"], {"input_total": 1, "output_total": 1})
    same(bad["sheaf"]["error_class"], "invalid_request")
    check("no" in bad["error"]["message"], bad["error"])


def some_failures_make_exit_code_4_and_a_line_for_each(room):
    server = room.server(lambda head, body, n: http(400, '{"error":{"message":"odd"}}')
                         if json.loads(body)["messages"][-1]["content"][-1] in "13579"
                         else http(200, chat("ok")))
    room.rows("in.jsonl", 20)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--base-url", server.url + "/v1", "--model", "m", code=4)
    lines = room.lines("out.jsonl")
    same([line["sheaf"]["index"] for line in lines], list(range(20)))
    same([line["error"] is None for line in lines], [i % 2 == 0 for i in range(20)])
    for word in ("WARNING", "10 of 20", "odd", "--retry-failed"):
        check(word in done.err, word, done.err)


def an_unreachable_host_ends_with_code_5_by_itself(room):
    """Slow by design: three openings of the breaker, about half a minute."""
    port = room.closed_port()
    room.rows("in.jsonl", 50)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--base-url", "http://127.0.0.1:%d/v1" % port, "--model", "m",
                    code=5, limit=60)
    check("127.0.0.1:%d" % port in done.err and "cannot be reached" in done.err, done.err)
    check("the same command again" in done.err, done.err)


def an_unreachable_host_fails_every_row_when_the_breaker_does_not_wait(room):
    port = room.closed_port()
    room.rows("in.jsonl", 10)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--base-url", "http://127.0.0.1:%d/v1" % port, "--model", "m",
                    "--max-retries", "0", "--on-breaker", "fail", code=5)
    check("127.0.0.1:%d" % port in done.err and "cannot be reached" in done.err, done.err)
    check("the same command again" in done.err, done.err)
    room.lines("out.jsonl")


def a_wrong_key_stops_the_run_with_code_5(room):
    sim = room.sim("--key", "right", "--latency", "fixed:20")
    room.rows("in.jsonl", 500)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--concurrency", "4", *sim.to, code=5,
                    env={"OPENAI_API_KEY": "wrong"})
    check("auth" in done.err and "ERROR" in done.err, done.err)
    check(sim.stats()["received"] <= 8, "a refused key goes on being sent", sim.stats()["received"])
    room.run("in.jsonl", "-o", "out.jsonl", "--retry-failed", *sim.to, code=0,
             env={"OPENAI_API_KEY": "right"})
    same(texts(room.lines("out.jsonl")), ["echo: question %d" % i for i in range(500)])


def usage_that_is_wrong_is_told_in_one_sentence(room):
    room.rows("in.jsonl", 1)
    sim = ("--provider", "sim", "--model", "m")
    for args, words in (
            ((), ("input",)), (("in.jsonl",), ("-o",)), (("in.jsonl", "x", "-o", "y"), ("x", "in.jsonl")),
            (("in.jsonl", "-o", "y", "--modle", "m"), ("--modle",)),
            (("in.jsonl", "-o", "y", "--model"), ("--model", "value")),
            (("in.jsonl", "-o", "y", "--rpm", "lots", *sim), ("--rpm", "lots", "whole number")),
            (("in.jsonl", "-o", "y", "--shards", "999", *sim), ("--shards", "64")),
            (("in.jsonl", "-o", "y", "--order", "x", *sim), ("--order", "completion")),
            (("in.jsonl", "-o", "y", "--format", "xml", *sim), ("--format", "jsonl")),
            (("in.jsonl", "-o", "y", "--temperature", "hot", *sim), ("--temperature", "0.2")),
            (("in.jsonl", "-o", "y", "--params", "{x", *sim), ("--params",)),
            (("in.jsonl", "-o", "y", "--resend-unknown", "perhaps", *sim), ("--resend-unknown", "never")),
            (("in.jsonl", "-o", "y", "--first-byte-timeout-ms", "x", *sim), ("--first-byte-timeout-ms",)),
            (("in.jsonl", "-o", "y", "--sim-fault", "x", *sim), ("--sim-fault",)),
            (("in.jsonl", "-o", "y", "--sim-nothing", "x", *sim), ("--sim-nothing",)),
            (("in.jsonl", "-o", "y", "--base-url", "nowhere", "--model", "m"), ("base URL", "https://")),
            (("in.jsonl", "-o", "y", "--base-url", "ftp://h/v1", "--model", "m"), ("https://",)),
            (("in.jsonl", "-o", "y", "--provider", "nobody"), ("nobody", "anthropic")),
            (("in.jsonl", "-o", "y", "--model", "m"), ("OPENAI_API_KEY", "--api-key-file")),
            (("in.jsonl", "-o", "y", "--provider", "gemini"), ("GEMINI_API_KEY or GOOGLE_API_KEY",))):
        done = room.run(*args, code=2)
        one_sentence(done.err, *words)
        same(done.out, b"")
        check(not room.has("y"), "a refused command made its output", args)


def help_says_within_budget_and_the_option_takes_it(room):
    room.rows("in.jsonl", 1)
    room.run("in.jsonl", "-o", "out.jsonl", "--provider", "sim", "--model", "m", "--resend-unknown",
             "within-budget", code=0)


# ---- stops ----


def ctrl_c_once_drains_and_the_same_command_goes_on(room):
    sim = room.sim("--latency", "fixed:250")
    room.rows("in.jsonl", 60)
    command = ("in.jsonl", "-o", "out.jsonl", "--concurrency", "8", *sim.to)
    process = room.start("run", *command)
    wait_for(lambda: sim.stats()["in_flight"] == 8)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    same(process.returncode, 6, err)
    check(b"the same command again" in err, err)
    first = room.lines("out.jsonl")
    check(8 <= len(first) < 60, len(first))
    check(all(line["error"] is None for line in first), "what was in flight was not let end")
    room.run(*command, code=0)
    same([line["sheaf"]["index"] for line in room.lines("out.jsonl")], list(range(60)))
    ledger = sim.stats()
    same((ledger["again"]["admitted"], ledger["billed"]["requests"]), (0, 60))


def ctrl_c_twice_cancels_at_once_and_tears_nothing(room):
    sim = room.sim("--latency", "fixed:20000")
    room.rows("in.jsonl", 30)
    process = room.start("run", "in.jsonl", "-o", "out.jsonl", "--concurrency", "5", *sim.to)
    wait_for(lambda: sim.stats()["in_flight"] == 5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    check(process.poll() is None, "the first Ctrl-C did not drain")
    begun = time.time()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=5)
    check(time.time() - begun < 2, "the second Ctrl-C took", time.time() - begun)
    same(process.returncode, 6, err)
    room.lines("out.jsonl")
    quick = room.sim()
    room.run("in.jsonl", "-o", "out.jsonl", *quick.to, code=0)
    same([line["sheaf"]["index"] for line in room.lines("out.jsonl")], list(range(30)))


def a_budget_ends_the_run_with_code_7_and_is_kept(room):
    sim = room.sim("--answer", "lorem:100:0", "--latency", "fixed:5")
    room.write("p.json", json.dumps({"date": "2026-01-01", "prices": [
        {"provider": "openai", "model": "m", "input": 0, "output": 1000}]}))  # $0.1 an answer
    room.rows("in.jsonl", 50, max_tokens=100)
    command = ("in.jsonl", "-o", "out.jsonl", "--base-url", sim.v1, "--model", "m", "--prices", "p.json",
               "--concurrency", "4")
    done = room.run(*command, "--budget-usd", "1.05", code=7)
    spent = 0.1 * sim.stats()["billed"]["requests"]
    check(0.5 <= spent <= 1.05, "spent", spent)
    check("budget" in done.err and "2026-01-01" in done.err, done.err)
    room.run(*command, code=0)
    same(len(room.lines("out.jsonl")), 50)
    same(sim.stats()["again"]["admitted"], 0)


def a_budget_without_a_price_is_refused_before_anything_is_sent(room):
    sim = room.sim()
    room.rows("in.jsonl", 5)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--base-url", sim.v1, "--model", "no-such-model",
                    "--budget-usd", "1")
    same(done.code, 2)
    one_sentence(done.err, "price", "no-such-model", "--prices")
    check(not room.has("out.jsonl"))
    same(sim.stats()["received"], 0)


def a_run_deadline_ends_with_code_6(room):
    sim = room.sim("--latency", "fixed:100")
    room.rows("in.jsonl", 100)
    command = ("in.jsonl", "-o", "out.jsonl", "--concurrency", "4", *sim.to)
    room.run(*command, "--run-deadline-ms", "600", code=6, limit=10)
    check(0 < len(room.lines("out.jsonl")) < 100)
    room.run(*command, "--retry-failed", code=0)
    same(len(room.lines("out.jsonl")), 100)


def a_full_disk_is_a_host_failure_that_says_so(room):
    sim = room.sim()
    room.rows("in.jsonl", 50)
    done = room.run("in.jsonl", "-o", "/dev/full", *sim.to, code=8, limit=10)
    one_sentence(done.err, "/dev/full", "No space left")


def a_file_size_limit_loses_no_finished_result_and_the_run_goes_on(room):
    sim = room.sim("--latency", "fixed:3")
    room.rows("in.jsonl", 200)

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50000, resource.RLIM_INFINITY))

    command = ("in.jsonl", "-o", "out.jsonl", "--concurrency", "4", *sim.to)
    done = room.run(*command, code=8, preexec_fn=small_files, limit=10)
    one_sentence(done.err, "out.jsonl", "limit")
    kept = len(room.lines("out.jsonl"))
    check(kept > 20, kept)
    room.run(*command, code=0)
    same([line["sheaf"]["index"] for line in room.lines("out.jsonl")], list(range(200)))
    ledger = sim.stats()
    check(ledger["again"]["answered"] <= 200 - kept and ledger["again"]["answered"] <= 16,
          "more than what was in flight ran twice", ledger["again"], kept)


def an_output_directory_that_is_missing_is_told(room):
    room.rows("in.jsonl", 1)
    done = room.run("in.jsonl", "-o", "none/out.jsonl", "--provider", "sim", "--model", "m")
    check(done.code in (3, 8), done.code)
    one_sentence(done.err, "none/out.jsonl", "No such file or directory")


def a_summary_that_cannot_be_written_is_a_host_failure_and_costs_no_result(room):
    room.rows("in.jsonl", 3)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--provider", "sim", "--model", "m", "--summary",
                    "none/s.json", code=8)
    check("none/s.json" in done.err, done.err)
    same(len(room.lines("out.jsonl")), 3)


# ---- resume ----


def kill_often(room, command, out, times, draw, after=lambda: None):
    """Runs command and kills it, times over, at drawn instants after its start. Answers how many died."""
    killed = 0
    for _ in range(times):
        process = subprocess.Popen([SHEAF, "run", *command], cwd=room.path, env=PLAIN,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0.02, 0.36))
        killed += process.poll() is None
        process.kill()
        process.wait()
        after()
    return killed


ROWS, WIDTH, KILLS = 2000, 16, 25


def twenty_five_kills_leave_every_row_once_and_run_nothing_finished_again(room):
    draw = random.Random(SEED)
    served, finished = {}, set()
    lock = threading.Lock()
    late = []

    def reply(head, body, n):
        prompt = json.loads(body)["messages"][-1]["content"]
        with lock:
            served[prompt] = served.get(prompt, 0) + 1
            if prompt in finished:
                late.append(prompt)
            pause = draw.lognormvariate(-3.4, 0.8)
        time.sleep(pause)
        return http(200, chat("answer to " + prompt))

    server = room.server(reply)
    room.rows("in.jsonl", ROWS)
    command = ("in.jsonl", "-o", "out.jsonl", "--base-url", server.url + "/v1", "--model", "m",
               "--concurrency", str(WIDTH), "--quiet")

    def note_finished():
        with lock:
            for line in room.read("out.jsonl").split(b"\n")[:-1]:
                row = json.loads(line)
                if row["error"] is None:
                    finished.add("question " + row["custom_id"][3:])

    killed = kill_often(room, command, "out.jsonl", KILLS, random.Random(SEED + 1), note_finished)
    same(killed, KILLS, "kills that met a running process")
    before = len(finished)
    done = room.run(*command, "--summary", "s.json", code=0)
    lines = room.lines("out.jsonl")
    same([line["custom_id"] for line in lines], ["id-%d" % i for i in range(ROWS)])
    same(texts(lines), ["answer to question %d" % i for i in range(ROWS)])
    same(late, [], "finished rows that were sent again (%d finished before, seed %d)" % (before, SEED))
    again = sum(served.values()) - ROWS
    check(again <= KILLS * WIDTH, "sent again", again)
    summary = json.loads(room.read("s.json"))
    check(summary["recovered_unknown"] <= WIDTH, "unknown after one kill", summary["recovered_unknown"])


def with_resend_never_nothing_is_billed_twice(room):
    sim = room.sim("--latency", "lognormal:30:0.8", "--seed", str(SEED))
    room.rows("in.jsonl", ROWS)
    command = ("in.jsonl", "-o", "out.jsonl", "--concurrency", str(WIDTH), "--resend-unknown", "never",
               "--quiet", *sim.to)
    killed = kill_often(room, command, "out.jsonl", KILLS, random.Random(SEED + 2))
    done = room.run(*command)
    lines = room.lines("out.jsonl")
    same([line["sheaf"]["index"] for line in lines], list(range(ROWS)))
    unknown = [line for line in lines if line["error"] is not None]
    check(all(line["sheaf"]["error_class"] == "unknown_outcome" for line in unknown), unknown[:2])
    check(0 < len(unknown) <= killed * WIDTH, "rows unknown", len(unknown))
    same(done.code, 4)
    ledger = sim.ledger_at_rest()
    same(ledger["again"]["billed"], 0, "billed twice")
    good = ROWS - len(unknown)
    check(good <= ledger["billed"]["requests"] <= ROWS, ledger["billed"], good)


def one_kill_leaves_no_more_unknown_rows_than_were_in_flight(room):
    sim = room.sim("--latency", "lognormal:40:0.8")
    room.rows("in.jsonl", 400)
    command = ("in.jsonl", "-o", "out.jsonl", "--concurrency", "12", *sim.to)
    process = room.start("run", *command)
    wait_for(lambda: count_lines(room.at("out.jsonl")) > 100)
    process.kill()
    process.wait()
    done = room.run(*command, "--summary", "s.json", code=0)
    unknown = json.loads(room.read("s.json"))["recovered_unknown"]
    check(1 <= unknown <= 12, unknown)
    check("%d left by an earlier run" % unknown in done.err, done.err)
    ledger = sim.ledger_at_rest()
    check(ledger["billed"]["requests"] <= 400 + unknown, ledger)


def a_torn_last_line_is_cut_and_its_row_run_again(room):
    sim = room.sim()
    room.rows("in.jsonl", 30)
    command = ("in.jsonl", "-o", "out.jsonl", *sim.to)
    room.run(*command, "--order", "completion", code=0)
    whole = room.read("out.jsonl")
    room.write("out.jsonl", whole[:-100])
    done = room.run(*command, code=0)
    check("repaired" in done.err, done.err)
    same([line["sheaf"]["index"] for line in room.lines("out.jsonl")], list(range(30)))
    same(sim.stats()["received"], 31)


def a_finished_run_is_not_run_again(room):
    sim = room.sim()
    room.rows("in.jsonl", 30)
    command = ("in.jsonl", "-o", "out.jsonl", *sim.to)
    room.run(*command, code=0)
    before = room.read("out.jsonl")
    done = room.run(*command, code=0)
    check("30 done before" in done.err, done.err)
    same(room.read("out.jsonl"), before)
    same(sim.stats()["received"], 30)


def retry_failed_runs_only_what_failed(room):
    works = []
    server = room.server(lambda head, body, n: http(200, chat("ok")) if works or b"question 3" not in body
                         else http(400, '{"error":{"message":"not today"}}'))
    room.rows("in.jsonl", 10)
    command = ("in.jsonl", "-o", "out.jsonl", "--base-url", server.url + "/v1", "--model", "m")
    room.run(*command, code=4)
    done = room.run(*command, code=4)  # what failed is done, too, and told again
    check("10 done before (1 of them failed)" in done.err and "--retry-failed" in done.err, done.err)
    same(len(server.seen), 10)
    works.append(True)
    room.run(*command, "--retry-failed", code=0)
    same(len(server.seen), 11)
    lines = room.lines("out.jsonl")
    same([line["sheaf"]["index"] for line in lines], list(range(10)))
    check(all(line["error"] is None for line in lines), lines[3])


def no_resume_keeps_the_earlier_output(room):
    sim = room.sim()
    room.rows("in.jsonl", 5)
    command = ("in.jsonl", "-o", "out.jsonl", *sim.to)
    room.run(*command, code=0)
    before = room.read("out.jsonl")
    room.run(*command, "--no-resume", code=0)
    same(room.read("out.jsonl.bak"), before)
    room.run(*command, "--no-resume", code=0)
    check(room.has("out.jsonl.bak.2"))
    same(room.read("out.jsonl.bak"), before)
    same(sim.stats()["received"], 15)


def resume_without_an_earlier_run_is_refused_and_leaves_nothing(room):
    room.rows("in.jsonl", 5)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--provider", "sim", "--model", "m", "--resume", code=3)
    one_sentence(done.err, "out.jsonl", "nothing to resume")
    check(not room.has("out.jsonl"), "an empty output was left")


def a_file_that_is_not_ours_is_never_written_to(room):
    room.rows("in.jsonl", 5)
    for name, content in (("notes.txt", "my notes\n"), ("x.jsonl", '{"a":1}\n'), ("torn", "no line end"),
                          ("array.json", "[1,\n2]\n")):
        room.write(name, content)
        done = room.run("in.jsonl", "-o", name, "--provider", "sim", "--model", "m", code=3)
        one_sentence(done.err, name, "--no-resume")
        same(room.read(name).decode(), content)


def the_input_is_never_the_output(room):
    room.rows("in.jsonl", 5)
    before = room.read("in.jsonl")
    done = room.run("in.jsonl", "-o", "in.jsonl", "--provider", "sim", "--model", "m")
    check(done.code in (2, 3, 8), done.code)
    one_sentence(done.err, "in.jsonl", "input")
    same(room.read("in.jsonl"), before)


def another_runs_output_is_refused(room):
    sim = room.sim()
    room.rows("in.jsonl", 5)
    room.run("in.jsonl", "-o", "out.jsonl", *sim.to, code=0)
    before = room.read("out.jsonl")
    room.write("other.jsonl", '"something else"\n')
    done = room.run("other.jsonl", "-o", "out.jsonl", *sim.to)
    check(done.code in (0, 3), done.code, done.err)
    check(before in room.read("out.jsonl") or room.read("out.jsonl") == before, "results were lost")


def a_changed_model_is_refused_at_once_with_its_reason(room):
    sim = room.sim()
    room.rows("in.jsonl", 5)
    room.run("in.jsonl", "-o", "out.jsonl", "--base-url", sim.v1, "--model", "m", code=0)
    before = room.read("out.jsonl")
    for quiet in ([], ["--quiet"]):
        begun = time.time()
        done = room.run("in.jsonl", "-o", "out.jsonl", "--base-url", sim.v1, "--model", "n", *quiet,
                        code=3, limit=10)
        check(time.time() - begun < 3, "it took", time.time() - begun)
        one_sentence(done.err, "out.jsonl", "model", "--no-resume")
    same(room.read("out.jsonl"), before)
    same(sim.stats()["received"], 5)


def two_runs_never_write_the_same_output(room):
    sim = room.sim("--latency", "fixed:1000")
    room.rows("in.jsonl", 5)
    process = room.start("run", "in.jsonl", "-o", "out.jsonl", *sim.to)
    wait_for(lambda: sim.stats()["in_flight"] > 0)
    one_sentence(room.run("in.jsonl", "-o", "out.jsonl", *sim.to, code=3).err, "another run")
    process.communicate(timeout=10)
    same(process.returncode, 0)


# ---- bad input ----


def input_that_cannot_be_read_is_told(room):
    room.write("empty.jsonl", "")
    room.write("blank.jsonl", "\n  \n")
    room.write("head.csv", "prompt\n")
    os.mkdir(room.at("dir"))
    sim = ("--provider", "sim", "--model", "m")
    for name, words in (("none.jsonl", ("none.jsonl", "No such file")), ("empty.jsonl", ("empty",)),
                        ("blank.jsonl", ("empty",)), ("head.csv", ("empty",)), ("dir", ("directory",))):
        one_sentence(room.run(name, "-o", "out.jsonl", *sim, code=3, limit=10).err, *words)
        check(not room.has("out.jsonl"), "an output without a run", name)
    one_sentence(room.run("-", "-o", "out.jsonl", *sim, code=3, limit=10).err, "standard input", "empty")


def a_bad_line_names_line_and_column_and_keeps_what_is_finished(room):
    sim = room.sim("--latency", "fixed:100")
    cases = ((b'{"prompt":"a", "x":}', ("in.jsonl:41:20", "not valid JSON")),
             (b'{"prompt":"a"', ("in.jsonl:41:", "not valid JSON")),
             (b'{"prompt":5}', ("in.jsonl:41:", "prompt", "string")),
             (b'{"messages":"no"}', ("in.jsonl:41:", "messages")),
             (b'{"custom_id":[],"prompt":"a"}', ("in.jsonl:41:", "custom_id")),
             (b'{"prompt":"caf\xe9"}', ("in.jsonl:41:", "UTF-8")),
             (b'{"prompt":"a","prompt2":1}{}', ("in.jsonl:41:",)),
             (b"[" * 5000, ("in.jsonl:41:",)))
    good = b"".join(b'{"custom_id":"c%d","prompt":"p%d"}\n' % (i, i) for i in range(40))
    for n, (line, words) in enumerate(cases):
        room.write("in.jsonl", good + line + b"\n" + b'"after"\n')
        out = "out%d.jsonl" % n
        done = room.run("in.jsonl", "-o", out, "--concurrency", "4", *sim.to, code=3, limit=15)
        one_sentence(done.err, *words)
        check("--dry-run" in done.err, "no hint on how to see them all", done.err)
    finished = room.lines(out)
    check(len(finished) > 0, "what was in flight was not drained")
    room.write("in.jsonl", good + b'"mended"\n"after"\n')
    room.run("in.jsonl", "-o", out, *sim.to, code=0)
    same(texts(room.lines(out))[-2:], ["echo: mended", "echo: after"])
    same(len(room.lines(out)), 42)


def a_line_over_the_limit_is_told(room):
    with open(room.at("in.jsonl"), "wb") as file:
        file.write(b'"first"\n"')
        for _ in range(65):
            file.write(b"x" * (1 << 20))
        file.write(b'"\n')
    done = room.run("in.jsonl", "-o", "out.jsonl", "--provider", "sim", "--model", "m", code=3, limit=30)
    one_sentence(done.err, "in.jsonl:2", "64 MiB")


def a_duplicate_custom_id_names_both_lines_and_keeps_what_is_finished(room):
    sim = room.sim("--latency", "fixed:150")
    lines = [b'{"custom_id":"c%d","prompt":"p%d"}' % (i, i) for i in range(90)]
    room.write("in.jsonl", b"\n".join(lines[:60] + [lines[4]] + lines[60:]) + b"\n")
    done = room.run("in.jsonl", "-o", "out.jsonl", "--concurrency", "4", *sim.to, code=3, limit=15)
    one_sentence(done.err, "line 61", "line 5", "c4")
    finished = room.lines("out.jsonl")
    check(len(finished) >= 1, "nothing was kept")
    same(sim.stats()["billed"]["requests"], len(finished), "billed and kept")


def invalid_utf8_in_text_and_csv_is_told(room):
    for name, content in (("in.txt", b"good\nb\xffd\n"), ("in.csv", b"prompt\ngood\nb\xffd\n")):
        room.write(name, content)
        done = room.run(name, "-o", name + ".out", "--provider", "sim", "--model", "m", code=3, limit=10)
        one_sentence(done.err, name, "UTF-8", "iconv")


def a_wrong_base_url_says_which_path_answered_404(room):
    server = room.server(lambda head, body, n: http(404, "<html>nothing here</html>", "text/html"))
    room.rows("in.jsonl", 3)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--base-url", server.url + "/api", "--model", "m",
                    code=5, limit=15)
    check("/api/chat/completions" in done.err and "404" in done.err, done.err)
    sim = room.sim()
    done = room.run("in.jsonl", "-o", "out2.jsonl", "--base-url", sim.url + "/v2", "--model", "m", code=5)
    check("/v2/chat/completions" in done.err, done.err)


def a_host_without_an_address_is_named(room):
    room.rows("in.jsonl", 2)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--base-url", "https://no-such-host.invalid/v1", "--model",
                    "m", "--max-retries", "0", "--on-breaker", "fail", env={"OPENAI_API_KEY": "k"}, code=5,
                    limit=30)
    check("no-such-host.invalid" in done.err, done.err)


def plain_http_to_another_host_is_refused_with_the_way_to_allow_it(room):
    room.rows("in.jsonl", 1)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--base-url", "http://192.0.2.1/v1", "--model", "m",
                    "--max-retries", "0", "--on-breaker", "fail", env={"OPENAI_API_KEY": "k"}, limit=15)
    same(done.code, 2)
    one_sentence(done.err, "192.0.2.1", "https", "--allow-http")
    check(not room.has("out.jsonl"))


def a_price_file_that_is_wrong_is_told(room):
    room.rows("in.jsonl", 1)
    for content in ("{", '{"prices":[{"model":5}]}'):
        room.write("p.json", content)
        one_sentence(room.run("in.jsonl", "-o", "out.jsonl", "--prices", "p.json", "--provider", "sim",
                              "--model", "m", code=3).err, "p.json")


# ---- secrets ----

MARK = "sk-MARKED-5f2c9e7711d04b"


def every_byte(room, done):
    yield "stdout", done.out
    yield "stderr", done.err.encode()
    for folder, _, names in os.walk(room.path):
        for name in names:
            if name != "key":
                with open(os.path.join(folder, name), "rb") as file:
                    yield name, file.read()


def a_key_that_the_server_echoes_is_written_nowhere(room):
    def reply(head, body, n):
        told = json.dumps(head.decode())
        kind = n % 5
        if kind == 0:
            return http(200, chat("ok"))
        if kind == 1:
            return http(500, '{"error":{"message":%s,"code":%s}}' % (told, told))
        if kind == 2:
            return http(400, '{"error":{"message":%s}}' % told, headers="x-request-id: %s\r\n" % MARK)
        if kind == 3:
            return http(400, head, "text/plain")
        return http(404, '{"error":%s}' % told)

    for provider, variable, base in (("openai", "OPENAI_API_KEY", "/v1"),
                                     ("anthropic", "ANTHROPIC_API_KEY", ""),
                                     ("gemini", "GEMINI_API_KEY", "/v1beta")):
        server = room.server(reply)
        room.rows("in.jsonl", 30)
        done = room.run("in.jsonl", "-o", provider, "--provider", provider, "--base-url", server.url + base,
                        "--model", "m", "--max-retries", "1", "--retry-base-ms", "1", "--on-breaker", "fail",
                        "--summary", "s.json", "--metrics", "m.txt", env={variable: MARK})
        check(done.code in (4, 5), done.code, done.err)
        check(any(MARK.encode() in head for head, _ in server.seen), provider, "never got its key")
        for name, content in every_byte(room, done):
            check(MARK.encode() not in content, provider, "the key stands in", name)


def a_key_on_the_command_line_is_refused_and_not_repeated(room):
    room.rows("in.jsonl", 1)
    for given in (("--api-key", MARK), ("--api-key=" + MARK,), ("--api_key", MARK)):
        done = room.run("in.jsonl", "-o", "out.jsonl", *given, code=2)
        one_sentence(done.err, "--api-key-file")
        check(MARK not in done.err, done.err)


def a_key_in_a_config_file_is_refused_and_not_repeated(room):
    room.rows("in.jsonl", 1)
    room.write("c.json", json.dumps({"api_key": MARK}))
    done = room.run("in.jsonl", "-o", "out.jsonl", "--config", "c.json", code=2)
    one_sentence(done.err, "api_key_file")
    check(MARK not in done.err, done.err)


def a_key_file_must_be_private(room):
    sim = room.sim("--key", MARK)
    room.rows("in.jsonl", 2)
    room.write("key", MARK + "\n")
    command = ("in.jsonl", "-o", "out.jsonl", *sim.to, "--api-key-file", "key")
    for mode in (0o644, 0o640, 0o604):
        os.chmod(room.at("key"), mode)
        one_sentence(room.run(*command, code=2).err, "key", "chmod 600")
    os.chmod(room.at("key"), 0o600)
    done = room.run(*command, code=0)
    for name, content in every_byte(room, done):
        check(MARK.encode() not in content, "the key stands in", name)
    room.write("key", "\n")
    one_sentence(room.run(*command, code=2).err, "no key")
    one_sentence(room.run("in.jsonl", "-o", "o", "--api-key-file", "none", code=2).err, "none")


def a_key_that_cannot_be_a_header_is_refused_and_not_repeated(room):
    room.rows("in.jsonl", 1)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--model", "m", env={"OPENAI_API_KEY": MARK + "\nX: y"},
                    code=2)
    one_sentence(done.err, "key")
    check(MARK not in done.err, done.err)


# ---- faults ----


def with_every_fault_all_rows_end_and_the_tokens_are_the_ledgers(room):
    sim = room.sim("--latency", "lognormal:10:0.8", "--answer", "lorem:20:0.5", "--retry-after", "30",
                   "--fault", "429:0.05,500:0.05,529:0.03,reset:0.03,stall:0.01,truncate:0.03", "--seed", "11")
    room.rows("in.jsonl", 400)
    room.run("in.jsonl", "-o", "out.jsonl", "--summary", "s.json", "--concurrency", "24", "--max-retries",
             "20", "--attempt-timeout-ms", "400", "--retry-base-ms", "5", "--retry-max-ms", "50", *sim.to,
             code=0, limit=60)
    lines = room.lines("out.jsonl")
    same([line["sheaf"]["index"] for line in lines], list(range(400)))
    summary, ledger = json.loads(room.read("s.json")), sim.ledger_at_rest()
    check(all(ledger["faults"][kind] for kind in ("429", "500", "529", "reset", "stall", "truncate")), ledger)
    told = {"in": 0, "out": 0}
    for line in lines:
        told["in"] += line["sheaf"]["usage"]["input_total"]
        told["out"] += line["sheaf"]["usage"]["output_total"]
    cut = ledger["faults"]["truncate"]
    same(summary["attempts"], sum(ledger["faults"].values()) + 400, "attempts")
    same(ledger["billed"]["requests"], 400 + cut, "billed")
    check(told["in"] <= summary["input_tokens"] <= ledger["billed"]["input_tokens"], summary, ledger["billed"])
    check(told["out"] <= summary["output_tokens"] <= ledger["billed"]["output_tokens"], summary)
    # What is missing was billed without being told: no more than the answers that were cut.
    if cut == 0 or summary["output_tokens"] == ledger["billed"]["output_tokens"]:
        same(summary["input_tokens"], ledger["billed"]["input_tokens"])
    check(summary["unknown_outcomes"] >= cut, summary["unknown_outcomes"], cut)


def without_unknown_outcomes_the_tokens_agree_exactly(room):
    sim = room.sim("--latency", "fixed:3", "--answer", "lorem:20:0.5", "--retry-after", "20", "--fault",
                   "429:0.03,500:0.05,529:0.02", "--seed", "5")
    room.rows("in.jsonl", 300)
    room.run("in.jsonl", "-o", "out.jsonl", "--summary", "s.json", "--concurrency", "16", "--max-retries",
             "20", "--retry-base-ms", "5", "--retry-max-ms", "50", *sim.to, code=0, limit=60)
    summary, ledger = json.loads(room.read("s.json")), sim.stats()
    same((summary["input_tokens"], summary["output_tokens"]),
         (ledger["billed"]["input_tokens"], ledger["billed"]["output_tokens"]))
    same((summary["attempts"], summary["unknown_outcomes"]), (ledger["received"], 0))
    same(ledger["billed"]["requests"], 300)


def limits_of_the_server_are_kept_to_and_every_row_succeeds(room):
    sim = room.sim("--rpm", "6000", "--concurrency", "12", "--latency", "fixed:5")
    room.rows("in.jsonl", 250)
    room.run("in.jsonl", "-o", "out.jsonl", *sim.to, code=0, limit=60)
    same(len(room.lines("out.jsonl")), 250)


# ---- looks ----


def help_reads_well_on_a_terminal_of_any_kind(room):
    for args in (("--help",), ("help",), ("help", "run"), ("run", "--help"), ("run", "-h"),
                 ("help", "bench"), ("help", "sim"), ("sim", "--help")):
        process = room.start(*args)
        out, err = process.communicate(timeout=5)
        same((process.returncode, err), (0, b""), args)
        for line in out.decode().splitlines():
            check(len(line) <= 100 and "\t" not in line and line == line.rstrip(), args, line)
    for args in (("help", "frob"), ("frob",), ()):
        process = room.start(*args)
        out, err = process.communicate(timeout=5)
        same((process.returncode, out), (2, b""), args)


def plain_progress_comes_in_whole_lines_without_escapes(room):
    sim = room.sim("--latency", "fixed:550", "--fault", "500:0.2")
    room.rows("in.jsonl", 60)
    done = room.run("in.jsonl", "-o", "out.jsonl", "--concurrency", "6", "--retry-base-ms", "10", *sim.to,
                    limit=30)
    check("\x1b" not in done.err and "\r" not in done.err, done.err)
    check(re.search(r"^5\.\ds  \d+ of 60: ", done.err, re.M), done.err)
    check("? left" not in done.err, done.err)


def on_a_terminal(room, args, seconds, columns=100):
    """Runs under a pseudo terminal; answers exit code and everything that came."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(room.path)
        os.execve(SHEAF, [SHEAF, "run", *args], dict(PLAIN, TERM="xterm"))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    seen, end = b"", time.time() + seconds
    while time.time() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                more = os.read(fd, 65536)
            except OSError:
                break
            if not more:
                break
            seen += more
    else:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1, seen.decode(errors="replace")


def screen_of(text):
    """What a terminal shows in the end: only the escapes that the command may use."""
    rows, row = [""], 0
    for part in re.findall(r"\x1b\[\d*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\n":
            row += 1
            if row == len(rows):
                rows.append("")
        elif part == "\r":
            pass
        elif re.fullmatch(r"\x1b\[\d+A", part):
            row -= int(part[2:-1])
        elif part == "\x1b[J":
            del rows[row:]
            rows.append("")
        else:
            check(part[0] != "\x1b", "an escape of another kind", part)
            rows[row] += part
    return rows


def a_terminal_shows_a_bar_and_the_last_error_in_place(room):
    server = room.server(lambda head, body, n: http(400, '{"error":{"message":"bad \\u001b[31m day"}}')
                         if n % 7 == 0 else 0.1)
    room.rows("in.jsonl", 60)
    for columns in (100, 40):
        code, seen = on_a_terminal(room, ["in.jsonl", "-o", "out%d.jsonl" % columns, "--base-url",
                                          server.url + "/v1", "--model", "m", "--concurrency", "8"], 20, columns)
        same(code, 4, seen)
        check("\x1b[31m" not in seen, "an escape of the server's reached the terminal")
        rows = screen_of(seen)
        bars = [row for row in rows if row.startswith("[#")]
        same(len(bars), 1, "bars left on the screen: %r" % rows)
        check("60/60" in bars[0], bars)
        check(any(row.startswith("last error") for row in rows), rows)
        drawn = [line for line in re.split(r"[\r\n]+|\x1b\[\d*[AJ]", seen) if line.startswith(("[", "last error"))]
        check(all(len(line) < columns for line in drawn), "a drawn line wraps", drawn[:3])


def mutations_of_good_lines_never_crash_a_dry_run(room):
    draw = random.Random(SEED + 9)
    good = [b'"one"', b'{"prompt":"two \\u00e9","temperature":0.5,"stop":["a","b"]}',
            b'{"custom_id":"m","messages":[{"role":"user","content":[{"type":"text","text":"t"}]}],"max_tokens":5}',
            b'{"custom_id":"b","method":"POST","url":"/v1/chat/completions","body":{"model":"x","messages":[]}}',
            b'{"input":"embed","model":"e","metadata":{"k":[1,2,{"z":null}]},"priority":"high"}']
    pieces = [b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u", b"\\ud800", b",", b":", b"null", b"1e999", b"-", b"\x00",
              b"\xff", b"\xf0\x9f", b"\xef\xbb\xbf", b'"custom_id"', b'"body"', b'"messages"', b'"url"', b" "]
    lines = []
    for n in range(300):
        line = bytearray(good[n % len(good)])
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(line) + 1)
            kind = draw.randrange(4)
            if kind == 0:
                line[at:at] = draw.choice(pieces)
            elif kind == 1:
                del line[at:at + draw.randint(1, 6)]
            elif kind == 2 and line:
                line[at % len(line)] = draw.randrange(256)
            else:
                line[at:at] = line[at:at + 20] * draw.randint(1, 3)
        lines.append(bytes(line).replace(b"\n", b" "))
    for provider in ("openai", "anthropic", "gemini", "ollama"):
        room.write("in.jsonl", b"\n".join(lines) + b"\n")
        done = room.run("in.jsonl", "--dry-run", "--provider", provider, "--model", "m", limit=20)
        check(done.code in (0, 3), done.code, done.err[-500:])
        told = re.search(rb"(\d+) requests? (?:is|are) good, (\d+)", done.out)
        read = int(told.group(1)) + int(told.group(2))
        blank = sum(1 for line in lines if not line.strip(b" \t\r"))
        same(read, 300 - blank, "lines read")
    for line in lines[::10]:
        room.write("one.jsonl", line + b"\n")
        done = room.run("one.jsonl", "--dry-run", "--model", "m", limit=10)
        check(done.code in (0, 3), done.code, line, done.err[-500:])


# ---- main ----


def run_one(test):
    room = Room()
    begun = time.time()
    try:
        test(room)
        return test.__name__, None, time.time() - begun
    except Exception as error:  # every failure is told, and the others still run
        told = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
        return test.__name__, told, time.time() - begun
    finally:
        room.close()


def run_all(names):
    """Runs the tests among these names: a test is a function of a room and nothing else."""
    tests = [f for f in names.values() if getattr(f, "__code__", None) and
             f.__code__.co_varnames[:f.__code__.co_argcount] == ("room",)]
    wanted = sys.argv[2:]
    if wanted:
        tests = [test for test in tests if any(word in test.__name__ for word in wanted)]
    # The slow ones first, so that they are not what is waited for in the end.
    tests.sort(key=lambda test: not re.match("an_unreachable_host_ends|twenty_five|with_resend|a_429_without|a_run_that_is_killed", test.__name__))
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for name, told, took in pool.map(run_one, tests):
            passed, failed = passed + (told is None), failed + (told is not None)
            if told is not None:
                print("FAILED %s (%.1fs): %s" % (name.replace("_", " "), took, told), flush=True)
            elif wanted or took > 10:
                print("ok %s (%.1fs)" % (name.replace("_", " "), took), flush=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run_all(globals()))
