#!/bin/sh
# tidy.sh: the house rules that a machine can check. Prints one line a finding, "path:line: what and what
# to do", then "N passed, N failed" by rule.
#
#   tests/tidy/tidy.sh [ROOT]
#
# Exceptions are committed beside this file and may only shrink: long_files.txt, long_lines.txt,
# long_functions.txt. allowed_files.txt says what may lie where.
set -eu
tidy=$(cd "$(dirname "$0")" && pwd)
root=${1:-$tidy/../..}
cd "$root"
LC_ALL=C
export LC_ALL

passed=0
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# rule NAME COMMAND...: findings are what the command prints.
rule() {
  name=$1
  shift
  "$@" >"$work/out" 2>&1 || true
  if [ -s "$work/out" ]; then
    failed=$((failed + 1))
    printf 'FAILED %s\n' "$name"
    sed 's/^/  /' "$work/out"
  else
    passed=$((passed + 1))
  fi
}

# What belongs to the tree: git's view where there is git, else all but build folders.
if git rev-parse --git-dir >/dev/null 2>&1 && [ "$(git rev-parse --show-toplevel)" = "$(pwd -P)" ]; then
  git ls-files --cached --others --exclude-standard | sort -u | while read -r file; do
    if [ -f "$file" ]; then echo "$file"; fi
  done >"$work/files"
else
  find . -type f ! -path './.git/*' ! -path './build*' | sed 's|^\./||' | sort >"$work/files"
fi
grep -E '^(core|native|tests|wasm)/.*\.[ch]$' "$work/files" >"$work/c" || true
grep -E '^(core|native)/.*\.[ch]$' "$work/files" >"$work/code" || true
grep -E '^core/.*\.[ch]$' "$work/files" >"$work/core" || true
grep -E '^(core|native)/include/sheaf/.*\.h$' "$work/files" >"$work/public" || true

# each LIST AWK_ARGUMENT...: awk over the files of a list, unless it is empty.
each() {
  list=$work/$1
  shift
  [ -s "$list" ] || return 0
  # Names of ours have no blanks (a rule below), so they split well.
  # shellcheck disable=SC2046
  awk "$@" $(cat "$list")
}

# code.awk prints "path:line:text" without comments, strings and character constants.
cat >"$work/code.awk" <<'AWK'
FNR == 1 { inside = 0 }
{
  line = $0
  gsub(/\\./, "", line)
  gsub(/"[^"]*"/, "\"\"", line)
  gsub(/'[^']*'/, "0", line)
  out = ""
  while (line != "") {
    if (inside) {
      at = index(line, "*/")
      if (!at) { line = ""; break }
      line = substr(line, at + 2); inside = 0
    } else {
      at = index(line, "/*"); slash = index(line, "//")
      if (slash && (!at || slash < at)) { out = out substr(line, 1, slash - 1); line = ""; break }
      if (!at) { out = out line; line = ""; break }
      out = out substr(line, 1, at - 1) " "; line = substr(line, at + 2); inside = 1
    }
  }
  print FILENAME ":" FNR ":" out
}
AWK
each code -f "$work/code.awk" >"$work/code.text"
grep '^core/' "$work/code.text" >"$work/core.text" || true

banned_everywhere() {
  grep -E '(^|[^A-Za-z0-9_])(strcpy|strcat|stpcpy|sprintf|vsprintf|strtok|atoi|atol|atoll|atof|gets|scanf|sscanf|fscanf|alloca)[ ]*\(' \
    "$work/code.text" | sed 's/$/   <- banned: bounded and checked calls instead/'
}

banned_in_core() {
  grep -E '(^|[^A-Za-z0-9_.>])(f|v|d|vf|sn|vsn)?printf[ ]*\(|(^|[^A-Za-z0-9_.>])(puts|fputs|putchar|fputc|fwrite|fopen|malloc|calloc|free|abort|exit|assert|getenv|rand|random|time|clock|clock_gettime|sleep|usleep|nanosleep|signal|setjmp|longjmp|setlocale|qsort)[ ]*\(|(^|[^A-Za-z0-9_])(errno|stderr|stdout|_Thread_local|_Atomic|static_assert)([^A-Za-z0-9_]|$)' \
    "$work/core.text" | sed 's/$/   <- the core does no I\/O and allocates through its allocator/'
}

floats_in_scheduling() {
  grep -E '^core/src/(flow|lanes|engine)/.*[^A-Za-z0-9_](float|double)[^A-Za-z0-9_]' "$work/core.text" |
    sed 's/$/   <- scheduling counts in integers/'
}

# A variable at the outermost level that is not const would be a mutable global.
mutable_globals() {
  grep -E '^core/[^:]*:[0-9]+:(static )?[A-Za-z_][A-Za-z0-9_ ]*[ *][A-Za-z_][A-Za-z0-9_]*(\[[^]]*\])* *(=|;)' \
    "$work/core.text" | grep -vE ':(typedef|struct|enum|union|extern|return|goto|}|#)|[^A-Za-z_]const[^A-Za-z_]' |
    sed 's/$/   <- a mutable global/'
}

# Code ends by column 100. A comment is prose and may run on, but nothing goes beyond column 140.
line_length() {
  each c 'length($0) > 140 { n[FILENAME]++; if (!(FILENAME in first)) first[FILENAME] = FNR }
    END { for (f in n) print n[f], f, first[f] }' | sort -k2 >"$work/long"
  each c -f "$work/code.awk" | sed 's/[ \\]*$//' | awk '{ path = $0; sub(/:.*/, "", path)
      text = $0; sub(/^[^:]*:/, "", text); line = text; sub(/:.*/, "", line); sub(/^[0-9]*:/, "", text)
      if (length(text) > 100) { n[path]++; if (!(path in first)) first[path] = line } }
    END { for (f in n) print n[f], f, first[f] }' | sort -k2 >>"$work/long"
  awk 'FNR == NR { if ($1 !~ /^#/) allowed[$2] = $1; next }
    $1 > allowed[$2] + 0 { print $2 ":" $3 ": " $1 " lines too long, allowed are " allowed[$2] + 0 }' \
    "$tidy/long_lines.txt" "$work/long"
}

# Tests are lists and may be longer than what they test.
file_length() {
  each c '{ n[FILENAME]++ } END { for (f in n) print n[f], f }' | sort -k2 >"$work/long"
  awk 'FNR == NR { if ($1 !~ /^#/) allowed[$2] = $1; next }
    { most = $2 in allowed ? allowed[$2] : $2 ~ /^tests\// ? 1500 : 700
      if ($1 > most) print $2 ":1: " $1 " lines, allowed are " most }' \
    "$tidy/long_files.txt" "$work/long"
}

# A function, as .clang-format leaves it, opens with a line that starts in the first column and ends in a
# brace, and closes with a brace in the first column.
function_length() {
  each code '/^[A-Za-z_].*\) *\{$/ || (/^ .*\) *\{$/ && head) { start = FNR; name = head ? head : $0; head = ""; next }
    /^[A-Za-z_][^;{}=]*\([^;{}]*$/ { head = $0; next }
    /^}/ { if (start && FNR - start > 100) {
        sub(/\(.*/, "", name); sub(/.*[ *]/, "", name); print FNR - start, FILENAME ":" name, start }
      start = 0; head = ""; next }
    /;$/ { if (!start) head = "" }' >"$work/long"
  awk 'FNR == NR { if ($1 !~ /^#/) allowed[$2] = $1; next }
    $1 > (allowed[$2] ? allowed[$2] : 100) { print $2 " (line " $3 "): " $1 " lines, allowed are " (allowed[$2] ? allowed[$2] : 100) }' \
    "$tidy/long_functions.txt" "$work/long"
}

# Floors: engine -> {flow, lanes} -> providers -> wire -> base; tokens stands on base; flow and lanes do
# not know each other.
floors() {
  each core '
    BEGIN {
      may["engine"] = " engine flow lanes providers wire tokens base "
      may["flow"] = " flow providers wire base "
      may["lanes"] = " lanes providers wire base "
      may["providers"] = " providers wire base "
      may["wire"] = " wire base "
      may["tokens"] = " tokens base "
      may["base"] = " base "
    }
    /^# *include/ {
      n = split(FILENAME, part, "/")
      floor = part[2] == "src" ? part[3] : "include"
      if ($0 ~ /"/) {
        split($0, quoted, "\"")
        if (index(quoted[2], "/") == 0) next
        split(quoted[2], to, "/")
        if (floor == "include") print FILENAME ":" FNR ": a public header includes by <sheaf/...>"
        else if (index(may[floor], " " to[1] " ") == 0)
          print FILENAME ":" FNR ": " floor " may not include " quoted[2]
      } else {
        name = $0; sub(/.*</, "", name); sub(/>.*/, "", name)
        if (name ~ /^sheaf\// || name ~ /^std(def|int|bool)\.h$/) next
        if (floor != "include" && name ~ /^(string|limits)\.h$/) next
        if (FILENAME ~ /^core\/src\/wire\/json/ && name == "cjson/cJSON.h") next
        if (FILENAME ~ /^core\/src\/tokens\/(masks|lines)\.h$/ && name == "emmintrin.h") next
        print FILENAME ":" FNR ": the core may not include <" name ">"
      }
    }'
}

# Native code stands on public headers; a folder may include its own private ones.
native_includes() {
  grep '^native/' "$work/code" >"$work/native" || true
  each native '
    /^# *include/ {
      split(FILENAME, part, "/")
      if (part[2] == "include") {
        if ($0 !~ /<(sheaf\/.*|std(def|int|bool)\.h)>/) print FILENAME ":" FNR ": a public header includes only <sheaf/...>, stddef, stdint, stdbool"
      } else if ($0 ~ /"/) {
        split($0, quoted, "\"")
        split(quoted[2], to, "/")
        if (index(quoted[2], "/") && to[1] != part[2])
          print FILENAME ":" FNR ": " part[2] " may not include " quoted[2] ", which is private elsewhere"
      } else if (part[2] == "cli" && $0 ~ /<(curl|microhttpd|cjson|csv|sqlite3)/)
        print FILENAME ":" FNR ": the command uses the libraries through sheaf/*.h only"
    }'
}

# A declaration is explained by a comment that ends on the line above, by one on its own line, or by the
# one above the group it stands in without a blank line between.
documented() {
  each public '
    FNR == 1 { told = 0 }
    /^[ \t]*$/ { told = 0; next }
    /\*\// { told = 1 }
    /^SHEAF_API/ && !told { print FILENAME ":" FNR ": no comment above: " $0 }'
}

symbols_of() {
  each public -v "folder=$1" 'index(FILENAME, folder "/") == 1 && /^SHEAF_API/ {
      text = $0; sub(/\(.*/, "", text); sub(/.*[ *]/, "", text)
      if (text == "") { getline; text = $0; sub(/\(.*/, "", text); sub(/.*[ *]/, "", text) }
      print text }' | sort
}

ledger() {
  for folder in core native; do
    symbols_of "$folder" >"$work/headers"
    grep -v '^#' "$folder/symbols.txt" | awk '{ print $1 }' | sort >"$work/ledger"
    comm -23 "$work/headers" "$work/ledger" | sed "s|^|$folder/symbols.txt: not in the ledger: |"
    comm -13 "$work/headers" "$work/ledger" | sed "s|^|$folder/symbols.txt: in no header: |"
    uniq -d "$work/ledger" | sed "s|^|$folder/symbols.txt: twice: |"
    awk '!/^#/ && NF && (NF != 2 || $2 !~ /^[0-9]+\.[0-9]+$/) { print FILENAME ":" FNR ": wanted: symbol version" }' \
      "$folder/symbols.txt"
  done
}

machine_paths() {
  # The brackets keep this line from finding itself.
  grep -vE '\.(png|gz|bin)$' "$work/files" | tr '\n' '\0' |
    xargs -0 grep -nE '/[w]ork/(main|shared)|/[h]ome/[a-z]+/|/[r]oot/|/[U]sers/[a-z]' -- 2>/dev/null |
    sed 's/$/   <- a path of one machine/'
}

markers() {
  each c '/(^|[^A-Za-z_])(TODO|FIXME|XXX|HACK)([^A-Za-z_]|$)/ { print FILENAME ":" FNR ": a marker; finish it or write it down as a known gap" }'
}

whitespace() {
  each c '/[ \t]$/ { print FILENAME ":" FNR ": blank at the end of the line" }
    /\t/ { print FILENAME ":" FNR ": tab" }'
}

purpose() {
  each c 'FNR == 1 && !/^\/\*/ { print FILENAME ":1: a file begins with a comment on its purpose" }'
}

unlisted_files() {
  grep -v '^#' "$tidy/allowed_files.txt" | grep . >"$work/patterns"
  grep -vE -f "$work/patterns" "$work/files" |
    sed 's|$|: not listed in tests/tidy/allowed_files.txt|'
}

# File names are unique, so that all sources can be put into one.
unique_names() {
  grep -E '^(core|native)/.*\.c$' "$work/files" | sed 's|.*/||' | sort | uniq -d |
    sed 's|$|: this name is there twice|'
}

readmes() {
  grep / "$work/files" | sed 's|/[^/]*$||' | sort -u |
    grep -vE '(^|/)(include(/sheaf)?|corpus(/.*)?|\.ci)$' | while read -r folder; do
    [ -f "$folder/README.md" ] || echo "$folder: no README.md: what it decides, what it may touch"
  done
}

rule "no banned call" banned_everywhere
rule "no I/O, heap or environment in the core" banned_in_core
rule "no floating point in scheduling" floats_in_scheduling
rule "no mutable global in the core" mutable_globals
rule "code within 100 columns, comments within 140" line_length
rule "files of 700 lines, tests of 1500" file_length
rule "functions of 100 lines" function_length
rule "includes point down" floors
rule "native stands on public headers" native_includes
rule "public functions are explained" documented
rule "the ledger of symbols is complete" ledger
rule "no path of one machine" machine_paths
rule "no marker" markers
rule "no stray blanks" whitespace
rule "files say their purpose" purpose
rule "files are where they belong" unlisted_files
rule "names of sources are unique" unique_names
rule "folders have a README" readmes

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
