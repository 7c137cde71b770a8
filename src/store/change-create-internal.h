/* Between the files of CREATE:
 *
 *   change-create.c  the machine: what is asked, what becomes of the answers, the end
 *   change-commit.c  the file's side: sealing it, and what becomes of it when it is refused
 *   change-twin.c    where the account has its octets already
 */
#pragma once

#include "store/change-internal.h"

/* What is replaced; or NULL. */
static inline JournalMessage *create_old(const Change *change)
{
    const JournalEntry *entry = change->entry;

    return entry->messages->len > 0 ? &g_array_index(entry->messages, JournalMessage, 0) : NULL;
}

/* What somebody set: the entry has it. */
void create_take_flags(Change *change);

/* -- change-commit.c --------------------------------------------------------------------------- */

/* ChangeOps.undo: takes back what the directory shows. */
void create_undo(Change *change, const GError *error);
/* Nothing more will be done: its octets go to lost+found, and the change ends. */
void create_refuse(Change *change, const GError *error);

/* -- change-twin.c ----------------------------------------------------------------------------- */

/* The message with the octets of what was sealed, or (@number 0) none. */
void create_set_twin(Change *change, guint16 number, guint64 item);
/* Asks the disk for one, then change_begin(). */
void create_look_for_twin(Change *change);
/* The message of which a copy would be the new one; NULL: an upload is needed. */
const Message *create_find_twin(const Change *change, Mailbox **ret_mailbox);
/* It is the one that would be replaced: nothing is to be sent; and the end of such a change. */
gboolean create_is_same(const Change *change, const Mailbox *mailbox);
void create_done_same(Change *change, Mailbox *mailbox);
