/* Every ceiling of mailfs, each with where it comes from.
 *
 * A limit that is not here is not a limit.  What goes past one is refused with a sentence, never
 * with an abort; the reaction stands beside each.
 */
#pragma once

/* -- IMAP (imap/) ------------------------------------------------------------------------------ */

/* Octets of one response, streamed literals apart: a SEARCH over 1,000,000 messages is 7 MiB.
 * Beyond: the connection is dropped. */
#define LIMIT_IMAP_RESPONSE (8 * 1024 * 1024)
/* One atom or quoted string; the largest seen in the wild are References-long, below 10 KiB. */
#define LIMIT_IMAP_STRING (64 * 1024)
/* Parentheses; BODYSTRUCTURE of real mail stays below 20, Dovecot's own limit is 100. */
#define LIMIT_IMAP_NESTING 100
/* Elements in one response; each costs 32 bytes of memory. */
#define LIMIT_IMAP_ARGS (1024 * 1024)
/* Literals up to this size are kept in memory, larger ones are streamed (Dovecot's imapc). */
#define LIMIT_IMAP_INLINE_LITERAL (32 * 1024)
/* A literal at all: what fits a signed 32-bit number (CVE-2021-3657), and far above LIMIT_MESSAGE,
 * so that a mailbox with one huge message can still be read.  Beyond: the connection is dropped. */
#define LIMIT_IMAP_LITERAL 2147483647
/* A command line (RFC 7162 section 4 asks clients to stay below 8192; old servers stop at
 * 1000). */
#define LIMIT_IMAP_COMMAND 1000
/* Untagged responses that nobody asked for, in LIMIT_IMAP_UNSOLICITED_SECONDS. */
#define LIMIT_IMAP_UNSOLICITED 10000
#define LIMIT_IMAP_UNSOLICITED_SECONDS 10
/* Keywords that one mailbox may teach us; Dovecot's maildir knows 26, its mdbox 10,000s. */
#define LIMIT_KEYWORDS 1000

/* -- POP3 (pop3/) ------------------------------------------------------------------------------ */

/* A reply with its text; RFC 2449 section 4 allows 512 octets.  Beyond: the connection is
 * dropped, and so below where nothing else is said. */
#define LIMIT_POP3_REPLY (4 * 1024)
/* A line of a list, or a challenge: what Dovecot's pop3c takes. */
#define LIMIT_POP3_LINE (32 * 1024)
/* A command with its CRLF (RFC 2449 section 4).  The responses of AUTH are not commands. */
#define LIMIT_POP3_COMMAND 255
/* A unique-id; RFC 1939 says 70 octets, and servers that use the name of a Maildir's file have
 * 255.  Beyond: as if there were none. */
#define LIMIT_POP3_UNIQUE_ID 255
/* Lines of CAPA; servers have below 20. */
#define LIMIT_POP3_CAPABILITIES 1000
/* SASL mechanisms that one server offers; Cyrus lists 10. */
#define LIMIT_POP3_MECHANISMS 100
/* A message that is on its way, whatever LIST said: as LIMIT_IMAP_LITERAL. */
#define LIMIT_POP3_MESSAGE 2147483647

/* -- Mail -------------------------------------------------------------------------------------- */

/* A message's size; open() of a larger one is EFBIG.  Gmail's largest is 50 MB, Exchange's
 * 150 MB. */
#define LIMIT_MESSAGE (256ULL * 1024 * 1024)
/* Messages shown of one mailbox; the rest is counted in status. */
#define LIMIT_MESSAGES 1000000
/* Mailboxes of an account, and their depth. */
#define LIMIT_MAILBOXES 50000
#define LIMIT_MAILBOX_DEPTH 32
/* Namespaces of an account that are listed; servers have one to three. */
#define LIMIT_NAMESPACES 16
/* Header octets read for a name. */
#define LIMIT_HEADER (256 * 1024)
/* Encoded-words decoded in one header field. */
#define LIMIT_ENCODED_WORDS 256
/* Sections of one RFC 2231 parameter: a name of 255 octets needs about 12. */
#define LIMIT_PARAMETER_SECTIONS 128
/* Octets of a Message-ID: a line ends at 998 (RFC 5322 section 2.1.1).  Beyond: as if absent. */
#define LIMIT_MESSAGE_ID 998
/* Octets of one name in a directory; NAME_MAX is 255, and editors append to names. */
#define LIMIT_NAME 200

/* -- Configuration and commands ---------------------------------------------------------------- */

/* The configuration file; one of 255 accounts with every key set is below 300 KiB. */
#define LIMIT_CONFIG (1024 * 1024)
/* Accounts: an inode number has 8 bits for them (and 0 is none). */
#define LIMIT_ACCOUNTS 255
/* Bytes of an account's id, which becomes part of file and unit names. */
#define LIMIT_ACCOUNT_ID 64
/* One request to a daemon.  It may name as many files as a command line does, which has 6 MiB at
 * most (execve(2)); they become relative to the mount point, and some octets are escaped. */
#define LIMIT_CONTROL_REQUEST (8 * 1024 * 1024)
/* What a command reads of one answer of a daemon: status.json of 50,000 mailboxes is 5 MiB, the
 * flags of as many files as a request names are three times the request. */
#define LIMIT_CONTROL_REPLY (32 * 1024 * 1024)
/* Until that answer, which waits for nobody, must be there. */
#define LIMIT_CONTROL_SECONDS 20

/* -- Waiting (seconds) ------------------------------------------------------------------------- */

#define LIMIT_CONNECT_SECONDS 30    /* TCP, greeting, TLS: each */
#define LIMIT_PROGRESS_SECONDS 60   /* no octet from the server while an answer is due */
#define LIMIT_REQUEST_SECONDS 15    /* one FUSE request without progress; suspend waits for 20 */
/* close(2) of a file that is on its way, however well it goes: 30 MB at 100 kB/s.  What is not
 * done by then goes on without whoever closed it. */
#define LIMIT_UPLOAD_SECONDS 300
#define LIMIT_IDLE_SECONDS (25 * 60) /* RFC 2177: servers may drop after 30 minutes */
#define LIMIT_BACKOFF_SECONDS 300   /* longest pause between two tries to connect */
#define LIMIT_SECRET_SECONDS 30     /* a password command */
#define LIMIT_DRAIN_SECONDS 60      /* SIGTERM: what is pending may still go out */

/* -- Network (net/) ---------------------------------------------------------------------------- */

/* Addresses of one host that are tried; the largest mail providers list 8. */
#define LIMIT_ADDRESSES 16
/* Until the next address is tried beside the first (RFC 8305 section 5). */
#define LIMIT_ADDRESS_STAGGER_MS 250
/* Names of a certificate that an error lists; large hosters' certificates have 100. */
#define LIMIT_CERTIFICATE_NAMES 8
/* A line of the wire log; what is longer goes on in the next one. */
#define LIMIT_WIRELOG_LINE 4096
/* Octets of a literal that the wire log shows: enough to see what it is. */
#define LIMIT_WIRELOG_LITERAL 64

/* -- SASL (client/) ---------------------------------------------------------------------------- */

/* A challenge or response, decoded; OAuth 2 tokens of Microsoft reach 3 KiB.
 * Beyond: PROTOCOL. */
#define LIMIT_SASL_MESSAGE (64 * 1024)
/* SCRAM's iterations: servers use 4,096 to 600,000 (OWASP 2023); a million take half a second,
 * and more is an attack on our processor (RFC 5802 section 9).  Beyond: PROTOCOL. */
#define LIMIT_SCRAM_ITERATIONS 1000000

/* -- The file system (fs/) --------------------------------------------------------------------- */

/* Messages that moved while the kernel knows them by their old numbers; it forgets them in time.
 * Beyond: they are looked up anew. */
#define LIMIT_FORWARDS 65536

/* Files in the tmp/ of Maildir views that were linked and not unlinked yet.  Beyond, link(2) is
 * refused and deliverers rename. */
#define LIMIT_VIEW_LINKS 1024
