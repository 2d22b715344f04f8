/* sim_front.c: starts and stops nghttpx with a certificate of openssl's (Debian: nghttp2-proxy,
 * openssl).
 *
 * Outline: programs, the certificate, the front. */
#define _GNU_SOURCE
#include "sim_front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TRIES_MAX = 500, TRY_NS = 10000000, PATH_BYTES = 512, ADDRESS_BYTES = 96, ANSWER_MS = 5000 };

static int32_t fail(char *message, size_t bytes, const char *text) {
  if (message && bytes) snprintf(message, bytes, "%s", text);
  return SHEAF_E_IO;
}

/* ---- Programs ---- */

/* Debian keeps servers in /usr/sbin, which a user's PATH may lack. */
static bool find_program(const char *name, char *path, size_t bytes) {
  const char *given = getenv("PATH");
  const char *places[] = {given ? given : "", "/usr/bin:/usr/sbin:/usr/local/sbin"};
  for (size_t i = 0; i < 2; i++) {
    for (const char *at = places[i]; *at;) {
      size_t length = strcspn(at, ":");
      int used = snprintf(path, bytes, "%.*s/%s", (int)length, at, name);
      if (length && used > 0 && (size_t)used < bytes && access(path, X_OK) == 0) return true;
      at += length + (at[length] == ':');
    }
  }
  return false;
}

/* In the child, between fork and exec: async-signal-safe calls only, as other threads may have held
 * any lock. */
static void become(const char *path, const char *const *arguments, pid_t parent) {
  sigset_t none;
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (getppid() != parent) _exit(127); /* it died before the line above */
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  int null = open("/dev/null", O_RDWR);
  if (null >= 0) {
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
  }
  /* execv takes the strings without const and leaves them alone. */
  union {
    const char *const *given;
    char *const *taken;
  } argv = {.given = arguments};
  execv(path, argv.taken);
  _exit(127);
}

/* -1: there is no such program. */
static pid_t run(const char *const *arguments) {
  char path[PATH_BYTES];
  if (!find_program(arguments[0], path, sizeof path)) return -1;
  pid_t parent = getpid(), child = fork();
  if (child == 0) become(path, arguments, parent);
  return child;
}

/* ---- The certificate ---- */

static bool make_folder(sim_front *front) {
  const char *parent = getenv("TMPDIR");
  snprintf(front->folder, sizeof front->folder, "%s/sheaf-front-XXXXXX",
           parent && *parent && strlen(parent) < 64 ? parent : "/tmp");
  if (!mkdtemp(front->folder)) {
    front->folder[0] = 0;
    return false;
  }
  snprintf(front->certificate, sizeof front->certificate, "%s/cert.pem", front->folder);
  snprintf(front->key, sizeof front->key, "%s/key.pem", front->folder);
  return true;
}

static bool make_certificate(sim_front *front, const char *host) {
  char names[160];
  bool is_usual = strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0;
  snprintf(names, sizeof names, "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1%s%s",
           is_usual ? "" : ",IP:", is_usual ? "" : host);
  const char *const arguments[] = {"openssl",
                                   "req",
                                   "-x509",
                                   "-newkey",
                                   "ec",
                                   "-pkeyopt",
                                   "ec_paramgen_curve:prime256v1",
                                   "-nodes",
                                   "-days",
                                   "30",
                                   "-subj",
                                   "/CN=localhost",
                                   "-addext",
                                   names,
                                   "-keyout",
                                   front->key,
                                   "-out",
                                   front->certificate,
                                   NULL};
  pid_t pid = run(arguments);
  int status = -1;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  struct stat found;
  return status == 0 && stat(front->certificate, &found) == 0;
}

/* ---- The front ---- */

static int dial(const char *host, uint16_t port) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  bool is_v6 = inet_pton(AF_INET6, host, &v6.sin6_addr) == 1;
  if (!is_v6) inet_pton(AF_INET, host, &v4.sin_addr);
  int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int failed = is_v6 ? connect(fd, (const struct sockaddr *)&v6, sizeof v6)
                     : connect(fd, (const struct sockaddr *)&v4, sizeof v4);
  if (!failed) return fd;
  close(fd);
  return -1;
}

/* It listens before it has read its key, so it is asked something, and any answer will do: what is
 * asked is neither TLS nor HTTP, which ends in an alert or a 400 and goes no further. */
static bool is_serving(const char *host, uint16_t port) {
  static const char question[] = "?\r\n\r\n";
  struct pollfd answer = {.fd = dial(host, port), .events = POLLIN};
  if (answer.fd < 0) return false;
  char byte;
  bool is_answered = send(answer.fd, question, sizeof question - 1, MSG_NOSIGNAL) > 0 &&
                     poll(&answer, 1, ANSWER_MS) == 1 && recv(answer.fd, &byte, 1, 0) >= 0;
  close(answer.fd);
  return is_answered;
}

/* An IPv6 address without brackets: nghttpx ends it at the comma. */
static void write_address(char *text, const char *flag, const char *host, unsigned port,
                          const char *parameter) {
  snprintf(text, ADDRESS_BYTES, "%s%s,%u%s", flag, host, port, parameter);
}

/* The limits of nghttpx are moved out of the way: what ends an exchange is the server behind it. No
 * connection to it is used twice, because nghttpx would send a request again when a connection that
 * was used before breaks; and one that was refused is tried again at once. Without OCSP it starts
 * no process that would hold its port longer than itself. */
static pid_t start_nghttpx(const sim_front *front, const sim_front_options *options) {
  char listen_on[ADDRESS_BYTES], pass_to[ADDRESS_BYTES];
  write_address(listen_on, "-f", options->host, options->port, options->is_https ? "" : ";no-tls");
  write_address(pass_to, "-b", options->backend_host, options->backend_port, "");
  const char *arguments[24] = {"nghttpx",
                               "--conf=/dev/null",
                               listen_on,
                               pass_to,
                               "--single-process",
                               "--workers=1",
                               "--no-ocsp",
                               "--no-location-rewrite",
                               "--no-server-rewrite",
                               "--backend-read-timeout=24h",
                               "--backend-write-timeout=24h",
                               "--backend-keep-alive-timeout=1ms",
                               "--backend-max-backoff=1ms",
                               "--frontend-write-timeout=24h",
                               "--frontend-http2-read-timeout=24h",
                               "--accesslog-file=/dev/null",
                               "--errorlog-file=/dev/null"};
  size_t count = 17;
  if (!options->says_via) arguments[count++] = "--no-via";
  if (options->is_https) {
    if (!options->is_http2) arguments[count++] = "--npn-list=http/1.1";
    arguments[count++] = front->key;
    arguments[count++] = front->certificate;
  }
  return run(arguments);
}

/* Until it listens or has died. */
static bool wait_until_open(sim_front *front, const sim_front_options *options) {
  const struct timespec a_moment = {.tv_nsec = TRY_NS};
  for (int i = 0; i < TRIES_MAX && front->pid > 0; i++) {
    bool is_open = is_serving(options->host, options->port);
    if (waitpid(front->pid, NULL, WNOHANG) == front->pid) front->pid = 0;
    if (is_open && front->pid) return true;
    nanosleep(&a_moment, NULL);
  }
  return false;
}

int32_t sheaf__sim_front_start(sim_front *front, const sim_front_options *options, char *message,
                               size_t bytes) {
  char path[PATH_BYTES];
  *front = (sim_front){.pid = 0};
  if (!find_program("nghttpx", path, sizeof path))
    return fail(message, bytes, "nghttpx is missing: install the package nghttp2-proxy");
  if (options->is_https && (!make_folder(front) || !make_certificate(front, options->host))) {
    sheaf__sim_front_stop(front);
    return fail(message, bytes, "no certificate could be made: install the package openssl");
  }
  front->pid = start_nghttpx(front, options);
  if (wait_until_open(front, options)) {
    if (front->folder[0]) unlink(front->key);
    return SHEAF_OK;
  }
  sheaf__sim_front_stop(front);
  return fail(message, bytes, "nghttpx (package nghttp2-proxy) did not start");
}

void sheaf__sim_front_stop(sim_front *front) {
  if (front->pid > 0) {
    kill(front->pid, SIGKILL);
    while (waitpid(front->pid, NULL, 0) < 0 && errno == EINTR) continue;
  }
  if (front->folder[0]) {
    unlink(front->key);
    unlink(front->certificate);
    rmdir(front->folder);
  }
  *front = (sim_front){.pid = 0};
}
