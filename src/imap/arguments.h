/* The arguments of one response, and where they are kept.
 *
 * Arguments are written into one growing array in the order of the wire, a list before its
 * members with the count of them, so that a tree needs neither pointers nor recursion.  Their text
 * goes into one growing buffer.  Both are reset, not freed, between responses: a FETCH costs no
 * malloc.
 */
#pragma once

#include <glib.h>

/* -- As they are read -------------------------------------------------------------------------- */

typedef enum {
    IMAP_ARG_ATOM, /* also numbers, flags, sequence sets and BODY[...] */
    IMAP_ARG_QUOTED,
    IMAP_ARG_LITERAL,
    IMAP_ARG_STREAM, /* a literal that is given out as chunks: it has a length but no text */
    IMAP_ARG_NIL,    /* its text is what the server wrote, for a mailbox may be named nil */
    IMAP_ARG_LIST,
} ImapArgType;

/* Arguments stand in one array in the order of the wire; a list is followed by its members. */
typedef struct {
    ImapArgType type;
    guint32 n_inside; /* LIST: arguments within, at all depths; otherwise 0 */
    const char *text; /* NUL-terminated; may hold NUL if a literal; NULL for LIST and STREAM */
    gsize length;
} ImapArg;

/* A walk over the members of one list: copy it to walk twice. */
typedef struct {
    const ImapArg *at, *end;
} ImapArgs;

/* The next member, or NULL at the end. */
static inline const ImapArg *imap_args_next(ImapArgs *args)
{
    const ImapArg *arg = args->at;

    if (arg == args->end)
        return NULL;
    args->at += 1 + arg->n_inside;
    return arg;
}

/* The members of @arg; none for NULL or what is no list. */
ImapArgs imap_arg_list(const ImapArg *arg);

/* An atom or string as text; NULL for anything else, and for a literal that holds NUL. */
const char *imap_arg_text(const ImapArg *arg);

/* TRUE if it is an atom that says @word, in any case. */
gboolean imap_arg_is(const ImapArg *arg, const char *word);

/* A decimal number of at most @max. */
gboolean imap_arg_number(const ImapArg *arg, guint64 max, guint64 *ret_number);

/* What is in parentheses though it is one value: MODSEQ (12), EMAILID (M12).  What is no list is
 * given back as it is. */
const ImapArg *imap_arg_unwrap(const ImapArg *arg);

/* -- As the parser writes them ----------------------------------------------------------------- */

/* The pointers of `args` into `text` hold until something is added. */
typedef struct {
    ImapArg *args;
    gsize n_args, args_size;
    char *text;
    gsize n_text, text_size;
    gsize token; /* where the token being read begins in `text` */
} ImapArgStore;

void imap_arg_store_init(ImapArgStore *store);
void imap_arg_store_clear(ImapArgStore *store);

/* Forgets what is in it; of its memory an ordinary response's is kept. */
void imap_arg_store_reset(ImapArgStore *store);

/* More octets of the text.  The caller sees to its limit. */
void imap_arg_store_write(ImapArgStore *store, const void *octets, gsize length);

/* An argument without text, borrowed; NULL when there are LIMIT_IMAP_ARGS of them. */
ImapArg *imap_arg_store_add(ImapArgStore *store, ImapArgType type);

/* The token becomes an argument; as above. */
ImapArg *imap_arg_store_add_token(ImapArgStore *store, ImapArgType type);

static inline void imap_arg_store_begin_token(ImapArgStore *store)
{
    store->token = store->n_text;
}

static inline gsize imap_arg_store_token_length(const ImapArgStore *store)
{
    return store->n_text - store->token;
}
