/* The one place where an error becomes an errno. */
#pragma once

#include <glib.h>

/* 1 to 511, always: a larger one hangs the caller (measured).  @on_handle: the request names an
 * open file, so what is gone is ESTALE; otherwise it names a path, and is ENOENT.  NULL and
 * errors of other domains are EIO. */
int fs_errno(const GError *error, gboolean on_handle);
