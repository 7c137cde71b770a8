/* How often a backend has sent which command, for BackendOps.traffic().
 *
 * A GHashTable of name -> GUINT_TO_POINTER(count), which its owner's lock guards: it is counted on
 * the backend's threads and read on the main thread.  Names are borrowed, and so must be constants.
 */
#pragma once

#include <glib.h>

GHashTable *command_counts_new(void);
void command_counts_add(GHashTable *counts, const char *name, guint n);
/* As they are now; the caller owns the copy, which needs no lock. */
GHashTable *command_counts_copy(GHashTable *counts);
