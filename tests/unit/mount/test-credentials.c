/* Where passwords come from, when they are fetched again, and what is said when they cannot be. */
#include "mount/credentials.h"
#include "base/error.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char *folder;
    ConfigAccount account;
    GPtrArray *accounts;
    Credentials *credentials;

    guint n_answers;
    guint32 last_id;
    char *secret; /* of the last answer, or NULL */
    GError *error;
} Bed;

static void take_answer(guint32 id, Secret *secret, const GError *error, gpointer user)
{
    Bed *bed = user;

    g_assert_true((secret != NULL) != (error != NULL));
    bed->n_answers++;
    bed->last_id = id;
    g_free(bed->secret);
    g_clear_error(&bed->error);
    bed->secret = secret ? g_strdup(secret_text(secret)) : NULL;
    bed->error = error ? g_error_copy(error) : NULL;
}

static void set_up(Bed *bed, gconstpointer data)
{
    bed->folder = g_dir_make_tmp("mailfs-credentials-XXXXXX", NULL);
    bed->account.id = (char *)"work";
    bed->account.user = (char *)"ali";
    bed->accounts = g_ptr_array_new();
    g_ptr_array_add(bed->accounts, &bed->account);
    bed->credentials = credentials_new(bed->accounts, "/the/mailfs.conf", take_answer, bed);
}

static void tear_down(Bed *bed, gconstpointer data)
{
    g_autofree char *file = g_build_filename(bed->folder, "pw", NULL);

    credentials_free(bed->credentials);
    g_ptr_array_unref(bed->accounts);
    (void)unlink(file);
    (void)rmdir(bed->folder);
    g_free(bed->folder);
    g_free(bed->secret);
    g_clear_error(&bed->error);
}

/* Polls as the supervisor does, until @n answers have come. */
static void wait_for(Bed *bed, guint n)
{
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(struct pollfd));

    while (bed->n_answers < n) {
        g_array_set_size(fds, 0);
        credentials_poll(bed->credentials, fds);
        g_assert_cmpuint(fds->len, >, 0);
        (void)poll((struct pollfd *)(void *)fds->data, fds->len,
                   deadline_poll_ms(credentials_deadline(bed->credentials)));
        credentials_handle(bed->credentials);
    }
}

static void assert_locked(const Bed *bed, const char *words)
{
    g_assert_null(bed->secret);
    g_assert_error(bed->error, MAIL_ERROR, MAIL_ERROR_LOCKED);
    g_assert_nonnull(strstr(bed->error->message, words));
}

/* Each run of the command appends to a file and prints how often it ran. */
static void test_command_runs_once(Bed *bed, gconstpointer data)
{
    g_autofree char *script =
        g_strdup_printf("echo >> %s/pw; wc -l < %s/pw; echo second line", bed->folder, bed->folder);
    const char *argv[] = {"/bin/sh", "-c", script, NULL};

    bed->account.secret.password_command = (char **)argv;
    /* Those who ask while it runs share the answer. */
    credentials_get(bed->credentials, "work", FALSE, 1);
    credentials_get(bed->credentials, "work", FALSE, 2);
    g_assert_cmpuint(bed->n_answers, ==, 0);
    wait_for(bed, 2);
    g_assert_cmpstr(bed->secret, ==, "1");
    /* Then it is remembered ... */
    credentials_get(bed->credentials, "work", FALSE, 3);
    g_assert_cmpuint(bed->n_answers, ==, 3);
    g_assert_cmpuint(bed->last_id, ==, 3);
    g_assert_cmpstr(bed->secret, ==, "1");
    /* ... until the server refuses it. */
    credentials_get(bed->credentials, "work", TRUE, 4);
    wait_for(bed, 4);
    g_assert_cmpstr(bed->secret, ==, "2");
}

static void test_command_failures(Bed *bed, gconstpointer data)
{
    static const struct {
        const char *script, *words;
    } cases[] = {
        {"echo out; echo the keyring is locked >&2; exit 1", "exit code 1: the keyring is locked"},
        {"true", "empty first line"},
        {"echo; echo late", "empty first line"},
        {"printf 'a\\000b\\n'", "NUL"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *argv[] = {"/bin/sh", "-c", cases[i].script, NULL};

        bed->account.secret.password_command = (char **)argv;
        credentials_get(bed->credentials, "work", FALSE, (guint32)i);
        wait_for(bed, (guint)i + 1);
        assert_locked(bed, cases[i].words);
        g_assert_nonnull(strstr(bed->error->message, "account work"));
        g_assert_null(strstr(bed->error->message, "out"));
    }
}

static void test_file(Bed *bed, gconstpointer data)
{
    g_autofree char *path = g_build_filename(bed->folder, "pw", NULL);

    bed->account.secret.password_file = path;
    credentials_get(bed->credentials, "work", FALSE, 1);
    assert_locked(bed, "No such file");
    g_assert_true(g_file_set_contents(path, "pass word\r\nrest\n", -1, NULL));
    g_assert_cmpint(chmod(path, 0640), ==, 0);
    credentials_get(bed->credentials, "work", FALSE, 2);
    assert_locked(bed, "chmod 600");
    g_assert_cmpint(chmod(path, 0600), ==, 0);
    credentials_get(bed->credentials, "work", FALSE, 3);
    g_assert_cmpstr(bed->secret, ==, "pass word");

    /* Changed on the disk: seen after a refusal. */
    g_assert_true(g_file_set_contents(path, "new", -1, NULL));
    g_assert_cmpint(chmod(path, 0400), ==, 0);
    credentials_get(bed->credentials, "work", FALSE, 4);
    g_assert_cmpstr(bed->secret, ==, "pass word");
    credentials_get(bed->credentials, "work", TRUE, 5);
    g_assert_cmpstr(bed->secret, ==, "new");

    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(symlink("/etc/hostname", path), ==, 0);
    credentials_get(bed->credentials, "work", TRUE, 6);
    assert_locked(bed, "symbolic link");
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    credentials_get(bed->credentials, "work", TRUE, 7); /* would hang if it were opened plainly */
    assert_locked(bed, path);
}

static void test_credential(Bed *bed, gconstpointer data)
{
    g_autofree char *path = g_build_filename(bed->folder, "pw", NULL);

    g_assert_true(g_file_set_contents(path, "from systemd\n", -1, NULL));
    bed->account.secret.credential = (char *)"pw";
    g_unsetenv("CREDENTIALS_DIRECTORY");
    credentials_get(bed->credentials, "work", FALSE, 1);
    assert_locked(bed, "LoadCredential=pw");
    g_setenv("CREDENTIALS_DIRECTORY", bed->folder, TRUE);
    credentials_get(bed->credentials, "work", FALSE, 2);
    g_assert_cmpstr(bed->secret, ==, "from systemd");
    bed->account.secret.credential = (char *)"../pw";
    credentials_get(bed->credentials, "work", TRUE, 3);
    assert_locked(bed, "not the name");
}

static void test_nothing_configured(Bed *bed, gconstpointer data)
{
    credentials_get(bed->credentials, "work", FALSE, 1);
    g_assert_error(bed->error, MAIL_ERROR, MAIL_ERROR_AUTH);
    g_assert_nonnull(strstr(bed->error->message, "/the/mailfs.conf"));
    credentials_get(bed->credentials, "nobody", FALSE, 2);
    g_assert_error(bed->error, MAIL_ERROR, MAIL_ERROR_INVALID);
}

static void test_limits_and_end(Bed *bed, gconstpointer data)
{
    const char *argv[] = {"/bin/sleep", "60", NULL};
    gint64 began = deadline_now();

    bed->account.secret.token_command = (char **)argv;
    for (guint32 i = 0; i <= CREDENTIALS_MAX_WAITING; i++)
        credentials_get(bed->credentials, "work", FALSE, i);
    g_assert_cmpuint(bed->n_answers, ==, 1);
    g_assert_error(bed->error, MAIL_ERROR, MAIL_ERROR_BUSY);
    credentials_stop(bed->credentials);
    g_assert_cmpuint(bed->n_answers, ==, CREDENTIALS_MAX_WAITING + 1);
    g_assert_error(bed->error, MAIL_ERROR, MAIL_ERROR_CANCELLED);
    credentials_get(bed->credentials, "work", FALSE, 100);
    g_assert_error(bed->error, MAIL_ERROR, MAIL_ERROR_CANCELLED);
    g_assert_cmpint(deadline_now() - began, <, 30 * G_USEC_PER_SEC);
}

#define ADD(name, function)                                                                       \
    g_test_add("/mount/credentials/" name, Bed, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("command-runs-once", test_command_runs_once);
    ADD("command-failures", test_command_failures);
    ADD("file", test_file);
    ADD("credential", test_credential);
    ADD("nothing-configured", test_nothing_configured);
    ADD("limits-and-end", test_limits_and_end);
    return g_test_run();
}
