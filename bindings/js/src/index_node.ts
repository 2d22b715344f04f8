// index_node.ts: what "sheaf/node" exports: all of "sheaf", and what takes a file system. Types alone, as index.ts.

export * from './files.js';
export { fileStore } from './job_files.js';
export * from './index.js';
