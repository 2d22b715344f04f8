/* job_fields.c: structs as JSON objects by a table of their fields.
 *
 * What a host keeps may be read by people and by other versions: so members have names, unknown
 * ones are passed over, and a version stands where a change of meaning would cost a request.
 * Numbers are read as they are written, in plain digits; a double would round indices above 2^53.
 *
 * Outline: writing; reading of one value; of an object. */
#include "lanes/job_fields.h"

#include "base/mem.h"

/* ---- Writing ---- */

static void put_name(sheaf_buf *to, const char *name, bool *is_first) {
  if (!*is_first) sheaf_buf_append_text(to, ",");
  *is_first = false;
  sheaf_buf_append_text(to, "\"");
  sheaf_buf_append_text(to, name);
  sheaf_buf_append_text(to, "\":");
}

static uint32_t u32_at(const char *at) {
  uint32_t number;
  memcpy(&number, at, sizeof number);
  return number;
}

static uint64_t u64_at(const char *at) {
  uint64_t number;
  memcpy(&number, at, sizeof number);
  return number;
}

static int64_t i64_at(const char *at) {
  int64_t number;
  memcpy(&number, at, sizeof number);
  return number;
}

static sheaf_slice text_at(const char *at) {
  sheaf_slice text;
  memcpy(&text, at, sizeof text);
  return text;
}

static bool bool_at(const char *at) {
  bool value;
  memcpy(&value, at, sizeof value);
  return value;
}

/* Whether the field says nothing that its absence would not. */
static bool is_silent(uint32_t kind, const char *at) {
  switch (kind) {
    case SHEAF__FIELD_TEXT: return text_at(at).bytes == 0;
    case SHEAF__FIELD_I64: return i64_at(at) == SHEAF_ABSENT;
    case SHEAF__FIELD_BOOL: return !bool_at(at);
    case SHEAF__FIELD_STATE:
    case SHEAF__FIELD_STEP: return u32_at(at) == 0;
    default: return false;
  }
}

static void put_value(sheaf_buf *to, uint32_t kind, const char *at) {
  switch (kind) {
    case SHEAF__FIELD_TEXT: sheaf_buf_append_string(to, text_at(at)); break;
    case SHEAF__FIELD_U64: sheaf_buf_append_u64(to, u64_at(at)); break;
    case SHEAF__FIELD_U32: sheaf_buf_append_u64(to, u32_at(at)); break;
    case SHEAF__FIELD_I64: sheaf_buf_append_i64(to, i64_at(at)); break;
    case SHEAF__FIELD_BOOL: sheaf_buf_append_text(to, "true"); break;
    case SHEAF__FIELD_STATE:
      sheaf_buf_append_string(to, sheaf_slice_of(sheaf_job_state_name(u32_at(at))));
      break;
    case SHEAF__FIELD_STEP:
      sheaf_buf_append_string(to, sheaf_slice_of(sheaf_job_step_name(u32_at(at))));
      break;
    default: SHEAF_UNREACHABLE();
  }
}

int32_t sheaf__job_fields_write(const sheaf__job_field *fields, size_t count, uint32_t where,
                                bool versioned, const void *from, sheaf_buf *to) {
  const size_t before = to->bytes;
  bool is_first = true;
  sheaf_buf_append_text(to, "{");
  if (versioned) {
    put_name(to, "v", &is_first);
    sheaf_buf_append_u64(to, SHEAF__JOB_VERSION);
  }
  for (size_t i = 0; i < count; i++) {
    const char *at = (const char *)from + fields[i].offset;
    if (!(fields[i].where & where) || is_silent(fields[i].kind, at)) continue;
    put_name(to, fields[i].name, &is_first);
    put_value(to, fields[i].kind, at);
  }
  sheaf_buf_append_text(to, "}");
  if (to->status != SHEAF_OK) to->bytes = before;
  return to->status;
}

/* ---- Reading of one value ---- */

/* Plain digits only: nothing else is ever written. */
static bool read_u64(sheaf_slice value, uint64_t max, uint64_t *number) {
  uint64_t sum = 0;
  for (size_t i = 0; i < value.bytes; i++) {
    const char c = value.data[i];
    if (c < '0' || c > '9') return false;
    if (sheaf__mul_overflows(sum, 10, &sum)) return false;
    if (sheaf__add_overflows(sum, (uint64_t)(c - '0'), &sum)) return false;
  }
  *number = sum;
  return sum <= max;
}

/* What needs no unescaping stays where it is. Room for all that may be unescaped was made before,
 * so that scratch does not move under the slices into it. */
static bool read_text(sheaf_slice value, sheaf_buf *scratch, sheaf_slice *text) {
  const sheaf_slice inside = sheaf_json_inside(value);
  *text = inside;
  if (inside.bytes == 0) *text = (sheaf_slice){NULL, 0};
  if (inside.bytes == 0 || !memchr(inside.data, '\\', inside.bytes)) return true;
  const size_t begin = scratch->bytes;
  if (sheaf_buf_append_unescaped(scratch, inside) != SHEAF_OK) return false;
  *text = (sheaf_slice){scratch->data + begin, scratch->bytes - begin};
  return true;
}

static uint32_t find_step(sheaf_slice name) {
  static const uint32_t steps[] = {
#define STEP_NUMBER(step, number, text) (number),
      SHEAF_JOB_STEP_MAP(STEP_NUMBER)
#undef STEP_NUMBER
  };
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
    if (sheaf__slice_equal(name, sheaf_slice_of(sheaf_job_step_name(steps[i])))) return steps[i];
  return 0;
}

/* The kind of JSON that a field is written as. */
static uint32_t json_kind_of(uint32_t kind) {
  switch (kind) {
    case SHEAF__FIELD_U64:
    case SHEAF__FIELD_U32:
    case SHEAF__FIELD_I64: return SHEAF_JSON_NUMBER;
    case SHEAF__FIELD_BOOL: return SHEAF_JSON_BOOL;
    default: return SHEAF_JSON_STRING;
  }
}

static bool read_value(const sheaf__job_field *field, sheaf_slice value, sheaf_buf *scratch,
                       char *to) {
  uint64_t number = 0;
  if (sheaf_json_kind(value) != json_kind_of(field->kind)) return false;
  switch (field->kind) {
    case SHEAF__FIELD_TEXT: {
      sheaf_slice text;
      if (!read_text(value, scratch, &text)) return false;
      memcpy(to, &text, sizeof text);
      return true;
    }
    case SHEAF__FIELD_I64: {
      int64_t number_signed;
      if (sheaf_json_int(value, &number_signed) != SHEAF_OK) return false;
      memcpy(to, &number_signed, sizeof number_signed);
      return true;
    }
    case SHEAF__FIELD_BOOL: {
      const bool truth = sheaf_json_true(value);
      memcpy(to, &truth, sizeof truth);
      return true;
    }
    case SHEAF__FIELD_U64:
      if (!read_u64(value, UINT64_MAX, &number)) return false;
      memcpy(to, &number, sizeof number);
      return true;
    case SHEAF__FIELD_U32:
      if (!read_u64(value, UINT32_MAX, &number)) return false;
      break;
    case SHEAF__FIELD_STATE: number = sheaf_job_state_find(sheaf_json_inside(value)); break;
    case SHEAF__FIELD_STEP: number = find_step(sheaf_json_inside(value)); break;
    default: SHEAF_UNREACHABLE();
  }
  const uint32_t short_number = (uint32_t)number;
  memcpy(to, &short_number, sizeof short_number);
  return true;
}

/* ---- Reading of an object ---- */

/* The version first: a newer one may mean anything by the members that we know. */
static int32_t check_document(sheaf_slice json) {
  static const char *const paths[] = {"v"};
  sheaf_slice value;
  int64_t version = 0;
  if (json.bytes == 0 || json.data[0] != '{') return SHEAF_E_SYNTAX;
  if (sheaf_json_pick(json, paths, 1, &value, NULL, NULL) != SHEAF_OK) return SHEAF_E_SYNTAX;
  if (value.bytes == 0) return SHEAF_OK;
  if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER) return SHEAF_E_SYNTAX;
  const int32_t status = sheaf_json_int(value, &version);
  if (status == SHEAF_E_TYPE || version < 0) return SHEAF_E_SYNTAX;
  return status != SHEAF_OK || version > SHEAF__JOB_VERSION ? SHEAF_E_VERSION : SHEAF_OK;
}

static const sheaf__job_field *find_field(const sheaf__job_field *fields, size_t count,
                                          uint32_t where, sheaf_slice name) {
  for (size_t i = 0; i < count; i++) {
    if (!(fields[i].where & where)) continue;
    if (sheaf__slice_equal(name, sheaf_slice_of(fields[i].name))) return &fields[i];
  }
  return NULL;
}

int32_t sheaf__job_fields_read(const sheaf__job_field *fields, size_t count, uint32_t where,
                               sheaf_slice json, sheaf_buf *scratch, void *to) {
  const size_t before = scratch->bytes;
  sheaf_json_iter iter;
  sheaf_slice name, value;
  int32_t status = check_document(json);
  if (status != SHEAF_OK) return status;
  /* Unescaped text is never longer than its escaped form, so this is all the room that it takes. */
  if (memchr(json.data, '\\', json.bytes)) status = sheaf_buf_reserve(scratch, json.bytes);
  if (status != SHEAF_OK) return status;
  if (sheaf_json_iter_init(&iter, json) != SHEAF_OK) return SHEAF_E_SYNTAX;
  while (sheaf_json_iter_next(&iter, &name, &value) == SHEAF_OK) {
    const sheaf__job_field *field = find_field(fields, count, where, name);
    if (!field || sheaf_json_kind(value) == SHEAF_JSON_NULL) continue;
    if (!read_value(field, value, scratch, (char *)to + field->offset)) {
      scratch->bytes = before;
      return SHEAF_E_SYNTAX;
    }
  }
  return SHEAF_OK;
}
