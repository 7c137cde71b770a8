/* `mailfs mv`, `rm` and `flag`: many messages in one command.
 *
 * mv(1) and rm(1) work on a mount as well, but wait for the server at each file.  Here all files
 * go to the daemon in one request, which asks the server in sets.
 */
#include "base/error.h"
#include "base/json-read.h"
#include "cli/commands.h"
#include "cli/daemon.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

typedef struct {
    const char *command;
    GPtrArray *mounts;
    const CliMount *mount; /* of the first path; all others lie in it */
    GHashTable *arguments; /* path in the mount -> as it was written (borrowed) */
    JsonArray *paths;
} Change;

static void change_init(Change *change, const char *command)
{
    *change = (Change){.command = command, .paths = json_array_new()};
    change->arguments = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void change_clear(Change *change)
{
    g_clear_pointer(&change->mounts, g_ptr_array_unref);
    g_hash_table_unref(change->arguments);
    json_array_unref(change->paths);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Change, change_clear)

/* -- Paths ------------------------------------------------------------------------------------- */

/* The mount of a path and the path in it.  The name itself need not exist; what leads to it may
 * hold links. */
static const CliMount *find_mount(GPtrArray *mounts, const char *argument, char **ret_relative)
{
    g_autofree char *path = g_canonicalize_filename(argument, NULL);
    const CliMount *mount = cli_mounts_by_path(mounts, path, ret_relative);
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *resolved = mount ? NULL : realpath(directory, NULL);
    g_autofree char *real = resolved ? g_build_filename(resolved, name, NULL) : NULL;

    return real ? cli_mounts_by_path(mounts, real, ret_relative) : mount;
}

/* The path of @argument below the mount that all have in common.  The caller owns it. */
static char *locate(Change *change, const char *argument, GError **error)
{
    g_autofree char *relative = NULL;
    const CliMount *mount = find_mount(change->mounts, argument, &relative);

    if (!mount)
        mail_fail(error, MAIL_ERROR_OFFLINE, "%s is not in a mailbox that is mounted", argument);
    else if (change->mount && mount != change->mount)
        mail_fail(error, MAIL_ERROR_INVALID,
                  "%s is in another mount than the first file; %s(1) can work on both", argument,
                  change->command);
    else if (!g_utf8_validate(relative, -1, NULL))
        mail_fail(error, MAIL_ERROR_INVALID, "the name of %s is not UTF-8", argument);
    else {
        change->mount = mount;
        return g_steal_pointer(&relative);
    }
    return NULL;
}

static gboolean add_files(Change *change, int n, char **arguments, GError **error)
{
    change->mounts = cli_mounts_read(error);
    if (!change->mounts)
        return FALSE;
    for (int i = 0; i < n; i++) {
        char *path = locate(change, arguments[i], error);

        if (!path)
            return FALSE;
        if (!*path) {
            g_free(path);
            return mail_fail(error, MAIL_ERROR_INVALID, "%s is a mount point", arguments[i]);
        }
        json_array_add_string_element(change->paths, path);
        g_hash_table_replace(change->arguments, path, arguments[i]);
    }
    return TRUE;
}

/* -- Asking ------------------------------------------------------------------------------------ */

static gboolean draw(JsonObject *state, gpointer what)
{
    cli_draw_progress(what, state);
    return TRUE;
}

/* The path of @object as it was written. */
static const char *argument_of(const Change *change, JsonObject *object)
{
    const char *path = json_object_get_string_member_with_default(object, "path", NULL);
    const char *argument = path ? g_hash_table_lookup(change->arguments, path) : NULL;

    return argument ? argument : "?";
}

static int tell_failures(const Change *change, JsonObject *state)
{
    JsonArray *failures = json_read_array(state, "failures");
    guint n = failures ? json_array_get_length(failures) : 0;
    gint64 n_failed = json_read_number(state, "failed");
    int code = EX_OK;

    for (guint i = 0; i < n; i++) {
        JsonObject *failure = json_read_element(failures, i);
        g_autoptr(GError) error = failure ? cli_daemon_error(failure) : NULL;

        if (!error)
            continue;
        fprintf(stderr, "mailfs: %s %s: %s\n", change->command, argument_of(change, failure),
                error->message);
        code = code ? code : cli_exit_code(error);
    }
    if (n_failed > n)
        fprintf(stderr, "mailfs: %s: %" G_GINT64_FORMAT " files failed in all\n",
                change->command, n_failed);
    return code || n_failed == 0 ? code : EX_TEMPFAIL;
}

/* The words of an array of texts, each with a blank in front unless it is the first. */
static void append_words(GString *out, JsonObject *object, const char *member)
{
    JsonArray *array = json_read_array(object, member);

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        g_autofree char *word = json_read_text_element(array, i);

        g_string_append_printf(out, "%s%s", out->len ? " " : "", word ? word : "?");
    }
}

static void print_files(const Change *change, JsonObject *state)
{
    JsonArray *files = json_read_array(state, "files");

    for (guint i = 0; files && i < json_array_get_length(files); i++) {
        JsonObject *file = json_read_element(files, i);
        g_autoptr(GString) words = g_string_new(NULL);

        append_words(words, file, "flags");
        append_words(words, file, "keywords");
        if (file)
            printf("%s\t%s\n", argument_of(change, file), words->str);
    }
}

/* Sends @request, to which the paths are added, and waits for its end. */
static int run(Change *change, JsonObject *request)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) reply = NULL, state = NULL;
    g_autofree char *what = g_strdup(change->command);

    json_object_set_string_member(request, "command", change->command);
    json_object_set_array_member(request, "paths", json_array_ref(change->paths));
    reply = cli_daemon_send(change->mount, request, &error);
    if (reply)
        state = cli_daemon_follow(change->mount, reply, draw, what, &error);
    cli_draw_progress(what, NULL);
    if (!state) {
        g_prefix_error(&error, "%s: ", change->command);
        return cli_fail(error);
    }
    print_files(change, state);
    return tell_failures(change, state);
}

/* -- Commands ---------------------------------------------------------------------------------- */

int cli_main_mv(int argc, char **argv, const CliOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) request = json_object_new();
    g_auto(Change) change = {0};
    g_autofree char *to = NULL;

    change_init(&change, "mv");
    if (!cli_parse(&argc, &argv, NULL, 2, INT_MAX, &error))
        return cli_usage("mv", error);
    if (!add_files(&change, argc - 2, argv + 1, &error) ||
        !(to = locate(&change, argv[argc - 1], &error)))
        return cli_fail(error);
    json_object_set_string_member(request, "to", to);
    return run(&change, request);
}

int cli_main_rm(int argc, char **argv, const CliOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) request = json_object_new();
    g_auto(Change) change = {0};

    change_init(&change, "rm");
    if (!cli_parse(&argc, &argv, NULL, 1, INT_MAX, &error))
        return cli_usage("rm", error);
    if (!add_files(&change, argc - 1, argv + 1, &error))
        return cli_fail(error);
    return run(&change, request);
}

/* Words with a sign are flags, wherever they stand; after "--" there are only files. */
static gboolean sort_words(char **words, GPtrArray *files, JsonObject *request, GError **error)
{
    JsonArray *add = json_array_new(), *remove = json_array_new();
    gboolean only_files = FALSE;

    json_object_set_array_member(request, "add", add);
    json_object_set_array_member(request, "remove", remove);
    for (; *words; words++) {
        const char *word = *words;

        if (!only_files && g_str_equal(word, "--"))
            only_files = TRUE;
        else if (only_files || (word[0] != '+' && word[0] != '-'))
            g_ptr_array_add(files, *words);
        else if (!g_utf8_validate(word, -1, NULL) || g_str_has_prefix(word, "--"))
            return mail_fail(error, MAIL_ERROR_INVALID, "flag: unknown option %s", word);
        else
            json_array_add_string_element(word[0] == '+' ? add : remove, word + 1);
    }
    return files->len > 0 || mail_fail(error, MAIL_ERROR_INVALID, "flag: no file is named");
}

int cli_main_flag(int argc, char **argv, const CliOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) request = json_object_new();
    g_autoptr(GPtrArray) files = g_ptr_array_new();
    g_auto(Change) change = {0};

    change_init(&change, "flag");
    if (!sort_words(argv + 1, files, request, &error))
        return cli_usage("flag", error);
    if (!add_files(&change, (int)files->len, (char **)files->pdata, &error))
        return cli_fail(error);
    return run(&change, request);
}
