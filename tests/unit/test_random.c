/* test_random.c: keyed draws and the hash. The draws wanted were computed in Python from the definition, with
 * whole 128-bit products; those of mix64 are the published first outputs of splitmix64 for the seed 1234567. */
#include "check.h"

#include "base/random.h"

#define GAMMA 0x9e3779b97f4a7c15ull

TEST(mix64_is_the_finaliser_of_splitmix64) {
  CHECK(sheaf__mix64(1234567 + GAMMA) == 6457827717110365317ull);
  CHECK(sheaf__mix64(1234567 + 2 * GAMMA) == 3203168211198807973ull);
  CHECK(sheaf__mix64(0) == 0);
}

TEST(draws_follow_their_definition) {
  CHECK_EQ(sheaf__draw(1, 99, SHEAF__DRAW_RETRY, 0, 1), 33);
  CHECK_EQ(sheaf__draw(42, 1000000, SHEAF__DRAW_RETRY, 7, 2), 930017);
  CHECK_EQ(sheaf__draw(42, 1000000, SHEAF__DRAW_PAUSE, 7, 2), 88459);
  CHECK_EQ(sheaf__draw(123456789, 9999999999, SHEAF__DRAW_WAIT, 1000000, 3), 2686976714);
  CHECK(sheaf__draw(UINT64_MAX, UINT64_MAX - 1, SHEAF__DRAW_BREAKER, UINT64_MAX, UINT64_MAX) ==
        3241391228901406359ull);
  CHECK(sheaf__draw(7, UINT64_MAX, SHEAF__DRAW_RETRY, 2, 3) == 12311058154544210495ull);
}

TEST(a_draw_of_zero_is_zero) {
  for (uint64_t i = 0; i < 1000; i++) CHECK_EQ(sheaf__draw(i, 0, SHEAF__DRAW_TEST, i, i), 0);
}

/* 60000 throws of a die: each face 10000 times, give or take five standard deviations of 91. */
TEST(draws_are_even_and_reach_both_ends) {
  uint32_t faces[6] = {0};
  for (uint64_t i = 0; i < 60000; i++) {
    uint64_t face = sheaf__draw(3, 5, SHEAF__DRAW_TEST, i, 0);
    CHECK(face <= 5);
    if (face <= 5) faces[face]++;
  }
  for (int i = 0; i < 6; i++) CHECK(faces[i] > 9540 && faces[i] < 10460);
}

TEST(each_part_of_the_key_counts) {
  uint64_t base = sheaf__draw(1, UINT64_MAX - 1, 2, 3, 4);
  CHECK(sheaf__draw(2, UINT64_MAX - 1, 2, 3, 4) != base);
  CHECK(sheaf__draw(1, UINT64_MAX - 1, 3, 3, 4) != base);
  CHECK(sheaf__draw(1, UINT64_MAX - 1, 2, 4, 4) != base);
  CHECK(sheaf__draw(1, UINT64_MAX - 1, 2, 3, 5) != base);
  CHECK(sheaf__draw(1, UINT64_MAX - 1, 2, 3, 4) == base);
}

TEST(the_hash_sees_each_byte_the_length_and_the_seed) {
  char bytes[40] = {0};
  for (size_t length = 0; length <= sizeof bytes; length++) {
    uint64_t base = sheaf__hash(bytes, length, 9);
    CHECK(sheaf__hash(bytes, length, 9) == base);
    CHECK(sheaf__hash(bytes, length, 10) != base);
    if (length > 0) CHECK(sheaf__hash(bytes, length - 1, 9) != base);
    for (size_t i = 0; i < length; i++) {
      bytes[i] = 1;
      CHECK(sheaf__hash(bytes, length, 9) != base);
      bytes[i] = 0;
    }
  }
  CHECK(sheaf__hash(NULL, 0, 9) == sheaf__hash(bytes, 0, 9));
}

TEST(the_hash_does_not_depend_on_alignment) {
  char room[64];
  static const char text[] = "the same bytes wherever they lie";
  uint64_t wanted = sheaf__hash(text, sizeof text - 1, 0);
  for (size_t at = 0; at < 9; at++) {
    memcpy(room + at, text, sizeof text - 1);
    CHECK(sheaf__hash(room + at, sizeof text - 1, 0) == wanted);
  }
}

/* 65536 numbered keys into 65536 places: a random function leaves e^-1 = 36.8 % of them empty (24109, standard
 * deviation about 79); low bits and high bits are both used by tables. */
TEST(the_hash_spreads_similar_keys) {
  static uint8_t low[65536], high[65536];
  uint32_t low_empty = 0, high_empty = 0;
  for (uint32_t i = 0; i < 65536; i++) {
    char key[16];
    int length = snprintf(key, sizeof key, "req-%06u", i);
    uint64_t hash = sheaf__hash(key, (size_t)length, 0);
    low[hash & 65535] = 1;
    high[hash >> 48] = 1;
  }
  for (uint32_t i = 0; i < 65536; i++) {
    low_empty += !low[i];
    high_empty += !high[i];
  }
  CHECK(low_empty > 23709 && low_empty < 24509);
  CHECK(high_empty > 23709 && high_empty < 24509);
}

int main(void) {
  RUN(mix64_is_the_finaliser_of_splitmix64);
  RUN(draws_follow_their_definition);
  RUN(a_draw_of_zero_is_zero);
  RUN(draws_are_even_and_reach_both_ends);
  RUN(each_part_of_the_key_counts);
  RUN(the_hash_sees_each_byte_the_length_and_the_seed);
  RUN(the_hash_does_not_depend_on_alignment);
  RUN(the_hash_spreads_similar_keys);
  return check_report();
}
