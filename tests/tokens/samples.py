"""Texts to compare tokenizers on, all drawn from a seed: slices of real texts, and what real texts hold
too rarely: white space of every kind, contractions in odd cases, digits of many scripts, emoji, code points
at random, texts and fragments of specials, decomposed forms, long runs, ill-formed bytes."""
import json
import os
import unicodedata

SPACES = (" \n\r\t\v\f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
          "\u2028\u2029\u202f\u205f\u3000")
NEARLY_SPACES = "\x00\x1c\x1d\x1e\x1f\u180e\u200b\u200c\u200d\u2060\ufeff"
APOSTROPHES = ["'", "'", "'", "\u2019", "\u02bc", "\uff07", "`", "''"]
ENDINGS = ["s", "t", "re", "ve", "m", "ll", "d", "\u017f", "\u212a", "l", "r", "v", "e", "st", "lls", "\u0131",
           "\u1e9e", "\u0282", "x"]
ZEROS = [0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xe50, 0xf20, 0x1040, 0x17e0, 0xff10, 0x104a0, 0x1d7ce, 0x1fbf0]
NUMBERS = "\u00b2\u00b3\u00b9\u00bc\u00bd\u2070\u2160\u2167\u2460\u3007\u3021\u4e00\u4e8c\u0bf0\U00010107\U0001f100"
PUNCTUATION = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\u00a1\u00ab\u2013\u2014\u2026\u3001\u3002\uff01\uff0c\u20ac\u2192\u2500"
WORDS = ["a", "A", "I", "you", "THEY", "Who", "don", "CamelCase", "snake_case", "kebab-case", "\u00c9cole", "stra\u00dfe",
         "\u01c5", "\u01c8x", "\u02b0", "\u0410\u0431", "\u05d0", "\u0639", "\u0928\u093f", "\u65e5\u672c", "\u304b\u306a",
         "\ud55c\uae00", "e\u0301", "\u0301", "\u1100\u1161", "\u212b", "\ufb01", "0x1F", "1e9", "v2", "\u0e33", "\u0f0b"]
# What the patterns tell apart, a few of each.
CLASSES = ["AZ\u00c9", "az\u00e9\u017f", "\u01c5\u1f88", "\u02b0\u3005", "\u4e2d\u05d0\u00aa", "\u0301\u093f\u20dd", "1\u00b2\u0663", "  ", " \t\u00a0",
           "\n\r", "!-.", "/", "'", "strevmldSTREVMLD", "\x00\u200d\U0001f600"]
# Blocks where something is: start, end.
BLOCKS = [(0x0, 0x24f), (0x250, 0x52f), (0x530, 0x7ff), (0x800, 0x109f), (0x10a0, 0x1fff), (0x2000, 0x2bff),
          (0x2c00, 0x2fff), (0x3000, 0x33ff), (0x3400, 0x9fff), (0xa000, 0xabff), (0xac00, 0xd7ff), (0xe000, 0xf8ff),
          (0xf900, 0xffff), (0x10000, 0x11fff), (0x12000, 0x16fff), (0x17000, 0x1bfff), (0x1d000, 0x1d7ff),
          (0x1e000, 0x1ffff), (0x20000, 0x323af), (0xe0000, 0xe01ef), (0xf0000, 0x10ffff)]


def read(path):
    with open(path, encoding="utf-8", newline="") as f:
        return f.read()


class Samples:
    def __init__(self, folder, source, random):
        self.random = random
        self.texts = [read(os.path.join(folder, "texts", name)) for name in ("code.txt", "english.txt", "mixed.txt")]
        self.emoji = json.loads(read(os.path.join(folder, "samples", "data-ordered-emoji.json")))
        lines = read(os.path.join(source, "tests", "data", "prompts.jsonl")).splitlines()
        self.prompts = [json.loads(line)["prompt"] for line in lines]
        self.licence = read(os.path.join(source, "LICENSE"))
        self.kinds = [self.prompt, self.slice, self.slice, self.decomposed, self.emojis, self.white_space,
                      self.contractions, self.digits, self.code_points, self.runs, self.classes, self.jumble, self.jumble]

    def any(self):
        return self.random.choice(self.kinds)()

    def prompt(self):
        return self.random.choice(self.prompts)

    def slice(self, most=600):
        text = self.random.choice(self.texts)
        begin = self.random.randrange(len(text))
        return text[begin:begin + self.random.randint(0, most)]

    def decomposed(self):
        form = self.random.choice(["NFD", "NFKD", "NFC", "NFKC"])
        return unicodedata.normalize(form, self.slice(200))

    def emojis(self):
        r = self.random
        return "".join(r.choice([r.choice(self.emoji), r.choice(self.emoji), " ", "\u200d", "\ufe0f", "ok", "\n"])
                       for _ in range(r.randint(1, 20)))

    def white_space(self):
        r = self.random
        alphabet = r.choice([" \n", " \n\r\t", SPACES, SPACES + NEARLY_SPACES])
        parts = []
        for _ in range(r.randint(1, 12)):
            parts.append("".join(r.choice(alphabet) for _ in range(r.choice([1, 1, 2, 3, 5, 9, 40]))))
            parts.append(r.choice(["", "x", "Word", "7", "1234", "!", "//", "\u4e2d", "\u0301", "'s", "<|"]))
        return "".join(parts)

    def contractions(self):
        r = self.random
        parts = []
        for _ in range(r.randint(1, 8)):
            ending = "".join(r.choice([c, c, c.upper(), c.lower()]) for c in r.choice(ENDINGS))
            parts += [r.choice([" ", "", r.choice(PUNCTUATION), "\n"]), r.choice(WORDS + [""]), r.choice(APOSTROPHES),
                      ending, r.choice(["", "", "x", "X", "\u0301", "9", "'s"])]
        return "".join(parts)

    def digits(self):
        r = self.random
        parts = []
        for _ in range(r.randint(1, 8)):
            zero = r.choice(ZEROS)
            run = [chr(zero + r.randrange(10)) if r.random() < 0.9 else r.choice(NUMBERS)
                   for _ in range(r.randint(1, 11))]
            parts += run + [r.choice(["", " ", "  ", ",", ".", "-", "x", "\n"])]
        return "".join(parts)

    def code_points(self):
        r = self.random
        begin, end = r.choice(BLOCKS)
        near = r.randint(begin, end)
        return "".join(chr(min(end, max(begin, near + r.randint(-40, 40)))) if r.random() < 0.8
                       else r.choice([" ", "a", "Z", "1", "'s", "\n", "-"]) for _ in range(r.randint(1, 60)))

    def runs(self, most=400):
        r = self.random
        unit = r.choice([r.choice(WORDS), r.choice(PUNCTUATION), r.choice(SPACES), r.choice(self.emoji),
                         chr(0x30 + r.randrange(10)), chr(0x61 + r.randrange(26)), "ab", "\r\n", " a", "'s"])
        count = max(1, r.randint(1, most) // len(unit.encode()))
        return r.choice(["", "x", " ", "1"]) + unit * count + r.choice(["", "x", "\n", "!", " y"])

    def classes(self):
        r = self.random
        some = r.sample(CLASSES, r.randint(2, 6)) if r.random() < 0.7 else CLASSES
        return "".join(r.choice(r.choice(some)) for _ in range(r.randint(1, 16)))

    def jumble(self):
        r = self.random
        parts = []
        for _ in range(r.randint(1, 10)):
            kind = r.choice(self.kinds[:-2])
            part = kind()
            begin = r.randrange(len(part) + 1)
            parts.append(part[begin:begin + r.randint(1, 25)])
        return "".join(parts)

    def with_specials(self, specials):
        """A text that holds some of the specials, and things that nearly are."""
        r = self.random
        parts = []
        for _ in range(r.randint(1, 6)):
            special = r.choice(specials)
            parts += [self.any()[:r.choice([0, 3, 40])], r.choice([
                special, special, special, special[:r.randrange(len(special))], special[1:], special.upper(),
                special[:-1] + special, "<|" + special, special + special, " " + special + " ", special + "\n"])]
        return "".join(parts)

    def ill_formed(self):
        """Bytes that are mostly no UTF-8."""
        r = self.random
        if r.random() < 0.3:
            return r.randbytes(r.randint(0, 60))
        data = bytearray(self.any()[:r.choice([5, 50, 300])].encode())
        for _ in range(r.randint(1, 3)):
            at = r.randint(0, len(data))
            data[at:at + r.randint(0, 1)] = r.choice([
                b"\xff", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\x80",
                b"\xf4\x90\x80\x80", b"\xf8", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc3", b"", r.randbytes(1)])
        return bytes(data)

    def sweep(self, planes, step, context):
        """Texts that hold the code points, one in so many, in some contexts; of planes that are not named,
        where nothing is assigned, one in 997."""
        points = [c for c in range(0x110000) if not 0xd800 <= c <= 0xdfff
                  and (c >> 16 in planes and c % step == 0 or c % 997 == 0)]
        for i in range(0, len(points), 64):
            yield "".join(context.replace("?", chr(c)) for c in points[i:i + 64])


def long_runs(size):
    """(text, its pieces or None) of so many bytes. tiktoken's regular expressions run out of stack on long
    white space, so that there the pieces are told as the patterns define them: all of a run but its last
    character, which goes with what follows."""
    for unit in ("a", "0", "!", "\n", "ab", " a", "Aa", "'s", "e\u0301", "\u3042", "\u4e2d\u6587", "\U0001f468\u200d\U0001f469",
                 "-", "=", "/", "\u0410", "\U0001d400", "\x00", "\ufffd"):
        yield unit * (size // len(unit.encode())), None
    for space in (" ", "\u00a0", "\u3000"):
        run = space * (size // len(space.encode()))
        yield run, [run]
    run = " " * size
    yield run + "x", [run[:-1], " x"]
