/* test_job_ids.c: ids of rows. The hashes wanted were computed in Python from the definition in
 * random.c. */
#include <sheaf/jobs.h>

#include "base/random.h"

#include "check.h"

enum { IDS = 40000, TEXT_MAX = 512 };

static uint64_t draws;

static uint64_t draw(uint64_t n) {
  return sheaf__draw(11, n, SHEAF__DRAW_TEST, draws++, 0);
}

static bool is_id_letter(char c) {
  return strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", c) && c;
}

/* ^[a-zA-Z0-9_-]{1,64}$ */
static bool is_allowed_everywhere(sheaf_slice id) {
  if (id.bytes < 1 || id.bytes > 64) return false;
  for (size_t i = 0; i < id.bytes; i++)
    if (!is_id_letter(id.data[i])) return false;
  return true;
}

/* A custom_id of one of the shapes that people give, and of those that only trouble gives. */
static sheaf_slice draw_custom_id(char text[TEXT_MAX + 1]) {
  static const char plain[] = "abzAZ09_-";
  static const char *const pieces[] = {
      "\xC3\xA9", "\xE4\xB8\xAD", "\xF0\x9F\x98\x80", "\xFF", " ", "\n", "\"", "\\"};
  const uint64_t shape = draw(5);
  const size_t bytes = (size_t)draw(shape == 0 ? 70 : TEXT_MAX);
  if (shape == 1) return (sheaf_slice){text, 0};
  if (shape == 2) { /* what we write ourselves */
    char id[SHEAF_JOB_ID_BYTES_MAX];
    const sheaf_slice written =
        sheaf_job_id_write(draw(5000), draw(1) ? SHEAF_LITERAL("x") : SHEAF_LITERAL("x y"), id);
    memcpy(text, id, written.bytes);
    return (sheaf_slice){text, written.bytes};
  }
  size_t at = 0;
  while (at + 4 <= bytes) {
    if (shape == 3) {
      const char *piece = pieces[draw(7)];
      memcpy(text + at, piece, strlen(piece));
      at += strlen(piece);
    } else {
      text[at++] = shape == 0 || draw(3) ? plain[draw(8)] : (char)draw(255);
    }
  }
  return (sheaf_slice){text, at};
}

TEST(ids_are_place_and_custom_id) {
  char id[SHEAF_JOB_ID_BYTES_MAX];
  CHECK_TEXT(sheaf_job_id_write(0, SHEAF_LITERAL("user-17"), id), "r0-user-17");
  CHECK_TEXT(sheaf_job_id_write(35, SHEAF_LITERAL("a"), id), "rz-a");
  CHECK_TEXT(sheaf_job_id_write(36, SHEAF_LITERAL("_"), id), "r10-_");
  CHECK_TEXT(sheaf_job_id_write(100, SHEAF_LITERAL(""), id), "r2s-");
}

TEST(ids_hold_a_hash_where_the_custom_id_cannot_stand) {
  char id[SHEAF_JOB_ID_BYTES_MAX];
  CHECK_TEXT(sheaf_job_id_write(100, SHEAF_LITERAL("user@example.com"), id),
             "r2s_94092d0d38664964");
  CHECK_TEXT(sheaf_job_id_write(1, SHEAF_LITERAL("a b"), id), "r1_65b47bcbf5042cde");
  CHECK(sheaf_job_id_hash(SHEAF_LITERAL("user-17")) == 0x6cbf014f15be804aull);
  CHECK(sheaf_job_id_hash((sheaf_slice){NULL, 0}) == 0x48218226ff3cd4bfull);
}

/* "r0-" leaves 61 of the 64 bytes. */
TEST(the_longest_custom_id_that_fits_stands_itself) {
  char text[62], id[SHEAF_JOB_ID_BYTES_MAX];
  memset(text, 'x', sizeof text);
  sheaf_slice written = sheaf_job_id_write(0, (sheaf_slice){text, 61}, id);
  CHECK_EQ(written.bytes, 64);
  CHECK_EQ(written.data[2], '-');
  written = sheaf_job_id_write(0, (sheaf_slice){text, 62}, id);
  CHECK_EQ(written.bytes, 2 + 1 + 16);
  CHECK_EQ(written.data[2], '_');
  CHECK_EQ(sheaf_job_id_write(36, (sheaf_slice){text, 61}, id).bytes, 3 + 1 + 16);
}

TEST(every_id_is_allowed_everywhere_and_comes_back_to_its_row) {
  static char text[TEXT_MAX + 1];
  char id[SHEAF_JOB_ID_BYTES_MAX];
  uint32_t hashed = 0;
  for (int i = 0; i < IDS; i++) {
    const sheaf_slice custom_id = draw_custom_id(text);
    const uint64_t place = draw(((uint64_t)1 << draw(39)) + 1);
    const sheaf_slice written = sheaf_job_id_write(place, custom_id, id);
    sheaf_job_id read;
    CHECK(is_allowed_everywhere(written));
    CHECK_OK(sheaf_job_id_read(written, &read));
    CHECK(read.place == place);
    CHECK(read.hash == sheaf_job_id_hash(custom_id));
    size_t mark = 1; /* the first byte that is no digit of the place */
    while (mark < written.bytes && written.data[mark] != '-' && written.data[mark] != '_') mark++;
    if (written.data[mark] == '-') {
      CHECK(read.custom_id.bytes == custom_id.bytes);
      CHECK(memcmp(written.data + mark + 1, custom_id.data, custom_id.bytes) == 0);
    } else {
      hashed++;
      CHECK_EQ(read.custom_id.bytes, 0);
    }
  }
  CHECK(hashed > IDS / 10 && hashed < IDS);
}

/* The place is read back from the id alone, so ids of two places differ whatever the custom_ids
 * are; here for those made to look like the end of another's id. */
TEST(two_rows_never_share_an_id) {
  static const char *const nasty[] = {
      "",  "-",   "_",   "0", "r0-", "0-", "-0", "0_0123456789abcdef", "_0123456789abcdef",
      "r", "a b", "\xFF"};
  enum { NASTY = sizeof nasty / sizeof *nasty, PLACES = 80 };
  static char ids[NASTY * PLACES][SHEAF_JOB_ID_BYTES_MAX];
  static size_t bytes[NASTY * PLACES];
  static uint64_t places[NASTY * PLACES];
  size_t n = 0;
  for (size_t i = 0; i < NASTY; i++)
    for (uint64_t place = 0; place < PLACES; place++, n++) {
      places[n] = place * 17;
      bytes[n] = sheaf_job_id_write(places[n], sheaf_slice_of(nasty[i]), ids[n]).bytes;
    }
  for (size_t a = 0; a < n; a++)
    for (size_t b = a + 1; b < n; b++)
      if (places[a] != places[b])
        CHECK(bytes[a] != bytes[b] || memcmp(ids[a], ids[b], bytes[a]) != 0);
}

TEST(what_is_not_written_so_is_refused) {
  static const char *const foreign[] = {
      "", "r", "r0", "r-", "r_", "r-a", "r0 -a", "0-a", "R0-a", "rA-a", "r00-a", "r01-a", "r0-a b",
      "r0-\xC3\xA9", "r0.a", "r0_", "r0_0123456789abcde", "r0_0123456789abcdef0",
      "r0_0123456789abcdeF", "r0_0123456789abcdeg", "rzzzzzzzzzzzzzz-a",
      /* 2^40 + 1, 36^8 and 2^64 in base 36 */
      "re13wu1oh-a", "r100000000-a", "r3w5e11264sgsg-a"};
  sheaf_job_id read = {.place = 7};
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
    const int32_t status = sheaf_job_id_read(sheaf_slice_of(foreign[i]), &read);
    if (status != SHEAF_E_SYNTAX) printf("taken: %s\n", foreign[i]);
    CHECK_STATUS(status, SHEAF_E_SYNTAX);
  }
  CHECK_EQ(read.place, 7);
  char longer[65];
  memset(longer, 'a', sizeof longer);
  memcpy(longer, "r0-", 3);
  CHECK_OK(sheaf_job_id_read((sheaf_slice){longer, 64}, &read));
  CHECK_STATUS(sheaf_job_id_read((sheaf_slice){longer, 65}, &read), SHEAF_E_SYNTAX);
  CHECK_STATUS(sheaf_job_id_read((sheaf_slice){"r0-\0", 4}, &read), SHEAF_E_SYNTAX);
  CHECK_OK(sheaf_job_id_read(SHEAF_LITERAL("re13wu1og-a"), &read)); /* 2^40 */
  CHECK(read.place == (uint64_t)1 << 40);
}

/* "row-1" reads as place "ow" and "1", but its hash is not that of any row that was called so. */
TEST(foreign_ids_that_read_do_not_verify) {
  static const char *const foreign[] = {"row-1", "request-1", "r-1", "req_0", "r1-row-1", "row_1"};
  uint32_t taken = 0;
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
    const sheaf_slice text = sheaf_slice_of(foreign[i]);
    sheaf_job_id read;
    if (sheaf_job_id_read(text, &read) != SHEAF_OK) continue;
    taken++;
    CHECK(read.hash != sheaf_job_id_hash(text));
  }
  CHECK_EQ(taken, 3);
}

/* An id that was changed on its way either does not read, or it does not verify: place and hash are
 * not both those of a row that we sent. */
TEST(a_changed_id_does_not_verify) {
  static char text[TEXT_MAX + 1];
  for (int i = 0; i < IDS; i++) {
    char id[SHEAF_JOB_ID_BYTES_MAX];
    const sheaf_slice custom_id = draw_custom_id(text);
    const uint64_t place = draw(50000);
    const sheaf_slice written = sheaf_job_id_write(place, custom_id, id);
    const size_t at = (size_t)draw(written.bytes - 1);
    const char before = id[at];
    id[at] = (char)draw(255);
    if (id[at] == before) continue;
    sheaf_job_id read;
    if (sheaf_job_id_read(written, &read) != SHEAF_OK) continue;
    CHECK(read.place != place || read.hash != sheaf_job_id_hash(custom_id));
  }
}

TEST(what_reads_is_what_would_be_written) {
  static const char letters[] = "r0az-_19f";
  uint32_t taken = 0;
  for (int i = 0; i < 4 * IDS; i++) {
    char text[24], again[SHEAF_JOB_ID_BYTES_MAX];
    const size_t bytes = 3 + (size_t)draw(20);
    text[0] = 'r';
    for (size_t at = 1; at < bytes; at++) text[at] = letters[draw(8)];
    sheaf_job_id read;
    if (sheaf_job_id_read((sheaf_slice){text, bytes}, &read) != SHEAF_OK) continue;
    taken++;
    if (!memchr(text, '-', bytes)) continue; /* of a hash the custom_id is not known */
    if (!read.custom_id.bytes) continue;
    const sheaf_slice written = sheaf_job_id_write(read.place, read.custom_id, again);
    CHECK(written.bytes == bytes && memcmp(text, again, bytes) == 0);
  }
  CHECK(taken > IDS / 10);
}

int main(void) {
  RUN(ids_are_place_and_custom_id);
  RUN(ids_hold_a_hash_where_the_custom_id_cannot_stand);
  RUN(the_longest_custom_id_that_fits_stands_itself);
  RUN(every_id_is_allowed_everywhere_and_comes_back_to_its_row);
  RUN(two_rows_never_share_an_id);
  RUN(what_is_not_written_so_is_refused);
  RUN(foreign_ids_that_read_do_not_verify);
  RUN(a_changed_id_does_not_verify);
  RUN(what_reads_is_what_would_be_written);
  return check_report();
}
