/* What a POP3 server may send, through the parser and every reader of lines: whole and one octet at
 * a time it must come to the same.  The first octet says what each +OK is the answer to, two bits
 * each. */
#include "fuzz.h"

#include "../unit/pop3/pop3-dump.h"
#include "base/limits.h"
#include "pop3/response.h"

#include <stdlib.h>

static void check(gboolean holds)
{
    if (!holds)
        abort();
}

static void read_uidl(const char *line, gsize length, GString *out)
{
    const char *uid;
    guint32 number;
    gsize n;

    if (!pop3_response_uidl(line, length, &number, &uid, &n))
        return;
    check(number > 0 && !uid == (n == 0) && n <= LIMIT_POP3_UNIQUE_ID);
    for (gsize i = 0; i < n; i++)
        check((guchar)uid[i] >= ' ' && uid[i] != 0x7f);
    check(!uid || (uid > line && uid + n <= line + length));
    g_string_append_printf(out, "[%u %.*s]", number, (int)n, uid ? uid : "");
}

static void read_capabilities(const char *line, gsize length, GString *out)
{
    Pop3Capabilities caps;

    pop3_capabilities_init(&caps);
    check(pop3_capabilities_add(&caps, line, length));
    check(g_utf8_validate(caps.line->str, -1, NULL));
    g_string_append_printf(out, "[%u %u %u]", caps.sasl->len, caps.expire, caps.login_delay);
    pop3_capabilities_clear(&caps);
}

static void read_all(const char *line, gsize length, GString *out)
{
    guint32 number;
    guint64 size;

    read_uidl(line, length, out);
    read_capabilities(line, length, out);
    if (pop3_response_list(line, length, &number, &size)) {
        check(number > 0 && size <= G_MAXINT64);
        g_string_append_printf(out, "[%u %" G_GUINT64_FORMAT "]", number, size);
    }
    if (strlen(line) == length) {
        g_autofree char *timestamp = pop3_response_timestamp(line);

        check(!timestamp || (timestamp[0] == '<' && g_str_has_suffix(timestamp, ">")));
        if (pop3_response_stat(line, &number, &size))
            g_string_append_printf(out, "[%u %" G_GUINT64_FORMAT "]", number, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char kinds[] = "-lmm";
    g_autofree char *whole = NULL, *by_one = NULL;
    char script[5] = "";

    if (size == 0)
        return 0;
    for (guint i = 0; i < 4; i++)
        script[i] = kinds[(data[0] >> (2 * i)) & 3];
    whole = dump_input(script, (const char *)data + 1, size - 1, size, read_all);
    by_one = dump_input(script, (const char *)data + 1, size - 1, 1, read_all);
    check(g_str_equal(whole, by_one));
    return 0;
}
