// runtimes.mjs: the suite in Node, Deno, Bun, workerd, miniflare and the edge runtime.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { EdgeVM } from '@edge-runtime/vm';
import { build } from 'esbuild';
import { Miniflare } from 'miniflare';

import { appDir, program, toolDir, workDir } from './paths.mjs';
import { freePort, inWorld } from './world.mjs';

const only = process.env.SHEAF_ONLY ?? '';
const run = promisify(execFile);

// ---- Programs that run a file ----

/** Calls `here.mjs` and reads its last line. */
const byProgram = (command, more = {}, cwd = appDir) => () => inWorld(async (world) => {
  const [file, ...args] = command();
  const { stdout } = await run(file, [...args, join(cwd, 'here.mjs')], {
    cwd, env: { ...process.env, SHEAF_WORLD: JSON.stringify({ ...world, ...more, only }) }, maxBuffer: 1 << 26, timeout: 240000,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1));
});

const node = () => [process.execPath];
const deno = () => [program('@deno', '', 'deno'), 'run', '--allow-all', '--quiet'];
const bun = () => [program('@oven', 'bun-linux', 'bin/bun')];
// The newest Node with long support; the one that runs this is the oldest that the package names.
const nodeLater = () => [join(toolDir(`node-linux-${process.arch}`), 'bin/node')];

/** A user's folder in which undici is installed as well. */
function appWithUndici() {
  const folder = `${appDir}-undici`;
  mkdirSync(join(folder, 'node_modules'), { recursive: true });
  const link = (target, path) => existsSync(path) || symlinkSync(target, path);
  link(toolDir('undici'), join(folder, 'node_modules/undici'));
  for (const name of readdirSync(appDir).filter((name) => /\.mjs$|^package.json$/.test(name))) cpSync(join(appDir, name), join(folder, name));
  // A copy and no link, because modules are looked up from where a file really is.
  cpSync(join(appDir, 'node_modules/sheaf'), join(folder, 'node_modules/sheaf'), { recursive: true });
  return folder;
}

// ---- Workers ----

/** A script of one file, as wrangler makes it: with these conditions, modules left beside it. */
async function bundled(entry, conditions, more = {}) {
  const { outputFiles } = await build({
    entryPoints: [join(appDir, entry)], bundle: true, format: 'esm', conditions, write: false, logLevel: 'error',
    external: ['*.wasm'], ...more,
  });
  return outputFiles[0].text;
}

export const workerConditions = ['workerd', 'worker', 'browser'];
const moduleNames = ['sheaf-edge.wasm', 'sheaf-jobs.wasm'];
const moduleOf = (name) => readFileSync(join(appDir, 'node_modules/sheaf/dist', name));
// The suite's cap for `concurrency_max`: connections that a worker may have open.
const workerWorld = { cap: 6 };

async function ask(url, world) {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(world) });
  if (!response.ok) throw new Error(`status ${response.status}: ${await response.text()}`);
  return response.json();
}

/** Requests side by side, each with a client of its own. */
async function sideBySide(url, world) {
  const parts = await Promise.all([1, 2, 3].map(() => ask(url, { ...world, only: 'some fail' })));
  return parts.flat().map((outcome, i) => ({ ...outcome, name: `request ${i + 1} of three at once: ${outcome.name}` }));
}

const workerdConfig = (port) => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .w), (name = "internet", network = (allow = ["public", "private"])) ],
  sockets = [ (name = "http", address = "127.0.0.1:${port}", http = (), service = "main") ] );
const w :Workerd.Worker = ( compatibilityDate = "2025-01-01", modules = [
  (name = "worker.mjs", esModule = embed "worker.mjs"), ${moduleNames.map((name) => `(name = "${name}", wasm = embed "${name}")`).join(', ')} ] );
`;

/** Waits until the worker answers at all. */
async function whenUp(url, child) {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error('workerd ended at once');
    if (await fetch(url).then((response) => response.arrayBuffer()).catch(() => null)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('workerd does not answer');
}

async function inWorkerd() {
  const folder = join(workDir, 'workerd');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'worker.mjs'), await bundled('worker.mjs', workerConditions));
  for (const name of moduleNames) writeFileSync(join(folder, name), moduleOf(name));
  return inWorld(async (world) => {
    const port = await freePort();
    writeFileSync(join(folder, 'config.capnp'), workerdConfig(port));
    const file = program('@cloudflare', 'workerd-', 'bin/workerd');
    const child = spawn(file, ['serve', join(folder, 'config.capnp')], { stdio: ['ignore', 'inherit', 'pipe'] });
    let complaint = '';
    child.stderr.on('data', (text) => (complaint += text));
    const ended = once(child, 'exit');
    const url = `http://127.0.0.1:${port}/`;
    try {
      await whenUp(url, child);
      const all = { ...world, ...workerWorld, only };
      return [...(await ask(url, all)), ...(await sideBySide(url, all))];
    } catch (error) {
      throw new Error(`${error.message}\n${complaint}`);
    } finally {
      child.kill();
      await ended;
    }
  });
}

async function inMiniflare() {
  const miniflare = new Miniflare({
    compatibilityDate: '2025-04-01', compatibilityFlags: ['nodejs_compat'], cf: false, kvNamespaces: ['KV'],
    modules: [
      { type: 'ESModule', path: 'worker.mjs', contents: await bundled('worker.mjs', workerConditions) },
      ...moduleNames.map((path) => ({ type: 'CompiledWasm', path, contents: moduleOf(path) })),
    ],
  });
  try {
    const url = await miniflare.ready;
    return await inWorld((world) => ask(url, { ...world, ...workerWorld, only }));
  } finally {
    await miniflare.dispose();
  }
}

/** What the platform's bundler does with "?module": the compiled module is there. */
const moduleImport = {
  name: 'module import',
  setup(esbuild) {
    esbuild.onResolve({ filter: /\.wasm\?module$/ }, ({ path }) => ({ path: path.match(/[^/]+\.wasm/)[0], namespace: 'module' }));
    esbuild.onLoad({ filter: /./, namespace: 'module' }, ({ path }) => ({ contents: `export default globalThis.sheafModules['${path}']` }));
  },
};

async function inEdgeRuntime() {
  const code = await bundled('edge.mjs', ['edge-light'], { format: 'iife', external: [], plugins: [moduleImport] });
  const sheafModules = Object.fromEntries(await Promise.all(moduleNames.map(async (name) => [name, await WebAssembly.compile(moduleOf(name))])));
  const vm = new EdgeVM({ extend: (context) => Object.assign(context, { sheafModules }) });
  vm.evaluate(code);
  return inWorld(async (world) => JSON.parse(await vm.evaluate(`sheafRun(${JSON.stringify(JSON.stringify({ ...world, only }))})`)));
}

// Deno's package for other processors is not everywhere to be had.
const denoSuites = process.arch !== 'x64' ? {} : {
  deno: byProgram(deno),
  'deno, fetch': byProgram(deno, { options: { transport: 'fetch' } }),
};

export const runtimeSuites = {
  node: byProgram(node),
  'node, fetch': byProgram(node, { options: { transport: 'fetch' } }),
  'node, undici': () => byProgram(node, { options: { transport: 'undici' } }, appWithUndici())(),
  'node 24': byProgram(nodeLater),
  ...denoSuites,
  bun: byProgram(bun),
  'bun, fetch': byProgram(bun, { options: { transport: 'fetch' } }),
  workerd: inWorkerd,
  miniflare: inMiniflare,
  edge: inEdgeRuntime,
};
