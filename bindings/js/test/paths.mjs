// paths.mjs: where things are when the tests run. scripts/js sets the variables.
//
//   SHEAF_JS_PACKAGE   the folder that build.mjs made
//   SHEAF_JS_WORK      a folder for all that the tests write
//   SHEAF_BIN          the command, for `sheaf sim`
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

function variable(name) {
  if (!process.env[name]) throw new Error(`${name} must be set; scripts/js does it`);
  return process.env[name];
}

export const packageDir = variable('SHEAF_JS_PACKAGE');
export const workDir = variable('SHEAF_JS_WORK');
export const bin = variable('SHEAF_BIN');

/** A user's folder in which the packed package is installed, beside the files of app/. */
export const appDir = join(workDir, 'app');

const { resolve } = createRequire(import.meta.url);

/** The folder of an installed tool. */
export const toolDir = (name) => dirname(resolve(`${name}/package.json`));

/** A program out of the packages with one folder a platform, which are there without their install scripts, too. */
export function program(scope, prefix, path) {
  const folder = join(dirname(toolDir('typescript')), scope);
  const found = readdirSync(folder).find((name) => name.startsWith(prefix));
  if (!found) throw new Error(`${scope} has nothing for this platform`);
  return join(folder, found, path);
}
