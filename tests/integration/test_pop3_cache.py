"""What the cache has of a message is made the only copy there is, when the server lists it no more,
when it is moved to a local folder, or when pop3-keep takes it off the server.  After a crash a file
in the cache may hold anything."""
import os

import pytest

from bed import mail, system
from bed.pop3_account import on_wire
from bed.pop3_mount import live_through, numbers, path_of, read, settle, stored


def numbered(*wanted):
    return sorted(on_wire(mail.numbered(n)) for n in wanted)


def damage(mount):
    """Each body in the cache becomes zeros, as after a loss of power; returns how many."""
    n = 0
    for where, _, names in os.walk(os.path.join(mount.folder, "cache")):
        if "/bodies/" not in where:
            continue
        for name in names:
            path = os.path.join(where, name)
            size = os.path.getsize(path)
            with open(path, "wb") as f:
                f.write(bytes(size))
            n += 1
    return n


@pytest.fixture
def server(scripted_pop3_server):
    return scripted_pop3_server([mail.numbered(n) for n in range(6)])


def crashed(mounts, server, *read_before, **keys):
    """A mount that is not running; what was read is damaged."""
    mount = mounts(server.keys(poll="1s", **keys)).start().online()
    system.wait_for(lambda: len(numbers(mount)) == 6, "INBOX is listed")
    os.mkdir(mount.path + "/Archive")
    for n in read_before:
        assert read(path_of(mount, n)) == on_wire(mail.numbered(n))
    system.wait_for(server.is_free, "the session is over")
    mount.kill()
    assert damage(mount) >= len(read_before)
    return mount


def test_moved(server, mounts):
    mount = crashed(mounts, server, 1, 4)
    mount.start().online()
    os.rename(path_of(mount, 1), mount.path + "/Archive/x.eml")
    assert stored(mount, "Archive") == numbered(1)
    server.wait_uidls(["uidl-%d" % n for n in (1, 3, 4, 5, 6)])
    assert read(mount.path + "/Archive/x.eml") == on_wire(mail.numbered(1))


def test_not_on_the_server_any_more(server, mounts):
    """What is damaged is not shown as if it were the message."""
    mount = crashed(mounts, server, 1)
    server.remove("uidl-2")
    mount.start().online()
    system.wait_for(lambda: numbers(mount) == [0, 2, 3, 4, 5], "it is gone")
    assert stored(mount) == []


def test_days(server, mounts):
    mount = crashed(mounts, server, 1, 4, pop3_keep="2d")
    mount.start().online()
    mount.stop()
    live_through(mount, 3)
    mount.start().online()
    server.wait_uidls([], 30)
    assert stored(mount) == numbered(*range(6))
    settle(mount)


def test_a_file_that_another_program_took_away(server, mounts):
    """A server without TOP has each message stored here at once.  It is taken off the server when
    its time has come, but not without a file that is there."""
    server.capabilities = ("UIDL", "USER")
    mount = mounts(server.keys(poll="1h", pop3_keep="2d")).start().online()
    system.wait_for(lambda: len(stored(mount)) == 6, "they are stored here")
    system.wait_for(server.is_free, "the session is over")
    mount.stop()
    for where, _, names in os.walk(os.path.join(mount.folder, "data")):
        for name in names:
            if read(os.path.join(where, name)).replace(b"\r\n", b"\n") == \
                    mail.numbered(3).replace(b"\r\n", b"\n"):
                os.unlink(os.path.join(where, name))
    assert len(stored(mount)) == 5
    live_through(mount, 3)
    mount.start().online()
    server.wait_uidls([], 30)
    assert stored(mount) == numbered(*range(6))


def test_a_server_that_keeps_nothing_that_was_read(server, mounts):
    """EXPIRE 0: it is stored here before the server is told QUIT."""
    server.capabilities = ("TOP", "UIDL", "USER", "PIPELINING", "EXPIRE 0")
    server.hides = True
    mount = mounts(server.keys(poll="1h")).start().online()
    system.wait_for(lambda: len(numbers(mount)) == 6, "INBOX is listed")
    assert read(path_of(mount, 3)) == on_wire(mail.numbered(3))
    system.wait_for(lambda: server.hidden, "it is hidden")
    assert stored(mount) == numbered(3)
    assert numbers(mount) == list(range(6))
    mount.kill()
    mount.start().online()
    system.wait_for(lambda: numbers(mount) == list(range(6)), "all of it, once")
    assert read(path_of(mount, 3)) == on_wire(mail.numbered(3))
    assert not server.commands("^DELE")
