/* sim_ledger.c: what was asked, answered and billed, in sums, and which bodies were met before. The
 * exchanges one by one are in sim_entries.c. One mutex; every call is short.
 *
 * Bodies are known by a 64-bit hash in an open table that doubles; at its ceiling new bodies are no
 * longer noted (their count stays 0). */
#define _POSIX_C_SOURCE 200809L
#include "sim_entries.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BODIES_MAX (1u << 22) /* 64 MiB of table */
#define PLACES_MIN 1024u
#define STATUS_MAX 600u
#define ROUTES_MAX 192u

typedef struct sim_body {
  uint64_t hash; /* 0: empty place */
  uint32_t admitted;
  uint16_t answered; /* whole 200s */
  uint16_t billed;
} sim_body;

/* What a reset forgets. */
typedef struct sim_counts {
  uint64_t received[ROUTES_MAX];
  uint64_t received_unknown;
  uint64_t answered[STATUS_MAX];
  uint64_t faults[SHEAF_SIM_FAULT_COUNT];
  uint64_t over_requests, over_tokens, over_input, over_output, over_concurrency, over_queue;
  uint64_t clients_left;
  uint64_t billed_requests, billed_input_tokens, billed_output_tokens;
  uint64_t batch_requests, batch_input_tokens, batch_output_tokens; /* of those */
  uint64_t admitted_again, answered_again, billed_again;
  uint32_t in_flight_max, waiting_max;
} sim_counts;

struct sim_ledger {
  pthread_mutex_t lock;
  sim_counts counts;
  uint32_t in_flight, waiting;
  sim_entries *entries;
  sim_body *bodies;
  uint32_t body_count;
  uint32_t places; /* a power of two */
};

sim_ledger *sheaf__sim_ledger_new(uint32_t entries_max) {
  sim_ledger *ledger = calloc(1, sizeof *ledger);
  if (!ledger) return NULL;
  ledger->places = PLACES_MIN;
  ledger->bodies = calloc(ledger->places, sizeof *ledger->bodies);
  ledger->entries = sheaf__sim_entries_new(entries_max);
  if (!ledger->bodies || !ledger->entries || pthread_mutex_init(&ledger->lock, NULL) != 0) {
    sheaf__sim_entries_free(ledger->entries);
    free(ledger->bodies);
    free(ledger);
    return NULL;
  }
  return ledger;
}

void sheaf__sim_ledger_free(sim_ledger *ledger) {
  if (!ledger) return;
  pthread_mutex_destroy(&ledger->lock);
  sheaf__sim_entries_free(ledger->entries);
  free(ledger->bodies);
  free(ledger);
}

void sheaf__sim_ledger_reset(sim_ledger *ledger) {
  pthread_mutex_lock(&ledger->lock);
  memset(&ledger->counts, 0, sizeof ledger->counts);
  ledger->counts.in_flight_max = ledger->in_flight;
  ledger->counts.waiting_max = ledger->waiting;
  memset(ledger->bodies, 0, ledger->places * sizeof *ledger->bodies);
  ledger->body_count = 0;
  sheaf__sim_entries_reset(ledger->entries);
  pthread_mutex_unlock(&ledger->lock);
}

/* ---- Bodies ---- */

static sim_body *place_of(sim_body *bodies, uint32_t places, uint64_t hash) {
  uint32_t at = (uint32_t)hash & (places - 1);
  while (bodies[at].hash && bodies[at].hash != hash) at = (at + 1) & (places - 1);
  return &bodies[at];
}

static void grow(sim_ledger *ledger) {
  uint32_t places = ledger->places * 2;
  sim_body *bodies = calloc(places, sizeof *bodies);
  if (!bodies) return; /* the table stays; below, a full one takes no more */
  for (uint32_t i = 0; i < ledger->places; i++)
    if (ledger->bodies[i].hash)
      *place_of(bodies, places, ledger->bodies[i].hash) = ledger->bodies[i];
  free(ledger->bodies);
  ledger->bodies = bodies;
  ledger->places = places;
}

/* The body's entry, made if there is room; NULL if there is none. */
static sim_body *note(sim_ledger *ledger, uint64_t hash) {
  if (hash == 0) hash = 1;
  sim_body *found = place_of(ledger->bodies, ledger->places, hash);
  if (found->hash) return found;
  if (ledger->body_count >= ledger->places / 2 && ledger->places < BODIES_MAX) {
    grow(ledger);
    found = place_of(ledger->bodies, ledger->places, hash);
  }
  if (ledger->body_count >= ledger->places / 4 * 3) return NULL;
  found->hash = hash;
  ledger->body_count++;
  return found;
}

uint32_t sheaf__sim_ledger_seen(sim_ledger *ledger, uint64_t body_hash) {
  pthread_mutex_lock(&ledger->lock);
  uint32_t seen = place_of(ledger->bodies, ledger->places, body_hash ? body_hash : 1)->admitted;
  pthread_mutex_unlock(&ledger->lock);
  return seen;
}

void sheaf__sim_ledger_admit(sim_ledger *ledger, uint64_t body_hash) {
  pthread_mutex_lock(&ledger->lock);
  sim_body *entry = note(ledger, body_hash);
  if (entry && entry->admitted++) ledger->counts.admitted_again++;
  pthread_mutex_unlock(&ledger->lock);
}

bool sheaf__sim_ledger_owes(sim_ledger *ledger, uint64_t body_hash, uint32_t fault,
                            uint32_t times) {
  pthread_mutex_lock(&ledger->lock);
  /* Its own entry: the body's key mixed with the kind. */
  sim_body *entry = note(ledger, sheaf__sim_mix(body_hash, 0xfa017u + fault));
  bool is_owed = entry && entry->admitted < times;
  if (is_owed) entry->admitted++;
  pthread_mutex_unlock(&ledger->lock);
  return is_owed;
}

uint32_t sheaf__sim_ledger_again(sim_ledger *ledger, uint64_t hash) {
  pthread_mutex_lock(&ledger->lock);
  sim_body *entry = note(ledger, sheaf__sim_mix(hash, 0xa6a17u));
  uint32_t before = entry ? entry->admitted++ : 0;
  pthread_mutex_unlock(&ledger->lock);
  return before;
}

/* ---- The way of an exchange ---- */

uint32_t sheaf__sim_ledger_begin(sim_ledger *ledger) {
  pthread_mutex_lock(&ledger->lock);
  uint32_t in_flight = ++ledger->in_flight;
  if (in_flight > ledger->counts.in_flight_max) ledger->counts.in_flight_max = in_flight;
  pthread_mutex_unlock(&ledger->lock);
  return in_flight;
}

void sheaf__sim_ledger_received(sim_ledger *ledger, sim_call *call, uint64_t now_ns) {
  size_t route = call->route ? (size_t)(call->route - sheaf__sim_routes) : ROUTES_MAX;
  pthread_mutex_lock(&ledger->lock);
  if (route < ROUTES_MAX)
    ledger->counts.received[route]++;
  else
    ledger->counts.received_unknown++;
  call->sequence = sheaf__sim_entries_open(ledger->entries, call, now_ns);
  pthread_mutex_unlock(&ledger->lock);
}

void sheaf__sim_ledger_limited(sim_ledger *ledger, uint32_t why) {
  sim_counts *counts = &ledger->counts;
  pthread_mutex_lock(&ledger->lock);
  if (why == SIM_OVER_REQUESTS)
    counts->over_requests++;
  else if (why == SIM_OVER_INPUT)
    counts->over_input++;
  else if (why == SIM_OVER_OUTPUT)
    counts->over_output++;
  else
    counts->over_tokens++;
  pthread_mutex_unlock(&ledger->lock);
}

void sheaf__sim_ledger_busy(sim_ledger *ledger) {
  pthread_mutex_lock(&ledger->lock);
  ledger->counts.over_concurrency++;
  pthread_mutex_unlock(&ledger->lock);
}

void sheaf__sim_ledger_queue(sim_ledger *ledger, uint32_t waiting) {
  pthread_mutex_lock(&ledger->lock);
  ledger->waiting = waiting;
  if (waiting > ledger->counts.waiting_max) ledger->counts.waiting_max = waiting;
  pthread_mutex_unlock(&ledger->lock);
}

void sheaf__sim_ledger_queue_full(sim_ledger *ledger) {
  pthread_mutex_lock(&ledger->lock);
  ledger->counts.over_queue++;
  pthread_mutex_unlock(&ledger->lock);
}

static void bill(sim_ledger *ledger, const sim_call *call, bool is_whole) {
  sim_counts *counts = &ledger->counts;
  counts->billed_requests++;
  counts->billed_input_tokens += call->input_tokens;
  counts->billed_output_tokens += call->output_tokens;
  if (call->batch) {
    counts->batch_requests++;
    counts->batch_input_tokens += call->input_tokens;
    counts->batch_output_tokens += call->output_tokens;
  }
  sim_body *entry = note(ledger, call->body_hash);
  if (!entry) return;
  if (entry->billed) counts->billed_again++;
  if (entry->billed < UINT16_MAX) entry->billed++;
  if (!is_whole) return;
  if (entry->answered) counts->answered_again++;
  if (entry->answered < UINT16_MAX) entry->answered++;
}

/* Bytes that are no HTTP have no status. */
static uint32_t status_shown(const sim_call *call) {
  bool is_hidden = call->fault == SHEAF_SIM_FAULT_GARBAGE_HEAD || call->status >= STATUS_MAX;
  return is_hidden ? 0 : call->status;
}

void sheaf__sim_ledger_decided(sim_ledger *ledger, const sim_call *call, bool is_billed,
                               bool is_whole) {
  uint32_t status = status_shown(call);
  pthread_mutex_lock(&ledger->lock);
  if (status) ledger->counts.answered[status]++;
  if (call->fault < SHEAF_SIM_FAULT_COUNT) ledger->counts.faults[call->fault]++;
  if (is_billed) bill(ledger, call, is_whole);
  sheaf__sim_entries_decide(ledger->entries, call, status, is_billed, is_whole);
  pthread_mutex_unlock(&ledger->lock);
}

void sheaf__sim_ledger_row(sim_ledger *ledger, sim_call *call, bool is_billed, uint64_t now_ns) {
  pthread_mutex_lock(&ledger->lock);
  call->sequence = sheaf__sim_entries_open(ledger->entries, call, now_ns);
  if (is_billed) bill(ledger, call, true);
  sheaf__sim_entries_decide(ledger->entries, call, call->status, is_billed, is_billed);
  sheaf__sim_entries_end(ledger->entries, call, false, now_ns);
  pthread_mutex_unlock(&ledger->lock);
}

void sheaf__sim_ledger_ended(sim_ledger *ledger, const sim_call *call, bool is_left,
                             uint64_t now_ns) {
  pthread_mutex_lock(&ledger->lock);
  ledger->in_flight--;
  if (is_left) ledger->counts.clients_left++;
  sheaf__sim_entries_end(ledger->entries, call, is_left, now_ns);
  pthread_mutex_unlock(&ledger->lock);
}

/* ---- The ledger as JSON ---- */

/* Of all routes with the path of this one; 0 where one before it has the same. */
static uint64_t received_at(const sim_counts *counts, uint32_t route) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < sheaf__sim_route_count; i++) {
    if (strcmp(sheaf__sim_routes[i].path, sheaf__sim_routes[route].path) != 0) continue;
    if (i < route) return 0;
    sum += counts->received[i];
  }
  return sum;
}

static void write_counts(const sim_counts *counts, sheaf_buf *json) {
  uint64_t received = counts->received_unknown;
  for (uint32_t i = 0; i < sheaf__sim_route_count; i++) received += counts->received[i];
  sheaf__sim_write(json, "\"received\":%u,\"received_by_path\":{", received);
  const char *comma = "";
  for (uint32_t i = 0; i < sheaf__sim_route_count; i++) {
    uint64_t here = received_at(counts, i);
    if (!here) continue;
    sheaf__sim_write(json, "%s\"%s\":%u", comma, sheaf__sim_routes[i].path, here);
    comma = ",";
  }
  if (counts->received_unknown)
    sheaf__sim_write(json, "%s\"unknown\":%u", comma, counts->received_unknown);
  sheaf__sim_write(json, "},\"answered\":{");
  comma = "";
  for (uint32_t status = 0; status < STATUS_MAX; status++) {
    if (!counts->answered[status]) continue;
    sheaf__sim_write(json, "%s\"%u\":%u", comma, (uint64_t)status, counts->answered[status]);
    comma = ",";
  }
  sheaf__sim_write(json, "},\"faults\":{");
  for (uint32_t fault = 0; fault < SHEAF_SIM_FAULT_COUNT; fault++)
    sheaf__sim_write(json, "%s\"%s\":%u", fault ? "," : "", sheaf_sim_fault_name(fault),
                     counts->faults[fault]);
  sheaf__sim_write(json,
                   "},\"limited\":{\"requests\":%u,\"tokens\":%u,\"input_tokens\":%u,"
                   "\"output_tokens\":%u,\"concurrency\":%u,\"queue\":%u}",
                   counts->over_requests, counts->over_tokens, counts->over_input,
                   counts->over_output, counts->over_concurrency, counts->over_queue);
}

void sheaf__sim_ledger_write_stats(sim_ledger *ledger, uint64_t seed, sheaf_buf *json) {
  const sim_counts *counts = &ledger->counts;
  pthread_mutex_lock(&ledger->lock);
  sheaf__sim_write(json, "{\"seed\":%u,", seed);
  write_counts(counts, json);
  sheaf__sim_write(json,
                   ",\"billed\":{\"requests\":%u,\"input_tokens\":%u,\"output_tokens\":%u},"
                   "\"billed_batch\":{\"requests\":%u,\"input_tokens\":%u,\"output_tokens\":%u}",
                   counts->billed_requests, counts->billed_input_tokens,
                   counts->billed_output_tokens, counts->batch_requests, counts->batch_input_tokens,
                   counts->batch_output_tokens);
  sheaf__sim_write(json, ",\"again\":{\"admitted\":%u,\"answered\":%u,\"billed\":%u}",
                   counts->admitted_again, counts->answered_again, counts->billed_again);
  sheaf__sim_write(json, ",\"clients_left\":%u,\"in_flight\":%u,\"in_flight_max\":%u",
                   counts->clients_left, (uint64_t)ledger->in_flight,
                   (uint64_t)counts->in_flight_max);
  sheaf__sim_write(json, ",\"waiting\":%u,\"waiting_max\":%u}", (uint64_t)ledger->waiting,
                   (uint64_t)counts->waiting_max);
  pthread_mutex_unlock(&ledger->lock);
}

void sheaf__sim_ledger_write_entries(sim_ledger *ledger, uint64_t after, uint64_t limit,
                                     sheaf_buf *json) {
  pthread_mutex_lock(&ledger->lock);
  sheaf__sim_entries_write(ledger->entries, after, limit, json);
  pthread_mutex_unlock(&ledger->lock);
}
