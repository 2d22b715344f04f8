/* sim_route.c: which paths exist and whose they are. */
#include "sim_int.h"

#include <string.h>

const sim_route sheaf__sim_routes[] = {
    {"POST", "/v1/chat/completions", &sheaf__sim_openai, SIM_CHAT, false},
    {"POST", "/chat/completions", &sheaf__sim_openai, SIM_CHAT, false},
    {"POST", "/v1/embeddings", &sheaf__sim_openai, SIM_EMBED, false},
    {"POST", "/embeddings", &sheaf__sim_openai, SIM_EMBED, false},
    {"GET", "/v1/models", &sheaf__sim_openai, SIM_MODELS, false},
    {"GET", "/models", &sheaf__sim_openai, SIM_MODELS, false},
    {"POST", "/v1/messages", &sheaf__sim_anthropic, SIM_CHAT, false},
    {"POST", "/v1beta/models/*:generateContent", &sheaf__sim_gemini, SIM_CHAT, false},
    {"POST", "/v1beta/models/*:streamGenerateContent", &sheaf__sim_gemini, SIM_CHAT, true},
    {"GET", "/v1beta/models", &sheaf__sim_gemini, SIM_MODELS, false},
    {"POST", "/api/chat", &sheaf__sim_ollama, SIM_CHAT, false},
    {"POST", "/api/generate", &sheaf__sim_ollama, SIM_GENERATE, false},
    {"POST", "/api/embed", &sheaf__sim_ollama, SIM_EMBED, false},
    {"GET", "/api/tags", &sheaf__sim_ollama, SIM_MODELS, false},
    {"GET", "/api/version", &sheaf__sim_ollama, SIM_VERSION, false},
    {"GET", "/_sim/stats", &sheaf__sim_openai, SIM_STATS, false},
};

const uint32_t sheaf__sim_route_count = sizeof sheaf__sim_routes / sizeof *sheaf__sim_routes;

/* A model in a path goes into bodies unescaped, so it is letters, digits and the marks that names
 * have. */
static bool is_model(const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    char c = text[i];
    bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!is_plain && !strchr("-._@+", c)) return false;
  }
  return bytes > 0;
}

static bool matches(const char *pattern, const char *path, sheaf_slice *model) {
  const char *star = strchr(pattern, '*');
  if (!star) return strcmp(pattern, path) == 0;
  size_t head = (size_t)(star - pattern), tail = strlen(star + 1), bytes = strlen(path);
  if (bytes <= head + tail || memcmp(pattern, path, head) != 0) return false;
  if (memcmp(star + 1, path + bytes - tail, tail) != 0) return false;
  if (!is_model(path + head, bytes - head - tail)) return false;
  *model = (sheaf_slice){path + head, bytes - head - tail};
  return true;
}

const sim_route *sheaf__sim_route_find(const char *method, const char *path, sheaf_slice *model,
                                       const char **allow) {
  *allow = NULL;
  for (uint32_t i = 0; i < sheaf__sim_route_count; i++) {
    const sim_route *route = &sheaf__sim_routes[i];
    if (!matches(route->path, path, model)) continue;
    if (strcmp(route->method, method) == 0) return route;
    *allow = route->method;
  }
  return NULL;
}

const sim_provider *sheaf__sim_provider_guess(const char *path) {
  if (strncmp(path, "/v1/messages", 12) == 0) return &sheaf__sim_anthropic;
  if (strncmp(path, "/v1beta", 7) == 0) return &sheaf__sim_gemini;
  if (strncmp(path, "/api/", 5) == 0) return &sheaf__sim_ollama;
  return &sheaf__sim_openai;
}
