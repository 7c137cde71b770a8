/* Names of files in a Maildir, as anybody may give them: their base and their flags are the same
 * after each renaming. */
#include "fuzz.h"

#include "store/maildir.h"

#include <stdlib.h>
#include <string.h>

static void check(gboolean holds)
{
    if (!holds)
        abort();
}

static void rename_to(const char *name, guint16 flags, gboolean is_passed)
{
    g_autofree char *base = maildir_file_base(name), *base_after = NULL;
    g_autofree char *after = maildir_file_rename(name, flags, is_passed);
    g_autoptr(MaildirFile) file = maildir_file_parse(after, FALSE);

    check(file && file->flags == flags && file->is_passed == is_passed);
    base_after = maildir_file_base(after);
    check(strcmp(base, base_after) == 0 && !strpbrk(base, "\r\n:"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *name = g_strndup((const char *)data, size);
    g_autoptr(MaildirFile) file = maildir_file_parse(name, FALSE);
    g_autoptr(MaildirFile) fresh = maildir_file_parse(name, TRUE);

    check(!file == !fresh);
    if (!file)
        return 0;
    check(!(fresh->flags & MESSAGE_SEEN));
    rename_to(name, file->flags, file->is_passed);
    rename_to(name, 0, FALSE);
    rename_to(name, MESSAGE_SEEN | MESSAGE_DRAFT, TRUE);
    return 0;
}
