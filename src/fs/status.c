/* The state of everything, as JSON; as text by the same renderer that `mailfs status` uses.
 *
 * Field names are a promise (format 1): scripts read them.
 */
#include <json-glib/json-glib.h>

#include "fs/internal.h"
#include "base/deadline.h"
#include "base/status-text.h"
#include "store/change.h"

#include <unistd.h>

enum { STATUS_FORMAT = 1 };

static const char *const link_names[] = {
    [LINK_CONNECTING] = "connecting",
    [LINK_ONLINE] = "online",
    [LINK_OFFLINE] = "offline",
    [LINK_LOCKED] = "locked",
    [LINK_REFUSED] = "auth-failed",
};

/* <linux/fuse.h>'s numbers: what libfuse does not tell its users. */
static const char *const opcode_names[FS_MAX_OPCODE] = {
    [1] = "LOOKUP",     [2] = "FORGET",      [3] = "GETATTR",   [4] = "SETATTR",
    [5] = "READLINK",   [6] = "SYMLINK",     [8] = "MKNOD",     [9] = "MKDIR",
    [10] = "UNLINK",    [11] = "RMDIR",      [12] = "RENAME",   [13] = "LINK",
    [14] = "OPEN",      [15] = "READ",       [16] = "WRITE",    [17] = "STATFS",
    [18] = "RELEASE",   [20] = "FSYNC",      [21] = "SETXATTR", [22] = "GETXATTR",
    [23] = "LISTXATTR", [24] = "REMOVEXATTR", [25] = "FLUSH",   [26] = "INIT",
    [27] = "OPENDIR",   [28] = "READDIR",    [29] = "RELEASEDIR", [30] = "FSYNCDIR",
    [31] = "GETLK",     [32] = "SETLK",      [33] = "SETLKW",   [34] = "ACCESS",
    [35] = "CREATE",    [36] = "INTERRUPT",  [38] = "DESTROY",  [39] = "IOCTL",
    [40] = "POLL",      [42] = "BATCH_FORGET", [43] = "FALLOCATE", [44] = "READDIRPLUS",
    [45] = "RENAME2",   [46] = "LSEEK",      [47] = "COPY_FILE_RANGE",
};

static void set_text(JsonObject *object, const char *name, const char *value)
{
    if (value)
        json_object_set_string_member(object, name, value);
    else
        json_object_set_null_member(object, name);
}

static JsonArray *mailboxes_of(const Account *account)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < account->all->len; i++) {
        const Mailbox *mailbox = g_ptr_array_index(account->all, i);
        g_autofree char *path = NULL;
        JsonObject *object;

        if (mailbox->is_container || mailbox->is_gone)
            continue;
        path = mailbox_shown_path(mailbox);
        object = json_object_new();
        json_object_set_string_member(object, "name", path);
        json_object_set_int_member(object, "messages", mailbox->n_messages);
        json_object_set_int_member(object, "unseen", mailbox->n_unseen);
        json_object_set_boolean_member(object, "listed", mailbox->is_listed);
        json_array_add_object_element(array, object);
    }
    return array;
}

static JsonObject *commands_of(const Store *store)
{
    g_autoptr(GHashTable) counts = store_commands(store);
    JsonObject *object = json_object_new();
    GHashTableIter iter;
    gpointer name, count;

    g_hash_table_iter_init(&iter, counts);
    while (g_hash_table_iter_next(&iter, &name, &count))
        json_object_set_int_member(object, name, GPOINTER_TO_UINT(count));
    return object;
}

static void add_progress(JsonObject *object, const StoreFacts *facts)
{
    g_autofree char *path = NULL;
    JsonObject *progress;
    gint64 elapsed;
    double rate;

    if (!facts->syncing) {
        json_object_set_null_member(object, "progress");
        return;
    }
    path = mailbox_shown_path(facts->syncing);
    elapsed = MAX(deadline_now() - facts->sync_began, 1);
    rate = (double)facts->n_synced * G_USEC_PER_SEC / (double)elapsed;
    progress = json_object_new();
    json_object_set_string_member(progress, "what", "headers");
    json_object_set_string_member(progress, "mailbox", path);
    json_object_set_int_member(progress, "n", facts->n_synced);
    json_object_set_int_member(progress, "total", facts->n_to_sync);
    json_object_set_int_member(progress, "rate", (gint64)rate);
    json_object_set_int_member(
        progress, "eta",
        rate > 0 ? (gint64)((double)(facts->n_to_sync - facts->n_synced) / rate) : 0);
    json_object_set_object_member(object, "progress", progress);
}

static void add_cache(JsonObject *object, const Store *store, const StoreFacts *facts)
{
    JsonObject *cache = json_object_new();

    json_object_set_int_member(cache, "bytes", (gint64)facts->cache_bytes);
    json_object_set_int_member(cache, "max", (gint64)store_config(store)->cache_max);
    json_object_set_object_member(object, "cache", cache);
    if (facts->quota_limit > 0) {
        JsonObject *quota = json_object_new();

        json_object_set_int_member(quota, "used", (gint64)facts->quota_used);
        json_object_set_int_member(quota, "limit", (gint64)facts->quota_limit);
        json_object_set_object_member(object, "quota", quota);
    } else {
        json_object_set_null_member(object, "quota");
    }
}

/* What is on its way to the server, and what it refused. */
static void add_upload(JsonObject *object, const Store *store)
{
    g_autoptr(GPtrArray) queue = store_queue(store);
    JsonObject *upload;
    guint64 sent, total;
    gint64 oldest = 0;
    guint pending = store_queue_pending(store, &oldest), failed = store_queue_failed(store);

    if (pending == 0 && failed == 0) {
        json_object_set_null_member(object, "upload");
        return;
    }
    store_queue_traffic(store, &sent, &total);
    upload = json_object_new();
    json_object_set_int_member(upload, "pending", pending);
    json_object_set_int_member(
        upload, "oldest",
        pending > 0 ? MAX(g_get_real_time() / G_USEC_PER_SEC - oldest, 0) : 0);
    json_object_set_int_member(upload, "sent", (gint64)sent);
    json_object_set_int_member(upload, "total", (gint64)total);
    json_object_set_int_member(upload, "failed", failed);
    json_object_set_null_member(upload, "reason");
    for (guint i = 0; i < queue->len; i++) {
        const JournalEntry *entry = g_ptr_array_index(queue, i);

        if (entry->state == JOURNAL_FAILED)
            set_text(upload, "reason", entry->reason); /* the newest */
    }
    json_object_set_object_member(object, "upload", upload);
}

static const char *password_state(const StoreFacts *facts)
{
    switch (facts->link) {
    case LINK_ONLINE:
        return facts->mechanism ? "ok" : "not asked"; /* a tunnel is logged in already */
    case LINK_REFUSED:
        return "refused";
    case LINK_LOCKED:
        return "locked";
    default:
        return "unknown";
    }
}

static JsonObject *account_object(const Store *store)
{
    const ConfigAccount *config = store_config(store);
    JsonObject *object = json_object_new();
    StoreFacts facts;

    store_facts(store, &facts);
    json_object_set_string_member(object, "id", config->id);
    set_text(object, "name", config->name);
    json_object_set_string_member(object, "state", link_names[facts.link]);
    set_text(object, "reason", facts.link == LINK_ONLINE ? facts.disk_failure : facts.reason);
    set_text(object, "warning", facts.disk_warning);
    set_text(object, "server", facts.server);
    set_text(object, "mechanism", facts.mechanism);
    json_object_set_boolean_member(object, "push", facts.has_push);
    json_object_set_int_member(object, "connections", facts.n_connections);
    json_object_set_int_member(object, "connections_max", facts.max_connections);
    json_object_set_array_member(object, "mailboxes", mailboxes_of(store_account(store)));
    add_progress(object, &facts);
    add_upload(object, store);
    json_object_set_int_member(object, "jobs", facts.n_jobs);
    json_object_set_int_member(object, "to_fetch", facts.n_to_fetch);
    json_object_set_object_member(object, "imap_commands", commands_of(store));
    json_object_set_int_member(object, "octets_in", (gint64)facts.octets_in);
    json_object_set_int_member(object, "octets_out", (gint64)facts.octets_out);
    add_cache(object, store, &facts);
    if (config->endpoint)
        json_object_set_string_member(object, "password", password_state(&facts));
    else
        json_object_set_null_member(object, "password"); /* mail in a folder needs none */
    return object;
}

static JsonObject *requests_object(const Fs *fs)
{
    JsonObject *object = json_object_new();

    for (guint i = 0; i < FS_MAX_OPCODE; i++)
        if (fs->counts[i] > 0 && opcode_names[i])
            json_object_set_int_member(object, opcode_names[i], (gint64)fs->counts[i]);
    return object;
}

static JsonObject *status_object(const Fs *fs)
{
    JsonObject *object = json_object_new();
    JsonArray *accounts = json_array_new();

    json_object_set_int_member(object, "format", STATUS_FORMAT);
    for (guint i = 0; i < fs->stores->len; i++)
        json_array_add_object_element(accounts,
                                      account_object(g_ptr_array_index(fs->stores, i)));
    json_object_set_array_member(object, "accounts", accounts);
    json_object_set_object_member(object, "fuse_requests", requests_object(fs));
    json_object_set_string_member(object, "sandbox", fs->sandbox ? fs->sandbox : "none");
    json_object_set_string_member(object, "version", MAILFS_VERSION);
    json_object_set_int_member(object, "pid", getpid()); /* the worker, which has the cache */
    return object;
}

char *fs_status_json(const Fs *fs)
{
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = NULL;

    json_node_take_object(root, status_object(fs));
    text = json_to_string(root, FALSE);
    return g_strconcat(text, "\n", NULL);
}

char *fs_status_text(const Fs *fs)
{
    JsonObject *object = status_object(fs);
    char *text = status_text(object, NULL);

    json_object_unref(object);
    return text;
}

char *fs_status_line(const Fs *fs)
{
    GString *line = g_string_new(NULL);

    for (guint i = 0; i < fs->stores->len; i++) {
        const Store *store = g_ptr_array_index(fs->stores, i);
        const Mailbox *inbox = account_find_wire(store_account(store), "INBOX");
        StoreFacts facts;

        store_facts(store, &facts);
        g_string_append_printf(line, "%s%s %s", i > 0 ? ", " : "", store_account(store)->id,
                               link_names[facts.link]);
        if (facts.link > LINK_ONLINE && facts.reason)
            g_string_append_printf(line, ": %s", facts.reason);
        else if (inbox)
            g_string_append_printf(line, ", INBOX %u", inbox->n_messages);
    }
    return g_string_free(line, FALSE);
}
