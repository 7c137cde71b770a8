/* What a name is good for in a mailbox. */
#include "fs/internal.h"

static void test_kinds(void)
{
    static const struct {
        const char *name;
        FsNameKind kind;
    } cases[] = {
        {"x.eml", NAME_MESSAGE},
        {"2026-05-13_2133_alice_Report.12345.eml", NAME_MESSAGE},
        {"\xd9\xbe\xdb\x8c\xd8\xa7\xd9\x85.eml", NAME_MESSAGE},
        {".x.eml.swp", NAME_SCRATCH},   /* vim */
        {".x.eml", NAME_SCRATCH},
        {".x.eml.AbCdEf", NAME_SCRATCH}, /* rsync */
        {"x.eml~", NAME_SCRATCH},
        {"#x.eml#", NAME_SCRATCH},      /* emacs */
        {"4913", NAME_SCRATCH},         /* vim looks whether it may write */
        {"sedAbCdEf", NAME_SCRATCH},
        {"x.eml.bak", NAME_SCRATCH},
        {"x.tmp", NAME_SCRATCH},
        {"sedAbCdE", NAME_REFUSED},
        {"sedAbCdE/", NAME_REFUSED},
        {"4914", NAME_REFUSED},
        {"x.txt", NAME_REFUSED},
        {"eml", NAME_REFUSED},
        {"x.eml.gz", NAME_REFUSED},
        {".git", NAME_REFUSED},
        {".DS_Store", NAME_REFUSED},
        {"._x.eml", NAME_REFUSED},
        {".Trash-1000", NAME_REFUSED},
        {"Thumbs.db", NAME_REFUSED},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        if (fs_name_kind(cases[i].name) != cases[i].kind)
            g_error("%s is of kind %d", cases[i].name, fs_name_kind(cases[i].name));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/names/kinds", test_kinds);
    return g_test_run();
}
