"""test_serve.py SHEAF: the endpoint of `sheaf serve` as its callers meet it.

A real `sheaf serve` stands in front of a real `sheaf sim`, whose ledger says what was asked, or of a small server of raw
sockets for what the simulator cannot do. What passes as it is is compared with what the same request gets from a second
simulator of the same seed without an endpoint between. Standard library only. Ends with "N passed, N failed".

    helpers, what passes, sharing calls, how a request is sent, errors, who may ask, streams, other providers,
    pages, the end, main
"""
import base64
import collections
import concurrent.futures
import http.client
import json
import os
import random
import re
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_cli  # noqa: E402
from test_cli import Room, check, http as raw_http, one_sentence, same, wait_for  # noqa: E402

KEY = {"OPENAI_API_KEY": "sk-none"}
Reply = collections.namedtuple("Reply", "status headers body")

# ---- helpers ----


def ask(url, method, path, body=None, headers=None, timeout=20):
    """One request on a connection of its own. A body that is not bytes goes as JSON."""
    connection = http.client.HTTPConnection(*address(url), timeout=timeout)
    try:
        connection.request(method, path, encoded(body), headers or {})
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def address(url):
    host, port = re.match(r"http://\[?([^]/]+?)\]?:(\d+)$", url).groups()
    return host, int(port)


def encoded(body):
    return body if body is None or isinstance(body, bytes) else json.dumps(body).encode()


def chat(text, **more):
    return dict({"model": "gpt-sim", "messages": [{"role": "user", "content": text}]}, **more)


def text_of(reply):
    same(reply.status, 200, reply.body[:500])
    return json.loads(reply.body)["choices"][0]["message"]["content"]


def error_of(reply, status):
    same(reply.status, status, reply.body[:500])
    same(reply.headers["content-type"], "application/json")
    error = json.loads(reply.body)["error"]
    check({"message", "type", "param", "code"} <= set(error), "an error has OpenAI's form", error)
    return error


def events_of(body):
    """The data of a stream's events."""
    check(body.endswith(b"\n\n"), "a stream ends with a whole event", body[-100:])
    return [event[6:] for event in body.decode().split("\n\n") if event.startswith("data: ")]


def chunks_of(body):
    events = events_of(body)
    same(events[-1], "[DONE]", "the last event")
    return [json.loads(event) for event in events[:-1]]


def streamed_text(chunks):
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks
                   if chunk["choices"])


class Serve:
    def __init__(self, room, *args, env=KEY):
        self.process = room.start("serve", "--port", "0", *args, env=env)
        self.url = self.process.stdout.readline().decode().strip()
        if not self.url.startswith("http://127.0.0.1:"):
            _, err = self.process.communicate(timeout=10)
            check(False, "the first line is the address", self.url, err)

    def post(self, path, body, headers=None, **more):
        return ask(self.url, "POST", path, body, headers, **more)

    def chat(self, text, headers=None, **more):
        return self.post("/v1/chat/completions", chat(text, **more), headers)

    def get(self, path, headers=None):
        return ask(self.url, "GET", path, None, headers)

    def metric(self, name):
        text = self.get("/metrics").body.decode()
        return float(re.search(r"^%s(?:\{[^}]*\})? (\S+)$" % name, text, re.M).group(1))

    def end(self, code=0, limit=20):
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=limit)
        same(self.process.returncode, code, err.decode())
        return err.decode()


def before_sim(where, *sim_args, serve=(), base="/v1"):
    sim = where.sim(*sim_args)
    return sim, Serve(where, "--base-url", sim.url + base, "--model", "gpt-sim", *serve)


def at_once(calls):
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def refused(room, args, env=None):
    """Starts what must not start, and gives what it said."""
    process = room.start("serve", *args, env=KEY if env is None else env)
    _, err = process.communicate(timeout=10)
    same(process.returncode, 2, err.decode())
    return err.decode()


# ---- what passes ----


def a_reply_is_the_bytes_that_the_provider_sent(room):
    _, serve = before_sim(room)
    direct = room.sim()
    operations = (
        ("/v1/chat/completions", chat("one", temperature=0.5)),
        ("/v1/completions", {"model": "gpt-sim", "prompt": "once upon", "max_tokens": 9}),
        ("/v1/embeddings", {"model": "gpt-sim", "input": ["a", "b"]}),
        ("/v1/responses", {"model": "gpt-sim", "input": "a thought"}))
    for path, body in operations:
        passed, wanted = serve.post(path, body), ask(direct.url, "POST", path, body)
        same(passed.status, 200, passed.body)
        same(passed.body, wanted.body, path)
        same(passed.headers["content-type"].split(";")[0], "application/json")
        same(passed.headers["x-sheaf-answered-by"], "call")
        check(passed.headers["x-request-id"], "a reply has an id")


def a_body_goes_out_as_the_bytes_it_was(room):
    server = room.server(lambda head, body, n: raw_http(200, test_cli.chat("ok")))
    serve = Serve(room, "--base-url", server.url + "/v1")
    body = '{ "model" : "m", "messages":[{"role":"user","content":"\\u00e9\\u002f"}], "top_p":0.90 }'
    same(serve.post("/v1/chat/completions", body.encode()).status, 200)
    same(server.seen[0][1].decode(), body)


def the_callers_key_stays_here_and_the_own_key_goes_out(room):
    server = room.server(lambda head, body, n: raw_http(200, test_cli.chat("ok")))
    serve = Serve(room, "--base-url", server.url + "/v1", env={"OPENAI_API_KEY": "sk-of-serve"})
    serve.chat("x", {"Authorization": "Bearer sk-of-the-caller", "x-secret": "of-the-caller"})
    head = server.seen[0][0]
    check(b"sk-of-serve" in head and b"of-the-caller" not in head, head)


def a_request_without_a_model_gets_the_one_of_the_options(room):
    _, serve = before_sim(room)
    body = chat("x")
    del body["model"]
    same(json.loads(serve.post("/v1/chat/completions", body).body)["model"], "gpt-sim")


def many_requests_share_a_connection(room):
    _, serve = before_sim(room)
    connection = http.client.HTTPConnection(*address(serve.url), timeout=20)
    for i in range(50):
        connection.request("POST", "/v1/chat/completions", encoded(chat("number %d" % i)))
        answer = connection.getresponse()
        same(json.loads(answer.read())["choices"][0]["message"]["content"], "echo: number %d" % i)
    connection.close()


def three_hundred_callers_at_once_get_their_own_answers(room):
    _, serve = before_sim(room, "--latency", "uniform:1:40", "--fault", "500:0.05",
                          serve=("--retry-base-ms", "5"))
    replies = at_once([lambda i=i: serve.chat("question %d" % i) for i in range(300)])
    same([text_of(reply) for reply in replies], ["echo: question %d" % i for i in range(300)])


def requests_may_follow_one_another_without_waiting(room):
    _, serve = before_sim(room, "--latency", "uniform:1:30")
    asked = b""
    for i in range(20):
        body = encoded(chat("number %d" % i))
        asked += b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" \
            % len(body) + body
    asked += b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection(address(serve.url), timeout=20) as caller:
        caller.sendall(asked)
        got = b"".join(iter(lambda: caller.recv(65536), b""))
    told = re.findall(rb'"content":"echo: number (\d+)"', got)
    same([int(n) for n in told], list(range(20)))
    check(got.endswith(b'{"status":"ok"}'), got[-200:])


def bytes_that_are_no_request_do_no_harm(room):
    sim, serve = before_sim(room)
    draw = random.Random(test_cli.SEED)
    body = encoded(chat("x", stream=True))
    good = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" \
        % len(body) + body
    for i in range(300):
        data = bytearray(good)
        for _ in range(draw.randint(0, 4)):
            at = draw.randrange(len(data))
            data[at:at + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 3))
        if draw.random() < 0.4:
            del data[draw.randrange(len(data)):]
        with socket.create_connection(address(serve.url), timeout=20) as caller:
            caller.sendall(data)
            if draw.random() < 0.5:
                caller.shutdown(socket.SHUT_WR)
            elif draw.random() < 0.5:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_for(lambda: serve.metric("sheaf_serve_open") == 0, what="none inside")
    same(text_of(serve.chat("still here")), "echo: still here")
    wait_for(lambda: sim.stats()["in_flight"] == 0, what="none out")
    serve.end()


# ---- sharing calls ----


def two_hundred_embeddings_become_few_calls(room):
    sim, serve = before_sim(room, "--latency", "fixed:100", "--dimensions", "8",
                            serve=("--concurrency", "2"))
    direct = room.sim("--dimensions", "8")
    texts = ["text number %d" % i for i in range(200)]
    replies = at_once([lambda t=t: serve.post("/v1/embeddings", {"model": "gpt-sim", "input": t})
                       for t in texts])
    whole = ask(direct.url, "POST", "/v1/embeddings", {"model": "gpt-sim", "input": texts})
    wanted = [item["embedding"] for item in json.loads(whole.body)["data"]]
    for reply, vector in zip(replies, wanted):
        same(reply.status, 200, reply.body[:300])
        told = json.loads(reply.body)
        same([(item["index"], item["embedding"]) for item in told["data"]], [(0, vector)])
    told = sum(json.loads(reply.body)["usage"]["prompt_tokens"] for reply in replies)
    same(told, sim.stats()["billed"]["input_tokens"], "the sum of what the callers were told")
    asked = sim.stats()["received"]
    check(asked <= 40, "200 embeddings took", asked, "calls")
    check(any(reply.headers["x-sheaf-answered-by"] == "group" for reply in replies), "no group")
    summary = serve.end()
    saved = re.search(r"200 requests: 200 succeeded, 0 failed.*; (\d+) calls sent, (\d+) saved", summary)
    check(saved, summary)
    same((int(saved.group(1)), int(saved.group(2))), (asked, 200 - asked))


def twins_share_a_call_where_the_answer_is_the_same(room):
    sim, serve = before_sim(room, "--latency", "fixed:300")
    ask_one = lambda headers=None: serve.chat("the same", headers, temperature=0)  # noqa: E731
    replies = at_once([ask_one] * 20)
    same({text_of(reply) for reply in replies}, {"echo: the same"})
    same(sim.stats()["received"], 1)
    kinds = collections.Counter(reply.headers["x-sheaf-answered-by"] for reply in replies)
    same(kinds, {"call": 1, "twin": 19})
    at_once([lambda: ask_one({"x-sheaf-dedup": "off"})] * 4)
    same(sim.stats()["received"], 5, "calls after four that travel alone")
    at_once([lambda: serve.chat("warm", temperature=1)] * 3)
    same(sim.stats()["received"], 8, "calls after three whose answers may differ")
    at_once([lambda: serve.chat("warm", {"x-sheaf-dedup": "on"}, temperature=1)] * 3)
    same(sim.stats()["received"], 9, "calls after three that say a twin's answer is as good")


def a_cache_answers_a_later_twin(room):
    sim, serve = before_sim(room, serve=("--cache-entries", "10"))
    first, second = (serve.chat("again", temperature=0) for _ in range(2))
    same((sim.stats()["received"], first.body), (1, second.body))
    same(second.headers["x-sheaf-answered-by"], "cache")


def prompts_of_one_trust_key_share_calls_where_that_was_asked_for(room):
    merged = ("--merge", "prompts", "--concurrency", "1", "--canary-pct", "0")
    sim, serve = before_sim(room, "--latency", "fixed:100", serve=merged)
    team = {"x-sheaf-trust-key": "team"}
    replies = at_once([lambda i=i: serve.chat("question %d" % i, team) for i in range(100)])
    same([text_of(reply) for reply in replies], ["echo: question %d" % i for i in range(100)])
    asked = sim.stats()["received"]
    check(10 <= asked <= 30, "100 prompts took", asked, "calls")
    told = [json.loads(reply.body)["usage"] for reply in replies]
    same([sum(usage[name] for usage in told) for name in ("prompt_tokens", "completion_tokens")],
         [sim.stats()["billed"][name] for name in ("input_tokens", "output_tokens")])
    replies = at_once([lambda i=i: serve.chat("mine %d" % i, {"x-sheaf-trust-key": "of %d" % i})
                       for i in range(20)])
    same([text_of(reply) for reply in replies], ["echo: mine %d" % i for i in range(20)])
    same(sim.stats()["received"], asked + 20, "calls after twenty of twenty owners")


def a_model_that_takes_no_schema_is_asked_one_by_one(room):
    def reply(head, body, n):
        body = json.loads(body)
        if "response_format" in body:
            return raw_http(400, '{"error":{"message":"response_format is not supported",'
                                 '"type":"invalid_request_error","param":null,"code":null}}')
        return raw_http(200, test_cli.chat("echo: " + body["messages"][0]["content"]))
    server = room.server(reply)
    serve = Serve(room, "--base-url", server.url + "/v1", "--merge", "prompts", "--concurrency", "2")
    replies = at_once([lambda i=i: serve.chat("question %d" % i) for i in range(100)])
    same([text_of(reply) for reply in replies], ["echo: question %d" % i for i in range(100)])
    refused_calls = sum(b"response_format" in body for _, body in server.seen)
    check(refused_calls >= 1, "nothing was merged")
    same(len(server.seen), 100 + refused_calls)


# ---- how a request is sent ----


def every_spelling_of_a_priority_is_taken_and_others_are_refused(room):
    sim, serve = before_sim(room)
    for given in ("urgent", "high", "normal", "low", "deferrable", "URGENT", "1", "42", "100"):
        text_of(serve.chat("p " + given, {"x-sheaf-priority": given}))
    before = sim.stats()["received"]
    for name, values in (("x-sheaf-priority", ("0", "101", "soon", "-1", "", "1e1")),
                         ("x-sheaf-deadline-ms", ("0", "x", "-5", "99999999999999999999")),
                         ("x-sheaf-max-wait-ms", ("0", "1.5")),
                         ("x-sheaf-dedup", ("maybe",)),
                         ("x-sheaf-trust-key", ("k" * 200,))):
        for value in values:
            error = error_of(serve.chat("x", {name: value}), 400)
            same(error["param"], name)
    same(sim.stats()["received"], before, "refused requests went out")
    text_of(serve.chat("x", {"x-sheaf-trust-key": "team", "x-sheaf-max-wait-ms": "500",
                             "x-sheaf-deadline-ms": "60000"}))


def an_urgent_request_goes_before_those_that_wait(room):
    sim, serve = before_sim(room, "--latency", "fixed:100", serve=("--concurrency", "1"))
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(serve.chat, "n %d" % i) for i in range(12)]
        wait_for(lambda: serve.metric("sheaf_serve_open") == 12, what="twelve inside")
        calls.append(pool.submit(serve.chat, "now " * 100, {"x-sheaf-priority": "urgent"}))
        for call in calls:
            same(call.result().status, 200)
    entries = json.loads(ask(sim.url, "GET", "/_sim/ledger").body)["entries"]
    at = [entry["input_tokens"] > 50 for entry in entries].index(True)
    check(at < 8, "the urgent one was number", at + 1)


def a_deadline_ends_a_request_and_its_call(room):
    sim, serve = before_sim(room, "--latency", "fixed:20000")
    error = error_of(serve.chat("x", {"x-sheaf-deadline-ms": "150"}), 504)
    same(error["code"], "deadline")
    wait_for(lambda: sim.stats()["clients_left"] == 1, what="the call to be left")


# ---- errors ----


def a_body_that_is_not_as_it_should_be_is_told_with_its_field(room):
    sim, serve = before_sim(room)
    for body, words in ((b'{"model":"m",}', "byte 14"), (b"", "JSON"), (b"[1]", "object"),
                        (b'{"model":"m"', "JSON"), (b'{"a":"\xff"}', "UTF-8"), (b'"text"', "object")):
        error = error_of(serve.post("/v1/chat/completions", body), 400)
        same((error["type"], error["param"]), ("invalid_request_error", None))
        check(words in error["message"], error["message"])
    for path, body, field in (
            ("/v1/chat/completions", {"model": "m"}, "messages"),
            ("/v1/chat/completions", {"model": "m", "messages": "hi"}, "messages"),
            ("/v1/chat/completions", chat("x", stream="yes"), "stream"),
            ("/v1/chat/completions", chat("x", model=7), "model"),
            ("/v1/embeddings", {"model": "m"}, "input"),
            ("/v1/embeddings", {"model": "m", "input": "x", "stream": True}, "stream"),
            ("/v1/completions", {"model": "m", "prompt": None}, "prompt")):
        error = error_of(serve.post(path, body), 400)
        same(error["param"], field, error["message"])
    same(sim.stats()["received"], 0)


def unknown_paths_and_methods_are_told(room):
    _, serve = before_sim(room)
    error_of(serve.get("/v1/nothing"), 404)
    check("/v1" in error_of(serve.post("/chat/completions", chat("x")), 404)["message"], "no hint")
    reply = serve.get("/v1/chat/completions")
    error_of(reply, 405)
    same(reply.headers["allow"], "POST")
    error_of(serve.post("/health", {}), 405)


def a_body_beyond_64_mib_is_refused_and_the_connection_is_of_use(room):
    sim, serve = before_sim(room)
    connection = http.client.HTTPConnection(*address(serve.url), timeout=60)
    big = encoded(chat("x" * (64 << 20)))
    connection.request("POST", "/v1/chat/completions", big)
    answer = connection.getresponse()
    same(answer.status, 413)
    same(json.loads(answer.read())["error"]["code"], "body_too_large")
    pieces = (big[i:i + 1048576] for i in range(0, len(big), 1048576))
    connection.request("POST", "/v1/chat/completions", pieces, encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    answer = connection.getresponse()
    same((answer.status, len(answer.read()) > 0), (413, True))
    connection.request("POST", "/v1/chat/completions", encoded(chat("x" * (4 << 20))))
    answer = connection.getresponse()
    same((answer.status, len(answer.read()) > (4 << 20)), (200, True))
    connection.close()
    same(sim.stats()["received"], 1)


def a_length_that_nobody_would_read_is_refused_at_once(room):
    _, serve = before_sim(room)
    with socket.create_connection(address(serve.url), timeout=10) as caller:
        caller.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                       b"Content-Length: 99999999999999\r\n\r\n")
        check(caller.recv(4096).startswith(b"HTTP/1.1 413 "), "no 413")


def a_refusal_of_the_provider_passes_with_its_body(room):
    _, serve = before_sim(room, "--models", "gpt-sim")
    direct = room.sim("--models", "gpt-sim")
    for body in (chat("x", model="gpt-none"), chat("x", temperature=9), chat("x", what="ever")):
        passed = serve.post("/v1/chat/completions", body)
        wanted = ask(direct.url, "POST", "/v1/chat/completions", body)
        check(wanted.status in (400, 404), wanted)
        same((passed.status, passed.body), (wanted.status, wanted.body))
        same(passed.headers["x-should-retry"], "false")


def a_limit_that_does_not_let_go_is_a_429_with_a_time_to_come_back(room):
    _, serve = before_sim(room, "--fault", "429:1", "--retry-after", "1500",
                          serve=("--max-throttles", "0"))
    reply = serve.chat("x")
    error = error_of(reply, 429)
    check(error["code"], error)
    check(1 <= int(reply.headers["retry-after"]) <= 2, reply.headers["retry-after"])
    same(reply.headers["x-should-retry"], None)


def tries_are_made_here_and_the_last_failure_is_final(room):
    sim, serve = before_sim(room, "--fault", "500:1",
                            serve=("--max-retries", "2", "--retry-base-ms", "1"))
    reply = serve.chat("x")
    error_of(reply, 500)
    same((sim.stats()["received"], reply.headers["x-sheaf-attempts"]), (3, "3"))
    same(reply.headers["x-should-retry"], "false")


def what_the_provider_gives_no_status_for_has_that_of_a_gateway(room):
    for fault, options, status, code in (
            ("stall", ("--attempt-timeout-ms", "150"), 504, "timeout"),
            ("garbage", (), 502, "invalid_response"),
            ("reset", ("--resend-unknown", "never"), 502, None),
            ("late-error", (), 502, None)):
        _, serve = before_sim(room, "--fault", fault + ":1",
                              serve=("--max-retries", "0") + options)
        error = error_of(serve.chat("x"), status)
        check(code is None or error["code"] == code, error)
        check(error["message"], error)


def an_open_breaker_is_a_503_with_a_time_to_come_back(room):
    port = room.closed_port()
    serve = Serve(room, "--base-url", "http://127.0.0.1:%d/v1" % port, "--model", "m",
                  "--max-retries", "0", "--on-breaker", "fail")
    seen = collections.Counter()
    for _ in range(200):
        reply = serve.chat("x")
        seen[reply.status] += 1
        if reply.status == 503:
            break
    check(seen[502] > 0 and seen[503] == 1, seen)
    same(error_of(reply, 503)["code"], "breaker_open")
    check(int(reply.headers["retry-after"]) >= 1, reply.headers)
    wait_for(lambda: serve.get("/health").status == 503, what="health to tell")


def a_full_queue_is_a_503_with_a_time_to_come_back(room):
    _, serve = before_sim(room, "--latency", "fixed:400",
                          serve=("--queue-capacity", "2", "--concurrency", "1", "--merge", "off"))
    replies = at_once([lambda i=i: serve.chat("n %d" % i) for i in range(12)])
    full = [reply for reply in replies if reply.status == 503]
    good = [reply for reply in replies if reply.status == 200]
    check(full and good and len(full) + len(good) == 12, [reply.status for reply in replies])
    for reply in full:
        same(error_of(reply, 503)["code"], "queue_full")
        check(int(reply.headers["retry-after"]) >= 1, reply.headers)


def a_caller_that_leaves_takes_the_request_with_it(room):
    sim, serve = before_sim(room, "--latency", "fixed:30000", serve=("--concurrency", "1"))
    body = encoded(chat("x"))
    head = ("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
            % len(body)).encode()
    callers = []
    for inside in (1, 2):  # the first is out, the second waits for its place
        callers.append(socket.create_connection(address(serve.url)))
        callers[-1].sendall(head + body)
        wait_for(lambda: serve.metric("sheaf_serve_open") == inside, what="it to be inside")
        wait_for(lambda: sim.stats()["in_flight"] == 1, what="one out")
    for inside in (1, 0):
        callers.pop().close()
        wait_for(lambda: serve.metric("sheaf_serve_open") == inside, what="it to be gone")
    wait_for(lambda: sim.stats()["clients_left"] == 1, what="the call to be left")
    same(serve.metric("sheaf_serve_clients_left_total"), 2)
    same(sim.stats()["received"], 1, "the one that waited was sent")
    serve.end()


# ---- who may ask ----


def other_addresses_than_loopback_need_a_token(room):
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        one_sentence(refused(room, ["--host", host, "--provider", "ollama"]), host, "SHEAF_ACCESS_TOKEN")
    one_sentence(refused(room, ["--host", "example.com", "--provider", "ollama"]), "numeric")
    same(address(Serve(room, "--host", "127.0.0.1", "--provider", "ollama").url)[0], "127.0.0.1")


def a_token_is_wanted_where_one_is_set(room):
    for source in ("environment", "file"):
        sim = room.sim()
        args, env = ["--base-url", sim.v1], dict(KEY)
        if source == "file":
            path = room.write("token", "let-me-in\n")
            os.chmod(path, 0o600)
            args += ["--access-token-file", path]
        else:
            env["SHEAF_ACCESS_TOKEN"] = "let-me-in"
        serve = Serve(room, *args, env=env)
        for given in (None, "Bearer let-me-on", "Bearer let-me-i", "Bearer let-me-in-", "Bearer ",
                      "let-me-in", "Basic let-me-in"):
            headers = {"Authorization": given} if given else {}
            for reply in (serve.chat("x", headers), serve.get("/metrics", headers),
                          serve.get("/v1/models", headers), serve.get("/v1/none", headers)):
                same(error_of(reply, 401)["code"], "invalid_api_key")
                same(reply.headers["www-authenticate"], "Bearer")
        same(sim.stats()["received"], 0)
        same(serve.get("/health").status, 200)
        good = {"Authorization": "Bearer let-me-in"}
        same(text_of(serve.chat("x", good)), "echo: x")
        same(serve.get("/metrics", good).status, 200)


def a_token_where_others_can_read_it_is_refused(room):
    path = room.write("token", "let-me-in\n")
    os.chmod(path, 0o644)
    one_sentence(refused(room, ["--access-token-file", path]), "chmod 600")
    told = refused(room, ["--access-token", "let-me-in"])
    check("SHEAF_ACCESS_TOKEN" in told and "let-me-in" not in told, told)
    one_sentence(refused(room, ["--base-url", "http://127.0.0.1:1"], env=dict(KEY, SHEAF_ACCESS_TOKEN="a b")),
                 "token")


def web_pages_may_not_ask_without_a_token(room):
    sim, serve = before_sim(room)
    port = address(serve.url)[1]
    error_of(serve.chat("x", {"Origin": "https://example.com"}), 403)
    for host in ("example.com", "example.com:%d" % port, "127.0.0.1.example.com", "localhost.example.com",
                 "127.0.0.1:80@example.com", "[::2]:80", "128.0.0.1"):
        error_of(serve.chat("x", {"Host": host}), 403)
    same(sim.stats()["received"], 0)
    for host in ("localhost", "LOCALHOST:%d" % port, "127.0.0.1:1", "127.9.9.9", "[::1]:%d" % port):
        text_of(serve.chat("x", {"Host": host}))


def a_user_mistake_is_told_in_a_sentence(room):
    one_sentence(refused(room, ["input.jsonl"]), "options only", "input.jsonl")
    one_sentence(refused(room, ["--stream"]), "--stream")
    one_sentence(refused(room, ["--port", "70000"]), "--port", "65535")
    one_sentence(refused(room, ["--output", "x"]), "--output")
    one_sentence(refused(room, ["--provider", "nobody"]), "nobody")
    one_sentence(refused(room, ["--merge", "everything"]), "--merge", "lossless")
    one_sentence(refused(room, [], env={}), "OPENAI_API_KEY")


def help_reads_well(room):
    told = []
    for args in (("help", "serve"), ("serve", "--help"), ("serve", "-h")):
        process = room.start(*args)
        out, err = process.communicate(timeout=5)
        same((process.returncode, err), (0, b""), args)
        told.append(out.decode())
    same(told[0], told[1])
    same(told[0], told[2])
    for line in told[0].splitlines():
        check(len(line) <= 100 and line == line.rstrip(), line)
    check("--stream" not in told[0].split(), "an option that is refused")


def a_config_file_says_the_same_as_the_command_line(room):
    sim = room.sim("--fault", "500:1")
    path = room.write("serve.json", json.dumps(
        {"base_url": sim.v1, "model": "from-file", "max_retries": 1, "retry_base_ms": 1}))
    serve = Serve(room, "--config", path)
    error_of(serve.chat("x"), 500)
    same(sim.stats()["received"], 2)
    same(json.loads(serve.get("/v1/models").body)["data"][0]["id"], "from-file")


# ---- streams ----

USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def a_stream_is_the_bytes_that_the_provider_sent(room):
    _, serve = before_sim(room)
    direct = room.sim()
    for path, body in (
            ("/v1/chat/completions", chat("one two three four five", **USAGE)),
            ("/v1/completions", dict({"model": "gpt-sim", "prompt": "once upon a time"}, **USAGE)),
            ("/v1/responses", {"model": "gpt-sim", "input": "a thought", "stream": True})):
        passed, wanted = serve.post(path, body), ask(direct.url, "POST", path, body)
        same(passed.status, 200, passed.body)
        check(passed.headers["content-type"].startswith("text/event-stream"), passed.headers)
        same(passed.body, wanted.body, path)


def a_stream_of_tool_calls_passes_as_it_is(room):
    _, serve = before_sim(room, "--answer", "tool")
    direct = room.sim("--answer", "tool")
    tool = {"type": "function", "function": {"name": "look", "parameters": {
        "type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}}}
    body = chat("use it", tools=[tool], **USAGE)
    passed = serve.post("/v1/chat/completions", body)
    same(passed.body, ask(direct.url, "POST", "/v1/chat/completions", body).body)
    check(b"tool_calls" in passed.body, passed.body)


def a_stream_tells_no_usage_unless_it_is_asked_to(room):
    sim, serve = before_sim(room)
    chunks = chunks_of(serve.chat("one two three", stream=True).body)
    same(streamed_text(chunks), "echo: one two three")
    check(all(chunk["choices"] and not chunk.get("usage") for chunk in chunks), chunks)
    same(chunks[-1]["choices"][0]["finish_reason"], "stop")
    billed = sim.stats()["billed"]
    told = serve.get("/metrics").body.decode()
    check(re.search(r"sheaf_output_tokens_total\S* %d$" % billed["output_tokens"], told, re.M)
          or re.search(r"tokens\S*output\S* %d$" % billed["output_tokens"], told, re.M),
          "the usage was not counted", billed, told)


def a_stream_comes_as_it_is_made(room):
    sim, serve = before_sim(room, "--itl", "fixed:150")
    connection = http.client.HTTPConnection(*address(serve.url), timeout=20)
    connection.request("POST", "/v1/chat/completions",
                       encoded(chat("a b c d e f g h i j k l m n o p", stream=True)))
    answer = connection.getresponse()
    first = answer.readline()
    check(first.startswith(b"data: "), first)
    same(sim.stats()["in_flight"], 1, "streams under way when the first event is here")
    same(streamed_text(chunks_of(first + answer.read())), "echo: a b c d e f g h i j k l m n o p")
    connection.close()


def a_stream_that_fails_before_its_first_byte_is_an_error_with_a_status(room):
    _, serve = before_sim(room, "--fault", "500:1", serve=("--max-retries", "0"))
    error_of(serve.chat("x", stream=True), 500)
    _, serve = before_sim(room, "--models", "gpt-sim")
    error_of(serve.chat("x", stream=True, model="none"), 404)


def a_stream_is_tried_again_before_its_first_byte(room):
    rules = room.write("faults.jsonl", '{"fault":"500","first":1}\n{"fault":"reset","skip":1,"first":1}\n')
    sim, serve = before_sim(room, "--faults", rules, serve=("--retry-base-ms", "1",
                                                            "--resend-unknown", "always"))
    same(streamed_text(chunks_of(serve.chat("x y z", stream=True).body)), "echo: x y z")
    same(sim.stats()["received"], 3)


def a_stream_that_breaks_after_its_first_byte_ends_with_an_error_and_no_end_mark(room):
    sim, serve = before_sim(room, "--fault", "truncate:1", "--itl", "fixed:20",
                            serve=("--retry-base-ms", "1"))
    reply = serve.chat("a b c d e f g h i j k l m n o p", stream=True)
    same(reply.status, 200)
    events = events_of(reply.body)
    check("[DONE]" not in events, events)
    error = json.loads(events[-1])["error"]
    check({"message", "type", "param", "code"} <= set(error), error)
    check(len(events) > 2 and all("choices" in json.loads(event) for event in events[:-1]), events)
    wait_for(lambda: serve.metric("sheaf_serve_open") == 0 and sim.stats()["in_flight"] == 0,
             what="all to end")
    serve.end()


def a_reader_of_a_stream_that_leaves_takes_the_call_with_it(room):
    sim, serve = before_sim(room, "--itl", "fixed:200")
    caller = socket.create_connection(address(serve.url), timeout=20)
    body = encoded(chat("word " * 400, stream=True))
    caller.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                   b"Content-Length: %d\r\n\r\n" % len(body) + body)
    check(caller.recv(65536).startswith(b"HTTP/1.1 200 "), "no stream")
    caller.close()
    wait_for(lambda: sim.stats()["clients_left"] == 1, what="the call to be left")
    wait_for(lambda: serve.metric("sheaf_serve_open") == 0, what="none inside")


def endless(size):
    """A provider whose stream has that many bytes of events, then its end."""
    event = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"x" * 4000)
    last = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    body = event * (size // len(event)) + last
    return lambda head, asked, n: raw_http(200, body, "text/event-stream")


def a_reader_that_is_too_slow_is_cut_off_and_told(room):
    server = room.server(endless(48 << 20))
    serve = Serve(room, "--base-url", server.url + "/v1", "--reply-bytes-max", str(1 << 28))
    connection = http.client.HTTPConnection(*address(serve.url), timeout=30)
    connection.request("POST", "/v1/chat/completions", encoded(chat("x", stream=True)))
    answer = connection.getresponse()  # and does not read
    wait_for(lambda: serve.metric("sheaf_serve_cut_off_total") == 1, 30, "the cut")
    events = events_of(answer.read())
    error = json.loads(events[-1])["error"]
    same(error["code"], "slow_reader")
    check("[DONE]" not in events, "an end mark after a cut")
    connection.close()


def a_reader_that_keeps_up_gets_a_large_stream_whole(room):
    server = room.server(endless(24 << 20))
    serve = Serve(room, "--base-url", server.url + "/v1", "--reply-bytes-max", str(1 << 28))
    reply = serve.chat("x", **USAGE)
    wanted = server.reply(None, None, 1)
    same(len(reply.body), len(wanted[wanted.index(b"\r\n\r\n") + 4:]))
    same(events_of(reply.body)[-1], "[DONE]")


def a_server_that_does_not_stream_is_answered_as_it_answers(room):
    server = room.server(lambda head, body, n: raw_http(200, test_cli.chat("in one piece")))
    serve = Serve(room, "--base-url", server.url + "/v1")
    reply = serve.chat("x", stream=True)
    same((reply.headers["content-type"], text_of(reply)), ("application/json", "in one piece"))


# ---- other providers ----

OTHERS = {"anthropic": ("", {"ANTHROPIC_API_KEY": "k"}), "gemini": ("/v1beta", {"GEMINI_API_KEY": "k"}),
          "ollama": ("", {})}


def before_other(where, provider, *sim_args, serve=()):
    base, env = OTHERS[provider]
    sim = where.sim(*sim_args)
    return sim, Serve(where, "--provider", provider, "--base-url", sim.url + base, "--model", "other-1",
                      *serve, env=env)


def a_chat_goes_to_every_provider_in_its_own_shape(room):
    for provider, path in (("anthropic", "/v1/messages"), ("gemini", "generateContent"),
                           ("ollama", "/api/chat")):
        sim, serve = before_other(room, provider)
        body = {"model": "other-2", "temperature": 0.5, "top_p": 0.9, "max_completion_tokens": 100,
                "stop": "zzz", "user": "u", "n": 1, "seed": 3, "presence_penalty": 0.0,
                "messages": [{"role": "system", "content": "Be brief."},
                             {"role": "user", "content": 'say "h\u00e9\\llo"\n'},
                             {"role": "assistant", "content": "no"},
                             {"role": "user", "content": [{"type": "text", "text": 'say "h\u00e9\\llo"'}]}]}
        reply = json.loads(serve.post("/v1/chat/completions", body).body)
        check("choices" in reply, provider, reply)
        same(reply["object"], "chat.completion")
        same(reply["model"], "other-2")
        same(len(reply["choices"]), 1)
        choice = reply["choices"][0]
        same((choice["index"], choice["finish_reason"]), (0, "stop"))
        same(choice["message"], {"role": "assistant", "content": 'echo: say "h\u00e9\\llo"', "refusal": None})
        usage, billed = reply["usage"], sim.stats()["billed"]
        same((usage["prompt_tokens"], usage["completion_tokens"]),
             (billed["input_tokens"], billed["output_tokens"]), provider)
        same(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"])
        check(any(path in asked for asked in sim.stats()["received_by_path"]), sim.stats())


def a_cap_on_tokens_is_told_to_every_provider(room):
    for provider in OTHERS:
        _, serve = before_other(room, provider, "--answer", "lorem:50")
        reply = json.loads(serve.chat("x", max_tokens=7).body)
        same(reply["choices"][0]["finish_reason"], "length", provider)
        same(reply["usage"]["completion_tokens"], 7, provider)
        error = error_of(serve.chat("x", max_tokens=0), 400)
        same(error["param"], "max_tokens")


def every_providers_stream_comes_as_chunks(room):
    for provider in OTHERS:
        sim, serve = before_other(room, provider)
        body = serve.chat('a "quoted" text with \u00e9 in it', **USAGE).body
        chunks = chunks_of(body)
        same(streamed_text(chunks), 'echo: a "quoted" text with \u00e9 in it', provider)
        same(chunks[0]["choices"][0]["delta"]["role"], "assistant")
        same({chunk["object"] for chunk in chunks}, {"chat.completion.chunk"})
        same(len({chunk["id"] for chunk in chunks}), 1, "ids of one stream")
        told = [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]]
        same([reason for reason in told if reason], ["stop"])
        same((chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]),
             ([], sim.stats()["billed"]["output_tokens"]))
        check(all(chunk["usage"] is None for chunk in chunks[:-1]), chunks)
        chunks = chunks_of(serve.chat("short", stream=True).body)
        check(all(chunk["choices"] for chunk in chunks), "usage that nobody asked for", chunks)


def a_completion_is_a_chat_before_other_providers(room):
    for provider in OTHERS:
        _, serve = before_other(room, provider)
        for prompt in ("once\nupon", ["once\nupon"]):
            reply = json.loads(serve.post("/v1/completions", {"model": "m", "prompt": prompt}).body)
            same(reply["object"], "text_completion")
            same((reply["choices"][0]["text"], reply["choices"][0]["finish_reason"]),
                 ("echo: once\nupon", "stop"))
        events = events_of(serve.post("/v1/completions", {"model": "m", "prompt": "once", "stream": True}).body)
        text = "".join(json.loads(event)["choices"][0]["text"] for event in events[:-1])
        same((text, events[-1]), ("echo: once", "[DONE]"))
        error = error_of(serve.post("/v1/completions", {"model": "m", "prompt": ["a", "b"]}), 400)
        same(error["param"], "prompt")


def what_cannot_be_told_to_a_provider_is_refused_by_its_name(room):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    for provider in OTHERS:
        sim, serve = before_other(room, provider)
        for name, value in (("tools", [tool]), ("n", 2), ("logprobs", True), ("what", 1),
                            ("logit_bias", {"1": 2}), ("response_format", {"type": "odd"})):
            error = error_of(serve.chat("x", **{name: value}), 400)
            same(error["param"], name)
            check(provider in error["message"], error)
        error_of(serve.post("/v1/responses", {"model": "m", "input": "x"}), 404)
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        error = error_of(serve.post("/v1/chat/completions", {"model": "m", "messages": [
            {"role": "user", "content": [picture]}]}), 400)
        check("messages" in error["message"], error)
        text_of(serve.chat("x", tools=[], n=1, logprobs=False, logit_bias={}, response_format={"type": "text"}))
        same(sim.stats()["received"], 1)


def a_schema_is_told_to_gemini_and_ollama(room):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    for provider in ("gemini", "ollama"):
        _, serve = before_other(room, provider)
        told = json.loads(text_of(serve.chat("x", response_format=wanted)))
        check(isinstance(told["n"], int), told)
        check(isinstance(json.loads(text_of(serve.chat("x", response_format={"type": "json_object"}))), dict))
    _, serve = before_other(room, "anthropic")
    same(error_of(serve.chat("x", response_format=wanted), 400)["param"], "response_format")


def ollamas_embeddings_have_openais_shape_in_both_encodings(room):
    sim, serve = before_other(room, "ollama", "--dimensions", "37")
    texts = ["one", "two"]
    body = {"model": "other-1", "input": texts}
    plain = json.loads(serve.post("/v1/embeddings", body).body)
    same((plain["object"], plain["model"]), ("list", "other-1"))
    same([(item["object"], item["index"], len(item["embedding"])) for item in plain["data"]],
         [("embedding", 0, 37), ("embedding", 1, 37)])
    direct = json.loads(ask(sim.url, "POST", "/api/embed", body).body)
    same([item["embedding"] for item in plain["data"]], direct["embeddings"])
    check(plain["usage"]["prompt_tokens"] == plain["usage"]["total_tokens"] > 0, plain["usage"])
    packed = json.loads(serve.post("/v1/embeddings", dict(body, encoding_format="base64")).body)
    for item, vector in zip(packed["data"], direct["embeddings"]):
        same(base64.b64decode(item["embedding"], validate=True), struct.pack("<37f", *vector))
    same(error_of(serve.post("/v1/embeddings", {"model": "m", "input": [1, 2]}), 400)["param"], "input")
    for provider in ("anthropic", "gemini"):
        _, other = before_other(room, provider)
        error_of(other.post("/v1/embeddings", body), 404)


def every_providers_refusal_has_openais_form(room):
    for provider in OTHERS:
        _, serve = before_other(room, provider, "--models", "other-1")
        error = error_of(serve.chat("x", model="none"), 404)
        check(error["message"], error)
        _, serve = before_other(room, provider, "--fault", "429:1", "--retry-after", "1000",
                                serve=("--max-throttles", "0"))
        reply = serve.chat("x")
        error_of(reply, 429)
        check(int(reply.headers["retry-after"]) >= 1, reply.headers)


# ---- pages ----


def models_are_those_that_are_known_here(room):
    _, serve = before_sim(room)
    ids = lambda: [model["id"] for model in json.loads(serve.get("/v1/models").body)["data"]]  # noqa: E731
    same(ids(), ["gpt-sim"])
    serve.chat("x", model="another/one")
    same(ids(), ["gpt-sim", "another/one"])
    one = json.loads(serve.get("/v1/models/another/one").body)
    same((one["id"], one["object"], one["owned_by"]), ("another/one", "model", "openai"))
    same(error_of(serve.get("/v1/models/none"), 404)["code"], "model_not_found")


def health_is_ok_while_requests_have_a_prospect(room):
    _, serve = before_sim(room)
    reply = serve.get("/health")
    same((reply.status, json.loads(reply.body)), (200, {"status": "ok"}))


def metrics_are_openmetrics(room):
    _, serve = before_sim(room)
    for i in range(3):
        serve.chat("n %d" % i)
    serve.post("/v1/chat/completions", b"{")
    reply = serve.get("/metrics")
    check(reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0"),
          reply.headers)
    lines = reply.body.decode().split("\n")
    same(lines[-2:], ["# EOF", ""])
    same(lines.count("# EOF"), 1)
    families, samples = {}, {}
    for line in lines[:-2]:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            check(name not in families, "twice", name)
            families[name] = kind
        elif not line.startswith("# "):
            name, value = re.fullmatch(r"([a-z_]+)(?:\{[^}]*\})? (\S+)", line).groups()
            family = [f for f in families if name.startswith(f)]
            check(family, "a sample without a family", line)
            samples[name] = float(value)
    same([samples["sheaf_serve_%s_total" % name] for name in ("requests", "succeeded", "failed", "refused")],
         [3, 3, 0, 1])
    same(samples["sheaf_serve_open"], 0)


# ---- the end ----


def a_signal_lets_what_is_inside_end_and_refuses_the_rest(room):
    sim, serve = before_sim(room, "--latency", "fixed:700", serve=("--concurrency", "2"))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        idle = http.client.HTTPConnection(*address(serve.url), timeout=20)
        idle.request("GET", "/health")
        same(idle.getresponse().read(), b'{"status":"ok"}')
        calls = [pool.submit(serve.chat, "n %d" % i) for i in range(4)]
        wait_for(lambda: serve.metric("sheaf_serve_open") == 4, what="four inside")
        serve.process.send_signal(signal.SIGTERM)
        wait_for(lambda: closed(serve.url), what="nobody to listen")
        idle.request("POST", "/v1/chat/completions", encoded(chat("late")))
        late = idle.getresponse()
        same((late.status, late.headers["connection"].lower()), (503, "close"))
        same(json.loads(late.read())["error"]["code"], "draining")
        same([text_of(call.result()) for call in calls], ["echo: n %d" % i for i in range(4)])
    _, err = serve.process.communicate(timeout=20)
    same(serve.process.returncode, 0, err)
    check(re.search(r"served 4 requests: 4 succeeded, 0 failed, 1 refused; 4 calls sent", err.decode()), err)
    same(sim.stats()["received"], 4)


def closed(url):
    try:
        socket.create_connection(address(url), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it stood in the backlog of a socket that was closed under it
        return False
    return False


def what_takes_too_long_at_the_end_is_cancelled_and_told(room):
    for second in (False, True):
        sim, serve = before_sim(room, "--latency", "fixed:60000",
                                serve=("--drain-ms", "60000" if second else "100"))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            call = pool.submit(serve.chat, "x")
            wait_for(lambda: sim.stats()["in_flight"] == 1, what="one out")
            serve.process.send_signal(signal.SIGINT)
            if second:
                wait_for(lambda: closed(serve.url), what="nobody to listen")
                serve.process.send_signal(signal.SIGINT)
            error_of(call.result(), 503)
        _, err = serve.process.communicate(timeout=20)
        same(serve.process.returncode, 6, err)


def an_idle_end_is_quick_and_good(room):
    _, serve = before_sim(room)
    check("served 0 requests" in serve.end(limit=10), "no summary")
    path = room.at("summary.json")
    _, serve = before_sim(room, serve=("--quiet", "--summary", path))
    serve.chat("x")
    same(serve.end(), "")
    with open(path, encoding="utf-8") as file:
        same(json.load(file)["succeeded"], 1)


def a_port_that_is_taken_is_told(room):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = room.start("serve", "--port", str(taken.getsockname()[1]), "--provider", "ollama")
        _, err = process.communicate(timeout=10)
        same(process.returncode, 8)
        one_sentence(err.decode(), "listen")


# ---- main ----

if __name__ == "__main__":
    sys.exit(test_cli.run_all({name: value for name, value in globals().items()
                               if getattr(value, "__module__", "") == "__main__"}))
