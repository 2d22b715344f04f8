// browser.mjs: the suite in Chromium: pages and module workers, without a bundler and through Vite, webpack and esbuild.
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { extname, join, normalize } from 'node:path';

import { build as esbuild } from 'esbuild';
import { chromium } from 'playwright-core';
import { build as vite, createServer as viteServer } from 'vite';
import webpack from 'webpack';

import { appDir, workDir } from './paths.mjs';
import { inWorld } from './world.mjs';

const only = process.env.SHEAF_ONLY ?? '';
const types = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' };
const page = (script) => `<!doctype html><meta charset="utf-8"><script type="module" src="${script}"></script>`;

// ---- Serving ----

/** A call of a page's, to the simulator behind its server. */
async function handOn(request, response, url) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const reply = await fetch(url, { method: request.method, headers: { 'content-type': 'application/json' }, body: Buffer.concat(chunks) });
  response.writeHead(reply.status, { 'content-type': reply.headers.get('content-type') }).end(Buffer.from(await reply.arrayBuffer()));
}

/**
 * Serves a folder, and a page for each of its scripts. `headers` go with everything. Without a bundler nobody resolves
 * "sheaf" (workers have no import maps), so that its address is put in on the way.
 */
export async function serving(folder, { headers = {}, wasmType = types['.wasm'], without = [], api }, act) {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url, 'http://localhost').pathname);
    if (api && path.startsWith('/api/')) {
      handOn(request, response, api + path.slice('/api'.length));
      return;
    }
    const file = join(folder, path);
    if (path.endsWith('.page')) {
      response.writeHead(200, { 'content-type': types['.html'], ...headers }).end(page(path.slice(0, -'.page'.length)));
    } else if (!existsSync(file) || without.some((part) => path.endsWith(part))) {
      response.writeHead(404).end();
    } else {
      const type = extname(path) === '.wasm' ? wasmType : types[extname(path)] ?? 'application/octet-stream';
      const bytes = readFileSync(file);
      const isOurs = folder === appDir && extname(path) === '.mjs';
      response.writeHead(200, { 'content-type': type, ...headers })
        .end(isOurs ? String(bytes).replace(/ from 'sheaf'/, " from '/node_modules/sheaf/dist/browser.js'").replace(/ from 'sheaf\/jobs'/, " from '/node_modules/sheaf/dist/jobs-browser.js'") : bytes);
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await act(`http://127.0.0.1:${server.address().port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

// ---- Chromium ----

let browser, pages = 0;

/** One for all suites, closed when nobody has a page in it. */
export async function withPage(act) {
  pages++;
  browser ??= chromium.launch({
    executablePath: process.env.SHEAF_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  const context = await (await browser).newContext();
  try {
    return await act(await context.newPage());
  } finally {
    await context.close();
    if (--pages === 0) {
      const idle = browser;
      browser = undefined;
      await (await idle).close();
    }
  }
}

/** Opens an address and waits for `outcomes`. Asked again and again, because a policy may forbid anything cleverer. */
async function outcomesOf(url) {
  return withPage(async (tab) => {
    const said = [];
    tab.on('pageerror', (error) => said.push(String(error)));
    tab.on('console', (message) => message.type() === 'error' && said.push(`${message.text()} ${message.location().url}`));
    await tab.goto(url);
    for (const end = Date.now() + 240000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 100))) {
      const outcomes = await tab.evaluate(() => globalThis.outcomes ?? null);
      if (outcomes !== null) return outcomes;
      if (said.some((text) => text.includes('SyntaxError') || text.includes('Failed to fetch dynamically'))) break;
    }
    throw new Error(`the page gave no outcome: ${said.join('; ')}`);
  });
}

const hash = (world) => `#${encodeURIComponent(JSON.stringify(world))}`;

/** The suite in the page, or in its worker. */
const inPlace = (url, where) => inWorld(async (world) => {
  const { origin } = new URL(url);
  const outcomes = await outcomesOf(`${url}${hash({ ...world, isBrowser: true, origin, where, only })}`);
  return outcomes.map((outcome) => ({ ...outcome, name: `${where}: ${outcome.name}` }));
});

/** The suite in pages of a folder. */
const inPages = (folder, script, places, settings = {}) => serving(folder, settings, async (origin) => {
  const all = await Promise.all(places.map((where) => inPlace(`${origin}/${script}.page`, where)));
  return all.flat();
});

// ---- Bundlers, as they come ----

function fresh(name) {
  const folder = join(workDir, name);
  rmSync(folder, { recursive: true, force: true });
  return folder;
}

async function throughVite() {
  const outDir = fresh('vite');
  await vite({
    root: appDir, logLevel: 'error', configFile: false, worker: { format: 'es' }, base: './',
    build: {
      outDir, target: 'es2022', modulePreload: false,
      rollupOptions: { input: join(appDir, 'page.mjs'), output: { entryFileNames: 'page.js' } },
    },
  });
  return inPages(outDir, 'page.js', ['page', 'worker']);
}

async function throughViteDev() {
  const server = await viteServer({
    root: appDir, logLevel: 'error', configFile: false, cacheDir: fresh('vite-cache'),
    server: { host: '127.0.0.1', port: 0, hmr: false, ws: false },
  });
  writeFileSync(join(appDir, 'vite.html'), page('/page.mjs'));
  try {
    await server.listen();
    return await inPlace(`http://127.0.0.1:${server.httpServer.address().port}/vite.html`, 'page');
  } finally {
    await server.close();
  }
}

async function throughWebpack() {
  const path = fresh('webpack');
  const compiler = webpack({
    mode: 'production', context: appDir, entry: './page.mjs', output: { path, filename: 'page.js', publicPath: '/' },
  });
  const stats = await new Promise((resolve, reject) => compiler.run((error, done) => (error ? reject(error) : resolve(done))));
  if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString({ preset: 'errors-warnings' }));
  await new Promise((resolve) => compiler.close(resolve));
  return inPages(path, 'page.js', ['page', 'worker']);
}

const byEsbuild = (outdir, more) => esbuild({
  entryPoints: ['page.mjs', 'page_worker.mjs'].map((name) => join(appDir, name)), outExtension: { '.js': '.mjs' },
  bundle: true, format: 'esm', outdir, absWorkingDir: appDir, logLevel: 'error', ...more,
});

async function throughEsbuildInline() {
  const outdir = fresh('esbuild-inline');
  await byEsbuild(outdir, { alias: { sheaf: 'sheaf/inline' } });
  return inPages(outdir, 'page.mjs', ['page', 'worker']);
}

/** esbuild leaves the module behind; put beside the script it is found. */
async function throughEsbuildCopied() {
  const outdir = fresh('esbuild-copied');
  await byEsbuild(outdir, {});
  for (const name of ['sheaf.wasm', 'sheaf-jobs.wasm']) copyFileSync(join(appDir, 'node_modules/sheaf/dist', name), join(outdir, name));
  return inPages(outdir, 'page.mjs', ['page']);
}

// ---- What goes wrong when a page loads ----

async function loading() {
  const policy = (sources) => ({ headers: { 'content-security-policy': `default-src 'self'; script-src ${sources}` } });
  const cases = [
    ['a server with the wrong MIME type', { wasmType: 'application/octet-stream' }, /^loaded$/],
    ['a policy with wasm-unsafe-eval', policy("'self' 'wasm-unsafe-eval'"), /^loaded$/],
    ['a policy without: the error says what is missing', policy("'self'"), /^E_UNSUPPORTED .*'wasm-unsafe-eval'/],
    ['a server that answers its page instead', { wasmType: 'text/html' }, /^E_NOT_FOUND .*sheaf\/inline/],
    ['a module that is not there: the error says what helps', { without: ['sheaf.wasm'] }, /^E_NOT_FOUND .*sheaf\/inline/],
  ];
  const outcomes = [];
  for (const [name, settings, expected] of cases) {
    const outcome = await serving(appDir, settings, (origin) => outcomesOf(`${origin}/page_load.mjs.page`));
    outcomes.push({ name, error: expected.test(outcome) ? undefined : `${outcome}, expected ${expected}` });
  }
  return outcomes;
}

export const browserSuites = {
  chromium: () => inPages(appDir, 'page.mjs', ['page', 'worker']),
  'chromium, loading': loading,
  vite: throughVite,
  'vite, dev server': throughViteDev,
  webpack: throughWebpack,
  'esbuild, inline': throughEsbuildInline,
  'esbuild, module beside': throughEsbuildCopied,
};
