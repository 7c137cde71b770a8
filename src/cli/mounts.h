/* Which mailfs mounts there are, by the table of mounts: that is how a command finds the daemon it
 * is about.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct {
    char *dir;          /* the mount point */
    gboolean is_mailfs; /* the type is MOUNTINFO_TYPE */
    char *account;      /* of "mailfs#ACCOUNT"; NULL for a mount of all accounts */
    uid_t uid;          /* whose it is: only this user may look inside */
} CliMount;

/* Every mount of @entries (of mountinfo_parse()), of whatever type, in their order: a later one
 * may hide an earlier one.  The caller owns the array, which frees its mounts. */
GPtrArray *cli_mounts_new(const GPtrArray *entries);

/* The same for the mounts as they are now. */
GPtrArray *cli_mounts_read(GError **error);

/* One that this user may ask: an own one, or any for root. */
gboolean cli_mount_is_mine(const CliMount *mount);

/* Where there is none of them: OFFLINE with the remedy, FALSE. */
gboolean cli_mounts_fail_none(GError **error);

/* The mount that @path, absolute and without ".." or links, lies in; NULL if that is not a
 * mailfs one.  @ret_relative: the path below it, "" for itself; may be NULL; the caller owns it. */
const CliMount *cli_mounts_by_path(GPtrArray *mounts, const char *path, char **ret_relative);

/* The newest mount of the account @id alone, this user's before others', or NULL. */
const CliMount *cli_mounts_by_account(GPtrArray *mounts, const char *id);

/* The mount in which the account @id is, alone or among all; NULL for none. */
const CliMount *cli_mounts_serving(GPtrArray *mounts, const char *id);

/* What a user means by @argument: an account that is mounted, or a path in a mount.  NULL means
 * the only mount that this user has.  OFFLINE with the remedy when there is none. */
const CliMount *cli_mounts_find(GPtrArray *mounts, const char *argument, char **ret_relative,
                                GError **error);
