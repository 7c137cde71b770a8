/* Names of messages. */
#include "mime/message-name.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

#define DATE 1778707980 /* 2026-05-13 21:33 UTC */

static char *make(const char *from, const char *subject)
{
    g_autofree char *header =
        g_strdup_printf("From: %s\r\nSubject: %s\r\n\r\n", from, subject);

    return message_name_make(header, strlen(header), DATE, 12345, NULL);
}

/* What every name promises, whatever it was made of. */
static void check_promises(const char *name)
{
    const char *stem = name + strlen("2026-05-13_2133_");
    g_autofree char *nfc = g_utf8_normalize(name, -1, G_NORMALIZE_NFC);
    gunichar before = 0;

    g_assert_cmpuint(strlen(name), <=, LIMIT_NAME);
    g_assert_true(g_utf8_validate(name, -1, NULL));
    g_assert_cmpstr(nfc, ==, name);
    g_assert_null(strstr(stem, "--"));
    g_assert_true(g_ascii_isdigit(*name));
    for (const char *p = name; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        g_assert_true(c >= 0x20 && !(c >= 0x7f && c < 0xa0) && !text_is_bidi_control(c));
        g_assert_true(c >= 0x80 || !strchr("/\\'\"`$*?[]<>|&;()!{} ~#^:", (int)c));
        g_assert_false(g_unichar_isspace(c));
        /* Nothing combines with, or joins to, what stands between the parts. */
        if (g_unichar_ismark(c) || c == 0x200c || c == 0x200d)
            g_assert_true(before != '-' && before != '_' && before != '.');
        if (before == 0x200c || before == 0x200d)
            g_assert_true(c != '-' && c != '_' && c != '.');
        before = c;
    }
}

static const struct {
    const char *from, *subject, *stem;
} names[] = {
    {"alice@example.org", "Quarterly report", "alice_Quarterly-report"},
    {"Alice Smith <alice@example.org>", "Hi", "Alice-Smith_Hi"},
    {"\"alice@example.org\" <alice@example.org>", "Hi", "alice_Hi"},
    {"\"Smith, Alice\" <a@b>", "Re: Hi, there.", "Smith-Alice_Re-Hi-there"},
    {"\"***\" <a@b>", "Hi", "a_Hi"},
    {"Alice_B <a@b>", "a_b", "Alice-B_a_b"},
    {"Wolfeschlegelsteinhausenbergerdorff Senior <a@b>", "x", "Wolfeschlegelsteinhausen_x"},
    {"Committee for Foreign Affairs <a@b>", "x", "Committee-for-Foreign_x"},
    {"", "", "no-sender_no-subject"},
    {"<>", "   ", "no-sender_no-subject"},
    {"a@b", "../../etc/passwd", "a_etc-passwd"},
    {"a@b", "///", "a_no-subject"},
    {"a@b", "..", "a_no-subject"},
    {"a@b", "-rf *", "a_rf"},
    {"a@b", "$(rm -rf ~); `id` & \"x\" 'y' | z > w", "a_rm-rf-id-x-y-z-w"},
    {"a@b", "v1.2.3, 50% off, C++ = a@b", "a_v1.2.3-50%-off-C++-a@b"},
    {"a@b", "don't, l\xe2\x80\x99homme", "a_dont-lhomme"},
    {"a@b", "a\x01\x1b[31mb\x7f" "c", "a_a-31mbc"},
    {"a@b", "a\tb\u00a0c\u3000d\u2028e", "a_a-b-c-d-e"},
    {"a@b", "a -- b\u2014c", "a_a-b-c"},
    {"a@b", "gpj.\u202egnp", "a_gpj.gnp"},
    {"a@b", "\u2066x\u2069\u200f\ufeffy\u00adz\u200bw", "a_xyzw"},
    {"a@b", "\xff\xfe", "a_\u00ff\u00fe"},
    /* NFC, also of what would be '`' and ';' then */
    {"a@b", "Cafe\u0301", "a_Caf\u00e9"},
    {"a@b", "x\u1fefy\u037ez\u212a", "a_x-y-zK"},
    {"a@b", "\u0301x", "a_x"},
    /* Persian: ZWNJ within words and not at their edges */
    {"\u0639\u0644\u06cc \u0631\u0636\u0627\u06cc\u06cc <a@b>",
     "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u06f1\u06f2",
     "\u0639\u0644\u06cc-\u0631\u0636\u0627\u06cc\u06cc_"
     "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645-\u06f1\u06f2"},
    {"a@b", "\u200c\u0645\u06cc\u200c \u200c\u200c\u0627\u200c\u200c\u0628\u200c",
     "a_\u0645\u06cc-\u0627\u200c\u0628"},
    {"a@b", "PDF\u200c\u0647\u0627 a\u200cb", "a_PDF\u200c\u0647\u0627-ab"},
    {"a@b", "\u0633\u0644\u0627\u0645\u060c \u062e\u0648\u0628\u06cc\u061f",
     "a_\u0633\u0644\u0627\u0645-\u062e\u0648\u0628\u06cc"},
    {"a@b", "\u0645\u064f\u062d\u0645\u0651\u062f", "a_\u0645\u064f\u062d\u0645\u0651\u062f"},
    /* Bengali: ZWJ before a virama */
    {"a@b", "\u09b0\u200d\u09cd\u09af", "a_\u09b0\u200d\u09cd\u09af"},
    {"a@b", "\u65e5\u672c\u8a9e\u3001\u30c6\u30b9\u30c8",
     "a_\u65e5\u672c\u8a9e-\u30c6\u30b9\u30c8"},
    /* emoji: a family, a skin tone, a heart with its variation selector */
    {"a@b", "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \u2764\ufe0f",
     "a_\U0001f468\u200d\U0001f469\u200d\U0001f467-\U0001f44d\U0001f3fd-\u2764\ufe0f"},
    {"a@b", "\u3164\u2800\u115f", "a_no-subject"},
    {"a@b", "=?utf-8?B?2LPZhNin2YU=?=", "a_\u0633\u0644\u0627\u0645"},
    {"a@b", "=?utf-8?Q?a=00=2Fb=0D=0AX:_y?=", "a_a-b-X-y"},
};

static void test_names(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *name = make(names[i].from, names[i].subject);
        g_autofree char *expected = g_strdup_printf("2026-05-13_2133_%s.12345.eml", names[i].stem);

        g_assert_cmpstr(name, ==, expected);
        check_promises(name);
    }
}

static void test_fallback(void)
{
    static const char header[] = "From: \xd3\xe1\xc7\xe3 <a@b>\nSubject: \xd3\xe1\xc7\xe3\n";
    g_autofree char *name =
        message_name_make(header, strlen(header), DATE, 7, "windows-1256");

    g_assert_cmpstr(name, ==,
                    "2026-05-13_2133_\u0633\u0644\u0627\u0645_\u0633\u0644\u0627\u0645.7.eml");
}

static void test_any_header(void)
{
    static const char *const headers[] = {"", "\r\n", "Subject", "Subject:", "\n\nSubject: x",
                                          "From:\nFrom: x\n", "Subject: x"};

    for (gsize i = 0; i < G_N_ELEMENTS(headers); i++) {
        g_autofree char *name =
            message_name_make(headers[i], strlen(headers[i]), DATE, 1, NULL);

        g_assert_true(g_str_has_prefix(name, "2026-05-13_2133_no-sender_"));
        check_promises(name);
    }
}

static void test_dates(void)
{
    static const struct {
        gint64 time;
        const char *date;
    } cases[] = {
        {0, "1970-01-01_0000"},
        {59, "1970-01-01_0000"},
        {-1, "1970-01-01_0000"},
        {G_MININT64, "1970-01-01_0000"},
        {951782400, "2000-02-29_0000"},
        {951868799, "2000-02-29_2359"},
        {951868800, "2000-03-01_0000"},
        {4107542400, "2100-03-01_0000"},
        {1735689599, "2024-12-31_2359"},
        {253402300799, "9999-12-31_2359"},
        {253402300800, "9999-12-31_2359"},
        {G_MAXINT64, "9999-12-31_2359"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = message_name_make("", 0, cases[i].time, 1, NULL);

        g_assert_true(g_str_has_prefix(name, cases[i].date));
    }
    /* Every day of 400 years and more, against GLib's calendar. */
    for (gint64 day = 0; day < 200000; day += 7) {
        g_autofree char *name = message_name_make("", 0, day * 86400 + 3660, 1, NULL);
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(day * 86400 + 3660);
        g_autofree char *date = g_date_time_format(time, "%Y-%m-%d_%H%M_");

        g_assert_true(g_str_has_prefix(name, date));
    }
}

/* Each character (of the Han and what comes after, each thirteenth), alone and between two
 * letters, keeps the promises; a name made of a name's own subject is the same. */
static void test_every_character(void)
{
    for (gunichar c = 1; c < 0x110000; c += c < 0x3100 ? 1 : 13) {
        char utf8[7] = "";
        g_autofree char *header = NULL, *name = NULL, *again = NULL, *stem = NULL;

        if (!g_unichar_validate(c) || c == '\n')
            continue;
        g_unichar_to_utf8(c, utf8);
        header = g_strdup_printf("From: a@b\nSubject: %s x%sy\u0633%s\u0633 %s%s\n", utf8, utf8,
                                 utf8, utf8, utf8);
        name = message_name_make(header, strlen(header), DATE, 1, NULL);
        check_promises(name);
        stem = g_strndup(name + 18, strlen(name + 18) - strlen(".1.eml"));
        g_free(header);
        header = g_strdup_printf("From: a@b\nSubject: %s\n", stem);
        again = message_name_make(header, strlen(header), DATE, 1, NULL);
        g_assert_cmpstr(again, ==, name);
    }
}

/* Long subjects of one piece: cut at a character, never past the limit. */
static void test_cut(void)
{
    static const char *const pieces[] = {
        "x", "word ", "\u0633", "\u0645\u06cc\u200c\u0631\u0648\u0645 ", "e\u0301", "\u65e5",
        "q\u0323\u0307", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f44d\U0001f3fd", "\u0633\u200c", "\u0645\u064e\u0651",
        "a\u0300\u0301\u0302\u0303\u0304"};

    for (gsize i = 0; i < G_N_ELEMENTS(pieces); i++)
        for (guint shift = 0; shift < 8; shift++) {
            g_autoptr(GString) subject = g_string_new(NULL);
            g_autofree char *name = NULL;

            for (guint n = 0; n < shift; n++)
                g_string_append_c(subject, 'z');
            while (subject->len < 3000)
                g_string_append(subject, pieces[i]);
            name = make(subject->str, subject->str);
            check_promises(name);
            g_assert_cmpuint(strlen(name), >, 120);
        }
}

/* A storm of combining marks is neither slow nor a tower. */
static void test_storm(void)
{
    g_autoptr(GString) subject = g_string_new("z");
    g_autofree char *name = NULL;

    while (subject->len < LIMIT_HEADER - 100)
        g_string_append(subject, subject->len % 2 ? "\u0316" : "\u0315");
    name = make("a@b", subject->str);
    check_promises(name);
    g_assert_cmpuint(strlen(name), <, 60);
}

static void test_largest_uid(void)
{
    g_autofree char *long_subject = g_strnfill(1000, 'x');
    g_autofree char *header =
        g_strdup_printf("From: %s\nSubject: %s\n", long_subject, long_subject);
    g_autofree char *name = message_name_make(header, strlen(header), DATE, G_MAXUINT32, NULL);

    g_assert_true(g_str_has_suffix(name, "x.4294967295.eml"));
    g_assert_cmpuint(strlen(name), ==, LIMIT_NAME);
}

static void test_other_forms(void)
{
    static const struct {
        const char *name, *suffixed;
    } cases[] = {
        {"2026-05-13_2133_a_b.12345.eml", "2026-05-13_2133_a_b-@2.12345.eml"},
        {"12345.eml", "12345-@2.eml"},
        {"a.eml", "a-@2.eml"},
        {"a.b.eml", "a.b-@2.eml"},
        {".7.eml", ".7-@2.eml"},
        {"a", "a-@2"},
        {"a.7", "a.7-@2"},
    };
    g_autofree char *uid_name = message_name_from_uid(G_MAXUINT32);

    g_assert_cmpstr(uid_name, ==, "4294967295.eml");
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *suffixed = message_name_with_suffix(cases[i].name, 2);

        g_assert_cmpstr(suffixed, ==, cases[i].suffixed);
    }
}

/* A large mailbox seen for the first time is 100,000 names: they should take a second at most
 * (release builds; measured with `-m perf` only, for the sanitizers are slow). */
static void test_speed(void)
{
    static const char header[] =
        "Date: Wed, 13 May 2026 21:33:00 +0000\r\nFrom: Alice Smith <alice@example.org>\r\n"
        "Subject: Re: =?utf-8?Q?Quarterly_report_=E2=80=93?= second draft\r\n"
        "Message-ID: <0123456789@example.org>\r\n\r\n";
    gint64 start = g_get_monotonic_time();

    if (!g_test_perf()) {
        g_test_skip("only with -m perf");
        return;
    }
    for (guint i = 0; i < 100000; i++)
        g_free(message_name_make(header, strlen(header), DATE, i, NULL));
    g_assert_cmpint(g_get_monotonic_time() - start, <, G_USEC_PER_SEC);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mime/message-name/names", test_names);
    g_test_add_func("/mime/message-name/fallback", test_fallback);
    g_test_add_func("/mime/message-name/any-header", test_any_header);
    g_test_add_func("/mime/message-name/dates", test_dates);
    g_test_add_func("/mime/message-name/every-character", test_every_character);
    g_test_add_func("/mime/message-name/cut", test_cut);
    g_test_add_func("/mime/message-name/storm", test_storm);
    g_test_add_func("/mime/message-name/largest-uid", test_largest_uid);
    g_test_add_func("/mime/message-name/other-forms", test_other_forms);
    g_test_add_func("/mime/message-name/speed", test_speed);
    return g_test_run();
}
