/* Passwords and tokens: reference-counted bytes that are locked in memory, kept out of core
 * dumps, and wiped when the last reference goes.
 *
 * A Secret is immutable and may be shared between threads.  Its bytes are never logged: the wire
 * log masks them, and nothing prints a Secret.
 */
#pragma once

#include <glib.h>

typedef struct Secret Secret;

Secret *secret_new(const char *bytes, gsize length); /* copies; the caller wipes its own */
Secret *secret_ref(Secret *secret);
void secret_unref(Secret *secret); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Secret, secret_unref)

const char *secret_text(const Secret *secret); /* NUL-terminated; valid while referenced */
gsize secret_length(const Secret *secret);

/* Overwrites @length bytes in a way that the compiler cannot remove. */
void secret_wipe(void *bytes, gsize length);
