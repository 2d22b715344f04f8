/* openai_share.c: merging for OpenAI and every server that speaks its language: embeddings and
 * completions take lists, chats take one prompt more. Limits of a call: the API's reference on
 * embeddings, as of 2026-11. */
#include "providers/openai.h"
#include "providers/sharing.h"

#define INPUTS_MAX 2048   /* of one call */
#define TOKENS_MAX 300000 /* of all inputs of one call */

/* No other member says anything about a single input. */
static const char embeddings[] = SHEAF__LIST("input");

/* n and best_of multiply the choices, echo and suffix tie them to the prompt's text, and what a
 * seed means for the second prompt of a list is not told anywhere. */
static const char completions[] = SHEAF__PLAIN("model\0max_tokens") SHEAF__LIST("prompt")
    SHEAF__TEMPERATURE("temperature") SHEAF__PLAIN(
        "top_p\0frequency_penalty\0presence_penalty\0stop\0logit_bias\0logprobs\0"
        "user\0top_k\0min_p\0repetition_penalty") SHEAF__ONE("n\0best_of")
        SHEAF__OFF("echo\0stream") SHEAF__NEVER("stream_options\0suffix\0seed");

/* Tools, audio, images, predictions, searches and whatever is new are not named here; "top_k" to
 * "cache_prompt" are of compatible servers. From FORMAT on stands what clients write out though it
 * asks for nothing. logit_bias could forbid what the structured answer is made of. */
static const char chat[] = SHEAF__PLAIN("model") SHEAF__CHAT("messages")
    SHEAF__TEMPERATURE("temperature") SHEAF__CAP("max_tokens\0max_completion_tokens") SHEAF__PLAIN(
        "top_p\0seed\0frequency_penalty\0presence_penalty\0reasoning_effort\0"
        "verbosity\0service_tier\0store\0metadata\0user\0safety_identifier\0"
        "prompt_cache_key\0prompt_cache_options\0prompt_cache_retention\0top_k\0"
        "min_p\0repetition_penalty\0chat_template_kwargs\0thinking\0"
        "enable_thinking\0reasoning\0provider\0cache_prompt") SHEAF__FORMAT("response_format")
        SHEAF__ONE("n") SHEAF__OFF("stream\0logprobs\0tools\0functions\0stop") SHEAF__NEVER(
            "stream_options\0top_logprobs\0tool_choice\0function_call\0"
            "parallel_tool_calls\0logit_bias\0audio\0modalities\0prediction");

static const char responses[] = SHEAF__TEMPERATURE("temperature");

static const sheaf__addition additions[] = {
    {SHEAF__MEMBER_FORMAT, SHEAF__IN_BODY,
     "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answers\","
     "\"strict\":true,"
     "\"schema\":$1}}"},
    {SHEAF__MEMBER_CAP, SHEAF__IN_BODY, "\"max_tokens\":$#"},
    {SHEAF__MEMBER_SYSTEM, SHEAF__IN_CHAT, "{\"role\":\"system\",\"content\":\"$0\"}"},
    {0, 0, NULL},
};

/* Embeddings have no output and tell so by the total alone. */
#define DETAILS                                                      \
  "ttotal_tokens\0"                                                  \
  "{prompt_tokens_details\0rcached_tokens\0wcache_write_tokens\0}\0" \
  "{completion_tokens_details\0hreasoning_tokens\0}\0"
static const char embedding_counts[] = "iprompt_tokens\0" DETAILS;
static const char counts[] = "iprompt_tokens\0ocompletion_tokens\0" DETAILS;

static const sheaf__share_rules rules[] = {
    [SHEAF__OPENAI_CHAT] = {.share = SHEAF_SHARE_PROMPTS,
                            .chat = SHEAF__CHAT_DEVELOPER,
                            .members = chat,
                            .additions = additions,
                            .answers = "choices",
                            .answer = "[{\"index\":0,\"message\":{\"role\":\"assistant\","
                                      "\"content\":\"$0\",\"refusal\":null},\"logprobs\":null",
                            .finish = "finish_reason",
                            .answer_end = "}]",
                            .usage = "usage",
                            .counts = counts},
    [SHEAF__OPENAI_RESPONSES] = {.open = true, .members = responses},
    [SHEAF__OPENAI_EMBEDDINGS] = {.share = SHEAF_SHARE_INPUTS,
                                  .open = true,
                                  .deterministic = true,
                                  .has_tokens = true,
                                  .inputs_max = INPUTS_MAX,
                                  .tokens_max = TOKENS_MAX,
                                  .members = embeddings,
                                  .answers = "data",
                                  .item = "embedding",
                                  .usage = "usage",
                                  .counts = embedding_counts},
    [SHEAF__OPENAI_COMPLETIONS] = {.share = SHEAF_SHARE_INPUTS,
                                   .has_tokens = true,
                                   .members = completions,
                                   .answers = "choices",
                                   .item = "text",
                                   .usage = "usage",
                                   .counts = counts},
};

SHEAF__SHARING_BY(openai, rules, SHEAF__OPENAI_RESPONSES)
