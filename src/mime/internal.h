/* What the files that read structured fields share (RFC 5322 section 3.2). */
#pragma once

#include <glib.h>

/* A blank, or what is left of a folded line. */
gboolean header_is_blank(char c);

/* Behind the comment that starts at @p, nested ones included; @end when it is not closed. */
const char *header_skip_comment(const char *p, const char *end);

/* The '"' that closes the quoted string opened at @p, NULL when none does. */
const char *header_find_quote(const char *p, const char *end);
