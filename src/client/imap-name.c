/* Wire names and paths.  See imap-name.h. */
#include "client/imap-name.h"
#include "imap/utf7.h"

#include <string.h>

char **imap_name_path(const char *wire, char delimiter, gboolean is_utf8)
{
    char separator[2] = {delimiter, '\0'};
    char **path;

    if (delimiter) {
        path = g_strsplit(wire, separator, -1);
    } else {
        path = g_new0(char *, 2);
        path[0] = g_strdup(wire);
    }
    for (guint i = 0; path[i] && !is_utf8; i++) {
        char *decoded = imap_utf7_decode(path[i], strlen(path[i]));

        if (decoded) {
            g_free(path[i]);
            path[i] = decoded;
        }
    }
    return path;
}

char *imap_name_encode(const char *component)
{
    return imap_utf7_encode(component);
}
