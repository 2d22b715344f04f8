// simulator.js: a provider inside the page, of OpenAI's shape, as a transport: latency, streams, refusals, broken connections.
//
// What becomes of a try follows from the body and how often it was seen, so that the same list meets the same faults each
// time. For anything serious there is `sheaf sim`, which speaks HTTP.

const words = ('the a of in and grain field sheaf stalk wind morning slow bright under over river stone bread water light ' +
  'turns keeps carries gathers leaves holds early golden plain quiet long road mill season rain seed root harvest').split(' ');
const encoder = new TextEncoder();

/** FNV-1a, 32 bits. */
function hash(bytes) {
  let sum = 0x811c9dc5;
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x01000193);
  return sum >>> 0;
}

/** Numbers from 0 up to 1 (mulberry32). */
function drawing(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Skewed as latencies are: the median times e to a normal number. */
const lognormal = (draw, median, sigma) =>
  median * Math.exp(sigma * Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw()));

const faults = [
  [0.4, 429, { error: { message: 'Rate limit reached', type: 'requests', code: 'rate_limit_exceeded' } }],
  [0.4, 500, { error: { message: 'The server had an error', type: 'server_error', code: null } }],
  [0.2, 0, null],
];

function faultOf(draw, share) {
  if (draw() >= share) return undefined;
  let left = draw();
  return faults.find(([part]) => (left -= part) < 0) ?? faults[0];
}

function answerOf(draw, maxTokens) {
  const wanted = Math.round(lognormal(draw, 28, 0.6)) + 3;
  const count = Math.min(wanted, maxTokens || Infinity);
  const said = Array.from({ length: count }, () => words[Math.floor(draw() * words.length)]);
  said[0] = said[0][0].toUpperCase() + said[0].slice(1);
  return { said, finish: count < wanted ? 'length' : 'stop' };
}

/** `latencyMs`: the median to the first token; `faultShare`: of all tries. */
export function simulator({ latencyMs, faultShare }) {
  const seen = new Map();
  const under = new Map();

  async function serve(exchange, reply, sleep) {
    const key = hash(exchange.body);
    const sighting = (seen.get(key) ?? 0) + 1;
    seen.set(key, sighting);
    const draw = drawing(key ^ Math.imul(sighting, 0x9e3779b1));
    const body = JSON.parse(new TextDecoder().decode(exchange.body));
    const fault = faultOf(draw, faultShare);
    const firstMs = lognormal(draw, latencyMs, 0.45), nextMs = latencyMs / 40;
    await sleep(fault ? firstMs / 4 : firstMs);
    if (fault) {
      const [, status, error] = fault;
      if (status === 0) return reply.fail('broken', 'the simulator broke the connection');
      reply.head(status, `content-type: application/json\n${status === 429 ? `retry-after-ms: ${Math.round(latencyMs / 2)}\n` : ''}`);
      reply.data(encoder.encode(JSON.stringify(error)));
      return reply.end();
    }
    const { said, finish } = answerOf(draw, body.max_completion_tokens ?? body.max_tokens);
    const usage = { prompt_tokens: Math.ceil(JSON.stringify(body.messages).length / 4), completion_tokens: said.length };
    const base = { id: `sim-${key.toString(36)}-${sighting}`, created: Math.floor(Date.now() / 1000), model: body.model };
    if (!body.stream) {
      await sleep(said.length * nextMs);
      reply.head(200, 'content-type: application/json\n');
      const message = { role: 'assistant', content: `${said.join(' ')}.` };
      reply.data(encoder.encode(JSON.stringify({ ...base, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: finish }], usage })));
      return reply.end();
    }
    reply.head(200, 'content-type: text/event-stream\n');
    const send = (more) => reply.data(encoder.encode(`data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', ...more })}\n\n`));
    // Three words an event: a timer of a page is not much quicker than that.
    for (let i = 0; i < said.length; i += 3) {
      const isLast = i + 3 >= said.length;
      send({ choices: [{ index: 0, delta: { content: said.slice(i, i + 3).join(' ') + (isLast ? '.' : ' ') }, finish_reason: null }] });
      await sleep(3 * nextMs);
    }
    send({ choices: [{ index: 0, delta: {}, finish_reason: finish }] });
    send({ choices: [], usage });
    reply.data(encoder.encode('data: [DONE]\n\n'));
    return reply.end();
  }

  return {
    start(exchange, reply) {
      let timer;
      const sleep = (ms) => new Promise((resolve) => (timer = setTimeout(resolve, ms)));
      under.set(exchange.id, () => clearTimeout(timer));
      serve(exchange, reply, sleep).catch((error) => reply.fail('refused', String(error), false)).finally(() => under.delete(exchange.id));
    },
    cancel(exchange) {
      under.get(exchange.id)?.();
      under.delete(exchange.id);
    },
  };
}
