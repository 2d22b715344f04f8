/* table.h: the built-in providers, one file (or family of files) each. */
#ifndef SHEAF_TABLE_H
#define SHEAF_TABLE_H

#include <sheaf/jobs.h>
#include <sheaf/provider.h>

/* In the package's modules (SHEAF_MODULE), and in what describes them (SHEAF_DESCRIBED), there is
 * nothing that jobs could run on, unless they are built for it (SHEAF_MODULE_JOBS): the batch APIs
 * and the providers that are there for their sake are left out. */
#if (defined(SHEAF_MODULE) || defined(SHEAF_DESCRIBED)) && !defined(SHEAF_MODULE_JOBS)
#define SHEAF__HAS_JOBS 0
#define SHEAF__JOBS(api) NULL
#else
#define SHEAF__HAS_JOBS 1
#define SHEAF__JOBS(api) (&(api))
#endif

extern const sheaf_provider sheaf__openai;
extern const sheaf_provider sheaf__anthropic;
extern const sheaf_provider sheaf__gemini;
extern const sheaf_provider sheaf__ollama;
#if SHEAF__HAS_JOBS
extern const sheaf_provider sheaf__azure;
extern const sheaf_provider sheaf__groq;
extern const sheaf_provider sheaf__mistral;
#endif

extern const sheaf_job_api sheaf__openai_jobs;
extern const sheaf_job_api sheaf__azure_jobs;
extern const sheaf_job_api sheaf__groq_jobs;
extern const sheaf_job_api sheaf__mistral_jobs;
extern const sheaf_job_api sheaf__anthropic_jobs;
extern const sheaf_job_api sheaf__gemini_jobs;

/* The module for jobs asks for no streams: what reads them is left out. */
#ifdef SHEAF_MODULE_JOBS
#define SHEAF__EVENT(slot) (0 ? (slot) : NULL)
#else
#define SHEAF__EVENT(slot) (slot)
#endif

/* A slice in a static initialiser, where a compound literal may not stand. */
#define SHEAF__TEXT(text) \
  { (text), sizeof(text) - 1 }

#endif
