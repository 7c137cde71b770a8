"""POP3 servers that say no in words of their own: what they mean, how long it is believed, and what
is shown all the same."""
import errno
import os
import subprocess
import time

import pytest

from bed import mail, mount as bed_mount, system
from bed.pop3_account import on_wire
from bed.pop3_mount import error_of, identity, live_through, numbers, path_of, read, shown
from bed.scripted_pop3 import Message

NO_CODES = ("TOP", "UIDL", "USER", "PIPELINING")


def numbered(*wanted):
    return sorted(on_wire(mail.numbered(n)) for n in wanted)


@pytest.fixture
def make(scripted_pop3_server):
    def made(n=3, **more):
        return scripted_pop3_server([mail.numbered(i) for i in range(n)], **more)
    return made


def listed(mount, n=3):
    mount.start().online()
    system.wait_for(lambda: len(numbers(mount)) == n, "INBOX is listed")
    return mount


class TestLogin:
    @pytest.mark.parametrize("answer", [
        "Mailbox locked by another session", "can't lock mailbox", "maildrop busy",
        "Failed to lock maildrop", "system error, please retry", "connection limit reached"])
    def test_a_lock_in_other_words(self, make, mounts, answer):
        """It says nothing about the password."""
        server = make(capabilities=NO_CODES)
        rule = server.rule(r"^PASS", "-ERR " + answer, times=2)
        mount = mounts(server.keys(poll="1s")).start()
        system.wait_for(lambda: rule.hits, "the refusal")
        assert mount.account()["state"] != "auth-failed"
        system.wait_for(lambda: numbers(mount) == [0, 1, 2], "INBOX", 20)
        assert rule.hits == 2

    @pytest.mark.parametrize("answer", [
        "Wrong password, please try again", "your account is locked", "this address is blocked"])
    def test_no_lock(self, make, mounts, answer):
        """More tries make it worse."""
        server = make(capabilities=NO_CODES)
        server.rule(r"^PASS", "-ERR " + answer)
        mount = mounts(server.keys(poll="1s")).start()
        mount.wait_state("auth-failed")
        assert answer in mount.account()["reason"]
        assert len(server.commands("^PASS")) <= 2

    def test_a_password_that_has_worked(self, make, mounts):
        """Its refusal is told, and not believed at once, but it is not tried in a row either."""
        server = make()
        mount = listed(mounts(server.keys(poll="1s")))
        server.rule(r"^(PASS|AUTH)", "-ERR [AUTH] the user database sleeps")
        mount.wait_state("offline")
        reason = mount.account()["reason"]
        assert "the user database sleeps" in reason and "worked before" in reason
        before = len(server.commands("^(PASS|AUTH)"))
        assert error_of(read, path_of(mount, 1)) == errno.ENETDOWN
        time.sleep(3)
        assert len(server.commands("^(PASS|AUTH)")) == before
        server.rules.clear()
        assert mount.run("sync", mount.path + "/INBOX").returncode == 0
        assert mount.account()["state"] == "online"
        assert shown(mount) == numbered(0, 1, 2)

    def test_a_password_that_is_wrong_now(self, make, mounts):
        """It is given up in the end."""
        server = make()
        mount = listed(mounts(server.keys(poll="1s")))
        rule = server.rule(r"^(PASS|AUTH)", "-ERR [AUTH] no")
        mount.wait_state("offline")
        for _ in range(4):
            assert mount.account()["state"] == "offline"
            assert mount.run("sync", mount.path + "/INBOX").returncode != 0
        mount.wait_state("auth-failed")
        assert rule.hits == 5
        assert "worked before" not in mount.account()["reason"]


class TestInUse:
    def test_a_reader_waits(self, make, mounts):
        server = make()
        mount = listed(mounts(server.keys(poll="1h")))
        system.wait_for(server.is_free, "the session is over")
        leave = server.occupy()
        with subprocess.Popen(["cat", path_of(mount, 1)], stdout=subprocess.PIPE) as reader:
            system.wait_for(lambda: len(server.refused) >= 3, "it is tried again")
            assert reader.poll() is None
            leave()
            assert reader.communicate(timeout=20)[0] == on_wire(mail.numbered(1))
        assert reader.returncode == 0

    def test_so_does_the_first_listing(self, make, mounts):
        server = make()
        leave = server.occupy()
        mount = mounts(server.keys(poll="1h")).start()
        mount.wait_state("offline")  # nobody waited for that try, so it was given up at once
        n_before = len(server.refused)
        with subprocess.Popen(["ls", mount.path + "/INBOX"], stdout=subprocess.PIPE) as ls:
            system.wait_for(lambda: len(server.refused) >= n_before + 2, "it is tried again")
            assert ls.poll() is None
            leave()
            assert len(ls.communicate(timeout=20)[0].splitlines()) == 3
        assert ls.returncode == 0

    def test_but_not_for_ever(self, make, mounts):
        """And who reads when the lock is gone need not wait for the next try that was planned."""
        server = make()
        mount = listed(mounts(server.keys(poll="1h")))
        system.wait_for(server.is_free, "the session is over")
        leave = server.occupy()
        start = time.monotonic()
        assert error_of(read, path_of(mount, 1)) in (errno.ENETDOWN, errno.ETIMEDOUT)
        assert 8 < time.monotonic() - start < 25
        assert "another program" in mount.account()["reason"]
        assert len(server.refused) <= 15
        leave()
        assert read(path_of(mount, 2)) == on_wire(mail.numbered(2))

    def test_a_change_does_not_wait_for_the_plan(self, make, mounts):
        server = make(6)
        mount = listed(mounts(server.keys(poll="1h")), 6)
        system.wait_for(server.is_free, "the session is over")
        leave = server.occupy()
        os.unlink(path_of(mount, 0))
        system.wait_for(lambda: len(server.refused) >= 4, "it was tried again", 30)
        leave()  # the next try is 12 seconds away, or more
        os.unlink(path_of(mount, 1))
        server.wait_uidls(["uidl-%d" % n for n in range(3, 7)], 8)

    def test_login_delay_is_kept(self, make, mounts):
        """Whoever waits: a server that wants a pause is not asked before it is over."""
        server = make()
        server.login_delay = 4
        mount = listed(mounts(server.keys(poll="1h")))
        system.wait_for(server.is_free, "the session is over", 30)
        leave = server.occupy()
        error_of(read, path_of(mount, 1))
        assert server.refused and all("IN-USE" in text for text in server.refused)
        leave()
        system.wait_for(lambda: error_of(read, path_of(mount, 1)) is None, "it can be read", 30)

    def test_check_beside_a_mount(self, make, mounts):
        """The session of one's own mount is no other program's."""
        server = make()
        mount = listed(mounts(server.keys(poll="1h")))
        read(path_of(mount, 1))
        assert not server.is_free()
        result = mount.run("check", bed_mount.ACCOUNT)
        assert result.returncode == 0, result.stdout
        assert not server.refused
        leave = server.occupy()
        result = mount.run("check", bed_mount.ACCOUNT)
        assert result.returncode == 75 and "mounted" in result.stdout
        leave()


class TestTop:
    @pytest.mark.parametrize("answer", [
        "-ERR", "-ERR bad command", "-ERR Command not recognized", "-ERR syntax error"])
    def test_no_top_in_other_words(self, make, mounts, answer):
        """Without CAPA nothing else tells."""
        server = make(capabilities=None)
        rule = server.rule(r"^TOP", answer)
        mount = listed(mounts(server.keys(poll="1s")))
        assert shown(mount) == numbered(0, 1, 2)
        assert rule.hits == 1 and set(server.retrieved.values()) == {1}

    @pytest.mark.parametrize("answer", ["-ERR [SYS/TEMP] later", "-ERR no such message"])
    def test_it_is_not_about_the_command(self, make, mounts, answer):
        server = make(capabilities=None)
        server.rule(r"^TOP", answer, times=1)
        mount = listed(mounts(server.keys(poll="1s")))
        assert len(server.commands(r"^TOP [23] ")) == 2
        assert shown(mount) == numbered(0, 1, 2)

    @pytest.mark.parametrize("answer", ["internal parse failure", "[SYS/TEMP] cannot parse"])
    def test_refused_for_one(self, make, mounts, answer):
        """Then that one is fetched whole, once."""
        server = make()
        rule = server.rule(r"^TOP 2 ", "-ERR " + answer)
        mount = listed(mounts(server.keys(poll="1s")))
        assert shown(mount) == numbered(0, 1, 2)
        before = server.sessions
        system.wait_for(lambda: server.sessions >= before + 3, "some polls")
        assert rule.hits == 1 and server.retrieved["uidl-2"] == 1

    def test_nor_is_it_given_whole(self, make, mounts):
        """It is there, and it is shown so; whoever reads it is told, and nobody else asks."""
        server = make()
        rule = server.rule(r"^(TOP|RETR) 2\b", "-ERR I cannot parse this")
        mount = mounts(server.keys(poll="1s")).start().online()
        where = mount.path + "/INBOX"
        system.wait_for(lambda: len(os.listdir(where)) == 3, "all are shown")
        assert numbers(mount) == [0, 2]
        name, = (name for name in os.listdir(where) if name.split(".")[0].isdigit())
        path = os.path.join(where, name)
        kept = identity(path)
        assert os.stat(path).st_size == server.drop[1].size
        before, hits = server.sessions, rule.hits
        assert hits <= 6
        system.wait_for(lambda: server.sessions >= before + 3, "some polls")
        assert rule.hits == hits
        assert error_of(read, path) == errno.EIO
        assert "I cannot parse this" in mount.log()
        mount.restart().online()
        system.wait_for(lambda: len(os.listdir(where)) == 3, "all are shown")
        assert identity(path) == kept
        server.rules.clear()
        assert shown(mount) == numbered(0, 1, 2)
        assert identity(path) == kept

    def test_too_large_without_top(self, make, mounts):
        """Nobody fetches it, and it can be removed."""
        server = make(n=2, capabilities=("UIDL", "USER"))
        server.add(Message("big", mail.numbered(7), size=300 << 20))
        mount = mounts(server.keys(poll="1s")).start().online()
        where = mount.path + "/INBOX"
        system.wait_for(lambda: len(os.listdir(where)) == 3, "all are shown", 30)
        name, = (name for name in os.listdir(where) if name.split(".")[0].isdigit())
        assert os.stat(os.path.join(where, name)).st_size == 300 << 20
        assert server.retrieved["big"] == 0
        os.unlink(os.path.join(where, name))
        server.wait_uidls(["uidl-1", "uidl-2"])

    def test_not_now(self, make, mounts):
        """A server that is in trouble for a moment does not cost the messages their names."""
        server = make()
        server.rule(r"^(TOP|RETR) ", "-ERR [SYS/TEMP] the disk is away", times=6)
        mount = listed(mounts(server.keys(poll="1s")))
        assert shown(mount) == numbered(0, 1, 2)

    def test_nor_is_it_taken_off(self, make, mounts):
        """pop3-keep= asks for it a few times, and not at each poll."""
        server = make()
        mount = listed(mounts(server.keys(poll="1s", pop3_keep="1d")))
        mount.stop()
        rule = server.rule(r"^RETR 1$", "-ERR I cannot parse this")
        live_through(mount, 2)
        mount.start().online()
        server.wait_uidls(["uidl-1"], 20)
        server.forget()
        system.wait_for(lambda: server.sessions >= 4, "some polls", 20)
        hits = rule.hits
        assert 1 <= hits <= 3
        server.forget()
        system.wait_for(lambda: server.sessions >= 2, "some polls", 20)
        assert rule.hits == hits and numbers(mount) == [0, 1, 2]
