"""support.py COUNTS FILE...: runs the unittest files and writes "N passed, N failed" into COUNTS.
As a module: what they share, which is a simulator of their own each and its ledger."""
import faulthandler
import importlib
import json
import os
import subprocess
import sys
import unittest
import urllib.request

WORDS = "how many grains of sand make a heap, and who counts them"
TOOLS = {
    "get_weather": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 1},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 7},
        },
        "required": ["city", "unit", "days"],
        "additionalProperties": False,
    },
    "find": {
        "type": "object",
        "properties": {"terms": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
        "required": ["terms"],
        "additionalProperties": False,
    },
}


class Sim:
    """A `sheaf sim` on a free port."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [os.environ["SHEAF_BIN"], "sim", "--port", "0", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if "http://" not in line:
            self.process.kill()
            raise AssertionError("sheaf sim %s: %s" % (options, self.process.communicate()[1]))
        self.url = line[line.index("http://"):].split()[0]

    def stop(self):
        self.process.terminate()
        try:
            errors = self.process.communicate(timeout=20)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            errors = self.process.communicate()[1]
        # It has to end well when it is asked to, which is also when a build with sanitizers speaks.
        if self.process.returncode != 0:
            raise AssertionError("sheaf sim ended with %d: %s"
                                 % (self.process.returncode, errors[-4000:]))

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=20) as reply:
            return json.load(reply)

    def stats(self):
        return self.get("/_sim/stats")

    def ledger(self):
        entries = self.get("/_sim/ledger?after=0&limit=1000")["entries"]
        own = [entry for entry in entries if not entry["path"].startswith("/_sim")]
        return sorted(own, key=lambda entry: entry["seq"])


class Case(unittest.TestCase):
    maxDiff = None

    def sim(self, *options):
        sim = Sim(*options)
        self.addCleanup(sim.stop)
        return sim

    def during(self, sim, work):
        """What work returns, and what was received and billed while it ran."""
        before = sim.stats()
        result = work()
        now = sim.stats()
        billed = {name: now["billed"][name] - before["billed"][name] for name in now["billed"]}
        return result, now["received"] - before["received"], billed

    def usage_is_honest(self, billed, given, made):
        self.assertGreater(given, 0)
        self.assertGreater(made, 0)
        self.assertEqual((billed["input_tokens"], billed["output_tokens"]), (given, made))


def main():
    faulthandler.dump_traceback_later(600, exit=True)
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    suite = unittest.TestSuite()
    for name in sys.argv[2:]:
        module = importlib.import_module(os.path.basename(name)[: -len(".py")])
        suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
    # A test with failing subtests fails once.
    bad = {str(getattr(test, "test_case", test)) for test, _ in result.failures + result.errors}
    with open(sys.argv[1], "w", encoding="utf-8") as counts:
        counts.write("%d passed, %d failed\n" % (result.testsRun - len(bad), len(bad)))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
