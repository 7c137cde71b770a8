/* The tree of an account's mailboxes.
 *
 * A path such as Work/2026/June may be listed without Work or Work/2026, for IMAP has no
 * directories; what is missing is filled in as a container with a number of its own, so that
 * everything above can take "a directory is a mailbox" for granted.
 */
#include "model/account.h"
#include "base/limits.h"

#include <string.h>

Account *account_new(const char *id, guint8 number, AccountShowFunc show)
{
    Account *account = g_new0(Account, 1);
    char *no_path[] = {NULL};

    account->id = g_strdup(id);
    account->number = number;
    account->show = show;
    account->next_number = 1;
    account->by_number = g_hash_table_new(g_direct_hash, g_direct_equal);
    account->by_wire = g_hash_table_new(g_str_hash, g_str_equal);
    account->all = g_ptr_array_new_with_free_func((GDestroyNotify)mailbox_free);
    account->root = mailbox_new(0, "", no_path);
    account->root->is_container = TRUE;
    account->root->load = MAILBOX_LOADED;
    account->root->label = g_strdup(id);
    g_ptr_array_add(account->all, account->root);
    g_hash_table_insert(account->by_number, GUINT_TO_POINTER(0), account->root);
    return account;
}

void account_free(Account *account)
{
    if (!account)
        return;
    g_hash_table_unref(account->by_number);
    g_hash_table_unref(account->by_wire);
    g_ptr_array_unref(account->all);
    g_free(account->id);
    g_free(account);
}

Mailbox *account_find_number(const Account *account, guint16 number)
{
    return g_hash_table_lookup(account->by_number, GUINT_TO_POINTER(number));
}

Mailbox *account_find_wire(const Account *account, const char *wire)
{
    /* RFC 9051 section 5.1: INBOX, and nothing else, is case-blind. */
    if (g_ascii_strcasecmp(wire, "INBOX") == 0)
        wire = "INBOX";
    return g_hash_table_lookup(account->by_wire, wire);
}

Mailbox *account_find_label(const Mailbox *parent, const char *label)
{
    for (guint i = 0; i < parent->children->len; i++) {
        Mailbox *child = g_ptr_array_index(parent->children, i);

        if (g_str_equal(child->label, label))
            return child;
    }
    return NULL;
}

Mailbox *account_find_path(const Account *account, const char *shown_path)
{
    g_auto(GStrv) labels = g_strsplit(shown_path, "/", -1);
    Mailbox *mailbox = account->root;

    for (guint i = 0; labels[i] && mailbox; i++)
        if (*labels[i])
            mailbox = account_find_label(mailbox, labels[i]);
    return mailbox;
}

/* The number for @wire: the one it had before it went, so that inodes stay what they were, or
 * the next that is free.  0 after 65535. */
static guint16 take_number(Account *account, const char *wire)
{
    for (guint i = 0; i < account->all->len; i++) {
        const Mailbox *old = g_ptr_array_index(account->all, i);

        if (old->is_gone && g_str_equal(old->wire, wire))
            return old->number;
    }
    while (account->next_number != 0) {
        guint16 number = account->next_number++;

        if (!account_find_number(account, number))
            return number;
    }
    account->next_number = 0;
    return 0;
}

static char *make_label(const Account *account, const Mailbox *parent, const Mailbox *mailbox)
{
    guint depth = g_strv_length(mailbox->path);
    const char *component = mailbox->path[depth - 1];
    char *label = account->show(component, strlen(component), depth == 1);

    /* Two wire names that decode to the same text: the second says its number. */
    if (account_find_label(parent, label)) {
        char *numbered = g_strdup_printf("%s~%u", label, mailbox->number);

        g_free(label);
        label = numbered;
    }
    return label;
}

static void add_child(const Account *account, Mailbox *parent, Mailbox *mailbox)
{
    GPtrArray *children = parent->children;
    guint at = children->len;

    g_free(mailbox->label);
    mailbox->parent = parent;
    mailbox->label = make_label(account, parent, mailbox);
    while (at > 0 &&
           ((Mailbox *)g_ptr_array_index(children, at - 1))->number > mailbox->number)
        at--;
    g_ptr_array_insert(children, (gint)at, mailbox);
}

static Mailbox *insert(Account *account, const AccountMailboxSpec *spec, Mailbox *parent)
{
    const char *wire = g_ascii_strcasecmp(spec->wire, "INBOX") == 0 ? "INBOX" : spec->wire;
    guint16 number = spec->number ? spec->number : take_number(account, wire);
    Mailbox *mailbox;

    if (number == 0 || account_find_number(account, number))
        return NULL;
    if (number >= account->next_number && account->next_number != 0)
        account->next_number = (guint16)(number + 1);
    mailbox = mailbox_new(number, wire, spec->path);
    mailbox->delimiter = spec->delimiter;
    add_child(account, parent, mailbox);
    g_ptr_array_add(account->all, mailbox);
    g_hash_table_insert(account->by_number, GUINT_TO_POINTER(number), mailbox);
    g_hash_table_insert(account->by_wire, mailbox->wire, mailbox);
    return mailbox;
}

/* The wire name of the first @depth components. */
static char *wire_of_prefix(const AccountMailboxSpec *spec, guint depth)
{
    GString *wire = g_string_new(NULL);

    for (guint i = 0; i < depth; i++) {
        g_autofree char *component = spec->encode(spec->path[i]);

        if (i > 0)
            g_string_append_c(wire, spec->delimiter);
        g_string_append(wire, component);
    }
    return g_string_free(wire, FALSE);
}

static Mailbox *find_or_make_parent(Account *account, const AccountMailboxSpec *spec,
                                    guint depth, GPtrArray *ret_made)
{
    Mailbox *parent = account->root;

    for (guint i = 1; i < depth; i++) {
        g_autofree char *wire = wire_of_prefix(spec, i);
        Mailbox *next = account_find_wire(account, wire);

        if (!next) {
            char *last = g_steal_pointer(&spec->path[i]); /* cut the path for a moment */
            AccountMailboxSpec above = {0, wire, spec->path, spec->delimiter, spec->encode};

            next = insert(account, &above, parent);
            spec->path[i] = last;
            if (!next)
                return NULL;
            next->is_container = TRUE;
            next->load = MAILBOX_LOADED;
            if (ret_made)
                g_ptr_array_add(ret_made, next);
        }
        parent = next;
    }
    return parent;
}

Mailbox *account_add(Account *account, const AccountMailboxSpec *spec, GPtrArray *ret_made)
{
    guint depth = g_strv_length(spec->path);
    Mailbox *mailbox = account_find_wire(account, spec->wire);
    Mailbox *parent;

    if (mailbox)
        return mailbox;
    if (depth == 0 || depth > LIMIT_MAILBOX_DEPTH || account->all->len > LIMIT_MAILBOXES)
        return NULL;
    parent = find_or_make_parent(account, spec, depth, ret_made);
    return parent ? insert(account, spec, parent) : NULL;
}

void account_reserve(Account *account, guint16 number, const char *wire)
{
    char *no_path[] = {NULL};
    Mailbox *gone;

    if (number == 0 || account_find_number(account, number))
        return;
    gone = mailbox_new(number, wire, no_path);
    gone->is_gone = TRUE;
    g_ptr_array_add(account->all, gone);
    if (number >= account->next_number && account->next_number != 0)
        account->next_number = (guint16)(number + 1);
}

void account_remove(Account *account, Mailbox *mailbox)
{
    g_assert(mailbox->parent != NULL);
    while (mailbox->children->len > 0)
        account_remove(account, g_ptr_array_index(mailbox->children, 0));
    g_ptr_array_remove(mailbox->parent->children, mailbox);
    g_hash_table_remove(account->by_number, GUINT_TO_POINTER(mailbox->number));
    g_hash_table_remove(account->by_wire, mailbox->wire);
    g_ptr_array_unref(mailbox_steal_all(mailbox));
    mailbox->n_messages = 0;
    mailbox->is_gone = TRUE;
}

/* -- Renaming ---------------------------------------------------------------------------------- */

static char **join_path(char **above, const char *component)
{
    GPtrArray *path = g_ptr_array_new();

    for (char **each = above; *each; each++)
        g_ptr_array_add(path, g_strdup(*each));
    g_ptr_array_add(path, g_strdup(component));
    g_ptr_array_add(path, NULL);
    return (char **)g_ptr_array_free(path, FALSE);
}

/* Gives @mailbox the path below its parent's, and @wire; then what lies below it.  A wire name that
 * does not begin with its parent's is another spelling, which no server renames along. */
static void rename_subtree(Account *account, Mailbox *mailbox, const char *wire)
{
    guint depth = g_strv_length(mailbox->path);
    char **path = join_path(mailbox->parent->path, mailbox->path[depth - 1]);
    g_autofree char *before = g_steal_pointer(&mailbox->wire);

    g_hash_table_remove(account->by_wire, before);
    g_strfreev(mailbox->path);
    mailbox->path = path;
    mailbox->wire = g_strdup(wire);
    g_hash_table_insert(account->by_wire, mailbox->wire, mailbox);
    for (guint i = 0; i < mailbox->children->len; i++) {
        Mailbox *child = g_ptr_array_index(mailbox->children, i);
        g_autofree char *below = NULL;

        if (g_str_has_prefix(child->wire, before))
            below = g_strconcat(wire, child->wire + strlen(before), NULL);
        rename_subtree(account, child, below ? below : child->wire);
    }
}

void account_rename(Account *account, Mailbox *mailbox, Mailbox *parent, const char *component,
                    const char *wire)
{
    char **path = join_path(parent->path, component);

    g_assert(mailbox->parent != NULL);
    /* Whoever had the new name before and went does not come back for it. */
    for (guint i = 0; i < account->all->len; i++) {
        Mailbox *gone = g_ptr_array_index(account->all, i);

        if (gone->is_gone && g_str_equal(gone->wire, wire))
            *gone->wire = '\0';
    }
    g_ptr_array_remove(mailbox->parent->children, mailbox);
    g_strfreev(mailbox->path);
    mailbox->path = path; /* first, for the label is made of it */
    add_child(account, parent, mailbox);
    rename_subtree(account, mailbox, wire);
}
