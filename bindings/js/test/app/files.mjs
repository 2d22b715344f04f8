// files.mjs: what "sheaf/node" promises beside: runs over files, where the runtime has a file system.
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createClient, readState, runFile, writeRequests, writeState } from 'sheaf/node';

function equal(actual, expected, what) {
  if (JSON.stringify(actual) !== JSON.stringify(expected))
    throw new Error(`${what}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
}

const rows = Array.from({ length: 25 }, (_, i) => ({ customId: `row "${i}"`, prompt: `of a file ${i}` }));
const texts = rows.map(({ prompt }) => `echo: ${prompt}`);
const linesOf = (path) => readFileSync(path, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));

/** A folder with an input, and a client; both go afterwards. */
async function withFolder(world, act) {
  const folder = mkdtempSync(join(tmpdir(), 'sheaf-'));
  const client = await createClient({ baseURL: `${world.url}/v1`, model: 'sim-1', concurrency: 4, ...world.options });
  const input = join(folder, 'in.jsonl'), output = join(folder, 'out.jsonl');
  writeRequests(rows, input);
  try {
    await act({ client, folder, input, output });
  } finally {
    await client.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const cases = {
  'a file becomes lines in its order': (world) => withFolder(world, async ({ client, input, output }) => {
    const { succeeded, isFinished } = await runFile(client, input, output);
    equal([succeeded, isFinished, existsSync(`${output}.sheaf`)], [25, true, false], 'report and log');
    equal(linesOf(output).map(({ sheaf }) => sheaf.text), texts, 'texts');
  }),

  'a run that ends early is gone on with, a torn line is cut': (world) => withFolder(world, async ({ client, input, output }) => {
    const first = await runFile(client, input, output, { budget: { requests: 10 } });
    equal([first.written, first.isFinished, existsSync(`${output}.sheaf`)], [10, false, true], 'the first');
    truncateSync(output, readFileSync(output).length - 20);
    const second = await runFile(client, input, output, { resume: 'required' });
    equal([second.skipped, second.isResumed, second.isFinished, second.tornBytes > 0], [9, true, true, true], 'the second');
    equal(linesOf(output).map(({ sheaf }) => sheaf.text), texts, 'texts');
  }),

  'a second writer is refused': (world) => withFolder(world, async ({ client, input, output }) => {
    const first = runFile(client, input, output);
    const second = await runFile(client, input, output).then(() => 'taken', (error) => error.code);
    equal([second, (await first).isFinished], ['E_OTHER_RUN', true], 'the second, and the first');
  }),

  'a state becomes files and files a state': (world) => withFolder(world, async ({ client, input, output }) => {
    const { state } = await client.batch(rows, { budget: { requests: 7 } });
    await writeState(state, output);
    equal(linesOf(output).length, 7, 'lines');
    equal((await runFile(client, input, output, { resume: 'required', limit: 20 })).written, 13, 'written');
    const results = await client.resume(await readState(output), rows);
    equal([results.state, results.map((result) => result.text)], [undefined, texts], 'texts');
  }),

  'a broken line is named by its place': (world) => withFolder(world, async ({ client, input, output }) => {
    writeFileSync(input, '"fine"\n{"prompt":}\n');
    const { code, message } = await runFile(client, input, output).then(() => ({}), (error) => error);
    equal([code, /in\.jsonl:2/.test(message)], ['E_SYNTAX', true], message);
  }),
};

/** As `run` of conformance.mjs. */
export async function runFiles(world, only = '') {
  const outcomes = [];
  for (const [name, act] of Object.entries(cases)) {
    if (!name.includes(only)) continue;
    const started = performance.now();
    const error = await act(world).then(() => undefined, (thrown) => `${thrown?.name}: ${thrown?.message}`);
    outcomes.push({ name, ms: performance.now() - started, error });
  }
  return outcomes;
}
