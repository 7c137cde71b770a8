/* Whether a unique-id still means the message that it meant.
 *
 * Servers give their ids anew: after their index was rebuilt, or because they count positions.  And
 * the account may be led to another server.  A size that differs from what LIST said before, or a
 * header that does, shows it.  Headers cost a TOP each, so they are looked at where something
 * depends on it: of what has another size, for sizes are claims and change (without TOP that is a
 * RETR, which would follow otherwise), and, with TOP, of a removal that waited for longer than
 * since the last list, and of a message that was not listed for a while.  Once one id has been
 * found to mean another message, none of them is believed: the headers of all are looked at, no
 * removal is carried out, and what cannot be known again is a new message, while the old one counts
 * as not listed.  Where a size alone says so, as of a message that never gave its header, a removal
 * whose own header is the same is still believed.
 */
#include "store/pop3-internal.h"
#include "base/limits.h"
#include "mime/header.h"

#include <string.h>

guint64 pop3_likeness(const char *header, gsize length)
{
    g_autofree char *id = header_message_id(header, length), *digest = NULL;
    const char *end = g_strstr_len(header, (gssize)length, "\n\r\n");

    if (*id)
        return message_fingerprint(id);
    digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)header,
                                         end ? (gsize)(end + 1 - header) : length);
    return message_fingerprint(digest);
}

gboolean pop3_fits(const LedgerEntry *entry, const Pop3Slot *slot)
{
    if (entry->likeness && slot->likeness)
        return entry->likeness == slot->likeness;
    return !entry->size || !slot->size || entry->size == slot->size;
}

/* Whose the unique-ids are, in one line; NULL: nobody's. */
static char *origin_of(const ConfigAccount *config)
{
    const Endpoint *endpoint = config->endpoint;
    g_autofree char *text = NULL;

    if (!endpoint)
        return NULL;
    text = g_strdup_printf("%s\n%u\n%d\n%s", endpoint->host, endpoint->port,
                           endpoint->security == SECURITY_TUNNEL,
                           config->user ? config->user : "");
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

static gboolean is_elsewhere(const Pop3Backend *backend, const Ledger *ledger)
{
    g_autofree char *origin = origin_of(backend->params.config);

    return origin && ledger_origin(ledger) && !g_str_equal(origin, ledger_origin(ledger));
}

/* @by_header: a header proves it, not just a size that could not be compared any better. */
static gboolean is_given_anew(const Pop3Backend *backend, const Ledger *ledger,
                              gboolean by_header)
{
    static const char *const prefixes[] = {POP3_HERE, POP3_OWED};

    for (guint i = 0; i < backend->slots->len; i++) {
        const Pop3Slot *slot = g_ptr_array_index(backend->slots, i);

        for (guint j = 0; j < G_N_ELEMENTS(prefixes); j++) {
            const LedgerEntry *entry = pop3_inbox_find(ledger, slot, prefixes[j]);

            if (entry && !pop3_fits(entry, slot) &&
                (!by_header || (entry->likeness && slot->likeness)))
                return TRUE;
        }
    }
    return FALSE;
}

/* -- Looking ----------------------------------------------------------------------------------- */

typedef struct {
    Pop3Sink base;
    Pop3Backend *backend;
    GByteArray *header;
} Look;

static void look_begin(Pop3Sink *sink, guint32 number)
{
    g_byte_array_set_size(((Look *)sink)->header, 0);
}

static void look_data(Pop3Sink *sink, const void *data, gsize length)
{
    GByteArray *header = ((Look *)sink)->header;

    g_byte_array_append(header, data, (guint)MIN(length, LIMIT_HEADER - header->len));
}

static void look_end(Pop3Sink *sink, guint32 number, const GError *error)
{
    const Look *look = (const Look *)sink;
    Pop3Slot *slot = pop3_slot(look->backend, number);

    if (slot && !error && look->header->len > 0)
        slot->likeness = pop3_likeness((const char *)look->header->data, look->header->len);
}

static gboolean is_doubtful(const Pop3Backend *backend, const Ledger *ledger,
                            const Pop3Slot *slot)
{
    const LedgerEntry *here = pop3_inbox_find(ledger, slot, POP3_HERE);
    const LedgerEntry *owed = here ? NULL : pop3_inbox_find(ledger, slot, POP3_OWED);
    const LedgerEntry *entry =
        here ? here : owed ? owed : pop3_inbox_find(ledger, slot, POP3_GONE);

    if (!entry || !entry->likeness)
        return FALSE;
    return !pop3_fits(entry, slot) ||
           (!backend->has_no_top && !here &&
            !(owed && uid_set_contains(backend->fresh, entry->uid)));
}

/* The numbers of those whose header is to be seen; @all: of all, where no id can be believed. */
static GArray *find_doubtful(Pop3Backend *backend, gboolean all)
{
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(guint32));
    MaildirWorker *worker = maildir_backend_enter(backend->local);
    const Ledger *ledger = pop3_inbox(worker, NULL);

    if (ledger && all && !is_elsewhere(backend, ledger) && !is_given_anew(backend, ledger, FALSE))
        ledger = NULL;
    for (guint i = 0; ledger && i < backend->slots->len; i++) {
        const Pop3Slot *slot = g_ptr_array_index(backend->slots, i);

        if (!slot->likeness && (all || is_doubtful(backend, ledger, slot)))
            g_array_append_val(numbers, slot->number);
    }
    maildir_backend_leave(backend->local);
    return numbers;
}

gboolean pop3_look(Pop3Backend *backend, GError **error)
{
    g_autoptr(GByteArray) header = g_byte_array_new();
    Look look = {{look_begin, look_data, look_end}, backend, header};
    Pop3Task task = backend->has_no_top ? POP3_RETR : POP3_TOP;
    gboolean ok = TRUE;

    for (gboolean all = FALSE; ok && all <= !backend->has_no_top; all++) {
        g_autoptr(GArray) numbers = find_doubtful(backend, all);

        ok = numbers->len == 0 || pop3_transfer(backend, task, numbers, &look.base, error);
    }
    return ok;
}

/* -- What follows ------------------------------------------------------------------------------ */

typedef struct {
    Pop3Backend *backend;
    Ledger *ledger;
    gboolean is_elsewhere;
    GHashTable *slots;       /* "u:UIDL" -> Pop3Slot */
    GArray *aside;           /* UIDs */
    GHashTable *by_likeness; /* of these -> UID; 0: several */
    guint n_dropped;         /* removals */
    gboolean is_proven;      /* by a header, or because it is elsewhere */
} Doubt;

/* The id is not the message's any more: it counts as one that is not listed. */
static void put_aside(Doubt *doubt, const LedgerEntry *entry)
{
    guint32 uid = entry->uid;
    g_autofree char *aside = g_strdup_printf(POP3_VAGUE "anew-%u", uid);
    g_autofree char *old = g_strdup(ledger_key(doubt->ledger, uid, POP3_HERE));
    gboolean is_double = g_hash_table_contains(doubt->by_likeness, &entry->likeness);

    (void)ledger_add_key(doubt->ledger, uid, aside, NULL);
    ledger_remove_key(doubt->ledger, old);
    g_array_append_val(doubt->aside, uid);
    if (entry->likeness)
        g_hash_table_insert(doubt->by_likeness, (gpointer)&entry->likeness,
                            GUINT_TO_POINTER(is_double ? 0 : uid));
}

static gboolean is_believed(const Doubt *doubt, const LedgerEntry *entry, const Pop3Slot *slot)
{
    if (doubt->is_elsewhere)
        return slot && slot->likeness && slot->likeness == entry->likeness;
    return slot && pop3_fits(entry, slot);
}

static void judge(Doubt *doubt, const LedgerEntry *entry)
{
    static const char *const prefixes[] = {POP3_HERE, POP3_OWED, POP3_GONE};
    guint32 uid = entry->uid;

    for (guint i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        const char *key = ledger_key(doubt->ledger, uid, prefixes[i]);
        g_autofree char *listed =
            key ? g_strconcat(POP3_HERE, key + strlen(prefixes[i]), NULL) : NULL;
        const Pop3Slot *slot = key ? g_hash_table_lookup(doubt->slots, listed) : NULL;

        if (key && g_str_equal(prefixes[i], POP3_OWED) && (slot || doubt->is_elsewhere)) {
            if (!doubt->is_proven && entry->likeness && entry->likeness == slot->likeness)
                return;
            doubt->n_dropped++;
            pop3_inbox_forget(doubt->ledger, uid, POP3_OWED);
            return;
        }
        if (!key || is_believed(doubt, entry, slot))
            continue;
        if (g_str_equal(prefixes[i], POP3_HERE))
            put_aside(doubt, entry);
        else
            pop3_inbox_forget(doubt->ledger, uid, prefixes[i]);
        return;
    }
}

/* What was put aside is known again under another id by its header and size. */
static void reunite(const Doubt *doubt)
{
    for (guint i = 0; i < doubt->backend->slots->len; i++) {
        const Pop3Slot *slot = g_ptr_array_index(doubt->backend->slots, i);
        guint32 uid = GPOINTER_TO_UINT(g_hash_table_lookup(doubt->by_likeness, &slot->likeness));
        const LedgerEntry *entry = uid ? ledger_find_uid(doubt->ledger, uid) : NULL;

        if (!entry || entry->size != slot->size ||
            pop3_inbox_find(doubt->ledger, slot, POP3_GONE) ||
            !ledger_add_key(doubt->ledger, uid, slot->key, NULL))
            continue;
        pop3_inbox_forget(doubt->ledger, uid, POP3_VAGUE);
        g_hash_table_remove(doubt->by_likeness, &slot->likeness);
    }
}

static void say(const Doubt *doubt)
{
    const char *id = doubt->backend->params.config->id;

    g_log(G_LOG_DOMAIN, doubt->n_dropped > 0 ? G_LOG_LEVEL_WARNING : G_LOG_LEVEL_MESSAGE,
          doubt->is_elsewhere
              ? "%s: pop3= or user= leads to another mailbox than before: its messages are not "
                "those of the old one, and %u removals that the old one was owed are dropped"
              : "%s: the server has given its unique-ids (UIDL) to other messages than before: %u "
                "removals that it was owed are dropped, and those messages are shown again",
          id, doubt->n_dropped);
}

static void judge_all(Doubt *doubt)
{
    const LedgerEntry *entry;
    guint32 uid = 0;

    for (guint i = 0; i < doubt->backend->slots->len; i++) {
        Pop3Slot *slot = g_ptr_array_index(doubt->backend->slots, i);

        g_hash_table_insert(doubt->slots, slot->key, slot);
    }
    while ((entry = ledger_next(doubt->ledger, uid + 1))) {
        uid = entry->uid;
        judge(doubt, entry);
    }
    reunite(doubt);
    for (guint i = 0; i < doubt->aside->len; i++) {
        uid = g_array_index(doubt->aside, guint32, i);
        if (ledger_key(doubt->ledger, uid, MAILDIR_KEY)) /* a message of this disk, as any other */
            pop3_inbox_forget(doubt->ledger, uid, POP3_VAGUE);
    }
}

void pop3_doubt(Pop3Backend *backend, Ledger *ledger)
{
    g_autofree char *origin = origin_of(backend->params.config);
    g_autoptr(GHashTable) slots = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) by_likeness = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_autoptr(GArray) aside = g_array_new(FALSE, FALSE, sizeof(guint32));
    Doubt doubt = {backend, ledger, is_elsewhere(backend, ledger), slots, aside, by_likeness, 0,
                   FALSE};

    if (doubt.is_elsewhere || is_given_anew(backend, ledger, FALSE)) {
        doubt.is_proven = doubt.is_elsewhere || is_given_anew(backend, ledger, TRUE);
        judge_all(&doubt);
        say(&doubt);
    }
    if (origin)
        ledger_set_origin(ledger, origin);
}
