/* One line a mount, fields between blanks, and no end of them but a lone hyphen.  See mountinfo.h.
 *
 * The text comes from the kernel, but names in it are whoever's who mounts: they are decoded
 * after the fields were split, and nothing is taken for an option but a whole word.
 */
#include "base/mountinfo.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>

void mountinfo_entry_free(MountinfoEntry *entry)
{
    if (!entry)
        return;
    g_free(entry->dir);
    g_free(entry->type);
    g_free(entry->source);
    g_free(entry);
}

static gboolean is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Undoes the kernel's \040 for blanks, tabs, newlines, '#' and backslashes. */
static char *decode(const char *field)
{
    char *text = g_malloc(strlen(field) + 1), *out = text;

    for (const char *p = field; *p; out++) {
        if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && is_octal(p[2]) && is_octal(p[3])) {
            *out = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
            p += 4;
        } else {
            *out = *p++;
        }
    }
    *out = '\0';
    return text;
}

/* "user_id=1000" among the options of the super block. */
static void read_user(MountinfoEntry *entry, const char *options)
{
    static const char name[] = "user_id=";
    g_auto(GStrv) words = g_strsplit(options, ",", -1);

    for (guint i = 0; words[i]; i++) {
        const char *value = g_str_has_prefix(words[i], name) ? words[i] + strlen(name) : NULL;
        guint64 user;

        if (!value || !text_parse_number(value, strlen(value), G_MAXUINT32 - 1, &user))
            continue;
        entry->has_user = TRUE;
        entry->user = (uid_t)user;
    }
}

/* "0:57" of a file system without a disk. */
static guint32 read_device(const char *field)
{
    guint64 minor;

    if (!g_str_has_prefix(field, "0:") ||
        !text_parse_number(field + 2, strlen(field + 2), G_MAXUINT32, &minor))
        return 0;
    return (guint32)minor;
}

/* "36 35 98:0 /root /mnt rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue":
 * there are any number of fields before the lone hyphen. */
static MountinfoEntry *parse_line(const char *line)
{
    enum { ID = 0, DEVICE = 2, DIR = 4, OPTIONAL = 6 };
    enum { TYPE = 1, SOURCE, OPTIONS }; /* behind the hyphen */
    g_auto(GStrv) fields = g_strsplit(line, " ", -1);
    guint n = g_strv_length(fields), hyphen = OPTIONAL;
    MountinfoEntry *entry;
    guint64 id;

    while (hyphen < n && strcmp(fields[hyphen], "-") != 0)
        hyphen++;
    if (hyphen + OPTIONS >= n ||
        !text_parse_number(fields[ID], strlen(fields[ID]), G_MAXUINT64, &id))
        return NULL;
    entry = g_new0(MountinfoEntry, 1);
    entry->id = id;
    entry->device = read_device(fields[DEVICE]);
    entry->dir = decode(fields[DIR]);
    entry->type = decode(fields[hyphen + TYPE]);
    entry->source = decode(fields[hyphen + SOURCE]);
    read_user(entry, fields[hyphen + OPTIONS]);
    return entry;
}

static void free_entry(gpointer entry)
{
    mountinfo_entry_free(entry);
}

GPtrArray *mountinfo_parse(const char *text)
{
    GPtrArray *entries = g_ptr_array_new_with_free_func(free_entry);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        MountinfoEntry *entry = parse_line(lines[i]);

        if (entry)
            g_ptr_array_add(entries, entry);
    }
    return entries;
}

/* Not io_read_file(): reading mountinfo at an offset is slow.  Its size is the kernel's to limit,
 * which allows 100,000 mounts. */
GPtrArray *mountinfo_read(GError **error)
{
    g_autoptr(GError) reason = NULL;
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, &reason)) {
        mail_fail(error, MAIL_ERROR_CACHE, "cannot read the table of mounts: %s",
                  reason->message);
        return NULL;
    }
    return mountinfo_parse(text);
}

MountinfoEntry *mountinfo_take(GPtrArray *entries, const char *dir)
{
    /* Mounts on top come later in the table. */
    for (guint i = entries->len; i > 0; i--) {
        const MountinfoEntry *entry = g_ptr_array_index(entries, i - 1);

        if (strcmp(entry->dir, dir) == 0)
            return g_ptr_array_steal_index(entries, i - 1);
    }
    return NULL;
}
