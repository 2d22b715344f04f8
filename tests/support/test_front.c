/* test_front.c: starts and stops nghttpx with a certificate of openssl's (Debian: nghttp2-proxy, openssl).
 *
 * Outline: programs, the certificate, the front. */
#define _GNU_SOURCE
#include "test_front.h"

#include "test_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { ARGUMENTS_MAX = 24, TRIES_MAX = 250, TRY_US = 20000 };

/* ---- Programs ---- */

/* Debian keeps servers in /usr/sbin, which a user's PATH may lack. */
static void widen_path(void) {
  const char *path = getenv("PATH");
  char wide[4096];
  snprintf(wide, sizeof(wide), "%s:/usr/sbin:/usr/local/sbin", path == NULL ? "/usr/bin" : path);
  setenv("PATH", wide, 1);
}

/* -1: there is no such program. */
static pid_t start(const char *const *arguments) {
  widen_path();
  char *copies[ARGUMENTS_MAX] = {NULL};
  for (size_t i = 0; arguments[i] != NULL; i++) copies[i] = strdup(arguments[i]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", 1, 0);
  pid_t pid = -1;
  int failed = posix_spawnp(&pid, copies[0], &actions, NULL, copies, environ);
  posix_spawn_file_actions_destroy(&actions);
  for (size_t i = 0; i < ARGUMENTS_MAX; i++) free(copies[i]);
  return failed == 0 ? pid : -1;
}

/* ---- The certificate ---- */

static bool make_certificate(test_front *front) {
  const char *parent = getenv("TMPDIR");
  snprintf(front->folder, sizeof(front->folder), "%s/sheaf-front-XXXXXX",
           parent == NULL || strlen(parent) > 40 ? "/tmp" : parent);
  if (mkdtemp(front->folder) == NULL) return false;
  snprintf(front->certificate, sizeof(front->certificate), "%s/cert", front->folder);
  snprintf(front->key, sizeof(front->key), "%s/key", front->folder);
  const char *const arguments[] = {"openssl",
                                   "req",
                                   "-x509",
                                   "-newkey",
                                   "ec",
                                   "-pkeyopt",
                                   "ec_paramgen_curve:prime256v1",
                                   "-nodes",
                                   "-days",
                                   "2",
                                   "-subj",
                                   "/CN=127.0.0.1",
                                   "-addext",
                                   "subjectAltName=IP:127.0.0.1",
                                   "-keyout",
                                   front->key,
                                   "-out",
                                   front->certificate,
                                   NULL};
  pid_t pid = start(arguments);
  int status = -1;
  if (pid > 0) waitpid(pid, &status, 0);
  struct stat found;
  return status == 0 && stat(front->certificate, &found) == 0;
}

static void remove_certificate(const test_front *front) {
  unlink(front->key);
  unlink(front->certificate);
  rmdir(front->folder);
}

/* ---- The front ---- */

static bool is_listening(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool is_open = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
  close(fd);
  return is_open;
}

const char *test_front_open(test_front *front, int backend_port, const char *parameter) {
  *front = (test_front){.pid = -1, .port = test_free_port()};
  if (!make_certificate(front)) {
    test_front_close(front);
    return "no certificate could be made: install the package openssl";
  }
  char listen_on[64];
  char pass_to[64];
  snprintf(listen_on, sizeof(listen_on), "-f127.0.0.1,%d%s", front->port, parameter);
  snprintf(pass_to, sizeof(pass_to), "-b127.0.0.1,%d", backend_port);
  snprintf(front->url, sizeof(front->url), "https://127.0.0.1:%d/v1", front->port);
  const char *const arguments[] = {
      "nghttpx",          "--conf=/dev/null", listen_on,          pass_to,
      "--single-process", front->key,         front->certificate, NULL};
  front->pid = start(arguments);
  int status = 0;
  for (int i = 0; i < TRIES_MAX && front->pid > 0; i++) {
    if (is_listening(front->port)) return NULL;
    usleep(TRY_US);
    if (waitpid(front->pid, &status, WNOHANG) == front->pid) front->pid = -1;
  }
  test_front_close(front);
  return "nghttpx did not start: install the package nghttp2-proxy";
}

void test_front_close(test_front *front) {
  if (front->pid > 0) {
    kill(front->pid, SIGKILL);
    waitpid(front->pid, NULL, 0);
  }
  if (front->folder[0] != '\0') remove_certificate(front);
  *front = (test_front){.pid = -1};
}
