/* bench_store.c: how fast the rows of jobs become durable, and come back: appends of 1,024 rows,
 * jobs of 50,000, then a new opening and the scan.
 *
 *   bench_store [ROWS [FOLDER]]     1,000,000 rows, in the working folder
 *
 * What was read is compared with what was written. The time of the disk is in it: each job's plan
 * is synced. */
#include <sheaf/store.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 1024, JOB = 50000 };

static uint64_t rows_heard;
static uint64_t sum_heard;

static double now_seconds(void) {
  struct timespec t;
  timespec_get(&t, TIME_UTC);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void put_id(char *to, uint64_t number) {
  for (size_t i = 0; i < 8; i++) to[i] = (char)(number >> (8 * i) & 0xFF);
}

/* Stands where the engine's would: counts. */
int32_t sheaf_engine_on_scanned(sheaf_engine *engine, const sheaf_record *records, uint32_t count) {
  (void)engine;
  for (uint32_t i = 0; i < count; i++) {
    if (records[i].type != SHEAF_RECORD_JOB_ROWS) continue;
    const char *at = records[i].payload.data + 8;
    for (size_t left = records[i].payload.bytes - 8; left > 0; left -= SHEAF_JOB_ROW_BYTES) {
      sheaf_job_row row;
      sheaf_job_row_read((const uint8_t *)at, &row);
      rows_heard++;
      sum_heard += row.index + row.spool_at;
      at += SHEAF_JOB_ROW_BYTES;
    }
  }
  return SHEAF_OK;
}

static int failed(const char *what, const char *message) {
  printf("%s: %s\n", what, message);
  return 1;
}

/* One job, chunk by chunk, then its plan. */
static int32_t write_job(const sheaf_store *door, uint64_t flight, uint64_t first, uint64_t rows,
                         uint64_t *sum) {
  static char payload[8 + CHUNK * SHEAF_JOB_ROW_BYTES];
  char plan[64] = "";
  int32_t status = SHEAF_E_END;
  put_id(payload, flight);
  for (uint64_t done = 0; done < rows && status == SHEAF_E_END;) {
    uint64_t count = rows - done < CHUNK ? rows - done : CHUNK;
    for (uint64_t i = 0; i < count; i++) {
      sheaf_job_row row = {.index = first + done + i,
                           .spool_at = (done + i) * 500,
                           .id_hash = (first + done + i) * 0x9E3779B97F4A7C15u};
      memcpy(row.fingerprint, &row.id_hash, sizeof row.id_hash);
      sheaf_job_row_write(&row, (uint8_t *)payload + 8 + i * SHEAF_JOB_ROW_BYTES);
      *sum += row.index + row.spool_at;
    }
    sheaf_record record = {.type = SHEAF_RECORD_JOB_ROWS,
                           .payload = {payload, 8 + (size_t)count * SHEAF_JOB_ROW_BYTES}};
    status = door->append(door->ctx, 1, &record, 1);
    done += count;
  }
  if (status != SHEAF_E_END) return status;
  put_id(plan, flight);
  int bytes =
      snprintf(plan + 8, sizeof plan - 8, "{\"v\":1,\"requests\":%llu}", (unsigned long long)rows);
  sheaf_record record = {.type = SHEAF_RECORD_JOB_PLAN, .payload = {plan, 8 + (size_t)bytes}};
  return door->append(door->ctx, 1, &record, 1);
}

int main(int argc, char **argv) {
  uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
  char path[1024];
  char message[1024];
  uint64_t sum = 0;
  sheaf_jobs_store_options options = SHEAF_JOBS_STORE_OPTIONS_INIT;
  sheaf_jobs_store *store;
  snprintf(path, sizeof path, "%s/bench_store.sqlite", argc > 2 ? argv[2] : ".");
  unlink(path);
  options.path = path;
  if (sheaf_jobs_store_open(&options, &store, message, sizeof message) != SHEAF_OK) {
    return failed("open", message);
  }
  const sheaf_store *door = sheaf_jobs_store_door(store);
  double start = now_seconds();
  clock_t start_cpu = clock();
  uint64_t flight = 0;
  for (uint64_t done = 0; done < rows; done += JOB) {
    uint64_t count = rows - done < JOB ? rows - done : JOB;
    if (write_job(door, ++flight, done, count, &sum) != SHEAF_E_END) {
      return failed("append", sheaf_jobs_store_message(store));
    }
  }
  double written = now_seconds();
  double cpu = (double)(clock() - start_cpu) / CLOCKS_PER_SEC;
  sheaf_jobs_store_close(store);
  double closed = now_seconds();
  if (sheaf_jobs_store_open(&options, &store, message, sizeof message) != SHEAF_OK) {
    return failed("open", message);
  }
  double opened = now_seconds();
  sheaf_jobs_store_bind(store, (sheaf_engine *)(void *)&sum_heard);
  if (sheaf_jobs_store_pump(store) != SHEAF_OK) {
    return failed("pump", sheaf_jobs_store_message(store));
  }
  double told = now_seconds();
  sheaf_jobs_store_close(store);
  unlink(path);
  if (rows_heard != rows || sum_heard != sum) return failed("scan", "not what was written");
  printf(
      "%llu rows in %llu jobs: append %.2f s (%.2f s CPU), close %.2f s, open %.2f s, scan %.2f "
      "s\n",
      (unsigned long long)rows, (unsigned long long)flight, written - start, cpu, closed - written,
      opened - closed, told - opened);
  return 0;
}
