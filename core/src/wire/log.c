/* log.c: the framed log: the promises of a run, in one file any host can go on with.
 *
 * All numbers are little-endian.
 *
 *   header, 32 bytes                       frame, a multiple of 8 bytes
 *    0  magic  89 53 48 45 41 46 0D 0A      0  length   u32  24 + payload bytes; never 0; at most 16 MiB
 *    8  version          u32  1             4  type     u8   1..255; readers may skip what is >= 128
 *   12  flags            u32  0             5  flags    u8   0
 *   16  salt             u64  random        6  zero     u16
 *   24  created_unix_ms  i64                8  seq      u64  1, 2, 3, ...
 *                                          16  synced   u64  highest seq known durable, < seq
 *                                          24  payload, then 0..7 zero bytes
 *                                          -4  crc      u32, the last four bytes of the frame
 *
 * crc = mask(crc32c(salt as u64, crc stored before, the frame up to the crc)), where "stored before" is the four bytes
 * in front of the frame, as they are in the file. For the first frame it is mask(crc32c(header)) instead, so that the
 * header is covered too. mask is LevelDB's (doc/log_format.md, util/crc32c.h): rotate right by 15, add 0xa282ead8;
 * checksums of bytes that hold checksums are weak without it. The chain means that a stale frame, from before a cut or
 * of an earlier file in the same blocks, never passes.
 *
 * Opening: frames are read until one is not valid: seq b. A length of 0 is the end that a preallocated file has. Then
 * every later place, 8 bytes apart, is asked for a valid frame with synced >= b. If there is one, frame b was durable
 * and is damaged: nothing may be written. Otherwise b belonged to a group that was never synced and that a loss of
 * power tore or reordered: cut there. Two cases need more than the chain:
 *   - only the crc of b itself is damaged: the next frame then chains to a value that is gone, so the frame right
 *     behind b is also tried with the crc that b should have;
 *   - the header is damaged: with its salt wrong no frame is valid, so when not even the first one is, frames are
 *     recognised by shape alone (a wrong guess refuses to write, which loses nothing).
 * What cannot be told: damage to the last durable frames when no frame behind it was written later, and damage that
 * reaches the crc in front of the only frame that was; both look like a torn tail.
 *
 * Outline: bytes, writing, what a frame looks like, looking for durable frames behind a bad one, reading, ranges. */
#include <sheaf/line.h>

#include "base/crc32c.h"
#include "base/mem.h"

#define VERSION 1u
#define FRAME_FIXED 24u /* before the payload */
#define FRAME_MIN 32u   /* a frame with an empty payload */
#define TYPE_SKIPPABLE 128u

static const uint8_t magic[8] = {0x89, 'S', 'H', 'E', 'A', 'F', '\r', '\n'};

/* ---- Bytes ---- */

static void put_u32(uint8_t *p, uint32_t x) {
  for (unsigned i = 0; i < 4; i++) p[i] = (uint8_t)(x >> (8 * i));
}

static void put_u64(uint8_t *p, uint64_t x) {
  for (unsigned i = 0; i < 8; i++) p[i] = (uint8_t)(x >> (8 * i));
}

static uint32_t get_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const uint8_t *p) {
  return (uint64_t)get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

static bool all_zero(const uint8_t *p, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    if (p[i]) return false;
  return true;
}

static uint32_t mask(uint32_t crc) {
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static uint32_t header_crc(const uint8_t *header) {
  return mask(sheaf__crc32c(0, header, SHEAF_LOG_HEADER_BYTES));
}

/* The crc of a frame; bytes is its size without the crc. */
static uint32_t frame_crc(uint64_t salt, uint32_t before, const uint8_t *frame, size_t bytes) {
  uint8_t seed[12];
  put_u64(seed, salt);
  put_u32(seed + 8, before);
  return mask(sheaf__crc32c(sheaf__crc32c(0, seed, sizeof seed), frame, bytes));
}

/* The size of a frame from its length: payload padded so that the crc ends at a multiple of 8. */
static size_t frame_bytes(uint32_t length) {
  return ((size_t)length + 4 + 7) & ~(size_t)7;
}

/* ---- Writing ---- */

int32_t sheaf_log_begin(sheaf_log *log, uint64_t salt, int64_t created_unix_ms, sheaf_buf *out) {
  uint8_t header[SHEAF_LOG_HEADER_BYTES] = {0};
  memcpy(header, magic, sizeof magic);
  put_u32(header + 8, VERSION);
  put_u64(header + 16, salt);
  put_u64(header + 24, (uint64_t)created_unix_ms);
  const int32_t status = sheaf_buf_append(out, header, sizeof header);
  if (status != SHEAF_OK) return status;
  *log = (sheaf_log){.salt = salt, .crc = header_crc(header)};
  return SHEAF_OK;
}

int32_t sheaf_log_frame(sheaf_log *log, uint32_t type, sheaf_slice payload, sheaf_buf *out) {
  if (type == 0 || type > 255) return SHEAF_E_MISUSE;
  if (payload.bytes > SHEAF_LOG_FRAME_BYTES_MAX - FRAME_FIXED) return SHEAF_E_TOO_LONG;
  const uint32_t length = FRAME_FIXED + (uint32_t)payload.bytes;
  const size_t bytes = frame_bytes(length);
  const int32_t status = sheaf_buf_reserve(out, bytes);
  if (status != SHEAF_OK) return status;

  uint8_t *frame = (uint8_t *)out->data + out->bytes;
  memset(frame, 0, FRAME_FIXED);
  put_u32(frame, length);
  frame[4] = (uint8_t)type;
  put_u64(frame + 8, log->seq + 1);
  /* A host that claims more than was written would turn a torn tail into damage. */
  put_u64(frame + 16, sheaf__min_u64(log->synced, log->seq));
  if (payload.bytes) memcpy(frame + FRAME_FIXED, payload.data, payload.bytes);
  memset(frame + length, 0, bytes - 4 - length);
  log->crc = frame_crc(log->salt, log->crc, frame, bytes - 4);
  put_u32(frame + bytes - 4, log->crc);
  log->seq++;
  out->bytes += bytes;
  return SHEAF_OK;
}

/* ---- What a frame looks like ---- */

/* Whether a frame may begin here, checksum apart; *bytes is its size. */
static bool has_shape(const uint8_t *file, size_t file_bytes, size_t at, size_t *bytes) {
  if (file_bytes - at < FRAME_MIN) return false;
  const uint8_t *frame = file + at;
  const uint32_t length = get_u32(frame);
  if (length < FRAME_FIXED || length > SHEAF_LOG_FRAME_BYTES_MAX) return false;
  *bytes = frame_bytes(length);
  return *bytes <= file_bytes - at && frame[6] == 0 && frame[7] == 0;
}

static bool has_crc(const uint8_t *file, size_t at, size_t bytes, uint64_t salt, uint32_t before) {
  return frame_crc(salt, before, file + at, bytes - 4) == get_u32(file + at + bytes - 4);
}

/* ---- Behind a bad frame ---- */

/* Whether a frame at `at` would say that frame `bad_seq`, which begins at bad_at, was durable. A frame takes at least 32
 * bytes, so its seq cannot be further ahead than the room between allows; that spares nearly all checksums. */
static bool says_durable(const uint8_t *file, size_t at, size_t bad_at, uint64_t bad_seq) {
  const uint64_t seq = get_u64(file + at + 8);
  const uint64_t synced = get_u64(file + at + 16);
  return synced >= bad_seq && synced < seq && seq - bad_seq <= (at - bad_at) / FRAME_MIN;
}

/* Whether durable data begins at the bad frame. log stands before it. */
static bool is_durable(const sheaf_log *log, const uint8_t *file, size_t file_bytes,
                       size_t bad_at) {
  const uint64_t bad_seq = log->seq + 1;
  size_t bad_bytes = 0;
  uint32_t bad_crc = 0; /* what the bad frame's crc should be, if its shape is whole */
  if (has_shape(file, file_bytes, bad_at, &bad_bytes))
    bad_crc = frame_crc(log->salt, log->crc, file + bad_at, bad_bytes - 4);
  for (size_t at = bad_at + 8; at < file_bytes && file_bytes - at >= FRAME_MIN; at += 8) {
    size_t bytes;
    if (!has_shape(file, file_bytes, at, &bytes)) continue;
    if (!says_durable(file, at, bad_at, bad_seq)) continue;
    if (log->seq == 0) return true;
    if (has_crc(file, at, bytes, log->salt, get_u32(file + at - 4))) return true;
    if (at - bad_at == bad_bytes && has_crc(file, at, bytes, log->salt, bad_crc)) return true;
  }
  return false;
}

/* ---- Reading ---- */

/* Reads the header. A file that was made but never synced may be short, or zeros of any length. */
static int32_t read_header(sheaf_log *log, const uint8_t *file, size_t bytes,
                           sheaf_log_report *report) {
  if (all_zero(file, bytes < SHEAF_LOG_HEADER_BYTES ? bytes : SHEAF_LOG_HEADER_BYTES)) {
    if (bytes <= SHEAF_LOG_HEADER_BYTES) return SHEAF_E_PARTIAL;
    return is_durable(log, file, bytes, SHEAF_LOG_HEADER_BYTES - 8) ? SHEAF_E_CORRUPT
                                                                    : SHEAF_E_PARTIAL;
  }
  /* Anything else that is no header of ours is damaged, or somebody else's file: it is not overwritten. */
  if (memcmp(file, magic, bytes < sizeof magic ? bytes : sizeof magic) != 0) return SHEAF_E_CORRUPT;
  if (bytes < SHEAF_LOG_HEADER_BYTES) return SHEAF_E_PARTIAL;
  if (get_u32(file + 8) == 0) return SHEAF_E_CORRUPT;
  if (get_u32(file + 8) > VERSION || get_u32(file + 12) != 0) return SHEAF_E_VERSION;
  log->salt = get_u64(file + 16);
  log->crc = header_crc(file);
  report->created_unix_ms = (int64_t)get_u64(file + 24);
  report->bytes_valid = SHEAF_LOG_HEADER_BYTES;
  report->bytes_dropped = bytes - SHEAF_LOG_HEADER_BYTES;
  return SHEAF_OK;
}

/* Takes the frame at `at` if it is valid: its size, else 0. */
static size_t take_frame(sheaf_log *log, const uint8_t *file, size_t file_bytes, size_t at) {
  size_t bytes;
  if (!has_shape(file, file_bytes, at, &bytes)) return 0;
  if (get_u64(file + at + 8) != log->seq + 1) return 0;
  if (!has_crc(file, at, bytes, log->salt, log->crc)) return 0;
  log->seq++;
  log->synced = sheaf__max_u64(log->synced, get_u64(file + at + 16));
  log->crc = get_u32(file + at + bytes - 4);
  return bytes;
}

/* Hands a valid frame out. */
static int32_t give_frame(const uint8_t *frame, uint64_t seq, uint32_t type_known_max,
                          sheaf_log_frame_fn fn, void *ctx) {
  const uint32_t type = frame[4];
  if (frame[5] != 0 || type == 0) return SHEAF_E_VERSION;
  if (type < TYPE_SKIPPABLE && type > type_known_max) return SHEAF_E_VERSION;
  const sheaf_slice payload = {(const char *)frame + FRAME_FIXED, get_u32(frame) - FRAME_FIXED};
  return fn ? fn(ctx, type, seq, payload) : SHEAF_OK;
}

int32_t sheaf_log_read(sheaf_log *log, sheaf_slice bytes, uint32_t type_known_max,
                       sheaf_log_frame_fn fn, void *ctx, sheaf_log_report *report) {
  const uint8_t *file = (const uint8_t *)bytes.data;
  *log = (sheaf_log){0};
  *report = (sheaf_log_report){0};
  report->bytes_dropped = bytes.bytes;
  int32_t status = read_header(log, file, bytes.bytes, report);
  if (status != SHEAF_OK) return status;

  size_t at = SHEAF_LOG_HEADER_BYTES;
  for (;;) {
    const size_t taken = take_frame(log, file, bytes.bytes, at);
    if (!taken) break;
    status = give_frame(file + at, log->seq, type_known_max, fn, ctx);
    if (status != SHEAF_OK) return status;
    at += taken;
    report->frames++;
    report->bytes_valid = at;
    report->bytes_dropped = bytes.bytes - at;
  }
  if (all_zero(file + at, bytes.bytes - at)) {
    report->bytes_dropped = 0; /* room that was set aside */
    return SHEAF_OK;
  }
  return is_durable(log, file, bytes.bytes, at) ? SHEAF_E_CORRUPT : SHEAF_OK;
}

/* ---- Ranges and voids ---- */

void sheaf_range_write(const sheaf_range *range, uint8_t bytes[SHEAF_RANGE_BYTES]) {
  put_u64(bytes, range->first);
  put_u64(bytes + 8, range->last);
  put_u64(bytes + 16, (uint64_t)range->cost_max_usd_nano);
}

/* A void may leave its cost out. */
int32_t sheaf_range_read(sheaf_slice payload, sheaf_range *range) {
  const uint8_t *p = (const uint8_t *)payload.data;
  if (payload.bytes > SHEAF_RANGE_BYTES) return SHEAF_E_TOO_LONG;
  if (payload.bytes != SHEAF_RANGE_BYTES && payload.bytes != 16) return SHEAF_E_PARTIAL;
  if (get_u64(p) > get_u64(p + 8)) return SHEAF_E_FIELD;
  range->first = get_u64(p);
  range->last = get_u64(p + 8);
  range->cost_max_usd_nano = payload.bytes == 16 ? SHEAF_ABSENT : (int64_t)get_u64(p + 16);
  return SHEAF_OK;
}
