// run.mjs: the package as its users have it: packed, installed, in every runtime and through the bundlers.
//
//   node run.mjs [NAME]...      all of `suites` unless named; SHEAF_ONLY: a part of the cases' names
//
// Each suite answers [{ name, error }]. Ends with "N passed, N failed".
import { browserSuites } from './browser.mjs';
import { checkPackage } from './package.mjs';
import { install } from './install.mjs';
import { checkReadme } from './readme.mjs';
import { runtimeSuites } from './runtimes.mjs';

// What takes a browser or a compiler goes one after the other; the rest mostly waits for the simulator.
const suites = { package: checkPackage, readme: checkReadme, ...runtimeSuites, ...browserSuites };
const atOnce = 3;

async function runSuite(name) {
  const started = performance.now();
  let outcomes;
  try {
    outcomes = await suites[name]();
    if (outcomes.length === 0) outcomes = [{ name: 'it has cases', error: 'there are none' }];
  } catch (error) {
    outcomes = [{ name: 'it runs', error: error.stack ?? String(error) }];
  }
  const failed = outcomes.filter((outcome) => outcome.error);
  for (const outcome of failed) console.log(`not ok - ${name}: ${outcome.name}\n    ${outcome.error}`);
  if (process.env.SHEAF_SLOW)
    for (const { name: slow, ms } of outcomes) if (ms > Number(process.env.SHEAF_SLOW)) console.log(`    ${slow}: ${ms.toFixed()} ms`);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const passed = outcomes.length - failed.length;
  console.log(`${failed.length ? 'not ok' : 'ok'} - ${name}: ${passed} passed, ${failed.length} failed, ${seconds} s`);
  return [passed, failed.length];
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(suites);
for (const name of names) if (!suites[name]) throw new Error(`there is no suite "${name}": ${Object.keys(suites).join(', ')}`);
install();
const sums = [0, 0];
const waiting = [...names];
await Promise.all(Array.from({ length: atOnce }, async () => {
  while (waiting.length > 0) {
    const counts = await runSuite(waiting.shift());
    sums[0] += counts[0];
    sums[1] += counts[1];
  }
}));
console.log(`${sums[0]} passed, ${sums[1]} failed`);
process.exit(sums[1] ? 1 : 0);
