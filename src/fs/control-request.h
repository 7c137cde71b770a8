/* What a request of .mailfs/control asks for, checked; see control.c for their list.
 *
 * Pure: nothing here knows a mailbox.  Paths are text relative to the mount point, as the command
 * line made them: no leading slash, no "." or "..".
 */
#pragma once

#include <glib.h>

typedef struct {
    char *directory;  /* "INBOX/Projects"; "" for the top */
    GPtrArray *names; /* of char *, in the order of the request, each once */
} ControlGroup;

/* The path of name @i of @group.  The caller owns it. */
char *control_group_path(const ControlGroup *group, guint i);

typedef struct {
    char *command;
    char *path;        /* "" where none was given */
    GPtrArray *groups; /* of ControlGroup: "paths", a group a directory; may be empty */
    char *to;          /* NULL where none was given */
    guint16 add, remove;                  /* MessageFlags */
    char *add_keywords, *remove_keywords; /* blank-separated, or NULL */
    char *verb;        /* "" where none was given */
    GArray *ids;       /* of guint64 */
    guint64 job;
} ControlRequest;

/* INVALID with a sentence for what is no request: no JSON object, no command, members of another
 * type, paths that lead out of the mount, words that are no flags. */
ControlRequest *control_request_parse(const char *text, gsize length, GError **error);
void control_request_free(ControlRequest *request); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ControlRequest, control_request_free)

guint control_request_n_paths(const ControlRequest *request);
gboolean control_request_has_flags(const ControlRequest *request); /* something is to change */
