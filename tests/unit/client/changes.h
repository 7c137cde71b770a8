/* What a client of a conversation is told to do to mailboxes (client/imap-change.h). */
#pragma once

#include "client.h"

#include <sys/mman.h>
#include <unistd.h>

#include "client/imap-change.h"

/* The value of KEY=VALUE among @words, or NULL. */
static inline const char *option(char **words, const char *key)
{
    for (; *words; words++)
        if (g_str_has_prefix(*words, key) && (*words)[strlen(key)] == '=')
            return *words + strlen(key) + 1;
    return NULL;
}

static inline guint64 number_option(char **words, const char *key)
{
    const char *value = option(words, key);

    return value ? g_ascii_strtoull(value, NULL, 10) : 0;
}

/* "\Seen,$a": the flags; the keywords, blank-separated, go to *@ret_keywords. */
static inline guint16 read_flags(const char *text, char **ret_keywords)
{
    g_auto(GStrv) words = g_strsplit(text ? text : "", ",", -1);
    GString *keywords = g_string_new(NULL);
    guint16 flags = 0;

    for (char **word = words; *word; word++) {
        flags |= (guint16)imap_flag_from_name(*word);
        if (**word != '\\')
            g_string_append_printf(keywords, "%s%s", keywords->len ? " " : "", *word);
    }
    *ret_keywords = g_string_free(keywords, keywords->len == 0);
    return flags;
}

static inline void on_progress(guint64 n_sent, gpointer user)
{
    note(user, "%" G_GUINT64_FORMAT " octets have gone out", n_sent);
}

/* "append MAILBOX TEXT [OPTION=VALUE ...]". */
static inline void do_append(Client *client, const char *args)
{
    g_auto(GStrv) words = g_strsplit(args, " ", -1);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *keywords = NULL;
    ImapAppended appended;
    gboolean was_sent, ok;
    ImapAppend append = {
        .mailbox = words[0],
        .date = (gint64)number_option(words, "date"),
        .replaces = (guint32)number_option(words, "replaces"),
        .progress = option(words, "progress") ? on_progress : NULL,
        .user = client,
        .fd = memfd_create("message", MFD_CLOEXEC),
    };

    server_expand(client->server, words[1], text);
    g_assert_cmpint(write(append.fd, text->str, text->len), ==, text->len);
    append.size = text->len + number_option(words, "missing");
    append.flags = read_flags(option(words, "flags"), &keywords);
    append.keywords = keywords;
    client->shrinks = option(words, "shrinks") ? append.fd : -1;
    ok = imap_session_append(client->session, &append, &appended, &was_sent, &error);
    if (ok) {
        g_assert_true(was_sent);
        note(client, "appended %u %u", appended.uidvalidity, appended.uid);
    } else {
        note_error(client, error);
        note(client, was_sent ? "it was sent" : "it was not sent");
    }
    client->shrinks = -1;
    close(append.fd);
}

static inline UidSet *read_uids(const char *text)
{
    UidSet *uids = uid_set_parse(text, strlen(text));

    g_assert_nonnull(uids);
    return uids;
}

static inline void note_copied(Client *client, const ImapCopied *copied)
{
    g_autoptr(GString) out = g_string_new(NULL);

    g_assert_nonnull(copied->pairs);
    for (guint i = 0; i < MIN(copied->pairs->len, 10); i++) {
        const ImapCopyPair *pair = &g_array_index(copied->pairs, ImapCopyPair, i);

        g_string_append_printf(out, " %u>%u", pair->from, pair->to);
    }
    note(client, "copied to %u, %u:%s", copied->uidvalidity, copied->pairs->len, out->str);
}

/* "copy UIDS TARGET", and the same of move. */
static inline void copy_or_move(Client *client, const char *args, gboolean is_move)
{
    g_auto(GStrv) words = g_strsplit(args, " ", 2);
    g_autoptr(UidSet) uids = read_uids(words[0]);
    g_autoptr(GError) error = NULL;
    ImapCopied copied;

    if (!imap_session_copy(client->session, uids, words[1], is_move, &copied, &error))
        note_error(client, error);
    note_copied(client, &copied);
    imap_copied_clear(&copied);
}

static inline void do_copy(Client *client, const char *args)
{
    copy_or_move(client, args, FALSE);
}

static inline void do_move(Client *client, const char *args)
{
    copy_or_move(client, args, TRUE);
}

/* "store UIDS +\Seen,$a [since=N]". */
static inline void do_store(Client *client, const char *args)
{
    g_auto(GStrv) words = g_strsplit(args, " ", -1);
    g_autoptr(UidSet) uids = read_uids(words[0]), modified = NULL;
    g_autofree char *keywords = NULL, *text = NULL;
    g_autoptr(GError) error = NULL;
    ImapStore store = {
        .is_removal = words[1][0] == '-',
        .unchanged_since = number_option(words, "since"),
    };

    store.flags = read_flags(words[1] + 1, &keywords);
    store.keywords = keywords;
    if (!imap_session_store(client->session, uids, &store, &modified, &error)) {
        note_error(client, error);
        return;
    }
    text = uid_set_format(modified);
    note(client, "stored, but not %s", *text ? text : "nothing");
}

static inline void do_expunge(Client *client, const char *args)
{
    g_autoptr(UidSet) uids = read_uids(args);
    g_autoptr(GError) error = NULL;

    note_ok(client, imap_session_uid_expunge(client->session, uids, &error), &error);
}

static inline void do_expunge_all(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;

    note_ok(client, imap_session_expunge_all(client->session, &error), &error);
}

/* "create MAILBOX [USE]". */
static inline void do_create(Client *client, const char *args)
{
    g_auto(GStrv) words = g_strsplit(args, " ", 2);
    g_autoptr(GError) error = NULL;

    note_ok(client, imap_session_create(client->session, words[0], words[1], &error), &error);
}

static inline void do_delete(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;

    note_ok(client, imap_session_delete(client->session, args, &error), &error);
}

/* "rename MAILBOX MAILBOX". */
static inline void do_rename(Client *client, const char *args)
{
    g_auto(GStrv) words = g_strsplit(args, " ", 2);
    g_autoptr(GError) error = NULL;

    note_ok(client, imap_session_rename(client->session, words[0], words[1], &error), &error);
}

static inline void do_status(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;
    ImapStatus status;

    if (!imap_session_status(client->session, args, &status, &error)) {
        note_error(client, error);
        return;
    }
    g_assert_cmpstr(status.mailbox, ==, args);
    note(client, "%s has %u messages, uidnext=%u uidvalidity=%u", args, status.messages,
         status.uidnext, status.uidvalidity);
}
