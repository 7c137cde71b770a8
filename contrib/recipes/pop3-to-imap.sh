#!/bin/sh
# Moves the mail of a POP3 inbox into a mailbox of an IMAP account, in three steps that can each be
# interrupted and repeated.  Both accounts are mounted, for example by: mailfs mount --all ~/Mail
#
#     pop3-to-imap.sh copy   ~/Mail/old/INBOX ~/Mail/new/Old
#     pop3-to-imap.sh check  ~/Mail/old/INBOX ~/Mail/new/Old    # until it says nothing; exit 0
#     pop3-to-imap.sh remove ~/Mail/old/INBOX ~/Mail/new/Old
#
# The target is a directory for this alone; it is made.  Nothing is removed before "remove", and
# that removes only what is the same on both sides.  MAILFS: the program, if it is not in PATH.
#
# What is removed has been read, so that the old account's Trash gets it: a second copy on this
# machine, until that is emptied.  With delete=expunge for the old account there is none; a plain mv
# from mount to mount, which copies and removes, is the same in this.
set -eu

usage() {
    sed -n 's/^#     //p' "$0" >&2
    exit 64
}

# A server holds CRLF, whatever a file that was written here has.
same() {
    diff -q --strip-trailing-cr "$1" "$2" > /dev/null 2>&1
}

# Also what an interrupt left half over there.
copy() {
    mkdir -p "$to"
    for file in "$from"/*.eml; do
        [ -e "$file" ] || continue
        same "$file" "$to/${file##*/}" || cp -p "$file" "$to/" || status=1
    done
}

# By what the IMAP server gives, not by what is in the cache.
check() {
    ${MAILFS:-mailfs} evict "$to" > /dev/null
    for file in "$from"/*.eml; do
        if [ ! -e "$file" ] || same "$file" "$to/${file##*/}"; then
            continue
        elif [ -e "$to/${file##*/}" ]; then
            echo "differs: ${file##*/}"
        else
            echo "missing: ${file##*/}"
        fi
        status=1
    done
}

remove() {
    for file in "$from"/*.eml; do
        if [ -e "$file" ] && same "$file" "$to/${file##*/}"; then
            rm "$file" || status=1
        fi
    done
}

[ $# = 3 ] && [ -d "$2" ] || usage
from=${2%/} to=${3%/} status=0
case $1 in
    copy | check | remove) "$1" ;;
    *) usage ;;
esac
exit $status
