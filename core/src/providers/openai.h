/* openai.h: the operations of OpenAI's API, shared by the files that build, read and stream them.
 */
#ifndef SHEAF_OPENAI_H
#define SHEAF_OPENAI_H

#include "providers/decoding.h"

enum {
  SHEAF__OPENAI_CHAT = 0,
  SHEAF__OPENAI_RESPONSES = 1,
  SHEAF__OPENAI_EMBEDDINGS = 2,
  SHEAF__OPENAI_COMPLETIONS = 3
};

int32_t sheaf__openai_build(const sheaf_provider *provider, const sheaf_build *build,
                            sheaf_call *call);
int32_t sheaf__openai_decode(const sheaf_provider *provider, const sheaf_reply *reply,
                             sheaf_buf *scratch, sheaf_decoded *decoded);
int32_t sheaf__openai_event(const sheaf_provider *provider, sheaf_slice event, sheaf_slice data,
                            sheaf_stream *stream);
int32_t sheaf__openai_tool_call(const sheaf_provider *provider, const sheaf_result *result,
                                uint32_t n, sheaf_tool_call *call);

/* Usage of chat, completions, embeddings and responses: the names differ, the meaning does not. */
void sheaf__openai_usage(sheaf_slice object, sheaf_usage *usage);
/* Joins the text of a response's output items; refusals where there is no text. False: output is no
 * array. */
bool sheaf__openai_output_text(sheaf__reading *reading, sheaf_slice output);
/* The verdict of a response by its status: class, finish reason. error and reason: values, may be
 * empty. worked: some text came before an error. */
void sheaf__openai_response_status(sheaf__reading *reading, sheaf_slice status, sheaf_slice error,
                                   sheaf_slice reason, bool worked);

#endif
