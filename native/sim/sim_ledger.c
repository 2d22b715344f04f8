/* sim_ledger.c: what was asked, answered and billed, and which bodies were met before. One mutex;
 * every call is short.
 *
 * Bodies are known by a 64-bit hash in an open table that doubles; at its ceiling new bodies are no
 * longer noted (their count stays 0). */
#define _POSIX_C_SOURCE 200809L
#include "sim_int.h"

#include <pthread.h>
#include <stdlib.h>

#define BODIES_MAX (1u << 22) /* 64 MiB of table */
#define STATUS_MAX 600u
#define ROUTES_MAX 32u

typedef struct sim_body {
  uint64_t hash; /* 0: empty place */
  uint32_t admitted;
  uint16_t answered; /* whole 200s */
  uint16_t billed;
} sim_body;

struct sim_ledger {
  pthread_mutex_t lock;
  uint64_t received[ROUTES_MAX];
  uint64_t received_unknown;
  uint64_t answered[STATUS_MAX];
  uint64_t faults[SHEAF_SIM_FAULT_COUNT];
  uint64_t over_requests, over_tokens, over_concurrency;
  uint64_t clients_left;
  uint64_t billed_requests, billed_input_tokens, billed_output_tokens;
  uint64_t admitted_again, answered_again, billed_again;
  uint32_t in_flight, in_flight_max;
  sim_body *bodies;
  uint32_t body_count;
  uint32_t places; /* a power of two */
};

sim_ledger *sheaf__sim_ledger_new(void) {
  sim_ledger *ledger = calloc(1, sizeof *ledger);
  if (!ledger) return NULL;
  ledger->places = 1024;
  ledger->bodies = calloc(ledger->places, sizeof *ledger->bodies);
  if (!ledger->bodies || pthread_mutex_init(&ledger->lock, NULL) != 0) {
    free(ledger->bodies);
    free(ledger);
    return NULL;
  }
  return ledger;
}

void sheaf__sim_ledger_free(sim_ledger *ledger) {
  if (!ledger) return;
  pthread_mutex_destroy(&ledger->lock);
  free(ledger->bodies);
  free(ledger);
}

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

void sheaf__sim_ledger_received(sim_ledger *ledger, const sim_route *route) {
  pthread_mutex_lock(&ledger->lock);
  if (route && (size_t)(route - sheaf__sim_routes) < ROUTES_MAX)
    ledger->received[route - sheaf__sim_routes]++;
  else
    ledger->received_unknown++;
  pthread_mutex_unlock(&ledger->lock);
}

void sheaf__sim_ledger_answered(sim_ledger *ledger, uint32_t status) {
  pthread_mutex_lock(&ledger->lock);
  if (status < STATUS_MAX) ledger->answered[status]++;
  pthread_mutex_unlock(&ledger->lock);
}

void sheaf__sim_ledger_fault(sim_ledger *ledger, uint32_t fault) {
  pthread_mutex_lock(&ledger->lock);
  ledger->faults[fault]++;
  pthread_mutex_unlock(&ledger->lock);
}

void sheaf__sim_ledger_limited(sim_ledger *ledger, uint32_t why) {
  pthread_mutex_lock(&ledger->lock);
  if (why == SIM_OVER_REQUESTS)
    ledger->over_requests++;
  else
    ledger->over_tokens++;
  pthread_mutex_unlock(&ledger->lock);
}

void sheaf__sim_ledger_busy(sim_ledger *ledger) {
  pthread_mutex_lock(&ledger->lock);
  ledger->over_concurrency++;
  pthread_mutex_unlock(&ledger->lock);
}

void sheaf__sim_ledger_left(sim_ledger *ledger) {
  pthread_mutex_lock(&ledger->lock);
  ledger->clients_left++;
  pthread_mutex_unlock(&ledger->lock);
}

uint32_t sheaf__sim_ledger_begin(sim_ledger *ledger) {
  pthread_mutex_lock(&ledger->lock);
  uint32_t in_flight = ++ledger->in_flight;
  if (in_flight > ledger->in_flight_max) ledger->in_flight_max = in_flight;
  pthread_mutex_unlock(&ledger->lock);
  return in_flight;
}

void sheaf__sim_ledger_end(sim_ledger *ledger) {
  pthread_mutex_lock(&ledger->lock);
  ledger->in_flight--;
  pthread_mutex_unlock(&ledger->lock);
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
  if (entry && entry->admitted++) ledger->admitted_again++;
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

void sheaf__sim_ledger_bill(sim_ledger *ledger, uint64_t body_hash, uint64_t input_tokens,
                            uint64_t output_tokens, bool is_whole) {
  pthread_mutex_lock(&ledger->lock);
  ledger->billed_requests++;
  ledger->billed_input_tokens += input_tokens;
  ledger->billed_output_tokens += output_tokens;
  sim_body *entry = note(ledger, body_hash);
  if (entry) {
    if (entry->billed) ledger->billed_again++;
    if (entry->billed < UINT16_MAX) entry->billed++;
    if (is_whole && entry->answered) ledger->answered_again++;
    if (is_whole && entry->answered < UINT16_MAX) entry->answered++;
  }
  pthread_mutex_unlock(&ledger->lock);
}

/* ---- The ledger as JSON ---- */

static void write_counts(const sim_ledger *ledger, sheaf_buf *json) {
  uint64_t received = ledger->received_unknown;
  for (uint32_t i = 0; i < sheaf__sim_route_count; i++) received += ledger->received[i];
  sheaf__sim_write(json, "\"received\":%u,\"received_by_path\":{", received);
  const char *comma = "";
  for (uint32_t i = 0; i < sheaf__sim_route_count; i++) {
    if (!ledger->received[i]) continue;
    sheaf__sim_write(json, "%s\"%s\":%u", comma, sheaf__sim_routes[i].path, ledger->received[i]);
    comma = ",";
  }
  if (ledger->received_unknown)
    sheaf__sim_write(json, "%s\"unknown\":%u", comma, ledger->received_unknown);
  sheaf__sim_write(json, "},\"answered\":{");
  comma = "";
  for (uint32_t status = 0; status < STATUS_MAX; status++) {
    if (!ledger->answered[status]) continue;
    sheaf__sim_write(json, "%s\"%u\":%u", comma, (uint64_t)status, ledger->answered[status]);
    comma = ",";
  }
  sheaf__sim_write(json, "},\"faults\":{");
  for (uint32_t fault = 0; fault < SHEAF_SIM_FAULT_COUNT; fault++)
    sheaf__sim_write(json, "%s\"%s\":%u", fault ? "," : "", sheaf_sim_fault_name(fault),
                     ledger->faults[fault]);
  sheaf__sim_write(json, "}");
}

void sheaf__sim_ledger_write(sim_ledger *ledger, uint64_t seed, sheaf_buf *json) {
  pthread_mutex_lock(&ledger->lock);
  sheaf__sim_write(json, "{\"seed\":%u,", seed);
  write_counts(ledger, json);
  sheaf__sim_write(json, ",\"limited\":{\"requests\":%u,\"tokens\":%u,\"concurrency\":%u}",
                   ledger->over_requests, ledger->over_tokens, ledger->over_concurrency);
  sheaf__sim_write(json, ",\"billed\":{\"requests\":%u,\"input_tokens\":%u,\"output_tokens\":%u}",
                   ledger->billed_requests, ledger->billed_input_tokens,
                   ledger->billed_output_tokens);
  sheaf__sim_write(json, ",\"again\":{\"admitted\":%u,\"answered\":%u,\"billed\":%u}",
                   ledger->admitted_again, ledger->answered_again, ledger->billed_again);
  sheaf__sim_write(json, ",\"clients_left\":%u,\"in_flight\":%u,\"in_flight_max\":%u}",
                   ledger->clients_left, (uint64_t)ledger->in_flight,
                   (uint64_t)ledger->in_flight_max);
  pthread_mutex_unlock(&ledger->lock);
}
