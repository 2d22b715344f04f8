// readme.mjs: every example of the README runs to its end: "js" in Node, "js page" in Chromium, "js worker" in miniflare.
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { build } from 'esbuild';
import { Miniflare } from 'miniflare';

import { serving, withPage } from './browser.mjs';
import { appDir, packageDir } from './paths.mjs';
import { workerConditions } from './runtimes.mjs';
import { simulator } from './world.mjs';

const run = promisify(execFile);
const examples = () => [...readFileSync(join(packageDir, 'README.md'), 'utf8').matchAll(/^```(js[a-z ]*)\n([^]*?)^```$/gm)]
  .map(([, kind, code]) => ({ kind, code }));
const atSimulator = (code) => code.replaceAll(/ from 'sheaf(\/node)?'/g, " from './readme_sheaf.mjs'");

/** esbuild writes what newer Nodes understand, `await using`, for all. */
async function inNode({ code }, file, url) {
  const { outputFiles } = await build({
    stdin: { contents: atSimulator(code), resolveDir: appDir }, format: 'esm', target: 'node20', write: false, logLevel: 'error',
  });
  writeFileSync(join(appDir, file), outputFiles[0].text);
  await run(process.execPath, [file], { cwd: appDir, env: { ...process.env, SHEAF_SIMULATOR: url, OPENAI_API_KEY: 'k' }, timeout: 60000 });
}

/** The page's own server hands calls on, as the example says. */
async function inPage({ code }, file, url) {
  writeFileSync(join(appDir, file), code);
  const text = await serving(appDir, { api: url }, (origin) => withPage(async (tab) => {
    await tab.goto(`${origin}/${file}.page`);
    await tab.waitForFunction(() => globalThis.document.body.textContent.includes('Three.'), null, { timeout: 30000 });
    return tab.textContent('body');
  }));
  if (text.trim() !== 'echo: One. echo: Two. echo: Three.') throw new Error(`the page shows ${text}`);
}

async function inWorker({ code }, file, url) {
  const contents = `globalThis.sheafSimulator = ${JSON.stringify(url)};`;
  writeFileSync(join(appDir, 'readme_simulator.mjs'), contents);
  writeFileSync(join(appDir, file), `import './readme_simulator.mjs';\n${atSimulator(code)}`);
  const { outputFiles } = await build({
    entryPoints: [join(appDir, file)], bundle: true, format: 'esm', conditions: workerConditions, write: false,
    external: ['*.wasm'], logLevel: 'error',
  });
  const wasm = readFileSync(join(appDir, 'node_modules/sheaf/dist/sheaf-edge.wasm'));
  const miniflare = new Miniflare({
    compatibilityDate: '2025-04-01', cf: false, bindings: { OPENAI_API_KEY: 'k' },
    modules: [
      { type: 'ESModule', path: file, contents: outputFiles[0].text },
      { type: 'CompiledWasm', path: 'sheaf-edge.wasm', contents: wasm },
    ],
  });
  try {
    const answer = await (await miniflare.dispatchFetch('http://localhost/')).text();
    if (answer !== '["echo: One.","echo: Two.","echo: Three."]') throw new Error(`the worker answers ${answer}`);
  } finally {
    await miniflare.dispose();
  }
}

const ways = { js: inNode, 'js page': inPage, 'js worker': inWorker };

export async function checkReadme() {
  const { url, stop } = await simulator(['--latency', 'fixed:5', '--batch-time', 'fixed:50']);
  const outcomes = [];
  try {
    for (const [i, example] of examples().entries()) {
      const name = `example ${i + 1}, ${example.kind}: ${example.code.split('\n').find((line) => line && !line.startsWith('import'))}`;
      try {
        await ways[example.kind](example, `readme_${i + 1}.mjs`, url);
        outcomes.push({ name });
      } catch (error) {
        outcomes.push({ name, error: error.stderr || error.message });
      }
    }
  } finally {
    await stop();
  }
  return outcomes;
}
