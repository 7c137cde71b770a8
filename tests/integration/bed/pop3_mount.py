"""What the tests of POP3 look at on a mount, and below XDG_DATA_HOME, where it keeps mail that is
nobody else's: a Maildir a mailbox.
"""
import os
import re
import sqlite3
import time
import zlib

from . import mount, pop3_account, system

MONTH = 30 * 86400


def path_of(mounted, n, mailbox="INBOX"):
    """Where mail.numbered(n) is shown: its name is made of its subject."""
    where = os.path.join(mounted.path, mailbox)
    found = [name for name in os.listdir(where) if "_Message-number-%06d." % n in name]
    assert len(found) == 1, (n, os.listdir(where))
    return os.path.join(where, found[0])


def numbers(mounted, mailbox="INBOX"):
    """The n of each mail.numbered(n) that a mailbox shows, sorted; twice what is there twice."""
    found = [re.search(r"_Message-number-(\d{6})\.", name)
             for name in os.listdir(os.path.join(mounted.path, mailbox))]
    return sorted(int(match.group(1)) for match in found if match)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data, mode="wb"):
    with open(path, mode) as f:
        f.write(data)


def shown(mounted, mailbox="INBOX"):
    """The octets of all messages of a mailbox, sorted.  Fetches what is not here."""
    where = os.path.join(mounted.path, mailbox)
    return sorted(read(os.path.join(where, name)) for name in os.listdir(where)
                  if name.endswith(".eml"))


def identity(path):
    """What stays: the name and the inode number."""
    return os.path.basename(path), os.stat(path).st_ino


def data_folder(mounted, mailbox=None):
    """Where a mailbox is kept; without one, the account's folder."""
    return os.path.join(mounted.folder, "data", "mailfs", mount.ACCOUNT,
                        *(mailbox.split("/") if mailbox else ()))


def stored(mounted, mailbox="INBOX"):
    """The octets of all messages that are kept here in a mailbox, sorted, with CRLF."""
    found = []
    for sub in ("cur", "new"):
        where = os.path.join(data_folder(mounted, mailbox), sub)
        if os.path.isdir(where):
            found += [pop3_account.on_wire(read(os.path.join(where, name)))
                      for name in os.listdir(where)]
    return sorted(found)


def is_maildir(path):
    return all(os.path.isdir(os.path.join(path, sub)) for sub in ("cur", "new", "tmp"))


def settle(mounted, seconds=20):
    """Waits until nothing is left to do."""
    def is_settled():
        upload = mounted.account().get("upload")
        assert not upload or upload["pending"] == 0, upload
        return True
    system.wait_for(is_settled, "nothing is pending", seconds)


def error_of(function, *arguments):
    """The errno that it fails with, or None."""
    try:
        function(*arguments)
    except OSError as error:
        return error.errno
    return None


def live_through(mounted, days):
    """As if these days had passed since the last start, for a program that is not running: each
    time in its tables that is of the last month becomes so much older.  No message of the tests
    is from there."""
    now = time.time()
    for where, _, names in os.walk(mounted.folder):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as f:
                head = f.read(15)
            if head == b"SQLite format 3":
                _make_older(path, now, days * 86400)
            elif head.startswith(b"mailfs-ledger"):
                _make_ledger_older(path, int(days * 86400))


def _make_ledger_older(path, seconds):
    """Each line begins with its CRC-32; of an entry ("A") the fifth word is when it was first
    seen."""
    with open(path, "rb") as f:
        lines = f.read().split(b"\n")
    for i, line in enumerate(lines):
        words = line.split(b" ", 6)
        if len(words) > 5 and words[1] == b"A":
            words[5] = b"%d" % (int(words[5]) - seconds)
            rest = b" ".join(words[1:])
            lines[i] = b"%08x " % zlib.crc32(rest) + rest
    with open(path, "wb") as f:
        f.write(b"\n".join(lines))


def _make_older(path, now, seconds):
    db = sqlite3.connect(path)
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'"
                                           " AND name NOT LIKE 'sqlite_%'")]
    for table in tables:
        for column in [row[1] for row in db.execute('PRAGMA table_info("%s")' % table)]:
            for unit in (1, 1000, 1000000):  # seconds, milliseconds, microseconds
                db.execute('UPDATE OR IGNORE "{0}" SET "{1}" = "{1}" - ? WHERE'
                           ' typeof("{1}") IN (\'integer\', \'real\') AND'
                           ' "{1}" BETWEEN ? AND ?'.format(table, column),
                           (seconds * unit, int((now - MONTH) * unit), int((now + 60) * unit)))
    db.commit()
    db.close()
