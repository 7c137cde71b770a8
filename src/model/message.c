/* Making and freeing rows.  See message.h. */
#include "model/message.h"

#include <string.h>

const char *const message_flag_names[] = {"seen",  "answered", "flagged", "deleted",
                                          "draft", NULL};

guint16 message_flag_of(const char *word)
{
    word += *word == '\\';
    for (guint i = 0; message_flag_names[i]; i++)
        if (g_ascii_strcasecmp(message_flag_names[i], word) == 0)
            return (guint16)(1u << i);
    return 0;
}

Message *message_new(void)
{
    return g_new0(Message, 1);
}

Message *message_copy(const Message *message)
{
    Message *copy = g_memdup2(message, sizeof *message);

    copy->name = g_strdup(message->name);
    if (copy->keywords)
        g_ref_string_acquire(copy->keywords);
    return copy;
}

void message_free(Message *message)
{
    if (!message)
        return;
    g_free(message->name);
    if (message->keywords)
        g_ref_string_release(message->keywords);
    g_free(message);
}

void message_set_keywords(Message *message, const char *keywords)
{
    char *old = message->keywords;

    /* Interned: nearly all messages of a mailbox carry one of a few combinations. */
    message->keywords = keywords && *keywords ? g_ref_string_new_intern(keywords) : NULL;
    if (old)
        g_ref_string_release(old);
}

gboolean message_has_keyword(const char *keywords, const char *keyword)
{
    gsize length = strlen(keyword);

    for (const char *word = keywords; word && *word; word += strspn(word, " ")) {
        gsize n = strcspn(word, " ");

        if (n == length && g_ascii_strncasecmp(word, keyword, n) == 0)
            return TRUE;
        word += n;
    }
    return FALSE;
}

guint64 message_fingerprint(const char *id)
{
    guint64 hash = 0xcbf29ce484222325; /* FNV-1a */

    if (!id || !*id)
        return 0;
    for (const char *p = id; *p; p++)
        hash = (hash ^ (guchar)*p) * 0x100000001b3;
    return hash ? hash : 1;
}
