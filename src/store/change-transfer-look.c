/* COPY and MOVE: looking at both sides by a sync, for what an answer left open.
 *
 * An answer without COPYUID does not say which UIDs the copies have; they are known by their
 * likeness (change-match.h).  An answer that was lost says nothing at all:
 *
 *   source   target
 *   gone     there     moved
 *   there    there     copied: HALF, the source is expunged.  Only a Message-ID counts as proof
 *                      here; a duplicate is better than a loss
 *   there    not       nothing happened: it is said again, for these
 *   gone     not       somebody took it away over there, or the server lost it: what is in the
 *                      cache is uploaded again, and the log says so
 */
#include "store/change-transfer-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "store/change-match.h"

/* A sync must be able to get through, so meanwhile the change is not at work. */
static void ask_sync(Change *change, Mailbox *mailbox, StoreFunc then)
{
    Mailbox *sides[] = {change_mailbox(change), change_target(change)};

    change->phase = CHANGE_PREPARING;
    change->ready = store_sync(change->store, mailbox, then, change);
    for (guint i = 0; i < G_N_ELEMENTS(sides); i++)
        if (sides[i] && !store_is_changing(change->store, sides[i]))
            store_sync_resume(change->store, sides[i]);
}

/* FALSE: the change has ended or waits. */
static gboolean is_synced(Change *change, const GError *error)
{
    change->ready = NULL;
    if (error && change_is_temporary(error)) {
        change_postpone(change, error);
        return FALSE;
    }
    if (error) {
        transfer_refuse(change, error);
        return FALSE;
    }
    change->phase = CHANGE_AT_WORK;
    return TRUE;
}

/* It is done, and who waits hears so; but the names are still to be given, when there is a
 * connection again.  HALF, for there is nothing left to look for. */
static void name_later(Change *change, const GError *error)
{
    change_show_done(change);
    change_answer_all(change, NULL);
    change->entry->state = JOURNAL_HALF;
    transfer_own(change)->is_named = FALSE;
    change_postpone(change, error);
}

static void on_named(const GError *error, gpointer user)
{
    Change *change = user;
    const Mailbox *target = change_target(change);
    ChangeMatch match;

    change->ready = NULL;
    if (error && change_is_temporary(error)) {
        name_later(change, error);
        return;
    }
    change->phase = CHANGE_AT_WORK;
    if (!error && target) {
        change->entry->target_uidvalidity = target->uidvalidity;
        change_match_init(&match, target, change->entry->uidnext);
        match.with_guess = TRUE;
        for (guint i = 0; i < change->entry->messages->len; i++) {
            JournalMessage *each = transfer_nth(change, i);

            if (!each->new_uid)
                each->new_uid = change_match_find(&match, each, change_message(change, each));
        }
        change_match_clear(&match);
    }
    transfer_apply(change);
}

/* All is done over there.  Where a UID is not known, the target's next sync shows it. */
void transfer_conclude(Change *change)
{
    const JournalEntry *entry = change->entry;
    Mailbox *target = change_target(change);
    gboolean is_known = TRUE;

    for (guint i = 0; i < entry->messages->len; i++)
        is_known = is_known && transfer_nth(change, i)->new_uid != 0;
    if (is_known || transfer_own(change)->is_named || !target || !target->is_listed ||
        !entry->uidnext) {
        transfer_apply(change);
        return;
    }
    transfer_own(change)->is_named = TRUE;
    ask_sync(change, target, on_named);
}

/* When the target had never been listed, nobody could tell copies from what was there before.  From
 * now on it is known: should the answer be lost again, there is one duplicate, and not one more. */
static void note_uidnext(Change *change, const Mailbox *target)
{
    JournalEntry *entry = change->entry;

    if (entry->uidnext)
        return;
    entry->uidnext = change_first_possible_uid(target);
    change->was_saved = FALSE;
}

/* Both sides are known. */
static void judge(Change *change, Mailbox *target)
{
    JournalEntry *entry = change->entry;
    gboolean all_there = TRUE, all_gone = TRUE;
    ChangeMatch match;

    entry->target_uidvalidity = target->uidvalidity;
    change_match_init(&match, target, entry->uidnext);
    for (guint i = 0; i < entry->messages->len; i++) {
        JournalMessage *each = transfer_nth(change, i);

        /* Of what is gone from the source any likeness counts, of what is there only proof. */
        match.with_guess = !transfer_is_move(change) || each->is_done;
        if (!each->new_uid && (entry->uidnext || each->is_done))
            each->new_uid = change_match_find(&match, each, change_message(change, each));
        if (!transfer_is_move(change))
            each->is_done = each->new_uid != 0;
        if (transfer_is_move(change) && each->is_done && !each->new_uid)
            change_rescue(change, target, each);
        all_there = all_there && (each->new_uid || each->is_done);
        all_gone = all_gone && each->is_done;
    }
    change_match_clear(&match);
    FAULT("transfer-judged");
    if (!all_there) {
        note_uidnext(change, target);
        transfer_ask_copy(change);
    } else if (!all_gone) {
        transfer_ask_expunge(change);
    } else {
        transfer_conclude(change);
    }
}

static void on_source_synced(const GError *error, gpointer user)
{
    Change *change = user;
    Mailbox *target = change_target(change);
    g_autoptr(GError) gone = NULL;

    if (!is_synced(change, error))
        return;
    if (target) {
        judge(change, target);
        return;
    }
    mail_fail(&gone, MAIL_ERROR_GONE, "the mailbox %s is gone", change->entry->target);
    transfer_refuse(change, gone);
}

static void on_target_synced(const GError *error, gpointer user)
{
    Change *change = user;
    Mailbox *mailbox = change_mailbox(change);

    if (!is_synced(change, error))
        return;
    if (mailbox)
        ask_sync(change, mailbox, on_source_synced);
    else
        on_source_synced(NULL, change);
}

void transfer_look(Change *change)
{
    Mailbox *target = change_target(change);

    FAULT("transfer-look");
    if (target)
        ask_sync(change, target, on_target_synced);
    else
        on_target_synced(NULL, change);
}
