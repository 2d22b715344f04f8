#!/bin/sh
# undefined_symbols.sh ARCHIVE: the core needs nothing from outside but what undefined_symbols.txt lists,
# and defines no name beyond sheaf_ (public) and sheaf__ (private).
set -eu
tidy=$(cd "$(dirname "$0")" && pwd)
archive=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LC_ALL=C
export LC_ALL

nm -P -g "$archive" 2>/dev/null | awk 'NF >= 2 && $2 != "U" && $2 != "w" { print $1 }' | sort -u >"$work/defined"
nm -P -g "$archive" 2>/dev/null | awk '$2 == "U" || $2 == "w" { print $1 }' | sort -u >"$work/undefined"
comm -13 "$work/defined" "$work/undefined" >"$work/needed"
grep -v '^#' "$tidy/undefined_symbols.txt" | grep . >"$work/allowed"

failed=0
if grep -vxE -f "$work/allowed" "$work/needed" >"$work/bad"; then
  failed=1
  echo "FAILED the core needs what it may not need:"
  for symbol in $(cat "$work/bad"); do
    nm -A -P -g "$archive" 2>/dev/null | grep " $symbol U" | sed 's/^/  /'
  done
fi
if grep -vE '^(sheaf_|cJSON_)' "$work/defined" >"$work/bad"; then
  failed=$((failed + 1))
  echo "FAILED names without the prefix:"
  sed 's/^/  /' "$work/bad"
fi
printf '%d passed, %d failed\n' "$((2 - failed))" "$failed"
[ "$failed" -eq 0 ]
