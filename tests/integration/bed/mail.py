"""Mail for the tests: the same on every run, from plain to hostile.

A message is bytes with CRLF line ends, as IMAP wants them.
"""
import base64
import os
import time

from . import system

ZWNJ = "\u200c"
RLO = "\u202e"
EPOCH = 1700000000  # 2023-11-14 22:13:20 UTC: the INTERNALDATE of message 0; one a minute then

PERSIAN_SUBJECT = "نامه" + ZWNJ + "های تازه"
ARABIC_SUBJECT = "تقرير الربع الثاني"
PERSIAN_FOLDER = "نامه" + ZWNJ + "ها"
ARABIC_FOLDER = "مشاريع"


def encoded_word(text, charset="utf-8"):
    return "=?%s?B?%s?=" % (charset, base64.b64encode(text.encode(charset)).decode("ascii"))


def message(subject="A subject", sender="Alice <alice@example.org>", body=b"Hello.\r\n",
            extra=b""):
    """subject and sender: bytes as they stand, or text, which must be ASCII."""
    def raw(value):
        return value if isinstance(value, bytes) else value.encode("ascii")
    return (b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nFrom: " + raw(sender)
            + b"\r\nTo: bob@example.org\r\nSubject: " + raw(subject) + b"\r\n" + extra
            + b"\r\n" + body)


def numbered(n):
    """Message n of a plain mailbox: subjects and sizes differ, from 200 octets to 20 KiB."""
    line = b"This is line %04d of message %06d, for the size of it.\r\n"
    body = b"".join(line % (i, n) for i in range(1 + (n * 37) % 350))
    return message("Message number %06d" % n, "Sender %d <s%d@example.org>" % (n % 7, n % 7),
                   body, b"Message-ID: <%d@example.org>\r\n" % n)


def tiny(n):
    """As small as mail can be: for mailboxes with very many."""
    return b"From: a%02d@example.org\r\nSubject: tiny %06d\r\n\r\n%06d\r\n" % (n % 100, n, n)


SPECIAL = {
    "persian": message(encoded_word(PERSIAN_SUBJECT), encoded_word("علی") + " <ali@example.org>",
                       "سلام\r\n".encode()),
    "arabic-q": message("=?utf-8?Q?" + "".join("=%02X" % c for c in ARABIC_SUBJECT.encode())
                        + "?="),
    "windows-1256": message(encoded_word(ARABIC_SUBJECT, "windows-1256")),
    "windows-1256-raw": message(ARABIC_SUBJECT.encode("windows-1256")),
    "utf-8-raw": message(PERSIAN_SUBJECT.encode()),
    "no-headers": b"\r\nJust a body.\r\n",
    "only-headers": b"Subject: no body at all\r\n\r\n",
    "no-blank-line": b"Subject: nothing follows\r\n",
    "huge-subject": message("long " * 820),
    "folded-subject": message(b"one\r\n two\r\n\tthree"),
    "slashes": message("////../../etc/passwd"),
    "dots": message(".."),
    "empty-subject": message(""),
    "bidi": message(encoded_word("invoice" + RLO + "fdp.exe")),
    "controls": message(b"bell \x07 escape \x1b[31m tab\t end"),
    "broken-word": message("=?utf-8?B?!!!!?= =?nonsense?Q?=ZZ?= =?utf-8?"),
    "split-character": message("=?utf-8?B?2LM=?= =?utf-8?B?2YTYp9mF?="),
    "long-line": message("a long line", body=b"x" * 70000 + b"\r\n"),
    "eight-bit-body": message("octets", body=bytes(range(1, 10)) + bytes(range(14, 256))
                              + b"\r\n"),
    "no-final-newline": message("no newline at the end", body=b"the end"),
    "multipart": message("An attachment", extra=(
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"), body=(
        b"--b\r\nContent-Type: text/plain\r\n\r\ntext\r\n--b\r\nContent-Type: application/pdf;\r\n"
        b" name*=utf-8''%D9%86%D8%A7%D9%85%D9%87.pdf\r\nContent-Transfer-Encoding: base64\r\n"
        b"\r\nJVBERg==\r\n--b--\r\n")),
    "big": message("Three megabytes", body=b"0123456789abcdef" * 4 * 50000 + b"\r\n"),
}


def utf7(name):
    """A mailbox name in modified UTF-7 (RFC 3501, 5.1.3)."""
    out, pending = [], []

    def flush():
        if pending:
            octets = "".join(pending).encode("utf-16-be")
            word = base64.b64encode(octets).decode("ascii").rstrip("=").replace("/", ",")
            out.append("&" + word + "-")
            pending.clear()
    for c in name:
        if " " <= c <= "~":
            flush()
            out.append("&-" if c == "&" else c)
        else:
            pending.append(c)
    flush()
    return "".join(out)


def quoted(name):
    return '"' + utf7(name).replace("\\", "\\\\").replace('"', '\\"') + '"'


def internaldate(seconds):
    return time.strftime('"%d-%b-%Y %H:%M:%S +0000"', time.gmtime(seconds))


class Maildir:
    """Writes messages straight into a Maildir, as a delivery agent would; far quicker than
    APPEND.  The server must not have the mailbox open for writing meanwhile."""

    def __init__(self, path):
        self.path = str(path)
        self.n = 0
        for name in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(self.path, name), exist_ok=True)
        system.give(self.path)

    def deliver(self, data, flags="", date=None):
        """flags as letters of the Maildir specification, such as "S".  INTERNALDATE is date."""
        self.n += 1
        date = EPOCH + 60 * (self.n - 1) if date is None else date
        name = "%d.M%06dP1.tests,S=%d:2,%s" % (EPOCH, self.n, len(data), flags)
        tmp = os.path.join(self.path, "tmp", name)
        with open(tmp, "wb") as f:
            f.write(data)
        if system.ROOT:
            os.chown(tmp, system.UID, system.GID)
        os.utime(tmp, (date, date))
        path = os.path.join(self.path, "cur", name)
        os.rename(tmp, path)
        return path

    def deliver_copies(self, data, n):
        """The same message n times, quickly: links, and not too many to one file."""
        for i in range(n):
            if i % 10000 == 0:
                path = self.deliver(data)
            else:
                self.n += 1
                os.link(path, os.path.join(self.path, "cur", "%d.M%06dP1.tests,S=%d:2," % (
                    EPOCH, self.n, len(data))))


def maildir_below(root, name, encode=utf7):
    """The Maildir of a mailbox, by the Maildir++ layout: a dot between the levels, modified UTF-7
    in the names."""
    system.make_folder(root)
    if name == "INBOX":
        return Maildir(root)
    path = system.make_folder(os.path.join(root, "." + encode(name.replace("/", "."))))
    with open(os.path.join(path, "maildirfolder"), "w", encoding="ascii"):
        pass
    return Maildir(path)


def append(imap, mailbox, data, flags=None, date=EPOCH):
    """APPEND by an imaplib connection; gives the UID."""
    kind, answer = imap.append(quoted(mailbox), flags, internaldate(date), data)
    assert kind == "OK", answer
    return int(answer[0].split(b"]")[0].split()[-1]) if b"APPENDUID" in answer[0] else None


def fetch_all(imap, mailbox):
    """What another client sees: {UID: the message's octets}; nothing is marked as read."""
    kind, answer = imap.select(quoted(mailbox), readonly=True)
    assert kind == "OK", answer
    if int(answer[0]) == 0:
        return {}
    kind, answer = imap.uid("FETCH", "1:*", "(UID BODY.PEEK[])")
    assert kind == "OK", answer
    found = {}
    for part in answer:
        if isinstance(part, tuple):
            words = part[0].split()
            found[int(words[words.index(b"(UID") + 1])] = part[1]
    return found
