/* job_fields.h: structs as JSON objects by a table of their fields, for records and spool entries;
 * and little-endian numbers in bytes. */
#ifndef SHEAF_JOB_FIELDS_H
#define SHEAF_JOB_FIELDS_H

#include <sheaf/jobs.h>

enum {
  SHEAF__FIELD_TEXT = 1, /* sheaf_slice; left out where empty */
  SHEAF__FIELD_U64 = 2,
  SHEAF__FIELD_U32 = 3,
  SHEAF__FIELD_I64 = 4,   /* left out where SHEAF_ABSENT */
  SHEAF__FIELD_BOOL = 5,  /* left out where false */
  SHEAF__FIELD_STATE = 6, /* uint32_t, by its name; left out where 0 */
  SHEAF__FIELD_STEP = 7   /* the same */
};

typedef struct sheaf__job_field {
  const char *name;
  size_t offset;
  uint32_t kind;  /* SHEAF__FIELD_* */
  uint32_t where; /* a bit for each kind of object that has it */
} sheaf__job_field;

#define SHEAF__JOB_VERSION 1 /* of what is written; a reader refuses higher ones */

/* Appends the object: of fields whose `where` has one of the bits of `where`. versioned: it begins
 * with its version. On failure nothing is appended. */
int32_t sheaf__job_fields_write(const sheaf__job_field *fields, size_t count, uint32_t where,
                                bool versioned, const void *from, sheaf_buf *to);
/* Reads an object; members that are unknown, null or not of `where` are passed over, and what has
 * no member stays as it is in `to`. Text is unescaped behind what scratch holds where it needs it.
 * SHEAF_E_SYNTAX, SHEAF_E_VERSION, SHEAF_E_NOMEM (or what scratch says); then scratch holds what it
 * held, and `to` is undefined. */
int32_t sheaf__job_fields_read(const sheaf__job_field *fields, size_t count, uint32_t where,
                               sheaf_slice json, sheaf_buf *scratch, void *to);

static inline void sheaf__put_le(uint8_t *to, uint64_t number, unsigned bytes) {
  for (unsigned i = 0; i < bytes; i++) to[i] = (uint8_t)(number >> (8 * i));
}
static inline uint64_t sheaf__get_le(const uint8_t *from, unsigned bytes) {
  uint64_t number = 0;
  for (unsigned i = 0; i < bytes; i++) number |= (uint64_t)from[i] << (8 * i);
  return number;
}

#endif
