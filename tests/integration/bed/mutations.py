"""Everything that changes a mailbox, one small case each: what is there before, what somebody
does, and what must be there afterwards.

The tests of faults and of cuts run each of them again and again, with a death or a lost
connection at another place each time.  A state is {mailbox: [(label, flags)]}; a label stands for
a message's octets, so that two states are the same when the mailboxes hold the same octets with
the same flags.
"""
import collections
import os
import subprocess

from . import mail

TRASH = "Trash"
DATE = mail.EPOCH + 86400  # of what is created with a date


def octets(label):
    """A small message: conversations are cut after each of their octets."""
    return (b"From: a@example.org\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n\r\n%s\r\n"
            % ((label.encode("ascii"),) * 3))


def text(label):
    """As people write it: a server holds octets(label) then."""
    return octets(label).replace(b"\r\n", b"\n")


class Mutation:
    """name, what it needs of the configuration, and the states.  Names of mailboxes and labels
    are those of a place (Place.path), so that many runs fit into one account.

    doubled     what may be there twice after a fault, and never more than that
    old         of these, as often as the program died: the version that an edit replaced goes to
                Trash by COPY where there is no MOVE, and nothing tells there which copy is whose
    both        an alternative end, where the table of windows allows one: two versions
    gone        mailboxes that are not there afterwards
    """

    def __init__(self, name, do, before, after, doubled=(), both=None, gone=(), keys=None,
                 names=None, not_there=(), local=None, parks=False, refused=False, old=()):
        self.name = name
        self.do = do
        self.before = before
        self.after = after
        self.doubled = doubled
        self.old = old
        self.both = both
        self.gone = gone
        self.not_there = not_there
        self.keys = keys or {}
        self.names = names  # {mailbox: names of files} after an end that was answered
        self.local = local  # {mailbox: {name: label}}: files that no server hears of
        self.refused = refused  # nobody is ever told that it was done
        self.parks = parks  # a message has a scratch file's name until the next start

    def mailboxes(self):
        return sorted((set(self.before) | set(self.after)) - {TRASH})


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def run(*argv):
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=60)


# -- What somebody does; place: where the mailboxes are ------------------------------------------

def create(place):
    source = place.outside("new.eml", place.text("new"))
    os.utime(source, (DATE, DATE))
    run("cp", "-p", source, place.path("A", "new.eml"))


def create_by_child(place):
    """A FLUSH that is not the last close: the octets become durable, RELEASE commits them."""
    one = place.outside("one", place.half("new"))
    two = place.outside("two", place.text("new")[len(place.half("new")):])
    run("sh", "-c", '(cat "$1"; cat "$2") > "$3"', "sh", one, two, place.path("A", "new.eml"))


def create_by_rename(place):
    """As rsync does it."""
    write(place.path("A", ".new.eml.tmp"), place.text("new"))
    os.rename(place.path("A", ".new.eml.tmp"), place.path("A", "new.eml"))


def create_no_message(place):
    write(place.path("A", "new.eml"), b"this is no message\n")


def copy(place):
    run("cp", "-p", place.file("A", "x"), place.path("B", "copy.eml"))


def edit(place):
    with open(place.file("A", "x"), "r+b") as f:
        f.write(place.text("y"))
        f.truncate()


def edit_by_rename(place):
    """As sed -i does it."""
    name = place.file("A", "x")
    write(place.path("A", "sedA1b2C3"), place.text("y"))
    os.rename(place.path("A", "sedA1b2C3"), name)


def edit_with_backup(place):
    """As vim does it with a backup."""
    name = place.file("A", "x")
    with open(name, "rb") as f:
        f.read()
    os.rename(name, name + "~")
    write(name, place.text("y"))
    os.unlink(name + "~")


def park(place):
    name = place.file("A", "x")
    with open(name, "rb") as f:
        f.read()
    os.rename(name, name + "~")


def scratch(place):
    write(place.path("A", ".x.swp"), place.text("swap"))
    os.rename(place.path("A", ".x.swp"), place.path("B", ".y.swp"))


def move(place):
    os.rename(place.file("A", "x"), place.path("B", "moved.eml"))


def move_onto(place):
    os.rename(place.file("A", "x"), place.file("B", "y"))


def move_many(place):
    place.mailfs("mv", *[place.file("A", label) for label in "xyz"], place.path("B"))


def remove(place):
    os.unlink(place.file("A", "x"))


def remove_many(place):
    place.mailfs("rm", *[place.file("A", label) for label in "xyz"])


def remove_in_trash(place):
    os.unlink(place.file(TRASH, "t"))


def flag(place):
    place.mailfs("flag", "+flagged", "-seen", place.file("A", "x"), place.file("A", "y"))


def alias(place):
    os.rename(place.file("A", "x"), place.path("A", "other.eml"))


def make_directory(place):
    os.mkdir(place.path("New"))


def make_directory_refused(place):
    """Longer than a file's name, which Dovecot makes of the whole of a mailbox's."""
    os.mkdir(place.path("A/" + LONG, "n" * 200))


def remove_directory(place):
    os.rmdir(place.path("A"))


def rename_directory(place):
    os.rename(place.path("A"), place.path("New"))


SEEN = ("\\Seen",)
NONE = ()
X, Y = ("x", SEEN), ("y", SEEN)
EXPUNGE = {"delete": "expunge"}
LONG = "n" * 100

MUTATIONS = [
    Mutation("create", create, {"A": []}, {"A": [("new", NONE)]}, doubled=["new"],
             names={"A": ["new.eml"]}),
    # what a child has flushed is what the next start sends
    Mutation("create-by-child", create_by_child, {"A": []}, {"A": [("new", NONE)]},
             doubled=["new"], both={"A": [("half", NONE)]}, names={"A": ["new.eml"]}),
    Mutation("create-by-rename", create_by_rename, {"A": []}, {"A": [("new", NONE)]},
             doubled=["new"], names={"A": ["new.eml"]}),
    Mutation("create-no-message", create_no_message, {"A": []}, {"A": []}),
    Mutation("copy", copy, {"A": [X], "B": []}, {"A": [X], "B": [X]}, doubled=["x"],
             names={"B": ["copy.eml"]}),
    Mutation("edit", edit, {"A": [X]}, {"A": [Y], TRASH: [X]}, doubled=["x", "y"],
             both={"A": [X, Y]}, old=["x"]),
    Mutation("edit-makes-trash", edit, {"A": [X]}, {"A": [Y], "Bin": [X]}, doubled=["x", "y"],
             both={"A": [X, Y]}, keys={"trash": "Bin"}, not_there=["Bin"], old=["x"]),
    Mutation("edit-expunge", edit, {"A": [X]}, {"A": [Y]}, doubled=["y"], both={"A": [X, Y]},
             keys=EXPUNGE),
    Mutation("edit-by-rename", edit_by_rename, {"A": [X]}, {"A": [Y], TRASH: [X]},
             doubled=["x", "y"], both={"A": [X, Y]}, old=["x"]),
    Mutation("edit-with-backup", edit_with_backup, {"A": [X]}, {"A": [Y], TRASH: [X]},
             doubled=["x", "y"], both={"A": [X, Y]}, old=["x"]),
    Mutation("park", park, {"A": [X]}, {"A": [X]}, parks=True),
    Mutation("scratch", scratch, {"A": [], "B": []}, {"A": [], "B": []},
             local={"B": {".y.swp": "swap"}}),
    Mutation("move", move, {"A": [X], "B": []}, {"A": [], "B": [X]}, doubled=["x"],
             names={"B": ["moved.eml"]}),
    Mutation("move-onto", move_onto, {"A": [X], "B": [Y]}, {"A": [], "B": [X], TRASH: [Y]},
             doubled=["x", "y"], both={"A": [], "B": [X, Y]}),
    Mutation("move-many", move_many, {"A": [X, Y, ("z", NONE)], "B": []},
             {"A": [], "B": [X, Y, ("z", NONE)]}, doubled=["x", "y", "z"]),
    Mutation("remove", remove, {"A": [X, Y]}, {"A": [Y], TRASH: [X]}, doubled=["x"]),
    Mutation("remove-many", remove_many, {"A": [X, Y, ("z", NONE)]},
             {"A": [], TRASH: [X, Y, ("z", NONE)]}, doubled=["x", "y", "z"]),
    Mutation("remove-makes-trash", remove, {"A": [X, Y]}, {"A": [Y], "Bin": [X]},
             doubled=["x"], keys={"trash": "Bin"}, not_there=["Bin"]),
    Mutation("remove-in-trash", remove_in_trash, {TRASH: [("t", SEEN), X]}, {TRASH: [X]}),
    Mutation("remove-expunge", remove, {"A": [X, Y]}, {"A": [Y]}, keys=EXPUNGE),
    Mutation("flag", flag, {"A": [X, Y]},
             {"A": [("x", ("\\Flagged",)), ("y", ("\\Flagged",))]}),
    Mutation("alias", alias, {"A": [X]}, {"A": [X]}, names={"A": ["other.eml"]}),
    Mutation("make-directory", make_directory, {"A": []}, {"A": [], "New": []},
             not_there=["New"]),
    Mutation("make-directory-refused", make_directory_refused, {"A": [], "A/" + LONG: []},
             {"A": [], "A/" + LONG: []}, refused=True),
    Mutation("remove-directory", remove_directory, {"A": []}, {}, gone=["A"]),
    Mutation("rename-directory", rename_directory, {"A": [X], "A/below": [Y]},
             {"New": [X], "New/below": [Y]}, gone=["A", "A/below"],
             not_there=["New", "New/below"]),
]
BY_NAME = collections.OrderedDict((each.name, each) for each in MUTATIONS)
