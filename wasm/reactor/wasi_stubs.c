/* wasi_stubs.c: the three calls that stdio of wasi-libc would import, answered inside the module with EBADF
 * (8), so that the module imports nothing. Defining the imported symbols themselves lets the linker resolve
 * them here. */
#include <stdint.h>

int32_t __imported_wasi_snapshot_preview1_fd_close(int32_t fd);
int32_t __imported_wasi_snapshot_preview1_fd_seek(int32_t fd, int64_t to, int32_t whence,
                                                  int32_t out);
int32_t __imported_wasi_snapshot_preview1_fd_write(int32_t fd, int32_t from, int32_t count,
                                                   int32_t out);

int32_t __imported_wasi_snapshot_preview1_fd_close(int32_t fd) {
  (void)fd;
  return 8;
}

int32_t __imported_wasi_snapshot_preview1_fd_seek(int32_t fd, int64_t to, int32_t whence,
                                                  int32_t out) {
  (void)fd, (void)to, (void)whence, (void)out;
  return 8;
}

int32_t __imported_wasi_snapshot_preview1_fd_write(int32_t fd, int32_t from, int32_t count,
                                                   int32_t out) {
  (void)fd, (void)from, (void)count, (void)out;
  return 8;
}
