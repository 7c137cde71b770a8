/* `mailfs mv`, `rm` and `flag`: many files in one request, a change a mailbox.
 *
 * rename(2) and unlink(2) name one file a call, and each call has to be answered before the next
 * one comes: a round trip to the server for every file.  Here the files of one mailbox are one
 * change, which goes out as sets of UIDs.  What cannot be done with one file keeps no other back;
 * the job's end lists it with a sentence.
 */
#include "fs/control.h"
#include "base/error.h"
#include "store/change.h"
#include "tree/attr.h"

#include <string.h>

/* Failures that the answer lists; the rest is counted. */
enum { MAX_LISTED = 1000 };

typedef enum { VERB_MV, VERB_RM, VERB_FLAG } Verb;

typedef struct {
    ControlJob base;
    ControlRequest *request; /* what the groups refer to */
    Verb verb;
    FsNode to;     /* mv: a directory */
    char *to_name; /* mv: the one file's new name; else NULL */
    StoreFlags flags;
    GPtrArray *parts; /* of Part */
    guint n_running;
    JsonArray *failures; /* {"path", "code", "error"} */
    JsonArray *shown;    /* flag without any change: {"path", "flags", "keywords"} */
} ChangeJob;

/* The files of one mailbox. */
typedef struct {
    ChangeJob *job;
    const ControlGroup *group;
    FsNode directory;
    StoreWait *wait;     /* for rows */
    StoreChange *change; /* or NULL */
    GArray *sent;        /* of Sent */
} Part;

typedef struct {
    guint name; /* in the group */
    guint64 item;
} Sent;

static void part_free(gpointer data)
{
    Part *part = data;

    if (part->wait)
        store_wait_cancel(part->wait);
    if (part->change)
        store_change_forget(part->change);
    g_array_unref(part->sent);
    g_free(part);
}

static void clear_job(ControlJob *base)
{
    ChangeJob *job = (ChangeJob *)base;

    g_ptr_array_unref(job->parts);
    control_request_free(job->request);
    g_free(job->to_name);
    json_array_unref(job->failures);
    json_array_unref(job->shown);
}

static void add_to_answer(const ControlJob *base, JsonBuilder *builder)
{
    const ChangeJob *job = (const ChangeJob *)base;

    if (!base->is_done)
        return;
    json_builder_set_member_name(builder, "failures");
    json_builder_add_value(builder, json_node_init_array(json_node_alloc(), job->failures));
    json_builder_set_member_name(builder, "files");
    json_builder_add_value(builder, json_node_init_array(json_node_alloc(), job->shown));
}

/* -- One file ---------------------------------------------------------------------------------- */

static void fail_name(Part *part, guint name, const GError *error)
{
    ChangeJob *job = part->job;
    g_autofree char *path = control_group_path(part->group, name);
    JsonObject *failure;

    if (job->base.n_failed++ >= MAX_LISTED)
        return;
    failure = json_object_new();
    json_object_set_string_member(failure, "path", path);
    json_object_set_string_member(failure, "code", mail_error_name((MailError)error->code));
    json_object_set_string_member(failure, "error", error->message);
    json_array_add_object_element(job->failures, failure);
}

static void show_flags(Part *part, guint name, const Message *message)
{
    g_autofree char *path = control_group_path(part->group, name);
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    control_add_text(builder, "path", path);
    control_add_flags(builder, message);
    json_builder_end_object(builder);
    json_array_add_element(part->job->shown, json_builder_get_root(builder));
    part->job->base.n++;
}

/* The message that can be changed under this name. */
static Message *find_message(const Part *part, const char *name, GError **error)
{
    FsNode node = {0};

    if (!fs_find(part->job->base.fs, &part->directory, name, &node))
        mail_fail(error, MAIL_ERROR_GONE, "there is no such message");
    else if (node.kind != INODE_MESSAGE)
        mail_fail(error, MAIL_ERROR_INVALID,
                  "it is a directory; mv(1) renames one in a single command, and rmdir(1) removes "
                  "one that is empty");
    else if (node.local && (!node.message || part->job->verb != VERB_FLAG))
        mail_fail(error, MAIL_ERROR_BUSY,
                  "it is not on the server yet, or is being edited; see: mailfs queue");
    else
        return node.message;
    return NULL;
}

/* What of mv(1) is not for here. */
static gboolean may_move(const Part *part, GError **error)
{
    const ChangeJob *job = part->job;

    if (job->verb != VERB_MV)
        return TRUE;
    if (part->directory.store != job->to.store)
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                         "it is of another account; mv(1) copies it and then removes it");
    if (part->directory.mailbox == job->to.mailbox && !job->to_name)
        return mail_fail(error, MAIL_ERROR_EXISTS, "it is there already");
    return TRUE;
}

/* -- One mailbox ------------------------------------------------------------------------------- */

static void finish_part(Part *part)
{
    ChangeJob *job = part->job;

    job->n_running--;
    job->base.is_done = job->n_running == 0;
}

static void fail_part(Part *part, const GError *error)
{
    for (guint i = 0; i < part->group->names->len; i++)
        fail_name(part, i, error);
    finish_part(part);
}

/* A set may have been carried out in part: what has left the mailbox did not fail. */
static gboolean has_left(const Part *part, const Sent *sent)
{
    return part->job->verb != VERB_FLAG && part->sent->len > 1 &&
           !mailbox_find_item(part->directory.mailbox, sent->item);
}

static void on_changed(const GError *error, gpointer user)
{
    Part *part = user;

    part->change = NULL;
    for (guint i = 0; i < part->sent->len; i++) {
        const Sent *sent = &g_array_index(part->sent, Sent, i);

        if (error && !has_left(part, sent))
            fail_name(part, sent->name, error);
        else
            part->job->base.n++;
    }
    finish_part(part);
}

static StoreChange *begin_move(Part *part, GPtrArray *messages)
{
    const ChangeJob *job = part->job;
    StoreTransfer transfer = {
        .from = part->directory.mailbox,
        .messages = messages,
        .to = job->to.mailbox,
        .name = job->to_name,
    };

    if (part->directory.mailbox == job->to.mailbox)
        return store_alias(job->to.store, job->to.mailbox, g_ptr_array_index(messages, 0),
                           job->to_name, on_changed, part);
    if (job->to_name)
        transfer.replaced = attr_find_shown(job->to.mailbox, job->to_name);
    return store_move(job->to.store, &transfer, on_changed, part);
}

static StoreChange *begin_change(Part *part, GPtrArray *messages)
{
    const ChangeJob *job = part->job;
    const FsNode *directory = &part->directory;

    if (job->verb == VERB_MV)
        return begin_move(part, messages);
    if (job->verb == VERB_RM)
        return store_remove(directory->store, directory->mailbox, messages, on_changed, part);
    return store_flag(directory->store, directory->mailbox, messages, &job->flags, on_changed,
                      part);
}

/* All rows are here. */
static void carry_out(Part *part)
{
    ChangeJob *job = part->job;
    g_autoptr(GPtrArray) messages = g_ptr_array_new();

    for (guint i = 0; i < part->group->names->len; i++) {
        g_autoptr(GError) error = NULL;
        Message *message = find_message(part, g_ptr_array_index(part->group->names, i), &error);
        Sent sent = {i, message ? message->item : 0};

        if (!message || !may_move(part, &error)) {
            fail_name(part, i, error);
        } else if (job->verb == VERB_FLAG && !control_request_has_flags(job->request)) {
            show_flags(part, i, message);
        } else {
            g_array_append_val(part->sent, sent);
            g_ptr_array_add(messages, message);
        }
    }
    if (messages->len > 0)
        part->change = begin_change(part, messages);
    else
        finish_part(part);
}

static void advance(Part *part);

static void on_rows(const GError *error, gpointer user)
{
    Part *part = user;

    part->wait = NULL;
    if (error)
        fail_part(part, error);
    else
        advance(part);
}

/* The rows of the mailbox, and where a name may be taken those of the target, may still be on the
 * disk. */
static void advance(Part *part)
{
    const ChangeJob *job = part->job;

    const FsNode *directory = &part->directory;

    if (!store_is_ready(directory->store, directory->mailbox))
        part->wait = store_wait(directory->store, directory->mailbox, on_rows, part);
    else if (job->to_name && !store_is_ready(job->to.store, job->to.mailbox))
        part->wait = store_wait(job->to.store, job->to.mailbox, on_rows, part);
    else
        carry_out(part);
}

static gboolean find_directory(const Fs *fs, const char *path, FsNode *ret_node, GError **error)
{
    if (!control_find(fs, path, ret_node, error))
        return FALSE;
    return ret_node->kind != INODE_MESSAGE ||
           mail_fail(error, MAIL_ERROR_INVALID, "%s is not a directory", path);
}

static void begin_part(ChangeJob *job, const ControlGroup *group)
{
    Part *part = g_new0(Part, 1);
    g_autoptr(GError) error = NULL;

    part->job = job;
    part->group = group;
    part->sent = g_array_new(FALSE, FALSE, sizeof(Sent));
    g_ptr_array_add(job->parts, part);
    if (find_directory(job->base.fs, group->directory, &part->directory, &error))
        advance(part);
    else
        fail_part(part, error);
}

/* -- The request ------------------------------------------------------------------------------- */

static gboolean check_name(const char *name, GError **error)
{
    if (fs_name_kind(name) != NAME_MESSAGE)
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "a message cannot be called \"%s\": its name ends in .eml and does not "
                         "begin with a dot",
                         name);
    return TRUE;
}

/* One file to a name that is not a directory's. */
static gboolean find_new_name(ChangeJob *job, const char *to, GError **error)
{
    const char *slash = strrchr(to, '/');
    const char *name = slash ? slash + 1 : to;
    g_autofree char *directory = g_strndup(to, slash ? (gsize)(slash - to) : 0);
    FsNode taken;

    if (!find_directory(job->base.fs, directory, &job->to, error))
        return FALSE;
    if (job->to.kind == INODE_VIEW)
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "the names in a Maildir tell the flags; mv(1) may change them");
    if (!check_name(name, error))
        return FALSE;
    if (fs_find(job->base.fs, &job->to, name, &taken) && taken.local)
        return mail_fail(error, MAIL_ERROR_EXISTS, "%s is there already", to);
    job->to_name = g_strdup(name);
    return TRUE;
}

/* Where mv(1) would move to: into a directory, or one file to a name. */
static gboolean find_target(ChangeJob *job, GError **error)
{
    const char *to = job->request->to ? job->request->to : "";
    gboolean is_directory =
        control_find(job->base.fs, to, &job->to, NULL) && job->to.kind != INODE_MESSAGE;

    if (!is_directory && job->base.total > 1)
        return mail_fail(error, MAIL_ERROR_INVALID, "%s is not a directory", to);
    if (!is_directory && !find_new_name(job, to, error))
        return FALSE;
    if (job->to.mailbox->is_container)
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "%s holds directories only: the server keeps no messages there",
                         *to ? to : "the top");
    return TRUE;
}

static gboolean prepare(ChangeJob *job, GError **error)
{
    const ControlRequest *request = job->request;

    if (job->base.total == 0)
        return mail_fail(error, MAIL_ERROR_INVALID, "%s: no file is named", request->command);
    job->flags = (StoreFlags){.add = request->add,
                              .remove = request->remove,
                              .add_keywords = request->add_keywords,
                              .remove_keywords = request->remove_keywords};
    return job->verb != VERB_MV || find_target(job, error);
}

char *control_change(Fs *fs, ControlRequest *request)
{
    const char *command = request->command;
    ChangeJob *job = g_new0(ChangeJob, 1);
    g_autoptr(GError) error = NULL;

    job->base = (ControlJob){.fs = fs, .add = add_to_answer, .clear = clear_job};
    job->base.total = control_request_n_paths(request);
    job->verb = g_str_equal(command, "mv") ? VERB_MV
                : g_str_equal(command, "rm") ? VERB_RM
                                             : VERB_FLAG;
    job->request = request;
    job->parts = g_ptr_array_new_with_free_func(part_free);
    job->failures = json_array_new();
    job->shown = json_array_new();
    if (!prepare(job, &error)) {
        fs_control_free_job(job);
        return control_refuse(error);
    }
    job->n_running = 1; /* so that it does not end before all have begun */
    for (guint i = 0; i < request->groups->len; i++) {
        job->n_running++;
        begin_part(job, g_ptr_array_index(request->groups, i));
    }
    job->n_running--;
    job->base.is_done = job->n_running == 0;
    return control_answer_job(fs, &job->base);
}
