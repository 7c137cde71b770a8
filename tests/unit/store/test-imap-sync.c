/* What a sync makes of a mailbox of which more is known than the last sync listed: our own uploads
 * and copies, whose UIDs came with APPENDUID and COPYUID.  Nothing between them may be overlooked,
 * nothing counted twice, and nothing taken for gone because a session's view is older. */
#include "imap-fixture.h"

typedef struct {
    const char *name, *capabilities;
    const char *known; /* UIDs; uidvalidity 7, uidnext 10, modseq 50 */
    const char *script, *told;
} Case;

#define ITEMS "(UID FLAGS RFC822.SIZE INTERNALDATE)"
#define META " FLAGS () RFC822.SIZE 9 INTERNALDATE \"22-Nov-2026 09:00:00 +0000\")\n"
#define EXAMINE(exists, uidnext, modseq)                                                           \
    "S: * " exists " EXISTS\n"                                                                     \
    "S: * OK [UIDVALIDITY 7] ok\n" uidnext modseq

static const Case cases[] = {
    {"plain: others came before ours", "", "1:9,12",
     "C: @2 EXAMINE \"INBOX\"\n"
     EXAMINE("12", "S: * OK [UIDNEXT 13] ok\n", "")
     "S: @2 OK [READ-ONLY] done\n"
     "C: @3 UID FETCH 1:9,12 (UID FLAGS)\n"
     "S: * 1 FETCH (UID 1 FLAGS ())\n"
     "S: * 12 FETCH (UID 12 FLAGS ())\n"
     "S: @3 OK done\n"
     "C: @4 UID FETCH 10:* (UID FLAGS)\n"
     "S: * 10 FETCH (UID 10 FLAGS ())\n"
     "S: * 11 FETCH (UID 11 FLAGS ())\n"
     "S: * 12 FETCH (UID 12 FLAGS ())\n"
     "S: @4 OK done\n"
     "C: @5 UID FETCH 10:12 " ITEMS "\n"
     "S: * 10 FETCH (UID 10" META
     "S: * 11 FETCH (UID 11" META
     "S: * 12 FETCH (UID 12" META
     "S: @5 OK done\n",
     "messages 10:12, flags 1, uidnext 13"},
    /* The count alone does not show it: one has gone, one has come. */
    {"plain: one came and one went", "", "1:9,12",
     "C: @2 EXAMINE \"INBOX\"\n"
     EXAMINE("10", "S: * OK [UIDNEXT 13] ok\n", "")
     "S: @2 OK [READ-ONLY] done\n"
     "C: @3 UID FETCH 1:9,12 (UID FLAGS)\n"
     "S: @3 OK done\n"
     "C: @4 UID FETCH 10:* (UID FLAGS)\n"
     "S: * 9 FETCH (UID 11 FLAGS ())\n"
     "S: * 10 FETCH (UID 12 FLAGS ())\n"
     "S: @4 OK done\n"
     "C: @5 UID SEARCH ALL\n"
     "S: * SEARCH 1 2 3 4 6 7 8 9 11 12\n"
     "S: @5 OK done\n"
     "C: @6 UID FETCH 11:12 " ITEMS "\n"
     "S: * 9 FETCH (UID 11" META
     "S: * 10 FETCH (UID 12" META
     "S: @6 OK done\n",
     "vanished 5, messages 11:12, uidnext 13"},
    {"plain: a view from before our upload", "", "1:9,12",
     "C: @2 EXAMINE \"INBOX\"\n"
     EXAMINE("9", "S: * OK [UIDNEXT 10] ok\n", "")
     "S: @2 OK [READ-ONLY] done\n"
     "C: @3 UID FETCH 1:9,12 (UID FLAGS)\n"
     "S: @3 OK done\n",
     "uidnext 10"},
    {"plain: a view from before our upload, compared", "", "1:9,12",
     "C: @2 EXAMINE \"INBOX\"\n"
     EXAMINE("8", "S: * OK [UIDNEXT 10] ok\n", "")
     "S: @2 OK [READ-ONLY] done\n"
     "C: @3 UID FETCH 1:9,12 (UID FLAGS)\n"
     "S: @3 OK done\n"
     "C: @4 UID SEARCH ALL\n"
     "S: * SEARCH 1 2 3 4 6 7 8 9\n"
     "S: @4 OK done\n",
     "vanished 5, uidnext 10"},
    {"plain: our upload has gone again", "", "1:9,12",
     "C: @2 EXAMINE \"INBOX\"\n"
     EXAMINE("9", "S: * OK [UIDNEXT 13] ok\n", "")
     "S: @2 OK [READ-ONLY] done\n"
     "C: @3 UID FETCH 1:9,12 (UID FLAGS)\n"
     "S: @3 OK done\n"
     "C: @4 UID FETCH 10:* (UID FLAGS)\n"
     "S: * 9 FETCH (UID 9 FLAGS ())\n"
     "S: @4 OK done\n"
     "C: @5 UID SEARCH ALL\n"
     "S: * SEARCH 1 2 3 4 5 6 7 8 9\n"
     "S: @5 OK done\n",
     "vanished 12, flags 9, uidnext 13"},
    {"plain: no UIDNEXT", "", "1:9,12",
     "C: @2 EXAMINE \"INBOX\"\n"
     EXAMINE("11", "", "")
     "S: @2 OK [READ-ONLY] done\n"
     "C: @3 UID FETCH 1:9,12 (UID FLAGS)\n"
     "S: @3 OK done\n"
     "C: @4 UID FETCH 10:* (UID FLAGS)\n"
     "S: * 10 FETCH (UID 11 FLAGS ())\n"
     "S: * 11 FETCH (UID 12 FLAGS ())\n"
     "S: @4 OK done\n"
     "C: @5 UID FETCH 11:12 " ITEMS "\n"
     "S: * 10 FETCH (UID 11" META
     "S: * 11 FETCH (UID 12" META
     "S: @5 OK done\n",
     "messages 11:12, uidnext 13"},
    {"condstore: ours and others'", "CONDSTORE", "1:9,12",
     "C: @2 EXAMINE \"INBOX\" (CONDSTORE)\n"
     EXAMINE("11", "S: * OK [UIDNEXT 13] ok\n", "S: * OK [HIGHESTMODSEQ 60] ok\n")
     "S: @2 OK [READ-ONLY] done\n"
     "C: @3 UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 50)\n"
     "S: * 10 FETCH (UID 11 FLAGS () MODSEQ (59))\n"
     "S: * 11 FETCH (UID 12 FLAGS () MODSEQ (60))\n"
     "S: @3 OK done\n"
     "C: @4 UID FETCH 11:12 " ITEMS "\n"
     "S: * 10 FETCH (UID 11" META
     "S: * 11 FETCH (UID 12" META
     "S: @4 OK done\n",
     "messages 11:12, uidnext 13"},
    {"qresync: ours and others'", "ENABLE QRESYNC", "1:9,12",
     "C: @2 ENABLE CONDSTORE QRESYNC\n"
     "S: * ENABLED CONDSTORE QRESYNC\n"
     "S: @2 OK done\n"
     "C: @3 EXAMINE \"INBOX\" (QRESYNC (7 50))\n"
     EXAMINE("10", "S: * OK [UIDNEXT 13] ok\n", "S: * OK [HIGHESTMODSEQ 60] ok\n")
     "S: * VANISHED (EARLIER) 5\n"
     "S: * 9 FETCH (UID 11 FLAGS () MODSEQ (59))\n"
     "S: * 10 FETCH (UID 12 FLAGS () MODSEQ (60))\n"
     "S: @3 OK [READ-ONLY] done\n"
     "C: @4 UID FETCH 11:12 " ITEMS "\n"
     "S: * 9 FETCH (UID 11" META
     "S: * 10 FETCH (UID 12" META
     "S: @4 OK done\n",
     "vanished 5, messages 11:12, uidnext 13"},
    {"qresync: our upload has gone again", "ENABLE QRESYNC", "1:9,12",
     "C: @2 ENABLE CONDSTORE QRESYNC\n"
     "S: * ENABLED CONDSTORE QRESYNC\n"
     "S: @2 OK done\n"
     "C: @3 EXAMINE \"INBOX\" (QRESYNC (7 50))\n"
     EXAMINE("9", "S: * OK [UIDNEXT 13] ok\n", "S: * OK [HIGHESTMODSEQ 60] ok\n")
     "S: * VANISHED (EARLIER) 12\n"
     "S: @3 OK [READ-ONLY] done\n",
     "vanished 12, uidnext 13"},
};

static void test_case(gconstpointer data)
{
    const Case *test = data;
    Job *job = job_new(JOB_SYNC, JOB_WAITED);
    Held held;

    job->wire = g_strdup("INBOX");
    job->known = (SyncKnown){.uidvalidity = 7, .uidnext = 10, .highestmodseq = 50};
    job->known.uids = uid_set_parse(test->known, strlen(test->known));
    hold(&held, test->name, test->capabilities, test->script, job);
    g_assert_no_error(held.error);
    g_assert_cmpstr(held.told->str, ==, test->told);
    held_clear(&held);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/imap-sync/", cases[i].name, NULL);

        g_test_add_data_func(g_strdelimit(path, " ", '-'), &cases[i], test_case);
    }
    return g_test_run();
}
