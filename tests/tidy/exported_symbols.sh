#!/bin/sh
# exported_symbols.sh LIBSHEAF_CORE_SO LIBSHEAF_SO: the shared libraries export exactly what the ledgers
# list, no private name, and everything that a header promises.
set -eu
tidy=$(cd "$(dirname "$0")" && pwd)
source=${SHEAF_SOURCE:-$tidy/../..}
core=$1
whole=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LC_ALL=C
export LC_ALL
passed=0
failed=0

compare() { # NAME LIBRARY LEDGER...
  name=$1
  library=$2
  shift 2
  nm -D -P --defined-only "$library" | awk '{ sub(/@.*/, "", $1); print $1 }' | sort -u >"$work/exported"
  # The simulated provider is part of the command, the endpoint a library of its own.
  cat "$@" | grep -v '^#' | awk '{ print $1 }' | grep -vE '^sheaf_(sim|serve)_' | sort -u >"$work/ledger"
  comm -3 "$work/exported" "$work/ledger" >"$work/differ"
  if [ -s "$work/differ" ]; then
    failed=$((failed + 1))
    echo "FAILED $name: exported but not listed | listed but not exported"
    sed 's/^/  /' "$work/differ"
  else
    passed=$((passed + 1))
  fi
}

compare libsheaf-core "$core" "$source/core/symbols.txt"
compare libsheaf "$whole" "$source/core/symbols.txt" "$source/native/symbols.txt"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
