/* What a NO or BAD means: by its code (RFC 5530) where there is one, else by its words. */
#include "client/imap-internal.h"
#include "client/refusal.h"

/* RFC 5530, RFC 9051 section 7.1. */
static const Refusal codes[] = {
    {"ALREADYEXISTS", MAIL_ERROR_EXISTS, "the server has a mailbox of that name"},
    {"AUTHENTICATIONFAILED", MAIL_ERROR_AUTH, "the server refuses the user name or password"},
    {"AUTHORIZATIONFAILED", MAIL_ERROR_AUTH, "the server does not let this user in"},
    {"BADCHARSET", MAIL_ERROR_UNSUPPORTED, "the server cannot search in this character set"},
    {"CANNOT", MAIL_ERROR_DENIED, "the server cannot do this"},
    {"EXPIRED", MAIL_ERROR_AUTH, "the password has expired; set a new one"},
    {"EXPUNGEISSUED", MAIL_ERROR_GONE, "the message is no longer there"},
    {"HASCHILDREN", MAIL_ERROR_NOTEMPTY, "the mailbox has others below it"},
    {"INUSE", MAIL_ERROR_BUSY, "the mailbox is in use; try again later"},
    {"LIMIT", MAIL_ERROR_BUSY, "a limit of the server is reached; try again later"},
    {"NONEXISTENT", MAIL_ERROR_GONE, "it is not on the server"},
    {"NOPERM", MAIL_ERROR_DENIED, "the server does not permit it"},
    {"OVERQUOTA", MAIL_ERROR_QUOTA, "the mailbox is over its quota; delete some mail"},
    {"PRIVACYREQUIRED", MAIL_ERROR_DENIED, "the server wants TLS; use imaps:// or imap://"},
    {"READ-ONLY", MAIL_ERROR_READONLY, "the mailbox is read-only"},
    {"THROTTLED", MAIL_ERROR_BUSY, "the server asks for fewer requests; try again later"},
    {"TOOBIG", MAIL_ERROR_TOOBIG, "the message is too large for the server"},
    {"TRYCREATE", MAIL_ERROR_GONE, "the mailbox does not exist"},
    {"UNAVAILABLE", MAIL_ERROR_BUSY, "the server has a problem; try again later"},
    {"UNKNOWN-CTE", MAIL_ERROR_UNSUPPORTED, "the server cannot decode this part"},
    {NULL, MAIL_ERROR_DENIED, NULL},
};

/* Where there is no code, or LIMIT, which does not say of what: parts of sentences, in any case. */
static const Refusal words[] = {
    /* Dovecot; others. */
    {"size is larger", MAIL_ERROR_TOOBIG, "the message is too large for the server"},
    {"message too large", MAIL_ERROR_TOOBIG, "the message is too large for the server"},
    /* Dovecot, Exchange, Cyrus, Courier; Gmail. */
    {"doesn't exist", MAIL_ERROR_GONE, "it is not on the server"},
    {"does not exist", MAIL_ERROR_GONE, "it is not on the server"},
    {"unknown mailbox", MAIL_ERROR_GONE, "it is not on the server"},
    {"no such mailbox", MAIL_ERROR_GONE, "it is not on the server"},
    /* Dovecot, Cyrus; Gmail ("Duplicate folder name"); Courier's RENAME. */
    {"already exists", MAIL_ERROR_EXISTS, "the server has a mailbox of that name"},
    {"duplicate folder", MAIL_ERROR_EXISTS, "the server has a mailbox of that name"},
    {"file exists", MAIL_ERROR_EXISTS, "the server has a mailbox of that name"},
    /* Cyrus; Dovecot. */
    {"inferior hierarchical names", MAIL_ERROR_NOTEMPTY, "the mailbox has others below it"},
    {"has children", MAIL_ERROR_NOTEMPTY, "the mailbox has others below it"},
    /* Dovecot, Cyrus; Courier. */
    {"quota exceeded", MAIL_ERROR_QUOTA, "the mailbox is over its quota; delete some mail"},
    {"over quota", MAIL_ERROR_QUOTA, "the mailbox is over its quota; delete some mail"},
    {"your mail quota", MAIL_ERROR_QUOTA, "the mailbox is over its quota; delete some mail"},
    /* Exchange; everybody. */
    {"throttled", MAIL_ERROR_BUSY, "the server asks to try again later"},
    {"too many", MAIL_ERROR_BUSY, "a limit of the server is reached; try again later"},
    {NULL, MAIL_ERROR_DENIED, NULL},
};

gboolean imap_session_refused(const ImapResult *result, GError **error)
{
    const Refusal *refusal = refusal_by_code(codes, result->code);

    if (result->cond == IMAP_BAD)
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                         "the server does not understand the command (%s)", result->text);
    if (!refusal || g_str_equal(refusal->sign, "LIMIT")) {
        const Refusal *said = refusal_by_words(words, result->text);

        refusal = said ? said : refusal;
    }
    return refusal_fail(refusal, result->text, error);
}
