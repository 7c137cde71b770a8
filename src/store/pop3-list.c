/* The list of the maildrop, as the first thing in each session: which message is which.
 *
 * A unique-id that is there once names a message.  One that is missing, or there twice, does not:
 * such messages are known by their header and size, which is good enough to read them, and not good
 * enough to remove one.
 */
#include "store/pop3-internal.h"
#include "base/error.h"

enum { MAX_ODD = 3 }; /* lists in a row that contradict themselves are not believed */

/* -- Slots ------------------------------------------------------------------------------------- */

void pop3_slot_free(gpointer data)
{
    Pop3Slot *slot = data;

    if (!slot)
        return;
    g_free(slot->key);
    g_free(slot);
}

Pop3Slot *pop3_slot(const Pop3Backend *backend, guint32 number)
{
    guint low = 0, high = backend->slots->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        Pop3Slot *slot = g_ptr_array_index(backend->slots, middle);

        if (slot->number == number)
            return slot;
        if (slot->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* A slot for each number, those without a unique-id of their own still without a key. */
static guint take_list(Pop3Backend *backend, const Pop3Maildrop *drop)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    guint n_vague = 0;

    for (guint i = 0; i < drop->messages->len; i++) {
        const Pop3Message *message = &g_array_index(drop->messages, Pop3Message, i);
        guint n = message->uid
                      ? GPOINTER_TO_UINT(g_hash_table_lookup(seen, message->uid)) + 1
                      : 0;

        if (message->uid)
            g_hash_table_insert(seen, (gpointer)message->uid, GUINT_TO_POINTER(n));
    }
    for (guint i = 0; i < drop->messages->len; i++) {
        const Pop3Message *message = &g_array_index(drop->messages, Pop3Message, i);
        Pop3Slot *slot = g_new0(Pop3Slot, 1);
        gboolean is_single =
            message->uid && GPOINTER_TO_UINT(g_hash_table_lookup(seen, message->uid)) == 1;

        slot->number = message->number;
        slot->size = message->size;
        if (is_single)
            slot->key = g_strconcat(POP3_HERE, message->uid, NULL);
        n_vague += !is_single;
        g_ptr_array_add(backend->slots, slot);
    }
    return n_vague;
}

/* -- What contradicts itself ------------------------------------------------------------------- */

/* More messages without a unique-id than before, while ids that we know are not listed: those may
 * well be theirs. */
static gboolean has_lost_ids(Pop3Backend *backend, guint n_vague)
{
    MaildirWorker *worker = maildir_backend_enter(backend->local);
    const Ledger *ledger = pop3_inbox(worker, NULL);
    const LedgerEntry *entry = ledger ? ledger_next(ledger, 1) : NULL;
    guint n_here = 0, n_listed = 0;

    for (; entry; entry = ledger_next(ledger, entry->uid + 1)) {
        n_here += ledger_key(ledger, entry->uid, POP3_HERE) != NULL;
        n_vague -= n_vague > 0 && ledger_key(ledger, entry->uid, POP3_VAGUE);
    }
    for (guint i = 0; ledger && i < backend->slots->len; i++) {
        const Pop3Slot *slot = g_ptr_array_index(backend->slots, i);

        n_listed += slot->key && pop3_inbox_find(ledger, slot, POP3_HERE);
    }
    maildir_backend_leave(backend->local);
    return n_vague > 0 && n_listed < n_here;
}

/* Nothing follows from a list that contradicts itself, but for a server that never makes others. */
static gboolean is_plausible(Pop3Backend *backend, const Pop3Maildrop *drop, guint n_vague,
                             GError **error)
{
    if (drop->n_listed == drop->n_messages && drop->messages->len == drop->n_listed &&
        !(n_vague > 0 && has_lost_ids(backend, n_vague))) {
        backend->n_odd = 0;
        return TRUE;
    }
    if (backend->n_odd++ >= MAX_ODD)
        return TRUE;
    return mail_fail(error, MAIL_ERROR_PROTOCOL,
                     "the server contradicts itself: it counts %u messages (STAT), lists %u (LIST) "
                     "and has unique-ids for %u (UIDL)", drop->n_messages, drop->n_listed,
                     drop->messages->len - n_vague);
}

/* -- Messages without a unique-id of their own ------------------------------------------------- */

typedef struct {
    Pop3Sink base;
    Pop3Backend *backend;
    GChecksum *checksum;
    GHashTable *counts; /* HASH-SIZE -> how many of them there are so far */
} Digest;

static void digest_begin(Pop3Sink *sink, guint32 number)
{
    g_checksum_reset(((Digest *)sink)->checksum);
}

static void digest_data(Pop3Sink *sink, const void *data, gsize length)
{
    g_checksum_update(((Digest *)sink)->checksum, data, (gssize)length);
}

/* Equal ones get numbers, so that each is shown; which is which makes no difference. */
static void digest_end(Pop3Sink *sink, guint32 number, const GError *error)
{
    Digest *digest = (Digest *)sink;
    Pop3Slot *slot = pop3_slot(digest->backend, number);
    char *likeness;
    guint n;

    if (error || !slot)
        return;
    likeness = g_strdup_printf("%s-%" G_GUINT64_FORMAT,
                               g_checksum_get_string(digest->checksum), slot->size);
    n = GPOINTER_TO_UINT(g_hash_table_lookup(digest->counts, likeness)) + 1;
    slot->key = g_strdup_printf(POP3_VAGUE "%s-%u", likeness, n);
    g_hash_table_replace(digest->counts, likeness, GUINT_TO_POINTER(n));
}

static void say_vague(Pop3Backend *backend, guint n)
{
    if (backend->said_vague)
        return;
    backend->said_vague = TRUE;
    g_warning("%s: the server gives %u messages no unique number of their own (UIDL); they can be "
              "read and copied, but not removed or moved by mailfs", backend->params.config->id, n);
}

/* What the server does not even show the header of. */
static void leave_out_unnamed(Pop3Backend *backend)
{
    GPtrArray *named = g_ptr_array_new_with_free_func(pop3_slot_free);

    for (guint i = 0; i < backend->slots->len; i++) {
        Pop3Slot *slot = g_steal_pointer(&g_ptr_array_index(backend->slots, i));

        if (slot->key)
            g_ptr_array_add(named, slot);
        else
            pop3_slot_free(slot);
    }
    g_ptr_array_set_size(backend->slots, 0);
    g_ptr_array_unref(backend->slots);
    backend->slots = named;
}

/* Without UIDL: count and sizes are as the last time, so are the messages.  What is taken for
 * another can be read, and nothing worse. */
static gboolean is_as_before(Pop3Backend *backend)
{
    gboolean is_same = backend->vague && backend->vague->len == backend->slots->len;

    for (guint i = 0; is_same && i < backend->slots->len; i++) {
        const Pop3Slot *before = g_ptr_array_index(backend->vague, i);
        const Pop3Slot *slot = g_ptr_array_index(backend->slots, i);

        is_same = before->number == slot->number && before->size == slot->size;
    }
    for (guint i = 0; is_same && i < backend->slots->len; i++)
        ((Pop3Slot *)g_ptr_array_index(backend->slots, i))->key =
            g_strdup(((Pop3Slot *)g_ptr_array_index(backend->vague, i))->key);
    return is_same;
}

static void remember_vague(Pop3Backend *backend)
{
    g_clear_pointer(&backend->vague, g_ptr_array_unref);
    backend->vague = g_ptr_array_new_with_free_func(pop3_slot_free);
    for (guint i = 0; i < backend->slots->len; i++) {
        Pop3Slot *copy = g_memdup2(g_ptr_array_index(backend->slots, i), sizeof *copy);

        copy->key = g_strdup(copy->key);
        g_ptr_array_add(backend->vague, copy);
    }
}

static gboolean name_vague(Pop3Backend *backend, guint n_vague, GError **error)
{
    gboolean are_all = n_vague == backend->slots->len;
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autoptr(GHashTable) counts =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Digest digest = {{digest_begin, digest_data, digest_end}, backend, checksum, counts};

    say_vague(backend, n_vague);
    if (are_all && is_as_before(backend))
        return TRUE;
    for (guint i = 0; i < backend->slots->len; i++) {
        const Pop3Slot *slot = g_ptr_array_index(backend->slots, i);

        if (!slot->key)
            g_array_append_val(numbers, slot->number);
    }
    if (!pop3_transfer(backend, backend->has_no_top ? POP3_RETR : POP3_TOP, numbers,
                       &digest.base, error))
        return FALSE;
    leave_out_unnamed(backend);
    if (are_all)
        remember_vague(backend);
    return TRUE;
}

static gboolean match(Pop3Backend *backend, gboolean *ret_has_news, GError **error)
{
    MaildirWorker *worker = maildir_backend_enter(backend->local);
    Ledger *ledger = pop3_inbox(worker, error);
    gboolean ok = ledger && pop3_inbox_match(backend, ledger, ret_has_news, error);

    maildir_backend_leave(backend->local);
    return ok;
}

typedef struct {
    Pop3Sink base;
    Pop3Backend *backend;
} Probe;

static void on_probed(Pop3Sink *sink, guint32 number, const GError *error)
{
    Pop3Backend *backend = ((Probe *)sink)->backend;

    backend->has_top = !error;
    backend->has_no_top = error && !mail_error_is(error, MAIL_ERROR_GONE) &&
                          !mail_error_is(error, MAIL_ERROR_BUSY);
}

/* Where no CAPA tells, one TOP does: servers hang up on who says too many words that they do not
 * know.  They have many words for that, and whole messages are dear, but they are the mail. */
static gboolean probe_top(Pop3Backend *backend, GError **error)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(guint32));
    Probe probe = {{.end = on_probed}, backend};

    if (backend->has_top || backend->has_no_top || backend->slots->len == 0)
        return TRUE;
    g_array_append_val(numbers, ((Pop3Slot *)g_ptr_array_index(backend->slots, 0))->number);
    return pop3_transfer(backend, POP3_TOP, numbers, &probe.base, error);
}

gboolean pop3_list(Pop3Backend *backend, gboolean *ret_has_news, GError **error)
{
    g_autoptr(Pop3Maildrop) drop = NULL;
    guint n_vague;

    pop3_count(backend, "UIDL", 1);
    drop = pop3_session_list(backend->session, error);
    if (!drop)
        return FALSE;
    if (*pop3_session_capabilities(backend->session)) {
        backend->has_top = pop3_session_has(backend->session, POP3_CAP_TOP);
        backend->has_no_top = !backend->has_top;
    }
    n_vague = take_list(backend, drop);
    if (!is_plausible(backend, drop, n_vague, error))
        return FALSE;
    return probe_top(backend, error) && (n_vague == 0 || name_vague(backend, n_vague, error)) &&
           pop3_look(backend, error) && match(backend, ret_has_news, error);
}
