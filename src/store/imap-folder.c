/* Mailboxes made, removed and renamed.
 *
 * DELETE takes a mailbox with all that is in it, so the server is asked right before whether it is
 * empty and has nothing below it.  What is delivered in the round trip between is lost: the
 * protocol has no better (README, Limits).  A mailbox that this session has selected is let go
 * first; what other sessions have selected is the server's to sort out.
 */
#include "store/imap-internal.h"
#include "base/error.h"
#include "client/imap-change.h"

#include <string.h>

void imap_change_list_item(ImapChange *run, const ImapListItem *item)
{
    const char *wire = run->job->wire;
    gsize length = strlen(wire);

    /* After a change of mailboxes they are all listed anew. */
    if (run->job->kind != JOB_MAILBOX)
        run->connection->list_changed = TRUE;
    else if (item->delimiter && g_str_has_prefix(item->mailbox, wire) &&
             item->mailbox[length] == item->delimiter && item->mailbox[length + 1])
        run->has_children = TRUE;
}

/* What is selected by the old name, or below it, is selected no more. */
static gboolean let_go(ImapChange *run, GError **error)
{
    ImapConnection *connection = run->connection;
    const char *selected = imap_session_selected(connection->session);

    if (!selected || !g_str_has_prefix(selected, run->job->wire))
        return TRUE;
    imap_count(connection, "UNSELECT");
    memset(&connection->selected, 0, sizeof connection->selected);
    return imap_session_unselect(connection->session, error);
}

static gboolean is_empty(ImapChange *run, GError **error)
{
    const Job *job = run->job;
    ImapStatus status = {0};

    imap_count(run->connection, "STATUS");
    if (!imap_session_status(run->connection->session, job->wire, &status, error))
        return FALSE;
    if (job->uidvalidity && status.items & IMAP_STATUS_UIDVALIDITY &&
        status.uidvalidity != job->uidvalidity)
        return mail_fail(error, MAIL_ERROR_GONE, "%s was made anew on the server", job->wire);
    if (!(status.items & IMAP_STATUS_MESSAGES))
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "the server does not say whether %s is empty", job->wire);
    if (status.messages > 0)
        return mail_fail(error, MAIL_ERROR_NOTEMPTY, "%s holds %u messages", job->wire,
                         status.messages);
    return TRUE;
}

static gboolean is_leaf(ImapChange *run, GError **error)
{
    ImapCommand *command = imap_command_new("LIST \"\"");
    g_autofree char *pattern = g_strconcat(run->job->wire, "*", NULL);

    imap_command_mailbox(command, pattern);
    if (!imap_run(run->connection, command, "LIST", error))
        return FALSE;
    if (run->has_children)
        return mail_fail(error, MAIL_ERROR_NOTEMPTY, "%s has mailboxes below it", run->job->wire);
    return TRUE;
}

static gboolean delete_mailbox(ImapChange *run, GError **error)
{
    if (!let_go(run, error) || !is_leaf(run, error) || !is_empty(run, error))
        return FALSE;
    run->change->was_sent = TRUE;
    imap_count(run->connection, "DELETE");
    return imap_session_delete(run->connection->session, run->job->wire, error);
}

static gboolean rename_mailbox(ImapChange *run, GError **error)
{
    if (!let_go(run, error))
        return FALSE;
    run->change->was_sent = TRUE;
    imap_count(run->connection, "RENAME");
    return imap_session_rename(run->connection->session, run->job->wire, run->change->target,
                               error);
}

static gboolean create_mailbox(ImapChange *run, GError **error)
{
    run->change->was_sent = TRUE;
    imap_count(run->connection, "CREATE");
    return imap_session_create(run->connection->session, run->job->wire,
                               run->change->special_use, error);
}

gboolean imap_change_mailbox(ImapChange *run, GError **error)
{
    /* RENAME of INBOX means something else: its messages are moved out (RFC 9051, 6.3.6). */
    if (run->change->verb != MAILBOX_CREATE && g_ascii_strcasecmp(run->job->wire, "INBOX") == 0)
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "every account has an INBOX; it can be neither renamed nor deleted");
    switch (run->change->verb) {
    case MAILBOX_CREATE:
        return create_mailbox(run, error);
    case MAILBOX_DELETE:
        return delete_mailbox(run, error);
    case MAILBOX_RENAME:
        return rename_mailbox(run, error);
    }
    g_assert_not_reached();
}
