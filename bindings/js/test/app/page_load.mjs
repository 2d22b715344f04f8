// page_load.mjs: whether a client can be made here at all; the outcome is its error, or "loaded".
import { createClient } from 'sheaf';

globalThis.outcomes = await createClient({ baseURL: location.origin }).then(() => 'loaded', (error) => `${error.code} ${error.message}`);
