/* See arguments.h.  When the buffer of text moves as it grows, the arguments' pointers are moved
 * along, which doubling makes cheap.
 */
#include "imap/arguments.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

enum { KEEP_TEXT = 256 * 1024, KEEP_ARGS = 16 * 1024 }; /* capacity kept between responses */

/* -- As they are read -------------------------------------------------------------------------- */

ImapArgs imap_arg_list(const ImapArg *arg)
{
    if (!arg || arg->type != IMAP_ARG_LIST)
        return (ImapArgs){NULL, NULL};
    return (ImapArgs){arg + 1, arg + 1 + arg->n_inside};
}

const char *imap_arg_text(const ImapArg *arg)
{
    if (!arg || !arg->text || arg->type == IMAP_ARG_NIL)
        return NULL;
    return strlen(arg->text) == arg->length ? arg->text : NULL;
}

gboolean imap_arg_is(const ImapArg *arg, const char *word)
{
    return arg && arg->type == IMAP_ARG_ATOM && g_ascii_strcasecmp(arg->text, word) == 0;
}

gboolean imap_arg_number(const ImapArg *arg, guint64 max, guint64 *ret_number)
{
    return arg && arg->text && text_parse_number(arg->text, arg->length, max, ret_number);
}

const ImapArg *imap_arg_unwrap(const ImapArg *arg)
{
    ImapArgs inside = imap_arg_list(arg);

    return arg && arg->type == IMAP_ARG_LIST ? imap_args_next(&inside) : arg;
}

/* -- As the parser writes them ----------------------------------------------------------------- */

void imap_arg_store_init(ImapArgStore *store)
{
    *store = (ImapArgStore){.text_size = 1024, .args_size = 64};
    store->text = g_malloc(store->text_size);
    store->args = g_new(ImapArg, store->args_size);
}

void imap_arg_store_clear(ImapArgStore *store)
{
    g_free(store->text);
    g_free(store->args);
}

void imap_arg_store_reset(ImapArgStore *store)
{
    if (store->text_size > KEEP_TEXT) {
        store->text_size = KEEP_TEXT;
        store->text = g_realloc(store->text, store->text_size);
    }
    if (store->args_size > KEEP_ARGS) {
        store->args_size = KEEP_ARGS;
        store->args = g_renew(ImapArg, store->args, store->args_size);
    }
    store->n_args = store->n_text = 0;
}

/* Room for @length more octets and a NUL. */
static void reserve_text(ImapArgStore *store, gsize length)
{
    const char *old = store->text;

    if (store->n_text + length + 1 <= store->text_size)
        return;
    store->text_size = MAX(store->text_size * 2, store->n_text + length + 1);
    store->text = g_realloc(store->text, store->text_size);
    for (gsize i = 0; i < store->n_args; i++)
        if (store->args[i].text)
            store->args[i].text = store->text + (store->args[i].text - old);
}

void imap_arg_store_write(ImapArgStore *store, const void *octets, gsize length)
{
    reserve_text(store, length);
    memcpy(store->text + store->n_text, octets, length);
    store->n_text += length;
}

ImapArg *imap_arg_store_add(ImapArgStore *store, ImapArgType type)
{
    ImapArg *arg;

    if (store->n_args == LIMIT_IMAP_ARGS)
        return NULL;
    if (store->n_args == store->args_size) {
        store->args_size *= 2;
        store->args = g_renew(ImapArg, store->args, store->args_size);
    }
    arg = &store->args[store->n_args++];
    *arg = (ImapArg){.type = type};
    return arg;
}

ImapArg *imap_arg_store_add_token(ImapArgStore *store, ImapArgType type)
{
    ImapArg *arg = imap_arg_store_add(store, type);

    if (!arg)
        return NULL;
    reserve_text(store, 0);
    store->text[store->n_text] = '\0';
    arg->text = store->text + store->token;
    arg->length = imap_arg_store_token_length(store);
    store->n_text++;
    return arg;
}
