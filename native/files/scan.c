/* scan.c: what an earlier run left in the output: each whole line into the resume index.
 *
 * Nothing is changed here: a file is cut only when everything about it was found to be ours. A torn last line is cut; one
 * that lacks no more than its LF is whole, as a JSON object ends with its brace, and running its row again could
 * be billed again. */
#include "files_int.h"

#include <string.h>

static int32_t foreign(sheaf_files *files, uint64_t number) {
  return sheaf__say(
      &files->said, SHEAF_E_OTHER_RUN,
      "%s: line %llu is no result of sheaf; use another -o, or --no-resume to start over (the old "
      "file is kept as %s.bak)",
      files->output_name, (unsigned long long)number, files->output_name);
}

static int32_t damaged(sheaf_files *files, uint64_t number) {
  return sheaf__say(&files->said, SHEAF_E_CORRUPT,
                    "%s: line %llu is damaged; delete that line to run its row again, or use "
                    "--no-resume to start "
                    "over (the old file is kept as %s.bak)",
                    files->output_name, (unsigned long long)number, files->output_name);
}

static bool is_ours(sheaf_slice line) {
  sheaf_line_facts facts;
  return sheaf_line_facts_read(line, &facts) == SHEAF_OK && facts.has_sheaf;
}

static int32_t add(sheaf_files *files, const sheaf__text_line *line) {
  if (files->earlier_lines == 0 && !is_ours(line->text)) return foreign(files, line->number);
  int32_t status = sheaf_resume_add_line(files->resume, line->text, line->offset);
  if (status == SHEAF_OK) {
    files->earlier_lines++;
    return status;
  }
  if (status != SHEAF_E_NOMEM) return damaged(files, line->number);
  return sheaf__say(&files->said, status,
                    "%s: out of memory for its %llu lines and more; free some", files->output_name,
                    (unsigned long long)line->number);
}

static int32_t input_failed(sheaf_files *files, const sheaf__input *input, int32_t status) {
  if (status == SHEAF_E_TOO_LONG) return foreign(files, input->line + 1);
  return sheaf__say(&files->said, status, "%s: cannot be read: %s; use another -o",
                    files->output_name,
                    status == SHEAF_E_NOMEM ? "out of memory" : strerror(input->error));
}

int32_t sheaf__scan_output(sheaf_files *files, uint64_t *keep, bool *lacks_lf) {
  sheaf__input input;
  sheaf__text_line line;
  int32_t status;
  *keep = 0;
  *lacks_lf = false;
  sheaf__input_init(&input, files->output.fd, true, 0, 0);
  while ((status = sheaf__input_line(&input, &line)) == SHEAF_OK) {
    if (!line.whole && !is_ours(line.text)) {
      /* With no line and no log before it, this is some file that only looks like a torn one. */
      if (files->earlier_lines == 0 && files->runlog.earlier == NULL) status = foreign(files, 1);
      files->torn_bytes = line.text.bytes;
      break;
    }
    *lacks_lf = !line.whole;
    *keep = line.offset + line.text.bytes + (line.whole ? 1 : 0);
    if (sheaf__text_is_blank(line.text)) continue;
    status = add(files, &line);
    if (status != SHEAF_OK) break;
  }
  if (status == SHEAF_E_END) {
    status = SHEAF_OK;
  } else if (status != SHEAF_OK && files->said.text[0] == '\0') {
    status = input_failed(files, &input, status);
  }
  sheaf__input_deinit(&input);
  return status;
}
