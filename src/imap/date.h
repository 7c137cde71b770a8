/* INTERNALDATE (RFC 9051 section 9, date-time): " 1-Jul-1996 02:44:25 -0700". */
#pragma once

#include <glib.h>

/* Unix time.  The day may have one digit, with or without its blank; the zone may be missing (then
 * UTC).  0 for what cannot be read or lies before 1970 or after 9999: a date is never worth an
 * error. */
gint64 imap_date_parse(const char *text);

/* @time in UTC, quotes not included.  Clamped to 1970-9999.  The caller owns it. */
char *imap_date_format(gint64 time);
