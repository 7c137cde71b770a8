/* What a server's no means, looked up in a protocol's own tables: by its code, or by its words.
 *
 * The words are those of servers that were looked at.  They decide only which error number a
 * program gets, and of POP3 whether a login is tried again by itself: a server that says it in its
 * own way costs a less fitting message, no mail.
 */
#pragma once

#include <glib.h>

#include "base/error.h"

typedef struct {
    const char *sign; /* a code, or a part of a sentence; NULL ends a table */
    MailError error;
    const char *sentence;
} Refusal;

/* The one whose sign is @code, or is in @text in any case; NULL: none, or no @code. */
const Refusal *refusal_by_code(const Refusal *codes, const char *code);
const Refusal *refusal_by_words(const Refusal *words, const char *text);

/* The error that @refusal stands for, with the server's @text; DENIED for NULL.  Always FALSE. */
gboolean refusal_fail(const Refusal *refusal, const char *text, GError **error);
