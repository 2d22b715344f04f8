/* output.c: the output file: opened and locked, written in whole lines, synced.
 *
 *   open    a regular file is locked, so that two runs never mix; anything else is a stream
 *   flush   what is pending goes out; a failure loses nothing: lines stay pending, and a line that got out in part
 *           is cut off again, so that the file always ends at a line
 *   sync    a sync that failed is final: the kernel may have dropped the pages, so asking again would lie */
#include "files_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Descriptors ---- */

bool sheaf__write_all(int fd, const char *data, size_t bytes, uint64_t offset, size_t *done) {
  *done = 0;
  while (*done < bytes) {
    ssize_t put = offset == SHEAF_NEVER
                      ? write(fd, data + *done, bytes - *done)
                      : pwrite(fd, data + *done, bytes - *done, (off_t)(offset + *done));
    if (put > 0) {
      *done += (size_t)put;
    } else if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      struct pollfd room = {.fd = fd, .events = POLLOUT}; /* a pipe somebody made non-blocking */
      poll(&room, 1, -1);
    } else if (put == 0) {
      errno = ENOSPC;
      return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool sheaf__sync_directory(const char *path) {
  char *directory = sheaf__text_join(path, "");
  if (directory == NULL) return false;
  char *slash = strrchr(directory, '/');
  if (slash != NULL) slash[slash == directory ? 1 : 0] = '\0';
  int fd = open(slash != NULL ? directory : ".", O_RDONLY | O_CLOEXEC);
  free(directory);
  if (fd < 0) return false;
  /* Some file systems cannot sync a directory and say EINVAL; there is nothing more to be done then. */
  bool synced = fsync(fd) == 0 || errno == EINVAL;
  close(fd);
  return synced;
}

bool sheaf__lock(int fd) {
  /* File systems without locks (some network mounts) answer otherwise than "locked": go on there. */
  return flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

/* ---- Opening ---- */

static int32_t cannot(sheaf_files *files, const char *what, const char *remedy) {
  return sheaf__say(&files->said, SHEAF_E_IO, "%s: %s: %s; %s", files->output_name, what,
                    strerror(errno), remedy);
}

static bool exists(const char *path) {
  struct stat facts;
  return lstat(path, &facts) == 0 || errno != ENOENT;
}

/* Moves the output and its log to the first free OUT.bak, OUT.bak.2, ... */
static int32_t set_aside(sheaf_files *files) {
  char *backup = sheaf__text_join(files->output_path, ".bak");
  for (uint32_t n = 2; backup != NULL && exists(backup); n++) {
    char ending[24];
    snprintf(ending, sizeof ending, ".bak.%u", n);
    free(backup);
    backup = sheaf__text_join(files->output_path, ending);
  }
  char *backup_log = backup == NULL ? NULL : sheaf__text_join(backup, ".sheaf");
  int32_t status = SHEAF_OK;
  if (backup_log == NULL) {
    status = sheaf__say(&files->said, SHEAF_E_NOMEM, "out of memory");
  } else if (rename(files->output_path, backup) != 0 ||
             (rename(files->log_path, backup_log) != 0 && errno != ENOENT)) {
    status = cannot(files, "cannot be renamed to keep it", "move it away, or use another -o");
  }
  free(backup);
  free(backup_log);
  return status;
}

/* Opens and locks path; *same is false when the name stood for another file by the time the lock was held. */
static int32_t open_locked(sheaf_files *files, bool *same) {
  sheaf__output *output = &files->output;
  const char *path = files->output_path;
  struct stat here;
  struct stat there;
  output->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (output->fd < 0)
    return cannot(files, "cannot be opened for writing", "check the name and its directory");
  if (!sheaf__lock(output->fd)) {
    return sheaf__say(&files->said, SHEAF_E_OTHER_RUN,
                      "%s: another run is writing it; wait for that one, or use another -o",
                      files->output_name);
  }
  if (fstat(output->fd, &here) != 0) return cannot(files, "cannot be read", "use another -o");
  *same = stat(path, &there) == 0 && here.st_dev == there.st_dev && here.st_ino == there.st_ino;
  output->bytes = (uint64_t)here.st_size;
  struct stat input;
  bool known = fstat(files->rows.input.fd, &input) == 0;
  if (known && input.st_dev == here.st_dev && input.st_ino == here.st_ino) {
    return sheaf__say(&files->said, SHEAF_E_IO, "%s: is the input as well; use another -o",
                      files->output_name);
  }
  return SHEAF_OK;
}

static void close_output(sheaf__output *output) {
  if (output->fd > STDERR_FILENO) close(output->fd);
  output->fd = -1;
}

/* Takes paths without links, as the rewrite renames over them. A file that does not exist yet has none. */
static int32_t find_paths(sheaf_files *files) {
  char *real = realpath(files->output_name, NULL);
  files->output_path = real != NULL ? real : sheaf__text_join(files->output_name, "");
  if (files->output_path != NULL) files->log_path = sheaf__text_join(files->output_path, ".sheaf");
  if (files->log_path == NULL) return sheaf__say(&files->said, SHEAF_E_NOMEM, "out of memory");
  return SHEAF_OK;
}

static int32_t open_stream(sheaf_files *files) {
  sheaf__output *output = &files->output;
  bool standard = strcmp(files->output_name, "-") == 0;
  output->stream = true;
  output->fd = standard ? STDOUT_FILENO : open(files->output_name, O_WRONLY | O_CLOEXEC);
  if (output->fd < 0) return cannot(files, "cannot be opened for writing", "check the name");
  if (files->options.resume == SHEAF_RESUME_REQUIRED) {
    return sheaf__say(&files->said, SHEAF_E_NOT_FOUND,
                      "%s: what went there cannot be resumed; use a file as -o",
                      standard ? "standard output" : files->output_name);
  }
  return SHEAF_OK;
}

int32_t sheaf__output_open(sheaf_files *files) {
  sheaf__output *output = &files->output;
  struct stat facts;
  bool standard = strcmp(files->output_name, "-") == 0;
  output->existed = !standard && stat(files->output_name, &facts) == 0;
  if (standard || (output->existed && !S_ISREG(facts.st_mode))) return open_stream(files);
  bool fresh = files->options.resume == SHEAF_RESUME_NEVER;
  int32_t status = find_paths(files);
  for (bool same = false; status == SHEAF_OK && !same;) {
    close_output(output);
    status = open_locked(files, &same);
    if (status == SHEAF_OK && same && fresh && (output->bytes > 0 || exists(files->log_path))) {
      status = set_aside(files);
      output->existed = false;
      same = false; /* once more, for the new file */
      fresh = false;
    }
  }
  output->made = status == SHEAF_OK && !output->existed;
  return status;
}

void sheaf__output_forsake(sheaf_files *files) {
  if (files->output.made && files->output.bytes == 0) unlink(files->output_path);
}

void sheaf__output_deinit(sheaf__output *output) {
  sheaf_buf_deinit(&output->pending);
  close_output(output);
}

/* ---- Writing ---- */

static const char *remedy_for(int error) {
  if (error == ENOSPC || error == EDQUOT) return "free some space and run the same command again";
  if (error == EFBIG) return "raise the file size limit and run the same command again";
  if (error == EPIPE) return "the reader is gone";
  return "mend it and run the same command again";
}

static int32_t write_failed(sheaf_files *files) {
  sheaf__output *output = &files->output;
  bool standard = strcmp(files->output_name, "-") == 0;
  return sheaf__say(&files->said, SHEAF_E_IO,
                    "%s: cannot be written: %s; %llu finished lines wait in memory; %s",
                    standard ? "standard output" : files->output_name, strerror(output->error),
                    (unsigned long long)output->pending_lines, remedy_for(output->error));
}

static uint64_t count_lines(const char *data, size_t bytes) {
  uint64_t count = 0;
  const char *end = data + bytes;
  while (data < end) {
    const char *lf = memchr(data, '\n', (size_t)(end - data));
    if (lf == NULL) break;
    count++;
    data = lf + 1;
  }
  return count;
}

/* The first bytes of pending are out. */
static void drop_written(sheaf__output *output, size_t bytes) {
  sheaf_buf *pending = &output->pending;
  if (bytes == pending->bytes) {
    output->pending_lines = 0;
  } else {
    output->pending_lines -= count_lines(pending->data, bytes);
    memmove(pending->data, pending->data + bytes, pending->bytes - bytes);
  }
  pending->bytes -= bytes;
  output->bytes += bytes;
  if (bytes > 0) output->unsynced = true;
}

/* A write ended early: the file goes back to its last whole line. */
static void cut_back(sheaf__output *output, size_t done) {
  size_t whole = done;
  while (whole > 0 && output->pending.data[whole - 1] != '\n') whole--;
  if (whole < done && ftruncate(output->fd, (off_t)(output->bytes + whole)) != 0) {
    output->error = errno; /* the torn line stays; a resume cuts it */
  }
  drop_written(output, whole);
}

int32_t sheaf__output_flush(sheaf_files *files) {
  sheaf__output *output = &files->output;
  if (output->pending.bytes == 0) return SHEAF_OK;
  size_t done;
  uint64_t offset = output->stream ? SHEAF_NEVER : output->bytes;
  if (sheaf__write_all(output->fd, output->pending.data, output->pending.bytes, offset, &done)) {
    drop_written(output, done);
    output->failed = false;
    return SHEAF_OK;
  }
  output->error = errno;
  output->failed = true;
  if (output->stream) {
    drop_written(output, done);
  } else {
    cut_back(output, done);
  }
  return write_failed(files);
}

int32_t sheaf__output_sync(sheaf_files *files) {
  sheaf__output *output = &files->output;
  if (output->stream || (!output->unsynced && !output->sync_failed)) return SHEAF_OK;
  if (!output->sync_failed && fdatasync(output->fd) == 0) {
    output->unsynced = false;
    return SHEAF_OK;
  }
  if (!output->sync_failed) output->error = errno;
  output->sync_failed = true;
  return sheaf__say(
      &files->said, SHEAF_E_IO,
      "%s: cannot be synced to disk: %s; the last lines may be lost at a power failure; check the "
      "disk, then run the same command again",
      files->output_name, strerror(output->error));
}
