/* Extended attributes, for accounts with xattr=on.
 *
 * Read only, and made when they are asked for.  Without the option the answer is ENOSYS, after
 * which the kernel asks no more: one ENODATA instead makes `ls -l` of 100,000 files send 200,003
 * requests (measured), so mounts of several accounts answer so only if none of them wants it.
 */
#include "fs/internal.h"
#include "tree/attr.h"

#include <errno.h>
#include <string.h>

typedef struct {
    const char *name;
    /* The value, owned by the caller; NULL: this message has none. */
    char *(*value)(const FsNode *node);
} Attribute;

static char *uid_value(const FsNode *node)
{
    return g_strdup_printf("%u", node->message->uid);
}

static char *uidvalidity_value(const FsNode *node)
{
    return g_strdup_printf("%u", node->mailbox->uidvalidity);
}

static char *flags_value(const FsNode *node)
{
    g_autoptr(GString) out = g_string_new(NULL);

    for (guint i = 0; message_flag_names[i]; i++)
        if (node->message->flags & 1u << i)
            g_string_append_printf(out, "%s%s", out->len ? " " : "", message_flag_names[i]);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static char *keywords_value(const FsNode *node)
{
    return g_strdup(node->message->keywords);
}

static char *cached_value(const FsNode *node)
{
    return g_strdup(node->message->is_cached ? "yes" : "no");
}

/* The freedesktop.org tags: separated by commas. */
static char *tags_value(const FsNode *node)
{
    char *tags = g_strdup(node->message->keywords);

    return tags ? g_strdelimit(tags, " ", ',') : NULL;
}

static const Attribute attributes[] = {
    {"user.mailfs.uid", uid_value},
    {"user.mailfs.uidvalidity", uidvalidity_value},
    {"user.mailfs.flags", flags_value},
    {"user.mailfs.keywords", keywords_value},
    {"user.mailfs.cached", cached_value},
    {"user.xdg.tags", tags_value},
};

/* The attributes of @node as far as it has any: 0, or the error to answer. */
static int find(const Fs *fs, fuse_ino_t ino, FsNode *ret_node)
{
    gboolean is_on = FALSE;

    for (guint i = 0; i < fs->stores->len; i++)
        is_on |= store_config(g_ptr_array_index(fs->stores, i))->xattr;
    if (!is_on)
        return ENOSYS;
    if (!fs_node(fs, ino, ret_node))
        return ENOENT;
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
