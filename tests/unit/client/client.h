/* The client of a conversation, and the log of what comes of it. */
#pragma once

#include "conversation.h"

#include "base/error.h"
#include "base/text.h"
#include "client/imap-session.h"
#include "client/pop3-session.h"

typedef struct {
    Broker broker;
    const Conversation *conversation;
    Server *server;
    ImapSession *session; /* or */
    Pop3Session *pop3;
    GPtrArray *log;
    GString *body;
    GQueue *sent; /* commands that are not waited for yet */
    gint64 patience_ms;
    int shrinks; /* an alert truncates this file; -1: none */
} Client;

static inline void G_GNUC_PRINTF(2, 3) note(Client *client, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_ptr_array_add(client->log, text_printable(text, strlen(text), 1000));
}

static inline void note_error(Client *client, const GError *error)
{
    g_assert_true(error && error->domain == MAIL_ERROR);
    note(client, "error %s: %s", mail_error_name(error->code), error->message);
}

/* What comes of an action that has no result but success.  @error is looked at after the action,
 * which is among these arguments. */
static inline void note_ok(Client *client, gboolean ok, GError **error)
{
    if (ok)
        note(client, "ok");
    else
        note_error(client, *error);
}
