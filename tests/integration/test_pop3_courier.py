"""What a maildrop can do, once, on a POP3 server of a third family: Courier (bed/courier.py), which
wants ten seconds between two logins, so that a session is used for as long as it is there, and
which locks nothing: other clients come and go meanwhile."""
import errno
import os
import subprocess

import pytest

from bed import mail, system
from bed.pop3_account import on_wire
from bed.pop3_mount import (error_of, identity, numbers, path_of, read, settle, shown, stored)

pytestmark = pytest.mark.parametrize("maildrop", ["courier"], indirect=True)
SECONDS = 25  # until the next login, and what is done in it


def numbered(*wanted):
    return sorted(on_wire(mail.numbered(n)) for n in wanted)


@pytest.fixture
def seeded(maildrop):
    for n in range(6):
        maildrop.deliver(mail.numbered(n))
    return maildrop


def listed(mount, n=6):
    mount.start().online()
    system.wait_for(lambda: len(numbers(mount)) == n, "INBOX is listed")
    return mount


def identities(mount, *wanted):
    return {n: identity(path_of(mount, n)) for n in wanted}


def wait_removed(maildrop, n):
    """Waits for the end of the session that removes n messages; nobody looks meanwhile, for that
    has a meaning: see test_removed_while_another_reads."""
    system.wait_for(lambda: maildrop.proxy.verbs()["DELE"] == n and maildrop.proxy.is_idle(),
                    "they are removed", SECONDS)


def test_every_octet_is_the_servers(maildrop, mounts):
    for data in mail.SPECIAL.values():
        maildrop.deliver(data)
    truth = sorted(maildrop.data())
    assert len(truth) == len(mail.SPECIAL)
    mount = mounts(maildrop, poll="1h").start().online()
    for _ in range(2):
        assert shown(mount) == truth
        for name in os.listdir(mount.path + "/INBOX"):
            assert os.stat(os.path.join(mount.path, "INBOX", name)).st_size == len(
                mount.read("INBOX/" + name))
        mount.restart()
    assert sorted(maildrop.data()) == truth


def test_rm_is_dele(seeded, mounts):
    mount = listed(mounts(seeded, poll="1h"))
    kept = identities(mount, 0, 2, 3, 5)
    read(path_of(mount, 4))
    for n in (1, 4):
        subprocess.run(["rm", path_of(mount, n)], check=True)
    assert numbers(mount) == [0, 2, 3, 5]
    wait_removed(seeded, 2)
    assert sorted(seeded.data()) == numbered(0, 2, 3, 5)
    mount.restart().online()
    assert identities(mount, *numbers(mount)) == kept
    assert shown(mount) == numbered(0, 2, 3, 5)


def test_fetched(seeded, mounts):
    mount = listed(mounts(seeded, poll="1h", pop3_keep="fetched"))
    known = identities(mount, *range(6))
    for n in (4, 1):  # not in a row: of those that follow some would be read ahead
        assert read(path_of(mount, n)) == on_wire(mail.numbered(n))
    wait_removed(seeded, 2)
    assert sorted(seeded.data()) == numbered(0, 2, 3, 5)
    system.wait_for(lambda: stored(mount) == numbered(1, 4), "they are stored here")
    mount.stop()
    mount.empty_cache()
    listed(mount)
    assert identities(mount, *range(6)) == known
    assert shown(mount) == numbered(*range(6))


def test_move(seeded, mounts):
    mount = listed(mounts(seeded, poll="1h"))
    os.mkdir(mount.path + "/Archive")
    subprocess.run(["mv", path_of(mount, 2), path_of(mount, 3), mount.path + "/Archive"],
                   check=True)
    assert numbers(mount, "Archive") == [2, 3] and numbers(mount) == [0, 1, 4, 5]
    wait_removed(seeded, 2)
    settle(mount, SECONDS)
    assert sorted(seeded.data()) == numbered(0, 1, 4, 5)
    assert stored(mount, "Archive") == numbered(2, 3)
    mount.restart().online()
    assert shown(mount, "Archive") == numbered(2, 3)
    assert shown(mount) == numbered(0, 1, 4, 5)


def test_gone_meanwhile(seeded, mounts):
    """Another client's session ends while ours stands: our list has what is not there any more."""
    mount = listed(mounts(seeded, poll="1h"))
    path = path_of(mount, 3)
    assert read(path_of(mount, 0)) == on_wire(mail.numbered(0))
    assert not seeded.proxy.is_idle()
    seeded.take_away(mail.numbered(3))
    assert error_of(read, path) in (errno.ENOENT, errno.ESTALE, errno.EIO)
    assert mount.run("sync", mount.path + "/INBOX").returncode == 0
    system.wait_for(lambda: numbers(mount) == [0, 1, 2, 4, 5], "it is gone here, too", SECONDS)
    assert shown(mount) == numbered(0, 1, 2, 4, 5)
    assert sorted(seeded.data()) == numbered(0, 1, 2, 4, 5)


def test_removed_while_another_reads(seeded, mounts):
    """Who reads a message renames its file, and a session that listed it before then says +OK to
    QUIT, but has not removed it.  It is shown again, whole, and can be removed again; +OK is not
    reason enough to remove later, unasked, what has the same UIDL."""
    mount = listed(mounts(seeded, poll="1h"))
    assert read(path_of(mount, 0)) == on_wire(mail.numbered(0))  # the session is open
    assert sorted(seeded.data()) == numbered(*range(6))
    seeded.proxy.forget()
    os.unlink(path_of(mount, 1))
    assert numbers(mount) == [0, 2, 3, 4, 5]
    wait_removed(seeded, 1)
    assert seeded.proxy.verbs()["UIDL"] == 0, "it was the session from before"
    assert sorted(seeded.data()) == numbered(*range(6)), "Courier has removed it"
    assert mount.run("sync", mount.path + "/INBOX").returncode == 0
    system.wait_for(lambda: numbers(mount) == list(range(6)), "it is there again", SECONDS)
    assert read(path_of(mount, 1)) == on_wire(mail.numbered(1))
    seeded.proxy.forget()
    os.unlink(path_of(mount, 1))
    wait_removed(seeded, 1)
    assert sorted(seeded.data()) == numbered(0, 2, 3, 4, 5)
