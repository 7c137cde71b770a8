/* The disk: opening and closing it, its thread, and the way there and back.
 *
 * Requests go to the thread by a queue.  It takes all batches at the head of the queue together,
 * in one transaction: while one is being synced the next gathers, so that 100,000 messages in
 * batches of 256 cost a handful of syncs.  When such a group fails, each batch is tried alone,
 * in order, so that one bad batch does not take the others with it.
 *
 * Answers come back by a second queue, which is a source of the main context and gives one answer
 * a dispatch: a mailbox of 100,000 messages arrives in a hundred pieces with room for other work
 * between them.  (Not by g_main_context_invoke(): that runs the function on the *calling* thread
 * while nobody iterates the context.)  disk_close() destroys it with what is left.
 *
 * The thread starts with the first request, not in disk_open(): Landlock confines threads one by
 * one, those that run already keep their rights, and the sandbox is put up in between.
 *
 * Locks and the condition are pthread's own, not GLib's, because ThreadSanitizer knows them.
 */
#include "store/disk-internal.h"

#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

typedef enum {
    REQUEST_BATCH,
    REQUEST_FLUSH,
    REQUEST_LOAD,
    REQUEST_RECALL,
    REQUEST_VERIFY,
    REQUEST_VICTIMS,
} RequestKind;

typedef struct {
    RequestKind kind;
    guint16 mailbox;
    guint32 uidvalidity;
    guint64 item; /* or octets, of VICTIMS */
    DiskBatch *batch;
    UidSet *uids;
    union {
        DiskDoneFunc done;
        DiskLoadFunc load;
        DiskVerifyFunc verify;
        DiskVictimsFunc victims;
    };
    gpointer user;
} Request;

/* What a request came to.  It takes the request along for its callback. */
typedef struct {
    Request *request;    /* owned; NULL for a change of body_bytes alone */
    GError *error;
    GPtrArray *messages; /* a chunk; its request is shared until is_last */
    GArray *victims;
    gint64 body_bytes;   /* difference */
    gboolean is_last, is_good;
} Answer;

/* GLib holds on to it while it is being dispatched, for a callback may close the disk. */
struct DiskAnswers {
    GSource source;
    Disk *disk;
    pthread_mutex_t lock;
    GQueue queue; /* of Answer */
};

/* -- Requests and answers ---------------------------------------------------------------------- */

static void request_free(Request *request)
{
    if (!request)
        return;
    disk_batch_free(request->batch);
    uid_set_free(request->uids);
    g_free(request);
}

static void answer_free(Answer *answer)
{
    /* The earlier chunks of a load borrow the request that its last one owns. */
    if (!answer->messages || answer->is_last)
        request_free(answer->request);
    g_clear_error(&answer->error);
    g_clear_pointer(&answer->messages, g_ptr_array_unref);
    g_clear_pointer(&answer->victims, g_array_unref);
    g_free(answer);
}

static void note_write(Disk *disk, const Answer *answer)
{
    disk->body_bytes = (guint64)((gint64)disk->body_bytes + answer->body_bytes);
    if (!answer->request || answer->request->kind != REQUEST_BATCH)
        return;
    if (disk_batch_is_empty(answer->request->batch)) /* proves nothing */
        return;
    if (!answer->error)
        g_clear_pointer(&disk->failure, g_free);
    else if (!disk->failure)
        disk->failure = g_strdup(answer->error->message);
}

/* On the main thread. */
static void give(Disk *disk, Answer *answer)
{
    const Request *request = answer->request;

    note_write(disk, answer);
    if (!request)
        return;
    switch (request->kind) {
    case REQUEST_BATCH:
    case REQUEST_FLUSH:
        if (request->done)
            request->done(answer->error, request->user);
        return;
    case REQUEST_LOAD:
    case REQUEST_RECALL:
        request->load(request->mailbox, answer->messages, answer->is_last, answer->error,
                      request->user);
        return;
    case REQUEST_VERIFY:
        request->verify(request->mailbox, request->item, answer->is_good, request->user);
        return;
    case REQUEST_VICTIMS:
        request->victims(answer->victims, request->user);
        return;
    }
}

static gboolean answers_ready(GSource *source)
{
    DiskAnswers *answers = (DiskAnswers *)source;
    gboolean is_ready;

    pthread_mutex_lock(&answers->lock);
    is_ready = !g_queue_is_empty(&answers->queue);
    pthread_mutex_unlock(&answers->lock);
    return is_ready;
}

static gboolean answers_prepare(GSource *source, int *timeout)
{
    *timeout = -1;
    return answers_ready(source);
}

static gboolean answers_dispatch(GSource *source, GSourceFunc callback, gpointer user)
{
    DiskAnswers *answers = (DiskAnswers *)source;
    Answer *answer;

    pthread_mutex_lock(&answers->lock);
    answer = g_queue_pop_head(&answers->queue);
    pthread_mutex_unlock(&answers->lock);
    if (answer) {
        give(answers->disk, answer);
        answer_free(answer);
    }
    return G_SOURCE_CONTINUE;
}

static void answers_finalize(GSource *source)
{
    DiskAnswers *answers = (DiskAnswers *)source;

    g_queue_clear_full(&answers->queue, (GDestroyNotify)answer_free);
    pthread_mutex_destroy(&answers->lock);
}

static DiskAnswers *answers_new(Disk *disk)
{
    static GSourceFuncs functions = {
        .prepare = answers_prepare,
        .check = answers_ready,
        .dispatch = answers_dispatch,
        .finalize = answers_finalize,
    };
    DiskAnswers *answers = (DiskAnswers *)g_source_new(&functions, sizeof *answers);

    answers->disk = disk;
    pthread_mutex_init(&answers->lock, NULL);
    g_queue_init(&answers->queue);
    g_source_set_static_name(&answers->source, "disk");
    g_source_attach(&answers->source, NULL);
    return answers;
}

static void answers_free(DiskAnswers *answers)
{
    g_source_destroy(&answers->source);
    g_source_unref(&answers->source);
}

/* From the thread.  Takes @answer. */
static void post(Disk *disk, Answer *answer)
{
    pthread_mutex_lock(&disk->answers->lock);
    g_queue_push_tail(&disk->answers->queue, answer);
    pthread_mutex_unlock(&disk->answers->lock);
    g_main_context_wakeup(NULL);
}

static Answer *answer_new(Request *request, const GError *error)
{
    Answer *answer = g_new0(Answer, 1);

    answer->request = request;
    answer->error = error ? g_error_copy(error) : NULL;
    return answer;
}

/* -- Batches, on the thread -------------------------------------------------------------------- */

/* What a transaction asks for once it is durable; the difference in octets goes to the main
 * thread, which counts them. */
static void follow_up(Disk *disk, const DiskOutcome *outcome)
{
    disk_body_forget_fresh(disk, outcome->known);
    for (guint i = 0; i < outcome->orphans->len; i++) {
        const DiskBodyKey *key = &g_array_index(outcome->orphans, DiskBodyKey, i);
        g_autoptr(GError) error = NULL;
        DiskVictim body;
        guint8 sha256[DISK_SHA256];

        /* Unless the same transaction brought a new one. */
        if (!disk_read_body(disk, key->mailbox, key->item, &body, sha256, &error) &&
            mail_error_is(error, MAIL_ERROR_GONE))
            disk_body_remove_stray(disk, key->mailbox, key->item);
    }
    if (outcome->gone->len > 0)
        g_array_append_vals(disk->unswept, outcome->gone->data, outcome->gone->len);
    for (guint i = 0; i < outcome->gone->len; i++)
        g_hash_table_remove(disk->holes,
                            GUINT_TO_POINTER(g_array_index(outcome->gone, guint16, i)));
    if (outcome->body_bytes != 0) {
        Answer *answer = answer_new(NULL, NULL);

        answer->body_bytes = outcome->body_bytes;
        post(disk, answer);
    }
}

gboolean disk_carry_out(Disk *disk, GPtrArray *batches, GError **error)
{
    DiskOutcome outcome;
    gboolean is_done;

    disk_outcome_init(&outcome);
    is_done = disk_batch_carry_out(disk, batches, &outcome, error);
    if (is_done)
        follow_up(disk, &outcome);
    disk_outcome_clear(&outcome);
    return is_done;
}

static void answer_write(Disk *disk, Request *request, const GError *error)
{
    if (request->kind == REQUEST_BATCH) {
        if (error && !disk->lost)
            disk->lost = g_error_copy(error);
        post(disk, answer_new(request, error));
    } else {
        g_autoptr(GError) lost = g_steal_pointer(&disk->lost);

        post(disk, answer_new(request, error ? error : lost));
    }
}

/* @requests are BATCHes and FLUSHes; takes what is in the array. */
static void serve_group(Disk *disk, GPtrArray *requests)
{
    g_autoptr(GPtrArray) batches = g_ptr_array_new();
    gboolean is_done;

    for (guint i = 0; i < requests->len; i++)
        g_ptr_array_add(batches, ((Request *)g_ptr_array_index(requests, i))->batch);
    is_done = disk_carry_out(disk, batches, NULL);
    for (guint i = 0; i < requests->len; i++) {
        Request *request = g_ptr_array_index(requests, i);
        g_autoptr(GError) error = NULL;

        if (!is_done && request->batch) {
            g_ptr_array_set_size(batches, 0);
            g_ptr_array_add(batches, request->batch);
            if (!disk_carry_out(disk, batches, &error))
                disk_batch_note_holes(request->batch, disk->holes);
        }
        answer_write(disk, request, error);
    }
}

/* -- Other requests, on the thread ------------------------------------------------------------- */

typedef struct {
    Disk *disk;
    Request *request;
} Load;

static void post_chunk(GPtrArray *messages, gboolean is_last, gpointer user)
{
    const Load *load = user;
    Answer *answer = answer_new(load->request, NULL);

    answer->messages = messages;
    answer->is_last = is_last;
    post(load->disk, answer);
}

static void serve_load(Disk *disk, Request *request)
{
    g_autoptr(GError) error = NULL;
    Load load = {disk, request};
    DiskRecallKey key = {request->mailbox, request->uidvalidity, request->uids};
    Answer *answer;

    if (request->kind == REQUEST_LOAD
            ? disk_read_messages(disk, request->mailbox, post_chunk, &load, &error)
            : disk_read_recall(disk, &key, post_chunk, &load, &error))
        return;
    answer = answer_new(request, error);
    answer->messages = g_ptr_array_new();
    answer->is_last = TRUE;
    post(disk, answer);
}

static void serve_verify(Disk *disk, Request *request)
{
    Answer *answer = answer_new(request, NULL);
    guint8 sha256[DISK_SHA256];
    DiskVictim body;

    if (disk_read_body(disk, request->mailbox, request->item, &body, sha256, NULL) &&
        disk_body_is_good(disk, &body, sha256)) {
        sqlite3_stmt *trust = disk_db_statement(&disk->index, INDEX_TRUST_BODY);

        sqlite3_bind_int(trust, 1, request->mailbox);
        sqlite3_bind_int64(trust, 2, (sqlite3_int64)request->item);
        (void)disk_db_run(&disk->index, trust, NULL); /* else it is verified once more */
        answer->is_good = TRUE;
    }
    post(disk, answer);
}

static void serve_victims(Disk *disk, Request *request)
{
    Answer *answer = answer_new(request, NULL);

    answer->victims = disk_read_victims(disk, request->item, NULL);
    if (!answer->victims)
        answer->victims = g_array_new(FALSE, FALSE, sizeof(DiskVictim));
    post(disk, answer);
}

static void serve(Disk *disk, Request *request)
{
    switch (request->kind) {
    case REQUEST_LOAD:
    case REQUEST_RECALL:
        serve_load(disk, request);
        return;
    case REQUEST_VERIFY:
        serve_verify(disk, request);
        return;
    case REQUEST_VICTIMS:
        serve_victims(disk, request);
        return;
    case REQUEST_BATCH:
    case REQUEST_FLUSH:
        g_assert_not_reached();
    }
}

/* -- The thread -------------------------------------------------------------------------------- */

static gboolean is_write(const Request *request)
{
    return request->kind == REQUEST_BATCH || request->kind == REQUEST_FLUSH;
}

/* Waits for work: all writes at the head of the queue, or one other request, or none when it is
 * time for the sweep.  FALSE when the disk is closed and everything was carried out. */
static gboolean take_work(Disk *disk, GPtrArray *requests)
{
    gboolean is_closing;

    pthread_mutex_lock(&disk->lock);
    while (g_queue_is_empty(&disk->requests) && !disk->is_closing && !disk_wants_sweep(disk))
        pthread_cond_wait(&disk->wake, &disk->lock);
    is_closing = disk->is_closing;
    while (!g_queue_is_empty(&disk->requests)) {
        Request *head = g_queue_peek_head(&disk->requests);

        if (is_closing && !is_write(head)) { /* nobody will hear the answer */
            request_free(g_queue_pop_head(&disk->requests));
            continue;
        }
        if (requests->len > 0 && !is_write(head))
            break;
        g_ptr_array_add(requests, g_queue_pop_head(&disk->requests));
        if (!is_write(head))
            break;
    }
    pthread_mutex_unlock(&disk->lock);
    return !is_closing || requests->len > 0;
}

static gpointer run(gpointer user)
{
    Disk *disk = user;
    g_autoptr(GPtrArray) requests = g_ptr_array_new();

    while (take_work(disk, requests)) {
        if (requests->len == 0)
            disk_sweep(disk);
        else if (is_write(g_ptr_array_index(requests, 0)))
            serve_group(disk, requests);
        else
            serve(disk, g_ptr_array_index(requests, 0));
        g_ptr_array_set_size(requests, 0);
    }
    return NULL;
}

static void ask(Disk *disk, const Request *request)
{
    pthread_mutex_lock(&disk->lock);
    g_queue_push_tail(&disk->requests, g_memdup2(request, sizeof *request));
    pthread_cond_signal(&disk->wake);
    pthread_mutex_unlock(&disk->lock);
    if (!disk->thread)
        disk->thread = g_thread_new("disk", run, disk);
}

/* -- What the main thread calls ---------------------------------------------------------------- */

void disk_submit(Disk *disk, DiskBatch *batch, DiskDoneFunc done, gpointer user)
{
    if (!done && disk_batch_is_empty(batch)) {
        disk_batch_free(batch);
        return;
    }
    disk_batch_note_items(batch, disk->next_items);
    ask(disk, &(Request){.kind = REQUEST_BATCH, .batch = batch, .done = done, .user = user});
}

void disk_flush(Disk *disk, DiskDoneFunc done, gpointer user)
{
    ask(disk, &(Request){.kind = REQUEST_FLUSH, .done = done, .user = user});
}

void disk_load_messages(Disk *disk, guint16 mailbox, DiskLoadFunc func, gpointer user)
{
    ask(disk,
        &(Request){.kind = REQUEST_LOAD, .mailbox = mailbox, .load = func, .user = user});
}

void disk_recall(Disk *disk, guint16 mailbox, guint32 uidvalidity, const UidSet *uids,
                 DiskLoadFunc func, gpointer user)
{
    ask(disk, &(Request){.kind = REQUEST_RECALL,
                         .mailbox = mailbox,
                         .uidvalidity = uidvalidity,
                         .uids = uid_set_copy(uids),
                         .load = func,
                         .user = user});
}

void disk_verify_body(Disk *disk, guint16 mailbox, guint64 item, DiskVerifyFunc func,
                      gpointer user)
{
    ask(disk, &(Request){.kind = REQUEST_VERIFY,
                         .mailbox = mailbox,
                         .item = item,
                         .verify = func,
                         .user = user});
}

void disk_choose_victims(Disk *disk, guint64 bytes, DiskVictimsFunc func, gpointer user)
{
    ask(disk,
        &(Request){.kind = REQUEST_VICTIMS, .item = bytes, .victims = func, .user = user});
}

const char *disk_warning(const Disk *disk)
{
    return disk->warning;
}

gboolean disk_was_unclean(const Disk *disk)
{
    return disk->was_unclean;
}

const char *disk_failure(const Disk *disk)
{
    return disk->failure;
}

guint64 disk_body_bytes(const Disk *disk)
{
    return disk->body_bytes;
}

guint64 disk_next_item(Disk *disk, guint16 mailbox)
{
    const guint64 *next = g_hash_table_lookup(disk->next_items, GUINT_TO_POINTER(mailbox));

    return next ? *next : 1;
}

/* -- Opening and closing ----------------------------------------------------------------------- */

/* Opens the folder and takes its lock, which lasts as long as the descriptor. */
static gboolean open_dir(const char *path, char **dir, int *fd, int *lock, GError **error)
{
    *fd = io_open_dir(path, error);
    if (*fd < 0)
        return FALSE;
    /* Canonical, for SQLite is told to refuse symlinks, and /home may well be one. */
    *dir = realpath(path, NULL);
    if (!*dir)
        return mail_fail_errno(error, errno, "cannot find %s", path);
    *lock = io_open_at(*fd, "lock", O_RDWR | O_CREAT, 0600, error);
    if (*lock < 0) {
        g_prefix_error(error, "in %s: ", path);
        return FALSE;
    }
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return TRUE;
    if (errno == EWOULDBLOCK)
        return mail_fail(error, MAIL_ERROR_BUSY,
                         "another mailfs is using %s; end it with: mailfs umount", path);
    return mail_fail_errno(error, errno, "cannot lock %s/lock", path);
}

static Disk *disk_new(void)
{
    Disk *disk = g_new0(Disk, 1);

    disk->cache_fd = disk->state_fd = disk->bodies_fd = -1;
    disk->cache_lock = disk->state_lock = -1;
    disk->unswept = g_array_new(FALSE, FALSE, sizeof(guint16));
    disk->holes = g_hash_table_new(NULL, NULL);
    disk->fresh = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    disk->next_items = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    g_queue_init(&disk->requests);
    pthread_mutex_init(&disk->lock, NULL);
    pthread_mutex_init(&disk->bodies_lock, NULL);
    pthread_cond_init(&disk->wake, NULL);
    disk->answers = answers_new(disk);
    return disk;
}

static void disk_free(Disk *disk)
{
    answers_free(disk->answers);
    disk_db_close(&disk->index);
    disk_db_close(&disk->state);
    pthread_cond_destroy(&disk->wake);
    pthread_mutex_destroy(&disk->bodies_lock);
    pthread_mutex_destroy(&disk->lock);
    g_array_unref(disk->unswept);
    g_hash_table_unref(disk->next_items);
    g_hash_table_unref(disk->fresh);
    g_hash_table_unref(disk->holes);
    g_clear_error(&disk->lost);
    io_close_auto(&disk->bodies_fd);
    io_close_auto(&disk->cache_fd);
    io_close_auto(&disk->state_fd);
    io_close_auto(&disk->cache_lock); /* last: from here on another may open */
    io_close_auto(&disk->state_lock);
    g_free(disk->failure);
    g_free(disk->warning);
    free(disk->cache_dir); /* realpath()'s */
    free(disk->state_dir);
    g_free(disk);
}

Disk *disk_open(const char *cache_dir, const char *state_dir, GError **error)
{
    Disk *disk = disk_new();

    if (!open_dir(cache_dir, &disk->cache_dir, &disk->cache_fd, &disk->cache_lock, error) ||
        !open_dir(state_dir, &disk->state_dir, &disk->state_fd, &disk->state_lock, error) ||
        !disk_body_open_folder(disk, error) || !disk_schema_open(disk, error) ||
        !disk_read_next_items(disk, error)) {
        disk_free(disk);
        return NULL;
    }
    disk->body_bytes = disk_read_body_total(disk);
    return disk;
}

static gboolean mark_clean(Disk *disk, GError **error)
{
    gboolean is_swept = disk->sweep == SWEEP_DONE && disk->unswept->len == 0 &&
                        g_hash_table_size(disk->holes) == 0;

    return disk_schema_mark_clean(disk, is_swept, error);
}

void disk_close(Disk *disk)
{
    g_autoptr(GError) error = NULL;

    if (!disk)
        return;
    pthread_mutex_lock(&disk->lock);
    disk->is_closing = TRUE;
    pthread_cond_signal(&disk->wake);
    pthread_mutex_unlock(&disk->lock);
    if (disk->thread)
        g_thread_join(disk->thread);
    if (!mark_clean(disk, &error))
        g_message("the cache will be checked at the next start: %s", error->message);
    disk_free(disk);
}
