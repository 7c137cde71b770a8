/* Requests of the command line: one JSON object in, one out (.mailfs/control).
 *
 *   {"command": "status"}
 *   {"command": "info",  "path": "INBOX/x.eml"}
 *   {"command": "sync" | "fetch" | "evict", "path": PATH}   ->  {"ok": true, "job": N}
 *   {"command": "job", "job": N}  ->  {"ok": true, "done": false, "n": 12, "total": 400}
 *
 * Paths are relative to the mount point.  An answer is {"ok": true, ...} or {"ok": false,
 * "code": "offline", "error": "sentence"}; none is waited for: what takes time becomes a job
 * that is asked after.
 */
#include <json-glib/json-glib.h>

#include "fs/internal.h"
#include "base/error.h"
#include "tree/attr.h"

#include <string.h>

typedef struct ControlJob ControlJob;

struct ControlJob {
    Fs *fs;
    StoreWait *wait; /* for a sync, or for rows from the disk */
    Store *store;
    Mailbox *mailbox; /* of what `work` is about */
    Message *message; /* or NULL; only where no wait comes before the work */
    void (*work)(ControlJob *job);
    guint total;
    gboolean is_done;
    GError *error;
};

void fs_control_free_job(gpointer data)
{
    ControlJob *job = data;

    if (job->wait)
        store_wait_cancel(job->wait);
    g_clear_error(&job->error);
    g_free(job);
}

/* -- Answers ----------------------------------------------------------------------------------- */

static char *to_text(JsonBuilder *builder)
{
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, FALSE);

    return g_strconcat(text, "\n", NULL);
}

static JsonBuilder *begin_answer(gboolean ok)
{
    JsonBuilder *builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "ok");
    json_builder_add_boolean_value(builder, ok);
    return builder;
}

static void add_number(JsonBuilder *builder, const char *name, gint64 value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, value);
}

static void add_text(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, value);
}

static void add_truth(JsonBuilder *builder, const char *name, gboolean value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_boolean_value(builder, value);
}

static char *end_answer(JsonBuilder *builder)
{
    g_autoptr(JsonBuilder) owned = builder;

    json_builder_end_object(owned);
    return to_text(owned);
}

static char *answer_error(const GError *error)
{
    JsonBuilder *builder = begin_answer(FALSE);
    MailError code = error->domain == MAIL_ERROR ? (MailError)error->code : MAIL_ERROR_INVALID;

    add_text(builder, "code", mail_error_name(code));
    add_text(builder, "error", error->message);
    return end_answer(builder);
}

/* -- Paths ------------------------------------------------------------------------------------- */

static Store *find_store(Fs *fs, const char **path)
{
    if (!fs->params.is_all)
        return g_ptr_array_index(fs->stores, 0);
    for (guint i = 0; i < fs->stores->len; i++) {
        Store *store = g_ptr_array_index(fs->stores, i);
        const char *id = store_account(store)->id;
        gsize length = strlen(id);

        if (strncmp(*path, id, length) == 0 && ((*path)[length] == '/' || !(*path)[length])) {
            *path += length + ((*path)[length] == '/');
            return store;
        }
    }
    return NULL;
}

/* The directory or message that @path names.  GONE otherwise. */
static gboolean resolve(Fs *fs, const char *path, FsNode *ret_node, GError **error)
{
    Store *store = find_store(fs, &path);
    Mailbox *mailbox = store ? account_find_path(store_account(store), path) : NULL;
    g_autofree char *directory = NULL;
    const char *name = strrchr(path, '/');
    Message *message;

    if (mailbox) {
        *ret_node = fs_node_mailbox(store, mailbox);
        return TRUE;
    }
    if (store) {
        directory = name ? g_strndup(path, (gsize)(name - path)) : g_strdup("");
        mailbox = account_find_path(store_account(store), directory);
    }
    message = mailbox ? attr_find_shown(mailbox, name ? name + 1 : path) : NULL;
    if (!message)
        return mail_fail(error, MAIL_ERROR_GONE, "there is no %s here", path);
    *ret_node = fs_node_message(store, mailbox, message);
    return TRUE;
}

/* -- Commands ---------------------------------------------------------------------------------- */

static char *answer_job(Fs *fs, ControlJob *job)
{
    JsonBuilder *builder = begin_answer(TRUE);
    guint64 id = ++fs->last_job;

    g_hash_table_insert(fs->jobs, g_memdup2(&id, sizeof id), job);
    add_number(builder, "job", (gint64)id);
    return end_answer(builder);
}

static void on_synced(const GError *error, gpointer user)
{
    ControlJob *job = user;

    job->wait = NULL;
    job->is_done = TRUE;
    job->error = error ? g_error_copy(error) : NULL;
}

static char *do_sync(Fs *fs, const FsNode *node)
{
    ControlJob *job = g_new0(ControlJob, 1);

    job->fs = fs;
    job->store = node->store;
    job->total = 1;
    job->wait = store_sync(node->store, node->mailbox, on_synced, job);
    return answer_job(fs, job);
}

/* The rows of a mailbox that was not looked at in this run are still on the disk. */
static void on_rows(const GError *error, gpointer user)
{
    ControlJob *job = user;

    job->wait = NULL;
    if (error) {
        job->error = g_error_copy(error);
        job->is_done = TRUE;
    } else {
        job->work(job);
    }
}

static char *do_with_rows(Fs *fs, const FsNode *node, void (*work)(ControlJob *job))
{
    ControlJob *job = g_new0(ControlJob, 1);

    job->fs = fs;
    job->store = node->store;
    job->mailbox = node->mailbox;
    job->message = node->message;
    job->work = work;
    if (store_is_ready(node->store, node->mailbox))
        work(job);
    else
        job->wait = store_wait(node->store, node->mailbox, on_rows, job);
    return answer_job(fs, job);
}

static void fetch(ControlJob *job)
{
    StoreFacts facts;

    store_facts(job->store, &facts);
    if (facts.link > LINK_ONLINE)
        (void)store_fail_offline(job->store, &job->error);
    else
        job->total = store_fetch(job->store, job->mailbox, job->message);
    job->is_done = job->total == 0;
}

static void evict(ControlJob *job)
{
    job->total = store_evict(job->store, job->mailbox, job->message);
    job->is_done = TRUE;
}

/* How far a fetch is: what its account still has to fetch. */
static guint job_left(ControlJob *job)
{
    StoreFacts facts;

    if (job->is_done || job->wait)
        return job->is_done ? 0 : job->total;
    store_facts(job->store, &facts);
    if (facts.link > LINK_ONLINE) {
        (void)store_fail_offline(job->store, &job->error);
        job->is_done = TRUE;
    } else if (facts.n_to_fetch == 0 && facts.n_jobs == 0) {
        job->is_done = TRUE;
    }
    return MIN(facts.n_to_fetch, job->total);
}

static char *do_job(Fs *fs, guint64 id)
{
    ControlJob *job = g_hash_table_lookup(fs->jobs, &id);
    JsonBuilder *builder;
    guint left;

    if (!job) {
        g_autoptr(GError) error = NULL;

        mail_fail(&error, MAIL_ERROR_GONE, "there is no job %" G_GUINT64_FORMAT, id);
        return answer_error(error);
    }
    left = job_left(job);
    builder = begin_answer(TRUE);
    add_truth(builder, "done", job->is_done);
    add_number(builder, "n", job->total - left);
    add_number(builder, "total", job->total);
    add_number(builder, "failed", job->error ? 1 : 0);
    if (job->error)
        add_text(builder, "error", job->error->message);
    if (job->is_done)
        g_hash_table_remove(fs->jobs, &id);
    return end_answer(builder);
}

static void add_flags(JsonBuilder *builder, const Message *message)
{
    g_auto(GStrv) keywords = g_strsplit(message->keywords ? message->keywords : "", " ", -1);

    json_builder_set_member_name(builder, "flags");
    json_builder_begin_array(builder);
    for (guint i = 0; message_flag_names[i]; i++)
        if (message->flags & 1u << i)
            json_builder_add_string_value(builder, message_flag_names[i]);
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "keywords");
    json_builder_begin_array(builder);
    for (guint i = 0; keywords[i]; i++)
        json_builder_add_string_value(builder, keywords[i]);
    json_builder_end_array(builder);
}

static char *do_info(const FsNode *node)
{
    JsonBuilder *builder = begin_answer(TRUE);
    g_autofree char *path = mailbox_shown_path(node->mailbox);

    add_text(builder, "mailbox", path);
    add_number(builder, "uidvalidity", node->mailbox->uidvalidity);
    if (!node->message) {
        add_text(builder, "name", node->mailbox->label);
        add_number(builder, "messages", node->mailbox->n_messages);
        add_number(builder, "unseen", node->mailbox->n_unseen);
        add_truth(builder, "listed", node->mailbox->is_listed);
        return end_answer(builder);
    }
    add_text(builder, "name", node->message->name);
    add_number(builder, "uid", node->message->uid);
    add_number(builder, "size", (gint64)node->message->size);
    add_truth(builder, "size_exact", node->message->is_exact);
    add_number(builder, "date", node->message->date);
    add_flags(builder, node->message);
    add_truth(builder, "cached", node->message->is_cached);
    add_number(builder, "inode",
               (gint64)fs_ino_message(node->store, node->mailbox, node->message));
    return end_answer(builder);
}

static const char *text_of(JsonObject *object, const char *member)
{
    JsonNode *node = json_object_get_member(object, member);

    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING
               ? json_node_get_string(node)
               : "";
}

static char *carry_out(Fs *fs, JsonObject *object)
{
    const char *command = text_of(object, "command");
    g_autoptr(GError) error = NULL;
    FsNode node = {0};

    if (g_str_equal(command, "status"))
        return fs_status_json(fs);
    if (g_str_equal(command, "job"))
        return do_job(fs, (guint64)json_object_get_int_member_with_default(object, "job", 0));
    if (!resolve(fs, text_of(object, "path"), &node, &error))
        return answer_error(error);
    if (g_str_equal(command, "info"))
        return do_info(&node);
    if (g_str_equal(command, "sync"))
        return do_sync(fs, &node);
    if (g_str_equal(command, "fetch"))
        return do_with_rows(fs, &node, fetch);
    if (g_str_equal(command, "evict"))
        return do_with_rows(fs, &node, evict);
    mail_fail(&error, MAIL_ERROR_INVALID, "unknown command \"%s\"", command);
    return answer_error(error);
}

char *fs_control(Fs *fs, const char *request, gsize length)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;
    JsonNode *root;

    if (!json_parser_load_from_data(parser, request, (gssize)length, &error))
        return answer_error(error);
    root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        mail_fail(&error, MAIL_ERROR_INVALID, "a request is a JSON object");
        return answer_error(error);
    }
    return carry_out(fs, json_node_get_object(root));
}
