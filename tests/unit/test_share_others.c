/* test_share_others.c: merging for Anthropic, Gemini and Ollama: what may share, the one body with
 * instructions, schema and cap where each provider has them, lists of inputs for Ollama, and parts
 * that read like a reply of one's own. Shapes: the providers' references, as of 2026-11. */
#include "share_test.h"

enum { ALONE = SHEAF_SHARE_NONE, INPUTS = SHEAF_SHARE_INPUTS, PROMPTS = SHEAF_SHARE_PROMPTS };
enum { OLLAMA_CHAT = 0, OLLAMA_GENERATE = 1, OLLAMA_EMBED = 2 };

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* A call of two members and the one body that must come out. */
typedef struct call_case {
  const char *bodies[2];
  int64_t cap;
  const char *shared;
} call_case;

static void check_calls(const char *provider, uint32_t operation, const call_case *calls,
                        size_t count) {
  for (size_t i = 0; i < count; i++) {
    share_test t;
    int bad = check_bad;
    share_init(&t, provider, PROMPTS, operation);
    t.shared.output_cap = calls[i].cap;
    share_add(&t, calls[i].bodies[0]);
    share_add(&t, calls[i].bodies[1]);
    CHECK_OK(share_write(&t));
    CHECK_OK(sheaf_json_check(sheaf_buf_slice(&t.body), NULL));
    share_check(&t, sheaf_buf_slice(&t.body), calls[i].shared);
    share_without_memory(&t);
    share_deinit(&t);
    if (check_bad != bad) printf("  in call %zu\n", i);
  }
}

/* The short form of each provider, built and shared. */
static void check_built(const char *provider, const char *params, bool deterministic) {
  share_test t;
  sheaf_traits traits;
  share_init(&t, provider, PROMPTS, 0);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = TEXT("say \"hi\"");
  request.system = TEXT("be\nbrief");
  request.model = TEXT("m");
  request.max_tokens = 12;
  request.params = sheaf_slice_of(params);
  CHECK_OK(wire_build(&t.wire, &request));
  t.wire.provider->traits(t.wire.provider, t.wire.call.operation, sheaf_buf_slice(&t.wire.body),
                          &traits);
  CHECK_EQ(traits.share, PROMPTS);
  CHECK_EQ(traits.output_cap, 12);
  CHECK_EQ(traits.deterministic, deterministic);
  CHECK_TEXT(traits.own, "say \\\"hi\\\"");
  share_deinit(&t);
}

/* ---- Anthropic ---- */

#define CLAUDE "'model':'m','max_tokens':5,'messages':[{'role':'user','content':'Hi'}]"

static const share_case claude_cases[] = {
    {0, PROMPTS, false, 1, 5, "Hi", "{" CLAUDE "}"},
    {0, PROMPTS, true, 1, 5, "Hi", "{" CLAUDE ",'temperature':0.0,'system':'s'}"},
    {0, PROMPTS, false, 1, 5, "Hi",
     "{" CLAUDE ",'thinking':{'type':'adaptive'},'output_config':{'effort':'low'},'stream':false}"},
    {0, PROMPTS, false, 1, 5, "Hi",
     "{" CLAUDE ",'output_config':{},'stop_sequences':[],'top_k':3}"},
    {0, ALONE, true, 0, 0, "", "{" CLAUDE ",'temperature':0,'tools':[{'name':'x'}]}"},
    {0, ALONE, false, 0, 0, "", "{" CLAUDE ",'metadata':{'temperature':0},'x':{'temperature':0}}"},
};

static const char *const claude_alone[] = {
    "{'model':'m','messages':[{'role':'user','content':'Hi'}]}",
    "{'model':'m','max_tokens':0,'messages':[{'role':'user','content':'Hi'}]}",
    "{'max_tokens':5,'messages':[{'role':'user','content':[{'type':'text','text':'Hi'}]}]}",
    "{'max_tokens':5,'messages':[{'role':'system','content':'s'},{'role':'user','content':'Hi'}]}",
    "{'max_tokens':5,'messages':[{'role':'user','content':'Hi'},{'role':'assistant','content':'H'}]"
    "}",
    "{" CLAUDE ",'system':[{'type':'text','text':'s'}]}",
    "{" CLAUDE ",'system':null}",
    "{" CLAUDE ",'stream':true}",
    "{" CLAUDE ",'tools':[{'name':'x'}]}",
    "{" CLAUDE ",'tool_choice':{'type':'none'}}",
    "{" CLAUDE ",'stop_sequences':['x']}",
    "{" CLAUDE ",'output_config':{'format':{'type':'json_schema','schema':{}}}}",
    "{" CLAUDE ",'output_config':{'task_budget':{}}}",
    "{" CLAUDE ",'output_config':{'eff\\u006frt':'low'}}",
    "{" CLAUDE ",'output_config':null}",
    "{" CLAUDE ",'output_config':{},'output_config':{}}",
    "{" CLAUDE ",'container':'c'}",
    "{" CLAUDE ",'cache_control':{'type':'ephemeral'}}",
    "{" CLAUDE ",'mcp_servers':[]}",
};

static const call_case claude_calls[] = {
    {{"{" CLAUDE ",'top_k':3}",
      "{'model':'m','max_tokens':600,'messages':[{'role':'user','content':'Ho'}],'top_k':3}"},
     700,
     "{'output_config':{'format':{'type':'json_schema','schema':{'type':'object'}}},'system':'Do "
     "\\'all\\'.',"
     "'model':'m','max_tokens':700,'messages':[{'role':'user','content':'{\\'a\\':1}'}],'top_k':"
     "3}"},
    {{"{'system': 'be brief' ," CLAUDE ",'output_config':{'effort':'low'}}",
      "{'system': 'be brief' ," CLAUDE ",'output_config':{'effort':'low'}}"},
     10,
     "{'system': 'be brief\\n\\nDo \\'all\\'.' "
     ",'model':'m','max_tokens':10,'messages':[{'role':'user',"
     "'content':'{\\'a\\':1}'}],'output_config':{'format':{'type':'json_schema','schema':{'type':'"
     "object'}},"
     "'effort':'low'}}"},
    {{"{'system':''," CLAUDE ",'output_config':{ }}",
      "{'system':''," CLAUDE ",'output_config':{ }}"},
     10,
     "{'system':'Do \\'all\\'.','model':'m','max_tokens':10,'messages':[{'role':'user',"
     "'content':'{\\'a\\':1}'}],'output_config':{'format':{'type':'json_schema','schema':{'type':'"
     "object'}} }}"},
    {{"{" CLAUDE ",'output_config':{'format':null}}",
      "{" CLAUDE ",'output_config':{'format':null}}"},
     10,
     "{'system':'Do "
     "\\'all\\'.','model':'m','max_tokens':10,'messages':[{'role':'user','content':'{\\'a\\':1}'}],"
     "'output_config':{'format':{'type':'json_schema','schema':{'type':'object'}}}}"},
};

TEST(anthropic_shares_one_plain_text_under_one_system) {
  share_check_cases("anthropic", claude_cases, COUNT(claude_cases));
  share_check_alone("anthropic", 0, false, claude_alone, COUNT(claude_alone));
  check_built("anthropic", "\"temperature\":0", true);
  share_test t;
  share_init(&t, "anthropic", PROMPTS, 0);
  uint64_t key = share_key(&t, 0, "{" CLAUDE ",'system':'s'}");
  CHECK(share_key(&t, 0,
                  "{'model':'m','max_tokens':77,'messages':[{'role':'user','content':'x'}],'system'"
                  ":'s'}") == key);
  CHECK(share_key(&t, 0, "{" CLAUDE ",'system':'t'}") != key);
  CHECK(share_key(&t, 0, "{" CLAUDE "}") != key);
  CHECK(share_key(&t, 1, "{" CLAUDE ",'system':'s'}") != key); /* another operation */
  CHECK(share_key(&t, 0, "{" CLAUDE ",'system':'s','thinking':{'type':'disabled'}}") != key);
  share_deinit(&t);
}

TEST(anthropic_calls_hold_instructions_format_and_cap) {
  check_calls("anthropic", 0, claude_calls, COUNT(claude_calls));
  share_test t;
  share_init(&t, "anthropic", PROMPTS, 0);
  share_add(&t, "{" CLAUDE "}");
  CHECK_STATUS(share_write(&t), SHEAF_E_FIELD); /* the API takes no call without a cap */
  share_deinit(&t);
}

TEST(anthropic_parts_leave_thoughts_out_and_count_the_cache_apart) {
  share_test t;
  share_init(&t, "anthropic", PROMPTS, 0);
  share_add(&t, "{" CLAUDE "}");
  sheaf_usage usage = share_usage(30, 12);
  usage.cache_read = 20;
  usage.cache_write = 4;
  usage.reasoning = 3;
  CHECK_OK(share_answer(
      &t,
      "{'id':'msg_1','type':'message','role':'assistant','model':'m-1','content':["
      "{'type':'thinking','thinking':'hm','signature':'x'},{'type':'text','text':'{}'}],"
      "'stop_reason':'end_turn','stop_sequence':null,'usage':{'input_tokens':12,'output_tokens':24}"
      "}",
      "Paris\\n", usage));
  share_check(
      &t, sheaf_buf_slice(&t.part),
      "{'id':'msg_1','type':'message','role':'assistant','model':'m-1','content':["
      "{'type':'text','text':'Paris\\n'}],'stop_reason':'end_turn','stop_sequence':null,"
      "'usage':{'input_tokens':6,'cache_creation_input_tokens':4,'cache_read_input_tokens':20,"
      "'output_tokens':12,'output_tokens_details':{'thinking_tokens':3}}}");
  const sheaf_decoded *d = share_decode(&t);
  CHECK_TEXT(d->text_json, "Paris\\n");
  CHECK_TEXT(d->finish_reason, "end_turn");
  CHECK_TEXT(d->model, "m-1");
  CHECK_EQ(d->usage.input_total, 30);
  CHECK_EQ(d->usage.output_total, 12);
  CHECK_EQ(d->usage.cache_read, 20);
  CHECK_EQ(d->usage.cache_write, 4);
  CHECK_EQ(d->usage.reasoning, 3);
  CHECK_OK(share_answer(&t, "{'content':[],'usage':null}", "", share_usage(NONE, NONE)));
  share_check(&t, sheaf_buf_slice(&t.part), "{'content':[{'type':'text','text':''}],'usage':null}");
  CHECK_STATUS(share_answer(&t, "{'usage':{}}", "", usage), SHEAF_E_FIELD);
  /* there are no lists */
  sheaf_slice item;
  CHECK_STATUS(t.wire.provider->items(t.wire.provider, &t.shared, &t.reply, &item, 1),
               SHEAF_E_FIELD);
  share_deinit(&t);
}

/* ---- Gemini ---- */

#define GEMINI "'contents':[{'role':'user','parts':[{'text':'Hi'}]}]"

static const share_case gemini_cases[] = {
    {0, PROMPTS, false, 1, 0, "Hi", "{" GEMINI "}"},
    {0, PROMPTS, false, 1, 0, "a\\'", "{'contents': [ { 'parts' : [ { 'text' : 'a\\'' } ] } ] }"},
    {0, PROMPTS, true, 1, 8, "Hi",
     "{" GEMINI ",'systemInstruction':{'parts':[{'text':'s'}]},'generationConfig':{'temperature':0,"
     "'maxOutputTokens':8}}"},
    {0, PROMPTS, false, 1, 0, "Hi",
     "{" GEMINI ",'systemInstruction':{'role':'system','parts':[{'text':''}]},'generationConfig':{"
     "'responseMimeType':'text/plain','candidateCount':1,'thinkingConfig':{'thinkingBudget':0},"
     "'stopSequences':[],'maxOutputTokens':null},'safetySettings':[{}],'tools':[]}"},
    {0, PROMPTS, false, 1, 0, "Hi", "{" GEMINI ",'generationConfig':{}}"},
    {0, ALONE, true, 0, 0, "", "{'contents':[],'generationConfig':{'temperature':0,'x':1}}"},
    {0, ALONE, true, 0, 0, "", "{" GEMINI ",'tools':[{}],'generationConfig':{'temperature':-0.0}}"},
    {0, ALONE, false, 0, 0, "", "{" GEMINI ",'temperature':0}"},
    {0, ALONE, false, 0, 0, "",
     "{" GEMINI ",'generationConfig':{'temperature':0},'generationConfig':{}}"},
    {0, ALONE, false, 0, 0, "",
     "{" GEMINI ",'generationConfig':{'temperature':0},'generation\\u0043onfig':{}}"},
};

static const char *const gemini_alone[] = {
    "{'contents':[]}",
    "{'contents':{'parts':[{'text':'Hi'}]}}",
    "{'contents':[{'role':'user','parts':[{'text':''}]}]}",
    "{'contents':[{'role':'user','parts':[{'text':1}]}]}",
    "{'contents':[{'role':'user','parts':[{'text':'a'},{'text':'b'}]}]}",
    "{'contents':[{'role':'user','parts':[{'text':'a','thought':true}]}]}",
    "{'contents':[{'role':'user','parts':[{'inlineData':{}}]}]}",
    "{'contents':[{'role':'user','parts':[{}]}]}",
    "{'contents':[{'role':'user','parts':[]}]}",
    "{'contents':[{'role':'user'}]}",
    "{'contents':[{'role':'model','parts':[{'text':'a'}]}]}",
    "{'contents':[{'role':'user','parts':[{'text':'a'}],'parts':[{'text':'b'}]}]}",
    "{'contents':[{'parts':[{'text':'a'}]},{'parts':[{'text':'b'}]}]}",
    "{" GEMINI ",'systemInstruction':{'parts':[{'text':'s'},{'text':'t'}]}}",
    "{" GEMINI ",'systemInstruction':'s'}",
    "{" GEMINI ",'systemInstruction':{}}",
    "{" GEMINI ",'system_instruction':{'parts':[{'text':'s'}]}}",
    "{" GEMINI ",'tools':[{'googleSearch':{}}]}",
    "{" GEMINI ",'toolConfig':{}}",
    "{" GEMINI ",'cachedContent':'c'}",
    "{" GEMINI ",'generation_config':{}}",
    "{" GEMINI ",'generationConfig':null}",
    "{" GEMINI ",'generationConfig':{'responseMimeType':'application/json'}}",
    "{" GEMINI ",'generationConfig':{'responseSchema':{}}}",
    "{" GEMINI ",'generationConfig':{'responseJsonSchema':{}}}",
    "{" GEMINI ",'generationConfig':{'stopSequences':['x']}}",
    "{" GEMINI ",'generationConfig':{'candidateCount':2}}",
    "{" GEMINI ",'generationConfig':{'responseLogprobs':true}}",
    "{" GEMINI ",'generationConfig':{'responseModalities':['IMAGE']}}",
    "{" GEMINI ",'generationConfig':{'max_output_tokens':3}}",
    "{" GEMINI ",'generationConfig':{'maxOutputTokens':0}}",
};

#define JSON_ASKED "'responseMimeType':'application/json','responseJsonSchema':{'type':'object'}"

static const call_case gemini_calls[] = {
    {{"{" GEMINI "}", "{'contents':[{'role':'user','parts':[{'text':'Ho'}]}]}"},
     SHEAF_ABSENT,
     "{'generationConfig':{" JSON_ASKED
     "},'systemInstruction':{'parts':[{'text':'Do \\'all\\'.'}]},"
     "'contents':[{'role':'user','parts':[{'text':'{\\'a\\':1}'}]}]}"},
    {{"{" GEMINI "}", "{" GEMINI "}"},
     9,
     "{'generationConfig':{'maxOutputTokens':9," JSON_ASKED
     "},'systemInstruction':{'parts':[{'text':'Do \\'all\\'.'}]},"
     "'contents':[{'role':'user','parts':[{'text':'{\\'a\\':1}'}]}]}"},
    {{"{" GEMINI
      ",'systemInstruction':{'parts':[{'text':'s'}]},'generationConfig':{'maxOutputTokens':4}}",
      "{" GEMINI
      ",'systemInstruction':{'parts':[{'text':'s'}]},'generationConfig':{'maxOutputTokens':5}}"},
     20,
     "{'contents':[{'role':'user','parts':[{'text':'{\\'a\\':1}'}]}],'systemInstruction':{'parts':["
     "{'text':"
     "'s\\n\\nDo \\'all\\'.'}]},'generationConfig':{" JSON_ASKED ",'maxOutputTokens':20}}"},
    {{"{" GEMINI ",'generationConfig':{'maxOutputTokens':4}}",
      "{" GEMINI ",'generationConfig':{'maxOutputTokens':4}}"},
     SHEAF_ABSENT,
     "{'systemInstruction':{'parts':[{'text':'Do "
     "\\'all\\'.'}]},'contents':[{'role':'user','parts':[{'text':"
     "'{\\'a\\':1}'}]}],'generationConfig':{" JSON_ASKED ",'maxOutputTokens':null}}"},
    {{"{'generationConfig':{}," GEMINI "}", "{'generationConfig':{}," GEMINI "}"},
     9,
     "{'systemInstruction':{'parts':[{'text':'Do "
     "\\'all\\'.'}]},'generationConfig':{'maxOutputTokens':9," JSON_ASKED
     "},'contents':[{'role':'user','parts':[{'text':'{\\'a\\':1}'}]}]}"},
    {{"{'generationConfig':{'responseMimeType':'text/plain'}," GEMINI "}",
      "{'generationConfig':{'responseMimeType':'text/plain'}," GEMINI "}"},
     9,
     "{'systemInstruction':{'parts':[{'text':'Do "
     "\\'all\\'.'}]},'generationConfig':{'maxOutputTokens':9," JSON_ASKED
     "},'contents':[{'role':'user','parts':[{'text':'{\\'a\\':1}'}]}]}"},
};

TEST(gemini_shares_one_part_of_text) {
  share_check_cases("gemini", gemini_cases, COUNT(gemini_cases));
  share_check_alone("gemini", 0, false, gemini_alone, COUNT(gemini_alone));
  check_built("gemini", "\"temperature\":0e1", true);
  share_test t;
  share_init(&t, "gemini", PROMPTS, 0);
  uint64_t key = share_key(&t, 0, "{" GEMINI ",'generationConfig':{'maxOutputTokens':4,'seed':1}}");
  CHECK(share_key(&t, 0,
                  "{'contents':[{'role':'user','parts':[{'text':'other'}]}],"
                  "'generationConfig':{'maxOutputTokens':400,'seed':1}}") == key);
  CHECK(share_key(&t, 0, "{" GEMINI ",'generationConfig':{'maxOutputTokens':4,'seed':2}}") != key);
  CHECK(share_key(&t, 0, "{" GEMINI ",'generationConfig':{'seed':1}}") != key);
  CHECK(share_key(&t, 0,
                  "{'contents':[{'parts':[{'text':'Hi'}]}],'generationConfig':{'maxOutputTokens':4,"
                  "'seed':1}}") != key);
  share_deinit(&t);
}

TEST(gemini_calls_hold_instructions_schema_and_cap) {
  check_calls("gemini", 0, gemini_calls, COUNT(gemini_calls));
}

TEST(gemini_parts_count_thoughts_beside_the_answer) {
  share_test t;
  share_init(&t, "gemini", PROMPTS, 0);
  share_add(&t, "{" GEMINI "}");
  sheaf_usage usage = share_usage(30, 12);
  usage.cache_read = 20;
  usage.reasoning = 5;
  CHECK_OK(share_answer(&t,
                        "{'candidates':[{'content':{'parts':[{'text':'hm','thought':true},{'text':'"
                        "{}'}],'role':'model'},"
                        "'finishReason':'STOP','index':0}],'usageMetadata':{'promptTokenCount':60,'"
                        "totalTokenCount':84},"
                        "'modelVersion':'m-1','responseId':'r-1'}",
                        "Paris", usage));
  share_check(
      &t, sheaf_buf_slice(&t.part),
      "{'candidates':[{'content':{'role':'model','parts':[{'text':'Paris'}]},'finishReason':'STOP',"
      "'index':0}],"
      "'usageMetadata':{'promptTokenCount':30,'cachedContentTokenCount':20,'candidatesTokenCount':"
      "7,"
      "'thoughtsTokenCount':5,'totalTokenCount':42},'modelVersion':'m-1','responseId':'r-1'}");
  const sheaf_decoded *d = share_decode(&t);
  CHECK_TEXT(d->text_json, "Paris");
  CHECK_TEXT(d->finish_reason, "STOP");
  CHECK_TEXT(d->model, "m-1");
  CHECK_TEXT(d->request_id, "r-1");
  CHECK_EQ(d->usage.input_total, 30);
  CHECK_EQ(d->usage.output_total, 12);
  CHECK_EQ(d->usage.cache_read, 20);
  CHECK_EQ(d->usage.reasoning, 5);
  CHECK_OK(share_answer(&t, "{'candidates':[{}]}", "", usage));
  share_check(&t, sheaf_buf_slice(&t.part),
              "{'candidates':[{'content':{'role':'model','parts':[{'text':''}]},'index':0}]}");
  CHECK_STATUS(share_answer(&t, "{'promptFeedback':{'blockReason':'SAFETY'}}", "", usage),
               SHEAF_E_FIELD);
  share_deinit(&t);
}

/* ---- Ollama ---- */

#define LLAMA "'model':'m','messages':[{'role':'user','content':'Hi'}],'stream':false"

static const share_case ollama_cases[] = {
    {OLLAMA_CHAT, PROMPTS, false, 1, 0, "Hi", "{" LLAMA "}"},
    {OLLAMA_CHAT, PROMPTS, true, 1, 7, "Hi",
     "{" LLAMA ",'options':{'temperature':0,'num_predict':7,'num_ctx':8192}}"},
    {OLLAMA_CHAT, PROMPTS, false, 1, 0, "Hi",
     "{" LLAMA ",'options':{'num_predict':-1},'think':'low','keep_alive':-1}"},
    {OLLAMA_CHAT, PROMPTS, false, 1, 0, "Hi",
     "{" LLAMA ",'format':'','truncate':true,'shift':true,'tools':[],'options':{'stop':[]}}"},
    {OLLAMA_CHAT, ALONE, true, 0, 0, "", "{" LLAMA ",'format':'json','options':{'temperature':0}}"},
    {OLLAMA_CHAT, ALONE, false, 0, 0, "", "{" LLAMA ",'temperature':0}"},
    {OLLAMA_GENERATE, ALONE, true, 0, 0, "",
     "{'model':'m','prompt':'a','stream':false,'options':{'temperature':0}}"},
    {OLLAMA_GENERATE, ALONE, false, 0, 0, "", "{'model':'m','prompt':'a','stream':false}"},
    {OLLAMA_EMBED, INPUTS, true, 1, 0, "'a'", "{'model':'m','input':'a'}"},
    {OLLAMA_EMBED, INPUTS, true, 2, 0, "['a','b']",
     "{'model':'m','input':['a','b'],'truncate':false,'options':{'x':1}}"},
    {OLLAMA_EMBED, ALONE, true, 0, 0, "", "{'model':'m','input':[1,2]}"},
    {OLLAMA_EMBED, ALONE, true, 0, 0, "", "{'model':'m','input':[[1]]}"},
    {OLLAMA_EMBED, ALONE, true, 0, 0, "", "{'model':'m','input':''}"},
    {OLLAMA_EMBED, ALONE, true, 0, 0, "", "{'model':'m','input':['a','']}"},
    {OLLAMA_EMBED, ALONE, true, 0, 0, "", "{'model':'m','prompt':'a'}"},
    {9, ALONE, false, 0, 0, "", "{'input':'a'}"},
};

static const char *const ollama_alone[] = {
    /* the stream is on unless it is turned off */
    "{'model':'m','messages':[{'role':'user','content':'Hi'}]}",
    "{'model':'m','messages':[{'role':'user','content':'Hi'}],'stream':true}",
    "{'model':'m','messages':[{'role':'user','content':'Hi'}],'stream':null}",
    "{'model':'m','messages':[{'role':'user','content':'Hi','images':[]}],'stream':false}",
    "{'model':'m','messages':[{'role':'developer','content':'s'},{'role':'user','content':'Hi'}],'"
    "stream':false}",
    "{'model':'m','messages':[],'stream':false}",
    "{" LLAMA ",'format':'json'}",
    "{" LLAMA ",'format':{'type':'object'}}",
    "{" LLAMA ",'tools':[{}]}",
    "{" LLAMA ",'logprobs':true}",
    "{" LLAMA ",'options':{'stop':['x']}}",
    "{" LLAMA ",'options':{'num_predict':0}}",
    "{" LLAMA ",'options':{'num_predict':'5'}}",
    "{" LLAMA ",'options':{'s\\u0074op':['x']}}",
    "{" LLAMA ",'options':[]}",
    "{" LLAMA ",'unheard_of':1}",
};

#define CONTEXT "'truncate':false,'shift':false,"
#define ASKED                                   \
  "'messages':[{'role':'system','content':'Do " \
  "\\'all\\'.'},{'role':'user','content':'{\\'a\\':1}'}]"

static const call_case ollama_calls[] = {
    {{"{" LLAMA "}", "{'model':'m','messages':[{'role':'user','content':'Ho'}],'stream':false}"},
     SHEAF_ABSENT,
     "{" CONTEXT "'format':{'type':'object'},'model':'m'," ASKED ",'stream':false}"},
    {{"{" LLAMA ",'options':{'num_predict': 5 }}", "{" LLAMA ",'options':{'num_predict': 50 }}"},
     60,
     "{" CONTEXT "'format':{'type':'object'},'model':'m'," ASKED
     ",'stream':false,'options':{'num_predict': 60 }}"},
    {{"{" LLAMA ",'options':{'num_predict':-1}}", "{" LLAMA ",'options':{'num_predict':-1}}"},
     SHEAF_ABSENT,
     "{" CONTEXT "'format':{'type':'object'},'model':'m'," ASKED
     ",'stream':false,'options':{'num_predict':-1}}"},
    {{"{" LLAMA ",'options':{}}", "{" LLAMA ",'options':{}}"},
     6,
     "{" CONTEXT "'format':{'type':'object'},'model':'m'," ASKED
     ",'stream':false,'options':{'num_predict':6}}"},
    {{"{" LLAMA ",'format':null,'shift':true}", "{" LLAMA ",'format':null,'shift':true}"},
     6,
     "{'truncate':false,'options':{'num_predict':6},'model':'m'," ASKED
     ",'stream':false,'format':{'type':'object'},"
     "'shift':true}"},
    {{"{'messages':[{'role':'system','content':'s'},{'role':'user','content':'Hi'}],'stream':false,"
      "'truncate':false}",
      "{'messages':[{'role':'system','content':'s'},{'role':'user','content':'Ho'}],'stream':false,"
      "'truncate':false}"},
     SHEAF_ABSENT,
     "{'shift':false,'format':{'type':'object'},'messages':[{'role':'system','content':'s\\n\\nDo "
     "\\'all\\'.'},"
     "{'role':'user','content':'{\\'a\\':1}'}],'stream':false,'truncate':false}"},
};

TEST(ollama_shares_chats_that_do_not_stream_and_inputs) {
  share_check_cases("ollama", ollama_cases, COUNT(ollama_cases));
  share_check_alone("ollama", OLLAMA_CHAT, false, ollama_alone, COUNT(ollama_alone));
  check_built("ollama", "\"temperature\":0", true);
  share_test t;
  share_init(&t, "ollama", INPUTS, OLLAMA_EMBED);
  sheaf_traits traits = share_traits(&t, OLLAMA_EMBED, "{'input':'a'}");
  CHECK_EQ(traits.inputs_max, 0);
  CHECK_EQ(traits.tokens_max, 0);
  uint64_t key = share_key(&t, OLLAMA_CHAT, "{" LLAMA ",'options':{'num_predict':5}}");
  CHECK(share_key(&t, OLLAMA_CHAT, "{" LLAMA ",'options':{'num_predict':6}}") == key);
  CHECK(share_key(&t, OLLAMA_CHAT, "{" LLAMA ",'options':{'num_predict':-1}}") != key);
  CHECK(share_key(&t, OLLAMA_CHAT, "{" LLAMA ",'options':{'num_predict':5,'seed':1}}") != key);
  CHECK(share_key(&t, OLLAMA_CHAT, "{" LLAMA "}") != key);
  share_deinit(&t);
}

TEST(ollama_calls_refuse_to_lose_a_prompt) {
  check_calls("ollama", OLLAMA_CHAT, ollama_calls, COUNT(ollama_calls));
}

TEST(ollama_embeddings_go_by_their_place) {
  share_test t;
  share_init(&t, "ollama", INPUTS, OLLAMA_EMBED);
  share_add(&t, "{'model':'m','input':'a'}");
  share_add(&t, "{'model':'m','input':['b','c']}");
  CHECK_OK(share_write(&t));
  share_check(&t, sheaf_buf_slice(&t.body), "{'model':'m','input':['a','b','c']}");
  CHECK_OK(share_items(&t,
                       "{'model':'m-1','embeddings':[[0.1] , "
                       "[0.2,1e-3],\n[0.3]],'total_duration':9,'load_duration':1,"
                       "'prompt_eval_count':7}"));
  CHECK_OK(share_part(&t, 0, 1, share_usage(2, 0)));
  share_check(&t, sheaf_buf_slice(&t.part),
              "{'model':'m-1','embeddings':[[0.1]],'total_duration':9,'load_duration':1,'prompt_"
              "eval_count':2}");
  CHECK_OK(share_part(&t, 1, 2, share_usage(5, 0)));
  share_check(&t, sheaf_buf_slice(&t.part),
              "{'model':'m-1','embeddings':[[0.2,1e-3],[0.3]],'total_duration':9,'load_duration':1,"
              "'prompt_eval_count':5}");
  const sheaf_decoded *d = share_decode(&t);
  CHECK_TEXT(d->model, "m-1");
  CHECK_EQ(d->usage.input_total, 5);
  CHECK_EQ(d->usage.output_total, 0);
  CHECK_EQ(d->server_ns, 9);
  /* a count that was not told stays untold, one that is not known is not made up */
  CHECK_OK(share_items(&t, "{'embeddings':[[1],[2],[3]]}"));
  CHECK_OK(share_part(&t, 0, 1, share_usage(2, 0)));
  share_check(&t, sheaf_buf_slice(&t.part), "{'embeddings':[[1]]}");
  CHECK_OK(share_items(&t, "{'embeddings':[[1],[2],[3]],'prompt_eval_count':7}"));
  CHECK_OK(share_part(&t, 0, 1, share_usage(NONE, NONE)));
  share_check(&t, sheaf_buf_slice(&t.part), "{'embeddings':[[1]],'prompt_eval_count':null}");
  CHECK_EQ(share_decode(&t)->usage.input_total, NONE);
  share_deinit(&t);
}

TEST(ollama_embeddings_that_are_not_as_many_as_the_inputs_are_nobodys) {
  static const char *const replies[] = {
      "{'embeddings':[]}",
      "{'embeddings':[[1]]}",
      "{'embeddings':[[1],[2],[3]]}",
      "{'embeddings':[[1],[]]}",
      "{'embeddings':[[1],null]}",
      "{'embeddings':[[1],{'0':1}]}",
      "{'embeddings':[[1],'x']}",
      "{'embeddings':[[1],[2],null]}",
      "{'embeddings':null}",
      "{'embeddings':{'0':[1],'1':[2]}}",
      "{'embedding':[[1],[2]]}",
      "{'embeddings':[[1],[2]],'error':'x'}",
      "{'embeddings':[[1],[2]]",
      "[[1],[2]]",
      "",
  };
  for (size_t i = 0; i < COUNT(replies); i++) {
    share_test t;
    share_init(&t, "ollama", INPUTS, OLLAMA_EMBED);
    share_add(&t, "{'input':'a'}");
    share_add(&t, "{'input':'b'}");
    CHECK_STATUS(share_items(&t, replies[i]), SHEAF_E_FIELD);
    share_deinit(&t);
  }
}

TEST(ollama_parts_keep_the_durations_of_the_call) {
  share_test t;
  share_init(&t, "ollama", PROMPTS, OLLAMA_CHAT);
  share_add(&t, "{" LLAMA "}");
  CHECK_OK(share_answer(
      &t,
      "{'model':'m-1','created_at':'x','message':{'role':'assistant','content':'{}','thinking':'hm'"
      "},"
      "'done':true,'done_reason':'stop','total_duration':90,'prompt_eval_count':40,'eval_count':20,"
      "'eval_duration':50}",
      "Paris\\u0021", share_usage(21, 9)));
  share_check(
      &t, sheaf_buf_slice(&t.part),
      "{'model':'m-1','created_at':'x','message':{'role':'assistant','content':'Paris\\u0021'},"
      "'done':true,'done_reason':'stop','total_duration':90,'prompt_eval_count':21,'eval_count':9,"
      "'eval_duration':50}");
  const sheaf_decoded *d = share_decode(&t);
  CHECK_TEXT(d->text_json, "Paris\\u0021");
  CHECK_TEXT(d->finish_reason, "stop");
  CHECK_EQ(d->usage.input_total, 21);
  CHECK_EQ(d->usage.output_total, 9);
  CHECK_EQ(d->server_ns, 90);
  CHECK_EQ(d->generation_ns, 50);
  CHECK_STATUS(share_answer(&t, "{'response':'x'}", "a", share_usage(1, 1)), SHEAF_E_FIELD);
  share_deinit(&t);
}

/* ---- All ---- */

TEST(every_provider_offers_all_four_slots) {
  for (uint32_t n = 0; sheaf_provider_at(n); n++) {
    const sheaf_provider *provider = sheaf_provider_at(n);
    CHECK(provider->traits != NULL && provider->share != NULL);
    CHECK(provider->items != NULL && provider->part != NULL);
  }
}

TEST(a_part_that_memory_fails_says_so) {
  share_test t;
  share_init(&t, "anthropic", PROMPTS, 0);
  share_add(&t, "{" CLAUDE "}");
  for (uint64_t n = 1; n < 50; n++) {
    sheaf_buf_deinit(&t.part);
    t.wire.memory.calls = 0;
    t.wire.memory.fail_at = n;
    int32_t status = share_answer(&t, "{'id':'msg_1','content':[],'usage':{'input_tokens':1}}", "a",
                                  share_usage(1, 1));
    bool reached = t.wire.memory.calls >= n;
    t.wire.memory.fail_at = 0;
    CHECK_STATUS(status, reached ? SHEAF_E_NOMEM : SHEAF_OK);
    if (!reached) break;
  }
  share_deinit(&t);
}

int main(void) {
  RUN(anthropic_shares_one_plain_text_under_one_system);
  RUN(anthropic_calls_hold_instructions_format_and_cap);
  RUN(anthropic_parts_leave_thoughts_out_and_count_the_cache_apart);
  RUN(gemini_shares_one_part_of_text);
  RUN(gemini_calls_hold_instructions_schema_and_cap);
  RUN(gemini_parts_count_thoughts_beside_the_answer);
  RUN(ollama_shares_chats_that_do_not_stream_and_inputs);
  RUN(ollama_calls_refuse_to_lose_a_prompt);
  RUN(ollama_embeddings_go_by_their_place);
  RUN(ollama_embeddings_that_are_not_as_many_as_the_inputs_are_nobodys);
  RUN(ollama_parts_keep_the_durations_of_the_call);
  RUN(every_provider_offers_all_four_slots);
  RUN(a_part_that_memory_fails_says_so);
  return check_report();
}
