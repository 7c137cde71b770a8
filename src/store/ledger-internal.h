/* Between the files of the ledger:
 *
 *   ledger.c       the memory, and what callers may do
 *   ledger-file.c  the file: lines, checks, repair, compaction
 */
#pragma once

#include "store/ledger.h"

enum {
    LEDGER_MAX_KEY = 1024,             /* a file name has 255 octets, a UIDL 70 (RFC 1939), and
                                        * either may be escaped */
    LEDGER_MAX_KEYWORDS = 16 * 1024,   /* LIMIT_KEYWORDS of 16 octets */
    LEDGER_MAX_LINE = 20 * 1024,       /* the longest of both, and the numbers */
};

typedef struct {
    LedgerEntry entry; /* keywords: GRefString, owned */
    GSList *keys;      /* of char *, owned, in the order in which they came */
} LedgerItem;

struct Ledger {
    /* Set once. */
    char *name;
    int dir_fd;

    /* The memory. */
    guint32 uidvalidity, uidnext;
    char *origin; /* or NULL */
    GTree *by_uid;      /* UID -> LedgerItem, owned */
    GHashTable *by_key; /* key (the item's) -> LedgerItem */

    /* The file. */
    int fd;
    goffset end;      /* where the next line goes */
    GString *pending; /* lines that are not written yet */
    guint n_lines;    /* in file and pending, without the first */
    guint n_live;     /* of these, what a file written anew would have (but for keywords) */
    gboolean is_broken; /* fdatasync(2) failed */
};

Ledger *ledger_new(void);
LedgerItem *ledger_item(const Ledger *ledger, guint32 uid);

/* In memory alone; FALSE for what makes no sense. */
gboolean ledger_put(Ledger *ledger, const LedgerEntry *entry, const char *key);
gboolean ledger_put_key(Ledger *ledger, guint32 uid, const char *key);
void ledger_drop_key(Ledger *ledger, const char *key);
gboolean ledger_put_flags(Ledger *ledger, guint32 uid, guint16 flags, const char *keywords);
gboolean ledger_put_claims(Ledger *ledger, guint32 uid, guint64 size, guint64 likeness);
void ledger_put_origin(Ledger *ledger, const char *origin);
gboolean ledger_drop(Ledger *ledger, guint32 uid);

/* One more line of ledger->pending. */
void ledger_write(Ledger *ledger, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The lines of @item with its first key: two where it has keywords.  The other keys are not in
 * them. */
void ledger_write_entry(Ledger *ledger, GString *out, const LedgerItem *item);
