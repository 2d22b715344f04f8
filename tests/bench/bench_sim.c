/* bench_sim: what the simulator costs: whole replies a second and CPU a reply on one core, and
 * thousands of slow streams at once: are they all open, are their tokens on time, what memory do
 * they take, and does it come back.
 *
 *   bench_sim [SECONDS [STREAMS [ROUNDS]]]     5 s of replies, 2000 streams, 10 rounds; JSON lines
 *
 * The simulator runs in a process of its own on the last core, the client on the first.
 *
 * Outline: the simulator, a connection, replies, streams, main. */
#define _GNU_SOURCE
#include <sheaf/sim.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 64u
#define TAIL_MAX 8192u
#define SECOND_NS 1000000000ull
#define MS_NS 1000000ull

typedef struct simulator {
  pid_t pid;
  int life; /* closed: it ends */
  uint16_t port;
} simulator;

typedef struct peer {
  int fd;
  size_t bytes;
  uint64_t sent_ns;
  uint32_t tokens;
  char tail[TAIL_MAX];
} peer;

static void die(const char *what) {
  fprintf(stderr, "bench_sim: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void pin_to(long core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET((size_t)core, &cores);
  sched_setaffinity(0, sizeof cores, &cores);
}

/* ---- The simulator ---- */

static void simulate(const char *const *options, int port_to, int life) {
  sheaf_sim_options chosen = SHEAF_SIM_OPTIONS_INIT;
  char message[160] = "", byte;
  sheaf_sim *sim;
  pin_to(sysconf(_SC_NPROCESSORS_ONLN) - 1);
  sheaf_sim_raise_descriptors();
  for (; *options; options += 2)
    if (sheaf_sim_option_set(&chosen, options[0], options[1], message, sizeof message)) break;
  if (*options || sheaf_sim_start(&chosen, &sim, message, sizeof message)) {
    fprintf(stderr, "bench_sim: %s\n", message);
    _exit(1);
  }
  uint16_t port = sheaf_sim_port(sim);
  if (write(port_to, &port, sizeof port) != sizeof port) _exit(1);
  while (read(life, &byte, 1) < 0 && errno == EINTR) continue;
  sheaf_sim_stop(sim);
  _exit(0);
}

static simulator start(const char *const *options) {
  simulator sim;
  int port_pipe[2], life_pipe[2];
  if (pipe(port_pipe) || pipe(life_pipe)) die("pipe");
  sim.pid = fork();
  if (sim.pid < 0) die("fork");
  if (sim.pid == 0) {
    close(life_pipe[1]);
    simulate(options, port_pipe[1], life_pipe[0]);
  }
  close(port_pipe[1]);
  close(life_pipe[0]);
  if (read(port_pipe[0], &sim.port, sizeof sim.port) != sizeof sim.port) exit(1);
  close(port_pipe[0]);
  sim.life = life_pipe[1];
  return sim;
}

static void stop(const simulator *sim) {
  close(sim->life);
  waitpid(sim->pid, NULL, 0);
}

static uint64_t cpu_ns(const simulator *sim) {
  clockid_t clock;
  struct timespec used;
  if (clock_getcpuclockid(sim->pid, &clock) || clock_gettime(clock, &used)) die("CPU clock");
  return (uint64_t)used.tv_sec * SECOND_NS + (uint64_t)used.tv_nsec;
}

static long rss_kb(const simulator *sim) {
  char path[64];
  long pages = 0;
  snprintf(path, sizeof path, "/proc/%d/statm", (int)sim->pid);
  FILE *file = fopen(path, "r");
  if (!file || fscanf(file, "%*s %ld", &pages) != 1) die(path);
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* ---- A connection ---- */

static size_t make_request(char *text, size_t room, unsigned n, const char *more) {
  char body[512];
  int bytes = snprintf(body, sizeof body,
                       "{\"model\":\"m\"%s,\"messages\":[{\"role\":\"user\",\"content\":"
                       "\"Classify the review number %u: the battery lasts, the fans are quiet, "
                       "the price is too high.\"}]}",
                       more, n);
  int all = snprintf(text, room,
                     "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n"
                     "Authorization: Bearer sk-bench\r\nContent-Type: application/json\r\n"
                     "Content-Length: %d\r\n\r\n%s",
                     bytes, body);
  return (size_t)all;
}

static void dial(peer *p, const simulator *sim, int poller) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(sim->port)};
  const int on = 1;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  memset(p, 0, sizeof *p);
  p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (p->fd < 0 || connect(p->fd, (const struct sockaddr *)&to, sizeof to)) die("connect");
  setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
  epoll_ctl(poller, EPOLL_CTL_ADD, p->fd, &event);
}

static void ask(peer *p, unsigned n, const char *more) {
  char text[2048];
  size_t bytes = make_request(text, sizeof text, n, more);
  p->sent_ns = now_ns();
  if (send(p->fd, text, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) die("send");
}

static void receive(peer *p) {
  ssize_t got = recv(p->fd, p->tail + p->bytes, sizeof p->tail - 1 - p->bytes, 0);
  if (got <= 0) die("recv");
  p->bytes += (size_t)got;
  p->tail[p->bytes] = 0;
}

/* ---- Replies ---- */

/* The whole reply's bytes, or 0. */
static size_t reply_bytes(const peer *p) {
  const char *end = strstr(p->tail, "\r\n\r\n");
  if (!end) return 0;
  const char *length = strcasestr(p->tail, "\r\ncontent-length: ");
  if (!length || length > end || strncmp(p->tail, "HTTP/1.1 200 ", 13) != 0) die("not a reply");
  size_t bytes = (size_t)(end - p->tail) + 4 + strtoul(length + 18, NULL, 10);
  return bytes <= p->bytes ? bytes : 0;
}

static void bench_replies(unsigned seconds) {
  const char *const options[] = {NULL};
  simulator sim = start(options);
  int poller = epoll_create1(EPOLL_CLOEXEC);
  peer *peers = calloc(CONNECTIONS, sizeof *peers);
  struct epoll_event events[CONNECTIONS];
  unsigned sent = 0;
  uint64_t replies = 0, bytes = 0;
  if (!peers) die("memory");
  for (unsigned i = 0; i < CONNECTIONS; i++) dial(&peers[i], &sim, poller);
  for (unsigned i = 0; i < CONNECTIONS; i++) ask(&peers[i], sent++, "");
  uint64_t begin = now_ns(), cpu = cpu_ns(&sim), end = begin + seconds * SECOND_NS;
  long before = rss_kb(&sim);
  while (now_ns() < end) {
    int count = epoll_wait(poller, events, CONNECTIONS, 1000);
    for (int i = 0; i < count; i++) {
      peer *p = events[i].data.ptr;
      receive(p);
      size_t whole = reply_bytes(p);
      if (!whole) continue;
      p->bytes = 0;
      replies++;
      bytes += whole;
      ask(p, sent++, "");
    }
  }
  double took = (double)(now_ns() - begin) / 1e9, used = (double)(cpu_ns(&sim) - cpu) / 1e3;
  printf(
      "{\"bench\":\"replies\",\"connections\":%u,\"replies_per_s\":%.0f,\"cpu_us\":%.2f,"
      "\"core_share\":%.2f,\"reply_bytes\":%.0f,\"rss_kb_before\":%ld,\"rss_kb_after\":%ld}\n",
      CONNECTIONS, (double)replies / took, used / (double)replies, used / 1e6 / took,
      (double)bytes / (double)replies, before, rss_kb(&sim));
  for (unsigned i = 0; i < CONNECTIONS; i++) close(peers[i].fd);
  free(peers);
  close(poller);
  stop(&sim);
}

/* ---- Streams ---- */

typedef struct tally {
  uint64_t *late_us;
  size_t count, room;
  unsigned open, open_max, over;
  uint64_t latency_ns, itl_ns;
} tally;

static void note_token(tally *sum, peer *p, uint64_t now) {
  uint64_t due = p->sent_ns + sum->latency_ns + p->tokens++ * sum->itl_ns;
  if (p->tokens == 1 && ++sum->open > sum->open_max) sum->open_max = sum->open;
  if (sum->count < sum->room) sum->late_us[sum->count++] = now > due ? (now - due) / 1000 : 0;
}

/* Takes whole lines out of the tail; true: the stream is over. */
static bool read_lines(tally *sum, peer *p, uint64_t now) {
  char *at = p->tail, *stop;
  bool is_over = false;
  while ((stop = memchr(at, '\n', p->bytes - (size_t)(at - p->tail))) != NULL) {
    *stop = 0;
    if (strncmp(at, "data: {", 7) == 0 && strstr(at, "\"delta\":{\"content\":\"") != NULL)
      note_token(sum, p, now);
    is_over |= strncmp(at, "data: [DONE]", 12) == 0;
    at = stop + 1;
  }
  p->bytes -= (size_t)(at - p->tail);
  memmove(p->tail, at, p->bytes);
  return is_over;
}

static void read_streams(tally *sum, int poller, int wait_ms) {
  struct epoll_event events[256];
  int count = epoll_wait(poller, events, 256, wait_ms);
  if (count < 0 || (count == 0 && wait_ms > 1)) die("a stream stands still");
  for (int i = 0; i < count; i++) {
    peer *p = events[i].data.ptr;
    receive(p);
    if (!read_lines(sum, p, now_ns())) continue;
    sum->over++;
    sum->open--;
    close(p->fd);
  }
}

/* The streams begin one after the other within the time to the first token, so that their tokens do
 * not all fall due at the same moment; then all are open at once. */
static void run_round(tally *sum, const simulator *sim, peer *peers, unsigned streams,
                      unsigned round, const char *more) {
  int poller = epoll_create1(EPOLL_CLOEXEC);
  for (unsigned i = 0; i < streams; i++) dial(&peers[i], sim, poller);
  sum->open = sum->over = 0;
  uint64_t begin = now_ns();
  for (unsigned asked = 0; sum->over < streams;) {
    uint64_t due = (uint64_t)((double)(now_ns() - begin) / (double)sum->latency_ns * streams);
    for (; asked < streams && asked <= due; asked++)
      ask(&peers[asked], round * streams + asked, more);
    read_streams(sum, poller, asked < streams ? 1 : 60000);
  }
  close(poller);
}

static int by_size(const void *a, const void *b) {
  const uint64_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

/* Rounds of `streams` streams of `tokens` tokens each. */
static void bench_streams(const char *name, unsigned streams, unsigned rounds, unsigned tokens,
                          unsigned itl_ms, double scale) {
  char itl[32], scale_text[32], words[32], more[64];
  const char *const options[] = {"latency",  "fixed:1000", "itl", itl, "time-scale",
                                 scale_text, "answer",     words, NULL};
  snprintf(itl, sizeof itl, "fixed:%u", itl_ms);
  snprintf(scale_text, sizeof scale_text, "%g", scale);
  snprintf(words, sizeof words, "lorem:16000:0");
  snprintf(more, sizeof more, ",\"stream\":true,\"max_tokens\":%u", tokens);
  simulator sim = start(options);
  peer *peers = calloc(streams, sizeof *peers);
  tally sum = {.room = (size_t)streams * tokens * rounds};
  sum.late_us = malloc(sum.room * sizeof *sum.late_us);
  sum.latency_ns = (uint64_t)(1000 * scale * (double)MS_NS);
  sum.itl_ns = (uint64_t)(itl_ms * scale * (double)MS_NS);
  if (!peers || !sum.late_us) die("memory");
  long before = rss_kb(&sim), first = 0;
  uint64_t begin = now_ns(), cpu = cpu_ns(&sim);
  for (unsigned i = 0; i < rounds; i++) {
    run_round(&sum, &sim, peers, streams, i, more);
    if (i == 0) first = rss_kb(&sim);
  }
  double took = (double)(now_ns() - begin) / 1e9, used = (double)(cpu_ns(&sim) - cpu) / 1e9;
  if (sum.count != sum.room) die("tokens are missing");
  qsort(sum.late_us, sum.count, sizeof *sum.late_us, by_size);
  printf(
      "{\"bench\":\"%s\",\"streams\":%u,\"rounds\":%u,\"open_at_once\":%u,\"tokens\":%zu,"
      "\"seconds\":%.1f,\"tokens_per_s\":%.0f,\"core_share\":%.2f,\"late_ms_p50\":%.2f,"
      "\"late_ms_p99\":%.2f,\"late_ms_max\":%.2f,\"rss_kb_before\":%ld,"
      "\"rss_kb_first_round\":%ld,\"rss_kb_after\":%ld}\n",
      name, streams, rounds, sum.open_max, sum.count, took, (double)sum.count / took, used / took,
      (double)sum.late_us[sum.count / 2] / 1e3, (double)sum.late_us[sum.count / 100 * 99] / 1e3,
      (double)sum.late_us[sum.count - 1] / 1e3, before, first, rss_kb(&sim));
  fflush(stdout);
  free(sum.late_us);
  free(peers);
  stop(&sim);
}

int main(int argc, char **argv) {
  unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5;
  unsigned streams = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 2000;
  unsigned rounds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 10;
  signal(SIGPIPE, SIG_IGN);
  sheaf_sim_raise_descriptors();
  pin_to(0);
  bench_replies(seconds);
  fflush(stdout);
  bench_streams("streams", streams, 1, 60, 100, 1);
  /* Each round is a minute of streams with a token every half second, in a tenth of the time. */
  bench_streams("minutes", streams, rounds, 120, 500, 0.1);
  return 0;
}
