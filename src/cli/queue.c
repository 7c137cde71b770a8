/* `mailfs queue`: changes that the server has not made yet, or refused.
 *
 * It is about the accounts of the configuration.  The daemon of a mounted one is asked; of another
 * one the journal is read here, under the same lock that a daemon would take.
 */
#include "cli/queue.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/json-read.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "store/queue-json.h"
#include "tree/mailbox-name.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Until a dropped entry's octets are in lost+found: a copy of one message on a slow disk. */
enum { DROP_SECONDS = 60 };

static gboolean do_json;
static char *only_account;

static const GOptionEntry options_of_queue[] = {
    {"account", 'a', 0, G_OPTION_ARG_STRING, &only_account, "Only this account", "ACCOUNT"},
    {"json", 0, 0, G_OPTION_ARG_NONE, &do_json, "One JSON object a change, one a line", NULL},
    {NULL},
};

/* -- Without a daemon -------------------------------------------------------------------------- */

static void no_mailbox(Store *store, Mailbox *mailbox, gpointer user) {}
static void no_message(Store *store, Mailbox *mailbox, Message *message, gpointer user) {}
static void no_moved(Store *store, const StoreMoved *moved, gpointer user) {}
static void no_local(Store *store, Mailbox *mailbox, guint64 item, const char *name,
                     gpointer user)
{
}
static void no_state(Store *store, gpointer user) {}

static const StoreObserver nobody = {no_mailbox, no_mailbox, no_message, no_message, no_message,
                                     no_moved,   no_local,   no_mailbox, no_state};

static gboolean was_mounted(const ConfigAccount *account)
{
    g_autofree char *state = config_state_dir();
    g_autofree char *state_dir = g_build_filename(state, account->id, NULL);

    return g_file_test(state_dir, G_FILE_TEST_IS_DIR);
}

/* To be closed by store_close(). */
static Store *open_store(const ConfigAccount *account, GError **error)
{
    g_autofree char *cache = config_cache_dir();
    g_autofree char *state = config_state_dir();
    g_autofree char *cache_dir = g_build_filename(cache, account->id, NULL);
    g_autofree char *state_dir = g_build_filename(state, account->id, NULL);
    StoreParams params = {.config = account,
                          .show = mailbox_name_show,
                          .cache_dir = cache_dir,
                          .state_dir = state_dir,
                          .observer = &nobody};
    Store *store;

    store = store_open(&params, error);
    if (store && !store_queue_load(store, error))
        g_clear_pointer(&store, store_close);
    return store;
}

static gboolean has_entry(const Store *store, guint64 id)
{
    g_autoptr(GPtrArray) queue = store_queue(store);

    for (guint i = 0; i < queue->len; i++)
        if (((const JournalEntry *)g_ptr_array_index(queue, i))->id == id)
            return TRUE;
    return FALSE;
}

static gboolean drop_here(Store *store, guint64 id, GError **error)
{
    Deadline deadline = deadline_in(DROP_SECONDS);

    if (!store_queue_drop(store, id, error))
        return FALSE;
    while (has_entry(store, id)) {
        if (deadline_passed(deadline))
            return mail_fail(error, MAIL_ERROR_TIMEOUT, "the disk is too slow; look again with: "
                             "mailfs queue");
        (void)g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
    }
    return TRUE;
}

/* -- One account ------------------------------------------------------------------------------- */

typedef struct {
    const ConfigAccount *account;
    const CliMount *mount; /* or NULL */
    JsonArray *entries;    /* of the queue */
} Source;

static void source_free(gpointer data)
{
    Source *source = data;

    if (source->entries)
        json_array_unref(source->entries);
    g_free(source);
}

static JsonObject *ask_queue(const Source *source, const char *verb, const guint64 *id,
                             GError **error)
{
    g_autoptr(JsonObject) request = json_object_new();

    json_object_set_string_member(request, "command", "queue");
    json_object_set_string_member(request, "verb", verb);
    json_object_set_string_member(request, "path", source->account->id);
    if (id) {
        JsonArray *ids = json_array_new();

        json_array_add_int_element(ids, (gint64)*id);
        json_object_set_array_member(request, "ids", ids);
    }
    return cli_daemon_send(source->mount, request, error);
}

static gboolean read_entries(Source *source, GError **error)
{
    g_autoptr(JsonObject) reply = NULL;
    Store *store;

    if (source->mount) {
        JsonArray *entries;

        reply = ask_queue(source, "list", NULL, error);
        entries = reply ? json_read_array(reply, "entries") : NULL;
        source->entries = entries ? json_array_ref(entries) : json_array_new();
        return reply != NULL;
    }
    source->entries = json_array_new();
    if (!was_mounted(source->account))
        return TRUE;
    store = open_store(source->account, error);
    if (store)
        queue_json_append(store, source->entries);
    store_close(store);
    return store != NULL;
}

/* @id NULL (for retry alone): all. */
static gboolean act(const Source *source, const char *verb, const guint64 *id, GError **error)
{
    g_autoptr(JsonObject) reply = NULL;
    Store *store;
    gboolean ok;

    if (source->mount) {
        reply = ask_queue(source, verb, id, error);
        return reply != NULL;
    }
    if (g_str_equal(verb, "retry"))
        return mail_fail(error, MAIL_ERROR_OFFLINE,
                         "%s is not mounted; what waits goes out when it is: mailfs mount %s",
                         source->account->id, source->account->id);
    store = open_store(source->account, error);
    ok = store && drop_here(store, *id, error);
    store_close(store);
    return ok;
}

/* -- All accounts ------------------------------------------------------------------------------ */

typedef struct {
    Config *config;
    GPtrArray *mounts;
    GPtrArray *sources; /* of Source */
} Queue;

static void queue_clear(Queue *queue)
{
    g_clear_pointer(&queue->sources, g_ptr_array_unref);
    g_clear_pointer(&queue->mounts, g_ptr_array_unref);
    g_clear_pointer(&queue->config, config_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Queue, queue_clear)

static int queue_open(Queue *queue, const CliOptions *options)
{
    g_autoptr(GError) error = NULL;

    queue->sources = g_ptr_array_new_with_free_func(source_free);
    queue->config = config_load(options->config_path, &error);
    if (!queue->config || (only_account && !config_find(queue->config, only_account, &error)))
        return cli_fail_config(error);
    queue->mounts = cli_mounts_read(&error);
    if (!queue->mounts)
        return cli_fail(error);
    for (guint i = 0; i < queue->config->accounts->len; i++) {
        const ConfigAccount *account = g_ptr_array_index(queue->config->accounts, i);
        Source *source;

        if (only_account && !g_str_equal(only_account, account->id))
            continue;
        source = g_new0(Source, 1);
        source->account = account;
        source->mount = cli_mounts_serving(queue->mounts, account->id);
        g_ptr_array_add(queue->sources, source);
    }
    return EX_OK;
}

/* What one account has to hide must not hide the others. */
static int read_all(Queue *queue)
{
    int code = EX_OK;

    for (guint i = 0; i < queue->sources->len; i++) {
        Source *source = g_ptr_array_index(queue->sources, i);
        g_autoptr(GError) error = NULL;

        if (!read_entries(source, &error)) {
            int this_code = cli_fail(error);

            code = code ? code : this_code;
        }
    }
    return code;
}

static void print_entries(const Source *source, gboolean with_account)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;

    for (guint i = 0; i < json_array_get_length(source->entries); i++) {
        JsonObject *entry = json_read_element(source->entries, i);
        g_autofree char *line = NULL;

        if (entry && do_json) {
            g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), entry);

            line = json_to_string(root, FALSE);
        } else {
            line = cli_queue_line(entry, with_account, now);
        }
        printf("%s\n", line);
    }
}

static int list(Queue *queue)
{
    int code = read_all(queue);

    for (guint i = 0; i < queue->sources->len; i++)
        print_entries(g_ptr_array_index(queue->sources, i), queue->sources->len > 1);
    return code;
}

static gboolean source_has(const Source *source, guint64 id)
{
    for (guint i = 0; i < json_array_get_length(source->entries); i++)
        if ((guint64)json_read_number(json_read_element(source->entries, i), "id") == id)
            return TRUE;
    return FALSE;
}

/* Accounts count each for itself, so a number may mean several changes. */
static const Source *find_source(const Queue *queue, guint64 id, GError **error)
{
    const Source *found = NULL;

    for (guint i = 0; i < queue->sources->len; i++) {
        const Source *source = g_ptr_array_index(queue->sources, i);

        if (!source_has(source, id))
            continue;
        if (found) {
            mail_fail(error, MAIL_ERROR_INVALID,
                      "%s and %s both have a change %" G_GUINT64_FORMAT "; say which with -a",
                      found->account->id, source->account->id, id);
            return NULL;
        }
        found = source;
    }
    if (!found)
        mail_fail(error, MAIL_ERROR_GONE,
                  "there is no change %" G_GUINT64_FORMAT "; see: mailfs queue", id);
    return found;
}

/* 0 is what a POP3 server is owed: it can be dropped, and is always tried again. */
static int act_on_ids(Queue *queue, const char *verb, char **words)
{
    guint64 min = g_str_equal(verb, "drop") ? 0 : 1;
    int code = read_all(queue);

    for (; *words; words++) {
        g_autoptr(GError) error = NULL;
        const Source *source = NULL;
        guint64 id = 0;

        if (g_ascii_string_to_unsigned(*words, 10, min, G_MAXINT64, &id, NULL))
            source = find_source(queue, id, &error);
        else
            mail_fail(&error, MAIL_ERROR_INVALID, "\"%s\" is not the number of a change", *words);
        if (!source || !act(source, verb, &id, &error)) {
            int this_code = cli_fail(error);

            code = code ? code : this_code;
        }
    }
    return code;
}

static int retry_all(Queue *queue)
{
    int code = EX_OK;

    for (guint i = 0; i < queue->sources->len; i++) {
        const Source *source = g_ptr_array_index(queue->sources, i);
        g_autoptr(GError) error = NULL;

        if ((source->mount || queue->sources->len == 1) && !act(source, "retry", NULL, &error)) {
            int this_code = cli_fail(error);

            code = code ? code : this_code;
        }
    }
    return code;
}

int cli_main_queue(int argc, char **argv, const CliOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_auto(Queue) queue = {0};
    const char *verb;
    gboolean has_ids;
    int code;

    if (!cli_parse(&argc, &argv, options_of_queue, 0, INT_MAX, &error))
        return cli_usage("queue", error);
    verb = argc > 1 ? argv[1] : "list";
    has_ids = argc > 2;
    if (g_str_equal(verb, "drop") ? !has_ids
        : g_str_equal(verb, "list") ? has_ids
                                    : !g_str_equal(verb, "retry")) {
        mail_fail(&error, MAIL_ERROR_INVALID,
                  "queue: list, retry, or drop with the numbers of changes");
        return cli_usage("queue", error);
    }
    code = queue_open(&queue, options);
    if (code != EX_OK)
        return code;
    if (has_ids)
        return act_on_ids(&queue, verb, argv + 2);
    return g_str_equal(verb, "retry") ? retry_all(&queue) : list(&queue);
}
