/* The events of one body that a FETCH brings, as all backends post them: BEGIN, DATA as octets
 * come, and at the end WHOLE or FAILED.
 *
 * Each is about @item of @job, and the caller's to post.
 */
#pragma once

#include "store/disk.h"
#include "store/job.h"

/* The body has @size octets; with a descriptor of @body of its own, for readers.  NULL when there
 * is none to be had. */
Event *body_event_begin(const Job *job, const FetchItem *item, guint64 size, const BodyFile *body,
                        GError **error);
/* @received octets are there. */
Event *body_event_data(const Job *job, const FetchItem *item, guint64 received);
/* @body is complete: it is put in its place in the cache first.  NULL when it cannot be. */
Event *body_event_whole(const Job *job, const FetchItem *item, BodyFile *body, GError **error);
/* @error is copied. */
Event *body_event_failed(const Job *job, const FetchItem *item, const GError *error);
