/* What comes from an IMAP session while it talks: each piece of data goes to the job that wants it.
 *
 * A session knows no jobs, and data comes unasked as well.  So what decides here is what the
 * connection is busy with at the moment; what no job wants tells the watch that something has
 * changed.
 */
#include "store/imap-internal.h"
#include "base/limits.h"

#include <string.h>

static void on_fetch(gpointer user, const ImapFetch *fetch)
{
    ImapConnection *connection = user;

    if (connection->fetches->len > 0 && fetch->items & IMAP_FETCH_BODY)
        imap_fetch_end(connection, fetch);
    else if (connection->change)
        imap_change_fetch(connection->change, fetch);
    else if (connection->sync)
        imap_sync_fetch(connection->sync, fetch);
    else
        connection->has_changed = TRUE;
}

static void on_body_begin(gpointer user, guint32 uid, guint64 size)
{
    ImapConnection *connection = user;

    if (connection->change)
        imap_change_body_begin(connection->change);
    else
        imap_fetch_begin(connection, uid, size);
}

static void on_body_data(gpointer user, const void *data, gsize length)
{
    ImapConnection *connection = user;

    if (connection->change)
        imap_change_body_data(connection->change, data, length);
    else
        imap_fetch_data(connection, data, length);
}

static void on_exists(gpointer user, guint32 n_messages)
{
    ImapConnection *connection = user;

    if (!connection->sync)
        connection->has_changed = TRUE;
}

static void on_expunge(gpointer user, guint32 seq)
{
    ImapConnection *connection = user;

    if (connection->change)
        connection->change->n_removed++;
    else
        connection->has_changed = TRUE;
}

static void on_vanished(gpointer user, const UidSet *uids, gboolean earlier)
{
    ImapConnection *connection = user;

    if (connection->sync)
        imap_sync_vanished(connection->sync, uids, earlier);
    else if (connection->change)
        connection->change->n_removed += uid_set_count(uids);
    else
        connection->has_changed = TRUE;
}

static void on_list(gpointer user, const ImapListItem *item)
{
    ImapConnection *connection = user;

    if (connection->list && !item)
        imap_list_broken(connection->list);
    else if (connection->list)
        imap_list_item(connection->list, item);
    else if (connection->change && item)
        imap_change_list_item(connection->change, item);
    else
        connection->list_changed = TRUE;
}

static void on_namespace(gpointer user, const char *prefix, char delimiter)
{
    ImapConnection *connection = user;

    if (connection->namespaces && connection->namespaces->len < LIMIT_NAMESPACES)
        g_ptr_array_add(connection->namespaces, g_strdup(prefix));
}

static void on_status(gpointer user, const ImapStatus *status)
{
    imap_post_status(user, status);
}

static void on_quota(gpointer user, const char *root, guint64 used_kib, guint64 limit_kib)
{
    Event *event = event_new(EVENT_QUOTA, NULL);

    event->used = used_kib * 1024;
    event->limit = limit_kib * 1024;
    imap_post(user, event);
}

static void on_my_rights(gpointer user, const char *mailbox, const char *rights)
{
    Event *event = event_new(EVENT_MAILBOXES, NULL);
    ListedMailbox listed = {0};

    /* Only what a reader needs to know: may messages be put in or taken out at all? */
    listed.wire = g_strdup(mailbox);
    listed.is_readonly = !strpbrk(rights, "ite");
    event->mailboxes = g_array_new(FALSE, FALSE, sizeof(ListedMailbox));
    g_array_set_clear_func(event->mailboxes, (GDestroyNotify)listed_mailbox_clear);
    g_array_append_val(event->mailboxes, listed);
    imap_post(user, event);
}

static void on_alert(gpointer user, const char *text)
{
    ImapConnection *connection = user;

    g_message("%s: the server says: %s", imap_config(connection)->id, text);
}

const ImapHandler imap_handler = {
    .body_begin = on_body_begin,
    .body_data = on_body_data,
    .fetch = on_fetch,
    .exists = on_exists,
    .expunge = on_expunge,
    .vanished = on_vanished,
    .list = on_list,
    .status = on_status,
    .namespace_prefix = on_namespace,
    .quota = on_quota,
    .my_rights = on_my_rights,
    .alert = on_alert,
};
