// names.ts: the core's names and JavaScript's.

/** max_retries -> maxRetries */
export function camel(name: string): string {
  return name === 'base_url' ? 'baseURL' : name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** maxRetries -> max_retries */
export function snake(name: string): string {
  return name === 'baseURL' ? 'base_url' : name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
