/* sharing.h: what the merging slots of the built-in providers share: reading what a final body may
 * share, writing one body for several, finding and writing parts of one reply.
 *
 * Outline: rules (tables that say what each member of a body means); the outline of a body; edits
 * of a body; the one body; items; parts; the slots. Everything here borrows and nothing allocates
 * but in the buffer given. */
#ifndef SHEAF_SHARING_H
#define SHEAF_SHARING_H

#include <sheaf/provider.h>

/* ---- Rules ---- */

/* What a member of a body means for sharing. A member that no rule names goes along where the rules
 * are open, and makes its body travel alone where they are not. */
enum {
  SHEAF__MEMBER_PLAIN,  /* goes along; equal bytes in all bodies, as the key sees to */
  SHEAF__MEMBER_OFF,    /* goes along if it is null, false or []: something asked for by default */
  SHEAF__MEMBER_ONE,    /* goes along if it is null or 1 */
  SHEAF__MEMBER_NEVER,  /* travels alone unless it is null */
  SHEAF__MEMBER_LIST,   /* the list of inputs. From here on each stands once at most */
  SHEAF__MEMBER_CHAT,   /* the user's text */
  SHEAF__MEMBER_SYSTEM, /* the system's text, where it has a member of its own */
  SHEAF__MEMBER_NEST,   /* an object of options with rules of its own. Up to here: read inside */
  SHEAF__MEMBER_CAP,    /* the cap on output tokens */
  SHEAF__MEMBER_TEMPERATURE, /* 0: the same answer each time */
  SHEAF__MEMBER_FORMAT,      /* structured output: must not be asked for */
  SHEAF__MEMBER_STREAM,      /* must be false */
  SHEAF__MEMBER_TRUNCATE,    /* Ollama's word on what does not fit */
  SHEAF__MEMBER_SHIFT,
  SHEAF__MEMBER_COUNT
};

typedef struct sheaf__member_rule {
  const char *name;
  uint32_t bytes;
  uint32_t role;
} sheaf__member_rule;
#define SHEAF__MEMBER(name, role) \
  { (name), sizeof(name) - 1, SHEAF__MEMBER_##role }

struct sheaf__outline;
struct sheaf__cursor;

typedef struct sheaf__share_rules {
  uint32_t share;       /* SHEAF_SHARE_*: what a body of this operation may share at best */
  uint32_t needed;      /* 1 << role of members that must be there */
  uint32_t inputs_max;  /* as in sheaf_traits */
  bool open;            /* unknown members go along */
  bool deterministic;   /* whatever the body says */
  bool has_tokens;      /* inputs may be arrays of tokens */
  bool below_zero_caps; /* a cap below 0 means none (Ollama) */
  uint64_t tokens_max;
  const sheaf__member_rule *members;
  size_t member_count;
  const sheaf__member_rule *nested; /* of the NEST member; its own are closed if these are */
  size_t nested_count;
  /* Take a value and fill own or system; false: the body travels alone. NULL where there is no such
   * member. */
  bool (*read_chat)(struct sheaf__outline *outline, struct sheaf__cursor *cursor);
  bool (*read_system)(struct sheaf__outline *outline, struct sheaf__cursor *cursor);
} sheaf__share_rules;

/* ---- The outline of a body ---- */

typedef struct sheaf__outline {
  uint32_t share;
  uint32_t inputs;
  uint32_t seen;  /* 1 << role of the members that are there */
  bool is_list;   /* INPUTS: several inputs, or one in an array of its own */
  bool is_tokens; /* INPUTS: as tokens */
  bool is_twice;  /* a member that may stand once stands twice */
  bool is_odd;    /* what the last of two members says, or one under another spelling, may count */
  bool deterministic;
  int64_t output_cap;
  sheaf_slice body;                        /* from its brace */
  sheaf_slice own;                         /* as in sheaf_traits */
  sheaf_slice system;                      /* inside of a JSON string; data NULL: there is none */
  sheaf_slice values[SHEAF__MEMBER_COUNT]; /* of the roles that stand once at most */
} sheaf__outline;

/* Reads a body; what is not shareable has share NONE. The document is not checked: of broken JSON
 * the outline is nonsense, but within its bounds. */
void sheaf__outline_read(const sheaf__share_rules *rules, sheaf_slice body,
                         sheaf__outline *outline);
/* The traits slot. */
void sheaf__share_traits(const sheaf__share_rules *rules, uint32_t operation, sheaf_slice body,
                         sheaf_traits *traits);

/* A place in a document, moved over every byte once. Of bytes that are no JSON it makes nonsense,
 * but always moves on and never past the end. */
typedef struct sheaf__cursor {
  const char *at;
  /* Side by side, compilers load both at once, which waits for the store of `at` just before: a
   * quarter of the time that traits take (gcc 12 on x86-64). */
  uint64_t apart;
  const char *end;
} sheaf__cursor;

/* Steps behind an opening bracket; false: there is none here. */
bool sheaf__cursor_enter(sheaf__cursor *cursor, char bracket);
/* Whether another element or member comes; steps behind the closing bracket if not. */
bool sheaf__cursor_more(sheaf__cursor *cursor, char bracket);
/* The next value whole. */
sheaf_slice sheaf__cursor_value(sheaf__cursor *cursor);
/* The inside of a key, up to its value. */
sheaf_slice sheaf__cursor_key(sheaf__cursor *cursor);

/* A chat of at most one system message, where its role is one of those named, and one user message,
 * both {"role","content"} of plain text and nothing else. */
bool sheaf__share_chat(sheaf__outline *outline, sheaf__cursor *cursor, const char *const *roles,
                       size_t role_count);

/* ---- One body for several ---- */

/* A place of the first member's body where bytes are taken out and others put in. */
typedef struct sheaf__edit {
  const char *at;
  size_t removed;
  sheaf_slice pieces[3];
  int64_t number; /* between the first piece and the second; SHEAF_ABSENT: none */
} sheaf__edit;

#define SHEAF__EDITS_MAX 12
typedef struct sheaf__edits {
  uint32_t count;
  sheaf__edit list[SHEAF__EDITS_MAX];
} sheaf__edits;

sheaf__edit *sheaf__edit_add(sheaf__edits *edits, const char *at, size_t removed);
/* In front of all other members of an object: text, number, text, all but the last optional. */
void sheaf__edit_first(sheaf__edits *edits, sheaf_slice object, sheaf_slice text, int64_t number,
                       sheaf_slice behind);

/* The outline of the first member, once all of them are found to agree with it. SHEAF_E_FIELD. */
int32_t sheaf__share_agree(const sheaf__share_rules *rules, const sheaf_shared *shared,
                           sheaf__outline *first);
/* The one body of INPUTS. */
int32_t sheaf__share_inputs(const sheaf__share_rules *rules, const sheaf_shared *shared,
                            sheaf_buf *body);
/* What every provider edits for PROMPTS: the user's text, the system's where there is one, and the
 * cap where there is one. */
void sheaf__share_prompts(const sheaf__outline *first, const sheaf_shared *shared,
                          sheaf__edits *edits);
/* The body with all edits made. */
int32_t sheaf__share_write(const sheaf__outline *first, sheaf__edits *edits, sheaf_buf *body);

/* ---- One reply for several ---- */

/* The list of a checked 2xx reply without an error; SHEAF_E_FIELD. */
int32_t sheaf__items_list(const sheaf_reply *reply, const char *name, sheaf_slice *list);
/* The items slot of a provider whose calls take no lists. */
int32_t sheaf__items_none(const sheaf_provider *provider, const sheaf_shared *shared,
                          const sheaf_reply *reply, sheaf_slice *items, uint32_t item_count);

/* A part under way, as its writers see it. */
typedef struct sheaf__parting {
  const sheaf_shared *shared;
  const sheaf_part *part;
  sheaf_slice reply; /* the document */
  sheaf_buf *body;
} sheaf__parting;

/* Writes the value that takes the place of one of the reply's. */
typedef struct sheaf__part_rule {
  const char *name;
  void (*write)(const sheaf__parting *parting, sheaf_slice value);
} sheaf__part_rule;

/* The reply member for member, those with a rule rewritten; the first rule's must be there. */
int32_t sheaf__part_write(const sheaf_shared *shared, const sheaf_reply *reply,
                          const sheaf_part *part, const sheaf__part_rule *rules, size_t rule_count,
                          sheaf_buf *body);
/* True if usage is to be rewritten; else it has been copied: a value that is no object, or null
 * where nothing is known of the member's share. */
bool sheaf__part_usage(const sheaf__parting *parting, sheaf_slice value);
/* ,"name":count unless absent; and the rest of a count after parts of it, absent if it is. */
void sheaf__part_count(sheaf_buf *body, const char *name, int64_t count);
int64_t sheaf__part_rest(int64_t count, int64_t a, int64_t b);

/* ---- The slots ---- */

#define SHEAF__SHARING_SLOTS(provider)                                                            \
  void sheaf__##provider##_traits(const sheaf_provider *, uint32_t, sheaf_slice, sheaf_traits *); \
  int32_t sheaf__##provider##_share(const sheaf_provider *, const sheaf_shared *, sheaf_buf *);   \
  int32_t sheaf__##provider##_part(const sheaf_provider *, const sheaf_shared *,                  \
                                   const sheaf_reply *, const sheaf_part *, sheaf_buf *)
SHEAF__SHARING_SLOTS(openai);
SHEAF__SHARING_SLOTS(anthropic);
SHEAF__SHARING_SLOTS(gemini);
SHEAF__SHARING_SLOTS(ollama);
int32_t sheaf__openai_items(const sheaf_provider *provider, const sheaf_shared *shared,
                            const sheaf_reply *reply, sheaf_slice *items, uint32_t item_count);
int32_t sheaf__ollama_items(const sheaf_provider *provider, const sheaf_shared *shared,
                            const sheaf_reply *reply, sheaf_slice *items, uint32_t item_count);

#endif
