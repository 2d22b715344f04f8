/* curl_watch.c: one epoll for the sockets and timers of all shards.
 *
 * libcurl asks to stop watching a connection whenever a transfer ends and to watch it again when the next one begins.
 * Telling the kernel both would cost two system calls a request, so a connection that libcurl lets go of stays in the epoll
 * ("parked") and is taken out only when something happens on it. That needs to know when a descriptor is closed, for its
 * number comes back: sockets are opened and closed by the callbacks here, and only those are parked (the resolver's
 * own pipes are not).
 *
 * Outline: open and close, sockets, timers, waiting. */
#define _GNU_SOURCE
#include "curl_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MAX = 256, DUE_ROUNDS_MAX = 4 };

/* ---- Open and close ---- */

static int control(sheaf_curl *curl, int operation, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data = {.fd = fd}};
  return epoll_ctl(curl->epoll_fd, operation, fd, &event);
}

int32_t sheaf__watch_open(sheaf_curl *curl) {
  curl->extra_fd = -1;
  curl->wake_fd = -1;
  curl->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (curl->epoll_fd < 0) return SHEAF_E_IO;
  curl->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (curl->wake_fd < 0) return SHEAF_E_IO;
  return control(curl, EPOLL_CTL_ADD, curl->wake_fd, EPOLLIN) == 0 ? SHEAF_OK : SHEAF_E_IO;
}

void sheaf__watch_close(sheaf_curl *curl) {
  if (curl->wake_fd >= 0) close(curl->wake_fd);
  if (curl->epoll_fd >= 0) close(curl->epoll_fd);
  free(curl->watched);
}

void sheaf_curl_wake(sheaf_curl *curl) {
  int before = errno; /* may run in a signal handler */
  const uint64_t one = 1;
  if (write(curl->wake_fd, &one, sizeof(one)) < 0) {
    /* EAGAIN: the counter is full, so the poll will wake anyway. */
  }
  errno = before;
}

int32_t sheaf__watch_extra(sheaf_curl *curl, int fd) {
  if (fd == curl->extra_fd) return SHEAF_OK;
  if (curl->extra_fd >= 0) control(curl, EPOLL_CTL_DEL, curl->extra_fd, 0);
  curl->extra_fd = -1;
  if (fd < 0) return SHEAF_OK;
  if (control(curl, EPOLL_CTL_ADD, fd, EPOLLIN) != 0) return SHEAF_E_IO;
  curl->extra_fd = fd;
  return SHEAF_OK;
}

/* ---- Sockets ---- */

static sheaf__watched *watched_at(sheaf_curl *curl, int fd) {
  if (fd < 0) return NULL;
  size_t index = (size_t)fd;
  if (index >= curl->watched_count) {
    size_t count = curl->watched_count == 0 ? 256 : curl->watched_count;
    while (count <= index) count *= 2;
    sheaf__watched *more = realloc(curl->watched, count * sizeof(*more));
    if (more == NULL) return NULL;
    memset(more + curl->watched_count, 0, (count - curl->watched_count) * sizeof(*more));
    curl->watched = more;
    curl->watched_count = count;
  }
  return &curl->watched[index];
}

/* Tells the kernel what to watch. The table can only be wrong about a descriptor that somebody else closed: then the
 * kernel says so, and the other operation is right. */
static int tell(sheaf_curl *curl, sheaf__watched *watched, int fd, uint32_t events) {
  if (watched->registered == events) return 0;
  int operation = events == 0                ? EPOLL_CTL_DEL
                  : watched->registered == 0 ? EPOLL_CTL_ADD
                                             : EPOLL_CTL_MOD;
  watched->registered = events;
  int failed = control(curl, operation, fd, events);
  if (failed == 0 || operation == EPOLL_CTL_DEL) return 0;
  if (errno == EEXIST) return control(curl, EPOLL_CTL_MOD, fd, events);
  if (errno == ENOENT) return control(curl, EPOLL_CTL_ADD, fd, events);
  watched->registered = 0;
  return -1;
}

int sheaf__watch_on_socket(CURL *easy, curl_socket_t fd, int what, void *shard, void *unused) {
  (void)easy;
  (void)unused;
  sheaf__shard *owner = shard;
  sheaf__watched *watched = watched_at(owner->curl, fd);
  if (watched == NULL) return -1;
  watched->shard = owner;
  watched->wanted = 0;
  if (what == CURL_POLL_REMOVE) {
    return watched->is_ours ? 0 : tell(owner->curl, watched, fd, 0);
  }
  if ((what & CURL_POLL_IN) != 0) watched->wanted |= EPOLLIN;
  if ((what & CURL_POLL_OUT) != 0) watched->wanted |= EPOLLOUT;
  return tell(owner->curl, watched, fd, watched->wanted);
}

curl_socket_t sheaf__watch_connect(sheaf_curl *curl, const struct curl_sockaddr *address) {
  int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  sheaf__watched *watched = watched_at(curl, fd);
  if (watched == NULL) {
    close(fd);
    return CURL_SOCKET_BAD;
  }
  *watched = (sheaf__watched){.is_ours = true};
  return fd;
}

int sheaf__watch_on_close(void *curl, curl_socket_t fd) {
  sheaf__watched *watched = watched_at(curl, fd);
  if (watched != NULL) {
    /* Closing takes it out of the epoll too, unless a child that was forked meanwhile still holds a copy. */
    tell(curl, watched, fd, 0);
    *watched = (sheaf__watched){.shard = NULL};
  }
  return close(fd);
}

/* Lets libcurl work. It fails only where a callback here did: the kernel would watch no more. */
static void move(sheaf__shard *shard, curl_socket_t fd, int bits) {
  int running = 0;
  shard->is_dirty = true;
  CURLMcode code = curl_multi_socket_action(shard->multi, fd, bits, &running);
  if (code != CURLM_OK) shard->curl->has_failed = true;
}

/* ---- Timers ---- */

int sheaf__watch_on_timer(CURLM *multi, long ms, void *shard) {
  (void)multi;
  sheaf__shard *owner = shard;
  if (ms < 0) {
    owner->due_ns = SHEAF_NEVER;
  } else if (ms == 0) {
    owner->due_ns = 0;
  } else {
    owner->due_ns = sheaf_now_ns() + (uint64_t)ms * SHEAF__NS_PER_MS;
  }
  return 0;
}

/* A round may make a shard due again (a request that ended makes room for one that waited): a few rounds are worth it, the
 * rest is left to the next poll so that nobody starves. */
void sheaf__watch_run_due(sheaf_curl *curl) {
  for (uint32_t i = 0; i < curl->shard_count; i++) {
    sheaf__shard *shard = &curl->shards[i];
    for (int round = 0; round < DUE_ROUNDS_MAX && shard->due_ns <= curl->now_ns; round++) {
      shard->due_ns = SHEAF_NEVER;
      move(shard, CURL_SOCKET_TIMEOUT, 0);
    }
  }
}

/* ---- Waiting ---- */

static void act(sheaf_curl *curl, const struct epoll_event *event) {
  int fd = event->data.fd;
  if (fd == curl->wake_fd) {
    uint64_t count = 0;
    if (read(fd, &count, sizeof(count)) < 0)
      return; /* another reader was faster: nothing to clear */
    return;
  }
  if (fd == curl->extra_fd) return; /* the caller looks after it */
  sheaf__watched *watched = watched_at(curl, fd);
  if (watched == NULL) return;
  if (watched->wanted == 0) { /* parked, and its peer closed or said something nobody asked for */
    tell(curl, watched, fd, 0);
    return;
  }
  int bits = 0;
  if ((event->events & EPOLLIN) != 0) bits |= CURL_CSELECT_IN;
  if ((event->events & EPOLLOUT) != 0) bits |= CURL_CSELECT_OUT;
  if ((event->events & (EPOLLERR | EPOLLHUP)) != 0) bits |= CURL_CSELECT_ERR;
  move(watched->shard, fd, bits);
}

/* Without epoll_pwait2 a wait is rounded up to ms: late by less than one, and never a busy loop. */
static int wait_ms(sheaf_curl *curl, struct epoll_event *events, uint64_t wait_ns) {
  uint64_t ms = wait_ns / SHEAF__NS_PER_MS + (wait_ns % SHEAF__NS_PER_MS != 0);
  int timeout = wait_ns == SHEAF_NEVER ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms;
  return epoll_wait(curl->epoll_fd, events, EVENTS_MAX, timeout);
}

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)
#define HAS_EPOLL_PWAIT2 1
#endif
#endif

static int wait_events(sheaf_curl *curl, struct epoll_event *events, uint64_t wait_ns) {
#ifdef HAS_EPOLL_PWAIT2
  if (!curl->no_pwait2 && wait_ns != 0 && wait_ns != SHEAF_NEVER) {
    struct timespec timeout = {.tv_sec = (time_t)(wait_ns / 1000000000u),
                               .tv_nsec = (long)(wait_ns % 1000000000u)};
    int count = epoll_pwait2(curl->epoll_fd, events, EVENTS_MAX, &timeout, NULL);
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
    curl->no_pwait2 = true; /* an old kernel or a sandbox */
  }
#endif
  return wait_ms(curl, events, wait_ns);
}

int32_t sheaf__watch_wait(sheaf_curl *curl, uint64_t wait_ns) {
  struct epoll_event events[EVENTS_MAX];
  for (uint32_t i = 0; i < curl->shard_count; i++) {
    uint64_t due_ns = curl->shards[i].due_ns;
    uint64_t left_ns = due_ns > curl->now_ns ? due_ns - curl->now_ns : 0;
    if (due_ns != SHEAF_NEVER && left_ns < wait_ns) wait_ns = left_ns;
  }
  int count = wait_events(curl, events, wait_ns);
  if (count < 0 && errno != EINTR) return SHEAF_E_IO;
  curl->now_ns = sheaf_now_ns();
  for (int i = 0; i < count; i++) act(curl, &events[i]);
  return SHEAF_OK;
}

/* ---- Clocks ---- */

uint64_t sheaf_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t sheaf_unix_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
