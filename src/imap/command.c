/* A command is kept as its pieces and written out when the session's encoding is known.
 *
 * Only two things can end a command early: a line end in a string, and a literal whose size is not
 * what it says.  Strings with line ends become literals, and sizes are taken from the bytes that
 * are sent; of a literal that is elsewhere the sender answers for the size.  See command.h.
 */
#include "imap/command.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/secret.h"

#include <string.h>

enum {
    /* RFC 7888: what LITERAL- allows without asking. */
    LITERAL_MINUS_MAX = 4096,
    /* Above this a server is asked even with LITERAL+, so that it can refuse early. */
    LITERAL_PLUS_MAX = 100 * 1024,
    QUOTED_MAX = 512,
};

typedef struct {
    enum { RAW, STRING, LITERAL } kind;
    gboolean is_secret;
    GBytes *bytes; /* NULL for a literal, which is elsewhere */
    guint64 size;  /* of the literal */
} Piece;

struct ImapCommand {
    GArray *pieces;
};

static void clear_piece(gpointer data)
{
    g_clear_pointer(&((Piece *)data)->bytes, g_bytes_unref);
}

static ImapCommand *add(ImapCommand *command, Piece piece)
{
    g_array_append_val(command->pieces, piece);
    return command;
}

ImapCommand *imap_command_new(const char *words)
{
    ImapCommand *command = g_new(ImapCommand, 1);

    command->pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
    g_array_set_clear_func(command->pieces, clear_piece);
    return imap_command_raw(command, words);
}

void imap_command_free(ImapCommand *command)
{
    if (!command)
        return;
    g_array_unref(command->pieces);
    g_free(command);
}

ImapCommand *imap_command_raw(ImapCommand *command, const char *words)
{
    g_assert(strpbrk(words, "\r\n") == NULL);
    return add(command, (Piece){RAW, FALSE, g_bytes_new(words, strlen(words)), 0});
}

ImapCommand *imap_command_string(ImapCommand *command, const char *bytes, gsize length)
{
    return add(command, (Piece){STRING, FALSE, g_bytes_new(bytes, length), 0});
}

ImapCommand *imap_command_mailbox(ImapCommand *command, const char *wire_name)
{
    return imap_command_string(command, wire_name, strlen(wire_name));
}

ImapCommand *imap_command_literal(ImapCommand *command, guint64 size)
{
    return add(command, (Piece){LITERAL, FALSE, NULL, size});
}

static void free_secret(gpointer secret)
{
    secret_unref(secret);
}

ImapCommand *imap_command_secret(ImapCommand *command, const char *bytes, gsize length)
{
    Secret *secret = secret_new(bytes, length);

    return add(command, (Piece){STRING, TRUE,
                                g_bytes_new_with_free_func(secret_text(secret), length,
                                                           free_secret, secret),
                                0});
}

ImapCommand *imap_command_secret_word(ImapCommand *command, const char *word)
{
    Secret *secret = secret_new(word, strlen(word));

    g_assert(strpbrk(word, "\r\n") == NULL);
    return add(command, (Piece){RAW, TRUE,
                                g_bytes_new_with_free_func(secret_text(secret), strlen(word),
                                                           free_secret, secret),
                                0});
}

/* -- Encoding ---------------------------------------------------------------------------------- */

typedef struct {
    const ImapEncoding *encoding;
    GArray *segments;
    GString *line; /* of the segment being written */
    gsize n_octets; /* outside literals */
} Encoder;

static void clear_segment(gpointer data)
{
    g_clear_pointer(&((ImapSegment *)data)->bytes, g_bytes_unref);
}

static void wipe_free(gpointer data)
{
    GString *string = data;

    secret_wipe(string->str, string->len);
    g_string_free(string, TRUE);
}

/* Ends the segment that `line` holds. */
static void cut(Encoder *encoder, gboolean waits, gboolean is_secret)
{
    GString *line = g_steal_pointer(&encoder->line);
    ImapSegment segment = {NULL, waits, is_secret};

    segment.bytes = g_bytes_new_with_free_func(line->str, line->len, wipe_free, line);
    g_array_append_val(encoder->segments, segment);
    encoder->line = g_string_new(NULL);
}

static gboolean is_quotable(const char *bytes, gsize length, gboolean utf8)
{
    gboolean is_ascii = TRUE;

    if (length > QUOTED_MAX)
        return FALSE;
    for (gsize i = 0; i < length; i++) {
        if (bytes[i] == '\r' || bytes[i] == '\n')
            return FALSE;
        is_ascii = is_ascii && (guchar)bytes[i] < 0x80;
    }
    return is_ascii || (utf8 && g_utf8_validate(bytes, (gssize)length, NULL));
}

static void add_quoted(Encoder *encoder, const char *bytes, gsize length)
{
    g_string_append_c(encoder->line, '"');
    for (gsize i = 0; i < length; i++) {
        if (bytes[i] == '"' || bytes[i] == '\\')
            g_string_append_c(encoder->line, '\\');
        g_string_append_c(encoder->line, bytes[i]);
    }
    g_string_append_c(encoder->line, '"');
}

/* A word or a quoted string; a secret gets a segment of its own. */
static void add_inline(Encoder *encoder, const Piece *piece, const char *bytes, gsize length)
{
    gsize before;

    if (piece->is_secret) {
        cut(encoder, FALSE, FALSE);
        /* Room at once: growing would leave copies behind. */
        g_string_set_size(encoder->line, 2 * length + 2);
        g_string_truncate(encoder->line, 0);
    }
    before = encoder->line->len;
    if (piece->kind == RAW)
        g_string_append_len(encoder->line, bytes, (gssize)length);
    else
        add_quoted(encoder, bytes, length);
    encoder->n_octets += encoder->line->len - before;
    if (piece->is_secret)
        cut(encoder, FALSE, TRUE);
}

static void add_literal(Encoder *encoder, const Piece *piece, guint64 length)
{
    const ImapEncoding *how = encoder->encoding;
    gboolean waits = !((how->literal_plus && length <= LITERAL_PLUS_MAX) ||
                       (how->literal_minus && length <= LITERAL_MINUS_MAX));
    ImapSegment segment = {piece->bytes ? g_bytes_ref(piece->bytes) : NULL, FALSE,
                           piece->is_secret};

    g_string_append_printf(encoder->line, "{%" G_GUINT64_FORMAT "%s}\r\n", length,
                           waits ? "" : "+");
    encoder->n_octets += 24;
    cut(encoder, waits, FALSE);
    g_array_append_val(encoder->segments, segment);
}

static gboolean add_bytes(Encoder *encoder, const Piece *piece, GError **error)
{
    gsize length;
    const char *bytes = g_bytes_get_data(piece->bytes, &length);

    if (length > 0 && memchr(bytes, '\0', length))
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "IMAP cannot carry a NUL character; remove it");
    if (piece->kind == RAW || is_quotable(bytes, length, encoder->encoding->utf8))
        add_inline(encoder, piece, bytes, length);
    else
        add_literal(encoder, piece, length);
    return TRUE;
}

static gboolean add_piece(Encoder *encoder, const Piece *piece, GError **error)
{
    g_string_append_c(encoder->line, ' ');
    encoder->n_octets++;
    if (piece->kind != LITERAL)
        return add_bytes(encoder, piece, error);
    add_literal(encoder, piece, piece->size);
    return TRUE;
}

GArray *imap_command_encode(const ImapCommand *command, const char *tag,
                            const ImapEncoding *encoding, GError **error)
{
    Encoder encoder = {encoding, g_array_new(FALSE, FALSE, sizeof(ImapSegment)),
                       g_string_new(tag), strlen(tag) + 2};
    gboolean ok = TRUE;

    g_array_set_clear_func(encoder.segments, clear_segment);
    for (guint i = 0; ok && i < command->pieces->len; i++)
        ok = add_piece(&encoder, &g_array_index(command->pieces, Piece, i), error);
    if (ok && encoder.n_octets > LIMIT_IMAP_COMMAND)
        ok = mail_fail(error, MAIL_ERROR_TOOBIG,
                       "an IMAP command of more than %d octets; use shorter names",
                       LIMIT_IMAP_COMMAND);
    g_string_append(encoder.line, "\r\n");
    cut(&encoder, FALSE, FALSE);
    g_string_free(encoder.line, TRUE);
    if (!ok)
        g_clear_pointer(&encoder.segments, g_array_unref);
    return encoder.segments;
}
