// demo.test.mjs: the page of demo/ in Chromium, as its users have it: served with the built package, against `sheaf sim`.
//
//   node --test demo.test.mjs        with the variables of paths.mjs
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { chromium } from 'playwright-core';

import { read, rowsMax, sample } from '../demo/input.js';
import { bin, packageDir, workDir } from './paths.mjs';
import { simulator } from './world.mjs';

const demo = fileURLToPath(new URL('../demo/', import.meta.url));
const folder = join(workDir, 'demo');

// ---- What is pasted ----

const requests = (text, options) => {
  const { rows, problem } = read(text, options);
  assert.equal(problem, undefined);
  return rows.map(({ request }) => request);
};

describe('input', () => {
  test('a line of text is a prompt, blank lines are none', () => {
    assert.deepEqual(requests('one\r\n\n two \n'), [{ prompt: 'one', customId: 'row-1' }, { prompt: ' two ', customId: 'row-2' }]);
  });

  test('JSONL is detected; its names become the package\'s', () => {
    const text = '{"custom_id":"a","prompt":"p","max_tokens":5}\n"text"\n{"custom_id":"b","method":"POST","url":"/v1/embeddings","body":{"input":"x"}}';
    assert.deepEqual(requests(text), [
      { customId: 'a', prompt: 'p', maxTokens: 5 }, { prompt: 'text', customId: 'row-2' },
      { customId: 'b', method: 'POST', url: '/v1/embeddings', body: { input: 'x' } },
    ]);
  });

  test('a label is what the user said last', () => {
    const { rows } = read('{"messages":[{"role":"user","content":"first"},{"role":"assistant","content":"a"},{"role":"user","content":"last"}]}\n{"body":{"input":"deep"}}');
    assert.deepEqual(rows.map(({ label }) => label), ['last', 'deep']);
  });

  test('CSV: quoted commas, quotation marks and line ends, in a template', () => {
    const text = 'word,language\n"well, water",French\r\n"say ""hi""",Italian\n"two\nlines",Welsh';
    assert.deepEqual(requests(text, { format: 'csv', template: '{word} in {language}' }).map(({ prompt }) => prompt),
      ['well, water in French', 'say "hi" in Italian', 'two\nlines in Welsh']);
  });

  test('CSV without a template takes the column of prompts, and names out of custom_id', () => {
    assert.deepEqual(requests('custom_id,prompt\nx,hello', { format: 'csv' }), [{ prompt: 'hello', customId: 'x' }]);
  });

  const wrong = [
    ['broken JSON', '{"prompt":"a"}\n{"prompt"', {}, 2, /no JSON/],
    ['a number where a request is wanted', '"a"\n7', {}, 2, /object or a string/],
    ['a name that is there twice', '{"custom_id":"a","prompt":"x"}\n{"custom_id":"a","prompt":"y"}', {}, 2, /twice/],
    ['an unknown column', 'word\nbread', { format: 'csv', template: '{wrod}' }, 2, /wrod/],
    ['an open quotation mark', 'word\n"bread', { format: 'csv' }, 2, /never closed/],
    ['more than a page can hold', 'a\n'.repeat(rowsMax + 1), {}, rowsMax + 1, /takes/],
  ];
  for (const [name, text, options, line, message] of wrong)
    test(`refused with its line: ${name}`, () => {
      const { problem } = read(text, options);
      assert.equal(problem?.line, line);
      assert.match(problem.message, message);
    });

  test('the samples are as many as asked for, and differ', () => {
    assert.equal(new Set(requests(sample(200)).map(({ prompt }) => prompt)).size, 200);
  });
});

// ---- The page ----

let browser, server, origin;

before(async () => {
  mkdirSync(folder, { recursive: true });
  server = spawn(process.execPath, [join(demo, 'serve.mjs'), '--port', '0', '--package', packageDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(server.stdout, 'data');
  origin = String(line).trim();
  browser = await chromium.launch({
    executablePath: process.env.SHEAF_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
});

after(async () => {
  await browser?.close();
  server?.kill();
});

/** Opens the page, and sees to it that nothing is complained about in its console. */
async function withPage(options, act) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage(), said = [];
  page.on('pageerror', (error) => said.push(String(error)));
  // Replies that are failures are noted by the browser itself, and wanted here.
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && !/Failed to load resource/.test(message.text()) && said.push(message.text()));
  try {
    await page.goto(origin);
    await act(page);
    assert.deepEqual(said, [], 'the console is quiet');
  } finally {
    await context.close();
  }
}

/** Asked again and again: the page's policy forbids what would be cleverer. */
async function until(page, what, isTrue, given) {
  for (const end = Date.now() + 60000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50)))
    if (await page.evaluate(isTrue, given)) return;
  throw new Error(`not in time: ${what}; ${await page.textContent('#phase')}, ${await page.textContent('#legend')}, ${await page.textContent('#run-error')}`);
}

const whenPhase = (page, phase) => until(page, `the run is ${phase}`, (wanted) => document.body.dataset.phase === wanted, phase);

const paste = (page, text) => page.evaluate((given) => {
  const input = document.getElementById('input');
  input.value = given;
  input.dispatchEvent(new Event('input'));
}, text);

/** { waiting: 3, done: 2, ... } as the legend says it. */
const counts = (page) => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('#legend button')].map((button) =>
  [button.querySelector('.glyph').classList[1], Number(button.querySelector('b').textContent.replace(/\D/g, ''))])));

const sum = (numbers) => Object.values(numbers).reduce((total, one) => total + one, 0);
const numbered = (count, word = 'prompt') => Array.from({ length: count }, (_, i) => `${word} ${i}`);

async function aim(page, url) {
  await page.selectOption('[name=preset]', 'sim');
  await page.fill('[name=baseURL]', `${url}/v1`);
}

async function withSimulator(options, act) {
  const sim = await simulator(options);
  try {
    return await act(sim.url, async () => (await fetch(`${sim.url}/_sim/stats`)).json());
  } finally {
    await sim.stop();
  }
}

describe('a run', () => {
  test('200 prompts against the simulator, faults and all: counts, texts, file', async () => {
    const rules = join(folder, 'rules.jsonl');
    writeFileSync(rules, [
      { fault: '500', match: 'always broken' }, { fault: '429', match: 'limited', first: 1 },
      { fault: 'truncate', match: 'cut short 11', first: 1 }, { fault: 'truncate', match: 'cut short 53', first: 1 },
    ].map((rule) => `${JSON.stringify(rule)}\n`).join(''));
    // Far apart, and not the last, so that failures do not follow on each other: five in a row would open the circuit breaker.
    const words = { 7: 'always broken', 11: 'cut short' };
    const prompts = Array.from({ length: 200 }, (_, i) => `${i === 150 ? 'limited' : (i < 140 && words[i % 14]) || 'prompt'} ${i}`);
    await withSimulator(['--latency', 'fixed:60', '--retry-after', '50', '--faults', rules], (url, stats) => withPage({}, async (page) => {
      await aim(page, url);
      await paste(page, prompts.join('\n'));
      await page.fill('[name=maxRetries]', '1');
      await page.fill('[name=concurrency]', '12');
      await page.click('#run');
      await whenPhase(page, 'over');
      assert.deepEqual(await counts(page), { waiting: 0, flight: 0, streaming: 0, retrying: 0, done: 190, failed: 10, cancelled: 0 });
      assert.equal(await page.getAttribute('#bar', 'aria-valuenow'), '100');
      assert.equal(await page.textContent('#f-done'), '200 / 200');
      // One more try for each that is always broken, and for each reply that was refused or cut.
      assert.equal(await page.textContent('#f-extra'), '13');
      assert.match(await page.textContent('#said'), /190 done, 10 failed/);

      const [file] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
      await file.saveAs(join(folder, 'results.jsonl'));
      const results = readFileSync(join(folder, 'results.jsonl'), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));
      assert.equal(results.length, 200);
      for (const [i, { id, custom_id: customId, response, error, sheaf }] of results.entries()) {
        assert.deepEqual([id, customId, sheaf.index], [`req_${i}`, `row-${i + 1}`, i]);
        if (prompts[i].startsWith('always')) assert.deepEqual([response.status_code, sheaf.error_class], [500, 'server']);
        else assert.deepEqual([error, sheaf.text], [null, `echo: ${prompts[i]}`]);
      }
      const { received_by_path: received } = await stats();
      assert.equal(received['/v1/chat/completions'], 213, 'what the simulator saw');

      await page.click('#legend button:has(.failed)');
      assert.equal(await page.getAttribute('#table', 'aria-rowcount'), '11');
      assert.match(await page.textContent('#table .line:not([hidden]) .text'), /^server: /);
    }));
  });

  test('the command reads the file and goes on with it', async () => {
    const rules = join(folder, 'twice.jsonl');
    writeFileSync(rules, [17, 33].map((i) => `{"fault":"500","match":"prompt ${i}","first":1}\n`).join(''));
    await withSimulator(['--faults', rules], (url, stats) => withPage({}, async (page) => {
      const lines = Array.from({ length: 40 }, (_, i) => `${JSON.stringify({ custom_id: `mine ${i}`, prompt: `prompt ${i}` })}\n`);
      const input = join(folder, 'mine.jsonl'), output = join(folder, 'mine.out.jsonl');
      writeFileSync(input, lines.join(''));
      await aim(page, url);
      await paste(page, lines.join(''));
      await page.selectOption('[name=format]', 'jsonl');
      await page.fill('[name=maxRetries]', '0');
      await page.fill('[name=model]', 'sim-1');
      await page.click('#run');
      await whenPhase(page, 'over');
      const [file] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
      await file.saveAs(output);
      const before = readFileSync(output, 'utf8'), { received } = await stats();
      const failures = (text) => text.split('\n').filter((line) => line && JSON.parse(line).error).length;
      assert.equal(failures(before), 2);
      // Every row is found done; those that failed run again when asked.
      const command = (...more) => promisify(execFile)(bin, ['run', input, '-o', output, '--base-url', `${url}/v1`, '--model', 'sim-1', '--stream', '--resume', ...more])
        .then(() => 0, ({ code }) => code);
      assert.equal(await command(), 4, 'what failed stays so');
      assert.equal((await stats()).received, received, 'nothing was sent again');
      assert.equal(readFileSync(output, 'utf8'), before);
      assert.equal(await command('--retry-failed'), 0);
      assert.equal(failures(readFileSync(output, 'utf8')), 0);
      assert.equal((await stats()).received, received + 2);
    }));
  });

  test('cancel ends what is in flight, too', async () => {
    await withSimulator(['--latency', 'fixed:60000'], (url, stats) => withPage({}, async (page) => {
      await aim(page, url);
      await paste(page, numbered(50).join('\n'));
      await page.fill('[name=concurrency]', '4');
      await page.click('#run');
      await until(page, 'some are in flight', () => document.getElementById('f-flight').textContent === '4');
      await page.click('#cancel');
      await whenPhase(page, 'over');
      assert.deepEqual(await counts(page), { waiting: 0, flight: 0, streaming: 0, retrying: 0, done: 0, failed: 0, cancelled: 50 });
      let after;
      do after = await stats(); while (after.in_flight > 0);
      assert.ok(after.clients_left > 0, 'the simulator saw clients leave');
      assert.equal(await page.evaluate(() => document.activeElement.id), 'run', 'the focus is on what is of use next');
    }));
  });

  test('pause lets what is in flight end and starts nothing; resume does the rest, each once', async () => {
    await withSimulator(['--latency', 'fixed:40'], (url, stats) => withPage({}, async (page) => {
      await aim(page, url);
      await paste(page, numbered(60).join('\n'));
      await page.fill('[name=concurrency]', '3');
      await page.click('#run');
      await until(page, 'some are done', () => !document.getElementById('f-done').textContent.startsWith('0 '));
      await page.click('#pause');
      await until(page, 'nothing is in flight', () => document.getElementById('phase').textContent === 'Paused');
      const then = await counts(page);
      assert.ok(then.waiting > 0 && then.cancelled === 0, JSON.stringify(then));
      assert.equal(then.done + then.waiting, 60);
      assert.equal((await stats()).received_by_path['/v1/chat/completions'], then.done);
      await page.click('#pause');
      await whenPhase(page, 'over');
      assert.equal((await counts(page)).done, 60);
      assert.equal((await stats()).received_by_path['/v1/chat/completions'], 60);
    }));
  });

  test('a paused run can be cancelled', async () => {
    await withPage({}, async (page) => {
      await page.fill('[name=concurrency]', '2');
      await page.click('#run');
      await page.click('#pause');
      await page.click('#cancel');
      await whenPhase(page, 'over');
      const ended = await counts(page);
      assert.equal(ended.done + ended.failed + ended.cancelled, 200);
    });
  });

  test('without a server, by the simulator in the page', async () => {
    await withPage({}, async (page) => {
      await page.fill('[name=latency]', '5');
      await page.fill('[name=faults]', '10');
      await page.click('#run');
      await whenPhase(page, 'over');
      const ended = await counts(page);
      assert.equal(ended.done + ended.failed, 200);
      assert.ok(ended.done > 190, `five retries help nearly all: ${ended.done}`);
      assert.ok(Number(await page.textContent('#f-extra')) > 5, 'faults were met');
    });
  });

  test('a key goes out only once its warning is ticked', async () => {
    await withSimulator(['--key', 'a-key'], (url, stats) => withPage({}, async (page) => {
      await aim(page, url);
      await paste(page, 'one\ntwo');
      await page.fill('#apiKey', 'a-key');
      await page.click('#run');
      assert.equal(await page.evaluate(() => document.activeElement.name), 'isUnderstood');
      assert.match(await page.textContent('#apiKey-error'), /warning/);
      assert.equal((await stats()).received, 0);
      await page.keyboard.press('Space');
      await page.click('#run');
      await whenPhase(page, 'over');
      assert.equal((await counts(page)).done, 2);
    }));
  });

  test('what is wrong is said at its field, and nothing runs', async () => {
    await withPage({}, async (page) => {
      await paste(page, '{"prompt":"a"}\n{"prompt');
      await page.click('#run');
      assert.match(await page.textContent('#input-error'), /^Line 2: /);
      await paste(page, 'one');
      await page.fill('[name=concurrency]', '30000');
      await page.click('#run');
      await until(page, 'the package refuses it', () => document.getElementById('concurrency-error').textContent !== '');
      assert.equal(await page.getAttribute('[name=concurrency]', 'aria-invalid'), 'true');
      assert.equal(await page.evaluate(() => document.activeElement.name), 'concurrency');
      await page.fill('[name=concurrency]', '');
      await page.selectOption('[name=preset]', 'compatible');
      await page.fill('[name=baseURL]', 'http://example.com/v1');
      await page.click('#run');
      assert.match(await page.textContent('#baseURL-error'), /127\.0\.0\.1/);
      assert.equal(await page.evaluate(() => document.body.dataset.phase), 'ready');
    });
  });

  test('a file that is dropped is read as what its name says', async () => {
    await withPage({}, async (page) => {
      await page.setInputFiles('#file', { name: 'words.csv', mimeType: 'text/csv', buffer: Buffer.from('word,to\nbread,Italian\n') });
      await until(page, 'the file is read', () => document.getElementById('input-note').textContent === '1 request, read as CSV');
      assert.equal(await page.textContent('#columns'), 'Columns: {word} {to}');
      await page.fill('#template', 'Say {word} in {to}');
      assert.equal(await page.textContent('#table .line .text'), 'Say bread in Italian');
    });
  });
});

describe('access', () => {
  test('all of it with the keyboard alone, the focus always visible', async () => {
    await withPage({}, async (page) => {
      const here = () => page.evaluate(() => {
        const { id, name, className } = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        return { at: id || name || className, isVisible: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 };
      });
      const tabTo = async (wanted) => {
        for (let i = 0; i < 60; i++) {
          await page.keyboard.press('Tab');
          const { at, isVisible } = await here();
          assert.ok(isVisible, `the focus on ${at} can be seen`);
          if (at === wanted) return;
        }
        throw new Error(`Tab never comes to ${wanted}`);
      };
      await page.keyboard.press('Tab');
      assert.equal((await here()).at, 'skip');
      await tabTo('input');
      await page.keyboard.press('Control+A');
      await page.keyboard.type('first prompt\nsecond prompt\nthird prompt');
      await tabTo('latency');
      await page.keyboard.press('Control+A');
      await page.keyboard.type('20');
      await page.keyboard.press('Control+Enter');
      await whenPhase(page, 'over');
      assert.equal((await counts(page)).done, 3);

      await tabTo('grid');
      await page.keyboard.press('ArrowRight');
      assert.match(await page.textContent('#tip'), /^row-2, done, /);
      await page.keyboard.press('Enter');
      assert.equal(await page.textContent('#detail-title'), 'row-2');
      assert.equal(await page.textContent('#detail-prompt'), 'second prompt');
      await page.keyboard.press('Escape');
      assert.equal((await here()).at, 'grid', 'the focus comes back');

      await tabTo('table');
      await page.keyboard.press('End');
      const active = await page.getAttribute('#table', 'aria-activedescendant');
      assert.equal(await page.textContent(`#${active} .id`), 'row-3');
      await page.keyboard.press('Enter');
      assert.equal(await page.textContent('#detail-title'), 'row-3');
      await page.keyboard.press('Escape');
      assert.equal((await here()).at, 'table');
    });
  });

  test('every control has a name, and messages belong to their fields', async () => {
    await withPage({}, async (page) => {
      const nameless = await page.evaluate(() => [...document.querySelectorAll('input:not([hidden]), select, textarea, button, canvas')]
        .filter((one) => !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim())).map((one) => one.outerHTML));
      assert.deepEqual(nameless, []);
      const lost = await page.evaluate(() => [...document.querySelectorAll('[aria-describedby], [aria-labelledby]')].flatMap((one) =>
        `${one.getAttribute('aria-describedby') ?? ''} ${one.getAttribute('aria-labelledby') ?? ''}`.trim().split(' ')).filter((id) => !document.getElementById(id)));
      assert.deepEqual(lost, []);
    });
  });

  test('thousands of rows are few elements', async () => {
    await withPage({}, async (page) => {
      await paste(page, numbered(5000).join('\n'));
      assert.equal(await page.getAttribute('#table', 'aria-rowcount'), '5001');
      assert.ok(await page.evaluate(() => document.querySelectorAll('#table .line').length) < 60);
      await page.focus('#table');
      await page.keyboard.press('End');
      const active = await page.getAttribute('#table', 'aria-activedescendant');
      assert.equal(await page.textContent(`#${active} .id`), 'row-5000');
      const high = await page.evaluate(() => document.getElementById('grid').clientHeight);
      assert.ok(high <= 300, `the cells of all fit: ${high} px`);
    });
  });

  test('the policy forbids what the page does not need', async () => {
    const blocked = [];
    await withPage({}, async (page) => {
      blocked.push(...await page.evaluate(async () => {
        const names = [];
        document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => names.push(effectiveDirective));
        // In a turn of its own: what a debugger calls may do more than the page.
        await new Promise((resolve) => setTimeout(() => {
          try {
            globalThis.eval('1');
          } catch {
            names.push('eval');
          }
          resolve();
        }));
        await fetch('http://192.0.2.1/').catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 100));
        return names;
      }));
    }).catch((error) => {
      // The console tells of both, as it should.
      if (!/the console is quiet/.test(error.message)) throw error;
    });
    assert.ok(blocked.includes('eval') && blocked.includes('connect-src'), String(blocked));
  });
});

// ---- Looks that can be measured ----

/** Contrast as WCAG 2.2 defines it. */
function contrast(a, b) {
  const light = ([red, green, blue]) => {
    const [r, g, bl] = [red, green, blue].map((byte) => byte / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * bl;
  };
  const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

describe('looks', () => {
  for (const colorScheme of ['light', 'dark'])
    test(`${colorScheme}: text and states stand out from what is behind them`, async () => {
      await withPage({ colorScheme }, async (page) => {
        const colours = await page.evaluate(() => {
          const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true }), style = getComputedStyle(document.documentElement);
          const of = (name) => {
            context.fillStyle = style.getPropertyValue(`--${name}`);
            context.fillRect(0, 0, 1, 1);
            return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
          };
          return Object.fromEntries(['page', 'card', 'well', 'ink', 'soft', 'accent', 'on-accent', 'bad', 'focus', 'edge', 'warn-card',
            ...['flight', 'streaming', 'retrying', 'done', 'failed'].map((name) => `state-${name}`)].map((name) => [name, of(name)]));
        });
        const wanted = [
          ...['page', 'card', 'well'].flatMap((behind) => ['ink', 'soft'].map((name) => [name, behind, 4.5])),
          ['bad', 'card', 4.5], ['on-accent', 'accent', 4.5], ['accent', 'card', 4.5], ['ink', 'warn-card', 4.5],
          ['focus', 'card', 3], ['focus', 'page', 3], ['edge', 'card', 3],
          ...['flight', 'streaming', 'retrying', 'done', 'failed'].map((name) => [`state-${name}`, 'card', 3]),
        ];
        for (const [name, behind, least] of wanted) {
          const ratio = contrast(colours[name], colours[behind]);
          assert.ok(ratio >= least, `${name} on ${behind}: ${ratio.toFixed(2)}, ${least} are wanted`);
        }
        assert.equal(contrast(colours.page, [255, 255, 255]) < 2, colorScheme === 'light');
      });
    });

  for (const [width, height] of [[320, 640], [390, 844], [800, 900], [1920, 1080]])
    test(`nothing is cut off at ${width} px, and Run is in sight`, async () => {
      await withPage({ viewport: { width, height } }, async (page) => {
        await page.click('#run');
        await until(page, 'some are done', () => !document.getElementById('f-done').textContent.startsWith('0 '));
        const seen = await page.evaluate(() => ({
          wide: document.documentElement.scrollWidth, bottom: document.getElementById('cancel').getBoundingClientRect().bottom,
          cut: [...document.querySelectorAll('.figures dd, .legend button, .buttons button, h2:not(.visually-hidden)')].filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent),
        }));
        assert.ok(seen.wide <= width, `the page is ${seen.wide} px wide`);
        assert.ok(seen.bottom <= height, `the buttons end at ${seen.bottom} px`);
        assert.deepEqual(seen.cut, []);
        await page.click('#cancel');
        await whenPhase(page, 'over');
      });
    });

  test('who wants no motion gets none', async () => {
    await withPage({ reducedMotion: 'reduce' }, async (page) => {
      await page.click('#run');
      await whenPhase(page, 'running');
      assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
      await page.click('#cancel');
      await whenPhase(page, 'over');
    });
  });
});
