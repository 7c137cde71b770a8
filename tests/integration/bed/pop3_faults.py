"""A POP3 account under faults: each change is made to one message more of the same maildrop, with
a death or a lost connection in between, and judged once the program has gone on.

A World is a scripted server, a proxy before it and a mount that may die.  Message n is
mail.numbered(n); where it is, and how often, is its places().
"""
import collections
import os
import shutil
import subprocess
import threading
import time

from . import faults, mail, pop3_mount, pop3_proxy, scripted_pop3, system
from .pop3_account import on_wire

SECONDS = 30
LOCAL = 1000  # messages from this number on were never on the server


class World:
    """n messages on the server; Archive, with as many of its own, and Other are folders here."""

    def __init__(self, binary, folder, n, keys, n_local=0):
        self.server = scripted_pop3.ScriptedPop3Server(
            scripted_pop3.messages([mail.numbered(i) for i in range(n)]))
        self.proxy = pop3_proxy.Pop3Proxy(self.server.port)
        self.folder = folder
        self.n = n
        self.next = 0        # the next message that nothing has happened to
        self.removed = set()  # those that rm was answered for
        self.mount = faults.FaultyMount(binary, folder, self.server.keys(
            pop3=self.proxy.url(), poll="1h", **keys))
        self.mount.start().online()
        self.where = self.mount.path
        for name in ("Archive", "Other"):
            os.mkdir(os.path.join(self.where, name))
        for i in range(LOCAL, LOCAL + n_local):
            pop3_mount.write(self.named("Archive", i), mail.numbered(i))
        system.wait_for(lambda: len(pop3_mount.numbers(self.mount)) == n, "INBOX is listed", 30)
        self.known = {i: pop3_mount.identity(self.path(i)) for i in range(n)}

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind:
                self.mount.kill()
            else:
                self.mount.finish()
                shutil.rmtree(self.folder)  # the logs of what failed are enough
        finally:
            self.mount.kill()
            self.proxy.close()
            self.server.close()

    # -- for changes -------------------------------------------------------------------------

    def path(self, n, mailbox="INBOX"):
        return pop3_mount.path_of(self.mount, n, mailbox)

    def named(self, mailbox, n):
        """Where a file of ours is, or may come to be."""
        return os.path.join(self.where, mailbox, "m_Message-number-%06d.eml" % n)

    def places(self, n):
        """{"server", "INBOX", "Archive", "Other", "Trash": how often it is there}"""
        found = collections.Counter(server=self.server.data().count(on_wire(mail.numbered(n))))
        for name in ("INBOX", "Archive", "Other", "Trash"):
            if os.path.isdir(os.path.join(self.where, name)):
                found[name] = pop3_mount.numbers(self.mount, name).count(n)
        return +found

    def take(self, change):
        """The number of a message that the change can be made to."""
        self.next += 1
        return self.next - 1 + (LOCAL if change.is_local else 0)

    # -- faults ------------------------------------------------------------------------------

    def start(self):
        self.mount.ask("")
        self.mount.forget()
        self.mount.start()
        self.proxy.forget()

    def settle(self):
        """Waits until nothing is left to do; somebody asks for it, too."""
        self.mount.run("sync", os.path.join(self.where, "INBOX"))
        self.mount.wait_state("online", SECONDS)
        pop3_mount.settle(self.mount, SECONDS)

    def check(self, change, n, answered):
        system.wait_for(lambda: len(pop3_mount.numbers(self.mount)) or not self.server.data(),
                        "INBOX is listed", SECONDS)
        self.settle()
        try:
            system.wait_for(lambda: change.check(self, n, answered), "it ends well", SECONDS)
            # Not answered, it may have been promised all the same.
            if change.removes and not self.places(n):
                self.removed.add(n)
        except system.Waited as error:
            raise AssertionError("%s of %d, %s: it is %s; %s" % (
                change.name, n, "answered" if answered else "not answered",
                dict(self.places(n)), error)) from error

    def audit(self):
        """Nothing is lost: through an empty cache each message is somewhere, whole, and what was
        not touched is where it was."""
        self.mount.stop()
        self.mount.empty_cache()
        self.mount.start().online()

        def whole():
            there = collections.Counter()
            for name in os.listdir(self.where):
                for data in pop3_mount.shown(self.mount, name):
                    there[on_wire(data)] += 1
            for i in range(self.n):
                assert i in self.removed or there[on_wire(mail.numbered(i))], "%d is lost" % i
            return True
        system.wait_for(whole, "all of it is there", SECONDS)
        for i in set(pop3_mount.numbers(self.mount)) & set(self.known):
            if pop3_mount.numbers(self.mount).count(i) == 1:
                assert pop3_mount.identity(self.path(i)) == self.known[i]


class Change:
    """do(world, n) makes it to message n, or raises OSError; check(world, n, answered) says
    whether it has ended as it may, or fails."""

    def __init__(self, name, do, check, is_local=False, removes=False, keys=None):
        self.name = name
        self.do = do
        self.check = check
        self.is_local = is_local
        self.removes = removes
        self.keys = keys or {}

    def run(self, world, n):
        """Whether it was answered as done."""
        try:
            self.do(world, n)
        except (OSError, AssertionError, subprocess.SubprocessError):
            return False
        return True


def remove(world, n):
    os.unlink(os.path.join(world.where, "INBOX", world.known[n][0]))


def removed(world, n, answered):
    found = world.places(n)
    return not found or (not answered and found == {"server": 1, "INBOX": 1})


def remove_read(world, n):
    fetch(world, n)
    remove(world, n)


def thrown_away(world, n, answered):
    """Answered: in Trash, and nowhere else.  Not answered: there or here, or both; a kill between
    the two leaves one more in Trash.  Or nowhere: a kill may cost the cache what was fetched a moment
    ago, and when the removal goes on, the message is one that was never fetched."""
    found = world.places(n)
    if answered:
        return found == {"Trash": 1}
    if not found:
        return True
    return found["INBOX"] <= 1 and found["Trash"] <= 2 and found["server"] == found["INBOX"]


def move(world, n):
    name = world.known[n][0]
    os.rename(os.path.join(world.where, "INBOX", name), os.path.join(world.where, "Archive", name))


def moved(world, n, answered):
    """Answered: in Archive, once, and nowhere else.  Not answered: there or here, or both."""
    found = world.places(n)
    if answered:
        return found == {"Archive": 1}
    assert found["INBOX"] + found["Archive"] > 0, "lost"
    return found["INBOX"] <= 1 and found["Archive"] <= 1 and found["server"] == found["INBOX"]


def fetch(world, n):
    pop3_mount.read(os.path.join(world.where, "INBOX", world.known[n][0]))


def fetched(world, n, answered):
    """In INBOX, as it was; and stored here, if it is not on the server any more."""
    assert pop3_mount.identity(world.path(n)) == world.known[n]
    data = on_wire(mail.numbered(n))
    is_stored = pop3_mount.stored(world.mount).count(data)
    is_there = world.places(n)["server"]
    assert is_stored <= 1 and is_stored + is_there >= 1
    if not answered:
        return True
    assert pop3_mount.read(world.path(n)) == data
    return is_stored == 1 and is_there == 0


def create(world, n):
    pop3_mount.write(world.named("Other", n), mail.numbered(n))


def created(world, n, answered):
    found = world.places(n)
    if found["Other"]:
        assert on_wire(pop3_mount.read(world.named("Other", n))) == on_wire(mail.numbered(n))
    return found["Other"] == 1 if answered else found["Other"] <= 1


EDITED = mail.message("edited", body=b"Another text.\r\n")


def edit(world, n):
    pop3_mount.write(world.named("Archive", n), EDITED)


def edited(world, n, answered):
    data = on_wire(pop3_mount.read(world.named("Archive", n)))
    return data == EDITED or (not answered and data == on_wire(mail.numbered(n)))


def to_trash(world, n):
    os.unlink(world.named("Archive", n))


def trashed(world, n, answered):
    found = world.places(n)
    if answered:
        return found == {"Trash": 1}
    return 1 <= found["Archive"] + found["Trash"] <= 2 and found["Archive"] <= 1


def carry(world, n):
    os.rename(world.named("Archive", n), world.named("Other", n))


def carried(world, n, answered):
    found = world.places(n)
    if answered:
        return found == {"Other": 1}
    return 1 <= found["Archive"] + found["Other"] <= 2 and found["Archive"] <= 1


CHANGES = [
    Change("rm", remove, removed, removes=True),
    Change("rm-read", remove_read, thrown_away, removes=True),
    Change("mv", move, moved),
    Change("fetched", fetch, fetched, keys={"pop3_keep": "fetched"}),
    Change("create", create, created, is_local=True),
    Change("edit", edit, edited, is_local=True),
    Change("trash", to_trash, trashed, is_local=True),
    Change("carry", carry, carried, is_local=True),
]
REMOTE = [change for change in CHANGES if not change.is_local]


def killed_after(world, change, seconds):
    """The change, and so long after its begin the end of all processes.  Whether it was answered."""
    n = world.take(change)
    answers = []
    worker = threading.Thread(target=lambda: answers.append(change.run(world, n)))
    worker.start()
    time.sleep(seconds)
    world.mount.kill()
    worker.join(SECONDS)
    assert answers, "it waits for ever"
    world.start()
    world.check(change, n, answers[0])


def killed_at(world, change, point):
    """The change, with a death at a fault point, "NAME:NTH".  What happens behind an answer may be
    done in fewer steps the next time: then it is another message, and the first passing."""
    n = world.take(change)
    world.mount.ask(point)
    answered = change.run(world, n)
    if world.mount.has_died(point, 5):
        world.start()
        world.check(change, n, answered)
        return
    world.mount.ask("")
    world.check(change, n, answered)
    name, _, nth = point.partition(":")
    assert nth != "1", "%s was not met" % point
    killed_at(world, change, name + ":1")


def points_of(world, change):
    """The fault points that it passes when nothing happens to it."""
    world.mount.kill()
    world.start()
    world.mount.online()
    system.wait_for(lambda: change.is_local or world.places(world.next)["INBOX"], "it is there")
    world.mount.ask("list")
    n = world.take(change)
    answered = change.run(world, n)
    assert answered, "%s fails without a fault" % change.name
    world.check(change, n, answered)
    found = world.mount.passed()
    world.mount.ask("")
    return found


def measure(world, change):
    """How many octets go up and down for it."""
    system.wait_for(world.proxy.is_idle, "the session is over")
    world.proxy.forget()
    n = world.take(change)
    answered = change.run(world, n)
    assert answered, "%s fails without a fault" % change.name
    system.wait_for(lambda: change.check(world, n, answered), "it ends well")
    system.wait_for(world.proxy.is_idle, "the session is over")
    if change.removes:
        world.removed.add(n)
    return dict(world.proxy.passed)


def cut(world, change, direction, octets):
    """The change, with all connections cut after so many octets.  Whether that was met."""
    system.wait_for(world.proxy.is_idle, "the session is over", SECONDS)
    world.proxy.forget()
    world.proxy.cut_in(direction, octets)
    n = world.take(change)
    answered = change.run(world, n)
    try:
        # some of it happens after the answer
        system.wait_for(lambda: world.proxy.is_cut() or change.check(world, n, answered), "a cut")
        was_met = world.proxy.is_cut()
        world.proxy.cut_in(direction, None)
        world.check(change, n, answered)
    except AssertionError as error:
        raise AssertionError("cut after octet %d %s: %s" % (octets, direction, error)) from error
    return was_met


def is_faulty_build(binary):
    with open(binary, "rb") as f:
        return b"MAILFS_FAULT_LOG" in f.read()
