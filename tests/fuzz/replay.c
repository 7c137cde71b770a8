/* Runs a fuzz target over the files of a corpus folder: what libFuzzer once found stays found,
 * in every ordinary test run and with any compiler.
 *
 *     fuzz-TARGET FOLDER
 */
#include "fuzz.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    g_autoptr(GDir) dir = NULL;
    g_autoptr(GError) error = NULL;
    const char *name;
    guint n = 0;

    if (argc != 2)
        g_error("usage: %s FOLDER", argv[0]);
    dir = g_dir_open(argv[1], 0, &error);
    if (!dir)
        g_error("%s", error->message);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(argv[1], name, NULL);
        g_autofree char *data = NULL;
        uint8_t *exact;
        gsize length;

        if (!g_file_get_contents(path, &data, &length, &error))
            g_error("%s", error->message);
        /* A block of exactly this size, so that ASan sees a read one past the end. */
        exact = malloc(length ? length : 1);
        memcpy(exact, data, length);
        LLVMFuzzerTestOneInput(exact, length);
        free(exact);
        n++;
    }
    g_print("%u inputs replayed\n", n);
    return n > 0 ? 0 : 1;
}
