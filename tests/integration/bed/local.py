"""A tree of Maildirs on the local disk, and another program's hands on it: Python's mailbox.

Folders are named as their owner would: "A/B".  Two layouts: "plusplus" (PATH/.A.B, as Dovecot,
Courier and Python's mailbox have it) and "fs" (PATH/A/B).
"""
import itertools
import mailbox
import os
import re

from . import judge, mail

NUMBERS = itertools.count(1)
LETTERS = {"S": "\\Seen", "F": "\\Flagged", "R": "\\Answered", "D": "\\Draft", "T": "\\Deleted",
           "P": "$Forwarded"}


class LocalAccount:
    variant = "local"

    def __init__(self, root, layout="plusplus"):
        self.root = root
        self.layout = layout
        self.ensure("INBOX")

    def close(self):
        pass

    def keys(self):
        return {"maildir": self.root}

    def shown(self, name):
        return name

    def path(self, name="INBOX", *more):
        if self.layout == "fs":
            return os.path.join(self.root, name, *more)
        where = "" if name == "INBOX" else "." + mail.utf7(name.replace("/", "."))
        return os.path.join(self.root, where, *more).rstrip("/")

    def ensure(self, name):
        for part in ("tmp", "new", "cur"):
            os.makedirs(self.path(name, part), mode=0o700, exist_ok=True)

    def box(self, name="INBOX"):
        """As Python's standard library sees the folder."""
        return mailbox.Maildir(self.path(name), factory=None, create=False)

    def deliver(self, data, name="INBOX", flags="", date=mail.EPOCH):
        """As another program delivers; gives the file's base."""
        base = "%d.M%06dP%d.tests" % (mail.EPOCH, next(NUMBERS), os.getpid())
        path = self.path(name, "tmp", base)
        with open(path, "wb") as f:  # mailbox would mend line ends
            f.write(data)
        os.utime(path, (date, date))
        if flags:
            os.rename(path, self.path(name, "cur", base + ":2," + "".join(sorted(flags))))
        else:
            os.rename(path, self.path(name, "new", base))
        return base

    def file(self, name, base):
        """The path of the file with this base now."""
        for part in ("new", "cur"):
            for each in os.listdir(self.path(name, part)):
                if each.partition(":")[0] == base:
                    return self.path(name, part, each)
        raise FileNotFoundError(base)

    def files(self, name="INBOX"):
        return [self.path(name, part, each) for part in ("new", "cur")
                for each in sorted(os.listdir(self.path(name, part)))]

    def set_flags(self, name, base, letters):
        """As a mail client does it: by rename, into cur/."""
        where = self.path(name, "cur", base + ":2," + "".join(sorted(letters)))
        os.rename(self.file(name, base), where)


class LocalJudge:
    """What is on the disk, seen without a line of our code.  As judge.Judge, where it is used."""

    def __init__(self, account):
        self.account = account

    def close(self):
        pass

    def see(self, name="INBOX"):
        found = {}
        box = self.account.box(name)
        for number, key in enumerate(sorted(box.keys())):
            path = self.account.file(name, key)
            letters = re.search(r"(:2,(.*))?$", path).group(2) or ""
            with open(path, "rb") as f:
                data = f.read()
            found[number] = judge.Seen(number, frozenset(LETTERS[c] for c in letters),
                                       int(os.stat(path).st_mtime), len(data), data)
        return found

    def data(self, name="INBOX"):
        return sorted(seen.data for seen in self.see(name).values())

    def exists(self, name):
        return os.path.isdir(self.account.path(name, "cur"))
