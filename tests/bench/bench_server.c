/* bench_server: a loopback chat server that is never the bottleneck: one thread, one epoll, a fixed 600-byte reply, at once or after a
 * delay.
 *
 *   bench_server [DELAY_MS [SIGMA]]     prints its port, serves until it is killed or 600 s have passed
 *
 * With a sigma the delays are log-normal with that median; the n-th request always gets the same one. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FDS 16384
#define REQUEST_MAX 65536

typedef struct peer {
  char *in;
  size_t bytes;
  uint64_t due_ns; /* 0: no request waits */
  uint32_t heap_at;
} peer;

static peer peers[FDS];
static int heap[FDS]; /* of fds by due_ns */
static uint32_t heap_count;
static char reply[2048];
static size_t reply_bytes;
static double median_ms, sigma;
static uint64_t arrivals;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void make_reply(void) {
  char body[1024];
  const char *text =
      "This review is mixed: the writer praises the battery, the keyboard and the quiet fans, but "
      "finds the price too high "
      "because the charger and the sleeve are sold on their own.";
  int n = snprintf(body, sizeof body,
                   "{\"id\":\"chatcmpl-000000000000\",\"object\":\"chat.completion\",\"created\":"
                   "1700000000,\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,"
                   "\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},"
                   "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
                   "\"prompt_tokens\":112,\"completion_tokens\":36,\"total_tokens\":148,\"prompt_"
                   "tokens_details\":{\"cached_tokens\":0}}}",
                   text);
  reply_bytes = (size_t)snprintf(
      reply, sizeof reply,
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_0000000000000000\r\n"
      "x-ratelimit-limit-requests: 100000000\r\nx-ratelimit-remaining-requests: 99999999\r\n"
      "x-ratelimit-reset-requests: 6ms\r\nContent-Length: %d\r\n\r\n%s",
      n, body);
}

/* A log-normal delay from the arrival's number: two uniform draws, Box and Muller. */
static uint64_t delay_ns(uint64_t n) {
  if (sigma <= 0) return (uint64_t)(median_ms * 1e6);
  uint64_t z = (n + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  double u = ((double)(z >> 40) + 1) / 16777217.0, v = (double)(z & 0xffffff) / 16777216.0;
  return (uint64_t)(median_ms * exp(sigma * sqrt(-2 * log(u)) * cos(6.283185307179586 * v)) * 1e6);
}

static void heap_swap(uint32_t a, uint32_t b) {
  int t = heap[a];
  heap[a] = heap[b];
  heap[b] = t;
  peers[heap[a]].heap_at = a;
  peers[heap[b]].heap_at = b;
}
static void heap_up(uint32_t i) {
  for (; i > 0 && peers[heap[i]].due_ns < peers[heap[(i - 1) / 2]].due_ns; i = (i - 1) / 2)
    heap_swap(i, (i - 1) / 2);
}
static void heap_down(uint32_t i) {
  for (;;) {
    uint32_t least = i, left = 2 * i + 1;
    for (uint32_t k = left; k < left + 2 && k < heap_count; k++)
      if (peers[heap[k]].due_ns < peers[heap[least]].due_ns) least = k;
    if (least == i) return;
    heap_swap(i, least);
    i = least;
  }
}
static void heap_remove(int fd) {
  uint32_t i = peers[fd].heap_at;
  heap_count--;
  if (i < heap_count) {
    heap_swap(i, heap_count);
    heap_up(i);
    heap_down(peers[heap[i]].heap_at);
  }
  peers[fd].due_ns = 0;
}

static void answer(int fd) {
  ssize_t sent = send(fd, reply, reply_bytes, MSG_NOSIGNAL);
  if (sent != (ssize_t)reply_bytes)
    shutdown(fd, SHUT_RDWR); /* a reply of this size fits any socket buffer, or the peer is gone */
}

/* A whole request is there: header block and Content-Length bytes. */
static size_t request_bytes(const peer *p) {
  const char *end = memmem(p->in, p->bytes, "\r\n\r\n", 4);
  if (end == NULL) return 0;
  const char *length = memmem(p->in, (size_t)(end - p->in), "Content-Length: ", 16);
  size_t bytes = (size_t)(end - p->in) + 4 + (length ? strtoul(length + 16, NULL, 10) : 0);
  return bytes <= p->bytes ? bytes : 0;
}

static void leave(int fd) {
  if (peers[fd].due_ns) heap_remove(fd);
  free(peers[fd].in);
  memset(&peers[fd], 0, sizeof peers[fd]);
  close(fd);
}

static void serve(int fd) {
  peer *p = &peers[fd];
  if (p->in == NULL && (p->in = malloc(REQUEST_MAX)) == NULL) exit(1);
  ssize_t n = recv(fd, p->in + p->bytes, REQUEST_MAX - p->bytes, 0);
  if (n == 0 || (n < 0 && errno != EAGAIN)) {
    leave(fd);
    return;
  }
  if (n > 0) p->bytes += (size_t)n;
  size_t bytes = request_bytes(p);
  if (bytes == 0 || p->due_ns) return;
  memmove(p->in, p->in + bytes, p->bytes -= bytes);
  uint64_t delay = delay_ns(arrivals++);
  if (delay == 0) {
    answer(fd);
    return;
  }
  p->due_ns = now_ns() + delay;
  p->heap_at = heap_count;
  heap[heap_count++] = fd;
  heap_up(p->heap_at);
}

int main(int argc, char **argv) {
  median_ms = argc > 1 ? atof(argv[1]) : 0;
  sigma = argc > 2 ? atof(argv[2]) : 0;
  make_reply();
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poller = epoll_create1(0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t bytes = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, bytes) || listen(listener, 4096))
    return perror("bench_server"), 1;
  getsockname(listener, (struct sockaddr *)&address, &bytes);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  const uint64_t end_ns = now_ns() + 600000000000ull;
  for (uint64_t now; (now = now_ns()) < end_ns;) {
    while (heap_count && peers[heap[0]].due_ns <= now) {
      int fd = heap[0];
      heap_remove(fd);
      answer(fd);
    }
    int wait = heap_count ? (int)((peers[heap[0]].due_ns - now) / 1000000) : 1000;
    int count = epoll_wait(poller, events, 256, wait);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd, one = 1;
      if (fd != listener) {
        serve(fd);
        continue;
      }
      while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= FDS) return fprintf(stderr, "too many connections\n"), 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        event.data.fd = fd;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
      }
    }
  }
  return 0;
}
