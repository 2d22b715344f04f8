/* sim_route.c: which paths exist and whose they are. */
#include "sim_int.h"

#include <string.h>

/* The same under each prefix that some service of this shape has. */
#define OPENAI_ROUTES(prefix)                                                                     \
  {"POST", prefix "/chat/completions", &sheaf__sim_openai_chat, SIM_CHAT, false},                 \
      {"POST", prefix "/responses", &sheaf__sim_openai_responses, SIM_CHAT, false},               \
      {"POST", prefix "/responses/input_tokens", &sheaf__sim_openai_responses, SIM_COUNT, false}, \
      {"POST", prefix "/completions", &sheaf__sim_openai_completions, SIM_COMPLETE, false},       \
      {"POST", prefix "/embeddings", &sheaf__sim_openai, SIM_EMBED, false},                       \
      {"GET", prefix "/models", &sheaf__sim_openai, SIM_MODELS, false}, {                         \
    "GET", prefix "/models/*", &sheaf__sim_openai, SIM_MODEL, false                               \
  }

/* Files and batch jobs in OpenAI's shape. A path with more behind the id stands first. */
#define FILE_ROUTES(prefix)                                                                    \
  {"POST", prefix "/files", &sheaf__sim_openai_files, SIM_FILE_CREATE, false},                 \
      {"GET", prefix "/files", &sheaf__sim_openai_files, SIM_FILE_LIST, false},                \
      {"GET", prefix "/files/*/content", &sheaf__sim_openai_files, SIM_FILE_CONTENT, false},   \
      {"GET", prefix "/files/*", &sheaf__sim_openai_files, SIM_FILE_GET, false},               \
      {"DELETE", prefix "/files/*", &sheaf__sim_openai_files, SIM_FILE_DELETE, false},         \
      {"POST", prefix "/batches", &sheaf__sim_openai_batch, SIM_JOB_CREATE, false},            \
      {"GET", prefix "/batches", &sheaf__sim_openai_batch, SIM_JOB_LIST, false},               \
      {"POST", prefix "/batches/*/cancel", &sheaf__sim_openai_batch, SIM_JOB_CANCEL, false}, { \
    "GET", prefix "/batches/*", &sheaf__sim_openai_batch, SIM_JOB_GET, false                   \
  }

#define GEMINI_ROUTES(prefix)                                                                  \
  {"POST", prefix "/models/*:generateContent", &sheaf__sim_gemini, SIM_CHAT, false},           \
      {"POST", prefix "/models/*:streamGenerateContent", &sheaf__sim_gemini, SIM_CHAT, true},  \
      {"POST", prefix "/models/*:embedContent", &sheaf__sim_gemini, SIM_EMBED, false},         \
      {"POST", prefix "/models/*:batchEmbedContents", &sheaf__sim_gemini, SIM_EMBED, false}, { \
    "POST", prefix "/models/*:countTokens", &sheaf__sim_gemini, SIM_COUNT, false               \
  }

/* The first that fits counts. The models of Anthropic are asked for at OpenAI's path: sim_openai.c
 * tells them apart by the version header. */
const sim_route sheaf__sim_routes[] = {
    OPENAI_ROUTES("/v1"),
    {"POST", "/v1/messages", &sheaf__sim_anthropic, SIM_CHAT, false},
    {"POST", "/v1/messages/count_tokens", &sheaf__sim_anthropic, SIM_COUNT, false},
    {"POST", "/v1/messages/batches", &sheaf__sim_anthropic_batch, SIM_JOB_CREATE_ROWS, false},
    {"GET", "/v1/messages/batches", &sheaf__sim_anthropic_batch, SIM_JOB_LIST, false},
    {"GET", "/v1/messages/batches/*/results", &sheaf__sim_anthropic_batch, SIM_JOB_RESULTS, false},
    {"POST", "/v1/messages/batches/*/cancel", &sheaf__sim_anthropic_batch, SIM_JOB_CANCEL, false},
    {"GET", "/v1/messages/batches/*", &sheaf__sim_anthropic_batch, SIM_JOB_GET, false},
    {"DELETE", "/v1/messages/batches/*", &sheaf__sim_anthropic_batch, SIM_JOB_DELETE, false},
    GEMINI_ROUTES("/v1beta"),
    {"POST", "/v1beta/models/*:batchGenerateContent", &sheaf__sim_gemini_batch, SIM_JOB_CREATE,
     false},
    {"POST", "/v1beta/models/*:asyncBatchEmbedContent", &sheaf__sim_gemini_batch, SIM_JOB_CREATE,
     false},
    {"GET", "/v1beta/batches", &sheaf__sim_gemini_batch, SIM_JOB_LIST, false},
    {"POST", "/v1beta/batches/*:cancel", &sheaf__sim_gemini_batch, SIM_JOB_CANCEL, false},
    {"GET", "/v1beta/batches/*", &sheaf__sim_gemini_batch, SIM_JOB_GET, false},
    {"DELETE", "/v1beta/batches/*", &sheaf__sim_gemini_batch, SIM_JOB_DELETE, false},
    {"POST", "/upload/v1beta/files", &sheaf__sim_gemini_files, SIM_FILE_START, false},
    {"POST", "/upload/v1beta/files/*", &sheaf__sim_gemini_files, SIM_FILE_PIECE, false},
    {"GET", "/v1beta/files", &sheaf__sim_gemini_files, SIM_FILE_LIST, false},
    {"GET", "/v1beta/files/*:download", &sheaf__sim_gemini_files, SIM_FILE_CONTENT, false},
    {"GET", "/download/v1beta/files/*:download", &sheaf__sim_gemini_files, SIM_FILE_CONTENT, false},
    {"GET", "/v1beta/files/*", &sheaf__sim_gemini_files, SIM_FILE_GET, false},
    {"DELETE", "/v1beta/files/*", &sheaf__sim_gemini_files, SIM_FILE_DELETE, false},
    {"GET", "/v1beta/models", &sheaf__sim_gemini, SIM_MODELS, false},
    {"GET", "/v1beta/models/*", &sheaf__sim_gemini, SIM_MODEL, false},
    GEMINI_ROUTES("/v1"),
    {"POST", "/api/chat", &sheaf__sim_ollama, SIM_CHAT, false},
    {"POST", "/api/generate", &sheaf__sim_ollama, SIM_CHAT, false},
    {"POST", "/api/embed", &sheaf__sim_ollama, SIM_EMBED, false},
    {"POST", "/api/embeddings", &sheaf__sim_ollama, SIM_EMBED, false},
    {"POST", "/api/show", &sheaf__sim_ollama, SIM_MODEL, false},
    {"GET", "/api/ps", &sheaf__sim_ollama, SIM_MODELS, false},
    {"GET", "/api/tags", &sheaf__sim_ollama, SIM_MODELS, false},
    {"GET", "/api/version", &sheaf__sim_ollama, SIM_VERSION, false},
    OPENAI_ROUTES(""),
    OPENAI_ROUTES("/openai/v1"),     /* Azure, Groq */
    OPENAI_ROUTES("/v1beta/openai"), /* Google */
    {"POST", "/openai/deployments/*/chat/completions", &sheaf__sim_openai_chat, SIM_CHAT, false},
    {"POST", "/openai/deployments/*/completions", &sheaf__sim_openai_completions, SIM_COMPLETE,
     false},
    {"POST", "/openai/deployments/*/embeddings", &sheaf__sim_openai, SIM_EMBED, false},
    FILE_ROUTES("/v1"),
    {"POST", "/v1/batch/jobs", &sheaf__sim_mistral_batch, SIM_JOB_CREATE, false},
    {"GET", "/v1/batch/jobs", &sheaf__sim_mistral_batch, SIM_JOB_LIST, false},
    {"POST", "/v1/batch/jobs/*/cancel", &sheaf__sim_mistral_batch, SIM_JOB_CANCEL, false},
    {"GET", "/v1/batch/jobs/*", &sheaf__sim_mistral_batch, SIM_JOB_GET, false},
    {"DELETE", "/v1/batch/jobs/*", &sheaf__sim_mistral_batch, SIM_JOB_DELETE, false},
    FILE_ROUTES("/openai/v1"), /* Azure, Groq */
    FILE_ROUTES("/openai"),    /* Azure's older paths, with api-version */
    FILE_ROUTES(""),
    {"GET", "/_sim/stats", &sheaf__sim_openai, SIM_STATS, false},
    {"GET", "/_sim/ledger", &sheaf__sim_openai, SIM_LEDGER, false},
    {"POST", "/_sim/reset", &sheaf__sim_openai, SIM_RESET, false},
};

const uint32_t sheaf__sim_route_count = sizeof sheaf__sim_routes / sizeof *sheaf__sim_routes;

/* A model in a path goes into bodies unescaped, so it is letters, digits and the marks that names
 * have. A slash or a colon may be in one where nothing comes after it. */
static bool is_model(const char *text, size_t bytes, bool is_last) {
  for (size_t i = 0; i < bytes; i++) {
    char c = text[i];
    bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!is_plain && !strchr(is_last ? "-._@+:/" : "-._@+", c)) return false;
  }
  return bytes > 0;
}

static bool matches(const char *pattern, const char *path, sheaf_slice *model) {
  const char *star = strchr(pattern, '*');
  if (!star) return strcmp(pattern, path) == 0;
  size_t head = (size_t)(star - pattern);
  if (strncmp(pattern, path, head) != 0) return false;
  size_t tail = strlen(star + 1), bytes = strlen(path);
  if (bytes <= head + tail || memcmp(star + 1, path + bytes - tail, tail) != 0) return false;
  if (!is_model(path + head, bytes - head - tail, tail == 0)) return false;
  *model = (sheaf_slice){path + head, bytes - head - tail};
  return true;
}

const sim_route *sheaf__sim_route_find(const char *method, const char *path, sheaf_slice *model,
                                       const char **allow) {
  *allow = NULL;
  for (uint32_t i = 0; i < sheaf__sim_route_count; i++) {
    const sim_route *route = &sheaf__sim_routes[i];
    sheaf_slice found = {0};
    if (!matches(route->path, path, &found)) continue;
    *model = found;
    if (strcmp(route->method, method) == 0) return route;
    if (!*allow) *allow = route->method;
  }
  return NULL;
}

static bool begins_with(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

const sim_provider *sheaf__sim_provider_guess(const char *path) {
  if (begins_with(path, "/v1/messages")) return &sheaf__sim_anthropic;
  if (begins_with(path, "/v1beta/openai")) return &sheaf__sim_openai;
  if (begins_with(path, "/v1beta") || begins_with(path, "/upload/v1beta") ||
      begins_with(path, "/download/v1beta"))
    return &sheaf__sim_gemini;
  if (begins_with(path, "/api/")) return &sheaf__sim_ollama;
  return &sheaf__sim_openai;
}
