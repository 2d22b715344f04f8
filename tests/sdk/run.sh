#!/bin/sh
# run.sh: the official clients of the providers, unchanged, against the simulator.
#
#   SHEAF_BIN=build/bin/sheaf tests/sdk/run.sh [PATTERN]
#
# PATTERN picks test files by a part of their names. The packages, pinned by package-lock.json and
# requirements.txt, go to $SHEAF_SDK_DIR (build-sdk beside the sources unless told otherwise) once for
# each state of those files; node, npm and python3 must be there. Ends with "N passed, N failed".
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${SHEAF_BIN:-}" ]; then
  echo "SHEAF_BIN must name the sheaf binary, as in SHEAF_BIN=build/bin/sheaf $0" >&2
  exit 2
fi
SHEAF_BIN=$(cd "$(dirname "$SHEAF_BIN")" && pwd)/$(basename "$SHEAF_BIN")
export SHEAF_BIN
cache=${SHEAF_SDK_DIR:-$here/../../build-sdk}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
pattern=${1:-}

# No key, address or proxy of the user's may meet the clients; what they need is in the tests.
unset OPENAI_API_KEY OPENAI_BASE_URL OPENAI_ORG_ID OPENAI_PROJECT_ID OPENAI_LOG
unset ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN ANTHROPIC_BASE_URL ANTHROPIC_LOG
unset GEMINI_API_KEY GOOGLE_API_KEY GOOGLE_GENAI_USE_VERTEXAI OLLAMA_HOST OLLAMA_API_KEY

# key FILE...: a name for a state of these files.
key() {
  cat "$@" | cksum | tr -c '0-9\n' '-'
}

# A folder comes into being whole or not at all, so that a run that is ended leaves nothing half done.
node_home=$cache/node-$(key "$here/package.json" "$here/package-lock.json")
if [ ! -d "$node_home" ]; then
  fresh=$(mktemp -d "$cache/fresh.XXXXXX")
  cp "$here/package.json" "$here/package-lock.json" "$fresh"
  (cd "$fresh" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  mv "$fresh" "$node_home" 2>/dev/null || rm -rf "$fresh"
fi
version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
python_home=$cache/python-$version-$(key "$here/requirements.txt")
if [ ! -d "$python_home" ]; then
  fresh=$(mktemp -d "$cache/fresh.XXXXXX")
  python3 -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --require-hashes \
    --only-binary :all: --target "$fresh" -r "$here/requirements.txt" >&2
  mv "$fresh" "$python_home" 2>/dev/null || rm -rf "$fresh"
fi

# The package clients above may have needed these.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

# Modules are found upwards from a file, so the tests are copied to where the packages are.
run=$(mktemp -d "$node_home/run.XXXXXX")
trap 'rm -rf "$run"' EXIT
trap 'exit 130' INT TERM
cp "$here"/*.mjs "$here"/*.json "$here"/*.py "$run"

status=0
passed=0
failed=0
cd "$run"
files=$(ls | grep "$pattern" | grep '\.test\.mjs$' || true)
if [ -n "$files" ]; then
  # Names of ours have no blanks, so they split well.
  # shellcheck disable=SC2086
  node --test --test-concurrency=4 --test-timeout=300000 --test-reporter=tap \
    --test-reporter-destination=tap.txt --test-reporter=spec --test-reporter-destination=stdout \
    $files || status=1
  passed=$(sed -n 's/^# pass //p' tap.txt)
  failed=$(($(sed -n 's/^# fail //p' tap.txt) + $(sed -n 's/^# cancelled //p' tap.txt)))
fi
files=$(ls | grep "$pattern" | grep '^test_.*\.py$' || true)
if [ -n "$files" ]; then
  # shellcheck disable=SC2086
  PYTHONPATH=$python_home PYTHONDONTWRITEBYTECODE=1 \
    python3 support.py python.txt $files || status=1
  passed=$((passed + $(sed -n 's/ passed,.*//p' python.txt)))
  failed=$((failed + $(sed -n 's/.*passed, \([0-9]*\) failed/\1/p' python.txt)))
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ] && [ "$status" -eq 0 ]
