/* anthropic_share.c: merging for Anthropic's Messages API: prompts alone, there are no lists. */
#include "providers/sharing.h"

/* Tools, stop sequences, containers, a cache mark for the whole request and whatever is new are not
 * named here. */
static const char members[] = SHEAF__PLAIN("model") SHEAF__CAP("max_tokens") SHEAF__CHAT("messages")
    SHEAF__SYSTEM("system") SHEAF__TEMPERATURE("temperature")
        SHEAF__PLAIN("top_p\0top_k\0thinking\0metadata\0service_tier\0inference_geo\0speed")
            SHEAF__NEST("output_config") SHEAF__OFF("stream\0tools\0stop_sequences");
static const char output_config[] = SHEAF__PLAIN("effort") SHEAF__FORMAT("format");

static const sheaf__addition additions[] = {
    {SHEAF__MEMBER_CAP, SHEAF__IN_BODY, "\"max_tokens\":$#"},
    {SHEAF__MEMBER_FORMAT, SHEAF__IN_NEST, "\"format\":{\"type\":\"json_schema\",\"schema\":$1}"},
    {SHEAF__MEMBER_SYSTEM, SHEAF__IN_BODY, "\"system\":\"$0\""},
    {0, 0, NULL},
};

static const sheaf__share_rules rules[] = {
    /* messages: thoughts were about everybody's prompts and stay out of answers; input_tokens
     * leaves out what the cache served or took */
    {.share = SHEAF_SHARE_PROMPTS,
     .chat = SHEAF__CHAT_USER,
     .needed = 1u << SHEAF__MEMBER_CAP,
     .members = members,
     .nested = output_config,
     .nest = "\"output_config\":{",
     .additions = additions,
     .answers = "content",
     .answer = "[{\"type\":\"text\",\"text\":\"$0\"",
     .answer_end = "}]",
     .usage = "usage",
     .counts = "Iinput_tokens\0wcache_creation_input_tokens\0rcache_read_input_tokens\0"
               "ooutput_tokens\0{output_tokens_details\0hthinking_tokens\0}\0"},
};

SHEAF__SHARING_BY(anthropic, rules, 0)
