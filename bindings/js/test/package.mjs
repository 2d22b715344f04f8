// package.mjs: the package itself: what is in it, what tools say of it, its types, and how Node takes it.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { build } from 'esbuild';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

import { packed } from './install.mjs';
import { appDir, packageDir, toolDir, workDir } from './paths.mjs';
import { inWorld } from './world.mjs';

const run = promisify(execFile);
const dist = join(packageDir, 'dist');
const manifest = () => JSON.parse(readFileSync(join(packageDir, 'package.json'), 'utf8'));
const tokenEntries = ['browser', 'edge', 'node', 'workerd'].map((name) => `tokens-${name}`);
const jobsEntries = ['browser', 'edge', 'inline', 'node', 'workerd'].map((name) => `jobs-${name}`);
const entries = ['browser', 'edge', 'inline', 'node', 'workerd', ...jobsEntries, ...tokenEntries];
const encodings = ['cl100k_base', 'gpt2', 'o200k_base', 'o200k_harmony', 'p50k_base', 'p50k_edit', 'r50k_base'];

function must(condition, message) {
  if (!condition) throw new Error(message);
}

/** Runs a text as a module, or as CommonJS, in the folder of the user's. */
async function inNode(code, { env = {}, type = 'module', node = process.execPath } = {}) {
  const file = join(appDir, `try.${type === 'module' ? 'mjs' : 'cjs'}`);
  writeFileSync(file, code);
  const { stdout, stderr } = await run(node, [file], { cwd: appDir, env: { ...process.env, ...env }, timeout: 30000 });
  must(stderr === '', `it said: ${stderr}`);
  return stdout.trim();
}

async function compiled(name, options) {
  const file = join(appDir, `tsconfig.${name}.json`);
  writeFileSync(file, JSON.stringify({
    compilerOptions: {
      target: 'es2022', strict: true, noEmit: true, exactOptionalPropertyTypes: true, skipLibCheck: false,
      typeRoots: [join(toolDir('typescript'), '../@types')], ...options,
    },
    files: ['types.ts'],
  }));
  await run(process.execPath, [join(toolDir('typescript'), 'bin/tsc'), '-p', file], { cwd: appDir })
    .catch((error) => Promise.reject(new Error(error.stdout)));
}

const cases = {
  'it holds its files and no others': () => {
    const types = ['client', 'encoding', 'errors', 'files', 'generated', 'index', 'index_node', 'job_files', 'job_stores', 'job_types', 'jobs', 'pool', 'public', 'report', 'state', 'tokenizer', 'tokens', 'transport', 'types'];
    const expected = [
      'LICENSE', 'README.md', 'package.json', 'dist/sheaf-edge.wasm', 'dist/sheaf-jobs.wasm', 'dist/sheaf-tokens.wasm', 'dist/sheaf.wasm', 'dist/tokens/LICENSE',
      ...encodings.flatMap((name) => ['bin', 'browser.js', 'node.js', 'workerd.js'].map((kind) => `dist/tokens/${name}.${kind}`)),
      ...entries.flatMap((name) => [`dist/${name}.js`, `dist/${name}.js.map`]), ...types.map((name) => `dist/types/${name}.d.ts`),
    ].sort();
    const found = packed.files.map(({ path }) => path).sort();
    must(JSON.stringify(found) === JSON.stringify(expected), `it holds ${found.join(' ')}`);
  },

  'it depends on nothing and runs nothing': () => {
    const { dependencies, scripts, devDependencies } = manifest();
    must(!dependencies && !scripts && !devDependencies, 'there are dependencies or scripts');
  },

  'each script has its source map, with the sources in it': () => {
    for (const name of entries) {
      const code = readFileSync(join(dist, `${name}.js`), 'utf8').trimEnd();
      must(code.endsWith(`//# sourceMappingURL=${name}.js.map`), `${name}.js names none`);
      const { sources, sourcesContent } = JSON.parse(readFileSync(join(dist, `${name}.js.map`), 'utf8'));
      must(sources.length > 1 && sourcesContent.every(Boolean), `${name}.js.map lacks sources`);
    }
  },

  'every path of its exports is there': () => {
    const paths = JSON.stringify(manifest().exports).match(/\.\/dist\/[\w./*-]+/g);
    for (const path of paths.map((each) => each.replace('*', 'o200k_base'))) must(existsSync(join(packageDir, path)), `${path} is not there`);
  },

  'publint has nothing to say': async () => {
    const { messages, pkg } = await publint({ pkgDir: packageDir, strict: true });
    must(messages.length === 0, messages.map((message) => formatMessage(message, pkg)).join('; '));
  },

  'attw has nothing to say': async () => {
    // An ES module for all: CommonJS gets it by require() of Node 20.19 and later. The modules have no types.
    await run(process.execPath, [
      join(toolDir('@arethetypeswrong/cli'), 'dist/index.js'), join(workDir, packed.filename), '--profile', 'esm-only', '--no-color',
      '--exclude-entrypoints', './sheaf.wasm', './sheaf-edge.wasm', './sheaf-edge.wasm?module',
      './sheaf-tokens.wasm', './sheaf-tokens.wasm?module', './sheaf-jobs.wasm', './sheaf-jobs.wasm?module',
    ]).catch((error) => Promise.reject(new Error(error.stdout)));
  },

  'types: Node, as it resolves': () => compiled('node', { module: 'nodenext', lib: ['es2022', 'esnext.disposable'], types: ['node'] }),
  'types: pages, as bundlers resolve': () =>
    compiled('page', { module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom', 'esnext.disposable'], types: [] }),
  'types: without the library of disposables': () =>
    compiled('plain', { module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom'], types: [] }),

  'require() gets it': async () => {
    const code = 'const { createClient, pool } = require("sheaf");' +
      'console.log(typeof createClient, typeof pool, typeof require("sheaf/inline").pool)';
    const said = await inNode(code, { type: 'commonjs' });
    must(said === 'function function function', said);
  },

  'jobs are loaded when they are first asked for, and their errors are the package\'s': () => inWorld(async ({ jobsUrl }) => {
    const code = `import { createClient, SheafError } from 'sheaf';
      const isLoaded = () => Symbol.for('sheaf.jobs') in globalThis;
      const client = await createClient({ baseURL: '${jobsUrl}/v1', model: 'sim-1' });
      const before = isLoaded();
      const error = await client.jobs.submit(['x'], {}).catch((thrown) => thrown);
      console.log(before, isLoaded(), error instanceof SheafError, error.field, (await client.jobs.available().catch(() => ({}))).available);
      await client.close();`;
    must(await inNode(code) === 'false true true store true', await inNode(code));
    const said = await inNode(code.replaceAll("'sheaf'", "'sheaf/inline'"));
    must(said.startsWith('false false true') , said);
    const both = await inNode(`import 'sheaf/inline/jobs';${code.replaceAll("'sheaf'", "'sheaf/inline'")}`);
    must(both === 'true true true store true', both);
  }),

  'keys come from the environment': () => inWorld(async ({ keyedUrl, key }) => {
    const code = `import { createClient } from 'sheaf';
      for (const options of [{}, { endpoints: [{ baseURL: '${keyedUrl}', model: 'm' }], baseURL: undefined, model: undefined }]) {
        const client = await createClient({ baseURL: '${keyedUrl}', model: 'm', ...options });
        const result = await client.submit('hello');
        console.log(result.ok ? 'ok' : result.error.class);
        await client.close();
      }`;
    must(await inNode(code, { env: { OPENAI_API_KEY: key } }) === 'ok\nok', 'the key was not found');
    must(await inNode(code, { env: { OPENAI_API_KEY: 'another' } }) === 'auth\nauth', 'any key is good');
    must(await inNode(code.replaceAll("'sheaf'", "'sheaf/inline'"), { env: { OPENAI_API_KEY: key } }) === 'ok\nok', 'not inline');
  }),

  'a client that was not closed does not keep the process': () => inWorld(async ({ url }) => {
    const said = await inNode(`import { createClient } from 'sheaf';
      const client = await createClient({ baseURL: '${url}', model: 'sim-1' });
      console.log((await client.submit('hello')).ok);`);
    must(said === 'true', said);
  }),

  'bundled for Node without its module: the error helps, useModule does': () => inWorld(async ({ url }) => {
    const contents = `import { readFile } from 'node:fs/promises';
      import { createClient, useModule } from 'sheaf';
      const options = { baseURL: '${url}', model: 'sim-1' };
      console.log(await createClient(options).catch((error) => error.code + ' ' + /useModule/.test(error.message)));
      for (const name of ['sheaf', 'sheaf-edge']) {
        useModule(readFile(\`${dist}/\${name}.wasm\`));
        const client = await createClient(options);
        console.log((await client.submit('from ' + name)).text);
        await client.close();
      }`;
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: appDir }, bundle: true, platform: 'node', format: 'esm', write: false, logLevel: 'silent',
    });
    const said = await inNode(outputFiles[0].text);
    must(said === 'E_NOT_FOUND true\necho: from sheaf\necho: from sheaf-edge', said);
  }),

  'an option of the transport that is not there is named': async () => {
    const said = await inNode(`import { createClient } from 'sheaf';
      console.log(await createClient({ transport: 'pigeons' }).catch((error) => error.code + ' ' + error.field));`);
    must(said === 'E_RANGE transport', said);
  },
};

export async function checkPackage() {
  const outcomes = [];
  for (const [name, act] of Object.entries(cases)) {
    try {
      await act();
      outcomes.push({ name });
    } catch (error) {
      outcomes.push({ name, error: error.message });
    }
  }
  return outcomes;
}
