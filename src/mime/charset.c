/* Charsets of mail.  See charset.h.
 *
 * Nearly all mail is ASCII, UTF-8, Latin-1 or windows-1252: these are converted here.  For the
 * rest there is iconv, whose descriptors are slow to open (it reads a shared object) and belong
 * to one thread at a time, so that each thread keeps the last few it used.
 */
#include "mime/charset.h"

#include <iconv.h>
#include <errno.h>
#include <string.h>

typedef enum { WITH_ICONV, RAW, UTF8, LATIN1 } Converter;

struct Charset {
    const char *key;   /* the label in lower case, letters and digits only: see make_key() */
    const char *iconv; /* what iconv_open() is given */
    Converter converter;
};

/* Keys of families are brought to one form first: windows-N, win-N, ibmN and cs* labels are
 * "cpN", a leading "x-" is gone. */
static const Charset charsets[] = {
    {"utf8", NULL, UTF8},
    {"unicode11utf8", NULL, UTF8},
    /* Labels that say nothing.  ANSI_X3.4-1968 is what the C locale calls ASCII. */
    {"usascii", NULL, RAW},
    {"ascii", NULL, RAW},
    {"ansix341968", NULL, RAW},
    {"iso646us", NULL, RAW},
    {"unknown8bit", NULL, RAW},
    {"unknown", NULL, RAW},
    {"default", NULL, RAW},
    {"defaultcharset", NULL, RAW},
    {"iso88591", NULL, LATIN1},
    {"latin1", NULL, LATIN1},
    {"cp819", NULL, LATIN1},
    {"cp1252", NULL, LATIN1},
    {"iso88592", "ISO-8859-2", WITH_ICONV},
    {"latin2", "ISO-8859-2", WITH_ICONV},
    {"iso88593", "ISO-8859-3", WITH_ICONV},
    {"iso88594", "ISO-8859-4", WITH_ICONV},
    {"iso88595", "ISO-8859-5", WITH_ICONV},
    {"iso88596", "ISO-8859-6", WITH_ICONV},
    {"iso88596e", "ISO-8859-6", WITH_ICONV},
    {"iso88596i", "ISO-8859-6", WITH_ICONV},
    {"iso88597", "ISO-8859-7", WITH_ICONV},
    {"iso88598", "ISO-8859-8", WITH_ICONV},
    {"iso88598e", "ISO-8859-8", WITH_ICONV},
    {"iso88598i", "ISO-8859-8", WITH_ICONV},
    {"iso88599", "CP1254", WITH_ICONV},
    {"latin5", "CP1254", WITH_ICONV},
    {"iso885910", "ISO-8859-10", WITH_ICONV},
    {"iso885911", "CP874", WITH_ICONV},
    {"iso885913", "ISO-8859-13", WITH_ICONV},
    {"iso885914", "ISO-8859-14", WITH_ICONV},
    {"iso885915", "ISO-8859-15", WITH_ICONV},
    {"latin9", "ISO-8859-15", WITH_ICONV},
    {"iso885916", "ISO-8859-16", WITH_ICONV},
    {"cp1250", "CP1250", WITH_ICONV},
    {"cp1251", "CP1251", WITH_ICONV},
    {"cp1253", "CP1253", WITH_ICONV},
    {"cp1254", "CP1254", WITH_ICONV},
    {"cp1255", "CP1255", WITH_ICONV},
    {"cp1256", "CP1256", WITH_ICONV},
    {"cp1257", "CP1257", WITH_ICONV},
    {"cp1258", "CP1258", WITH_ICONV},
    {"cp437", "CP437", WITH_ICONV},
    {"cp720", "CP720", WITH_ICONV},
    {"cp737", "CP737", WITH_ICONV},
    {"cp775", "CP775", WITH_ICONV},
    {"cp850", "CP850", WITH_ICONV},
    {"cp852", "CP852", WITH_ICONV},
    {"cp855", "CP855", WITH_ICONV},
    {"cp857", "CP857", WITH_ICONV},
    {"cp858", "CP858", WITH_ICONV},
    {"cp860", "CP860", WITH_ICONV},
    {"cp861", "CP861", WITH_ICONV},
    {"cp862", "CP862", WITH_ICONV},
    {"cp863", "CP863", WITH_ICONV},
    {"cp864", "CP864", WITH_ICONV},
    {"cp865", "CP865", WITH_ICONV},
    {"cp866", "CP866", WITH_ICONV},
    {"cp874", "CP874", WITH_ICONV},
    {"tis620", "CP874", WITH_ICONV},
    {"koi8r", "KOI8-R", WITH_ICONV},
    {"koi8u", "KOI8-U", WITH_ICONV},
    {"koi8ru", "KOI8-U", WITH_ICONV},
    {"koi8t", "KOI8-T", WITH_ICONV},
    {"macintosh", "MACINTOSH", WITH_ICONV},
    {"macroman", "MACINTOSH", WITH_ICONV},
    {"maccyrillic", "MAC-CYRILLIC", WITH_ICONV},
    {"macukrainian", "MAC-UK", WITH_ICONV},
    {"macce", "MAC-CENTRALEUROPE", WITH_ICONV},
    {"maccentraleurroman", "MAC-CENTRALEUROPE", WITH_ICONV},
    {"viscii", "VISCII", WITH_ICONV},
    {"tcvn", "TCVN", WITH_ICONV},
    {"armscii8", "ARMSCII-8", WITH_ICONV},
    {"georgianps", "GEORGIAN-PS", WITH_ICONV},
    {"pt154", "PT154", WITH_ICONV},
    {"gb2312", "GB18030", WITH_ICONV},
    {"gb231280", "GB18030", WITH_ICONV},
    {"euccn", "GB18030", WITH_ICONV},
    {"gbk", "GB18030", WITH_ICONV},
    {"cp936", "GB18030", WITH_ICONV},
    {"gb18030", "GB18030", WITH_ICONV},
    {"iso2022cn", "ISO-2022-CN", WITH_ICONV},
    {"big5", "BIG5-HKSCS", WITH_ICONV},
    {"big5hkscs", "BIG5-HKSCS", WITH_ICONV},
    {"cp950", "CP950", WITH_ICONV},
    {"euctw", "EUC-TW", WITH_ICONV},
    {"shiftjis", "CP932", WITH_ICONV},
    {"sjis", "CP932", WITH_ICONV},
    {"mskanji", "CP932", WITH_ICONV},
    {"cp31j", "CP932", WITH_ICONV},
    {"cp932", "CP932", WITH_ICONV},
    {"eucjp", "EUC-JP-MS", WITH_ICONV},
    /* -2 knows the half-width katakana that programs wrongly put into plain ISO-2022-JP. */
    {"iso2022jp", "ISO-2022-JP-2", WITH_ICONV},
    {"iso2022jp1", "ISO-2022-JP-2", WITH_ICONV},
    {"iso2022jp2", "ISO-2022-JP-2", WITH_ICONV},
    {"iso2022jpms", "ISO-2022-JP-2", WITH_ICONV},
    {"cp50220", "ISO-2022-JP-2", WITH_ICONV},
    {"cp50221", "ISO-2022-JP-2", WITH_ICONV},
    {"euckr", "CP949", WITH_ICONV},
    {"ksc5601", "CP949", WITH_ICONV},
    {"ksc56011987", "CP949", WITH_ICONV},
    {"ksc56011989", "CP949", WITH_ICONV},
    {"korean", "CP949", WITH_ICONV},
    {"uhc", "CP949", WITH_ICONV},
    {"cp949", "CP949", WITH_ICONV},
    {"johab", "JOHAB", WITH_ICONV},
    {"iso2022kr", "ISO-2022-KR", WITH_ICONV},
    {"utf7", "UTF-7", WITH_ICONV},
    {"unicode11utf7", "UTF-7", WITH_ICONV},
    {"unicode20utf7", "UTF-7", WITH_ICONV},
    {"utf16", "UTF-16", WITH_ICONV},
    {"utf16be", "UTF-16BE", WITH_ICONV},
    {"utf16le", "UTF-16LE", WITH_ICONV},
    {"ucs2", "UTF-16", WITH_ICONV},
    {"iso10646ucs2", "UTF-16", WITH_ICONV},
    {"utf32", "UTF-32", WITH_ICONV},
    {"utf32be", "UTF-32BE", WITH_ICONV},
    {"utf32le", "UTF-32LE", WITH_ICONV},
};

static const Charset latin1 = {"iso88591", NULL, LATIN1};

enum { MAX_KEY = 24 };

/* "ISO_8859-1:1987*en" -> "iso88591", "X-GBK" -> "gbk", "windows-1256" -> "cp1256".  FALSE for
 * what no label looks like. */
static gboolean make_key(const char *label, gsize length, char key[MAX_KEY + 1])
{
    static const char *const families[] = {"windows", "microsoftcp", "win", "cswindows", "ibm"};
    gsize n = 0;

    if (length > 2 && g_ascii_strncasecmp(label, "x-", 2) == 0)
        label += 2, length -= 2;
    for (gsize i = 0; i < length && label[i] != '*' && label[i] != ':'; i++) {
        if (g_ascii_isalnum(label[i])) {
            if (n == MAX_KEY)
                return FALSE;
            key[n++] = g_ascii_tolower(label[i]);
        } else if (!strchr("-_. ", label[i]) || label[i] == '\0') {
            return FALSE;
        }
    }
    key[n] = '\0';
    for (gsize i = 0; i < G_N_ELEMENTS(families); i++) {
        gsize prefix = strlen(families[i]);

        if (strncmp(key, families[i], prefix) == 0 && g_ascii_isdigit(key[prefix])) {
            memmove(key + 2, key + prefix, n - prefix + 1);
            memcpy(key, "cp", 2);
            break;
        }
    }
    return n > 0;
}

const Charset *charset_find(const char *label, gsize length)
{
    char key[MAX_KEY + 1];

    if (!make_key(label, length, key))
        return NULL;
    for (gsize i = 0; i < G_N_ELEMENTS(charsets); i++)
        if (strcmp(key, charsets[i].key) == 0)
            return &charsets[i];
    return NULL;
}

const Charset *charset_fallback(const char *label)
{
    const Charset *charset = label ? charset_find(label, strlen(label)) : NULL;

    /* "us-ascii" as a fallback would fall back on itself. */
    return charset && charset->converter != RAW ? charset : &latin1;
}

/* -- What is converted here -------------------------------------------------------------------- */

/* Appends @octets as UTF-8, U+FFFD for each that is not. */
static void append_utf8(GString *out, const char *octets, gsize length)
{
    const char *p = octets, *end = octets + length;

    while (p < end) {
        const char *valid;

        g_utf8_validate_len(p, end - p, &valid);
        g_string_append_len(out, p, valid - p);
        p = valid;
        if (p == end)
            return;
        if (*p != '\0')
            g_string_append(out, "\357\277\275");
        p++;
    }
}

/* Latin-1, read as windows-1252: its C1 controls are in no mail, the quotes and dashes of
 * windows-1252 are. */
static void append_latin1(GString *out, const char *octets, gsize length)
{
    static const gunichar high[32] = {
        0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x008d, 0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178};

    for (gsize i = 0; i < length; i++) {
        guchar c = (guchar)octets[i];

        if (c >= 0x80 && c < 0xa0)
            g_string_append_unichar(out, high[c - 0x80]);
        else if (c >= 0xa0)
            g_string_append_unichar(out, c);
        else if (c != '\0')
            g_string_append_c(out, (char)c);
    }
}

/* -- iconv ------------------------------------------------------------------------------------- */

enum { N_OPEN = 4 };

/* The descriptors of one thread, the most recently used first. */
typedef struct {
    const char *name[N_OPEN];
    iconv_t descriptor[N_OPEN];
} Converters;

static void converters_free(gpointer data)
{
    Converters *open = data;

    for (guint i = 0; i < N_OPEN; i++)
        if (open->name[i])
            iconv_close(open->descriptor[i]);
    g_free(open);
}

static GPrivate converters_of_thread = G_PRIVATE_INIT(converters_free);

/* The thread's descriptor for @name, in its initial state; (iconv_t)-1 when there is none. */
static iconv_t converter_get(const char *name)
{
    Converters *open = g_private_get(&converters_of_thread);
    iconv_t descriptor = (iconv_t)-1;
    guint i;

    if (!open)
        g_private_set(&converters_of_thread, open = g_new0(Converters, 1));
    for (i = 0; i < N_OPEN && open->name[i]; i++)
        if (strcmp(open->name[i], name) == 0)
            break;
    if (i < N_OPEN && open->name[i]) {
        descriptor = open->descriptor[i];
    } else {
        descriptor = iconv_open("UTF-8", name);
        if (descriptor == (iconv_t)-1)
            return descriptor;
        if (i == N_OPEN)
            iconv_close(open->descriptor[--i]);
    }
    memmove(open->name + 1, open->name, i * sizeof *open->name);
    memmove(open->descriptor + 1, open->descriptor, i * sizeof *open->descriptor);
    open->name[0] = name;
    open->descriptor[0] = descriptor;
    iconv(descriptor, NULL, NULL, NULL, NULL);
    return descriptor;
}

/* How many octets to pass over where nothing can be made of the next ones. */
static gsize unit_of(const Charset *charset)
{
    if (strncmp(charset->iconv, "UTF-16", 6) == 0)
        return 2;
    return strncmp(charset->iconv, "UTF-32", 6) == 0 ? 4 : 1;
}

static gboolean append_with_iconv(GString *out, const Charset *charset, const char *octets,
                                  gsize length)
{
    iconv_t descriptor = converter_get(charset->iconv);
    gsize unit = descriptor == (iconv_t)-1 ? 0 : unit_of(charset);
    char *in = (char *)octets; /* iconv(3) does not write to it */
    gboolean done = FALSE;

    if (unit == 0)
        return FALSE;
    while (!done) {
        char buffer[1024], *to = buffer;
        gsize room = sizeof buffer;
        /* After the last octet, once without input: a stateful charset may hold one back. */
        gboolean is_last = length == 0;
        gsize result = iconv(descriptor, is_last ? NULL : &in, &length, &to, &room);
        int problem = result == (gsize)-1 ? errno : 0;

        append_utf8(out, buffer, (gsize)(to - buffer));
        if (problem == EILSEQ && length > 0) {
            gsize skip = MIN(unit, length);

            g_string_append(out, "\357\277\275");
            in += skip;
            length -= skip;
        } else if (problem == EINVAL || problem == EILSEQ) {
            g_string_append(out, "\357\277\275");
            done = TRUE;
        } else if (problem != E2BIG) {
            done = is_last;
        }
    }
    return TRUE;
}

/* -- The two ways in --------------------------------------------------------------------------- */

gboolean charset_append(GString *out, const Charset *charset, const char *octets, gsize length,
                        const Charset *fallback)
{
    switch (charset->converter) {
    case UTF8:
        append_utf8(out, octets, length);
        return TRUE;
    case LATIN1:
        append_latin1(out, octets, length);
        return TRUE;
    case RAW:
        charset_append_raw(out, octets, length, fallback);
        return TRUE;
    case WITH_ICONV:
        break;
    }
    return append_with_iconv(out, charset, octets, length);
}

/* TRUE where octets are UTF-8: all of them, or so many that the others must be damage (a program
 * cut the text within a character).  Text in another charset looks like UTF-8 here and there. */
static gboolean is_utf8(const char *octets, gsize length)
{
    const char *p = octets, *end = octets + length, *valid;
    gsize n_valid = 0, n_invalid = 0;

    while (!g_utf8_validate_len(p, end - p, &valid)) {
        for (; p < valid; p = g_utf8_next_char(p))
            n_valid += (guchar)*p >= 0x80;
        n_invalid += *p++ != '\0';
    }
    for (; p < end && n_invalid > 0; p = g_utf8_next_char(p))
        n_valid += (guchar)*p >= 0x80;
    return n_invalid == 0 || n_valid / 2 > n_invalid;
}

void charset_append_raw(GString *out, const char *octets, gsize length, const Charset *fallback)
{
    if (is_utf8(octets, length))
        append_utf8(out, octets, length);
    else if (!charset_append(out, fallback, octets, length, &latin1))
        append_latin1(out, octets, length);
}
