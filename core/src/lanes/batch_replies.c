/* batch_replies.c: what a reply does to a job.
 *
 * The one question that matters: may the create call be made again? A refusal says yes. Silence does
 * not: then the provider's list is asked, three times over at least a minute, for a job may show up
 * late. Outline: calls that prepare; create; poll; cancel and results; the list. */
#include "lanes/batch_lane.h"

#include "base/mem.h"
#include "wire/http.h"

#define LOST_MAX 10u  /* polls in a row that find no job before it counts as gone */
#define GONE_TRIES 8u /* tries of a results file that is not there: it may be late */
#define FULL_WAIT_NS \
  (60 * SHEAF__BATCH_SECOND) /* too much is queued already: asked again after this */
#define CANCEL_WAIT_NS (15 * 60 * SHEAF__BATCH_SECOND) /* OpenAI cancels for up to 10 minutes */
#define CLOCK_SKEW_MS INT64_C(300000)                  /* between the provider's clock and ours */
#define FAR_MS INT64_C(90000000) /* 25 h: no job of before is ours, however clocks were set */
#define ROUNDS_MIN 3u
#define ROUNDS_NS (60 * SHEAF__BATCH_SECOND)
#define ROUND_WAIT_NS (30 * SHEAF__BATCH_SECOND)
#define PAGES_MAX 100u
#define CREATES_MAX 6u /* that came to nothing */
#define FRESH_TRIES \
  4u /* of a create call that is refused: a file may be seen seconds after its upload */

/* ---- What a failure is ---- */

static bool is_good(const sheaf__lane_input *in) {
  return in->reply != NULL && in->reply->http_status >= 200 && in->reply->http_status < 300 &&
         in->decoded->error_class == SHEAF_CLASS_NONE;
}

static bool is_of_the_key(const sheaf_decoded *d) {
  return d->error_class == SHEAF_CLASS_AUTH || d->error_class == SHEAF_CLASS_QUOTA;
}

/* Another try of the same call may do. */
static bool is_passing(const sheaf_decoded *d) {
  switch (d->error_class) {
    case SHEAF_CLASS_RATE_LIMIT:
    case SHEAF_CLASS_OVERLOADED:
    case SHEAF_CLASS_TIMEOUT:
    case SHEAF_CLASS_SERVER:
    case SHEAF_CLASS_CANCELLED:
    case SHEAF_CLASS_INVALID_RESPONSE:
    case SHEAF_CLASS_UNKNOWN:
    case SHEAF_CLASS_INTERNAL: return true;
    case SHEAF_CLASS_NETWORK: return d->retryable;
    default: return false;
  }
}

static bool is_missing(const sheaf__lane_input *in) {
  return in->decoded->error_class == SHEAF_CLASS_NOT_FOUND ||
         (in->reply != NULL && in->reply->http_status == 404);
}

/* Left as it is, for a later run. */
static void leave(sheaf__batch *b, const char *why, const sheaf__lane_input *in) {
  sheaf__batch_say(b, why, in->decoded->error_message);
  sheaf__batch_go(b, SHEAF__STAGE_PARK);
}

/* The job will never be: its rows are as if it had not been tried. */
static void fail(sheaf__batch *b, const char *why, sheaf_slice message) {
  sheaf__batch_say(b, why, message);
  sheaf__batch_end(b, SHEAF_JOB_FAILED_STATE);
}

static void note(sheaf__batch *b, sheaf__stage after) {
  sheaf__batch_go(b, SHEAF__STAGE_NOTE);
  b->after = after;
  b->news_due = true;
}

static int32_t read(sheaf__batch *b, uint32_t step, const sheaf_reply *reply,
                    sheaf_job_news *news) {
  sheaf_job_facts facts;
  sheaf__batch_facts(b, &facts);
  sheaf_job_news_init(news);
  sheaf_buf_reset(&b->scratch);
  int32_t status = b->setup->api->read(b->setup->api, step, &facts, reply, &b->scratch, news);
  return status ? status : b->scratch.status;
}

static bool keep(sheaf_buf *to, sheaf_slice text) {
  sheaf_buf_reset(to);
  bool ok = sheaf_buf_append_slice(to, text) == SHEAF_OK;
  if (!ok) sheaf_buf_reset(to);
  return ok;
}

/* ---- Begin and upload: they cost nothing, so they are tried again whatever happened ---- */

static void on_upload(sheaf__batch *b, const sheaf__lane_input *in) {
  sheaf_job_news news;
  bool begins = b->stage == SHEAF__STAGE_BEGIN;
  if (is_good(in)) {
    int32_t status = read(b, begins ? SHEAF_JOB_BEGIN : SHEAF_JOB_UPLOAD, in->reply, &news);
    sheaf_slice wanted = begins ? news.upload : news.file;
    if (status == SHEAF_OK && wanted.bytes && keep(begins ? &b->upload : &b->file, wanted)) {
      sheaf__batch_go(b, begins ? SHEAF__STAGE_UPLOAD : SHEAF__STAGE_FILE);
      return;
    }
  } else if (is_of_the_key(in->decoded)) {
    leave(b, "the provider refused the key while the rows were uploaded", in);
    return;
  } else if (!is_passing(in->decoded) && in->decoded->error_class != SHEAF_CLASS_NONE) {
    fail(b, "the provider refused the upload", in->decoded->error_message);
    return;
  }
  if (b->upload.bytes) { /* an upload that broke off begins anew, at a new address */
    b->stage = SHEAF__STAGE_BEGIN;
    sheaf_buf_reset(&b->upload);
  }
  if (!sheaf__batch_again(b, in->decoded->retry_after_ns))
    leave(b, "the rows could not be uploaded", in);
}

/* ---- Create ---- */

/* There is no job, and the records say so: a later run need not look for it. */
static void leave_prepared(sheaf__batch *b, const char *why, const sheaf__lane_input *in) {
  sheaf__batch_say(b, why, in->decoded->error_message);
  b->state = SHEAF_JOB_PREPARED_STATE;
  note(b, SHEAF__STAGE_PARK);
}

static void on_create(sheaf__batch *b, const sheaf__lane_input *in) {
  const sheaf_decoded *d = in->decoded;
  if (is_good(in)) {
    sheaf_job_news news;
    if (read(b, SHEAF_JOB_CREATE, in->reply, &news) == SHEAF_OK && news.job.bytes &&
        keep(&b->candidate, news.job)) {
      sheaf__batch_created(b, false);
      return;
    }
  }
  /* Not one that may have left the work running, nor one that there was no memory to read. */
  bool refused = in->reply != NULL && in->reply->http_status >= 400 &&
                 in->reply->http_status < 500 && d->billing <= SHEAF_BILLING_REFUSED &&
                 d->error_class != SHEAF_CLASS_INTERNAL;
  if (!refused && d->billing != SHEAF_BILLING_NOT_SENT) { /* it may exist: the list tells */
    b->rounds = 0;
    sheaf__batch_wait(b, 2 * SHEAF__BATCH_SECOND, SHEAF__STAGE_LIST);
    b->tries = 0;
    return;
  }
  b->is_unknown = false;
  if (is_of_the_key(d)) {
    leave_prepared(b, "the provider refused the key when the job was created", in);
  } else if (is_passing(d) || (refused && in->reply->http_status == 409) ||
             (b->file.bytes && b->tries < FRESH_TRIES)) {
    uint32_t tries = b->tries;
    b->stage = SHEAF__STAGE_INTENT;
    b->tries = tries;
    if (!sheaf__batch_again(b, d->retry_after_ns))
      leave_prepared(b, "the job could not be created", in);
  } else {
    fail(b, "the provider refused the job", d->error_message);
  }
}

/* ---- Poll ---- */

/* The provider says that it is over: what it is worth, rows tell. */
static void collect(sheaf__batch *b, const sheaf_job_news *news) {
  if (b->state == SHEAF_JOB_FAILED_STATE && !news->output.bytes && !news->errors.bytes) {
    note(b, SHEAF__STAGE_REST);
  } else if (news->results.bytes) {
    if (!keep(&b->inline_results, news->results)) {
      sheaf__batch_poll_later(b, SHEAF_NEVER); /* without memory now: later */
      return;
    }
    note(b, SHEAF__STAGE_INLINE);
  } else {
    note(b, SHEAF__STAGE_OUTPUT);
  }
}

/* Failed because too much was queued already, and nothing ran: created again when there may be room. */
static void create_later(sheaf__batch *b) {
  sheaf_buf_reset(&b->job);
  b->state = SHEAF_JOB_SUBMITTING_STATE;
  b->created_unix_ms = SHEAF_ABSENT;
  b->deadline_ns = SHEAF_NEVER;
  sheaf__batch_wait(b, FULL_WAIT_NS, SHEAF__STAGE_INTENT);
}

static void take_news(sheaf__batch *b, const sheaf_job_news *news) {
  bool changed =
      news->state != b->state || news->completed != b->completed || news->failed != b->failed;
  b->news_due |= changed;
  if (news->state != SHEAF_JOB_UNKNOWN_STATE) b->state = news->state;
  b->total = news->total;
  b->completed = news->completed;
  b->failed = news->failed;
  if (news->error_message.bytes || news->error_code.bytes)
    sheaf__batch_say(b, "the provider says",
                     news->error_message.bytes ? news->error_message : news->error_code);
}

/* Whether rows that ran have their results, by the way the job ended. */
static bool gives_results(const sheaf__batch *b) {
  return b->state == SHEAF_JOB_COMPLETED_STATE ||
         (b->setup->api->traits.flags & SHEAF_JOBS_PARTIAL) != 0;
}

static void on_poll_news(sheaf__batch *b, const sheaf__lane_input *in, const sheaf_job_news *news) {
  uint32_t mode = (uint32_t)b->setup->options->batch_mode;
  uint32_t before = b->state;
  uint64_t hint = sheaf__retry_after_ns(in->reply->headers, b->unix_ms);
  take_news(b, news);
  bool terminal = sheaf__batch_is_terminal(b->state);
  if (terminal && (!keep(&b->output, news->output) || !keep(&b->errors, news->errors))) {
    sheaf__batch_poll_later(b, hint);
    return;
  }
  if (mode == SHEAF_BATCH_STATUS || mode == SHEAF_BATCH_CANCEL)
    note(b, SHEAF__STAGE_PARK); /* rows are a later run's, which has somewhere to put them */
  else if (terminal && b->state == SHEAF_JOB_FAILED_STATE && news->is_full && !b->is_unwanted)
    mode == SHEAF_BATCH_RUN ? create_later(b) : note(b, SHEAF__STAGE_PARK);
  else if (terminal && news->completed > 0 && b->output.bytes + news->results.bytes == 0 &&
           gives_results(b)) {
    if (!sheaf__batch_again(b, hint)) /* shown late: they are paid for */
      leave(b, "the job is over, but its results are not shown", in);
  } else if (terminal)
    collect(b, news);
  else if (mode == SHEAF_BATCH_COLLECT || mode == SHEAF_BATCH_SUBMIT)
    note(b, SHEAF__STAGE_PARK);
  else if (b->cancelled_ns && b->now_ns - b->cancelled_ns > CANCEL_WAIT_NS) {
    b->is_incomplete = true; /* it may still run and be billed */
    note(b, SHEAF__STAGE_REST);
  } else if (b->state != before) {
    sheaf__batch_poll_later(b, hint);
    /* The note first; then the wait goes on where it stood. */
    b->note_after_ns = b->due_ns;
    note(b, SHEAF__STAGE_WAIT);
  } else {
    sheaf__batch_poll_later(b, hint);
  }
}

static void on_poll(sheaf__batch *b, const sheaf__lane_input *in) {
  sheaf_job_news news;
  if (is_good(in) && read(b, SHEAF_JOB_POLL, in->reply, &news) == SHEAF_OK) {
    b->lost = 0;
    on_poll_news(b, in, &news);
    return;
  }
  if (is_of_the_key(in->decoded)) {
    leave(b, "the provider refused the key when the job was asked for", in);
  } else if (is_missing(in) && ++b->lost >= LOST_MAX) {
    leave(b, "the provider does not know the job: a wrong key or address? Abandon it to give it up",
          in);
  } else if (b->setup->options->batch_mode >= SHEAF_BATCH_SUBMIT) {
    if (!sheaf__batch_again(b, in->decoded->retry_after_ns))
      leave(b, "the provider could not be asked", in);
  } else {
    b->tries = 0;
    sheaf__batch_poll_later(b, in->decoded->retry_after_ns);
  }
}

static void on_cancel(sheaf__batch *b, const sheaf__lane_input *in) {
  if (!is_good(in) && is_of_the_key(in->decoded)) {
    leave(b, "the provider refused the key when the job was cancelled", in);
    return;
  }
  /* Not found: a young job may not be seen yet. */
  if (!is_good(in) && (is_passing(in->decoded) || is_missing(in)) &&
      sheaf__batch_again(b, in->decoded->retry_after_ns))
    return;
  if (b->cancelled_ns == 0) {
    b->cancelled_ns = b->now_ns ? b->now_ns : 1;
    b->poll_ns = 0; /* asked often again */
  }
  sheaf__batch_go(b, SHEAF__STAGE_POLL); /* a refusal means that it is over already, as a rule */
}

/* ---- Results ---- */

static void on_results(sheaf__batch *b, const sheaf__lane_input *in) {
  if (is_good(in) && in->reply->http_status == 200) { /* of no other were the lines handed on */
    sheaf__lines_end(&b->lines);
    b->has_lines_left = true;
    b->lost = 0;
    return;
  }
  const sheaf_decoded *d = in->decoded;
  if (is_of_the_key(d)) {
    leave(b, "the provider refused the key when results were fetched", in);
    return;
  }
  /* They are paid for: given up when refused again and again, not for what passes. */
  b->lost += !is_passing(d);
  if (b->lost <= GONE_TRIES) {
    if (!sheaf__batch_again(b, d->retry_after_ns)) leave(b, "results could not be fetched", in);
    return;
  }
  b->lost = 0;
  b->is_incomplete = true;
  sheaf__batch_say(b, "a file of results is not there", d->error_message);
  sheaf__batch_go(b, b->stage == SHEAF__STAGE_OUTPUT ? SHEAF__STAGE_ERRORS : SHEAF__STAGE_REST);
}

/* ---- The list: was it created? ---- */

static void undecided(sheaf__batch *b, const char *why) {
  b->state = SHEAF_JOB_UNDECIDED_STATE;
  sheaf__batch_say(b, why, (sheaf_slice){NULL, 0});
  sheaf__batch_go(b, SHEAF__STAGE_UNDECIDED);
}

/* Ours by its marker; where the provider keeps none, by its size and its time. */
static bool is_candidate(const sheaf__batch *b, const sheaf_job_news *news) {
  if (b->setup->is_claimed(b->setup->engine, b->setup->flight, news->job)) return false;
  /* One that came to nothing says nothing of the create call behind it. */
  if (b->creates > 1 && news->state == SHEAF_JOB_FAILED_STATE && !news->output.bytes &&
      !news->errors.bytes)
    return false;
  if (b->setup->api->traits.flags & SHEAF_JOBS_MARKER)
    return sheaf__slice_equal(news->marker, sheaf_buf_slice(&b->marker));
  return news->total == SHEAF_ABSENT || news->total == (int64_t)b->rows.count;
}

static bool is_older(const sheaf__batch *b, const sheaf_job_news *news, int64_t by_ms) {
  return news->created_unix_ms != SHEAF_ABSENT && b->intent_unix_ms != SHEAF_ABSENT &&
         news->created_unix_ms < b->intent_unix_ms - by_ms;
}

/* Walks one page. SHEAF_OK: another follows; SHEAF_E_END: that was all that matters. */
static int32_t walk_page(sheaf__batch *b, const sheaf_reply *reply) {
  bool marked = (b->setup->api->traits.flags & SHEAF_JOBS_MARKER) != 0;
  sheaf_slice page = sheaf_buf_slice(&b->page);
  size_t at = 0;
  for (;;) {
    sheaf_job_news news;
    sheaf_job_news_init(&news);
    sheaf_buf_reset(&b->scratch);
    int32_t status = b->setup->api->listed(b->setup->api, reply, &at, &b->scratch, &news, &page);
    if (status == SHEAF_E_END) break;
    if (status) return status;
    if (!marked && is_older(b, &news, FAR_MS)) return SHEAF_E_END;
    if (!is_candidate(b, &news)) continue;
    if (!marked && is_older(b, &news, CLOCK_SKEW_MS)) {
      b->doubts++; /* unless a clock was set, it is another's */
      continue;
    }
    if (b->candidates++ == 0 && !keep(&b->candidate, news.job)) return SHEAF_E_NOMEM;
  }
  if (page.bytes == 0 || sheaf__slice_equal(page, sheaf_buf_slice(&b->page))) return SHEAF_E_END;
  return keep(&b->page, page) ? SHEAF_OK : SHEAF_E_NOMEM;
}

/* Another job of its size has no answer either. */
static bool is_mixed_up(const sheaf__batch *b) {
  return b->setup->is_unknown_elsewhere(b->setup->engine, b->setup->flight, b->rows.count);
}

static void round_over(sheaf__batch *b) {
  bool marked = (b->setup->api->traits.flags & SHEAF_JOBS_MARKER) != 0;
  if (b->rounds++ == 0) b->listed_ns = b->now_ns;
  bool is_last = b->rounds >= ROUNDS_MIN && b->now_ns - b->listed_ns >= ROUNDS_NS;
  /* The only one of its size may be a stranger's while ours is not shown yet. */
  bool is_found = marked ? b->candidates > 0 : is_last && b->candidates == 1 && !is_mixed_up(b);
  if (is_found) {
    sheaf__batch_created(b, true);
    return;
  }
  bool is_only = b->candidates == 1 && b->doubts == 0 && !is_last;
  if ((b->candidates > 0 && !is_only) || b->doubts > 0 || (!marked && is_mixed_up(b))) {
    undecided(b,
              "several jobs of the provider's list may be this one: say which (adopt its id), or "
              "submit it again, or abandon it");
    return;
  }
  if (!is_last) {
    sheaf__batch_wait(b, ROUND_WAIT_NS, SHEAF__STAGE_LIST);
    b->tries = 0;
    return;
  }
  b->rounds = 0;
  if (b->is_unwanted) { /* there is nothing to cancel, as far as can be seen */
    b->is_incomplete = true;
    sheaf__batch_end(b, SHEAF_JOB_CANCELLED_STATE);
    return;
  }
  if (b->setup->options->resend_unknown == SHEAF_RESEND_NEVER) {
    undecided(b,
              "the provider's list shows no such job, and resend_unknown is never: adopt its id if "
              "you find it, or submit it again, or abandon it");
    return;
  }
  bool again = b->setup->options->batch_mode <= SHEAF_BATCH_SUBMIT && b->creates < CREATES_MAX;
  sheaf__batch_say(
      b,
      again ? "the provider's list shows that it was not created: it is created again"
            : "the provider's list shows that it was not created: a later run creates it",
      (sheaf_slice){NULL, 0});
  note(b, again ? SHEAF__STAGE_TURN : SHEAF__STAGE_PARK);
  b->is_unknown = false;
  b->strays++;
  b->state = SHEAF_JOB_PREPARED_STATE;
}

static const char list_unreadable[] =
    "whether it was created cannot be known, for the provider's list cannot be read: adopt its id, "
    "submit it again, or abandon it";

static void on_list(sheaf__batch *b, const sheaf__lane_input *in) {
  bool surveys = b->setup->options->batch_mode == SHEAF_BATCH_SURVEY;
  if (is_good(in) && surveys) {
    if (keep(&b->list_reply, in->reply->body)) {
      b->list_at = 0;
      b->is_listing = true;
    } else {
      b->asked = false;
    }
    return;
  }
  if (is_good(in)) {
    if (b->pages == 0) b->candidates = b->doubts = 0;
    int32_t status = walk_page(b, in->reply);
    if (status == SHEAF_OK && ++b->pages < PAGES_MAX) {
      uint32_t tries = b->tries; /* of the whole list, not of a page */
      sheaf__batch_go(b, SHEAF__STAGE_LIST);
      b->tries = tries;
      return;
    }
    b->pages = 0;
    sheaf_buf_reset(&b->page);
    if (status == SHEAF_E_END) {
      round_over(b);
      return;
    }
    if (status == SHEAF_OK) { /* longer than anybody reads */
      undecided(b, list_unreadable);
      return;
    }
  } else if (is_of_the_key(in->decoded)) {
    leave(b, "the provider refused the key when its jobs were listed", in);
    return;
  }
  b->pages = 0;
  sheaf_buf_reset(&b->page);
  if (sheaf__batch_again(b, in->decoded->retry_after_ns)) return;
  if (surveys)
    leave(b, "the provider's jobs could not be listed", in);
  else
    undecided(b, list_unreadable);
}

bool sheaf__batch_next_listed(sheaf__batch *b, sheaf__lane_action *action) {
  sheaf_reply reply = {.struct_bytes = sizeof reply,
                       .http_status = 200,
                       .body = sheaf_buf_slice(&b->list_reply),
                       .unix_ms = b->unix_ms};
  sheaf_slice page = sheaf_buf_slice(&b->page);
  sheaf_job_news news;
  sheaf_job_news_init(&news);
  sheaf_buf_reset(&b->scratch);
  int32_t status =
      b->setup->api->listed(b->setup->api, &reply, &b->list_at, &b->scratch, &news, &page);
  if (status == SHEAF_OK) {
    memset(&b->listed, 0, sizeof b->listed);
    b->listed.struct_bytes = sizeof b->listed;
    b->listed.state = news.state;
    b->listed.marker = news.marker;
    b->listed.job = news.job;
    b->listed.message = news.error_message;
    b->listed.requests = news.total == SHEAF_ABSENT ? 0 : (uint64_t)news.total;
    b->listed.completed = news.completed;
    b->listed.failed = news.failed;
    b->listed.created_unix_ms = news.created_unix_ms;
    b->listed.next_poll_ns = SHEAF_NEVER;
    action->kind = SHEAF__WANT_NEWS;
    action->news = &b->listed;
    return true;
  }
  if (status == SHEAF_E_NOMEM) {
    action->kind = SHEAF__WANT_MEMORY;
    return true;
  }
  b->is_listing = false;
  bool more = status == SHEAF_E_END && page.bytes != 0 &&
              !sheaf__slice_equal(page, sheaf_buf_slice(&b->page)) && ++b->pages < PAGES_MAX;
  if (more) more = keep(&b->page, page);
  bool is_whole = status == SHEAF_E_END && b->pages < PAGES_MAX;
  sheaf__batch_go(b, more ? SHEAF__STAGE_LIST : is_whole ? SHEAF__STAGE_GONE : SHEAF__STAGE_PARK);
  if (!more && !is_whole)
    sheaf__batch_say(b, "the provider's list of jobs could not be read to its end",
                     (sheaf_slice){NULL, 0});
  action->kind = SHEAF__WANT_MEMORY; /* asked again at once */
  return true;
}

/* ---- All ---- */

void sheaf__batch_reply(sheaf__batch *b, const sheaf__lane_input *in) {
  switch (b->stage) {
    case SHEAF__STAGE_BEGIN:
    case SHEAF__STAGE_UPLOAD: on_upload(b, in); break;
    case SHEAF__STAGE_CREATE: on_create(b, in); break;
    case SHEAF__STAGE_POLL: on_poll(b, in); break;
    case SHEAF__STAGE_CANCEL: on_cancel(b, in); break;
    case SHEAF__STAGE_OUTPUT:
    case SHEAF__STAGE_ERRORS: on_results(b, in); break;
    case SHEAF__STAGE_LIST: on_list(b, in); break;
    case SHEAF__STAGE_DISCARD: sheaf__batch_go(b, SHEAF__STAGE_GONE); break; /* well or not */
    default: break;
  }
}
