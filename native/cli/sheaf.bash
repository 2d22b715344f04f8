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

  local run_options="--output --provider --base-url --model --system --template --concurrency --rpm
    --tpm --max-retries --attempt-timeout-ms --deadline-ms --budget-usd --order --resume --no-resume
    --retry-failed --limit --dry-run --stream --summary --metrics --quiet --config --api-key-file
    --sim-latency --sim-fault --help"
  local bench_options="--target --input --runs --summary --help"
  local sim_options="--port --host --key --seed --latency --itl --time-scale --fault --retry-after --rpm
    --tpm --concurrency --answer --dimensions --help"

  case $prev in
    --provider) mapfile -t COMPREPLY < <(compgen -W "openai anthropic gemini ollama sim" -- "$cur"); return ;;
    --answer) mapfile -t COMPREPLY < <(compgen -W "echo lorem" -- "$cur"); return ;;
    --order) mapfile -t COMPREPLY < <(compgen -W "input completion" -- "$cur"); return ;;
    --concurrency) mapfile -t COMPREPLY < <(compgen -W "auto 8 16 64 256" -- "$cur"); return ;;
    -o | --output | --summary | --metrics | --config | --api-key-file | --input)
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      return
      ;;
    --base-url | --model | --system | --template | --rpm | --tpm | --max-retries | --limit | --runs | \
      --attempt-timeout-ms | --deadline-ms | --budget-usd | --target | --port | --host | --seed | \
      --latency | --fault | --sim-latency | --sim-fault | --key | --itl | --time-scale | \
      --retry-after | --dimensions)
      return
      ;;
  esac

  if [ "$cword" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "run bench sim help --version --help" -- "$cur")
    return
  fi
  case ${COMP_WORDS[1]} in
    run)
      case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W "$run_options" -- "$cur") ;;
        *) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
      esac
      ;;
    bench) mapfile -t COMPREPLY < <(compgen -W "$bench_options" -- "$cur") ;;
    sim) mapfile -t COMPREPLY < <(compgen -W "$sim_options" -- "$cur") ;;
    help) mapfile -t COMPREPLY < <(compgen -W "run bench sim" -- "$cur") ;;
  esac
}

complete -o filenames -F _sheaf sheaf
