/* Fields, text, addresses, parameters.  oracle.py compares more of it with Python's. */
#include "mime/header.h"
#include "base/limits.h"

#include <string.h>

static void test_get(void)
{
    static const struct {
        const char *header, *name, *value;
    } cases[] = {
        {"Subject: a\r\nFrom: b\r\n\r\n", "subject", "a"},
        {"Subject: a\r\nFrom: b\r\n\r\n", "FROM", "b"},
        {"Subject: a\nFrom: b\n\nSubject: body\n", "From", "b"},
        {"From: b\n\nSubject: body\n", "Subject", NULL},
        {"From: b\r\n\r\nSubject: body\r\n", "Subject", NULL},
        {"Subject: no end", "Subject", "no end"},
        {"Subject:", "Subject", ""},
        {"Subject: \r\n\r\n", "Subject", ""},
        {"Subject", "Subject", NULL},
        {"Subject : a\r\n", "Subject", "a"},
        {"Subject\t : a\r\n", "Subject", "a"},
        {"Subject:a  \r\n", "Subject", "a"},
        {"Subject: a\r\n b\r\n\tc\r\nX: y\r\n", "Subject", "a b\tc"},
        {"Subject: a\n b\n", "Subject", "a b"},
        {"Subject:\r\n a\r\n", "Subject", "a"},
        {"Subject: a\r\n \r\n b\r\n", "Subject", "a  b"},
        {"X-Subject: x\r\nSubject: a\r\nSubject: b\r\n", "Subject", "a"},
        {"X: y\r\n Subject: folded\r\nSubject: a\r\n", "Subject", "a"},
        {" Subject: folded\r\nSubject: a\r\n", "Subject", "a"},
        {"From x@y Thu Jan 1\nSubject: a\n", "Subject", "a"},
        {">From x@y Thu Jan 1\nSubject: a\n", "Subject", "a"},
        {"From: a\n", "From", "a"},
        {"garbage\nSubject: a\n", "Subject", "a"},
        {"Subject: a\rb\r\n", "Subject", "a\rb"},
        {"\r\nSubject: body\r\n", "Subject", NULL},
        {"", "Subject", NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        gsize length = 0;
        g_autofree char *value =
            header_get(cases[i].header, strlen(cases[i].header), cases[i].name, &length);

        g_assert_cmpstr(value, ==, cases[i].value);
        g_assert_cmpuint(length, ==, value ? strlen(value) : 0);
    }
}

/* A field is found or not wherever its header is cut, and nothing is read past the cut. */
static void test_get_cut(void)
{
    static const char header[] = "From: a\r\nSubject: b\r\n c\r\n\r\nbody";

    for (gsize n = 0; n < strlen(header); n++) {
        g_autofree char *exact = g_memdup2(header, n ? n : 1);
        g_autofree char *value = header_get(exact, n, "Subject", NULL);

        g_assert_cmpint(value != NULL, ==, n >= strlen("From: a\r\nSubject:"));
    }
}

static void test_text(void)
{
    static const struct {
        const char *value, *text;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"=?utf-8?Q?a?=", "a"},
        {"=?UTF-8?B?SGVsbG8=?= =?UTF-8?B?IHdvcmxk?=", "Hello world"},
        /* a character cut between two words, in both encodings */
        {"=?utf-8?Q?=D8?= =?utf-8?Q?=B3?=", "س"},
        {"=?utf-8?B?2A==?=\r\n =?UTF-8?q?=B3?=", "س"},
        {"=?utf-8?Q?a?=  \t =?utf-8?Q?b?=", "ab"},
        {"=?utf-8?Q?a?= b =?utf-8?Q?c?=", "a b c"},
        {"=?utf-8?Q?=D8?= x =?utf-8?Q?=B3?=", "\ufffd x \ufffd"},
        {"=?utf-8?Q?a?= =?iso-8859-1?Q?=E9?=", "aé"},
        {"a=?utf-8?q?b?=c", "abc"},
        {"=?utf-8?Q?a_b=5Fc?=", "a b_c"},
        {"=?utf-8?Q?a b?=", "a b"},
        {"=?utf-8?Q?100=?=", "100="},
        {"=?utf-8?Q?a=zz=4?=", "a=zz=4"},
        {"=?utf-8?Q?why?_?=", "why? "},
        {"=?utf-8?Q?\?=", ""},
        {"=?utf-8*fa?Q?=D8=B3?=", "س"},
        {"=?utf-8?B?2LM?=", "س"},
        {"=?utf-8?B?2L M=?=", "س"},
        {"=?utf-8?B?2LPY?=", "س\ufffd"},
        {"=?utf-8?B?YQ==Yg==?=", "ab"},
        {"=?utf-8?B?YWJjZ?=", "abc"},
        {"=?utf-8?Q?a\xd8\xb3?=", "aس"},
        /* what stays as it was written */
        {"=?no-such?Q?a?=", "=?no-such?Q?a?="},
        {"=?utf-8//TRANSLIT?Q?a?=", "=?utf-8//TRANSLIT?Q?a?="},
        {"=?utf-8?X?a?=", "=?utf-8?X?a?="},
        {"=?utf-8?Q?a", "=?utf-8?Q?a"},
        {"=?utf-8?Q?a? =", "=?utf-8?Q?a? ="},
        {"=?utf-8?Q?", "=?utf-8?Q?"},
        {"=?", "=?"},
        {"=?=", "=?="},
        {"=?utf-8?Q?a =?utf-8?Q?b?=", "=?utf-8?Q?a b"},
        {"=?=?utf-8?Q?b?=", "=?b"},
        {"=?utf-8?Q?a?= =?no-such?Q?b?= =?utf-8?Q?c?=", "a =?no-such?Q?b?= c"},
        {"caf\xe9 =?utf-8?Q?=D8=B3?=", "café س"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
            header_decode_text(cases[i].value, strlen(cases[i].value), NULL);

        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void test_text_limit(void)
{
    g_autoptr(GString) value = g_string_new(NULL);
    g_autofree char *text = NULL;

    for (guint i = 0; i < LIMIT_ENCODED_WORDS + 2; i++)
        g_string_append(value, " =?utf-8?q?x?=");
    text = header_decode_text(value->str, value->len, NULL);
    g_assert_cmpuint(strspn(text + 1, "x"), ==, LIMIT_ENCODED_WORDS);
    g_assert_true(g_str_has_suffix(text, "x =?utf-8?q?x?= =?utf-8?q?x?="));
}

/* A value at the limit, of a piece repeated, takes no longer than its length: some of these took
 * minutes where each "=?" was searched to the end. */
static void test_linear(void)
{
    static const char *const pieces[] = {"=?", "?=", "=?utf-8?q?", "=?utf-8?q?=?", "\"", "(", "<",
                                         "=?utf-8?q?a?=", "\\\"", ";a=\"", ",", "a,", ";a*1*=x",
                                         "(\\", ":@", "\r\n ", "\xff", "=?gbk?b?/////", "=?a?b?"};

    for (gsize i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autoptr(GString) value = g_string_new(NULL);
        g_autofree char *text = NULL, *name = NULL, *address = NULL, *parameter = NULL, *id = NULL;
        gint64 start = g_get_monotonic_time();

        while (value->len < LIMIT_HEADER)
            g_string_append(value, pieces[i]);
        text = header_decode_text(value->str, value->len, NULL);
        header_decode_address(value->str, value->len, NULL, &name, &address);
        parameter = header_decode_parameter(value->str, value->len, "a", NULL);
        id = header_message_id(value->str, value->len);
        g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
        g_assert_true(g_utf8_validate(text, -1, NULL) && g_utf8_validate(name, -1, NULL));
    }
}

static void test_address(void)
{
    static const struct {
        const char *value, *name, *address;
    } cases[] = {
        {"alice@example.org", "", "alice@example.org"},
        {"<alice@example.org>", "", "alice@example.org"},
        {"Alice Smith <alice@example.org>", "Alice Smith", "alice@example.org"},
        {"\"Alice Smith\" <alice@example.org>", "Alice Smith", "alice@example.org"},
        {"\"Smith, Alice\" <alice@example.org>", "Smith, Alice", "alice@example.org"},
        {"\"Al \\\"Ace\\\" Smith\" <a@b>", "Al \"Ace\" Smith", "a@b"},
        {"Smith, Alice <alice@example.org>", "Smith, Alice", "alice@example.org"},
        {"Alice <alice@example.org>, Bob <bob@example.org>", "Alice", "alice@example.org"},
        {"alice@example.org, bob@example.org", "", "alice@example.org"},
        {"root, alice@example.org", "", "root"},
        {"alice@example.org (Alice Smith)", "Alice Smith", "alice@example.org"},
        {"alice@example.org (Alice (the) Smith)", "Alice (the) Smith", "alice@example.org"},
        {"alice at example.org (Alice Smith)", "Alice Smith", ""},
        {"Alice (Sales) <a@b>", "Alice", "a@b"},
        {"(Sales) <a@b>", "Sales", "a@b"},
        {"<a@(x)b>", "", "a@b"},
        {"Alice", "", "Alice"},
        {"Alice Smith", "Alice Smith", ""},
        {"Alice Smith alice@example.org", "Alice Smith", "alice@example.org"},
        {"MAILER-DAEMON (Mail Delivery System)", "Mail Delivery System", "MAILER-DAEMON"},
        {"<>", "", ""},
        {"", "", ""},
        {"undisclosed-recipients:;", "", ""},
        {"Friends: Alice <a@b>, c@d;", "Alice", "a@b"},
        {"Friends: a@b;", "", "a@b"},
        {"Nobody:; , Alice <a@b>", "Alice", "a@b"},
        {"<@relay,@relay2:a@b>", "", "a@b"},
        {"<<a@b>>", "", "a@b"},
        {"Alice <a@b", "Alice", "a@b"},
        {"\"Alice <a@b>", "Alice", "a@b"},
        {"\"alice@example.org\" <alice@example.org>", "alice@example.org", "alice@example.org"},
        {"\"john doe\"@example.org", "", "\"john doe\"@example.org"},
        {"\"john doe\"@example.org (John)", "John", "\"john doe\"@example.org"},
        {"\"john@x\"@example.org, b@c", "", "\"john@x\"@example.org"},
        {"\"john\"@x <a@b>", "", "a@b"},
        {"=?utf-8?Q?Smith,_Alice?= <a@b>", "Smith, Alice", "a@b"},
        {"=?utf-8?Q?Smith, <Alice>?= <a@b>", "Smith, <Alice>", "a@b"},
        {"\"=?utf-8?B?2LPZhNin2YU=?=\" <a@b>", "سلام", "a@b"},
        {"=?utf-8?B?2LM=?= =?utf-8?B?2YQ=?= <a@b>", "سل", "a@b"},
        {"a@b (=?utf-8?B?2LM=?=)", "س", "a@b"},
        {"=?utf-8?B?2LM=?=<a@b>", "س", "a@b"},
        {"  Alice \t Smith\r\n <a@b>", "Alice Smith", "a@b"},
        {"\xd8\xb3 <a@b>", "س", "a@b"},
        {"Alice\\, Smith <a@b>", "Alice, Smith", "a@b"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = NULL, *address = NULL;

        header_decode_address(cases[i].value, strlen(cases[i].value), NULL, &name, &address);
        g_assert_cmpstr(name, ==, cases[i].name);
        g_assert_cmpstr(address, ==, cases[i].address);
    }
}

static void test_parameter(void)
{
    static const struct {
        const char *value, *text;
    } cases[] = {
        {"attachment; filename=a.pdf", "a.pdf"},
        {"attachment; filename=\"a b.pdf\"", "a b.pdf"},
        {"attachment; filename=a b.pdf ; size=3", "a b.pdf"},
        {"attachment;FILENAME=a.pdf", "a.pdf"},
        {"attachment; filename = \"a\"", "a"},
        {"attachment; filename=\"a;b\"; x=y", "a;b"},
        {"attachment; filename=\"a\\\"b\\\\c\"", "a\"b\\c"},
        {"attachment; filename=\"C:\\dir\\a.doc\"", "C:\\dir\\a.doc"},
        {"attachment; filename=\"open", "\"open"},
        {"attachment; filename=", ""},
        {"attachment; xfilename=a", NULL},
        {"attachment; filename2=a", NULL},
        {"attachment; filename", NULL},
        {"attachment", NULL},
        {"", NULL},
        {"\"filename=a\"", NULL},
        {"filename=a", NULL},
        {"attachment; x=\"; filename=b\"; filename=a", "a"},
        {"attachment; filename=a; filename=b", "a"},
        {"attachment; filename*=utf-8''%D8%B3.pdf", "س.pdf"},
        {"attachment; filename*=UTF-8'fa'%d8%b3", "س"},
        {"attachment; filename*=\"utf-8''%D8%B3\"", "س"},
        {"attachment; filename*=windows-1256''%D3", "س"},
        {"attachment; filename*=no-such''%D8%B3", "س"},
        {"attachment; filename*=%D8%B3", "س"},
        {"attachment; filename*=utf-8''100%", "100%"},
        {"attachment; filename=plain; filename*=utf-8''%D8%B3", "س"},
        {"attachment; filename*0=a; filename*1=b", "ab"},
        {"attachment; filename*1=b; filename*0=a", "ab"},
        {"attachment; filename*0=a; filename*2=c", "a"},
        {"attachment; filename*1=b", NULL},
        {"attachment; filename*0*=utf-8''%D8; filename*1*=%B3", "س"},
        {"attachment; filename*0*=utf-8''%D8%B3; filename*1=.pdf", "س.pdf"},
        {"attachment; filename*0*=utf-8''a; filename*1=\"%41\"", "a%41"},
        {"attachment; filename*999=a", NULL},
        {"attachment; filename*0x=a", NULL},
        {"attachment; filename*99999999999999999999=a", NULL},
        {"attachment; filename=\"=?utf-8?B?2LM=?=\"", "س"},
        {"attachment; filename==?utf-8?Q?=D8=B3;x?=", "س;x"},
        {"attachment; filename*0=\"=?utf-8?B?2L\"; filename*1=\"M=?=\"", "س"},
        {"attachment; filename=\"\xd8\xb3\"", "س"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
            header_decode_parameter(cases[i].value, strlen(cases[i].value), "filename", NULL);

        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void test_message_id(void)
{
    g_autofree char *long_id = g_strnfill(2000, 'x');
    g_autofree char *long_header = g_strdup_printf("Message-ID: <%s>\n", long_id);
    const struct {
        const char *header, *id;
    } cases[] = {
        {"Message-ID: <a@b>\r\n", "<a@b>"},
        {"Message-Id:\r\n <a@b>\r\n", "<a@b>"},
        {"Message-ID: (x) <a@b> (y)\r\n", "<a@b>"},
        {"Message-ID: <a (x)@b>\r\n", "<a(x)@b>"},
        {"Message-ID: < a@\r\n b >\r\n", "<a@b>"},
        {"Message-ID: a@b\r\n", "<a@b>"},
        {"Message-ID: <a@b> <c@d>\r\n", "<a@b>"},
        {"Message-ID: <a@b\r\n", "<a@b>"},
        {"Message-ID: <>\r\n", ""},
        {"Message-ID:\r\n", ""},
        {"Message-ID: (\r\n", ""},
        {"X: y\r\n", ""},
        {long_header, ""},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *id = header_message_id(cases[i].header, strlen(cases[i].header));

        g_assert_cmpstr(id, ==, cases[i].id);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mime/header/get", test_get);
    g_test_add_func("/mime/header/get-cut", test_get_cut);
    g_test_add_func("/mime/header/text", test_text);
    g_test_add_func("/mime/header/text-limit", test_text_limit);
    g_test_add_func("/mime/header/linear", test_linear);
    g_test_add_func("/mime/header/address", test_address);
    g_test_add_func("/mime/header/parameter", test_parameter);
    g_test_add_func("/mime/header/message-id", test_message_id);
    return g_test_run();
}
