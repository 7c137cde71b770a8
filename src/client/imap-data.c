/* What to do with each response.
 *
 * Tagged ones complete a command.  Untagged ones are looked up by name; unknown names are skipped.
 * Before the login nothing is believed but capabilities that were asked for, for until then
 * anybody may be speaking; data of a mailbox counts only while that mailbox is selected.
 */
#include "client/imap-internal.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

enum { TEXT_SHOWN = 300 }; /* octets of a server's text in our messages */

/* Calls a function of the handler, if there is one. */
#define TELL(session, function, ...)                                                               \
    G_STMT_START                                                                                   \
    {                                                                                              \
        if ((session)->handler->function)                                                          \
            (session)->handler->function((session)->handler_data, __VA_ARGS__);                    \
    }                                                                                              \
    G_STMT_END

static gboolean protocol(GError **error, const char *what)
{
    return mail_fail(error, MAIL_ERROR_PROTOCOL, "the server sent %s", what);
}

/* -- Status responses -------------------------------------------------------------------------- */

void imap_data_result(const ImapResponse *response, ImapCond cond, ImapResult *result)
{
    *result = (ImapResult){
        .cond = cond,
        .code = g_strdup(response->code),
        .code_args = g_strdup(response->code_args),
        .text = text_printable(response->text, strlen(response->text), TEXT_SHOWN),
    };
}

static guint64 code_number(const ImapResponse *response, guint64 max)
{
    const char *args = response->code_args ? response->code_args : "";
    guint64 number = 0;

    return text_parse_number(args, strlen(args), max, &number) ? number : 0;
}

/* MAILBOXID (F2212ea87-6097): what is in the parentheses, if it fits. */
static void take_mailbox_id(ImapSelected *selected, const char *args)
{
    gsize length = strlen(args);

    if (length < 3 || length - 2 >= sizeof selected->mailbox_id || args[0] != '(')
        return;
    memcpy(selected->mailbox_id, args + 1, length - 2);
    selected->mailbox_id[length - 2] = '\0';
}

/* What came before [CLOSED] was about the mailbox before. */
static void take_closed(ImapSession *session)
{
    session->selected = (ImapSelected){0};
    session->exists = 0;
    session->is_muted = FALSE;
    session->saw_closed = TRUE;
}

/* Codes that describe the mailbox being selected. */
static void take_select_code(ImapSession *session, const ImapResponse *response)
{
    ImapSelected *selected = &session->selected;
    const char *code = response->code, *args = response->code_args ? response->code_args : "";

    if (strcmp(code, "CLOSED") == 0)
        take_closed(session);
    else if (strcmp(code, "UIDVALIDITY") == 0)
        selected->uidvalidity = (guint32)code_number(response, G_MAXUINT32);
    else if (strcmp(code, "UIDNEXT") == 0)
        selected->uidnext = (guint32)code_number(response, G_MAXUINT32);
    else if (strcmp(code, "HIGHESTMODSEQ") == 0)
        selected->highestmodseq = code_number(response, G_MAXINT64);
    else if (strcmp(code, "NOMODSEQ") == 0)
        selected->highestmodseq = 0;
    else if (strcmp(code, "PERMANENTFLAGS") == 0)
        selected->no_new_keywords = strstr(args, "\\*") == NULL;
    else if (strcmp(code, "READ-ONLY") == 0)
        selected->is_readonly = TRUE;
    else if (strcmp(code, "READ-WRITE") == 0)
        selected->is_readonly = FALSE;
    else if (strcmp(code, "MAILBOXID") == 0)
        take_mailbox_id(selected, args);
}

/* The code of any status response, tagged or not. */
static void take_code(ImapSession *session, const ImapResponse *response)
{
    g_autofree char *text = NULL;

    if (!response->code)
        return;
    if (strcmp(response->code, "CAPABILITY") == 0 && session->base.state <= STATE_LOGIN)
        imap_capabilities_parse(&session->caps, response->code_args ? response->code_args : "");
    if (session->base.state == STATE_SELECTING)
        take_select_code(session, response);
    if (strcmp(response->code, "ALERT") == 0 && session_is_protected(&session->base)) {
        text = text_printable(response->text, strlen(response->text), TEXT_SHOWN);
        TELL(session, alert, text);
    }
}

static gboolean take_greeting(ImapSession *session, const ImapResponse *response, GError **error)
{
    if (!response->is_status || response->tag || strcmp(response->name, "NO") == 0 ||
        strcmp(response->name, "BAD") == 0)
        return session_fail_greeting(&session->base, error);
    take_code(session, response);
    imap_data_result(response, IMAP_OK, &session->greeting);
    if (strcmp(response->name, "OK") != 0) {
        g_free(session->greeting.code);
        session->greeting.code = g_strdup(response->name);
    }
    session->base.is_greeted = TRUE;
    return TRUE;
}

/* UID MOVE tells its COPYUID in an untagged OK (RFC 6851 section 4.3), and so does REPLACE its
 * APPENDUID (RFC 8508 section 4.3); both are to be found in the answer to the command. */
static void keep_uidplus(ImapSession *session, const ImapResponse *response)
{
    if (session->n_in_flight == 0 || !response->code_args ||
        (strcmp(response->code, "COPYUID") != 0 && strcmp(response->code, "APPENDUID") != 0))
        return;
    g_free(session->uidplus[0]);
    g_free(session->uidplus[1]);
    session->uidplus[0] = g_strdup(response->code);
    session->uidplus[1] = g_strdup(response->code_args);
}

static gboolean on_status(ImapSession *session, const ImapResponse *response, GError **error)
{
    take_code(session, response);
    keep_uidplus(session, response);
    if (session->mailbox && session->base.state != STATE_SELECTING &&
        g_strcmp0(response->code, "UIDVALIDITY") == 0 &&
        code_number(response, G_MAXUINT32) != session->selected.uidvalidity)
        return protocol(error, "another UIDVALIDITY for the mailbox that is selected");
    return TRUE;
}

static gboolean on_bye(ImapSession *session, const ImapResponse *response, GError **error)
{
    g_autofree char *text = text_printable(response->text, strlen(response->text), TEXT_SHOWN);

    if (session->base.state == STATE_QUIT)
        return TRUE;
    if (session->base.state == STATE_LOGIN)
        return mail_fail(error, MAIL_ERROR_BUSY, "the server hangs up at the login (%s)", text);
    return mail_fail(error, MAIL_ERROR_OFFLINE, "the server closed the connection (%s)", text);
}

/* -- Tagged responses -------------------------------------------------------------------------- */

/* Before another code of the answer: Dovecot's is HIGHESTMODSEQ. */
static void give_uidplus(ImapSession *session, ImapResult *result)
{
    g_autofree char *code = g_steal_pointer(&session->uidplus[0]);
    g_autofree char *args = g_steal_pointer(&session->uidplus[1]);

    if (!code || result->cond != IMAP_OK)
        return;
    if (g_strcmp0(result->code, code) == 0 && result->code_args)
        return;
    g_free(result->code);
    g_free(result->code_args);
    result->code = g_steal_pointer(&code);
    result->code_args = g_steal_pointer(&args);
}

static InFlight *command_of(const ImapSession *session, const char *tag)
{
    guint64 number;

    if (strncmp(tag, session->prefix, PREFIX_LENGTH) != 0)
        return NULL;
    tag += PREFIX_LENGTH;
    if (tag[0] == '0' || !text_parse_number(tag, strlen(tag), G_MAXUINT32, &number))
        return NULL;
    return g_hash_table_lookup(session->commands, GUINT_TO_POINTER((guint)number));
}

static gboolean take_tagged(ImapSession *session, const ImapResponse *response, GError **error)
{
    InFlight *command = command_of(session, response->tag);
    ImapCond cond = strcmp(response->name, "OK") == 0   ? IMAP_OK
                    : strcmp(response->name, "NO") == 0 ? IMAP_NO
                                                        : IMAP_BAD;

    if (!command || command->is_done)
        return protocol(error, "an answer to a command that was not given");
    take_code(session, response);
    imap_data_result(response, cond, &command->result);
    give_uidplus(session, &command->result);
    command->is_done = TRUE;
    session->n_in_flight--;
    return TRUE;
}

/* -- Messages of the selected mailbox ---------------------------------------------------------- */

/* TRUE when data about messages belongs to the mailbox that the handler thinks of. */
static gboolean hears_messages(const ImapSession *session)
{
    return !session->is_muted && session->mailbox != NULL;
}

/* One more thing happened to the mailbox. */
static void count_event(ImapSession *session)
{
    session->n_events++;
}

/* BODY[] that came within the response goes the same way as one that was streamed. */
static void give_inline_body(ImapSession *session, const ImapFetch *fetch, const ImapArg *body)
{
    TELL(session, body_begin, fetch->uid, body->length);
    if (body->length > 0)
        TELL(session, body_data, body->text, body->length);
}

static gboolean on_fetch(ImapSession *session, const ImapResponse *response, GError **error)
{
    gboolean body_began = session->body_began;
    const ImapArg *body;
    ImapFetch fetch;

    session->body_began = FALSE;
    session->streaming = IMAP_STREAM_OTHER;
    if (!imap_response_fetch(response, session->keywords, &fetch, &body, error))
        return FALSE;
    if (!hears_messages(session))
        return TRUE;
    if ((fetch.items & IMAP_FETCH_HEADER) && !fetch.header) {
        fetch.header = (const char *)session->header->data;
        fetch.header_length = session->header->len;
    }
    fetch.header_length = MIN(fetch.header_length, LIMIT_HEADER);
    if (body && !fetch.body_is_nil && !body_began)
        give_inline_body(session, &fetch, body);
    TELL(session, fetch, &fetch);
    count_event(session);
    return TRUE;
}

/* The first piece of a literal tells where it all goes. */
static gboolean begin_stream(ImapSession *session, const ImapResponse *response,
                             const ImapChunk *chunk, GError **error)
{
    guint32 uid;

    session->streaming = imap_response_stream(response, &uid);
    if (!hears_messages(session))
        session->streaming = IMAP_STREAM_OTHER;
    if (session->streaming == IMAP_STREAM_HEADER)
        g_byte_array_set_size(session->header, 0);
    if (session->streaming != IMAP_STREAM_BODY)
        return TRUE;
    if (session->body_began)
        return protocol(error, "two bodies of one message");
    session->body_began = TRUE;
    TELL(session, body_begin, uid, chunk->size);
    return TRUE;
}

gboolean imap_data_chunk(ImapSession *session, const ImapResponse *response,
                         const ImapChunk *chunk, GError **error)
{
    if (chunk->offset == 0 && chunk->length == 0 &&
        !begin_stream(session, response, chunk, error))
        return FALSE;
    if (chunk->length == 0)
        return TRUE;
    if (session->streaming == IMAP_STREAM_BODY)
        TELL(session, body_data, chunk->data, chunk->length);
    if (session->streaming == IMAP_STREAM_HEADER && session->header->len < LIMIT_HEADER)
        g_byte_array_append(session->header, (const guint8 *)chunk->data,
                            (guint)MIN(chunk->length, LIMIT_HEADER - session->header->len));
    return TRUE;
}

static gboolean on_exists(ImapSession *session, const ImapResponse *response, GError **error)
{
    guint32 n;

    if (!imap_response_number(response, &n))
        return protocol(error, "a number of messages that makes no sense");
    if (session->base.state == STATE_SELECTING) {
        session->exists = n;
        return TRUE;
    }
    if (!hears_messages(session))
        return TRUE;
    session->exists = n;
    TELL(session, exists, n);
    count_event(session);
    return TRUE;
}

static gboolean on_expunge(ImapSession *session, const ImapResponse *response, GError **error)
{
    guint32 seq;

    if (!hears_messages(session) || session->base.state == STATE_SELECTING)
        return TRUE;
    if (!imap_response_number(response, &seq) || seq == 0 || seq > session->exists)
        return protocol(error, "an EXPUNGE of a message that does not exist");
    session->exists--;
    TELL(session, expunge, seq);
    count_event(session);
    return TRUE;
}

static gboolean on_vanished(ImapSession *session, const ImapResponse *response, GError **error)
{
    gboolean earlier;
    g_autoptr(UidSet) uids = imap_response_vanished(response, &earlier);

    if (!hears_messages(session))
        return TRUE;
    if (!uids) {
        g_debug("%s: skipping a VANISHED that makes no sense", session->base.name);
        return TRUE;
    }
    if (!earlier)
        session->exists -= (guint32)MIN(uid_set_count(uids), session->exists);
    TELL(session, vanished, uids, earlier);
    count_event(session);
    return TRUE;
}

static gboolean on_search(ImapSession *session, const ImapResponse *response, GError **error)
{
    if (session->found && !imap_response_search(response, session->found))
        return protocol(error, "a SEARCH result that is no list of numbers");
    session->search_answered = TRUE;
    return TRUE;
}

static gboolean on_esearch(ImapSession *session, const ImapResponse *response, GError **error)
{
    if (session->found && imap_response_esearch(response, session->search_tag, session->found,
                                                &session->search_has_all))
        session->search_answered = TRUE;
    return TRUE;
}

/* -- Everything else --------------------------------------------------------------------------- */

static gboolean on_capability(ImapSession *session, const ImapResponse *response, GError **error)
{
    g_autofree char *line = imap_response_words(response);

    if (session->expects_caps)
        imap_capabilities_parse(&session->caps, line);
    return TRUE;
}

static gboolean on_enabled(ImapSession *session, const ImapResponse *response, GError **error)
{
    ImapArgs args = response->args;
    const ImapArg *arg;

    while ((arg = imap_args_next(&args))) {
        const char *text = imap_arg_text(arg);
        ImapCap cap = text ? imap_cap_from_name(text) : IMAP_N_CAPS;

        if (cap < IMAP_N_CAPS)
            session->enabled[cap] = TRUE;
    }
    if (session->enabled[IMAP_CAP_QRESYNC])
        session->enabled[IMAP_CAP_CONDSTORE] = TRUE;
    return TRUE;
}

static gboolean on_id(ImapSession *session, const ImapResponse *response, GError **error)
{
    const char *name = imap_response_id_name(response);

    g_free(session->server_id);
    session->server_id = name ? text_printable(name, strlen(name), TEXT_SHOWN) : NULL;
    return TRUE;
}

/* @name is the root or below it. */
static gboolean is_within(const char *name, const char *root, char delimiter)
{
    gsize length = strlen(root);

    return strncmp(name, root, length) == 0 &&
           (!name[length] || (delimiter && name[length] == delimiter));
}

static void collect_subscribed(ImapSession *session, const ImapListItem *item)
{
    if (session->subscribed && (item->flags & IMAP_LIST_SUBSCRIBED) &&
        session->subscribed->len < LIMIT_MAILBOXES &&
        is_within(item->mailbox, session->root, item->delimiter))
        g_ptr_array_add(session->subscribed, g_strdup(item->mailbox));
}

static gboolean on_list(ImapSession *session, const ImapResponse *response, GError **error)
{
    ImapListItem item;

    if (!imap_response_list(response, &item)) {
        g_debug("%s: skipping a LIST that makes no sense", session->base.name);
        TELL(session, list, NULL); /* who listens must not take the rest for all */
        return TRUE;
    }
    collect_subscribed(session, &item);
    TELL(session, list, &item);
    count_event(session);
    return TRUE;
}

/* INBOX is one mailbox however it is written. */
static gboolean is_same_mailbox(const char *a, const char *b)
{
    return strcmp(a, b) == 0 ||
           (g_ascii_strcasecmp(a, "INBOX") == 0 && g_ascii_strcasecmp(b, "INBOX") == 0);
}

static gboolean on_list_status(ImapSession *session, const ImapResponse *response, GError **error)
{
    ImapStatus status;

    if (imap_response_status(response, &status)) {
        if (session->status_of && is_same_mailbox(status.mailbox, session->status_of))
            *session->status_answer = status;
        TELL(session, status, &status);
        count_event(session);
    }
    return TRUE;
}

static gboolean on_namespace(ImapSession *session, const ImapResponse *response, GError **error)
{
    ImapArgs walk = imap_response_namespaces(response);
    const char *prefix;
    char delimiter;

    while (imap_namespace_next(&walk, &prefix, &delimiter))
        TELL(session, namespace_prefix, prefix, delimiter);
    return TRUE;
}

static gboolean on_quota(ImapSession *session, const ImapResponse *response, GError **error)
{
    const char *root;
    guint64 used, limit;

    if (imap_response_quota(response, &root, &used, &limit))
        TELL(session, quota, root, used, limit);
    return TRUE;
}

static gboolean on_my_rights(ImapSession *session, const ImapResponse *response, GError **error)
{
    const char *mailbox, *rights;

    if (imap_response_my_rights(response, &mailbox, &rights))
        TELL(session, my_rights, mailbox, rights);
    return TRUE;
}

static const struct {
    const char *name;
    gboolean (*act)(ImapSession *session, const ImapResponse *response, GError **error);
    gboolean before_login;
} actions[] = {
    {"FETCH", on_fetch, FALSE},
    {"EXISTS", on_exists, FALSE},
    {"EXPUNGE", on_expunge, FALSE},
    {"VANISHED", on_vanished, FALSE},
    {"OK", on_status, TRUE},
    {"NO", on_status, TRUE},
    {"BAD", on_status, TRUE},
    {"BYE", on_bye, TRUE},
    {"LIST", on_list, FALSE},
    {"LSUB", on_list, FALSE},
    {"STATUS", on_list_status, FALSE},
    {"SEARCH", on_search, FALSE},
    {"ESEARCH", on_esearch, FALSE},
    {"CAPABILITY", on_capability, TRUE},
    {"ENABLED", on_enabled, FALSE},
    {"ID", on_id, FALSE},
    {"NAMESPACE", on_namespace, FALSE},
    {"QUOTA", on_quota, FALSE},
    {"MYRIGHTS", on_my_rights, FALSE},
};

/* A server that never stops telling what nobody asked would keep us busy for ever. */
static gboolean count_unsolicited(ImapSession *session, GError **error)
{
    gint64 now;

    if (session->n_in_flight > 0 && session->base.state != STATE_IDLE)
        return TRUE;
    now = deadline_now();
    if (now - session->unsolicited_since > LIMIT_IMAP_UNSOLICITED_SECONDS * G_USEC_PER_SEC) {
        session->unsolicited_since = now;
        session->n_unsolicited = 0;
    }
    if (++session->n_unsolicited > LIMIT_IMAP_UNSOLICITED)
        return protocol(error, "too much that nobody asked for");
    return TRUE;
}

gboolean imap_data_response(ImapSession *session, const ImapResponse *response, GError **error)
{
    if (session->base.state == STATE_GREETING && !session->base.is_greeted)
        return take_greeting(session, response, error);
    if (response->tag)
        return take_tagged(session, response, error);
    if (!count_unsolicited(session, error))
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(actions); i++) {
        if (strcmp(actions[i].name, response->name) != 0)
            continue;
        if (session->base.state > STATE_LOGIN || actions[i].before_login)
            return actions[i].act(session, response, error);
        break;
    }
    g_debug("%s: skipping %s", session->base.name, response->name);
    return TRUE;
}
