/* Between the files that carry out requests of the command line:
 *
 *   control-request.c  what a request asks for
 *   control.c          answers, jobs, `info`, `sync`, `fetch`, `evict`
 *   control-change.c   `mv`, `rm`, `flag`
 *   control-queue.c    `queue`, `drain`
 *   control-later.c    requests that wait for a listing
 */
#pragma once

#include <json-glib/json-glib.h>

#include "fs/control-request.h"
#include "fs/internal.h"

/* -- Answers ----------------------------------------------------------------------------------- */

/* {"ok": true, or false ... the members that are added ... }, as the text that is sent. */
JsonBuilder *control_begin(gboolean ok);
void control_add_number(JsonBuilder *builder, const char *name, gint64 value);
void control_add_text(JsonBuilder *builder, const char *name, const char *value); /* NULL: null */
void control_add_truth(JsonBuilder *builder, const char *name, gboolean value);
void control_add_flags(JsonBuilder *builder, const Message *message);
char *control_end(JsonBuilder *builder); /* frees @builder; the caller owns the text */
char *control_refuse(const GError *error);

/* -- Jobs -------------------------------------------------------------------------------------- */

typedef struct ControlJob ControlJob;

/* What goes on while it is asked after; begins the larger structure of its kind. */
struct ControlJob {
    Fs *fs;
    void (*look)(ControlJob *job); /* brings n and is_done up to date; or NULL */
    void (*add)(const ControlJob *job, JsonBuilder *answer); /* members of its own; or NULL */
    void (*clear)(ControlJob *job); /* waits no more, frees all but the job itself */
    /* Once it is done: the answer of the request that waited for it, instead of its state; the
     * caller owns it.  Or NULL. */
    char *(*carry_out)(ControlJob *job);
    guint n, total;
    guint n_failed;
    gboolean is_done;
    GError *error; /* of all of it */
};

/* Keeps @job, whose fields are set, until its end was told.  Answers with its number. */
char *control_answer_job(Fs *fs, ControlJob *job);

/* -- What is named ----------------------------------------------------------------------------- */

/* The directory (of a Maildir, too) or file at @path, as far as memory knows; with a store. */
gboolean control_find(const Fs *fs, const char *path, FsNode *ret_node, GError **error);
/* TRUE: it is not known whether there is such a thing before @ret_directory has been listed. */
gboolean control_is_unlisted(const Fs *fs, const char *path, FsNode *ret_directory);

/* -- Commands ---------------------------------------------------------------------------------- */

/* These take @request. */
char *control_carry_out(Fs *fs, ControlRequest *request);
char *control_change(Fs *fs, ControlRequest *request);
/* Carries it out once @unlisted is listed. */
char *control_later(Fs *fs, ControlRequest *request, const FsNode *unlisted);

char *control_queue(Fs *fs, const ControlRequest *request);
char *control_drain(Fs *fs);
