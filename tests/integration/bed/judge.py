"""Another mail client, which shares no code with the program: Python's imaplib.

What it sees on the server is what has happened.
"""
import collections
import imaplib
import re
import time

from . import mail, system

Seen = collections.namedtuple("Seen", "uid flags date size data")
ITEMS = "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"


class Judge:
    """Mailboxes are named as in Account: "A/B"."""

    def __init__(self, account):
        self.account = account
        self.imap = account.connect()

    def close(self):
        try:
            self.imap.logout()
        except (OSError, imaplib.IMAP4.error):
            pass  # its server has gone

    def _name(self, name):
        return mail.quoted(self.account.wire(name))

    def see(self, name="INBOX"):
        """{UID: Seen}.  flags has the keywords, too, and not \\Recent; date is Unix time."""
        kind, answer = self.imap.select(self._name(name), readonly=True)
        assert kind == "OK", answer
        parts = []
        if int(answer[0]):
            kind, parts = self.imap.uid("FETCH", "1:*", ITEMS)
            assert kind == "OK", parts
        self.imap.close()  # of what is open for reading only: removes nothing
        found = {}
        for part in parts:
            if isinstance(part, tuple):
                seen = understand(*part)
                found[seen.uid] = seen
        return found

    def data(self, name="INBOX"):
        """The messages' octets, sorted: two mailboxes with the same mail give the same list."""
        return sorted(seen.data for seen in self.see(name).values())

    def has(self, data, name="INBOX"):
        return any(seen.data == data for seen in self.see(name).values())

    def wait(self, messages, name="INBOX", seconds=10):
        """Waits until the mailbox has these messages and no others."""
        wanted = sorted(messages)

        def same():
            found = self.data(name)
            assert found == wanted, "%d messages where %d are wanted: %r" % (
                len(found), len(wanted), [data[:200] for data in found][:5])
            return True
        system.wait_for(same, "the messages of " + ascii(name), seconds)

    def append(self, data, name="INBOX", flags=None, date=mail.EPOCH):
        return mail.append(self.imap, self.account.wire(name), data, flags, date)

    def exists(self, name):
        return self._is_listed("list", name)

    def is_subscribed(self, name):
        return self._is_listed("lsub", name)

    def subscribe(self, name):
        kind, answer = self.imap.subscribe(self._name(name))
        assert kind == "OK", answer

    def _is_listed(self, command, name):
        kind, answer = getattr(self.imap, command)('""', self._name(name))
        assert kind == "OK", answer
        return any(line and not re.search(rb"\\(Noselect|NonExistent)", line, re.I)
                   for line in answer)

    def set_rights(self, name, who, rights):
        kind, answer = self.imap.setacl(self._name(name), who, rights)
        assert kind == "OK", answer


def understand(head, data):
    """A FETCH response of ITEMS: the text up to the literal, and the literal."""
    flags = re.search(rb"FLAGS \(([^)]*)\)", head).group(1).decode("ascii").split()
    return Seen(int(re.search(rb"UID (\d+)", head).group(1)),
                frozenset(flags) - {"\\Recent"},
                int(time.mktime(imaplib.Internaldate2tuple(head))),
                int(re.search(rb"RFC822.SIZE (\d+)", head).group(1)), data)
