/* store_spool.c: rows of jobs until their job is over: one file a job, in a folder beside the
 * store.
 *
 *   append  through a buffer; what lies behind the offset is of a run that died, and goes
 *   seal    on the disk, name and all
 *   read    at any offset
 *   drop    the file goes, and the folder with the last one
 *
 * Rows hold what users wrote: folder and files are for the owner alone. */
#include "store_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES 32 /* "18446744073709551615.rows" */
#define ENDING ".rows"

/* ---- Folder ---- */

bool sheaf__store_sync_folder(const char *folder) {
  int fd = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (fd < 0) return false;
  /* Some file systems cannot sync a folder and say EINVAL; nothing more can be done then. */
  bool synced = fsync(fd) == 0 || errno == EINVAL;
  close(fd);
  return synced;
}

static int32_t spool_failed(sheaf_jobs_store *store, const char *what) {
  const char *why = strerror(errno);
  return sheaf__store_say(store, SHEAF_E_IO,
                          "%s: %s: %s; mend that (free some space?) and run the same command again",
                          store->spool.folder, what, why);
}

static char *path_of(const sheaf__jobs_spool *spool, uint64_t job) {
  size_t bytes = strlen(spool->folder) + NAME_BYTES + 2;
  char *path = malloc(bytes);
  if (path != NULL) snprintf(path, bytes, "%s/%" PRIu64 ENDING, spool->folder, job);
  return path;
}

/* The job a name in the folder is of; 0: it is none of ours. */
static uint64_t job_of(const char *name) {
  uint64_t job = 0;
  size_t digits = 0;
  for (; name[digits] >= '0' && name[digits] <= '9' && digits < 20; digits++) {
    job = job * 10 + (uint64_t)(name[digits] - '0');
  }
  return digits > 0 && name[0] != '0' && strcmp(name + digits, ENDING) == 0 ? job : 0;
}

/* ---- Descriptors ---- */

static bool write_all(int fd, const char *data, size_t bytes, uint64_t offset) {
  while (bytes > 0) {
    ssize_t put = pwrite(fd, data, bytes, (off_t)offset);
    if (put < 0 && errno == EINTR) continue;
    if (put == 0) errno = ENOSPC;
    if (put <= 0) return false;
    data += put;
    bytes -= (size_t)put;
    offset += (uint64_t)put;
  }
  return true;
}

static bool flush(sheaf__spool_file *file) {
  if (file->waiting == 0) return true;
  if (!write_all(file->fd, file->buffer, file->waiting, file->filed)) return false;
  file->filed += file->waiting;
  file->waiting = 0;
  return true;
}

static void let_go(sheaf__spool_file *file) {
  if (file->job == 0) return;
  close(file->fd);
  free(file->buffer);
  *file = (sheaf__spool_file){.fd = -1};
}

static sheaf__spool_file *open_one(sheaf__jobs_spool *spool, uint64_t job) {
  for (uint32_t i = 0; i < SHEAF__SPOOL_OPEN_MAX; i++) {
    if (spool->files[i].job == job) return &spool->files[i];
  }
  return NULL;
}

/* A free place, or that of the file that was not used for longest; NULL: what it held cannot be
 * written. */
static sheaf__spool_file *make_place(sheaf__jobs_spool *spool) {
  sheaf__spool_file *oldest = &spool->files[0];
  for (uint32_t i = 0; i < SHEAF__SPOOL_OPEN_MAX; i++) {
    sheaf__spool_file *file = &spool->files[i];
    if (file->job == 0) return file;
    if (file->used < oldest->used) oldest = file;
  }
  if (!flush(oldest)) return NULL;
  let_go(oldest);
  return oldest;
}

static bool sync_parent(const char *folder) {
  const char *slash = strrchr(folder, '/');
  if (slash == NULL) return sheaf__store_sync_folder(".");
  if (slash == folder) return sheaf__store_sync_folder("/");
  char *parent = strndup(folder, (size_t)(slash - folder));
  bool synced = parent != NULL && sheaf__store_sync_folder(parent);
  free(parent);
  return synced;
}

static int open_path(const sheaf_jobs_store *store, const char *path, bool make) {
  const sheaf__jobs_spool *spool = &store->spool;
  int access = store->read_only ? O_RDONLY : O_RDWR;
  int flags = access | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0);
  int fd = open(path, flags, 0600);
  if (fd >= 0 || errno != ENOENT || !make) return fd;
  if (mkdir(spool->folder, 0700) != 0 && errno != EEXIST) return -1;
  if (!sync_parent(spool->folder)) return -1; /* a plan may not outlive the folder of its rows */
  return open(path, flags, 0600);
}

/* The file of a job; make: even if there is none yet. NULL: status says why, SHEAF_E_NOT_FOUND:
 * there is none. */
static sheaf__spool_file *file_of(sheaf_jobs_store *store, uint64_t job, bool make,
                                  int32_t *status) {
  sheaf__jobs_spool *spool = &store->spool;
  sheaf__spool_file *file = open_one(spool, job);
  *status = SHEAF_OK;
  if (file == NULL) {
    char *path = path_of(spool, job);
    struct stat facts = {0};
    file = path != NULL ? make_place(spool) : NULL;
    int fd = file != NULL ? open_path(store, path, make) : -1;
    bool known = fd >= 0 && fstat(fd, &facts) == 0;
    if (path == NULL) {
      *status = sheaf__store_say(store, SHEAF_E_NOMEM, "out of memory");
    } else if (!known && fd < 0 && errno == ENOENT && !make && file != NULL) {
      *status = SHEAF_E_NOT_FOUND;
    } else if (!known) {
      *status = spool_failed(store, "rows on their way cannot be kept there");
    }
    free(path);
    if (!known && fd >= 0) close(fd);
    if (!known) return NULL;
    *file = (sheaf__spool_file){.job = job, .fd = fd, .filed = (uint64_t)facts.st_size};
  }
  file->used = ++spool->clock;
  return file;
}

/* ---- The door ---- */

/* Gives up what lies behind offset. */
static bool cut(sheaf__spool_file *file, uint64_t offset) {
  if (offset >= file->filed) {
    file->waiting = (size_t)(offset - file->filed);
    return true;
  }
  file->waiting = 0;
  if (ftruncate(file->fd, (off_t)offset) != 0) return false;
  file->filed = offset;
  return true;
}

static bool take(sheaf__spool_file *file, sheaf_slice bytes) {
  if (bytes.bytes >= SHEAF__SPOOL_BUFFER || file->waiting + bytes.bytes > SHEAF__SPOOL_BUFFER) {
    if (!flush(file)) return false;
  }
  if (bytes.bytes >= SHEAF__SPOOL_BUFFER) {
    if (!write_all(file->fd, bytes.data, bytes.bytes, file->filed)) return false;
    file->filed += bytes.bytes;
    return true;
  }
  memcpy(file->buffer + file->waiting, bytes.data, bytes.bytes);
  file->waiting += bytes.bytes;
  return true;
}

static int32_t append(void *ctx, uint64_t job, uint64_t offset, sheaf_slice bytes) {
  sheaf_jobs_store *store = ctx;
  int32_t status;
  if (job == 0 || store->read_only) return SHEAF_E_MISUSE;
  sheaf__spool_file *file = file_of(store, job, true, &status);
  if (file == NULL) return status;
  uint64_t end = file->filed + file->waiting;
  if (offset > end) {
    return sheaf__store_say(store, SHEAF_E_IO,
                            "%s: %" PRIu64 ENDING " ends at %" PRIu64 " where %" PRIu64
                            " bytes are expected; run the same command again",
                            store->spool.folder, job, end, offset);
  }
  if (offset < end && !cut(file, offset)) return spool_failed(store, "cannot be cut");
  if (bytes.bytes == 0) return SHEAF_OK;
  if (file->buffer == NULL) file->buffer = malloc(SHEAF__SPOOL_BUFFER);
  if (file->buffer == NULL) return sheaf__store_say(store, SHEAF_E_NOMEM, "out of memory");
  return take(file, bytes) ? SHEAF_OK : spool_failed(store, "cannot be written");
}

/* A sync that failed is final: the kernel may have dropped the pages, so asking again would lie. */
static int32_t seal(void *ctx, uint64_t job) {
  sheaf_jobs_store *store = ctx;
  int32_t status;
  if (store->spool.sync_failed) return SHEAF_E_IO;
  sheaf__spool_file *file = file_of(store, job, true, &status);
  if (file == NULL) return status;
  if (!flush(file)) return spool_failed(store, "cannot be written");
  if (fdatasync(file->fd) != 0 || !sheaf__store_sync_folder(store->spool.folder)) {
    store->spool.sync_failed = true;
    return spool_failed(store, "cannot be synced to disk");
  }
  free(file->buffer);
  file->buffer = NULL;
  return SHEAF_OK;
}

static int64_t read_at(void *ctx, uint64_t job, uint64_t offset, void *to, size_t capacity) {
  sheaf_jobs_store *store = ctx;
  int32_t status;
  sheaf__spool_file *file = file_of(store, job, false, &status);
  if (file == NULL) return status == SHEAF_E_NOT_FOUND ? 0 : status;
  if (offset > INT64_MAX) return 0;
  if (!flush(file)) return spool_failed(store, "cannot be written");
  size_t done = 0;
  while (done < capacity) {
    ssize_t got = pread(file->fd, (char *)to + done, capacity - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return spool_failed(store, "cannot be read");
    if (got == 0) break;
    done += (size_t)got;
  }
  return (int64_t)done;
}

static void drop(void *ctx, uint64_t job) {
  sheaf_jobs_store *store = ctx;
  if (store->read_only) return;
  sheaf__spool_file *file = open_one(&store->spool, job);
  if (job != 0 && file != NULL) let_go(file);
  char *path = path_of(&store->spool, job);
  if (path != NULL && unlink(path) == 0) rmdir(store->spool.folder); /* refused while others wait */
  free(path);
}

/* ---- Life ---- */

/* Beside the file itself, by whatever link it was opened. */
int32_t sheaf__jobs_spool_init(sheaf_jobs_store *store) {
  static const char ending[] = ".spool";
  char *real = realpath(store->path, NULL);
  const char *path = real != NULL ? real : store->path;
  size_t bytes = strlen(path);
  for (uint32_t i = 0; i < SHEAF__SPOOL_OPEN_MAX; i++) {
    store->spool.files[i] = (sheaf__spool_file){.fd = -1};
  }
  store->spool.folder = malloc(bytes + sizeof ending);
  if (store->spool.folder != NULL) {
    memcpy(store->spool.folder, path, bytes);
    memcpy(store->spool.folder + bytes, ending, sizeof ending);
  }
  free(real);
  if (store->spool.folder == NULL) return sheaf__store_say(store, SHEAF_E_NOMEM, "out of memory");
  store->spool_door = (sheaf_spool){.struct_bytes = sizeof(sheaf_spool),
                                    .ctx = store,
                                    .append = append,
                                    .seal = seal,
                                    .read = read_at,
                                    .drop = drop};
  return SHEAF_OK;
}

/* A crash may have come between a job's end and its file's, or while one was prepared. */
static bool is_needed(sheaf_jobs_store *store, uint64_t job) {
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_OPEN_JOB);
  if (sql == NULL) return true;
  sheaf__store_bind_u64(sql, 1, job);
  int code = sheaf__store_run(sql);
  bool needed = code == SQLITE_ROW ? sqlite3_column_int64(sql, 0) == 0 : code != SQLITE_DONE;
  sqlite3_reset(sql);
  return needed;
}

void sheaf__jobs_spool_tidy(sheaf_jobs_store *store) {
  DIR *folder = opendir(store->spool.folder);
  if (folder == NULL) return;
  for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    uint64_t job = job_of(entry->d_name);
    if (job == 0 || is_needed(store, job)) continue;
    char *path = path_of(&store->spool, job);
    if (path != NULL) unlink(path);
    free(path);
  }
  closedir(folder);
  rmdir(store->spool.folder);
}

void sheaf__jobs_spool_deinit(sheaf_jobs_store *store) {
  if (store->spool.folder == NULL) return;
  for (uint32_t i = 0; i < SHEAF__SPOOL_OPEN_MAX; i++) {
    if (store->spool.files[i].job != 0) flush(&store->spool.files[i]);
    let_go(&store->spool.files[i]);
  }
  free(store->spool.folder);
}
