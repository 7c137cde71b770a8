"""A fresh, empty maildrop on one of the servers, and another POP3 client's hands on it: Python's
poplib, which shares no code with the program and says what is there.
"""
import contextlib
import poplib
import re

from . import account as accounts
from . import courier, cyrus, dovecot, mail, pop3_proxy, system

poplib._MAXLINE = 1 << 24  # pylint: disable=protected-access
WINDOW = 30  # commands on their way at once


def see(pop3):
    """{UIDL: octets} by a poplib connection, in the order of the message numbers."""
    known = dict(line.decode("latin-1").split(" ", 1) for line in pop3.uidl()[1])
    assert len(set(known.values())) == len(known), "two messages have the same UIDL"
    found = {}
    numbers = list(known)
    for first in range(0, len(numbers), WINDOW):
        some = numbers[first:first + WINDOW]
        # at once: one by one, Cyrus takes 40 ms for each (it has Nagle's algorithm on)
        pop3.sock.sendall(b"".join(b"RETR %d\r\n" % int(number) for number in some))
        for number in some:
            found[known[number]] = octets(pop3._getlongresp()[1])  # pylint: disable=W0212
    return found


def retrieve(pop3, number):
    """A message's octets, with CRLF as they went over the wire."""
    return octets(pop3.retr(number)[1])


def octets(lines):
    return b"".join(line + b"\r\n" for line in lines)


def subject(data):
    match = re.search(rb"^Subject: ?(.{0,60})", data, re.M)
    return match.group(1) if match else data[:60]


def on_wire(data):
    """What a POP3 server sends of a message: lines, each of which ends in CRLF."""
    data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return data if data.endswith(b"\r\n") else data + b"\r\n"


class Eyes:
    """What somebody who can log in by poplib sees; log_in() is the heir's."""

    def log_in(self):
        raise NotImplementedError

    @contextlib.contextmanager
    def session(self):
        """A session of another client, which ends with QUIT."""
        pop3 = self.log_in()
        try:
            yield pop3
            pop3.quit()
        finally:
            pop3.close()

    def see(self):
        with self.session() as pop3:
            return see(pop3)

    def data(self):
        """The messages' octets, in the server's order."""
        return list(self.see().values())

    def take_away(self, *datas):
        """Another client removes these messages."""
        with self.session() as pop3:
            wanted = list(map(on_wire, datas))
            for number, data in enumerate(see(pop3).values(), 1):
                if data in wanted:
                    pop3.dele(number)

    def wait(self, messages, seconds=10):
        """Waits until the maildrop has these messages and no others."""
        wanted = sorted(map(on_wire, messages))

        def same():
            try:
                found = sorted(self.data())
            except poplib.error_proto as error:  # somebody else is in
                raise OSError(str(error)) from error
            assert found == wanted, "%d messages where %d are wanted: %s" % (
                len(found), len(wanted), [subject(data) for data in found])
            return True
        system.wait_for(same, "the messages of the maildrop", seconds)


class Pop3Account(accounts.Account, Eyes):
    """On a Dovecot."""

    def pop3_proxy(self, without=()):
        """Puts a proxy between the mount and the server; gives it."""
        self.proxy = pop3_proxy.Pop3Proxy(self.server.pop3_port, without)
        return self.proxy

    def through_proxy(self, keep_back=None):
        raise NotImplementedError("that one is for IMAP")

    def deliver_all(self, datas):
        for data in datas:
            self.deliver(data)

    def keys(self):
        url = self.proxy.url() if self.proxy else self.server.pop3_url()
        return {"pop3": url, "user": self.user, "password": self.password}

    def log_in(self):
        return self.server.connect_pop3(self.user)


class CyrusPop3Account(Pop3Account):
    def __init__(self, server):
        super().__init__(server, cyrus.PASSWORD)
        server.add_user(self.user)
        self.imap = None

    def deliver(self, data, name="INBOX", flags="", date=mail.EPOCH):
        self.imap = self.imap or self.connect()  # a login each time is slow
        mail.append(self.imap, name, data, None, date)

    def deliver_all(self, datas):
        """By MULTIAPPEND (RFC 3502): Cyrus syncs its disk once then, and not for each."""
        self.imap = self.imap or self.connect()
        tag = self.imap._new_tag()  # pylint: disable=protected-access
        self.imap.tagged_commands[tag] = None
        self.imap.send(tag + b" APPEND INBOX" + b"".join(
            b" %s {%d+}\r\n%s" % (mail.internaldate(mail.EPOCH).encode("ascii"), len(data), data)
            for data in datas) + b"\r\n")
        kind, answer = self.imap._command_complete("APPEND", tag)  # pylint: disable=protected-access
        assert kind == "OK", answer

    def close(self):
        super().close()
        if self.imap:
            self.imap.logout()


class CourierPop3Account(Pop3Account):
    """With a server of its own, in this folder."""

    def __init__(self, folder):
        super().__init__(courier.Pop3Server(folder), courier.PASSWORD)

    def deliver(self, data, name="INBOX", flags="", date=None):
        """As its own delivery would: what it sends has CR before each LF of the file."""
        super().deliver(data.replace(b"\r\n", b"\n"), name, flags, date)

    def close(self):
        super().close()
        self.server.stop()


def make(servers, variant, folder):
    """full: Dovecot; poor: without PIPELINING and TOP; bare: and without CAPA; cyrus; courier."""
    if variant == "cyrus":
        made = CyrusPop3Account(servers.get("cyrus"))
    elif variant == "courier":
        made = CourierPop3Account(folder)
    else:
        made = Pop3Account(servers.get("full"), dovecot.PASSWORD)
    made.pop3_proxy({"poor": {"PIPELINING", "TOP"},
                     "bare": {"PIPELINING", "TOP", "CAPA"}}.get(variant, ()))
    made.kind = variant
    return made
