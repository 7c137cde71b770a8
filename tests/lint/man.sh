#!/bin/sh
# mandoc finds nothing to complain about in the manual pages.
#
#     man.sh FOLDER
command -v mandoc > /dev/null || { echo "mandoc is missing (Debian: mandoc)"; exit 77; }
set -- "$1"/*.[1-8]
[ -e "$1" ] || { echo "no manual pages"; exit 1; }
mandoc -Tlint -W warning "$@"
