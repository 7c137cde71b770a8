/* Lines taken apart at blanks, numbers checked.  See response.h. */
#include "pop3/response.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

static const char *const cap_names[POP3_N_CAPS] = {
    "TOP",        "UIDL",           "USER",        "SASL",   "STLS",           "PIPELINING",
    "RESP-CODES", "AUTH-RESP-CODE", "LOGIN-DELAY", "EXPIRE", "IMPLEMENTATION", "UTF8",
};

/* -- Words ------------------------------------------------------------------------------------- */

static gboolean is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next word of *at; empty at the end. */
static gsize next_word(const char **at, const char *end, const char **ret_word)
{
    const char *p = *at;

    while (p < end && is_blank(*p))
        p++;
    *ret_word = p;
    while (p < end && !is_blank(*p))
        p++;
    *at = p;
    return (gsize)(p - *ret_word);
}

static gboolean next_number(const char **at, const char *end, guint64 max, guint64 *ret_number)
{
    const char *word;
    gsize n = next_word(at, end, &word);

    return text_parse_number(word, n, max, ret_number);
}

/* A message's number; there is no message 0. */
static gboolean next_message(const char **at, const char *end, guint32 *ret_number)
{
    guint64 number;

    if (!next_number(at, end, G_MAXUINT32, &number) || number == 0)
        return FALSE;
    *ret_number = (guint32)number;
    return TRUE;
}

/* -- CAPA -------------------------------------------------------------------------------------- */

static void free_sasl(Pop3Capabilities *caps)
{
    for (guint i = 0; i < caps->sasl->len; i++)
        g_free(caps->sasl->pdata[i]);
    g_ptr_array_set_size(caps->sasl, 0);
}

void pop3_capabilities_init(Pop3Capabilities *caps)
{
    *caps = (Pop3Capabilities){0};
    caps->sasl = g_ptr_array_new();
    g_ptr_array_add(caps->sasl, NULL);
    caps->line = g_string_new(NULL);
}

void pop3_capabilities_clear(Pop3Capabilities *caps)
{
    free_sasl(caps);
    g_ptr_array_unref(caps->sasl);
    g_string_free(caps->line, TRUE);
    g_free(caps->implementation);
}

void pop3_capabilities_reset(Pop3Capabilities *caps)
{
    pop3_capabilities_clear(caps);
    pop3_capabilities_init(caps);
}

Pop3Cap pop3_cap_from_name(const char *name)
{
    guint i = 0;

    while (i < POP3_N_CAPS && g_ascii_strcasecmp(name, cap_names[i]) != 0)
        i++;
    return i;
}

static void add_mechanisms(Pop3Capabilities *caps, const char *at, const char *end)
{
    const char *word;
    gsize n;

    g_ptr_array_set_size(caps->sasl, (gint)caps->sasl->len - 1);
    while ((n = next_word(&at, end, &word)) > 0 && caps->sasl->len < LIMIT_POP3_MECHANISMS)
        g_ptr_array_add(caps->sasl, text_printable(word, n, LIMIT_POP3_REPLY));
    g_ptr_array_add(caps->sasl, NULL);
}

static gboolean next_is(const char **at, const char *end, const char *wanted)
{
    const char *word;
    gsize n = next_word(at, end, &word);

    return n == strlen(wanted) && g_ascii_strncasecmp(word, wanted, n) == 0;
}

/* "30", "30 USER": RFC 2449 section 6.5. */
static void read_login_delay(Pop3Capabilities *caps, const char *at, const char *end)
{
    guint64 seconds;

    if (!next_number(&at, end, G_MAXINT32, &seconds))
        return;
    caps->login_delay = (guint32)seconds;
    caps->is_per_user = caps->is_per_user || next_is(&at, end, "USER");
}

/* "NEVER", "0", "30 USER": RFC 2449 section 6.7.  What makes no sense is as if it were not there:
 * nobody may be told that mail is kept when it is not. */
static void read_expire(Pop3Capabilities *caps, const char *at, const char *end)
{
    const char *word = at;
    guint64 days;

    if (next_is(&word, end, "NEVER")) {
        caps->expire = POP3_EXPIRE_NEVER;
        caps->is_per_user = caps->is_per_user || next_is(&word, end, "USER");
    } else if (next_number(&at, end, POP3_EXPIRE_NEVER - 1, &days)) {
        caps->expire = (guint32)days;
        caps->is_per_user = caps->is_per_user || next_is(&at, end, "USER");
    } else {
        caps->has[POP3_CAP_EXPIRE] = FALSE;
    }
}

static void read_implementation(Pop3Capabilities *caps, const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    g_free(caps->implementation);
    caps->implementation = at < end ? text_printable(at, (gsize)(end - at), 200) : NULL;
}

static void read_cap(Pop3Capabilities *caps, Pop3Cap cap, const char *at, const char *end)
{
    caps->has[cap] = TRUE;
    switch (cap) {
    case POP3_CAP_SASL:
        add_mechanisms(caps, at, end);
        break;
    case POP3_CAP_LOGIN_DELAY:
        read_login_delay(caps, at, end);
        break;
    case POP3_CAP_EXPIRE:
        read_expire(caps, at, end);
        break;
    case POP3_CAP_IMPLEMENTATION:
        read_implementation(caps, at, end);
        break;
    default:
        break;
    }
}

gboolean pop3_capabilities_add(Pop3Capabilities *caps, const char *line, gsize length)
{
    const char *at = line, *end = line + length, *word;
    gsize n = next_word(&at, end, &word);
    g_autofree char *name = g_strndup(word, n);
    g_autofree char *shown = text_printable(line, length, LIMIT_POP3_REPLY);
    Pop3Cap cap = pop3_cap_from_name(name);

    if (caps->n_lines == LIMIT_POP3_CAPABILITIES)
        return FALSE;
    caps->n_lines++;
    if (caps->line->len + strlen(shown) <= LIMIT_POP3_LINE)
        g_string_append_printf(caps->line, "%s%s", caps->line->len > 0 ? ", " : "", shown);
    if (cap != POP3_N_CAPS)
        read_cap(caps, cap, at, end);
    return TRUE;
}

/* -- UIDL, LIST, STAT, APOP -------------------------------------------------------------------- */

static gboolean has_control(const char *text, gsize length)
{
    for (gsize i = 0; i < length; i++)
        if ((guchar)text[i] < ' ' || text[i] == 0x7f)
            return TRUE;
    return FALSE;
}

gboolean pop3_response_uidl(const char *line, gsize length, guint32 *ret_number,
                            const char **ret_uid, gsize *ret_length)
{
    const char *at = line, *end = line + length;

    if (!next_message(&at, end, ret_number))
        return FALSE;
    while (at < end && is_blank(*at))
        at++;
    while (at < end && is_blank(end[-1]))
        end--;
    *ret_length = (gsize)(end - at);
    *ret_uid = at;
    if (*ret_length == 0 || *ret_length > LIMIT_POP3_UNIQUE_ID || has_control(at, *ret_length)) {
        *ret_uid = NULL;
        *ret_length = 0;
    }
    return TRUE;
}

gboolean pop3_response_list(const char *line, gsize length, guint32 *ret_number,
                            guint64 *ret_size)
{
    const char *at = line;

    return next_message(&at, line + length, ret_number) &&
           next_number(&at, line + length, G_MAXINT64, ret_size);
}

gboolean pop3_response_stat(const char *text, guint32 *ret_n_messages, guint64 *ret_octets)
{
    const char *at = text, *end = text + strlen(text);
    guint64 n;

    if (!next_number(&at, end, G_MAXUINT32, &n) || !next_number(&at, end, G_MAXINT64, ret_octets))
        return FALSE;
    *ret_n_messages = (guint32)n;
    return TRUE;
}

/* "<1896.697170952@dbc.mtcc.com>" and nothing that no Message-ID can have (RFC 5322 section
 * 3.6.4). */
char *pop3_response_timestamp(const char *text)
{
    const char *open = strchr(text, '<');
    const char *close = open ? strchr(open, '>') : NULL;
    const char *at = close ? memchr(open, '@', (gsize)(close - open)) : NULL;

    if (!at || at == open + 1 || at + 1 == close || memchr(at + 1, '@', (gsize)(close - at - 1)))
        return NULL;
    for (const char *p = open + 1; p < close; p++)
        if (*p <= ' ' || *p > '~' || strchr("<()[]\\,;:\"", *p))
            return NULL;
    return g_strndup(open, (gsize)(close - open + 1));
}
