/* The commands that change mailboxes.  See imap-change.h.
 *
 * All wait for their answer before the next goes out.  It costs a round trip each, and buys that
 * after a lost connection exactly one command is in doubt.  Sets of messages are cut into pieces,
 * short enough for old servers' lines and small enough that a slow server answers in time.
 */
#include "client/imap-change.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/limits.h"
#include "client/imap-internal.h"
#include "imap/date.h"

#include <string.h>

enum {
    /* Octets of a set, of flags: together with a quoted name they stay below
     * LIMIT_IMAP_COMMAND. */
    SET_MAX = LIMIT_IMAP_COMMAND / 3,
    FLAGS_MAX = LIMIT_IMAP_COMMAND / 3,
    /* Messages of one command: a server that copies files may take a second for each and says
     * nothing until all are there; changing flags and removing is a thousand times faster. */
    COPY_MAX = 100,
    STORE_MAX = 1000,
    SCAN_SIZE = 64 * 1024,
};

/* What became of a command that is on its way. */
static gboolean hear(ImapSession *session, guint number, ImapResult *ret_result, GError **error)
{
    gboolean ok;

    FAULT("command-sent");
    ok = imap_session_collect(session, number, ret_result, error);
    FAULT("command-answered");
    return ok;
}

/* Carries out @command; NO and BAD are results. */
static gboolean ask(ImapSession *session, ImapCommand *command, ImapResult *ret_result,
                    GError **error)
{
    guint number = imap_session_send(session, command, error);

    return number != 0 && hear(session, number, ret_result, error);
}

/* Turns NO and BAD into an error.  Clears @result. */
static gboolean settle(ImapResult *result, GError **error)
{
    gboolean ok = result->cond == IMAP_OK || imap_session_refused(result, error);

    imap_result_clear(result);
    return ok;
}

/* Carries out @command; NO and BAD are errors. */
static gboolean run(ImapSession *session, ImapCommand *command, GError **error)
{
    ImapResult result;

    return ask(session, command, &result, error) && settle(&result, error);
}

/* -- APPEND ------------------------------------------------------------------------------------ */

guint64 imap_session_append_limit(const ImapSession *session)
{
    return session->caps.append_limit;
}

static gboolean check_size(const ImapSession *session, guint64 size, GError **error)
{
    guint64 limit = session->caps.append_limit;

    if (limit == 0 || limit > LIMIT_MESSAGE)
        limit = LIMIT_MESSAGE;
    if (size <= limit)
        return TRUE;
    return mail_fail(error, MAIL_ERROR_TOOBIG,
                     "a message of %" G_GUINT64_FORMAT
                     " octets cannot be stored: %s takes %" G_GUINT64_FORMAT " at most",
                     size, limit < LIMIT_MESSAGE ? "the server" : "mailfs", limit);
}

/* Once its size is announced a literal must be sent to the end, so the file is looked through
 * before: that it is all there, and that IMAP can carry it. */
static gboolean check_octets(const ImapAppend *append, GError **error)
{
    g_autofree char *chunk = g_malloc(SCAN_SIZE);

    for (guint64 at = 0; at < append->size; at += SCAN_SIZE) {
        gsize n = (gsize)MIN(SCAN_SIZE, append->size - at);
        gssize got = io_pread_all(append->fd, chunk, n, (goffset)at, error);

        if (got < 0)
            return FALSE;
        if ((gsize)got < n)
            return mail_fail(error, MAIL_ERROR_CACHE,
                             "the file of a message became shorter before it was sent");
        if (memchr(chunk, '\0', n))
            return mail_fail(error, MAIL_ERROR_INVALID,
                             "the message holds a NUL character, which IMAP cannot carry; "
                             "remove it");
    }
    return TRUE;
}

static ImapCommand *append_command(const ImapAppend *append, const char *keywords)
{
    g_autofree char *flags = imap_flags_format(append->flags, keywords, FLAGS_MAX);
    ImapCommand *command = imap_command_new(append->replaces ? "UID REPLACE" : "APPEND");

    if (append->replaces) {
        g_autofree char *uid = g_strdup_printf("%u", append->replaces);

        imap_command_raw(command, uid);
    }
    imap_command_mailbox(command, append->mailbox);
    if (strcmp(flags, "()") != 0)
        imap_command_raw(command, flags);
    if (append->date) {
        g_autofree char *date = imap_date_format(append->date);

        imap_command_string(command, date, strlen(date));
    }
    return imap_command_literal(command, append->size);
}

static gboolean append_once(ImapSession *session, const ImapAppend *append, const char *keywords,
                            gboolean *ret_sent, ImapResult *ret_result, GError **error)
{
    ImapUpload upload = {
        .fd = append->fd,
        .size = append->size,
        .progress = append->progress,
        .user = append->user,
    };
    guint number = imap_session_upload(session, append_command(append, keywords), &upload, error);

    if (ret_sent && upload.has_begun)
        *ret_sent = TRUE;
    return number != 0 && hear(session, number, ret_result, error);
}

gboolean imap_session_append(ImapSession *session, const ImapAppend *append,
                             ImapAppended *ret_appended, gboolean *ret_sent, GError **error)
{
    ImapAppended appended = {0};
    ImapResult result;

    if (ret_sent)
        *ret_sent = FALSE;
    if (append->replaces && !session->caps.has[IMAP_CAP_REPLACE])
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED, "the server has no REPLACE");
    if (!check_size(session, append->size, error) || !check_octets(append, error) ||
        !append_once(session, append, append->keywords, ret_sent, &result, error))
        return FALSE;
    /* GNU mailutils: "BAD Unrecognized flag".  A message is worth more than its keywords. */
    if (result.cond == IMAP_BAD && append->keywords) {
        imap_result_clear(&result);
        if (!append_once(session, append, NULL, ret_sent, &result, error))
            return FALSE;
    }
    if (g_strcmp0(result.code, "APPENDUID") == 0)
        imap_uidplus_appended(result.code_args, &appended);
    if (!settle(&result, error))
        return FALSE;
    *ret_appended = appended;
    return TRUE;
}

/* -- COPY and MOVE ----------------------------------------------------------------------------- */

void imap_copied_clear(ImapCopied *copied)
{
    copied->uidvalidity = 0;
    g_clear_pointer(&copied->pairs, g_array_unref);
}

/* Takes what was asked for of what COPYUID says.  Another UIDVALIDITY than in the part before: the
 * target was made anew, and none of this holds any more. */
static void add_pairs(ImapCopied *copied, const ImapResult *result, const UidSet *asked)
{
    g_autoptr(GArray) pairs = NULL;
    guint32 uidvalidity;

    if (g_strcmp0(result->code, "COPYUID") == 0)
        pairs = imap_uidplus_copied(result->code_args, &uidvalidity);
    if (!pairs)
        return;
    if (copied->uidvalidity && copied->uidvalidity != uidvalidity)
        g_array_set_size(copied->pairs, 0);
    copied->uidvalidity = uidvalidity;
    for (guint i = 0; i < pairs->len; i++) {
        ImapCopyPair pair = g_array_index(pairs, ImapCopyPair, i);

        if (uid_set_contains(asked, pair.from))
            g_array_append_val(copied->pairs, pair);
    }
}

gboolean imap_session_copy(ImapSession *session, const UidSet *uids, const char *target,
                           gboolean is_move, ImapCopied *ret_copied, GError **error)
{
    g_autoptr(UidSet) left = uid_set_copy(uids);

    *ret_copied = (ImapCopied){0, g_array_new(FALSE, FALSE, sizeof(ImapCopyPair))};
    if (is_move && !session->caps.has[IMAP_CAP_MOVE])
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED, "the server has no MOVE");
    while (!uid_set_is_empty(left)) {
        g_autofree char *part = uid_set_take(left, SET_MAX, COPY_MAX);
        ImapCommand *command = imap_command_new(is_move ? "UID MOVE" : "UID COPY");
        ImapResult result;

        imap_command_mailbox(imap_command_raw(command, part), target);
        if (!ask(session, command, &result, error))
            return FALSE;
        if (result.cond == IMAP_OK)
            add_pairs(ret_copied, &result, uids);
        if (!settle(&result, error))
            return FALSE;
    }
    return TRUE;
}

/* -- STORE ------------------------------------------------------------------------------------- */

/* The flags as an argument; NULL for keywords that cannot be sent. */
static char *store_flags(const ImapStore *store, GError **error)
{
    if (!imap_are_keywords(store->keywords)) {
        mail_fail(error, MAIL_ERROR_INVALID,
                  "a keyword is made of ASCII letters, digits and marks other than (){%%*\"\\]");
        return NULL;
    }
    return imap_flags_format(store->flags, store->keywords, G_MAXSIZE);
}

static ImapCommand *store_command(const ImapStore *store, const char *set, const char *flags)
{
    ImapCommand *command = imap_command_raw(imap_command_new("UID STORE"), set);

    if (store->unchanged_since) {
        g_autofree char *since =
            g_strdup_printf("(UNCHANGEDSINCE %" G_GUINT64_FORMAT ")", store->unchanged_since);

        imap_command_raw(command, since);
    }
    imap_command_raw(command, store->is_removal ? "-FLAGS.SILENT" : "+FLAGS.SILENT");
    return imap_command_raw(command, flags);
}

/* [MODIFIED set] (RFC 7162 section 3.1.3) comes in OK, and in NO where some of the messages are
 * gone besides: the others were changed then, too.  Of a set that cannot be read all counts as
 * left alone. */
static gboolean take_modified(const ImapStore *store, const char *part, ImapResult *result,
                              UidSet *modified)
{
    const char *args = result->code_args ? result->code_args : "";
    g_autoptr(UidSet) set = NULL;

    if (!store->unchanged_since || result->cond == IMAP_BAD ||
        g_strcmp0(result->code, "MODIFIED") != 0)
        return FALSE;
    set = uid_set_parse(args, strlen(args));
    if (!set)
        set = uid_set_parse(part, strlen(part));
    uid_set_add_set(modified, set);
    return TRUE;
}

gboolean imap_session_store(ImapSession *session, const UidSet *uids, const ImapStore *store,
                            UidSet **ret_modified, GError **error)
{
    g_autoptr(UidSet) left = uid_set_copy(uids), modified = uid_set_new();
    g_autofree char *flags = store_flags(store, error);

    if (!flags)
        return FALSE;
    if (store->unchanged_since && !session->caps.has[IMAP_CAP_CONDSTORE])
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED, "the server has no CONDSTORE");
    while (!uid_set_is_empty(left)) {
        g_autofree char *part = uid_set_take(left, SET_MAX, STORE_MAX);
        ImapResult result;

        if (!ask(session, store_command(store, part, flags), &result, error))
            return FALSE;
        if (take_modified(store, part, &result, modified))
            imap_result_clear(&result);
        else if (!settle(&result, error))
            return FALSE;
    }
    if (ret_modified)
        *ret_modified = g_steal_pointer(&modified);
    return TRUE;
}

/* -- EXPUNGE ----------------------------------------------------------------------------------- */

gboolean imap_session_uid_expunge(ImapSession *session, const UidSet *uids, GError **error)
{
    g_autoptr(UidSet) left = uid_set_copy(uids);

    if (!session->caps.has[IMAP_CAP_UIDPLUS])
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED, "the server has no UID EXPUNGE");
    while (!uid_set_is_empty(left)) {
        g_autofree char *part = uid_set_take(left, SET_MAX, STORE_MAX);
        ImapCommand *command = imap_command_new("UID EXPUNGE");

        if (!run(session, imap_command_raw(command, part), error))
            return FALSE;
    }
    return TRUE;
}

gboolean imap_session_expunge_all(ImapSession *session, GError **error)
{
    return run(session, imap_command_new("EXPUNGE"), error);
}

/* -- Mailboxes --------------------------------------------------------------------------------- */

static gboolean is_inbox(const char *mailbox)
{
    return g_ascii_strcasecmp(mailbox, "INBOX") == 0;
}

static ImapCommand *about(const char *words, const char *mailbox)
{
    return imap_command_mailbox(imap_command_new(words), mailbox);
}

/* SUBSCRIBE and UNSUBSCRIBE say what is shown elsewhere, and come after what was asked for: a
 * refusal is none of that, and a lost connection shows at the next command. */
static void subscribe(ImapSession *session, const char *words, const char *mailbox)
{
    ImapResult result;

    if (ask(session, about(words, mailbox), &result, NULL))
        imap_result_clear(&result);
}

/* A server may close the connection on a mailbox that is taken away while it is selected. */
static gboolean leave(ImapSession *session, const char *mailbox, GError **error)
{
    const char *selected = imap_session_selected(session);

    if (!selected || strncmp(selected, mailbox, strlen(mailbox)) != 0)
        return TRUE;
    return imap_session_unselect(session, error);
}

/* Was CREATE refused because the mailbox is there?  Courier: "Cannot create this folder." */
static gboolean refuse_create(ImapSession *session, const char *mailbox, ImapResult *result,
                              GError **error)
{
    g_autofree char *text = g_strdup(result->text);
    g_autoptr(GError) refusal = NULL;
    ImapStatus status;

    settle(result, &refusal);
    if (mail_error_is(refusal, MAIL_ERROR_DENIED) &&
        imap_session_status(session, mailbox, &status, NULL))
        return mail_fail(error, MAIL_ERROR_EXISTS, "the server has a mailbox of that name (%s)",
                         text);
    if (!session_is_alive(&session->base, error))
        return FALSE;
    g_propagate_error(error, g_steal_pointer(&refusal));
    return FALSE;
}

gboolean imap_session_create(ImapSession *session, const char *mailbox, const char *special_use,
                             GError **error)
{
    ImapResult result;

    if (special_use && session->caps.has[IMAP_CAP_CREATE_SPECIAL_USE]) {
        g_autofree char *use = g_strdup_printf("(USE (%s))", special_use);

        if (!ask(session, imap_command_raw(about("CREATE", mailbox), use), &result, error))
            return FALSE;
        /* Cyrus, where another mailbox has this use. */
        if (g_strcmp0(result.code, "USEATTR") == 0 || result.cond == IMAP_BAD) {
            imap_result_clear(&result);
            return imap_session_create(session, mailbox, NULL, error);
        }
    } else if (!ask(session, about("CREATE", mailbox), &result, error)) {
        return FALSE;
    }
    if (result.cond != IMAP_OK)
        return refuse_create(session, mailbox, &result, error);
    imap_result_clear(&result);
    subscribe(session, "SUBSCRIBE", mailbox);
    return TRUE;
}

gboolean imap_session_delete(ImapSession *session, const char *mailbox, GError **error)
{
    if (!leave(session, mailbox, error) ||
        !run(session, about("DELETE", mailbox), error))
        return FALSE;
    subscribe(session, "UNSUBSCRIBE", mailbox);
    return TRUE;
}

/* The names at and below @mailbox that are subscribed to, as far as the server tells. */
static gboolean list_subscribed(ImapSession *session, const char *mailbox, GPtrArray *names,
                                GError **error)
{
    gboolean extended = session->caps.has[IMAP_CAP_LIST_EXTENDED];
    ImapCommand *command = imap_command_new(extended ? "LIST (SUBSCRIBED) \"\"" : "LSUB \"\"");
    g_autofree char *pattern = g_strconcat(mailbox, "*", NULL);
    ImapResult result;
    gboolean ok;

    session->root = mailbox;
    session->subscribed = names;
    ok = ask(session, imap_command_mailbox(command, pattern), &result, error);
    session->root = NULL;
    session->subscribed = NULL;
    if (ok)
        imap_result_clear(&result);
    return ok;
}

/* All in flight together, for a tree may have hundreds.  Refusals do not matter here, either. */
static void move_subscriptions(ImapSession *session, const GPtrArray *names, const char *from,
                               const char *to)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint i = 0; i < names->len; i++) {
        const char *old = names->pdata[i];
        g_autofree char *new = g_strconcat(to, old + strlen(from), NULL);
        const guint sent[] = {
            imap_session_send(session, about("SUBSCRIBE", new), NULL),
            imap_session_send(session, about("UNSUBSCRIBE", old), NULL),
        };

        g_array_append_vals(numbers, sent, G_N_ELEMENTS(sent));
    }
    for (guint i = 0; i < numbers->len; i++) {
        guint number = g_array_index(numbers, guint, i);
        ImapResult result;

        if (number != 0 && imap_session_collect(session, number, &result, NULL))
            imap_result_clear(&result);
    }
}

gboolean imap_session_rename(ImapSession *session, const char *from, const char *to, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    ImapCommand *command;

    /* INBOX stays where it is when its mail is renamed away, and so do those below it. */
    if (!leave(session, from, error) ||
        (!is_inbox(from) && !list_subscribed(session, from, names, error)))
        return FALSE;
    command = imap_command_mailbox(about("RENAME", from), to);
    if (!run(session, command, error))
        return FALSE;
    if (is_inbox(from))
        subscribe(session, "SUBSCRIBE", to);
    else
        move_subscriptions(session, names, from, to);
    return TRUE;
}

gboolean imap_session_status(ImapSession *session, const char *mailbox, ImapStatus *ret_status,
                             GError **error)
{
    ImapCommand *command = about("STATUS", mailbox);
    ImapStatus status = {0};
    gboolean ok;

    session->status_of = mailbox;
    session->status_answer = &status;
    ok = imap_session_run(session, imap_command_raw(command, "(MESSAGES UIDNEXT UIDVALIDITY)"),
                          NULL, error);
    session->status_of = NULL;
    session->status_answer = NULL;
    if (!ok)
        return FALSE;
    if (!status.items)
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED, "the server did not answer a STATUS");
    status.mailbox = mailbox; /* what it said is valid no more */
    status.mailbox_id = NULL;
    status.items &= ~(guint)IMAP_STATUS_MAILBOXID;
    *ret_status = status;
    return TRUE;
}
