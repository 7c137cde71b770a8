/* The decoder of header fields as a filter, for oracle.py.
 *
 * Each line of the input is "WHAT FALLBACK HEX": what to decode (text, name, address, get:FIELD,
 * parameter:NAME), the fallback charset or "-", and the octets.  Each line of the
 * output is the UTF-8 result in hex, "-" for NULL.
 */
#include "mime/header.h"
#include "mime/message-name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static GByteArray *from_hex(const char *hex)
{
    GByteArray *octets = g_byte_array_new();

    for (; g_ascii_isxdigit(hex[0]); hex += 2) {
        guint8 octet =
            (guint8)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));

        g_byte_array_append(octets, &octet, 1);
    }
    return octets;
}

static char *decode(const char *what, const char *fallback, const char *octets, gsize length)
{
    g_autofree char *name = NULL, *address = NULL;

    if (strcmp(what, "text") == 0)
        return header_decode_text(octets, length, fallback);
    if (g_str_has_prefix(what, "parameter:"))
        return header_decode_parameter(octets, length, strchr(what, ':') + 1, fallback);
    if (g_str_has_prefix(what, "get:"))
        return header_get(octets, length, strchr(what, ':') + 1, NULL);
    if (strcmp(what, "message-id") == 0)
        return header_message_id(octets, length);
    if (strcmp(what, "message-name") == 0)
        return message_name_make(octets, length, 1778707980, 12345, fallback);
    header_decode_address(octets, length, fallback, &name, &address);
    return g_strdup(strcmp(what, "name") == 0 ? name : address);
}

int main(void)
{
    g_autofree char *line = NULL;
    size_t size = 0;

    while (getline(&line, &size, stdin) > 0) {
        g_auto(GStrv) parts = NULL;
        g_autoptr(GByteArray) octets = NULL;
        g_autofree char *result = NULL;
        const char *fallback;

        line[strcspn(line, "\n")] = '\0';
        parts = g_strsplit(line, " ", 3);
        if (g_strv_length(parts) != 3)
            g_error("not \"WHAT FALLBACK HEX\": %s", line);
        octets = from_hex(parts[2]);
        fallback = strcmp(parts[1], "-") == 0 ? NULL : parts[1];
        result = decode(parts[0], fallback, (const char *)octets->data, octets->len);
        for (const char *p = result ? result : ""; *p; p++)
            printf("%02x", (guchar)*p);
        puts(result ? "" : "-");
    }
    return 0;
}
