/* curl_int.h: what the files of the libcurl transport share.
 *
 *   curl_transport.c  life, options, the slots start and cancel, poll
 *   curl_transfer.c   one exchange on one easy handle: set-up, callbacks, deadlines
 *   curl_route.c      what exchanges of one same_key share: URL, headers, idle easy handles; the security rules
 *   curl_secret.c     credentials, wiping, redaction
 *   curl_watch.c      epoll, sockets and timers of all shards
 *   curl_outcome.c    how a transfer ended, and the sentence about it
 *
 * Ownership: sheaf_curl owns shards and routes, a route owns its transfers, a transfer owns its easy handle.
 * A transfer is in exactly one place: idle on its route, active (in a shard and in the hash), or ended (waiting for
 * the next poll to report it). */
#ifndef SHEAF_CURL_INT_H
#define SHEAF_CURL_INT_H

#include <sheaf/curl.h>

#include <curl/curl.h>

#define SHEAF__SHARDS_MAX 64u
#define SHEAF__SHARDS_AUTO_MAX 32u
#define SHEAF__SHARD_TRANSFERS 16u /* in flight per shard before the next one is opened */
#define SHEAF__SHARD_STREAMS 64u   /* the same for HTTP/2, where a shard needs but one connection */
#define SHEAF__LARGE_BODY 524288u  /* libcurl adds Expect to bodies of over 1 MiB */
#define SHEAF__ROUTES_MAX 32u      /* routes kept for reuse */
#define SHEAF__HEAD_BYTES_MAX 65536u /* of a reply's header lines */
#define SHEAF__HEAD_LINES_MAX 200u
#define SHEAF__RATIO_FREE_BYTES 1048576u /* decompressed bytes before max_ratio counts */
#define SHEAF__MESSAGE_BYTES 640u
#define SHEAF__NS_PER_MS UINT64_C(1000000)
#define SHEAF__TEXTS 4u /* options that are text */

typedef struct sheaf__shard {
  CURLM *multi;
  sheaf_curl *curl;
  uint64_t due_ns; /* when libcurl wants to be called; 0: now; SHEAF_NEVER: not */
  uint32_t in_flight;
  uint64_t reuses; /* how often a transfer was about to use a connection that another had made */
  uint32_t peak;   /* most ever in flight: as many connections may be open */
  bool is_dirty;   /* acted on since its messages were read */
} sheaf__shard;

/* scheme, host and port as libcurl's own parser reads them. */
typedef struct sheaf__origin {
  char *scheme;
  char *host;
  char *port;
} sheaf__origin;

typedef struct sheaf__secret {
  struct sheaf__secret *next;
  uint32_t credential_id;
  sheaf__origin origin;
  char *text;
  size_t bytes;
} sheaf__secret;

struct sheaf__transfer;

typedef struct sheaf__route {
  struct sheaf__route *newer;
  struct sheaf__route *older;
  uint64_t same_key;
  uint64_t credentials_version; /* of sheaf_curl when the header list was made */
  char *text;                   /* what the slices below point into */
  sheaf_slice method;
  sheaf_slice url_text;
  sheaf_header *headers;
  uint32_t header_count;
  uint32_t active_count;
  CURLU *url;
  sheaf__origin origin;
  bool is_loopback;
  bool may_be_http2;
  bool has_body;             /* by its method */
  uint32_t http_major;       /* of the last reply; 0: none yet */
  struct curl_slist *list;   /* with secrets; wiped on free */
  struct curl_slist large;   /* without Expect, then list */
  struct curl_slist chunked; /* Transfer-Encoding: chunked, then large */
  struct sheaf__transfer *idle;
} sheaf__route;

/* Why a transfer is being ended by us and not by libcurl. */
enum {
  SHEAF__STOP_NONE = 0,
  SHEAF__STOP_CANCELLED,
  SHEAF__STOP_REFUSED,
  SHEAF__STOP_CONNECT_TIMEOUT,
  SHEAF__STOP_FIRST_BYTE_TIMEOUT,
  SHEAF__STOP_IDLE_TIMEOUT,
  SHEAF__STOP_TOTAL_TIMEOUT,
  SHEAF__STOP_TOO_LARGE,
  SHEAF__STOP_RATIO,
  SHEAF__STOP_HEAD_TOO_LARGE,
  SHEAF__STOP_REPLAY, /* libcurl was about to send the request a second time */
  SHEAF__STOP_BODY,   /* the body could not be read */
  SHEAF__STOP_ENGINE  /* the engine could not take the reply */
};

typedef struct sheaf__transfer {
  sheaf_curl *curl;
  sheaf__route *route;
  sheaf__shard *shard;
  CURL *easy;
  const sheaf_exchange *exchange;
  uint64_t id;
  struct sheaf__transfer *next; /* idle: of the route; ended: the queue */
  struct sheaf__transfer *active_next;
  struct sheaf__transfer *active_prev;
  struct sheaf__transfer *hash_next;
  const char *refusal; /* static */
  uint64_t started_ns;
  uint64_t deadline_ns;
  uint64_t connect_ns; /* from when connect_timeout counts; SHEAF_NEVER: not yet */
  uint64_t sent_ns;    /* the connection was ready */
  uint64_t last_ns;    /* a byte of the reply came */
  uint64_t body_bytes; /* SHEAF_NEVER: not known */
  uint64_t body_offset;
  uint64_t received;         /* bytes of the reply's body, decompressed */
  long request_bytes_before; /* libcurl's count when the connection was ready: a proxy's CONNECT */
  uint32_t stop;             /* SHEAF__STOP_* */
  uint32_t tries;            /* how often libcurl was about to send the request */
  uint32_t http_status;
  uint32_t head_lines;
  size_t head_bytes;
  size_t head_capacity;
  char *head;
  uint64_t reuses_before;  /* of the shard, when the connection was ready */
  bool is_fresh;           /* its connection was made for it */
  bool is_in_head;         /* a status line came, the empty line not yet */
  bool is_head_done;       /* reported */
  bool is_paused;          /* the engine was full: the bytes wait in libcurl for the next poll */
  bool has_byte;           /* any byte of a reply came */
  struct curl_slist *list; /* the one that is set: one of the route's */
  bool is_waiting_set;     /* CURLOPT_PIPEWAIT */
  char error[CURL_ERROR_SIZE];
} sheaf__transfer;

/* One file descriptor of libcurl's. */
typedef struct sheaf__watched {
  sheaf__shard *shard;
  uint32_t wanted;     /* epoll events libcurl asked for; 0: none */
  uint32_t registered; /* what the kernel was told; 0: not in the epoll */
  bool is_ours;        /* opened by us, so that its closing is told to us too */
} sheaf__watched;

struct sheaf_curl {
  sheaf_transport transport;
  sheaf_engine *engine;
  sheaf_curl_options options; /* its strings are in texts */
  char *texts[SHEAF__TEXTS];
  bool has_proxy; /* one may be used */

  int epoll_fd;
  int wake_fd;
  int extra_fd;
  bool no_pwait2;
  sheaf__watched *watched;
  size_t watched_count;

  sheaf__shard shards[SHEAF__SHARDS_MAX];
  uint32_t shard_count; /* open */
  uint32_t shard_limit;
  uint32_t in_flight;
  uint32_t paused_count; /* of those in flight */

  sheaf__route *newest;
  sheaf__route *oldest;
  uint32_t route_count;

  sheaf__transfer *active;
  sheaf__transfer **buckets; /* active by id */
  size_t bucket_count;
  sheaf__transfer *ended_first;
  sheaf__transfer *ended_last;

  sheaf__secret *secrets;
  uint64_t credentials_version;

  uint64_t now_ns;   /* read twice a poll */
  uint64_t check_ns; /* no deadline is due before */
  uint64_t phase_ns; /* the shortest of the limits for connecting, first byte, idle */
  bool has_failed;   /* libcurl cannot go on: poll answers SHEAF_E_IO */
  bool is_reporting; /* a slot called from inside a report would re-enter */
  bool has_reported; /* in this poll */
  char message[SHEAF__MESSAGE_BYTES];
};

/* curl_secret.c */
void sheaf__wipe(void *memory, size_t bytes);
void sheaf__wipe_list(struct curl_slist *list); /* wipes and frees */
/* libcurl's parser; no user part. SHEAF_OK, SHEAF_E_FIELD, SHEAF_E_NOMEM. url may be NULL; else the caller frees it. */
int32_t sheaf__origin_parse(const char *text, sheaf__origin *origin, CURLU **url);
void sheaf__origin_deinit(sheaf__origin *origin);
bool sheaf__origin_equal(const sheaf__origin *a, const sheaf__origin *b);
const sheaf__secret *sheaf__secret_find(const sheaf_curl *curl, uint32_t credential_id);
void sheaf__secrets_free(sheaf_curl *curl);

/* curl_route.c */
/* The route of an exchange: SHEAF_OK; SHEAF_E_FIELD: it may not be sent, *refusal says why; SHEAF_E_NOMEM. */
int32_t sheaf__route_of(sheaf_curl *curl, const sheaf_exchange *exchange, sheaf__route **route,
                        const char **refusal);
/* Whether its exchanges share connections, as far as known. */
bool sheaf__route_is_multiplexed(const sheaf__route *route);
/* Frees the idle routes made with credentials that have changed since. */
void sheaf__routes_trim(sheaf_curl *curl);
void sheaf__routes_free(sheaf_curl *curl);

/* curl_transfer.c */
sheaf__transfer *sheaf__transfer_take(sheaf_curl *curl,
                                      sheaf__route *route); /* idle or new; NULL: no memory */
void sheaf__transfer_free(sheaf__transfer *transfer);
CURLcode sheaf__transfer_prepare(sheaf__transfer *transfer, const sheaf_exchange *exchange);
/* Whether any byte of the request may have left. */
bool sheaf__transfer_has_left(const sheaf__transfer *transfer);
/* The next instant at which the transfer is late, and what for. */
uint64_t sheaf__transfer_deadline(const sheaf__transfer *transfer, uint32_t *stop);

/* curl_outcome.c */
void sheaf__outcome(sheaf__transfer *transfer, CURLcode result, sheaf_exchange_end *end);

/* curl_watch.c */
int32_t sheaf__watch_open(sheaf_curl *curl);
void sheaf__watch_close(sheaf_curl *curl);
int sheaf__watch_on_socket(CURL *easy, curl_socket_t fd, int what, void *shard, void *unused);
int sheaf__watch_on_timer(CURLM *multi, long ms, void *shard);
curl_socket_t sheaf__watch_connect(sheaf_curl *curl, const struct curl_sockaddr *address);
int sheaf__watch_on_close(void *curl, curl_socket_t fd);
int32_t sheaf__watch_extra(sheaf_curl *curl, int fd);
/* Waits, then lets libcurl move what is ready. SHEAF_OK, SHEAF_E_IO. */
int32_t sheaf__watch_wait(sheaf_curl *curl, uint64_t wait_ns);
/* Lets libcurl run every timer that is due. */
void sheaf__watch_run_due(sheaf_curl *curl);

#endif
