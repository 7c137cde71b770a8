/* The queue as JSON.  See queue-json.h.  Field names are a promise, as those of status.json. */
#include "store/queue-json.h"

static void set_text(JsonObject *object, const char *name, const char *value)
{
    if (value)
        json_object_set_string_member(object, name, value);
    else
        json_object_set_null_member(object, name);
}

/* The path that is shown; the wire name of what is not there. */
static char *shown_path(const Store *store, guint16 number, const char *wire)
{
    const Account *account = store_account(store);
    const Mailbox *mailbox = number ? account_find_number(account, number) : NULL;

    if (!mailbox && wire)
        mailbox = account_find_wire(account, wire);
    return mailbox && *mailbox->wire ? mailbox_shown_path(mailbox) : g_strdup(wire);
}

static const char *state_word(JournalState state)
{
    switch (state) {
    case JOURNAL_PREP:
        return "waiting";
    case JOURNAL_FAILED:
        return "failed";
    default:
        return "sent";
    }
}

static const char *verb_word(const JournalEntry *entry)
{
    static const char *const words[] = {
        [MAILBOX_CREATE] = "mkdir", [MAILBOX_DELETE] = "rmdir", [MAILBOX_RENAME] = "rename"};

    if (entry->kind == JOURNAL_MAILBOX && entry->verb < G_N_ELEMENTS(words))
        return words[entry->verb];
    return journal_kind_name(entry->kind);
}

JsonObject *queue_json_entry(const Store *store, const JournalEntry *entry)
{
    JsonObject *object = json_object_new();
    g_autofree char *mailbox = shown_path(store, entry->mailbox, entry->wire);
    g_autofree char *target = shown_path(store, entry->target_mailbox, entry->target);

    json_object_set_string_member(object, "account", store_account(store)->id);
    json_object_set_int_member(object, "id", (gint64)entry->id);
    json_object_set_string_member(object, "kind", verb_word(entry));
    json_object_set_string_member(object, "state", state_word(entry->state));
    set_text(object, "mailbox", mailbox);
    set_text(object, "target", target);
    set_text(object, "name", entry->name);
    json_object_set_int_member(object, "messages", entry->messages ? entry->messages->len : 0);
    json_object_set_int_member(object, "size", (gint64)entry->size);
    json_object_set_int_member(object, "made", entry->made);
    json_object_set_int_member(object, "tries", entry->n_tries);
    set_text(object, "reason", entry->reason);
    return object;
}

/* What the backend has noted: no entry of ours, and so without an id. */
static JsonObject *owed_entry(const Store *store)
{
    g_autoptr(JournalEntry) entry = journal_entry_new(JOURNAL_EXPUNGE);
    StoreFacts facts;

    store_facts(store, &facts);
    entry->state = JOURNAL_PREP;
    entry->wire = g_strdup("INBOX");
    g_array_set_size(entry->messages, store_queue_owed(store));
    entry->made = g_get_real_time() / G_USEC_PER_SEC;
    entry->reason = g_strdup(facts.link > LINK_ONLINE ? facts.reason : NULL);
    return queue_json_entry(store, entry);
}

void queue_json_append(const Store *store, JsonArray *array)
{
    g_autoptr(GPtrArray) queue = store_queue(store);

    if (store_queue_owed(store) > 0)
        json_array_add_object_element(array, owed_entry(store));
    for (guint i = 0; i < queue->len; i++)
        json_array_add_object_element(array,
                                      queue_json_entry(store, g_ptr_array_index(queue, i)));
}

static gboolean is_about(const JournalEntry *entry, const Mailbox *mailbox, guint64 item)
{
    gboolean is_here = entry->mailbox == mailbox->number;
    gboolean is_there = entry->target_mailbox == mailbox->number;

    if (is_here && entry->item == item)
        return TRUE;
    for (guint i = 0; entry->messages && (is_here || is_there) && i < entry->messages->len; i++) {
        const JournalMessage *message = &g_array_index(entry->messages, JournalMessage, i);

        if ((is_here && message->item == item) || (is_there && message->new_item == item))
            return TRUE;
    }
    return FALSE;
}

const JournalEntry *queue_find(const Store *store, const Mailbox *mailbox, guint64 item)
{
    g_autoptr(GPtrArray) queue = store_queue(store);
    const JournalEntry *found = NULL;

    for (guint i = 0; i < queue->len; i++) {
        const JournalEntry *entry = g_ptr_array_index(queue, i);

        if (is_about(entry, mailbox, item) && (!found || found->state != JOURNAL_FAILED))
            found = entry;
    }
    return found;
}
