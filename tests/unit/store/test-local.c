/* Which names are an editor's, a desktop's, and nobody's. */
#include "store/local.h"

static void test_names(void)
{
    static const struct {
        const char *name;
        gboolean is_scratch, is_junk;
    } cases[] = {
        {".x.eml.swp", TRUE, FALSE},  {".x.eml.Xa3kP1", TRUE, FALSE}, {"x.eml~", TRUE, FALSE},
        {"#x.eml#", TRUE, FALSE},     {".#x.eml", TRUE, FALSE},       {"4913", TRUE, FALSE},
        {"sedAb12Cd", TRUE, FALSE},   {"x.tmp", TRUE, FALSE},         {"x.eml.bak", TRUE, FALSE},
        {"x.eml", FALSE, FALSE},      {"sedAb12C", FALSE, FALSE},     {"sedAb12C!", FALSE, FALSE},
        {"sedated.eml", FALSE, FALSE}, {"#", FALSE, FALSE},           {"##", FALSE, FALSE},
        {"notes.txt", FALSE, FALSE},  {"4914", FALSE, FALSE},         {".git", FALSE, TRUE},
        {".DS_Store", FALSE, TRUE},   {"._x.eml", FALSE, TRUE},       {".Trash-1000", FALSE, TRUE},
        {"Thumbs.db", FALSE, TRUE},   {".directory", FALSE, TRUE},    {"~", TRUE, FALSE},
        {"نامه.eml~", TRUE, FALSE},   {"نامه.eml", FALSE, FALSE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].name);
        g_assert_cmpint(local_is_scratch_name(cases[i].name), ==, cases[i].is_scratch);
        g_assert_cmpint(local_is_junk_name(cases[i].name), ==, cases[i].is_junk);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/local/names", test_names);
    return g_test_run();
}
