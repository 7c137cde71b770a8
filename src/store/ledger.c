/* The ledger's memory: entries by UID and by key, and what each change appends to the file.
 *
 * The file itself, its lines and its checks, is ledger-file.c's.
 */
#include "store/ledger-internal.h"
#include "base/error.h"
#include "base/io.h"
#include "base/limits.h"

#include <string.h>

/* -- Entries ----------------------------------------------------------------------------------- */

static void item_free(gpointer data)
{
    LedgerItem *item = data;

    if (item->entry.keywords)
        g_ref_string_release((char *)item->entry.keywords);
    g_slist_free_full(item->keys, g_free);
    g_free(item);
}

static gint compare_uids(gconstpointer a, gconstpointer b, gpointer user)
{
    guint x = GPOINTER_TO_UINT(a), y = GPOINTER_TO_UINT(b);

    return (x > y) - (x < y);
}

Ledger *ledger_new(void)
{
    Ledger *ledger = g_new0(Ledger, 1);

    ledger->fd = ledger->dir_fd = -1;
    ledger->uidnext = 1;
    ledger->by_uid = g_tree_new_full(compare_uids, NULL, NULL, item_free);
    ledger->by_key = g_hash_table_new(g_str_hash, g_str_equal);
    ledger->pending = g_string_new(NULL);
    return ledger;
}

void ledger_free(Ledger *ledger)
{
    if (!ledger)
        return;
    io_close_auto(&ledger->fd);
    io_close_auto(&ledger->dir_fd);
    g_hash_table_unref(ledger->by_key);
    g_tree_unref(ledger->by_uid);
    g_string_free(ledger->pending, TRUE);
    g_free(ledger->name);
    g_free(ledger->origin);
    g_free(ledger);
}

LedgerItem *ledger_item(const Ledger *ledger, guint32 uid)
{
    return g_tree_lookup(ledger->by_uid, GUINT_TO_POINTER(uid));
}

static void set_keywords(LedgerItem *item, const char *keywords)
{
    char *copy = keywords && *keywords ? g_ref_string_new_intern(keywords) : NULL;

    if (item->entry.keywords)
        g_ref_string_release((char *)item->entry.keywords);
    item->entry.keywords = copy;
}

static void take_key_off(Ledger *ledger, const char *key)
{
    LedgerItem *item = g_hash_table_lookup(ledger->by_key, key);
    GSList *link = item ? g_slist_find_custom(item->keys, key, (GCompareFunc)strcmp) : NULL;

    if (!link)
        return;
    g_hash_table_remove(ledger->by_key, key);
    ledger->n_live -= item->keys->next != NULL; /* the first is in the entry's own line */
    g_free(link->data);
    item->keys = g_slist_delete_link(item->keys, link);
}

/* -- What lines and callers do to the memory --------------------------------------------------- */

gboolean ledger_put(Ledger *ledger, const LedgerEntry *entry, const char *key)
{
    LedgerItem *item;

    if (entry->uid < ledger->uidnext || entry->uid >= MESSAGE_UID_PENDING ||
        ledger_n_entries(ledger) >= LIMIT_MESSAGES)
        return FALSE;
    if (*key)
        take_key_off(ledger, key);
    item = g_new0(LedgerItem, 1);
    item->entry = *entry;
    item->entry.keywords = NULL;
    set_keywords(item, entry->keywords);
    g_tree_insert(ledger->by_uid, GUINT_TO_POINTER(entry->uid), item);
    if (*key) {
        item->keys = g_slist_prepend(NULL, g_strdup(key));
        g_hash_table_insert(ledger->by_key, item->keys->data, item);
    }
    ledger->uidnext = entry->uid + 1;
    ledger->n_live++;
    return TRUE;
}

gboolean ledger_put_key(Ledger *ledger, guint32 uid, const char *key)
{
    LedgerItem *item = ledger_item(ledger, uid);
    char *copy;

    if (!item || !*key)
        return FALSE;
    take_key_off(ledger, key);
    copy = g_strdup(key);
    ledger->n_live += item->keys != NULL;
    item->keys = g_slist_append(item->keys, copy);
    g_hash_table_insert(ledger->by_key, copy, item);
    return TRUE;
}

void ledger_drop_key(Ledger *ledger, const char *key)
{
    take_key_off(ledger, key);
}

gboolean ledger_put_flags(Ledger *ledger, guint32 uid, guint16 flags, const char *keywords)
{
    LedgerItem *item = ledger_item(ledger, uid);

    if (!item)
        return FALSE;
    item->entry.flags = flags;
    set_keywords(item, keywords);
    return TRUE;
}

gboolean ledger_put_claims(Ledger *ledger, guint32 uid, guint64 size, guint64 likeness)
{
    LedgerItem *item = ledger_item(ledger, uid);

    if (!item)
        return FALSE;
    item->entry.size = size;
    item->entry.likeness = likeness;
    return TRUE;
}

void ledger_put_origin(Ledger *ledger, const char *origin)
{
    g_free(ledger->origin);
    ledger->origin = g_strdup(origin);
}

gboolean ledger_drop(Ledger *ledger, guint32 uid)
{
    LedgerItem *item = ledger_item(ledger, uid);

    if (!item)
        return FALSE;
    while (item->keys)
        take_key_off(ledger, item->keys->data);
    ledger->n_live--;
    g_tree_remove(ledger->by_uid, GUINT_TO_POINTER(uid));
    return TRUE;
}

/* -- Asking ------------------------------------------------------------------------------------ */

guint32 ledger_uidvalidity(const Ledger *ledger)
{
    return ledger->uidvalidity;
}

guint32 ledger_uidnext(const Ledger *ledger)
{
    return ledger->uidnext;
}

const char *ledger_origin(const Ledger *ledger)
{
    return ledger->origin;
}

guint ledger_n_entries(const Ledger *ledger)
{
    return (guint)g_tree_nnodes(ledger->by_uid);
}

const LedgerEntry *ledger_find_uid(const Ledger *ledger, guint32 uid)
{
    const LedgerItem *item = ledger_item(ledger, uid);

    return item ? &item->entry : NULL;
}

const LedgerEntry *ledger_find_key(const Ledger *ledger, const char *key)
{
    const LedgerItem *item = g_hash_table_lookup(ledger->by_key, key);

    return item ? &item->entry : NULL;
}

const LedgerEntry *ledger_next(const Ledger *ledger, guint32 uid)
{
    GTreeNode *node = g_tree_lower_bound(ledger->by_uid, GUINT_TO_POINTER(uid));

    return node ? &((const LedgerItem *)g_tree_node_value(node))->entry : NULL;
}

const char *ledger_key(const Ledger *ledger, guint32 uid, const char *prefix)
{
    const LedgerItem *item = ledger_item(ledger, uid);

    for (const GSList *link = item ? item->keys : NULL; link; link = link->next)
        if (g_str_has_prefix(link->data, prefix))
            return link->data;
    return NULL;
}

/* -- Changing ---------------------------------------------------------------------------------- */

static gboolean check_key(const Ledger *ledger, const char *key, GError **error)
{
    if (!*key || strlen(key) > LEDGER_MAX_KEY || strpbrk(key, "\r\n"))
        return mail_fail(error, MAIL_ERROR_INVALID, "a message cannot be known by such a name");
    if (g_hash_table_contains(ledger->by_key, key))
        return mail_fail(error, MAIL_ERROR_EXISTS, "the message is known already");
    return TRUE;
}

/* As many of @keywords as a line holds. */
static char *fitting(const char *keywords)
{
    char *copy = g_strdup(keywords && *keywords ? keywords : NULL);

    while (copy && strlen(copy) > LEDGER_MAX_KEYWORDS) {
        char *blank = strrchr(copy, ' ');

        if (blank)
            *blank = '\0';
        else
            g_clear_pointer(&copy, g_free);
    }
    if (copy)
        g_strdelimit(copy, "\r\n", ' ');
    return copy;
}

guint32 ledger_add(Ledger *ledger, const char *key, const LedgerEntry *entry, GError **error)
{
    g_autofree char *keywords = fitting(entry->keywords);
    LedgerEntry added = *entry;

    if (!check_key(ledger, key, error))
        return 0;
    added.uid = ledger->uidnext;
    added.keywords = keywords;
    if (added.first_seen == 0)
        added.first_seen = g_get_real_time() / G_USEC_PER_SEC;
    if (!ledger_put(ledger, &added, key)) {
        mail_fail(error, MAIL_ERROR_TOOBIG, "a mailbox has room for %d messages", LIMIT_MESSAGES);
        return 0;
    }
    ledger_write_entry(ledger, ledger->pending, ledger_item(ledger, added.uid));
    return added.uid;
}

gboolean ledger_add_key(Ledger *ledger, guint32 uid, const char *key, GError **error)
{
    if (!check_key(ledger, key, error))
        return FALSE;
    if (!ledger_put_key(ledger, uid, key))
        return mail_fail(error, MAIL_ERROR_GONE, "there is no message %u", uid);
    ledger_write(ledger, "K %u %s", uid, key);
    return TRUE;
}

void ledger_remove_key(Ledger *ledger, const char *key)
{
    if (!g_hash_table_contains(ledger->by_key, key))
        return;
    ledger_write(ledger, "D %s", key);
    ledger_drop_key(ledger, key);
}

gboolean ledger_set_flags(Ledger *ledger, guint32 uid, guint16 flags, const char *keywords)
{
    const LedgerEntry *entry = ledger_find_uid(ledger, uid);
    g_autofree char *kept = fitting(keywords);

    if (!entry || (entry->flags == flags && g_strcmp0(entry->keywords, kept) == 0))
        return FALSE;
    ledger_put_flags(ledger, uid, flags, kept);
    ledger_write(ledger, "F %u %u %s", uid, flags, kept ? kept : "");
    return TRUE;
}

static gboolean set_claims(Ledger *ledger, const LedgerEntry *entry, guint64 size,
                           guint64 likeness)
{
    guint32 uid = entry->uid;

    if (entry->size == size && entry->likeness == likeness)
        return FALSE;
    ledger_put_claims(ledger, uid, size, likeness);
    ledger_write(ledger, "S %u %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, uid, size, likeness);
    return TRUE;
}

gboolean ledger_set_size(Ledger *ledger, guint32 uid, guint64 size)
{
    const LedgerEntry *entry = ledger_find_uid(ledger, uid);

    return entry && set_claims(ledger, entry, size, entry->likeness);
}

gboolean ledger_set_likeness(Ledger *ledger, guint32 uid, guint64 likeness)
{
    const LedgerEntry *entry = ledger_find_uid(ledger, uid);

    return entry && set_claims(ledger, entry, entry->size, likeness);
}

void ledger_set_origin(Ledger *ledger, const char *origin)
{
    if (g_strcmp0(ledger->origin, origin) == 0)
        return;
    ledger_put_origin(ledger, origin);
    ledger_write(ledger, "O %s", origin);
}

void ledger_remove_uid(Ledger *ledger, guint32 uid)
{
    if (ledger_drop(ledger, uid))
        ledger_write(ledger, "R %u", uid);
}
