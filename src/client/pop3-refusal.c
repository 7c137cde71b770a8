/* What an -ERR means: by its code (RFC 2449 section 8, RFC 3206) where there is one, else by its
 * words: few servers send codes.
 */
#include "client/pop3-internal.h"
#include "client/refusal.h"

static const Refusal codes[] = {
    {"AUTH", MAIL_ERROR_AUTH, "the server refuses the user name or password"},
    {"IN-USE", MAIL_ERROR_BUSY, "another program has the mailbox open; try again later"},
    {"LOGIN-DELAY", MAIL_ERROR_BUSY, "it is too early to log in again; try again later"},
    {"SYS/TEMP", MAIL_ERROR_BUSY, "the server has a problem; try again later"},
    {"SYS/PERM", MAIL_ERROR_DENIED, "the server cannot do this for this user; ask its owner"},
    /* RFC 6856: what it cannot show without UTF8, which is not spoken here. */
    {"UTF8", MAIL_ERROR_UNSUPPORTED, "the server wants a client that speaks UTF8"},
    {NULL, MAIL_ERROR_DENIED, NULL},
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
    {NULL, MAIL_ERROR_DENIED, NULL},
};

static const Refusal *find(const char *code, const char *text)
{
    const Refusal *refusal = refusal_by_code(codes, code);

    return refusal ? refusal : refusal_by_words(words, text);
}

gboolean pop3_refusal_is_plain(const char *code, const char *text)
{
    return find(code, text) == NULL;
}

gboolean pop3_session_refused(const char *code, const char *text, GError **error)
{
    return refusal_fail(find(code, text), text, error);
}
