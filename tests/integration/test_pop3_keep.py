"""pop3-keep: what of the mail stays on the server.  What is taken off is stored below
XDG_DATA_HOME first, and stays in INBOX as if nothing had happened; and what a server does not
mention any more is not deleted for that."""
import os
import re
import shutil
import time

import pytest

from bed import mail, mount as bed_mount, scripted_pop3, system
from bed.pop3_account import on_wire
from bed.pop3_mount import (data_folder, identity, is_maildir, live_through, numbers, path_of, read,
                            settle, shown, stored)

BOTH = pytest.mark.parametrize("maildrop", ["full", "cyrus"], indirect=True)


def numbered(*wanted):
    return sorted(on_wire(mail.numbered(n)) for n in wanted)


def fill(maildrop, n):
    maildrop.deliver_all([mail.numbered(i) for i in range(n)])


def listed(mount, n):
    mount.start().online()
    system.wait_for(lambda: len(numbers(mount)) == n, "INBOX is listed")
    return mount


def is_safe(mount, *wanted):
    """These are stored here, once each, and nothing else is."""
    system.wait_for(lambda: stored(mount) == numbered(*wanted), "they are stored here")


@BOTH
@pytest.mark.parametrize("keep", [None, "forever", "14d"])
def test_what_is_kept_stays(maildrop, mounts, keep):
    """Reading deletes nothing; what was seen today is not 14 days old."""
    fill(maildrop, 5)
    keys = {"pop3_keep": keep} if keep else {}
    mount = listed(mounts(maildrop, poll="1s", **keys), 5)
    assert shown(mount) == numbered(*range(5))
    mount.restart().online()
    assert shown(mount) == numbered(*range(5))
    maildrop.proxy.forget()
    system.wait_for(lambda: maildrop.proxy.sessions > 1, "a poll")
    assert not maildrop.proxy.lines("^DELE")
    assert sorted(maildrop.data()) == numbered(*range(5))


def settle_index(mount):
    """What was read is in the index: a copy of it needs no download."""
    system.wait_for(lambda: mount.account()["cache"]["bytes"] > 0, "it is in the index")


@BOTH
def test_fetched(maildrop, mounts):
    fill(maildrop, 6)
    mount = listed(mounts(maildrop, poll="1s", pop3_keep="fetched"), 6)
    known = {n: identity(path_of(mount, n)) for n in range(6)}
    assert sorted(maildrop.data()) == numbered(*range(6)), "a listing fetches nothing"
    for n in (4, 1):  # not in a row: of those that follow some would be read ahead
        assert read(path_of(mount, n)) == on_wire(mail.numbered(n))
    maildrop.wait([mail.numbered(n) for n in (0, 2, 3, 5)], seconds=15)
    assert is_maildir(data_folder(mount, "INBOX"))
    is_safe(mount, 1, 4)

    def same():
        assert {n: identity(path_of(mount, n)) for n in range(6)} == known
        for n in (4, 1):
            with open(path_of(mount, n), "rb") as f:
                assert os.fstat(f.fileno()).st_size == len(on_wire(mail.numbered(n)))
                assert f.read() == on_wire(mail.numbered(n))
    same()
    mount.restart().online()
    same()
    # the cache is disposable; this is not in it
    mount.stop()
    mount.empty_cache()
    maildrop.proxy.forget()
    mount.start().online()
    system.wait_for(lambda: numbers(mount) == list(range(6)), "all of it")
    same()
    assert maildrop.proxy.verbs()["RETR"] == 0
    # and without a server
    maildrop.proxy.down()
    mount.stop()
    mount.empty_cache()
    mount.start()
    system.wait_for(lambda: numbers(mount) == list(range(6)), "all names are known")
    assert {n: identity(path_of(mount, n)) for n in range(6)} == known
    for n in (1, 4):
        assert read(path_of(mount, n)) == on_wire(mail.numbered(n))
    maildrop.proxy.up()
    mount.run("sync", mount.path + "/INBOX")
    mount.wait_state("online", 30)
    system.wait_for(lambda: numbers(mount) == list(range(6)), "all of it", 30)
    same()
    is_safe(mount, 1, 4)
    maildrop.wait([mail.numbered(n) for n in (0, 2, 3, 5)])


def test_fetched_costs_one_retr(scripted_pop3_server, mounts):
    server = scripted_pop3_server([mail.numbered(n) for n in range(40)])
    mount = listed(mounts(server.keys(poll="1h", pop3_keep="fetched")), 40)
    assert shown(mount) == numbered(*range(40))
    server.wait_uidls([], 20)
    assert set(server.retrieved.values()) == {1} and len(server.retrieved) == 40
    assert len(server.deleted) == 40 and server.sessions <= 15
    is_safe(mount, *range(40))
    assert shown(mount) == numbered(*range(40))


def test_stored_before_it_is_deleted(scripted_pop3_server, mounts):
    """At each DELE's QUIT the message is on the disk here."""
    server = scripted_pop3_server([mail.numbered(n) for n in range(8)])
    mount = listed(mounts(server.keys(poll="1s", pop3_keep="fetched")), 8)
    early = []
    update = scripted_pop3.Conversation.update

    def watched(conversation):
        leaving = [on_wire(conversation.drop[n - 1].data) for n in conversation.gone]
        early.extend(data for data in leaving if data not in stored(mount))
        update(conversation)
    try:
        scripted_pop3.Conversation.update = watched
        shown(mount)
        server.wait_uidls([], 20)
    finally:
        scripted_pop3.Conversation.update = update
    assert early == []


@BOTH
def test_days(maildrop, mounts):
    """What has been seen for so long is fetched, stored and deleted there; the rest is not."""
    fill(maildrop, 4)
    mount = listed(mounts(maildrop, poll="1s", pop3_keep="2d"), 4)
    known = {n: identity(path_of(mount, n)) for n in range(4)}
    read(path_of(mount, 0))
    mount.stop()
    live_through(mount, 1)
    mount.start().online()
    maildrop.proxy.forget()
    system.wait_for(lambda: maildrop.proxy.sessions > 1, "a poll")
    assert not maildrop.proxy.lines("^(DELE|RETR)")
    for n in (4, 5):  # these come later
        maildrop.deliver(mail.numbered(n))
    system.wait_for(lambda: numbers(mount) == list(range(6)), "new mail")
    mount.stop()
    live_through(mount, 1.5)
    mount.start().online()
    maildrop.wait([mail.numbered(4), mail.numbered(5)], seconds=20)
    is_safe(mount, 0, 1, 2, 3)
    assert numbers(mount) == list(range(6))
    assert {n: identity(path_of(mount, n)) for n in range(4)} == known
    mount.stop()
    mount.empty_cache()
    mount.start().online()
    system.wait_for(lambda: numbers(mount) == list(range(6)), "all of it")
    assert {n: identity(path_of(mount, n)) for n in range(4)} == known
    assert shown(mount) == numbered(*range(6))


def aged(server, mounts, n, **keys):
    """A mount of n messages, none of them read, that have been there for two days."""
    mount = listed(mounts(server.keys(poll="1s", pop3_keep="1d", **keys)), n)
    mount.stop()
    live_through(mount, 2)
    return mount.start().online()


def uidls(*numbers):
    return ["uidl-%d" % n for n in numbers]


def test_those_that_fail_keep_no_other_back(scripted_pop3_server, mounts):
    """More than are taken in one session: what comes after them is taken, too.  Each is tried
    once, then left alone for a while, and told once."""
    n_bad, n = 230, 240
    server = scripted_pop3_server([mail.numbered(i % 7) for i in range(n)])
    bad = re.compile(r"^RETR (\d{1,2}|1\d\d|2[0-2]\d|230)$")
    server.rule(bad.pattern, "-ERR it is damaged")
    mount = aged(server, mounts, n)
    server.wait_uidls(uidls(*range(1, n_bad + 1)), 40)
    sessions = server.sessions
    system.wait_for(lambda: server.sessions > sessions + 2, "polls that find nothing to do")
    tried = [line for line in server.commands("^RETR") if bad.search(line)]
    assert sorted(tried) == sorted("RETR %d" % i for i in range(1, n_bad + 1))
    assert len(stored(mount)) == n - n_bad
    told = re.findall(r"(\d+) messages stay on the server longer than pop3-keep= says: (.*)",
                      mount.log())
    assert sum(int(count) for count, _ in told) == n_bad and len(told) <= 3, told
    assert all("damaged" in reason for _, reason in told)
    # that is known for the run; the next one tries again
    server.rules.clear()
    mount.restart().online()
    server.wait_uidls([], 40)
    assert len(stored(mount)) == n


def test_one_that_breaks_the_session(scripted_pop3_server, mounts, monkeypatch):
    """The server hangs up when it is to send it: all others are taken, and INBOX is listed."""
    server = scripted_pop3_server([mail.numbered(n) for n in range(6)])
    retrieve = scripted_pop3.Conversation.do_retr
    hits = []

    def breaking(conversation, rest):
        if conversation.drop[int(rest) - 1].uidl == "uidl-3":
            hits.append(rest)
            conversation.socket.sendall(b"+OK 9999\r\nSubject: half")
            raise EOFError("dropped by the test")
        return retrieve(conversation, rest)
    monkeypatch.setattr(scripted_pop3.Conversation, "do_retr", breaking)
    mount = aged(server, mounts, 6)
    server.wait_uidls(uidls(3), 40)
    is_safe(mount, 0, 1, 3, 4, 5)
    assert len(hits) == 2  # among others, and alone
    assert mount.run("sync", mount.path + "/INBOX").returncode == 0
    assert numbers(mount) == list(range(6))


def test_taken_off_and_then_removed(maildrop, mounts):
    """rm of what only this place has: no longer in INBOX, and not by the next mount either."""
    fill(maildrop, 3)
    mount = listed(mounts(maildrop, poll="1s", pop3_keep="fetched"), 3)
    read(path_of(mount, 1))
    maildrop.wait([mail.numbered(0), mail.numbered(2)], seconds=15)
    os.unlink(path_of(mount, 1))
    for _ in range(2):
        assert numbers(mount) == [0, 2]
        mount.restart().online()
    assert stored(mount) == []
    mount.stop()
    mount.empty_cache()
    mount.start().online()
    system.wait_for(lambda: numbers(mount) == [0, 2], "what is left")


@pytest.mark.parametrize("value", ["sometimes", "-1d", "fetched;forever", "d"])
def test_no_such_value(maildrop, mounts, value):
    mount = mounts(maildrop, pop3_keep=value)
    result = mount.run("mount", "-f", bed_mount.ACCOUNT, mount.path)
    assert result.returncode != 0
    assert re.search(r"mailfs\.conf:\d+: .*pop3-keep", result.stderr), result.stderr
    assert "forever" in result.stderr and "fetched" in result.stderr


class TestWhatVanished:
    @BOTH
    def test_another_client_deleted_it(self, maildrop, mounts):
        """A body that is here stays, also when the cache goes; what was never read goes."""
        fill(maildrop, 6)
        mount = listed(mounts(maildrop, poll="1s"), 6)
        known = {n: identity(path_of(mount, n)) for n in (1, 3)}
        for n in (1, 3):
            read(path_of(mount, n))
        maildrop.take_away(*[mail.numbered(n) for n in (1, 2, 3)])
        system.wait_for(lambda: numbers(mount) == [0, 1, 3, 4, 5], "what was not read is gone")
        for _ in range(2):
            assert {n: identity(path_of(mount, n)) for n in (1, 3)} == known
            assert [read(path_of(mount, n)) for n in (1, 3)] == \
                [on_wire(mail.numbered(n)) for n in (1, 3)]
            is_safe(mount, 1, 3)
            mount.stop()
            mount.empty_cache()
            mount.start().online()
            system.wait_for(lambda: numbers(mount) == [0, 1, 3, 4, 5], "the same")
        assert sorted(maildrop.data()) == numbered(0, 4, 5)

    def test_while_nobody_was_looking(self, maildrop, mounts):
        fill(maildrop, 4)
        mount = listed(mounts(maildrop, poll="1h"), 4)
        known = identity(path_of(mount, 2))
        read(path_of(mount, 2))
        mount.stop()
        maildrop.take_away(*[mail.numbered(n) for n in range(4)])
        mount.start().online()
        system.wait_for(lambda: numbers(mount) == [2], "what is here")
        assert identity(path_of(mount, 2)) == known
        assert read(path_of(mount, 2)) == on_wire(mail.numbered(2))

    @pytest.mark.parametrize("is_whole", [True, False])
    def test_after_a_crash(self, maildrop, mounts, is_whole):
        """What was cached before one is verified first: kept if it is whole, let go if not."""
        fill(maildrop, 4)
        mount = listed(mounts(maildrop, poll="1h"), 4)
        read(path_of(mount, 2))
        settle_index(mount)
        mount.kill()
        if not is_whole:
            for where, _, names in os.walk(os.path.join(mount.folder, "cache")):
                for name in names:
                    if "bodies" in where:
                        with open(os.path.join(where, name), "r+b") as f:
                            f.write(b"X")
        maildrop.take_away(*[mail.numbered(n) for n in range(4)])
        mount.start().online()
        system.wait_for(lambda: mount.run("sync", mount.path + "/INBOX").returncode == 0 and
                        numbers(mount) == ([2] if is_whole else []), "what is here")
        if is_whole:
            assert read(path_of(mount, 2)) == on_wire(mail.numbered(2))
            is_safe(mount, 2)

    def test_hidden_once_it_was_read(self, scripted_pop3_server, mounts):
        """As Gmail does it after RETR and QUIT."""
        server = scripted_pop3_server([mail.numbered(n) for n in range(6)])
        server.hides = True
        mount = listed(mounts(server.keys(poll="1s")), 6)
        known = {n: identity(path_of(mount, n)) for n in range(6)}
        for n in (3, 0):
            read(path_of(mount, n))
        system.wait_for(lambda: len(server.hidden) == 2, "they are hidden")
        sessions = server.sessions
        system.wait_for(lambda: server.sessions > sessions + 1, "two polls")
        assert {n: identity(path_of(mount, n)) for n in range(6)} == known
        is_safe(mount, 0, 3)
        mount.stop()
        mount.empty_cache()
        mount.start().online()
        system.wait_for(lambda: numbers(mount) == list(range(6)), "all of it")
        assert {n: identity(path_of(mount, n)) for n in range(6)} == known
        assert shown(mount) == numbered(*range(6))
        assert not server.commands("^DELE")

    def test_all_of_it(self, scripted_pop3_server, mounts):
        """An empty maildrop, for a moment, and then it is there again: nothing is doubled."""
        server = scripted_pop3_server([mail.numbered(n) for n in range(30)])
        mount = listed(mounts(server.keys(poll="1s")), 30)
        for n in range(10):
            read(path_of(mount, n))
        known = {n: identity(path_of(mount, n)) for n in range(10)}
        with server.lock:
            held, server.drop = server.drop, []
        sessions = server.sessions
        system.wait_for(lambda: server.sessions > sessions + 1, "two polls")
        assert {n: identity(path_of(mount, n)) for n in range(10)} == known
        with server.lock:
            server.drop = held
        system.wait_for(lambda: numbers(mount) == list(range(30)), "all of it, once")
        assert {n: identity(path_of(mount, n)) for n in range(10)} == known
        assert shown(mount) == numbered(*range(30))

    def test_every_uidl_is_another(self, scripted_pop3_server, mounts):
        """A maildrop that moved to another server: no octet is lost by it."""
        server = scripted_pop3_server([mail.numbered(n) for n in range(5)])
        mount = listed(mounts(server.keys(poll="1s")), 5)
        read(path_of(mount, 1))
        with server.lock:
            server.drop = scripted_pop3.messages([m.data for m in server.drop], "moved-%d")
        sessions = server.sessions
        system.wait_for(lambda: server.sessions > sessions + 1, "two polls")
        system.wait_for(lambda: set(numbers(mount)) == set(range(5)), "all of it")
        assert set(shown(mount)) == set(numbered(*range(5)))
        assert not server.commands("^DELE")


def test_the_disk_is_full_here(scripted_pop3_server, mounts):
    """What cannot be stored here is not deleted there.  (A file stands where the folder would.)"""
    server = scripted_pop3_server([mail.numbered(n) for n in range(3)])
    mount = mounts(server.keys(poll="1s", pop3_keep="fetched"))
    folder = data_folder(mount)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with open(folder, "w", encoding="ascii") as f:
        f.write("in the way")
    try:
        mount.start().online()
        try:
            shown(mount)
        except OSError:
            pass
        time.sleep(2)
        mount.stop()
    except (bed_mount.MountFailed, AssertionError):
        mount.kill()  # it may refuse to start, with a sentence
    assert mount.log().strip()
    assert len(server.uidls()) == 3
    os.unlink(folder)
    shutil.rmtree(folder, ignore_errors=True)
    mount.start().online()
    assert shown(mount) == numbered(0, 1, 2)
    server.wait_uidls([], 20)
    is_safe(mount, 0, 1, 2)
    settle(mount)
