// checks.mjs: what the cases share: checks, words, and a client of the simulator.

export function show(value) {
  const text = value instanceof Error ? `${value.name}: ${value.message}` : JSON.stringify(value) ?? String(value);
  return text.length > 400 ? `${text.slice(0, 400)}...` : text;
}

export function ok(value, what) {
  if (!value) throw new Error(what);
}

export function equal(actual, expected, what) {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) throw new Error(`${what}: ${show(actual)}, expected ${show(expected)}`);
}

export function atLeast(actual, least, what) {
  if (!(actual >= least)) throw new Error(`${what}: ${show(actual)}, expected ${least} or more`);
}

export function atMost(actual, most, what) {
  if (!(actual <= most)) throw new Error(`${what}: ${show(actual)}, expected ${most} or less`);
}

export async function rejection(promise, what) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`${what} did not reject: ${show(value)}`);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const numbered = (count, word) => Array.from({ length: count }, (_, i) => `${word} ${i}`);
/** What the simulator answers to a prompt. */
export const echo = (prompt) => `echo: ${prompt}`;
export const echoes = (prompts) => prompts.map(echo);
export const textOf = (bytes) => new TextDecoder().decode(bytes);

/** A client of the simulator, closed when the case is over. */
export async function withClient(t, options, act) {
  const usual = { baseURL: `${t.url}/v1`, model: 'sim-1', concurrency: 8, retryBaseMs: 5, ...t.options };
  const client = await t.sheaf.createClient({ ...usual, ...options });
  try {
    return await act(client);
  } finally {
    await client.close();
  }
}

export const fault = (kind) => ({ headers: { 'x-sheaf-fault': kind } });

/** A fetch that counts what is sent. */
export function counting() {
  const own = (...args) => {
    own.calls++;
    return fetch(...args);
  };
  own.calls = 0;
  return own;
}
