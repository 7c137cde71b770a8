/* Which bodies to fetch before they are asked for.
 *
 * Reading on.  A tool that opens messages in the order of the table (grep -r, cp -r, tar,
 * notmuch, rsync: all go by readdir or by inode) is seen by its second open in a row.  From
 * then on the following messages are fetched in batches sized by octets, 1 MiB at first and
 * doubled up to 8, two or three of them on their way; the tool finds each message here, or
 * coming.  One round trip a file becomes a stream.  When the tool stops, so does this: never
 * more than AHEAD_OCTETS are asked for beyond where it is.
 *
 * One message alone fetches only itself.
 *
 * Wishes.  The policy (prefetch=recent:30d, all) and `mailfs fetch` name ranges of a mailbox;
 * they are worked off in the background, a batch at a time, when nobody reads on.
 */
#include "store/store-internal.h"
#include "base/deadline.h"
#include "base/limits.h"

enum {
    NEAR = 16,          /* messages a tool may skip and still be reading on */
    STREAK = 2,         /* opens in a row that make a stream */
    MAX_STREAMS = 8,    /* tools at the same time; the oldest gives way */
    FIRST_OCTETS = 1024 * 1024,
    MAX_OCTETS = 8 * 1024 * 1024,
    AHEAD_OCTETS = 3 * MAX_OCTETS,
    BATCHES = 3,        /* on their way, a stream */
    BATCH_MESSAGES = 256, /* each holds a descriptor until its command's tagged OK */
    MAX_RANGES = 40,    /* of a set: some 900 octets at most */
    SCAN = 4096,        /* cached messages passed over in one go */
    WISH_BATCHES = 2,
};

typedef struct {
    guint64 job; /* 0 when it is done */
    guint32 last_uid;
    guint64 octets;
} Batch;

typedef struct {
    guint16 mailbox;
    guint32 position; /* UID opened last */
    guint32 next;     /* first UID not asked for yet */
    guint streak;
    guint64 batch_octets, ahead;
    GQueue batches; /* of Batch, in order, dropped when the reader is past them */
    gint64 used;
} Stream;

typedef struct {
    guint16 mailbox;
    guint32 next, last; /* UIDs */
    gint64 since;       /* INTERNALDATE, or 0 */
    guint n_left;       /* for status */
} Wish;

struct ReadAhead {
    Store *store;
    Stream streams[MAX_STREAMS];
    GQueue wishes; /* of Wish */
    GArray *wish_jobs; /* of guint64 */
};

ReadAhead *read_ahead_new(Store *store)
{
    ReadAhead *read_ahead = g_new0(ReadAhead, 1);

    read_ahead->store = store;
    for (guint i = 0; i < MAX_STREAMS; i++)
        g_queue_init(&read_ahead->streams[i].batches);
    g_queue_init(&read_ahead->wishes);
    read_ahead->wish_jobs = g_array_new(FALSE, FALSE, sizeof(guint64));
    return read_ahead;
}

void read_ahead_free(ReadAhead *read_ahead)
{
    if (!read_ahead)
        return;
    for (guint i = 0; i < MAX_STREAMS; i++)
        g_queue_clear_full(&read_ahead->streams[i].batches, g_free);
    g_queue_clear_full(&read_ahead->wishes, g_free);
    g_array_unref(read_ahead->wish_jobs);
    g_free(read_ahead);
}

/* -- Batches ----------------------------------------------------------------------------------- */

typedef struct {
    guint32 from, to; /* UIDs */
    gint64 since;
    guint64 octets;
} Range;

/* Collects messages that are neither here nor coming, in UID order from range->from on, into
 * @messages and @uids.  Neighbours in the table become one range, also over UIDs that do not
 * exist.  Moves range->from past what was looked at; FALSE when nothing is left to look at. */
static gboolean collect(const Store *store, const Mailbox *mailbox, Range *range,
                        GPtrArray *messages, UidSet *uids)
{
    guint n = mailbox_n_messages(mailbox);
    guint64 octets = 0;
    guint32 before = 0; /* UID of the neighbour, when it was taken */

    for (guint i = mailbox_lower_bound(mailbox, range->from), scanned = 0; i < n;
         i++, scanned++) {
        Message *message = mailbox_nth(mailbox, i);
        gboolean wanted = !message->is_cached && !message->is_withheld &&
                          message->date >= range->since && message->size <= LIMIT_MESSAGE &&
                          !store_is_fetching(store, mailbox, message);

        if (message->uid > range->to)
            break;
        if (scanned >= SCAN || messages->len >= BATCH_MESSAGES ||
            (messages->len > 0 && octets + message->size > range->octets) ||
            uid_set_n_ranges(uids) >= MAX_RANGES)
            return TRUE;
        range->from = message->uid + 1;
        if (!wanted) {
            before = 0;
            continue;
        }
        g_ptr_array_add(messages, message);
        uid_set_add_range(uids, before ? before : message->uid, message->uid);
        octets += message->size;
        before = message->uid;
    }
    return FALSE;
}

static guint64 sum_sizes(GPtrArray *messages)
{
    guint64 octets = 0;

    for (guint i = 0; i < messages->len; i++)
        octets += ((Message *)g_ptr_array_index(messages, i))->size;
    return octets;
}

/* -- Streams ----------------------------------------------------------------------------------- */

static guint n_under_way(const Stream *stream)
{
    guint n = 0;

    for (GList *link = stream->batches.head; link; link = link->next)
        n += ((Batch *)link->data)->job != 0;
    return n;
}

static void top_up(ReadAhead *read_ahead, Stream *stream, Mailbox *mailbox)
{
    Store *store = read_ahead->store;

    if (stream->streak < STREAK || store->link > LINK_ONLINE || !store->backend)
        return;
    while (n_under_way(stream) < BATCHES && stream->ahead < AHEAD_OCTETS) {
        g_autoptr(GPtrArray) messages = g_ptr_array_new();
        g_autoptr(UidSet) uids = uid_set_new();
        Range range = {stream->next, G_MAXUINT32, 0, stream->batch_octets};
        Batch *batch;

        (void)collect(store, mailbox, &range, messages, uids);
        stream->next = range.from;
        if (messages->len == 0)
            return; /* the end, or a long way of cached mail: more when the reader has moved */
        batch = g_new0(Batch, 1);
        batch->octets = sum_sizes(messages);
        batch->last_uid = uid_set_max(uids);
        batch->job = store_fetch_bodies(store, mailbox, messages, uids, JOB_BULK);
        stream->ahead += batch->octets;
        g_queue_push_tail(&stream->batches, batch);
        stream->batch_octets = MIN(stream->batch_octets * 2, (guint64)MAX_OCTETS);
    }
}

static void move_to(Stream *stream, guint32 uid)
{
    stream->position = uid;
    stream->next = MAX(stream->next, uid + 1);
    stream->used = deadline_now();
    while (!g_queue_is_empty(&stream->batches)) {
        Batch *batch = g_queue_peek_head(&stream->batches);

        if (batch->last_uid >= uid)
            break;
        stream->ahead -= batch->octets;
        g_free(g_queue_pop_head(&stream->batches));
    }
}

/* The stream that @message continues: it lies at most NEAR messages after the last one. */
static Stream *find_stream(ReadAhead *read_ahead, const Mailbox *mailbox, const Message *message)
{
    guint at = mailbox_lower_bound(mailbox, message->uid);

    for (guint i = 0; i < MAX_STREAMS; i++) {
        Stream *stream = &read_ahead->streams[i];
        guint last;

        if (stream->streak == 0 || stream->mailbox != mailbox->number ||
            message->uid <= stream->position)
            continue;
        last = mailbox_lower_bound(mailbox, stream->position);
        if (at <= last + NEAR)
            return stream;
    }
    return NULL;
}

static void begin_stream(ReadAhead *read_ahead, const Mailbox *mailbox, const Message *message)
{
    Stream *oldest = &read_ahead->streams[0];

    for (guint i = 1; i < MAX_STREAMS; i++)
        if (read_ahead->streams[i].used < oldest->used)
            oldest = &read_ahead->streams[i];
    /* Its reader has gone elsewhere: what is only queued need not come. */
    for (GList *link = oldest->batches.head; link; link = link->next)
        if (((Batch *)link->data)->job)
            store_withdraw_fetch(read_ahead->store, ((Batch *)link->data)->job);
    g_queue_clear_full(&oldest->batches, g_free);
    oldest->mailbox = mailbox->number;
    oldest->streak = 1;
    oldest->ahead = 0;
    oldest->next = 0;
    oldest->batch_octets = FIRST_OCTETS;
    move_to(oldest, message->uid);
}

gboolean read_ahead_opened(ReadAhead *read_ahead, Mailbox *mailbox, Message *message)
{
    Stream *stream = find_stream(read_ahead, mailbox, message);

    if (!stream) {
        begin_stream(read_ahead, mailbox, message);
        return FALSE;
    }
    stream->streak++;
    if (stream->streak == STREAK) {
        /* This one is waited for: alone and at once.  The stream begins behind it. */
        move_to(stream, message->uid);
        top_up(read_ahead, stream, mailbox);
        return FALSE;
    }
    stream->next = MIN(stream->next, message->uid);
    stream->position = message->uid;
    top_up(read_ahead, stream, mailbox);
    move_to(stream, message->uid);
    return store_is_fetching(read_ahead->store, mailbox, message);
}

void read_ahead_passed(ReadAhead *read_ahead, Mailbox *mailbox, Message *message)
{
    Stream *stream = find_stream(read_ahead, mailbox, message);

    if (!stream)
        return;
    move_to(stream, message->uid);
    top_up(read_ahead, stream, mailbox);
}

/* -- Wishes ------------------------------------------------------------------------------------ */

static gboolean is_streaming(const ReadAhead *read_ahead)
{
    for (guint i = 0; i < MAX_STREAMS; i++)
        if (n_under_way(&read_ahead->streams[i]) > 0)
            return TRUE;
    return FALSE;
}

/* A batch of the first wish.  FALSE when the wish is fulfilled. */
static gboolean grant(ReadAhead *read_ahead, Wish *wish)
{
    Store *store = read_ahead->store;
    Mailbox *mailbox = account_find_number(store->account, wish->mailbox);
    g_autoptr(GPtrArray) messages = g_ptr_array_new();
    g_autoptr(UidSet) uids = uid_set_new();
    Range range = {wish->next, wish->last, wish->since, MAX_OCTETS / 2};
    gboolean more;
    guint64 job;

    if (!mailbox || mailbox->load != MAILBOX_LOADED)
        return FALSE;
    more = collect(store, mailbox, &range, messages, uids);
    wish->next = range.from;
    if (messages->len == 0)
        return more;
    if (disk_body_bytes(store->disk) + sum_sizes(messages) > store->params.config->cache_max) {
        g_message("%s: the cache is full (cache-max): %s is not fetched further",
                  store->account->id, mailbox->wire);
        return FALSE;
    }
    wish->n_left -= MIN(wish->n_left, messages->len);
    job = store_fetch_bodies(store, mailbox, messages, uids, JOB_BACKGROUND);
    g_array_append_val(read_ahead->wish_jobs, job);
    return more;
}

void read_ahead_resume(ReadAhead *read_ahead)
{
    Store *store = read_ahead->store;

    while (store->link == LINK_ONLINE && store->backend && !is_streaming(read_ahead) &&
           read_ahead->wish_jobs->len < WISH_BATCHES &&
           !g_queue_is_empty(&read_ahead->wishes))
        if (!grant(read_ahead, g_queue_peek_head(&read_ahead->wishes)))
            g_free(g_queue_pop_head(&read_ahead->wishes));
}

guint read_ahead_n_wanted(const ReadAhead *read_ahead)
{
    guint n = 0;

    for (GList *link = read_ahead->wishes.head; link; link = link->next)
        n += ((Wish *)link->data)->n_left;
    return n;
}

static guint wish_for(ReadAhead *read_ahead, const Mailbox *mailbox, const Wish *wish)
{
    Wish *copy = g_memdup2(wish, sizeof *wish);
    guint n;

    copy->mailbox = mailbox->number;
    for (guint i = mailbox_lower_bound(mailbox, wish->next); i < mailbox_n_messages(mailbox);
         i++) {
        const Message *message = mailbox_nth(mailbox, i);

        if (message->uid > wish->last)
            break;
        copy->n_left += !message->is_cached && !message->is_withheld &&
                        message->date >= wish->since;
    }
    if (copy->n_left == 0) {
        g_free(copy);
        return 0;
    }
    n = copy->n_left;
    g_queue_push_tail(&read_ahead->wishes, copy);
    read_ahead_resume(read_ahead);
    return n;
}

guint read_ahead_want(ReadAhead *read_ahead, Mailbox *mailbox, Message *message)
{
    Wish wish = {.next = message ? message->uid : 1,
                 .last = message ? message->uid : G_MAXUINT32};

    return wish_for(read_ahead, mailbox, &wish);
}

void read_ahead_policy(ReadAhead *read_ahead, Mailbox *mailbox)
{
    const ConfigAccount *config = read_ahead->store->params.config;
    Wish wish = {.next = 1, .last = G_MAXUINT32};

    if (config->prefetch == CONFIG_PREFETCH_HEADERS)
        return;
    if (config->prefetch == CONFIG_PREFETCH_RECENT)
        wish.since = store_now() - (gint64)config->prefetch_days * 24 * 3600;
    for (GList *link = read_ahead->wishes.head; link; link = link->next)
        if (((Wish *)link->data)->mailbox == mailbox->number &&
            ((Wish *)link->data)->last == G_MAXUINT32)
            return; /* on its way there already */
    wish_for(read_ahead, mailbox, &wish);
}

void read_ahead_job_done(ReadAhead *read_ahead, guint64 job)
{
    for (guint i = 0; i < read_ahead->wish_jobs->len; i++)
        if (g_array_index(read_ahead->wish_jobs, guint64, i) == job) {
            g_array_remove_index_fast(read_ahead->wish_jobs, i);
            break;
        }
    for (guint i = 0; i < MAX_STREAMS; i++) {
        Stream *stream = &read_ahead->streams[i];
        Mailbox *mailbox = account_find_number(read_ahead->store->account, stream->mailbox);

        for (GList *link = stream->batches.head; link; link = link->next) {
            Batch *batch = link->data;

            if (batch->job != job)
                continue;
            batch->job = 0;
            if (mailbox)
                top_up(read_ahead, stream, mailbox);
            break;
        }
    }
    read_ahead_resume(read_ahead);
}
