/* Refusals, looked up in a table that is short enough to be read from its beginning.  See
 * refusal.h. */
#include "client/refusal.h"

#include <string.h>

const Refusal *refusal_by_code(const Refusal *codes, const char *code)
{
    for (; code && codes->sign; codes++)
        if (strcmp(code, codes->sign) == 0)
            return codes;
    return NULL;
}

const Refusal *refusal_by_words(const Refusal *words, const char *text)
{
    for (; words->sign; words++)
        if (strcasestr(text, words->sign))
            return words;
    return NULL;
}

gboolean refusal_fail(const Refusal *refusal, const char *text, GError **error)
{
    if (!refusal)
        return mail_fail(error, MAIL_ERROR_DENIED, "the server refuses (%s)", text);
    return mail_fail(error, refusal->error, "%s (%s)", refusal->sentence, text);
}
