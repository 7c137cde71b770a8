/* Between the files of COPY and MOVE:
 *
 *   change-transfer.c       the machine: what is asked, what becomes of the answers, the end
 *   change-transfer-look.c  looking at both sides
 *
 * Each call is the change's next step, and may be its end.
 */
#pragma once

#include "store/change-internal.h"

/* Beyond the entry, and lost with the process: those that were refused, which stay where they are
 * and are no business of HALF, and why. */
typedef struct {
    Store *store;
    GArray *left; /* of JournalMessage */
    GError *error;
    gboolean is_named;  /* the target was looked at for UIDs */
    gboolean is_frozen; /* a Trash is being made: store_freeze_list() */
    gboolean made_trash; /* once is enough */
} Transfer;

Transfer *transfer_own(Change *change); /* made when it is first asked for */

static inline gboolean transfer_is_move(const Change *change)
{
    return change->entry->kind == JOURNAL_MOVE;
}

static inline JournalMessage *transfer_nth(const Change *change, guint i)
{
    return &g_array_index(change->entry->messages, JournalMessage, i);
}

/* -- change-transfer.c ------------------------------------------------------------------------- */

/* COPY, or MOVE, of those that are not over there, as far as anybody knows; HALF, and EXPUNGE of
 * the sources. */
void transfer_ask_copy(Change *change);
void transfer_ask_expunge(Change *change);
/* Everything that the server has done is done: the model follows.  The change ends. */
void transfer_apply(Change *change);
/* Nothing more will be done: rows and change end. */
void transfer_refuse(Change *change, const GError *error);

/* -- change-transfer-look.c -------------------------------------------------------------------- */

/* The answer was lost: by what a sync of either side shows, on to the next step. */
void transfer_look(Change *change);
/* All is done over there: transfer_apply(), as soon as the copies' UIDs are known where anybody can
 * know them. */
void transfer_conclude(Change *change);
