#!/bin/sh
# test_bench.sh: `sheaf bench` from outside: what it measures on simulators, what it refuses, what it writes.
set -eu
: "${SHEAF_BIN:?is set by ctest}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
export no_proxy=127.0.0.1
unset OPENAI_API_KEY ANTHROPIC_API_KEY GEMINI_API_KEY GOOGLE_API_KEY OLLAMA_HOST || true

# expect NAME CODE ARGUMENT...: the exit code; output stays in out and err.
expect() {
  name=$1 wanted=$2
  shift 2
  code=0
  "$SHEAF_BIN" bench "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
  if [ "$code" -eq "$wanted" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED %s: exit code %s, not %s\n' "$name" "$code" "$wanted"
    cat "$work/out" "$work/err"
  fi
}

# has NAME FILE TEXT...: every text stands in the file.
has() {
  name=$1 file=$2
  shift 2
  for text in "$@"; do
    if grep -qF -e "$text" "$file"; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      printf 'FAILED %s: "%s" is not in\n' "$name" "$text"
      cat "$file"
    fi
  done
}

printf 'one\ntwo\nthree\n' >"$work/prompts.txt"
expect "two targets, three runs" 0 --target a=sim:gpt-4o-mini --target b=sim:other \
  --input "$work/prompts.txt" --sim-answer lorem:8 --sim-itl 1 --stream --summary "$work/a.json"
has "the table names the targets" "$work/out" "3 prompts on 2 targets at once, means over 3 runs" \
  "TTFT p50" "latency p50" "tokens/s" "cost"
has "the document" "$work/a.json" '"schema":"sheaf.bench/1"' '"prompts":3,"runs":3' '"name":"a"' \
  '"name":"b","provider":"sim","model":"other"' '"succeeded":3,"failed":0' '"ttft_ms":{"mean":' \
  '"latency_ms":{"mean":' '"failed_by_class":{}'
lines=$(grep -cE '^(a|b) +3 +0 ' "$work/out" || true)
[ "$lines" -eq 2 ] && passed=$((passed + 1)) || {
  failed=$((failed + 1))
  echo "FAILED every target has a row"
}

# The same messages reach each target in its own shape, with its own model.
printf '%s\n' '{"custom_id":"x","method":"POST","url":"/v1/chat/completions","body":{"model":"theirs","messages":[{"role":"user","content":"hello"}],"max_tokens":5}}' \
  >"$work/batch.jsonl"
"$SHEAF_BIN" sim --latency fixed:2 --itl 1 >"$work/sim" 2>/dev/null &
sim=$!
trap 'kill $sim 2>/dev/null || true; rm -rf "$work"' EXIT
while [ ! -s "$work/sim" ]; do sleep 0.05; done
url=$(head -n 1 "$work/sim")
expect "four dialects" 0 --target "o=ollama:llama3.2:3b@$url" --target "p=openai:gpt-4o-mini@$url/v1" \
  --target "q=anthropic:claude@$url" --target "r=gemini:gemini-2.0-flash@$url/v1beta" \
  --input "$work/batch.jsonl" --runs 1 --summary "$work/b.json"
has "Ollama's own durations" "$work/b.json" '"model":"llama3.2:3b"' '"generation_from":"server"'
has "the others have none" "$work/b.json" '"generation_from":"latency"' '"server_ms":null'

expect "some fail" 4 --target a=sim:m --input "$work/prompts.txt" --runs 8 --max-retries 0 \
  --sim-fault 500:0.2 --on-breaker fail
expect "all fail" 5 --target a=sim:m --input "$work/prompts.txt" --runs 1 --max-retries 0 \
  --sim-fault 500:1
has "the first failure is told" "$work/err" "a: some requests failed; the first: server"
expect "no target" 2 --input "$work/prompts.txt"
expect "no input" 2 --target a=sim:m
expect "a target that cannot be read" 2 --target a --input "$work/prompts.txt"
expect "a name used twice" 2 --target a=sim:m --target a=sim:n --input "$work/prompts.txt"
expect "an unknown provider" 2 --target a=nobody:m --input "$work/prompts.txt"
expect "a missing key" 2 --target a=openai:m --input "$work/prompts.txt"
has "which key" "$work/err" "OPENAI_API_KEY"
expect "one key file for two" 2 --target a=sim:m --target b=sim:m --api-key-file k \
  --input "$work/prompts.txt"
expect "a missing input" 3 --target a=sim:m --input "$work/none.txt"
printf '{"prompt":"a"}\n{"prompt":\n' >"$work/bad.jsonl"
expect "a bad line" 3 --target a=sim:m --input "$work/bad.jsonl"
has "the line is named" "$work/err" "bad.jsonl:2"
expect "a summary that cannot be written" 8 --target a=sim:m --input "$work/prompts.txt" --runs 1 \
  --summary "$work/none/x.json"

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
