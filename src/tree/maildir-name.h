/* Names in the Maildir view: the message's name without its ".eml", and its flags.
 *
 *     2026-05-13_2133_alice_Quarterly-report.12345.eml  <->  2026-..._Quarterly-report.12345:2,RS
 *     1700000000.M1P2Q3.host.eml                         <->  1700000000.M1P2Q3.host:2,
 *
 * So a name that a tool chose through the view is kept, in both views, and a message that is moved
 * through either keeps its name.  The part before ":2," (the base) never changes with flags:
 * header caches and databases key on it.  The letters, in the order of ASCII as Maildir has them:
 *
 *     D \Draft   F \Flagged   P $Forwarded ("passed")   R \Answered   S \Seen   T \Deleted
 *
 * See https://cr.yp.to/proto/maildir.html.  Pure.
 */
#pragma once

#include <glib.h>

#include "model/message.h"

/* What a message is called in cur/, or in new/, where flags appear only if there are any.  A ':' of
 * the name is "%3A" here, and what would look like that has its '%' as "%25".  NULL for what
 * no Maildir can show: an editor's scratch, that is a name that begins with '.' or does not end in
 * ".eml", and one so long that flags have no room.  The caller owns it. */
char *maildir_name_show(const char *name, guint16 flags, const char *keywords, gboolean is_new);

typedef struct {
    char *name; /* with ".eml" */
    guint16 flags;
    gboolean is_passed;
} MaildirName;

/* The reverse, for what tools give as well: no suffix, ":1,", letters in any order, twice, or
 * unknown ones, which are left out.  INVALID for a base that is empty or too long, begins with '.'
 * or has a ':'.  maildir_name_clear() frees what it filled. */
gboolean maildir_name_parse(const char *shown, MaildirName *ret_parsed, GError **error);
void maildir_name_clear(MaildirName *parsed);

/* A mailbox inside a mailbox lies beside cur, new and tmp, so one that is called so gets its first
 * octet escaped, as tree/mailbox-name.h writes it ("%63ur"), and no other mailbox has that name.
 * The caller owns either; the second is NULL for "cur", "new" and "tmp". */
char *maildir_name_of_label(const char *label);
char *maildir_name_to_label(const char *name);
