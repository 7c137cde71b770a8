/* What single lines of a POP3 server mean: capabilities (RFC 2449), unique-ids, sizes (RFC 1939).
 *
 * The readers take one line each, as pop3/parser.h gives it, and keep nothing but what they are
 * told to.  A line that makes no sense is FALSE, never an error: what to make of that depends on
 * the command.
 */
#pragma once

#include <glib.h>

/* Capabilities that are looked for (RFC 2449 section 6, RFC 2595, RFC 3206, RFC 6856). */
typedef enum {
    POP3_CAP_TOP,
    POP3_CAP_UIDL,
    POP3_CAP_USER,
    POP3_CAP_SASL,
    POP3_CAP_STLS,
    POP3_CAP_PIPELINING,
    POP3_CAP_RESP_CODES,
    POP3_CAP_AUTH_RESP_CODE,
    POP3_CAP_LOGIN_DELAY,
    POP3_CAP_EXPIRE,
    POP3_CAP_IMPLEMENTATION,
    POP3_CAP_UTF8,
    POP3_N_CAPS,
} Pop3Cap;

#define POP3_EXPIRE_NEVER G_MAXUINT32

typedef struct {
    gboolean has[POP3_N_CAPS];
    GPtrArray *sasl;       /* mechanisms as the server wrote them; NULL-terminated */
    guint32 login_delay;   /* seconds between two logins; 0: none */
    guint32 expire;        /* days that a message stays; POP3_EXPIRE_NEVER; without the cap 0 */
    gboolean is_per_user;  /* LOGIN-DELAY or EXPIRE may be others after the login ("USER") */
    char *implementation;  /* printable, or NULL */
    GString *line;         /* all lines, printable, with ", " between them */
    guint n_lines;
} Pop3Capabilities;

void pop3_capabilities_init(Pop3Capabilities *caps);
void pop3_capabilities_reset(Pop3Capabilities *caps);
void pop3_capabilities_clear(Pop3Capabilities *caps);

/* Takes in one line of CAPA's answer.  What is unknown is noted in `line` alone; FALSE beyond
 * LIMIT_POP3_CAPABILITIES lines. */
gboolean pop3_capabilities_add(Pop3Capabilities *caps, const char *line, gsize length);

/* "PIPELINING", in any case; POP3_N_CAPS if unknown. */
Pop3Cap pop3_cap_from_name(const char *name);

/* "3 whqtswO00WBw418f9t5JxYwZ" of UIDL.  A unique-id has 1 to 70 octets of 0x21 to 0x7e (RFC 1939
 * section 7); more octets, blanks within and 8-bit octets are taken as well, up to
 * LIMIT_POP3_UNIQUE_ID.  *ret_uid is NULL where the number makes sense and the id does not
 * (missing, too long, with controls); otherwise it is *ret_length octets within @line. */
gboolean pop3_response_uidl(const char *line, gsize length, guint32 *ret_number,
                            const char **ret_uid, gsize *ret_length);

/* "3 1200" of LIST; what follows is ignored (RFC 1939 section 5 allows it). */
gboolean pop3_response_list(const char *line, gsize length, guint32 *ret_number,
                            guint64 *ret_size);

/* "2 320", the text of STAT's reply. */
gboolean pop3_response_stat(const char *text, guint32 *ret_n_messages, guint64 *ret_octets);

/* The timestamp of a greeting for APOP (RFC 1939 section 7), with its angle brackets, if it looks
 * like a Message-ID: one that does not is a way to find the password out (CVE-2007-1558).  The
 * caller owns it; NULL for none. */
char *pop3_response_timestamp(const char *text);
