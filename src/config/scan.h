/* The lines of a configuration file: which group and key stands where.
 *
 * GKeyFile reads the same syntax but tells no line numbers, neither for its own errors nor for
 * the keys it has read.  So the lines are taken apart here and each value is then decoded by
 * GKeyFile (see "config/value.h"), which keeps its rules for escapes and lists.
 */
#pragma once

#include <glib.h>

/* Errors are collected, so that one run shows them all. */
typedef struct {
    const char *file;
    GArray *lines; /* internal */
} ConfigErrors;

void config_errors_init(ConfigErrors *errors, const char *file); /* borrows @file */
void config_errors_clear(ConfigErrors *errors);

void config_errors_add(ConfigErrors *errors, guint line, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* TRUE when there are none.  Otherwise FALSE and INVALID with all of them, "FILE:LINE:
 * sentence", in the order of lines. */
gboolean config_errors_check(const ConfigErrors *errors, GError **error);

typedef struct {
    guint line; /* from 1 */
    char *name;
    char *raw; /* the value, without blanks around it, escapes still in place */
} ConfigEntry;

typedef struct {
    guint line;
    char *name;
    GPtrArray *entries; /* of ConfigEntry */
} ConfigGroup;

/* The groups of @text in order, without any judgement of their names.  Lines that are neither
 * blank, comment, [group] nor key=value go to @errors, and so do bytes that are no text.  The
 * caller owns the array, which frees its groups. */
GPtrArray *config_scan(const char *text, gsize length, ConfigErrors *errors);
