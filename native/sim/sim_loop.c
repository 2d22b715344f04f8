/* sim_loop.c: timers in a heap, descriptors in an epoll, one wait for both.
 *
 * Everything but the waking belongs to one thread. A callback may set and clear any timer and any
 * watch; what it watches must not be freed while callbacks run. */
#define _GNU_SOURCE
#include "sim_server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 64

uint64_t sheaf__sim_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * SIM_SECOND + (uint64_t)now.tv_nsec;
}

bool sheaf__sim_loop_open(sim_loop *loop) {
  loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return loop->epoll_fd >= 0 && loop->wake_fd >= 0;
}

void sheaf__sim_loop_close(sim_loop *loop) {
  if (loop->epoll_fd >= 0) close(loop->epoll_fd);
  if (loop->wake_fd >= 0) close(loop->wake_fd);
  free(loop->heap);
  *loop = (sim_loop){.epoll_fd = -1, .wake_fd = -1};
}

void sheaf__sim_loop_wake(sim_loop *loop) {
  const uint64_t one = 1;
  /* Non-blocking, and its only failure is a counter that is set already. */
  if (write(loop->wake_fd, &one, sizeof one) < 0) errno = 0;
}

/* ---- The heap ---- */

static bool is_before(const sim_timer *a, const sim_timer *b) {
  return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->sequence < b->sequence;
}

static void put(sim_loop *loop, size_t at, sim_timer *timer) {
  loop->heap[at] = timer;
  timer->at = at;
}

static void sift_up(sim_loop *loop, size_t at, sim_timer *timer) {
  while (at > 0 && is_before(timer, loop->heap[(at - 1) / 2])) {
    put(loop, at, loop->heap[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  put(loop, at, timer);
}

static void sift_down(sim_loop *loop, size_t at, sim_timer *timer) {
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= loop->count) break;
    if (child + 1 < loop->count && is_before(loop->heap[child + 1], loop->heap[child])) child++;
    if (!is_before(loop->heap[child], timer)) break;
    put(loop, at, loop->heap[child]);
    at = child;
  }
  put(loop, at, timer);
}

void sheaf__sim_timer_clear(sim_loop *loop, sim_timer *timer) {
  if (!timer->is_set) return;
  timer->is_set = false;
  size_t at = timer->at;
  sim_timer *last = loop->heap[--loop->count];
  if (last == timer) return;
  if (at > 0 && is_before(last, loop->heap[(at - 1) / 2]))
    sift_up(loop, at, last);
  else
    sift_down(loop, at, last);
}

bool sheaf__sim_timer_set(sim_loop *loop, sim_timer *timer, uint64_t due_ns) {
  sheaf__sim_timer_clear(loop, timer);
  if (loop->count == loop->room) {
    size_t room = loop->room ? loop->room * 2 : 256;
    void *heap = realloc(loop->heap, room * sizeof(void *));
    if (!heap) return false;
    loop->heap = heap;
    loop->room = room;
  }
  timer->due_ns = due_ns;
  timer->sequence = loop->sequence++;
  timer->is_set = true;
  sift_up(loop, loop->count++, timer);
  return true;
}

/* Those that are set meanwhile wait for the next round, so that the sockets have their turn. */
void sheaf__sim_loop_fire(sim_loop *loop) {
  if (!loop->count) return;
  uint64_t now = sheaf__sim_now(), end = loop->sequence;
  while (loop->count && loop->heap[0]->due_ns <= now && loop->heap[0]->sequence < end) {
    sim_timer *due = loop->heap[0];
    sheaf__sim_timer_clear(loop, due);
    due->fire(due->ctx);
  }
}

/* ---- Watches ---- */

bool sheaf__sim_watch_set(sim_loop *loop, sim_watch *watch, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = watch};
  if (watch->is_on && watch->events == events) return true;
  int what = watch->is_on ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(loop->epoll_fd, what, fd, &event) != 0) return false;
  watch->fd = fd;
  watch->events = events;
  watch->is_on = true;
  return true;
}

void sheaf__sim_watch_clear(sim_loop *loop, sim_watch *watch) {
  if (!watch->is_on) return;
  watch->is_on = false;
  epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

static void tell_watches(sim_loop *loop) {
  struct epoll_event events[EVENTS_MAX];
  int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, 0);
  for (int i = 0; i < count; i++) {
    sim_watch *watch = events[i].data.ptr;
    if (watch->is_on) watch->stir(watch->ctx, events[i].events); /* else cleared by another one */
  }
}

void sheaf__sim_loop_wait(sim_loop *loop, int also, uint64_t wait_ns) {
  struct pollfd fds[] = {{.fd = also, .events = POLLIN},
                         {.fd = loop->wake_fd, .events = POLLIN},
                         {.fd = loop->epoll_fd, .events = POLLIN}};
  if (loop->count && loop->heap[0]->due_ns != UINT64_MAX) {
    uint64_t now = sheaf__sim_now(), due = loop->heap[0]->due_ns;
    uint64_t left = due > now ? due - now : 0;
    if (left < wait_ns) wait_ns = left;
  }
  struct timespec wait = {.tv_sec = (time_t)(wait_ns / SIM_SECOND),
                          .tv_nsec = (long)(wait_ns % SIM_SECOND)};
  int ready = ppoll(fds, 3, wait_ns == UINT64_MAX ? NULL : &wait, NULL);
  if (ready > 0 && fds[2].revents) tell_watches(loop);
}
