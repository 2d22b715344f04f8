/* batch_join.c: rows on their way into a job: how each is written, and when the job is full. */
#include "base/mem.h"
#include "base/swar.h"
#include "lanes/batch_lane.h"

#define FILL_PCT 95u                     /* of the provider's maxima */
#define AUTO_ROWS 5000u                  /* of a job that lane auto makes: small jobs end sooner */
#define INLINE_BYTES (UINT64_C(4) << 20) /* more travels as a file where both are offered */
#define INLINE_ROWS 100u

static uint64_t filled(uint64_t maximum) {
  if (maximum == 0) return SHEAF_NEVER;
  uint64_t most = maximum / 100 * FILL_PCT + maximum % 100 * FILL_PCT / 100;
  return most ? most : 1;
}

static uint64_t rows_max(const sheaf__batch *b) {
  uint64_t asked = b->setup->options->max_requests_per_job;
  uint64_t most = sheaf__min_u64(filled(b->setup->api->traits.requests_max), SHEAF__JOB_ROWS_MAX);
  if (asked == 0 && b->setup->is_auto) asked = AUTO_ROWS;
  return asked ? sheaf__min_u64(asked, most) : most;
}

static uint64_t bytes_max(const sheaf__batch *b) {
  const sheaf_job_traits *traits = &b->setup->api->traits;
  uint64_t most = filled(traits->bytes_max);
  if (b->is_inline && traits->inline_bytes_max)
    most = sheaf__min_u64(most, filled(traits->inline_bytes_max));
  return most;
}

/* How rows travel is decided with the first, for it shapes their bytes: in the create call itself
 * where there is no other way, or where jobs were asked to be small. */
static bool choose_inline(const sheaf__batch *b, uint64_t row_bytes) {
  uint32_t flags = b->setup->api->traits.flags;
  uint64_t asked = b->setup->options->max_requests_per_job;
  if (!(flags & SHEAF_JOBS_INLINE)) return false;
  if (!(flags & SHEAF_JOBS_FILES)) return true;
  return asked && asked <= INLINE_ROWS && asked * row_bytes <= INLINE_BYTES;
}

static int32_t write_row(sheaf__batch *b, const sheaf__member *member) {
  char id[SHEAF_JOB_ID_BYTES_MAX];
  sheaf_slice text = sheaf_job_id_write(b->rows.count, member->custom_id, id);
  sheaf_job_facts facts;
  sheaf__batch_facts(b, &facts);
  sheaf_buf_reset(&b->scratch);
  return b->setup->api->row(b->setup->api, &facts, text, member->body, &b->scratch);
}

/* An id that is no UTF-8 would come back from the spool as another one. */
static bool is_utf8(sheaf_slice text) {
  const char *p = text.data, *end = text.data + text.bytes;
  while (p < end) {
    const char *q = (unsigned char)*p < 0x80 ? p + 1 : sheaf__skip_utf8(p, end);
    if (q == p) return false;
    p = q;
  }
  return true;
}

int32_t sheaf__batch_join(void *state, const sheaf__member *member, sheaf_buf *to) {
  sheaf__batch *b = state;
  if (b->setup->api == NULL) return SHEAF_E_UNSUPPORTED;
  if (!is_utf8(member->custom_id)) return SHEAF_E_FIELD;
  if (b->rows.count == 0) b->is_inline = choose_inline(b, member->body.bytes);
  int32_t status = write_row(b, member);
  if (status == SHEAF_OK) status = b->scratch.status;
  if (status == SHEAF_E_LIMIT) return SHEAF_E_TOO_LONG;
  if (status) return status;
  const sheaf_engine_options *o = b->setup->options;
  b->joining_bytes = b->scratch.bytes;
  b->joining_tokens = member->tokens;
  b->joining_inputs = member->inputs;
  if (b->rows.count >= rows_max(b) || b->bytes + b->joining_bytes > bytes_max(b) ||
      b->inputs + member->inputs > filled(b->setup->api->traits.inputs_max) ||
      (o->max_job_tokens && b->tokens + member->tokens > o->max_job_tokens && b->rows.count))
    return SHEAF_E_FULL;
  sheaf_job_entry entry = {.struct_bytes = sizeof entry,
                           .line = member->line,
                           .custom_id = member->custom_id,
                           .metadata = member->metadata,
                           .source_ref = member->source_ref,
                           .priority = member->priority,
                           .row = sheaf_buf_slice(&b->scratch)};
  status = sheaf_job_entry_write(&entry, to);
  if (status) return status;
  b->joining = (sheaf_job_row){.index = member->index,
                               .spool_at = member->spool_at,
                               .id_hash = sheaf_job_id_hash(member->custom_id)};
  if (b->rows.count == 0) b->line = member->line;
  bool is_plain = member->metadata.bytes == 0 && member->source_ref == 0 &&
                  sheaf__batch_line(b, member->index) == member->line;
  if (!is_plain) b->joining.spool_at |= SHEAF__SPOOL_NEEDED;
  memcpy(b->joining.fingerprint, member->fingerprint, sizeof b->joining.fingerprint);
  status = sheaf__job_rows_reserve(&b->rows, 1);
  return status == SHEAF_E_LIMIT ? SHEAF_E_FULL : status;
}

void sheaf__batch_joined(void *state) {
  sheaf__batch *b = state;
  (void)sheaf__job_rows_add(&b->rows, &b->joining); /* there is room */
  b->bytes += b->joining_bytes;
  b->tokens += b->joining_tokens;
  b->inputs += b->joining_inputs;
}

/* As a rule a row is as many lines behind the first as it is rows. */
uint32_t sheaf__batch_line(const sheaf__batch *b, uint64_t index) {
  const sheaf_job_row *first = sheaf__job_rows_at(&b->rows, 0);
  if (b->line == 0) return 0;
  return (uint32_t)(b->line + (first == NULL ? 0 : index - first->index));
}
