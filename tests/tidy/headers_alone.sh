#!/bin/sh
# headers_alone.sh: each public header compiles when it is the first and only one, in C11 and in C++11,
# and twice over. Uses CC and CXX from the environment; without a C++ compiler that half is skipped.
set -eu
source=${SHEAF_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# compile NAME COMMAND...: the source comes on standard input.
compile() {
  name=$1
  shift
  if "$@" -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Wundef -Werror \
    -I"$source/core/include" -I"$source/native/include" - <"$work/source" 2>"$work/errors"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED %s\n' "$name"
    cat "$work/errors"
  fi
}

for header in "$source"/core/include/sheaf/*.h "$source"/native/include/sheaf/*.h; do
  name=sheaf/$(basename "$header")
  printf '#include <%s>\n#include <%s>\nint main(void) { return 0; }\n' "$name" "$name" >"$work/source"
  compile "$name in C" "${CC:-cc}" -std=c11 -x c
  if [ -n "${CXX:-}" ] && [ "${CXX%NOTFOUND}" = "$CXX" ]; then
    compile "$name in C++" "$CXX" -std=c++11 -x c++
  fi
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
