// install.mjs: packs the package and installs it in a folder, as its users do.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { appDir, packageDir, workDir } from './paths.mjs';

// npm reads its variables from whoever started us; what it says is wanted only when it fails.
const npm = (args, cwd) => JSON.parse(execFileSync('npm', [...args, '--json', '--loglevel=error'], { cwd, encoding: 'utf8' }) || '{}');

/** What the packed file holds: [{ path }, ...], and its name. */
export let packed;

export function install() {
  rmSync(workDir, { recursive: true, force: true });
  mkdirSync(appDir, { recursive: true });
  [packed] = npm(['pack', '--pack-destination', workDir], packageDir);
  writeFileSync(join(appDir, 'package.json'), '{ "type": "module", "private": true }\n');
  npm(['install', '--no-save', '--no-audit', '--no-fund', '--offline', join(workDir, packed.filename)], appDir);
  cpSync(fileURLToPath(new URL('app', import.meta.url)), appDir, { recursive: true });
}
