/* gemini_share.c: merging for Google's Gemini API: prompts alone. Google takes snake_case names as
 * well; the builder writes none, so a body that has them travels alone. */
#include "providers/sharing.h"

/* Tools and cached contents (which allow no system text) and whatever is new are not named here. */
static const char members[] =
    SHEAF__CHAT("contents") SHEAF__SYSTEM("systemInstruction") SHEAF__NEST("generationConfig")
        SHEAF__PLAIN("safetySettings\0model\0labels") SHEAF__OFF("tools");

/* Beside structured output and stop sequences, candidates and logprobs belong to one answer
 * each. */
static const char options[] = SHEAF__CAP("maxOutputTokens") SHEAF__TEMPERATURE("temperature")
    SHEAF__PLAIN("topP\0topK\0seed\0presencePenalty\0frequencyPenalty\0thinkingConfig")
        SHEAF__FORMAT("responseMimeType") SHEAF__ONE("candidateCount")
            SHEAF__OFF("stopSequences\0responseLogprobs");

static const sheaf__addition additions[] = {
    {SHEAF__MEMBER_CAP, SHEAF__IN_NEST, "\"maxOutputTokens\":$#"},
    {SHEAF__MEMBER_FORMAT, SHEAF__IN_NEST,
     "\"responseMimeType\":\"application/json\",\"responseJsonSchema\":$1"},
    {SHEAF__MEMBER_SYSTEM, SHEAF__IN_BODY, "\"systemInstruction\":{\"parts\":[{\"text\":\"$0\"}]}"},
    {0, 0, NULL},
};

static const sheaf__share_rules rules[] = {
    /* generateContent: thoughts are counted beside the candidates' tokens, not among them */
    {.share = SHEAF_SHARE_PROMPTS,
     .chat = SHEAF__CHAT_PARTS,
     .members = members,
     .nested = options,
     .nest = "\"generationConfig\":{",
     .additions = additions,
     .answers = "candidates",
     .answer = "[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"$0\"}]}",
     .finish = "finishReason",
     .answer_end = ",\"index\":0}]",
     .usage = "usageMetadata",
     .counts = "ipromptTokenCount\0rcachedContentTokenCount\0OcandidatesTokenCount\0"
               "hthoughtsTokenCount\0ttotalTokenCount\0"},
};

SHEAF__SHARING_BY(gemini, rules, 0)
