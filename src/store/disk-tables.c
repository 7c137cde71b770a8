/* The two databases as SQL: their tables, the way from an older version to this one, and every
 * statement that is kept prepared.
 *
 * An upgrade adds to what the version before made, in the same order of columns, so that a file
 * looks the same whether it was made now or grew.  Both databases are upgraded: the index could be
 * begun anew, but that would fetch every body again.
 */
#include "store/disk-internal.h"

/* -- state.db ---------------------------------------------------------------------------------- */

/* What is written there, and never changes its meaning. */
G_STATIC_ASSERT(JOURNAL_CREATE == 0 && JOURNAL_MAILBOX == 5 && JOURNAL_N_KINDS == 6);
G_STATIC_ASSERT(JOURNAL_PREP == 1 && JOURNAL_FAILED == 4);
G_STATIC_ASSERT(LOCAL_NEW == 1 && LOCAL_SCRATCH == 3);
G_STATIC_ASSERT(DISK_JOURNAL_MESSAGE == 41);

/* The journal and what is only here: since version 2.  journal.messages are packed, so that an
 * entry is there whole or not at all (disk-journal.c).  AUTOINCREMENT: no id comes twice. */
#define JOURNAL_TABLES                                                                             \
    "CREATE TABLE journal("                                                                        \
    "  id INTEGER PRIMARY KEY AUTOINCREMENT CHECK(id > 0),"                                        \
    "  kind INTEGER NOT NULL CHECK(kind BETWEEN 0 AND 5),"                                         \
    "  state INTEGER NOT NULL CHECK(state BETWEEN 1 AND 4),"                                       \
    "  mailbox INTEGER NOT NULL CHECK(mailbox BETWEEN 0 AND 65535),"                               \
    "  wire TEXT,"                                                                                 \
    "  uidvalidity INTEGER NOT NULL,"                                                              \
    "  uidnext INTEGER NOT NULL,"                                                                  \
    "  target_mailbox INTEGER NOT NULL CHECK(target_mailbox BETWEEN 0 AND 65535),"                 \
    "  target TEXT,"                                                                               \
    "  target_uidvalidity INTEGER NOT NULL,"                                                       \
    "  messages BLOB NOT NULL CHECK(length(messages) % 41 = 0),"                                   \
    "  item INTEGER NOT NULL,"                                                                     \
    "  name TEXT,"                                                                                 \
    "  stage INTEGER NOT NULL,"                                                                    \
    "  size INTEGER NOT NULL,"                                                                     \
    "  sha256 BLOB NOT NULL CHECK(length(sha256) = 32),"                                           \
    "  message_id TEXT,"                                                                           \
    "  date INTEGER NOT NULL,"                                                                     \
    "  flags INTEGER NOT NULL,"                                                                    \
    "  keywords TEXT,"                                                                             \
    "  flags_removed INTEGER NOT NULL,"                                                            \
    "  keywords_removed TEXT,"                                                                     \
    "  verb INTEGER NOT NULL,"                                                                     \
    "  uid INTEGER NOT NULL,"                                                                      \
    "  reason TEXT,"                                                                               \
    "  made INTEGER NOT NULL,"                                                                     \
    "  n_tries INTEGER NOT NULL"                                                                   \
    ") STRICT;"                                                                                    \
    "CREATE TABLE local("                                                                          \
    "  mailbox INTEGER NOT NULL CHECK(mailbox BETWEEN 1 AND 65535),"                               \
    "  item INTEGER NOT NULL CHECK(item BETWEEN 1 AND 68719476735),"                               \
    "  kind INTEGER NOT NULL CHECK(kind BETWEEN 1 AND 3),"                                         \
    "  name TEXT NOT NULL,"                                                                        \
    "  stage INTEGER NOT NULL,"                                                                    \
    "  is_flushed INTEGER NOT NULL,"                                                               \
    "  mtime INTEGER NOT NULL,"                                                                    \
    "  mode INTEGER NOT NULL,"                                                                     \
    "  replaces INTEGER NOT NULL,"                                                                 \
    "  PRIMARY KEY(mailbox, item)"                                                                 \
    ") STRICT, WITHOUT ROWID;"                                                                     \
    "CREATE TABLE parked("                                                                         \
    "  mailbox INTEGER NOT NULL CHECK(mailbox BETWEEN 1 AND 65535),"                               \
    "  item INTEGER NOT NULL CHECK(item BETWEEN 1 AND 68719476735),"                               \
    "  name TEXT NOT NULL,"                                                                        \
    "  PRIMARY KEY(mailbox, item)"                                                                 \
    ") STRICT, WITHOUT ROWID;"

/* A mailbox without a wire name is one whose name another number took over (a rename), or whose
 * messages were put first; its number stays taken. */
G_STATIC_ASSERT(DISK_MAX_ITEM == 68719476735);
static const char state_tables[] =
    "CREATE TABLE mailbox("
    "  number INTEGER PRIMARY KEY CHECK(number BETWEEN 1 AND 65535),"
    "  wire TEXT UNIQUE,"
    "  next_item INTEGER NOT NULL CHECK(next_item > 0)"
    ") STRICT;"
    "CREATE TABLE item("
    "  mailbox INTEGER NOT NULL CHECK(mailbox BETWEEN 1 AND 65535),"
    "  item INTEGER NOT NULL CHECK(item BETWEEN 1 AND 68719476735)," /* DISK_MAX_ITEM */
    "  uidvalidity INTEGER NOT NULL,"
    "  uid INTEGER NOT NULL,"
    "  name TEXT NOT NULL,"
    "  mtime INTEGER NOT NULL DEFAULT 0,"
    "  mode INTEGER NOT NULL DEFAULT 0,"
    "  is_hidden INTEGER NOT NULL DEFAULT 0,"
    "  PRIMARY KEY(mailbox, item)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX item_by_uid ON item(mailbox, uidvalidity, uid);" JOURNAL_TABLES;

static const char *const state_upgrades[] = {
    [0] = "ALTER TABLE item ADD COLUMN mtime INTEGER NOT NULL DEFAULT 0;"
          "ALTER TABLE item ADD COLUMN mode INTEGER NOT NULL DEFAULT 0;"
          "ALTER TABLE item ADD COLUMN is_hidden INTEGER NOT NULL DEFAULT 0;" JOURNAL_TABLES,
};

/* Rows that would not change are not written (the WHERE of an upsert): listing a mailbox again
 * after the cache was lost must not cost an fsync of the state. */
static const char *const state_statements[STATE_N_STATEMENTS] = {
    [STATE_MAILBOXES] = "SELECT number, wire, next_item FROM mailbox ORDER BY number",
    [STATE_DISPLACE_WIRE] = "UPDATE mailbox SET wire = NULL WHERE wire = ?2 AND number <> ?1",
    [STATE_PUT_MAILBOX] = "INSERT INTO mailbox(number, wire, next_item) VALUES(?1, ?2, 1)"
                          " ON CONFLICT(number) DO UPDATE SET wire = excluded.wire"
                          " WHERE wire IS NOT excluded.wire",
    [STATE_RAISE_NEXT] = "INSERT INTO mailbox(number, next_item) VALUES(?1, ?2)"
                         " ON CONFLICT(number) DO UPDATE SET next_item = excluded.next_item"
                         " WHERE next_item < excluded.next_item",
    /* A UID is one item's only. */
    [STATE_DISPLACE_UID] = "DELETE FROM item WHERE mailbox = ?1 AND uidvalidity = ?2 AND uid = ?3"
                           " AND item <> ?4 AND ?3 > 0",
    [STATE_PUT_ITEM] = "INSERT INTO item(mailbox, item, uidvalidity, uid, name, mtime, mode,"
                       " is_hidden) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
                       " ON CONFLICT(mailbox, item) DO UPDATE SET"
                       " uidvalidity = excluded.uidvalidity, uid = excluded.uid,"
                       " name = excluded.name, mtime = excluded.mtime, mode = excluded.mode,"
                       " is_hidden = excluded.is_hidden"
                       " WHERE uidvalidity <> excluded.uidvalidity OR uid <> excluded.uid"
                       " OR name <> excluded.name OR mtime <> excluded.mtime"
                       " OR mode <> excluded.mode OR is_hidden <> excluded.is_hidden",
    [STATE_REMOVE_ITEM] = "DELETE FROM item WHERE mailbox = ?1 AND item = ?2",
    [STATE_RECALL] = "SELECT item, uid, name, mtime, mode, is_hidden"
                     " FROM item INDEXED BY item_by_uid"
                     " WHERE mailbox = ?1 AND uidvalidity = ?2 AND uid BETWEEN ?3 AND ?4"
                     " ORDER BY uid",
    [STATE_JOURNAL] = "SELECT " DISK_JOURNAL_COLUMNS " FROM journal ORDER BY id",
    [STATE_PUT_JOURNAL] = "INSERT OR REPLACE INTO journal(" DISK_JOURNAL_COLUMNS ")"
                          " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                          " ?, ?, ?, ?, ?, ?)",
    [STATE_REMOVE_JOURNAL] = "DELETE FROM journal WHERE id = ?1",
    [STATE_LAST_ENTRY] = "SELECT MAX(IFNULL((SELECT MAX(id) FROM journal), 0),"
                         " IFNULL((SELECT MAX(seq) FROM sqlite_sequence"
                         " WHERE name = 'journal'), 0))",
    [STATE_LAST_STAGE] = "SELECT MAX(IFNULL((SELECT MAX(stage) FROM journal), 0),"
                         " IFNULL((SELECT MAX(stage) FROM local), 0))",
    [STATE_LOCALS] = "SELECT " DISK_LOCAL_COLUMNS " FROM local ORDER BY mailbox, item",
    [STATE_PUT_LOCAL] = "INSERT OR REPLACE INTO local(" DISK_LOCAL_COLUMNS ")"
                        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [STATE_REMOVE_LOCAL] = "DELETE FROM local WHERE mailbox = ?1 AND item = ?2",
    [STATE_PARKED] = "SELECT mailbox, item, name FROM parked ORDER BY mailbox, item",
    [STATE_PUT_PARKED] = "INSERT OR REPLACE INTO parked(mailbox, item, name) VALUES(?1, ?2, ?3)",
    [STATE_REMOVE_PARKED] = "DELETE FROM parked WHERE mailbox = ?1 AND item = ?2",
};

const DiskSchema disk_state_schema = {
    .file = "state.db",
    .version = 2,
    .synchronous = "FULL",
    .tables = state_tables,
    .upgrades = state_upgrades,
    .statements = state_statements,
    .n_statements = STATE_N_STATEMENTS,
};
G_STATIC_ASSERT(G_N_ELEMENTS(state_upgrades) == 1); /* version - 1 */

/* -- index.db ---------------------------------------------------------------------------------- */

/* meta has one row.  clean: disk_close() was reached, in the boot of this number; else 0.  swept:
 * rows and files of bodies agree, as far as a sweep can tell.  body.suspect: cached before an
 * unclean end, and not verified since. */
static const char index_tables[] =
    "CREATE TABLE meta(clean INTEGER NOT NULL, swept INTEGER NOT NULL) STRICT;"
    "INSERT INTO meta(clean, swept) VALUES(0, 0);"
    "CREATE TABLE mailbox("
    "  number INTEGER PRIMARY KEY CHECK(number BETWEEN 1 AND 65535),"
    "  wire TEXT NOT NULL,"
    "  path BLOB NOT NULL," /* components, each ended by a NUL */
    "  delimiter INTEGER NOT NULL,"
    "  list_flags INTEGER NOT NULL,"
    "  uidvalidity INTEGER NOT NULL,"
    "  uidnext INTEGER NOT NULL,"
    "  highestmodseq INTEGER NOT NULL,"
    "  n_messages INTEGER NOT NULL,"
    "  n_unseen INTEGER NOT NULL,"
    "  is_listed INTEGER NOT NULL,"
    "  used INTEGER NOT NULL,"
    "  compared INTEGER NOT NULL,"
    "  changed INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE message("
    "  mailbox INTEGER NOT NULL CHECK(mailbox BETWEEN 1 AND 65535),"
    "  item INTEGER NOT NULL CHECK(item BETWEEN 1 AND 68719476735)," /* DISK_MAX_ITEM */
    "  uid INTEGER NOT NULL,"
    "  size INTEGER NOT NULL,"
    "  is_exact INTEGER NOT NULL,"
    "  date INTEGER NOT NULL,"
    "  appeared INTEGER NOT NULL,"
    "  fingerprint INTEGER NOT NULL,"
    "  flags INTEGER NOT NULL,"
    "  keywords TEXT,"
    "  name TEXT NOT NULL,"
    "  mtime INTEGER NOT NULL DEFAULT 0,"
    "  mode INTEGER NOT NULL DEFAULT 0,"
    "  is_hidden INTEGER NOT NULL DEFAULT 0,"
    "  PRIMARY KEY(mailbox, item)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX message_by_uid ON message(mailbox, uid);"
    "CREATE TABLE body("
    "  mailbox INTEGER NOT NULL,"
    "  item INTEGER NOT NULL,"
    "  size INTEGER NOT NULL,"
    "  sha256 BLOB NOT NULL,"
    "  used INTEGER NOT NULL,"
    "  suspect INTEGER NOT NULL,"
    "  PRIMARY KEY(mailbox, item)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX body_by_use ON body(used, size);"
    "CREATE INDEX body_by_size ON body(size);";

static const char *const index_upgrades[] = {
    [0] = "ALTER TABLE message ADD COLUMN mtime INTEGER NOT NULL DEFAULT 0;"
          "ALTER TABLE message ADD COLUMN mode INTEGER NOT NULL DEFAULT 0;"
          "ALTER TABLE message ADD COLUMN is_hidden INTEGER NOT NULL DEFAULT 0;"
          "CREATE INDEX body_by_size ON body(size);",
};

static const char *const index_statements[INDEX_N_STATEMENTS] = {
    [INDEX_MAILBOXES] = "SELECT number, wire, path, delimiter, list_flags, uidvalidity, uidnext,"
                        " highestmodseq, n_messages, n_unseen, is_listed, used, compared, changed"
                        " FROM mailbox ORDER BY number",
    [INDEX_PUT_MAILBOX] = "INSERT OR REPLACE INTO mailbox(number, wire, path, delimiter,"
                          " list_flags, uidvalidity, uidnext, highestmodseq, n_messages,"
                          " n_unseen, is_listed, used, compared, changed)"
                          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [INDEX_REMOVE_MAILBOX] = "DELETE FROM mailbox WHERE number = ?1",
    /* INDEXED BY: the other plan sorts a whole mailbox in memory. */
    [INDEX_LOAD] = "SELECT m.item, m.uid, m.size, m.is_exact, m.date, m.appeared, m.fingerprint,"
                   " m.flags, m.keywords, m.name, b.suspect, m.mtime, m.mode, m.is_hidden"
                   " FROM message AS m INDEXED BY message_by_uid"
                   " LEFT JOIN body AS b ON b.mailbox = m.mailbox AND b.item = m.item"
                   " WHERE m.mailbox = ?1 ORDER BY m.uid",
    [INDEX_NAMES] = "SELECT item, uid, name, mtime, mode, is_hidden"
                    " FROM message INDEXED BY message_by_uid"
                    " WHERE mailbox = ?1 AND uid > 0 ORDER BY uid",
    [INDEX_RENAME_ITEM] = "UPDATE OR REPLACE message SET item = ?3, name = ?4, mtime = ?5,"
                          " mode = ?6, is_hidden = ?7, flags = flags | ?8"
                          " WHERE mailbox = ?1 AND item = ?2",
    [INDEX_COMPARE] = "UPDATE mailbox SET compared = 0 WHERE number = ?1",
    [INDEX_DISPLACE_UID] = "DELETE FROM message WHERE mailbox = ?1 AND uid = ?2 AND item <> ?3"
                           " AND ?2 > 0",
    [INDEX_PUT_MESSAGE] = "INSERT OR REPLACE INTO message(mailbox, item, uid, size, is_exact,"
                          " date, appeared, fingerprint, flags, keywords, name, mtime, mode,"
                          " is_hidden) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
                          " ?13, ?14)",
    [INDEX_PUT_FLAGS] = "UPDATE message SET flags = ?3, keywords = ?4"
                        " WHERE mailbox = ?1 AND item = ?2",
    [INDEX_PUT_SIZE] = "UPDATE message SET size = ?3, is_exact = 1"
                       " WHERE mailbox = ?1 AND item = ?2",
    [INDEX_REMOVE_MESSAGE] = "DELETE FROM message WHERE mailbox = ?1 AND item = ?2",
    [INDEX_REMOVE_MESSAGES] = "DELETE FROM message WHERE mailbox = ?1",
    [INDEX_BODY_TOTAL] = "SELECT SUM(size) FROM body",
    [INDEX_BODY_MAILBOXES] = "SELECT DISTINCT mailbox FROM body",
    [INDEX_BODY_ITEMS] = "SELECT item FROM body WHERE mailbox = ?1 ORDER BY item",
    [INDEX_GET_BODY] = "SELECT size, sha256 FROM body WHERE mailbox = ?1 AND item = ?2",
    [INDEX_PUT_BODY] = "INSERT OR REPLACE INTO body(mailbox, item, size, sha256, used, suspect)"
                       " VALUES(?1, ?2, ?3, ?4, ?5, 0)",
    [INDEX_USE_BODY] = "UPDATE body SET used = ?3 WHERE mailbox = ?1 AND item = ?2",
    [INDEX_TRUST_BODY] = "UPDATE body SET suspect = 0 WHERE mailbox = ?1 AND item = ?2",
    [INDEX_DROP_BODY] = "DELETE FROM body WHERE mailbox = ?1 AND item = ?2 RETURNING size",
    [INDEX_DROP_BODIES] = "DELETE FROM body WHERE mailbox = ?1 RETURNING size",
    [INDEX_MOVE_SIZE] = "UPDATE message SET is_exact = 1, size ="
                        " (SELECT size FROM body WHERE mailbox = ?1 AND item = ?2)"
                        " WHERE mailbox = ?3 AND item = ?4"
                        " AND EXISTS(SELECT 1 FROM body WHERE mailbox = ?1 AND item = ?2)",
    [INDEX_MOVE_BODY] = "UPDATE body SET mailbox = ?3, item = ?4"
                        " WHERE mailbox = ?1 AND item = ?2",
    [INDEX_COPY_BODY] = "INSERT INTO body(mailbox, item, size, sha256, used, suspect)"
                        " SELECT ?3, ?4, size, sha256, used, suspect FROM body"
                        " WHERE mailbox = ?1 AND item = ?2 RETURNING size",
    [INDEX_TWIN] = "SELECT b.mailbox, b.item FROM body AS b INDEXED BY body_by_size"
                   " JOIN message AS m ON m.mailbox = b.mailbox AND m.item = b.item"
                   " WHERE b.size = ?1 AND b.sha256 = ?2 AND m.uid > 0 AND m.is_hidden = 0"
                   " LIMIT 1",
    [INDEX_VICTIMS] = "SELECT mailbox, item, size FROM body INDEXED BY body_by_use"
                      " ORDER BY used",
};

const DiskSchema disk_index_schema = {
    .file = "index.db",
    .version = 2,
    .synchronous = "NORMAL",
    .tables = index_tables,
    .upgrades = index_upgrades,
    .statements = index_statements,
    .n_statements = INDEX_N_STATEMENTS,
};
G_STATIC_ASSERT(G_N_ELEMENTS(index_upgrades) == 1); /* version - 1 */
