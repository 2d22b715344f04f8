/* curl_secret.c: keys and where they may go.
 *
 * A secret is bound to one origin when it is set. It is copied into header lists by curl_route.c, nowhere else;
 * every copy made here or there is wiped before its memory is given back.
 *
 * Outline: wiping, origins, credentials, redaction. */
#define _DEFAULT_SOURCE
#include "curl_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- Wiping ---- */

void sheaf__wipe(void *memory, size_t bytes) {
  if (memory != NULL) explicit_bzero(memory, bytes);
}

void sheaf__wipe_list(struct curl_slist *list) {
  for (struct curl_slist *line = list; line != NULL; line = line->next) {
    sheaf__wipe(line->data, strlen(line->data));
  }
  curl_slist_free_all(list);
}

static void free_secret(sheaf__secret *secret) {
  sheaf__wipe(secret->text, secret->bytes);
  free(secret->text);
  sheaf__origin_deinit(&secret->origin);
  free(secret);
}

/* ---- Origins ---- */

/* libcurl's allocations are freed by curl_free; a copy of our own keeps that out of the other files. */
static char *url_part(CURLU *url, CURLUPart part, unsigned int flags) {
  char *text = NULL;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK || text == NULL) return NULL;
  char *copy = strdup(text);
  curl_free(text);
  return copy;
}

int32_t sheaf__origin_parse(const char *text, sheaf__origin *origin, CURLU **url) {
  CURLU *parsed = curl_url();
  if (parsed == NULL) return SHEAF_E_NOMEM;
  CURLUcode code = curl_url_set(parsed, CURLUPART_URL, text, CURLU_DISALLOW_USER);
  sheaf__origin found = {NULL, NULL, NULL};
  if (code == CURLUE_OK) {
    found.scheme = url_part(parsed, CURLUPART_SCHEME, 0);
    found.host = url_part(parsed, CURLUPART_HOST, 0);
    found.port = url_part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  }
  bool is_whole = found.scheme != NULL && found.host != NULL && found.port != NULL;
  if (!is_whole || url == NULL) {
    curl_url_cleanup(parsed);
  } else {
    *url = parsed;
  }
  if (!is_whole) {
    sheaf__origin_deinit(&found);
    return code == CURLUE_OUT_OF_MEMORY ? SHEAF_E_NOMEM : SHEAF_E_FIELD;
  }
  *origin = found;
  return SHEAF_OK;
}

void sheaf__origin_deinit(sheaf__origin *origin) {
  free(origin->scheme);
  free(origin->host);
  free(origin->port);
  *origin = (sheaf__origin){NULL, NULL, NULL};
}

bool sheaf__origin_equal(const sheaf__origin *a, const sheaf__origin *b) {
  return curl_strequal(a->scheme, b->scheme) && curl_strequal(a->host, b->host) &&
         strcmp(a->port, b->port) == 0;
}

/* ---- Credentials ---- */

const sheaf__secret *sheaf__secret_find(const sheaf_curl *curl, uint32_t credential_id) {
  for (const sheaf__secret *secret = curl->secrets; secret != NULL; secret = secret->next) {
    if (secret->credential_id == credential_id) return secret;
  }
  return NULL;
}

void sheaf__secrets_free(sheaf_curl *curl) {
  while (curl->secrets != NULL) {
    sheaf__secret *secret = curl->secrets;
    curl->secrets = secret->next;
    free_secret(secret);
  }
}

static void forget(sheaf_curl *curl, uint32_t credential_id) {
  for (sheaf__secret **at = &curl->secrets; *at != NULL; at = &(*at)->next) {
    if ((*at)->credential_id != credential_id) continue;
    sheaf__secret *old = *at;
    *at = old->next;
    free_secret(old);
    return;
  }
}

int32_t sheaf_curl_set_credential(sheaf_curl *curl, uint32_t credential_id, const char *base_url,
                                  const char *secret) {
  if (curl == NULL || credential_id == 0 || base_url == NULL || secret == NULL) {
    return SHEAF_E_MISUSE;
  }
  if (secret[0] == '\0' || strpbrk(secret, "\r\n") != NULL) return SHEAF_E_FIELD;
  sheaf__secret *made = calloc(1, sizeof(*made));
  if (made == NULL) return SHEAF_E_NOMEM;
  int32_t status = sheaf__origin_parse(base_url, &made->origin, NULL);
  if (status != SHEAF_OK) {
    free(made);
    return status;
  }
  made->credential_id = credential_id;
  made->bytes = strlen(secret);
  made->text = strdup(secret);
  if (made->text == NULL) {
    free_secret(made);
    return SHEAF_E_NOMEM;
  }
  forget(curl, credential_id);
  made->next = curl->secrets;
  curl->secrets = made;
  curl->credentials_version++;
  sheaf__routes_trim(curl); /* header lists made before are made anew */
  return SHEAF_OK;
}

/* ---- Redaction ---- */

enum { RUN_BYTES_MIN = 8 };

/* The longest run of the secret, of at least RUN_BYTES_MIN bytes, at the start of text; 0: none. */
static size_t run_at(const sheaf__secret *secret, const char *text, size_t bytes) {
  size_t longest = 0;
  for (size_t from = 0; from + RUN_BYTES_MIN <= secret->bytes; from++) {
    size_t most = secret->bytes - from < bytes ? secret->bytes - from : bytes;
    size_t same = 0;
    while (same < most && secret->text[from + same] == text[same]) same++;
    if (same >= RUN_BYTES_MIN && same > longest) longest = same;
  }
  return longest;
}

/* A byte is overwritten only after the run that begins at it was looked for, so that overlapping runs are all found. */
void sheaf_curl_redact(const sheaf_curl *curl, char *text, size_t bytes) {
  if (curl == NULL || text == NULL || curl->secrets == NULL) return;
  size_t covered = 0;
  for (size_t at = 0; at < bytes; at++) {
    for (const sheaf__secret *secret = curl->secrets; secret != NULL; secret = secret->next) {
      size_t end = at + run_at(secret, text + at, bytes - at);
      if (end > at && end > covered) covered = end;
    }
    if (at < covered) text[at] = '*';
  }
}
