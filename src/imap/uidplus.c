/* A walk over the text, for the order in which UIDs are named means something here, which a UidSet
 * does not keep.  See uidplus.h.
 */
#include "imap/uidplus.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

/* A number from 1 to 2^32-1. */
static gboolean read_number(const char **at, guint32 *ret_number)
{
    gsize length = strspn(*at, "0123456789");
    guint64 number;

    if (!text_parse_number(*at, length, G_MAXUINT32, &number) || number == 0)
        return FALSE;
    *at += length;
    *ret_number = (guint32)number;
    return TRUE;
}

static gboolean read_blanks(const char **at)
{
    gsize length = strspn(*at, " ");

    *at += length;
    return length > 0;
}

static gboolean read_range(const char **at, GArray *uids)
{
    guint32 low, high;

    if (!read_number(at, &low))
        return FALSE;
    high = low;
    if (**at == ':') {
        (*at)++;
        if (!read_number(at, &high))
            return FALSE;
    }
    if (high < low || high - low >= LIMIT_MESSAGES - uids->len)
        return FALSE;
    for (guint64 uid = low; uid <= high; uid++) {
        guint32 member = (guint32)uid;

        g_array_append_val(uids, member);
    }
    return TRUE;
}

/* The members of a set as they are named. */
static GArray *read_set(const char **at)
{
    g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(guint32));

    for (;;) {
        if (!read_range(at, uids))
            return NULL;
        if (**at != ',')
            return g_steal_pointer(&uids);
        (*at)++;
    }
}

gboolean imap_uidplus_appended(const char *args, ImapAppended *ret_appended)
{
    ImapAppended appended;
    const char *at = args ? args : "";

    if (!read_number(&at, &appended.uidvalidity) || !read_blanks(&at) ||
        !read_number(&at, &appended.uid))
        return FALSE;
    read_blanks(&at);
    if (*at)
        return FALSE;
    *ret_appended = appended;
    return TRUE;
}

static int compare(guint32 a, guint32 b)
{
    return a < b ? -1 : a > b;
}

static int by_from(gconstpointer a, gconstpointer b)
{
    return compare(((const ImapCopyPair *)a)->from, ((const ImapCopyPair *)b)->from);
}

static int by_to(gconstpointer a, gconstpointer b)
{
    return compare(((const ImapCopyPair *)a)->to, ((const ImapCopyPair *)b)->to);
}

/* Sorts, and tells whether no two are equal. */
static gboolean are_distinct(GArray *pairs, GCompareFunc order)
{
    g_array_sort(pairs, order);
    for (guint i = 1; i < pairs->len; i++)
        if (order(&g_array_index(pairs, ImapCopyPair, i - 1),
                  &g_array_index(pairs, ImapCopyPair, i)) == 0)
            return FALSE;
    return TRUE;
}

GArray *imap_uidplus_copied(const char *args, guint32 *ret_uidvalidity)
{
    g_autoptr(GArray) from = NULL, to = NULL, pairs = NULL;
    const char *at = args ? args : "";
    guint32 uidvalidity;

    if (!read_number(&at, &uidvalidity) || !read_blanks(&at) || !(from = read_set(&at)) ||
        !read_blanks(&at) || !(to = read_set(&at)))
        return NULL;
    read_blanks(&at);
    if (*at || from->len != to->len)
        return NULL;
    pairs = g_array_sized_new(FALSE, FALSE, sizeof(ImapCopyPair), from->len);
    for (guint i = 0; i < from->len; i++) {
        ImapCopyPair pair = {g_array_index(from, guint32, i), g_array_index(to, guint32, i)};

        g_array_append_val(pairs, pair);
    }
    if (!are_distinct(pairs, by_to) || !are_distinct(pairs, by_from))
        return NULL;
    *ret_uidvalidity = uidvalidity;
    return g_steal_pointer(&pairs);
}
