/* From nothing to authenticated.
 *
 * The order is what protects the password: connection, TLS, only then capabilities that count, then
 * a mechanism.  In clear text a STARTTLS session says CAPABILITY and STARTTLS and nothing else, and
 * what it heard is forgotten (https://nostarttls.secvuln.info has the reasons).
 */
#include "client/imap-internal.h"
#include "base/error.h"
#include "base/limits.h"
#include "client/login.h"

#include <string.h>

enum { MAX_INITIAL_RESPONSE = LIMIT_IMAP_COMMAND - 60 }; /* in base64 */

/* -- Connection, greeting, TLS ----------------------------------------------------------------- */

static gboolean await_greeting(ImapSession *session, GError **error)
{
    Deadline deadline = session_connect_deadline(&session->base);
    const char *kind;

    while (!session->base.is_greeted)
        if (!imap_session_pump(session, deadline, error))
            return FALSE;
    kind = session->greeting.code ? session->greeting.code : "";
    if (strcmp(kind, "BYE") == 0)
        return mail_fail(error, MAIL_ERROR_BUSY, "the server is not ready to talk (%s)",
                         session->greeting.text);
    if (strcmp(kind, "PREAUTH") != 0) {
        session_set_state(&session->base, STATE_LOGIN);
        return TRUE;
    }
    /* Over a network it would hide that STARTTLS was left out (CVE-2020-14093), or who is
     * logged in. */
    if (session->base.endpoint->security != SECURITY_TUNNEL)
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "the server says that somebody is logged in already (PREAUTH); this is "
                         "only accepted from a tunnel");
    session_set_state(&session->base, STATE_READY);
    return TRUE;
}

static gboolean ask_capabilities(ImapSession *session, GError **error)
{
    gboolean ok;

    session->expects_caps = TRUE;
    ok = imap_session_run(session, imap_command_new("CAPABILITY"), NULL, error);
    session->expects_caps = FALSE;
    return ok;
}

static gboolean say_start_tls(Session *base, GError **error)
{
    ImapSession *session = (ImapSession *)base;

    if (!imap_session_run(session, imap_command_new("STARTTLS"), NULL, error))
        return FALSE;
    g_assert(imap_parser_pending(session->parser) == 0 && imap_parser_is_between(session->parser));
    imap_capabilities_parse(&session->caps, "");
    return TRUE;
}

static gboolean start_tls(ImapSession *session, GError **error)
{
    return (*session->caps.line || ask_capabilities(session, error)) &&
           session_start_tls(&session->base, session->caps.has[IMAP_CAP_STARTTLS], say_start_tls,
                             error);
}

static gboolean connect_and_greet(Session *base, GError **error)
{
    ImapSession *session = (ImapSession *)base;

    imap_session_reset(session);
    return session_connect(base, error) && await_greeting(session, error) &&
           (base->endpoint->security != SECURITY_STARTTLS || start_tls(session, error)) &&
           (*session->caps.line || ask_capabilities(session, error));
}

/* -- AUTHENTICATE and LOGIN -------------------------------------------------------------------- */

static void read_answer(const ImapResult *result, LoginAnswer *ret_answer)
{
    *ret_answer = (LoginAnswer){
        .ok = result->cond == IMAP_OK,
        .text = g_strdup(result->text),
        /* A code says that it is about something else. */
        .is_binding = result->cond == IMAP_NO && !result->code,
    };
    if (ret_answer->ok)
        return;
    imap_session_refused(result, &ret_answer->refusal);
    ret_answer->is_credentials =
        result->cond == IMAP_NO &&
        (result->code ? strcmp(result->code, "AUTHENTICATIONFAILED") == 0
                      : mail_error_is(ret_answer->refusal, MAIL_ERROR_DENIED));
}

static gboolean collect_answer(ImapSession *session, guint number, LoginAnswer *ret_answer,
                               GError **error)
{
    ImapResult result;

    if (number == 0 || !imap_session_collect(session, number, &result, error))
        return FALSE;
    read_answer(&result, ret_answer);
    imap_result_clear(&result);
    return TRUE;
}

/* "AUTHENTICATE PLAIN", with the initial response where SASL-IR (RFC 4959) allows it. */
static gboolean send_auth(Session *base, const char *mechanism, const char *initial,
                          gboolean *ret_sent, GError **error)
{
    ImapSession *session = (ImapSession *)base;
    ImapCommand *command = imap_command_new("AUTHENTICATE");

    imap_command_raw(command, mechanism);
    *ret_sent = initial && session->caps.has[IMAP_CAP_SASL_IR] &&
                strlen(initial) <= MAX_INITIAL_RESPONSE;
    if (*ret_sent)
        imap_command_secret_word(command, initial);
    session->auth_number = imap_session_send(session, command, error);
    return session->auth_number != 0;
}

static gboolean send_line(Session *base, const char *line, gboolean is_secret, GError **error)
{
    return imap_session_send_line((ImapSession *)base, line, is_secret, error);
}

static gboolean await(Session *base, char **ret_challenge, LoginAnswer *ret_answer, GError **error)
{
    ImapSession *session = (ImapSession *)base;

    return imap_session_await_continuation(session, session->auth_number, ret_challenge, error) &&
           (*ret_challenge || collect_answer(session, session->auth_number, ret_answer, error));
}

/* For servers that know no SASL. */
static gboolean log_in_by_command(Session *base, Secret *secret, GError **error)
{
    ImapSession *session = (ImapSession *)base;
    g_auto(LoginAnswer) answer = {0};
    ImapCommand *command;

    if (session->caps.has[IMAP_CAP_LOGINDISABLED])
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                         "the server offers no way to log in (LOGINDISABLED, no AUTH=)");
    base->mechanism = "LOGIN command";
    command = imap_command_new("LOGIN");
    imap_command_string(command, base->user, strlen(base->user));
    imap_command_secret(command, secret_text(secret), secret_length(secret));
    return collect_answer(session, imap_session_send(session, command, error), &answer, error) &&
           login_judge(base, &answer, error);
}

/* LOGIN only where nothing else is there, nothing else is configured, and nobody listens. */
static gboolean choose(Session *base, const SaslParams *params, LoginWay *ret_way, GError **error)
{
    const ImapSession *session = (const ImapSession *)base;
    const char *const *offered = (const char *const *)session->caps.auth->pdata;

    *ret_way = (LoginWay){.command = log_in_by_command};
    if (!*offered && !base->is_token && g_ascii_strcasecmp(base->auth, "auto") == 0 &&
        params->is_secure)
        return TRUE;
    ret_way->mechanism = sasl_choose(base->auth, offered, base->is_token, params, error);
    return ret_way->mechanism != NULL;
}

/* -- After the login --------------------------------------------------------------------------- */

#define ID_COMMAND "ID (\"name\" \"mailfs\" \"version\" \"" MAILFS_VERSION "\")"

/* Waits for @number, where the answer may be anything: some servers say BAD to ID. */
static gboolean ignore_answer(ImapSession *session, guint number, GError **error)
{
    ImapResult result;

    if (number == 0 || !imap_session_collect(session, number, &result, error))
        return FALSE;
    imap_result_clear(&result);
    return TRUE;
}

/* CAPABILITY always: what is listed before the login is not what is there after it, and proxies
 * (iCloud's) rewrite it until it is asked for.  ID before SELECT, for 163.com. */
static gboolean introduce(ImapSession *session, GError **error)
{
    gboolean knows_id = session->caps.has[IMAP_CAP_ID];
    guint capability, id = 0;

    session->expects_caps = TRUE;
    capability = imap_session_send(session, imap_command_new("CAPABILITY"), error);
    if (capability == 0)
        return FALSE;
    if (knows_id && (id = imap_session_send(session, imap_command_new(ID_COMMAND), error)) == 0)
        return FALSE;
    if (!imap_session_wait(session, capability, NULL, error))
        return FALSE;
    session->expects_caps = FALSE;
    if (!knows_id && session->caps.has[IMAP_CAP_ID] &&
        (id = imap_session_send(session, imap_command_new(ID_COMMAND), error)) == 0)
        return FALSE;
    return id == 0 || ignore_answer(session, id, error);
}

/* COMPRESS=DEFLATE (RFC 4978).  Input is read octet by octet until the answer is there, for the
 * next octet may be deflated. */
static gboolean compress(ImapSession *session, GError **error)
{
    ImapResult result;
    gboolean is_on;
    guint number;
    GError *cause = NULL;

    if (!session->wants_compress || !session->caps.has[IMAP_CAP_COMPRESS])
        return TRUE;
    number = imap_session_send(session, imap_command_new("COMPRESS DEFLATE"), error);
    session->base.reads_single = TRUE;
    if (number == 0 || !imap_session_collect(session, number, &result, error))
        return FALSE;
    session->base.reads_single = FALSE;
    is_on = result.cond == IMAP_OK;
    imap_result_clear(&result);
    return !is_on || net_stream_start_deflate(session->base.stream, &cause) ||
           session_die(&session->base, cause, error);
}

/* ENABLE (RFC 5161), before any mailbox is selected: Dovecot counts mod-sequences only from then
 * on.  What is on is what ENABLED says. */
static gboolean enable(ImapSession *session, GError **error)
{
    const gboolean *has = session->caps.has;
    g_autoptr(GString) words = g_string_new("ENABLE");

    if (!has[IMAP_CAP_ENABLE])
        return TRUE;
    if (has[IMAP_CAP_CONDSTORE])
        g_string_append(words, " CONDSTORE");
    if (has[IMAP_CAP_QRESYNC])
        g_string_append(words, " QRESYNC");
    if (has[IMAP_CAP_UTF8_ONLY])
        g_string_append(words, " UTF8=ACCEPT");
    if (strcmp(words->str, "ENABLE") == 0)
        return TRUE;
    return ignore_answer(session, imap_session_send(session, imap_command_new(words->str), error),
                         error);
}

static gboolean settle(Session *base, GError **error)
{
    ImapSession *session = (ImapSession *)base;

    return introduce(session, error) && compress(session, error) && enable(session, error);
}

static void leave(Session *base)
{
    imap_session_logout((ImapSession *)base);
}

static const LoginProtocol protocol = {
    .prepare = connect_and_greet,
    .settle = settle,
    .leave = leave,
    .choose = choose,
    .send_auth = send_auth,
    .send_line = send_line,
    .await = await,
};

gboolean imap_session_open(ImapSession *session, GError **error)
{
    return login_open(&session->base, &protocol, error);
}
