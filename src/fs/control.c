/* Requests of the command line: one JSON object in, one out (.mailfs/control).
 *
 *   {"command": "status"}
 *   {"command": "info",  "path": "INBOX/x.eml"}
 *   {"command": "sync" | "fetch" | "evict", "path": PATH}   ->  {"ok": true, "job": N}
 *   {"command": "mv", "paths": [PATH...], "to": PATH}         ->  a job
 *   {"command": "rm", "paths": [PATH...]}                     ->  a job
 *   {"command": "flag", "paths": [PATH...], "add": [FLAG...], "remove": [FLAG...]}  ->  a job
 *   {"command": "queue", "verb": "list" | "retry" | "drop", "ids": [ID...], "path": ACCOUNT}
 *   {"command": "drain"}                                      ->  a job
 *   {"command": "job", "job": N}  ->  {"ok": true, "done": false, "n": 12, "total": 400}
 *
 * Paths are relative to the mount point.  An answer is {"ok": true, ...} or {"ok": false,
 * "code": "offline", "error": "sentence"}; none is waited for: what takes time becomes a job
 * that is asked after.  Where a path leads through what was never listed, the answer to any request
 * may be {"ok": true, "waits": true, "job": N}: that job's state says so too until the listing is
 * there, and is the answer to the request itself then.
 */
#include "fs/control.h"
#include "base/error.h"
#include "store/queue-json.h"
#include "tree/attr.h"

#include <string.h>

/* Jobs whose end nobody asked for: who asked was interrupted. */
enum { MAX_ENDED_JOBS = 100 };

/* -- Answers ----------------------------------------------------------------------------------- */

JsonBuilder *control_begin(gboolean ok)
{
    JsonBuilder *builder = json_builder_new();

    json_builder_begin_object(builder);
    control_add_truth(builder, "ok", ok);
    return builder;
}

void control_add_number(JsonBuilder *builder, const char *name, gint64 value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, value);
}

void control_add_text(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    if (value)
        json_builder_add_string_value(builder, value);
    else
        json_builder_add_null_value(builder);
}

void control_add_truth(JsonBuilder *builder, const char *name, gboolean value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_boolean_value(builder, value);
}

void control_add_flags(JsonBuilder *builder, const Message *message)
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

char *control_end(JsonBuilder *builder)
{
    g_autoptr(JsonBuilder) owned = builder;
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;

    json_builder_end_object(owned);
    root = json_builder_get_root(owned);
    text = json_to_string(root, FALSE);
    return g_strconcat(text, "\n", NULL);
}

char *control_refuse(const GError *error)
{
    JsonBuilder *builder = control_begin(FALSE);
    MailError code = error->domain == MAIL_ERROR ? (MailError)error->code : MAIL_ERROR_INVALID;

    control_add_text(builder, "code", mail_error_name(code));
    control_add_text(builder, "error", error->message);
    return control_end(builder);
}

/* -- Paths ------------------------------------------------------------------------------------- */

/* One step of a path, as LOOKUP goes it. */
static gboolean enter(const Fs *fs, const FsNode *directory, const char *name, FsNode *ret_node)
{
    if (directory->kind == INODE_DIRECTORY || directory->kind == INODE_VIEW)
        return fs_find(fs, directory, name, ret_node);
    for (guint i = 0; directory->kind == INODE_TOP && i < fs->stores->len; i++) {
        Store *store = g_ptr_array_index(fs->stores, i);

        if (g_str_equal(store_account(store)->id, name)) {
            *ret_node = fs_node_account(store);
            return TRUE;
        }
    }
    return FALSE;
}

/* As far as memory knows the way: FALSE where it ends before @path does, with the last directory
 * in @ret_node and the name that is not there in @ret_name. */
static gboolean walk(const Fs *fs, char **names, FsNode *ret_node, const char **ret_name)
{
    gboolean is_there = fs_node(fs, FUSE_ROOT_ID, ret_node);
    char **name = names;
    FsNode next;

    /* Of .mailfs the Maildirs alone have mail. */
    if (names[0] && g_str_equal(names[0], VIRTUAL_NAME)) {
        is_there = g_strcmp0(names[1], VIEW_NAME) == 0 && fs_view_top(fs, ret_node);
        name += is_there ? 2 : 0;
    }
    for (; is_there && *name; name += is_there) {
        is_there = enter(fs, ret_node, *name, &next);
        *ret_node = is_there ? next : *ret_node;
    }
    *ret_name = *name;
    return is_there;
}

gboolean control_find(const Fs *fs, const char *path, FsNode *ret_node, GError **error)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    const char *name;
    FsNode node;

    if (!walk(fs, names, &node, &name) || !node.store)
        return mail_fail(error, MAIL_ERROR_GONE, "there is no %s here",
                         *path ? path : "mailbox");
    *ret_node = node;
    return TRUE;
}

gboolean control_is_unlisted(const Fs *fs, const char *path, FsNode *ret_directory)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    const Store *store;
    const char *name;

    if (walk(fs, names, ret_directory, &name) || !name ||
        (ret_directory->kind != INODE_DIRECTORY && ret_directory->kind != INODE_VIEW))
        return FALSE;
    /* A LIST tells one mailbox after the other. */
    store = ret_directory->store;
    if (!store_is_ready(store, store_account(store)->root)) {
        *ret_directory = fs_node_account(ret_directory->store);
        return TRUE;
    }
    return fs_is_unlisted(ret_directory, name);
}

/* -- Jobs -------------------------------------------------------------------------------------- */

void fs_control_free_job(gpointer data)
{
    ControlJob *job = data;

    job->clear(job);
    g_clear_error(&job->error);
    g_free(job);
}

static gboolean is_ended(gpointer key, gpointer value, gpointer user)
{
    return ((ControlJob *)value)->is_done;
}

static char *answer_number(const ControlJob *job, guint64 id)
{
    JsonBuilder *builder = control_begin(TRUE);

    control_add_number(builder, "job", (gint64)id);
    if (job->carry_out)
        control_add_truth(builder, "waits", TRUE);
    return control_end(builder);
}

char *control_answer_job(Fs *fs, ControlJob *job)
{
    guint64 id = ++fs->last_job;

    if (g_hash_table_size(fs->jobs) >= MAX_ENDED_JOBS)
        g_hash_table_foreach_remove(fs->jobs, is_ended, NULL);
    job->fs = fs;
    g_hash_table_insert(fs->jobs, g_memdup2(&id, sizeof id), job);
    return answer_number(job, id);
}

/* The answer that was waited for; it may begin a job of its own. */
static char *do_what_waited(Fs *fs, guint64 id)
{
    gpointer key, job;
    char *answer;

    g_hash_table_steal_extended(fs->jobs, &id, &key, &job);
    g_free(key);
    answer = ((ControlJob *)job)->carry_out(job);
    fs_control_free_job(job);
    return answer;
}

static char *do_job(Fs *fs, guint64 id)
{
    ControlJob *job = g_hash_table_lookup(fs->jobs, &id);
    JsonBuilder *builder;

    if (!job) {
        g_autoptr(GError) error = NULL;

        mail_fail(&error, MAIL_ERROR_GONE, "there is no job %" G_GUINT64_FORMAT, id);
        return control_refuse(error);
    }
    if (job->look && !job->is_done)
        job->look(job);
    if (job->carry_out && job->is_done)
        return do_what_waited(fs, id);
    if (job->carry_out)
        return answer_number(job, id);
    builder = control_begin(TRUE);
    control_add_truth(builder, "done", job->is_done);
    control_add_number(builder, "n", job->n);
    control_add_number(builder, "total", job->total);
    control_add_number(builder, "failed", job->n_failed + (job->error ? 1 : 0));
    if (job->error)
        control_add_text(builder, "error", job->error->message);
    if (job->add)
        job->add(job, builder);
    if (job->is_done)
        g_hash_table_remove(fs->jobs, &id);
    return control_end(builder);
}

/* -- Bodies and syncs -------------------------------------------------------------------------- */

typedef struct BodyJob BodyJob;

struct BodyJob {
    ControlJob base;
    StoreWait *wait; /* for a sync, or for rows from the disk */
    Store *store;
    Mailbox *mailbox; /* of what `work` is about */
    Message *message; /* or NULL; only where no wait comes before the work */
    void (*work)(BodyJob *job);
};

static void clear_body_job(ControlJob *base)
{
    BodyJob *job = (BodyJob *)base;

    if (job->wait)
        store_wait_cancel(job->wait);
}

static BodyJob *body_job_new(const FsNode *node)
{
    BodyJob *job = g_new0(BodyJob, 1);

    job->base.clear = clear_body_job;
    job->store = node->store;
    job->mailbox = node->mailbox;
    job->message = node->message;
    return job;
}

static void end(BodyJob *job)
{
    job->base.is_done = TRUE;
    job->base.n = job->base.total;
}

static void on_synced(const GError *error, gpointer user)
{
    BodyJob *job = user;

    job->wait = NULL;
    job->base.error = error ? g_error_copy(error) : NULL;
    end(job);
}

static char *do_sync(Fs *fs, const FsNode *node)
{
    BodyJob *job = body_job_new(node);

    job->base.total = 1;
    job->wait = store_ask(node->store, node->mailbox, on_synced, job);
    return control_answer_job(fs, &job->base);
}

/* The rows of a mailbox that was not looked at in this run are still on the disk. */
static void on_rows(const GError *error, gpointer user)
{
    BodyJob *job = user;

    job->wait = NULL;
    if (error) {
        job->base.error = g_error_copy(error);
        end(job);
    } else {
        job->work(job);
    }
}

static char *do_with_rows(Fs *fs, const FsNode *node, void (*work)(BodyJob *job),
                          void (*look)(ControlJob *job))
{
    BodyJob *job = body_job_new(node);

    job->base.look = look;
    job->work = work;
    if (store_is_ready(node->store, node->mailbox))
        work(job);
    else
        job->wait = store_wait(node->store, node->mailbox, on_rows, job);
    return control_answer_job(fs, &job->base);
}

static void fetch(BodyJob *job)
{
    StoreFacts facts;

    store_facts(job->store, &facts);
    if (facts.link > LINK_ONLINE)
        (void)store_fail_offline(job->store, &job->base.error);
    else
        job->base.total = store_fetch(job->store, job->mailbox, job->message);
    job->base.is_done = job->base.total == 0;
}

/* How far a fetch is: what its account still has to fetch. */
static void look_at_fetch(ControlJob *base)
{
    BodyJob *job = (BodyJob *)base;
    StoreFacts facts;

    if (job->wait)
        return;
    store_facts(job->store, &facts);
    if (facts.link > LINK_ONLINE) {
        (void)store_fail_offline(job->store, &base->error);
        base->is_done = TRUE;
    } else if (facts.n_to_fetch == 0 && facts.n_jobs == 0) {
        base->is_done = TRUE;
    }
    base->n = base->total - MIN(facts.n_to_fetch, base->total);
}

static void evict(BodyJob *job)
{
    job->base.total = store_evict(job->store, job->mailbox, job->message);
    end(job);
}

/* -- Commands ---------------------------------------------------------------------------------- */

/* What is on its way to the server about it, or was refused: {"change": an entry of the queue}. */
static void add_change(JsonBuilder *builder, const FsNode *node)
{
    guint64 item = node->local ? node->local->item : node->message->item;
    const JournalEntry *entry = queue_find(node->store, node->mailbox, item);
    JsonNode *change;

    if (!entry)
        return;
    change = json_node_new(JSON_NODE_OBJECT);
    json_node_take_object(change, queue_json_entry(node->store, entry));
    json_builder_set_member_name(builder, "change");
    json_builder_add_value(builder, change);
}

static void add_mailbox(JsonBuilder *builder, const Mailbox *mailbox)
{
    control_add_text(builder, "name", mailbox->label);
    control_add_number(builder, "messages", mailbox->n_messages);
    control_add_number(builder, "unseen", mailbox->n_unseen);
    control_add_truth(builder, "listed", mailbox->is_listed);
}

/* A file that is here alone has no UID and no flags. */
static void add_file(JsonBuilder *builder, const FsNode *node)
{
    const Message *message = node->message;
    const LocalFile *local = node->local;

    control_add_text(builder, "name", local ? local->name : message->name);
    control_add_text(builder, "state", fs_node_state(node));
    control_add_number(builder, "size", (gint64)(local ? local_size(local) : message->size));
    control_add_truth(builder, "size_exact", local || message->is_exact);
    if (message) {
        control_add_number(builder, "uid", message->uid);
        control_add_number(builder, "date", message->date);
        control_add_flags(builder, message);
    }
    control_add_truth(builder, "cached", local || message->is_cached);
    add_change(builder, node);
    control_add_number(builder, "inode",
                       (gint64)fs_ino_item(node->store, node->mailbox,
                                           local ? local->item : message->item));
}

static char *do_info(const FsNode *node)
{
    JsonBuilder *builder = control_begin(TRUE);
    g_autofree char *path = mailbox_shown_path(node->mailbox);

    control_add_text(builder, "mailbox", path);
    control_add_number(builder, "uidvalidity", node->mailbox->uidvalidity);
    if (node->kind == INODE_MESSAGE)
        add_file(builder, node);
    else
        add_mailbox(builder, node->mailbox);
    return control_end(builder);
}

/* Those about one path. */
static char *carry_out_on_path(Fs *fs, const ControlRequest *request)
{
    const char *command = request->command;
    g_autoptr(GError) error = NULL;
    FsNode node = {0};

    if (!control_find(fs, request->path, &node, &error))
        return control_refuse(error);
    if (g_str_equal(command, "info"))
        return do_info(&node);
    if (g_str_equal(command, "sync"))
        return do_sync(fs, &node);
    if (g_str_equal(command, "fetch"))
        return do_with_rows(fs, &node, fetch, look_at_fetch);
    if (g_str_equal(command, "evict"))
        return do_with_rows(fs, &node, evict, NULL);
    mail_fail(&error, MAIL_ERROR_INVALID, "unknown command \"%s\"", command);
    return control_refuse(error);
}

static gboolean is_change(const char *command)
{
    return g_str_equal(command, "mv") || g_str_equal(command, "rm") ||
           g_str_equal(command, "flag");
}

/* The first directory on the way of a request that was never listed; FALSE: there is none. */
static gboolean find_unlisted(const Fs *fs, const ControlRequest *request, FsNode *ret_directory)
{
    if (!is_change(request->command))
        return control_is_unlisted(fs, request->path, ret_directory);
    for (guint i = 0; i < request->groups->len; i++) {
        const ControlGroup *group = g_ptr_array_index(request->groups, i);

        if (control_is_unlisted(fs, group->directory, ret_directory))
            return TRUE;
    }
    return request->to && control_is_unlisted(fs, request->to, ret_directory);
}

char *control_carry_out(Fs *fs, ControlRequest *request)
{
    g_autoptr(ControlRequest) owned = request;
    FsNode unlisted;

    if (find_unlisted(fs, request, &unlisted))
        return control_later(fs, g_steal_pointer(&owned), &unlisted);
    if (is_change(request->command))
        return control_change(fs, g_steal_pointer(&owned));
    return carry_out_on_path(fs, request);
}

char *fs_control(Fs *fs, const char *text, gsize length)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ControlRequest) request = control_request_parse(text, length, &error);

    if (!request)
        return control_refuse(error);
    if (g_str_equal(request->command, "status"))
        return fs_status_json(fs);
    if (g_str_equal(request->command, "job"))
        return do_job(fs, request->job);
    if (g_str_equal(request->command, "queue"))
        return control_queue(fs, request);
    if (g_str_equal(request->command, "drain"))
        return control_drain(fs);
    return control_carry_out(fs, g_steal_pointer(&request));
}
