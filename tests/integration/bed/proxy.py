"""A TCP proxy before a server: counts IMAP commands, delays, cuts, lets nothing through, and keeps
back what a poorer server would not say.

It reads the client's side as IMAP, so it must stand before a plain-text server.  Counts are
taken where nobody can cheat: on the wire.
"""
import collections
import re
import socket
import threading
import time

LITERAL = re.compile(rb"\{(\d+)(\+?)\}$")
COMMAND = re.compile(rb"^([A-Za-z0-9.]+) (?:(UID) )?([A-Za-z]+)")
CHANGE = re.compile(r"^[A-Za-z0-9.]+ (UID )?(APPEND|REPLACE|COPY|MOVE|STORE|EXPUNGE|CLOSE|CREATE|"
                    r"DELETE|RENAME|SUBSCRIBE|UNSUBSCRIBE)\b", re.I)
# The response codes of UIDPLUS (RFC 4315), with the blank behind.
UIDPLUS_CODES = re.compile(rb"\[(?:APPENDUID|COPYUID)[^\]\r\n]*\] ")
CHUNK = 65536
UP, DOWN = "up", "down"  # from the client, from the server


class CommandReader:
    """Splits what a client sends into commands; literals are no commands."""

    def __init__(self, found):
        self.found = found
        self.line = b""
        self.command = b""
        self.skip = 0

    def feed(self, data):
        while data:
            if self.skip:
                n = min(self.skip, len(data))
                self.skip -= n
                data = data[n:]
                continue
            piece, newline, data = data.partition(b"\n")
            self.line += piece
            if not newline:
                return
            line, self.line = self.line.rstrip(b"\r"), b""
            self.command += line
            literal = LITERAL.search(line)
            if literal:
                self.skip = int(literal.group(1))
                continue
            command, self.command = self.command, b""
            self.found(command)


class Proxy:
    """Listens on .port.  Settings may change at any time:

    delay       seconds that each piece of data waits, in each direction
    cut_after   octets from the server after which a new connection is cut; None is never
    frozen      True: accepts and reads, but passes nothing on (a black hole)
    refuse      True: every connection is closed at once, and the ones that stand
    """

    def __init__(self, target_port, keep_back=None):
        """keep_back: a pattern that is taken out of the server's lines, such as
        UIDPLUS_CODES."""
        self.target_port = target_port
        self.keep_back = keep_back
        self.delay = 0.0
        self.cut_after = None
        self.frozen = False
        self.refuse = False
        self.lock = threading.Lock()
        self.commands = []       # (connection number, line), without literals' contents
        self.n_connections = 0
        self.n_cut = 0
        self.octets_down = 0
        self.left = {UP: None, DOWN: None}  # octets until a cut, see cut_in()
        self.passed = {UP: 0, DOWN: 0}
        self.open = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self):
        return "imap+plain://127.0.0.1:%d" % self.port

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # or accept() would wait for ever
        self.listener.close()
        self.cut()

    def cut(self):
        """Cuts all connections that stand."""
        with self.lock:
            connections = list(self.open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut_in(self, direction, octets):
        """Cuts all connections when so many more octets have passed in this direction, on any of
        them; once.  None: not at all."""
        with self.lock:
            self.left[direction] = octets
        if octets == 0 and self._let_pass(direction, b"")[1]:
            self.cut()

    def is_cut(self):
        """Whether the cut that was asked for has happened."""
        return self.left == {UP: None, DOWN: None}

    def down(self):
        self.refuse = True
        self.cut()

    def up(self):
        self.refuse = False

    def forget(self):
        """Starts all counts again."""
        with self.lock:
            self.commands = []
            self.octets_down = 0
            self.passed = {UP: 0, DOWN: 0}
            self.n_connections = 0
            self.n_cut = 0

    def lines(self, pattern=""):
        """The commands that were sent, as text, that match."""
        with self.lock:
            text = [line.decode("latin-1") for _, line in self.commands]
        return [line for line in text if re.search(pattern, line, re.I)]

    def verbs(self):
        """How often each command was sent, a Counter: FETCH counts UID FETCH too."""
        found = collections.Counter()
        for line in self.lines():
            match = COMMAND.match(line.encode("latin-1"))
            if match:
                found[match.group(3).decode("ascii").upper()] += 1
        return found

    def changes(self):
        """The commands that change mail or mailboxes, in their order: "APPEND", "UID MOVE" ..."""
        found = []
        for line in self.lines():
            match = CHANGE.match(line)
            if match:
                found.append((match.group(1) or "").upper() + match.group(2).upper())
        return found

    def body_fetches(self):
        """FETCH commands that ask for whole messages or parts of bodies, but not for header
        fields."""
        return [line for line in self.lines(r"\bFETCH\b")
                if re.search(r"BODY(\.PEEK)?\[(\]|TEXT|\d)|RFC822(\.TEXT)?[ )]|BINARY", line, re.I)]

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                client.close()
                continue
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.n_connections += 1
                number = self.n_connections
                self.open |= {client, server}
            up, down = self._watch(number)
            threading.Thread(target=self._copy, daemon=True,
                             args=(client, server, UP, up, None)).start()
            threading.Thread(target=self._copy, daemon=True,
                             args=(server, client, DOWN, down, self.cut_after)).start()

    def _watch(self, number):
        """Two functions that see what passes on this connection, from the client and from the
        server."""
        return CommandReader(lambda line: self._note(number, line)).feed, self._count

    def _note(self, number, line):
        with self.lock:
            self.commands.append((number, line))

    def _count(self, data):
        with self.lock:
            self.octets_down += len(data)

    def _let_pass(self, direction, data):
        """What of data may pass; cuts when that was the last of it."""
        with self.lock:
            left = self.left[direction]
            is_last = left is not None and left <= len(data)
            data = data[:left] if is_last else data
            if left is not None:
                self.left[direction] = None if is_last else left - len(data)
            self.passed[direction] += len(data)
            self.n_cut += is_last
        return data, is_last

    def _whole_lines(self, source):
        """The server's octets, line by line, without what is kept back."""
        held = b""
        while True:
            data = source.recv(CHUNK)
            if not data:
                return
            lines, newline, held = (held + data).rpartition(b"\n")
            yield self.keep_back.sub(b"", lines) + newline

    def _pieces(self, source, direction):
        if direction == DOWN and self.keep_back:
            return self._whole_lines(source)
        return iter(lambda: source.recv(CHUNK), b"")

    def _copy(self, source, sink, direction, see, limit):
        pieces = self._pieces(source, direction)
        try:
            for data in pieces:
                while self.frozen:
                    time.sleep(0.05)
                if self.delay:
                    time.sleep(self.delay)
                if limit is not None:
                    data, limit = data[:limit], limit - len(data)
                data, is_last = self._let_pass(direction, data)
                see(data)
                sink.sendall(data)
                if is_last:
                    self.cut()
                    break
                if limit is not None and limit <= 0:
                    with self.lock:
                        self.n_cut += 1
                    break
        except OSError:
            pass
        with self.lock:
            self.open -= {source, sink}
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        # Both directions end here; the one that is left holds the last reference.
