/* MAILBOX: folders made, removed and renamed, and their ledgers with them.
 *
 * The ledger of a folder that is to be renamed gets its new name first, beside the old one, and
 * loses the old one last: so the folder has its ledger under whichever name a kill leaves it.
 */
#include "store/maildir-worker-internal.h"
#include "base/error.h"

#include <string.h>

static gboolean is_maildir(MaildirWorker *worker, const char *wire)
{
    MaildirFolder *folder = maildir_folder_open(worker->tree, wire, NULL);
    gboolean is_there = folder != NULL;

    maildir_folder_free(folder);
    return is_there;
}

static gboolean remove_ledger(MaildirWorker *worker, const char *wire, GError **error)
{
    g_autofree char *name = ledger_name(wire);

    maildir_worker_forget(worker, wire);
    return ledger_remove(worker->ledger_fd, name, error);
}

/* Directories that we make and remove are told by name as well, where their parent is watched. */
static void note_levels(MaildirWorker *worker, const char *wire)
{
    g_auto(GStrv) levels = g_strsplit(wire, "/", -1);

    for (char **level = levels; *level; level++)
        maildir_worker_note_own(worker, *level);
}

static gboolean create(MaildirWorker *worker, const Job *job, GError **error)
{
    if (is_maildir(worker, job->wire))
        return mail_fail(error, MAIL_ERROR_EXISTS, "the folder %s is there already", job->wire);
    note_levels(worker, job->wire);
    /* One that was called so before is another. */
    return remove_ledger(worker, job->wire, error) &&
           maildir_tree_create(worker->tree, job->wire, error);
}

static gboolean delete(MaildirWorker *worker, const Job *job, GError **error)
{
    if (job->uidvalidity) {
        const MaildirState *state = maildir_worker_state(worker, job->wire, error);

        if (!state)
            return FALSE;
        if (ledger_uidvalidity(state->ledger) != job->uidvalidity)
            return mail_fail(error, MAIL_ERROR_GONE, "%s was made anew", job->wire);
    }
    note_levels(worker, job->wire);
    maildir_worker_unwatch(worker, job->wire);
    return maildir_tree_delete(worker->tree, job->wire, error) &&
           remove_ledger(worker, job->wire, error);
}

/* -- RENAME ------------------------------------------------------------------------------------ */

/* Those of @wires that are @wire or lie in it. */
static GPtrArray *lying_in(GPtrArray *wires, const char *wire)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
    gsize length = strlen(wire);

    for (guint i = 0; i < wires->len; i++) {
        const char *each = g_ptr_array_index(wires, i);

        if (g_str_has_prefix(each, wire) && (each[length] == '\0' || each[length] == '/'))
            g_ptr_array_add(found, g_strdup(each));
    }
    return found;
}

/* The name that @each will have when @wire is @target. */
static char *name_after(const char *each, const char *wire, const char *target)
{
    return g_strconcat(target, each + strlen(wire), NULL);
}

/* Before the ledgers of what is there are in danger. */
static gboolean check_free(GPtrArray *wires, GPtrArray *moved, const Job *job, GError **error)
{
    for (guint i = 0; i < moved->len; i++) {
        g_autofree char *after =
            name_after(g_ptr_array_index(moved, i), job->wire, job->change->target);

        if (g_ptr_array_find_with_equal_func(wires, after, g_str_equal, NULL))
            return mail_fail(error, MAIL_ERROR_EXISTS, "the folder %s is there already", after);
    }
    return moved->len > 0 ||
           mail_fail(error, MAIL_ERROR_GONE, "there is no folder %s", job->wire);
}

static gboolean link_ledgers(MaildirWorker *worker, GPtrArray *moved, const Job *job,
                             GError **error)
{
    for (guint i = 0; i < moved->len; i++) {
        const char *each = g_ptr_array_index(moved, i);
        g_autofree char *after = name_after(each, job->wire, job->change->target);
        g_autofree char *from = ledger_name(each), *to = ledger_name(after);

        maildir_worker_forget(worker, each);
        maildir_worker_forget(worker, after);
        if (!ledger_link(worker->ledger_fd, from, to, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean rename_folder(MaildirWorker *worker, const Job *job, GError **error)
{
    g_autoptr(GPtrArray) wires = maildir_tree_list(worker->tree, NULL, error);
    g_autoptr(GPtrArray) moved = NULL;

    if (!wires)
        return FALSE;
    moved = lying_in(wires, job->wire);
    if (!check_free(wires, moved, job, error))
        return FALSE;
    note_levels(worker, job->wire);
    note_levels(worker, job->change->target);
    if (!link_ledgers(worker, moved, job, error) ||
        !maildir_tree_rename(worker->tree, job->wire, job->change->target, error))
        return FALSE;
    for (guint i = 0; i < moved->len; i++)
        if (!remove_ledger(worker, g_ptr_array_index(moved, i), error))
            return FALSE;
    return TRUE;
}

gboolean maildir_worker_mailbox(MaildirWorker *worker, Job *job, GError **error)
{
    if (job->change->verb != MAILBOX_CREATE && g_ascii_strcasecmp(job->wire, "INBOX") == 0)
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "every account has an INBOX; it can be neither renamed nor deleted");
    job->change->was_sent = TRUE;
    switch (job->change->verb) {
    case MAILBOX_CREATE:
        return create(worker, job, error);
    case MAILBOX_DELETE:
        return delete(worker, job, error);
    case MAILBOX_RENAME:
        return rename_folder(worker, job, error);
    }
    g_assert_not_reached();
}
