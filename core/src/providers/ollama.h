/* ollama.h: the operations of Ollama's own API. */
#ifndef SHEAF_OLLAMA_H
#define SHEAF_OLLAMA_H

enum { SHEAF__OLLAMA_CHAT = 0, SHEAF__OLLAMA_GENERATE = 1, SHEAF__OLLAMA_EMBED = 2 };

#endif
