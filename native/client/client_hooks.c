/* client_hooks.c: the caller's hooks between the engine and the caller. To the engine a row's user is our own record of it; the hooks
 * see what the request said, and the id that submit gave. */
#include "client_int.h"

static void show(sheaf_result *shown, const sheaf_result *result) {
  const sheaf__live *live = result->user;
  *shown = *result;
  if (live == NULL) return; /* a request of the engine's own */
  shown->user = live->whose.request_user;
  shown->index = live->list ? live->position : live->id;
}

static int32_t validate(void *ctx, const sheaf_result *result) {
  const sheaf_client *client = ctx;
  sheaf_result shown;
  show(&shown, result);
  return client->hooks.validate(client->hooks.ctx, &shown);
}

static int32_t fallback(void *ctx, const sheaf_result *failed, sheaf_slice *answer) {
  const sheaf_client *client = ctx;
  sheaf_result shown;
  show(&shown, failed);
  return client->hooks.fallback(client->hooks.ctx, &shown, answer);
}

/* It may change the request's user too: the result then shows the new one. */
static int32_t preprocess(void *ctx, sheaf_request *request, sheaf_slice *answer) {
  const sheaf_client *client = ctx;
  sheaf__live *live = request->user;
  if (live == NULL) return client->hooks.preprocess(client->hooks.ctx, request, answer);
  request->user = live->whose.request_user;
  int32_t status = client->hooks.preprocess(client->hooks.ctx, request, answer);
  live->whose.request_user = request->user;
  request->user = live;
  return status;
}

sheaf_hooks sheaf__hooks_for(sheaf_client *client) {
  return (sheaf_hooks){.struct_bytes = sizeof(sheaf_hooks),
                       .ctx = client,
                       .validate = client->hooks.validate ? validate : NULL,
                       .preprocess = client->hooks.preprocess ? preprocess : NULL,
                       .fallback = client->hooks.fallback ? fallback : NULL};
}
