/* The file name of a message: DATE_TIME_sender_subject.UID.eml, from its headers.
 *
 *     2026-05-13_2133_alice_Quarterly-report.12345.eml
 *
 * ASCII date first (it sorts, and sets a left-to-right base for names in Arabic and Persian),
 * the UID last (unique by construction).  Made once when a message is first seen, stored, never
 * computed again.  Pure: no locale, no clock.
 */
#pragma once

#include <glib.h>

/* @header: the message's header octets as the server sent them (any subset of fields, with or
 * without the empty line); hostile.  @internal_date: Unix time, shown in UTC; a value before
 * 1970 or after 9999 is clamped.  @charset_fallback: for raw 8-bit headers that are not UTF-8
 * ("windows-1256"), or NULL for Latin-1.
 *
 * - the sender is the display name, unless that is missing or an address once more, otherwise
 *   the local part of the address; at most 24 characters, cut at a word where one ends near;
 *   never with a '_', so that `cut -d_ -f3` finds it; "no-sender" when it is empty;
 * - the subject is as long as there is room; "no-subject" when it is empty, never the raw value;
 * - both are slugs: letters, marks and digits of every script and symbols (emoji) stay, and of
 *   ASCII's punctuation + % @ and, within a word, _ , . =; blanks and all other punctuation,
 *   what a shell takes for its own first of all, become one '-'; apostrophes go;
 * - NFC; ZWNJ and ZWJ stay between letters (Persian needs them), not at an edge; bidi controls
 *   and other formats, C0, C1 and NUL go;
 * - a leading '-' or '.' cannot occur, for the date is first;
 * - at most LIMIT_NAME octets, cut at a character and never before a combining mark, ZWJ or
 *   ZWNJ.
 *
 * The caller owns the string, which is valid UTF-8 and a legal name in a directory. */
char *message_name_make(const char *header, gsize length, gint64 internal_date, guint32 uid,
                        const char *charset_fallback);

/* names=uid: "12345.eml".  The caller owns it. */
char *message_name_from_uid(guint32 uid);

/* @name with "-@n" before its ".UID.eml" or ".eml" (a mailbox has the name already); up to 12
 * octets longer.  The caller owns it. */
char *message_name_with_suffix(const char *name, guint n);
