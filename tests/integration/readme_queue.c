/* readme_queue.c: the second program of the README, of which it shows the inside. test_readme_client.c runs it. */
#include <sheaf/client.h>
#include <stdio.h>

static void show(void *user, const sheaf_result *result) {
  printf("%s: %.*s\n", (const char *)user, (int)result->text.bytes, result->text.data);
}

int main(int argc, char **argv) {
  sheaf_client_options options = SHEAF_CLIENT_OPTIONS_INIT;
  options.model = "gpt-4o-mini";
  options.base_url = argc > 1 ? argv[1] : NULL;
  static char name[] = "urgent";
  void *user = name;
  sheaf_client *client = NULL;
  if (sheaf_client_new(&options, &client) != SHEAF_OK) return 1;
  /* BEGIN */
  sheaf_request request = SHEAF_REQUEST_INIT;
  sheaf_handle *handle = NULL;
  const sheaf_result *result = NULL;
  request.prompt = SHEAF_LITERAL("A name for a river");
  /* From any thread; both return at once. The second goes before others. */
  sheaf_client_send(client, &request, SHEAF_NEVER, &handle);
  sheaf_client_submit_urgent(client, &request, show, user, NULL);
  if (sheaf_handle_wait(handle, SHEAF_NEVER, &result) == SHEAF_OK && result->ok)
    printf("%.*s\n", (int)result->text.bytes, result->text.data);
  sheaf_handle_free(handle);
  /* END */
  sheaf_client_stop(client, SHEAF_NEVER); /* all that was handed over is answered */
  sheaf_client_free(client);
  return 0;
}
