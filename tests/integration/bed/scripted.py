"""A small IMAP server whose every answer a test can bend: for what real servers never send.

It knows enough of IMAP4rev1 to be read from: LOGIN, AUTHENTICATE (PLAIN, XOAUTH2, OAUTHBEARER,
EXTERNAL), ENABLE, LIST, STATUS, SELECT, FETCH, NOOP, IDLE; and to be given a message: APPEND.  A
test gives it mailboxes, and rules that replace answers:

    server = ScriptedServer({"INBOX": [Message(1, b"...")]})
    server.rule(r"^LIST ", '* LIST () "/" ".."')          # then the tagged OK
    server.rule(r"^SELECT ", tagged="NO [UNAVAILABLE] later")
    server.rule(r"^UID FETCH", raw=b"* 1 FETCH (", drop=True)

Each line that a client sends is in .received.
"""
import base64
import hashlib
import re
import socket
import threading

from . import mail

CRLF = b"\r\n"


class Message:
    """size: what RFC822.SIZE says; the truth when None."""

    def __init__(self, uid, data, flags="", date=mail.EPOCH, size=None):
        self.uid = uid
        self.data = data
        self.flags = flags
        self.date = date
        self.size = len(data) if size is None else size


class Rule:
    def __init__(self, pattern, untagged, tagged, raw, drop, times, gate):
        self.pattern = re.compile(pattern, re.I)
        self.gate = gate
        self.untagged = untagged
        self.tagged = tagged
        self.raw = raw
        self.drop = drop
        self.times = times
        self.hits = 0


class ScriptedServer:
    def __init__(self, mailboxes=None, capabilities="IMAP4rev1", greeting=None, tls=None,
                 starttls=None, password="secret", delimiter='"/"'):
        """tls: a server-side SSLContext for implicit TLS; starttls: one for STARTTLS."""
        self.mailboxes = {"INBOX": []} if mailboxes is None else mailboxes
        self.capabilities = capabilities
        self.greeting = greeting
        self.tls = tls
        self.starttls = starttls
        self.password = password
        self.delimiter = delimiter
        self.uidvalidity = 4711
        self.read_only = set()   # mailboxes that SELECT opens for reading only
        self.gives_uidnext = True  # with SELECT
        self.keeps_views = False   # a session knows what there was at its SELECT
        self.modseq = 1          # told where there is CONDSTORE
        self.rules = []
        self.received = []       # lines, as bytes, without the line end
        self.clear_octets = b""  # all that came before TLS, when there is TLS
        self.errors = []
        self.n_connections = 0
        self.appended = []       # (mailbox, octets), also where a rule then refused them
        self.changed = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, scheme="imap+plain"):
        host = "127.0.0.1" if scheme == "imap+plain" else "localhost"
        return "%s://%s:%d" % (scheme, host, self.port)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # or accept() would wait for ever
        self.listener.close()

    def rule(self, pattern, *untagged, tagged="OK done", raw=None, drop=False, times=None,
             gate=None):
        """The command (without its tag) that matches is answered with these untagged lines and
        this tagged rest; or with raw octets.  drop: the connection is closed then.  gate: an
        Event that is waited for, and then it is answered as if there were no rule."""
        rule = Rule(pattern, untagged, tagged, raw, drop, times, gate)
        self.rules.insert(0, rule)
        return rule

    def push(self):
        """Tells idling clients what has changed."""
        with self.changed:
            self.changed.notify_all()

    def commands(self, pattern=""):
        return [line for line in (x.decode("latin-1") for x in list(self.received))
                if re.search(pattern, line, re.I)]

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.n_connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        connection = Conversation(self, client)
        try:
            connection.run()
        except (OSError, EOFError, ValueError) as error:
            self.errors.append(repr(error))
        finally:
            connection.close()


class Conversation:
    """One connection to a ScriptedServer."""

    def __init__(self, server, client):
        self.server = server
        self.socket = client
        self.buffer = b""
        self.literal = b""  # the last one that came
        self.selected = None
        self.secure = False
        self.enabled = set()
        self.told = 0

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass

    def send(self, *lines):
        self.socket.sendall(b"".join(
            (line if isinstance(line, bytes) else line.encode("utf-8")) + CRLF
            for line in lines))

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the client closed the connection")
        if not self.secure and (self.server.tls or self.server.starttls):
            self.server.clear_octets += data
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self.receive()
        line, _, self.buffer = self.buffer.partition(b"\n")
        line = line.rstrip(b"\r")
        self.server.received.append(line)
        return line

    def command(self):
        """One command with its literals in place."""
        text = self.line()
        while True:
            literal = re.search(rb"\{(\d+)(\+?)\}$", text)
            if not literal:
                return text
            if not literal.group(2):
                self.send("+ go on")
            n = int(literal.group(1))
            while len(self.buffer) < n:
                self.receive()
            data, self.buffer = self.buffer[:n], self.buffer[n:]
            self.literal = data
            text = text[:literal.start()] + b'"' + data + b'"' + self.line()

    def run(self):
        if self.server.tls:
            self.wrap(self.server.tls)
        greeting = self.server.greeting
        if greeting is None:
            greeting = "* OK [CAPABILITY %s] ready" % self.capabilities()
        if isinstance(greeting, bytes):
            self.socket.sendall(greeting)
        else:
            self.send(greeting)
        while True:
            tag, _, rest = self.command().decode("utf-8", "replace").partition(" ")
            if self.bent(tag, rest):
                continue
            words = rest.split(" ")
            verb = words[0].upper()
            if verb == "UID":
                verb = "UID_" + words[1].upper()
            handler = getattr(self, "do_" + verb.lower(), None)
            if handler is None:
                self.send(tag + " BAD I do not know " + verb)
            elif handler(tag, rest) == "end":
                return

    def wrap(self, context):
        if self.buffer:
            raise ValueError("the client sent clear text after STARTTLS: %r" % self.buffer)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.secure = True

    def bent(self, tag, rest):
        if rest.upper().startswith("APPEND "):
            self.server.appended.append((self.mailbox(rest)[0], self.literal))
        for rule in self.server.rules:
            if rule.times is not None and rule.hits >= rule.times:
                continue
            if not rule.pattern.search(rest):
                continue
            rule.hits += 1
            if rule.gate:
                rule.gate.wait()
                return False
            if rule.raw is not None:
                self.socket.sendall(rule.raw.replace(b"TAG", tag.encode("ascii")))
            else:
                self.send(*rule.untagged)
                if rule.tagged:
                    self.send("%s %s" % (tag, rule.tagged))
            if rule.drop:
                raise EOFError("dropped by a rule")
            return True
        return False

    # -- the commands ------------------------------------------------------------------------

    def capabilities(self):
        extra = " STARTTLS LOGINDISABLED" if self.server.starttls and not self.secure else ""
        return self.server.capabilities + extra

    def do_capability(self, tag, rest):
        self.send("* CAPABILITY " + self.capabilities(), tag + " OK done")

    def do_starttls(self, tag, rest):
        self.send(tag + " OK go ahead")
        self.wrap(self.server.starttls)

    def do_login(self, tag, rest):
        ok = self.server.password in rest
        self.send(tag + (" OK in" if ok else " NO [AUTHENTICATIONFAILED] wrong password"))

    def do_authenticate(self, tag, rest):
        words = rest.split(" ")
        mechanism = words[1].upper()
        if len(words) < 3:
            self.send("+ ")
            answer = self.line().decode("ascii")
        else:
            answer = words[2]
        said = b"" if answer == "=" else base64.b64decode(answer)
        if mechanism == "EXTERNAL":
            ok = bool(self.socket.getpeercert())
        elif mechanism in ("XOAUTH2", "OAUTHBEARER"):
            ok = b"auth=Bearer " + self.server.password.encode() + b"\1" in said
            if not ok:
                self.send(b"+ " + base64.b64encode(b'{"status":"401","schemes":"bearer"}'))
                self.line()
        else:
            ok = self.server.password.encode() in said
        self.send(tag + (" OK in" if ok else " NO [AUTHENTICATIONFAILED] wrong password"))

    def do_logout(self, tag, rest):
        self.send("* BYE", tag + " OK done")
        return "end"

    def do_enable(self, tag, rest):
        self.enabled |= set(rest.upper().split(" ")[1:])
        self.send("* ENABLED " + rest.partition(" ")[2], tag + " OK done")

    def do_id(self, tag, rest):
        self.send('* ID ("name" "scripted")', tag + " OK done")

    def do_namespace(self, tag, rest):
        self.send('* NAMESPACE (("" %s)) NIL NIL' % self.server.delimiter, tag + " OK done")

    def wire(self, name):
        return name if "UTF8=ACCEPT" in self.enabled else utf7(name)

    def do_list(self, tag, rest):
        if "UTF8=ONLY" in self.server.capabilities and "UTF8=ACCEPT" not in self.enabled:
            self.send(tag + " NO [CANNOT] enable UTF8=ACCEPT first")
            return
        for name in self.server.mailboxes:
            self.send('* LIST () %s "%s"' % (self.server.delimiter, self.wire(name)))
        self.send(tag + " OK done")

    def do_lsub(self, tag, rest):
        self.send(tag + " OK done")

    def mailbox(self, rest):
        """The mailbox that a command names first: INBOX in any case, the others as they are."""
        match = re.search(r'^\S+ (?:"((?:[^"\\]|\\.)*)"|(\S+))', rest)
        name = re.sub(r"\\(.)", r"\1", match.group(1)) if match.group(1) else match.group(2)
        name = "INBOX" if name.upper() == "INBOX" else name
        shown = {self.wire(each): each for each in self.server.mailboxes}
        return name, self.server.mailboxes.get(shown.get(name))

    def do_status(self, tag, rest):
        name, messages = self.mailbox(rest)
        if messages is None:
            self.send(tag + " NO [NONEXISTENT] no such mailbox")
            return
        values = {"MESSAGES": len(messages), "UIDVALIDITY": self.server.uidvalidity,
                  "UIDNEXT": 1 + max([m.uid for m in messages], default=0), "RECENT": 0,
                  "UNSEEN": sum("\\Seen" not in m.flags for m in messages)}
        asked = re.findall(r"[A-Z]+", rest[rest.rindex("("):].upper())
        items = " ".join("%s %d" % (x, values[x]) for x in asked if x in values)
        self.send('* STATUS "%s" (%s)' % (name, items), tag + " OK done")

    def do_append(self, tag, rest):
        _, messages = self.mailbox(rest)
        if messages is None:
            self.send(tag + " NO [TRYCREATE] no such mailbox")
            return
        uid = 1 + max([m.uid for m in messages], default=0)
        messages.append(Message(uid, self.literal))
        self.send("%s OK [APPENDUID %d %d] done" % (tag, self.server.uidvalidity, uid)
                  if "UIDPLUS" in self.server.capabilities else tag + " OK done")

    def do_select(self, tag, rest):
        name, messages = self.mailbox(rest)
        if messages is None:
            self.send(tag + " NO [NONEXISTENT] no such mailbox")
            return
        if self.selected is not None and "QRESYNC" in self.enabled:
            self.send("* OK [CLOSED] what follows is of " + name)
        self.selected = list(messages) if self.server.keeps_views else messages
        self.told = len(messages)
        uidnext = ["* OK [UIDNEXT %d] ok" % (1 + max([m.uid for m in messages], default=0))]
        self.send("* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)",
                  "* %d EXISTS" % len(messages), "* 0 RECENT",
                  "* OK [UIDVALIDITY %d] ok" % self.server.uidvalidity,
                  *(uidnext if self.server.gives_uidnext else []),
                  "* OK [%s] ok" % ("HIGHESTMODSEQ %d" % self.server.modseq
                                    if "CONDSTORE" in self.server.capabilities else "NOMODSEQ"),
                  "%s OK [READ-%s] done" % (tag, "ONLY" if name in self.server.read_only or
                                            rest.upper().startswith("EXAMINE") else "WRITE"))

    do_examine = do_select

    def do_close(self, tag, rest):
        self.selected = None
        self.send(tag + " OK done")

    do_unselect = do_close

    def do_noop(self, tag, rest):
        self.tell()
        self.send(tag + " OK done")

    do_check = do_noop

    def tell(self):
        if self.selected is not None and len(self.selected) != self.told:
            self.told = len(self.selected)
            self.send("* %d EXISTS" % self.told)

    def do_idle(self, tag, rest):
        self.send("+ idling")
        self.socket.settimeout(0.1)
        try:
            while True:
                try:
                    if self.line().upper() == b"DONE":
                        break
                except TimeoutError:
                    self.tell()
        finally:
            self.socket.settimeout(None)
        self.send(tag + " OK done")

    def do_uid_search(self, tag, rest):
        uids = [str(m.uid) for m in self.selected or []]
        if rest.endswith(" *"):
            uids = uids[-1:]
        self.send("* SEARCH " + " ".join(uids), tag + " OK done")

    def do_uid_fetch(self, tag, rest):
        _, _, wanted, items = rest.split(" ", 3)
        for sequence, message in enumerate(self.selected or [], 1):
            if in_set(message.uid, wanted, self.selected[-1].uid):
                self.fetch(sequence, message, items.upper(), items)
        self.send(tag + " OK done")

    def do_fetch(self, tag, rest):
        _, wanted, items = rest.split(" ", 2)
        for sequence, message in enumerate(self.selected or [], 1):
            if in_set(sequence, wanted, len(self.selected)):
                self.fetch(sequence, message, items.upper(), items)
        self.send(tag + " OK done")

    def fetch(self, sequence, message, items, _):
        out = [b"UID %d" % message.uid]
        if re.search(r"\bFLAGS\b", items):
            out.append(b"FLAGS (%s)" % message.flags.encode("ascii"))
        if "INTERNALDATE" in items:
            out.append(b"INTERNALDATE " + mail.internaldate(message.date).encode("ascii"))
        if "RFC822.SIZE" in items:
            out.append(b"RFC822.SIZE %d" % message.size)
        if "EMAILID" in items:
            out.append(b"EMAILID (M%s)" % hashlib.sha1(message.data).hexdigest().encode("ascii"))
        for section, start, length in re.findall(
                r"BODY(?:\.PEEK)?\[([^\]]*)\](?:<(\d+)\.(\d+)>)?", items):
            data = part(message.data, section)
            origin = b""
            if start:
                data = data[int(start):int(start) + int(length)]
                origin = b"<%s>" % start.encode("ascii")
            out.append(b"BODY[%s]%s {%d}\r\n%s"
                       % (section.encode("ascii"), origin, len(data), data))
        self.send(b"* %d FETCH (%s)" % (sequence, b" ".join(out)))


def utf7(name):
    """Modified UTF-7 (RFC 3501, 5.1.3)."""
    def run(match):
        octets = base64.b64encode(match.group().encode("utf-16-be")).rstrip(b"=")
        return "&" + octets.replace(b"/", b",").decode("ascii") + "-"
    return re.sub(r"[^\x20-\x7e]+", run, name.replace("&", "&-"))


def part(data, section):
    """What BODY[section] is of a message; the sections that a reader of mail asks for."""
    header, blank, body = data.partition(b"\r\n\r\n")
    if data.startswith(b"\r\n"):
        header, blank, body = b"", b"\r\n", data[2:]
    if section == "":
        return data
    if section == "TEXT":
        return body
    if section == "HEADER":
        return header + blank
    fields = re.findall(r"[A-Z0-9-]+", section.partition("(")[2])
    kept = b""
    for field in re.split(rb"\r\n(?![ \t])", header):
        if field.partition(b":")[0].strip().upper().decode("latin-1") in fields:
            kept += field + CRLF
    return kept + CRLF


def in_set(number, text, last):
    for piece in text.split(","):
        low, _, high = piece.partition(":")
        low, high = [last if x == "*" else int(x) for x in (low, high or low)]
        if min(low, high) <= number <= max(low, high):
            return True
    return False
