/* bench_json.c: how fast a chat reply's fields are found: sheaf_json_pick against a parse by cJSON.
 *
 *   bench_json [rounds]
 *
 * The reply is synthetic, in the shape the providers send; both ways must find the same text before they are timed.
 * Each figure is the best of five runs, as the machine's other work only ever slows one down. */
#include <sheaf/buf.h>

#include <cjson/cJSON.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char reply[] =
    "{\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion\",\"created\":"
    "1741569952,"
    "\"model\":\"gpt-4.1-2025-04-14\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
    "\"assistant\",\"content\":"
    "\"Sheaves were bound by hand, one armful at a time, and stood in stooks to dry.\\nThen they "
    "were carted home.\","
    "\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":"
    "{"
    "\"prompt_tokens\":19,\"completion_tokens\":27,\"total_tokens\":46,\"prompt_tokens_details\":{"
    "\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}"
    "},"
    "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_a1b2c3\"}";

static const char *const paths[] = {"id",
                                    "model",
                                    "choices[0].message.content",
                                    "choices[0].finish_reason",
                                    "usage.prompt_tokens",
                                    "usage.completion_tokens"};
enum { PATHS = sizeof paths / sizeof *paths, RUNS = 5 };

static double now_seconds(void) {
  struct timespec t;
  timespec_get(&t, TIME_UTC);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t pick_all(sheaf_slice text, unsigned long rounds) {
  size_t sum = 0;
  sheaf_slice values[PATHS];
  for (unsigned long i = 0; i < rounds; i++) {
    if (sheaf_json_pick(text, paths, PATHS, values, NULL, NULL) != SHEAF_OK) return 0;
    sum += values[2].bytes;
  }
  return sum;
}

static size_t check_all(sheaf_slice text, unsigned long rounds) {
  size_t sum = 0;
  for (unsigned long i = 0; i < rounds; i++) sum += sheaf_json_check(text, NULL) == SHEAF_OK;
  return sum;
}

static const char *cjson_content(const cJSON *tree) {
  const cJSON *choices = cJSON_GetObjectItemCaseSensitive(tree, "choices");
  const cJSON *message =
      cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(choices, 0), "message");
  return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(message, "content"));
}

static size_t cjson_all(sheaf_slice text, unsigned long rounds) {
  size_t sum = 0;
  for (unsigned long i = 0; i < rounds; i++) {
    cJSON *tree = cJSON_ParseWithLength(text.data, text.bytes);
    if (!tree) return 0;
    sum += strlen(cjson_content(tree));
    cJSON_Delete(tree);
  }
  return sum;
}

static void time_it(const char *name, size_t (*run)(sheaf_slice, unsigned long), sheaf_slice text,
                    unsigned long rounds) {
  double best = 0;
  for (int i = 0; i < RUNS; i++) {
    double start = now_seconds();
    if (run(text, rounds) == 0) exit(1);
    double took = now_seconds() - start;
    if (i == 0 || took < best) best = took;
  }
  double bytes = (double)text.bytes * (double)rounds;
  printf("%-22s %5zu bytes  %8.1f MB/s  %8.1f ns each\n", name, text.bytes, bytes / best / 1e6,
         best / (double)rounds * 1e9);
}

/* The same reply with a long answer. */
static sheaf_slice with_content(const char *piece, size_t bytes) {
  size_t place = (size_t)(strstr(reply, "Sheaves") - reply), piece_bytes = strlen(piece),
         at = place;
  char *text = malloc(sizeof reply + bytes + piece_bytes);
  if (!text) exit(1);
  memcpy(text, reply, place);
  for (; at < place + bytes; at += piece_bytes) memcpy(text + at, piece, piece_bytes);
  memcpy(text + at, reply + place, sizeof reply - 1 - place);
  return (sheaf_slice){text, at + sizeof reply - 1 - place};
}

int main(int argc, char **argv) {
  unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
  sheaf_slice text = SHEAF_LITERAL(reply), values[PATHS];
  if (sheaf_json_pick(text, paths, PATHS, values, NULL, NULL) != SHEAF_OK) return 1;
  cJSON *tree = cJSON_ParseWithLength(text.data, text.bytes);
  const char *content = tree ? cjson_content(tree) : NULL;
  int64_t tokens = 0;
  if (!content || strncmp(content, values[2].data + 1, 20) != 0) return 1;
  if (sheaf_json_int(values[5], &tokens) != SHEAF_OK || tokens != 27) return 1;
  cJSON_Delete(tree);
  sheaf_slice prose = with_content("a plain sentence of an answer, with an end.\\n", 20000);
  sheaf_slice kanji = with_content("\xE6\x9D\x9F\xE3\x81\xAD\xE3\x82\x8B", 20000);
  time_it("pick, 6 paths", pick_all, text, rounds);
  time_it("check", check_all, text, rounds);
  time_it("cJSON", cjson_all, text, rounds / 4 + 1);
  time_it("pick, long prose", pick_all, prose, rounds / 20 + 1);
  time_it("cJSON, long prose", cjson_all, prose, rounds / 80 + 1);
  time_it("pick, long Japanese", pick_all, kanji, rounds / 20 + 1);
  return 0;
}
