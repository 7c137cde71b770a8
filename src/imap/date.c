/* Dates by hand: strptime() follows the locale, GDateTime allocates, and a mailbox brings
 * 100,000 of these at once.  See date.h.
 */
#include "imap/date.h"

#include <string.h>

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

enum { SECONDS_A_DAY = 86400 };
#define LAST_TIME G_GINT64_CONSTANT(253402300799) /* 9999-12-31 23:59:59 */

/* Reads @min to @max digits. */
static gboolean number(const char **p, guint min, guint max, int *ret)
{
    guint n = 0;
    int value = 0;

    for (; n < max && g_ascii_isdigit(**p); n++, (*p)++)
        value = value * 10 + (**p - '0');
    *ret = value;
    return n >= min;
}

static gboolean skip(const char **p, char c)
{
    if (**p != c)
        return FALSE;
    (*p)++;
    return TRUE;
}

static gboolean month_name(const char **p, int *ret_month)
{
    for (int month = 0; month < 12; month++)
        if (g_ascii_strncasecmp(*p, months + 3 * month, 3) == 0) {
            *p += 3;
            *ret_month = month + 1;
            return TRUE;
        }
    return FALSE;
}

/* Days since 1970-01-01 in the Gregorian calendar, counted from March so that a leap day is the
 * last of its year. */
static gint64 days_of(int year, int month, int day)
{
    gint64 y = month > 2 ? year : year - 1;
    gint64 m = month > 2 ? month - 3 : month + 9;
    gint64 days = y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;

    return days - 719468;
}

/* "+0200" in seconds; an absent one is UTC. */
static gint64 zone(const char *p)
{
    int hours, minutes, sign = *p == '-' ? -1 : 1;

    if (*p != '+' && *p != '-')
        return 0;
    p++;
    if (!number(&p, 2, 2, &hours) || !number(&p, 2, 2, &minutes))
        return 0;
    return sign * (hours * 3600 + minutes * 60);
}

gint64 imap_date_parse(const char *text)
{
    int day, month, year, hour, minute, second;
    const char *p = text;
    gint64 time;

    while (*p == ' ')
        p++;
    if (!number(&p, 1, 2, &day) || !skip(&p, '-') || !month_name(&p, &month) || !skip(&p, '-') ||
        !number(&p, 4, 4, &year) || !skip(&p, ' '))
        return 0;
    if (!number(&p, 1, 2, &hour) || !skip(&p, ':') || !number(&p, 2, 2, &minute) ||
        !skip(&p, ':') || !number(&p, 2, 2, &second))
        return 0;
    if (day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
        return 0;
    while (*p == ' ')
        p++;
    time = days_of(year, month, day) * SECONDS_A_DAY + hour * 3600 + minute * 60 + second - zone(p);
    return time < 0 || time > LAST_TIME ? 0 : time;
}

char *imap_date_format(gint64 time)
{
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(CLAMP(time, 0, LAST_TIME));

    return g_strdup_printf("%2d-%.3s-%04d %02d:%02d:%02d +0000", g_date_time_get_day_of_month(utc),
                           months + 3 * (g_date_time_get_month(utc) - 1),
                           g_date_time_get_year(utc), g_date_time_get_hour(utc),
                           g_date_time_get_minute(utc), g_date_time_get_second(utc));
}
