/* What an -ERR means: by its code (RFC 2449 section 8, RFC 3206) where there is one, else by its
 * words.
 *
 * Few servers send codes, and sentences for the same thing differ, so words that were seen decide.
 * They decide only which error number a program gets, and whether a login is tried again by
 * itself: a server that says it in its own way costs a less fitting message, no mail.
 */
#include "client/pop3-internal.h"
#include "base/error.h"

#include <string.h>

typedef struct {
    const char *sign; /* a code, or part of a text */
    MailError error;
    const char *sentence;
} Refusal;

static const Refusal codes[] = {
    {"AUTH", MAIL_ERROR_AUTH, "the server refuses the user name or password"},
    {"IN-USE", MAIL_ERROR_BUSY, "another program has the mailbox open; try again later"},
    {"LOGIN-DELAY", MAIL_ERROR_BUSY, "it is too early to log in again; try again later"},
    {"SYS/TEMP", MAIL_ERROR_BUSY, "the server has a problem; try again later"},
    {"SYS/PERM", MAIL_ERROR_DENIED, "the server cannot do this for this user; ask its owner"},
    /* RFC 6856: what it cannot show without UTF8, which is not spoken here. */
    {"UTF8", MAIL_ERROR_UNSUPPORTED, "the server wants a client that speaks UTF8"},
};

/* Parts of sentences, in any case. */
static const Refusal words[] = {
    /* Qpopper, mailutils, Exchange; Cyrus ("Mailbox already open by another POP session"). */
    {"in use", MAIL_ERROR_BUSY, "another program has the mailbox open; try again later"},
    {"already locked", MAIL_ERROR_BUSY, "another program has the mailbox open; try again later"},
    {"mailbox is locked", MAIL_ERROR_BUSY,
     "another program has the mailbox open; try again later"},
    {"unable to lock", MAIL_ERROR_BUSY, "another program has the mailbox open; try again later"},
    {"lock busy", MAIL_ERROR_BUSY, "another program has the mailbox open; try again later"},
    {"already open", MAIL_ERROR_BUSY, "another program has the mailbox open; try again later"},
    {"login delay", MAIL_ERROR_BUSY, "it is too early to log in again; try again later"},
    {"too many", MAIL_ERROR_BUSY, "a limit of the server is reached; try again later"},
    {"too frequent", MAIL_ERROR_BUSY, "a limit of the server is reached; try again later"},
    {"exceeded", MAIL_ERROR_BUSY, "a limit of the server is reached; try again later"},
    {"try again", MAIL_ERROR_BUSY, "the server asks to try again later"},
    {"try later", MAIL_ERROR_BUSY, "the server asks to try again later"},
    {"temporar", MAIL_ERROR_BUSY, "the server has a problem; try again later"},
    {"unavailable", MAIL_ERROR_BUSY, "the server has a problem; try again later"},
    {"internal", MAIL_ERROR_BUSY, "the server has a problem; try again later"},
    /* Everybody; Dovecot ("Message 1 expunged", "There's no message 5"), Courier. */
    {"no such message", MAIL_ERROR_GONE, "the message is no longer there"},
    {"no message", MAIL_ERROR_GONE, "the message is no longer there"},
    {"expunged", MAIL_ERROR_GONE, "the message is no longer there"},
    {"already deleted", MAIL_ERROR_GONE, "the message is no longer there"},
    {"been deleted", MAIL_ERROR_GONE, "the message is no longer there"},
    {"is deleted", MAIL_ERROR_GONE, "the message is no longer there"},
    {"was deleted", MAIL_ERROR_GONE, "the message is no longer there"},
    {"can't open the message", MAIL_ERROR_GONE, "the message is no longer there"},
    {"invalid message", MAIL_ERROR_GONE, "the message is no longer there"},
    /* Of a command. */
    {"unknown command", MAIL_ERROR_UNSUPPORTED, "the server does not know the command"},
    {"invalid command", MAIL_ERROR_UNSUPPORTED, "the server does not know the command"},
    {"unrecognized", MAIL_ERROR_UNSUPPORTED, "the server does not know the command"},
    {"not implemented", MAIL_ERROR_UNSUPPORTED, "the server does not know the command"},
    {"unimplemented", MAIL_ERROR_UNSUPPORTED, "the server does not know the command"},
    {"not supported", MAIL_ERROR_UNSUPPORTED, "the server does not know the command"},
};

static const Refusal *find(const char *code, const char *text)
{
    for (guint i = 0; code && i < G_N_ELEMENTS(codes); i++)
        if (strcmp(code, codes[i].sign) == 0)
            return &codes[i];
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        if (strcasestr(text, words[i].sign))
            return &words[i];
    return NULL;
}

gboolean pop3_refusal_is_plain(const char *code, const char *text)
{
    return find(code, text) == NULL;
}

gboolean pop3_session_refused(const char *code, const char *text, GError **error)
{
    const Refusal *refusal = find(code, text);

    if (!refusal)
        return mail_fail(error, MAIL_ERROR_DENIED, "the server refuses (%s)", text);
    return mail_fail(error, refusal->error, "%s (%s)", refusal->sentence, text);
}
