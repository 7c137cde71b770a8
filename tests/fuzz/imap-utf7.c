/* Modified UTF-7 both ways: whatever can be decoded has no other encoding, and whatever is UTF-8
 * comes back from its encoding. */
#include "fuzz.h"

#include "imap/utf7.h"

#include <stdlib.h>
#include <string.h>

static void check(gboolean holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *input = (const char *)data;
    g_autofree char *decoded = imap_utf7_decode(input, size);
    g_autofree char *encoded = NULL;

    if (decoded) {
        check(g_utf8_validate(decoded, -1, NULL));
        encoded = imap_utf7_encode(decoded);
        check(strlen(encoded) == size && memcmp(encoded, input, size) == 0);
    }
    if (g_utf8_validate_len(input, size, NULL)) { /* without NUL */
        g_autofree char *text = g_strndup(input, size);
        g_autofree char *wire = imap_utf7_encode(text);
        g_autofree char *back = imap_utf7_decode(wire, strlen(wire));

        check(g_strcmp0(back, text) == 0);
    }
    return 0;
}
