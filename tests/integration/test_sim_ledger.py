"""test_sim_ledger.py SHEAF: the accounts of `sheaf run` against the books of `sheaf sim`, fault by fault.

Every row of a run names a model of its own, so that the ledger's entries can be told apart, and the
schedule gives each row its fault exactly once. Then every row ends well after its retry, or with the
class that the fault means; the answer is complete; each attempt's billing in the row's history agrees
with the ledger's entry of that attempt; and the run's tokens are the ledger's to the token, less those
that no client could have been told.

    faults and what they mean, the run, what both must say, tests
"""
import json
import random
import sys
import urllib.request

sys.dont_write_bytecode = True
import test_cli  # noqa: E402
from test_cli import check, same  # noqa: E402

PROVIDERS = ("openai", "anthropic", "gemini", "ollama")
STREAM = (False, True)

# ---- faults and what they mean ----

# The class of the attempt that meets the fault, and of one that streams where that differs. None: a good
# client takes no harm.
CLASSES = {
    "429": "rate_limit",
    "429-bare": "rate_limit",
    "500": "server",
    "502": "server",
    "503": "overloaded",
    "529": "overloaded",
    "408": "timeout",
    "reset": "network",
    "reset-head": "network",
    "reset-body": "network",
    "truncate": "network",
    "cut": "network",
    "garbage-head": "network",
    "gzip-bad": "network",
    "chunks-bad": "network",
    "length": ("invalid_response", "network"),
    "garbage": ("invalid_response", "network"),
    "late-error": "server",
    "no-end": ("invalid_response", None),  # the reason of the end was seen, so nothing is missing
    "no-usage": None,
    "drip": None,
    "blank": None,
    "gzip": None,
    "chunks": None,
    "redirect": "invalid_request",
}
# Where a provider differs: its late error is another, or the event that lacks held the reason of the end. A line of
# garbage is one that cannot be read, if it ends.
OF_PROVIDER = {
    ("anthropic", "late-error"): "overloaded",
    ("gemini", "late-error"): "overloaded",
    ("gemini", "no-end"): ("invalid_response", "network"),
    ("ollama", "late-error"): "unknown",  # a sentence without a code
    ("ollama", "no-end"): ("invalid_response", "network"),
    ("ollama", "garbage"): ("invalid_response", "network|invalid_response"),
}
ALONE = ("garbage-head", "429-bare")  # each in a test of its own: the second stops the run for half a minute
FINAL = ("redirect",)  # another try would meet it again
ROWS = 2


def class_of(kind, stream, provider):
    wanted = OF_PROVIDER.get((provider, kind), CLASSES[kind])
    return wanted[stream] if isinstance(wanted, tuple) else wanted


# ---- the run ----


def get(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        return json.load(answer)


def prompt_of(model):
    return "what is %s?" % model


class Account:
    """One run against a simulator of its own, and what both say of it."""

    def __init__(self, room, models, rules, *more, provider="openai", stream=False, sim=(), code=None):
        room.write("faults.jsonl", "".join(json.dumps(rule) + "\n" for rule in rules))
        room.write("in.jsonl", "".join(
            json.dumps({"custom_id": model, "model": model, "prompt": prompt_of(model)}) + "\n" for model in models))
        self.sim = room.sim("--faults", "faults.jsonl", "--retry-after", "20", "--drip", "1", "--refuse", "50",
                            "--latency", "fixed:2", *sim)
        base = self.sim.url + {"openai": "/v1", "gemini": "/v1beta"}.get(provider, "")
        done = room.run("in.jsonl", "-o", "out.jsonl", "--summary", "s.json", "--no-resume", "--retry-base-ms", "5",
                        "--retry-max-ms", "40", "--attempt-timeout-ms", "3000", "--max-retries", "8",
                        "--concurrency", "8", "--quiet", "--provider", provider, "--base-url", base,
                        *(("--stream",) if stream else ()), *more, code=code, limit=60,
                        env={"%s_API_KEY" % provider.upper(): "sk-test"})
        self.code, self.stream, self.provider = done.code, stream, provider
        self.stats = self.sim.ledger_at_rest()
        self.entries = get(self.sim.url + "/_sim/ledger")["entries"]
        self.summary = json.loads(room.read("s.json"))
        self.lines = {line["custom_id"]: line for line in room.lines("out.jsonl")}
        self.tries = {model: [e for e in self.entries if e["model"] == model] for model in models}
        same(sum(len(tries) for tries in self.tries.values()), len(self.entries), "entries are of the rows")
        same(len(room.lines("out.jsonl")), len(self.lines), "a row has one line")

    def history(self, model):
        """The row's attempts that reached the server."""
        row = self.lines[model]["sheaf"]
        attempts = row.get("history") or [{"error_class": row["error_class"], "billing": row["billing"]}]
        same(len(attempts), row["attempts"], "%s: the history tells every attempt" % model)
        return [attempt for attempt in attempts if attempt["billing"] != "not_sent"]


def each_once(kinds):
    """A row for each kind, ROWS times, and the rules that give each row its fault the first time. Good rows stand
    between them, or the run would stop for a while to spare a server that only fails."""
    bad = ["%s_%d" % (kind, n) for n in range(ROWS) for kind in kinds]
    models = [name for n, model in enumerate(bad) for name in (model, *("plain_%d_%d" % (n, i) for i in range(3)))]
    return models, [{"fault": kind_of(model), "model": model, "first": 1} for model in bad]


def kind_of(model):
    return model.split("_")[0]


# ---- what both must say ----


def billing_agrees(account):
    """Attempt by attempt: what the run calls billed was, what it calls refused was not, what it does not know is one
    of the two and counted as such. So what was billed twice is told twice."""
    unknown = 0
    for model, tries in account.tries.items():
        if model not in account.lines:
            continue
        attempts = account.history(model)
        same(len(attempts), len(tries), "%s: attempts that the ledger has" % model)
        for attempt, entry in zip(attempts, tries):
            if attempt["billing"] == "unknown":
                unknown += 1
            else:
                same(attempt["billing"] == "billed", entry["billed"], "%s: %r, %r" % (model, attempt, entry))
    same(account.summary["unknown_outcomes"], unknown, "outcomes that the run calls unknown")
    billed = [entry for entry in account.entries if entry["billed"]]
    same(account.stats["billed"], {"requests": len(billed),
                                   "input_tokens": sum(entry["input_tokens"] for entry in billed),
                                   "output_tokens": sum(entry["output_tokens"] for entry in billed)}, "sums")


def tokens_agree(account):
    """To the token; but an answer that fails midway may have told its input, and as much of its output as it had."""
    tells_early = account.stream and account.provider in ("anthropic", "gemini")
    told = tells_usage(account)
    whole = [entry for entry in account.entries if entry["billed"] and told(entry)]
    failed = [entry for entry in account.entries if entry["fault"] == "late-error" and tells_early]
    same(account.summary["input_tokens"], sum(entry["input_tokens"] for entry in whole + failed), "input tokens")
    surely = sum(entry["output_tokens"] for entry in whole)
    midway = account.summary["output_tokens"] - surely
    check(0 <= midway <= sum(entry["output_tokens"] for entry in failed), "output tokens", surely, midway)


def tells_usage(account):
    """Whether the client could read an entry's usage."""
    def told(entry):
        if entry["fault"] == "no-usage" or entry["ended"] != "answered":
            return False
        ended_well = class_of("no-end", True, account.provider) is None
        return entry["whole"] or (entry["fault"] == "no-end" and entry["stream"] and ended_well)
    return told


def rows_end_as_the_fault_means(account):
    for model, line in account.lines.items():
        kind = kind_of(model)
        if kind == "plain":
            is_whole(account, model)
            continue
        wanted = class_of(kind, account.stream, account.provider)
        attempts, tries = account.history(model), account.tries[model]
        same(tries[0]["fault"], kind, "the first try meets its fault")
        check(attempts[0]["error_class"] in (wanted.split("|") if wanted else (None,)),
              "%s: class of the first try" % model, attempts[0], wanted)
        same(len(tries), 1 if wanted is None or kind in FINAL else 2, "%s: tries" % model)
        if kind in FINAL:
            check(line["error"] is not None and line["sheaf"]["error_class"] == wanted, model, line)
        else:
            is_whole(account, model)
            check(tries[-1]["status"] == 200 and tries[-1]["billed"], model, tries)


def is_whole(account, model):
    line = account.lines[model]
    same((line["error"], line["sheaf"]["text"]), (None, "echo: " + prompt_of(model)), model)


def all_hold(account):
    same(sorted(account.lines), sorted(account.tries), "every row ends")
    billing_agrees(account)
    tokens_agree(account)


# ---- tests ----


def each_fault_means_the_same_to_both(room, provider, stream):
    models, rules = each_once([kind for kind in CLASSES if kind not in ALONE])
    account = Account(room, models, rules, provider=provider, stream=stream, code=4)  # the redirected ones fail
    rows_end_as_the_fault_means(account)
    all_hold(account)
    for kind, count in account.stats["faults"].items():
        same(count, ROWS if kind in CLASSES and kind not in ALONE else 0, kind)


def a_429_without_a_hint_is_waited_out(room):
    account = Account(room, ["429-bare_0"], [{"fault": "429-bare", "first": 1}], code=0)
    rows_end_as_the_fault_means(account)
    all_hold(account)


def openai_faults_mean_the_same_to_both(room):
    each_fault_means_the_same_to_both(room, "openai", False)
    each_fault_means_the_same_to_both(room, "openai", True)


def anthropic_faults_mean_the_same_to_both(room):
    each_fault_means_the_same_to_both(room, "anthropic", False)
    each_fault_means_the_same_to_both(room, "anthropic", True)


def gemini_faults_mean_the_same_to_both(room):
    each_fault_means_the_same_to_both(room, "gemini", False)
    each_fault_means_the_same_to_both(room, "gemini", True)


def ollama_faults_mean_the_same_to_both(room):
    each_fault_means_the_same_to_both(room, "ollama", False)
    each_fault_means_the_same_to_both(room, "ollama", True)


def bytes_that_are_no_http_are_tried_again(room):
    models, rules = each_once(["garbage-head"])
    for stream in STREAM:
        account = Account(room, models, rules, stream=stream, code=0)
        rows_end_as_the_fault_means(account)
        all_hold(account)


def with_resend_never_a_doubtful_row_is_not_sent_again(room):
    doubtful = ("408", "reset", "reset-head", "reset-body", "truncate", "cut", "gzip-bad", "chunks-bad")
    models, rules = each_once([*doubtful, "500", "429", "length", "no-end"])
    account = Account(room, models, rules, "--resend-unknown", "never", code=4)
    all_hold(account)
    for model, line in account.lines.items():
        if kind_of(model) in doubtful:
            check(line["error"] is not None, model, line)
            same(len(account.tries[model]), 1, "%s: tries" % model)
        else:
            is_whole(account, model)
    # A whole answer that cannot be read is known to be billed; the row says that it was paid for twice.
    twice = [model for model, tries in account.tries.items() if sum(entry["billed"] for entry in tries) > 1]
    same(sorted(kind_of(model) for model in twice), sorted(["length", "no-end"] * ROWS), "billed twice")
    for model in twice:
        same([attempt["billing"] for attempt in account.history(model)], ["billed", "billed"], model)
    same(account.stats["again"]["billed"], len(twice))


def a_server_that_refuses_connections_is_waited_for(room):
    models, rules = each_once(["refuse"])
    account = Account(room, models, rules, "--concurrency", "1", "--max-retries", "50", "--retry-base-ms", "300",
                      "--retry-max-ms", "2000", code=0, sim=("--refuse", "5"))
    all_hold(account)
    for model in models:
        is_whole(account, model)
        wanted = [None] if kind_of(model) == "plain" else ["refuse", None]
        same([entry["fault"] for entry in account.tries[model]], wanted, model)
    same(account.stats["billed"]["requests"], len(models))


def a_quota_that_is_used_up_bills_nothing_and_loses_nothing(room):
    models = ["plain_%d" % n for n in range(20)]
    account = Account(room, models, [{"fault": "quota", "skip": 8}], "--concurrency", "2", code=4)
    billing_agrees(account)
    tokens_agree(account)
    same(len(account.lines) + account.summary["not_attempted"], 20)
    same(account.stats["billed"]["requests"], len(account.lines))
    check(8 <= len(account.lines) < 20 and account.stats["faults"]["quota"] in (1, 2), account.stats["faults"])
    for model in account.lines:
        is_whole(account, model)


def refusals_for_load_are_never_billed(room):
    models = ["plain_%d" % n for n in range(60)]
    account = Account(room, models, [], "--max-retries", "100", "--max-throttles", "250", code=0,
                      sim=("--capacity", "2", "--queue", "1", "--concurrency", "5", "--latency", "fixed:15"))
    all_hold(account)
    limited = account.stats["limited"]
    check(limited["queue"] + limited["concurrency"] > 0, limited)
    same(sum(entry["error"] in ("queue", "concurrency") for entry in account.entries),
         limited["queue"] + limited["concurrency"])
    same((account.stats["billed"]["requests"], account.stats["again"]["billed"]), (60, 0))
    check(account.stats["waiting_max"] == 1, account.stats)


def in_a_storm_the_books_agree(room):
    kinds = [kind for kind in CLASSES if kind not in (*ALONE, *FINAL)] + ["stall", "stall-body"]
    shares = ",".join("%s:%s" % (kind, "0.3%" if kind.startswith("stall") else "0.8%") for kind in kinds)
    draw = random.Random(test_cli.SEED)
    for stream in STREAM:
        models = ["plain_%d" % n for n in range(240)]
        account = Account(room, models, [], "--concurrency", "16", "--max-retries", "40", code=0, stream=stream,
                          provider=draw.choice(PROVIDERS),
                          sim=("--fault", shares, "--seed", str(draw.randrange(1000)), "--answer", "echo"))
        all_hold(account)
        for model in models:
            is_whole(account, model)
        check(sum(account.stats["faults"].values()) > 30, account.stats["faults"])


if __name__ == "__main__":
    sys.exit(test_cli.run_all(globals()))
