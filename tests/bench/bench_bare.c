/* bench_bare: the native limit: the least a C program does to keep C requests in flight over libcurl's multi interface, reading nothing
 * of what it receives.
 *
 *   bench_bare URL REQUESTS IN_FLIGHT     prints one JSON line: wall and CPU seconds, peak memory */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

static CURLM *multi;
static struct curl_slist *headers;
static long total, begun, done, bad, timeout_ms = -1;
static int poller;
static const char *url;

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t swallow(char *data, size_t one, size_t bytes, void *sum) {
  (void)data, (void)one;
  *(size_t *)sum += bytes;
  return bytes;
}

typedef struct slot {
  CURL *easy;
  size_t received;
  char body[1024];
} slot;

static void start(slot *s) {
  if (begun == total) return;
  snprintf(s->body, sizeof s->body,
           "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"Review "
           "%07ld: The laptop arrived two days early and the battery easily "
           "lasts a full working day, even with the screen at its brightest. The keyboard is "
           "quiet, the hinge feels solid and the fans are rarely heard. "
           "I only wish that it had cost a little less, because the charger and the sleeve have to "
           "be bought on their own. Question: is this review "
           "positive, negative or mixed? Answer in one "
           "sentence.\"}],\"max_tokens\":64,\"temperature\":0}",
           begun++);
  s->received = 0;
  if (s->easy == NULL) {
    s->easy = curl_easy_init();
    curl_easy_setopt(s->easy, CURLOPT_URL, url);
    curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(s->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(s->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, &s->received);
    curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
  }
  curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, s->body);
  curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(s->body));
  curl_multi_add_handle(multi, s->easy);
}

static void collect(void) {
  int left;
  for (CURLMsg *m; (m = curl_multi_info_read(multi, &left)) != NULL;) {
    slot *s;
    long status = 0;
    CURL *easy = m->easy_handle;
    CURLcode result = m->data.result;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &s);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(multi, easy);
    bad += result != CURLE_OK || status != 200 || s->received == 0;
    done++;
    start(s);
  }
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *known) {
  (void)easy, (void)user;
  struct epoll_event event = {.data.fd = fd};
  if (what == CURL_POLL_REMOVE) {
    epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
    return 0;
  }
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  epoll_ctl(poller, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
  curl_multi_assign(multi, fd, &poller);
  return 0;
}

static int on_timer(CURLM *m, long ms, void *user) {
  (void)m, (void)user;
  timeout_ms = ms;
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: bench_bare URL REQUESTS IN_FLIGHT\n"), 2;
  url = argv[1];
  total = atol(argv[2]);
  const long in_flight = atol(argv[3]);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  headers = curl_slist_append(headers, "Content-Type: application/json");
  headers = curl_slist_append(headers, "Authorization: Bearer sk-bench");
  headers = curl_slist_append(headers, "Expect:");
  poller = epoll_create1(0);
  multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, in_flight);
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  slot *slots = calloc((size_t)in_flight, sizeof *slots);
  if (slots == NULL) return 1;
  double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  for (long i = 0; i < in_flight; i++) start(&slots[i]);
  struct epoll_event events[256];
  for (int running; done < total;) {
    while (timeout_ms == 0) {
      timeout_ms = -1;
      curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
      collect();
    }
    if (done >= total) break;
    int n = epoll_wait(poller, events, 256, (int)timeout_ms);
    if (n == 0) timeout_ms = 0;
    for (int i = 0; i < n; i++) {
      int flags = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                  (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                  (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
      curl_multi_socket_action(multi, events[i].data.fd, flags, &running);
      collect();
    }
  }
  wall = seconds(CLOCK_MONOTONIC) - wall;
  cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"n\":%ld,\"bad\":%ld,\"wall_s\":%.4f,\"cpu_s\":%.4f,\"peak_kb\":%ld}\n", done, bad,
         wall, cpu, usage.ru_maxrss);
  return bad != 0;
}
