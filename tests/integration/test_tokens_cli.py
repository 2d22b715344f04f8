"""test_tokens_cli.py SHEAF: `sheaf tokens`, `sheaf plan` and counted runs as their users meet them.

The vocabulary is made by `sheaf tokens --make` of a rank file written here: the 256 bytes, in their order, and a
few merges after them. Its pattern is "none", so that ids follow from the merges by hand; exactness on real
vocabularies is tested elsewhere. Shares the helpers of test_cli.py.
"""
import base64
import json
import os
import random
import subprocess
import sys

sys.dont_write_bytecode = True
import test_cli  # noqa: E402
from test_cli import PLAIN, SHEAF, Room, check, http, same  # noqa: E402

MERGES = [b"he", b"ll", b"hell", b"hello"]  # ranks 256 to 259
TIKTOKEN = "".join("%s %d\n" % (base64.b64encode(token).decode(), rank)
                   for rank, token in enumerate([bytes([n]) for n in range(256)] + MERGES))
BYTES_ONLY = "".join("%s %d\n" % (base64.b64encode(bytes([n])).decode(), n) for n in range(256))


# Helpers name the room otherwise: functions of a room are tests.


def sheaf(at, *args, stdin=b"", code=None, env=None, limit=60):
    variables = dict(PLAIN, HOME=at.path, SHEAF_VOCAB_DIR="", XDG_DATA_HOME="")
    variables.update(env or {})
    process = subprocess.run([SHEAF] + [str(a) for a in args], cwd=at.path, input=stdin, capture_output=True,
                             timeout=limit, env=variables)
    done = test_cli.Done(process.returncode, process.stdout, process.stderr.decode())
    if code is not None:
        check(done.code == code, "exit code %d, wanted %d" % (done.code, code), args, done.err, done.out[-500:])
    return done


def make(at, name="mine", ranks=TIKTOKEN):
    at.write(name + ".tiktoken", ranks)
    sheaf(at, "tokens", "--make", name + ".tiktoken", "--encoding", name, "--pattern", "none",
          "--output", name + ".vocab", code=0)
    return at.at(name + ".vocab")


def use_as(at, encoding):
    """A vocabulary that stands where this encoding would: the 256 bytes, so that a text has a token a byte."""
    os.makedirs(at.at("vocabs"), exist_ok=True)
    os.rename(make(at, "bytes", BYTES_ONLY), os.path.join(at.at("vocabs"), encoding + ".vocab"))
    return {"SHEAF_VOCAB_DIR": at.at("vocabs")}


def ask(at, *lines, args=(), code=0):
    text = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    done = sheaf(at, "tokens", "--jsonl", "--vocab", at.path, *args, stdin=text, code=code)
    check(done.out.endswith(b"\n"), "a torn line", done.out[-100:])
    return [json.loads(line) for line in done.out.decode()[:-1].split("\n")]


# ---- text ----


def a_text_file_is_counted(room):
    vocab = make(room)
    room.write("a.txt", "hello")
    room.write("b.txt", "hell no")
    done = sheaf(room, "tokens", "--vocab", vocab, "a.txt", "b.txt", code=0)
    rows = [line.split(None, 1) for line in done.out.decode().splitlines()]
    same(rows, [["1", "a.txt"], ["4", "b.txt"], ["5", "total, mine"]])


def text_encodes_to_ids_by_the_merges_and_decodes_again(room):
    vocab = make(room)
    room.write("a.txt", "hello shell")
    done = sheaf(room, "tokens", "--vocab", vocab, "--encode", "a.txt", code=0)
    same(done.out.decode(), "259 32 115 258\n")
    back = sheaf(room, "tokens", "--vocab", vocab, "--decode", "-", stdin=done.out, code=0)
    same(back.out, b"hello shell")
    back = sheaf(room, "tokens", "--vocab", vocab, "--decode", "-", stdin=b"[259, 33]", code=0)
    same(back.out, b"hello!")


def bytes_that_are_no_text_come_back_as_they_were(room):
    vocab = make(room)
    given = bytes(range(256)) * 3 + b"\xff\xfe hello \xf0\x9f"
    room.write("a.bin", given)
    ids = sheaf(room, "tokens", "--vocab", vocab, "--encode", "a.bin", code=0).out
    same(sheaf(room, "tokens", "--vocab", vocab, "--decode", "-", stdin=ids, code=0).out, given)


def a_long_text_has_the_same_ids_on_any_number_of_threads(room):
    draw = random.Random(5)
    words = ["the", "dog", "jumps", "over", "7 foxes", "tea\n", "  and", "x,", "\u041f\u0440", "hello", "DON'T", "\n\n"]
    room.write("long.txt", " ".join(draw.choice(words) for _ in range(300000)))
    room.write("ranks.tiktoken", TIKTOKEN)
    # The patterns of known encodings are cut at known places (and a text that is cut has parts of 256 KB);
    # a vocabulary of another name is not cut, and has the same pattern and the same ids.
    for encoding, pattern in (("o200k_base", "o200k"), ("cl100k_base", "cl100k"), ("r50k_base", "r50k")):
        sheaf(room, "tokens", "--make", "ranks.tiktoken", "--encoding", encoding, "--output", "cut.vocab", code=0)
        sheaf(room, "tokens", "--make", "ranks.tiktoken", "--encoding", "own", "--pattern", pattern,
              "--output", "whole.vocab", code=0)
        whole = sheaf(room, "tokens", "--vocab", "whole.vocab", "--encode", "long.txt", code=0).out
        for threads in (1, 3):
            cut = sheaf(room, "tokens", "--vocab", "cut.vocab", "--encode", "--threads", threads, "long.txt", code=0).out
            check(cut == whole, "the ids of a text in parts are not those of the whole", encoding)
        count = sheaf(room, "tokens", "--vocab", "cut.vocab", "--total", "long.txt", code=0).out.split()[0]
        same(int(count), len(whole.split()))
    same(sheaf(room, "tokens", "--vocab", "cut.vocab", "--decode", "-", stdin=whole, code=0).out, room.read("long.txt"))


def standard_input_is_text(room):
    vocab = make(room)
    done = sheaf(room, "tokens", "--vocab", vocab, "-", stdin=b"hello", code=0)
    same(done.out.split()[:2], [b"1", b"-"])


def a_file_that_is_not_there_is_named_and_the_others_are_counted(room):
    vocab = make(room)
    room.write("a.txt", "hello")
    done = sheaf(room, "tokens", "--vocab", vocab, "none.txt", "a.txt", code=3)
    check("none.txt" in done.err, done.err)
    check(b"1  a.txt" in done.out, done.out)


def numbers_that_no_token_has_are_named(room):
    vocab = make(room)
    done = sheaf(room, "tokens", "--vocab", vocab, "--decode", "-", stdin=b"259 9999", code=3)
    check("no token" in done.err, done.err)
    done = sheaf(room, "tokens", "--vocab", vocab, "--decode", "-", stdin=b"259 x", code=3)
    check("not a token's number" in done.err, done.err)
    done = sheaf(room, "tokens", "--vocab", vocab, "--decode", "-", stdin=b"99999999999999999999", code=3)


# ---- requests ----


def each_row_is_counted_as_the_request_that_is_sent(room):
    env = use_as(room, "o200k_base")
    room.write("r.jsonl", '"hello"\n'
               '{"messages":[{"role":"system","content":"ab"},{"role":"user","content":"c"}]}\n'
               '{"custom_id":"e","url":"/v1/embeddings","body":{"model":"gpt-4o","input":"hello","dimensions":8}}\n')
    done = sheaf(room, "tokens", "--model", "gpt-4o", "r.jsonl", env=env, code=0)
    rows = [line.split(None, 1) for line in done.out.decode().splitlines()]
    # 3 a message, its role, its text, 3 for the reply; what is embedded is text alone.
    same(rows, [[str(3 + 4 + 5 + 3), "r.jsonl:1"], [str((3 + 6 + 2) + (3 + 4 + 1) + 3), "r.jsonl:2"],
                ["5", "r.jsonl:3"], [str(15 + 22 + 5), "total of 3 requests, o200k_base"]])


def csv_rows_are_requests_too(room):
    env = use_as(room, "o200k_base")
    room.write("r.csv", "custom_id,prompt\na,hello\nb,\"two\nlines\"\n")
    done = sheaf(room, "tokens", "--total", "r.csv", env=env, code=0)
    same(int(done.out.split()[0]), (10 + 5) + (10 + 9))


def a_bad_row_is_named_and_the_others_are_counted(room):
    env = use_as(room, "o200k_base")
    room.write("r.jsonl", '"hello"\n{"prompt":\n{"x":1}\n"ab"\n')
    done = sheaf(room, "tokens", "r.jsonl", env=env, code=3)
    check("r.jsonl:2:" in done.err and "r.jsonl:3:" in done.err, done.err)
    same(done.out.decode().splitlines()[-1].split(), [str(15 + 12), "total", "of", "2", "requests,", "o200k_base"])


def requests_with_tools_are_marked_as_an_estimate(room):
    env = use_as(room, "o200k_base")
    room.write("r.jsonl", '{"prompt":"hi","tools":[{"type":"function","function":{"name":"f"}}]}\n"hi"\n')
    lines = sheaf(room, "tokens", "r.jsonl", env=env, code=0).out.decode().splitlines()
    check("(estimate)" in lines[0], lines)
    check("(estimate)" not in lines[1], lines)
    check("an estimate for 1 requests" in lines[2], lines)


# ---- models ----


def an_unknown_model_is_counted_and_marked_as_an_estimate(room):
    env = use_as(room, "o200k_base")
    room.write("a.txt", "hello")
    done = sheaf(room, "tokens", "--model", "gpt-9000", "a.txt", env=env, code=0)
    check(b"5  a.txt  (estimate)" in done.out, done.out)
    check(b"an estimate" in done.out and b"o200k_base" in done.out, done.out)
    done = sheaf(room, "tokens", "--model", "gpt-4o", "a.txt", env=env, code=0)
    check(b"estimate" not in done.out, done.out)


def a_publisher_without_a_tokenizer_is_an_estimate_without_any_vocabulary(room):
    room.write("a.txt", "x" * 70)
    done = sheaf(room, "tokens", "--model", "claude-opus-4-1", "a.txt", code=0)
    same(int(done.out.split()[0]), 20)  # 3.5 bytes a token
    check(b"an estimate" in done.out, done.out)
    done = sheaf(room, "tokens", "--model", "claude-opus-4-1", "--encode", "a.txt", code=2)
    check("no ids" in done.err, done.err)


# ---- the provider's own count ----

ASKED = {"anthropic": ("claude-sonnet-4-5", "", {"ANTHROPIC_API_KEY": "k"}),
         "gemini": ("gemini-2.5-flash", "/v1beta", {"GEMINI_API_KEY": "k"})}


def counts_of(done):
    """What was printed, by place, and the words of the last line."""
    rows = [line.split(None, 1) for line in done.out.decode().splitlines()]
    return {place: int(count) for count, place in rows[:-1]}, rows[-1]


def the_providers_count_is_what_the_same_requests_are_then_charged_for(room):
    sim = room.sim()
    for provider, (model, base, key) in ASKED.items():
        to = ("--provider", provider, "--model", model, "--base-url", sim.url + base)
        room.write("a.txt", "a text of its own, to be counted as one prompt")
        room.write("in.jsonl", "".join(json.dumps(row) + "\n" for row in (
            "a text of its own, to be counted as one prompt",
            {"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what is it?"}]},
            {"prompt": "and this", "max_tokens": 9, "temperature": 0})))
        sheaf(room, "run", "in.jsonl", "-o", "out.jsonl", "--no-resume", *to, env=key, code=0)
        charged = [row["sheaf"]["usage"]["input_total"] for row in room.lines("out.jsonl")]
        billed = sim.ledger_at_rest()["billed"]
        counts, last = counts_of(sheaf(room, "tokens", "--ask", *to, "a.txt", "in.jsonl", env=key, code=0))
        same(counts, {"a.txt": charged[0], "in.jsonl:1": charged[0], "in.jsonl:2": charged[1], "in.jsonl:3": charged[2]})
        same(last, [str(charged[0] + sum(charged)), "total of 4 requests, as %s counts" % provider])
        same(sim.ledger_at_rest()["billed"], billed)


def a_count_is_asked_for_as_the_provider_wants_it(room):
    answers = {"anthropic": '{"input_tokens":7}', "gemini": '{"totalTokens":7}'}
    body = {"model": "other", "max_tokens": 5, "stream": False, "messages": [{"role": "user", "content": "x"}]}
    for provider, (model, base, key) in ASKED.items():
        server = room.server(lambda head, body, n: http(200, answers[provider]))
        room.write("r.jsonl", json.dumps({"url": "/v1/messages", "body": body}) if provider == "anthropic" else json.dumps(
            {"url": "/v1beta/models/other:generateContent", "body": {"contents": [{"parts": [{"text": "x"}]}]}}))
        done = sheaf(room, "tokens", "--ask", "--model", model, "--base-url", server.url + base, "--total", "r.jsonl",
                     env=key, code=0)
        same(done.out.split()[0], b"7")
        (head, sent), = server.seen
        if provider == "anthropic":
            check(head.startswith(b"POST /v1/messages/count_tokens HTTP/1.1\r\n"), head)
            same(json.loads(sent), {"model": "other", "messages": body["messages"]})
        else:
            check(head.startswith(b"POST /v1beta/models/other:countTokens HTTP/1.1\r\n"), head)
            same(json.loads(sent), {"generateContentRequest": {"model": "models/other",
                                                               "contents": [{"parts": [{"text": "x"}]}]}})


def a_run_of_counts_costs_nothing(room):
    server = room.server(lambda head, body, n: http(200, '{"input_tokens":1000000}'))
    room.write("p.json", json.dumps({"date": "2030-01-01", "prices": [
        {"provider": "anthropic", "model": "claude-x", "input": 2, "output": 10}]}))
    room.write("in.jsonl", '"x"\n')
    sheaf(room, "run", "in.jsonl", "-o", "out.jsonl", "--provider", "anthropic", "--model", "claude-x", "--prices",
          "p.json", "--url", "/v1/messages/count_tokens", "--base-url", server.url, "--summary", "s.json", code=0)
    row, = room.lines("out.jsonl")
    same((row["sheaf"]["usage"], row["sheaf"]["cost_usd"]), ({"input_total": 1000000}, 0))
    same(json.loads(room.read("s.json"))["cost_usd"], 0)


def a_refused_count_is_asked_for_again(room):
    server = room.server(lambda head, body, n: http(500, "{}") if n < 3
                         else http(200, '{"input_tokens":3}'))
    room.write("a.txt", "x")
    ask_args = ("tokens", "--ask", "--model", "claude-x", "--base-url", server.url)
    same(counts_of(sheaf(room, *ask_args, "a.txt", code=0))[0], {"a.txt": 3})
    same(len(server.seen), 3)


def what_is_not_counted_is_named_and_the_others_are(room):
    server = room.server(lambda head, body, n: http(400, '{"type":"error","error":{"type":"invalid_request_error",'
                                                    '"message":"too odd"}}') if b"odd" in body
                         else http(200, '{"input_tokens":3}'))
    ask_args = ("tokens", "--ask", "--model", "claude-x", "--base-url", server.url)
    room.write("r.jsonl", '"fine"\n"odd"\n{"prompt":\n"fine, too"\n')
    room.write("odd.txt", "odd")
    done = sheaf(room, *ask_args, "r.jsonl", "none.txt", code=4)
    same(counts_of(done), ({"r.jsonl:1": 3, "r.jsonl:4": 3}, ["6", "total of 2 requests, as anthropic counts"]))
    check("r.jsonl:2: invalid_request: too odd" in done.err, done.err)
    check("r.jsonl:3:" in done.err and "none.txt" in done.err, done.err)
    done = sheaf(room, *ask_args, "odd.txt", code=5)
    same(done.out, b"")
    room.write("r.jsonl", '"fine"\n{"prompt":\n')
    sheaf(room, *ask_args, "r.jsonl", code=3)
    sheaf(room, *ask_args, "r.jsonl", "none.txt", code=3)


def many_counts_come_in_the_order_of_the_input(room):
    sim = room.sim("--latency", "uniform:1:30")
    texts = ["word " * n for n in range(1, 120)]
    room.write("r.jsonl", "".join(json.dumps(text) + "\n" for text in texts))
    done = sheaf(room, "tokens", "--ask", "--model", "claude-x", "--base-url", sim.url, "--concurrency", 16, "r.jsonl",
                 code=0)
    rows = [line.split() for line in done.out.decode().splitlines()[:-1]]
    same([place for _, place in rows], ["r.jsonl:%d" % n for n in range(1, 120)])
    counts = [int(count) for count, _ in rows]
    check(counts == sorted(counts) and counts[-1] > counts[0], counts)


def asked_lines_are_answered_as_lines(room):
    server = room.server(lambda head, body, n: http(400, '{"type":"error","error":{"type":"invalid_request_error",'
                                                    '"message":"too \\"odd\\""}}') if b"odd" in body
                         else http(200, '{"input_tokens":3}'))
    done = sheaf(room, "tokens", "--ask", "--jsonl", "--model", "claude-x", "--base-url", server.url,
                 stdin=b'"fine"\n"odd"\n\n{"prompt":\n{"messages":[{"role":"user","content":"x"}]}\n', code=4)
    answers = [json.loads(line) for line in done.out.decode().splitlines()]
    same(answers[:2], [{"count": 3}, {"error": 'invalid_request: too "odd"', "line": 2}])
    same((sorted(answers[2]), answers[2]["line"], answers[3:]), (["error", "line"], 4, [{"count": 3}]))


def asking_needs_to_know_whom(room):
    room.write("a.txt", "x")
    for args, word in ((("a.txt",), "--provider"), (("--provider", "openai", "--model", "gpt-4o", "a.txt"), "openai"),
                       (("--model", "claude-x"), "files"), (("--model", "claude-x", "a.txt"), "ANTHROPIC_API_KEY"),
                       (("--model", "claude-x", "--encode", "a.txt"), "--encode"),
                       (("--model", "claude-x", "--rpm"), "--rpm"), (("--model", "claude-x", "--output", "y", "a.txt"), "--output")):
        done = sheaf(room, "tokens", "--ask", *args, code=2)
        check(word in done.err, args, done.err)
    check(b"--ask" in sheaf(room, "tokens", "--ask", "--help", code=0).out)


# ---- vocabularies ----


def a_vocabulary_that_is_not_there_is_named_with_the_remedy(room):
    room.write("a.txt", "hello")
    done = sheaf(room, "tokens", "--encoding", "cl100k_base", "a.txt", code=3)
    check("cl100k_base.vocab" in done.err and "scripts/vocab cl100k_base" in done.err, done.err)
    done = sheaf(room, "tokens", "--encoding", "../etc", "a.txt", code=3)
    done = sheaf(room, "tokens", "--vocab", "nowhere.vocab", "a.txt", code=3)
    check("nowhere.vocab" in done.err, done.err)


def vocabularies_are_found_in_the_users_data_folder(room):
    folder = room.at(".local/share/sheaf/vocab")
    os.makedirs(folder)
    os.rename(make(room), os.path.join(folder, "mine.vocab"))
    room.write("a.txt", "hello")
    done = sheaf(room, "tokens", "--encoding", "mine", "a.txt", code=0)
    same(done.out.split()[:1], [b"1"])


def a_file_of_another_encoding_is_refused(room):
    vocab = make(room)
    room.write("a.txt", "hello")
    done = sheaf(room, "tokens", "--vocab", vocab, "--encoding", "o200k_base", "a.txt", code=3)
    check("holds mine, not o200k_base" in done.err, done.err)


def a_damaged_vocabulary_is_refused(room):
    vocab = make(room)
    content = bytearray(room.read("mine.vocab"))
    content[len(content) // 2] ^= 1
    room.write("mine.vocab", bytes(content))
    room.write("a.txt", "hello")
    done = sheaf(room, "tokens", "--vocab", vocab, "a.txt", code=3)
    check("damaged" in done.err, done.err)


def a_source_that_is_no_vocabulary_makes_none(room):
    room.write("bad.tiktoken", "not base64 at all\n")
    done = sheaf(room, "tokens", "--make", "bad.tiktoken", "--encoding", "x", "--pattern", "none",
                 "--output", "x.vocab", code=3)
    check("bad.tiktoken" in done.err, done.err)
    check(not room.has("x.vocab"))
    done = sheaf(room, "tokens", "--make", "bad.tiktoken", code=2)
    check("--encoding" in done.err and "--output" in done.err, done.err)


# ---- the filter ----


def the_filter_encodes_and_decodes(room):
    make(room)
    same(ask(room, {"encoding": "mine", "text": "hello shell"}, {"encoding": "mine", "ids": [259, 33]},
             {"encoding": "mine", "text": ""}, {"encoding": "mine", "ids": []}),
         [{"ids": [259, 32, 115, 258], "count": 4}, {"base64": "aGVsbG8h", "text": "hello!"},
          {"ids": [], "count": 0}, {"base64": "", "text": ""}])


def the_filter_answers_text_null_where_bytes_are_no_utf8(room):
    make(room)
    cases = [[255], [0xC3], [0xC3, 0xA9], [0xED, 0xA0, 0x80], [0xF0, 0x9F, 0x98, 0x80], [0xC0, 0x80],
             [0xF4, 0x90, 0x80, 0x80], [0xE0, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0]]
    answers = ask(room, *[{"encoding": "mine", "ids": ids} for ids in cases])
    for ids, answer in zip(cases, answers):
        try:
            wanted = bytes(ids).decode()
        except UnicodeDecodeError:
            wanted = None
        same(answer, {"base64": base64.b64encode(bytes(ids)).decode(), "text": wanted})


def a_bad_line_has_its_answer_and_the_filter_goes_on(room):
    make(room)
    lines = [b"{", b"[]", {"encoding": "mine"}, {"encoding": "mine", "text": 5}, {"encoding": "mine", "ids": "x"},
             {"encoding": "mine", "ids": [1.5]}, {"encoding": "mine", "ids": [-1]}, {"encoding": "mine", "ids": [7777]},
             {"encoding": "absent", "text": "x"}, {"encoding": "../mine", "text": "x"}, {"encoding": "", "text": "x"},
             {"encoding": "mine", "text": "x", "ids": [1]}, {"encoding": "mine", "text": "x", "special": "some"},
             b'{"encoding":"mine","text":"\xff"}', b"", {"encoding": "mine", "text": "hello"}]
    answers = ask(room, *lines, code=3)
    same(len(answers), len(lines))
    for number, answer in enumerate(answers[:-1], 1):
        same(sorted(answer), ["error", "line"], lines[number - 1])
        same(answer["line"], number)
    same(answers[-1], {"ids": [259], "count": 1})


def the_filter_keeps_odd_text_whole(room):
    make(room)
    texts = ["\x00", "a\nb\t\"\\", "\u00e9\u4f60\U0001f600", "x" * 100000, "\u2028", "  "]
    encoded = ask(room, *[{"encoding": "mine", "text": text} for text in texts])
    decoded = ask(room, *[{"encoding": "mine", "ids": answer["ids"]} for answer in encoded])
    same([answer["text"] for answer in decoded], texts)
    same([base64.b64decode(answer["base64"]) for answer in decoded], [text.encode() for text in texts])


def the_filter_answers_each_line_before_the_next_comes(room):
    make(room)
    process = subprocess.Popen([SHEAF, "tokens", "--jsonl", "--vocab", room.path], cwd=room.path, env=PLAIN,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    room.started.append(lambda: (process.kill(), process.wait(), process.stdin.close(), process.stdout.close()))
    for text, count in (("hello", 1), ("hell", 1), ("help", 3)):
        process.stdin.write(json.dumps({"encoding": "mine", "text": text}).encode() + b"\n")
        process.stdin.flush()
        same(json.loads(process.stdout.readline())["count"], count)
    process.stdin.close()
    same(process.wait(timeout=10), 0)
    process.stdin = open(os.devnull, "wb")


def the_filter_takes_a_last_line_without_its_end(room):
    make(room)
    done = sheaf(room, "tokens", "--jsonl", "--vocab", room.path, stdin=b'{"encoding":"mine","ids":[259]}', code=0)
    same(json.loads(done.out)["text"], "hello")


def a_default_encoding_of_the_filter_comes_from_the_command_line(room):
    make(room)
    same(ask(room, {"text": "hello"}, args=("--encoding", "mine")), [{"ids": [259], "count": 1}])


# ---- plans ----


def plan(at, *args, env=None, code=0):
    return json.loads(sheaf(at, "plan", *args, "--json", env=env, code=code).out)


PRICES = json.dumps({"date": "2030-01-01", "prices": [
    {"provider": "openai", "model": "gpt-4o", "input": 2, "output": 10}]})


def a_plan_adds_up_tokens_and_cost(room):
    env = use_as(room, "o200k_base")
    room.write("p.json", PRICES)
    room.rows("in.jsonl", 4, max_tokens=1000)  # "question N": 3 + 4 + 10 + 3 tokens
    it = plan(room, "in.jsonl", "--model", "gpt-4o", "--prices", "p.json", env=env)
    same((it["requests"], it["invalid"], it["input_tokens"], it["output_tokens"]), (4, 0, 80, 4000))
    same(it["input_is_estimate"], False)
    same(it["cost"]["live_input_usd"], 80 * 2 / 1e6)
    same(it["cost"]["live_output_usd"], 4000 * 10 / 1e6)
    same(it["cost"]["live_usd"], 0.04016)
    same(it["cost"]["batch_usd"], 0.02008)
    same(it["cost"]["prices_date"], "2030-01-01")
    check(it["cost"]["is_upper_bound"])
    it = plan(room, "in.jsonl", "--model", "gpt-4o", "--prices", "p.json", "--output-tokens", 100, env=env)
    same(it["output_tokens"], 400)
    check(not it["cost"]["is_upper_bound"])


def a_plan_without_a_vocabulary_says_that_it_estimates(room):
    room.rows("in.jsonl", 4)
    it = plan(room, "in.jsonl", "--model", "gpt-4o")
    same(it["input_is_estimate"], True)
    check("scripts/vocab" in it["input_basis"], it["input_basis"])
    same(it["requests_counted"], 0)
    check(it["input_tokens"] > 0)
    text = sheaf(room, "plan", "in.jsonl", "--model", "gpt-4o", code=0).out.decode()
    check("an estimate" in text and "512 a request assumed" in text, text)


def the_slowest_limit_decides_the_time_of_a_plan(room):
    env = use_as(room, "o200k_base")
    room.rows("in.jsonl", 100, max_tokens=80)  # "question N": 20 or 21 tokens; with the cap 100 or 101
    limits = ("--rate-safety-pct", 100, "--concurrency", 10, "--latency-ms", 1000)
    it = plan(room, "in.jsonl", "--model", "gpt-4o", *limits, env=env)
    same((it["time"]["limited_by"], it["time"]["seconds"]), ("concurrency", 10))
    it = plan(room, "in.jsonl", "--model", "gpt-4o", *limits, "--rpm", 200, env=env)
    same((it["time"]["limited_by"], it["time"]["seconds"]), ("rpm", 30))
    tokens = it["input_tokens"] + it["output_tokens"]
    same(tokens, 10 * 100 + 90 * 101)
    it = plan(room, "in.jsonl", "--model", "gpt-4o", *limits, "--rpm", 200, "--tpm", tokens, env=env)
    same((it["time"]["limited_by"], it["time"]["seconds"]), ("tpm", 60))
    it = plan(room, "in.jsonl", "--model", "gpt-4o", *limits[2:], "--rate-safety-pct", 50, "--tpm", tokens, env=env)
    same(it["time"]["seconds"], 120)
    it = plan(room, "in.jsonl", "--model", "gpt-4o", "--concurrency", 3, env=env)
    same((it["time"]["seconds"], it["time"]["latency_is_assumed"]), (34 * 2, True))


def batch_jobs_are_divided_by_count_bytes_and_model(room):
    with open(room.at("in.jsonl"), "w") as file:
        for n in range(100001):
            file.write('"q%d"\n' % n)
    same(plan(room, "in.jsonl", "--model", "gpt-4o")["batch"]["jobs"], 3)
    same(plan(room, "in.jsonl", "--model", "claude-x", "--provider", "anthropic")["batch"]["jobs"], 2)
    same(plan(room, "in.jsonl", "--model", "gemini-x", "--provider", "gemini")["batch"]["jobs"], 1)
    same(plan(room, "in.jsonl", "--model", "llama", "--provider", "ollama")["batch"], None)
    room.write("two.jsonl", '{"prompt":"a","model":"gpt-4o"}\n{"prompt":"b","model":"gpt-4"}\n' * 5)
    same(plan(room, "two.jsonl")["batch"]["jobs"], 2)
    big = "x" * 1000000
    with open(room.at("big.jsonl"), "w") as file:
        for n in range(250):
            file.write('"%s"\n' % big)
    same(plan(room, "big.jsonl", "--model", "gpt-4o")["batch"]["jobs"], 2)  # 250 MB over files of 200 MB


def a_plan_names_the_lines_that_are_not_valid_and_ends_so(room):
    room.write("in.jsonl", '"good"\n{"prompt":\n"good"\n{"x":1}\n')
    done = sheaf(room, "plan", "in.jsonl", "--model", "gpt-4o", "--json", code=3)
    it = json.loads(done.out)
    same((it["requests"], it["invalid"]), (2, 2))
    same(it["warnings"]["invalid"], {"count": 2, "lines": [2, 4]})
    check("in.jsonl:2:" in done.err and "in.jsonl:4:" in done.err, done.err)
    text = sheaf(room, "plan", "in.jsonl", "--model", "gpt-4o", code=3).out.decode()
    check("2, 4" in text, text)


def a_plan_names_the_requests_that_exceed_the_context(room):
    env = use_as(room, "o200k_base")
    room.write("in.jsonl", '{"prompt":"hello","max_tokens":10}\n{"prompt":"hello!","max_tokens":10}\n"hello there"\n')
    it = plan(room, "in.jsonl", "--model", "gpt-4o", "--context-tokens", 25, env=env)
    same(it["warnings"]["over_context"], {"count": 1, "lines": [2]})  # 16 + 10


def a_plan_names_inputs_that_are_too_long_to_embed(room):
    env = use_as(room, "cl100k_base")
    room.write("in.jsonl", json.dumps({"input": "x" * 8192}) + "\n" + json.dumps({"input": "x" * 8193}) + "\n")
    it = plan(room, "in.jsonl", "--model", "text-embedding-3-small", "--url", "/v1/embeddings", env=env)
    same(it["warnings"]["over_embedding_limit"], {"count": 1, "lines": [2]})
    same((it["input_tokens"], it["output_tokens"]), (8192 + 8193, 0))
    total = sheaf(room, "tokens", "--model", "text-embedding-3-small", "--total", "in.jsonl", env=env, code=0).out
    same(int(total.split()[0]), 8192 + 8193)


def a_plan_needs_no_key_and_sends_nothing(room):
    room.write("in.jsonl", '"x"\n')
    port = Room.closed_port()
    it = plan(room, "in.jsonl", "--model", "gpt-4o", "--base-url", "http://127.0.0.1:%d/v1" % port)
    same(it["requests"], 1)


def a_plan_of_many_rows_adds_up_as_one_of_few_does(room):
    env = use_as(room, "o200k_base")
    total = 0
    with open(room.at("in.jsonl"), "w") as file:
        for n in range(20000):
            text = "w" * (n % 97 + 1)
            total += 10 + len(text)
            file.write(json.dumps({"custom_id": "r%d" % n, "prompt": text}) + "\n")
    for threads in (1, 2, 5):
        it = plan(room, "in.jsonl", "--model", "gpt-4o", "--threads", threads, env=env)
        same((it["requests"], it["input_tokens"], it["requests_counted"]), (20000, total, 20000))


def a_plan_comes_from_a_pipe_too(room):
    env = use_as(room, "o200k_base")
    done = sheaf(room, "plan", "-", "--model", "gpt-4o", "--json", stdin=b'"hello"\n{"x"\n', env=env, code=3)
    it = json.loads(done.out)
    same((it["requests"], it["input_tokens"], it["warnings"]["invalid"]["lines"]), (1, 15, [2]))


def a_dry_run_counts_with_a_vocabulary_and_estimates_without(room):
    env = use_as(room, "o200k_base")
    room.write("in.jsonl", '"hello"\n')
    done = sheaf(room, "run", "in.jsonl", "--dry-run", "--model", "gpt-4o", env=env, code=0)
    check(b"15 input tokens (counted: " in done.out, done.out)
    done = sheaf(room, "run", "in.jsonl", "--dry-run", "--model", "gpt-4o", code=0)
    check(b"an estimate" in done.out, done.out)


# ---- runs ----


def a_run_with_a_token_limit_counts_where_it_can(room):
    env = use_as(room, "o200k_base")
    room.rows("in.jsonl", 5)
    run = ("run", "in.jsonl", "-o", "out.jsonl", "--no-resume", "--provider", "sim")
    done = sheaf(room, *run, "--model", "gpt-4o", "--tpm", 10000000, env=env, code=0)
    same(done.err.count("input tokens are counted"), 1)
    check("counted for 5 requests" in done.err, done.err)
    done = sheaf(room, *run, "--model", "gpt-4o", env=env, code=0)
    check("input tokens" not in done.err, "nothing needs a count", done.err)


def a_run_that_cannot_count_says_why_once(room):
    env = use_as(room, "o200k_base")
    room.rows("in.jsonl", 5)
    run = ("run", "in.jsonl", "-o", "out.jsonl", "--no-resume", "--provider", "sim", "--tpm", 10000000)
    done = sheaf(room, *run, "--model", "some-llama", env=env, code=0)
    same(done.err.count("the encoding of some-llama is not known"), 1)
    check("counted for 0 requests, an estimate for 5" in done.err, done.err)
    done = sheaf(room, *run, "--model", "gpt-4o", code=0)
    check("scripts/vocab o200k_base" in done.err, done.err)
    done = sheaf(room, *run, "--model", "gpt-4o", "--quiet", code=0)
    same(done.err, "")


def a_run_keeps_what_exceeds_the_context_at_home(room):
    env = use_as(room, "o200k_base")
    room.write("in.jsonl", '"hello"\n"hello!"\n')
    done = sheaf(room, "run", "in.jsonl", "-o", "out.jsonl", "--provider", "sim", "--model", "gpt-4o",
                 "--context-tokens", 15, env=env)
    check("1 succeeded, 0 failed, 1 not attempted" in done.err, done.err)


def a_vocabulary_that_was_asked_for_must_be_there(room):
    room.rows("in.jsonl", 1)
    done = sheaf(room, "run", "in.jsonl", "-o", "out.jsonl", "--provider", "sim", "--model", "gpt-4o",
                 "--vocab", "nowhere.vocab", code=3)
    check("nowhere.vocab" in done.err, done.err)


# ---- usage ----


def wrong_usage_is_named(room):
    room.write("a.txt", "x")
    for args, word in ((("--bogus", "a.txt"), "--bogus"), ((), "files"), (("--count", "--encode", "a.txt"), "one of"),
                       (("--encoding",), "needs a value"), (("--threads", "x", "a.txt"), "--threads"),
                       (("--threads", "257", "a.txt"), "--threads"), (("--special", "x", "a.txt"), "--special"),
                       (("--format", "x", "a.txt"), "--format"),
                       (("--encoding", "o200k_base", "--model", "m", "a.txt"), "not both"),
                       (("--encode", "a.jsonl"), "--jsonl")):
        done = sheaf(room, "tokens", *args, code=2)
        check(word in done.err, args, done.err)
    done = sheaf(room, "plan", code=2)
    check("sheaf plan prompts.jsonl" in done.err, done.err)
    done = sheaf(room, "plan", "a.txt", "--json", "--latency-ms", "0", code=2)
    done = sheaf(room, "plan", "a.txt", "--target", "x", code=2)
    check(b"sheaf tokens" in sheaf(room, "help", "tokens", code=0).out)
    check(b"sheaf plan" in sheaf(room, "plan", "--help", code=0).out)


if __name__ == "__main__":
    sys.exit(test_cli.run_all(globals()))
