/* Which message of the maildrop is which of the INBOX: the keys of its ledger.
 *
 * Everything here is done with the worker entered, touches no network, and changes the ledger in
 * memory; who calls flushes it before anybody hears of it.
 */
#include "store/pop3-internal.h"
#include "base/error.h"

#include <string.h>

Ledger *pop3_inbox(MaildirWorker *worker, GError **error)
{
    return maildir_worker_ledger(worker, POP3_INBOX, error);
}

gboolean pop3_inbox_shows(const Ledger *ledger, guint32 uid)
{
    return ledger_key(ledger, uid, MAILDIR_KEY) || ledger_key(ledger, uid, POP3_HERE) ||
           ledger_key(ledger, uid, POP3_VAGUE);
}

gboolean pop3_inbox_has_heard(const Ledger *ledger)
{
    return ledger_uidnext(ledger) > 1;
}

void pop3_inbox_turn(Ledger *ledger, guint32 uid, const char *from, const char *to)
{
    g_autofree char *old = g_strdup(ledger_key(ledger, uid, from));
    g_autofree char *new = old ? g_strconcat(to, old + strlen(from), NULL) : NULL;

    if (!old)
        return;
    ledger_remove_key(ledger, new); /* another one's, from long ago */
    (void)ledger_add_key(ledger, uid, new, NULL);
    ledger_remove_key(ledger, old); /* last: half of this in the file must not leave it without */
}

void pop3_inbox_forget(Ledger *ledger, guint32 uid, const char *prefix)
{
    g_autofree char *key = g_strdup(ledger_key(ledger, uid, prefix));

    if (key)
        ledger_remove_key(ledger, key);
    if (!ledger_key(ledger, uid, ""))
        ledger_remove_uid(ledger, uid);
}

/* -- Removals that are owed -------------------------------------------------------------------- */

gboolean pop3_inbox_doom(Pop3Backend *backend, Ledger *ledger, guint32 uid, GError **error)
{
    if (ledger_key(ledger, uid, POP3_VAGUE))
        return mail_fail(error, MAIL_ERROR_READONLY,
                         "the server has no number for this message that is its own and stays "
                         "(UIDL), so that mailfs cannot be sure to remove the right one; remove "
                         "it with a program that the server's owner offers");
    if (!ledger_key(ledger, uid, POP3_HERE))
        return TRUE;
    pop3_inbox_turn(ledger, uid, POP3_HERE, POP3_OWED);
    uid_set_add(backend->fresh, uid);
    uid_set_add(backend->doomed, uid);
    g_atomic_int_inc(&backend->n_owed);
    return TRUE;
}

gboolean pop3_inbox_refuse_move(GError **error)
{
    return mail_fail(error, MAIL_ERROR_READONLY,
                     "the server has no number for this message that is its own and stays (UIDL), "
                     "so it can be copied, but not moved");
}

static void spare(Pop3Backend *backend, Ledger *ledger, guint32 uid)
{
    if (!ledger_key(ledger, uid, POP3_OWED))
        return;
    pop3_inbox_turn(ledger, uid, POP3_OWED, POP3_HERE);
    g_atomic_int_add(&backend->n_owed, -1);
}

gboolean pop3_inbox_promise(Pop3Backend *backend, Ledger *ledger, GError **error)
{
    gboolean ok = ledger_flush(ledger, error);

    for (guint i = 0; !ok && i < uid_set_n_ranges(backend->doomed); i++) {
        UidRange range = uid_set_range(backend->doomed, i);

        for (guint64 uid = range.low; uid <= range.high; uid++)
            spare(backend, ledger, (guint32)uid);
    }
    uid_set_clear(backend->doomed);
    return ok;
}

guint pop3_inbox_count_owed(const Ledger *ledger)
{
    const LedgerEntry *entry;
    guint n = 0;

    for (entry = ledger_next(ledger, 1); entry; entry = ledger_next(ledger, entry->uid + 1))
        n += ledger_key(ledger, entry->uid, POP3_OWED) != NULL;
    return n;
}

/* Both threads do; entered, so that the last that is told is the last that was true. */
static void tell_owed(Pop3Backend *backend)
{
    Event *event = event_new(EVENT_OWED, NULL);

    (void)maildir_backend_enter(backend->local);
    event->n_messages = (guint32)g_atomic_int_get(&backend->n_owed);
    maildir_backend_post(backend->local, event);
    maildir_backend_leave(backend->local);
}

void pop3_inbox_spare_all(Ledger *ledger)
{
    const LedgerEntry *entry;

    for (entry = ledger_next(ledger, 1); entry; entry = ledger_next(ledger, entry->uid + 1))
        pop3_inbox_turn(ledger, entry->uid, POP3_OWED, POP3_GONE);
}

void pop3_inbox_give_up(Pop3Backend *backend, Ledger *ledger)
{
    g_autoptr(GError) error = NULL;

    if (!g_atomic_int_compare_and_exchange(&backend->gives_up, 1, 0))
        return;
    pop3_inbox_spare_all(ledger);
    if (!ledger_flush(ledger, &error))
        g_warning("%s: %s", backend->params.config->id, error->message);
    g_atomic_int_set(&backend->n_owed, 0);
    tell_owed(backend);
}

void pop3_owe(Pop3Backend *backend)
{
    tell_owed(backend);
    g_atomic_int_set(&backend->owed_is_new, 1);
    cancel_raise(backend->wake);
}

static void settle(Pop3Backend *backend, Ledger *ledger, guint32 uid)
{
    if (!ledger_key(ledger, uid, POP3_OWED))
        return;
    pop3_inbox_forget(ledger, uid, POP3_OWED);
    g_atomic_int_add(&backend->n_owed, -1);
}

void pop3_inbox_settle(Pop3Backend *backend, Ledger *ledger, const UidSet *uids)
{
    for (guint i = 0; i < uid_set_n_ranges(uids); i++) {
        UidRange range = uid_set_range(uids, i);

        for (guint64 uid = range.low; uid <= range.high; uid++)
            settle(backend, ledger, (guint32)uid);
    }
    tell_owed(backend);
}

/* -- A new session's list ---------------------------------------------------------------------- */

const LedgerEntry *pop3_inbox_find(const Ledger *ledger, const Pop3Slot *slot, const char *prefix)
{
    g_autofree char *key = NULL;

    if (!g_str_has_prefix(slot->key, POP3_HERE))
        return NULL;
    key = g_strconcat(prefix, slot->key + strlen(POP3_HERE), NULL);
    return ledger_find_key(ledger, key);
}

/* It was hidden, and is back; or the server gave the unique-id of a message that is gone to another
 * one, as it may (RFC 1939 section 7). */
static guint32 find_again(Ledger *ledger, const Pop3Slot *slot)
{
    const LedgerEntry *entry = pop3_inbox_find(ledger, slot, POP3_GONE);
    guint32 uid = entry ? entry->uid : 0;

    if (!entry)
        return 0;
    if (!pop3_fits(entry, slot)) {
        pop3_inbox_forget(ledger, uid, POP3_GONE);
        return 0;
    }
    pop3_inbox_turn(ledger, uid, POP3_GONE, POP3_HERE);
    return uid;
}

/* The message that a slot is, by its own key, or by one that it had before. */
static guint32 find(Ledger *ledger, const Pop3Slot *slot)
{
    const LedgerEntry *entry = ledger_find_key(ledger, slot->key);

    if (!entry)
        entry = pop3_inbox_find(ledger, slot, POP3_OWED);
    if (!entry)
        return find_again(ledger, slot);
    if (slot->size) /* a claim, and perhaps another one now */
        ledger_set_size(ledger, entry->uid, slot->size);
    return entry->uid;
}

/* What was owed and is not listed any more is done; what was there and is not, is news.  Of what is
 * neither there nor here nothing needs to be known. */
static gboolean settle_unlisted(Pop3Backend *backend, Ledger *ledger)
{
    const LedgerEntry *entry;
    guint32 uid = 0;
    gboolean has_news = FALSE;

    while ((entry = ledger_next(ledger, uid + 1))) {
        uid = entry->uid;
        if (g_hash_table_contains(backend->by_uid, GUINT_TO_POINTER(uid)))
            continue;
        has_news = has_news || ledger_key(ledger, uid, POP3_HERE) ||
                   ledger_key(ledger, uid, POP3_VAGUE);
        if (ledger_key(ledger, uid, POP3_OWED))
            pop3_inbox_forget(ledger, uid, POP3_OWED);
        else if (!pop3_inbox_shows(ledger, uid))
            ledger_remove_uid(ledger, uid);
    }
    return has_news;
}

gboolean pop3_inbox_match(Pop3Backend *backend, Ledger *ledger, gboolean *ret_has_news,
                          GError **error)
{
    gboolean has_news = FALSE;

    g_hash_table_remove_all(backend->by_uid);
    uid_set_clear(backend->fresh);
    pop3_doubt(backend, ledger);
    for (guint i = 0; i < backend->slots->len; i++) {
        Pop3Slot *slot = g_ptr_array_index(backend->slots, i);

        has_news = has_news || pop3_inbox_find(ledger, slot, POP3_GONE); /* it is back */
        slot->uid = find(ledger, slot);
        has_news = has_news || slot->uid == 0;
        if (slot->uid)
            g_hash_table_insert(backend->by_uid, GUINT_TO_POINTER(slot->uid), slot);
    }
    if (settle_unlisted(backend, ledger))
        has_news = TRUE;
    *ret_has_news = has_news;
    if (!ledger_flush(ledger, error))
        return FALSE;
    g_atomic_int_set(&backend->n_owed, (int)pop3_inbox_count_owed(ledger));
    tell_owed(backend);
    return TRUE;
}
