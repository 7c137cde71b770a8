"""A writer who copies, moves, edits and deletes, while kill -9 strikes again and again.

The manifest says of every message where it must be, from what the calls have answered, or where it
may be, as long as one has not.  After every kill the program is started again, finishes what it
had begun, and all mailboxes are read by imaplib: what must be there is, octet for octet; nothing
that nobody wrote; a second copy only of what was under way when the kill came.
"""
import collections
import os
import random
import threading

from . import account as accounts
from . import dovecot, judge as judges, mount, system

MAILBOXES = ["A", "B", "C", "Trash"]
PLACES = MAILBOXES[:3]
TRASH = MAILBOXES[3]
N_KEPT = 30  # messages of a writer at a time, or reading them all would take most of the time
SECONDS = 60


class Lost(AssertionError):
    """What was promised is not so."""


class Entry:
    """A message: where it may be (None: nowhere), under which names, whether it may be double."""

    def __init__(self, label, may, names):
        self.label = label
        self.may = set(may)
        self.names = set(names)
        self.may_be_double = False
        self.replaced_by = None  # the entry of an edit that was not answered

    def is_certain(self):
        return len(self.may) == 1 and len(self.names) == 1

    def place(self):
        return next(iter(self.may))

    def name(self):
        return next(iter(self.names))


def octets(label):
    """From 100 octets to 20 KiB, the same for a label always."""
    lines = 1 + sum(label.encode("ascii")) * 7 % 300
    return (b"From: storm@example.org\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n\r\n"
            % ((label.encode("ascii"),) * 2)
            + b"".join(b"%s, line %d of this message, for its size.\r\n"
                       % (label.encode("ascii"), i) for i in range(lines)))


class Writer:
    """Does one thing after the other until the mount dies."""

    def __init__(self, name, root, seed):
        self.name = name
        self.root = root
        self.random = random.Random(seed)
        self.entries = collections.OrderedDict()  # label -> Entry
        self.n = 0
        self.n_done = collections.Counter()
        self.refused = []

    def path(self, place, name):
        return os.path.join(self.root, place, name)

    def run(self, is_over):
        deeds = [self.create] * 3 + [self.create_by_rename] * 2 + [
            self.move] * 3 + [self.edit] * 2 + [self.delete] * 2 + [self.alias, self.read]
        while not is_over():
            deed = self.random.choice(deeds)
            try:
                if deed():
                    self.n_done[deed.__name__] += 1
            except OSError as error:
                if not is_over():
                    self.refused.append("%s: %s" % (deed.__name__, error))
                return

    def new_label(self):
        self.n += 1
        return "%s-%06d" % (self.name, self.n)

    def pick(self, places=PLACES):
        certain = [entry for entry in self.entries.values()
                   if entry.is_certain() and entry.place() in places]
        return self.random.choice(certain) if certain else None

    def write(self, path, label):
        with open(path, "wb") as f:
            data = octets(label)
            half = len(data) // 2
            f.write(data[:half])
            f.write(data[half:])

    def create(self):
        if len(self.entries) > N_KEPT:
            return self.delete()
        label, place = self.new_label(), self.random.choice(PLACES)
        entry = self.entries[label] = Entry(label, [None, place], [label + ".eml"])
        self.write(self.path(place, entry.name()), label)
        entry.may = {place}
        return True

    def create_by_rename(self):
        label, place = self.new_label(), self.random.choice(PLACES)
        entry = self.entries[label] = Entry(label, [None, place], [label + ".eml"])
        scratch = self.path(place, ".%s.tmp" % label)
        self.write(scratch, label)
        os.rename(scratch, self.path(place, entry.name()))
        entry.may = {place}
        return True

    def move(self):
        entry = self.pick()
        if not entry:
            return False
        source, target = entry.place(), self.random.choice(PLACES)
        if source == target:
            return False
        entry.may = {source, target}
        os.rename(self.path(source, entry.name()), self.path(target, entry.name()))
        entry.may = {target}
        return True

    def edit(self):
        old = self.pick()
        if not old:
            return False
        label, place = self.new_label(), old.place()
        new = Entry(label, [None, place], old.names)
        self.entries[label] = new
        old.may, old.replaced_by = {place, TRASH}, new
        if self.random.random() < 0.5:
            with open(self.path(place, old.name()), "r+b") as f:
                f.write(octets(label))
                f.truncate()
        else:
            scratch = self.path(place, ".%s.tmp" % label)
            self.write(scratch, label)
            os.rename(scratch, self.path(place, old.name()))
        new.may, old.may, old.replaced_by = {place}, {TRASH}, None
        return True

    def delete(self):
        """To Trash; what has been there for long, for good."""
        old = [entry for entry in self.entries.values()
               if entry.is_certain() and entry.place() == TRASH]
        if len(old) > N_KEPT // 2:
            entry = old[0]
            entry.may = {TRASH, None}
            found = [name for name in os.listdir(self.path(TRASH, ""))
                     if entry.label in name or name == entry.name()]
            for name in found:
                with open(self.path(TRASH, name), "rb") as f:
                    if f.read() == octets(entry.label):
                        os.unlink(self.path(TRASH, name))
                        entry.may = {None}
                        return True
            entry.may = {TRASH}
            return False
        entry = self.pick()
        if not entry:
            return False
        place = entry.place()
        entry.may = {place, TRASH}
        os.unlink(self.path(place, entry.name()))
        entry.may = {TRASH}
        return True

    def alias(self):
        entry = self.pick()
        if not entry:
            return False
        old, new = entry.name(), "%s-%d.eml" % (entry.label, self.random.randrange(10 ** 6))
        entry.names = {old, new}
        os.rename(self.path(entry.place(), old), self.path(entry.place(), new))
        entry.names = {new}
        return True

    def read(self):
        entry = self.pick()
        if not entry:
            return False
        with open(self.path(entry.place(), entry.name()), "rb") as f:
            if f.read() != octets(entry.label):
                raise Lost("%s reads as something else" % entry.name())
        return True

    # -- after a kill ------------------------------------------------------------------------

    def verify(self, found):
        """found: {label: Counter of mailboxes}, of what is on the server.  What may have been
        either is then known.  Gives the number of new second copies."""
        n_doubles = 0
        for label, entry in list(self.entries.items()):
            where = found.pop(label, collections.Counter())
            n = sum(where.values())
            was_certain = len(entry.may) == 1
            if not set(where) <= entry.may and not entry.may_be_double:
                raise Lost("%s may be in %s, and is in %s" % (label, entry.may, dict(where)))
            if n == 0 and None not in entry.may:
                raise Lost("%s was to be in %s, and is nowhere" % (label, entry.may))
            if entry.replaced_by and n and entry.place() != TRASH and set(where) == {TRASH} \
                    and label != entry.replaced_by.label and not found.get(
                        entry.replaced_by.label):
                raise Lost("%s is in Trash, and nothing came in its place" % label)
            if n > 1 and not entry.may_be_double:
                if was_certain or n > 2:
                    raise Lost("%s is there %d times" % (label, n))
                n_doubles += 1
                entry.may_be_double = True
            elif n > 2:
                raise Lost("%s is there %d times" % (label, n))
            self.settle(entry, where)
        return n_doubles

    def settle(self, entry, where):
        """An end that is known: it is left alone from now on where it is not a single one."""
        entry.replaced_by = None
        if not where:
            del self.entries[entry.label]
        elif len(where) == 1 and not entry.may_be_double:
            entry.may = set(where)
        elif set(where) - entry.may or len(entry.may) > 1:
            entry.may = set(where)


class Storm:
    """One account, one mount, some writers, many kills."""

    def __init__(self, binary, folder, server, seed, n_writers=2, keep_back=None):
        self.account = accounts.Account(server, dovecot.PASSWORD)
        self.account.user = "storm-%s" % seed  # several processes share the server
        self.is_poor = bool(keep_back)
        if keep_back:
            self.account.through_proxy(keep_back)
        for name in MAILBOXES:
            self.account.ensure(name)
        self.random = random.Random(seed)
        self.mount = mount.Mount(binary, folder, self.account.keys())
        self.judge = judges.Judge(self.account)
        self.writers = [Writer("s%sw%d" % (seed, i), self.mount.path, "%s.%d" % (seed, i))
                        for i in range(n_writers)]
        self.n_kills = self.n_doubles = 0

    def close(self):
        self.mount.kill()
        self.judge.close()
        self.account.close()

    def start(self):
        self.mount.start().online()
        for name in MAILBOXES:
            os.listdir(os.path.join(self.mount.path, name))

        def is_done():
            upload = self.mount.account()["upload"]
            assert not upload or upload["pending"] == 0, upload
            return True
        system.wait_for(is_done, "the journal is empty", SECONDS)

    def strike(self):
        """The writers write for a while, and then: kill -9."""
        over = threading.Event()
        threads = [threading.Thread(target=writer.run, args=(over.is_set,))
                   for writer in self.writers]
        for thread in threads:
            thread.start()
        over.wait(self.random.uniform(0.02, 1.0))
        over.set()
        self.mount.kill()
        for thread in threads:
            thread.join()
        self.n_kills += 1

    def data(self, name):
        """What a mailbox holds.  Without UIDPLUS what could not be removed alone stays there,
        marked, and is hidden by the mount."""
        return sorted(seen.data for seen in self.judge.see(name).values()
                      if not (self.is_poor and "\\Deleted" in seen.flags))

    def verify(self):
        labels = {octets(label): label for writer in self.writers for label in writer.entries}
        found = collections.defaultdict(collections.Counter)
        for name in MAILBOXES:
            for data in self.data(name):
                if data not in labels:
                    raise Lost("%s holds what nobody wrote: %r" % (name, data[:200]))
                found[labels[data]][name] += 1
        for writer in self.writers:
            self.n_doubles += writer.verify(found)
            if writer.refused:
                raise Lost("refused although the mount was there: %s" % writer.refused)

    def resolve_names(self):
        """Which of two names has a file whose renaming was not answered.  What the journal did
        at the start may still be on its way into the directories."""
        system.wait_for(self._find_names, "the names are there", SECONDS)

    def _find_names(self):
        shown = {place: set(os.listdir(os.path.join(self.mount.path, place)))
                 for place in MAILBOXES}
        for writer in self.writers:
            for entry in writer.entries.values():
                there = entry.names & shown[entry.place()] if len(entry.may) == 1 else set()
                if entry.place() in PLACES and len(entry.may) == 1:
                    if not there:
                        raise Lost("%s has none of its names %s in %s" % (
                            entry.label, entry.names, entry.place()))
                    entry.names = {sorted(there)[0]}
        return True

    def run(self, n_kills):
        for _ in range(n_kills):
            self.start()
            self.verify()
            self.resolve_names()
            self.strike()
        self.start()
        self.verify()
        self.mount.stop()

    def look_with_an_empty_cache(self):
        """What the mount shows when it knows nothing but its state."""
        self.mount.empty_cache()
        self.start()
        for name in MAILBOXES:
            system.wait_for(lambda name=name: self._shows(name), "the mount shows it", SECONDS)
        self.resolve_names()
        self.mount.stop()

    def _shows(self, name):
        shown = collections.Counter(self._read(name))
        wanted = collections.Counter(self.data(name))
        there = collections.Counter(self.judge.data(name))
        assert not wanted - shown and not shown - there, \
            "%s shows %d messages, the server has %d" % (
                name, sum(shown.values()), sum(wanted.values()))
        return True

    def _read(self, name):
        where = os.path.join(self.mount.path, name)
        for each in os.listdir(where):
            if each.endswith(".eml"):
                with open(os.path.join(where, each), "rb") as f:
                    yield f.read()

    def n_done(self):
        return sum((writer.n_done for writer in self.writers), collections.Counter())
