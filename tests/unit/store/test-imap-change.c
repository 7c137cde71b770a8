/* What the IMAP backend says to servers of all kinds to carry out a change, and what it makes of
 * their answers: with and without UIDPLUS and MOVE, with other clients in between, and with a
 * connection that ends. */
#include "imap-fixture.h"

#include "store/imap-internal.h"

/* What is asked; the fields are JobChange's. */
typedef struct {
    JobKind kind;
    const char *wire; /* INBOX */
    guint32 uidvalidity;
    ChangeMessage messages[4]; /* up to the first without a UID */
    const char *target;
    gboolean is_move;
    guint16 flags, flags_removed;
    const char *text, *message_id;
    guint32 replaces, heir_of, uidnext, other;
    MailboxVerb verb;
} Ask;

typedef struct {
    const char *name, *capabilities;
    Ask ask;
    const char *script;
    const char *outcome; /* see outcome_of() */
} Case;

#define SELECTED(tag, command, codes)                                                              \
    "C: @" tag " " command " \"INBOX\"\n"                                                          \
    "S: * 3 EXISTS\n"                                                                              \
    "S: * OK [UIDVALIDITY 7] ok\n"                                                                 \
    "S: * OK [UIDNEXT 100] ok\n"                                                                   \
    "S: @" tag " OK " codes " done\n"
#define SELECT(tag) SELECTED(tag, "SELECT", "[READ-WRITE]")
#define EXAMINE(tag) SELECTED(tag, "EXAMINE", "[READ-ONLY]")

#define DATE "INTERNALDATE \"22-Nov-2026 09:00:00 +0000\""
enum { DATE_SECONDS = 1795338000, OTHER_DATE = 1700000000 };

/* EXPUNGE looks at what is there, and then marks it. */
#define LOOK(tag, uids)                                                                            \
    "C: @" tag " UID FETCH " uids " (UID FLAGS INTERNALDATE RFC822.SIZE)\n"
#define FOUND(number, uid, size)                                                                   \
    "S: * " number " FETCH (UID " uid " FLAGS () " DATE " RFC822.SIZE " size ")\n"
#define MARK(tag, uids)                                                                            \
    "C: @" tag " UID STORE " uids " +FLAGS.SILENT (\\Deleted)\n"                                   \
    "S: @" tag " OK done\n"

static const Case cases[] = {
    /* -- EXPUNGE -- */
    {"expunge by UID", "UIDPLUS",
     {JOB_EXPUNGE, .uidvalidity = 7, .messages = {{5, DATE_SECONDS, 10}, {6, DATE_SECONDS, 20}}},
     SELECT("2")
     LOOK("3", "5:6")
     FOUND("1", "5", "10")
     FOUND("2", "6", "20")
     "S: @3 OK done\n"
     MARK("4", "5:6")
     "C: @5 UID EXPUNGE 5:6\n"
     "S: * 2 EXPUNGE\n"
     "S: * 1 EXPUNGE\n"
     "S: @5 OK done\n",
     "ok sent 5 6"},
    {"expunge what has gone", "UIDPLUS",
     {JOB_EXPUNGE, .uidvalidity = 7, .messages = {{5, DATE_SECONDS, 10}}},
     SELECT("2")
     LOOK("3", "5")
     "S: @3 OK done\n",
     "ok 5"},
    {"expunge a UID of another message", "UIDPLUS",
     {JOB_EXPUNGE, .uidvalidity = 7, .messages = {{5, OTHER_DATE, 10}}},
     SELECT("2")
     LOOK("3", "5")
     FOUND("1", "5", "10")
     "S: @3 OK done\n",
     "gone 5?"},
    {"expunge all but a UID of another size", "UIDPLUS",
     {JOB_EXPUNGE, .uidvalidity = 7, .messages = {{5, DATE_SECONDS, 11}, {6, DATE_SECONDS, 20}}},
     SELECT("2")
     LOOK("3", "5:6")
     FOUND("1", "5", "10")
     FOUND("2", "6", "20")
     "S: @3 OK done\n"
     MARK("4", "6")
     "C: @5 UID EXPUNGE 6\n"
     "S: @5 OK done\n",
     "ok sent 5? 6"},
    {"expunge without UIDPLUS", "",
     {JOB_EXPUNGE, .messages = {{5}, {6}}},
     SELECT("2")
     LOOK("3", "5:6")
     FOUND("1", "5", "10")
     FOUND("2", "6", "20")
     "S: @3 OK done\n"
     MARK("4", "5:6")
     "C: @5 UID SEARCH DELETED\n"
     "S: * SEARCH 5 6\n"
     "S: @5 OK done\n"
     "C: @6 EXPUNGE\n"
     "S: @6 OK done\n",
     "ok sent 5 6"},
    {"expunge where another client marked one", "",
     {JOB_EXPUNGE, .messages = {{5}}},
     SELECT("2")
     LOOK("3", "5")
     FOUND("1", "5", "10")
     "S: @3 OK done\n"
     MARK("4", "5")
     "C: @5 UID SEARCH DELETED\n"
     "S: * SEARCH 5 9\n"
     "S: @5 OK done\n",
     "ok sent hidden 5?"},
    {"expunge where we marked one before", "",
     {JOB_EXPUNGE, .messages = {{5}}, .other = 9},
     SELECT("2")
     LOOK("3", "5")
     FOUND("1", "5", "10")
     "S: @3 OK done\n"
     MARK("4", "5")
     "C: @5 UID SEARCH DELETED\n"
     "S: * SEARCH 5 9\n"
     "S: @5 OK done\n"
     "C: @6 EXPUNGE\n"
     "S: @6 OK done\n",
     "ok sent 5"},
    {"expunge where another client marked one, and one is another message", "",
     {JOB_EXPUNGE, .messages = {{5, DATE_SECONDS, 10}, {6, OTHER_DATE, 10}}},
     SELECT("2")
     LOOK("3", "5:6")
     FOUND("1", "5", "10")
     FOUND("2", "6", "10")
     "S: @3 OK done\n"
     MARK("4", "5")
     "C: @5 UID SEARCH DELETED\n"
     "S: * SEARCH 5 9\n"
     "S: @5 OK done\n"
     "C: @6 UID STORE 5 -FLAGS.SILENT (\\Deleted)\n"
     "S: @6 OK done\n",
     "gone sent 5? 6?"},
    {"expunge where a search finds nothing", "",
     {JOB_EXPUNGE, .messages = {{5}}},
     SELECT("2")
     LOOK("3", "5")
     FOUND("1", "5", "10")
     "S: @3 OK done\n"
     MARK("4", "5")
     "C: @5 UID SEARCH DELETED\n"
     "S: * SEARCH\n"
     "S: @5 OK done\n",
     "ok sent hidden 5?"},
    {"expunge that is refused takes its marks back", "UIDPLUS",
     {JOB_EXPUNGE, .messages = {{5}, {6}}},
     SELECT("2")
     LOOK("3", "5:6")
     "S: * 1 FETCH (UID 5 FLAGS (\\Deleted) " DATE " RFC822.SIZE 10)\n"
     "S: * 2 FETCH (UID 6 FLAGS (\\Seen) " DATE " RFC822.SIZE 10)\n"
     "S: @3 OK done\n"
     MARK("4", "5:6")
     "C: @5 UID EXPUNGE 5:6\n"
     "S: @5 NO [NOPERM] not you\n"
     "C: @6 UID STORE 6 -FLAGS.SILENT (\\Deleted)\n"
     "S: @6 OK done\n",
     "denied sent 5? 6?"},
    {"expunge after another client did", "UIDPLUS",
     {JOB_EXPUNGE, .messages = {{5}, {6}}},
     SELECT("2")
     LOOK("3", "5:6")
     FOUND("1", "5", "10")
     FOUND("2", "6", "10")
     "S: @3 OK done\n"
     "C: @4 UID STORE 5:6 +FLAGS.SILENT (\\Deleted)\n"
     "S: @4 NO [EXPUNGEISSUED] some have gone\n"
     "C: @5 NOOP\n"
     "S: * 1 EXPUNGE\n"
     "S: @5 OK done\n"
     LOOK("6", "5:6")
     FOUND("1", "6", "10")
     "S: @6 OK done\n"
     MARK("7", "6")
     "C: @8 UID EXPUNGE 6\n"
     "S: @8 OK done\n",
     "ok sent 5 6"},
    {"expunge in a mailbox made anew", "UIDPLUS",
     {JOB_EXPUNGE, .uidvalidity = 6, .messages = {{5}}},
     SELECT("2"),
     "gone 5?"},
    {"expunge in a mailbox for reading only", "UIDPLUS",
     {JOB_EXPUNGE, .uidvalidity = 7, .messages = {{5}}},
     SELECTED("2", "SELECT", "[READ-ONLY]"),
     "read-only 5?"},
    {"expunge a UID that the session was not told of", "UIDPLUS",
     {JOB_EXPUNGE, .messages = {{5}}},
     "C: @2 SELECT \"INBOX\"\n"
     "S: * 1 EXISTS\n"
     "S: * OK [UIDVALIDITY 7] ok\n"
     "S: @2 OK [READ-WRITE] done\n"
     LOOK("3", "5")
     FOUND("1", "5", "10")
     "S: @3 OK done\n"
     "C: @4 UID STORE 5 +FLAGS.SILENT (\\Deleted)\n"
     "| close\n",
     "offline sent 5?"},
    {"expunge that is cut before anything was marked", "UIDPLUS",
     {JOB_EXPUNGE, .messages = {{5}}},
     SELECT("2")
     LOOK("3", "5")
     FOUND("1", "5", "10")
     "| close\n",
     "offline 5?"},

    /* -- COPY -- */
    {"move", "MOVE UIDPLUS",
     {JOB_COPY, .uidvalidity = 7, .messages = {{5}, {6}}, .target = "Old", .is_move = TRUE},
     SELECT("2")
     "C: @3 UID MOVE 5:6 \"Old\"\n"
     "S: * OK [COPYUID 9 5:6 20:21] moved\n"
     "S: * 1 EXPUNGE\n"
     "S: * 1 EXPUNGE\n"
     "S: @3 OK done\n",
     "ok sent moved uidvalidity=9 5>20 6>21"},
    {"move of what has gone in part", "MOVE UIDPLUS",
     {JOB_COPY, .messages = {{5}, {6}}, .target = "Old", .is_move = TRUE},
     SELECT("2")
     "C: @3 UID MOVE 5:6 \"Old\"\n"
     "S: * OK [COPYUID 9 6 21] moved\n"
     "S: * 2 EXPUNGE\n"
     "S: @3 OK done\n",
     "ok sent moved uidvalidity=9 5? 6>21"},
    {"move where nobody says of what", "MOVE UIDPLUS",
     {JOB_COPY, .messages = {{5}, {6}}, .target = "Old", .is_move = TRUE},
     SELECT("2")
     "C: @3 UID MOVE 5:6 \"Old\"\n"
     "S: * 1 EXPUNGE\n"
     "S: @3 OK done\n"
     "C: @4 NOOP\n"
     "S: @4 OK done\n"
     "C: @5 UID FETCH 5:6 (UID FLAGS)\n"
     "S: * 1 FETCH (UID 6 FLAGS ())\n"
     "S: @5 OK done\n",
     "ok sent moved 5 6?"},
    {"move of nothing that is there", "MOVE UIDPLUS",
     {JOB_COPY, .messages = {{5}}, .target = "Old", .is_move = TRUE},
     SELECT("2")
     "C: @3 UID MOVE 5 \"Old\"\n"
     "S: @3 OK done\n"
     "C: @4 NOOP\n"
     "S: @4 OK done\n"
     "C: @5 UID FETCH 5 (UID FLAGS)\n"
     "S: @5 OK done\n",
     "ok sent moved 5?"},
    {"move without MOVE is a copy", "UIDPLUS",
     {JOB_COPY, .messages = {{5}}, .target = "Old", .is_move = TRUE},
     SELECT("2")
     "C: @3 UID COPY 5 \"Old\"\n"
     "S: @3 OK [COPYUID 9 5 20] done\n",
     "ok sent uidvalidity=9 5>20"},
    {"copy needs no SELECT", "UIDPLUS",
     {JOB_COPY, .messages = {{5}}, .target = "Old"},
     EXAMINE("2")
     "C: @3 UID COPY 5 \"Old\"\n"
     "S: @3 OK [COPYUID 9 5 20] done\n",
     "ok sent uidvalidity=9 5>20"},
    {"copy without UIDPLUS", "",
     {JOB_COPY, .messages = {{5}, {6}}, .target = "Old"},
     EXAMINE("2")
     "C: @3 STATUS \"Old\" (MESSAGES UIDNEXT UIDVALIDITY)\n"
     "S: * STATUS Old (MESSAGES 3 UIDNEXT 33 UIDVALIDITY 9)\n"
     "S: @3 OK done\n"
     "C: @4 UID COPY 5:6 \"Old\"\n"
     "S: @4 OK done\n"
     "C: @5 NOOP\n"
     "S: @5 OK done\n"
     "C: @6 UID FETCH 5:6 (UID FLAGS)\n"
     "S: * 1 FETCH (UID 5 FLAGS ())\n"
     "S: @6 OK done\n",
     "ok sent uidvalidity=9 uidnext=33 5 6?"},
    {"copy into a mailbox that is not there", "UIDPLUS",
     {JOB_COPY, .messages = {{5}}, .target = "Old"},
     EXAMINE("2")
     "C: @3 UID COPY 5 \"Old\"\n"
     "S: @3 NO [TRYCREATE] no\n"
     "C: @4 NOOP\n"
     "S: @4 OK done\n"
     "C: @5 UID FETCH 5 (UID FLAGS)\n"
     "S: * 1 FETCH (UID 5 FLAGS ())\n"
     "S: @5 OK done\n",
     "gone sent 5?"},
    {"copy of what has gone in part", "UIDPLUS",
     {JOB_COPY, .messages = {{5}, {6}}, .target = "Old"},
     EXAMINE("2")
     "C: @3 UID COPY 5:6 \"Old\"\n"
     "S: @3 NO [EXPUNGEISSUED] no\n"
     "C: @4 NOOP\n"
     "S: @4 OK done\n"
     "C: @5 UID FETCH 5:6 (UID FLAGS)\n"
     "S: * 1 FETCH (UID 6 FLAGS ())\n"
     "S: @5 OK done\n"
     "C: @6 UID COPY 6 \"Old\"\n"
     "S: @6 OK [COPYUID 9 6 21] done\n",
     "ok sent uidvalidity=9 5? 6>21"},
    {"move that is cut", "MOVE UIDPLUS",
     {JOB_COPY, .messages = {{5}}, .target = "Old", .is_move = TRUE},
     SELECT("2")
     "C: @3 UID MOVE 5 \"Old\"\n"
     "S: * 1 EXPUNGE\n"
     "| close\n",
     "offline sent moved 5?"},

    /* -- STORE -- */
    {"flags", "",
     {JOB_FLAGS, .messages = {{5}}, .flags = MESSAGE_SEEN, .flags_removed = MESSAGE_FLAGGED},
     SELECT("2")
     "C: @3 UID STORE 5 +FLAGS.SILENT (\\Seen)\n"
     "S: @3 OK done\n"
     "C: @4 UID STORE 5 -FLAGS.SILENT (\\Flagged)\n"
     "S: @4 OK done\n",
     "ok sent 5"},
    {"flags that are refused", "",
     {JOB_FLAGS, .messages = {{5}}, .flags = MESSAGE_SEEN},
     SELECT("2")
     "C: @3 UID STORE 5 +FLAGS.SILENT (\\Seen)\n"
     "S: @3 NO no\n",
     "denied sent 5?"},

    /* -- APPEND -- */
    {"append", "UIDPLUS",
     {JOB_APPEND, .text = "Hello!", .flags = MESSAGE_SEEN},
     "C: @2 APPEND \"INBOX\" (\\Seen) {6}\n"
     "S: + go on\n"
     "C: Hello!\n"
     "S: @2 OK [APPENDUID 7 100] done\n",
     "ok sent uidvalidity=7 uid=100"},
    {"append without UIDPLUS", "",
     {JOB_APPEND, .text = "Hello!"},
     "C: @2 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY)\n"
     "S: * STATUS INBOX (MESSAGES 3 UIDNEXT 100 UIDVALIDITY 7)\n"
     "S: @2 OK done\n"
     "C: @3 APPEND \"INBOX\" {6}\n"
     "S: + go on\n"
     "C: Hello!\n"
     "S: @3 OK done\n",
     "ok sent uidvalidity=7 uidnext=100"},
    {"append that replaces", "UIDPLUS REPLACE",
     {JOB_APPEND, .uidvalidity = 7, .text = "Hello!", .replaces = 5},
     SELECT("2")
     "C: @3 UID REPLACE 5 \"INBOX\" {6}\n"
     "S: + go on\n"
     "C: Hello!\n"
     "S: * OK [APPENDUID 7 100] replaced\n"
     "S: * 1 EXPUNGE\n"
     "S: @3 OK done\n",
     "ok sent replaced uidvalidity=7 uid=100 uidnext=100"},
    {"append that would replace", "UIDPLUS",
     {JOB_APPEND, .uidvalidity = 7, .text = "Hello!", .replaces = 5},
     "C: @2 APPEND \"INBOX\" {6}\n"
     "S: + go on\n"
     "C: Hello!\n"
     "S: @2 OK [APPENDUID 7 100] done\n",
     "ok sent uidvalidity=7 uid=100"},
    {"append that would replace in a mailbox made anew", "UIDPLUS REPLACE",
     {JOB_APPEND, .uidvalidity = 6, .text = "Hello!", .replaces = 5},
     SELECT("2"),
     "gone"},
    {"append of a new version, with the flags that the old one has by now", "UIDPLUS",
     {JOB_APPEND, .uidvalidity = 7, .text = "Hello!", .flags = MESSAGE_SEEN, .heir_of = 5},
     SELECT("2")
     "C: @3 UID FETCH 5 (UID FLAGS)\n"
     "S: * 1 FETCH (UID 5 FLAGS (\\Flagged \\Deleted work))\n"
     "S: @3 OK done\n"
     "C: @4 APPEND \"INBOX\" (\\Flagged work) {6}\n"
     "S: + go on\n"
     "C: Hello!\n"
     "S: @4 OK [APPENDUID 7 100] done\n",
     "ok sent uidvalidity=7 uid=100 uidnext=100"},
    {"append of a new version by REPLACE", "UIDPLUS REPLACE",
     {JOB_APPEND, .uidvalidity = 7, .text = "Hello!", .replaces = 5, .heir_of = 5},
     SELECT("2")
     "C: @3 UID FETCH 5 (UID FLAGS)\n"
     "S: * 1 FETCH (UID 5 FLAGS (\\Flagged))\n"
     "S: @3 OK done\n"
     "C: @4 UID REPLACE 5 \"INBOX\" (\\Flagged) {6}\n"
     "S: + go on\n"
     "C: Hello!\n"
     "S: * OK [APPENDUID 7 100] replaced\n"
     "S: * 1 EXPUNGE\n"
     "S: @4 OK done\n",
     "ok sent replaced uidvalidity=7 uid=100 uidnext=100"},
    {"append of a new version where flags are not told", "UIDPLUS",
     {JOB_APPEND, .uidvalidity = 7, .text = "Hello!", .flags = MESSAGE_SEEN, .heir_of = 5},
     SELECT("2")
     "C: @3 UID FETCH 5 (UID FLAGS)\n"
     "S: @3 NO not now\n"
     "C: @4 APPEND \"INBOX\" (\\Seen) {6}\n"
     "S: + go on\n"
     "C: Hello!\n"
     "S: @4 OK [APPENDUID 7 100] done\n",
     "ok sent uidvalidity=7 uid=100 uidnext=100"},
    {"append of a new version of what is gone", "UIDPLUS",
     {JOB_APPEND, .uidvalidity = 7, .text = "Hello!", .flags = MESSAGE_SEEN, .heir_of = 105},
     SELECT("2")
     "C: @3 UID FETCH 105 (UID FLAGS)\n"
     "S: @3 OK done\n"
     "C: @4 APPEND \"INBOX\" (\\Seen) {6}\n"
     "S: + go on\n"
     "C: Hello!\n"
     "S: @4 OK [APPENDUID 7 100] done\n",
     "ok sent uidvalidity=7 uid=100 uidnext=100"},
    {"append of a new version into a mailbox made anew", "UIDPLUS",
     {JOB_APPEND, .uidvalidity = 6, .text = "Hello!", .flags = MESSAGE_SEEN, .heir_of = 5},
     SELECT("2")
     "C: @3 APPEND \"INBOX\" (\\Seen) {6}\n"
     "S: + go on\n"
     "C: Hello!\n"
     "S: @3 OK [APPENDUID 7 100] done\n",
     "ok sent uidvalidity=7 uid=100 uidnext=100"},
    {"append over the quota", "UIDPLUS",
     {JOB_APPEND, .text = "Hello!"},
     "C: @2 APPEND \"INBOX\" {6}\n"
     "S: + go on\n"
     "C: Hello!\n"
     "S: @2 NO [OVERQUOTA] full\n",
     "quota sent"},
    {"append into a mailbox that is not there", "",
     {JOB_APPEND, .text = "Hello!"},
     "C: @2 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY)\n"
     "S: @2 NO [NONEXISTENT] no\n",
     "gone"},
    {"append that is cut before it began", "",
     {JOB_APPEND, .text = "Hello!"},
     "C: @2 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY)\n"
     "| close\n",
     "offline"},
    {"append that is cut behind the literal", "UIDPLUS",
     {JOB_APPEND, .text = "Hello!"},
     "C: @2 APPEND \"INBOX\" {6}\n"
     "S: + go on\n"
     "C: Hello!\n"
     "| close\n",
     "offline sent"},

    /* -- FIND -- */
    {"find by Message-ID", "UIDPLUS",
     {JOB_FIND, .uidvalidity = 7, .uidnext = 90, .text = "Hello!", .message_id = "<a\"b@c>"},
     EXAMINE("2")
     "C: @3 UID SEARCH UID 90:* HEADER Message-ID \"<a\\\"b@c>\"\n"
     "S: * SEARCH 88 91 93\n"
     "S: @3 OK done\n"
     "C: @4 UID FETCH 91,93 (UID RFC822.SIZE)\n"
     "S: * 1 FETCH (UID 91 RFC822.SIZE 6)\n"
     "S: * 2 FETCH (UID 93 RFC822.SIZE 6)\n"
     "S: @4 OK done\n"
     "C: @5 UID FETCH 93 (UID BODY.PEEK[])\n"
     "S: * 2 FETCH (UID 93 BODY[] {6}\n"
     "S: Hello?)\n"
     "S: @5 OK done\n"
     "C: @6 UID FETCH 91 (UID BODY.PEEK[])\n"
     "S: * 1 FETCH (UID 91 BODY[] {6}\n"
     "S: Hello!)\n"
     "S: @6 OK done\n",
     "ok uidvalidity=7 uid=91 octets=6"},
    {"find, but not what is another file's", "UIDPLUS",
     {JOB_FIND, .uidvalidity = 7, .uidnext = 90, .text = "Hello!", .other = 93},
     EXAMINE("2")
     "C: @3 UID SEARCH UID 90:*\n"
     "S: * SEARCH 91 93\n"
     "S: @3 OK done\n"
     "C: @4 UID FETCH 91,93 (UID RFC822.SIZE)\n"
     "S: * 1 FETCH (UID 91 RFC822.SIZE 6)\n"
     "S: * 2 FETCH (UID 93 RFC822.SIZE 6)\n"
     "S: @4 OK done\n"
     "C: @5 UID FETCH 91 (UID BODY.PEEK[])\n"
     "S: * 1 FETCH (UID 91 BODY[] {6}\n"
     "S: Hello?)\n"
     "S: @5 OK done\n",
     "ok uidvalidity=7"},
    {"find where sizes lie and nothing is searched by", "",
     {JOB_FIND, .uidvalidity = 7, .uidnext = 90, .text = "Hello!", .message_id = "<a@b>"},
     EXAMINE("2")
     "C: @3 UID SEARCH UID 90:* HEADER Message-ID \"<a@b>\"\n"
     "S: @3 NO I cannot\n"
     "C: @4 UID SEARCH UID 90:*\n"
     "S: * SEARCH 89 92 91\n"
     "S: @4 OK done\n"
     "C: @5 UID FETCH 91:92 (UID RFC822.SIZE)\n"
     "S: * 1 FETCH (UID 91 RFC822.SIZE 999)\n"
     "S: * 2 FETCH (UID 92 RFC822.SIZE 7)\n"
     "S: @5 OK done\n"
     "C: @6 UID FETCH 92 (UID BODY.PEEK[])\n"
     "S: * 2 FETCH (UID 92 BODY[] NIL)\n"
     "S: @6 OK done\n"
     "C: @7 UID FETCH 91 (UID BODY.PEEK[])\n"
     "S: * 1 FETCH (BODY[] {6}\n"
     "S: Hello! UID 91)\n"
     "S: @7 OK done\n",
     "ok uidvalidity=7 uid=91 octets=6"},
    {"find nothing", "",
     {JOB_FIND, .uidvalidity = 7, .uidnext = 90, .text = "Hello!"},
     EXAMINE("2")
     "C: @3 UID SEARCH UID 90:*\n"
     "S: * SEARCH 89\n"
     "S: @3 OK done\n",
     "ok uidvalidity=7"},
    {"find in a mailbox made anew", "",
     {JOB_FIND, .uidvalidity = 6, .uidnext = 90, .text = "Hello!", .message_id = "<a@b>"},
     EXAMINE("2")
     "C: @3 UID SEARCH UID 1:* HEADER Message-ID \"<a@b>\"\n"
     "S: * SEARCH 2\n"
     "S: @3 OK done\n"
     "C: @4 UID FETCH 2 (UID RFC822.SIZE)\n"
     "S: * 1 FETCH (UID 2 RFC822.SIZE 6)\n"
     "S: @4 OK done\n"
     "C: @5 UID FETCH 2 (UID BODY.PEEK[])\n"
     "S: * 1 FETCH (UID 2 BODY[] {6}\n"
     "S: Hello!)\n"
     "S: @5 OK done\n",
     "ok uidvalidity=7 uid=2 octets=6"},

    /* -- MAILBOX -- */
    {"delete a mailbox with mail", "",
     {JOB_MAILBOX, .wire = "Old", .verb = MAILBOX_DELETE},
     "C: @2 LIST \"\" \"Old*\"\n"
     "S: * LIST () \"/\" Old\n"
     "S: * LIST () \"/\" Older/than\n"
     "S: @2 OK done\n"
     "C: @3 STATUS \"Old\" (MESSAGES UIDNEXT UIDVALIDITY)\n"
     "S: * STATUS Old (MESSAGES 1 UIDNEXT 100 UIDVALIDITY 7)\n"
     "S: @3 OK done\n",
     "not-empty"},
    {"delete a mailbox with others below", "",
     {JOB_MAILBOX, .wire = "Old", .verb = MAILBOX_DELETE},
     "C: @2 LIST \"\" \"Old*\"\n"
     "S: * LIST () \"/\" Old\n"
     "S: * LIST () \"/\" Old/er\n"
     "S: @2 OK done\n",
     "not-empty"},
    {"rename INBOX", "",
     {JOB_MAILBOX, .wire = "inbox", .verb = MAILBOX_RENAME, .target = "Old"},
     "",
     "denied"},
};

/* -- Asking ------------------------------------------------------------------------------------ */

static int file_with(const char *text)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("mailfs-change-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
    return fd;
}

static void add_text(JobChange *change, const char *text)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize length = sizeof change->sha256;

    g_checksum_update(checksum, (const guchar *)text, -1);
    g_checksum_get_digest(checksum, change->sha256, &length);
    change->size = strlen(text);
    change->fd = file_with(text);
}

static Job *job_of(const Ask *ask)
{
    Job *job = job_new(ask->kind, JOB_INTERACTIVE);
    JobChange *change = job->change;

    job->wire = g_strdup(ask->wire ? ask->wire : "INBOX");
    job->uidvalidity = ask->uidvalidity;
    change->messages = g_array_new(FALSE, FALSE, sizeof(ChangeMessage));
    for (guint i = 0; i < G_N_ELEMENTS(ask->messages) && ask->messages[i].uid; i++)
        g_array_append_val(change->messages, ask->messages[i]);
    change->target = g_strdup(ask->target);
    change->is_move = ask->is_move;
    change->flags = ask->flags;
    change->flags_removed = ask->flags_removed;
    change->message_id = g_strdup(ask->message_id);
    change->replaces = ask->replaces;
    change->heir_of = ask->heir_of;
    change->uidnext = ask->uidnext;
    if (ask->other) {
        change->others = uid_set_new();
        uid_set_add(change->others, ask->other);
    }
    change->verb = ask->verb;
    if (ask->text)
        add_text(change, ask->text);
    return job;
}

/* "ok" or the error's name; what was answered; the messages, with "?" where they are not done. */
static char *outcome_of(const Held *held)
{
    const JobChange *change = held->done->change;
    GString *out = g_string_new(held->error ? mail_error_name(held->error->code) : "ok");

    if (change->was_sent)
        g_string_append(out, " sent");
    if (change->did_replace)
        g_string_append(out, " replaced");
    if (change->did_move)
        g_string_append(out, " moved");
    if (change->is_hidden)
        g_string_append(out, " hidden");
    if (change->uidvalidity)
        g_string_append_printf(out, " uidvalidity=%u", change->uidvalidity);
    if (change->uid)
        g_string_append_printf(out, " uid=%u", change->uid);
    if (change->uidnext_then)
        g_string_append_printf(out, " uidnext=%u", change->uidnext_then);
    if (change->n_octets)
        g_string_append_printf(out, " octets=%" G_GUINT64_FORMAT, change->n_octets);
    for (guint i = 0; i < change->messages->len; i++) {
        const ChangeMessage *message = &g_array_index(change->messages, ChangeMessage, i);

        g_string_append_printf(out, " %u", message->uid);
        if (message->target_uid)
            g_string_append_printf(out, ">%u", message->target_uid);
        if (!message->is_done)
            g_string_append_c(out, '?');
    }
    return g_string_free(out, FALSE);
}

static void test_case(gconstpointer data)
{
    const Case *test = data;
    g_autofree char *outcome = NULL;
    Held held;

    hold(&held, test->name, test->capabilities, test->script, job_of(&test->ask));
    outcome = outcome_of(&held);
    if (held.error)
        g_test_message("%s", held.error->message);
    g_assert_cmpstr(outcome, ==, test->outcome);
    held_clear(&held);
}

/* -- Connections that end ---------------------------------------------------------------------- */

/* What the client says at this step cannot be taken back. */
static gboolean is_deed(const Step *step)
{
    static const char *const deeds[] = {" UID STORE ", " UID COPY ", " UID MOVE "};

    if (step->kind != SERVER_HEARS)
        return FALSE;
    if (*step->text != '@')
        return TRUE; /* a literal */
    for (gsize i = 0; i < G_N_ELEMENTS(deeds); i++)
        if (strstr(step->text, deeds[i]))
            return TRUE;
    return FALSE;
}

/* Octets of the line that the server says. */
static gsize said(const Step *step)
{
    if (step->kind != SERVER_SAYS)
        return 0;
    return strlen(step->text) + strlen("\r\n") + (*step->text == '@' ? strlen("abcde") - 1 : 0);
}

static void hold_cut(const Case *test, const Conversation *conversation, gsize cut,
                     gboolean is_sent)
{
    Held held;

    hold_until(&held, conversation, cut, job_of(&test->ask));
    if (!held.error || held.done->change->was_sent != is_sent)
        g_error("%s: after %" G_GSIZE_FORMAT " octets: %s, %s", test->name, cut,
                held.error ? held.error->message : "no error", is_sent ? "not sent" : "sent");
    held_clear(&held);
}

/* Before, within and at the end of each line that the server says: the job comes back with an
 * error, and says truly whether something may have happened. */
static void test_cut(gconstpointer data)
{
    const Case *test = data;
    Conversation *conversation = held_script(test->name, test->capabilities, test->script);
    guint n = conversation->steps->len - 3; /* without the goodbye */
    gboolean is_sent = FALSE;
    gsize octets = 0;

    for (guint i = 0; i < n; i++) {
        const Step *step = &g_array_index(conversation->steps, Step, i);
        gsize length = said(step);

        is_sent = is_sent || is_deed(step);
        if (i >= conversation->n_prelude && length > 0) {
            hold_cut(test, conversation, octets, is_sent);
            hold_cut(test, conversation, octets + length / 2, is_sent);
            hold_cut(test, conversation, octets + length - 1, is_sent);
        }
        octets += length;
    }
    conversation_free(conversation);
}

/* Somebody waits for an upload: he sees it go, to its end. */
static void test_progress(void)
{
    g_autofree char *text = g_strnfill(200000, 'x');
    g_autofree char *script = g_strdup_printf("C: @2 APPEND \"INBOX\" {200000}\n"
                                              "S: + go on\n"
                                              "C: %s\n"
                                              "S: @2 OK [APPENDUID 7 100] done\n",
                                              text);
    const Ask ask = {JOB_APPEND, .text = text};
    Held held;

    hold(&held, "progress", "UIDPLUS", script, job_of(&ask));
    g_assert_no_error(held.error);
    g_assert_true(g_str_has_suffix(held.told->str, "sent 200000"));
    held_clear(&held);
}

/* Changes go through one connection, whatever their priority and however many there are; and where
 * there are three, a read that somebody waits for has another way. */
static void test_roles(void)
{
    for (guint n_allowed = 1; n_allowed <= 5; n_allowed++)
        for (guint kind = JOB_FETCH; kind <= JOB_MAILBOX; kind++)
            for (guint priority = 0; priority < JOB_N_PRIORITIES; priority++) {
                JobRoles roles[IMAP_MAX_ROLES], needed = JOB_ROLE(priority, kind);
                guint takers = 0;

                for (guint number = 0; number < 6; number++) {
                    guint n = imap_roles(number, n_allowed, roles);
                    gboolean may = FALSE;

                    g_assert_cmpuint(n, <=, IMAP_MAX_ROLES);
                    for (guint i = 0; i < n; i++)
                        may = may || (roles[i] & needed) == needed;
                    if (may && kind != JOB_FETCH)
                        g_assert_cmpuint(number, ==, n_allowed == 1 ? 0 : 1);
                    takers += may;
                }
                if (kind != JOB_FETCH)
                    g_assert_cmpuint(takers, ==, 1);
                else if (priority == JOB_INTERACTIVE && n_allowed > 2)
                    g_assert_cmpuint(takers, >=, 2);
                else
                    g_assert_cmpuint(takers, >=, 1);
            }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/imap-change/", cases[i].name, NULL);
        g_autofree char *cut = g_strconcat("/imap-change/cut/", cases[i].name, NULL);

        g_test_add_data_func(g_strdelimit(path, " ", '-'), &cases[i], test_case);
        if (!strstr(cases[i].script, "| close"))
            g_test_add_data_func(g_strdelimit(cut, " ", '-'), &cases[i], test_cut);
    }
    g_test_add_func("/imap-change/progress", test_progress);
    g_test_add_func("/imap-change/roles", test_roles);
    return g_test_run();
}
