"""What is removed from a POP3 INBOX, or replaced in it, goes to Trash if its octets are here, and
only what was never fetched goes for good: whenever that is, and however it came here."""
import errno
import os
import subprocess

import pytest

from bed import faults, mail, system
from bed.pop3_account import on_wire
from bed.pop3_mount import (data_folder, error_of, numbers, path_of, read, settle, shown, stored,
                            write)

EDITED = mail.message("edited", body=b"Another text.\r\n")
BIG = [mail.message("Message number %06d" % n, body=(b"x" * 70 + b"\r\n") * 840)
       for n in range(8)]  # 60 KB each


def numbered(*wanted):
    return sorted(on_wire(mail.numbered(n)) for n in wanted)


def listed(mount, n=6):
    mount.start().online()
    system.wait_for(lambda: len(numbers(mount)) == n, "INBOX is listed")
    return mount


@pytest.fixture
def server(scripted_pop3_server):
    return scripted_pop3_server([mail.numbered(n) for n in range(6)])


def trashed(mount, *wanted):
    """These are in Trash, once each, on the disk and in the mount; and nothing else is."""
    assert stored(mount, "Trash") == numbered(*wanted)
    system.wait_for(lambda: numbers(mount, "Trash") == sorted(wanted), "Trash shows them")
    assert shown(mount, "Trash") == numbered(*wanted)


def test_what_was_read_goes_to_trash(server, mounts):
    """And what was not, does not, nor is it fetched for that."""
    mount = listed(mounts(server.keys(poll="1h")))
    os.unlink(path_of(mount, 5))
    assert stored(mount, "Trash") == [] and not os.path.exists(mount.path + "/Trash")
    read(path_of(mount, 1))
    server.forget()
    os.unlink(path_of(mount, 1))
    assert stored(mount, "Trash") == numbered(1), "before rm is answered"
    server.wait_uidls(["uidl-%d" % n for n in (1, 3, 4, 5)])
    trashed(mount, 1)
    mount.restart().online()
    trashed(mount, 1)
    assert numbers(mount) == [0, 2, 3, 4]
    assert server.verbs()["RETR"] == 0
    os.unlink(path_of(mount, 1, "Trash"))
    assert stored(mount, "Trash") == [], "and from there for good"


def test_rm_of_all(server, mounts):
    mount = listed(mounts(server.keys(poll="1h")))
    for n in range(6):
        read(path_of(mount, n))
    mount.shell("rm -f INBOX/*.eml")
    server.wait_uidls([])
    trashed(mount, *range(6))
    assert numbers(mount) == [] == stored(mount)


@pytest.mark.parametrize("waits", [False, True])
def test_what_was_taken_off(server, mounts, waits):
    """The same before the server has heard of it, and after."""
    mount = listed(mounts(server.keys(poll="1h", pop3_keep="fetched")))
    read(path_of(mount, 2))
    if waits:
        server.wait_uidls(["uidl-%d" % n for n in (1, 2, 4, 5, 6)])
        settle(mount)
    os.unlink(path_of(mount, 2))
    server.wait_uidls(["uidl-%d" % n for n in (1, 2, 4, 5, 6)])
    trashed(mount, 2)
    mount.restart().online()
    trashed(mount, 2)
    assert numbers(mount) == [0, 1, 3, 4, 5] and stored(mount) == []


def test_a_server_without_top(server, mounts):
    """All of its mail is here as files."""
    server.capabilities = ("UIDL", "USER")
    server.rule(r"^TOP", "-ERR what is that?")
    mount = listed(mounts(server.keys(poll="1h")))
    os.unlink(path_of(mount, 0))
    server.wait_uidls(["uidl-%d" % n for n in range(2, 7)])
    trashed(mount, 0)


def test_for_good_where_asked(server, mounts):
    mount = listed(mounts(server.keys(poll="1h", delete="expunge")))
    read(path_of(mount, 1))
    os.unlink(path_of(mount, 1))
    write(path_of(mount, 3), EDITED)
    server.wait_uidls(["uidl-%d" % n for n in (1, 3, 5, 6)])
    assert stored(mount, "Trash") == [] and "Trash" not in os.listdir(mount.path)
    assert numbers(mount) == [0, 2, 3, 4, 5] and read(path_of(mount, 3)) == EDITED


EDITS = {
    "sed": lambda path: subprocess.run(["sed", "-i", "s/Message/Nachricht/", path], check=True),
    "in place": lambda path: write(path, read(path) + b"more\r\n", "r+b"),
    "over it": lambda path: (read(path), write(path, EDITED)),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("keep", ["forever", "fetched"])
def test_the_old_version_goes_to_trash(server, mounts, name, keep):
    mount = listed(mounts(server.keys(poll="1h", pop3_keep=keep)))
    EDITS[name](path_of(mount, 1))
    server.wait_uidls(["uidl-%d" % n for n in (1, 3, 4, 5, 6)])
    system.wait_for(lambda: stored(mount, "Trash") == numbered(1), "the old one is in Trash")
    new, = stored(mount)
    assert new != on_wire(mail.numbered(1))
    settle(mount)
    mount.restart().online()
    assert stored(mount, "Trash") == numbered(1) and stored(mount) == [new]


def test_moves_leave_nothing_there(server, mounts):
    mount = listed(mounts(server.keys(poll="1h")))
    os.mkdir(mount.path + "/Archive")
    read(path_of(mount, 0))
    for n in (0, 1):
        os.rename(path_of(mount, n), "%s/Archive/%d.eml" % (mount.path, n))
    result = mount.run("mv", path_of(mount, 2), path_of(mount, 3), mount.path + "/Archive")
    assert result.returncode == 0, result.stderr
    server.wait_uidls(["uidl-5", "uidl-6"])
    assert stored(mount, "Archive") == numbered(*range(4))
    assert stored(mount, "Trash") == []


@pytest.fixture
def faulty(server, binary, folder):
    mount = faults.FaultyMount(binary, folder, server.keys(poll="1h"))
    yield mount
    mount.kill()


def test_nor_does_one_that_was_interrupted(server, faulty):
    """Its end is the removal of what is over there already."""
    listed(faulty)
    os.mkdir(faulty.path + "/Archive")
    read(path_of(faulty, 0))
    faulty.ask("pop3-copied")
    assert error_of(os.rename, path_of(faulty, 0), faulty.path + "/Archive/x.eml")
    assert faulty.has_died("pop3-copied")
    faulty.ask("")
    faulty.start().online()
    settle(faulty)
    server.wait_uidls(["uidl-%d" % n for n in range(2, 7)])
    assert stored(faulty, "Archive") == numbered(0) and stored(faulty, "Trash") == []


def test_many_are_one_set(server, faulty):
    listed(faulty)
    for n in (4, 1):  # not in a row: of those that follow some would be read ahead
        read(path_of(faulty, n))
    faulty.ask("list")
    result = faulty.run("rm", *[path_of(faulty, n) for n in range(6)])
    assert result.returncode == 0, result.stderr
    points = faulty.passed()
    server.wait_uidls([])
    trashed(faulty, 1, 4)
    assert "pop3-trashed:1" in points and "pop3-trashed:2" not in points, points
    assert "maildir-written:2" in points, points


def test_no_place_for_trash(server, mounts):
    """Then nothing is removed.  (A file stands where the folder would.)"""
    mount = listed(mounts(server.keys(poll="1h")))
    read(path_of(mount, 3))
    write(data_folder(mount, "Trash"), b"in the way")
    assert error_of(os.unlink, path_of(mount, 3))
    result = mount.run("rm", path_of(mount, 2), path_of(mount, 3))
    assert result.returncode != 0 and result.stderr
    settle(mount)
    assert numbers(mount) == list(range(6)) and len(server.uidls()) == 6
    assert read(path_of(mount, 3)) == on_wire(mail.numbered(3))
    os.unlink(data_folder(mount, "Trash"))
    os.unlink(path_of(mount, 3))
    server.wait_uidls(["uidl-%d" % n for n in (1, 2, 3, 5, 6)])
    trashed(mount, 3)


@pytest.mark.skipif(not system.ROOT, reason="needs root, to mount a small tmpfs")
class TestAFullDisk:
    """With the folder of the account's mail on a tmpfs that holds three of the eight messages."""

    @pytest.fixture
    def full(self, scripted_pop3_server, mounts):
        server = scripted_pop3_server(BIG)
        made = []

        def make(**keys):
            mount = mounts(server.keys(poll="1s", **keys))
            folder = data_folder(mount)
            os.makedirs(folder)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", folder],
                           check=True)
            made.append((mount, folder))
            return listed(mount, len(BIG)), server
        yield make
        for mount, folder in made:
            mount.kill()
            subprocess.run(["umount", "-l", folder], check=True)

    def more_room(self, mount):
        subprocess.run(["mount", "-o", "remount,size=8m", data_folder(mount)], check=True)

    def test_nothing_is_taken_off_that_is_not_here(self, full):
        mount, server = full(pop3_keep="fetched")
        wanted = sorted(on_wire(data) for data in BIG)
        assert shown(mount) == wanted
        system.wait_for(lambda: "stay on the server" in mount.log(), "it is said")
        settle(mount)
        sessions = server.sessions
        system.wait_for(lambda: server.sessions > sessions + 2, "some polls")
        here, there = stored(mount), sorted(server.data())
        assert 0 < len(here) < len(BIG) and there
        assert set(here) <= set(wanted) and sorted(here + there) == wanted
        assert os.listdir(data_folder(mount, "INBOX") + "/tmp") == []
        assert shown(mount) == wanted
        self.more_room(mount)
        server.wait_uidls([], 30)
        assert stored(mount) == wanted == shown(mount)

    def test_rm_is_refused(self, full):
        """And the one who asked hears why."""
        mount, server = full()
        for n in range(8):
            read(path_of(mount, n))
        codes = [error_of(os.unlink, path_of(mount, n)) for n in range(8)]
        assert set(codes) == {None, errno.ENOSPC}, codes
        gone = [n for n in range(8) if codes[n] is None]
        left = [n for n in range(8) if codes[n]]
        settle(mount)
        server.wait_uidls(["uidl-%d" % (n + 1) for n in left])
        assert numbers(mount) == left
        assert stored(mount, "Trash") == sorted(on_wire(BIG[n]) for n in gone)
        self.more_room(mount)
        mount.shell("rm INBOX/*.eml")
        server.wait_uidls([])
        assert stored(mount, "Trash") == sorted(on_wire(data) for data in BIG)
