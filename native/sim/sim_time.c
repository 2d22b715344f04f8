/* sim_time.c: how long things take: the recorded file, the draw of a spread, --time-scale. */
#include "sim_lines.h"

#include <stdlib.h>
#include <string.h>

#define DAY_NS (86400 * SIM_SECOND)
#define GAPS_DRAWN_MAX SIM_WORDS_MAX /* of longer answers, the rest takes the mean of these */

/* ---- The recorded file ---- */

static bool is_between(char c) {
  return c == ' ' || c == '\t' || c == ',' || c == ';';
}

/* The next number of the line in microseconds; false where there is none that can be read. */
static bool read_ms(sheaf_slice *rest, uint64_t *us) {
  int64_t nano;
  size_t bytes = 0;
  while (bytes < rest->bytes && !is_between(rest->data[bytes])) bytes++;
  sheaf_slice number = {rest->data, bytes};
  if (sheaf_json_kind(number) != SHEAF_JSON_NUMBER || sheaf_json_check(number, NULL) != SHEAF_OK)
    return false;
  if (sheaf_json_nano(number, &nano) != SHEAF_OK) return false;
  if (nano < 0 || nano > (int64_t)86400000 * 1000000000) return false;
  *us = (uint64_t)nano / 1000000;
  while (bytes < rest->bytes && is_between(rest->data[bytes])) bytes++;
  *rest = (sheaf_slice){rest->data + bytes, rest->bytes - bytes};
  return true;
}

static bool samples_grow(sim_samples *samples, size_t room) {
  uint64_t *ttft = realloc(samples->ttft_us, room * sizeof *ttft);
  if (!ttft) return false;
  samples->ttft_us = ttft;
  uint64_t *itl = realloc(samples->itl_us, room * sizeof *itl);
  if (!itl) return false;
  samples->itl_us = itl;
  return true;
}

static int32_t read_samples(sim_samples *samples, sim_lines *lines) {
  sheaf_slice line;
  size_t room = 0;
  while (sheaf__sim_line_next(lines, &line)) {
    const char *comment = memchr(line.data, '#', line.bytes);
    if (comment == line.data) continue;
    if (comment) line.bytes = (size_t)(comment - line.data);
    while (line.bytes && is_between(line.data[line.bytes - 1])) line.bytes--;
    if (samples->count == room) {
      room = room ? room * 2 : 256;
      if (!samples_grow(samples, room))
        return sheaf__sim_line_fail(lines, SHEAF_E_NOMEM, NULL, "no memory for so many lines");
    }
    uint64_t *ttft = &samples->ttft_us[samples->count], *itl = &samples->itl_us[samples->count];
    *itl = UINT64_MAX;
    if (!read_ms(&line, ttft) || (line.bytes && !read_ms(&line, itl)) || line.bytes)
      return sheaf__sim_line_fail(lines, SHEAF_E_FIELD, NULL,
                                  "not \"TTFT_MS\" or \"TTFT_MS ITL_MS\"; write one or two numbers"
                                  " of at most a day");
    samples->count++;
  }
  if (samples->count == 0)
    return sheaf__sim_line_fail(lines, SHEAF_E_FIELD, NULL,
                                "no latency in the file; write one a line");
  return SHEAF_OK;
}

int32_t sheaf__sim_samples_load(sim_samples *samples, const char *path, char *message,
                                size_t bytes) {
  sim_lines lines;
  *samples = (sim_samples){0};
  int32_t status = sheaf__sim_lines_open(&lines, path, message, bytes);
  if (status != SHEAF_OK) return status;
  status = read_samples(samples, &lines);
  sheaf__sim_lines_close(&lines);
  if (status != SHEAF_OK) sheaf__sim_samples_free(samples);
  return status;
}

void sheaf__sim_samples_free(sim_samples *samples) {
  free(samples->ttft_us);
  free(samples->itl_us);
  *samples = (sim_samples){0};
}

/* ---- Draws ---- */

static uint64_t draw_us(const sheaf_sim_spread *spread, uint64_t key, uint64_t purpose) {
  if (spread->kind == SHEAF_SIM_SPREAD_UNIFORM && spread->high_us > spread->us)
    return spread->us + sheaf__sim_draw(key, purpose, spread->high_us - spread->us + 1);
  if (spread->kind == SHEAF_SIM_SPREAD_LOGNORMAL)
    return sheaf__sim_lognormal(key, purpose, spread->us * SIM_US, spread->sigma_milli) / SIM_US;
  return spread->us;
}

static uint64_t to_ns(uint64_t us) {
  return us < DAY_NS / SIM_US ? us * SIM_US : DAY_NS;
}

uint64_t sheaf__sim_job_ns(const sim_world *world, uint64_t key) {
  return to_ns(draw_us(&world->options->batch_time, key, SIM_DRAW_JOB));
}

/* The line of the recorded file that an answer follows: its two numbers belong together. */
static size_t line_of(const sim_samples *samples, uint64_t key) {
  return (size_t)sheaf__sim_draw(key, SIM_DRAW_LATENCY, samples->count);
}

uint64_t sheaf__sim_ttft_ns(const sim_world *world, uint64_t key) {
  const sheaf_sim_spread *spread = &world->options->latency;
  if (spread->kind == SHEAF_SIM_SPREAD_FILE && world->latency.count)
    return to_ns(world->latency.ttft_us[line_of(&world->latency, key)]);
  return to_ns(draw_us(spread, key, SIM_DRAW_LATENCY));
}

/* The gap where it is the same before each token of the answer; UINT64_MAX: it is drawn anew. The
 * latency's file decides where --itl says nothing. */
static uint64_t steady_us(const sim_world *world, uint64_t key) {
  const sheaf_sim_spread *spread = &world->options->itl;
  if (spread->kind == SHEAF_SIM_SPREAD_FILE) return world->itl.count ? UINT64_MAX : 0;
  if (spread->kind != SHEAF_SIM_SPREAD_FIXED) return UINT64_MAX;
  if (spread->us || world->options->latency.kind != SHEAF_SIM_SPREAD_FILE || !world->latency.count)
    return spread->us;
  uint64_t us = world->latency.itl_us[line_of(&world->latency, key)];
  return us == UINT64_MAX ? 0 : us;
}

/* A file of --itl has its gaps in the second column, or in the only one. */
static uint64_t drawn_gap_us(const sim_world *world, uint64_t key, uint64_t n) {
  const sheaf_sim_spread *spread = &world->options->itl;
  uint64_t purpose = SIM_DRAW_GAP + 2 * n;
  if (spread->kind != SHEAF_SIM_SPREAD_FILE) return draw_us(spread, key, purpose);
  size_t line = (size_t)sheaf__sim_draw(key, purpose, world->itl.count);
  uint64_t us = world->itl.itl_us[line];
  return us == UINT64_MAX ? world->itl.ttft_us[line] : us;
}

uint64_t sheaf__sim_gap_ns(const sim_world *world, uint64_t key, uint64_t n) {
  uint64_t us = steady_us(world, key);
  return to_ns(us == UINT64_MAX ? drawn_gap_us(world, key, n) : us);
}

uint64_t sheaf__sim_gaps_ns(const sim_world *world, uint64_t key, uint64_t count) {
  uint64_t us = steady_us(world, key), sum = 0, rest = 0;
  if (count < 2) return 0;
  uint64_t gaps = count - 1, drawn = gaps < GAPS_DRAWN_MAX ? gaps : GAPS_DRAWN_MAX;
  if (us != UINT64_MAX)
    return __builtin_mul_overflow(to_ns(us), gaps, &sum) || sum > DAY_NS ? DAY_NS : sum;
  for (uint64_t n = 1; n <= drawn && sum < DAY_NS; n++) sum += to_ns(drawn_gap_us(world, key, n));
  if (__builtin_mul_overflow(sum / drawn, gaps - drawn, &rest) || rest > DAY_NS) return DAY_NS;
  return sum + rest < DAY_NS ? sum + rest : DAY_NS;
}

uint64_t sheaf__sim_scaled(const sim_world *world, uint64_t ns) {
  uint64_t milli = world->options->time_scale_milli;
  if (milli == 0) return 0;
  if (ns / 1000 >= DAY_NS / milli) return DAY_NS;
  return ns / 1000 * milli + ns % 1000 * milli / 1000;
}
