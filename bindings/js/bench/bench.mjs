// bench.mjs: what the package costs, beside the loops that people write by hand, on one server and in one run.
//
//   node bench.mjs [transports|pool|memory|hold|cold]... [--package FILE] [--peers FOLDER] [--url URL]
//                  [--rounds 5] [--n 20000] [--c 64]
//
//   transports  requests a second and CPU a request: sheaf over fetch, node:http, undici; the same without it; openai's SDK
//   pool        no-op tasks: pool() and p-limit
//   memory      peak memory of 100,000 requests through client.stream over a generator
//   hold        bytes that a call or a request takes while it waits, beside its text
//   cold        start of the process to the first byte at the server
//
// FILE is dist/node.js of the built package; FOLDER's node_modules holds the peers (npm install openai p-limit undici):
// what is not there is left out. URL is that of another server's chat completions. Each measurement is a process of its
// own, pinned to the first core where taskset is there, the server to the second; contestants take turns, medians count.
// Prints a JSON line for each run, then tables.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import net from 'node:net';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const here = fileURLToPath(import.meta.url);
const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    package: { type: 'string', default: join(here, '../../../../build-js/package/dist/node.js') },
    peers: { type: 'string', default: join(here, '..') },
    url: { type: 'string' }, rounds: { type: 'string', default: '5' }, n: { type: 'string' }, c: { type: 'string', default: '64' },
  },
});
const c = Number(given.c), rounds = Number(given.rounds);

// ---- The server: answers at once, and does little else ----

const reply = JSON.stringify({
  id: 'chatcmpl-bench', object: 'chat.completion', created: 1700000000, model: 'bench-1',
  choices: [{ index: 0, message: { role: 'assistant', content: 'The review is mixed. '.repeat(8) }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 98, completion_tokens: 40, total_tokens: 138 },
});
const answer = Buffer.from([
  'HTTP/1.1 200 OK', 'Date: Fri, 21 Nov 2025 12:00:00 GMT', 'Content-Type: application/json', `Content-Length: ${reply.length}`,
  'X-Request-Id: req_0123456789abcdef', 'X-RateLimit-Limit-Requests: 1000000', 'X-RateLimit-Remaining-Requests: 999999',
  'X-RateLimit-Reset-Requests: 1ms', '', reply,
].join('\r\n'));

function serve() {
  const server = net.createServer({ noDelay: true }, (socket) => {
    let held = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      process.send?.({ first: process.hrtime.bigint().toString() });
      held = held.length ? Buffer.concat([held, chunk]) : chunk;
      for (;;) {
        const head = held.indexOf('\r\n\r\n');
        if (head < 0) return;
        const text = held.latin1Slice(0, head);
        const length = /\r\ncontent-length: *(\d+)/i.exec(text);
        let end = head + 4 + Number(length?.[1] ?? 0);
        if (!length && /\r\ntransfer-encoding: *chunked/i.test(text)) {
          const last = held.indexOf('0\r\n\r\n', head + 4);
          if (last < 0) return;
          end = last + 5;
        }
        if (held.length < end) return;
        held = held.subarray(end);
        socket.write(answer);
      }
    });
  });
  server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/v1/chat/completions`));
}

// ---- The contestants ----

const prompt = (i) =>
  `Review ${String(i).padStart(7, '0')}: The laptop arrived two days early and the battery easily lasts a full working day, ` +
  'even with the screen at its brightest. The keyboard is quiet, the hinge feels solid and the fans are rarely heard. I only ' +
  'wish that it had cost a little less, because the charger and the sleeve have to be bought on their own. Question: is this ' +
  'review positive, negative or mixed? Answer in one sentence.';
const bodyOf = (text) => ({ model: 'bench-1', messages: [{ role: 'user', content: text }], max_tokens: 64 });
const headers = { 'content-type': 'application/json', authorization: 'Bearer sk-bench' };
const textOf = (completion) => completion.choices[0].message.content;

async function peer(name) {
  const require = createRequire(join(resolve(given.peers), 'here.js'));
  const loaded = await import(pathToFileURL(require.resolve(name)).href);
  return loaded.default?.Pool && !loaded.Pool ? loaded.default : loaded;
}

const sheaf = () => import(pathToFileURL(resolve(given.package)).href);
const clientOver = async (url, transport) =>
  (await sheaf()).createClient({
    baseURL: url.replace(/\/chat\/completions$/, ''), apiKey: 'sk-bench', model: 'bench-1', maxTokens: 64, concurrency: c, transport,
  });
const sheafOver = (transport) => async (url) => {
  const client = await clientOver(url, transport);
  return async (texts) => {
    const results = await client.batch(texts);
    if (results.failures.length) throw new Error(results.failures[0].error.message);
  };
};
const limited = (make) => async (url) => {
  const one = await make(url), limit = (await peer('p-limit')).default(c);
  return (texts) => Promise.all(texts.map((text) => limit(() => one(text))));
};

const loops = {
  'sheaf fetch': sheafOver('fetch'),
  'fetch + p-limit': limited((url) => async (text) => {
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(bodyOf(text)) });
    return textOf(await response.json());
  }),
  'sheaf node': sheafOver('node'),
  'node:http + p-limit': limited(async (url) => {
    const { default: http } = await import('node:http');
    const agent = new http.Agent({ keepAlive: true, maxSockets: c });
    return (text) => new Promise((done, failed) => {
      const body = JSON.stringify(bodyOf(text));
      const sent = http.request(url, {
        method: 'POST', agent, headers: { ...headers, 'content-length': Buffer.byteLength(body) },
      }, (response) => {
        let whole = '';
        response.setEncoding('utf8').on('data', (piece) => (whole += piece)).on('end', () => done(textOf(JSON.parse(whole))));
      });
      sent.on('error', failed).end(body);
    });
  }),
  'sheaf undici': sheafOver('undici'),
  'undici.request + p-limit': limited(async (url) => {
    const { Pool } = await peer('undici'), { origin, pathname } = new URL(url);
    const pool = new Pool(origin, { connections: c });
    return async (text) => {
      const { body } = await pool.request({ path: pathname, method: 'POST', headers, body: JSON.stringify(bodyOf(text)) });
      return textOf(await body.json());
    };
  }),
  'openai + p-limit': limited(async (url) => {
    const { default: OpenAI } = await peer('openai');
    const api = new OpenAI({ apiKey: 'sk-bench', baseURL: url.replace(/\/chat\/completions$/, '') });
    return async (text) => textOf(await api.chat.completions.create(bodyOf(text)));
  }),
};

const pools = {
  'sheaf pool': async () => (await sheaf()).pool(async (x) => x, { concurrency: c }),
  'p-limit': async () => {
    const limit = (await peer('p-limit')).default(c), task = async (x) => x;
    return (x) => limit(task, x);
  },
};

const timed = async (n, work) => {
  const cpu = process.cpuUsage(), start = performance.now();
  await work();
  const ms = performance.now() - start, { user, system } = process.cpuUsage(cpu);
  return { per_second: Math.round((n / ms) * 1000), cpu_us: +((user + system) / n).toFixed(2) };
};
const texts = (n, from = 0) => Array.from({ length: n }, (_, i) => Buffer.from(prompt(from + i)).latin1Slice());
const used = () => {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
const waits = (ms) => new Promise((done) => setTimeout(done, ms));

/** What a process of its own measures; the answer is its last line. */
const measures = {
  async transports(name, url, n) {
    const run = await loops[name](url);
    await run(texts(Math.ceil(n / 10), n)); // everybody's code is compiled by then
    const all = texts(n);
    return timed(n, () => run(all));
  },
  async pool(name, _, n) {
    const call = await pools[name]();
    const all = () => Promise.all(Array.from({ length: n }, (_, i) => call(i)));
    await all();
    return timed(n, all);
  },
  async memory(name, url, n) {
    const client = await clientOver(url, name.split(' ')[1]);
    const source = (function* () {
      for (let i = 0; i < n; i++) yield prompt(i);
    })();
    for await (const result of client.stream(source)) if (!result.ok) throw new Error(result.error.message);
    return { peak_mb: Math.round((process.resourceUsage().maxRSS * 1024) / 1e6) };
  },
  async hold(name, _, n) {
    const all = texts(n);
    let hold;
    if (name === 'sheaf batch') {
      const silent = { start() {} };
      const client = await (await sheaf()).createClient({ baseURL: 'http://bench/v1', model: 'm', concurrency: c, transport: silent });
      hold = () => void client.batch(all);
    } else {
      const never = () => new Promise(() => {});
      const { default: pLimit } = name === 'p-limit' ? await peer('p-limit') : {};
      const call = pLimit ? ((limit) => (text) => limit(never, text))(pLimit(c)) : (await sheaf()).pool(never, { concurrency: c });
      hold = () => all.map((text) => call(text));
    }
    await waits(100);
    const before = used();
    globalThis.kept = hold();
    await waits(1500);
    return { bytes: Math.round((used() - before) / n) };
  },
  async cold(name, url) {
    if (name === 'node:http') {
      const { default: http } = await import('node:http');
      const body = JSON.stringify(bodyOf('x'));
      const sent = http.request(url, { method: 'POST', headers: { ...headers, 'content-length': body.length } }, (r) => r.resume());
      await once(sent.end(body), 'close');
    } else {
      const client = await clientOver(url, name.split(' ')[1]);
      await client.submit('x');
      await client.close();
    }
    return {};
  },
};

// ---- Who measures whom ----

const plans = {
  transports: { names: Object.keys(loops), n: 20000, columns: ['per_second', 'cpu_us'] },
  pool: { names: Object.keys(pools), n: 200000, columns: ['per_second', 'cpu_us'] },
  memory: { names: ['sheaf node', 'sheaf undici'], n: 100000, columns: ['peak_mb'] },
  hold: { names: ['sheaf batch', 'sheaf pool', 'p-limit'], n: 100000, columns: ['bytes'] },
  cold: { names: ['node:http', 'sheaf node', 'sheaf'], n: 1, columns: ['first_byte_ms'] },
};
const isPinned = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;

function start(core, args, io) {
  const command = [...(isPinned ? ['taskset', '-c', String(core)] : []), process.execPath, '--expose-gc', here, ...args];
  return spawn(command[0], command.slice(1), { stdio: io });
}

async function measure(mode, name, url, n, first) {
  const began = process.hrtime.bigint();
  const options = ['--package', given.package, '--peers', given.peers, '--c', given.c];
  const child = start(0, [...options, 'run', mode, name, url, String(n)], ['ignore', 'pipe', 'pipe']);
  let out = '', error = '';
  child.stdout.on('data', (piece) => (out += piece));
  child.stderr.on('data', (piece) => (error += piece));
  const [code] = await once(child, 'close');
  if (code !== 0) return { error: /\n\w*Error[^\n]*/.exec(`\n${error}`)?.[0].trim() ?? error.slice(0, 200) };
  const figures = JSON.parse(out.trim().split('\n').at(-1));
  return mode === 'cold' ? { first_byte_ms: +(Number(first() - began) / 1e6).toFixed(1) } : figures;
}

const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];

function table(mode, { names, columns }, rows) {
  console.log(`\n| ${mode} | ${columns.join(' | ')} | runs |\n|---|${columns.map(() => '---:|').join('')}---:|`);
  for (const name of names) {
    const own = rows.filter((row) => row.name === name && !row.error);
    if (own.length) console.log(`| ${name} | ${columns.map((key) => median(own.map((row) => row[key]))).join(' | ')} | ${own.length} |`);
    else console.log(`| ${name} | left out: ${rows.find((row) => row.name === name)?.error} |`);
  }
}

async function main() {
  let first = 0n;
  // Only a cold start wants to be told of each packet.
  const servers = {};
  const urlOf = async (mode) => {
    const kind = mode === 'cold' ? 'told' : 'plain';
    if (given.url && kind === 'plain') return given.url;
    if (!servers[kind]) {
      const server = start(1, ['serve'], ['ignore', 'pipe', 'inherit', ...(kind === 'told' ? ['ipc'] : [])]);
      server.on('message', (message) => (first ||= BigInt(message.first)));
      servers[kind] = { server, url: String((await once(server.stdout, 'data'))[0]).trim() };
    }
    return servers[kind].url;
  };
  try {
    for (const mode of positionals.length ? positionals : Object.keys(plans)) {
      const plan = plans[mode], rows = [];
      const url = await urlOf(mode), n = mode === 'cold' ? 1 : Number(given.n ?? plan.n);
      for (let round = 0; round < (mode === 'memory' || mode === 'hold' ? Math.min(rounds, 3) : rounds); round++)
        for (const name of plan.names) {
          if (rows.some((row) => row.name === name && row.error)) continue;
          first = 0n;
          const row = { mode, name, n, c, ...(await measure(mode, name, url, n, () => first)) };
          console.log(JSON.stringify(row));
          rows.push(row);
        }
      table(mode, plan, rows);
    }
  } finally {
    for (const { server } of Object.values(servers)) server.kill();
  }
}

if (positionals[0] === 'serve') serve();
else if (positionals[0] === 'run') {
  const [, mode, name, url, n] = positionals;
  console.log(JSON.stringify(await measures[mode](name, url, Number(n))));
  process.exit(0);
} else await main();
