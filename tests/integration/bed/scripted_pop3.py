"""A small POP3 server whose every answer a test can bend: for what real servers never send.

It knows USER, PASS, APOP, AUTH (PLAIN, LOGIN, CRAM-MD5, XOAUTH2, OAUTHBEARER), CAPA, STLS, STAT,
LIST, UIDL, TOP, RETR, DELE, RSET, NOOP and QUIT.  The maildrop is locked while somebody is logged
in, as RFC 1939 wants it.  A test gives it messages, settings, and rules that replace answers:

    server = ScriptedPop3Server([Message("uidl-1", b"...")])
    server.in_use = 2                                # the first two logins are refused
    server.rule(r"^RETR 1$", "-ERR [SYS/TEMP] later", times=1)
    server.rule(r"^RETR", raw=b"+OK\\r\\nhalf a li", drop=True)

Each line that a client sends is in .received.
"""
import base64
import collections
import hashlib
import hmac
import poplib
import re
import socket
import threading
import time

from . import pop3_account, system

CRLF = b"\r\n"
USER = "ali"
BANNER = "<1896.697170952@tests.example.org>"
EVERYTHING = ("TOP", "UIDL", "USER", "SASL PLAIN", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE")


class Message:
    """uidl: what UIDL says; None: UIDL says nothing of this message.  size: what LIST says; the
    truth when None.  raw: the lines that RETR sends as they stand, the final dot among them."""

    def __init__(self, uidl, data, size=None, raw=None):
        self.uidl = uidl
        self.data = data
        self.size = len(pop3_account.on_wire(data)) if size is None else size
        self.raw = raw

    def stuffed(self, n_lines=None):
        """For the wire, with the final dot; of the body only the first n_lines, if given."""
        if self.raw is not None and n_lines is None:
            return self.raw
        data = pop3_account.on_wire(self.data)
        if n_lines is not None:
            header, blank, body = data.partition(b"\r\n\r\n")
            data = header + blank + b"".join(body.splitlines(True)[:n_lines])
            data = data if data.endswith(CRLF) else data + CRLF
        return re.sub(rb"^\.", b"..", data, flags=re.M) + b".\r\n"


def messages(datas, name="uidl-%d"):
    return [Message(name % number, data) for number, data in enumerate(datas, 1)]


class Rule:
    def __init__(self, pattern, lines, raw, drop, times):
        self.pattern = re.compile(pattern, re.I)
        self.lines = lines
        self.raw = raw
        self.drop = drop
        self.times = times
        self.hits = 0


class ScriptedPop3Server(pop3_account.Eyes):
    """Settings, which may change at any time:

    capabilities    lines of CAPA; None: there is no CAPA
    is_pipelining   False: a command that comes before the answer to the last is an error of the
                    client, in .pipelined
    in_use          so many logins are refused with [IN-USE]
    login_delay     seconds from a login to the next that is not refused with [LOGIN-DELAY]
    hides           what was retrieved is gone after QUIT, as Gmail's setting has it; it is in
                    .hidden then
    quit            ok; refuse (-ERR, and nothing is deleted); lost (deleted, but no answer);
                    early (no answer, and nothing is deleted)
    line_end        of what is sent
    """

    def __init__(self, drop=(), capabilities=EVERYTHING, greeting=None, tls=None, stls=None,
                 password="secret"):
        """tls: a server-side SSLContext for implicit TLS; stls: one for STLS."""
        self.drop = list(drop)
        self.capabilities = capabilities
        self.greeting = greeting
        self.tls = tls
        self.stls = stls
        self.password = password
        self.is_pipelining = True
        self.in_use = 0
        self.login_delay = 0
        self.hides = False
        self.quit = "ok"
        self.line_end = CRLF
        self.rules = []
        self.received = []       # lines, as bytes, without the line end
        self.clear_octets = b""  # all that came before TLS, when there is TLS
        self.errors = []
        self.pipelined = []
        self.retrieved = collections.Counter()  # by UIDL
        self.deleted = []        # UIDLs, in their order, once it has happened
        self.hidden = []
        self.mechanisms = []     # of each login: "USER", "APOP", "PLAIN" ...
        self.logins = []         # when each login was tried, monotonic
        self.refused = []        # the answers to logins that were refused
        self.sessions = 0        # those that logged in
        self.n_connections = 0
        self.last_login = None
        self.lock = threading.Lock()
        self.owner = None        # whose the maildrop is now
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    # -- for tests ---------------------------------------------------------------------------

    def url(self, scheme="pop3+plain"):
        host = "127.0.0.1" if scheme == "pop3+plain" else "localhost"
        return "%s://%s:%d" % (scheme, host, self.port)

    def keys(self, scheme="pop3+plain", **more):
        found = {"pop3": self.url(scheme), "user": USER, "password": self.password}
        found.update({key.replace("_", "-"): value for key, value in more.items()})
        return found

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # or accept() would wait for ever
        self.listener.close()

    def rule(self, pattern, *lines, raw=None, drop=False, times=None):
        """The command that matches is answered with these lines, or with raw octets.  drop: the
        connection is closed then."""
        rule = Rule(pattern, lines, raw, drop, times)
        self.rules.insert(0, rule)
        return rule

    def commands(self, pattern=""):
        return [line for line in (x.decode("latin-1") for x in list(self.received))
                if re.search(pattern, line, re.I)]

    def verbs(self):
        return collections.Counter(line.upper().split()[0]
                                   for line in self.commands() if line.strip())

    def forget(self):
        """Starts all counts again."""
        with self.lock:
            self.received = []
            self.retrieved = collections.Counter()
            self.deleted = []
            self.mechanisms = []
            self.logins = []
            self.refused = []
            self.sessions = 0
            self.n_connections = 0

    def is_free(self):
        """Nobody is logged in."""
        return self.owner is None

    def data(self):
        """The messages' octets, without a session of its own."""
        with self.lock:
            return [pop3_account.on_wire(message.data) for message in self.drop]

    def uidls(self):
        with self.lock:
            return [message.uidl for message in self.drop]

    def wait_uidls(self, wanted, seconds=10):
        system.wait_for(lambda: self.uidls() == list(wanted), "the maildrop has " + str(wanted),
                        seconds)

    def add(self, *new):
        with self.lock:
            self.drop += new

    def remove(self, *uidls):
        """As another client does, between our sessions."""
        with self.lock:
            self.drop = [message for message in self.drop if message.uidl not in uidls]

    def occupy(self):
        """Another client logs in and stays; call what this gives to end that."""
        another = object()
        system.wait_for(lambda: self._take(another), "the maildrop is free")
        return lambda: self.leave(another)

    def log_in(self):
        pop3 = poplib.POP3("127.0.0.1", self.port, timeout=10)
        pop3.user(USER)
        pop3.pass_(self.password)
        return pop3

    # -- the maildrop's lock -----------------------------------------------------------------

    def _take(self, who):
        with self.lock:
            if self.owner is not None:
                return False
            self.owner = who
            return True

    def leave(self, who):
        with self.lock:
            if self.owner is who:
                self.owner = None

    def admit(self, who):
        """Why this login, whose password is right, is refused all the same; None when it is not."""
        with self.lock:
            if self.in_use > 0:
                self.in_use -= 1
                return "-ERR [IN-USE] the maildrop is locked"
            now = time.monotonic()
            if self.login_delay and self.last_login is not None and \
                    now - self.last_login < self.login_delay:
                return "-ERR [LOGIN-DELAY] minimum time between mail checks violation"
        if not self._take(who):
            return "-ERR [IN-USE] the maildrop is locked"
        with self.lock:
            self.last_login = now
            self.sessions += 1
        return None

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
        conversation = Conversation(self, client)
        try:
            conversation.run()
        except (OSError, EOFError, ValueError) as error:
            self.errors.append(repr(error))
        finally:
            self.leave(conversation)
            conversation.close()


class Conversation:
    """One connection to a ScriptedPop3Server."""

    def __init__(self, server, client):
        self.server = server
        self.socket = client
        self.buffer = b""
        self.secure = False
        self.user = ""
        self.drop = None       # the messages of this session, once it is one
        self.gone = set()      # indexes that are marked as deleted
        self.retrieved = set()

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass

    def send(self, *lines):
        self.socket.sendall(b"".join(
            (line if isinstance(line, bytes) else line.encode("utf-8")) + self.server.line_end
            for line in lines))

    def send_list(self, first, octets):
        """An answer of many lines: octets are stuffed and end in the dot."""
        if self.server.line_end != CRLF:
            octets = octets.replace(CRLF, self.server.line_end)
        self.socket.sendall(first.encode("utf-8") + self.server.line_end + octets)

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the client closed the connection")
        if not self.secure and (self.server.tls or self.server.stls):
            self.server.clear_octets += data
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self.receive()
        line, _, self.buffer = self.buffer.partition(b"\n")
        line = line.rstrip(b"\r")
        self.server.received.append(line)
        if self.buffer and not self.server.is_pipelining:
            self.server.pipelined.append((line, self.buffer))
        return line

    def wrap(self, context):
        if self.buffer:
            raise ValueError("the client sent clear text after STLS: %r" % self.buffer)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.secure = True

    def run(self):
        if self.server.tls:
            self.wrap(self.server.tls)
        greeting = self.server.greeting
        if greeting is None:
            greeting = "+OK ready"
        if isinstance(greeting, bytes):
            self.socket.sendall(greeting)
        else:
            self.send(greeting)
        while True:
            text = self.line().decode("utf-8", "replace")
            if self.bent(text):
                continue
            verb, _, rest = text.partition(" ")
            handler = getattr(self, "do_" + verb.lower(), None)
            if handler is None:
                self.send("-ERR I do not know that command")
            elif handler(rest) == "end":
                return

    def bent(self, text):
        for rule in self.server.rules:
            if rule.times is not None and rule.hits >= rule.times:
                continue
            if not rule.pattern.search(text):
                continue
            rule.hits += 1
            if rule.raw is not None:
                self.socket.sendall(rule.raw)
            else:
                self.send(*rule.lines)
            if rule.drop:
                raise EOFError("dropped by a rule")
            return True
        return False

    # -- before the login --------------------------------------------------------------------

    def do_capa(self, rest):
        if self.server.capabilities is None:
            self.send("-ERR I do not know that command")
            return
        lines = list(self.server.capabilities)
        if self.server.stls and not self.secure:
            lines = ["STLS"] + [line for line in lines if not line.startswith(("USER", "SASL"))]
        if self.server.login_delay:
            lines.append("LOGIN-DELAY %d" % self.server.login_delay)
        self.send("+OK", *lines, ".")

    def do_stls(self, rest):
        if not self.server.stls:
            self.send("-ERR no TLS here")
            return
        self.send("+OK begin")
        self.wrap(self.server.stls)

    def do_user(self, rest):
        self.user = rest
        self.send("+OK and the password?")

    def do_pass(self, rest):
        self.enter("USER", self.user == USER and rest == self.server.password)

    def do_apop(self, rest):
        banner = re.search(r"<[^>]*>", self.server.greeting or "")
        user, _, digest = rest.partition(" ")
        wanted = hashlib.md5(((banner.group() if banner else "none")
                              + self.server.password).encode()).hexdigest()
        self.enter("APOP", user == USER and digest == wanted)

    def do_auth(self, rest):
        words = rest.split(" ")
        mechanism = words[0].upper()
        if not rest:
            self.send("-ERR what?")
            return
        answer = base64.b64decode(words[1]) if len(words) > 1 and words[1] != "=" else None
        try:
            ok = self.judge(mechanism, answer)
        except ValueError:
            self.send("-ERR I cannot read that")
            return
        self.enter(mechanism, ok)

    def ask(self, challenge=b""):
        self.send(b"+ " + base64.b64encode(challenge))
        answer = self.line()
        if answer == b"*":
            raise ValueError("cancelled")
        return base64.b64decode(answer)

    def judge(self, mechanism, answer):
        password = self.server.password.encode()
        if mechanism == "PLAIN":
            answer = self.ask() if answer is None else answer
            return answer.split(b"\0")[1:] == [USER.encode(), password]
        if mechanism == "LOGIN":
            user = self.ask(b"Username:") if answer is None else answer
            return self.ask(b"Password:") == password and user == USER.encode()
        if mechanism == "CRAM-MD5":
            digest = hmac.new(password, BANNER.encode(), hashlib.md5).hexdigest()
            return self.ask(BANNER.encode()) == ("%s %s" % (USER, digest)).encode()
        if mechanism in ("XOAUTH2", "OAUTHBEARER"):
            answer = self.ask() if answer is None else answer
            ok = b"auth=Bearer " + password + b"\1" in answer
            if not ok:
                self.send(b"+ " + base64.b64encode(b'{"status":"401","schemes":"bearer"}'))
                self.line()
            return ok
        raise ValueError("no such mechanism")

    def enter(self, mechanism, is_right):
        self.server.logins.append(time.monotonic())
        refusal = "-ERR [AUTH] wrong password" if not is_right else self.server.admit(self)
        if refusal:
            self.server.refused.append(refusal)
            self.send(refusal)
            return
        self.server.mechanisms.append(mechanism)
        with self.server.lock:
            self.drop = list(self.server.drop)
        self.send("+OK welcome")

    # -- in the maildrop ---------------------------------------------------------------------

    def there(self):
        """(number, message) of those that are not marked as deleted."""
        if self.drop is None:
            raise ValueError("a command before the login")
        return [(n, message) for n, message in enumerate(self.drop, 1) if n not in self.gone]

    def one(self, text):
        """The message of a number, or None after saying so."""
        found = dict(self.there()).get(int(text) if text.isdigit() else 0)
        if found is None:
            self.send("-ERR no such message")
        return found

    def do_stat(self, rest):
        there = self.there()
        self.send("+OK %d %d" % (len(there), sum(message.size for _, message in there)))

    def do_list(self, rest):
        if rest:
            found = self.one(rest)
            if found:
                self.send("+OK %s %d" % (rest, found.size))
            return
        self.send_list("+OK", b"".join(b"%d %d\r\n" % (n, message.size)
                                       for n, message in self.there()) + b".\r\n")

    def do_uidl(self, rest):
        if rest:
            found = self.one(rest)
            if found:
                self.send("+OK %s %s" % (rest, found.uidl) if found.uidl is not None
                          else "-ERR no unique-id")
            return
        self.send_list("+OK", b"".join(
            b"%d %s\r\n" % (n, message.uidl.encode("utf-8", "surrogateescape"))
            for n, message in self.there() if message.uidl is not None) + b".\r\n")

    def do_top(self, rest):
        number, _, n_lines = rest.partition(" ")
        if "TOP" not in map(str.upper, self.server.capabilities or ["TOP"]):
            self.send("-ERR I do not know that command")
            return
        found = self.one(number)
        if found:
            self.send_list("+OK", found.stuffed(int(n_lines)))

    def do_retr(self, rest):
        found = self.one(rest)
        if found:
            self.server.retrieved[found.uidl] += 1
            self.retrieved.add(int(rest))
            self.send_list("+OK %d octets" % found.size, found.stuffed())

    def do_dele(self, rest):
        if self.one(rest):
            self.gone.add(int(rest))
            self.send("+OK marked")

    def do_rset(self, rest):
        self.there()
        self.gone.clear()
        self.send("+OK")

    def do_noop(self, rest):
        self.there()
        self.send("+OK")

    def do_quit(self, rest):
        if self.drop is None:
            self.send("+OK bye")
            return "end"
        how = self.server.quit
        if how in ("ok", "lost"):
            self.update()
        self.server.leave(self)  # before the answer, which says that it has been done
        if how in ("ok", "refuse"):
            self.send("+OK bye" if how == "ok" else "-ERR [SYS/TEMP] some messages not removed")
        return "end"

    def update(self):
        """The UPDATE state: what was marked goes."""
        leaving = {id(self.drop[n - 1]) for n in self.gone}
        hidden = {id(self.drop[n - 1]) for n in self.retrieved} if self.server.hides else set()
        with self.server.lock:
            self.server.deleted += [message.uidl for message in self.server.drop
                                    if id(message) in leaving]
            self.server.hidden += [message for message in self.server.drop
                                   if id(message) in hidden - leaving]
            self.server.drop = [message for message in self.server.drop
                                if id(message) not in leaving | hidden]
