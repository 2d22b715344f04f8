/* messages.c: chat messages in OpenAI's shape, and what of them can be told to other providers.
 *
 * Outline: reading one message; checking all; walking; writing content and system text. Only text
 * travels: images, tool calls and anything unknown are refused, because a silent loss would change
 * the question. */
#include "providers/messages.h"

#include "base/mem.h"

#define TRANSLATE_HELP "give a body in the provider's own shape"

static const char not_translatable[] =
    "messages hold more than plain text (images, tools, names); " TRANSLATE_HELP;

static int role_of(sheaf_slice value) {
  if (sheaf_json_equals(value, "user")) return SHEAF__ROLE_USER;
  if (sheaf_json_equals(value, "assistant")) return SHEAF__ROLE_ASSISTANT;
  if (sheaf_json_equals(value, "system")) return SHEAF__ROLE_SYSTEM;
  if (sheaf_json_equals(value, "developer")) return SHEAF__ROLE_SYSTEM;
  return -1;
}

/* {"type":"text","text":"..."} and nothing else. */
static bool is_text_part(sheaf_slice part) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  bool has_type = false, has_text = false;
  if (sheaf_json_kind(part) != SHEAF_JSON_OBJECT) return false;
  if (sheaf_json_iter_init(&iter, part) != SHEAF_OK) return false;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (key.bytes == 4 && memcmp(key.data, "type", 4) == 0) {
      has_type = sheaf_json_equals(value, "text");
    } else if (key.bytes == 4 && memcmp(key.data, "text", 4) == 0) {
      has_text = sheaf_json_kind(value) == SHEAF_JSON_STRING;
    } else {
      return false;
    }
  }
  return has_type && has_text;
}

static bool is_text_content(sheaf_slice content) {
  sheaf_json_iter iter;
  sheaf_slice key, part;
  if (sheaf_json_kind(content) == SHEAF_JSON_STRING) return true;
  if (sheaf_json_kind(content) != SHEAF_JSON_ARRAY) return false;
  if (sheaf_json_iter_init(&iter, content) != SHEAF_OK) return false;
  while (sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK) {
    if (!is_text_part(part)) return false;
  }
  return true;
}

static bool read_message(sheaf_slice object, sheaf__message *message) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  int role = -1;
  *message = (sheaf__message){0};
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT) return false;
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return false;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (key.bytes == 4 && memcmp(key.data, "role", 4) == 0) {
      role = role_of(value);
    } else if (key.bytes == 7 && memcmp(key.data, "content", 7) == 0) {
      message->content = value;
    } else if (sheaf_json_kind(value) != SHEAF_JSON_NULL) {
      return false;
    }
  }
  if (role < 0 || !is_text_content(message->content)) return false;
  message->role = (uint32_t)role;
  return true;
}

static int32_t begin(sheaf_slice messages, sheaf_call *call, sheaf_json_iter *iter) {
  int32_t status = sheaf_json_check(messages, NULL);
  if (status != SHEAF_OK) {
    return sheaf__build_fail(call, status, "messages", "messages are not valid JSON");
  }
  while (messages.bytes > 0 && (unsigned char)messages.data[0] <= ' ') {
    messages = sheaf__slice_from(messages, 1);
  }
  if (sheaf_json_kind(messages) != SHEAF_JSON_ARRAY) {
    return sheaf__build_fail(call, SHEAF_E_TYPE, "messages", "messages must be a JSON array");
  }
  return sheaf_json_iter_init(iter, messages);
}

int32_t sheaf__messages_check(sheaf_slice messages, sheaf_call *call, bool *has_system) {
  sheaf_json_iter iter;
  sheaf_slice key, object;
  sheaf__message message;
  *has_system = false;
  int32_t status = begin(messages, call, &iter);
  if (status != SHEAF_OK) return status;
  while (sheaf_json_iter_next(&iter, &key, &object) == SHEAF_OK) {
    if (!read_message(object, &message)) {
      return sheaf__build_fail(call, SHEAF_E_FIELD, "messages", not_translatable);
    }
    if (message.role == SHEAF__ROLE_SYSTEM) *has_system = true;
  }
  return SHEAF_OK;
}

int32_t sheaf__messages_have_system(sheaf_slice messages, sheaf_call *call, bool *has_system) {
  sheaf_json_iter iter;
  sheaf_slice key, object;
  *has_system = false;
  int32_t status = begin(messages, call, &iter);
  if (status != SHEAF_OK) return status;
  while (sheaf_json_iter_next(&iter, &key, &object) == SHEAF_OK) {
    if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT) continue;
    if (role_of(sheaf_json_member(object, "role")) == SHEAF__ROLE_SYSTEM) *has_system = true;
  }
  return SHEAF_OK;
}

int32_t sheaf__message_next(sheaf_json_iter *iter, sheaf__message *message) {
  sheaf_slice key, object;
  int32_t status = sheaf_json_iter_next(iter, &key, &object);
  if (status != SHEAF_OK) return status;
  return read_message(object, message) ? SHEAF_OK : SHEAF_E_FIELD;
}

void sheaf__put_content_inside(sheaf_buf *buf, sheaf_slice content) {
  sheaf_json_iter iter;
  sheaf_slice key, part;
  if (sheaf_json_kind(content) == SHEAF_JSON_STRING) {
    sheaf_buf_append_slice(buf, sheaf_json_inside(content));
    return;
  }
  if (sheaf_json_iter_init(&iter, content) != SHEAF_OK) return;
  for (bool first = true; sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK; first = false) {
    if (!first) SHEAF__PUT(buf, "\\n");
    sheaf_buf_append_slice(buf, sheaf_json_inside(sheaf_json_member(part, "text")));
  }
}

void sheaf__put_system_string(sheaf_buf *buf, sheaf_slice messages) {
  sheaf_json_iter iter;
  sheaf__message message;
  bool first = true;
  SHEAF__PUT(buf, "\"");
  if (sheaf__messages_iter(messages, &iter) == SHEAF_OK) {
    while (sheaf__message_next(&iter, &message) == SHEAF_OK) {
      if (message.role != SHEAF__ROLE_SYSTEM) continue;
      if (!first) SHEAF__PUT(buf, "\\n\\n");
      first = false;
      sheaf__put_content_inside(buf, message.content);
    }
  }
  SHEAF__PUT(buf, "\"");
}

int32_t sheaf__messages_iter(sheaf_slice messages, sheaf_json_iter *iter) {
  while (messages.bytes > 0 && (unsigned char)messages.data[0] <= ' ') {
    messages = sheaf__slice_from(messages, 1);
  }
  return sheaf_json_iter_init(iter, messages);
}
