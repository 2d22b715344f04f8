/* help.c: what --help prints. The numeric options come from the engine's own table, so that they
 * cannot differ from it. */
#include "cli.h"

#include <string.h>

static const char whole[] =
    "sheaf: runs large numbers of LLM requests: concurrent, rate-limited, retried, resumable\n"
    "\n"
    "  sheaf run INPUT -o OUT [options]     a file of prompts or requests in, a file of results "
    "out\n"
    "  sheaf jobs COMMAND [options]         provider jobs at half the price: submit, wait, list, "
    "collect\n"
    "  sheaf bench --target ... [options]   the same prompts on several models, side by side\n"
    "  sheaf serve [options]                an endpoint on this machine that speaks as OpenAI "
    "does\n"
    "  sheaf sim [options]                  a simulated provider on this machine\n"
    "  sheaf plan INPUT [options]           what a run will cost, how long it will take; sends "
    "nothing\n"
    "  sheaf tokens FILE... [options]       text to tokens and back, and counting\n"
    "  sheaf help COMMAND                   what each of them takes\n"
    "\n"
    "Try it without a key:   sheaf run prompts.jsonl -o results.jsonl --provider sim --model m\n";

static const char run_head[] =
    "sheaf run INPUT -o OUT [options]\n"
    "\n"
    "INPUT  JSON lines (strings, {\"prompt\": ...}, {\"messages\": ...}, or the OpenAI batch "
    "form), plain\n"
    "       text (a prompt a line), or CSV, by its name; - is standard input, as JSON lines.\n"
    "OUT    one JSON line a request; - is standard output. The same command again resumes.\n"
    "\n"
    "Where to\n"
    "  --provider NAME             openai (default; and every server that speaks like it),\n"
    "                              anthropic, gemini, ollama, azure, groq, mistral, sim\n"
    "  --base-url URL              another server, as http://127.0.0.1:8000/v1\n"
    "  --model NAME                for requests that name none\n"
    "  --url PATH                  another operation, as /v1/embeddings or /v1/responses\n"
    "  --api-key-file FILE         instead of OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY,\n"
    "                              GOOGLE_API_KEY, AZURE_OPENAI_API_KEY, GROQ_API_KEY, "
    "MISTRAL_API_KEY\n"
    "  --key-header NAME           another header for the key\n"
    "  --query TEXT                appended to every URL\n"
    "  --proxy URL, --ca-file FILE\n"
    "  --allow-http                plain http to other machines than this\n"
    "\n"
    "What\n"
    "  --system TEXT               a system message for all\n"
    "  --template TEXT             for text and CSV: {line} or {column} in it; {{ and }} are "
    "braces\n"
    "  --temperature X             and any other field: --params '{\"top_p\":0.9}'\n"
    "  --format jsonl|text|csv     whatever the name of INPUT says\n"
    "  --limit N                   the first N requests only\n"
    "  --dry-run                   check every line and estimate the cost; send nothing\n"
    "  --vocab PATH                where vocabularies are (see sheaf help tokens): token limits, "
    "the\n"
    "                              budget and --context-tokens then stand on counted input\n"
    "\n"
    "Results\n"
    "  --order input|completion    input (default): restored at the end\n"
    "  --resume, --no-resume       default: resume if OUT is of this run; --resume: fail if it is\n"
    "                              not there; --no-resume: keep an earlier OUT as OUT.bak\n"
    "  --retry-failed              run the failed ones of an earlier run again\n"
    "  --sync-full                 survive a power cut, not only a kill\n"
    "  --summary FILE.json         statistics as JSON\n"
    "  --metrics FILE              statistics as OpenMetrics text, every five seconds\n"
    "  --json-schema FILE.json     answers are JSON that fits it: --json, and checked\n"
    "  --prices FILE.json          prices that differ from the built-in ones\n"
    "  --quiet                     no progress, no summary\n"
    "  --config FILE.json          the same options as a JSON object; the command line wins\n"
    "\n"
    "Limits and tries\n";

static const char run_jobs[] =
    "\n"
    "Jobs of the provider's batch API (see sheaf help jobs)\n"
    "  --state FILE                where they are remembered [OUT.jobs.sqlite]\n"
    "  --events FILE               what becomes of them, one JSON object a line\n"
    "  --timeout-ms N              short for --batch-timeout-ms\n";

static const char run_tail[] =
    "\n"
    "Connection\n"
    "  --connect-timeout-ms N, --first-byte-timeout-ms N, --idle-timeout-ms N\n"
    "  --shards N, --http2 0|1|2\n"
    "\n"
    "With --provider sim every option of `sheaf sim` works as --sim-NAME, as in\n"
    "  --sim-latency lognormal:80:0.8 --sim-fault 429:0.05\n"
    "\n"
    "Exit codes: 0 all succeeded, 2 bad usage, 3 bad input, 4 some failed, 5 all failed,\n"
    "  6 interrupted, 7 budget spent, 8 host failure\n";

static const char bench_text[] =
    "sheaf bench --target NAME=provider:model[@base_url] ... --input PROMPTS [options]\n"
    "\n"
    "Runs the same prompts on every target at once, several times, and compares.\n"
    "\n"
    "  --target NAME=provider:model@base_url   once for each; provider as in sheaf run\n"
    "  --input FILE           prompts, in any form that sheaf run reads\n"
    "  --runs N               how often (3)\n"
    "  --limit N              the first N prompts only\n"
    "  --concurrency N        for each target (adaptive)\n"
    "  --stream               measure the time to the first token\n"
    "  --summary FILE.json    the table as JSON\n"
    "  --system, --params, --temperature, --max-tokens, --quiet and the limits of sheaf run\n";

static const char jobs_text[] =
    "sheaf jobs submit INPUT -o OUT [options]      makes every job, then ends; the provider works "
    "on\n"
    "sheaf jobs wait [--state FILE] [options]      goes on: waits, collects, sends again what "
    "failed\n"
    "sheaf jobs collect [--state FILE] [options]   fetches what is done, waits for nothing\n"
    "sheaf jobs list [--state FILE|FOLDER]         all jobs of a state file, or of those in a "
    "folder\n"
    "sheaf jobs status [--state FILE] [--refresh]  one state file; --refresh asks the provider "
    "first\n"
    "sheaf jobs cancel [--state FILE] [JOB...]     these jobs, or all of them\n"
    "sheaf jobs decide JOB --adopt ID|--resubmit|--abandon [--state FILE]\n"
    "sheaf jobs gc [--state FILE]... [--states FOLDER] [--cancel [ID...]]\n"
    "                                              the provider's jobs that no state file knows;\n"
    "                                              --cancel ends those with our mark, or those "
    "named\n"
    "sheaf jobs lanes                              what each provider's batch API is like\n"
    "\n"
    "A job is a file of requests that the provider works off within a day, for about half the "
    "price.\n"
    "`sheaf run --lane batch` does all of it in one command: it submits, waits, collects, and runs "
    "live\n"
    "what a job did not bring. `--lane auto` does so for inputs of more than --batch-threshold\n"
    "requests, others run live. Killed at any moment, the same command goes on where it was.\n"
    "\n"
    "What is known of jobs stands in OUT.jobs.sqlite: which requests went where, the provider's "
    "ids, and\n"
    "input, output and options, so that wait, collect, status and cancel need nothing else but the "
    "key,\n"
    "which is never written down. Options given to them win. Where --state is left away, the only\n"
    ".jobs.sqlite file of this folder is meant.\n"
    "\n"
    "Standard input is copied to STATE.input, as jobs outlive the command that reads it; results "
    "to\n"
    "standard output (-o -) want a --state of their own.\n"
    "\n"
    "Whether a job was made cannot be known when the answer to its making is lost and the "
    "provider's\n"
    "list does not show it: such a job is undecided. Nothing is sent twice by itself: look at the\n"
    "provider's list, then say it by sheaf jobs decide.\n"
    "\n"
    "submit, wait and collect take the options of sheaf run; status, cancel and gc those about "
    "provider,\n"
    "key and connection. list, status, gc and lanes take --json.\n"
    "\n"
    "Environment; a flag wins over it, it wins over a config file\n"
    "  SHEAF_BATCH_ENABLED=0           no new jobs: --lane batch and auto run live\n"
    "  SHEAF_BATCH_THRESHOLD           --batch-threshold\n"
    "  SHEAF_BATCH_POLL_INTERVAL_MS    --poll-interval-ms\n"
    "  SHEAF_BATCH_TIMEOUT_MS          --timeout-ms\n"
    "  SHEAF_BATCH_MAX_REQUESTS        --max-requests-per-job\n"
    "\n"
    "Exit codes: as of sheaf run; 0 also when jobs go on at the provider, 4 when one is "
    "undecided\n";

static const char serve_head[] =
    "sheaf serve [options]\n"
    "\n"
    "An endpoint on this machine that speaks as OpenAI does, in front of a provider: programs of "
    "any\n"
    "language get its limits, retries, merging and deduplication by changing their base URL. Its "
    "first\n"
    "line of output is its address; the base URL is that and /v1. It ends on Ctrl-C, when what is "
    "inside\n"
    "has ended.\n"
    "\n"
    "  sheaf serve --port 8080 --model gpt-4o-mini --rpm 500\n"
    "  OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=none python app.py\n"
    "\n"
    "POST /v1/chat/completions, /v1/completions, /v1/embeddings, and in front of OpenAI "
    "/v1/responses;\n"
    "GET /v1/models, /health, /metrics. In front of OpenAI bodies, replies and streams pass as "
    "they are;\n"
    "for others a chat of text is translated, and what cannot be told is refused by its name.\n"
    "\n"
    "Headers of a request\n"
    "  x-sheaf-priority            urgent, high, normal, low, deferrable, or 1 to 100\n"
    "  x-sheaf-deadline-ms         over all tries and waits\n"
    "  x-sheaf-max-wait-ms         for company, where requests share a call\n"
    "  x-sheaf-trust-key           who may share a merged call with it\n"
    "  x-sheaf-dedup               off: it travels alone; on: a twin's answer is as good\n"
    "\n"
    "Where\n"
    "  --port N                    0 takes any free one (the default)\n"
    "  --host ADDRESS              a numeric address (127.0.0.1); others than loopback need a "
    "token\n"
    "  --access-token-file FILE    what callers send as Authorization: Bearer; or "
    "SHEAF_ACCESS_TOKEN\n"
    "  --drain-ms N                at the end, how long what is inside may take [10000]\n"
    "\n"
    "Where to, as in sheaf run\n"
    "  --provider, --base-url, --model, --api-key-file, --key-header, --query, --proxy, "
    "--ca-file,\n"
    "  --allow-http, --params, --temperature, --prices, --summary, --quiet, --config\n"
    "\n"
    "Limits, tries and the queue\n";

static const char serve_tail[] =
    "\n"
    "Connection\n"
    "  --connect-timeout-ms N, --first-byte-timeout-ms N, --idle-timeout-ms N\n"
    "  --shards N, --http2 0|1|2\n"
    "\n"
    "Exit codes: 0 all ended in order, 2 bad usage, 6 the end cancelled requests, 8 host failure\n";

static const char plan_text[] =
    "sheaf plan INPUT [options]\n"
    "\n"
    "What a run over INPUT (any form that sheaf run reads) will cost, live and as a batch, how "
    "long "
    "it\n"
    "will take and how many batch jobs it is. Every line is checked. Nothing is sent; no key is "
    "needed.\n"
    "\n"
    "  --model NAME, --provider NAME, --base-url URL, --url PATH, --allow-http\n"
    "                              as in sheaf run\n"
    "  --system, --template, --params, --temperature, --max-tokens, --format, --limit\n"
    "                              as in sheaf run: they are part of what is counted\n"
    "  --vocab PATH                where vocabularies are (see sheaf help tokens); without one, "
    "input\n"
    "                              is estimated from bytes, and the plan says so\n"
    "  --prices FILE.json          prices that differ from the built-in ones\n"
    "  --output-tokens N           what a request is expected to write (what max_tokens allows, "
    "else 512)\n"
    "  --rpm N, --tpm N, --input-tpm N, --output-tpm N, --rate-safety-pct N, --start-interval-ms "
    "N\n"
    "                              the limits you have; the slowest of them decides the time\n"
    "  --concurrency N             requests at once (64 assumed)\n"
    "  --latency-ms N              time that one takes (2000 assumed)\n"
    "  --max-requests-per-job N, --max-job-tokens N\n"
    "                              as in sheaf run: how jobs are divided\n"
    "  --context-tokens N          name the lines whose input and max_tokens exceed it\n"
    "  --threads N                 for counting (as many as processors)\n"
    "  --json                      one JSON object instead of text\n"
    "  --config FILE.json          the same options as a JSON object; the command line wins\n"
    "\n"
    "Exit codes: 0 all lines are good, 2 bad usage, 3 bad input, 8 host failure\n";

static const char tokens_help[] =
    "sheaf tokens [--count] FILE...              tokens of each file, and the total\n"
    "sheaf tokens --encode|--decode FILE...      text to ids, ids to text\n"
    "sheaf tokens --jsonl [FILE...]              a filter: JSON lines in, JSON lines out, at once\n"
    "sheaf tokens --make SOURCE --encoding NAME --output FILE.vocab\n"
    "sheaf tokens --ask --model NAME FILE...     what the provider itself counts\n"
    "\n"
    "A file of text is counted whole. Of JSONL and CSV (by its name) each row is counted as the "
    "request\n"
    "that sheaf run would send: its body, or the chat that its prompt or messages make, with the "
    "tokens\n"
    "that the chat's form adds. - is standard input, as text.\n"
    "\n"
    "  --encoding NAME             o200k_base, cl100k_base, o200k_harmony, p50k_base, p50k_edit, "
    "r50k_base,\n"
    "                              gpt2, or the name of a vocabulary of your own\n"
    "  --model NAME                instead: the model's encoding; what is not known to have one "
    "is an\n"
    "                              estimate, and is marked so (o200k_base if neither is given)\n"
    "  --vocab PATH                a vocabulary file, or a folder with ENCODING.vocab files; "
    "otherwise\n"
    "                              SHEAF_VOCAB_DIR, ~/.local/share/sheaf/vocab,\n"
    "                              /usr/local/share/sheaf/vocab, /usr/share/sheaf/vocab\n"
    "  --special none|all          special tokens in the text are text (default), or their ids\n"
    "  --format text|jsonl|csv     whatever the name of FILE says\n"
    "  --total                     the total only\n"
    "  --threads N                 as many as processors\n"
    "\n"
    "  --count                     (default)\n"
    "  --encode                    a line of ids for each file\n"
    "  --decode                    the text of the ids in each file, byte for byte\n"
    "  --jsonl                     {\"encoding\":E,\"text\":T,\"special\":\"none\"|\"all\"} "
    "gives {\"ids\":[...],\"count\":N},\n"
    "                              {\"encoding\":E,\"ids\":[...]} gives "
    "{\"base64\":B,\"text\":T} (text null where the\n"
    "                              bytes are no UTF-8), a bad line {\"error\":...,\"line\":N}\n"
    "  --ask                       asks Anthropic or Gemini (--provider, or by the model's name), "
    "which\n"
    "                              charge nothing for it. With --jsonl a line, {\"count\":N}, for "
    "each\n"
    "                              request. Takes the options of sheaf run about the provider, "
    "its key,\n"
    "                              the connection, limits, tries and times, --system, --params "
    "and\n"
    "                              --template\n"
    "  --make SOURCE               builds a vocabulary file of a .tiktoken or tokenizer.json file\n"
    "  --pattern NAME              with --make, for ranks of your own: how text is split\n"
    "  --output FILE               with --make\n"
    "\n"
    "scripts/vocab makes the vocabularies of OpenAI's encodings.\n"
    "Exit codes: 0 done, 2 bad usage, 3 bad input or no vocabulary, 8 host failure; of --ask, too: "
    "4 some\n"
    "  were not counted, 5 none was\n";

#define LEFT_WIDTH 27
#define RIGHT_WIDTH 70

/* What is too wide goes on below, from a space on. */
static void print_about(FILE *to, const char *about) {
  size_t left = strlen(about);
  while (left > RIGHT_WIDTH) {
    size_t cut = RIGHT_WIDTH;
    while (cut > 0 && about[cut] != ' ') cut--;
    if (cut == 0) break;
    fprintf(to, "%.*s\n  %-*s ", (int)cut, about, LEFT_WIDTH, "");
    about += cut + 1;
    left -= cut + 1;
  }
  fprintf(to, "%s\n", about);
}

/* A left side that is too wide stands on a line of its own. */
static void print_row(FILE *to, const char *name, const char *value, const char *about) {
  char left[96];
  int bytes = snprintf(left, sizeof left, "--%s %s", name, value);
  for (char *c = left; *c; c++)
    if (*c == '_') *c = '-';
  if (bytes > LEFT_WIDTH)
    fprintf(to, "  %s\n  %-*s ", left, LEFT_WIDTH, "");
  else
    fprintf(to, "  %-*s ", LEFT_WIDTH, left);
  print_about(to, about);
}

/* The name of a choice by its number, dashes for underscores. */
static const char *choice_name(const char *choices, uint64_t number, char name[64]) {
  for (; number > 0 && choices != NULL; number--) {
    choices = strchr(choices, '|');
    if (choices != NULL) choices++;
  }
  size_t i = 0;
  for (; choices != NULL && choices[i] && choices[i] != '|' && i < 63; i++)
    name[i] = choices[i] == '_' ? '-' : choices[i];
  name[i] = 0;
  return name;
}

/* over_files: of run, where each row is a call of its own unless it is told otherwise. for_jobs: those of jobs, or the
 * others. */
static void print_options(FILE *to, bool over_files, bool for_jobs) {
  sheaf_engine_options defaults;
  cli_engine_defaults(over_files, &defaults);
  for (uint32_t i = 0;; i++) {
    const sheaf_option *o = sheaf_option_at(i);
    if (o == NULL) return;
    bool is_flag = strcmp(o->name, "stream") == 0 || strcmp(o->name, "json") == 0;
    if (!over_files && is_flag) continue; /* each request says so itself */
    if (!over_files && strcmp(o->name, "json_retries") == 0) continue;
    if (cli_is_job_option(o) != for_jobs) continue;
    if (strcmp(o->name, "batch_mode") == 0) continue; /* which command it is says so */
    char about[192], choice[64];
    uint64_t initial;
    memcpy(&initial, (const char *)&defaults + o->offset, sizeof initial);
    if (is_flag || o->initial == SHEAF_NEVER)
      snprintf(about, sizeof about, "%s", o->help);
    else if (o->choices != NULL)
      snprintf(about, sizeof about, "%s [%s]", o->help, choice_name(o->choices, initial, choice));
    else
      snprintf(about, sizeof about, "%s [%llu]", o->help, (unsigned long long)initial);
    print_row(to, o->name,
              is_flag                        ? ""
              : strcmp(o->name, "lane") == 0 ? "live|batch|auto"
              : o->choices                   ? o->choices
              : o->initial == SHEAF_NEVER    ? "X"
                                             : "N",
              about);
  }
}

static const char sim_head[] =
    "sheaf sim [options]\n"
    "\n"
    "A provider on this machine that costs nothing: the shapes, limits, delays and faults of "
    "OpenAI,\n"
    "Anthropic, Gemini and Ollama. Its first line of output is its address, with --https the "
    "second\n"
    "is the certificate to trust. It ends on Ctrl-C and prints its ledger.\n"
    "\n"
    "  sheaf sim --port 8080 --latency lognormal:300:0.8 --itl fixed:12 --fault 429:0.05,500:1%\n"
    "  sheaf sim --rpm 500 --tpm 200000 --capacity 16 --queue 64\n"
    "  sheaf sim --answer canned:answers.jsonl --faults storm.jsonl --time-scale 0.1\n"
    "  sheaf sim --batch-time lognormal:5000:0.5 --batch-fail 0.01 --batch-quirk late\n"
    "\n";

static const char sim_tail[] =
    "\n"
    "A request may ask for a fault (\"x-sheaf-fault: 429\", or \"429:3\" for the first three "
    "tries) and\n"
    "for a kind of answer (\"x-sheaf-answer: json\"). GET /_sim/stats and /_sim/ledger tell what "
    "came,\n"
    "what was answered and what would have been billed; POST /_sim/reset forgets it.\n"
    "Behind --https and --http2 faults of the wire arrive as the proxy in front passes them on.\n";

#ifdef SHEAF_SIM
static void print_names(FILE *to, const char *title, const char *(*name_at)(uint32_t n)) {
  const char *name;
  size_t column = 0;
  fprintf(to, "\n%s\n ", title);
  for (uint32_t i = 0; (name = name_at(i)) != NULL; i++) {
    if (column + strlen(name) > 90) {
      fputs("\n ", to);
      column = 0;
    }
    column += (size_t)fprintf(to, " %s", name);
  }
  fputs("\n", to);
}
#endif

static void print_sim(FILE *to) {
  fputs(sim_head, to);
#ifdef SHEAF_SIM
  const char *name, *value, *about;
  for (uint32_t i = 0; sheaf_sim_option_at(i, &name, &value, &about); i++)
    print_row(to, name, value, about);
  print_names(to, "Kinds of faults", sheaf_sim_fault_name);
  print_names(to, "Oddities of batch jobs; azure stands for the five that Azure shows",
              sheaf_sim_quirk_name);
#endif
  fputs(sim_tail, to);
}

int cli_help(FILE *to, const char *command) {
  if (command == NULL) {
    fputs(whole, to);
  } else if (strcmp(command, "run") == 0) {
    fputs(run_head, to);
    print_options(to, true, false);
    fputs(run_jobs, to);
    print_options(to, true, true);
    fputs(run_tail, to);
  } else if (strcmp(command, "jobs") == 0) {
    fputs(jobs_text, to);
  } else if (strcmp(command, "serve") == 0) {
    fputs(serve_head, to);
    print_options(to, false, false);
    fputs(serve_tail, to);
  } else if (strcmp(command, "bench") == 0) {
    fputs(bench_text, to);
  } else if (strcmp(command, "sim") == 0) {
    print_sim(to);
  } else if (strcmp(command, "plan") == 0) {
    fputs(plan_text, to);
  } else if (strcmp(command, "tokens") == 0) {
    fputs(tokens_help, to);
  } else {
    cli_say("there is no command \"%s\"; sheaf --help lists them", command);
    return CLI_USAGE;
  }
  return CLI_OK;
}
