// loader.ts: the compiled module of an entry: found once, instances of it made for each client.

import { type Core, coreOfEmscripten, coreOfReactor, type EmscriptenFactory, isReactor } from './core.js';
import { SheafError } from './errors.js';
import type { ModuleSource } from './types.js';

/** Modules of another realm are no instances of this realm's class, so that their tag tells. */
function isModule(source: unknown): boolean {
  return Object.prototype.toString.call(source) === '[object WebAssembly.Module]';
}

function explained(error: unknown): SheafError {
  const { message } = error as Error;
  const policy = /Content.Security.Policy|unsafe-eval/i.test(message) ? "; script-src needs 'wasm-unsafe-eval'" : '';
  const forbidden = /disallowed by embedder/.test(message) ? '; import the module and hand it to useModule' : '';
  return new SheafError(`the module could not be compiled: ${message}${policy}${forbidden}`, 'E_UNSUPPORTED');
}

/** Bundlers that leave .wasm files behind are the usual cause. */
export function notFound(where: string, why: string): SheafError {
  return new SheafError(
    `${where} was not found (${why}): copy sheaf.wasm beside the script, import "sheaf/inline", or name its address with useModule`,
    'E_NOT_FOUND');
}

async function compileResponse(response: Response): Promise<WebAssembly.Module> {
  const type = response.headers.get('content-type') ?? '';
  // Servers of single pages answer their page to whatever they do not have.
  if (!response.ok || type.startsWith('text/html'))
    throw notFound(response.url || 'the module', `status ${response.status}${type ? `, ${type}` : ''}`);
  // Streaming wants the right type. With any other, compiling the bytes does as well.
  return type.startsWith('application/wasm') ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}

/** Also for the tokenizer's module. @internal */
export async function compile(source: ModuleSource): Promise<WebAssembly.Module> {
  if (isModule(source)) return source as WebAssembly.Module;
  try {
    if (typeof source === 'string' || source instanceof URL) return await compileResponse(await fetch(source));
    // Asked for by its tag: to name Response would make Node load its whole fetch, which takes 20 ms.
    if (Object.prototype.toString.call(source) === '[object Response]') return await compileResponse(source as Response);
    return await WebAssembly.compile(source as BufferSource);
  } catch (error) {
    throw error instanceof SheafError ? error : explained(error);
  }
}

export interface Loader {
  core(): Promise<Core>;
  use(source: ModuleSource | Promise<ModuleSource>): void;
}

/** `find` names the module that ships with the entry; `factory` is the loader of Emscripten's, where the entry has it. */
export function loaderOf(find: () => ModuleSource | Promise<ModuleSource>, factory?: EmscriptenFactory): Loader {
  let source: ModuleSource | Promise<ModuleSource> | undefined;
  let module: WebAssembly.Module | Promise<WebAssembly.Module> | undefined;
  const load = async (): Promise<WebAssembly.Module> => compile(await (source ?? find()));
  return {
    async core() {
      // A promise of one request must not be waited for in another where a runtime ties I/O to requests, so that the
      // module itself takes the place of its promise.
      const pending = (module ??= load());
      try {
        const compiled = await pending;
        if (module === pending) module = compiled;
        // Either may be handed in.
        return factory && !isReactor(compiled) ? await coreOfEmscripten(factory, compiled) : coreOfReactor(compiled);
      } catch (error) {
        if (module === pending) module = undefined;
        throw error;
      }
    },
    use(given) {
      source = given;
      module = undefined;
    },
  };
}
