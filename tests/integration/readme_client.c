/* readme_client.c: the program of the README. test_readme_client.c compiles and runs what stands between the marks. */
/* BEGIN */
#include <sheaf/client.h>
#include <stdio.h>

int main(int argc, char **argv) {
  const char *prompts[] = {"Why is the sky blue?", "Name a river.", "Translate to French: bread"};
  sheaf_client_options options = SHEAF_CLIENT_OPTIONS_INIT;
  options.model = "gpt-4o-mini"; /* the key comes from OPENAI_API_KEY */
  options.base_url = argc > 1 ? argv[1] : NULL;
  sheaf_client *client = NULL;
  sheaf_batch *batch = NULL;
  int32_t status = sheaf_client_new(&options, &client);
  if (status == SHEAF_OK) status = sheaf_client_batch_prompts(client, prompts, 3, &batch);
  for (size_t i = 0; i < sheaf_batch_count(batch); i++) puts(sheaf_batch_text(batch, i));
  if (status != SHEAF_OK) fprintf(stderr, "%s\n", sheaf_status_text(status));
  sheaf_batch_free(batch);
  sheaf_client_free(client);
  return status == SHEAF_OK ? 0 : 1;
}
/* END */
