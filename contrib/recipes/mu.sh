#!/bin/sh
# mu on a mount at ~/Mail/work.  Run it once to begin, and whenever mail came; it indexes what it
# has not seen.  Then for example: mu find flag:unread
set -e

[ -d "${XDG_CACHE_HOME:-$HOME/.cache}/mu/xapian" ] ||
    mu init --maildir="$HOME/Mail/work/.mailfs/maildir"
mu index
