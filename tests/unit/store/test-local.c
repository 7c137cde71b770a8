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
        /* Qt, GLib, patch; dos2unix, gawk, perl; rclone, Chrome */
        {"x.eml.AbCdEf", TRUE, FALSE}, {"x.eml.K3PQ7A", TRUE, FALSE},
        {"x.eml.oAbCdEf", TRUE, FALSE}, {"x.eml.rAbC1Ef", TRUE, FALSE},
        {"x.eml.rej", TRUE, FALSE},   {"d2utmpAb12Cd", TRUE, FALSE},
        {"x.eml.gawk.Ab12Cd", TRUE, FALSE}, {"XXHYoPlS", TRUE, FALSE},
        {"x.eml.1f2e3d4c.partial", TRUE, FALSE}, {"x.eml.crdownload", TRUE, FALSE},
        {"x.eml.gz", FALSE, FALSE},   {"x.eml.zip", FALSE, FALSE},
        {"x.eml.sha256", FALSE, FALSE}, {"x.eml.AbCdE", FALSE, FALSE},
        {"x.eml.AbCd.f", FALSE, FALSE}, {"x.eml.nAbCdEf", FALSE, FALSE},
        {"x.txt.AbCdEf", FALSE, FALSE}, {"eml.AbCdEf", FALSE, FALSE},
        {"d2utmp", FALSE, FALSE},     {"gawk.Ab12Cd", FALSE, FALSE},
        {"XXHYoPl", FALSE, FALSE},    {"Makefile", FALSE, FALSE},
        {"document", FALSE, FALSE},   {"a.b", FALSE, FALSE},
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
