/* jobs_list.c: sheaf jobs list and status: what state files tell, without asking anybody. */
#define _POSIX_C_SOURCE 200809L
#include "jobs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- For people ---- */

static void print_note(sheaf_jobs_store *store, const char *key) {
  char shown[1024], *text = jobs_state_note(store, key);
  if (text == NULL) return;
  cli_plain(shown, sizeof shown, sheaf_slice_of(text));
  printf("  %-8s %s\n", key, shown);
  free(text);
}

static void print_run(sheaf_jobs_store *store) {
  sheaf_jobs_store_run run = {.struct_bytes = sizeof run};
  char host[128];
  if (sheaf_jobs_store_run_get(store, &run) != SHEAF_OK) return;
  cli_plain(host, sizeof host, run.host);
  printf("  %-8s %s (process %lld on %s)\n", "run",
         run.is_live ? "goes on" : "ended without a word", (long long)run.pid, host);
}

static int print_jobs(sheaf_jobs_store *store, const char *path) {
  sheaf_jobs_store_job stored = {.struct_bytes = sizeof stored};
  uint64_t open = 0, undecided = 0, count = 0;
  int64_t now = sheaf_unix_ms();
  int32_t status;
  char quoted[4200];
  while ((status = sheaf_jobs_store_job_next(store, stored.flight, &stored)) == SHEAF_OK) {
    const jobs_job job = jobs_of_stored(&stored);
    if (count++ == 0) jobs_table_head(stdout);
    jobs_table_row(stdout, &job, now);
    if (job.message.bytes || job.decision.bytes) {
      char text[512];
      cli_plain(text, sizeof text, job.decision.bytes ? job.decision : job.message);
      printf("        %s%s\n", job.decision.bytes ? "decided: " : "", text);
    }
    undecided += job.state == SHEAF_JOB_UNDECIDED_STATE && job.decision.bytes == 0;
    open += !job.is_over;
  }
  if (status != SHEAF_E_END) return cli_say("%s", sheaf_jobs_store_message(store)), CLI_HOST;
  if (count == 0) puts("  no jobs");
  fflush(stdout);
  jobs_quoted(path, quoted, sizeof quoted);
  for (stored.flight = 0;
       undecided > 0 && sheaf_jobs_store_job_next(store, stored.flight, &stored) == SHEAF_OK;) {
    const jobs_job job = jobs_of_stored(&stored);
    if (job.state != SHEAF_JOB_UNDECIDED_STATE || job.decision.bytes) continue;
    jobs_say_undecided(stderr, &job, path);
  }
  if (open > undecided) fprintf(stderr, "To go on: sheaf jobs wait --state %s\n", quoted);
  return undecided ? CLI_PARTIAL : CLI_OK;
}

/* ---- JSON ---- */

static void put_note(sheaf_buf *to, sheaf_jobs_store *store, const char *key) {
  char *text = jobs_state_note(store, key);
  sheaf_buf_append_text(to, ",\"");
  sheaf_buf_append_text(to, key);
  sheaf_buf_append_text(to, "\":");
  if (text != NULL)
    sheaf_buf_append_string(to, sheaf_slice_of(text));
  else
    sheaf_buf_append_text(to, "null");
  free(text);
}

static void put_run(sheaf_buf *to, sheaf_jobs_store *store) {
  sheaf_jobs_store_run run = {.struct_bytes = sizeof run};
  char text[96];
  if (sheaf_jobs_store_run_get(store, &run) != SHEAF_OK) {
    sheaf_buf_append_text(to, ",\"run\":null");
    return;
  }
  snprintf(text, sizeof text,
           ",\"run\":{\"is_live\":%s,\"pid\":%lld,\"host\":", run.is_live ? "true" : "false",
           (long long)run.pid);
  sheaf_buf_append_text(to, text);
  sheaf_buf_append_string(to, run.host);
  sheaf_buf_append_text(to, "}");
}

/* One object a file, one file a line. */
static int print_json(sheaf_jobs_store *store, const char *path) {
  sheaf_jobs_store_job stored = {.struct_bytes = sizeof stored};
  sheaf_buf out;
  int32_t status;
  bool first = true;
  int answer = CLI_OK;
  sheaf_buf_init(&out, sheaf_heap(), (size_t)256 << 20);
  sheaf_buf_append_text(&out, "{\"state\":");
  sheaf_buf_append_string(&out, sheaf_slice_of(path));
  put_note(&out, store, "input");
  put_note(&out, store, "output");
  put_run(&out, store);
  sheaf_buf_append_text(&out, ",\"jobs\":[");
  while ((status = sheaf_jobs_store_job_next(store, stored.flight, &stored)) == SHEAF_OK) {
    const jobs_job job = jobs_of_stored(&stored);
    sheaf_buf_append_text(&out, first ? "{" : ",{");
    jobs_json(&job, &out);
    sheaf_buf_append_text(&out, job.is_over ? ",\"is_over\":true}" : ",\"is_over\":false}");
    if (job.state == SHEAF_JOB_UNDECIDED_STATE && !job.decision.bytes) answer = CLI_PARTIAL;
    first = false;
  }
  sheaf_buf_append_text(&out, "]}\n");
  if (status != SHEAF_E_END || out.status != SHEAF_OK ||
      fwrite(out.data, 1, out.bytes, stdout) != out.bytes) {
    cli_say("%s", sheaf_jobs_store_message(store));
    answer = CLI_HOST;
  }
  sheaf_buf_deinit(&out);
  return answer;
}

/* ---- The commands ---- */

int jobs_show(const char *path, bool json) {
  char shown[4200];
  sheaf_jobs_store *store;
  int answer = jobs_state_open(path, true, &store);
  if (answer != CLI_OK) return answer;
  if (json) {
    answer = print_json(store, path);
  } else {
    cli_plain(shown, sizeof shown, sheaf_slice_of(path));
    printf("%s\n", shown);
    print_note(store, "input");
    print_note(store, "output");
    print_run(store);
    answer = print_jobs(store, path);
  }
  sheaf_jobs_store_close(store);
  return answer;
}

typedef struct listing {
  bool json;
  uint32_t count;
  int worst;
} listing;

/* A file that cannot be read does not hide the others. */
static int list_one(void *user, const char *path) {
  listing *it = user;
  int answer = jobs_show(path, it->json);
  it->count++;
  if (it->worst == CLI_OK || answer > it->worst) it->worst = answer;
  return CLI_OK;
}

int jobs_list(int argc, char **argv) {
  static cli_args args;
  int answer = cli_args_read(argc, argv, "jobs list", &args);
  if (answer) return answer;
  if (args.help) return cli_help(stdout, "jobs");
  const char *where = args.state ? args.state : args.input ? args.input : ".";
  struct stat info;
  listing it = {args.json, 0, CLI_OK};
  if (stat(where, &info) == 0 && S_ISDIR(info.st_mode)) {
    answer = jobs_state_each(where, list_one, &it);
    if (answer == CLI_OK && it.count == 0 && !args.json)
      printf("no jobs: there is no .jobs.sqlite file in %s\n",
             strcmp(where, ".") ? where : "this folder");
    return answer != CLI_OK ? answer : it.worst;
  }
  return jobs_show(where, args.json);
}

int jobs_status(int argc, char **argv) {
  static cli_args args;
  char path[4096];
  int answer = cli_args_read(argc, argv, "jobs status", &args);
  if (answer) return answer;
  if (args.help) return cli_help(stdout, "jobs");
  answer = jobs_state_find(&args, path, sizeof path);
  int asked = CLI_OK;
  if (answer == CLI_OK && args.refresh) asked = jobs_refresh(argc, argv);
  if (answer == CLI_OK && (asked == CLI_OK || asked == CLI_PARTIAL))
    answer = jobs_show(path, args.json);
  return answer != CLI_OK ? answer : asked;
}
