"""Mutations under faults: run, killed or cut, gone on with, and judged.

A Place is where mutations happen: a mount and a judge of its account.  A run of a mutation has
mailboxes of its own there, so that one place does for many runs.  Whatever happened to it, a
mutation must end in a state that the table of windows allows (allowed()).
"""
import collections
import errno
import os
import subprocess

from . import mail, mount, mutations, system

EXIT = 86  # of base/fault.c
SECONDS = 30
MESSAGE_FLAGS = {"\\Seen", "\\Flagged", "\\Answered", "\\Draft"}


def look_at(path):
    """One that goes at this moment is gone."""
    try:
        os.listdir(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESTALE):
            raise


class FaultyMount(mount.Mount):
    """A mount that can be asked for a fault, at any time."""

    def __init__(self, binary, folder, keys, place=None):
        super().__init__(binary, folder, keys, place)
        self.fault_path = os.path.join(self.folder, "fault")
        self.fault_log = os.path.join(self.folder, "faults")
        self.ask("")
        self.environment["MAILFS_FAULT"] = "@" + self.fault_path
        self.environment["MAILFS_FAULT_LOG"] = self.fault_log

    def ask(self, fault):
        with open(self.fault_path, "w", encoding="ascii") as f:
            f.write(fault + "\n")

    def _logged(self, word):
        try:
            with open(self.fault_log, encoding="ascii") as f:
                lines = f.read().splitlines()
        except FileNotFoundError:
            return []
        return [line[len(word) + 2:] for line in lines if line.startswith(word + ": ")]

    def passed(self):
        """The points that were passed while "list" was asked for, as "NAME:NTH"."""
        counts, found = collections.Counter(), []
        for name in self._logged("pass"):
            counts[name] += 1
            found.append("%s:%d" % (name, counts[name]))
        return found

    def account(self):
        """What is waited for never comes of a mount that has died."""
        if self.process.poll() is not None:
            raise mount.MountFailed(self.process.returncode, self.log())
        return super().account()

    def met(self):
        """Whether the fault that was asked for was met."""
        return bool(self._logged("fault"))

    def forget(self):
        if os.path.exists(self.fault_log):
            os.unlink(self.fault_log)  # an open log stays with the process that has it

    def has_died(self, fault, seconds=SECONDS):
        """Whether the fault was met within the time: the log and the exit code say so."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        assert code == EXIT, "mailfs ended with %d\n%s" % (code, self.log())
        assert self._logged("fault") == [fault.partition(":")[0]]
        self.kill()  # takes the dead mount away
        return True


class Place:
    """A mount, and what it shows, for runs of one mutation: mailbox "A" is PREFIX-A."""

    def __init__(self, mounted, account, judge, prefix, mutation):
        self.mount = mounted
        self.account = account
        self.judge = judge
        self.prefix = prefix
        self.mutation = mutation

    # -- for mutations -----------------------------------------------------------------------

    def mailbox(self, name):
        """INBOX and Trash are everybody's; the trash of a configuration, too."""
        if name in (mutations.TRASH, "Bin"):
            return name
        first, _, rest = name.partition("/")
        return "%s-%s%s" % (self.prefix, first, "/" + rest if rest else "")

    def path(self, mailbox, *names):
        return os.path.join(self.mount.path, self.account.shown(self.mailbox(mailbox)), *names)

    def file(self, mailbox, label):
        """Where the message with this label is shown: its name is made of its subject."""
        where = self.path(mailbox)
        found = [name for name in os.listdir(where)
                 if "_%s%s." % (self.prefix, label) in name]
        assert len(found) == 1, (mailbox, label, os.listdir(where))
        return os.path.join(where, found[0])

    def outside(self, name, data):
        """A file on another file system than the mount."""
        path = os.path.join(self.mount.folder, self.prefix + name)
        mutations.write(path, data)
        return path

    def mailfs(self, *words):
        result = self.mount.run(*words)
        if result.returncode:
            raise OSError(result.stderr)

    def octets(self, label):
        return mutations.octets(self.prefix + label)

    def text(self, label):
        return mutations.text(self.prefix + label)

    def half(self, label):
        return self.text(label)[:len(self.text(label)) // 2]

    # -- before ------------------------------------------------------------------------------

    def prepare(self):
        """The messages, and mailboxes, on the server; before the mount."""
        letters = {"\\Seen": "S"}
        for name, messages in self.mutation.before.items():
            self.account.ensure(self.mailbox(name))
            for label, flags in messages:
                self.account.deliver(self.octets(label), self.mailbox(name),
                                     "".join(letters[flag] for flag in flags))
        for name in self.mutation.after:
            if name not in self.mutation.not_there:
                self.account.ensure(self.mailbox(name))

    def look(self):
        """All is listed: the mutation finds what it needs."""
        for name in self.mutation.before:
            os.listdir(self.path(name))

    def run(self):
        """Does it.  Whether it was answered as done."""
        try:
            self.mutation.do(self)
        except (OSError, subprocess.SubprocessError):
            return False
        return True

    # -- afterwards --------------------------------------------------------------------------

    def settle(self, seconds=SECONDS):
        """Waits until the program has nothing more to do: all that was begun is done."""
        self.mount.wait_state("online", seconds)
        for name in os.listdir(self.mount.path):
            path = os.path.join(self.mount.path, name)
            if name.startswith(self.prefix + "-") and os.path.isdir(path):
                look_at(path)  # a mailbox is looked after once somebody looks

        def is_settled():
            upload = self.mount.account()["upload"]
            assert not upload or upload["pending"] == 0, upload
            return True
        system.wait_for(is_settled, "nothing is pending", seconds)

    def states(self):
        """{mailbox: Counter of (label, flags)} on the server."""
        names = set(self.mutation.before) | set(self.mutation.after)
        return {name: self._state(name) for name in names
                if self.judge.exists(self.mailbox(name))}

    def _state(self, name):
        labels = {self.octets(label): label for label in ["new", "swap", *"xyzt"]}
        labels[self.half("new").replace(b"\n", b"\r\n")] = "half"
        counts = collections.Counter()
        for seen in self.judge.see(self.mailbox(name)).values():
            label = labels.get(seen.data)
            if label is None:
                # The Trash is shared between the runs in one account.
                assert name == mutations.TRASH and b"Subject: " in seen.data, seen
                continue
            counts[label, tuple(sorted(seen.flags & MESSAGE_FLAGS))] += 1
        return counts

    def names(self, name):
        return sorted(os.listdir(self.path(name)))


    def view(self, name):
        """The octets of all messages of a mailbox, as the mount shows them."""
        found = []
        for each in self.names(name):
            path = self.path(name, each)
            if each.endswith(".eml") and os.path.isfile(path):
                with open(path, "rb") as f:
                    found.append(f.read())
        return sorted(found)


# -- Which ends may be -----------------------------------------------------------------------

def counted(state):
    return {name: collections.Counter(messages) for name, messages in state.items()}


def is_within(state, wanted, doubled, old=(), deaths=1):
    """The same; but of each label in doubled there may be one more; of one in old, as many more as
    there were deaths."""
    if set(state) != set(wanted):
        return False
    extra = collections.Counter()
    for name, counts in wanted.items():
        if counts - state[name]:
            return False
        for (label, _), n in (state[name] - counts).items():
            extra[label] += n
    return all(n <= (deaths if label in old else 1) and label in doubled
               for label, n in extra.items())


def ends_of(mutation):
    """The states before and after, and the one with both versions or None, each whole."""
    before, after = counted(mutation.before), counted(mutation.after)
    for name in mutation.after:
        if name not in mutation.not_there:
            before.setdefault(name, collections.Counter())
    for name in mutation.before:
        if name not in mutation.gone:
            after.setdefault(name, collections.Counter())
    both = dict(before, **counted(mutation.both)) if mutation.both else None
    return before, after, both


def judge(place, was_answered, was_faulty=True, deaths=1):
    """Fails when the server holds what may not be there, or the mount shows something else."""
    mutation = place.mutation
    assert not (mutation.refused and was_answered), mutation.name
    state = place.states()
    before, after, both = ends_of(mutation)
    is_after = is_within(state, after, mutation.doubled if was_faulty else (), mutation.old, deaths)
    is_allowed = is_after or (not was_answered and state == before) or (
        was_faulty and both is not None and is_within(state, both, mutation.doubled))
    assert is_allowed, "%s, %s, ended with %s; before: %s; after: %s" % (
        mutation.name, "answered" if was_answered else "not answered", plain(state),
        plain(before), plain(after))
    if was_faulty or not mutation.parks:
        system.wait_for(lambda: shows_what_is_there(place, state), "the mount shows it")
    if not was_answered:
        return
    for name, names in (mutation.names or {}).items():
        assert set(names) <= set(place.names(name)), (names, place.names(name))
    for name, files in (mutation.local or {}).items():
        for each, label in files.items():
            with open(place.path(name, each), "rb") as f:
                assert f.read() == place.text(label)


def shows_what_is_there(place, state):
    for name in state:
        wanted = sorted(each.data for each in place.judge.see(place.mailbox(name)).values())
        assert place.view(name) == wanted, "%s shows other messages than the server: %r" % (
            name, os.listdir(place.path(name)))
    return True


def plain(state):
    return {name: dict(messages) for name, messages in state.items()}
