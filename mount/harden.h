/* What every mailfs process that may hold a secret does first. */
#pragma once

/* Sanitizers trace their own process at its end, which what is below would forbid. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HARDEN_HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HARDEN_HAS_SANITIZER 1
#endif
#endif
#ifndef HARDEN_HAS_SANITIZER
#define HARDEN_HAS_SANITIZER 0
#endif

/* No core files, no tracing by other programs of the same user, files for their owner alone. */
void harden_process(void);

/* Again after setuid(2), which undoes a part. */
void harden_against_tracing(void);
