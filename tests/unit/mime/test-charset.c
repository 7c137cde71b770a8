/* Labels of charsets, and octets to UTF-8. */
#include "mime/charset.h"

#include <string.h>

static void test_aliases(void)
{
    static const struct {
        const char *label, *octets, *text;
    } cases[] = {
        {"utf8", "\xd8\xb3", "س"},
        {"UTF-8", "\xd8\xb3", "س"},
        {"utf-8*fa", "\xd8\xb3", "س"},
        {"x-unicode-1-1-utf-8", "\xd8\xb3", "س"},
        {"iso-8859-1", "\xe9", "é"},
        {"ISO_8859-1:1987", "\xe9", "é"},
        {"latin1", "\x93q\x94", "“q”"},
        {"windows-1252", "\x80", "€"},
        {"cp1252", "\x81\x80", "\xc2\x81€"},
        {"windows-1256", "\xd3\xe1\xc7\xe3", "سلام"},
        {"cp-1256", "\xd3\xe1\xc7\xe3", "سلام"},
        {"CP1256", "\x90\x9d", "گ\u200c"},
        {"iso-8859-6", "\xd3\xe4\xc7\xe5", "سلام"},
        {"ISO-8859-8-I", "\xf9\xec", "של"},
        {"gb2312", "\xe9\x46", "镕"}, /* only in GBK */
        {"x-gbk", "\xc4\xe3", "你"},
        {"ks_c_5601-1987", "\xc7\xd1", "한"},
        {"euc-kr", "\x8c\x63", "똠"}, /* only in CP949 */
        {"big5", "\xa7\x41", "你"},
        {"shift_jis", "\x87\x40", "①"}, /* only in CP932 */
        {"x-sjis", "\x93\xfa", "日"},
        {"euc-jp", "\xc6\xfc", "日"},
        {"iso-2022-jp", "\x1b$BF|\x1b(B", "日"},
        {"koi8-r", "\xcd\xc9\xd2", "мир"},
        {"utf-7", "+ZeU-", "日"},
        {"unicode-1-1-utf-7", "+ZeU-", "日"},
        {"x-mac-cyrillic", "\x80", "А"},
        {"x-mac-roman", "\x8e", "é"},
        {"ibm437", "\x82", "é"},
        {"us-ascii", "a", "a"},
        {"us-ascii", "\xd8\xb3", "س"},
        {"us-ascii", "\xe9", "é"},
        {"unknown-8bit", "\xe9", "é"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Charset *charset = charset_find(cases[i].label, strlen(cases[i].label));
        g_autoptr(GString) out = g_string_new(NULL);

        g_assert_nonnull(charset);
        g_assert_true(charset_append(out, charset, cases[i].octets, strlen(cases[i].octets),
                                     charset_fallback(NULL)));
        g_assert_cmpstr(out->str, ==, cases[i].text);
    }
}

/* What must never reach iconv_open(). */
static void test_hostile_labels(void)
{
    static const char *const labels[] = {
        "", "*en", "utf-8//TRANSLIT", "UTF-8//IGNORE", "../../tmp/evil", "/etc/passwd", "x-",
        "utf 8\n", "utf-8,iso-8859-1", "INTERNAL", "ISO-2022-CN-EXT", "cp", "windows", "none",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ŭtf-8"};

    for (gsize i = 0; i < G_N_ELEMENTS(labels); i++)
        g_assert_null(charset_find(labels[i], strlen(labels[i])));
    g_assert_null(charset_find("utf\0008", 5));
}

/* Every charset of the table has a converter here, or a word in it could not be read. */
static void test_every_converter(void)
{
    static const char *const labels[] = {
        "iso-8859-2", "iso-8859-3", "iso-8859-4", "iso-8859-5", "iso-8859-7", "iso-8859-9",
        "iso-8859-10", "iso-8859-11", "iso-8859-13", "iso-8859-14", "iso-8859-15", "iso-8859-16",
        "windows-1250", "windows-1251", "windows-1253", "windows-1254", "windows-1255",
        "windows-1257", "windows-1258", "windows-874", "tis-620", "cp737", "cp775", "cp850",
        "cp852", "cp855", "cp857", "cp858", "cp860", "cp861", "cp862", "cp863", "cp864", "cp865",
        "cp866", "koi8-u", "koi8-t", "macintosh", "x-mac-ce", "x-mac-ukrainian", "viscii", "tcvn",
        "armscii-8", "georgian-ps", "pt154", "gb18030", "iso-2022-cn", "cp950", "euc-tw", "johab",
        "iso-2022-kr"};

    for (gsize i = 0; i < G_N_ELEMENTS(labels); i++) {
        const Charset *charset = charset_find(labels[i], strlen(labels[i]));
        g_autoptr(GString) out = g_string_new(NULL);

        g_assert_nonnull(charset);
        g_assert_true(charset_append(out, charset, "abc", 3, charset_fallback(NULL)));
        g_assert_cmpstr(out->str, ==, "abc");
    }
}

static void test_undefined_octets(void)
{
    static const struct {
        const char *label, *octets;
        gsize length;
        const char *text;
    } cases[] = {
        {"utf-8", "a\xff" "b", 3, "a\ufffd" "b"},
        {"utf-8", "a\0b", 3, "ab"},
        {"utf-8", "\xd8", 1, "\ufffd"},
        {"gbk", "\xc4\xe3\xc4", 3, "你\ufffd"},
        {"shift_jis", "\x93\xfa\xff" "a", 4, "日\ufffd" "a"},
        {"utf-16", "\xff\xfe\x33\x06", 4, "س"},
        {"utf-16be", "\x06\x33\x06", 3, "س\ufffd"},
        {"utf-16le", "\x00\xd8\x33\x06", 4, "\ufffdس"},
        {"utf-32be", "\x00\x00\x06\x33\x00\x11\x00\x00\x00\x00\x06\x33", 12, "س\ufffdس"},
        {"iso-8859-3", "\xa5" "a", 2, "\ufffd" "a"},
        {"utf-7", "+AAAAYQ-", 8, "a"}, /* NUL is left out */
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) out = g_string_new(NULL);

        g_assert_true(charset_append(out, charset_find(cases[i].label, strlen(cases[i].label)),
                                     cases[i].octets, cases[i].length, charset_fallback(NULL)));
        g_assert_cmpstr(out->str, ==, cases[i].text);
    }
}

/* One octet after another that nothing can be made of: no stop, no quadratic time. */
static void test_long_garbage(void)
{
    g_autofree char *octets = g_malloc(256 * 1024);
    static const char *const labels[] = {"gbk", "utf-8", "utf-16", "iso-2022-jp", "us-ascii"};

    memset(octets, 0xff, 256 * 1024);
    for (gsize i = 0; i < G_N_ELEMENTS(labels); i++) {
        g_autoptr(GString) out = g_string_new(NULL);

        g_assert_true(charset_append(out, charset_find(labels[i], strlen(labels[i])), octets,
                                     256 * 1024, charset_fallback(NULL)));
        g_assert_true(g_utf8_validate_len(out->str, out->len, NULL));
    }
}

/* More charsets than a thread keeps open, used in turn, in several threads. */
static gpointer convert_many(gpointer unused)
{
    static const struct {
        const char *label, *octets, *text;
    } cases[] = {
        {"windows-1256", "\xd3", "س"}, {"koi8-r", "\xcd", "м"},    {"gbk", "\xc4\xe3", "你"},
        {"iso-8859-2", "\xb1", "ą"},   {"big5", "\xa7\x41", "你"}, {"tis-620", "\xa1", "ก"},
    };

    for (guint i = 0; i < 600; i++) {
        gsize n = (i * 7 + i / 5) % G_N_ELEMENTS(cases);
        g_autoptr(GString) out = g_string_new(NULL);

        g_assert_true(charset_append(out, charset_find(cases[n].label, strlen(cases[n].label)),
                                     cases[n].octets, strlen(cases[n].octets),
                                     charset_fallback(NULL)));
        g_assert_cmpstr(out->str, ==, cases[n].text);
    }
    return NULL;
}

static void test_threads(void)
{
    GThread *threads[3];

    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("convert", convert_many, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
}

static void test_raw(void)
{
    static const struct {
        const char *octets, *fallback, *text;
    } cases[] = {
        {"plain", NULL, "plain"},
        {"\xd8\xb3\xd9\x84", NULL, "سل"},
        {"\xd8\xb3\xd9\x84\xd8\xa7\xd9\x85\xd9", NULL, "سلام\ufffd"}, /* cut in a character */
        {"\xce\x90\xd0", "windows-1256", "خگذ"}, /* looks like UTF-8 in part */
        {"\xd3\xe1\xc7\xe3", "windows-1256", "سلام"},
        {"\xd3\xe1\xc7\xe3", NULL, "ÓáÇã"},
        {"caf\xe9", "utf-8", "caf\ufffd"},
        {"caf\xe9", "us-ascii", "café"},
        {"caf\xe9", "no-such-charset", "café"},
        {"\xe9", NULL, "é"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) out = g_string_new(NULL);

        charset_append_raw(out, cases[i].octets, strlen(cases[i].octets),
                           charset_fallback(cases[i].fallback));
        g_assert_cmpstr(out->str, ==, cases[i].text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mime/charset/aliases", test_aliases);
    g_test_add_func("/mime/charset/hostile-labels", test_hostile_labels);
    g_test_add_func("/mime/charset/every-converter", test_every_converter);
    g_test_add_func("/mime/charset/undefined-octets", test_undefined_octets);
    g_test_add_func("/mime/charset/long-garbage", test_long_garbage);
    g_test_add_func("/mime/charset/threads", test_threads);
    g_test_add_func("/mime/charset/raw", test_raw);
    return g_test_run();
}
