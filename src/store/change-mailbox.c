/* MAILBOX: CREATE, DELETE and RENAME.
 *
 *   PREP -> SENT -> the command -> the model
 *
 * The model follows the tagged OK at once, so that mkdir's answer finds the directory there.  A
 * LIST that was on its way meanwhile may know less than we do, so it is not applied
 * (store_freeze_list()).
 *
 * When the answer was lost, the command is said again: CREATE of what exists and DELETE of what is
 * gone are done.  RENAME of what is gone is done if a LIST shows the new name and not the old one;
 * whenever a LIST does so, the model's mailbox takes the new name with all its messages, before it
 * would be taken for one that went and one that came.
 */
#include "store/change-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/limits.h"
#include "client/imap-session.h"

#include <string.h>

/* Change.stage. */
enum { FIRST_TIME, AGAIN, APPLIED };

/* -- Names ------------------------------------------------------------------------------------- */

char change_delimiter(const Store *store)
{
    const Mailbox *inbox = account_find_wire(store->account, "INBOX");
    const GPtrArray *top = store->account->root->children;

    if (inbox)
        return inbox->delimiter;
    return top->len > 0 ? ((const Mailbox *)g_ptr_array_index(top, 0))->delimiter : '\0';
}

char *change_wire_below_inbox(const Store *store, const char *wire)
{
    const Mailbox *inbox = account_find_wire(store->account, "INBOX");
    char separator[2] = {change_delimiter(store), '\0'};

    if (!inbox || !*separator || store->account->root->children->len > 1 ||
        g_ascii_strncasecmp(wire, "INBOX", 5) == 0)
        return NULL;
    return g_strconcat(inbox->wire, separator, wire, NULL);
}

static char delimiter_below(const Store *store, const Mailbox *parent)
{
    return parent->delimiter ? parent->delimiter : change_delimiter(store);
}

static gboolean is_wanted(const Store *store, const Mailbox *parent, const char *name)
{
    g_autofree char *above = g_strjoinv("/", parent->path);
    g_autofree char *path = g_strconcat(above, *above ? "/" : "", name, NULL);

    return config_wants_folder(store->params.config, path);
}

/* Whether a mailbox called @name can be made in @parent, by all that is known here. */
static gboolean may_be_named(const Store *store, const Mailbox *parent, const char *name,
                             GError **error)
{
    char delimiter = delimiter_below(store, parent);
    gboolean is_top = parent == store->account->root;
    g_autofree char *label = store->params.show(name, strlen(name), is_top);

    if (account_find_label(parent, label))
        return mail_fail(error, MAIL_ERROR_EXISTS, "%s has a folder %s already", parent->label,
                         label);
    if (!*name || (delimiter && strchr(name, delimiter)))
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "the server keeps '%c' for the levels of folders, so no name can have it",
                         delimiter);
    for (const char *p = name; *p; p++)
        if ((guchar)*p < 0x20 || *p == 0x7f)
            return mail_fail(error, MAIL_ERROR_INVALID,
                             "the name of a mailbox cannot have control characters");
    if (!is_top && (!delimiter || (parent->list_flags & IMAP_LIST_NOINFERIORS)))
        return mail_fail(error, MAIL_ERROR_DENIED, "the server allows no folders in %s",
                         parent->label);
    if (g_strv_length(parent->path) >= LIMIT_MAILBOX_DEPTH)
        return mail_fail(error, MAIL_ERROR_INVALID, "folders nest %d levels deep at most",
                         LIMIT_MAILBOX_DEPTH);
    if (!is_wanted(store, parent, name))
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "folders= in the configuration leaves %s out, so it would not be shown",
                         label);
    return TRUE;
}

static char *wire_of(const Store *store, const Mailbox *parent, const char *name)
{
    g_autofree char *encoded = store->ops->encode(name);
    char separator[2] = {delimiter_below(store, parent), '\0'};

    if (parent == store->account->root)
        return g_steal_pointer(&encoded);
    return g_strconcat(parent->wire, separator, encoded, NULL);
}

/* The mailbox above @wire; NULL when it is not known. */
static Mailbox *parent_of(const Store *store, const char *wire)
{
    char delimiter = change_delimiter(store);
    const char *last = delimiter ? strrchr(wire, delimiter) : NULL;
    g_autofree char *above = last ? g_strndup(wire, (gsize)(last - wire)) : NULL;

    return above ? account_find_wire(store->account, above) : store->account->root;
}

/* -- The model --------------------------------------------------------------------------------- */

Mailbox *change_mailbox_appeared(Store *store, const char *wire, GError **error)
{
    Mailbox *mailbox = account_find_wire(store->account, wire);
    char delimiter = change_delimiter(store);
    ListedMailbox listed = {.delimiter = delimiter};

    if (mailbox && !mailbox->is_container)
        return mailbox;
    listed.wire = g_strdup(wire);
    listed.path = store->ops->path(wire, delimiter);
    mailbox = store_add_mailbox(store, &listed);
    listed_mailbox_clear(&listed);
    if (!mailbox)
        mail_fail(error, MAIL_ERROR_INVALID,
                  "the server made the mailbox %s, but it cannot be shown: too many, or nested "
                  "too deep", wire);
    return mailbox;
}

static gboolean lies_in(const Mailbox *mailbox, const Mailbox *above)
{
    while (mailbox && mailbox != above)
        mailbox = mailbox->parent;
    return mailbox != NULL;
}

/* What waits to be done in @mailbox is to be said with its new name. */
static void rename_in_entries(Store *store, DiskBatch *batch, const Mailbox *mailbox)
{
    for (GList *link = store->changes; link; link = link->next) {
        JournalEntry *entry = ((Change *)link->data)->entry;
        char **wires[] = {entry->mailbox == mailbox->number ? &entry->wire : NULL,
                          entry->target_mailbox == mailbox->number ? &entry->target : NULL};

        for (guint i = 0; i < G_N_ELEMENTS(wires); i++)
            if (wires[i]) {
                g_free(*wires[i]);
                *wires[i] = g_strdup(mailbox->wire);
                disk_batch_put_journal(batch, entry);
            }
    }
}

static void rename_in_model(Store *store, const JournalEntry *entry)
{
    const StoreObserver *observer = store->params.observer;
    Mailbox *mailbox = account_find_wire(store->account, entry->wire), *old_parent;
    Mailbox *parent = parent_of(store, entry->target);
    Mailbox *namesake = account_find_wire(store->account, entry->target);
    DiskBatch *batch;

    /* After a crash it may have been renamed already; and a new place that nobody knows is for LIST
     * to show. */
    if (!mailbox || !parent || lies_in(parent, mailbox))
        return;
    if (namesake && namesake != mailbox)
        store_remove_mailbox(store, namesake);
    batch = disk_batch_new();
    old_parent = mailbox->parent;
    observer->mailbox_removed(store, mailbox, store->params.user);
    account_rename(store->account, mailbox, parent, entry->name, entry->target);
    mailbox_touch(old_parent, store_now());
    mailbox_touch(parent, store_now());
    for (guint i = 0; i < store->account->all->len; i++) {
        Mailbox *each = g_ptr_array_index(store->account->all, i);
        DiskMailbox row = store_disk_mailbox(each);

        if (each->is_gone || !lies_in(each, mailbox))
            continue;
        disk_batch_put_mailbox(batch, &row);
        rename_in_entries(store, batch, each);
    }
    disk_submit(store->disk, batch, NULL, NULL);
    observer->mailbox_added(store, mailbox, store->params.user);
}

static void apply(Store *store, const JournalEntry *entry)
{
    Mailbox *mailbox = account_find_wire(store->account, entry->wire);
    g_autoptr(GError) error = NULL;

    switch ((MailboxVerb)entry->verb) {
    case MAILBOX_CREATE:
        mailbox = change_mailbox_appeared(store, entry->wire, &error);
        if (!mailbox)
            g_warning("%s: %s", store->account->id, error->message);
        else if (mailbox->uidvalidity == 0)
            mailbox->is_listed = FALSE; /* it was only shown as if it were */
        break;
    case MAILBOX_DELETE:
        if (mailbox)
            store_remove_mailbox(store, mailbox);
        break;
    case MAILBOX_RENAME:
        rename_in_model(store, entry);
        break;
    }
}

void store_changes_listed(Store *store, GHashTable *wires)
{
    for (GList *link = store->changes; link; link = link->next) {
        Change *change = link->data;
        const JournalEntry *entry = change->entry;

        if (entry->kind == JOURNAL_MAILBOX && entry->verb == MAILBOX_RENAME &&
            entry->state == JOURNAL_SENT && !g_hash_table_contains(wires, entry->wire) &&
            g_hash_table_contains(wires, entry->target)) {
            rename_in_model(store, entry);
            change->stage = APPLIED;
        }
    }
}

/* -- The machine ------------------------------------------------------------------------------- */

static void thaw(gpointer store)
{
    store_thaw_list(store);
}

static void freeze(Change *change)
{
    store_freeze_list(change->store);
    change->own = change->store;
    change->own_free = thaw;
}

static void release(Change *change)
{
    if (change->own)
        change->own_free(g_steal_pointer(&change->own));
}

static void step(Change *change)
{
    const JournalEntry *entry = change->entry;
    Job *job;

    if (change->stage == APPLIED) {
        change_finish(change, NULL);
        return;
    }
    change->stage = entry->state == JOURNAL_SENT ? AGAIN : FIRST_TIME;
    job = change_job(JOB_MAILBOX, entry->wire, entry->uidvalidity);
    job->change->verb = (MailboxVerb)entry->verb;
    job->change->target = g_strdup(entry->target);
    freeze(change);
    FAULT("mailbox-step");
    change_send(change, JOURNAL_SENT, job);
}

static void on_listed(const GError *error, gpointer user)
{
    Change *change = user;
    g_autoptr(GError) gone = NULL;

    change->ready = NULL;
    change->phase = CHANGE_AT_WORK;
    if (change->stage == APPLIED) {
        change_finish(change, NULL);
    } else if (error && change_is_temporary(error)) {
        change_postpone(change, error);
    } else {
        mail_fail(&gone, MAIL_ERROR_GONE, "the mailbox %s is gone", change->entry->wire);
        change_refuse(change, NULL, error ? error : gone);
    }
}

/* An answer that says that it is so already. */
static gboolean is_done(const Change *change, const GError *error)
{
    if (change->entry->verb == MAILBOX_CREATE)
        return change->stage == AGAIN && mail_error_is(error, MAIL_ERROR_EXISTS);
    return change->entry->verb == MAILBOX_DELETE && mail_error_is(error, MAIL_ERROR_GONE);
}

static void answered(Change *change, Job *job, const GError *error)
{
    FAULT("mailbox-answered");
    if (!error || is_done(change, error))
        apply(change->store, change->entry);
    FAULT("mailbox-applied");
    release(change);
    if (!error || is_done(change, error)) {
        change_finish(change, NULL);
    } else if (change_is_temporary(error)) {
        if (!job->change->was_sent)
            change->entry->state = JOURNAL_PREP;
        change_postpone(change, error);
    } else if (change->entry->verb == MAILBOX_RENAME && change->stage == AGAIN &&
               mail_error_is(error, MAIL_ERROR_GONE)) {
        change->phase = CHANGE_PREPARING;
        change->ready = store_sync(change->store, change->store->account->root, on_listed,
                                   change);
    } else {
        store_ask_list(change->store, JOB_WAITED); /* we know something wrong, it seems */
        change_refuse(change, NULL, error);
    }
}

static void undo(Change *change, const GError *error)
{
    Mailbox *mailbox = account_find_wire(change->store->account, change->entry->wire);

    if (change->is_shown && change->entry->verb == MAILBOX_CREATE && mailbox)
        store_remove_mailbox(change->store, mailbox);
    change->is_shown = FALSE;
}

const ChangeOps change_mailbox_ops = {step, answered, undo};

/* -- Asking ------------------------------------------------------------------------------------ */

/* A new directory can be queued, but not that one goes or has another name: of what is in it, or
 * came into it meanwhile, nobody could tell. */
static gboolean may_change(Store *store, GError **error)
{
    if (!store_may_change(store, NULL, error))
        return FALSE;
    return store_takes_jobs(store) || store_fail_offline(store, error);
}

static Change *new_change(Store *store, MailboxVerb verb)
{
    Change *change = change_new(store, JOURNAL_MAILBOX, NULL);

    change->entry->verb = verb;
    return change;
}

StoreChange *store_create_mailbox(Store *store, Mailbox *parent, const char *name, StoreFunc func,
                                  gpointer user)
{
    g_autoptr(GError) error = NULL;
    Change *change;

    if (!store_may_change(store, NULL, &error) || !may_be_named(store, parent, name, &error))
        return change_answer(store, error, func, user);
    change = new_change(store, MAILBOX_CREATE);
    change->entry->wire = wire_of(store, parent, name);
    change->entry->name = g_strdup(name);
    return change_begin_for(change, func, user);
}

static gboolean is_inbox(const Mailbox *mailbox)
{
    return g_str_equal(mailbox->wire, "INBOX");
}

static gboolean has_files(Store *store, const Mailbox *mailbox)
{
    if (local_nth(store, mailbox, 0))
        return TRUE;
    for (guint i = 0; i < mailbox_n_messages(mailbox); i++)
        if (!mailbox_nth(mailbox, i)->is_hidden)
            return TRUE;
    return FALSE;
}

StoreChange *store_delete_mailbox(Store *store, Mailbox *mailbox, StoreFunc func, gpointer user)
{
    g_autoptr(GError) error = NULL;
    Change *change;

    if (!may_change(store, &error))
        return change_answer(store, error, func, user);
    if (is_inbox(mailbox) || !mailbox->parent)
        mail_fail(&error, MAIL_ERROR_BUSY, "%s cannot be removed: every account has one",
                  mailbox->label);
    else if (mailbox->children->len > 0 || has_files(store, mailbox))
        mail_fail(&error, MAIL_ERROR_NOTEMPTY, "%s is not empty", mailbox->label);
    if (error)
        return change_answer(store, error, func, user);
    change = new_change(store, MAILBOX_DELETE);
    change->entry->wire = g_strdup(mailbox->wire);
    change->entry->uidvalidity = mailbox->uidvalidity;
    return change_begin_for(change, func, user);
}

StoreChange *store_rename_mailbox(Store *store, Mailbox *mailbox, Mailbox *parent,
                                  const char *name, StoreFunc func, gpointer user)
{
    g_autoptr(GError) error = NULL;
    Change *change;

    if (!may_change(store, &error))
        return change_answer(store, error, func, user);
    if (is_inbox(mailbox) || !mailbox->parent)
        mail_fail(&error, MAIL_ERROR_BUSY, "%s cannot be renamed: every account has one",
                  mailbox->label);
    else if (lies_in(parent, mailbox))
        mail_fail(&error, MAIL_ERROR_INVALID, "%s cannot be moved into itself", mailbox->label);
    if (error || !may_be_named(store, parent, name, &error))
        return change_answer(store, error, func, user);
    change = new_change(store, MAILBOX_RENAME);
    change->entry->wire = g_strdup(mailbox->wire);
    change->entry->target = wire_of(store, parent, name);
    change->entry->name = g_strdup(name);
    return change_begin_for(change, func, user);
}
