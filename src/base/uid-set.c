/* Sets of UIDs as a sorted array of disjoint, non-adjacent ranges.  See uid-set.h. */
#include "base/uid-set.h"

#include <string.h>

struct UidSet {
    GArray *ranges; /* of UidRange */
};

UidSet *uid_set_new(void)
{
    UidSet *set = g_new(UidSet, 1);

    set->ranges = g_array_new(FALSE, FALSE, sizeof(UidRange));
    return set;
}

void uid_set_free(UidSet *set)
{
    if (!set)
        return;
    g_array_unref(set->ranges);
    g_free(set);
}

static UidRange *range_at(const UidSet *set, guint i)
{
    return &g_array_index(set->ranges, UidRange, i);
}

/* The first range whose high end is @uid or more; n_ranges when there is none. */
static guint find(const UidSet *set, guint32 uid)
{
    guint low = 0, high = set->ranges->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (range_at(set, middle)->high < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void uid_set_add(UidSet *set, guint32 uid)
{
    if (uid > 0)
        uid_set_add_range(set, uid, uid);
}

void uid_set_add_range(UidSet *set, guint32 low, guint32 high)
{
    UidRange range = {MIN(low, high), MAX(low, high)};
    guint first, last;

    if (range.low == 0)
        range.low = 1;
    if (range.high == 0)
        return;
    /* All ranges that overlap or touch the new one melt into it. */
    first = find(set, range.low - (range.low > 1));
    for (last = first; last < set->ranges->len; last++) {
        const UidRange *old = range_at(set, last);

        if (old->low > range.high && old->low - range.high > 1)
            break;
        range.low = MIN(range.low, old->low);
        range.high = MAX(range.high, old->high);
    }
    if (last > first) {
        *range_at(set, first) = range;
        if (last - first > 1)
            g_array_remove_range(set->ranges, first + 1, last - first - 1);
    } else {
        g_array_insert_val(set->ranges, first, range);
    }
}

void uid_set_add_set(UidSet *set, const UidSet *other)
{
    for (guint i = 0; i < other->ranges->len; i++)
        uid_set_add_range(set, range_at(other, i)->low, range_at(other, i)->high);
}

static void remove_range(UidSet *set, guint32 low, guint32 high)
{
    guint i = find(set, low);

    while (i < set->ranges->len && range_at(set, i)->low <= high) {
        UidRange *old = range_at(set, i);

        if (old->low < low && old->high > high) {
            UidRange tail = {high + 1, old->high};

            old->high = low - 1;
            g_array_insert_val(set->ranges, i + 1, tail);
            return;
        }
        if (old->low < low) {
            old->high = low - 1;
            i++;
        } else if (old->high > high) {
            old->low = high + 1;
            return;
        } else {
            g_array_remove_index(set->ranges, i);
        }
    }
}

void uid_set_remove(UidSet *set, guint32 uid)
{
    if (uid > 0)
        remove_range(set, uid, uid);
}

void uid_set_remove_set(UidSet *set, const UidSet *other)
{
    for (guint i = 0; i < other->ranges->len; i++)
        remove_range(set, range_at(other, i)->low, range_at(other, i)->high);
}

void uid_set_clear(UidSet *set)
{
    g_array_set_size(set->ranges, 0);
}

UidSet *uid_set_copy(const UidSet *set)
{
    UidSet *copy = uid_set_new();

    g_array_append_vals(copy->ranges, set->ranges->data, set->ranges->len);
    return copy;
}

gboolean uid_set_contains(const UidSet *set, guint32 uid)
{
    guint i = find(set, uid);

    return uid > 0 && i < set->ranges->len && range_at(set, i)->low <= uid;
}

gboolean uid_set_is_empty(const UidSet *set)
{
    return set->ranges->len == 0;
}

guint64 uid_set_count(const UidSet *set)
{
    guint64 n = 0;

    for (guint i = 0; i < set->ranges->len; i++)
        n += (guint64)range_at(set, i)->high - range_at(set, i)->low + 1;
    return n;
}

guint32 uid_set_max(const UidSet *set)
{
    return set->ranges->len ? range_at(set, set->ranges->len - 1)->high : 0;
}

guint uid_set_n_ranges(const UidSet *set)
{
    return set->ranges->len;
}

UidRange uid_set_range(const UidSet *set, guint i)
{
    g_assert(i < set->ranges->len);
    return *range_at(set, i);
}

UidSet *uid_set_minus(const UidSet *a, const UidSet *b)
{
    UidSet *difference = uid_set_copy(a);

    uid_set_remove_set(difference, b);
    return difference;
}

/* Reads a number of 1 to 2^32-1 at *p, before @end. */
static gboolean parse_uid(const char **p, const char *end, guint32 *ret_uid)
{
    guint64 value = 0;
    const char *start = *p;

    while (*p < end && g_ascii_isdigit(**p)) {
        value = value * 10 + (guint64)(**p - '0');
        if (value > G_MAXUINT32)
            return FALSE;
        (*p)++;
    }
    if (*p == start || value == 0)
        return FALSE;
    *ret_uid = (guint32)value;
    return TRUE;
}

UidSet *uid_set_parse(const char *text, gsize length)
{
    g_autoptr(UidSet) set = uid_set_new();
    const char *p = text, *end = text + length;

    while (p < end) {
        guint32 low, high;

        if (!parse_uid(&p, end, &low))
            return NULL;
        high = low;
        if (p < end && *p == ':') {
            p++;
            if (!parse_uid(&p, end, &high))
                return NULL;
        }
        uid_set_add_range(set, low, high);
        if (p == end)
            return g_steal_pointer(&set);
        if (*p++ != ',')
            return NULL;
    }
    return NULL; /* empty, or a comma at the end */
}

static void append_range(GString *out, UidRange range)
{
    if (out->len > 0)
        g_string_append_c(out, ',');
    if (range.low == range.high)
        g_string_append_printf(out, "%u", range.low);
    else
        g_string_append_printf(out, "%u:%u", range.low, range.high);
}

char *uid_set_format(const UidSet *set)
{
    GString *out = g_string_new(NULL);

    for (guint i = 0; i < set->ranges->len; i++)
        append_range(out, *range_at(set, i));
    return g_string_free(out, FALSE);
}

char *uid_set_take(UidSet *set, gsize max_octets, guint max_uids)
{
    enum { LONGEST_RANGE = 22 }; /* ",4294967295:4294967295" */
    GString *out = g_string_new(NULL);
    guint64 left = max_uids ? max_uids : G_MAXUINT64;
    guint taken = 0;

    while (taken < set->ranges->len && left > 0) {
        UidRange *range = range_at(set, taken), part = *range;
        guint64 n = (guint64)range->high - range->low + 1;

        if (max_octets && out->len > 0 && out->len + LONGEST_RANGE > max_octets)
            break;
        if (n > left) {
            part.high = part.low + (guint32)left - 1;
            range->low = part.high + 1;
            append_range(out, part);
            break;
        }
        append_range(out, part);
        left -= n;
        taken++;
    }
    if (taken > 0)
        g_array_remove_range(set->ranges, 0, taken);
    return g_string_free(out, FALSE);
}
