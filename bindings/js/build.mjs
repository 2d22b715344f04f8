// build.mjs: the package, as it is published, from src/ and the two modules.
//
//   node build.mjs [--root FOLDER] [--wasi FOLDER] [--emscripten FOLDER] [--ranks FOLDER] [--out FOLDER]
//
//   1 what is generated from the module is up to date
//   2 types, by tsc; only what the entries' types reach
//   3 one file with a source map for each entry, bundled by esbuild, minified by terser, which makes it a tenth smaller
//   4 sheaf/tokens, with the vocabularies
//   5 the modules, package.json without what only this build needs, README, LICENSE
//   6 the statistics are as the core itself writes them
//   7 sizes: the build fails when something outgrows its ceiling
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { brotliCompressSync, constants } from 'node:zlib';

import { build } from 'esbuild';
import { minify } from 'terser';

import { makeTokens, missing, tokenEntries } from './build_tokens.mjs';
import { examples, stale } from './generate.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { values: given } = parseArgs({
  options: {
    root: { type: 'string', default: resolve(here, '../..') },
    wasi: { type: 'string' },
    emscripten: { type: 'string' },
    out: { type: 'string' },
    ranks: { type: 'string' },
  },
});
const root = resolve(given.root);
const folder = (path, usual) => (path ? resolve(path) : join(root, usual));
const out = folder(given.out, 'build-js/package'), dist = join(out, 'dist'), typesDir = join(dist, 'types');
const modules = {
  described: join(folder(given.wasi, 'build-wasi/bin'), 'sheaf-described.wasm'),
  reactor: join(folder(given.wasi, 'build-wasi/bin'), 'sheaf.wasm'),
  jobs: join(folder(given.wasi, 'build-wasi/bin'), 'sheaf-jobs.wasm'),
  emscripten: join(folder(given.emscripten, 'build-emscripten/bin'), 'sheaf.wasm'),
  glue: join(folder(given.emscripten, 'build-emscripten/bin'), 'sheaf.mjs'),
};

const tokens = join(folder(given.wasi, 'build-wasi/bin'), 'sheaf-tokens.wasm'), ranks = folder(given.ranks, 'build-vocab/ranks');

// Bytes after brotli at its best, which is what a page loads.
const ceilings = { loader: 8192, module: 71680, tokens: 71680 };

function fail(message) {
  console.error(`build.mjs: ${message}`);
  process.exit(1);
}

function checkInputs() {
  for (const path of Object.values(modules))
    if (!existsSync(path)) fail(`${path} is not there: cmake --build --preset wasi and --preset emscripten make it`);
  const absent = missing(tokens, ranks);
  if (absent) fail(`${absent} is not there: cmake --build --preset wasi and scripts/vocab --ranks make it`);
  const old = stale(modules.described);
  if (old.length) fail(`not what the module says: ${old.join(', ')}; run: node bindings/js/generate.mjs ${modules.described}`);
}

// ---- Types ----

function declare(into) {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  try {
    execFileSync(process.execPath, [tsc, '-p', here, '--outDir', into], { stdio: ['ignore', 'inherit', 'inherit'] });
  } catch {
    fail('the types are wrong');
  }
}

/** The declarations that one reaches. */
function reached(folder, name, found = new Set()) {
  if (found.has(name)) return found;
  found.add(name);
  const text = readFileSync(join(folder, name), 'utf8');
  for (const [, next] of text.matchAll(/(?:from|import\()\s*'\.\/([a-z_]+)\.js'/g)) reached(folder, `${next}.d.ts`, found);
  return found;
}

function makeTypes() {
  const all = join(out, 'types');
  declare(all);
  mkdirSync(typesDir, { recursive: true });
  for (const name of new Set(typeRoots.flatMap((root) => [...reached(all, root)]))) copyFileSync(join(all, name), join(typesDir, name));
  rmSync(all, { recursive: true });
}

const typeRoots = ['index.d.ts', 'jobs.d.ts', 'tokens.d.ts', 'encoding.d.ts', 'index_node.d.ts'];

// ---- Code ----

/** What the sources import of the build's: the loader of Emscripten's, the module as text; modules stay beside the file. */
const made = {
  name: 'made by the build',
  setup(esbuild) {
    esbuild.onResolve({ filter: /^\.\/sheaf\.mjs$/ }, () => ({ path: modules.glue, namespace: 'glue' }));
    esbuild.onLoad({ filter: /./, namespace: 'glue' }, () => ({ contents: glue() }));
    esbuild.onResolve({ filter: /\.wasm(\?module)?$/ }, ({ path }) => ({ path, external: true }));
    esbuild.onResolve({ filter: /^\.\/sheaf-(jobs-)?inline\.js$/ }, ({ path }) => ({ path, namespace: 'inline' }));
    esbuild.onLoad({ filter: /./, namespace: 'inline' }, ({ path }) => ({
      contents: `export default "${readFileSync(path.includes('jobs') ? modules.jobs : modules.reactor, 'base64')}"`,
    }));
    // Loaded when it is first asked for.
    esbuild.onResolve({ filter: /^\.\/jobs-(node|browser)\.js$/ }, ({ path }) => ({ path, external: true }));
  },
};

/**
 * Emscripten's loader, down to what is left of it for a module that is handed in compiled and asks for nothing: which short
 * name stands for which function, and which of them runs first. Another Emscripten may write that otherwise; then all of it
 * goes in.
 */
function glue() {
  const whole = readFileSync(modules.glue, 'utf8');
  const first = /addOnInit\(Module\["asm"\]\["(\w+)"\]\)/.exec(whole)?.[1];
  const names = [...whole.matchAll(/Module\["(_sheaf_\w+)"\]=Module\["asm"\]\["(\w+)"\]/g)];
  const asksForNothing = WebAssembly.Module.imports(new WebAssembly.Module(readFileSync(modules.emscripten))).length === 0;
  if (!first || names.length === 0 || !asksForNothing) return whole;
  return `export default ({ instantiateWasm }) => new Promise((resolve) => instantiateWasm({}, ({ exports }) => {
    exports.${first}();
    resolve({ ${names.map(([, long, short]) => `${long}: exports.${short}`).join(', ')} });
  }));`;
}

const common = {
  bundle: true, format: 'esm', target: 'es2022', charset: 'utf8', plugins: [made], logLevel: 'warning', external: ['undici'],
  absWorkingDir: here, write: false, outdir: dist, sourcemap: true, sourcesContent: true,
};

/** A bundle and its source map, minified. */
async function bundled(name, input, platform) {
  const { outputFiles } = await build({ ...common, ...input, platform });
  const [map, code] = [outputFiles.find(({ path }) => path.endsWith('.map')), outputFiles.find(({ path }) => path.endsWith('.js'))];
  return minify(code.text, {
    module: true, ecma: 2020, compress: { passes: 3, pure_getters: true, unsafe_arrows: true },
    sourceMap: { content: map.text, filename: `${name}.js`, url: `${name}.js.map`, includeSources: true },
  });
}

const entries = { node: 'node', browser: 'browser', workerd: 'neutral', edge: 'neutral', inline: 'neutral' };

/** The entries of sheaf/jobs: dist/jobs-NAME.js. */
const jobsEntries = { node: 'node', browser: 'browser', workerd: 'neutral', edge: 'neutral', inline: 'neutral' };

async function makeEntry(name, source, platform) {
  const { code, map } = await bundled(name, { entryPoints: [`src/${source}.ts`] }, platform);
  writeFileSync(join(dist, `${name}.js`), code);
  writeFileSync(join(dist, `${name}.js.map`), map);
}

async function makeCode() {
  for (const [name, platform] of Object.entries(entries)) await makeEntry(name, name, platform);
  for (const [name, platform] of Object.entries(jobsEntries)) await makeEntry(`jobs-${name}`, `jobs_${name}`, platform);
  for (const [name, platform] of Object.entries(tokenEntries)) await makeEntry(`tokens-${name}`, `tokens_${name}`, platform);
}

/** What every page needs before its first request, and no more: the loaders, the driver, the transport over fetch. */
async function loaderBytes() {
  const contents = "export { Driver } from './driver.js'; export { loaderOf } from './loader.js';" +
    "export { fetchTransport } from './transport.js'; export { default } from './sheaf.mjs';";
  const { code } = await bundled('loader', { stdin: { contents, resolveDir: join(here, 'src'), loader: 'ts' } }, 'browser');
  return compressed(Buffer.from(code));
}

/** What statistics.ts makes of numbers is what the core makes of them, but for the lines of help. */
async function checkStatistics() {
  const { code } = await bundled('statistics', { entryPoints: ['src/statistics.ts'] }, 'neutral');
  const { figuresOf, openMetricsOf } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  for (const { numbers, json, openmetrics } of examples(modules.described)) {
    const bytes = Uint8Array.from(numbers);
    if (!isDeepStrictEqual(figuresOf(bytes), json)) fail('figures of statistics are not those of the core');
    if (openMetricsOf(bytes) !== openmetrics.replace(/^# HELP .*\n/gm, '')) fail('metrics are not those of the core');
  }
}

// ---- The rest ----

function makeManifest() {
  const manifest = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
  delete manifest.scripts;
  delete manifest.devDependencies;
  writeFileSync(join(out, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

function copyFiles() {
  copyFileSync(modules.emscripten, join(dist, 'sheaf.wasm'));
  copyFileSync(modules.reactor, join(dist, 'sheaf-edge.wasm'));
  copyFileSync(modules.jobs, join(dist, 'sheaf-jobs.wasm'));
  copyFileSync(join(here, 'README.md'), join(out, 'README.md'));
  copyFileSync(join(root, 'LICENSE'), join(out, 'LICENSE'));
}

function compressed(bytes) {
  return brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 } }).length;
}

async function checkSizes() {
  const rows = [['loader and driver', await loaderBytes(), ceilings.loader]];
  for (const name of readdirSync(dist).filter((name) => /\.(js|wasm)$/.test(name)).sort())
    rows.push([name, compressed(readFileSync(join(dist, name))), name.endsWith('.wasm') ? (name === 'sheaf-tokens.wasm' ? ceilings.tokens : ceilings.module) : undefined]);
  for (const [name, bytes, ceiling] of rows)
    console.log(`${name.padEnd(20)} ${String(bytes).padStart(7)} B brotli${ceiling ? `, at most ${ceiling}` : ''}`);
  const over = rows.filter(([, bytes, ceiling]) => ceiling !== undefined && bytes > ceiling);
  if (over.length) fail(`too large: ${over.map(([name]) => name).join(', ')}`);
}

checkInputs();
rmSync(out, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
makeTypes();
await makeCode();
await makeTokens(dist, tokens, ranks);
makeManifest();
copyFiles();
await checkStatistics();
await checkSizes();
