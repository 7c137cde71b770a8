/* What an -ERR means: by its code (RFC 2449 section 8, RFC 3206) where there is one, else by its
 * words: few servers send codes.
 */
#include "client/pop3-internal.h"
#include "client/refusal.h"

static const char in_use[] = "another program has the mailbox open; try again later";
static const char credentials[] = "the server refuses the user name or password";
static const char too_early[] = "it is too early to log in again; try again later";
static const char limit[] = "a limit of the server is reached; try again later";
static const char later[] = "the server asks to try again later";
static const char problem[] = "the server has a problem; try again later";
static const char gone[] = "the message is no longer there";
static const char unknown[] = "the server does not know the command";

static const Refusal codes[] = {
    {"AUTH", MAIL_ERROR_AUTH, credentials},
    {"IN-USE", MAIL_ERROR_BUSY, in_use},
    {"LOGIN-DELAY", MAIL_ERROR_BUSY, too_early},
    {"SYS/TEMP", MAIL_ERROR_BUSY, problem},
    {"SYS/PERM", MAIL_ERROR_DENIED, "the server cannot do this for this user; ask its owner"},
    /* RFC 6856: what it cannot show without UTF8, which is not spoken here. */
    {"UTF8", MAIL_ERROR_UNSUPPORTED, "the server wants a client that speaks UTF8"},
    {NULL, MAIL_ERROR_DENIED, NULL},
};

/* Of a login, where a maildrop that is locked must not be taken for a wrong password, nor the other
 * way round: the first that fits counts. */
static const Refusal login_words[] = {
    {"temporar", MAIL_ERROR_BUSY, problem}, /* "account temporarily locked" */
    {"block", MAIL_ERROR_AUTH, credentials},
    {"locked out", MAIL_ERROR_AUTH, credentials},
    {"account is locked", MAIL_ERROR_AUTH, credentials},
    {"account locked", MAIL_ERROR_AUTH, credentials},
    {"account has been locked", MAIL_ERROR_AUTH, credentials},
    /* Qpopper, mailutils, Exchange; Cyrus ("Mailbox already open by another POP session"). */
    {"in use", MAIL_ERROR_BUSY, in_use},
    {"lock", MAIL_ERROR_BUSY, in_use},
    {"busy", MAIL_ERROR_BUSY, in_use},
    {"already open", MAIL_ERROR_BUSY, in_use},
    {"login delay", MAIL_ERROR_BUSY, too_early},
    {"too many", MAIL_ERROR_BUSY, limit},
    {"too frequent", MAIL_ERROR_BUSY, limit},
    {"system error", MAIL_ERROR_BUSY, problem},
    {"internal", MAIL_ERROR_BUSY, problem},
    {"unavailable", MAIL_ERROR_BUSY, problem},
    /* "Wrong password, try again" is said to people, not to programs. */
    {"password", MAIL_ERROR_AUTH, credentials},
    {"credential", MAIL_ERROR_AUTH, credentials},
    {"authentication fail", MAIL_ERROR_AUTH, credentials},
    {"limit", MAIL_ERROR_BUSY, limit},
    {"exceeded", MAIL_ERROR_BUSY, limit},
    {"try again", MAIL_ERROR_BUSY, later},
    {"try later", MAIL_ERROR_BUSY, later},
    {"retry", MAIL_ERROR_BUSY, later},
    {NULL, MAIL_ERROR_DENIED, NULL},
};

/* Of any other command; parts of sentences, in any case. */
static const Refusal words[] = {
    {"in use", MAIL_ERROR_BUSY, in_use},
    {"is locked", MAIL_ERROR_BUSY, in_use},
    {"too many", MAIL_ERROR_BUSY, limit},
    {"exceeded", MAIL_ERROR_BUSY, limit},
    {"try again", MAIL_ERROR_BUSY, later},
    {"try later", MAIL_ERROR_BUSY, later},
    {"temporar", MAIL_ERROR_BUSY, problem},
    {"unavailable", MAIL_ERROR_BUSY, problem},
    /* Everybody; Dovecot ("Message 1 expunged", "There's no message 5"), Courier. */
    {"no such message", MAIL_ERROR_GONE, gone},
    {"no message", MAIL_ERROR_GONE, gone},
    {"expunged", MAIL_ERROR_GONE, gone},
    {"already deleted", MAIL_ERROR_GONE, gone},
    {"been deleted", MAIL_ERROR_GONE, gone},
    {"is deleted", MAIL_ERROR_GONE, gone},
    {"was deleted", MAIL_ERROR_GONE, gone},
    {"can't open the message", MAIL_ERROR_GONE, gone},
    {"invalid message", MAIL_ERROR_GONE, gone},
    {"unknown command", MAIL_ERROR_UNSUPPORTED, unknown},
    {"invalid command", MAIL_ERROR_UNSUPPORTED, unknown},
    {"unrecognized", MAIL_ERROR_UNSUPPORTED, unknown},
    {"not implemented", MAIL_ERROR_UNSUPPORTED, unknown},
    {"unimplemented", MAIL_ERROR_UNSUPPORTED, unknown},
    {"not supported", MAIL_ERROR_UNSUPPORTED, unknown},
    {NULL, MAIL_ERROR_DENIED, NULL},
};

static const Refusal *find(const char *code, const char *text, gboolean is_login)
{
    const Refusal *refusal = refusal_by_code(codes, code);

    if (!refusal && is_login)
        refusal = refusal_by_words(login_words, text);
    return refusal ? refusal : refusal_by_words(words, text);
}

gboolean pop3_session_refused(const char *code, const char *text, GError **error)
{
    return refusal_fail(find(code, text, FALSE), text, error);
}

Pop3Refusal pop3_session_refused_login(const char *code, const char *text, GError **error)
{
    const Refusal *refusal = find(code, text, TRUE);

    refusal_fail(refusal, text, error);
    if (!refusal || (refusal->sentence == credentials && !code))
        return POP3_REFUSAL_PLAIN;
    return refusal->sentence == in_use ? POP3_REFUSAL_IN_USE : POP3_REFUSAL_OTHER;
}
