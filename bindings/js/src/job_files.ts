// job_files.ts: a store of submissions in a folder: one folder for each, its records and its parts as files.

import { closeSync, existsSync, fdatasyncSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { SheafError } from './errors.js';
import type { JobStore } from './job_types.js';
import { lock, syncDirectory } from './node_files.js';

const logName = 'records.sheaf';

function writeWhole(fd: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, at + done);
}

/** Submissions as folders of a folder. Records and parts are on the disk when a promise says so, also through a power cut. */
export function fileStore(folder: string): JobStore {
  const pathOf = (id: string, name = ''): string => {
    const safe = encodeURIComponent(id).replaceAll('.', '%2E').replaceAll('*', '%2A');
    if (safe === '') throw new SheafError('id: give a name', 'E_FIELD', 'id');
    return join(folder, safe, name);
  };
  const make = (id: string): void => {
    if (existsSync(pathOf(id))) return;
    mkdirSync(pathOf(id), { recursive: true });
    syncDirectory(pathOf(id));
  };
  return {
    append(id, at, records) {
      make(id);
      const path = pathOf(id, logName), isNew = !existsSync(path);
      const fd = openSync(path, isNew ? 'wx' : 'r+');
      try {
        ftruncateSync(fd, at);
        writeWhole(fd, records, at);
        fdatasyncSync(fd);
      } finally {
        closeSync(fd);
      }
      if (isNew) syncDirectory(path);
    },
    read(id) {
      const path = pathOf(id, logName);
      return existsSync(path) ? readFileSync(path) : undefined;
    },
    put(id, name, bytes) {
      make(id);
      const path = pathOf(id, name), fd = openSync(`${path}.tmp`, 'w');
      try {
        writeWhole(fd, bytes, 0);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(`${path}.tmp`, path);
      syncDirectory(path);
    },
    get(id, name) {
      const path = pathOf(id, name);
      return existsSync(path) ? readFileSync(path) : undefined;
    },
    delete(id, name) {
      rmSync(pathOf(id, name), { force: true });
    },
    list() {
      if (!existsSync(folder)) return [];
      return readdirSync(folder).filter((name) => existsSync(join(folder, name, logName))).map(decodeURIComponent);
    },
    remove(id) {
      rmSync(pathOf(id, logName), { force: true });
      rmSync(pathOf(id), { recursive: true, force: true });
    },
    lock(id) {
      make(id);
      const fd = openSync(pathOf(id, 'lock'), 'w');
      if (!lock(fd)) {
        closeSync(fd);
        return undefined;
      }
      return () => closeSync(fd);
    },
  };
}
