/* The mailboxes of an account, what STATUS says of them, and the quota.
 *
 * With LIST-STATUS (RFC 5819) all of it is one command.  Otherwise LIST, and STATUS for those
 * mailboxes whose messages are shown, pipelined.
 */
#include "store/imap-internal.h"
#include "base/error.h"
#include "base/limits.h"
#include "client/imap-name.h"

#include <string.h>

enum { STATUS_IN_FLIGHT = 16 };

struct ImapList {
    ImapConnection *connection;
    GArray *mailboxes; /* of ListedMailbox */
    guint n_left_out;
    gboolean is_broken; /* a line could not be read */
};

void imap_list_broken(ImapList *list)
{
    list->is_broken = TRUE;
}

void imap_list_item(ImapList *list, const ImapListItem *item)
{
    gboolean is_utf8 =
        imap_session_enabled(list->connection->session, IMAP_CAP_UTF8_ACCEPT);
    ListedMailbox listed = {.delimiter = item->delimiter, .list_flags = item->flags};
    gsize length = strlen(item->mailbox);

    /* "Folder/" is how some servers list a mere level of hierarchy. */
    if (item->delimiter && length > 1 && item->mailbox[length - 1] == item->delimiter)
        length--;
    if (length == 0 || list->mailboxes->len >= LIMIT_MAILBOXES) {
        list->n_left_out++;
        return;
    }
    listed.wire = g_strndup(item->mailbox, length);
    listed.path = imap_name_path(listed.wire, item->delimiter, is_utf8);
    listed.is_container = (item->flags & (IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT)) != 0;
    if (g_strv_length(listed.path) > LIMIT_MAILBOX_DEPTH) {
        listed_mailbox_clear(&listed);
        list->n_left_out++;
        return;
    }
    g_array_append_val(list->mailboxes, listed);
}

void imap_post_status(ImapConnection *connection, const ImapStatus *status)
{
    Event *event = event_new(EVENT_STATUS, NULL);

    event->wire = g_strdup(status->mailbox);
    event->status_items = status->items;
    event->n_messages = status->messages;
    event->n_unseen = status->unseen;
    event->uidnext = status->uidnext;
    event->uidvalidity = status->uidvalidity;
    event->highestmodseq = status->highestmodseq;
    imap_post(connection, event);
}

static const char *status_items(const ImapConnection *connection)
{
    return imap_session_has(connection->session, IMAP_CAP_CONDSTORE)
               ? "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)"
               : "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)";
}

static gboolean list_pattern(ImapList *list, const char *prefix, GError **error)
{
    ImapConnection *connection = list->connection;
    ImapCommand *command = imap_command_new("LIST \"\"");
    g_autofree char *pattern = g_strconcat(prefix, "*", NULL);
    gboolean extended = imap_session_has(connection->session, IMAP_CAP_LIST_EXTENDED);
    g_autofree char *status = NULL;

    imap_command_string(command, pattern, strlen(pattern));
    if (imap_session_has(connection->session, IMAP_CAP_LIST_STATUS))
        status = g_strdup_printf(" STATUS %s", status_items(connection));
    if (extended && (status || imap_session_has(connection->session, IMAP_CAP_SPECIAL_USE))) {
        g_autofree char *options = g_strdup_printf(
            "RETURN (SUBSCRIBED CHILDREN%s%s)",
            imap_session_has(connection->session, IMAP_CAP_SPECIAL_USE) ? " SPECIAL-USE" : "",
            status ? status : "");

        imap_command_raw(command, options);
    }
    return imap_run(connection, command, "LIST", error);
}

/* The user's namespaces (RFC 2342), asked for once a connection. */
static gboolean ask_namespaces(ImapConnection *connection, GError **error)
{
    g_autoptr(GError) refused = NULL;

    if (connection->namespaces)
        return TRUE;
    connection->namespaces = g_ptr_array_new_with_free_func(g_free);
    if (!imap_session_has(connection->session, IMAP_CAP_NAMESPACE) ||
        imap_run(connection, imap_command_new("NAMESPACE"), "NAMESPACE", &refused) ||
        !mail_error_is_connection(refused))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&refused));
    return FALSE;
}

static gboolean is_covered(const ImapList *list, const char *prefix)
{
    for (guint i = 0; i < list->mailboxes->len; i++)
        if (g_str_has_prefix(g_array_index(list->mailboxes, ListedMailbox, i).wire, prefix))
            return TRUE;
    return FALSE;
}

/* All mailboxes: "*", and what lies in a namespace that "*" does not reach (#mh/, ~/). */
static gboolean list_mailboxes(ImapList *list, GError **error)
{
    const GPtrArray *namespaces;

    if (!ask_namespaces(list->connection, error) || !list_pattern(list, "", error))
        return FALSE;
    namespaces = list->connection->namespaces;
    for (guint i = 0; i < namespaces->len; i++) {
        const char *prefix = g_ptr_array_index(namespaces, i);

        if (*prefix && g_ascii_strncasecmp(prefix, "INBOX", 5) != 0 &&
            !is_covered(list, prefix) && !list_pattern(list, prefix, error))
            return FALSE;
    }
    return TRUE;
}

static guint send_status(ImapConnection *connection, const char *wire, GError **error)
{
    ImapCommand *command = imap_command_new("STATUS");

    imap_command_mailbox(command, wire);
    imap_command_raw(command, status_items(connection));
    return imap_send(connection, command, "STATUS", error);
}

/* STATUS of the mailboxes in @wires; a NO (it was removed meanwhile) is no failure. */
static gboolean ask_status(ImapConnection *connection, GPtrArray *wires, GError **error)
{
    guint in_flight[STATUS_IN_FLIGHT], n = 0, next = 0;

    while (n > 0 || next < wires->len) {
        g_autoptr(GError) refused = NULL;

        while (n < STATUS_IN_FLIGHT && next < wires->len) {
            const char *wire = g_ptr_array_index(wires, next++);

            if (g_strcmp0(wire, imap_session_selected(connection->session)) == 0)
                continue; /* RFC 9051 6.3.11: not of the selected mailbox */
            in_flight[n] = send_status(connection, wire, error);
            if (in_flight[n++] == 0)
                return FALSE;
        }
        if (n == 0)
            break;
        if (!imap_session_wait(connection->session, in_flight[0], NULL, &refused) &&
            mail_error_is_connection(refused)) {
            g_propagate_error(error, g_steal_pointer(&refused));
            return FALSE;
        }
        memmove(in_flight, in_flight + 1, --n * sizeof *in_flight);
    }
    return TRUE;
}

static gboolean ask_quota(ImapConnection *connection, GError **error)
{
    ImapCommand *command;
    g_autoptr(GError) refused = NULL;

    if (!imap_session_has(connection->session, IMAP_CAP_QUOTA))
        return TRUE;
    command = imap_command_mailbox(imap_command_new("GETQUOTAROOT"), "INBOX");
    if (imap_run(connection, command, "GETQUOTAROOT", &refused) ||
        !mail_error_is_connection(refused))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&refused));
    return FALSE;
}

static void post_mailboxes(ImapList *list)
{
    Event *event = event_new(EVENT_MAILBOXES, NULL);

    if (list->n_left_out > 0)
        g_warning("%s: %u mailboxes are not shown: too many, or nested too deep",
                  imap_config(list->connection)->id, list->n_left_out);
    event->mailboxes = g_steal_pointer(&list->mailboxes);
    event->is_list = TRUE;
    event->is_whole = !list->is_broken;
    imap_post(list->connection, event);
}

gboolean imap_list_run(ImapConnection *connection, Job *job, GError **error)
{
    ImapList list = {.connection = connection};
    gboolean ok;

    list.mailboxes = g_array_new(FALSE, FALSE, sizeof(ListedMailbox));
    g_array_set_clear_func(list.mailboxes, (GDestroyNotify)listed_mailbox_clear);
    connection->list = &list;
    ok = list_mailboxes(&list, error);
    connection->list = NULL;
    if (!ok) {
        /* A LIST that failed removes nothing. */
        g_array_unref(list.mailboxes);
        return FALSE;
    }
    post_mailboxes(&list);
    /* What IDLE would have said, where there is no IDLE. */
    if (!imap_session_has(connection->session, IMAP_CAP_IDLE) &&
        imap_session_selected(connection->session) &&
        !imap_run(connection, imap_command_new("NOOP"), "NOOP", error))
        return FALSE;
    if (job->status_of && !imap_session_has(connection->session, IMAP_CAP_LIST_STATUS) &&
        !ask_status(connection, job->status_of, error))
        return FALSE;
    return !job->with_quota || ask_quota(connection, error);
}
