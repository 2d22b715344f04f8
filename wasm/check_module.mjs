// A module's border: node check_module.mjs EXPORTS.txt MODULE.wasm
// It exports what the list says and no more but memory and _initialize; the reactor imports nothing; no
// signature holds an i64. Emscripten's module has short names, so that only its imports can be looked at: the
// loader beside it knows the rest.
import { readFileSync } from 'node:fs';

const [listPath, modulePath] = process.argv.slice(2);
const listed = readFileSync(listPath, 'utf8').split('\n').filter((line) => line.startsWith('sheaf_'))
  .map((line) => line.split(/\s/)[0]);
const bytes = readFileSync(modulePath);
const module = new WebAssembly.Module(bytes);
const exported = WebAssembly.Module.exports(module).filter((e) => e.kind === 'function').map((e) => e.name);
const problems = [];
let passed = 0;
const check = (good, problem) => (good ? passed++ : problems.push(problem));

const isReactor = exported.includes('_initialize');
if (isReactor) {
  for (const name of listed) check(exported.includes(name), `not exported: ${name}`);
  for (const name of exported)
    check(name === '_initialize' || listed.includes(name), `exported, and not in the list: ${name}`);
  for (const { module: from, name } of WebAssembly.Module.imports(module)) check(false, `imports ${from}.${name}`);
} else {
  for (const { module: from, name } of WebAssembly.Module.imports(module))
    check(from === 'a' || from === 'env', `imports ${from}.${name}`);
}
check(!signatures(bytes).some((kinds) => kinds.includes(0x7e)), 'an exported function takes or answers an i64');
for (const problem of problems) console.log(problem);
console.log(`${passed} passed, ${problems.length} failed`);
process.exitCode = problems.length ? 1 : 0;

// The value types of every exported function, from the binary itself.
function signatures(wasm) {
  let at = 8;
  const u32 = () => {
    let value = 0, shift = 0, byte;
    do {
      byte = wasm[at++];
      value |= (byte & 127) << shift;
      shift += 7;
    } while (byte & 128);
    return value >>> 0;
  };
  const types = [], functions = [], found = [];
  let imported = 0;
  while (at < wasm.length) {
    const id = wasm[at++], end = u32() + at;
    if (id === 1)
      for (let n = u32(); n > 0; n--) {
        at++;
        const kinds = [];
        for (let list = 0; list < 2; list++) for (let k = u32(); k > 0; k--) kinds.push(wasm[at++]);
        types.push(kinds);
      }
    if (id === 2) imported = WebAssembly.Module.imports(module).filter((i) => i.kind === 'function').length;
    if (id === 3) for (let n = u32(); n > 0; n--) functions.push(u32());
    if (id === 7)
      for (let n = u32(); n > 0; n--) {
        const length = u32();
        at += length;
        const kind = wasm[at++], index = u32();
        if (kind === 0 && index >= imported) found.push(types[functions[index - imported]]);
      }
    at = end;
  }
  return found;
}
