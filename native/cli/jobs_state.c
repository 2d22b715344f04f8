/* jobs_state.c: state files: opening one that is there, its notes, finding them by their names. */
#define _POSIX_C_SOURCE 200809L
#include "jobs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_END ".jobs.sqlite"

int jobs_state_open(const char *path, bool read_only, sheaf_jobs_store **store) {
  char message[1024] = "";
  sheaf_jobs_store_options options = SHEAF_JOBS_STORE_OPTIONS_INIT;
  if (access(path, F_OK) != 0)
    return cli_say("there is no state file %s: give the one that the run named", path),
           CLI_BAD_INPUT;
  options.path = path;
  options.read_only = read_only;
  int32_t status = sheaf_jobs_store_open(&options, store, message, sizeof message);
  if (status == SHEAF_OK) return CLI_OK;
  cli_say("%s", message[0] ? message : sheaf_status_text(status));
  return status == SHEAF_E_NOMEM || status == SHEAF_E_IO ? CLI_HOST : CLI_BAD_INPUT;
}

char *jobs_state_note(sheaf_jobs_store *store, const char *key) {
  sheaf_slice value;
  if (sheaf_jobs_store_get(store, key, &value) != SHEAF_OK) return NULL;
  char *text = malloc(value.bytes + 1);
  if (text == NULL) return NULL;
  if (value.bytes > 0) memcpy(text, value.data, value.bytes);
  text[value.bytes] = 0;
  return text;
}

/* ---- Finding them ---- */

static int is_state(const struct dirent *entry) {
  size_t bytes = strlen(entry->d_name), end = sizeof STATE_END - 1;
  return bytes > end && strcmp(entry->d_name + bytes - end, STATE_END) == 0;
}

int jobs_state_each(const char *folder, int (*fn)(void *user, const char *path), void *user) {
  struct dirent **names;
  int count = scandir(folder, &names, is_state, alphasort), answer = CLI_OK;
  if (count < 0) return cli_say("cannot read %s: %s", folder, strerror(errno)), CLI_BAD_INPUT;
  for (int i = 0; i < count; i++) {
    char path[8192];
    bool here = strcmp(folder, ".") == 0;
    snprintf(path, sizeof path, "%s%s%s", here ? "" : folder, here ? "" : "/", names[i]->d_name);
    if (answer == CLI_OK) answer = fn(user, path);
    free(names[i]);
  }
  free(names);
  return answer;
}

typedef struct found {
  char *path;
  size_t bytes;
  uint32_t count;
} found;

static int note_found(void *user, const char *path) {
  found *it = user;
  if (it->count++ == 0) snprintf(it->path, it->bytes, "%s", path);
  return CLI_OK;
}

int jobs_state_find(const cli_args *args, char *path, size_t bytes) {
  found it = {path, bytes, 0};
  if (args->state_count > 1) return cli_say("one --state at a time"), CLI_USAGE;
  if (args->state != NULL) {
    if (strlen(args->state) >= bytes) return cli_say("the name of --state is too long"), CLI_USAGE;
    snprintf(path, bytes, "%s", args->state);
    return CLI_OK;
  }
  int answer = jobs_state_each(".", note_found, &it);
  if (answer != CLI_OK || it.count == 1) return answer;
  cli_say("there %s %s file in this folder: give --state FILE",
          it.count ? "is more than one" : "is no", STATE_END);
  return CLI_USAGE;
}
