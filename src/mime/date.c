/* Dates of RFC 5322.  A date is a handful of words; what is none of them is passed over, so that
 * comments and the many almost right forms cost nothing. */
#include "mime/date.h"
#include "mime/header.h"

#include <string.h>

enum { MAX_WORDS = 16 }; /* of a date have at most 6; the rest would be comments */

typedef struct {
    int day, month, year;
    int hour, minute, second;
    int zone; /* seconds east of UTC */
    gboolean has_time;
} Parts;

static int month_of(const char *word)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    if (strlen(word) < 3)
        return 0;
    for (int i = 0; i < 12; i++)
        if (g_ascii_strncasecmp(word, months + (gsize)i * 3, 3) == 0)
            return i + 1;
    return 0;
}

static gboolean is_number(const char *word)
{
    gsize n = strspn(word, "0123456789");

    return n > 0 && n <= 4 && word[n] == '\0';
}

/* RFC 5322 section 4.3: a year of two digits, or three. */
static int year_of(const char *word)
{
    int year = (int)g_ascii_strtoll(word, NULL, 10);

    if (strlen(word) >= 4)
        return year;
    return year < 50 && strlen(word) == 2 ? year + 2000 : year + 1900;
}

static gboolean take_time(Parts *parts, const char *word)
{
    g_auto(GStrv) fields = g_strsplit(word, ":", 4);
    guint n = g_strv_length(fields);

    if (n < 2 || n > 3 || !is_number(fields[0]) || !is_number(fields[1]) ||
        (n == 3 && strspn(fields[2], "0123456789") == 0))
        return FALSE;
    parts->hour = (int)g_ascii_strtoll(fields[0], NULL, 10);
    parts->minute = (int)g_ascii_strtoll(fields[1], NULL, 10);
    parts->second = n == 3 ? (int)g_ascii_strtoll(fields[2], NULL, 10) : 0;
    if (parts->second == 60) /* a leap second */
        parts->second = 59;
    parts->has_time = TRUE;
    return TRUE;
}

static void take_zone(Parts *parts, const char *word)
{
    static const struct {
        const char *name;
        int hours;
    } names[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
                 {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};

    if ((*word == '+' || *word == '-') && strlen(word) == 5 && is_number(word + 1)) {
        int zone = (int)g_ascii_strtoll(word + 1, NULL, 10);

        parts->zone = (zone / 100 * 60 + zone % 100) * 60 * (*word == '-' ? -1 : 1);
    }
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (g_ascii_strcasecmp(word, names[i].name) == 0)
            parts->zone = names[i].hours * 3600;
}

/* In the order in which they come: day, month, year, time, zone. */
static void take(Parts *parts, const char *word)
{
    if (parts->has_time)
        take_zone(parts, word);
    else if (parts->year)
        (void)take_time(parts, word);
    else if (parts->month && is_number(word))
        parts->year = year_of(word);
    else if (parts->day && !parts->month)
        parts->month = month_of(word);
    else if (!parts->day && is_number(word))
        parts->day = (int)g_ascii_strtoll(word, NULL, 10);
}

gint64 header_date_parse(const char *value)
{
    g_auto(GStrv) words = g_strsplit_set(value, " \t\r\n,", -1);
    g_autoptr(GDateTime) utc = NULL;
    Parts parts = {0};
    gint64 time;

    for (guint i = 0, n = 0; words[i] && n < MAX_WORDS && words[i][0] != '('; i++) {
        n += words[i][0] != '\0';
        if (words[i][0])
            take(&parts, words[i]);
    }
    if (!parts.has_time || parts.year < 1970)
        return 0;
    utc = g_date_time_new_utc(parts.year, parts.month, parts.day, parts.hour, parts.minute,
                              parts.second);
    time = utc ? g_date_time_to_unix(utc) - parts.zone : 0;
    return MAX(time, 0);
}

gint64 header_date(const char *header, gsize length)
{
    gsize size;
    g_autofree char *received = header_get(header, length, "Received", &size);
    g_autofree char *date = header_get(header, length, "Date", &size);
    const char *stamp = received ? strrchr(received, ';') : NULL;
    gint64 time = stamp ? header_date_parse(stamp + 1) : 0;

    return time || !date ? time : header_date_parse(date);
}
