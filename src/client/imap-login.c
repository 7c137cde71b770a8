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
#include "client/sasl.h"

#include <string.h>

enum { MAX_INITIAL_RESPONSE = (LIMIT_IMAP_COMMAND - 60) / 4 * 3 }; /* before base64 */

/* -- Connection, greeting, TLS ----------------------------------------------------------------- */

static Deadline connect_deadline(const ImapSession *session)
{
    return deadline_earlier(deadline_in(LIMIT_CONNECT_SECONDS), imap_session_patience(session));
}

static gboolean connect_stream(ImapSession *session, GError **error)
{
    Deadline deadline = connect_deadline(session);
    int fd;

    if (session->endpoint->security == SECURITY_TUNNEL) {
        fd = session->broker->open_tunnel(session->broker, session->account, deadline, error);
        if (fd >= 0)
            session->stream = net_stream_new_fd(fd, session->name, session->cancel);
    } else {
        session->stream = net_stream_connect(session->endpoint, session->name, session->cancel,
                                             deadline, error);
    }
    return session->stream != NULL;
}

static gboolean await_greeting(ImapSession *session, GError **error)
{
    Deadline deadline = connect_deadline(session);
    const char *kind;

    imap_session_set_state(session, STATE_GREETING);
    while (!session->is_greeted)
        if (!imap_session_pump(session, deadline, error))
            return FALSE;
    kind = session->greeting.code ? session->greeting.code : "";
    if (strcmp(kind, "BYE") == 0)
        return mail_fail(error, MAIL_ERROR_BUSY, "the server is not ready to talk (%s)",
                         session->greeting.text);
    if (strcmp(kind, "PREAUTH") != 0) {
        imap_session_set_state(session, STATE_LOGIN);
        return TRUE;
    }
    /* Over a network it would hide that STARTTLS was left out (CVE-2020-14093), or who is
     * logged in. */
    if (session->endpoint->security != SECURITY_TUNNEL)
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "the server says that somebody is logged in already (PREAUTH); this is "
                         "only accepted from a tunnel");
    imap_session_set_state(session, STATE_READY);
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

/* Input is read octet by octet until the answer is there, so that what follows it, which can only
 * be an attack (CVE-2021-33515), is still unread when net_stream_start_tls() looks. */
static gboolean start_tls(ImapSession *session, GError **error)
{
    GError *cause = NULL;
    gboolean ok;

    if (!*session->caps.line && !ask_capabilities(session, error))
        return FALSE;
    if (!session->caps.has[IMAP_CAP_STARTTLS])
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                         "%s offers no STARTTLS, so that the password could be read on the way; "
                         "use imaps:// if the server has it",
                         session->endpoint->host);
    session->reads_single = TRUE;
    ok = imap_session_run(session, imap_command_new("STARTTLS"), NULL, error);
    session->reads_single = FALSE;
    if (!ok) {
        g_prefix_error(error, "%s does not begin TLS after STARTTLS (imaps:// may do): ",
                       session->endpoint->host);
        return FALSE;
    }
    g_assert(imap_parser_pending(session->parser) == 0 && imap_parser_is_between(session->parser));
    imap_capabilities_parse(&session->caps, "");
    return net_stream_start_tls(session->stream, session->endpoint, connect_deadline(session),
                                &cause) ||
           imap_session_die(session, cause, error);
}

/* A connection on which the login may go ahead. */
static gboolean connect_and_greet(ImapSession *session, GError **error)
{
    imap_session_reset(session);
    if (!connect_stream(session, error) || !await_greeting(session, error))
        return FALSE;
    if (session->endpoint->security == SECURITY_STARTTLS && !start_tls(session, error))
        return FALSE;
    return *session->caps.line || ask_capabilities(session, error);
}

/* -- AUTHENTICATE and LOGIN -------------------------------------------------------------------- */

/* "AUTHENTICATE PLAIN", with the initial response where SASL-IR (RFC 4959) allows it and it fits a
 * line: an OAuth token may be longer, and is then sent when the server asks.  *ret_sent tells. */
static guint send_authenticate(ImapSession *session, const char *mechanism, GBytes *initial,
                               gboolean *ret_sent, GError **error)
{
    ImapCommand *command = imap_command_new("AUTHENTICATE");
    char *encoded;

    imap_command_raw(command, mechanism);
    *ret_sent = initial && session->caps.has[IMAP_CAP_SASL_IR] &&
                g_bytes_get_size(initial) <= MAX_INITIAL_RESPONSE;
    if (*ret_sent) {
        encoded = g_bytes_get_size(initial) > 0 ? login_encode_response(initial) : g_strdup("=");
        imap_command_secret_word(command, encoded);
        login_free_response(encoded);
    }
    return imap_session_send(session, command, error);
}

/* What the tagged answer means, given how the mechanism sees it. */
static gboolean judge_login(ImapSession *session, const ImapResult *result, GError *reason,
                            gboolean is_complete, GError **error)
{
    GError *refused = NULL;

    if (result->cond == IMAP_OK && !reason && is_complete)
        return TRUE;
    if (result->cond == IMAP_OK) {
        /* The server lets us in without having shown that it knows the password. */
        if (reason)
            mail_fail(&refused, MAIL_ERROR_PROTOCOL, "%s", reason->message);
        else
            mail_fail(&refused, MAIL_ERROR_PROTOCOL,
                      "the server did not prove that it knows the password");
        return imap_session_die(session, refused, error);
    }
    if (mail_error_is(reason, MAIL_ERROR_PROTOCOL)) {
        g_propagate_error(error, g_error_copy(reason));
        return FALSE;
    }
    imap_session_refused(result, &refused);
    if (result->cond == IMAP_NO &&
        (result->code ? strcmp(result->code, "AUTHENTICATIONFAILED") == 0
                      : mail_error_is(refused, MAIL_ERROR_DENIED))) {
        g_clear_error(&refused);
        return login_fail_credentials(session->user, session->is_token, result->text, reason,
                                      error);
    }
    g_propagate_error(error, refused);
    return FALSE;
}

static gboolean send_response(ImapSession *session, GBytes *response, GError **error)
{
    char *encoded = login_encode_response(response);
    gboolean ok = imap_session_send_line(session, encoded, TRUE, error);

    login_free_response(encoded);
    return ok;
}

/* Answers one challenge.  Why a mechanism gives up is kept in @ret_reason; the exchange then goes
 * on to its end, which is the server's to say. */
static gboolean answer_challenge(ImapSession *session, Sasl *sasl, const char *text,
                                 GError **ret_reason, GError **error)
{
    g_autoptr(GBytes) challenge = login_decode_challenge(text), response = NULL;

    if (*ret_reason)
        return imap_session_send_line(session, "*", FALSE, error);
    if (challenge)
        response = sasl_step(sasl, challenge, ret_reason);
    else
        mail_fail(ret_reason, MAIL_ERROR_PROTOCOL, "the server's challenge is not base64");
    if (!response)
        response = sasl_error_response(sasl);
    return response ? send_response(session, response, error)
                    : imap_session_send_line(session, "*", FALSE, error);
}

/* Challenges and responses until the tagged answer is there. */
static gboolean exchange(ImapSession *session, Sasl *sasl, guint number, GBytes *initial,
                         GError **ret_reason, GError **error)
{
    for (;;) {
        g_autofree char *text = NULL;
        gboolean ok;

        if (!imap_session_await_continuation(session, number, &text, error))
            return FALSE;
        if (!text)
            return TRUE;
        if (initial)
            ok = send_response(session, initial, error);
        else
            ok = answer_challenge(session, sasl, text, ret_reason, error);
        if (!ok)
            return FALSE;
        initial = NULL;
    }
}

/* One exchange.  @ret_again: it failed, and @params are for another one on this connection. */
static gboolean authenticate_once(ImapSession *session, const SaslMechanism *mechanism,
                                  SaslParams *params, gboolean *ret_again, GError **error)
{
    g_autoptr(Sasl) sasl = sasl_new(mechanism, params);
    g_autoptr(GBytes) initial = NULL;
    g_autoptr(GError) reason = NULL;
    gboolean is_sent, ok;
    ImapResult result;
    guint number;

    session->mechanism = sasl_mechanism_name(mechanism);
    if (sasl_client_first(sasl) && !(initial = sasl_step(sasl, NULL, error)))
        return FALSE;
    number = send_authenticate(session, session->mechanism, initial, &is_sent, error);
    if (number == 0 ||
        !exchange(session, sasl, number, is_sent ? NULL : initial, &reason, error) ||
        !imap_session_collect(session, number, &result, error))
        return FALSE;
    ok = judge_login(session, &result, reason, sasl_is_complete(sasl), error);
    /* A code says that it is about something else. */
    *ret_again = !ok && result.cond == IMAP_NO && !result.code && sasl_next_binding(sasl, params);
    imap_result_clear(&result);
    return ok;
}

/* A server cannot say which types of channel binding it takes: Cyrus 3.6 offers -PLUS on TLS 1.3
 * and knows tls-unique only.  What was found out by trying is remembered, for such a refusal may
 * cost seconds. */
static gboolean authenticate(ImapSession *session, const SaslMechanism *mechanism,
                             SaslParams *params, GError **error)
{
    GError *cause = NULL;
    gboolean again = FALSE;

    while (!authenticate_once(session, mechanism, params, &again, &cause)) {
        if (!again) {
            g_propagate_error(error, cause);
            return FALSE;
        }
        g_clear_error(&cause);
        again = FALSE;
    }
    if (session->n_refused)
        g_atomic_int_set(session->n_refused, (int)params->n_refused);
    return TRUE;
}

/* For servers that know no SASL. */
static gboolean login(ImapSession *session, Secret *secret, GError **error)
{
    ImapCommand *command;
    ImapResult result;
    gboolean ok;
    guint number;

    if (session->caps.has[IMAP_CAP_LOGINDISABLED])
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                         "the server offers no way to log in (LOGINDISABLED, no AUTH=)");
    session->mechanism = "LOGIN command";
    command = imap_command_new("LOGIN");
    imap_command_string(command, session->user, strlen(session->user));
    imap_command_secret(command, secret_text(secret), secret_length(secret));
    number = imap_session_send(session, command, error);
    if (number == 0 || !imap_session_collect(session, number, &result, error))
        return FALSE;
    ok = judge_login(session, &result, NULL, TRUE, error);
    imap_result_clear(&result);
    return ok;
}

/* LOGIN only where nothing else is there, nothing else is configured, and nobody listens. */
static gboolean falls_back_to_login(const ImapSession *session)
{
    return session->caps.auth->pdata[0] == NULL && !session->is_token &&
           g_ascii_strcasecmp(session->auth, "auto") == 0 && imap_session_is_protected(session);
}

/* One try, with @fresh or else the broker's secret.  @ret_tried is the secret that failed, if any
 * was used. */
static gboolean try_login(ImapSession *session, Secret *fresh, Secret **ret_tried, GError **error)
{
    SaslParams params = {
        .user = session->user,
        .host = session->endpoint->host,
        .port = session->endpoint->port,
        .stream = session->stream,
        .n_refused = session->n_refused ? (guint)g_atomic_int_get(session->n_refused) : 0,
        .is_secure = imap_session_is_protected(session),
    };
    gboolean by_login = falls_back_to_login(session);
    const SaslMechanism *mechanism = NULL;
    g_autoptr(Secret) secret = fresh ? secret_ref(fresh) : NULL;

    if (!by_login) {
        mechanism = sasl_choose(session->auth, (const char *const *)session->caps.auth->pdata,
                                session->is_token, &params, error);
        if (!mechanism)
            return FALSE;
    }
    if (!secret && (by_login || strcmp(sasl_mechanism_name(mechanism), "EXTERNAL") != 0)) {
        secret = session->broker->get_secret(session->broker, session->account, FALSE,
                                             deadline_in(LIMIT_SECRET_SECONDS), error);
        if (!secret)
            return FALSE;
    }
    params.secret = secret;
    if (by_login ? login(session, secret, error)
                 : authenticate(session, mechanism, &params, error)) {
        imap_session_set_state(session, STATE_READY);
        return TRUE;
    }
    *ret_tried = g_steal_pointer(&secret);
    return FALSE;
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
    session->reads_single = TRUE;
    if (number == 0 || !imap_session_collect(session, number, &result, error))
        return FALSE;
    session->reads_single = FALSE;
    is_on = result.cond == IMAP_OK;
    imap_result_clear(&result);
    return !is_on || net_stream_start_deflate(session->stream, &cause) ||
           imap_session_die(session, cause, error);
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

static gboolean open_once(ImapSession *session, Secret *fresh, Secret **ret_tried, GError **error)
{
    if (!connect_and_greet(session, error))
        return FALSE;
    if (session->state == STATE_LOGIN && !try_login(session, fresh, ret_tried, error))
        return FALSE;
    return introduce(session, error) && compress(session, error) && enable(session, error);
}

/* A session that could not be opened is closed, whatever the reason. */
static gboolean fail_open(ImapSession *session, GError *cause, GError **error)
{
    if (session->state != STATE_DEAD)
        return imap_session_die(session, cause, error);
    g_propagate_error(error, cause);
    return FALSE;
}

gboolean imap_session_open(ImapSession *session, GError **error)
{
    g_autoptr(Secret) refused = NULL, fresh = NULL, tried = NULL;
    GError *cause = NULL;

    if (open_once(session, NULL, &refused, &cause))
        return TRUE;
    /* A password that was changed, a token that ran out.  On a new connection, for many servers
     * hang up after a refusal. */
    if (refused && mail_error_is(cause, MAIL_ERROR_AUTH) &&
        (fresh = login_fresh_secret(session->broker, session->account, refused, &cause))) {
        imap_session_logout(session);
        g_clear_error(&cause);
        if (open_once(session, fresh, &tried, &cause))
            return TRUE;
    }
    return fail_open(session, cause, error);
}
