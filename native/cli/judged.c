/* judged.c: what a run's structured answers are worth: the schema's file, and the counts for the summary. */
#include "cli.h"

#include <stdlib.h>

int cli_schema_open(cli_args *args) {
  if (args->json_schema == NULL) return CLI_OK;
  size_t bytes;
  sheaf_schema *schema;
  sheaf_parse_error error = {0};
  char *text = cli_read_file(args->json_schema, SHEAF_SCHEMA_BYTES_MAX, &bytes);
  if (text == NULL) return CLI_BAD_INPUT;
  args->engine.json_schema = (sheaf_slice){text, bytes}; /* lives as long as the process */
  int32_t status = sheaf_schema_new(args->engine.json_schema, sheaf_heap(), &schema, &error);
  if (status != SHEAF_OK) {
    cli_say("%s: byte %zu%s%s: %s", args->json_schema, error.offset + 1, error.field ? ", " : "",
            error.field ? error.field : "", error.message);
    return CLI_BAD_INPUT;
  }
  sheaf_slice unchecked = sheaf_schema_unchecked(schema);
  if (unchecked.bytes > 0 && !args->quiet)
    cli_say("%s: not checked: %.*s", args->json_schema, (int)unchecked.bytes, unchecked.data);
  sheaf_schema_free(schema);
  return CLI_OK;
}

void cli_judged_count(cli_judged *judged, const sheaf_result *result) {
  if (!result->answer_judged) return;
  if (result->answer_score == 0)
    judged->none++;
  else if (result->answer_faults > 0)
    judged->faulty++;
  else if (result->answer_repairs != 0)
    judged->repaired++;
  else
    judged->strict++;
}

void cli_judged_print(const cli_judged *judged, FILE *to) {
  if (judged->strict + judged->repaired + judged->faulty + judged->none == 0) return;
  fprintf(to, "  json         %llu strict, %llu repaired, %llu against the schema, %llu not JSON\n",
          (unsigned long long)judged->strict, (unsigned long long)judged->repaired,
          (unsigned long long)judged->faulty, (unsigned long long)judged->none);
}
