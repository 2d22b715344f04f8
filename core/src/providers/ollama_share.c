/* ollama_share.c: merging for Ollama's own API: lists of inputs for embeddings, which come back in
 * their order without an index, and prompts for chats. */
#include "providers/ollama.h"

#include "providers/sharing.h"

static const char embed[] = SHEAF__LIST("input");

static const char chat[] = SHEAF__PLAIN("model") SHEAF__CHAT("messages") SHEAF__STREAM("stream")
    SHEAF__NEST("options") SHEAF__PLAIN("keep_alive\0think") SHEAF__FORMAT("format")
        SHEAF__TRUNCATE("truncate") SHEAF__SHIFT("shift") SHEAF__OFF("tools\0logprobs");

static const char options[] =
    SHEAF__CAP("num_predict") SHEAF__TEMPERATURE("temperature") SHEAF__PLAIN(
        "num_ctx\0top_k\0top_p\0min_p\0typical_p\0seed\0repeat_penalty\0"
        "repeat_last_n\0presence_penalty\0frequency_penalty\0num_keep\0num_batch\0"
        "num_gpu\0main_gpu\0use_mmap\0num_thread") SHEAF__OFF("stop");

static const char generate[] = SHEAF__NEST("options");

/* What does not fit is cut away without a word, and what overflows while the answer is written
 * shifts the prompts out: with several prompts in one that is somebody's question. Both are told to
 * fail instead, unless the members say something else. Servers that do not know the words pass over
 * them. */
static const sheaf__addition additions[] = {
    {SHEAF__MEMBER_TRUNCATE, SHEAF__IN_BODY, "\"truncate\":false"},
    {SHEAF__MEMBER_SHIFT, SHEAF__IN_BODY, "\"shift\":false"},
    {SHEAF__MEMBER_CAP, SHEAF__IN_NEST, "\"num_predict\":$#"},
    {SHEAF__MEMBER_FORMAT, SHEAF__IN_BODY, "\"format\":$1"},
    {SHEAF__MEMBER_SYSTEM, SHEAF__IN_CHAT, "{\"role\":\"system\",\"content\":\"$0\"}"},
    {0, 0, NULL},
};

#define COUNTS .counts = "iprompt_eval_count\0oeval_count\0"

static const sheaf__share_rules rules[] = {
    [SHEAF__OLLAMA_CHAT] = {.share = SHEAF_SHARE_PROMPTS,
                            .chat = SHEAF__CHAT_SYSTEM,
                            .needed = 1u << SHEAF__MEMBER_STREAM, /* on unless a body says no */
                            .below_zero_caps = true,
                            .members = chat,
                            .nested = options,
                            .nest = "\"options\":{",
                            .additions = additions,
                            .answers = "message",
                            .answer = "{\"role\":\"assistant\",\"content\":\"$0\"",
                            .answer_end = "}",
                            COUNTS},
    [SHEAF__OLLAMA_GENERATE] = {.open = true, .members = generate, .nested = options},
    [SHEAF__OLLAMA_EMBED] = {.share = SHEAF_SHARE_INPUTS,
                             .open = true,
                             .deterministic = true,
                             .members = embed,
                             .answers = "embeddings",
                             COUNTS},
};

SHEAF__SHARING_BY(ollama, rules, SHEAF__OLLAMA_GENERATE)
