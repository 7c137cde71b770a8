/* Header octets through everything that reads them.  The first octet chooses the fallback
 * charset; what comes out must be UTF-8 without NUL, and a name a legal one. */
#include "fuzz.h"

#include "mime/header.h"
#include "mime/message-name.h"
#include "base/limits.h"

#include <stdlib.h>
#include <string.h>

static void check(gboolean holds)
{
    if (!holds)
        abort();
}

static void check_text(const char *text)
{
    check(g_utf8_validate(text, -1, NULL));
}

static void decode_value(const char *value, gsize length, const char *fallback)
{
    g_autofree char *text = header_decode_text(value, length, fallback);
    g_autofree char *parameter = header_decode_parameter(value, length, "filename", fallback);
    g_autofree char *name = NULL, *address = NULL;

    header_decode_address(value, length, fallback, &name, &address);
    check_text(text);
    check_text(name);
    check_text(address);
    if (parameter)
        check_text(parameter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const fallbacks[] = {NULL, "windows-1256", "gbk", "utf-8", "utf-16",
                                            "iso-2022-jp", "utf-7", "no-such"};
    static const char *const fields[] = {"Subject", "From", "Content-Disposition"};
    const char *header = (const char *)data + 1;
    g_autofree char *id = NULL, *name = NULL;
    const char *fallback;

    if (size == 0)
        return 0;
    size--;
    fallback = fallbacks[data[0] % G_N_ELEMENTS(fallbacks)];
    decode_value(header, size, fallback);
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        gsize length = 0;
        g_autofree char *value = header_get(header, size, fields[i], &length);

        if (value) {
            /* A block of exactly this size, so that ASan sees a read one past the end. */
            char *exact = malloc(length ? length : 1);

            memcpy(exact, value, length);
            decode_value(exact, length, fallback);
            free(exact);
        }
    }
    id = header_message_id(header, size);
    check_text(id);
    name = message_name_make(header, size, 1778707980, G_MAXUINT32, fallback);
    check_text(name);
    check(strlen(name) <= LIMIT_NAME && !strchr(name, '/'));
    return 0;
}
