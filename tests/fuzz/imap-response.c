/* What an IMAP server may send, through the parser and every reader of responses: whole and one
 * octet at a time it must come to the same. */
#include "fuzz.h"

#include "../unit/imap/imap-dump.h"
#include "imap/date.h"
#include "imap/response.h"
#include "imap/uidplus.h"

#include <stdlib.h>

static void check(gboolean holds)
{
    if (!holds)
        abort();
}

/* A date that was read can be written, and is read again as the same. */
static void check_date(gint64 date)
{
    g_autofree char *text = imap_date_format(date);

    check(imap_date_parse(text) == date);
}

static void read_fetch(const ImapResponse *response, GString *out)
{
    g_autoptr(GString) scratch = g_string_new("left over");
    g_autoptr(GError) error = NULL;
    const ImapArg *body = NULL;
    ImapFetch fetch;

    if (!imap_response_fetch(response, scratch, &fetch, &body, &error)) {
        check(error != NULL);
        return;
    }
    check(fetch.seq > 0 && (fetch.uid > 0) == !!(fetch.items & IMAP_FETCH_UID));
    check(!!body == !!(fetch.items & IMAP_FETCH_BODY));
    check_date(fetch.date);
    g_string_append_printf(out,
                           "[%u %u %x %x '%s' %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT
                           " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "]",
                           fetch.seq, fetch.uid, fetch.items, fetch.flags, fetch.keywords,
                           fetch.size, fetch.date, fetch.modseq, fetch.body_length);
    if (fetch.header)
        g_string_append_len(out, fetch.header, (gssize)fetch.header_length);
}

static void read_mailbox(const ImapResponse *response, GString *out)
{
    ImapListItem item;
    ImapStatus status;
    const char *name, *rights;
    guint64 used, limit;

    if (imap_response_list(response, &item))
        g_string_append_printf(out, "[%s %d %x %s]", item.mailbox, item.delimiter, item.flags,
                               item.old_name ? item.old_name : "");
    if (imap_response_status(response, &status))
        g_string_append_printf(out, "[%s %x %u %u %u]", status.mailbox, status.items,
                               status.messages, status.uidnext, status.uidvalidity);
    if (imap_response_quota(response, &name, &used, &limit))
        g_string_append_printf(out, "[%s %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT "]", name, used,
                               limit);
    if (imap_response_my_rights(response, &name, &rights))
        g_string_append_printf(out, "[%s %s]", name, rights);
}

static void show_set(const UidSet *set, GString *out)
{
    g_autofree char *text = uid_set_format(set);

    g_string_append_printf(out, "[%s]", text);
}

static void read_sets(const ImapResponse *response, GString *out)
{
    g_autoptr(UidSet) found = uid_set_new();
    gboolean flag = FALSE;
    g_autoptr(UidSet) vanished = imap_response_vanished(response, &flag);

    if (vanished)
        show_set(vanished, out);
    if (imap_response_search(response, found) ||
        imap_response_esearch(response, "A1", found, &flag))
        show_set(found, out);
}

/* The arguments of any code, as if it were one of these. */
static void read_uidplus(const char *args, GString *out)
{
    guint32 uidvalidity = 0, last = 0;
    g_autoptr(GArray) pairs = imap_uidplus_copied(args, &uidvalidity);
    ImapAppended appended = {0};

    if (imap_uidplus_appended(args, &appended)) {
        check(appended.uidvalidity > 0 && appended.uid > 0 && !pairs);
        g_string_append_printf(out, "[%u %u]", appended.uidvalidity, appended.uid);
    }
    for (guint i = 0; pairs && i < pairs->len; i++) {
        const ImapCopyPair *pair = &g_array_index(pairs, ImapCopyPair, i);

        check(uidvalidity > 0 && pair->from > last && pair->to > 0);
        last = pair->from;
    }
    g_string_append_printf(out, "[%u]", pairs ? pairs->len : 0);
}

static void read_rest(const ImapResponse *response, GString *out)
{
    g_autofree char *words = imap_response_words(response);
    ImapArgs walk = imap_response_namespaces(response);
    const char *prefix, *id = imap_response_id_name(response);
    ImapCapabilities caps;
    char delimiter;

    while (imap_namespace_next(&walk, &prefix, &delimiter))
        g_string_append_printf(out, "[%s%c]", prefix, delimiter ? delimiter : '-');
    g_string_append(out, id ? id : "");
    imap_capabilities_init(&caps);
    imap_capabilities_parse(&caps, words);
    g_string_append_printf(out, "[%u]", caps.auth->len);
    imap_capabilities_clear(&caps);
}

static void read_all(const ImapResponse *response, GString *out)
{
    guint32 number;

    read_fetch(response, out);
    read_mailbox(response, out);
    read_sets(response, out);
    read_rest(response, out);
    read_uidplus(response->code_args, out);
    if (imap_response_number(response, &number))
        g_string_append_printf(out, "[%u]", number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *whole = dump_input((const char *)data, size, MAX(size, 1), read_all);
    g_autofree char *by_one = dump_input((const char *)data, size, 1, read_all);

    check(g_str_equal(whole, by_one));
    return 0;
}
