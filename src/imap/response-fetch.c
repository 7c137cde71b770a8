/* FETCH: what a server says of a message.
 *
 * Items come in any order, and some of them twice, in servers' spellings of several decades.  An
 * item that makes no sense is left out; one that contradicts another makes the response an error,
 * for then nobody knows which message it is about.  See response.h.
 */
#include "imap/response.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/text.h"
#include "imap/date.h"

#include <math.h>
#include <string.h>

static int compare_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void join_sorted(GPtrArray *keywords, GString *out)
{
    const char *last = NULL;

    g_ptr_array_sort(keywords, compare_text);
    for (guint i = 0; i < keywords->len; i++) {
        const char *keyword = keywords->pdata[i];

        if (last && strcmp(last, keyword) == 0)
            continue;
        if (out->len > 0)
            g_string_append_c(out, ' ');
        g_string_append(out, keyword);
        last = keyword;
    }
}

/* All arguments of the list at any depth: some servers nest parentheses in FLAGS. */
static void read_flags(const ImapArg *list, GString *scratch, ImapFetch *fetch)
{
    g_autoptr(GPtrArray) keywords = NULL;
    ImapArgs flags = imap_arg_list(list);

    fetch->flags = 0;
    g_string_truncate(scratch, 0);
    for (const ImapArg *arg = flags.at; arg < flags.end; arg++) {
        if (arg->type != IMAP_ARG_ATOM)
            continue;
        if (arg->text[0] == '\\') {
            fetch->flags |= imap_flag_from_name(arg->text);
        } else if (text_is_keyword(arg->text)) {
            if (!keywords)
                keywords = g_ptr_array_new();
            if (keywords->len < LIMIT_KEYWORDS)
                g_ptr_array_add(keywords, (gpointer)arg->text);
        }
    }
    if (keywords)
        join_sorted(keywords, scratch);
    fetch->items |= IMAP_FETCH_FLAGS;
}

/* A size as a number, or as mail.ru writes large ones: 9.3736e+06. */
static gboolean read_size(const ImapArg *arg, guint64 *ret_size)
{
    const char *text = imap_arg_text(arg);
    char *end;
    double value;

    if (imap_arg_number(arg, G_MAXINT64, ret_size))
        return TRUE;
    if (!text || !g_ascii_isdigit(*text) || strlen(text) > 32)
        return FALSE;
    value = g_ascii_strtod(text, &end);
    if (*end || !isfinite(value) || value > (double)LIMIT_IMAP_LITERAL)
        return FALSE;
    *ret_size = (guint64)value;
    return TRUE;
}

typedef enum { SECTION_NONE, SECTION_BODY, SECTION_HEADER } Section;

/* "BODY[]", "BODY[]<0>" and RFC822 are the message; "BODY[HEADER", "BODY[HEADER.FIELDS (...)]" and
 * RFC822.HEADER its header.  Sections of parts are neither. */
static Section section_of(const char *name)
{
    if (g_ascii_strcasecmp(name, "RFC822") == 0)
        return SECTION_BODY;
    if (g_ascii_strcasecmp(name, "RFC822.HEADER") == 0)
        return SECTION_HEADER;
    if (g_ascii_strncasecmp(name, "BODY[", 5) != 0)
        return SECTION_NONE;
    if (name[5] == ']')
        return SECTION_BODY;
    return g_ascii_strncasecmp(name + 5, "HEADER", 6) == 0 ? SECTION_HEADER : SECTION_NONE;
}

static void read_header(const ImapArg *arg, ImapFetch *fetch)
{
    if (arg->type == IMAP_ARG_LIST)
        return;
    fetch->header = arg->type == IMAP_ARG_NIL ? "" : arg->text;
    fetch->header_length = arg->type == IMAP_ARG_NIL ? 0 : arg->length;
    fetch->items |= IMAP_FETCH_HEADER;
}

static gboolean read_body(const ImapArg *arg, ImapFetch *fetch, const ImapArg **body)
{
    if (arg->type == IMAP_ARG_LIST || *body)
        return FALSE;
    fetch->body_is_nil = arg->type == IMAP_ARG_NIL;
    fetch->body_length = fetch->body_is_nil ? 0 : arg->length;
    fetch->items |= IMAP_FETCH_BODY;
    *body = arg;
    return TRUE;
}

static gboolean read_uid(const ImapArg *arg, ImapFetch *fetch)
{
    guint64 uid;

    if (!imap_arg_number(arg, G_MAXUINT32, &uid) || uid == 0)
        return FALSE;
    if (fetch->uid != 0 && fetch->uid != uid)
        return FALSE;
    fetch->uid = (guint32)uid;
    fetch->items |= IMAP_FETCH_UID;
    return TRUE;
}

/* One item of a FETCH; FALSE when it contradicts another. */
static gboolean read_item(const char *name, const ImapArg *value, GString *scratch,
                          ImapFetch *fetch, const ImapArg **body)
{
    const char *text = imap_arg_text(value);

    switch (section_of(name)) {
    case SECTION_BODY:
        return read_body(value, fetch, body);
    case SECTION_HEADER:
        read_header(value, fetch);
        return TRUE;
    case SECTION_NONE:
        break;
    }
    if (g_ascii_strcasecmp(name, "UID") == 0)
        return read_uid(value, fetch);
    if (g_ascii_strcasecmp(name, "FLAGS") == 0) {
        read_flags(value, scratch, fetch);
    } else if (g_ascii_strcasecmp(name, "RFC822.SIZE") == 0) {
        if (read_size(value, &fetch->size))
            fetch->items |= IMAP_FETCH_SIZE;
    } else if (g_ascii_strcasecmp(name, "INTERNALDATE") == 0 && text) {
        fetch->date = imap_date_parse(text);
        fetch->items |= IMAP_FETCH_DATE;
    } else if (g_ascii_strcasecmp(name, "MODSEQ") == 0) {
        if (imap_arg_number(imap_arg_unwrap(value), G_MAXINT64, &fetch->modseq))
            fetch->items |= IMAP_FETCH_MODSEQ;
    } else if (g_ascii_strcasecmp(name, "EMAILID") == 0) {
        fetch->email_id = imap_arg_text(imap_arg_unwrap(value));
        if (fetch->email_id)
            fetch->items |= IMAP_FETCH_EMAILID;
    }
    return TRUE;
}

gboolean imap_response_fetch(const ImapResponse *response, GString *scratch, ImapFetch *ret_fetch,
                             const ImapArg **ret_body, GError **error)
{
    ImapArgs args = response->args, items = imap_arg_list(imap_args_next(&args));
    ImapFetch fetch = {.keywords = ""};
    const ImapArg *name, *value, *body = NULL;

    g_string_truncate(scratch, 0);
    if (!imap_response_number(response, &fetch.seq) || fetch.seq == 0)
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "the server sent a FETCH with a message number that makes no sense");
    while ((name = imap_args_next(&items)) && (value = imap_args_next(&items)))
        if (name->type == IMAP_ARG_ATOM && !read_item(name->text, value, scratch, &fetch, &body))
            return mail_fail(error, MAIL_ERROR_PROTOCOL,
                             "the server sent a FETCH of message %u that contradicts itself",
                             fetch.seq);
    fetch.keywords = scratch->str;
    *ret_fetch = fetch;
    *ret_body = body;
    return TRUE;
}

ImapStream imap_response_stream(const ImapResponse *response, guint32 *ret_uid)
{
    ImapArgs args = response->args, items = imap_arg_list(imap_args_next(&args));
    const ImapArg *name, *value;
    ImapStream stream = IMAP_STREAM_OTHER;

    *ret_uid = 0;
    if (strcmp(response->name, "FETCH") != 0)
        return IMAP_STREAM_OTHER;
    while ((name = imap_args_next(&items)) && (value = imap_args_next(&items))) {
        Section section = name->type == IMAP_ARG_ATOM ? section_of(name->text) : SECTION_NONE;
        guint64 uid;

        if (imap_arg_is(name, "UID") && imap_arg_number(value, G_MAXUINT32, &uid))
            *ret_uid = (guint32)uid;
        if (value->type == IMAP_ARG_STREAM && value + 1 == response->args.end)
            stream = section == SECTION_BODY     ? IMAP_STREAM_BODY
                     : section == SECTION_HEADER ? IMAP_STREAM_HEADER
                                                 : IMAP_STREAM_OTHER;
    }
    return stream;
}
