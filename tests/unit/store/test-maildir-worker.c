/* Jobs on a Maildir: what is told and answered, and what is on the disk then. */
#include "maildir-fixture.h"

#include "base/io.h"
#include "store/maildir-worker.h"

typedef struct {
    Fixture fixture; /* the disk */
    char *root, *ledgers;
    MaildirWorker *worker;
    GPtrArray *events; /* of Event, since they were last cleared */
    guint n_pauses;
    gboolean is_given_up;
    guint n_to_take; /* files of new/ that are taken to cur/ in the next pause */
} Place;

static void on_event(Event *event, gpointer user)
{
    g_ptr_array_add(((Place *)user)->events, event);
}

static gboolean on_pause(gpointer user)
{
    Place *place = user;

    place->n_pauses++;
    for (; place->n_to_take > 0; place->n_to_take--) {
        g_autofree char *old = g_strdup_printf("INBOX/new/m%u", place->n_to_take - 1);
        g_autofree char *new = g_strdup_printf("INBOX/cur/m%u:2,S", place->n_to_take - 1);

        move_file(place->root, old, new);
    }
    return !place->is_given_up;
}

static void start(Place *place)
{
    const MaildirWorkerParams params = {
        .account = "test",
        .path = place->root,
        .ledger_dir = place->ledgers,
        .has_inbox = TRUE,
        .disk = place->fixture.disk,
        .event = on_event,
        .pause = on_pause,
        .user = place,
    };

    place->worker = maildir_worker_new(&params);
}

/* As after a kill: nothing is told to the old one. */
static void restart(Place *place)
{
    g_clear_pointer(&place->worker, maildir_worker_free);
    start(place);
}

static void setup(Place *place, gconstpointer data)
{
    fixture_set_up(&place->fixture, NULL);
    place->root = in(place->fixture.dir, "Mail");
    place->ledgers = in(place->fixture.state, "ledgers");
    place->events = g_ptr_array_new_with_free_func((GDestroyNotify)event_free);
    make_dirs(place->root, (const char *const[]){".", NULL});
    start(place);
}

static void teardown(Place *place, gconstpointer data)
{
    maildir_worker_free(place->worker);
    g_ptr_array_unref(place->events);
    g_free(place->root);
    g_free(place->ledgers);
    fixture_tear_down(&place->fixture, NULL);
}

/* -- Jobs -------------------------------------------------------------------------------------- */

static Job *new_job(JobKind kind, const char *wire)
{
    Job *job = job_new(kind, JOB_WAITED);

    job->mailbox = 1;
    job->wire = g_strdup(wire);
    job->known.uids = uid_set_new();
    job->known.want_names = TRUE;
    if (job->change)
        job->change->messages = g_array_new(FALSE, TRUE, sizeof(ChangeMessage));
    return job;
}

static void run(Place *place, Job *job)
{
    g_autoptr(GError) error = NULL;

    g_ptr_array_set_size(place->events, 0);
    g_assert_true(maildir_worker_run(place->worker, job, &error));
    g_assert_no_error(error);
}

static void run_refused(Place *place, Job *job, MailError code)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(maildir_worker_run(place->worker, job, &error));
    g_assert_error(error, MAIL_ERROR, (int)code);
}

static const Event *find_event(const Place *place, EventKind kind)
{
    for (guint i = 0; i < place->events->len; i++)
        if (((Event *)g_ptr_array_index(place->events, i))->kind == kind)
            return g_ptr_array_index(place->events, i);
    return NULL;
}

/* What the last SYNC left known: a model in little. */
typedef struct {
    guint32 uidvalidity, uidnext;
    guint64 stamp;
    UidSet *uids;
} Known;

static void known_clear(Known *known)
{
    uid_set_free(known->uids);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Known, known_clear)

/* "B:reset V:3 F:1,2 M:4" */
static char *sync_folder(Place *place, const char *wire, Known *known)
{
    g_autoptr(Job) job = new_job(JOB_SYNC, wire);
    GString *text = g_string_new(NULL);

    if (!known->uids)
        known->uids = uid_set_new();
    job->known.uidvalidity = known->uidvalidity;
    job->known.uidnext = known->uidnext;
    job->known.highestmodseq = known->stamp;
    uid_set_add_set(job->known.uids, known->uids);
    run(place, job);
    for (guint i = 0; i < place->events->len; i++) {
        const Event *event = g_ptr_array_index(place->events, i);

        if (event->kind == EVENT_SYNC_BEGIN) {
            g_string_append(text, event->is_reset ? "reset" : "begin");
            if (event->is_reset) {
                uid_set_free(known->uids);
                known->uids = uid_set_new();
            }
            known->uidvalidity = event->uidvalidity;
        }
        if (event->kind == EVENT_VANISHED) {
            g_autofree char *set = uid_set_format(event->uids);

            g_string_append_printf(text, " V:%s", set);
            uid_set_remove_set(known->uids, event->uids);
        }
        for (guint k = 0; event->kind == EVENT_FLAGS && k < event->flags->len; k++) {
            const FlagChange *change = &g_array_index(event->flags, FlagChange, k);

            g_string_append_printf(text, " F:%u=%u%s%s", change->uid, change->flags,
                                   change->keywords ? "," : "",
                                   change->keywords ? change->keywords : "");
        }
        for (guint k = 0; event->kind == EVENT_MESSAGES && k < event->messages->len; k++) {
            const Message *message = g_ptr_array_index(event->messages, k);

            g_string_append_printf(text, " M:%u", message->uid);
            uid_set_add(known->uids, message->uid);
        }
        if (event->kind == EVENT_SYNC_STATE) {
            known->uidnext = event->uidnext;
            known->stamp = event->highestmodseq;
            g_assert_cmpuint(event->n_messages, ==, uid_set_count(known->uids));
        }
    }
    return g_string_free(text, FALSE);
}

static void assert_sync(Place *place, const char *wire, Known *known, const char *expected)
{
    g_autofree char *found = sync_folder(place, wire, known);

    g_assert_cmpstr(found, ==, expected);
}

static void fill_octets(Job *job, const char *text)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize length = sizeof job->change->sha256;
    char name[] = "/tmp/mailfs-octets-XXXXXX";

    job->change->fd = mkstemp(name);
    (void)unlink(name);
    g_assert_true(io_write_all(job->change->fd, text, strlen(text), NULL));
    job->change->size = strlen(text);
    g_checksum_update(checksum, (const guchar *)text, -1);
    g_checksum_get_digest(checksum, job->change->sha256, &length);
    job->change->date = 1234567890;
}

static void add_message(Job *job, guint32 uid)
{
    const ChangeMessage message = {.uid = uid};

    g_array_append_val(job->change->messages, message);
}

static const ChangeMessage *answer(const Job *job, guint i)
{
    return &g_array_index(job->change->messages, ChangeMessage, i);
}

static void put_three(Place *place)
{
    make_maildir(place->root, "INBOX");
    make_maildir(place->root, "Box");
    put_file(place->root, "INBOX/new/a",
             "From: A <a@b>\nSubject: one\nMessage-ID: <1@x>\n\nx\n", 1);
    put_file(place->root, "INBOX/cur/b:2,S", "Subject: two\n\nx\n", 2);
    put_file(place->root, "INBOX/cur/c:2,FP", "Subject: three\n\nx\n", 3);
}

/* -- Looking ----------------------------------------------------------------------------------- */

static void test_list(Place *place, gconstpointer data)
{
    g_autoptr(Job) job = new_job(JOB_LIST, NULL);
    const Event *event;
    const ListedMailbox *listed;

    run(place, job); /* where nothing ever was, there is an INBOX now */
    g_assert_true(exists(place->root, "INBOX/cur"));
    make_maildir(place->root, "Box/Sub");
    job->status_of = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(job->status_of, g_strdup("INBOX"));
    g_ptr_array_add(job->status_of, g_strdup("Gone"));
    run(place, job);
    event = find_event(place, EVENT_MAILBOXES);
    g_assert_true(event->is_list && event->is_whole);
    g_assert_cmpuint(event->mailboxes->len, ==, 2);
    listed = &g_array_index(event->mailboxes, ListedMailbox, 0);
    g_assert_cmpstr(listed->wire, ==, "Box/Sub");
    g_assert_cmpstr(listed->path[1], ==, "Sub");
    g_assert_cmpint(listed->delimiter, ==, '/');
    event = find_event(place, EVENT_STATUS);
    g_assert_cmpstr(event->wire, ==, "INBOX");
    g_assert_cmpuint(event->highestmodseq, !=, 0);
    g_assert_cmpuint(event->uidvalidity, !=, 0);
}

static void test_unmounted(Place *place, gconstpointer data)
{
    g_autoptr(Job) job = new_job(JOB_LIST, NULL);
    g_autofree char *away = in(place->fixture.dir, "Away");
    g_auto(Known) known = {0};

    put_three(place);
    assert_sync(place, "INBOX", &known, "reset M:1 M:2 M:3");
    /* The disk goes: first its place, then an empty one is there. */
    g_assert_cmpint(rename(place->root, away), ==, 0);
    run_refused(place, job, MAIL_ERROR_OFFLINE);
    make_dirs(place->root, (const char *const[]){".", NULL});
    run_refused(place, job, MAIL_ERROR_OFFLINE);
    g_assert_false(exists(place->root, "INBOX"));
    g_assert_cmpint(rmdir(place->root), ==, 0);
    g_assert_cmpint(rename(away, place->root), ==, 0);
    run(place, job);
    assert_sync(place, "INBOX", &known, "begin F:1=0 F:2=1 F:3=4,$Forwarded");
}

static void test_sync(Place *place, gconstpointer data)
{
    g_auto(Known) known = {0};
    const Message *message;

    put_three(place);
    put_file(place->root, "INBOX/tmp/given-up", "Subj", 1);
    put_file(place->root, "INBOX/tmp/coming", "Subj", g_get_real_time() / G_USEC_PER_SEC);
    assert_sync(place, "INBOX", &known, "reset M:1 M:2 M:3");
    g_assert_false(exists(place->root, "INBOX/tmp/given-up"));
    g_assert_true(exists(place->root, "INBOX/tmp/coming"));
    message = g_ptr_array_index(find_event(place, EVENT_MESSAGES)->messages, 0);
    g_assert_cmpstr(message->name, ==, "1970-01-01_0000_A_one.1.eml");
    g_assert_cmpuint(message->size, ==, 48);
    g_assert_cmpint(message->date, ==, 1);
    g_assert_cmpuint(message->fingerprint, ==, message_fingerprint("<1@x>"));
    message = g_ptr_array_index(find_event(place, EVENT_MESSAGES)->messages, 2);
    g_assert_cmpuint(message->flags, ==, MESSAGE_FLAGGED);
    g_assert_cmpstr(message->keywords, ==, MESSAGE_PASSED);
    /* What was told once is not told again, */
    assert_sync(place, "INBOX", &known, "begin");
    move_file(place->root, "INBOX/new/a", "INBOX/cur/a:2,S");
    move_file(place->root, "INBOX/cur/b:2,S", "b");
    put_file(place->root, "INBOX/new/d", "Subject: four\n\n", 4);
    assert_sync(place, "INBOX", &known, "begin V:2 F:1=1 M:4");
    /* ... but to one who knows another state. */
    known.stamp++;
    assert_sync(place, "INBOX", &known, "begin F:1=1 F:3=4,$Forwarded F:4=0");
    restart(place);
    assert_sync(place, "INBOX", &known, "begin F:1=1 F:3=4,$Forwarded F:4=0");
    /* Learnt otherwise than by a SYNC: told once more. */
    known.uidnext = 4;
    assert_sync(place, "INBOX", &known, "begin M:4");
    /* Another UIDVALIDITY than ours. */
    known.uidvalidity++;
    assert_sync(place, "INBOX", &known, "reset M:1 M:3 M:4");
}

/* 600 new messages in INBOX. */
static void put_many(Place *place)
{
    make_maildir(place->root, "INBOX");
    for (guint i = 0; i < 600; i++) {
        g_autofree char *name = g_strdup_printf("INBOX/new/m%u", i);

        put_file(place->root, name, "Subject: x\n\n", 1000 + i);
    }
}

static void test_sync_many(Place *place, gconstpointer data)
{
    g_autoptr(Job) job = new_job(JOB_SYNC, "INBOX");

    put_many(place);
    run(place, job);
    g_assert_cmpuint(place->n_pauses, >=, 30);
    for (guint i = 0; i < place->events->len; i++) {
        const Event *event = g_ptr_array_index(place->events, i);

        if (event->messages)
            g_assert_cmpuint(event->messages->len, <=, EVENT_MAX_MESSAGES);
    }
    place->is_given_up = TRUE;
    run_refused(place, job, MAIL_ERROR_CANCELLED);
}

/* A mail client looks at all that is new, while we list it. */
static void test_sync_renamed(Place *place, gconstpointer data)
{
    g_auto(Known) known = {0};
    guint64 stamp;

    put_many(place);
    place->n_to_take = 600;
    g_free(sync_folder(place, "INBOX", &known));
    g_assert_cmpuint(uid_set_count(known.uids), ==, 600);
    g_assert_cmpuint(known.stamp % 2, ==, 1); /* not to be trusted */
    stamp = known.stamp;
    g_free(sync_folder(place, "INBOX", &known));
    g_assert_cmpuint(uid_set_count(known.uids), ==, 600);
    g_assert_cmpuint(known.stamp, !=, stamp);
    g_assert_nonnull(find_event(place, EVENT_FLAGS));
}

static void add_item(Job *job, guint64 item, guint32 uid)
{
    const FetchItem fetch = {item, uid};

    if (!job->items)
        job->items = g_array_new(FALSE, FALSE, sizeof fetch);
    g_array_append_val(job->items, fetch);
}

static void test_fetch(Place *place, gconstpointer data)
{
    g_autoptr(Job) job = new_job(JOB_FETCH, "INBOX");
    g_auto(Known) known = {0};
    const Event *event;
    char octets[200];
    gssize n;
    int fd;

    put_three(place);
    g_free(sync_folder(place, "INBOX", &known));
    job->uidvalidity = known.uidvalidity;
    add_item(job, 11, 1);
    add_item(job, 99, 9);
    move_file(place->root, "INBOX/new/a", "INBOX/cur/a:2,R"); /* and nobody told */
    run(place, job);
    event = find_event(place, EVENT_BODY_BEGIN);
    g_assert_cmpuint(event->item, ==, 11);
    g_assert_cmpuint(event->size, ==, 48);
    g_assert_cmpuint(find_event(place, EVENT_BODY_DATA)->received, ==, 48);
    event = find_event(place, EVENT_BODY_WHOLE);
    g_assert_cmpuint(event->item, ==, 11);
    event = find_event(place, EVENT_BODY_FAILED);
    g_assert_cmpuint(event->item, ==, 99);
    g_assert_error(event->error, MAIL_ERROR, MAIL_ERROR_GONE);
    fd = disk_open_body(place->fixture.disk, 1, 11, NULL);
    n = read(fd, octets, sizeof octets);
    (void)close(fd);
    g_assert_cmpint(n, ==, 48);
    g_assert_cmpint(memcmp(octets, "From: A <a@b>\n", 14), ==, 0);
    job->uidvalidity++;
    run_refused(place, job, MAIL_ERROR_GONE);
}

/* -- Changing ---------------------------------------------------------------------------------- */

static void test_append(Place *place, gconstpointer data)
{
    static const char text[] = "Subject: new\n\nbare LF\n";
    g_autoptr(Job) job = new_job(JOB_APPEND, "Box"), find = new_job(JOB_FIND, "Box");
    g_auto(Known) known = {0};

    put_three(place);
    g_free(sync_folder(place, "Box", &known));
    fill_octets(job, text);
    job->change->flags = MESSAGE_SEEN;
    job->change->keywords = g_strdup("blue $forwarded");
    run(place, job);
    g_assert_true(job->change->was_sent);
    g_assert_cmpuint(job->change->uid, ==, 1);
    g_assert_cmpuint(job->change->uidvalidity, ==, known.uidvalidity);
    g_assert_cmpuint(job->change->uidnext_then, ==, 1);
    /* After a kill it is found by its octets; and so is its UID. */
    restart(place);
    fill_octets(find, text);
    run(place, find);
    g_assert_cmpuint(find->change->uid, ==, 1);
    g_assert_cmpuint(find->change->n_octets, ==, strlen(text));
    find->change->others = uid_set_new();
    find->change->uid = 0;
    uid_set_add(find->change->others, 1);
    run(place, find);
    g_assert_cmpuint(find->change->uid, ==, 0);
    assert_sync(place, "Box", &known, "begin M:1");
    {
        const Message *message =
            g_ptr_array_index(find_event(place, EVENT_MESSAGES)->messages, 0);

        g_assert_cmpint(message->date, ==, 1234567890);
        g_assert_cmpuint(message->flags, ==, MESSAGE_SEEN);
        g_assert_cmpstr(message->keywords, ==, "blue $forwarded");
    }
    g_free(job->wire);
    job->wire = g_strdup("Nowhere");
    run_refused(place, job, MAIL_ERROR_GONE);
}

/* The file was there, its number was not yet: what a kill between the two leaves. */
static void test_find_unnumbered(Place *place, gconstpointer data)
{
    static const char text[] = "Subject: new\n\nx\n";
    g_autoptr(Job) find = new_job(JOB_FIND, "Box");
    g_auto(Known) known = {0};

    put_three(place);
    g_free(sync_folder(place, "Box", &known));
    put_file(place->root, "Box/new/other", "Subject: nxw\n\nx\n", 1);
    put_file(place->root, "Box/new/it", text, 2);
    fill_octets(find, text);
    find->change->uidnext = known.uidnext;
    run(place, find);
    g_assert_cmpuint(find->change->uid, ==, 2);
    assert_sync(place, "Box", &known, "begin M:1 M:2");
}

/* COPY from INBOX, where three are, to Box; both are known. */
static Job *copy_job(Place *place, Known *inbox, Known *box)
{
    Job *job = new_job(JOB_COPY, "INBOX");

    put_three(place);
    g_free(sync_folder(place, "INBOX", inbox));
    g_free(sync_folder(place, "Box", box));
    job->uidvalidity = inbox->uidvalidity;
    job->change->target = g_strdup("Box");
    return job;
}

static void test_copy(Place *place, gconstpointer data)
{
    g_auto(Known) inbox = {0}, box = {0};
    g_autoptr(Job) job = copy_job(place, &inbox, &box);

    add_message(job, 1);
    add_message(job, 3);
    add_message(job, 77);
    run(place, job);
    g_assert_false(job->change->did_move);
    g_assert_cmpuint(job->change->uidvalidity, ==, box.uidvalidity);
    g_assert_true(answer(job, 0)->is_done && answer(job, 1)->is_done);
    g_assert_false(answer(job, 2)->is_done);
    g_assert_cmpuint(answer(job, 0)->target_uid, ==, 1);
    g_assert_cmpuint(answer(job, 1)->target_uid, ==, 2);
    assert_sync(place, "Box", &box, "begin M:1 M:2");
    {
        const Message *message =
            g_ptr_array_index(find_event(place, EVENT_MESSAGES)->messages, 1);

        g_assert_cmpuint(message->flags, ==, MESSAGE_FLAGGED);
        g_assert_cmpstr(message->keywords, ==, MESSAGE_PASSED);
        g_assert_cmpint(message->date, ==, 3);
    }
    assert_sync(place, "INBOX", &inbox, "begin");
}

static void test_move(Place *place, gconstpointer data)
{
    g_auto(Known) inbox = {0}, box = {0};
    g_autoptr(Job) job = copy_job(place, &inbox, &box);

    job->change->is_move = TRUE;
    add_message(job, 2);
    move_file(place->root, "INBOX/cur/b:2,S", "INBOX/cur/b:2,FS"); /* and nobody told */
    run(place, job);
    g_assert_true(job->change->did_move && answer(job, 0)->is_done);
    g_assert_false(exists(place->root, "INBOX/cur/b:2,FS"));
    assert_sync(place, "INBOX", &inbox, "begin V:2");
    assert_sync(place, "Box", &box, "begin M:1");
    g_assert_cmpuint(
        ((Message *)g_ptr_array_index(find_event(place, EVENT_MESSAGES)->messages, 0))->flags, ==,
        MESSAGE_SEEN | MESSAGE_FLAGGED);
}

static void test_flags(Place *place, gconstpointer data)
{
    g_autoptr(Job) job = new_job(JOB_FLAGS, "INBOX"), none = new_job(JOB_FLAGS, "INBOX");
    g_auto(Known) known = {0};

    put_three(place);
    g_free(sync_folder(place, "INBOX", &known));
    job->uidvalidity = known.uidvalidity;
    job->change->flags = MESSAGE_ANSWERED;
    job->change->keywords = g_strdup("blue");
    job->change->keywords_removed = g_strdup("$FORWARDED");
    move_file(place->root, "INBOX/cur/c:2,FP", "INBOX/cur/c:2,FPS"); /* and nobody told */
    add_message(job, 1);
    add_message(job, 3);
    add_message(job, 77);
    run(place, job);
    g_assert_true(answer(job, 0)->is_done && answer(job, 1)->is_done && answer(job, 2)->is_done);
    g_assert_true(exists(place->root, "INBOX/cur/a:2,R"));
    g_assert_true(exists(place->root, "INBOX/cur/c:2,FRS"));
    /* Of ours nothing is news; of what another program did all is. */
    assert_sync(place, "INBOX", &known, "begin F:3=7,blue");
    restart(place);
    assert_sync(place, "INBOX", &known, "begin F:1=2,blue F:2=1 F:3=7,blue");
    /* A change that is none leaves a new message new. */
    put_file(place->root, "INBOX/new/d", "Subject: x\n\n", 9);
    assert_sync(place, "INBOX", &known, "begin M:4");
    none->change->flags_removed = MESSAGE_SEEN;
    add_message(none, 4);
    run(place, none);
    g_assert_true(exists(place->root, "INBOX/new/d"));
}

static void test_expunge(Place *place, gconstpointer data)
{
    g_autoptr(Job) job = new_job(JOB_EXPUNGE, "INBOX");
    g_auto(Known) known = {0};
    ChangeMessage message = {.uid = 1, .date = 1, .size = 48};

    put_three(place);
    g_free(sync_folder(place, "INBOX", &known));
    job->uidvalidity = known.uidvalidity;
    g_array_append_val(job->change->messages, message);
    message = (ChangeMessage){.uid = 2, .date = 2, .size = 4711};
    g_array_append_val(job->change->messages, message);
    message = (ChangeMessage){.uid = 77};
    g_array_append_val(job->change->messages, message);
    run(place, job);
    g_assert_true(answer(job, 0)->is_done && answer(job, 2)->is_done);
    g_assert_false(answer(job, 1)->is_done);
    g_assert_false(exists(place->root, "INBOX/new/a"));
    g_assert_true(exists(place->root, "INBOX/cur/b:2,S"));
    assert_sync(place, "INBOX", &known, "begin V:1");
    g_array_remove_index(job->change->messages, 2);
    g_array_remove_index(job->change->messages, 0);
    run_refused(place, job, MAIL_ERROR_GONE);
    g_assert_true(exists(place->root, "INBOX/cur/b:2,S"));
}

static Job *mailbox_job(MailboxVerb verb, const char *wire, const char *target)
{
    Job *job = new_job(JOB_MAILBOX, wire);

    job->change->verb = verb;
    job->change->target = g_strdup(target);
    return job;
}

static void test_mailboxes(Place *place, gconstpointer data)
{
    g_autoptr(Job) create = mailbox_job(MAILBOX_CREATE, "New", NULL);
    g_autoptr(Job) rename = mailbox_job(MAILBOX_RENAME, "Box", "New/Deep");
    g_autoptr(Job) delete = mailbox_job(MAILBOX_DELETE, "New/Deep/Sub", NULL);
    g_autoptr(Job) inbox = mailbox_job(MAILBOX_DELETE, "INBOX", NULL);
    g_auto(Known) known = {0};
    guint32 uidvalidity;

    put_three(place);
    make_maildir(place->root, "Box/Sub");
    put_file(place->root, "Box/Sub/new/x", "Subject: x\n\n", 1);
    g_free(sync_folder(place, "Box/Sub", &known));
    uidvalidity = known.uidvalidity;
    run(place, create);
    run_refused(place, create, MAIL_ERROR_EXISTS);
    run(place, rename);
    run_refused(place, rename, MAIL_ERROR_GONE);
    /* The same messages by the same numbers, under another name. */
    assert_sync(place, "New/Deep/Sub", &known, "begin F:1=0");
    g_assert_cmpuint(known.uidvalidity, ==, uidvalidity);
    delete->uidvalidity = uidvalidity + 1;
    run_refused(place, delete, MAIL_ERROR_GONE);
    delete->uidvalidity = uidvalidity;
    run_refused(place, delete, MAIL_ERROR_NOTEMPTY);
    move_file(place->root, "New/Deep/Sub/new/x", "x");
    run(place, delete);
    run_refused(place, delete, MAIL_ERROR_GONE);
    run_refused(place, inbox, MAIL_ERROR_DENIED);
    /* One that is called as one was before is another. */
    g_clear_pointer(&create, job_free);
    create = mailbox_job(MAILBOX_CREATE, "New/Deep/Sub", NULL);
    run(place, create);
    assert_sync(place, "New/Deep/Sub", &known, "reset");
    g_assert_cmpuint(known.uidvalidity, !=, uidvalidity);
}

static void test_rename_keeps_others(Place *place, gconstpointer data)
{
    g_autoptr(Job) rename = mailbox_job(MAILBOX_RENAME, "Box", "Boxes");
    g_auto(Known) known = {0};

    put_three(place);
    make_maildir(place->root, "Boxes");
    put_file(place->root, "Boxes/new/x", "Subject: x\n\n", 1);
    g_free(sync_folder(place, "Boxes", &known));
    run_refused(place, rename, MAIL_ERROR_EXISTS);
    restart(place);
    assert_sync(place, "Boxes", &known, "begin F:1=0");
}

static void test_from_outside(Place *place, gconstpointer data)
{
    static const char text[] = "Subject: x\r\n\r\n";
    g_autoptr(Job) octets = new_job(JOB_APPEND, "Box");
    MaildirDelivery delivery = {.size = strlen(text), .date = 5};
    g_autoptr(GError) error = NULL;
    guint32 uid, uidvalidity;
    guint64 size;
    int fd;

    put_three(place);
    fill_octets(octets, text);
    delivery.fd = octets->change->fd;
    g_assert_true(maildir_worker_deliver(place->worker, "Box", &delivery, &uid, &uidvalidity,
                                         &error));
    g_assert_cmpuint(uid, ==, 1);
    g_assert_cmpuint(uidvalidity, ==,
                     ledger_uidvalidity(maildir_worker_ledger(place->worker, "Box", &error)));
    fd = maildir_worker_open_message(place->worker, "Box", uid, &size, &error);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpuint(size, ==, strlen(text));
    (void)close(fd);
    g_assert_true(maildir_worker_remove(place->worker, "Box", uid, &error));
    g_assert_true(maildir_worker_remove(place->worker, "Box", uid, &error));
    g_assert_cmpint(maildir_worker_open_message(place->worker, "Box", uid, &size, &error), ==, -1);
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_GONE);
}

/* One sync for all, and those before the one that fails are there. */
static void test_deliver_all(Place *place, gconstpointer data)
{
    static const char text[] = "Subject: x\r\n\r\n";
    g_autoptr(Job) octets = new_job(JOB_APPEND, "Box");
    g_autoptr(GArray) deliveries = g_array_new(FALSE, TRUE, sizeof(MaildirDelivery));
    g_autoptr(GError) error = NULL;
    guint32 uidvalidity, expected[] = {1, 2, 0, 0};
    guint64 size;

    put_three(place);
    fill_octets(octets, text);
    for (guint i = 0; i < G_N_ELEMENTS(expected); i++) {
        MaildirDelivery delivery = {
            .fd = octets->change->fd, .size = i == 2 ? 1000 : strlen(text), .date = 5};

        g_array_append_val(deliveries, delivery);
    }
    g_assert_false(maildir_worker_deliver_all(place->worker, "Box", deliveries, &uidvalidity,
                                              &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_CACHE);
    g_clear_error(&error);
    for (guint i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_cmpuint(g_array_index(deliveries, MaildirDelivery, i).uid, ==, expected[i]);
    restart(place);
    for (guint32 uid = 1; uid <= 2; uid++) {
        autofd int fd = maildir_worker_open_message(place->worker, "Box", uid, &size, &error);

        g_assert_no_error(error);
        g_assert_cmpuint(size, ==, strlen(text));
    }
    g_assert_cmpint(maildir_worker_open_message(place->worker, "Box", 3, &size, NULL), ==, -1);
}

/* -- Watching ---------------------------------------------------------------------------------- */

/* What is told of changes, sorted. */
static char *changes(Place *place)
{
    g_autoptr(GPtrArray) wires = g_ptr_array_new();

    g_ptr_array_set_size(place->events, 0);
    maildir_worker_watch_read(place->worker);
    for (guint i = 0; i < place->events->len; i++) {
        const Event *event = g_ptr_array_index(place->events, i);

        g_assert_cmpint(event->kind, ==, EVENT_CHANGED);
        g_ptr_array_add(wires, *event->wire ? event->wire : (char *)"(list)");
    }
    g_ptr_array_add(wires, NULL);
    return g_strjoinv(" ", (char **)wires->pdata);
}

static void assert_changes(Place *place, const char *expected)
{
    g_autofree char *found = changes(place);

    g_assert_cmpstr(found, ==, expected);
}

static void test_watch(Place *place, gconstpointer data)
{
    g_autoptr(Job) list = new_job(JOB_LIST, NULL), flags = new_job(JOB_FLAGS, "INBOX");
    g_autoptr(Job) append = new_job(JOB_APPEND, "INBOX");
    g_auto(Known) known = {0};

    put_three(place);
    run(place, list);
    if (maildir_worker_watch_fd(place->worker) < 0) {
        g_test_skip("there is no inotify here");
        return;
    }
    g_free(sync_folder(place, "INBOX", &known));
    assert_changes(place, "");
    put_file(place->root, "INBOX/new/d", "Subject: x\n\n", 1);
    assert_changes(place, "INBOX");
    move_file(place->root, "INBOX/new/d", "INBOX/cur/d:2,S");
    assert_changes(place, "INBOX");
    make_maildir(place->root, "Else");
    assert_changes(place, "(list)");
    g_free(sync_folder(place, "INBOX", &known));
    /* What we do ourselves is no news, */
    flags->change->flags = MESSAGE_FLAGGED;
    add_message(flags, 1);
    run(place, flags);
    fill_octets(append, "Subject: x\n\n");
    run(place, append);
    assert_changes(place, "");
    /* ... what others do at the same time is. */
    run(place, append);
    put_file(place->root, "INBOX/new/e", "Subject: x\n\n", 1);
    assert_changes(place, "INBOX");
    assert_sync(place, "INBOX", &known, "begin M:5 M:6 M:7");
    /* What only we have changed is known without a look, */
    g_clear_pointer(&append, job_free);
    append = new_job(JOB_APPEND, "INBOX");
    fill_octets(append, "Subject: x\n\n");
    run(place, append);
    assert_sync(place, "INBOX", &known, "begin M:8");
    /* ... what others have, is looked at. */
    put_file(place->root, "INBOX/new/f", "Subject: x\n\n", 1);
    assert_sync(place, "INBOX", &known, "begin M:9");
    move_file(place->root, "INBOX/new/f", "f");
    assert_sync(place, "INBOX", &known, "begin V:9");
}

#define ADD(path, func) g_test_add("/maildir-worker/" path, Place, NULL, setup, func, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("list", test_list);
    ADD("unmounted", test_unmounted);
    ADD("sync", test_sync);
    ADD("sync-many", test_sync_many);
    ADD("sync-renamed", test_sync_renamed);
    ADD("fetch", test_fetch);
    ADD("append", test_append);
    ADD("find-unnumbered", test_find_unnumbered);
    ADD("copy", test_copy);
    ADD("move", test_move);
    ADD("flags", test_flags);
    ADD("expunge", test_expunge);
    ADD("mailboxes", test_mailboxes);
    ADD("rename-keeps-others", test_rename_keeps_others);
    ADD("from-outside", test_from_outside);
    ADD("deliver-all", test_deliver_all);
    ADD("watch", test_watch);
    return g_test_run();
}
