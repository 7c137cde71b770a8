/* When a message arrived, by its header: dates of RFC 5322 section 3.3, also the obsolete ones. */
#pragma once

#include <glib.h>

/* "Mon, 30 Nov 2026 13:15:28 +0330 (comment)", with or without the day of the week, the seconds,
 * the zone; years of two digits; zones by their names.  Unix time; 0 for what makes no sense or
 * lies before 1970 or after 9999. */
gint64 header_date_parse(const char *value);

/* The time in the topmost Received field (the last server's word), else that of the Date field (the
 * sender's); 0 when neither can be read. */
gint64 header_date(const char *header, gsize length);
