/* sim_lines.h: the files that a simulator is given (answers, latencies, faults), line by line, with
 * one form of complaint: "FILE, line N, "FIELD": what is wrong; the remedy". */
#ifndef SIM_LINES_H
#define SIM_LINES_H

#include "sim_int.h"

typedef struct sim_lines {
  const char *path;
  char *message; /* of the caller; may be NULL */
  size_t message_bytes;
  sheaf_buf text;
  size_t at;
  uint64_t number; /* of the line that was read last */
  uint64_t column; /* of a failure in it, from 1; 0: not known */
} sim_lines;

/* Reads the file. On failure the complaint is made and nothing has to be freed. */
int32_t sheaf__sim_lines_open(sim_lines *lines, const char *path, char *message, size_t bytes);
void sheaf__sim_lines_close(sim_lines *lines);
/* The next line that is not blank, without space around it; false at the end. */
bool sheaf__sim_line_next(sim_lines *lines, sheaf_slice *line);
/* Makes the complaint about the line; field may be NULL, then it is about all of it. Answers status
 * where it is SHEAF_E_NOMEM or SHEAF_E_LIMIT; all else that a line can be is SHEAF_E_FIELD. */
int32_t sheaf__sim_line_fail(const sim_lines *lines, int32_t status, const char *field,
                             const char *sentence);
/* Reads a line of JSON with members of these names only: values[i] is names[i]'s, empty if absent
 * or null. */
int32_t sheaf__sim_line_object(sim_lines *lines, sheaf_slice line, const char *const *names,
                               uint32_t count, sheaf_slice *values);

/* Whether part occurs in text; the empty part does. */
bool sheaf__sim_contains(sheaf_slice text, sheaf_slice part);

#endif
