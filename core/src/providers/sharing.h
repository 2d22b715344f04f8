/* sharing.h: what the merging slots of the built-in providers share. A provider is a table of
 * rules; all that reads and writes by them is common.
 *
 * Outline: rules (what the members of a body mean, what a call adds to it, where a reply has its
 * answers and counts); the four slots. Everything here borrows and nothing allocates but in the
 * buffer given. */
#ifndef SHEAF_SHARING_H
#define SHEAF_SHARING_H

#include <sheaf/provider.h>

/* ---- Rules ---- */

/* What a member of a body means for sharing. A member that no rule names goes along where the rules
 * are open, and makes its body travel alone where they are not. */
enum {
  SHEAF__MEMBER_UNKNOWN,
  SHEAF__MEMBER_PLAIN,  /* goes along; equal bytes in all bodies, as the key sees to */
  SHEAF__MEMBER_OFF,    /* goes along if it is null, false or []: something asked for by default */
  SHEAF__MEMBER_ONE,    /* goes along if it is null or 1 */
  SHEAF__MEMBER_NEVER,  /* travels alone unless it is null */
  SHEAF__MEMBER_LIST,   /* the list of inputs. From here on each stands once at most */
  SHEAF__MEMBER_CHAT,   /* the messages */
  SHEAF__MEMBER_SYSTEM, /* the system's text, where it has a member of its own */
  SHEAF__MEMBER_NEST,   /* an object of options. Up to here: read inside */
  SHEAF__MEMBER_CAP,    /* the cap on output tokens */
  SHEAF__MEMBER_TEMPERATURE, /* 0: the same answer each time */
  SHEAF__MEMBER_FORMAT,      /* structured output: must not be asked for */
  SHEAF__MEMBER_STREAM,      /* must be false */
  SHEAF__MEMBER_TRUNCATE,    /* Ollama's word on what does not fit */
  SHEAF__MEMBER_SHIFT,
  SHEAF__MEMBER_COUNT
};

/* The same in a table of members, which is text: a role, then the names that have it, each ended by
 * a zero byte ("a\0b" gives two). A table is read from its beginning: common names come first. */
#define SHEAF__PLAIN(names) "\1" names "\0"
#define SHEAF__OFF(names) "\2" names "\0"
#define SHEAF__ONE(names) "\3" names "\0"
#define SHEAF__NEVER(names) "\4" names "\0"
#define SHEAF__LIST(names) "\5" names "\0"
#define SHEAF__CHAT(names) "\6" names "\0"
#define SHEAF__SYSTEM(names) "\7" names "\0"
#define SHEAF__NEST(names) "\10" names "\0"
#define SHEAF__CAP(names) "\11" names "\0"
#define SHEAF__TEMPERATURE(names) "\12" names "\0"
#define SHEAF__FORMAT(names) "\13" names "\0"
#define SHEAF__STREAM(names) "\14" names "\0"
#define SHEAF__TRUNCATE(names) "\15" names "\0"
#define SHEAF__SHIFT(names) "\16" names "\0"

/* How a chat is written. */
enum {
  SHEAF__CHAT_DEVELOPER = 1, /* {"role","content"}; the first may be of developer or system */
  SHEAF__CHAT_SYSTEM = 2,    /* of system alone */
  SHEAF__CHAT_USER = 3,      /* neither: the system's text is a string of its own */
  SHEAF__CHAT_PARTS = 4      /* {"role","parts":[{"text"}]}, the system's text as well */
};

/* What a call of several prompts has and its members may lack: in front of all others at its place.
 * Where the body has a member of this role, that stays, but a format's and a cap's value is
 * replaced. In texts $0 stands for the instructions, $1 for the schema, $# for the cap; without a
 * cap of the call none is added. */
enum { SHEAF__IN_BODY, SHEAF__IN_NEST, SHEAF__IN_CHAT };
typedef struct sheaf__addition {
  uint32_t role; /* 0 ends a list */
  uint32_t place;
  const char *text; /* "\"format\":$1"; of a value that is replaced, what follows the colon */
} sheaf__addition;

typedef struct sheaf__share_rules {
  uint32_t share;      /* SHEAF_SHARE_*: what a body of this operation may share at best */
  uint32_t chat;       /* SHEAF__CHAT_* */
  uint32_t needed;     /* 1 << role of members that must be there */
  uint32_t inputs_max; /* as in sheaf_traits */
  uint32_t tokens_max;
  bool open;            /* unknown members go along */
  bool deterministic;   /* whatever the body says */
  bool has_tokens;      /* inputs may be arrays of tokens */
  bool below_zero_caps; /* a cap below 0 means none (Ollama) */
  const char *members;  /* tables */
  const char *nested;   /* of the NEST member; closed if members are */
  const char *nest;     /* how that member begins: "\"options\":{" */
  const sheaf__addition *additions;
  /* Of a reply: the member that holds the answers, */
  const char *answers;
  const char *item;       /* INPUTS: an item's answer, beside its index; NULL: items are arrays */
  const char *answer;     /* PROMPTS: what stands instead, $0 being the answer's text, */
  const char *finish;     /* then this member of the first answer, if there is one, */
  const char *answer_end; /* then this; */
  /* and the one that holds the counts; NULL: they stand among the others. In the table of counts
   * each is a letter (count_of in sharing_reply.c) and a name, ended by a zero byte; { begins and }
   * ends an object of details. */
  const char *usage;
  const char *counts;
} sheaf__share_rules;

/* Text with what stands for the values ($0, $1, ...) and the number ($#). */
void sheaf__put_text(sheaf_buf *buf, const char *text, const sheaf_slice *values, int64_t number);

/* ---- The slots ---- */

void sheaf__share_traits(const sheaf__share_rules *rules, uint32_t operation, sheaf_slice body,
                         sheaf_traits *traits);
int32_t sheaf__share_write(const sheaf__share_rules *rules, const sheaf_shared *shared,
                           sheaf_buf *body);
int32_t sheaf__share_items(const sheaf__share_rules *rules, const sheaf_reply *reply,
                           sheaf_slice *items, uint32_t item_count);
int32_t sheaf__share_part(const sheaf__share_rules *rules, const sheaf_reply *reply,
                          const sheaf_part *part, sheaf_buf *body);

#define SHEAF__SHARING_SLOTS(provider)                                                            \
  void sheaf__##provider##_traits(const sheaf_provider *, uint32_t, sheaf_slice, sheaf_traits *); \
  int32_t sheaf__##provider##_share(const sheaf_provider *, const sheaf_shared *, sheaf_buf *);   \
  int32_t sheaf__##provider##_items(const sheaf_provider *, const sheaf_shared *,                 \
                                    const sheaf_reply *, sheaf_slice *, uint32_t);                \
  int32_t sheaf__##provider##_part(const sheaf_provider *, const sheaf_shared *,                  \
                                   const sheaf_reply *, const sheaf_part *, sheaf_buf *)
SHEAF__SHARING_SLOTS(openai);
SHEAF__SHARING_SLOTS(anthropic);
SHEAF__SHARING_SLOTS(gemini);
SHEAF__SHARING_SLOTS(ollama);

/* Defines them over an array of rules, by operation; an unknown one has those of `other`. */
#define SHEAF__SHARING_BY(provider, rules, other)                                           \
  static const sheaf__share_rules *find_rules(uint32_t operation) {                         \
    return &(rules)[operation < sizeof(rules) / sizeof(rules)[0] ? operation : (other)];    \
  }                                                                                         \
  void sheaf__##provider##_traits(const sheaf_provider *self, uint32_t operation,           \
                                  sheaf_slice body, sheaf_traits *traits) {                 \
    (void)self;                                                                             \
    sheaf__share_traits(find_rules(operation), operation, body, traits);                    \
  }                                                                                         \
  int32_t sheaf__##provider##_share(const sheaf_provider *self, const sheaf_shared *shared, \
                                    sheaf_buf *body) {                                      \
    (void)self;                                                                             \
    return sheaf__share_write(find_rules(shared->operation), shared, body);                 \
  }                                                                                         \
  int32_t sheaf__##provider##_items(const sheaf_provider *self, const sheaf_shared *shared, \
                                    const sheaf_reply *reply, sheaf_slice *items,           \
                                    uint32_t item_count) {                                  \
    (void)self;                                                                             \
    return sheaf__share_items(find_rules(shared->operation), reply, items, item_count);     \
  }                                                                                         \
  int32_t sheaf__##provider##_part(const sheaf_provider *self, const sheaf_shared *shared,  \
                                   const sheaf_reply *reply, const sheaf_part *part,        \
                                   sheaf_buf *body) {                                       \
    (void)self;                                                                             \
    return sheaf__share_part(find_rules(shared->operation), reply, part, body);             \
  }

#endif
