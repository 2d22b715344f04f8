# Completion of sheaf(1) for bash.

_sheaf() {
  local cur prev words cword
  if declare -F _init_completion >/dev/null; then
    _init_completion || return
  else
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD - 1]}
    cword=$COMP_CWORD
  fi

  # The options are asked of the command itself, so that they cannot fall behind.
  local options=""
  case ${COMP_WORDS[1]} in
    run | jobs | bench | serve | sim | plan | tokens)
      options="--help $("${COMP_WORDS[0]}" help "${COMP_WORDS[1]}" 2>/dev/null |
        grep -oE -- '--[a-z0-9-]*[a-z0-9]' | sort -u)"
      [ "${COMP_WORDS[1]}" = jobs ] &&
        options="$options $("${COMP_WORDS[0]}" help run 2>/dev/null | grep -oE -- '--[a-z0-9-]*[a-z0-9]' | sort -u)"
      ;;
  esac

  case $prev in
    --provider) mapfile -t COMPREPLY < <(compgen -W "openai anthropic gemini ollama azure groq mistral sim" -- "$cur"); return ;;
    --resend-unknown) mapfile -t COMPREPLY < <(compgen -W "never within-budget always" -- "$cur"); return ;;
    --merge) mapfile -t COMPREPLY < <(compgen -W "off lossless prompts" -- "$cur"); return ;;
    --dedup) mapfile -t COMPREPLY < <(compgen -W "off auto all" -- "$cur"); return ;;
    --window) mapfile -t COMPREPLY < <(compgen -W "fixed eager auto" -- "$cur"); return ;;
    --lane) mapfile -t COMPREPLY < <(compgen -W "live batch auto" -- "$cur"); return ;;
    --rescue) mapfile -t COMPREPLY < <(compgen -W "live off" -- "$cur"); return ;;
    --group-events) mapfile -t COMPREPLY < <(compgen -W "no yes" -- "$cur"); return ;;
    --on-breaker) mapfile -t COMPREPLY < <(compgen -W "wait fail" -- "$cur"); return ;;
    --format) mapfile -t COMPREPLY < <(compgen -W "jsonl text csv" -- "$cur"); return ;;
    --encoding)
      mapfile -t COMPREPLY < <(compgen -W "o200k_base cl100k_base o200k_harmony p50k_base p50k_edit r50k_base gpt2" -- "$cur")
      return
      ;;
    --pattern) mapfile -t COMPREPLY < <(compgen -W "r50k cl100k o200k gpt2 llama3 qwen2 none" -- "$cur"); return ;;
    --special) mapfile -t COMPREPLY < <(compgen -W "none all" -- "$cur"); return ;;
    --answer) mapfile -t COMPREPLY < <(compgen -W "echo lorem canned: json tool" -- "$cur"); return ;;
    --strict | --https) mapfile -t COMPREPLY < <(compgen -W "on off" -- "$cur"); return ;;
    --order) mapfile -t COMPREPLY < <(compgen -W "input completion" -- "$cur"); return ;;
    --batch-quirk)
      mapfile -t COMPREPLY < <(compgen -W "late capital iso null-counts empty-error no-expiry in-order missing duplicate foreign stuck azure" -- "$cur")
      return
      ;;
    --concurrency) mapfile -t COMPREPLY < <(compgen -W "auto 8 16 64 256" -- "$cur"); return ;;
    -o | --output | --state | --states | --events | --prices | --ca-file | --summary | --metrics | --config | --api-key-file | --access-token-file | --input | --faults | \
      --vocab | --make)
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      return
      ;;
    --base-url | --model | --system | --template | --rpm | --tpm | --max-retries | --limit | --runs | \
      --attempt-timeout-ms | --deadline-ms | --budget-usd | --target | --port | --host | --seed | \
      --latency | --fault | --sim-latency | --sim-fault | --key | --itl | --time-scale | \
      --retry-after | --dimensions | --itpm | --otpm | --capacity | --queue | --models | --context | \
      --giant-bytes | --drip | --refuse | --ledger | --batch-time | --batch-fail | --batch-partial | \
      --batch-expire | --batch-keep | --batch-rows | --batch-tokens | --batch-queue | --threads | --latency-ms | --output-tokens | --drain-ms | \
      --batch-threshold | --poll-interval-ms | --poll-max-ms | --timeout-ms | --batch-timeout-ms | --max-requests-per-job | \
      --max-jobs | --max-job-tokens | --completion-window-hours | --adopt)
      return
      ;;
  esac

  if [ "$cword" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "run jobs bench serve sim plan tokens help --version --help" -- "$cur")
    return
  fi
  if [ "$cword" -eq 2 ] && [ "${COMP_WORDS[1]}" = jobs ]; then
    mapfile -t COMPREPLY < <(compgen -W "submit wait collect list status cancel decide gc lanes" -- "$cur")
    return
  fi
  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  elif [[ ${COMP_WORDS[1]} == help ]]; then
    mapfile -t COMPREPLY < <(compgen -W "run jobs bench serve sim plan tokens" -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  fi
}

complete -o filenames -F _sheaf sheaf
