/* job_entries.c: the entries of a job's spool.
 *
 *   u32 head bytes | u32 row bytes | head: {"custom_id":"a","line":7,...} | row, with its separator
 *
 * The row is what the provider is sent and stays the bytes that it is. metadata is any JSON value
 * and may be as deep as a document can be, so it stands in the head as text: one level more around
 * it would make it unreadable.
 *
 * Outline: the head's members; writing; reading. */
#include <sheaf/jobs.h>

#include "base/mem.h"
#include "lanes/job_fields.h"

/* Of a head and of a row. A line of the input has at most 64 MiB, and a body is never many times
 * its line: a higher number comes from a damaged spool, and nobody should make room for it. */
#define PART_BYTES_MAX ((uint64_t)1 << 30)

#define FIELD(name, member, kind) \
  { (name), offsetof(sheaf_job_entry, member), SHEAF__FIELD_##kind, 1 }

static const sheaf__job_field fields[] = {
    FIELD("custom_id", custom_id, TEXT), FIELD("line", line, U32),
    FIELD("metadata", metadata, TEXT), FIELD("ref", source_ref, U64),
    FIELD("priority", priority, U32)};

enum { FIELDS = sizeof fields / sizeof *fields };

int32_t sheaf_job_entry_write(const sheaf_job_entry *entry, sheaf_buf *to) {
  const size_t before = to->bytes;
  if (entry->row.bytes > PART_BYTES_MAX) return SHEAF_E_TOO_LONG;
  int32_t status = sheaf_buf_reserve(to, SHEAF_JOB_ENTRY_HEAD);
  if (status != SHEAF_OK) return status;
  memset(to->data + before, 0, SHEAF_JOB_ENTRY_HEAD); /* until the head's size is known */
  to->bytes += SHEAF_JOB_ENTRY_HEAD;
  status = sheaf__job_fields_write(fields, FIELDS, 1, false, entry, to);
  const size_t head_bytes = to->bytes - before - SHEAF_JOB_ENTRY_HEAD;
  if (status == SHEAF_OK && head_bytes > PART_BYTES_MAX) status = SHEAF_E_TOO_LONG;
  if (status == SHEAF_OK) status = sheaf_buf_append_slice(to, entry->row);
  if (status != SHEAF_OK) {
    to->bytes = before;
    return status;
  }
  uint8_t *sizes = (uint8_t *)to->data + before;
  sheaf__put_le(sizes, head_bytes, 4);
  sheaf__put_le(sizes + 4, entry->row.bytes, 4);
  return SHEAF_OK;
}

int32_t sheaf_job_entry_read(sheaf_slice bytes, sheaf_buf *scratch, uint64_t *whole,
                             sheaf_job_entry *entry) {
  *whole = 0;
  if (bytes.bytes < SHEAF_JOB_ENTRY_HEAD) return SHEAF_E_PARTIAL;
  const uint8_t *sizes = (const uint8_t *)bytes.data;
  const uint64_t head_bytes = sheaf__get_le(sizes, 4), row_bytes = sheaf__get_le(sizes + 4, 4);
  if (head_bytes > PART_BYTES_MAX || row_bytes > PART_BYTES_MAX) return SHEAF_E_SYNTAX;
  *whole = SHEAF_JOB_ENTRY_HEAD + head_bytes + row_bytes;
  if (bytes.bytes < *whole) return SHEAF_E_PARTIAL;
  const char *head = bytes.data + SHEAF_JOB_ENTRY_HEAD;
  sheaf_job_entry read = {.struct_bytes = sizeof(sheaf_job_entry)};
  const int32_t status = sheaf__job_fields_read(
      fields, FIELDS, 1, (sheaf_slice){head, (size_t)head_bytes}, scratch, &read);
  if (status != SHEAF_OK) return status;
  read.row = (sheaf_slice){head + head_bytes, (size_t)row_bytes};
  *entry = read;
  return SHEAF_OK;
}
