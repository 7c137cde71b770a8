"""A POP3 server that is away, breaks off or refuses: what is known of it is answered at once, asked
for once and said once."""
import errno
import os
import time

import pytest

from bed import mail, scripted_pop3, system
from bed.pop3_account import on_wire
from bed.pop3_mount import error_of, numbers, path_of, read, shown


def numbered(*wanted):
    return sorted(on_wire(mail.numbered(n)) for n in wanted)


@pytest.fixture
def server(scripted_pop3_server):
    return scripted_pop3_server([mail.numbered(n) for n in range(6)])


def listed(mount, n=6):
    mount.start().online()
    system.wait_for(lambda: len(numbers(mount)) == n, "INBOX is listed")
    return mount


def test_nobody_waits_while_it_is_tried_again(server, mounts):
    """A host that answers nothing takes half a minute to fail; unmounting does not wait for it."""
    mount = listed(mounts(server.keys(poll="1h")))
    assert read(path_of(mount, 0)) == on_wire(mail.numbered(0))
    system.wait_for(server.is_free, "the session is over")
    path = path_of(mount, 4)
    server.greeting = "-ERR [SYS/TEMP] not now"
    assert error_of(read, path) == errno.ENETDOWN
    server.greeting = b""
    before = server.n_connections
    system.wait_for(lambda: server.n_connections > before, "it is tried again")
    start = time.monotonic()
    assert error_of(read, path) == errno.ENETDOWN
    assert numbers(mount) == list(range(6))
    assert read(path_of(mount, 0)) == on_wire(mail.numbered(0))
    os.mkdir(mount.path + "/Archive")
    assert error_of(os.rename, path, mount.path + "/Archive/x.eml") == errno.ENETDOWN
    assert time.monotonic() - start < 5
    assert server.n_connections == before + 1
    start = time.monotonic()
    mount.stop()
    assert time.monotonic() - start < 2.5
    server.greeting = None
    mount.start().online()
    assert shown(mount) == numbered(*range(6))


def test_a_session_that_breaks_off(server, mounts):
    """What it gave is not asked for again."""
    mount = listed(mounts(server.keys(poll="1h")))
    server.rule(r"^RETR 5$", raw=b"+OK\r\nA: half of", drop=True, times=1)
    assert shown(mount) == numbered(*range(6))
    assert set(server.retrieved.values()) == {1} and len(server.retrieved) == 6, server.retrieved


def test_new_mail_while_a_removal_is_refused(server, mounts):
    """It comes with the next poll, however seldom the removal is tried; the log is not filled."""
    mount = listed(mounts(server.keys(poll="1s")))
    rule = server.rule(r"^DELE 3$", "-ERR not this one")
    os.unlink(path_of(mount, 2))
    system.wait_for(lambda: rule.hits >= 3, "it was tried again", 20)
    server.add(scripted_pop3.Message("uidl-7", mail.numbered(6)))
    system.wait_for(lambda: numbers(mount) == [0, 1, 3, 4, 5, 6], "new mail", 4)
    assert mount.log().count("not this one") == 1
    server.rules.clear()
    server.wait_uidls(["uidl-%d" % n for n in (1, 2, 4, 5, 6, 7)], 20)


def test_umount_tries_at_once(server, mounts):
    """What was refused some times is tried ever less often, but not while somebody waits."""
    mount = listed(mounts(server.keys(poll="1h")))
    rule = server.rule(r"^DELE 3$", "-ERR not this one")
    os.unlink(path_of(mount, 2))
    system.wait_for(lambda: rule.hits >= 4 and server.is_free(), "it was tried again", 30)
    server.rules.clear()
    start = time.monotonic()
    mount.stop()
    assert time.monotonic() - start < 5
    assert server.deleted == ["uidl-3"]


def test_the_log_while_it_is_away(server, mounts):
    """One line when it goes, and none at each poll."""
    mount = listed(mounts(server.keys(poll="1s")))
    system.wait_for(server.is_free, "the session is over")
    server.greeting = "-ERR [SYS/TEMP] not now"
    mount.wait_state("offline", 10)
    error_of(read, path_of(mount, 1))
    before = mount.log()
    time.sleep(6)
    assert mount.log() == before, mount.log()[len(before):]
    server.greeting = None
    mount.wait_state("online", 30)
    assert shown(mount) == numbered(*range(6))
