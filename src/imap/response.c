/* Each response has one reader here, but for FETCH, which has a file of its own.  A reader walks
 * the arguments in the order of the RFC and takes what it can.  What to do about a response that
 * makes no sense is the session's to decide; see response.h.
 */
#include "imap/response.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

typedef struct {
    const char *name;
    guint bit;
} Word;

/* The bit of @arg in a table that ends with a NULL name; 0 for none. */
static guint word_bit(const Word *words, const char *text)
{
    for (; words->name; words++)
        if (g_ascii_strcasecmp(words->name, text) == 0)
            return words->bit;
    return 0;
}

/* A mailbox or another astring: here NIL is a name like any other. */
static const char *astring(const ImapArg *arg)
{
    return arg && arg->type == IMAP_ARG_NIL ? arg->text : imap_arg_text(arg);
}

/* -- CAPABILITY -------------------------------------------------------------------------------- */

static const char *const cap_names[IMAP_N_CAPS] = {
    [IMAP_CAP_ACL] = "ACL",
    [IMAP_CAP_APPENDLIMIT] = "APPENDLIMIT",
    [IMAP_CAP_COMPRESS] = "COMPRESS=DEFLATE",
    [IMAP_CAP_CONDSTORE] = "CONDSTORE",
    [IMAP_CAP_CREATE_SPECIAL_USE] = "CREATE-SPECIAL-USE",
    [IMAP_CAP_ENABLE] = "ENABLE",
    [IMAP_CAP_ESEARCH] = "ESEARCH",
    [IMAP_CAP_ID] = "ID",
    [IMAP_CAP_IDLE] = "IDLE",
    [IMAP_CAP_IMAP4REV2] = "IMAP4REV2",
    [IMAP_CAP_LIST_EXTENDED] = "LIST-EXTENDED",
    [IMAP_CAP_LIST_MYRIGHTS] = "LIST-MYRIGHTS",
    [IMAP_CAP_LIST_STATUS] = "LIST-STATUS",
    [IMAP_CAP_LITERAL_MINUS] = "LITERAL-",
    [IMAP_CAP_LITERAL_PLUS] = "LITERAL+",
    [IMAP_CAP_LOGINDISABLED] = "LOGINDISABLED",
    [IMAP_CAP_MOVE] = "MOVE",
    [IMAP_CAP_NAMESPACE] = "NAMESPACE",
    [IMAP_CAP_NOTIFY] = "NOTIFY",
    [IMAP_CAP_OBJECTID] = "OBJECTID",
    [IMAP_CAP_QRESYNC] = "QRESYNC",
    [IMAP_CAP_QUOTA] = "QUOTA",
    [IMAP_CAP_REPLACE] = "REPLACE",
    [IMAP_CAP_SASL_IR] = "SASL-IR",
    [IMAP_CAP_SPECIAL_USE] = "SPECIAL-USE",
    [IMAP_CAP_STARTTLS] = "STARTTLS",
    [IMAP_CAP_STATUS_SIZE] = "STATUS=SIZE",
    [IMAP_CAP_UIDPLUS] = "UIDPLUS",
    [IMAP_CAP_UNSELECT] = "UNSELECT",
    [IMAP_CAP_UTF8_ACCEPT] = "UTF8=ACCEPT",
    [IMAP_CAP_UTF8_ONLY] = "UTF8=ONLY",
};

ImapCap imap_cap_from_name(const char *name)
{
    ImapCap cap = 0;

    if (g_ascii_strncasecmp(name, "APPENDLIMIT=", 12) == 0)
        return IMAP_CAP_APPENDLIMIT;
    while (cap < IMAP_N_CAPS && g_ascii_strcasecmp(name, cap_names[cap]) != 0)
        cap++;
    return cap;
}

void imap_capabilities_init(ImapCapabilities *caps)
{
    *caps = (ImapCapabilities){
        .line = g_strdup(""),
        .auth = g_ptr_array_new_with_free_func(g_free),
    };
    g_ptr_array_add(caps->auth, NULL);
}

void imap_capabilities_clear(ImapCapabilities *caps)
{
    g_clear_pointer(&caps->line, g_free);
    g_clear_pointer(&caps->auth, g_ptr_array_unref);
}

/* RFC 9051 appendix E: what a server that speaks nothing older need not list. */
static void imply_rev2(ImapCapabilities *caps)
{
    static const ImapCap implied[] = {
        IMAP_CAP_ENABLE,      IMAP_CAP_ESEARCH,     IMAP_CAP_IDLE,    IMAP_CAP_LIST_EXTENDED,
        IMAP_CAP_LIST_STATUS, IMAP_CAP_MOVE,        IMAP_CAP_SASL_IR, IMAP_CAP_LITERAL_MINUS,
        IMAP_CAP_NAMESPACE,   IMAP_CAP_STATUS_SIZE, IMAP_CAP_UIDPLUS, IMAP_CAP_UNSELECT,
    };

    for (guint i = 0; i < G_N_ELEMENTS(implied); i++)
        caps->has[implied[i]] = TRUE;
}

/* N of APPENDLIMIT=N (RFC 7889): 0 where it is left out, for then each mailbox has its own. */
static guint64 append_limit_of(const char *word)
{
    const char *equals = strchr(word, '=');
    guint64 limit;

    if (!equals || !text_parse_number(equals + 1, strlen(equals + 1), G_MAXINT64, &limit))
        return 0;
    return limit;
}

void imap_capabilities_parse(ImapCapabilities *caps, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    gboolean is_rev1 = FALSE;

    imap_capabilities_clear(caps);
    imap_capabilities_init(caps);
    g_free(caps->line);
    caps->line = g_strdup(line);
    g_ptr_array_set_size(caps->auth, 0);
    for (char **word = words; *word; word++) {
        ImapCap cap = imap_cap_from_name(*word);

        if (cap < IMAP_N_CAPS)
            caps->has[cap] = TRUE;
        else if (g_ascii_strncasecmp(*word, "AUTH=", 5) == 0)
            g_ptr_array_add(caps->auth, g_ascii_strup(*word + 5, -1));
        else if (g_ascii_strcasecmp(*word, "IMAP4rev1") == 0)
            is_rev1 = TRUE;
        if (cap == IMAP_CAP_APPENDLIMIT)
            caps->append_limit = append_limit_of(*word);
    }
    g_ptr_array_add(caps->auth, NULL);
    if (caps->has[IMAP_CAP_QRESYNC])
        caps->has[IMAP_CAP_CONDSTORE] = TRUE;
    if (caps->has[IMAP_CAP_IMAP4REV2] && !is_rev1)
        imply_rev2(caps);
}

char *imap_response_words(const ImapResponse *response)
{
    GString *line = g_string_new(NULL);
    ImapArgs args = response->args;
    const ImapArg *arg;

    while ((arg = imap_args_next(&args))) {
        const char *text = imap_arg_text(arg);

        if (!text)
            continue;
        if (line->len > 0)
            g_string_append_c(line, ' ');
        g_string_append(line, text);
    }
    return g_string_free(line, FALSE);
}

/* -- LIST and STATUS --------------------------------------------------------------------------- */

static const Word list_words[] = {
    {"\\Noselect", IMAP_LIST_NOSELECT},
    {"\\NonExistent", IMAP_LIST_NONEXISTENT | IMAP_LIST_NOSELECT},
    {"\\Noinferiors", IMAP_LIST_NOINFERIORS},
    {"\\Subscribed", IMAP_LIST_SUBSCRIBED},
    {"\\All", IMAP_LIST_ALL},
    {"\\Archive", IMAP_LIST_ARCHIVE},
    {"\\Drafts", IMAP_LIST_DRAFTS},
    {"\\Flagged", IMAP_LIST_FLAGGED},
    {"\\Junk", IMAP_LIST_JUNK},
    {"\\Sent", IMAP_LIST_SENT},
    {"\\Trash", IMAP_LIST_TRASH},
    {NULL, 0},
};

static char delimiter_of(const ImapArg *arg)
{
    const char *text = imap_arg_text(arg);

    return text && strlen(text) == 1 && g_ascii_isgraph(*text) ? *text : '\0';
}

/* OLDNAME among the extended data items: ("CHILDINFO" ("SUBSCRIBED") "OLDNAME" ("a")). */
static const char *old_name_of(const ImapArg *extended)
{
    ImapArgs items = imap_arg_list(extended);
    const ImapArg *name, *value;

    while ((name = imap_args_next(&items)) && (value = imap_args_next(&items))) {
        const char *text = imap_arg_text(name);

        if (text && g_ascii_strcasecmp(text, "OLDNAME") == 0)
            return astring(imap_arg_unwrap(value));
    }
    return NULL;
}

gboolean imap_response_list(const ImapResponse *response, ImapListItem *ret_item)
{
    ImapArgs args = response->args, flags;
    const ImapArg *flag;
    ImapListItem item = {0};

    flags = imap_arg_list(imap_args_next(&args));
    while ((flag = imap_args_next(&flags)))
        if (flag->type == IMAP_ARG_ATOM)
            item.flags |= word_bit(list_words, flag->text);
    if (strcmp(response->name, "LSUB") == 0)
        item.flags |= IMAP_LIST_SUBSCRIBED;
    item.delimiter = delimiter_of(imap_args_next(&args));
    item.mailbox = astring(imap_args_next(&args));
    item.old_name = old_name_of(imap_args_next(&args));
    if (!item.mailbox)
        return FALSE;
    *ret_item = item;
    return TRUE;
}

static const Word status_words[] = {
    {"MESSAGES", IMAP_STATUS_MESSAGES},
    {"UIDNEXT", IMAP_STATUS_UIDNEXT},
    {"UIDVALIDITY", IMAP_STATUS_UIDVALIDITY},
    {"UNSEEN", IMAP_STATUS_UNSEEN},
    {"HIGHESTMODSEQ", IMAP_STATUS_HIGHESTMODSEQ},
    {"SIZE", IMAP_STATUS_SIZE},
    {"MAILBOXID", IMAP_STATUS_MAILBOXID},
    {NULL, 0},
};

static void read_status_item(ImapStatusItems item, const ImapArg *value, ImapStatus *status)
{
    gboolean is_wide = item == IMAP_STATUS_HIGHESTMODSEQ || item == IMAP_STATUS_SIZE;
    guint64 number = 0;

    if (item == IMAP_STATUS_MAILBOXID) {
        status->mailbox_id = imap_arg_text(imap_arg_unwrap(value));
        if (!status->mailbox_id)
            return;
    } else if (!imap_arg_number(value, is_wide ? G_MAXINT64 : G_MAXUINT32, &number)) {
        return;
    }
    status->items |= item;
    if (item == IMAP_STATUS_MESSAGES)
        status->messages = (guint32)number;
    else if (item == IMAP_STATUS_UIDNEXT)
        status->uidnext = (guint32)number;
    else if (item == IMAP_STATUS_UIDVALIDITY)
        status->uidvalidity = (guint32)number;
    else if (item == IMAP_STATUS_UNSEEN)
        status->unseen = (guint32)number;
    else if (item == IMAP_STATUS_HIGHESTMODSEQ)
        status->highestmodseq = number;
    else if (item == IMAP_STATUS_SIZE)
        status->size = number;
}

gboolean imap_response_status(const ImapResponse *response, ImapStatus *ret_status)
{
    ImapArgs args = response->args, items;
    const ImapArg *name, *value;
    ImapStatus status = {.mailbox = astring(imap_args_next(&args))};

    if (!status.mailbox)
        return FALSE;
    items = imap_arg_list(imap_args_next(&args));
    while ((name = imap_args_next(&items)) && (value = imap_args_next(&items)))
        if (name->type == IMAP_ARG_ATOM && word_bit(status_words, name->text))
            read_status_item(word_bit(status_words, name->text), value, &status);
    *ret_status = status;
    return TRUE;
}

gboolean imap_response_number(const ImapResponse *response, guint32 *ret_number)
{
    if (!response->has_number || response->number > G_MAXUINT32)
        return FALSE;
    *ret_number = (guint32)response->number;
    return TRUE;
}

/* -- SEARCH and VANISHED ----------------------------------------------------------------------- */

gboolean imap_response_search(const ImapResponse *response, UidSet *set)
{
    ImapArgs args = response->args;
    const ImapArg *arg;

    while ((arg = imap_args_next(&args))) {
        guint64 uid;

        if (arg->type == IMAP_ARG_LIST) /* (MODSEQ 12) */
            continue;
        if (!imap_arg_number(arg, G_MAXUINT32, &uid))
            return FALSE;
        uid_set_add(set, (guint32)uid);
    }
    return TRUE;
}

/* "(TAG "A1")" */
static gboolean answers(const ImapArg *correlator, const char *tag)
{
    ImapArgs args = imap_arg_list(correlator);
    const ImapArg *word = imap_args_next(&args);

    return imap_arg_is(word, "TAG") && g_strcmp0(imap_arg_text(imap_args_next(&args)), tag) == 0;
}

gboolean imap_response_esearch(const ImapResponse *response, const char *tag, UidSet *set,
                               gboolean *ret_has_all)
{
    ImapArgs args = response->args;
    const ImapArg *name = imap_args_next(&args), *value;
    gboolean has_all = FALSE;

    if (!name || name->type != IMAP_ARG_LIST || !answers(name, tag))
        return FALSE;
    if (!imap_arg_is(imap_args_next(&args), "UID"))
        return FALSE;
    while ((name = imap_args_next(&args)) && (value = imap_args_next(&args))) {
        const char *text = imap_arg_text(value);
        g_autoptr(UidSet) all = NULL;

        if (!imap_arg_is(name, "ALL"))
            continue;
        all = text ? uid_set_parse(text, strlen(text)) : NULL;
        if (!all)
            return FALSE;
        uid_set_add_set(set, all);
        has_all = TRUE;
    }
    *ret_has_all = has_all;
    return TRUE;
}

UidSet *imap_response_vanished(const ImapResponse *response, gboolean *ret_earlier)
{
    ImapArgs args = response->args, modifier;
    const ImapArg *arg = imap_args_next(&args);
    gboolean earlier = FALSE;
    const char *text;

    if (arg && arg->type == IMAP_ARG_LIST) {
        modifier = imap_arg_list(arg);
        earlier = imap_arg_is(imap_args_next(&modifier), "EARLIER");
        if (!earlier)
            return NULL;
        arg = imap_args_next(&args);
    }
    text = imap_arg_text(arg);
    *ret_earlier = earlier;
    return text ? uid_set_parse(text, strlen(text)) : NULL;
}

/* -- ID, NAMESPACE, QUOTA, MYRIGHTS ------------------------------------------------------------ */

const char *imap_response_id_name(const ImapResponse *response)
{
    ImapArgs args = response->args, fields = imap_arg_list(imap_args_next(&args));
    const ImapArg *name, *value;

    while ((name = imap_args_next(&fields)) && (value = imap_args_next(&fields))) {
        const char *text = imap_arg_text(name);

        if (text && g_ascii_strcasecmp(text, "name") == 0)
            return imap_arg_text(value);
    }
    return NULL;
}

ImapArgs imap_response_namespaces(const ImapResponse *response)
{
    ImapArgs args = response->args;

    return imap_arg_list(imap_args_next(&args));
}

gboolean imap_namespace_next(ImapArgs *walk, const char **ret_prefix, char *ret_delimiter)
{
    const ImapArg *arg;

    while ((arg = imap_args_next(walk))) {
        ImapArgs parts = imap_arg_list(arg);
        const char *prefix = imap_arg_text(imap_args_next(&parts));

        if (!prefix)
            continue;
        *ret_prefix = prefix;
        *ret_delimiter = delimiter_of(imap_args_next(&parts));
        return TRUE;
    }
    return FALSE;
}

gboolean imap_response_quota(const ImapResponse *response, const char **ret_root,
                             guint64 *ret_used_kib, guint64 *ret_limit_kib)
{
    ImapArgs args = response->args, resources;
    const char *root = astring(imap_args_next(&args));
    const ImapArg *name;

    resources = imap_arg_list(imap_args_next(&args));
    while (root && (name = imap_args_next(&resources))) {
        const ImapArg *used = imap_args_next(&resources), *limit = imap_args_next(&resources);
        guint64 used_kib, limit_kib;

        if (!imap_arg_is(name, "STORAGE") || !imap_arg_number(used, G_MAXINT64, &used_kib) ||
            !imap_arg_number(limit, G_MAXINT64, &limit_kib))
            continue;
        *ret_root = root;
        *ret_used_kib = used_kib;
        *ret_limit_kib = limit_kib;
        return TRUE;
    }
    return FALSE;
}

gboolean imap_response_my_rights(const ImapResponse *response, const char **ret_mailbox,
                                 const char **ret_rights)
{
    ImapArgs args = response->args;
    const char *mailbox = astring(imap_args_next(&args));
    const char *rights = imap_arg_text(imap_args_next(&args));

    if (!mailbox || !rights)
        return FALSE;
    *ret_mailbox = mailbox;
    *ret_rights = rights;
    return TRUE;
}
