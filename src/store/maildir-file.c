/* Names of files in a Maildir: BASE, or BASE:2,FLAGS, the letters in the order of ASCII.
 *
 *     D \Draft   F \Flagged   P $Forwarded ("passed")   R \Answered   S \Seen   T \Deleted
 *
 * Other letters are others' (Dovecot keeps keywords as a to z) and stay as they are.  So does
 * ",U=n" in the base, mbsync's number of the message: it gives and changes these by renaming, and
 * the message is the same.
 */
#include "store/maildir.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INFO ":2,"
#define NUMBER ",U="

static const struct {
    char letter;
    guint16 flag; /* 0: passed */
} letters[] = {
    {'D', MESSAGE_DRAFT},    {'F', MESSAGE_FLAGGED}, {'P', 0},
    {'R', MESSAGE_ANSWERED}, {'S', MESSAGE_SEEN},    {'T', MESSAGE_DELETED},
};

/* What follows ":2,"; "" where there is nothing like it. */
static const char *letters_of(const char *name)
{
    const char *info = strchr(name, ':');

    return info && g_str_has_prefix(info, INFO) ? info + strlen(INFO) : "";
}

static gboolean is_ours(char letter)
{
    for (guint i = 0; i < G_N_ELEMENTS(letters); i++)
        if (letters[i].letter == letter)
            return TRUE;
    return FALSE;
}

MaildirFile *maildir_file_parse(const char *name, gboolean is_new)
{
    const char *info = letters_of(name);
    MaildirFile *file;

    if (name[0] == '.' || name[0] == ':' || name[0] == '\0')
        return NULL;
    file = g_new0(MaildirFile, 1);
    file->name = g_strdup(name);
    file->is_new = is_new;
    for (guint i = 0; i < G_N_ELEMENTS(letters); i++) {
        if (!strchr(info, letters[i].letter))
            continue;
        file->flags |= letters[i].flag;
        file->is_passed = file->is_passed || letters[i].flag == 0;
    }
    /* Nobody has looked at what is in new/. */
    if (is_new)
        file->flags &= (guint16)~MESSAGE_SEEN;
    return file;
}

void maildir_file_free(MaildirFile *file)
{
    if (!file)
        return;
    g_free(file->name);
    g_free(file);
}

/* The octets of ",U=123" at @p; 0 where there is nothing like it. */
static gsize length_of_number(const char *p)
{
    gsize n = g_str_has_prefix(p, NUMBER) ? strspn(p + strlen(NUMBER), "0123456789") : 0;
    gsize length = strlen(NUMBER) + n;

    return n > 0 && strchr(",:", p[length]) ? length : 0; /* strchr() finds the end, too */
}

char *maildir_file_base(const char *name)
{
    GString *base = g_string_new(NULL);

    for (const char *p = name; *p && *p != ':';) {
        gsize skipped = p > name ? length_of_number(p) : 0;

        if (skipped == 0 && (*p == '\r' || *p == '\n'))
            g_string_append_printf(base, "%%%02X", (guint)*p);
        else if (skipped == 0)
            g_string_append_c(base, *p);
        p += MAX(skipped, 1);
    }
    return g_string_free(base, FALSE);
}

static int compare_letters(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

char *maildir_file_rename(const char *name, guint16 flags, gboolean is_passed)
{
    g_autofree char *base = g_strndup(name, strcspn(name, ":"));
    g_autoptr(GString) all = g_string_new(NULL);

    for (guint i = 0; i < G_N_ELEMENTS(letters); i++)
        if (letters[i].flag ? (flags & letters[i].flag) != 0 : is_passed)
            g_string_append_c(all, letters[i].letter);
    for (const char *p = letters_of(name); *p; p++)
        if (!is_ours(*p) && !strchr(all->str, *p))
            g_string_append_c(all, *p);
    qsort(all->str, all->len, 1, compare_letters);
    return g_strconcat(base, INFO, all->str, NULL);
}

char *maildir_file_key(const char *base)
{
    return g_strconcat(MAILDIR_KEY, base, NULL);
}

char *maildir_file_unique(void)
{
    static int counter; /* atomic */
    gint64 now = g_get_real_time();
    GString *host = g_string_new(NULL);
    char *base;

    /* As the specification has it for '/' and ':'; and a name that is no trouble anywhere. */
    for (const char *p = g_get_host_name(); *p && host->len < 64; p++)
        if (g_ascii_isalnum(*p) || *p == '-' || *p == '.')
            g_string_append_c(host, *p);
        else
            g_string_append_printf(host, "\\%03o", (guchar)*p);
    base = g_strdup_printf("%" G_GINT64_FORMAT ".M%" G_GINT64_FORMAT "P%dQ%dR%08x.%s",
                           now / G_USEC_PER_SEC, now % G_USEC_PER_SEC, (int)getpid(),
                           g_atomic_int_add(&counter, 1), g_random_int(), host->str);
    g_string_free(host, TRUE);
    return base;
}
