/* Counts of commands by their names.  See command-counts.h. */
#include "store/command-counts.h"

GHashTable *command_counts_new(void)
{
    return g_hash_table_new(g_str_hash, g_str_equal);
}

void command_counts_add(GHashTable *counts, const char *name, guint n)
{
    guint before = GPOINTER_TO_UINT(g_hash_table_lookup(counts, name));

    g_hash_table_insert(counts, (gpointer)name, GUINT_TO_POINTER(before + n));
}

GHashTable *command_counts_copy(GHashTable *counts)
{
    GHashTable *copy = command_counts_new();
    GHashTableIter iter;
    gpointer name, count;

    g_hash_table_iter_init(&iter, counts);
    while (g_hash_table_iter_next(&iter, &name, &count))
        g_hash_table_insert(copy, name, count);
    return copy;
}
