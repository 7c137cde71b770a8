"""Courier IMAP: a server with UIDPLUS and nothing newer: no MOVE, no CONDSTORE, no LITERAL+, no
UIDNEXT in its answer to SELECT, and every mailbox below INBOX.

Debian's Courier cannot be installed beside Dovecot, so tests/run unpacks it without installing it;
MAILFS_TEST_UNPACKED names that folder.  Its server, started by hand, says PREAUTH and serves the
Maildir of its user: a tunnel, without a network and without a login.
"""
import os

from . import system

UNPACKED = os.environ.get("MAILFS_TEST_UNPACKED", "")
SERVER = os.path.join(UNPACKED, "usr/bin/imapd")
separator = "."
prefix = "INBOX."

# What /etc/courier/imapd says in Debian; but it looks around every 2 s in IDLE, not every 60 s.
SCRIPT = """\
#!/bin/sh
cd '{folder}' || exit
exec env -i PATH=/usr/bin:/bin HOME='{folder}' LD_LIBRARY_PATH='{libraries}' MAILDIRPATH=Maildir \\
    IMAP_CAPABILITY='IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES \
SORT QUOTA IDLE' IMAP_KEYWORDS=1 IMAP_ACL=1 IMAP_USELOCKS=1 IMAP_IDLE_TIMEOUT=2 \\
    IMAP_TRASHFOLDERNAME=Trash '{server}' Maildir 2>> log
"""


def missing():
    """Why Courier cannot run here, or None."""
    return None if os.path.exists(SERVER) else "Courier is not unpacked (tests/run does it)"


def tunnel(folder):
    """The command for tunnel=, over the Maildir FOLDER/Maildir."""
    lib = os.path.join(UNPACKED, "usr/lib")
    libraries = [lib, *[os.path.join(lib, name) for name in os.listdir(lib) if "linux" in name]]
    script = os.path.join(folder, "imapd")
    with open(script, "w", encoding="ascii") as f:
        f.write(SCRIPT.format(folder=folder, libraries=":".join(libraries), server=SERVER))
    system.give(folder)
    return " ".join(system.as_user(["sh", script], deathsig=False) if system.ROOT
                    else ["sh", script])
