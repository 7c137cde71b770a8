/* One table of the names, read in both directions.  See flags.h. */
#include "imap/flags.h"
#include "base/text.h"

#include <string.h>

static const struct {
    const char *name;
    ImapFlags bit;
} names[] = {
    {"\\Seen", IMAP_FLAG_SEEN},       {"\\Answered", IMAP_FLAG_ANSWERED},
    {"\\Flagged", IMAP_FLAG_FLAGGED}, {"\\Deleted", IMAP_FLAG_DELETED},
    {"\\Draft", IMAP_FLAG_DRAFT},
};

ImapFlags imap_flag_from_name(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (g_ascii_strcasecmp(names[i].name, name) == 0)
            return names[i].bit;
    return 0;
}

gboolean imap_are_keywords(const char *keywords)
{
    g_auto(GStrv) words = g_strsplit(keywords ? keywords : "", " ", -1);

    for (char **word = words; *word; word++)
        if (**word && !text_is_keyword(*word))
            return FALSE;
    return TRUE;
}

static void add(GString *out, const char *word, gsize max_octets)
{
    if (out->len + strlen(word) + 2 > max_octets)
        return;
    if (out->len > 1)
        g_string_append_c(out, ' ');
    g_string_append(out, word);
}

char *imap_flags_format(ImapFlags flags, const char *keywords, gsize max_octets)
{
    g_auto(GStrv) words = g_strsplit(keywords ? keywords : "", " ", -1);
    GString *out = g_string_new("(");

    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (flags & names[i].bit)
            add(out, names[i].name, max_octets);
    for (char **word = words; *word; word++)
        if (text_is_keyword(*word))
            add(out, *word, max_octets);
    g_string_append_c(out, ')');
    return g_string_free(out, FALSE);
}
