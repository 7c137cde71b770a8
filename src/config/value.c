/* The kinds of values.  See value.h. */
#include "config/value.h"
#include "base/error.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

enum { PIN_OCTETS = 32 };

/* -- Text and lists ---------------------------------------------------------------------------- */

/* GKeyFile's messages name its own group and key, so the sentence is ours.  Its error counts,
 * not its result: after a bad escape it gives what it has read so far. */
static gboolean bad_escape(GError **error)
{
    return mail_fail(error, MAIL_ERROR_INVALID,
                     "a backslash begins one of \\s \\n \\t \\r \\\\ only; write \\\\ for itself");
}

gboolean config_value_text(const char *raw, char **ret_text, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) reason = NULL;
    g_autofree char *text = NULL;

    g_key_file_set_value(file, "g", "k", raw);
    text = g_key_file_get_string(file, "g", "k", &reason);
    if (!text || reason)
        return bad_escape(error);
    if (text[0] == '\0')
        return mail_fail(error, MAIL_ERROR_INVALID, "the value is empty; remove the line instead");
    *ret_text = g_steal_pointer(&text);
    return TRUE;
}

gboolean config_value_list(const char *raw, char ***ret_list, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) reason = NULL;
    g_auto(GStrv) list = NULL;

    g_key_file_set_value(file, "g", "k", raw);
    list = g_key_file_get_string_list(file, "g", "k", NULL, &reason);
    if (!list || reason)
        return bad_escape(error);
    for (char **p = list; *p; p++)
        if (g_strstrip(*p)[0] != '\0')
            g_ptr_array_add(kept, g_strdup(*p));
    if (kept->len == 0)
        return mail_fail(error, MAIL_ERROR_INVALID, "the list is empty; remove the line instead");
    g_ptr_array_add(kept, NULL);
    *ret_list = (char **)g_ptr_array_free(g_steal_pointer(&kept), FALSE);
    return TRUE;
}

char *config_value_escape(const char *text, gboolean in_list)
{
    GString *out = g_string_new(NULL);
    gsize length = strlen(text);

    for (gsize i = 0; i < length; i++) {
        char c = text[i];
        gboolean at_edge = i == 0 || i == length - 1;

        if (c == '\\')
            g_string_append(out, "\\\\");
        else if (c == '\n')
            g_string_append(out, "\\n");
        else if (c == '\r')
            g_string_append(out, "\\r");
        else if (c == '\t')
            g_string_append(out, "\\t");
        else if (c == ' ' && at_edge)
            g_string_append(out, "\\s");
        else if (c == ';' && in_list)
            g_string_append(out, "\\;");
        else
            g_string_append_c(out, c);
    }
    return g_string_free(out, FALSE);
}

gboolean config_value_argv(const char *raw, char ***ret_argv, GError **error)
{
    g_autofree char *text = NULL;

    if (!config_value_text(raw, &text, error))
        return FALSE;
    /* GLib's sentence repeats the command, which may hold a password */
    if (!g_shell_parse_argv(text, NULL, ret_argv, NULL))
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "a quote is not closed, or nothing follows the last backslash");
    return TRUE;
}

/* -- Paths ------------------------------------------------------------------------------------- */

const char *config_home(void)
{
    const struct passwd *entry = getpwuid(geteuid());

    if (entry && entry->pw_dir && entry->pw_dir[0] == '/')
        return g_intern_string(entry->pw_dir);
    return g_get_home_dir();
}

gboolean config_value_path(const char *raw, char **ret_path, GError **error)
{
    g_autofree char *text = NULL;

    if (!config_value_text(raw, &text, error))
        return FALSE;
    if (g_str_equal(text, "~") || g_str_has_prefix(text, "~/")) {
        *ret_path = g_canonicalize_filename(text[1] ? text + 2 : ".", config_home());
        return TRUE;
    }
    if (text[0] != '/')
        return mail_fail(error, MAIL_ERROR_INVALID, "'%s' is no path from / or ~/", text);
    *ret_path = g_canonicalize_filename(text, "/");
    return TRUE;
}

/* -- Numbers with a unit ----------------------------------------------------------------------- */

typedef struct {
    char letter;
    guint64 factor;
} Unit;

/* Largest first: that is the order in which a number is shown. */
static const Unit size_units[] = {
    {'T', G_GUINT64_CONSTANT(1) << 40}, {'G', 1 << 30}, {'M', 1 << 20}, {'K', 1 << 10}, {0, 1},
};
static const Unit time_units[] = {
    {'d', 24 * 60 * 60}, {'h', 60 * 60}, {'m', 60}, {'s', 1}, {0, 0},
};

static gboolean parse_with_unit(const char *text, const Unit *units, guint64 max, guint64 *ret)
{
    gsize digits = strspn(text, "0123456789");
    guint64 number;

    if (text[digits] != '\0' && text[digits + 1] != '\0')
        return FALSE;
    while (units->letter && units->letter != text[digits])
        units++;
    if (units->letter != text[digits] || units->factor == 0)
        return FALSE;
    if (!text_parse_number(text, digits, max / units->factor, &number))
        return FALSE;
    *ret = number * units->factor;
    return TRUE;
}

static char *show_with_unit(guint64 number, const Unit *units)
{
    while (units->letter && (number < units->factor || number % units->factor != 0))
        units++;
    if (!units->letter)
        return g_strdup_printf("%" G_GUINT64_FORMAT, number);
    return g_strdup_printf("%" G_GUINT64_FORMAT "%c", number / units->factor, units->letter);
}

gboolean config_value_size(const char *raw, guint64 *ret_bytes, GError **error)
{
    if (!parse_with_unit(raw, size_units, G_MAXINT64, ret_bytes))
        return mail_fail(error, MAIL_ERROR_INVALID, "'%s' is no size such as 300M or 2G", raw);
    return TRUE;
}

char *config_value_size_show(guint64 bytes)
{
    return show_with_unit(bytes, size_units);
}

gboolean config_value_duration(const char *raw, guint *ret_seconds, GError **error)
{
    guint64 seconds;

    if (!parse_with_unit(raw, time_units, G_MAXINT32, &seconds))
        return mail_fail(error, MAIL_ERROR_INVALID, "'%s' is no time such as 60s, 5m, 2h or 30d",
                         raw);
    *ret_seconds = (guint)seconds;
    return TRUE;
}

char *config_value_duration_show(guint seconds)
{
    return show_with_unit(seconds, time_units);
}

/* -- URLs -------------------------------------------------------------------------------------- */

const ConfigScheme config_scheme_imap = {"imap", "STARTTLS", 993, 143};
const ConfigScheme config_scheme_pop3 = {"pop3", "STLS", 995, 110};

static gboolean parse_scheme(const char *text, const ConfigScheme *scheme, Endpoint *endpoint,
                             const char **ret_rest)
{
    const struct {
        const char *end;
        Security security;
        guint16 port;
    } forms[] = {
        {"s://", SECURITY_TLS, scheme->tls_port},
        {"://", SECURITY_STARTTLS, scheme->port},
        {"+plain://", SECURITY_PLAIN, scheme->port},
    };
    gsize n_name = strlen(scheme->name);

    if (g_ascii_strncasecmp(text, scheme->name, n_name) != 0)
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(forms); i++) {
        gsize length = strlen(forms[i].end);

        if (g_ascii_strncasecmp(text + n_name, forms[i].end, length) != 0)
            continue;
        endpoint->security = forms[i].security;
        endpoint->port = forms[i].port;
        *ret_rest = text + n_name + length;
        return TRUE;
    }
    return FALSE;
}

/* The part before the last '@', which user names may hold as well. */
static gboolean parse_user(const char *rest, const char **ret_rest, char **ret_user,
                           GError **error)
{
    const char *at = strrchr(rest, '@');
    g_autofree char *user = NULL;

    *ret_rest = at ? at + 1 : rest;
    if (!at)
        return TRUE;
    if (memchr(rest, ':', (gsize)(at - rest)))
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "no password may stand in a URL; use password-command");
    user = g_uri_unescape_segment(rest, at, NULL);
    if (!user || user[0] == '\0' || !g_utf8_validate(user, -1, NULL))
        return mail_fail(error, MAIL_ERROR_INVALID, "the user before '@' cannot be read");
    *ret_user = g_steal_pointer(&user);
    return TRUE;
}

static gboolean parse_port(const char *text, Endpoint *endpoint, GError **error)
{
    guint64 port;

    if (text[0] == '\0')
        return TRUE;
    if (text[0] != ':' || !text_parse_number(text + 1, strlen(text + 1), G_MAXUINT16, &port) ||
        port == 0)
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "'%s' after the host is no port such as :993; nothing else may follow",
                         text);
    endpoint->port = (guint16)port;
    return TRUE;
}

/* A name as DNS has it, with international names in their ASCII form (RFC 5890). */
static char *parse_name(const char *text, gsize length)
{
    g_autofree char *name = g_strndup(text, length);
    g_autofree char *ascii = g_hostname_to_ascii(name);

    if (!ascii || ascii[0] == '\0' || ascii[0] == '.' || ascii[0] == '-')
        return NULL;
    for (const char *p = ascii; *p; p++)
        if (!g_ascii_isalnum(*p) && !strchr(".-_", *p))
            return NULL;
    return g_steal_pointer(&ascii);
}

static char *parse_ipv6(const char *text, gsize length)
{
    g_autofree char *address = g_strndup(text, length);
    struct in6_addr octets;

    return inet_pton(AF_INET6, address, &octets) == 1 ? g_steal_pointer(&address) : NULL;
}

static gboolean parse_host(const char *rest, Endpoint *endpoint, const char **ret_rest,
                           GError **error)
{
    if (rest[0] == '[') {
        const char *close = strchr(rest, ']');

        endpoint->host = close ? parse_ipv6(rest + 1, (gsize)(close - rest - 1)) : NULL;
        *ret_rest = close ? close + 1 : rest;
    } else {
        gsize length = strcspn(rest, ":/?#");

        endpoint->host = parse_name(rest, length);
        *ret_rest = rest + length;
    }
    if (!endpoint->host)
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "'%s' begins with no host name or address ([::1] for IPv6)", rest);
    if (g_str_equal(*ret_rest, "/"))
        *ret_rest += 1;
    return TRUE;
}

/* The first guard only: the network floor looks again at the address it has connected to. */
static gboolean is_loopback(const char *host)
{
    return g_ascii_strcasecmp(host, "localhost") == 0 || g_str_equal(host, "::1") ||
           (g_str_has_prefix(host, "127.") && g_hostname_is_ip_address(host));
}

gboolean config_value_url(const char *raw, const ConfigScheme *scheme, Endpoint *endpoint,
                          char **ret_user, GError **error)
{
    const char *name = scheme->name;
    g_autofree char *text = NULL;
    g_autofree char *user = NULL;
    const char *rest;

    if (!config_value_text(raw, &text, error))
        return FALSE;
    if (!parse_scheme(text, scheme, endpoint, &rest))
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "'%s' does not begin with %ss:// (TLS), %s:// (%s) or %s+plain:// (clear "
                         "text, this machine only)",
                         text, name, name, scheme->command, name);
    if (!parse_user(rest, &rest, &user, error) || !parse_host(rest, endpoint, &rest, error))
        return FALSE;
    /* "host:993/": a slash at the very end is how browsers write it */
    if (rest[0] == ':' && g_str_has_suffix(rest, "/"))
        text[strlen(text) - 1] = '\0';
    if (!parse_port(rest, endpoint, error))
        return FALSE;
    if (endpoint->security == SECURITY_PLAIN && !is_loopback(endpoint->host))
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "%s+plain:// is for localhost, 127.0.0.1 and [::1] only, for it would "
                         "show the password to the network; use %ss:// or %s://",
                         name, name, name);
    *ret_user = g_steal_pointer(&user);
    return TRUE;
}

gboolean config_value_is_pin(const char *text)
{
    g_autofree guchar *octets = NULL;
    gsize length;

    if (!g_str_has_prefix(text, "sha256:"))
        return FALSE;
    text += strlen("sha256:");
    if (strlen(text) != (PIN_OCTETS + 2) / 3 * 4)
        return FALSE;
    octets = g_base64_decode(text, &length);
    return length == PIN_OCTETS;
}
