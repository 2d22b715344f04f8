/* json.h: the only door to cJSON, for documents the core itself interprets off the hot path (price tables, configs).
 *
 * cJSON's memory comes from its own process-wide hooks, and a parse writes a process-wide place of its own (the one
 * behind cJSON_GetErrorPtr): two threads should not parse at the same moment. Numbers are doubles. */
#ifndef SHEAF_JSON_H
#define SHEAF_JSON_H

#include <sheaf/buf.h>

struct cJSON;

/* A tree of the document, to be given to sheaf__json_delete; NULL on failure, which fills error (may be NULL):
 * SHEAF_E_TOO_LONG, SHEAF_E_NOMEM, SHEAF_E_UTF8, and what sheaf_json_check answers. */
struct cJSON *sheaf__json_parse(sheaf_slice text, size_t bytes_max, sheaf_parse_error *error);
void sheaf__json_delete(struct cJSON *tree); /* NULL is fine */

/* A member by its exact name, NULL if absent or if object is none; and its value in the shape wanted. */
const struct cJSON *sheaf__json_get(const struct cJSON *object, const char *key);
const char *sheaf__json_text(const struct cJSON *object,
                             const char *key); /* NULL if it is no string */
bool sheaf__json_number(const struct cJSON *object, const char *key, double *number);

#endif
