/* `mailfs queue` and what `mailfs umount` waits for.
 *
 *   {"command": "queue", "verb": "list", "path": ACCOUNT}   ->  {"ok": true, "entries": [...]}
 *   {"command": "queue", "verb": "retry" | "drop", "ids": [ID...], "path": ACCOUNT}
 *   {"command": "drain"}  ->  a job; it ends when nothing is pending
 *
 * ACCOUNT may be left out where one account is mounted.  The entries are those of
 * store/queue-json.h.
 */
#include "fs/control.h"
#include "base/error.h"
#include "store/queue-json.h"

/* -- Queue ------------------------------------------------------------------------------------- */

/* Accounts count their changes each for itself. */
static Store *find_account(const Fs *fs, const char *id, GError **error)
{
    for (guint i = 0; i < fs->stores->len; i++) {
        Store *store = g_ptr_array_index(fs->stores, i);

        if (g_str_equal(store_account(store)->id, id) || (!*id && fs->stores->len == 1))
            return store;
    }
    if (*id)
        mail_fail(error, MAIL_ERROR_GONE, "account %s is not mounted here", id);
    else
        mail_fail(error, MAIL_ERROR_INVALID, "several accounts are mounted here; say which one");
    return NULL;
}

static char *list(const Fs *fs, const Store *only)
{
    JsonBuilder *builder = control_begin(TRUE);
    JsonArray *entries = json_array_new();

    for (guint i = 0; i < fs->stores->len; i++) {
        const Store *store = g_ptr_array_index(fs->stores, i);

        if (!only || store == only)
            queue_json_append(store, entries);
    }
    json_builder_set_member_name(builder, "entries");
    json_builder_add_value(builder, json_node_init_array(json_node_alloc(), entries));
    json_array_unref(entries);
    return control_end(builder);
}

/* No id means all of them. */
static gboolean each(Store *store, const ControlRequest *request,
                     gboolean (*act)(Store *store, guint64 id, GError **error), GError **error)
{
    if (request->ids->len == 0)
        return act(store, 0, error);
    for (guint i = 0; i < request->ids->len; i++)
        if (!act(store, g_array_index(request->ids, guint64, i), error))
            return FALSE;
    return TRUE;
}

char *control_queue(Fs *fs, const ControlRequest *request)
{
    g_autoptr(GError) error = NULL;
    gboolean is_list = g_str_equal(request->verb, "list");
    Store *store = is_list && !*request->path ? NULL : find_account(fs, request->path, &error);

    if (error)
        return control_refuse(error);
    if (is_list)
        return list(fs, store);
    if (g_str_equal(request->verb, "retry"))
        (void)each(store, request, store_queue_retry, &error);
    else if (g_str_equal(request->verb, "drop") && request->ids->len > 0)
        (void)each(store, request, store_queue_drop, &error);
    else
        mail_fail(&error, MAIL_ERROR_INVALID, "queue: \"%s\" is none of list, retry and drop, or "
                  "has too little to go on", request->verb);
    return error ? control_refuse(error) : control_end(control_begin(TRUE));
}

/* -- Drain ------------------------------------------------------------------------------------- */

typedef struct {
    ControlJob base;
    GPtrArray *parts; /* of Part */
} DrainJob;

typedef struct {
    DrainJob *job;
    Store *store;
    StoreChange *change; /* NULL: it has ended */
} Part;

static void part_free(gpointer data)
{
    Part *part = data;

    if (part->change)
        store_change_forget(part->change);
    g_free(part);
}

static void clear_drain(ControlJob *base)
{
    g_ptr_array_unref(((DrainJob *)base)->parts);
}

static guint count_pending(const Fs *fs)
{
    guint n = 0;

    for (guint i = 0; i < fs->stores->len; i++)
        n += store_queue_pending(g_ptr_array_index(fs->stores, i), &(gint64){0});
    return n;
}

static void on_drained(const GError *error, gpointer user)
{
    Part *part = user;
    DrainJob *job = part->job;

    part->change = NULL;
    if (error && !job->base.error)
        job->base.error = g_error_copy(error);
    for (guint i = 0; i < job->parts->len; i++)
        if (((Part *)g_ptr_array_index(job->parts, i))->change)
            return;
    job->base.is_done = TRUE;
}

static void look_at_drain(ControlJob *base)
{
    guint n = count_pending(base->fs);

    base->total = MAX(base->total, n);
    base->n = base->total - n;
}

char *control_drain(Fs *fs)
{
    DrainJob *job = g_new0(DrainJob, 1);

    job->base = (ControlJob){.fs = fs, .look = look_at_drain, .clear = clear_drain};
    job->parts = g_ptr_array_new_with_free_func(part_free);
    for (guint i = 0; i < fs->stores->len; i++) {
        Part *part = g_new0(Part, 1);

        part->job = job;
        part->store = g_ptr_array_index(fs->stores, i);
        g_ptr_array_add(job->parts, part);
        part->change = store_drain(part->store, on_drained, part);
    }
    return control_answer_job(fs, &job->base);
}
