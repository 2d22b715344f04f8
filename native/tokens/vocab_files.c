/* vocab_files.c: vocabularies as files.
 *
 * Outline: sentences for what fails; memory; a file mapped for reading; writing whole or not at all;
 * making and loading. */
#define _GNU_SOURCE /* MAP_POPULATE */
#include <sheaf/heap.h>
#include <sheaf/vocab_files.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 4096 };

typedef struct words {
  char *text;
  size_t bytes;
} words;

static int32_t say(const words *message, int32_t status, const char *path, const char *what) {
  if (message->bytes > 0) snprintf(message->text, message->bytes, "%s: %s", path, what);
  return status;
}

static int32_t say_errno(const words *message, const char *path) {
  return say(message, SHEAF_E_IO, path, strerror(errno));
}

/* A vocabulary's tables are written all over at once. So large ones are mapped with their pages, which
 * takes 1 ms less for o200k_base than touching 2,300 pages one after another. */
#if defined(MAP_POPULATE)
#define WITH_PAGES MAP_POPULATE
#else
#define WITH_PAGES 0
#endif
#if defined(MAP_POPULATE) && !defined(__SANITIZE_ADDRESS__)
enum { LARGE = 1 << 18 };

static void *paged_alloc(size_t bytes) {
  if (bytes < LARGE) return malloc(bytes);
  void *memory =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | WITH_PAGES, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static void paged_free(void *ptr, size_t bytes) {
  if (bytes < LARGE)
    free(ptr);
  else
    munmap(ptr, bytes);
}

static void *paged_realloc(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  if (old_bytes < LARGE && new_bytes < LARGE)
    return sheaf_heap()->realloc(ctx, ptr, old_bytes, new_bytes);
  void *memory = new_bytes > 0 ? paged_alloc(new_bytes) : NULL;
  if (!memory && new_bytes > 0) return NULL;
  if (memory && ptr) memcpy(memory, ptr, old_bytes < new_bytes ? old_bytes : new_bytes);
  if (ptr) paged_free(ptr, old_bytes);
  return memory;
}

static const sheaf_allocator *pages(void) {
  static const sheaf_allocator paged = {paged_realloc, NULL};
  return &paged;
}
#else
static const sheaf_allocator *pages(void) {
  return sheaf_heap();
}
#endif

/* The bytes of a file until unmap; an empty file gives the empty slice. */
static int32_t map_file(const char *path, sheaf_slice *file, const words *message) {
  *file = (sheaf_slice){NULL, 0};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return say_errno(message, path);
  struct stat facts;
  int32_t status = SHEAF_OK;
  if (fstat(fd, &facts) != 0) {
    status = say_errno(message, path);
  } else if (!S_ISREG(facts.st_mode)) {
    status = say(message, SHEAF_E_IO, path, "is not a regular file");
  } else if (facts.st_size > 0) {
    void *data = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE | WITH_PAGES, fd, 0);
    if (data == MAP_FAILED)
      status = say_errno(message, path);
    else
      *file = (sheaf_slice){data, (size_t)facts.st_size};
  }
  close(fd);
  return status;
}

static void unmap(sheaf_slice file) {
  /* munmap wants what mmap gave, which was not const. */
  void *data;
  memcpy(&data, &file.data, sizeof data);
  if (file.bytes > 0) munmap(data, file.bytes);
}

static int32_t write_all(int fd, sheaf_slice bytes) {
  while (bytes.bytes > 0) {
    ssize_t wrote = write(fd, bytes.data, bytes.bytes);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return SHEAF_E_IO;
    bytes.data += wrote;
    bytes.bytes -= (size_t)wrote;
  }
  return fsync(fd) == 0 ? SHEAF_OK : SHEAF_E_IO;
}

/* Beside its name first, so that nobody ever sees half a file. */
static int32_t write_file(const char *path, sheaf_slice bytes, const words *message) {
  char beside[PATH_BYTES_MAX];
  int length = snprintf(beside, sizeof beside, "%s.%ld.tmp", path, (long)getpid());
  if (length < 0 || (size_t)length >= sizeof beside)
    return say(message, SHEAF_E_IO, path, "the name is too long");
  int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return say_errno(message, beside);
  int32_t status = write_all(fd, bytes);
  if (status != SHEAF_OK) say_errno(message, beside);
  if (close(fd) != 0 && status == SHEAF_OK) status = say_errno(message, beside);
  if (status == SHEAF_OK && rename(beside, path) != 0) status = say_errno(message, path);
  if (status != SHEAF_OK) unlink(beside);
  return status;
}

int32_t sheaf_vocab_make(const char *in_path, const char *out_path, const sheaf_vocab_spec *spec,
                         char *message, size_t message_bytes) {
  const words told = {message, message ? message_bytes : 0};
  if (!in_path || !out_path || !spec) return SHEAF_E_MISUSE;
  sheaf_slice source;
  int32_t status = map_file(in_path, &source, &told);
  if (status != SHEAF_OK) return status;
  sheaf_buf file;
  sheaf_buf_init(&file, sheaf_heap(), (size_t)1 << 30);
  sheaf_parse_error error = {.status = SHEAF_OK};
  status = sheaf_vocab_build(source, spec, &file, &error);
  if (status == SHEAF_OK) {
    status = write_file(out_path, sheaf_buf_slice(&file), &told);
  } else if (told.bytes > 0) {
    const char *what = error.message ? error.message : sheaf_status_text(status);
    if (error.offset > 0)
      snprintf(told.text, told.bytes, "%s: at byte %zu: %s", in_path, error.offset, what);
    else
      snprintf(told.text, told.bytes, "%s: %s", in_path, what);
  }
  sheaf_buf_deinit(&file);
  unmap(source);
  return status;
}

int32_t sheaf_vocab_load(const char *path, const sheaf_allocator *allocator, sheaf_vocab **vocab,
                         char *message, size_t message_bytes) {
  const words told = {message, message ? message_bytes : 0};
  if (!path || !vocab) return SHEAF_E_MISUSE;
  sheaf_slice file;
  int32_t status = map_file(path, &file, &told);
  if (status != SHEAF_OK) return status;
  status = sheaf_vocab_open(file.data, file.bytes, allocator ? allocator : pages(), vocab);
  unmap(file);
  if (status == SHEAF_E_CORRUPT)
    return say(&told, status, path, "is damaged or no vocabulary file; make it again");
  if (status == SHEAF_E_VERSION)
    return say(&told, status, path, "was made by a newer sheaf; make it again with this one");
  return status == SHEAF_OK ? status : say(&told, status, path, sheaf_status_text(status));
}
