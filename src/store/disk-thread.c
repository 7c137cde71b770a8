/* The disk's thread, and the way there and back.
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

/* What a request came to.  It takes the request along for its callback. */
typedef struct {
    DiskRequest *request;    /* owned; NULL for a change of body_bytes alone */
    GError *error;
    GPtrArray *messages; /* a chunk; its request is shared until is_last */
    GArray *victims;
    DiskVictim twin;
    StageSeal seal;      /* its stage is removed with the answer, unless that was given */
    gint64 body_bytes;   /* difference */
    gboolean is_last, is_good, is_given;
    gboolean is_kept; /* the error is the index's alone, and not for whoever waits: write_group() */
} Answer;

/* GLib holds on to it while it is being dispatched, for a callback may close the disk. */
struct DiskAnswers {
    GSource source;
    Disk *disk;
    pthread_mutex_t lock;
    GQueue queue; /* of Answer */
};

/* -- Requests and answers ---------------------------------------------------------------------- */

static void request_free(DiskRequest *request)
{
    if (!request)
        return;
    disk_batch_free(request->batch);
    uid_set_free(request->uids);
    if (request->kind >= REQUEST_SEAL)
        io_close_auto(&request->fd);
    if (request->kind == REQUEST_LOSE) {
        g_free(request->lost.folder);
        g_free(request->lost.name);
        g_free(request->lost.reason);
    }
    g_free(request);
}

static void answer_free(Disk *disk, Answer *answer)
{
    if (answer->seal.number > 0 && !answer->is_given)
        stage_remove(disk, answer->seal.number);
    g_free(answer->seal.message_id);
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
    const DiskRequest *request = answer->request;

    note_write(disk, answer);
    if (!request)
        return;
    switch (request->kind) {
    case REQUEST_BATCH:
    case REQUEST_SYNC:
    case REQUEST_LOSE:
        if (request->done)
            request->done(answer->is_kept ? NULL : answer->error, request->user);
        return;
    case REQUEST_LOAD:
    case REQUEST_RECALL:
        request->load(request->mailbox, answer->messages, answer->is_last, answer->error,
                      request->user);
        return;
    case REQUEST_VERIFY:
        request->verify(request->mailbox, request->item, answer->is_good, request->user);
        return;
    case REQUEST_ROW: /* answered on the disk's thread */
        return;
    case REQUEST_VICTIMS:
        request->victims(answer->victims, request->user);
        return;
    case REQUEST_TWIN:
        request->twin(answer->twin.mailbox, answer->twin.item, request->user);
        return;
    case REQUEST_SEAL:
        answer->is_given = TRUE;
        request->seal(answer->error ? NULL : &answer->seal, answer->error, request->user);
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
        answer_free(NULL, answer); /* a callback may have closed the disk */
    }
    return G_SOURCE_CONTINUE;
}

static void answers_finalize(GSource *source)
{
    DiskAnswers *answers = (DiskAnswers *)source;

    g_assert(g_queue_is_empty(&answers->queue));
    pthread_mutex_destroy(&answers->lock);
}

DiskAnswers *disk_answers_new(Disk *disk)
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

void disk_answers_free(DiskAnswers *answers)
{
    while (!g_queue_is_empty(&answers->queue)) /* the thread has ended */
        answer_free(answers->disk, g_queue_pop_head(&answers->queue));
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

static Answer *answer_new(DiskRequest *request, const GError *error)
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

gboolean disk_carry_out_index(Disk *disk, GPtrArray *batches, GError **error)
{
    DiskOutcome outcome;
    gboolean is_done;

    disk_outcome_init(&outcome);
    is_done = disk_write_index(disk, batches, &outcome, error);
    if (is_done)
        follow_up(disk, &outcome);
    disk_outcome_clear(&outcome);
    return is_done;
}

/* What became of one request of a group. */
typedef struct {
    DiskRequest *request;
    GError *error;
    gboolean is_kept;
} Fate;

/* Carries out all batches of a group that have not failed yet, in one transaction; when that fails,
 * each alone. */
static void write_group(Disk *disk, GArray *fates,
                        gboolean (*write)(Disk *, GPtrArray *, GError **))
{
    g_autoptr(GPtrArray) batches = g_ptr_array_new();

    for (guint i = 0; i < fates->len; i++) {
        const Fate *fate = &g_array_index(fates, Fate, i);

        if (!fate->error)
            g_ptr_array_add(batches, fate->request->batch);
    }
    if (batches->len == 0 || write(disk, batches, NULL))
        return;
    for (guint i = 0; i < fates->len; i++) {
        Fate *fate = &g_array_index(fates, Fate, i);

        if (fate->error)
            continue;
        g_ptr_array_set_size(batches, 0);
        g_ptr_array_add(batches, fate->request->batch);
        /* At once, for the next batch may say that the mailbox is listed. */
        if (!write(disk, batches, &fate->error))
            disk_batch_note_holes(fate->request->batch, disk->holes);
    }
}

/* Takes the request and the error. */
static void answer_write(Disk *disk, Fate *fate)
{
    Answer *answer = answer_new(fate->request, fate->error);

    answer->is_kept = fate->is_kept;
    post(disk, answer);
    g_clear_error(&fate->error);
}

/* @requests are BATCHes; takes what is in the array.
 *
 * Whoever put something into the journal has to know whether it is there, and nothing else: with
 * the state written, an index that fails is a hole to be mended, not an error for them. */
static void serve_group(Disk *disk, GPtrArray *requests)
{
    g_autoptr(GArray) fates = g_array_sized_new(FALSE, TRUE, sizeof(Fate), requests->len);

    for (guint i = 0; i < requests->len; i++) {
        Fate fate = {.request = g_ptr_array_index(requests, i)};

        fate.is_kept = fate.request->batch->has_paper;
        g_array_append_val(fates, fate);
    }
    write_group(disk, fates, disk_write_state);
    for (guint i = 0; i < fates->len; i++)
        if (g_array_index(fates, Fate, i).error)
            g_array_index(fates, Fate, i).is_kept = FALSE;
    write_group(disk, fates, disk_carry_out_index);
    for (guint i = 0; i < fates->len; i++)
        answer_write(disk, &g_array_index(fates, Fate, i));
}

/* -- Other requests, on the thread ------------------------------------------------------------- */

typedef struct {
    Disk *disk;
    DiskRequest *request;
} Load;

static void post_chunk(GPtrArray *messages, gboolean is_last, gpointer user)
{
    const Load *load = user;
    Answer *answer = answer_new(load->request, NULL);

    answer->messages = messages;
    answer->is_last = is_last;
    post(load->disk, answer);
}

static void serve_load(Disk *disk, DiskRequest *request)
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

static void serve_verify(Disk *disk, DiskRequest *request)
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

/* Who waits may be gone as soon as the lock is let go. */
static void serve_row(Disk *disk, DiskRequest *request)
{
    DiskRow *row = request->row;

    pthread_mutex_lock(&row->lock);
    row->is_found = disk_read_body(disk, request->mailbox, request->item, &row->body, row->sha256,
                                   &row->error);
    row->is_answered = TRUE;
    pthread_cond_signal(&row->wake);
    pthread_mutex_unlock(&row->lock);
    request_free(request);
}

static void serve_victims(Disk *disk, DiskRequest *request)
{
    Answer *answer = answer_new(request, NULL);

    answer->victims = disk_read_victims(disk, request->item, NULL);
    if (!answer->victims)
        answer->victims = g_array_new(FALSE, FALSE, sizeof(DiskVictim));
    post(disk, answer);
}

static void serve_twin(Disk *disk, DiskRequest *request)
{
    Answer *answer = answer_new(request, NULL);

    disk_read_twin(disk, request->item, request->sha256, &answer->twin);
    post(disk, answer);
}

/* What works on a descriptor that was handed in. */
static void serve_stage(Disk *disk, DiskRequest *request)
{
    const StageLost lost = {request->lost.folder, request->lost.name, request->lost.reason};
    Answer *answer = answer_new(request, NULL);

    if (request->fd < 0)
        mail_fail(&answer->error, MAIL_ERROR_BUSY,
                  "too many files are open; close some, or raise the limit (ulimit -n)");
    else if (request->kind == REQUEST_SEAL)
        (void)stage_make_seal(disk, request->fd, &answer->seal, &answer->error);
    else if (request->kind == REQUEST_SYNC)
        (void)stage_make_durable(disk, request->fd, &answer->error);
    else
        (void)stage_put_lost(disk, request->fd, &lost, &answer->error);
    post(disk, answer);
}

static void serve(Disk *disk, DiskRequest *request)
{
    switch (request->kind) {
    case REQUEST_LOAD:
    case REQUEST_RECALL:
        serve_load(disk, request);
        return;
    case REQUEST_VERIFY:
        serve_verify(disk, request);
        return;
    case REQUEST_ROW:
        serve_row(disk, request);
        return;
    case REQUEST_VICTIMS:
        serve_victims(disk, request);
        return;
    case REQUEST_TWIN:
        serve_twin(disk, request);
        return;
    case REQUEST_SEAL:
    case REQUEST_SYNC:
    case REQUEST_LOSE:
        serve_stage(disk, request);
        return;
    case REQUEST_BATCH:
        g_assert_not_reached();
    }
}

/* -- The queue --------------------------------------------------------------------------------- */

/* What is done whether or not anybody hears of it: octets on their way to lost+found may be
 * nowhere else by now; and a thread that waits would do so for ever. */
static gboolean must_run(const DiskRequest *request)
{
    return request->kind == REQUEST_BATCH || request->kind == REQUEST_LOSE ||
           request->kind == REQUEST_ROW;
}

/* Waits for work: all batches at the head of the queue, or one other request, or none when it is
 * time for the sweep.  FALSE when the disk is closed and everything was carried out. */
static gboolean take_work(Disk *disk, GPtrArray *requests)
{
    gboolean is_closing;

    pthread_mutex_lock(&disk->lock);
    while (g_queue_is_empty(&disk->requests) && !disk->is_closing && !disk_wants_sweep(disk))
        pthread_cond_wait(&disk->wake, &disk->lock);
    is_closing = disk->is_closing;
    while (!g_queue_is_empty(&disk->requests)) {
        DiskRequest *head = g_queue_peek_head(&disk->requests);

        if (is_closing && !must_run(head)) { /* nobody will hear the answer */
            request_free(g_queue_pop_head(&disk->requests));
            continue;
        }
        if (requests->len > 0 && head->kind != REQUEST_BATCH)
            break;
        g_ptr_array_add(requests, g_queue_pop_head(&disk->requests));
        if (head->kind != REQUEST_BATCH)
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
        else if (((DiskRequest *)g_ptr_array_index(requests, 0))->kind == REQUEST_BATCH)
            serve_group(disk, requests);
        else
            serve(disk, g_ptr_array_index(requests, 0));
        g_ptr_array_set_size(requests, 0);
    }
    return NULL;
}

void disk_ask(Disk *disk, const DiskRequest *request)
{
    pthread_mutex_lock(&disk->lock);
    g_queue_push_tail(&disk->requests, g_memdup2(request, sizeof *request));
    if (!disk->thread)
        disk->thread = g_thread_new("disk", run, disk);
    pthread_cond_signal(&disk->wake);
    pthread_mutex_unlock(&disk->lock);
}

void disk_end_thread(Disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    disk->is_closing = TRUE;
    pthread_cond_signal(&disk->wake);
    pthread_mutex_unlock(&disk->lock);
    if (disk->thread)
        g_thread_join(disk->thread);
}
