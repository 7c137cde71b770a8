/* Extended attributes, for accounts with xattr=on.
 *
 * They are made when they are asked for; setting flags, keywords or tags is a STORE.  Without the
 * option the answer is ENOSYS, after which the kernel asks no more: one ENODATA instead makes
 * `ls -l` of 100,000 files send 200,003 requests (measured), so mounts of several accounts answer
 * so only if none of them wants it.
 */
#include "fs/internal.h"
#include "base/text.h"
#include "store/queue-json.h"
#include "tree/attr.h"

#include <errno.h>
#include <string.h>

/* What is to be done for a new value; the texts are owned. */
typedef struct {
    guint16 add, remove;
    GString *add_keywords, *remove_keywords; /* blank-separated */
} Change;

typedef struct {
    const char *name;
    /* The value, owned by the caller; NULL: this file has none. */
    char *(*value)(const FsNode *node);
    /* FALSE when @text makes no sense.  NULL: cannot be set. */
    gboolean (*set)(const Message *message, const char *text, Change *change);
} Attribute;

/* -- Values ------------------------------------------------------------------------------------ */

static char *uid_value(const FsNode *node)
{
    return node->message ? g_strdup_printf("%u", node->message->uid) : NULL;
}

static char *uidvalidity_value(const FsNode *node)
{
    return g_strdup_printf("%u", node->mailbox->uidvalidity);
}

static char *flags_value(const FsNode *node)
{
    g_autoptr(GString) out = g_string_new(NULL);

    if (!node->message)
        return NULL;
    for (guint i = 0; message_flag_names[i]; i++)
        if (node->message->flags & 1u << i)
            g_string_append_printf(out, "%s%s", out->len ? " " : "", message_flag_names[i]);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static char *keywords_value(const FsNode *node)
{
    return node->message ? g_strdup(node->message->keywords) : NULL;
}

static char *cached_value(const FsNode *node)
{
    return g_strdup(node->local || node->message->is_cached ? "yes" : "no");
}

/* The freedesktop.org tags: separated by commas. */
static char *tags_value(const FsNode *node)
{
    char *tags = keywords_value(node);

    return tags ? g_strdelimit(tags, " ", ',') : NULL;
}

static const JournalEntry *find_entry(const FsNode *node)
{
    return queue_find(node->store, node->mailbox,
                      node->local ? node->local->item : node->message->item);
}

static char *pending_value(const FsNode *node)
{
    const JournalEntry *entry = find_entry(node);
    gboolean is_unsent = node->local && node->local->kind != LOCAL_SCRATCH &&
                         local_is_dirty(node->local);

    return g_strdup(is_unsent || (entry && entry->state != JOURNAL_FAILED) ? "yes" : "no");
}

static char *state_value(const FsNode *node)
{
    return g_strdup(fs_node_state(node));
}

static char *error_value(const FsNode *node)
{
    const JournalEntry *entry = find_entry(node);

    return entry ? g_strdup(entry->reason) : NULL;
}

/* -- Setting ----------------------------------------------------------------------------------- */

/* "+word" and "-word" change what is there; words alone are all that is to be there.  Returns '+',
 * '-' or, for all words alone, '='; 0 when they are mixed. */
static char operation_of(char **words)
{
    char first = 0;

    for (guint i = 0; words[i]; i++) {
        gboolean is_delta = words[i][0] == '+' || words[i][0] == '-';
        char each = is_delta ? '+' : '=';

        if (first && first != each)
            return 0;
        first = each;
    }
    return first ? first : '=';
}

static char **split(const char *text, const char *delimiters)
{
    char **words = g_strsplit_set(text, delimiters, -1);
    guint n = 0;

    for (guint i = 0; words[i]; i++) {
        g_strstrip(words[i]);
        if (*words[i])
            words[n++] = words[i];
        else
            g_free(words[i]);
    }
    words[n] = NULL;
    return words;
}

static gboolean set_flags(const Message *message, const char *text, Change *change)
{
    g_auto(GStrv) words = split(text, " ,\n");
    char operation = operation_of(words);

    if (operation == '=')
        change->remove = message->flags;
    for (guint i = 0; words[i]; i++) {
        guint16 flag = message_flag_of(words[i] + (operation == '+'));

        if (!flag)
            return FALSE;
        if (words[i][0] == '-')
            change->remove |= flag;
        else
            change->add |= flag;
    }
    change->remove &= (guint16)~change->add;
    return operation != 0;
}

static void append_word(GString *words, const char *word)
{
    g_string_append_printf(words, "%s%s", words->len ? " " : "", word);
}

static gboolean set_words(const Message *message, char **words, char operation, Change *change)
{
    g_auto(GStrv) before = split(message->keywords ? message->keywords : "", " ");

    if (!operation)
        return FALSE;
    for (guint i = 0; words[i]; i++) {
        const char *word = words[i] + (operation == '+');

        if (!text_is_keyword(word))
            return FALSE;
        append_word(words[i][0] == '-' ? change->remove_keywords : change->add_keywords, word);
    }
    for (guint i = 0; operation == '=' && before[i]; i++)
        if (!g_strv_contains((const char *const *)words, before[i]))
            append_word(change->remove_keywords, before[i]);
    return TRUE;
}

static gboolean set_keywords(const Message *message, const char *text, Change *change)
{
    g_auto(GStrv) words = split(text, " \n");

    return set_words(message, words, operation_of(words), change);
}

static gboolean set_tags(const Message *message, const char *text, Change *change)
{
    g_auto(GStrv) words = split(text, ",");

    return set_words(message, words, '=', change);
}

static const Attribute attributes[] = {
    {"user.mailfs.uid", uid_value, NULL},
    {"user.mailfs.uidvalidity", uidvalidity_value, NULL},
    {"user.mailfs.flags", flags_value, set_flags},
    {"user.mailfs.keywords", keywords_value, set_keywords},
    {"user.mailfs.cached", cached_value, NULL},
    {"user.mailfs.pending", pending_value, NULL},
    {"user.mailfs.state", state_value, NULL},
    {"user.mailfs.error", error_value, NULL},
    {"user.xdg.tags", tags_value, set_tags},
};

/* -- Requests ---------------------------------------------------------------------------------- */

/* The attributes of @node as far as it has any: 0, or the error to answer. */
static int find(const Fs *fs, fuse_ino_t ino, FsNode *ret_node)
{
    gboolean is_on = FALSE;

    for (guint i = 0; i < fs->stores->len; i++)
        is_on |= store_config(g_ptr_array_index(fs->stores, i))->xattr;
    if (!is_on)
        return ENOSYS;
    if (!fs_node(fs, ino, ret_node))
        return ESTALE;
    return ret_node->kind == INODE_MESSAGE && store_config(ret_node->store)->xattr ? 0 : ENODATA;
}

/* @size 0 asks how much there is. */
static void reply(fuse_req_t req, const char *octets, gsize length, size_t size)
{
    if (size == 0)
        (void)fuse_reply_xattr(req, length);
    else if (length > size)
        (void)fuse_reply_err(req, ERANGE);
    else
        (void)fuse_reply_buf(req, octets, length);
}

void fs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    FsNode node;
    int errnum = find(fs_of(req), ino, &node);
    g_autofree char *value = NULL;

    for (guint i = 0; errnum == 0 && i < G_N_ELEMENTS(attributes); i++)
        if (g_str_equal(attributes[i].name, name))
            value = attributes[i].value(&node);
    if (value)
        reply(req, value, strlen(value), size);
    else
        (void)fuse_reply_err(req, errnum ? errnum : ENODATA);
}

void fs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    FsNode node;
    int errnum = find(fs_of(req), ino, &node);
    g_autoptr(GString) names = g_string_new(NULL);

    if (errnum && errnum != ENODATA) {
        (void)fuse_reply_err(req, errnum);
        return;
    }
    for (guint i = 0; errnum == 0 && i < G_N_ELEMENTS(attributes); i++) {
        g_autofree char *value = attributes[i].value(&node);

        if (value)
            g_string_append_len(names, attributes[i].name, (gssize)strlen(attributes[i].name) + 1);
    }
    reply(req, names->str, names->len, size);
}

static const Attribute *find_attribute(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(attributes); i++)
        if (g_str_equal(attributes[i].name, name))
            return &attributes[i];
    return NULL;
}

static void store_value(fuse_req_t req, const FsNode *node, const Attribute *attribute,
                        const char *text)
{
    g_autoptr(GString) add = g_string_new(NULL);
    g_autoptr(GString) remove = g_string_new(NULL);
    g_autoptr(GPtrArray) messages = g_ptr_array_new();
    Change change = {.add_keywords = add, .remove_keywords = remove};
    StoreFlags flags;
    FsTask *task;

    if (!attribute->set(node->message, text, &change)) {
        (void)fuse_reply_err(req, EINVAL);
        return;
    }
    flags = (StoreFlags){
        .add = change.add,
        .remove = change.remove,
        .add_keywords = add->len ? add->str : NULL,
        .remove_keywords = remove->len ? remove->str : NULL,
    };
    if (!flags.add && !flags.remove && !flags.add_keywords && !flags.remove_keywords) {
        (void)fuse_reply_err(req, 0);
        return;
    }
    g_ptr_array_add(messages, node->message);
    task = fs_task_new(req, fs_task_ok);
    fs_task_change(
        task, store_flag(node->store, node->mailbox, messages, &flags, fs_task_done, task));
}

/* ENODATA from find() is "no file of ours": here it means that nothing can be set there. */
static int find_to_set(const Fs *fs, fuse_ino_t ino, const char *name, FsNode *ret_node)
{
    int errnum = find(fs, ino, ret_node);
    const Attribute *attribute = find_attribute(name);

    if (errnum)
        return errnum == ENODATA ? EOPNOTSUPP : errnum;
    if (!attribute || !ret_node->message)
        return EOPNOTSUPP;
    return attribute->set ? 0 : EPERM;
}

void fs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                    size_t size, int flags)
{
    FsNode node;
    int errnum = find_to_set(fs_of(req), ino, name, &node);
    g_autofree char *text = g_strndup(value, size);

    if (errnum)
        (void)fuse_reply_err(req, errnum);
    else
        store_value(req, &node, find_attribute(name), text);
}

void fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    FsNode node;
    int errnum = find_to_set(fs_of(req), ino, name, &node);

    if (errnum)
        (void)fuse_reply_err(req, errnum);
    else
        store_value(req, &node, find_attribute(name), "");
}
