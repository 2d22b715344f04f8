/* test_share_openai.c: merging for OpenAI and compatible servers: what may share, the one body,
 * items in whatever order, parts that read like a reply of one's own. Shapes: the API's reference,
 * as of 2026-11. */
#include "share_test.h"

#include "base/random.h"

enum { CHAT = 0, RESPONSES = 1, EMBEDDINGS = 2, COMPLETIONS = 3 };
enum { ALONE = SHEAF_SHARE_NONE, INPUTS = SHEAF_SHARE_INPUTS, PROMPTS = SHEAF_SHARE_PROMPTS };

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* ---- Traits ---- */

#define USER "'messages':[{'role':'user','content':'Hi'}]"

static const share_case cases[] = {
    /* embeddings: a string, strings, one input of tokens, several */
    {EMBEDDINGS, INPUTS, true, 1, 0, "'a'", "{'model':'m','input':'a'}"},
    {EMBEDDINGS, INPUTS, true, 2, 0, "['a','b']", "{'model':'m','input':['a','b']}"},
    {EMBEDDINGS, INPUTS, true, 1, 0, "['a']", "{'input':['a'],'model':'m'}"},
    {EMBEDDINGS, INPUTS, true, 1, 0, "[15, 27,3]", "{'model':'m','input':[15, 27,3]}"},
    {EMBEDDINGS, INPUTS, true, 2, 0, "[[1,2],[3]]", "{'model':'m','input':[[1,2],[3]]}"},
    {EMBEDDINGS, INPUTS, true, 3, 0, "[ 'a' , 'b,]' ,'\\'']",
     " {'input' : [ 'a' , 'b,]' ,'\\''] }\n"},
    {EMBEDDINGS, INPUTS, true, 1, 0, "'\\u00e9\\ud83d\\ude00\\n'",
     "{'input':'\\u00e9\\ud83d\\ude00\\n','encoding_format':'base64','dimensions':3,'user':'u','"
     "new':[{}]}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':''}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':[]}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':[[]]}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':['a','']}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':['a',[1]]}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':[[1],'a']}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':[1,'a']}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':['a',1]}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':[1.5]}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':[-1]}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':[[1],[2,null]]}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':null}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':{'text':'a'}}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m','input':[{'text':'a'}]}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'model':'m'}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'input':'a','input':'b'}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'input':'a','in\\u0070ut':'b'}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'input':'a'"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'input':"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'input':,"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'input'"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'input':["},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'input':['a\\"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'input':'a',}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'input':['a',,'b']}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "{'input':'\xff'}"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", "[]"},
    {EMBEDDINGS, ALONE, true, 0, 0, "", ""},
    /* completions: the same lists, and 0 for the same answer each time */
    {COMPLETIONS, INPUTS, false, 1, 0, "'a'", "{'model':'m','prompt':'a','max_tokens':5}"},
    {COMPLETIONS, INPUTS, true, 2, 0, "['a','b']",
     "{'prompt':['a','b'],'temperature':0,'n':1,'best_of':1}"},
    {COMPLETIONS, INPUTS, false, 2, 0, "[[1],[2]]",
     "{'prompt':[[1],[2]],'echo':false,'stream':false}"},
    {COMPLETIONS, INPUTS, false, 1, 0, "'a'",
     "{'prompt':'a','stop':['x'],'logprobs':2,'suffix':null,'n':null}"},
    {COMPLETIONS, ALONE, false, 0, 0, "", "{'prompt':'a','n':2}"},
    {COMPLETIONS, ALONE, false, 0, 0, "", "{'prompt':'a','best_of':2}"},
    {COMPLETIONS, ALONE, false, 0, 0, "", "{'prompt':'a','echo':true}"},
    {COMPLETIONS, ALONE, false, 0, 0, "", "{'prompt':'a','suffix':'b'}"},
    {COMPLETIONS, ALONE, false, 0, 0, "", "{'prompt':'a','stream':true}"},
    {COMPLETIONS, ALONE, true, 0, 0, "", "{'prompt':'a','seed':1,'temperature':0}"},
    {COMPLETIONS, ALONE, false, 0, 0, "", "{'prompt':'a','unheard_of':1}"},
    {COMPLETIONS, ALONE, false, 0, 0, "", "{'model':'m'}"},
    /* chats */
    {CHAT, PROMPTS, false, 1, 0, "Hi", "{'model':'m'," USER "}"},
    {CHAT, PROMPTS, false, 1, 7, "Hi", "{'model':'m'," USER ",'max_tokens':7}"},
    {CHAT, PROMPTS, false, 1, 9, "Hi", "{'max_completion_tokens':9,'model':'m'," USER "}"},
    {CHAT, PROMPTS, false, 1, 0, "Hi", "{" USER ",'max_tokens':null}"},
    {CHAT, PROMPTS, false, 1, 0, "\\'\\u00e9\\\\",
     "{'messages':[{'role':'system','content':'s'},{'content':'\\'\\u00e9\\\\','role':'user'}]}"},
    {CHAT, PROMPTS, false, 1, 0, "a]}",
     "{ 'messages' : [ {'role':'developer','content':''} , {'role':'us\\u0065r', 'content':'a]}'} "
     "] }"},
    {CHAT, PROMPTS, false, 1, 0, "Hi",
     "{" USER ",'stream':false,'n':1,'tools':[],'stop':null,'logprobs':false,'response_format':{'"
     "type':'text'},"
     "'tool_choice':null}"},
    {CHAT, PROMPTS, false, 1, 0, "Hi",
     "{" USER ",'response_format':null,'reasoning_effort':'low','top_p':0.5}"},
    /* the same answer each time: exactly 0, however it is written */
    {CHAT, PROMPTS, true, 1, 0, "Hi", "{" USER ",'temperature':0}"},
    {CHAT, PROMPTS, true, 1, 0, "Hi", "{" USER ",'temperature':-0}"},
    {CHAT, PROMPTS, true, 1, 0, "Hi", "{" USER ",'temperature':0.00}"},
    {CHAT, PROMPTS, true, 1, 0, "Hi", "{" USER ",'temperature':0e0}"},
    {CHAT, PROMPTS, true, 1, 0, "Hi", "{" USER ",'temperature':0.0E+5}"},
    {CHAT, PROMPTS, false, 1, 0, "Hi", "{" USER ",'temperature':0.01}"},
    {CHAT, PROMPTS, false, 1, 0, "Hi", "{" USER ",'temperature':1e-9}"},
    {CHAT, PROMPTS, false, 1, 0, "Hi", "{" USER ",'temperature':'0'}"},
    {CHAT, PROMPTS, false, 1, 0, "Hi", "{" USER ",'temperature':null}"},
    {CHAT, PROMPTS, false, 1, 0, "Hi", "{" USER ",'metadata':{'temperature':0}}"},
    {CHAT, ALONE, true, 0, 0, "", "{" USER ",'tools':[{}],'temperature':0}"},
    {CHAT, ALONE, true, 0, 0, "", "{'temperature':0,'messages':[1]}"},
    {CHAT, ALONE, true, 0, 0, "",
     "{" USER ",'temperature':0,'max_tokens':1,'max_completion_tokens':1}"},
    {CHAT, ALONE, false, 0, 0, "", "{" USER ",'temperature':1,'temperature':0}"},
    {CHAT, ALONE, false, 0, 0, "", "{" USER ",'temp\\u0065rature':1,'temperature':0}"},
    /* responses never share, but tell */
    {RESPONSES, ALONE, true, 0, 0, "", "{'input':'a','temperature':0.0,'tools':[{}]}"},
    {RESPONSES, ALONE, false, 0, 0, "", "{'input':'a'}"},
    {99, ALONE, false, 0, 0, "", "{'input':'a'}"},
};

static const char *const alone[] = {
    /* content that is not one plain text */
    "{'messages':[]}",
    "{'messages':{}}",
    "{'messages':'Hi'}",
    "{'messages':[{'role':'user','content':''}]}",
    "{'messages':[{'role':'user','content':null}]}",
    "{'messages':[{'role':'user','content':[{'type':'text','text':'Hi'}]}]}",
    "{'messages':[{'role':'user','content':'Hi','name':'bob'}]}",
    "{'messages':[{'role':'user','content':'Hi','content':'Ho'}]}",
    "{'messages':[{'role':'user'}]}",
    "{'messages':[{'role':'system','content':'s'}]}",
    "{'messages':[{'role':'assistant','content':'s'}]}",
    "{'messages':[{'role':'user','content':'Hi'},{'role':'user','content':'Ho'}]}",
    "{'messages':[{'role':'user','content':'Hi'},{'role':'assistant','content':'Ho'}]}",
    "{'messages':[{'role':'user','content':'Hi'},{'role':'system','content':'Ho'}]}",
    "{'messages':[{'role':'system','content':'s'},{'role':'system','content':'s'},{'role':'user','"
    "content':'Hi'}]}",
    "{'messages':[{'role':'system','content':['s']},{'role':'user','content':'Hi'}]}",
    "{'messages':[{'role':'user','content':'Hi'}],'messages':[]}",
    /* more than a text is asked for */
    "{" USER ",'tools':[{'type':'function'}]}",
    "{" USER ",'tool_choice':'auto'}",
    "{" USER ",'functions':[{}]}",
    "{" USER ",'function_call':'none'}",
    "{" USER ",'n':2}",
    "{" USER ",'n':'x'}",
    "{" USER ",'stream':true}",
    "{" USER ",'stream_options':{'include_usage':true}}",
    "{" USER ",'logprobs':true}",
    "{" USER ",'top_logprobs':2}",
    "{" USER ",'logit_bias':{'1':-100}}",
    "{" USER ",'response_format':{'type':'json_object'}}",
    "{" USER ",'response_format':{'type':'json_schema','json_schema':{}}}",
    "{" USER ",'response_format':{'type':'text','x':1}}",
    "{" USER ",'response_format':{}}",
    "{" USER ",'stop':'x'}",
    "{" USER ",'stop':['x']}",
    "{" USER ",'modalities':['text','audio']}",
    "{" USER ",'audio':{}}",
    "{" USER ",'prediction':{}}",
    "{" USER ",'web_search_options':{}}",
    "{" USER ",'guided_json':{}}",
    "{" USER ",'to\\u006fls':[{}]}",
    "{" USER ",'to\\u006fls':null}",
    /* caps that are none */
    "{" USER ",'max_tokens':0}",
    "{" USER ",'max_tokens':-1}",
    "{" USER ",'max_tokens':1.5}",
    "{" USER ",'max_tokens':'5'}",
    "{" USER ",'max_tokens':99999999999999999999}",
    /* no JSON */
    "{" USER,
    "{" USER "}}",
    "\a{" USER "}",
    "{" USER "} x",
    "{" USER ",}",
    "{'messages':[,{'role':'user','content':'Hi'}]}",
    "{'messages':[{'role':'user','content':'\xc3'}]}",
    "{'messages':[{'role':'user','content':'\n'}]}",
    "",
    "null",
    "'",
};

TEST(a_body_shares_only_what_is_one_of_its_kind) {
  share_check_cases("openai", cases, COUNT(cases));
  share_check_alone("openai", CHAT, false, alone, COUNT(alone));
}

TEST(inputs_have_the_ceilings_of_the_api) {
  share_test t;
  share_init(&t, "openai", INPUTS, EMBEDDINGS);
  sheaf_traits traits = share_traits(&t, EMBEDDINGS, "{'input':'a'}");
  CHECK_EQ(traits.inputs_max, 2048);
  CHECK_EQ(traits.tokens_max, 300000);
  for (int n = 2048; n <= 2049; n++) {
    sheaf_buf body;
    sheaf_buf_init(&body, &t.wire.allocator, 1 << 20);
    sheaf_buf_append_text(&body, "{\"input\":[\"a\"");
    for (int i = 1; i < n; i++) sheaf_buf_append_text(&body, ",\"a\"");
    sheaf_buf_append_text(&body, "]}");
    t.wire.provider->traits(t.wire.provider, EMBEDDINGS, sheaf_buf_slice(&body), &traits);
    CHECK_EQ(traits.share, n == 2048 ? INPUTS : ALONE);
    CHECK_EQ(traits.inputs, n == 2048 ? 2048 : 1);
    sheaf_buf_deinit(&body);
  }
  share_deinit(&t);
}

TEST(the_key_is_every_byte_but_what_is_ones_own) {
  share_test t;
  share_init(&t, "openai", INPUTS, EMBEDDINGS);
  uint64_t embedding = share_key(&t, EMBEDDINGS, "{'model':'m','input':'a','dimensions':3}");
  CHECK(share_key(&t, EMBEDDINGS, "{'model':'m','input':'other','dimensions':3}") == embedding);
  CHECK(share_key(&t, EMBEDDINGS, "{'model':'m','input':['b','c'],'dimensions':3}") == embedding);
  CHECK(share_key(&t, EMBEDDINGS, "{'model':'n','input':'a','dimensions':3}") != embedding);
  CHECK(share_key(&t, EMBEDDINGS, "{'model':'m','input':'a','dimensions':4}") != embedding);
  CHECK(share_key(&t, EMBEDDINGS, "{'model':'m','input':'a'}") != embedding);
  CHECK(share_key(&t, EMBEDDINGS, "{'input':'a','model':'m','dimensions':3}") != embedding);
  CHECK(share_key(&t, EMBEDDINGS, "{'model':'m','input':[1,2],'dimensions':3}") != embedding);
  CHECK(share_key(&t, EMBEDDINGS, "{'model':'m','input':[1,2],'dimensions':3}") ==
        share_key(&t, EMBEDDINGS, "{'model':'m','input':[[3],[4]],'dimensions':3}"));

  const char *with_cap = "{'model':'m','messages':[{'role':'user','content':'a'}],'max_tokens':5}";
  uint64_t chat = share_key(&t, CHAT, with_cap);
  CHECK(share_key(&t, CHAT,
                  "{'model':'m','messages':[{'role':'user','content':'bb'}],'max_tokens':5}") ==
        chat);
  CHECK(share_key(&t, CHAT,
                  "{'model':'m','messages':[{'role':'user','content':'a'}],'max_tokens':600}") ==
        chat);
  CHECK(share_key(
            &t, CHAT,
            "{'model':'m','messages':[{'role':'user','content':'a'}],'max_completion_tokens':5}") !=
        chat);
  CHECK(share_key(&t, CHAT,
                  "{'model':'m','messages':[{'role':'user','content':'a'}],'max_tokens':null}") !=
        chat);
  CHECK(share_key(&t, CHAT, "{'model':'m','messages':[{'role':'user','content':'a'}]}") != chat);
  CHECK(share_key(
            &t, CHAT,
            "{'model':'m','messages':[{'role':'user','content':'a'}],'seed':1,'max_tokens':5}") !=
        chat);
  /* a system text that differs, or text that moved between the system's and the user's */
  uint64_t system = share_key(
      &t, CHAT, "{'messages':[{'role':'system','content':'s'},{'role':'user','content':'a'}]}");
  CHECK(share_key(&t, CHAT,
                  "{'messages':[{'role':'system','content':'t'},{'role':'user','content':'a'}]}") !=
        system);
  CHECK(share_key(&t, CHAT,
                  "{'messages':[{'role':'system','content':''},{'role':'user','content':'sa'}]}") !=
        system);
  CHECK(share_key(
            &t, CHAT,
            "{'messages':[{'role':'developer','content':'s'},{'role':'user','content':'a'}]}") !=
        system);
  CHECK(share_key(&t, CHAT, "{'messages':[{'role':'user','content':'a'}]}") != system);
  /* a prompt of completions is no input of embeddings, and its cap is each one's own */
  CHECK(share_key(&t, COMPLETIONS, "{'prompt':'a','max_tokens':5}") !=
        share_key(&t, COMPLETIONS, "{'prompt':'a','max_tokens':6}"));
  share_deinit(&t);
}

TEST(the_builders_own_chats_share) {
  share_test t;
  sheaf_traits traits;
  share_init(&t, "openai", PROMPTS, CHAT);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = TEXT("say \"hi\"");
  request.system = TEXT("be\nbrief");
  request.model = TEXT("m");
  request.max_tokens = 12;
  request.params = TEXT("\"temperature\":0");
  CHECK_OK(wire_build(&t.wire, &request));
  t.wire.provider->traits(t.wire.provider, t.wire.call.operation, sheaf_buf_slice(&t.wire.body),
                          &traits);
  CHECK_EQ(traits.share, PROMPTS);
  CHECK_EQ(traits.output_cap, 12);
  CHECK(traits.deterministic);
  CHECK_TEXT(traits.own, "say \\\"hi\\\"");
  t.wire.stream = true;
  CHECK_OK(wire_build(&t.wire, &request));
  t.wire.provider->traits(t.wire.provider, t.wire.call.operation, sheaf_buf_slice(&t.wire.body),
                          &traits);
  CHECK_EQ(traits.share, ALONE);
  share_deinit(&t);
}

/* ---- The one body ---- */

TEST(inputs_are_joined_in_the_order_of_their_members) {
  share_test t;
  share_init(&t, "openai", INPUTS, EMBEDDINGS);
  share_add(&t, " {'model':'m','input': 'a\\n' ,'user':'u'}");
  share_add(&t, "{'model':'m','input': [ 'b', 'c' ] ,'user':'u'}");
  share_add(&t, "{'model':'m','input': ['\\u00e9\xc3\xa9'] ,'user':'u'}");
  CHECK_OK(share_write(&t));
  share_check(&t, sheaf_buf_slice(&t.body),
              "{'model':'m','input': ['a\\n', 'b', 'c' ,'\\u00e9\xc3\xa9'] ,'user':'u'}");
  share_without_memory(&t);
  share_deinit(&t);

  share_init(&t, "openai", INPUTS, EMBEDDINGS);
  share_add(&t, "{'input':[1,2]}");
  share_add(&t, "{'input':[[3],[4,5]]}");
  CHECK_OK(share_write(&t));
  share_check(&t, sheaf_buf_slice(&t.body), "{'input':[[1,2],[3],[4,5]]}");
  share_deinit(&t);

  share_init(&t, "openai", INPUTS, COMPLETIONS);
  share_add(&t, "{'prompt':'a','max_tokens':5}");
  share_add(&t, "{'prompt':['b'],'max_tokens':5}");
  CHECK_OK(share_write(&t));
  share_check(&t, sheaf_buf_slice(&t.body), "{'prompt':['a','b'],'max_tokens':5}");
  share_deinit(&t);
}

#define FORMAT                                                                             \
  "'response_format':{'type':'json_schema','json_schema':{'name':'answers','strict':true," \
  "'schema':{'type':'object'}}}"

TEST(prompts_become_one_chat_with_instructions_schema_and_cap) {
  static const struct {
    const char *bodies[2];
    int64_t cap;
    const char *shared;
  } calls[] = {
      {{"{'model':'m','messages':[{'role':'user','content':'a'}],'max_tokens':5,'seed':1}",
        "{'model':'m','messages':[{'role':'user','content':'b'}],'max_tokens':77,'seed':1}"},
       100,
       "{" FORMAT ",'model':'m','messages':[{'role':'system','content':'Do \\'all\\'.'},"
       "{'role':'user','content':'{\\'a\\':1}'}],'max_tokens':100,'seed':1}"},
      {{"{'max_completion_tokens': 5 ,'messages':[{'role':'developer','content':'s'},"
        "{'role':'user','content':'a'}]} ",
        "{'max_completion_tokens': 55 ,'messages':[{'role':'developer','content':'s'},"
        "{'role':'user','content':'bbb'}]} "},
       60,
       "{" FORMAT ",'max_completion_tokens': 60 ,'messages':[{'role':'developer',"
       "'content':'s\\n\\nDo \\'all\\'.'},{'role':'user','content':'{\\'a\\':1}'}]} "},
      {{"{'messages':[{'content':'a','role':'user'}],'response_format':null}",
        "{'messages':[{'content':'b','role':'user'}],'response_format':null}"},
       SHEAF_ABSENT,
       "{'messages':[{'role':'system','content':'Do "
       "\\'all\\'.'},{'content':'{\\'a\\':1}','role':'user'}]," FORMAT "}"},
      {{"{'messages':[{'role':'system','content':''},{'role':'user','content':'a'}]}",
        "{'messages':[{'role':'system','content':''},{'role':'user','content':'b'}]}"},
       9,
       "{" FORMAT ",'max_tokens':9,'messages':[{'role':'system','content':'Do \\'all\\'.'},"
       "{'role':'user','content':'{\\'a\\':1}'}]}"},
      {{"{" USER ",'max_tokens':5}", "{" USER ",'max_tokens':5}"},
       SHEAF_ABSENT,
       "{" FORMAT ",'messages':[{'role':'system','content':'Do \\'all\\'.'},"
       "{'role':'user','content':'{\\'a\\':1}'}],'max_tokens':null}"},
  };
  for (size_t i = 0; i < COUNT(calls); i++) {
    share_test t;
    share_init(&t, "openai", PROMPTS, CHAT);
    t.shared.output_cap = calls[i].cap;
    share_add(&t, calls[i].bodies[0]);
    share_add(&t, calls[i].bodies[1]);
    CHECK_OK(share_write(&t));
    CHECK_OK(sheaf_json_check(sheaf_buf_slice(&t.body), NULL));
    share_check(&t, sheaf_buf_slice(&t.body), calls[i].shared);
    share_without_memory(&t);
    share_deinit(&t);
  }
}

TEST(bodies_that_differ_do_not_share_whatever_their_keys_say) {
  static const struct {
    uint32_t share, operation;
    const char *bodies[2];
  } calls[] = {
      {INPUTS, EMBEDDINGS, {"{'model':'m','input':'a'}", "{'model':'n','input':'a'}"}},
      {INPUTS, EMBEDDINGS, {"{'model':'m','input':'a'}", "{'model':'m','input':[1]}"}},
      {INPUTS, EMBEDDINGS, {"{'model':'m','input':'a'}", "{'model':'m','input':''}"}},
      {PROMPTS, CHAT, {"{" USER ",'seed':1}", "{" USER ",'seed':2}"}},
      {PROMPTS, CHAT, {"{" USER "}", "{" USER ",'max_tokens':2}"}},
      {PROMPTS, EMBEDDINGS, {"{'input':'a'}", "{'input':'a'}"}},
  };
  for (size_t i = 0; i < COUNT(calls); i++) {
    share_test t;
    share_init(&t, "openai", calls[i].share, calls[i].operation);
    for (t.shared.count = 0; t.shared.count < 2; t.shared.count++) {
      t.bodies[t.shared.count] = share_text(&t, calls[i].bodies[t.shared.count]);
    }
    CHECK_STATUS(share_write(&t), SHEAF_E_FIELD);
    CHECK_EQ(t.body.bytes, 0);
    t.shared.count = 0;
    CHECK_STATUS(share_write(&t), SHEAF_E_FIELD);
    share_deinit(&t);
  }
}

/* ---- Items ---- */

static void add_inputs(share_test *t, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    share_add(t, t->shared.operation == COMPLETIONS ? "{'prompt':'a'}" : "{'input':'a'}");
  }
}

TEST(items_are_ordered_by_index) {
  share_test t;
  share_init(&t, "openai", INPUTS, EMBEDDINGS);
  add_inputs(&t, 3);
  CHECK_OK(share_items(
      &t,
      "\xef\xbb\xbf\n{'data':[ {'index':2,'embedding':[0.2]} , {'embedding':[0.0],'index':0},"
      "{'object':'embedding','embedding':'AAAA','index':1.0,'new':{'index':7}} ] }"));
  share_check(&t, t.items[0], "{'embedding':[0.0],'index':0}");
  share_check(&t, t.items[1],
              "{'object':'embedding','embedding':'AAAA','index':1.0,'new':{'index':7}}");
  share_check(&t, t.items[2], "{'index':2,'embedding':[0.2]}");
  share_deinit(&t);
}

TEST(a_list_with_anything_wrong_is_no_answer_to_anybody) {
  static const char *const lists[] = {
      "[]",
      "[{'index':0,'embedding':[1]}]",
      "[{'index':0,'embedding':[1]},{'index':0,'embedding':[1]}]",
      "[{'index':0,'embedding':[1]},{'index':2,'embedding':[1]}]",
      "[{'index':0,'embedding':[1]},{'index':-1,'embedding':[1]}]",
      "[{'index':0,'embedding':[1]},{'index':'1','embedding':[1]}]",
      "[{'index':0,'embedding':[1]},{'index':0.5,'embedding':[1]}]",
      "[{'index':0,'embedding':[1]},{'index':null,'embedding':[1]}]",
      "[{'index':0,'embedding':[1]},{'embedding':[1]}]",
      "[{'index':0,'embedding':[1]},{'index':0,'index':1,'embedding':[1]}]",
      "[{'index':0,'embedding':[1]},{'index':1}]",
      "[{'index':0,'embedding':[1]},{'index':1,'embedding':null}]",
      "[{'index':0,'embedding':[1]},{'index':1,'embedding':[]}]",
      "[{'index':0,'embedding':[1]},{'index':1,'embedding':''}]",
      "[{'index':0,'embedding':[1]},{'index':1,'embedding':1}]",
      "[{'index':0,'embedding':[1]},{'index':1,'embedding':[1],'embedding':[2]}]",
      "[{'index':0,'embedding':[1]},[1]]",
      "[{'index':0,'embedding':[1]},null]",
      "[{'index':0,'embedding':[1]},1]",
      "[{'index':0,'embedding':[1]},{'index':1,'embedding':[1]},{'index':2,'embedding':[1]}]",
      "[{'index':0,'embedding':[1]},{'index':1,'embedding':[1]},null]",
      "[{'index':0,'embedding':[1]},{'index':4294967296,'embedding':[1]}]",
      "{'0':{'index':0,'embedding':[1]},'1':{'index':1,'embedding':[1]}}",
      "null",
  };
  for (size_t i = 0; i < COUNT(lists); i++) {
    share_test t;
    char reply[300];
    share_init(&t, "openai", INPUTS, EMBEDDINGS);
    add_inputs(&t, 2);
    snprintf(reply, sizeof reply, "{'object':'list','data':%s,'model':'m'}", lists[i]);
    CHECK_STATUS(share_items(&t, reply), SHEAF_E_FIELD);
    share_deinit(&t);
  }
  static const char *const replies[] = {
      "", "{}", "[]", "{'data':[{'index':0,'embedding':[1]},{'index':1,'embedding':[1]}]",
      "{'error':{'message':'x'},'data':[{'index':0,'embedding':[1]},{'index':1,'embedding':[1]}]}"};
  for (size_t i = 0; i < COUNT(replies); i++) {
    share_test t;
    share_init(&t, "openai", INPUTS, EMBEDDINGS);
    add_inputs(&t, 2);
    CHECK_STATUS(share_items(&t, replies[i]), SHEAF_E_FIELD);
    share_deinit(&t);
  }
}

TEST(completions_are_found_by_their_choices) {
  share_test t;
  share_init(&t, "openai", INPUTS, COMPLETIONS);
  add_inputs(&t, 2);
  CHECK_OK(share_items(&t, "{'choices':[{'text':'b','index':1},{'text':'','index':0}]}"));
  share_check(&t, t.items[0], "{'text':'','index':0}");
  CHECK_STATUS(share_items(&t, "{'choices':[{'text':'b','index':1},{'text':null,'index':0}]}"),
               SHEAF_E_FIELD);
  CHECK_STATUS(share_items(&t, "{'choices':[{'text':'b','index':1},{'text':['x'],'index':0}]}"),
               SHEAF_E_FIELD);
  CHECK_STATUS(share_items(&t, "{'data':[{'text':'b','index':1},{'text':'','index':0}]}"),
               SHEAF_E_FIELD);
  share_deinit(&t);
}

/* ---- Parts ---- */

TEST(a_part_of_embeddings_reads_like_a_reply_of_its_own) {
  share_test t;
  share_init(&t, "openai", INPUTS, EMBEDDINGS);
  share_add(&t, "{'model':'m','input':['a','b']}");
  share_add(&t, "{'model':'m','input':'c'}");
  CHECK_OK(share_items(
      &t,
      "{'object':'list','data':[{'object':'embedding','index':1,'embedding':[1.50,-2e-3]},"
      "{'object':'embedding','index':2,'embedding':'AACAPw=='},"
      "{'object':'embedding','index':0,'embedding':[0]}],"
      "'model':'m-1','usage':{'prompt_tokens':9,'total_tokens':9},'id':'x'}"));
  CHECK_OK(share_part(&t, 0, 2, share_usage(5, 0)));
  share_check(&t, sheaf_buf_slice(&t.part),
              "{'object':'list','data':[{'object':'embedding','index':0,'embedding':[0]},"
              "{'object':'embedding','index':1,'embedding':[1.50,-2e-3]}],"
              "'model':'m-1','usage':{'prompt_tokens':5,'total_tokens':5},'id':'x'}");
  CHECK_OK(share_part(&t, 2, 1, share_usage(4, 0)));
  share_check(&t, sheaf_buf_slice(&t.part),
              "{'object':'list','data':[{'object':'embedding','index':0,'embedding':'AACAPw=='}],"
              "'model':'m-1','usage':{'prompt_tokens':4,'total_tokens':4},'id':'x'}");
  const sheaf_decoded *d = share_decode(&t);
  CHECK_TEXT(d->model, "m-1");
  CHECK_EQ(d->usage.input_total, 4);
  CHECK_EQ(d->usage.output_total, 0);
  share_deinit(&t);
}

TEST(usage_that_is_not_told_stays_untold) {
  static const struct {
    const char *told, *part;
    bool estimated;
    int64_t input;
  } replies[] = {
      {"", "", false, 3},
      {",'usage':null", ",'usage':null", false, 3},
      {",'usage':{}", ",'usage':null", false, NONE},
      {",'usage':{'prompt_tokens':6}", ",'usage':null", true, NONE},
      {",'usage':{'prompt_tokens':6}", ",'usage':{'prompt_tokens':3}", true,
       3}, /* a share is one */
      {",'usage':{'prompt_tokens':6}", ",'usage':{'prompt_tokens':3}", false, 3},
  };
  for (size_t i = 0; i < COUNT(replies); i++) {
    share_test t;
    char text[300];
    share_init(&t, "openai", INPUTS, EMBEDDINGS);
    add_inputs(&t, 2);
    snprintf(text, sizeof text,
             "{'data':[{'index':0,'embedding':[1]},{'index':1,'embedding':[2]}]%s}",
             replies[i].told);
    CHECK_OK(share_items(&t, text));
    sheaf_usage usage = share_usage(replies[i].input, NONE);
    usage.estimated = replies[i].estimated;
    CHECK_OK(share_part(&t, 1, 1, usage));
    snprintf(text, sizeof text, "{'data':[{'index':0,'embedding':[2]}]%s}", replies[i].part);
    share_check(&t, sheaf_buf_slice(&t.part), text);
    share_decode(&t);
    share_deinit(&t);
  }
}

TEST(a_part_of_completions_keeps_what_stands_beside_the_choices) {
  share_test t;
  share_init(&t, "openai", INPUTS, COMPLETIONS);
  add_inputs(&t, 2);
  CHECK_OK(
      share_items(&t,
                  "{'id':'cmpl-1','object':'text_completion','created':1,'model':'m','choices':["
                  "{'text':' b\\u00e9','index':1,'logprobs':null,'finish_reason':'length'},"
                  "{'text':'a','index':0,'logprobs':null,'finish_reason':'stop'}],"
                  "'usage':{'prompt_tokens':2,'completion_tokens':5,'total_tokens':7}}"));
  CHECK_OK(share_part(&t, 1, 1, share_usage(1, 4)));
  share_check(&t, sheaf_buf_slice(&t.part),
              "{'id':'cmpl-1','object':'text_completion','created':1,'model':'m','choices':["
              "{'text':' b\\u00e9','index':0,'logprobs':null,'finish_reason':'length'}],"
              "'usage':{'prompt_tokens':1,'completion_tokens':4,'total_tokens':5}}");
  const sheaf_decoded *d = share_decode(&t);
  CHECK_TEXT(d->text_json, " b\\u00e9");
  CHECK_TEXT(d->finish_reason, "length");
  CHECK_EQ(d->usage.output_total, 4);
  share_deinit(&t);
}

TEST(a_part_of_a_chat_holds_its_answer_and_the_calls_own_facts) {
  share_test t;
  share_init(&t, "openai", PROMPTS, CHAT);
  share_add(&t, "{" USER "}");
  sheaf_usage usage = share_usage(30, 12);
  usage.cache_read = 8;
  usage.reasoning = 2;
  CHECK_OK(share_answer(
      &t,
      "{'id':'chatcmpl-1','object':'chat.completion','created':7,'model':'m-1','choices':[{'index':"
      "0,"
      "'message':{'role':'assistant','content':'{\\'answers\\':[]}'},'finish_reason':'stop'}],"
      "'usage':{'prompt_tokens':60,'completion_tokens':24,'total_tokens':84},'service_tier':'flex'"
      "}",
      "Paris \\ud83d\\ude00\\n", usage));
  share_check(&t, sheaf_buf_slice(&t.part),
              "{'id':'chatcmpl-1','object':'chat.completion','created':7,'model':'m-1','choices':[{"
              "'index':0,"
              "'message':{'role':'assistant','content':'Paris \\ud83d\\ude00\\n','refusal':null},"
              "'logprobs':null,'finish_reason':'stop'}],"
              "'usage':{'prompt_tokens':30,'completion_tokens':12,'total_tokens':42,"
              "'prompt_tokens_details':{'cached_tokens':8},"
              "'completion_tokens_details':{'reasoning_tokens':2}},'service_tier':'flex'}");
  const sheaf_decoded *d = share_decode(&t);
  CHECK_TEXT(d->text_json, "Paris \\ud83d\\ude00\\n");
  CHECK_TEXT(d->finish_reason, "stop");
  CHECK_TEXT(d->model, "m-1");
  CHECK_EQ(d->usage.input_total, 30);
  CHECK_EQ(d->usage.output_total, 12);
  CHECK_EQ(d->usage.cache_read, 8);
  CHECK_EQ(d->usage.cache_write, NONE);
  CHECK_EQ(d->usage.reasoning, 2);
  /* a server that tells less */
  CHECK_OK(share_answer(&t, "{'choices':[{'message':{'content':'x'}}]}", "", share_usage(1, 1)));
  CHECK_TEXT(share_decode(&t)->text_json, "");
  CHECK_STATUS(share_answer(&t, "{'id':'x'}", "a", share_usage(1, 1)), SHEAF_E_FIELD);
  CHECK_STATUS(share_answer(&t, "[]", "a", share_usage(1, 1)), SHEAF_E_FIELD);
  CHECK_STATUS(share_answer(&t, "", "a", share_usage(1, 1)), SHEAF_E_FIELD);
  share_deinit(&t);
}

/* ---- All together ---- */

/* Writes the reply of a server that answers input "k" by [k.5], items in a drawn order. */
static void write_reply(sheaf_buf *out, uint32_t count, uint64_t seed) {
  uint32_t order[ITEMS_MAX];
  for (uint32_t i = 0; i < count; i++) {
    uint32_t j = (uint32_t)sheaf__draw(seed, i, SHEAF__DRAW_TEST, i, 1);
    order[i] = order[j];
    order[j] = i;
  }
  sheaf_buf_reset(out);
  sheaf_buf_append_text(out, "{\"object\":\"list\",\"data\":[");
  for (uint32_t i = 0; i < count; i++) {
    if (i > 0) sheaf_buf_append_text(out, ", ");
    sheaf_buf_append_text(out, "{\"object\":\"embedding\",\"index\":");
    sheaf_buf_append_u64(out, order[i]);
    sheaf_buf_append_text(out, ",\"embedding\":[");
    sheaf_buf_append_u64(out, order[i]);
    sheaf_buf_append_text(out, ".5]}");
  }
  sheaf_buf_append_text(out, "],\"model\":\"m\",\"usage\":{\"prompt_tokens\":");
  sheaf_buf_append_u64(out, 3 * (uint64_t)count);
  sheaf_buf_append_text(out, ",\"total_tokens\":");
  sheaf_buf_append_u64(out, 3 * (uint64_t)count);
  sheaf_buf_append_text(out, "}}");
}

/* The reply that a member with inputs first.. would have been given alone. */
static void write_lone(sheaf_buf *out, uint32_t first, uint32_t count) {
  sheaf_buf_reset(out);
  sheaf_buf_append_text(out, "{\"object\":\"list\",\"data\":[");
  for (uint32_t i = 0; i < count; i++) {
    if (i > 0) sheaf_buf_append_text(out, ",");
    sheaf_buf_append_text(out, "{\"object\":\"embedding\",\"index\":");
    sheaf_buf_append_u64(out, i);
    sheaf_buf_append_text(out, ",\"embedding\":[");
    sheaf_buf_append_u64(out, first + i);
    sheaf_buf_append_text(out, ".5]}");
  }
  sheaf_buf_append_text(out, "],\"model\":\"m\",\"usage\":{\"prompt_tokens\":");
  sheaf_buf_append_u64(out, 3 * (uint64_t)count);
  sheaf_buf_append_text(out, ",\"total_tokens\":");
  sheaf_buf_append_u64(out, 3 * (uint64_t)count);
  sheaf_buf_append_text(out, "}}");
}

/* Members with 1 to 5 inputs each, named by their place in the whole. */
static uint32_t draw_members(share_test *t, sheaf_buf *text, uint64_t seed) {
  uint32_t total = 0, members = 1 + (uint32_t)sheaf__draw(seed, 19, SHEAF__DRAW_TEST, 0, 2);
  for (uint32_t n = 0; n < members; n++) {
    uint32_t inputs = 1 + (uint32_t)sheaf__draw(seed, 4, SHEAF__DRAW_TEST, n, 3);
    bool is_list = inputs > 1 || sheaf__draw(seed, 1, SHEAF__DRAW_TEST, n, 4) == 1;
    sheaf_buf_reset(text);
    sheaf_buf_append_text(text, is_list ? "{'model':'m','input':[" : "{'model':'m','input':");
    for (uint32_t i = 0; i < inputs; i++) {
      if (i > 0) sheaf_buf_append_text(text, ",");
      sheaf_buf_append_text(text, "'");
      sheaf_buf_append_u64(text, total++);
      sheaf_buf_append_text(text, "'");
    }
    sheaf_buf_append(text, is_list ? "]}" : "}", is_list ? 3 : 2); /* and a zero */
    share_add(t, text->data);
    CHECK_EQ(t->traits[n].inputs, inputs);
  }
  return total;
}

TEST(parts_of_a_drawn_split_are_what_each_member_would_have_got_alone) {
  for (uint64_t seed = 1; seed <= 60; seed++) {
    share_test t;
    sheaf_buf text;
    share_init(&t, "openai", INPUTS, EMBEDDINGS);
    sheaf_buf_init(&text, &t.wire.allocator, 1 << 20);
    uint32_t total = draw_members(&t, &text, seed);
    CHECK_OK(share_write(&t));
    sheaf_traits whole;
    t.wire.provider->traits(t.wire.provider, EMBEDDINGS, sheaf_buf_slice(&t.body), &whole);
    CHECK_EQ(whole.inputs, total);
    CHECK(whole.key == t.traits[0].key);
    write_reply(&text, total, seed);
    sheaf_buf_append(&text, "", 1);
    CHECK_OK(share_items(&t, text.data));
    uint32_t first = 0;
    for (uint32_t n = 0; n < t.shared.count; first += t.traits[n++].inputs) {
      uint32_t inputs = t.traits[n].inputs;
      CHECK_OK(share_part(&t, first, inputs, share_usage(3 * (int64_t)inputs, 0)));
      write_lone(&text, first, inputs);
      CHECK(wire_same(sheaf_buf_slice(&t.part), sheaf_buf_slice(&text)));
      CHECK_EQ(share_decode(&t)->usage.input_total, 3 * (int64_t)inputs);
    }
    CHECK_EQ(first, total);
    sheaf_buf_deinit(&text);
    share_deinit(&t);
  }
}

int main(void) {
  RUN(a_body_shares_only_what_is_one_of_its_kind);
  RUN(inputs_have_the_ceilings_of_the_api);
  RUN(the_key_is_every_byte_but_what_is_ones_own);
  RUN(the_builders_own_chats_share);
  RUN(inputs_are_joined_in_the_order_of_their_members);
  RUN(prompts_become_one_chat_with_instructions_schema_and_cap);
  RUN(bodies_that_differ_do_not_share_whatever_their_keys_say);
  RUN(items_are_ordered_by_index);
  RUN(a_list_with_anything_wrong_is_no_answer_to_anybody);
  RUN(completions_are_found_by_their_choices);
  RUN(a_part_of_embeddings_reads_like_a_reply_of_its_own);
  RUN(usage_that_is_not_told_stays_untold);
  RUN(a_part_of_completions_keeps_what_stands_beside_the_choices);
  RUN(a_part_of_a_chat_holds_its_answer_and_the_calls_own_facts);
  RUN(parts_of_a_drawn_split_are_what_each_member_would_have_got_alone);
  return check_report();
}
