"""Two mounts of one account and another client, who all change the same mailboxes at random.

Who loses a race gets an error, and that is all: at the end the three agree, what somebody was
told to be stored is there, and what nobody removed for good is not gone.
"""
import collections
import imaplib
import os
import random
import threading
import time

from . import account as accounts
from . import dovecot, judge as judges, mail, mount, storm, system

PLACES = ["A", "B"]
TRASH = "Trash"
SECONDS = 60
ENOUGH = 40  # messages in a mailbox; beyond it they are deleted, not made


class Books:
    """What all of them did, by label."""

    def __init__(self):
        self.lock = threading.Lock()
        self.stored = set()  # answered for
        self.tried = set()  # perhaps stored
        self.removed = set()  # somebody has tried to remove it for good
        self.done = collections.Counter()
        self.refused = collections.Counter()

    def __call__(self, books, label):
        with self.lock:
            books.add(label)


class Racer:
    def __init__(self, name, books, seed):
        self.name = name
        self.books = books
        self.random = random.Random(seed)
        self.n = 0

    def new_label(self):
        self.n += 1
        label = "%s-%06d" % (self.name, self.n)
        self.books(self.books.tried, label)
        return label

    def run(self, until):
        while time.monotonic() < until:
            deed = self.random.choice(self.deeds())
            try:
                if deed():
                    self.books.done["%s %s" % (self.name, deed.__name__)] += 1
            except (OSError, imaplib.IMAP4.error) as error:
                self.books.refused["%s %s: %s" % (self.name, deed.__name__,
                                                  getattr(error, "strerror", None)
                                                  or type(error).__name__)] += 1
            time.sleep(self.random.uniform(0, 0.02))


class MountRacer(Racer):
    def __init__(self, name, books, seed, root):
        super().__init__(name, books, seed)
        self.root = root

    def deeds(self):
        return [self.create] * 3 + [self.move] * 2 + [self.edit] * 2 + [
            self.delete] * 2 + [self.expunge, self.read]

    def pick(self, place):
        names = [name for name in os.listdir(os.path.join(self.root, place))
                 if name.endswith(".eml")]
        return os.path.join(self.root, place, self.random.choice(names)) if names else None

    def create(self):
        place = self.random.choice(PLACES)
        if len(os.listdir(os.path.join(self.root, place))) > ENOUGH:
            return self.delete()
        label = self.new_label()
        with open(os.path.join(self.root, place, label + ".eml"), "xb") as f:
            f.write(storm.octets(label))
        self.books(self.books.stored, label)
        return True

    def move(self):
        source, target = self.random.sample(PLACES, 2)
        path = self.pick(source)
        if not path:
            return False
        # Never onto another one, which would remove it.
        name = "moved-%s-%d.eml" % (self.name, self.random.randrange(10 ** 9))
        os.rename(path, os.path.join(self.root, target, name))
        return True

    def edit(self):
        path = self.pick(self.random.choice(PLACES))
        if not path:
            return False
        label = self.new_label()
        with open(path, "r+b") as f:
            f.write(storm.octets(label))
            f.truncate()
        self.books(self.books.stored, label)
        return True

    def delete(self):
        path = self.pick(self.random.choice(PLACES))
        if not path:
            return False
        os.unlink(path)
        return True

    def expunge(self):
        path = self.pick(TRASH)
        if not path:
            return False
        with open(path, "rb") as f:
            self.books(self.books.removed, label_of(f.read()))
        os.unlink(path)
        return True

    def read(self):
        path = self.pick(self.random.choice(PLACES + [TRASH]))
        if not path:
            return False
        with open(path, "rb") as f:
            data = f.read()
        if data and data != storm.octets(label_of(data)):
            # Somebody is writing it at this moment, or it is broken: the end will tell.
            self.books.refused["%s reads what is being written" % self.name] += 1
        return True


class ClientRacer(Racer):
    def __init__(self, name, books, seed, account):
        super().__init__(name, books, seed)
        self.account = account
        self.imap = account.connect()

    def deeds(self):
        return [self.create] * 2 + [self.move] * 2 + [self.flag] * 2 + [self.expunge]

    def pick(self, place):
        self.imap.select(mail.quoted(self.account.wire(place)))
        _, answer = self.imap.uid("SEARCH", "ALL")
        uids = answer[0].split() if answer and answer[0] else []
        return self.random.choice(uids).decode("ascii") if uids else None

    def create(self):
        label = self.new_label()
        mail.append(self.imap, self.account.wire(self.random.choice(PLACES)), storm.octets(label))
        self.books(self.books.stored, label)
        return True

    def move(self):
        source, target = self.random.sample(PLACES + [TRASH], 2)
        uid = self.pick(source)
        if not uid:
            return False
        kind, _ = self.imap.uid("MOVE", uid, mail.quoted(self.account.wire(target)))
        return kind == "OK"

    def flag(self):
        uid = self.pick(self.random.choice(PLACES))
        if not uid:
            return False
        sign = self.random.choice("+-")
        kind, _ = self.imap.uid("STORE", uid, sign + "FLAGS", "(\\Flagged \\Seen)")
        return kind == "OK"

    def expunge(self):
        uid = self.pick(self.random.choice(PLACES + [TRASH]))
        if not uid:
            return False
        _, parts = self.imap.uid("FETCH", uid, "(BODY.PEEK[])")
        found = [part[1] for part in parts if isinstance(part, tuple)]
        if not found:
            return False
        self.books(self.books.removed, label_of(found[0]))
        self.imap.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
        self.imap.uid("EXPUNGE", uid)
        return True


def label_of(data):
    for line in data.split(b"\n"):
        if line.startswith(b"Subject: "):
            return line[9:].strip().decode("ascii")
    return ""


def shown(root, name):
    """The octets of all messages that a mount shows."""
    found = []
    for each in os.listdir(os.path.join(root, name)):
        if each.endswith(".eml"):
            with open(os.path.join(root, name, each), "rb") as f:
                found.append(f.read())
    return sorted(found)


def agree(mounts, judge):
    for name in PLACES + [TRASH]:
        wanted = judge.data(name)
        for each in mounts:
            found = shown(each.path, name)
            assert found == wanted, "%s in %s: %d messages, the server has %d" % (
                name, each.folder, len(found), len(wanted))
    return True


def is_quiet(each):
    upload = each.account()["upload"]
    assert not upload or upload["pending"] == 0, upload
    return True


def race(binary, folder, server, seconds, seed=1):
    """Runs it; fails when something is wrong; gives the books and the number of doubles."""
    account = accounts.Account(server, dovecot.PASSWORD)
    for name in PLACES + [TRASH]:
        account.ensure(name)
    mounts = [mount.Mount(binary, os.path.join(folder, "mount%d" % i), account.keys())
              for i in range(2)]
    books = Books()
    judge = judges.Judge(account)
    try:
        for each in mounts:
            each.start().online()
        racers = [MountRacer("m%d" % i, books, seed + i, each.path)
                  for i, each in enumerate(mounts)] + [
                      ClientRacer("c", books, seed + 2, account)]
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=racer.run, args=(until,)) for racer in racers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for each in mounts:
            system.wait_for(lambda each=each: is_quiet(each), "the journal is empty", SECONDS)
        system.wait_for(lambda: agree(mounts, judge), "all agree", SECONDS, 0.5)
        n_doubles = balance(books, judge)
        for each in mounts:
            each.stop()
            problem = mount.SUSPICIOUS.search(each.log())
            assert not problem, each.log()[-5000:]
    finally:
        for each in mounts:
            each.kill()
        judge.close()
        account.close()
    return books, n_doubles


def balance(books, judge):
    counts = collections.Counter()
    for name in PLACES + [TRASH]:
        for data in judge.data(name):
            label = label_of(data)
            assert label in books.tried and data == storm.octets(label), \
                "%s holds what nobody wrote: %r" % (name, data[:200])
            counts[label] += 1
    missing = sorted(books.stored - books.removed - set(counts))
    assert not missing, "%d that nobody removed are gone: %s" % (len(missing), missing[:10])
    return sum(n - 1 for n in counts.values())
