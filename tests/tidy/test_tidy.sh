#!/bin/sh
# test_tidy.sh: tidy.sh finds what it is for. A small clean tree passes every rule; then one offence at a
# time is planted, and the rule named for it must fail, and no other.
set -eu
tidy=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

clean_tree() {
  rm -rf "$work/tree"
  mkdir -p "$work/tree/core/src/base" "$work/tree/core/src/flow" "$work/tree/core/include/sheaf" \
    "$work/tree/native/cli" "$work/tree/native/include/sheaf"
  cd "$work/tree"
  for folder in core core/src/base core/src/flow native native/cli; do
    echo "About $folder." >"$folder/README.md"
  done
  printf '/* base.h: a header. */\n\n/* Tells. Since 0.1. */\nSHEAF_API int sheaf_base(void);\n' \
    >core/include/sheaf/base.h
  echo 'sheaf_base 0.1' >core/symbols.txt
  : >native/symbols.txt
  cat >core/src/base/base.c <<'C'
/* base.c: a source; calls malloc( and strcpy( in a comment only. */
#include <string.h>

static const char word[] = "printf(";

int sheaf_base(void) {
  return word[0];
}
C
  printf '/* main.c: a command. */\n#include <sheaf/base.h>\n' >native/cli/main.c
}

verdict() { # NAME EXPECTED_FAILING_RULE
  sh "$tidy/tidy.sh" "$work/tree" >"$work/out" 2>&1 || true
  found=$(grep '^FAILED ' "$work/out" | sed 's/^FAILED //')
  if [ "$found" = "$2" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED %s: expected "%s", found "%s"\n' "$1" "$2" "$found"
  fi
}

plant() { # FILE TEXT EXPECTED_FAILING_RULE
  clean_tree
  mkdir -p "$(dirname "$1")"
  printf '%b\n' "$2" >>"$1"
  verdict "$2 in $1" "$3"
}

clean_tree
verdict "a clean tree" ""

base=core/src/base/base.c
plant $base 'void f(void) { strcpy(a, b); }' "no banned call"
plant native/cli/main.c 'int n = atoi (text);' "no banned call"
plant $base 'void f(void) { p = malloc(3); }' "no I/O, heap or environment in the core"
plant $base 'void f(void) { printf("x"); }' "no I/O, heap or environment in the core"
plant $base 'int f(void) { return errno; }' "no I/O, heap or environment in the core"
plant core/src/flow/flow.c '/* flow.c: x */\nint f(void) { double d = 1; return (int)d; }' \
  "no floating point in scheduling"
plant $base 'static int counter;' "no mutable global in the core"
plant $base 'static uint64_t table[4] = {1, 2};' "no mutable global in the core"
plant $base "int f(void) { return $(printf '%0100d' 1); }" "code within 100 columns, comments within 140"
plant $base "/* $(printf '%0140d' 1) */" "code within 100 columns, comments within 140"
plant $base "$(yes '/* line */' | head -n 700)" "files of 700 lines, tests of 1500"
plant $base "void f(void) {\n$(yes '  g();' | head -n 101)\n}" "functions of 100 lines"
plant $base '#include "flow/flow.h"' "includes point down"
plant $base '#include <time.h>' "includes point down"
plant core/src/flow/flow.c '/* flow.c: x */\n#include "lanes/lane.h"' "includes point down"
plant core/src/flow/flow.c '/* flow.c: x */\n#include <cjson/cJSON.h>' "includes point down"
plant core/include/sheaf/base.h '#include <stdio.h>' "includes point down"
plant native/cli/main.c '#include "curl/private.h"' "native stands on public headers"
plant native/cli/main.c '#include <curl/curl.h>' "native stands on public headers"
clean_tree
printf '\nSHEAF_API int sheaf_more(int a,\n    int b);\n' >>core/include/sheaf/base.h
echo 'sheaf_more 0.1' >>core/symbols.txt
verdict "a function without a comment" "public functions are explained"
plant core/symbols.txt 'sheaf_gone 0.1' "the ledger of symbols is complete"
plant core/include/sheaf/base.h '/* Tells. */\nSHEAF_API void *sheaf_new(void);' \
  "the ledger of symbols is complete"
plant native/cli/main.c '/* see /ho''me/someone/x */' "no path of one machine"
plant $base '/* TO''DO: later */' "no marker"
plant $base 'int f(void); ' "no stray blanks"
plant native/cli/more.c 'int f(void);' "files say their purpose"
plant core/src/base/notes.doc 'hello' "files are where they belong"
plant core/src/flow/base.c '/* base.c: again */' "names of sources are unique"
clean_tree
rm native/cli/README.md
verdict "a folder without a README" "folders have a README"

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
