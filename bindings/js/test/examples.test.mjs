// examples.test.mjs: each example as it stands, with the packed package installed, against `sheaf sim`.
//
//   node --test examples.test.mjs        with the variables of paths.mjs
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { build } from 'esbuild';
import { Miniflare } from 'miniflare';
import { chromium } from 'playwright-core';

import { packageDir, program, toolDir, workDir } from './paths.mjs';
import { simulator } from './world.mjs';

const folder = join(workDir, 'examples');
const run = promisify(execFile);
// Beside a package that tells where it is; not each does.
const tools = dirname(toolDir('typescript'));
const at = (...parts) => join(folder, ...parts);

/** Examples find their packages in a node_modules above them: this one packed and unpacked, the others as the tests have them. */
before(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(at('node_modules/@hono'), { recursive: true });
  cpSync(fileURLToPath(new URL('../examples', import.meta.url)), folder, { recursive: true });
  const [{ filename }] = JSON.parse(execFileSync('npm', ['pack', '--json', '--loglevel=error', '--pack-destination', folder], { cwd: packageDir, encoding: 'utf8' }));
  execFileSync('tar', ['xf', at(filename), '-C', folder]);
  cpSync(at('package'), at('node_modules/sheaf'), { recursive: true });
  for (const name of ['openai', 'hono', '@hono/node-server', 'vite'])
    symlinkSync(join(tools, name), at('node_modules', name));
});

async function withSimulator(options, act) {
  const sim = await simulator(options);
  try {
    return await act(sim.url, async () => (await fetch(`${sim.url}/_sim/stats`)).json());
  } finally {
    await sim.stop();
  }
}

const env = (more) => ({ ...process.env, MODEL: 'sim-1', OPENAI_API_KEY: 'a-key', ...more });

/** A program that prints its address and serves until it is told to end. */
async function serving(command, options, act) {
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'], ...options });
  const ended = once(child, 'exit');
  try {
    const [line] = await Promise.race([once(child.stdout, 'data'), ended.then(() => Promise.reject(new Error('the server ended at once')))]);
    return await act(String(line).trim());
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

test('node-jsonl: every line has its result, and a failure shows in the exit code', async () => {
  const rules = at('rules.jsonl'), input = at('requests.jsonl'), output = at('results.jsonl');
  writeFileSync(rules, '{"fault":"500","match":"of all kinds"}\n{"fault":"429","match":"prompt 7","first":1}\n');
  const lines = Array.from({ length: 300 }, (_, i) => ({ custom_id: `c-${i}`, prompt: i === 50 ? 'the worst of all kinds' : `prompt ${i}` }));
  writeFileSync(input, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  await withSimulator(['--faults', rules, '--retry-after', '20'], async (url) => {
    const outcome = await run(process.execPath, [at('node-jsonl/main.mjs'), input, output], { env: env({ BASE_URL: `${url}/v1` }) }).catch((error) => error);
    assert.equal(outcome.code, 1, String(outcome.stderr));
    assert.equal(outcome.stdout, '1 failed\n');
    const results = readFileSync(output, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual(results.map(({ customId }) => customId).sort(), lines.map((line) => line.custom_id).sort());
    for (const { customId, ok, text } of results) {
      const { prompt } = lines[Number(customId.slice(2))];
      assert.deepEqual([ok, text], prompt.startsWith('the worst') ? [false, ''] : [true, `echo: ${prompt}`]);
    }
  });
});

test('hono: answers in order, refuses what is no list, tells its metrics, ends in order', async () => {
  await withSimulator(['--models', 'sim-1'], (url) => serving([process.execPath, at('hono/server.mjs')], { env: env({ BASE_URL: `${url}/v1`, PORT: '0' }) }, async (own) => {
    const post = (body) => fetch(`${own}/answers`, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    const both = await Promise.all([post({ prompts: ['a', 'b'] }), post({ prompts: ['c'] })]);
    assert.deepEqual(await Promise.all(both.map((response) => response.json())), [[{ text: 'echo: a' }, { text: 'echo: b' }], [{ text: 'echo: c' }]]);
    assert.equal((await post({ prompts: 'a' })).status, 400);
    assert.match(await (await fetch(`${own}/metrics`)).text(), /# EOF\s*$/);
  }));
});

test('cloudflare: 50 prompts in one call, over six connections at most', async () => {
  const { outputFiles } = await build({
    entryPoints: [at('cloudflare/worker.mjs')], bundle: true, format: 'esm', conditions: ['workerd', 'worker', 'browser'], write: false,
    external: ['*.wasm'], logLevel: 'error',
  });
  await withSimulator(['--key', 'a-key', '--latency', 'fixed:20'], async (url, stats) => {
    const miniflare = new Miniflare({
      compatibilityDate: '2025-04-01', cf: false, bindings: { BASE_URL: `${url}/v1`, API_KEY: 'a-key', MODEL: 'sim-1' },
      modules: [
        { type: 'ESModule', path: 'worker.mjs', contents: outputFiles[0].text },
        { type: 'CompiledWasm', path: 'sheaf-edge.wasm', contents: readFileSync(join(packageDir, 'dist/sheaf-edge.wasm')) },
      ],
    });
    try {
      const answer = await (await fetch(await miniflare.ready)).json();
      assert.deepEqual([answer.succeeded, answer.failed], [50, 0]);
      assert.equal(answer.lines[49], 'echo: Write a line about the number 50.');
      assert.ok((await stats()).in_flight_max <= 6);
    } finally {
      await miniflare.dispose();
    }
  });
});

test('deno: lines in, answers out', async () => {
  // The package comes out of node_modules here, and not from a registry.
  writeFileSync(at('deno/deno.json'), '{ "nodeModulesDir": "manual" }\n');
  writeFileSync(at('package.json'), '{ "type": "module", "dependencies": { "sheaf": "*" } }\n');
  await withSimulator([], async (url) => {
    const child = spawn(program('@deno', '', 'deno'), ['run', '--quiet', '--no-lock', '--allow-net', '--allow-env', '--allow-read', 'main.ts'],
      { cwd: at('deno'), env: env({ BASE_URL: `${url}/v1`, DENO_DIR: at('deno-cache'), DENO_NO_UPDATE_CHECK: '1' }) });
    let out = '', complaint = '';
    child.stdout.on('data', (text) => (out += text));
    child.stderr.on('data', (text) => (complaint += text));
    child.stdin.end('one\ntwo\n\nthree\n');
    const [code] = await once(child, 'close');
    assert.equal(code, 0, complaint);
    assert.equal(out, 'echo: one\necho: two\necho: three\n');
    assert.match(complaint, /3 of 3/);
  });
});

test('vite: built, served with its proxy, answers in the page', async () => {
  const types = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };
  await withSimulator(['--key', 'a-key'], async (url, stats) => {
    const given = env({ BASE_URL: url });
    await run(process.execPath, [join(toolDir('vite'), 'bin/vite.js'), 'build', '--logLevel', 'error'], { cwd: at('vite'), env: given });
    const dist = at('vite/dist');
    // What the preview's proxy does.
    const server = createServer(async (request, response) => {
      if (request.url.startsWith('/v1/')) {
        const answer = await fetch(`${url}${request.url}`, {
          method: request.method, body: request, duplex: 'half', headers: { 'content-type': 'application/json', authorization: 'Bearer a-key' },
        });
        response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') });
        for await (const bytes of answer.body) response.write(bytes);
        response.end();
        return;
      }
      const file = join(dist, request.url === '/' ? 'index.html' : request.url);
      if (existsSync(file)) response.writeHead(200, { 'content-type': types[extname(file)] ?? 'text/plain' }).end(readFileSync(file));
      else response.writeHead(404).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const browser = await chromium.launch({
      executablePath: process.env.SHEAF_CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    try {
      const page = await browser.newPage(), said = [];
      page.on('pageerror', (error) => said.push(String(error)));
      await page.goto(`http://127.0.0.1:${server.address().port}/`);
      await page.waitForFunction(() => document.getElementById('status').textContent !== '', undefined, { timeout: 30000 }).catch((error) => said.push(String(error)));
      assert.deepEqual(said, []);
      assert.equal(await page.textContent('#status'), '10 of 10 answered');
      assert.equal(await page.textContent('#answers li:nth-child(3)'), 'echo: Name a plant that begins with C.');
      assert.equal((await stats()).received_by_path['/v1/chat/completions'], 10);
    } finally {
      await browser.close();
      server.closeAllConnections();
      server.close();
    }
  });
});

test('openai-pool: the official client, retried by the pool', async () => {
  const rules = at('pool-rules.jsonl');
  writeFileSync(rules, '{"fault":"429","match":"Question 3","first":1}\n{"fault":"500","match":"Question 12","first":1}\n');
  await withSimulator(['--faults', rules, '--retry-after', '20'], async (url, stats) => {
    const { stdout, stderr } = await run(process.execPath, [at('openai-pool/main.mjs')], { env: env({ OPENAI_BASE_URL: `${url}/v1` }) });
    assert.deepEqual(stdout.trimEnd().split('\n'), Array.from({ length: 30 }, (_, i) => `echo: Question ${i + 1}`));
    assert.match(stderr, /32 tries, 1 refused/);
    assert.equal((await stats()).received_by_path['/v1/chat/completions'], 32);
  });
});
