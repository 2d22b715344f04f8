/* tokens_cmd.c: sheaf tokens: its arguments, rows of requests counted, vocabularies made. */
#define _POSIX_C_SOURCE 200809L
#include "tokens_cmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- arguments ---- */

typedef struct option_row {
  const char *name;
  size_t offset; /* of its text */
  int task;      /* or the task it asks for; -1: none */
} option_row;

#define AT(field) offsetof(tokens_args, field)
static const option_row options[] = {
    {"encoding", AT(encoding), -1},    {"model", AT(model), -1},
    {"vocab", AT(vocab), -1},          {"special", AT(special), -1},
    {"make", AT(make), TOKENS_MAKE},   {"pattern", AT(pattern), -1},
    {"output", AT(output), -1},        {"format", AT(format), -1},
    {"threads", AT(threads_text), -1}, {"count", 0, TOKENS_COUNT},
    {"encode", 0, TOKENS_ENCODE},      {"decode", 0, TOKENS_DECODE},
    {"jsonl", 0, TOKENS_JSONL},
};

static const option_row *find_option(const char *name, size_t bytes) {
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if (strlen(options[i].name) == bytes && memcmp(options[i].name, name, bytes) == 0)
      return &options[i];
  return NULL;
}

/* One option; *at moves past its value. */
static int read_option(tokens_args *args, int argc, char **argv, int *at) {
  const char *given = strcmp(argv[*at], "-o") == 0 ? "--output" : argv[*at];
  if (strcmp(given, "--help") == 0 || strcmp(given, "-h") == 0) {
    args->help = true;
    return CLI_OK;
  }
  if (strcmp(given, "--total") == 0) {
    args->total = true;
    return CLI_OK;
  }
  const char *equals = strchr(given, '=');
  size_t bytes = equals ? (size_t)(equals - given) : strlen(given);
  const option_row *row = bytes > 2 && given[1] == '-' ? find_option(given + 2, bytes - 2) : NULL;
  if (row == NULL)
    return cli_say("there is no option %.*s; sheaf help tokens lists them", (int)bytes, given),
           CLI_USAGE;
  if (row->task >= 0) {
    args->task = (uint32_t)row->task;
    args->task_count++;
  }
  if (row->offset == 0) return CLI_OK;
  const char *value = equals ? equals + 1 : *at + 1 < argc ? argv[++*at] : NULL;
  if (value == NULL) return cli_say("%s needs a value", given), CLI_USAGE;
  memcpy((char *)args + row->offset, &value, sizeof value);
  return CLI_OK;
}

static int check_args(tokens_args *args) {
  int64_t threads = 0;
  if (args->task_count > 1)
    return cli_say("give one of --count, --encode, --decode, --jsonl and --make"), CLI_USAGE;
  if (args->threads_text) {
    if (sheaf_json_int(sheaf_slice_of(args->threads_text), &threads) || threads < 0 ||
        threads > (int64_t)SHEAF_TOKEN_THREADS_MAX)
      return cli_say("--threads cannot be \"%s\": give a whole number from 0 to %u",
                     args->threads_text, SHEAF_TOKEN_THREADS_MAX),
             CLI_USAGE;
    args->threads = (uint32_t)threads;
  }
  if (args->special && strcmp(args->special, "none") && strcmp(args->special, "all"))
    return cli_say("--special cannot be \"%s\": give none or all", args->special), CLI_USAGE;
  if (args->encoding && args->model && args->task != TOKENS_MAKE)
    return cli_say("give --encoding or --model, not both"), CLI_USAGE;
  if (args->format && strcmp(args->format, "text") && strcmp(args->format, "jsonl") &&
      strcmp(args->format, "csv"))
    return cli_say("--format cannot be \"%s\": give text, jsonl or csv", args->format), CLI_USAGE;
  return CLI_OK;
}

static int read_args(tokens_args *args, int argc, char **argv) {
  memset(args, 0, sizeof *args);
  args->files = calloc((size_t)argc + 1, sizeof *args->files);
  if (args->files == NULL) return CLI_HOST;
  for (int i = 0; i < argc; i++) {
    if (argv[i][0] == '-' && argv[i][1]) {
      int answer = read_option(args, argc, argv, &i);
      if (answer) return answer;
    } else {
      args->files[args->file_count++] = argv[i];
    }
  }
  return check_args(args);
}

/* ---- which encoding ---- */

static bool begins(const char *text, const char *beginning) {
  return strncmp(text, beginning, strlen(beginning)) == 0;
}

tokens_choice tokens_choose(const tokens_args *args) {
  bool is_unknown = false;
  tokens_choice choice = {.encoding = args->encoding, .is_chosen = args->encoding != NULL};
  if (args->encoding) return choice;
  const char *model = args->model ? args->model : "";
  choice.encoding = sheaf_encoding_of_model(sheaf_slice_of(model), &is_unknown);
  if (!args->model || !is_unknown || sheaf_vocab_is_file(args->vocab)) return choice;
  if (begins(model, "claude") || begins(model, "gemini")) {
    choice.has_no_tokenizer = true;
    snprintf(choice.doubt, sizeof choice.doubt,
             "from bytes, as the tokenizer of %.100s is not published", model);
  } else {
    snprintf(choice.doubt, sizeof choice.doubt, "by %s, as the encoding of %.100s is not known",
             choice.encoding, model);
  }
  return choice;
}

int tokens_vocab(const tokens_args *args, sheaf_vocab_shelf **shelf, const sheaf_vocab **vocab) {
  char message[1024] = "";
  tokens_choice choice = tokens_choose(args);
  if (sheaf_vocab_shelf_new(args->vocab, shelf) != SHEAF_OK)
    return cli_say("out of memory"), CLI_HOST;
  int32_t status = sheaf_vocab_shelf_get(*shelf, sheaf_slice_of(choice.encoding), vocab, message,
                                         sizeof message);
  if (status != SHEAF_OK) {
    cli_say("%s", message);
    return status == SHEAF_E_NOMEM ? CLI_HOST : CLI_BAD_INPUT;
  }
  if (choice.is_chosen && strcmp(choice.encoding, sheaf_vocab_name(*vocab)) != 0) {
    cli_say("%s holds %s, not %s: leave --encoding away, or give another file", args->vocab,
            sheaf_vocab_name(*vocab), choice.encoding);
    return CLI_BAD_INPUT;
  }
  return CLI_OK;
}

/* ---- rows ---- */

bool tokens_is_rows(const tokens_args *args, const char *path) {
  const char *ending = strrchr(path, '.');
  if (args->format) return strcmp(args->format, "text") != 0;
  return ending && (strcmp(ending, ".jsonl") == 0 || strcmp(ending, ".ndjson") == 0 ||
                    strcmp(ending, ".csv") == 0);
}

typedef struct row_sums {
  const cli_args *args;
  uint64_t tokens, good, bad, estimates;
  uint64_t others; /* by another encoding than asked for, as they name models of their own */
  const char *encoding;
  bool total_only;
} row_sums;

static void on_row(void *user, const cli_row *row) {
  row_sums *sums = user;
  if (row->status != SHEAF_OK) {
    sums->bad++;
    cli_row_complain(sums->args, row);
    return;
  }
  sums->good++;
  sums->tokens += row->count.tokens;
  sums->estimates += row->count.basis != CLI_COUNT_EXACT;
  if (sums->encoding)
    sums->others += strcmp(sums->encoding, sheaf_encoding_of_model(row->request->model, NULL)) != 0;
  if (!sums->total_only)
    printf("%8llu  %s:%llu%s\n", (unsigned long long)row->count.tokens, sums->args->input,
           (unsigned long long)row->line,
           row->count.basis == CLI_COUNT_EXACT ? "" : "  (estimate)");
}

/* Requests of a file, as they would be sent to the provider that goes by the model's name. */
static int count_rows(const tokens_args *args, const char *path, cli_counting *counting,
                      row_sums *sums) {
  static cli_args fake;
  cli_place place;
  const char *model = args->model ? args->model : "gpt-4o"; /* o200k_base, unless a row names one */
  memset(&fake, 0, sizeof fake);
  sheaf_engine_options_init(&fake.engine);
  fake.input = path;
  fake.format = args->format;
  fake.dry_run = true;
  fake.target.model = model;
  if (begins(model, "text-embedding-")) fake.url = "/v1/embeddings";
  fake.target.provider = begins(model, "claude")   ? "anthropic"
                         : begins(model, "gemini") ? "gemini"
                                                   : "openai";
  uint32_t format;
  int answer = cli_format(&fake, &format);
  if (answer == CLI_OK) answer = cli_place_open(&fake, &fake.target, &place);
  if (answer) return answer;
  sums->args = &fake;
  answer = cli_rows_scan(&fake, &place, format, counting, on_row, sums);
  cli_place_close(&place);
  return answer;
}

/* A file that is asked for by name must be there; a model's may be missing where nothing is known anyway. */
static int need_vocab(const tokens_args *args) {
  sheaf_vocab_shelf *shelf = NULL;
  const sheaf_vocab *vocab;
  if (tokens_choose(args).has_no_tokenizer) return CLI_OK;
  int answer = tokens_vocab(args, &shelf, &vocab);
  sheaf_vocab_shelf_free(shelf);
  return answer;
}

/* ---- files one after another ---- */

static void print_total(const tokens_args *args, uint64_t total, const row_sums *rows) {
  tokens_choice choice = tokens_choose(args);
  const char *name = choice.encoding;
  sheaf_vocab_shelf *shelf = NULL;
  const sheaf_vocab *vocab;
  if (sheaf_vocab_is_file(args->vocab) && tokens_vocab(args, &shelf, &vocab) == CLI_OK)
    name = sheaf_vocab_name(vocab);
  printf("%8llu  total", (unsigned long long)(total + rows->tokens));
  if (rows->good) printf(" of %llu requests", (unsigned long long)rows->good);
  if (choice.doubt[0])
    printf(", an estimate: %s", choice.doubt);
  else
    printf(", %s", name);
  if (rows->others)
    printf(", %llu requests by their own models' encodings", (unsigned long long)rows->others);
  if (rows->estimates && !choice.doubt[0])
    printf(", an estimate for %llu requests", (unsigned long long)rows->estimates);
  putchar('\n');
  sheaf_vocab_shelf_free(shelf);
}

/* Neighbours that are text are counted together, so that small files share the threads, too. */
static int count_files(const tokens_args *args) {
  cli_counting counting;
  uint64_t total = 0;
  tokens_choice choice = tokens_choose(args);
  row_sums sums = {.total_only = args->total};
  int answer = need_vocab(args), worst = CLI_OK;
  if (answer) return answer;
  if (!choice.is_chosen && !sheaf_vocab_is_file(args->vocab)) sums.encoding = choice.encoding;
  answer = cli_counting_open(&counting, args->vocab, args->encoding, args->threads);
  for (int i = 0; i < args->file_count && answer == CLI_OK;) {
    int end = i + 1;
    if (tokens_is_rows(args, args->files[i])) {
      answer = count_rows(args, args->files[i], &counting, &sums);
    } else {
      while (end < args->file_count && !tokens_is_rows(args, args->files[end])) end++;
      answer = tokens_text(args, args->files + i, end - i, &total);
    }
    if (answer == CLI_BAD_INPUT) worst = answer, answer = CLI_OK;
    i = end;
  }
  if (answer == CLI_OK) print_total(args, total, &sums);
  cli_counting_close(&counting);
  if (answer) return answer;
  return sums.bad ? CLI_BAD_INPUT : worst;
}

static int encode_files(const tokens_args *args) {
  uint64_t total = 0;
  tokens_choice choice = tokens_choose(args);
  if (choice.has_no_tokenizer)
    return cli_say("%s: there are no ids, %s", args->model, choice.doubt), CLI_USAGE;
  for (int i = 0; i < args->file_count; i++)
    if (tokens_is_rows(args, args->files[i]))
      return cli_say("%s: --encode takes text; for lines of JSON see --jsonl", args->files[i]),
             CLI_USAGE;
  if (choice.doubt[0]) fprintf(stderr, "an estimate: %s\n", choice.doubt);
  return tokens_text(args, args->files, args->file_count, &total);
}

static int make_vocab(const tokens_args *args) {
  char message[1024] = "";
  sheaf_vocab_spec spec = SHEAF_VOCAB_SPEC_INIT;
  if (args->encoding == NULL || args->output == NULL)
    return cli_say(
               "give the name and the file to write: sheaf tokens --make %s --encoding NAME "
               "--output NAME.vocab",
               args->make),
           CLI_USAGE;
  spec.name = sheaf_slice_of(args->encoding);
  spec.pattern = sheaf_slice_of(args->pattern);
  int32_t status = sheaf_vocab_make(args->make, args->output, &spec, message, sizeof message);
  if (status == SHEAF_OK) return CLI_OK;
  cli_say("%s", message[0] ? message : sheaf_status_text(status));
  return status == SHEAF_E_NOMEM ? CLI_HOST : CLI_BAD_INPUT;
}

static int count_here(int argc, char **argv) {
  tokens_args args;
  static const char *standard_input[] = {"-"};
  int answer = read_args(&args, argc, argv);
  const char **files = args.files;
  if (answer == CLI_OK && args.help) {
    free(files);
    return cli_help(stdout, "tokens");
  }
  if (answer == CLI_OK && args.file_count == 0 && args.task == TOKENS_JSONL)
    args.files = standard_input, args.file_count = 1;
  if (answer == CLI_OK && args.file_count == 0 && args.task != TOKENS_MAKE) {
    cli_say("give the files, as: sheaf tokens notes.txt (or - for standard input)");
    answer = CLI_USAGE;
  }
  if (answer == CLI_OK) switch (args.task) {
      case TOKENS_COUNT: answer = count_files(&args); break;
      case TOKENS_ENCODE: answer = encode_files(&args); break;
      case TOKENS_DECODE: answer = tokens_decode(&args); break;
      case TOKENS_JSONL: answer = tokens_filter(&args); break;
      default: answer = make_vocab(&args); break;
    }
  free(files);
  return answer;
}

int cli_tokens(int argc, char **argv) {
  bool asks = false;
  for (int i = 0; i < argc; i++) asks |= strcmp(argv[i], "--ask") == 0;
  int answer = asks ? tokens_ask(argc, argv) : count_here(argc, argv);
  if (fflush(stdout) != 0 || ferror(stdout))
    return cli_say("standard output cannot be written: %s", strerror(errno)), CLI_HOST;
  return answer;
}
