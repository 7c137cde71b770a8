/* "Did you mean": the nearest of a few words by edit distance. */
#include "config/config.h"

#include <string.h>

enum { LONGEST_WORD = 64 };

/* Levenshtein's distance, by rows; a letter's case counts nothing.  Both words are short. */
static gsize distance(const char *a, const char *b)
{
    gsize n_a = strlen(a), n_b = strlen(b);
    gsize row[LONGEST_WORD + 1];

    for (gsize j = 0; j <= n_b; j++)
        row[j] = j;
    for (gsize i = 1; i <= n_a; i++) {
        gsize diagonal = row[0];

        row[0] = i;
        for (gsize j = 1; j <= n_b; j++) {
            gboolean same = g_ascii_tolower(a[i - 1]) == g_ascii_tolower(b[j - 1]);
            gsize replaced = diagonal + (same ? 0 : 1);

            diagonal = row[j];
            row[j] = MIN(replaced, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[n_b];
}

/* A third of the letters may be wrong: "fodlers" is folders, "foo" is nothing. */
const char *config_did_you_mean(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    gsize least = strlen(word) / 3 + 1;

    if (strlen(word) > LONGEST_WORD)
        return NULL;
    for (const char *const *p = candidates; *p; p++) {
        gsize d = strlen(*p) > LONGEST_WORD ? G_MAXSIZE : distance(word, *p);

        if (d < least) {
            least = d;
            best = *p;
        }
    }
    return best;
}
