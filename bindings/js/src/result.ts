// result.ts: a result out of the mailbox.

import type { Engine } from './engine.js';
import type { ErrorClass } from './generated.js';
import { billingNames, classNames, Flag, Mail } from './layout.js';
import type { Result, Usage } from './types.js';

/** Reads results. What repeats from one to the next is kept as one text. */
export class ResultReader {
  private model = '';
  private finishReason = '';
  private provider = '';
  private endpoint = '';

  constructor(private readonly engine: Engine, private readonly keeps: { keepBody: boolean; keepLine?: boolean }) {}

  isOk(): boolean {
    return (this.engine.u32(Mail.flags) & Flag.OK) !== 0;
  }

  read(): Result {
    const { core, mail } = this.engine;
    const flags = core.u32(mail + Mail.flags), calls = core.text(mail + Mail.tool_calls);
    const result: Result = {
      customId: core.text(mail + Mail.custom_id),
      index: core.f64(mail + Mail.index),
      ok: (flags & Flag.OK) !== 0,
      text: core.text(mail + Mail.text),
      toolCalls: calls ? JSON.parse(calls) : [],
      finishReason: (this.finishReason = core.again(mail + Mail.finish_reason, this.finishReason)),
      model: (this.model = core.again(mail + Mail.model, this.model)),
      usage: this.usage((flags & Flag.ESTIMATED) !== 0),
      latencyMs: core.f64(mail + Mail.latency_ms),
      queueMs: core.f64(mail + Mail.queue_ms),
      totalMs: core.f64(mail + Mail.total_ms),
      attempts: core.u32(mail + Mail.attempts),
      throttles: core.u32(mail + Mail.throttles),
      billing: billingNames[core.u32(mail + Mail.billing)] as Result['billing'],
      resentUnknown: (flags & Flag.RESENT) !== 0,
      attempted: (flags & Flag.ATTEMPTED) !== 0,
      requestId: core.text(mail + Mail.request_id),
      provider: (this.provider = core.again(mail + Mail.provider, this.provider)),
      endpoint: (this.endpoint = core.again(mail + Mail.endpoint_name, this.endpoint)),
      fingerprint: core.text(mail + Mail.fingerprint),
      deduplicated: (flags & Flag.DEDUPLICATED) !== 0,
      cached: (flags & Flag.CACHED) !== 0,
      local: false,
    };
    const members = core.u32(mail + Mail.group_members);
    if (members > 0) {
      result.group = core.f64(mail + Mail.group);
      result.groupMembers = members;
    }
    const ttft = core.f64(mail + Mail.ttft_ms), cost = core.f64(mail + Mail.cost_usd), metadata = core.text(mail + Mail.metadata);
    if (ttft >= 0) result.ttftMs = ttft;
    if (cost >= 0) result.cost = cost;
    if (metadata) result.metadata = JSON.parse(metadata);
    if (this.keeps.keepBody) result.body = core.copy(mail + Mail.bytes);
    if (!result.ok)
      result.error = {
        class: classNames[core.u32(mail + Mail.error_class)] as ErrorClass,
        code: core.text(mail + Mail.error_code),
        status: core.u32(mail + Mail.http_status),
        message: core.text(mail + Mail.error_message),
        retryable: (flags & Flag.RETRYABLE) !== 0,
      };
    if (this.keeps.keepLine && result.attempted) {
      this.engine.write(1); // what the mailbox pointed at is gone after this
      result.line = this.engine.text(Mail.bytes).trimEnd();
    }
    return result;
  }

  private usage(isEstimated: boolean): Usage {
    const { core, mail } = this.engine;
    const usage: Usage = {};
    const input = core.f64(mail + Mail.input_tokens), output = core.f64(mail + Mail.output_tokens), cached = core.f64(mail + Mail.cached_tokens);
    const written = core.f64(mail + Mail.cache_write_tokens), reasoning = core.f64(mail + Mail.reasoning_tokens);
    if (input >= 0) usage.inputTokens = input;
    if (output >= 0) usage.outputTokens = output;
    if (cached >= 0) usage.cachedTokens = cached;
    if (written >= 0) usage.cacheWriteTokens = written;
    if (reasoning >= 0) usage.reasoningTokens = reasoning;
    if (isEstimated) usage.estimated = true;
    return usage;
  }
}
