/* The keys of an account, as one table: name, kind, place in ConfigAccount, default.
 *
 * Reading, showing, the defaults and the list that "did you mean" searches all come from it; a
 * new key is a new line.
 */
#pragma once

#include <glib.h>

#include "config/config.h"

typedef struct ConfigKey ConfigKey;

/* What a value of one kind does.  @parse: @raw is as in the file; the field is still unset. */
typedef struct {
    gboolean (*parse)(const ConfigKey *key, ConfigAccount *account, const char *raw,
                      GError **error);
    char *(*show)(const ConfigKey *key, const ConfigAccount *account); /* NULL: not set */
} ConfigKind;

struct ConfigKey {
    const char *name;
    const ConfigKind *kind;
    gsize offset;              /* in ConfigAccount, or in Endpoint */
    gboolean in_endpoint;
    gboolean is_private;       /* config_show() leaves it out of what is sent to others */
    const char *fallback;      /* the default, as in the file; NULL for none */
    guint64 min, max;          /* of numbers, sizes and times */
    const char *const *words;  /* of a choice, in the order of its enum */
};

/* Ended by a NULL name; in the order in which they are shown. */
extern const ConfigKey config_keys[];

const ConfigKey *config_key_find(const char *name); /* NULL if unknown */

/* TRUE for the keys that the manual of a later version may name, such as smtp=. */
gboolean config_key_is_of_later_version(const char *name);

/* The known name that is nearest to @name, or NULL. */
const char *config_key_did_you_mean(const char *name);
