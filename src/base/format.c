/* Numbers, sizes, times and bars.  See format.h. */
#include "base/format.h"

#include <string.h>

char *format_count(gint64 n)
{
    g_autofree char *digits = g_strdup_printf("%" G_GINT64_FORMAT, n);
    GString *out = g_string_new(NULL);
    gsize length = strlen(digits);

    for (gsize i = 0; i < length; i++) {
        if (i > 0 && digits[i - 1] != '-' && (length - i) % 3 == 0)
            g_string_append_c(out, ' ');
        g_string_append_c(out, digits[i]);
    }
    return g_string_free(out, FALSE);
}

/* In tenths by integers: printf's "%.1f" would take the locale's comma. */
char *format_size(gint64 bytes)
{
    static const char units[] = "BKMGTP";
    gint64 tenths = bytes * 10;
    guint unit = 0;

    if (bytes < 1024)
        return g_strdup_printf("%" G_GINT64_FORMAT "B", bytes);
    if (bytes > G_MAXINT64 / 10)
        tenths = G_MAXINT64;
    while (tenths >= 10240 && units[unit + 1]) {
        tenths /= 1024;
        unit++;
    }
    return g_strdup_printf("%" G_GINT64_FORMAT ".%d%c", tenths / 10, (int)(tenths % 10),
                           units[unit]);
}

char *format_time(gint64 seconds)
{
    enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

    if (seconds < MINUTE)
        return g_strdup_printf("%ds", (int)seconds);
    if (seconds < HOUR)
        return g_strdup_printf("%dm %ds", (int)(seconds / MINUTE), (int)(seconds % MINUTE));
    if (seconds < DAY)
        return g_strdup_printf("%dh %dm", (int)(seconds / HOUR),
                               (int)(seconds % HOUR / MINUTE));
    return g_strdup_printf("%" G_GINT64_FORMAT "d %dh", seconds / DAY,
                           (int)(seconds % DAY / HOUR));
}

char *format_bar(gint64 n, gint64 total)
{
    enum { WIDTH = 14 };
    char bar[WIDTH + 1];
    double part;

    if (total <= 0)
        return g_strdup("");
    part = (double)CLAMP(n, 0, total) / (double)total;
    memset(bar, '-', WIDTH);
    memset(bar, '#', (gsize)(part * WIDTH));
    bar[WIDTH] = '\0';
    return g_strdup_printf("[%s] %3d%%", bar, (int)(part * 100));
}
