/* Numbers out of /proc/PID/status. */
#include "fs/process.h"

#include <unistd.h>

static const char status[] = "Name:\tTgid: 5\n"
                             "Umask:\t0022\n"
                             "Tgid:\t4711\n"
                             "Ngid:\t\n"
                             "Pid:\t-3\n"
                             "PPid:\t12\n"
                             "SigPnd:\t0000000000000100\n"
                             "ShdPnd:\tffffffffffffffff";

static void test_numbers(void)
{
    static const struct {
        const char *name;
        guint base;
        gboolean is_there;
        guint64 number;
    } cases[] = {
        {"Tgid", 10, TRUE, 4711},     {"Umask", 8, TRUE, 022},
        {"SigPnd", 16, TRUE, 0x100},  {"ShdPnd", 16, TRUE, G_MAXUINT64},
        {"Tgi", 10, FALSE, 0},        {"Ngid", 10, FALSE, 0}, /* not the next line's */
        {"Pid", 10, FALSE, 0},        {"Name", 10, FALSE, 0},
        {"Nothing", 10, FALSE, 0},    {"PPid", 10, TRUE, 12},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint64 number = 0;

        g_assert_cmpint(
            process_status_number(status, cases[i].name, cases[i].base, &number), ==,
            cases[i].is_there);
        g_assert_cmpuint(number, ==, cases[i].number);
    }
}

static gpointer in_thread(gpointer data)
{
    return GINT_TO_POINTER((int)process_of(gettid()));
}

static void test_threads(void)
{
    GThread *thread = g_thread_new("other", in_thread, NULL);

    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, getpid());
    g_assert_cmpint(process_of(getpid()), ==, getpid());
    g_assert_false(process_is_dying(getpid()));
    g_assert_cmpint(process_of(-1), ==, 0);
    g_assert_true(process_is_dying(-1));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/process/numbers", test_numbers);
    g_test_add_func("/process/threads", test_threads);
    return g_test_run();
}
