/* target.c: a provider by name, its base URL and its key, made into an endpoint; the simulator
 * starts here. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void cli_place_wipe(cli_place *place) {
  volatile char *at = place->secret; /* volatile: the stores are not removed as dead */
  for (size_t i = 0; i < sizeof place->secret; i++) at[i] = 0;
}

/* Without the space around it. false: there is none, or too much. */
static bool secret_take(const char *given, size_t given_bytes, char *to, size_t bytes) {
  while (given_bytes && strchr(" \t\r\n", given[given_bytes - 1])) given_bytes--;
  while (given_bytes && strchr(" \t\r\n", given[0])) given++, given_bytes--;
  if (given_bytes == 0 || given_bytes >= bytes) return false;
  memcpy(to, given, given_bytes);
  to[given_bytes] = 0;
  return true;
}

int cli_secret_read(const char *path, const char *what, char *to, size_t bytes) {
  struct stat info;
  if (stat(path, &info) == 0 && (info.st_mode & 077)) {
    cli_say("%s can be read by others: run chmod 600 %s", path, path);
    return CLI_USAGE;
  }
  size_t text_bytes;
  char *text = cli_read_file(path, bytes - 1, &text_bytes);
  if (text == NULL) return CLI_USAGE;
  bool taken = secret_take(text, text_bytes, to, bytes);
  memset(text, 0, text_bytes);
  free(text);
  if (!taken) cli_say("%s holds no %s", path, what);
  return taken ? CLI_OK : CLI_USAGE;
}

/* The provider's environment variables in their order. */
static bool key_from_environment(cli_place *place, const char *variables) {
  char name[64];
  for (const char *at = variables; at != NULL && *at;) {
    const char *end = strchr(at, ',');
    size_t bytes = end ? (size_t)(end - at) : strlen(at);
    if (bytes >= sizeof name) return false;
    memcpy(name, at, bytes);
    name[bytes] = 0;
    const char *key = getenv(name);
    if (key != NULL && secret_take(key, strlen(key), place->secret, sizeof place->secret))
      return true;
    at = end ? end + 1 : NULL;
  }
  return false;
}

/* OLLAMA_HOST may be "host", "host:port" or a URL. */
static void ollama_url(cli_place *place) {
  const char *host = getenv("OLLAMA_HOST");
  if (host == NULL || host[0] == 0) return;
  bool url = strstr(host, "://") != NULL,
       port = strchr(url ? strstr(host, "://") + 3 : host, ':') != NULL;
  snprintf(place->base_url, sizeof place->base_url, "%s%s%s", url ? "" : "http://", host,
           port || url ? "" : ":11434");
}

/* "A,B" as "A or B". */
static const char *key_names(const char *variables, char names[128]) {
  size_t n = 0;
  for (; *variables && n < 120; variables++) {
    const char *piece = *variables == ',' ? " or " : (const char[2]){*variables, 0};
    for (; *piece; piece++) names[n++] = *piece;
  }
  names[n] = 0;
  return names;
}

static int start_simulator(const cli_args *args, cli_place *place) {
#ifdef SHEAF_SIM
  char message[256] = "";
  sheaf_sim *sim;
  int32_t status = sheaf_sim_start(&args->sim, &sim, message, sizeof message);
  if (status) {
    cli_say("the simulator did not start: %s", message[0] ? message : sheaf_status_text(status));
    return CLI_HOST;
  }
  place->sim = sim;
  place->own = *sheaf_provider_find(SHEAF_LITERAL("openai"));
  place->own.name = "sim";
  place->own.key_variables = NULL;
  snprintf(place->base_url, sizeof place->base_url, "%s/v1", sheaf_sim_url(sim));
  place->endpoint.provider = &place->own;
  return CLI_OK;
#else
  (void)args;
  (void)place;
  cli_say("this sheaf was built without the simulator");
  return CLI_USAGE;
#endif
}

static int provider_find(const cli_args *args, const char *name, cli_place *place) {
  if (strcmp(name, "sim") == 0) return start_simulator(args, place);
  const sheaf_provider *provider = sheaf_provider_find(sheaf_slice_of(name));
  if (provider == NULL) {
    cli_say(
        "there is no provider \"%s\": give openai (or any server that speaks like it, with "
        "--base-url), anthropic, gemini, ollama, azure, groq, mistral or sim",
        name);
    return CLI_USAGE;
  }
  place->endpoint.provider = provider;
  if (strcmp(name, "ollama") == 0) ollama_url(place);
  return CLI_OK;
}

/* Only what is this machine for sure; the transport parses the URL and checks again. */
static bool is_loopback(const char *url) {
  static const char *const names[] = {"localhost", "[::1]"};
  const char *host = strstr(url, "://");
  host = host ? host + 3 : url;
  size_t bytes = strcspn(host, ":/?#@");
  if (host[0] == '[') bytes = strcspn(host, "/?#@]") + 1;
  if (strspn(host, "0123456789.") == bytes && strncmp(host, "127.", 4) == 0) return true;
  for (size_t i = 0; i < 2; i++)
    if (strlen(names[i]) == bytes && strncmp(host, names[i], bytes) == 0) return true;
  return false;
}

static int check_base_url(const cli_args *args, const char *url) {
  bool plain = strncmp(url, "http://", 7) == 0;
  if (!plain && strncmp(url, "https://", 8) != 0) {
    cli_say("the base URL must begin with https:// (or http:// for this machine), not \"%s\"", url);
    return CLI_USAGE;
  }
  if (!plain || is_loopback(url) || args->allow_http) return CLI_OK;
  cli_say("%s is plain http, which anybody on the way can read: use https, or add --allow-http",
          url);
  return CLI_USAGE;
}

int cli_place_open(const cli_args *args, const cli_target *target, cli_place *place) {
  memset(place, 0, sizeof *place);
  place->endpoint = SHEAF_ENDPOINT_INIT;
  int answer = provider_find(args, target->provider ? target->provider : "openai", place);
  if (answer) return answer;
  const sheaf_provider *provider = place->endpoint.provider;
  if (target->base_url != NULL && place->sim == NULL) {
    if (strlen(target->base_url) >= sizeof place->base_url)
      return cli_say("--base-url is longer than 1,000 bytes"), CLI_USAGE;
    snprintf(place->base_url, sizeof place->base_url, "%s", target->base_url);
  }
  if (place->base_url[0] && place->sim == NULL) {
    answer = check_base_url(args, place->base_url);
    if (answer) return answer;
  }
  place->endpoint.base_url =
      sheaf_slice_of(place->base_url[0] ? place->base_url : provider->base_url);
  if (place->endpoint.base_url.bytes == 0) {
    cli_say(
        "%s has no address of its own: give --base-url https://RESOURCE.openai.azure.com/openai/v1",
        provider->name);
    return CLI_USAGE;
  }
  place->endpoint.model = sheaf_slice_of(target->model);
  place->endpoint.default_url = sheaf_slice_of(args->url);
  place->endpoint.key_header = sheaf_slice_of(args->key_header);
  place->endpoint.query = sheaf_slice_of(args->query);
  if (args->api_key_file != NULL && place->sim == NULL) {
    answer = cli_secret_read(args->api_key_file, "key", place->secret, sizeof place->secret);
    if (answer) return answer;
  } else if (provider->key_variables != NULL &&
             !key_from_environment(place, provider->key_variables) && !args->dry_run &&
             !(place->base_url[0] && is_loopback(place->base_url))) {
    char names[128];
    cli_say("no key for %s: set %s, or give --api-key-file FILE", provider->name,
            key_names(provider->key_variables, names));
    return CLI_USAGE;
  }
  place->endpoint.credential_id = place->secret[0] ? 1 : 0;
  return CLI_OK;
}

void cli_place_close(cli_place *place) {
#ifdef SHEAF_SIM
  if (place->sim != NULL) sheaf_sim_stop(place->sim);
#endif
  place->sim = NULL;
  cli_place_wipe(place);
}

sheaf_curl_options cli_transport_options(const cli_args *args) {
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.connect_timeout_ms = args->connect_timeout_ms;
  options.first_byte_timeout_ms = args->first_byte_timeout_ms;
  options.idle_timeout_ms = args->idle_timeout_ms;
  options.shards = (uint32_t)args->shards;
  options.http2 = (uint32_t)args->http2;
  options.proxy = args->proxy;
  options.ca_file = args->ca_file;
  options.allow_http = args->allow_http;
  return options;
}
