/* One job of the IMAP backend against a server that keeps to a script (../client/conversation.h).
 * The backend is whole, with its one connection's thread; what comes of the job is told as text.
 * Included by one test program each, therefore all static. */
#pragma once

#include "../client/conversation.h"

#include "base/error.h"
#include "store/backend.h"

enum { HELD_SECONDS = 10 };

typedef struct {
    Broker broker;
    Server server;
    Job *done;      /* came back */
    GError *error;  /* with it */
    GString *told;  /* the events before */
    GMainLoop *loop;
} Held;

static inline Secret *no_secret(Broker *broker, const char *account, gboolean stale,
                                Deadline deadline, GError **error)
{
    g_assert_not_reached();
}

static inline int held_tunnel(Broker *broker, const char *account, Deadline deadline,
                              GError **error)
{
    return server_connect(&((Held *)broker)->server);
}

static inline void tell_uids(Held *held, const char *what, const UidSet *uids)
{
    g_autofree char *text = uid_set_format(uids);

    g_string_append_printf(held->told, "%s%s %s", held->told->len ? ", " : "", what, text);
}

static inline void on_held_event(Event *event, gpointer user)
{
    g_autoptr(Event) taken = event;
    g_autoptr(UidSet) uids = uid_set_new();
    Held *held = user;

    switch (event->kind) {
    case EVENT_MESSAGES:
        for (guint i = 0; i < event->messages->len; i++)
            uid_set_add(uids, ((Message *)event->messages->pdata[i])->uid);
        tell_uids(held, "messages", uids);
        break;
    case EVENT_FLAGS:
        for (guint i = 0; i < event->flags->len; i++)
            uid_set_add(uids, g_array_index(event->flags, FlagChange, i).uid);
        tell_uids(held, "flags", uids);
        break;
    case EVENT_VANISHED:
        tell_uids(held, "vanished", event->uids);
        break;
    case EVENT_SYNC_STATE:
        g_string_append_printf(held->told, "%suidnext %u", held->told->len ? ", " : "",
                               event->uidnext);
        break;
    case EVENT_SENT:
        g_string_append_printf(held->told, "%ssent %" G_GUINT64_FORMAT,
                               held->told->len ? ", " : "", event->received);
        break;
    case EVENT_DONE:
        g_assert_null(held->done);
        held->done = g_steal_pointer(&event->done);
        held->error = g_steal_pointer(&event->error);
        g_main_loop_quit(held->loop);
        break;
    default:
        break;
    }
}

static inline gboolean on_held_too_long(gpointer user)
{
    const Held *held = user;

    g_error("%s: the job does not come back; the server says: %s",
            held->server.conversation->name, held->server.failure ? held->server.failure : "-");
    return G_SOURCE_REMOVE;
}

/* After the script the client says goodbye, if it still has somebody to say it to. */
static inline Conversation *held_script(const char *name, const char *capabilities,
                                        const char *script)
{
    Conversation *conversation = conversation_new("backend.txt", name);
    g_autofree char *login = g_strconcat("login", *capabilities ? " " : "", capabilities, NULL);
    g_auto(GStrv) lines = g_strsplit(script, "\n", -1);
    guint64 last = 1;

    add_line(conversation, name, login, 0);
    for (guint i = 0; lines[i]; i++) {
        if (g_str_has_prefix(lines[i], "C: @"))
            last = g_ascii_strtoull(lines[i] + 4, NULL, 10);
        if (*lines[i])
            add_line(conversation, name, lines[i], i + 1);
    }
    if (!strstr(script, "| close")) {
        g_autofree char *goodbye =
            g_strdup_printf("C: @%" G_GUINT64_FORMAT " LOGOUT", last + 1);

        add_line(conversation, name, goodbye, 0);
        add_line(conversation, name, "S: * BYE", 0);
        add_line(conversation, name, "| close", 0);
    }
    return conversation;
}

/* Gives @job (taken) to a backend whose server keeps to @conversation for @cut octets, and waits
 * until it is back.  The server must have heard exactly what it was to hear. */
static inline void hold_until(Held *held, const Conversation *conversation, gsize cut, Job *job)
{
    Endpoint endpoint = {.security = SECURITY_TUNNEL, .host = (char *)"script"};
    ConfigAccount config = {.id = (char *)"test",
                            .endpoint = &endpoint,
                            .user = (char *)"alice",
                            .auth = (char *)"auto",
                            .connections = 1};
    BackendParams params = {
        .config = &config, .broker = &held->broker, .event = on_held_event, .user = held};
    Backend *backend;
    guint timeout;

    *held = (Held){
        .broker = {no_secret, held_tunnel},
        .server = {.conversation = conversation, .cut = cut, .piece = G_MAXSIZE},
        .told = g_string_new(NULL),
        .loop = g_main_loop_new(NULL, FALSE),
    };
    server_start(&held->server, FALSE);
    backend = imap_backend_ops.start(&params);
    imap_backend_ops.submit(backend, job);
    timeout = g_timeout_add_seconds(HELD_SECONDS, on_held_too_long, held);
    g_main_loop_run(held->loop);
    g_source_remove(timeout);
    imap_backend_ops.stop(backend);
    server_stop(&held->server);
    if (held->server.failure)
        g_error("%s: %s", conversation->name, held->server.failure);
    g_main_loop_unref(held->loop);
}

static inline void hold(Held *held, const char *name, const char *capabilities,
                        const char *script, Job *job)
{
    Conversation *conversation = held_script(name, capabilities, script);

    hold_until(held, conversation, G_MAXSIZE, job);
    conversation_free(conversation);
}

static inline void held_clear(Held *held)
{
    g_string_free(held->told, TRUE);
    g_clear_error(&held->error);
    job_free(held->done);
}
