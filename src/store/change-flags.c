/* FLAGS: flags and keywords added to messages, or taken from them.
 *
 *   PREP -> SENT -> STORE -> the model
 *
 * Always as differences, never as a whole list: what another client sets meanwhile stays, and a
 * STORE whose answer was lost may be said again.
 */
#include "store/change-internal.h"
#include "base/error.h"
#include "base/fault.h"

#include <string.h>

/* -- Keywords ---------------------------------------------------------------------------------- */

static gint by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Keywords are case-blind (RFC 9051 section 2.3.2). */
static gboolean has_word(char **words, const char *word)
{
    for (char **each = words; each && *each; each++)
        if (g_ascii_strcasecmp(*each, word) == 0)
            return TRUE;
    return FALSE;
}

static char **split(const char *words)
{
    return g_strsplit(words ? words : "", " ", -1);
}

char *change_merge_keywords(const char *now, const char *add, const char *remove)
{
    g_auto(GStrv) old = split(now), added = split(add), removed = split(remove);
    g_autoptr(GPtrArray) kept = g_ptr_array_new();

    for (char **each = old; *each; each++)
        if (**each && !has_word(removed, *each))
            g_ptr_array_add(kept, *each);
    for (char **each = added; *each; each++)
        if (**each && !has_word(removed, *each) && !has_word(old, *each))
            g_ptr_array_add(kept, *each);
    g_ptr_array_sort(kept, by_text);
    g_ptr_array_add(kept, NULL);
    return g_strjoinv(" ", (char **)kept->pdata);
}

/* -- The model --------------------------------------------------------------------------------- */

static void apply_one(Change *change, DiskBatch *batch, Mailbox *mailbox, Message *message)
{
    Store *store = change->store;
    const JournalEntry *entry = change->entry;
    g_autofree char *keywords =
        change_merge_keywords(message->keywords, entry->keywords, entry->keywords_removed);
    guint16 flags = (guint16)((message->flags | entry->flags) & ~entry->flags_removed);

    if (flags == message->flags &&
        g_strcmp0(message->keywords, *keywords ? keywords : NULL) == 0)
        return;
    message->flags = flags;
    message_set_keywords(message, keywords);
    message->appeared = store_now();
    store_sync_flagged(store, mailbox, message->uid);
    disk_batch_put_flags(batch, mailbox->number, message);
    store->params.observer->message_changed(store, mailbox, message, store->params.user);
}

void change_apply_flags(Change *change, DiskBatch *batch)
{
    Mailbox *mailbox = change_mailbox(change);
    const GArray *messages = change->entry->messages;

    for (guint i = 0; mailbox && i < messages->len; i++) {
        Message *message = change_message(change, &g_array_index(messages, JournalMessage, i));

        if (message)
            apply_one(change, batch, mailbox, message);
    }
    if (mailbox && mailbox->is_listed)
        mailbox->n_unseen = mailbox_count_unseen(mailbox);
}

/* -- The machine ------------------------------------------------------------------------------- */

static void step(Change *change)
{
    const JournalEntry *entry = change->entry;
    Job *job;

    change_refresh(change);
    if (entry->messages->len == 0) {
        g_autoptr(GError) error = NULL;

        mail_fail(&error, MAIL_ERROR_GONE, "the message is no longer in %s", entry->wire);
        change_refuse(change, NULL, error);
        return;
    }
    job = change_own_job(change, JOB_FLAGS);
    change_fill_messages(change, job);
    job->change->flags = entry->flags;
    job->change->keywords = g_strdup(entry->keywords);
    job->change->flags_removed = entry->flags_removed;
    job->change->keywords_removed = g_strdup(entry->keywords_removed);
    FAULT("flags-step");
    change_send(change, JOURNAL_SENT, job);
}

static void answered(Change *change, Job *job, const GError *error)
{
    DiskBatch *batch;

    FAULT("flags-answered");
    if (error && change_is_temporary(error)) {
        change_postpone(change, error);
        return;
    }
    if (error) {
        change_refuse(change, NULL, error);
        return;
    }
    batch = disk_batch_new();
    change_apply_flags(change, batch);
    change_finish(change, batch);
}

static void undo(Change *change, const GError *error)
{
    change_unshow(change);
}

const ChangeOps change_flags_ops = {step, answered, undo};

/* -- Asking ------------------------------------------------------------------------------------ */

static gboolean is_word(const char *words)
{
    return words && *words;
}

StoreChange *store_flag(Store *store, Mailbox *mailbox, GPtrArray *messages,
                        const StoreFlags *flags, StoreFunc func, gpointer user)
{
    g_autoptr(GError) error = NULL;
    Change *change;

    if (!store_may_change(store, mailbox, &error))
        return change_answer(store, error, func, user);
    if (messages->len == 0 || !(flags->add || flags->remove || is_word(flags->add_keywords) ||
                                is_word(flags->remove_keywords)))
        return change_answer(store, NULL, func, user);
    change = change_new(store, JOURNAL_FLAGS, mailbox);
    change->entry->flags = flags->add;
    change->entry->flags_removed = flags->remove;
    if (is_word(flags->add_keywords))
        change->entry->keywords = g_strdup(flags->add_keywords);
    if (is_word(flags->remove_keywords))
        change->entry->keywords_removed = g_strdup(flags->remove_keywords);
    change_add_messages(change, messages, NULL);
    return change_begin_for(change, func, user);
}
