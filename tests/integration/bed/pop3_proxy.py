"""A TCP proxy before a POP3 server: counts commands, sessions and round trips on the wire, cuts as
bed/proxy.py does, and makes a poorer server of a good one.

It follows both sides of each conversation, so it must stand before a plain-text server.
"""
import collections
import re
import threading
import time

from . import proxy

MULTILINE = {"CAPA", "UIDL", "LIST", "TOP", "RETR", "AUTH"}
# The answers that end in a line with a dot only when the command has no argument.
BARE = {"UIDL", "LIST", "AUTH"}
SILENCE = 1.0  # seconds after which a client that waits for answers sends nothing more


class Session:
    """One connection: which commands wait for an answer, and what the answers were."""

    def __init__(self, found):
        self.found = found          # called with each whole command line
        self.waiting = collections.deque()
        self.lock = threading.Lock()
        self.up_rest = b""
        self.down_rest = b""
        self.in_list = False        # inside an answer of many lines
        self.is_greeted = False
        self.is_exchange = False    # between AUTH and its end lines are no commands
        self.flights = 0            # how often the client sent with nothing on its way
        self.deepest = 0            # how many commands were on their way at once
        self.is_in = False          # logged in
        self.last_up = 0.0          # when the client sent something, monotonic

    def forget(self):
        self.flights = self.deepest = 0
        self.is_in = False

    def up(self, data):
        lines = (self.up_rest + data).split(b"\n")
        self.up_rest = lines.pop()
        with self.lock:
            self.last_up = time.monotonic()
            if lines and not self.waiting:
                self.flights += 1
            for line in lines:
                if self.is_exchange:
                    continue
                line = line.rstrip(b"\r")
                words = line.decode("latin-1").upper().split() or [""]
                self.waiting.append(words)
                self.is_exchange = words[0] == "AUTH" and len(words) > 1
                self.found(line)
            self.deepest = max(self.deepest, len(self.waiting))

    def down(self, data):
        lines = (self.down_rest + data).split(b"\n")
        self.down_rest = lines.pop()
        with self.lock:
            for line in lines:
                self._answer(line.rstrip(b"\r"))

    def is_answer_due(self, verb, depth):
        """False while more commands may follow this one, before its answer: there are fewer than
        depth."""
        with self.lock:
            return not self.waiting or self.waiting[0][0] != verb or \
                len(self.waiting) >= depth or time.monotonic() - self.last_up > SILENCE

    def _answer(self, line):
        if not self.is_greeted:
            self.is_greeted = True
        elif self.in_list:
            self.in_list = line != b"."
        elif self.is_exchange and line.startswith(b"+ "):
            pass
        elif self.waiting:
            words = self.waiting.popleft()
            self.is_exchange = False
            is_ok = line.startswith(b"+OK")
            self.in_list = is_ok and words[0] in MULTILINE and not (
                words[0] in BARE and len(words) > 1)
            self.is_in |= is_ok and words[0] in ("PASS", "APOP", "AUTH")


class Pop3Proxy(proxy.Proxy):
    """without: capabilities that the server behind does not have any more, such as
    {"PIPELINING", "TOP"}; "CAPA" takes the command itself away."""

    def __init__(self, target_port, without=()):
        names = "|".join(sorted(without)) or "NOTHING"
        self.capability = re.compile(rb"^(%s)( [^\r\n]*)?\r?\n" % names.encode("ascii"), re.M)
        self.command = re.compile(rb"^(%s)\b" % names.encode("ascii"), re.M | re.I)
        self.without = set(without)
        self.held = None
        self.seen = []
        super().__init__(target_port)

    def url(self):
        return "pop3+plain://127.0.0.1:%d" % self.port

    def forget(self):
        super().forget()
        with self.lock:
            for each in self.seen:  # some of these may go on
                each.forget()

    def verbs(self):
        """How often each command was sent, a Counter."""
        return collections.Counter(line.upper().split()[0] for line in self.lines() if line.strip())

    @property
    def sessions(self):
        """How many connections have logged in since forget()."""
        with self.lock:
            return sum(each.is_in for each in self.seen)

    @property
    def flights(self):
        """Round trips of all sessions."""
        with self.lock:
            return sum(each.flights for each in self.seen)

    @property
    def deepest(self):
        """How many commands were on their way at once, at most."""
        with self.lock:
            return max([each.deepest for each in self.seen], default=0)

    def hold(self, verb, depth):
        """Keeps the answers to a command back until so many of it are on their way, or the client
        has said nothing for a while: how deep it goes depends on the client alone then.  Until it
        was as deep."""
        self.held = (verb, depth)

    def _hold(self, session):
        if not self.held:
            return
        verb, depth = self.held
        while not session.is_answer_due(verb, depth):
            time.sleep(0.01)
        if session.deepest >= depth:
            self.held = None

    def is_idle(self):
        """No connection stands: the maildrop is free."""
        with self.lock:
            return not self.open

    def _watch(self, number):
        session = Session(lambda line: self._note(number, line))
        with self.lock:
            self.seen.append(session)

        def down(data):
            self._hold(session)
            session.down(data)
            self._count(data)
        return session.up, down

    def _pieces(self, source, direction):
        if not self.without:
            yield from super()._pieces(source, direction)
            return
        held = b""
        while True:
            data = source.recv(proxy.CHUNK)
            if not data:
                return
            lines, newline, held = (held + data).rpartition(b"\n")
            if not newline:
                continue
            whole = lines + newline
            if direction == proxy.UP:
                whole = self.command.sub(rb"X\1", whole)
            elif b"\n.\r\n" in whole:  # an answer of many lines
                whole = self.capability.sub(b"", whole)
            yield whole
