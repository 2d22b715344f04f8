/* provider.c: the table of built-in providers, and what belongs to none of them. */
#include <sheaf/provider.h>

#include "providers/decoding.h"
#include "providers/table.h"

static const sheaf_provider *const table[] = {
    &sheaf__openai, &sheaf__anthropic, &sheaf__gemini,  &sheaf__ollama,
#if SHEAF__HAS_JOBS
    &sheaf__azure,  &sheaf__groq,      &sheaf__mistral,
#endif
};

const sheaf_provider *sheaf_provider_at(uint32_t n) {
  return n < sizeof table / sizeof table[0] ? table[n] : NULL;
}

const sheaf_provider *sheaf_provider_find(sheaf_slice name) {
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (sheaf__is(name, table[i]->name)) return table[i];
  }
  return NULL;
}

void sheaf_decoded_init(sheaf_decoded *decoded) {
  *decoded = (sheaf_decoded){
      .struct_bytes = sizeof(sheaf_decoded),
      .error_class = SHEAF_CLASS_NONE,
      .billing = SHEAF_BILLING_UNKNOWN, /* until a verdict is read */
      .scope = SHEAF_SCOPE_POOL,
      .retry_after_ns = SHEAF_NEVER,
      .should_retry = -1,
      .retryable = true,
      .usage = {.input_total = SHEAF_ABSENT,
                .output_total = SHEAF_ABSENT,
                .cache_read = SHEAF_ABSENT,
                .cache_write = SHEAF_ABSENT,
                .reasoning = SHEAF_ABSENT},
      .server_ns = SHEAF_NEVER,
      .generation_ns = SHEAF_NEVER,
  };
}

int32_t sheaf_result_tool_call(const sheaf_result *result, uint32_t n, sheaf_tool_call *call) {
  const sheaf_provider *provider = sheaf_provider_find(result->provider);
  if (!provider || !provider->tool_call) return SHEAF_E_UNSUPPORTED;
  return provider->tool_call(provider, result, n, call);
}
