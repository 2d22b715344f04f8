// Runs a wasm32-wasi command under Node: node run_wasi.mjs SOURCES PROGRAM.wasm ARGUMENT...
// SOURCES is the only folder the program sees.
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

const [sources, program, ...args] = process.argv.slice(2);
const wasi = new WASI({
  version: 'preview1',
  args: [program, ...args],
  preopens: { [sources]: sources },
  returnOnExit: true,
});
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exitCode = wasi.start(instance);
