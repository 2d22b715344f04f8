// files.test.mjs: runFile beside the command, on the same files: killed, continued by the other, refused where it refuses.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import {
  billedAgain, childArgs, clientOptions, command, commandArgs, folder, killed, linesOf, outcome, reportedAgain, rowsOf, sheaf, toEnd,
  writeRows,
} from './files_world.mjs';
import { simulator } from './world.mjs';

const { createClient, runFile } = sheaf;

/** A folder, a simulator and a client for one test. */
async function place(t, simOptions = [], client = {}) {
  const sim = await simulator(['--latency', 'fixed:5', ...simOptions]);
  const made = await createClient(clientOptions(sim.url, client));
  t.after(async () => {
    await made.close();
    await sim.stop();
  });
  const dir = folder();
  return { url: sim.url, client: made, dir, input: join(dir, 'in.jsonl'), output: join(dir, 'out.jsonl') };
}

/** What one uninterrupted run of the command gives, without faults. */
async function reference(rows) {
  const sim = await simulator([]);
  try {
    const dir = folder(), input = join(dir, 'in.jsonl'), output = join(dir, 'out.jsonl');
    writeRows(input, rows);
    assert.equal((await command(sim.url, input, output)).code, 0);
    return linesOf(output).map(outcome);
  } finally {
    await sim.stop();
  }
}

const failure = (promise) => promise.then(() => assert.fail('it did not reject'), (error) => error);

test('a file becomes lines in its order, and its log goes', async (t) => {
  const { client, input, output } = await place(t);
  const rows = [...rowsOf(300), 'a text alone'];
  writeRows(input, rows);
  const report = await runFile(client, input, output);
  assert.deepEqual(linesOf(output).map(outcome), await reference(rows));
  assert.equal(existsSync(`${output}.sheaf`), false);
  const { metrics, ...figures } = report;
  assert.deepEqual(figures, {
    total: 301, done: 301, succeeded: 301, failed: 0, skipped: 0, written: 301, unknown: 0, tornBytes: 0, isResumed: false, isFinished: true,
  });
  assert.equal(metrics.succeeded, 301);
});

for (const [first, order] of [['node', 'input'], ['command', 'completion']])
  test(`killed again and again, begun by ${first}, each goes on with the other's`, { timeout: 180000 }, async (t) => {
    // A model for each row, so that the simulator's books tell the rows apart.
    const rows = rowsOf(200, (i) => ({ model: `m${i}` }));
    const expected = await reference(rows);
    const { url, input, output } = await place(t, ['--latency', 'uniform:5:40', '--fault', '500:0.03,reset:0.02']);
    writeRows(input, rows);
    const sides = {
      node: childArgs(url, input, output, { order }, { concurrency: 16, retryBaseMs: 10 }),
      command: commandArgs(url, input, output, '--order', order, '--concurrency', '16', '--retry-base-ms', '10'),
    };
    let side = first, kills = 0;
    const both = new Set();
    while (kills < 8 && !(await killed(sides[side], output, 12000 + 1500 * kills))) {
      both.add(side);
      kills++;
      side = side === 'node' ? 'command' : 'node';
    }
    assert.ok(kills >= 4 && both.size === 2, `${kills} kills`);
    await toEnd(sides[side]);
    await toEnd(sides[side]); // a run that came to its end does nothing more
    const lines = linesOf(output);
    const sorted = lines.toSorted((a, b) => a.sheaf.index - b.sheaf.index);
    if (order === 'input') assert.deepEqual(lines, sorted);
    assert.deepEqual(sorted.map(outcome), expected);
    assert.equal(existsSync(`${output}.sheaf`), false);
    const reported = new Set(reportedAgain(lines).map((line) => line.sheaf.index));
    const again = (await billedAgain(url)).map((model) => Number(model.slice(1)));
    assert.deepEqual(again.filter((index) => !reported.has(index)), []); // nothing was billed twice that does not say so
  });

test('with resendUnknown never a kill costs a row and never a second bill', { timeout: 60000 }, async (t) => {
  const { url, input, output } = await place(t, ['--latency', 'uniform:5:40']);
  writeRows(input, rowsOf(240, (i) => ({ model: `m${i}` })));
  const sides = [
    childArgs(url, input, output, {}, { concurrency: 16, resendUnknown: 'never' }),
    commandArgs(url, input, output, '--concurrency', '16', '--resend-unknown', 'never'),
  ];
  let kills = 0;
  while (kills < 4 && !(await killed(sides[kills % 2], output, 20000))) kills++;
  assert.ok(kills >= 2);
  const report = await toEnd(sides[0]);
  const lines = linesOf(output);
  assert.deepEqual(lines.map((line) => line.custom_id), rowsOf(240).map((row) => row.custom_id));
  assert.deepEqual(await billedAgain(url), []);
  const failed = lines.filter((line) => line.error);
  assert.ok(failed.length > 0 && failed.length <= 16 * kills);
  assert.ok(failed.every((line) => line.sheaf.error_class === 'unknown_outcome'));
  assert.equal(report.failed, failed.length);
});

test('an output that ends anywhere is gone on with', async (t) => {
  const { client, input, output } = await place(t);
  const rows = rowsOf(3);
  writeRows(input, rows);
  await runFile(client, input, output);
  const whole = readFileSync(output);
  const expected = linesOf(output).map(outcome);
  const ends = [...whole.keys()].filter((at) => whole[at] === 10);
  for (let cut = whole.length; cut > 0; cut -= 37) {
    writeFileSync(output, whole.subarray(0, cut));
    const kept = ends.filter((end) => cut >= end).length; // a line that lacks no more than its LF is whole
    if (kept === 0) break;
    const report = await runFile(client, input, output);
    assert.equal(report.skipped, kept, `cut at ${cut}`);
    const before = kept === 3 ? -1 : (ends[kept - 1] ?? -1);
    assert.equal(report.tornBytes, before < 0 || cut === before ? 0 : cut - before - 1);
    assert.deepEqual(linesOf(output).map(outcome), expected);
  }
});

test('one byte short of a line: its LF comes back', async (t) => {
  const { client, input, output } = await place(t);
  writeRows(input, rowsOf(2));
  await runFile(client, input, output);
  const whole = readFileSync(output);
  truncateSync(output, whole.length - 1);
  assert.equal((await runFile(client, input, output)).skipped, 2);
  assert.deepEqual(readFileSync(output), whole);
});

test('failures stay, or run again when asked; a success takes their place', async (t) => {
  const { client, input, output } = await place(t);
  writeRows(input, rowsOf(4));
  await runFile(client, input, output);
  const lines = linesOf(output);
  // Every second line becomes that of a failure.
  const spoilt = lines.map((line, i) => (i % 2 ? {
    ...line, response: { status_code: 500, body: null }, error: { code: 'server', message: 'x' }, sheaf: { ...line.sheaf, error_class: 'server' },
  } : line));
  writeRows(output, spoilt);
  const second = await runFile(client, input, output);
  assert.deepEqual([second.skipped, second.failed, second.succeeded], [4, 2, 2]);
  const third = await runFile(client, input, output, { retryFailed: true });
  assert.deepEqual([third.skipped, third.failed, third.succeeded, third.written], [2, 0, 4, 2]);
  assert.deepEqual(linesOf(output).map(outcome), lines.map(outcome));
});

test('rows that cannot be built get a line that says so, once, as the command writes it', async (t) => {
  const { client, url, dir, input, output } = await place(t);
  writeRows(input, [{ custom_id: 'a', prompt: 'x' }, { custom_id: 'b', prompt: 'x', url: '/v1/nothing' }, 'c']);
  const report = await runFile(client, input, output);
  assert.deepEqual([report.succeeded, report.failed], [2, 1]);
  await runFile(client, input, output);
  assert.equal(linesOf(output).length, 3);
  const other = join(dir, 'other');
  await command(url, input, other);
  const strip = ({ id, custom_id, error, response, sheaf: { latency_ms, queue_ms, ...own } }) =>
    ({ id, custom_id, error, ok: response?.status_code, own });
  assert.deepEqual(linesOf(output).map(strip), linesOf(other).map(strip));
  const { code } = await command(url, input, output, '--resume');
  assert.equal(code, 4); // some failed, none was sent again
  assert.equal(linesOf(output).length, 3);
  // Mended, it runs, and its line takes the place of that one.
  writeRows(input, [{ custom_id: 'a', prompt: 'x' }, { custom_id: 'b', prompt: 'x' }, 'c']);
  const mended = await runFile(client, input, output);
  assert.deepEqual([mended.skipped, mended.written, mended.failed], [2, 1, 0]);
  assert.deepEqual(linesOf(output).map((line) => line.custom_id), ['a', 'b', 'row-3']);
});

test('what belongs to another run is refused and stays as it was', async (t) => {
  const { client, url, dir, input, output } = await place(t);
  writeRows(input, rowsOf(3));
  await command(url, input, output);
  const before = readFileSync(output);
  const otherModel = await createClient(clientOptions(url, { model: 'another' }));
  const changed = await failure(runFile(otherModel, input, output));
  await otherModel.close();
  assert.equal(changed.code, 'E_OTHER_RUN');
  assert.match(changed.message, /custom_id "id 0 \\"ü\\"" has other content/);
  assert.deepEqual(readFileSync(output), before);
  const foreign = join(dir, 'foreign');
  writeFileSync(foreign, '{"some":"file"}\n');
  assert.match((await failure(runFile(client, input, foreign))).message, /line 1 is no result of sheaf/);
  assert.equal(readFileSync(foreign, 'utf8'), '{"some":"file"}\n');
  assert.equal((await failure(runFile(client, input, input))).code, 'E_IO');
  assert.equal((await failure(runFile(client, input, join(dir, 'new'), { resume: 'required' }))).code, 'E_NOT_FOUND');
  assert.equal(existsSync(join(dir, 'new')), false);
  const report = await runFile(client, input, output, { resume: 'never' });
  assert.equal(report.written, 3);
  assert.deepEqual(readFileSync(`${output}.bak`), before);
});

test('a run of another input is refused by its record in the log', async (t) => {
  const { client, url, dir, input, output } = await place(t, ['--latency', 'fixed:2000']);
  const other = join(dir, 'other.jsonl');
  writeRows(input, rowsOf(3));
  writeRows(other, rowsOf(5));
  await killed(commandArgs(url, input, output), `${output}.sheaf`, 200);
  const error = await failure(runFile(client, other, output));
  assert.equal(error.code, 'E_OTHER_RUN');
  assert.match(error.message, /run of another input/);
  // And the other way round.
  const mine = join(dir, 'mine');
  await killed(childArgs(url, input, mine), `${mine}.sheaf`, 200);
  const { code, stderr } = await command(url, other, mine);
  assert.equal(code, 3);
  assert.match(stderr, /run of another input/);
});

test('a custom_id twice is refused with both lines, and what went before is kept', async (t) => {
  const { client, input, output } = await place(t);
  writeRows(input, [...rowsOf(3), '', { custom_id: 'id 1 "ü"', prompt: 'other' }, 'x']);
  const error = await failure(runFile(client, input, output));
  assert.equal(error.code, 'E_DUPLICATE');
  assert.match(error.message, /in\.jsonl:5: custom_id .* was used before on line 2/);
  const given = ['x', { custom_id: 'row-1', prompt: 'y' }];
  writeRows(input, given);
  assert.match((await failure(runFile(client, input, `${output}2`))).message, /:2: custom_id "row-1" was used before on line 1/);
  writeRows(input, given.toReversed().concat('row 3').map((row) => (row === 'x' ? { custom_id: 'row-3', prompt: 'x' } : row)));
  assert.match((await failure(runFile(client, input, `${output}3`))).message, /:3: custom_id "row-3" was used before on line 2/);
});

test('a bad line ends the run with its place', async (t) => {
  const { client, input, output } = await place(t);
  writeFileSync(input, '"a"\n\n{"prompt": 5}\n"b"\n');
  const error = await failure(runFile(client, input, output));
  assert.match(error.message, /in\.jsonl:3/);
  writeFileSync(input, Buffer.from('"a"\n"\xff"\n', 'latin1'));
  assert.equal((await failure(runFile(client, input, `${output}2`))).code, 'E_UTF8');
  writeFileSync(input, '\n \n');
  assert.match((await failure(runFile(client, input, `${output}3`))).message, /the input is empty/);
  assert.equal(existsSync(`${output}3`), false);
});

test('two writers at once: the second is refused, whichever it is', async (t) => {
  const { client, url, input, output } = await place(t, ['--latency', 'fixed:400'], { concurrency: 4 });
  writeRows(input, rowsOf(8));
  const running = runFile(client, input, output);
  while (!existsSync(`${output}.sheaf`)) await new Promise((resolve) => setTimeout(resolve, 5)); // else the command may be first
  const { code, stderr } = await command(url, input, output);
  assert.equal(code, 3);
  assert.match(stderr, /another run is writing it/);
  assert.match((await failure(runFile(client, input, output))).message, /another run is writing it/);
  await running;
  const other = `${output}2`;
  const [file, args] = commandArgs(url, input, other, '--concurrency', '4');
  const program = spawn(file, args, { stdio: 'ignore' });
  const ended = once(program, 'exit');
  while (!existsSync(`${other}.sheaf`)) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.match((await failure(runFile(client, input, other))).message, /another run is writing it/);
  await ended;
  assert.equal((await runFile(client, input, other)).skipped, 8);
});

test('an abort lets what is in flight end, and the same call goes on', async (t) => {
  const { client, input, output } = await place(t, ['--latency', 'fixed:50'], { concurrency: 8 });
  writeRows(input, rowsOf(60));
  const abort = new AbortController();
  const seen = [];
  const report = await runFile(client, input, output, {
    signal: abort.signal, progressMs: 0, onProgress: (progress) => {
      seen.push(progress);
      if (progress.done === 16) abort.abort();
    },
  });
  assert.equal(report.isFinished, false);
  assert.ok(report.done >= 16 && report.done <= 32);
  assert.ok(existsSync(`${output}.sheaf`));
  assert.ok(seen.every(({ done }, i) => done === i + 1));
  const rest = await runFile(client, input, output);
  assert.deepEqual([rest.skipped, rest.written, rest.unknown, rest.isFinished], [report.done, 60 - report.done, 0, true]);
  assert.equal(linesOf(output).length, 60);
});

test('lines of rows that are not in the input stay, behind the others', async (t) => {
  const { client, input, output } = await place(t);
  const rows = rowsOf(4);
  writeRows(input, rows);
  await runFile(client, input, output);
  writeRows(input, [rows[3], rows[1], { custom_id: 'new', prompt: 'n' }]);
  await runFile(client, input, output);
  assert.deepEqual(linesOf(output).map((line) => line.custom_id), [rows[3], rows[1], { custom_id: 'new' }, rows[0], rows[2]].map((row) => row.custom_id));
});

test('a damaged log and a damaged line are refused', async (t) => {
  const { client, url, input, output } = await place(t, ['--latency', 'fixed:100']);
  writeRows(input, rowsOf(300));
  await killed(childArgs(url, input, output, { sync: 'full' }, { concurrency: 4 }), output, 3000);
  const log = readFileSync(`${output}.sheaf`);
  const spoilt = Buffer.from(log);
  spoilt[40] ^= 1; // a frame that was synced
  writeFileSync(`${output}.sheaf`, spoilt);
  assert.match((await failure(runFile(client, input, output))).message, /is damaged/);
  assert.equal((await command(url, input, output)).code, 3); // and so says the command
  writeFileSync(`${output}.sheaf`, Buffer.concat([log, Buffer.from('torn')]));
  const lines = readFileSync(output, 'utf8').split('\n');
  writeFileSync(output, [lines[0], '{"torn', ...lines.slice(1)].join('\n'));
  const error = await failure(runFile(client, input, output));
  assert.match(error.message, /line 2 is damaged/);
  writeFileSync(output, lines.join('\n'));
  assert.equal((await runFile(client, input, output, { limit: 8 })).isFinished, true);
});

test('a full disk ends the run, keeps whole lines, and a later run goes on', { skip: process.platform !== 'linux' }, async (t) => {
  const { url, input, output } = await place(t);
  writeRows(input, rowsOf(200));
  // A file size limit stands in for a full disk: 32 blocks of 512 bytes, or of 1,024.
  const [file, args] = childArgs(url, input, output);
  const quoted = [file, ...args].map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(' ');
  const error = await toEnd(['sh', ['-c', `trap '' XFSZ; ulimit -f 64; exec ${quoted}`]]);
  assert.equal(error.code, 'E_IO');
  assert.equal(readFileSync(output, 'utf8').at(-1), '\n');
  const kept = linesOf(output).length;
  assert.ok(kept > 0 && kept < 200);
  const report = await toEnd(childArgs(url, input, output));
  assert.deepEqual([report.skipped, report.written], [kept, 200 - kept]);
  assert.ok(report.unknown <= 256);
});

test('a log that was torn while it was written is cut', async (t) => {
  const { client, url, input, output } = await place(t, ['--latency', 'fixed:50']);
  writeRows(input, rowsOf(40));
  await killed(commandArgs(url, input, output, '--concurrency', '4'), output, 3000);
  appendFileSync(`${output}.sheaf`, Buffer.alloc(19, 7));
  const report = await runFile(client, input, output);
  assert.equal(report.isResumed, true);
  assert.equal(linesOf(output).length, 40);
});
