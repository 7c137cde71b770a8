/* Names in the Maildir view.  See maildir-name.h.
 *
 * Both directions are exact: a stored name has one base and a base one stored name.  For that,
 * "%3A" stands for ':', and each "%3A", "%253A", "%25253A" ... that is in a name has one "25" more
 * in the view.  All other names, which is all that tools make, are shown as they are.
 */
#include "tree/maildir-name.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>

/* The octets of a file's name (NAME_MAX), less the longest ":2,DFPRST". */
enum { LONGEST_NAME = 255, LONGEST_INFO = 9, LONGEST_BASE = LONGEST_NAME - LONGEST_INFO };

static const char ending[] = ".eml";

/* In the order that names have them; the keyword alone has no bit. */
static const struct {
    char letter;
    MessageFlags flag;
} letters[] = {
    {'D', MESSAGE_DRAFT},    {'F', MESSAGE_FLAGGED}, {'P', 0},
    {'R', MESSAGE_ANSWERED}, {'S', MESSAGE_SEEN},    {'T', MESSAGE_DELETED},
};

/* -- Bases ------------------------------------------------------------------------------------- */

/* The length of "%3A", "%253A" and so on at @p, or 0. */
static gsize escape_at(const char *p)
{
    const char *next = p + 1;

    if (*p != '%')
        return 0;
    while (next[0] == '2' && next[1] == '5')
        next += 2;
    return next[0] == '3' && next[1] == 'A' ? (gsize)(next + 2 - p) : 0;
}

static void append_base(GString *out, const char *name, gsize length)
{
    for (gsize i = 0; i < length; i++) {
        if (name[i] == ':')
            g_string_append(out, "%3A");
        else if (escape_at(name + i))
            g_string_append(out, "%25");
        else
            g_string_append_c(out, name[i]);
    }
}

static GString *name_of_base(const char *base, gsize length)
{
    GString *name = g_string_sized_new(length + sizeof ending);

    for (gsize i = 0; i < length; i++) {
        gsize escape = escape_at(base + i);

        if (escape == 3) {
            g_string_append_c(name, ':');
            i += escape - 1;
        } else {
            g_string_append_c(name, base[i]);
            i += escape > 3 ? 2 : 0; /* of "%25" only the '%' */
        }
    }
    g_string_append(name, ending);
    return name;
}

/* -- Names ------------------------------------------------------------------------------------- */

static void append_letters(GString *out, guint16 flags, gboolean is_passed)
{
    for (guint i = 0; i < G_N_ELEMENTS(letters); i++)
        if (letters[i].flag ? (flags & letters[i].flag) != 0 : is_passed)
            g_string_append_c(out, letters[i].letter);
}

char *maildir_name_show(const char *name, guint16 flags, const char *keywords, gboolean is_new)
{
    gsize length = strlen(name);
    gboolean is_passed = message_has_keyword(keywords, MESSAGE_PASSED);
    GString *shown;

    if (!g_str_has_suffix(name, ending) || *name == '.')
        return NULL;
    shown = g_string_sized_new(length + LONGEST_INFO);
    append_base(shown, name, length - strlen(ending));
    if (shown->len > LONGEST_BASE) {
        g_string_free(shown, TRUE);
        return NULL;
    }
    if (!is_new || flags || is_passed) {
        g_string_append(shown, ":2,");
        append_letters(shown, flags, is_passed);
    }
    return g_string_free(shown, FALSE);
}

/* Where the suffix begins: at the last ':' that a digit and a comma follow, or the end. */
static const char *find_info(const char *shown)
{
    const char *colon = strrchr(shown, ':');

    if (colon && (colon[1] == '1' || colon[1] == '2') && colon[2] == ',')
        return colon;
    return shown + strlen(shown);
}

static void parse_letters(const char *info, MaildirName *parsed)
{
    for (; *info; info++)
        for (guint i = 0; i < G_N_ELEMENTS(letters); i++) {
            if (*info != letters[i].letter)
                continue;
            parsed->flags = (guint16)(parsed->flags | letters[i].flag);
            parsed->is_passed |= letters[i].flag == 0;
        }
}

gboolean maildir_name_parse(const char *shown, MaildirName *ret_parsed, GError **error)
{
    const char *info = find_info(shown);
    gsize length = (gsize)(info - shown);
    MaildirName parsed = {0};

    if (length == 0 || *shown == '.' || length > LONGEST_BASE || memchr(shown, '/', length) ||
        memchr(shown, ':', length)) {
        g_autofree char *printable = text_printable(shown, strlen(shown), LONGEST_NAME);

        return mail_fail(error, MAIL_ERROR_INVALID, "\"%s\" cannot name a message", printable);
    }
    if (g_str_has_prefix(info, ":2,"))
        parse_letters(info + strlen(":2,"), &parsed);
    parsed.name = g_string_free(name_of_base(shown, length), FALSE);
    *ret_parsed = parsed;
    return TRUE;
}

void maildir_name_clear(MaildirName *parsed)
{
    g_clear_pointer(&parsed->name, g_free);
}

/* -- Mailboxes --------------------------------------------------------------------------------- */

static gboolean is_reserved(const char *name)
{
    return g_str_equal(name, "cur") || g_str_equal(name, "new") || g_str_equal(name, "tmp");
}

char *maildir_name_of_label(const char *label)
{
    return is_reserved(label) ? g_strdup_printf("%%%02X%s", (guchar)*label, label + 1)
                              : g_strdup(label);
}

char *maildir_name_to_label(const char *name)
{
    static const char *const reserved[] = {"cur", "new", "tmp"};

    for (guint i = 0; i < G_N_ELEMENTS(reserved); i++) {
        g_autofree char *shown = maildir_name_of_label(reserved[i]);

        if (g_str_equal(name, reserved[i]))
            return NULL;
        if (g_str_equal(name, shown))
            return g_strdup(reserved[i]);
    }
    return g_strdup(name);
}
