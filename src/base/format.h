/* Numbers as people read them; always in ASCII, whatever the locale. */
#pragma once

#include <glib.h>

/* All: the caller owns the text. */
char *format_count(gint64 n);       /* "12 400" */
char *format_size(gint64 bytes);    /* "1.2G" */
char *format_time(gint64 seconds);  /* "2s", "3m 10s", "2h 5m", "4d 1h" */

/* "[#########-----]  64%"; without @total "" . */
char *format_bar(gint64 n, gint64 total);
