/* Takes a configuration file apart into lines.  See scan.h.
 *
 * A line that makes no sense is reported and skipped, never fatal: the reader shall see all
 * mistakes at once.
 */
#include "config/scan.h"
#include "base/error.h"

#include <string.h>

typedef struct {
    guint line;
    char *text;
} ErrorLine;

static void error_line_clear(gpointer data)
{
    g_free(((ErrorLine *)data)->text);
}

void config_errors_init(ConfigErrors *errors, const char *file)
{
    errors->file = file;
    errors->lines = g_array_new(FALSE, FALSE, sizeof(ErrorLine));
    g_array_set_clear_func(errors->lines, error_line_clear);
}

void config_errors_clear(ConfigErrors *errors)
{
    g_clear_pointer(&errors->lines, g_array_unref);
}

void config_errors_add(ConfigErrors *errors, guint line, const char *format, ...)
{
    ErrorLine entry = {.line = line};
    va_list args;

    va_start(args, format);
    entry.text = g_strdup_vprintf(format, args);
    va_end(args);
    g_array_append_val(errors->lines, entry);
}

static gint by_line(gconstpointer a, gconstpointer b)
{
    const ErrorLine *x = a, *y = b;

    return (x->line > y->line) - (x->line < y->line);
}

gboolean config_errors_check(const ConfigErrors *errors, GError **error)
{
    g_autoptr(GString) all = g_string_new(NULL);

    if (errors->lines->len == 0)
        return TRUE;
    g_array_sort(errors->lines, by_line); /* stable */
    for (guint i = 0; i < errors->lines->len; i++) {
        const ErrorLine *entry = &g_array_index(errors->lines, ErrorLine, i);

        g_string_append_printf(all, "%s%s:%u: %s", i ? "\n" : "", errors->file, entry->line,
                               entry->text);
    }
    return mail_fail(error, MAIL_ERROR_INVALID, "%s", all->str);
}

static void entry_free(gpointer data)
{
    ConfigEntry *entry = data;

    g_free(entry->name);
    g_free(entry->raw);
    g_free(entry);
}

static void group_free(gpointer data)
{
    ConfigGroup *group = data;

    g_free(group->name);
    g_ptr_array_unref(group->entries);
    g_free(group);
}

static void scan_group(GPtrArray *groups, guint line, const char *text, ConfigErrors *errors)
{
    gsize length = strlen(text);
    ConfigGroup *group;

    if (text[length - 1] != ']')
        config_errors_add(errors, line, "the group '%s' has no ']' at its end", text);
    else
        length--;
    group = g_new0(ConfigGroup, 1);
    group->line = line;
    group->name = g_strndup(text + 1, length - 1);
    group->entries = g_ptr_array_new_with_free_func(entry_free);
    g_ptr_array_add(groups, group);
}

static void scan_entry(GPtrArray *groups, guint line, char *text, ConfigErrors *errors)
{
    char *equals = strchr(text, '=');
    ConfigGroup *group;
    ConfigEntry *entry;

    if (!equals || equals == text) {
        config_errors_add(errors, line, "'%s' is neither KEY=VALUE, [group] nor # comment", text);
        return;
    }
    if (groups->len == 0) {
        config_errors_add(errors, line, "'%s' stands before the first [account ID]", text);
        return;
    }
    *equals = '\0';
    group = g_ptr_array_index(groups, groups->len - 1);
    entry = g_new0(ConfigEntry, 1);
    entry->line = line;
    entry->name = g_strdup(g_strchomp(text));
    entry->raw = g_strdup(g_strstrip(equals + 1));
    g_ptr_array_add(group->entries, entry);
}

GPtrArray *config_scan(const char *text, gsize length, ConfigErrors *errors)
{
    GPtrArray *groups = g_ptr_array_new_with_free_func(group_free);
    const char *p = text, *end = text + length;
    guint number = 0;

    while (p < end) {
        const char *newline = memchr(p, '\n', (gsize)(end - p));
        const char *stop = newline ? newline : end;
        g_autofree char *line = NULL;

        number++;
        if (!g_utf8_validate_len(p, (gsize)(stop - p), NULL)) {
            config_errors_add(errors, number, "the line is not UTF-8 text");
        } else {
            line = g_strstrip(g_strndup(p, (gsize)(stop - p))); /* a CR goes with the blanks */
            if (line[0] == '[')
                scan_group(groups, number, line, errors);
            else if (line[0] != '\0' && line[0] != '#')
                scan_entry(groups, number, line, errors);
        }
        p = stop + 1;
    }
    return groups;
}
