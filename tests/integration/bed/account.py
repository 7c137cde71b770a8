"""A fresh, empty account on one of the servers, and another client's hands on it.

Mailboxes are named as their owner would: "A/B".  wire() is what the server calls one, shown()
where the mount has it.
"""
import imaplib
import itertools
import shlex

from . import courier, cyrus, dovecot, mail, proxy, system

NUMBERS = itertools.count(1)


class Account:
    def __init__(self, server, password):
        self.server = server
        self.user = "user%d" % next(NUMBERS)
        self.password = password
        self.proxy = None
        self.maildirs = {}

    @property
    def variant(self):
        return self.server.variant

    def wire(self, name):
        if name == "INBOX":
            return name
        return self.server.prefix + name.replace("/", self.server.separator)

    def shown(self, name):
        return self.wire(name).replace(self.server.separator, "/")

    def through_proxy(self, keep_back=None):
        """Puts a proxy between the mount and the server; gives it."""
        self.proxy = proxy.Proxy(self.server.port, keep_back)
        return self.proxy

    def close(self):
        if self.proxy:
            self.proxy.close()

    def keys(self):
        """What the configuration says of this account."""
        url = self.proxy.url() if self.proxy else self.server.url()
        return {"imap": url, "user": self.user, "password": self.password}

    def connect(self):
        """Another client, logged in, by imaplib."""
        return self.server.connect(self.user)

    # -- what another client does --------------------------------------------------------------

    def deliver(self, data, name="INBOX", flags="", date=None):
        """A message, straight into the server's store.  flags: letters as in Maildir names."""
        self._maildir(name).deliver(data, flags, date)

    def ensure(self, name):
        """A mailbox, made straight in the server's store."""
        self._maildir(name)

    def deliver_copies(self, data, n, name="INBOX"):
        self._maildir(name).deliver_copies(data, n)

    def _maildir(self, name):
        if name not in self.maildirs:
            self.maildirs[name] = self._make_maildir(name)
        return self.maildirs[name]

    def _make_maildir(self, name):
        return self.server.maildir(self.user, name)

    def append(self, data, name="INBOX", flags=None, date=mail.EPOCH):
        imap = self.connect()
        uid = mail.append(imap, self.wire(name), data, flags, date)
        imap.logout()
        return uid

    def create(self, name):
        self._do("create", mail.quoted(self.wire(name)))

    def delete(self, name):
        self._do("delete", mail.quoted(self.wire(name)))

    def rename(self, old, new):
        self._do("rename", mail.quoted(self.wire(old)), mail.quoted(self.wire(new)))

    def store(self, name, uids, flags, sign="+"):
        """Sets or clears flags, such as "\\\\Seen"."""
        imap = self.connect()
        imap.select(mail.quoted(self.wire(name)))
        kind, answer = imap.uid("STORE", uids, sign + "FLAGS", "(%s)" % flags)
        assert kind == "OK", answer
        imap.logout()

    def expunge(self, name, uids):
        imap = self.connect()
        imap.select(mail.quoted(self.wire(name)))
        imap.uid("STORE", uids, "+FLAGS", "(\\Deleted)")
        kind, answer = imap.expunge()
        assert kind == "OK", answer
        imap.logout()

    def fetch(self, name="INBOX"):
        """{UID: octets} as another client sees them."""
        imap = self.connect()
        found = mail.fetch_all(imap, self.wire(name))
        imap.logout()
        return found

    def flags(self, name="INBOX"):
        """{UID: flags} as another client sees them; \\Recent left out."""
        imap = self.connect()
        imap.select(mail.quoted(self.wire(name)), readonly=True)
        kind, answer = imap.uid("FETCH", "1:*", "(UID FLAGS)")
        assert kind == "OK", answer
        imap.logout()
        found = {}
        for line in filter(None, answer):
            words = line.decode("ascii").replace("(", " ").replace(")", " ").split()
            at = words.index("UID")
            found[int(words[at + 1])] = {w for w in words if w.startswith("\\")} - {"\\Recent"}
        return found

    def _do(self, command, *names):
        imap = self.connect()
        kind, answer = getattr(imap, command)(*names)
        assert kind == "OK", answer
        imap.logout()


class CyrusAccount(Account):
    def __init__(self, server):
        super().__init__(server, cyrus.PASSWORD)
        server.add_user(self.user)

    def deliver(self, data, name="INBOX", flags="", date=None):
        self.append(data, name, {"": None, "S": "(\\Seen)"}[flags],
                    mail.EPOCH if date is None else date)


class TunnelAccount(Account):
    """A Maildir behind /usr/lib/dovecot/imap: no network, no login."""

    variant = "tunnel"

    def __init__(self, folder):
        self.command = dovecot.tunnel(folder)
        self.folder = str(folder)
        self.maildirs = {}
        self.proxy = None

    def wire(self, name):
        return name.replace("/", ".")

    def shown(self, name):
        return name

    def through_proxy(self):
        raise NotImplementedError("nothing to stand between")

    def keys(self):
        return {"tunnel": self.command, "user": "alice"}

    def connect(self):
        return imaplib.IMAP4_stream(" ".join(map(shlex.quote, self.command.split())))

    def _make_maildir(self, name):
        return mail.maildir_below(self.folder + "/Maildir", name)


class CourierAccount(TunnelAccount):
    """A Maildir behind Courier's imapd, in the same way."""

    variant = "courier"

    def __init__(self, folder):
        self.folder = system.make_folder(str(folder))
        self.maildirs = {}
        self.proxy = None
        self._make_maildir("INBOX")
        self.command = courier.tunnel(self.folder)

    def wire(self, name):
        if name == "INBOX":
            return name
        return courier.prefix + name.replace("/", courier.separator)

    def shown(self, name):
        return self.wire(name).replace(courier.separator, "/")

    def deliver(self, data, name="INBOX", flags="", date=None):
        self.append(data, name, {"": None, "S": "(\\Seen)"}[flags],
                    mail.EPOCH if date is None else date)

    def _make_maildir(self, name):
        """As mail.maildir_below(), but since version 5 Courier's folders have names in UTF-8."""
        return mail.maildir_below(self.folder + "/Maildir", name, encode=str)
