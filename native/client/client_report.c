/* client_report.c: statistics as lines, for sheaf_client_options.on_report. A line is written at once, so that the lines of several
 * writers to one file do not mix. */
#include "client_int.h"

#include <stdio.h>

void sheaf_report_console(void *file, const sheaf_stats *stats) {
  char line[512];
  if (file == NULL || stats == NULL) return;
  size_t bytes = sheaf_stats_line(stats, line, sizeof line - 1);
  line[bytes++] = '\n';
  fwrite(line, 1, bytes, file);
  fflush(file);
}

/* Without memory the line is left out: the next one says the same and more. */
void sheaf_report_jsonl(void *file, const sheaf_stats *stats) {
  sheaf_buf json;
  if (file == NULL || stats == NULL) return;
  sheaf_buf_init(&json, sheaf_heap(), (size_t)1 << 20);
  sheaf_stats_json(stats, &json);
  sheaf_buf_append_text(&json, "\n");
  if (json.status == SHEAF_OK) {
    fwrite(json.data, 1, json.bytes, file);
    fflush(file);
  }
  sheaf_buf_deinit(&json);
}
