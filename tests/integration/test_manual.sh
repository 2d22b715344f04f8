#!/bin/sh
# test_manual.sh: every option that `sheaf help COMMAND` names is in the manual and in zsh's completion, and
# every option that those two name is one. (bash's completion asks the command.)
set -eu
: "${SHEAF_SOURCE:?is set by ctest}"
[ -n "${SHEAF_BIN:-}" ] || exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LC_ALL=C
export LC_ALL
cli=$SHEAF_SOURCE/native/cli
passed=0
failed=0

options() { grep -oE -- '--[a-z0-9][a-z0-9-]*[a-z0-9]' | sort -u; }

for command in run jobs bench serve sim plan tokens; do
  "$SHEAF_BIN" help "$command"
done | options | grep -vE '^--sim(-|$)' >"$work/help"
printf -- '--help\n--version\n--output\n' | sort -u - "$work/help" >"$work/known"
sed 's/Fl -\([a-z0-9]\)/--\1/g' "$cli/sheaf.1" | options | grep -vE '^--sim(-|$)' >"$work/manual"
options <"$cli/_sheaf" | grep -vE '^--sim(-|$)' >"$work/zsh"

check() { # NAME FILE_WITH_DIFFERENCES
  if [ -s "$2" ]; then
    failed=$((failed + 1))
    echo "FAILED $1:"
    sed 's/^/  /' "$2"
  else
    passed=$((passed + 1))
  fi
}

for place in manual zsh; do
  comm -23 "$work/help" "$work/$place" >"$work/differ"
  check "every option is in the $place" "$work/differ"
  comm -13 "$work/known" "$work/$place" >"$work/differ"
  check "every option in the $place is one" "$work/differ"
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
