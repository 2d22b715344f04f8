import { defineConfig } from 'vite';

// The server's part: it adds the key on the way to the provider.
const target = process.env.BASE_URL ?? 'https://api.openai.com';
const headers = process.env.OPENAI_API_KEY ? { authorization: `Bearer ${process.env.OPENAI_API_KEY}` } : {};

export default defineConfig({
  build: { target: 'es2022' },
  server: { proxy: { '/v1': { target, changeOrigin: true, headers } } },
  preview: { proxy: { '/v1': { target, changeOrigin: true, headers } } },
});
