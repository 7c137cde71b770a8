/* Between the files of Maildirs:
 *
 *   maildir-file.c    names of messages
 *   maildir-tree.c    the tree: its layout, where a folder is, listing
 *   maildir-change.c  folders made, removed and renamed
 *   maildir-folder.c  one folder and its messages
 *   maildir-sync.c    a folder and its ledger
 */
#pragma once

#include "store/maildir.h"

struct MaildirTree {
    char *path;
    int fd;
    MaildirLayout layout;
    gboolean has_root; /* PATH itself is a Maildir: the INBOX */
    /* Wire name -> where it is below PATH, of what was listed: for names that do not come out of
     * their wire name ("Inbox", components that are no modified UTF-7). */
    GHashTable *places;
    gboolean *has_failed; /* maildir_tree_note_failure(), or NULL */
};

struct MaildirFolder {
    char *wire;
    int fd;          /* of the folder itself */
    int cur, new, tmp; /* tmp -1 until it is needed */
    gboolean is_cur_changed, is_new_changed; /* since they were last flushed */
    gboolean *has_failed; /* the tree's */
};

/* The directory @place below @dir_fd, level by level, following no symlink. */
int maildir_open_place(int dir_fd, const char *place, GError **error);
/* Where the folder @wire is, or would be, below the tree's PATH ("." for PATH itself).  INVALID for
 * what the layout cannot have.  The caller owns it. */
char *maildir_tree_place(MaildirTree *tree, const char *wire, GError **error);
/* cur/ and new/ are there. */
gboolean maildir_is_maildir(int fd);
/* The names in the directory @fd but "." and "..": of char *, owned; with @only, those that may be
 * of that type (DT_DIR, DT_REG) alone.  NULL on error. */
GPtrArray *maildir_read_names(int fd, guchar only, GError **error);
/* maildir_folder_tidy() of the folder that is open as @fd. */
void maildir_tidy(int fd);
/* fsync(2) of a file or a directory, where the file system has that.  A failure is noted in
 * *@has_failed, unless that is NULL: it must not be tried again (J6). */
gboolean maildir_fsync(int fd, gboolean *has_failed, GError **error);
/* rename(2) that replaces nothing.  FALSE with errno. */
gboolean maildir_rename(int from_fd, const char *from, int to_fd, const char *to);
