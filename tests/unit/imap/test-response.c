/* What each response is understood to say: as the RFCs have it, and as servers send it. */
#include "imap/response.h"
#include "base/error.h"
#include "base/limits.h"

#include <string.h>

typedef struct {
    const char *line, *expected; /* NULL: makes no sense */
} Case;

typedef char *Show(const ImapResponse *response);

/* What @show makes of @line, a whole response without its CRLF. */
static char *read_line(const char *line, Show *show)
{
    g_autoptr(ImapParser) parser = imap_parser_new();
    g_autofree char *input = g_strconcat(line, "\r\n", NULL);
    gsize length = strlen(input);
    ImapParse event;

    imap_parser_feed(parser, input, length);
    event = imap_parser_next(parser);
    if (event != IMAP_PARSE_RESPONSE)
        g_error("%s: not a response", line);
    return show(imap_parser_response(parser));
}

static void check_all(const Case *cases, gsize n, Show *show)
{
    for (gsize i = 0; i < n; i++) {
        g_autofree char *shown = read_line(cases[i].line, show);

        g_test_message("%s", cases[i].line);
        g_assert_cmpstr(shown, ==, cases[i].expected);
    }
}

/* -- FETCH ------------------------------------------------------------------------------------ */

static char *show_fetch(const ImapResponse *response)
{
    g_autoptr(GString) scratch = g_string_new("of the one before");
    GString *out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    const ImapArg *body;
    ImapFetch fetch;

    if (!imap_response_fetch(response, scratch, &fetch, &body, &error)) {
        g_assert_error(error, MAIL_ERROR, MAIL_ERROR_PROTOCOL);
        g_string_free(out, TRUE);
        return NULL;
    }
    g_string_append_printf(out, "%u", fetch.seq);
    if (fetch.items & IMAP_FETCH_UID)
        g_string_append_printf(out, " uid=%u", fetch.uid);
    if (fetch.items & IMAP_FETCH_FLAGS)
        g_string_append_printf(out, " flags=%x(%s)", fetch.flags, fetch.keywords);
    if (fetch.items & IMAP_FETCH_SIZE)
        g_string_append_printf(out, " size=%" G_GUINT64_FORMAT, fetch.size);
    if (fetch.items & IMAP_FETCH_DATE)
        g_string_append_printf(out, " date=%" G_GINT64_FORMAT, fetch.date);
    if (fetch.items & IMAP_FETCH_MODSEQ)
        g_string_append_printf(out, " modseq=%" G_GUINT64_FORMAT, fetch.modseq);
    if (fetch.items & IMAP_FETCH_HEADER)
        g_string_append_printf(out, " header='%.*s'", (int)fetch.header_length, fetch.header);
    if (fetch.items & IMAP_FETCH_EMAILID)
        g_string_append_printf(out, " email=%s", fetch.email_id);
    if (fetch.items & IMAP_FETCH_BODY)
        g_string_append_printf(out, " body=%" G_GUINT64_FORMAT "%s%s", fetch.body_length,
                               fetch.body_is_nil ? "nil" : "", body->text);
    g_assert_true(!!body == !!(fetch.items & IMAP_FETCH_BODY));
    return g_string_free(out, FALSE);
}

static void test_fetch(void)
{
    static const Case cases[] = {
        {"* 1 FETCH (UID 7)", "1 uid=7"},
        {"* 1 FETCH (FLAGS ())", "1 flags=0()"},
        {"* 2 FETCH (FLAGS (\\Seen \\answered \\Flagged \\Deleted \\Draft \\Recent))",
         "2 flags=1f()"},
        {"* 2 FETCH (FLAGS (b $a b \\Foo A) UID 3)", "2 uid=3 flags=0($a A b)"},
        {"* 2 FETCH (FLAGS (a (b) [c \"q\" d%) UID 3)", "2 uid=3 flags=0([c a b)"},
        {"* 3 FETCH (UID 4294967295 MODSEQ (9223372036854775807))",
         "3 uid=4294967295 modseq=9223372036854775807"},
        {"* 3 FETCH (MODSEQ 12 MODSEQ (x))", "3 modseq=12"},
        {"* 3 FETCH (RFC822.SIZE 0)", "3 size=0"},
        {"* 3 FETCH (RFC822.SIZE 9.3736e+06)", "3 size=9373600"},
        {"* 3 FETCH (RFC822.SIZE -1)", "3"},
        {"* 3 FETCH (RFC822.SIZE NIL)", "3"},
        {"* 3 FETCH (INTERNALDATE \" 1-Jan-1970 00:00:09 +0000\")", "3 date=9"},
        {"* 3 FETCH (INTERNALDATE \"never\")", "3 date=0"},
        {"* 3 FETCH (INTERNALDATE NIL)", "3"},
        {"* 3 FETCH (EMAILID (M1) THREADID NIL)", "3 email=M1"},
        {"* 3 FETCH (EMAILID NIL)", "3"},
        /* the order is free, and items may stand behind a literal */
        {"* 4 FETCH (BODY[HEADER.FIELDS (DATE)] {4}\r\nA: b UID 5)", "4 uid=5 header='A: b'"},
        {"* 4 FETCH (BODY[HEADER.FIELDS (\"DATE\" X)] \"\" UID 5)", "4 uid=5 header=''"},
        {"* 4 FETCH (RFC822.HEADER NIL)", "4 header=''"},
        {"* 4 FETCH (BODY[] {2}\r\n\r\n UID 5)", "4 uid=5 body=2\r\n"},
        {"* 4 FETCH (BODY[]<0> \"a\\\"b\")", "4 body=3a\"b"},
        {"* 4 FETCH (RFC822 \"ab\")", "4 body=2ab"},
        {"* 4 FETCH (BODY[] NIL UID 5)", "4 uid=5 body=0nilNIL"},
        {"* 4 FETCH (BODY[] \"NIL\")", "4 body=3NIL"},
        /* what was not asked for */
        {"* 4 FETCH (X-GM-MSGID 12 ENVELOPE (NIL \"UID 6\") BODY[1.MIME] {3}\r\nUID UID 5)",
         "4 uid=5"},
        {"* 4 FETCH (UID 5 UID 5)", "4 uid=5"},
        {"* 4 FETCH (\"UID\" 5)", "4"},
        {"* 4 FETCH (UID)", "4"},
        {"* 4 FETCH ()", "4"},
        {"* 4 FETCH NIL", "4"},
        {"* 4 FETCH", "4"},
        /* contradictions */
        {"* 0 FETCH (UID 5)", NULL},
        {"* FETCH (UID 5)", NULL},
        {"* 4294967296 FETCH (UID 5)", NULL},
        {"* 4 FETCH (UID 0)", NULL},
        {"* 4 FETCH (UID 4294967296)", NULL},
        {"* 4 FETCH (UID -5)", NULL},
        {"* 4 FETCH (UID NIL)", NULL},
        {"* 4 FETCH (UID 5 UID 6)", NULL},
        {"* 4 FETCH (BODY[] \"a\" BODY[] \"b\")", NULL},
        {"* 4 FETCH (BODY[] NIL RFC822 NIL)", NULL},
        {"* 4 FETCH (BODY[] (a))", NULL},
    };

    check_all(cases, G_N_ELEMENTS(cases), show_fetch);
}

static void test_keywords_are_limited(void)
{
    g_autoptr(GString) line = g_string_new("* 1 FETCH (FLAGS (");
    g_autofree char *shown = NULL;

    for (guint i = 0; i < LIMIT_KEYWORDS + 5; i++)
        g_string_append_printf(line, "k%04u ", i);
    g_string_append(line, "\\Seen))");
    shown = read_line(line->str, show_fetch);
    g_assert_true(g_str_has_prefix(shown, "1 flags=1(k0000 k0001 "));
    g_assert_true(g_str_has_suffix(shown, " k0999)"));
}

/* What a literal that is only announced will be, from what stands before it. */
static void test_stream(void)
{
    static const struct {
        const char *line;
        ImapStream stream;
        guint32 uid;
    } cases[] = {
        {"* 1 FETCH (BODY[] {40000}\r\n", IMAP_STREAM_BODY, 0},
        {"* 1 FETCH (UID 7 BODY[] {40000}\r\n", IMAP_STREAM_BODY, 7},
        {"* 1 FETCH (FLAGS (a) RFC822 {40000}\r\n", IMAP_STREAM_BODY, 0},
        {"* 1 FETCH (UID 7 BODY[HEADER] {40000}\r\n", IMAP_STREAM_HEADER, 7},
        {"* 1 FETCH (UID 7 BODY[1] {40000}\r\n", IMAP_STREAM_OTHER, 7},
        {"* 1 FETCH (UID 7 X (BODY[] {40000}\r\n", IMAP_STREAM_OTHER, 7},
        {"* 1 FETCH (UID {40000}\r\n", IMAP_STREAM_OTHER, 0},
        {"* 1 FETCH {40000}\r\n", IMAP_STREAM_OTHER, 0},
        {"* LIST () \"/\" {40000}\r\n", IMAP_STREAM_OTHER, 0},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(ImapParser) parser = imap_parser_new();
        guint32 uid;

        g_test_message("%s", cases[i].line);
        imap_parser_feed(parser, cases[i].line, strlen(cases[i].line));
        g_assert_cmpint(imap_parser_next(parser), ==, IMAP_PARSE_LITERAL_CHUNK);
        g_assert_cmpint(imap_response_stream(imap_parser_response(parser), &uid), ==,
                        cases[i].stream);
        g_assert_cmpuint(uid, ==, cases[i].uid);
    }
}

/* -- Mailboxes -------------------------------------------------------------------------------- */

static char *show_list(const ImapResponse *response)
{
    ImapListItem item;

    if (!imap_response_list(response, &item))
        return NULL;
    return g_strdup_printf("%s %c %x%s%s", item.mailbox, item.delimiter ? item.delimiter : '-',
                           item.flags, item.old_name ? " was " : "",
                           item.old_name ? item.old_name : "");
}

static void test_list(void)
{
    static const Case cases[] = {
        {"* LIST () \"/\" INBOX", "INBOX / 0"},
        {"* LIST (\\HasChildren \\noselect) \".\" \"a b\"", "a b . 1"},
        {"* LIST (\\NonExistent) \"/\" a", "a / 3"},
        {"* LIST (\\NoInferiors \\Subscribed) \"/\" a", "a / c"},
        {"* LIST (\\All \\Archive \\Drafts \\Flagged \\Junk \\Sent \\Trash) \"/\" a", "a / 7f0"},
        {"* LSUB () \"/\" a", "a / 8"},
        {"* LIST () NIL a", "a - 0"},
        {"* LIST () \"\\\\\" a", "a \\ 0"},
        {"* LIST () \"ab\" a", "a - 0"},
        {"* LIST () \"\t\" a", "a - 0"},
        {"* LIST () \"\" a", "a - 0"},
        {"* LIST () / a", "a / 0"},
        {"* LIST () \"/\" {5}\r\na\"b c", "a\"b c / 0"},
        {"* LIST () \"/\" NIL", "NIL / 0"},
        {"* LIST () \"/\" nil", "nil / 0"},
        {"* LIST () \"/\" \"\"", " / 0"},
        {"* LIST ()\"/\"Entw\303\274rfe\tx", "Entw\303\274rfe\tx / 0"},
        {"* LIST () \"/\" b (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (\"a\"))", "b / 0 was a"},
        {"* LIST () \"/\" b (OLDNAME (NIL))", "b / 0 was NIL"},
        {"* LIST () \"/\" b (OLDNAME)", "b / 0"},
        {"* LIST NIL \"/\" a", "a / 0"},
        {"* LIST", NULL},
        {"* LIST ()", NULL},
        {"* LIST () \"/\"", NULL},
        {"* LIST () \"/\" (a)", NULL},
    };

    check_all(cases, G_N_ELEMENTS(cases), show_list);
}

static char *show_status(const ImapResponse *response)
{
    ImapStatus s;

    if (!imap_response_status(response, &s))
        return NULL;
    return g_strdup_printf("%s %x: %u %u %u %u %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %s",
                           s.mailbox, s.items, s.messages, s.uidnext, s.uidvalidity, s.unseen,
                           s.highestmodseq, s.size, s.mailbox_id ? s.mailbox_id : "-");
}

static void test_status(void)
{
    static const Case cases[] = {
        {"* STATUS a (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 UNSEEN 4 HIGHESTMODSEQ 5 SIZE 6 "
         "MAILBOXID (F7))",
         "a 7f: 1 2 3 4 5 6 F7"},
        {"* STATUS \"a b\" (size 4294967296 messages 0)", "a b 21: 0 0 0 0 0 4294967296 -"},
        {"* STATUS a (UIDVALIDITY 4294967296 UIDNEXT -1 MESSAGES 5)", "a 1: 5 0 0 0 0 0 -"},
        {"* STATUS a (X-GUID 12 MESSAGES 5 DELETED)", "a 1: 5 0 0 0 0 0 -"},
        {"* STATUS a (MAILBOXID ())", "a 0: 0 0 0 0 0 0 -"},
        {"* STATUS nil ()", "nil 0: 0 0 0 0 0 0 -"},
        {"* STATUS a", "a 0: 0 0 0 0 0 0 -"},
        {"* STATUS (MESSAGES 5)", NULL},
        {"* STATUS", NULL},
    };

    check_all(cases, G_N_ELEMENTS(cases), show_status);
}

static char *show_number(const ImapResponse *response)
{
    guint32 number;

    return imap_response_number(response, &number) ? g_strdup_printf("%u", number) : NULL;
}

static void test_number(void)
{
    static const Case cases[] = {
        {"* 0 EXISTS", "0"},
        {"* 4294967295 EXISTS", "4294967295"},
        {"* 4294967296 EXISTS", NULL},
        {"* 18446744073709551617 EXISTS", NULL},
        {"* EXISTS", NULL},
    };

    check_all(cases, G_N_ELEMENTS(cases), show_number);
}

/* -- Sets ------------------------------------------------------------------------------------- */

static char *show_search(const ImapResponse *response)
{
    g_autoptr(UidSet) set = uid_set_new();

    return imap_response_search(response, set) ? uid_set_format(set) : NULL;
}

static char *show_esearch(const ImapResponse *response)
{
    g_autoptr(UidSet) set = uid_set_new();
    g_autofree char *text = NULL;
    gboolean has_all;

    if (!imap_response_esearch(response, "A7", set, &has_all))
        return NULL;
    text = uid_set_format(set);
    return g_strdup_printf("%s%s", has_all ? "all " : "", text);
}

static char *show_vanished(const ImapResponse *response)
{
    gboolean earlier = FALSE;
    g_autoptr(UidSet) set = imap_response_vanished(response, &earlier);
    g_autofree char *text = set ? uid_set_format(set) : NULL;

    return set ? g_strdup_printf("%s%s", earlier ? "earlier " : "", text) : NULL;
}

static void test_sets(void)
{
    static const Case search[] = {
        {"* SEARCH", ""},       {"* SEARCH 3 1 2 9", "1:3,9"},
        {"* SEARCH 5 5", "5"},  {"* SEARCH 4294967295 (MODSEQ 12)", "4294967295"},
        {"* SEARCH 1 x", NULL}, {"* SEARCH 4294967296", NULL},
    };
    static const Case esearch[] = {
        {"* ESEARCH (TAG \"A7\") UID ALL 5,2:3", "all 2:3,5"},
        {"* ESEARCH (TAG A7) UID COUNT 2 ALL 1 MODSEQ 9", "all 1"},
        {"* ESEARCH (TAG \"A7\") UID", ""},
        {"* ESEARCH (TAG \"A7\") ALL 1", NULL},
        {"* ESEARCH (TAG \"A8\") UID ALL 1", NULL},
        {"* ESEARCH UID ALL 1", NULL},
        {"* ESEARCH (TAG \"A7\") UID ALL 1:*", NULL},
        {"* ESEARCH (TAG \"A7\") UID ALL (1)", NULL},
        {"* ESEARCH", NULL},
    };
    static const Case vanished[] = {
        {"* VANISHED 5", "5"},
        {"* VANISHED 9:7,1", "1,7:9"},
        {"* VANISHED (EARLIER) 1:4294967295", "earlier 1:4294967295"},
        {"* VANISHED (LATER) 1", NULL},
        {"* VANISHED 0", NULL},
        {"* VANISHED 1:*", NULL},
        {"* VANISHED (EARLIER)", NULL},
        {"* VANISHED", NULL},
    };

    check_all(search, G_N_ELEMENTS(search), show_search);
    check_all(esearch, G_N_ELEMENTS(esearch), show_esearch);
    check_all(vanished, G_N_ELEMENTS(vanished), show_vanished);
}

/* -- The rest --------------------------------------------------------------------------------- */

static char *show_namespaces(const ImapResponse *response)
{
    ImapArgs walk = imap_response_namespaces(response);
    GString *out = g_string_new(NULL);
    const char *prefix;
    char delimiter;

    while (imap_namespace_next(&walk, &prefix, &delimiter))
        g_string_append_printf(out, "'%s'%c", prefix, delimiter ? delimiter : '-');
    return g_string_free(out, FALSE);
}

static char *show_id(const ImapResponse *response)
{
    return g_strdup(imap_response_id_name(response));
}

static char *show_quota(const ImapResponse *response)
{
    const char *root;
    guint64 used, limit;

    if (!imap_response_quota(response, &root, &used, &limit))
        return NULL;
    return g_strdup_printf("'%s' %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT, root, used, limit);
}

static char *show_rights(const ImapResponse *response)
{
    const char *mailbox, *rights;

    return imap_response_my_rights(response, &mailbox, &rights)
               ? g_strdup_printf("%s %s", mailbox, rights)
               : NULL;
}

static void test_rest(void)
{
    static const Case namespaces[] = {
        {"* NAMESPACE ((\"\" \"/\")) NIL ((\"#shared/\" \"/\"))", "''/"},
        {"* NAMESPACE ((\"INBOX.\" \".\")(\"#mh/\" NIL \"X\" (\"y\"))) NIL NIL",
         "'INBOX.'.'#mh/'-"},
        {"* NAMESPACE ((NIL \"/\")(\"a\")) NIL NIL", "'a'-"},
        {"* NAMESPACE NIL NIL NIL", ""},
        {"* NAMESPACE", ""},
    };
    static const Case ids[] = {
        {"* ID (\"version\" \"2\" \"NAME\" \"Dovecot\")", "Dovecot"},
        {"* ID (\"name\" NIL)", NULL},
        {"* ID (\"name\")", NULL},
        {"* ID NIL", NULL},
    };
    static const Case quotas[] = {
        {"* QUOTA \"\" (STORAGE 10 512)", "'' 10 of 512"},
        {"* QUOTA r (MESSAGE 1 2 STORAGE 3 4)", "'r' 3 of 4"},
        {"* QUOTA r (STORAGE 3 -1)", NULL},
        {"* QUOTA r (MESSAGE 1 2)", NULL},
        {"* QUOTA r (STORAGE 3)", NULL},
        {"* QUOTA r ()", NULL},
        {"* QUOTA", NULL},
    };
    static const Case rights[] = {
        {"* MYRIGHTS INBOX lrs", "INBOX lrs"},
        {"* MYRIGHTS nil \"\"", "nil "},
        {"* MYRIGHTS INBOX", NULL},
    };

    check_all(namespaces, G_N_ELEMENTS(namespaces), show_namespaces);
    check_all(ids, G_N_ELEMENTS(ids), show_id);
    check_all(quotas, G_N_ELEMENTS(quotas), show_quota);
    check_all(rights, G_N_ELEMENTS(rights), show_rights);
}

/* -- CAPABILITY ------------------------------------------------------------------------------- */

static gboolean has(const char *line, ImapCap cap)
{
    ImapCapabilities caps;
    gboolean result;

    imap_capabilities_init(&caps);
    imap_capabilities_parse(&caps, "IDLE MOVE AUTH=PLAIN"); /* which are forgotten */
    imap_capabilities_parse(&caps, line);
    result = caps.has[cap];
    g_assert_cmpstr(caps.line, ==, line);
    imap_capabilities_clear(&caps);
    return result;
}

static void test_capabilities(void)
{
    static const struct {
        const char *line;
        ImapCap cap;
        gboolean expected;
    } cases[] = {
        {"IMAP4rev1 IDLE", IMAP_CAP_IDLE, TRUE},
        {"IMAP4rev1 idle", IMAP_CAP_IDLE, TRUE},
        {"IMAP4rev1 X-IDLE IDLER", IMAP_CAP_IDLE, FALSE},
        {"", IMAP_CAP_IDLE, FALSE},
        {"QRESYNC", IMAP_CAP_CONDSTORE, TRUE},
        {"QRESYNC", IMAP_CAP_ENABLE, FALSE},
        {"APPENDLIMIT=35882577", IMAP_CAP_APPENDLIMIT, TRUE},
        {"COMPRESS=DEFLATE", IMAP_CAP_COMPRESS, TRUE},
        {"COMPRESS", IMAP_CAP_COMPRESS, FALSE},
        {"IMAP4rev2", IMAP_CAP_MOVE, TRUE},
        {"IMAP4rev2", IMAP_CAP_LITERAL_MINUS, TRUE},
        {"IMAP4rev2", IMAP_CAP_QRESYNC, FALSE},
        {"IMAP4rev1 IMAP4rev2", IMAP_CAP_MOVE, FALSE},
        {"IMAP4rev1  LITERAL+  ", IMAP_CAP_LITERAL_PLUS, TRUE},
    };
    ImapCapabilities caps;

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].line);
        g_assert_cmpint(has(cases[i].line, cases[i].cap), ==, cases[i].expected);
    }
    imap_capabilities_init(&caps);
    g_assert_null(caps.auth->pdata[0]);
    imap_capabilities_parse(&caps, "auth=plain IDLE AUTH=SCRAM-SHA-1");
    g_assert_cmpuint(caps.auth->len, ==, 3);
    g_assert_cmpstr(caps.auth->pdata[0], ==, "PLAIN");
    g_assert_cmpstr(caps.auth->pdata[1], ==, "SCRAM-SHA-1");
    g_assert_null(caps.auth->pdata[2]);
    imap_capabilities_clear(&caps);
}

static void test_append_limit(void)
{
    static const struct {
        const char *line;
        guint64 limit;
    } cases[] = {
        {"IMAP4rev1 APPENDLIMIT=35882577 IDLE", 35882577},
        {"appendlimit=4294967295", 4294967295},
        {"APPENDLIMIT", 0}, /* each mailbox has its own */
        {"APPENDLIMIT=", 0},
        {"APPENDLIMIT=-1", 0},
        {"APPENDLIMIT=1e6", 0},
        {"APPENDLIMIT=99999999999999999999", 0},
        {"IDLE", 0},
    };
    ImapCapabilities caps;

    imap_capabilities_init(&caps);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        imap_capabilities_parse(&caps, cases[i].line);
        g_assert_cmpuint(caps.append_limit, ==, cases[i].limit);
    }
    imap_capabilities_clear(&caps);
}

static void test_capability_names(void)
{
    g_assert_cmpint(imap_cap_from_name("ACL"), ==, IMAP_CAP_ACL);
    g_assert_cmpint(imap_cap_from_name("utf8=only"), ==, IMAP_CAP_UTF8_ONLY);
    g_assert_cmpint(imap_cap_from_name("NO-SUCH"), ==, IMAP_N_CAPS);
    g_assert_cmpint(imap_cap_from_name(""), ==, IMAP_N_CAPS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/response/fetch", test_fetch);
    g_test_add_func("/imap/response/keywords-are-limited", test_keywords_are_limited);
    g_test_add_func("/imap/response/stream", test_stream);
    g_test_add_func("/imap/response/list", test_list);
    g_test_add_func("/imap/response/status", test_status);
    g_test_add_func("/imap/response/number", test_number);
    g_test_add_func("/imap/response/sets", test_sets);
    g_test_add_func("/imap/response/rest", test_rest);
    g_test_add_func("/imap/response/capabilities", test_capabilities);
    g_test_add_func("/imap/response/append-limit", test_append_limit);
    g_test_add_func("/imap/response/capability-names", test_capability_names);
    return g_test_run();
}
