"""rm in INBOX is DELE: answered once the intent is durable, carried out at once in a short session,
many in one; and whatever the server says or does not say meanwhile, what was removed is gone in
the end, and nothing else is."""
import errno
import os
import re
import subprocess
import time

import pytest

from bed import mail, scripted_pop3, system
from bed.pop3_account import on_wire
from bed.pop3_mount import error_of, identity, numbers, path_of, read, settle, shown

EVERYWHERE = pytest.mark.parametrize("maildrop", ["full", "poor", "bare", "cyrus"], indirect=True)
READ_ONLY = (errno.EROFS, errno.EACCES)


def numbered(*wanted):
    return [on_wire(mail.numbered(n)) for n in wanted]


@pytest.fixture
def seeded(maildrop):
    for n in range(6):
        maildrop.deliver(mail.numbered(n))
    return maildrop


@pytest.fixture
def scripted(scripted_pop3_server):
    """A scripted server with messages 0 to 5, uidl-1 to uidl-6."""
    return scripted_pop3_server([mail.numbered(n) for n in range(6)])


def listed(mount, n=6):
    """A mount whose INBOX is known."""
    mount.start().online()
    system.wait_for(lambda: len(numbers(mount)) == n, "INBOX is listed")
    return mount


@EVERYWHERE
def test_rm_is_dele(seeded, mounts):
    """Of one message, read or not; the others stay who they are."""
    mount = listed(mounts(seeded, poll="1h"))
    system.wait_for(seeded.proxy.is_idle, "the session is over")
    kept = {n: identity(path_of(mount, n)) for n in (0, 2, 3, 5)}
    read(path_of(mount, 4))
    gone = [path_of(mount, n) for n in (1, 4)]
    system.wait_for(seeded.proxy.is_idle, "the session is over")
    seeded.proxy.forget()
    start = time.monotonic()
    subprocess.run(["rm", gone[0]], check=True)
    assert time.monotonic() - start < 5
    assert not os.path.exists(gone[0])
    seeded.wait(numbered(0, 2, 3, 4, 5), seconds=5)
    assert seeded.proxy.verbs()["DELE"] == 1 and seeded.proxy.verbs()["QUIT"] == 1
    assert seeded.proxy.sessions == 1 and seeded.proxy.verbs()["RETR"] == 0
    system.wait_for(seeded.proxy.is_idle, "the session is over", 5)
    os.unlink(gone[1])
    seeded.wait(numbered(0, 2, 3, 5), seconds=5)
    for _ in range(2):
        assert {n: identity(path_of(mount, n)) for n in numbers(mount)} == kept
        assert error_of(os.unlink, gone[0]) == errno.ENOENT
        mount.restart().online()
    assert shown(mount) == sorted(numbered(0, 2, 3, 5))
    seeded.wait(numbered(0, 2, 3, 5))


@pytest.mark.parametrize("maildrop", ["full", "cyrus"], indirect=True)
def test_many_gather(maildrop, mounts):
    n = 150
    maildrop.deliver_all([mail.numbered(i) for i in range(n)])
    mount = listed(mounts(maildrop, poll="1h"), n)
    system.wait_for(maildrop.proxy.is_idle, "the session is over")
    maildrop.proxy.forget()
    maildrop.proxy.hold("DELE", 2)
    mount.shell("rm INBOX/*Message-number-0000* INBOX/*Message-number-00010[0-4]*")
    rest = [i for i in range(105, n)]
    assert numbers(mount) == rest
    maildrop.wait(numbered(*rest), seconds=20)
    verbs = maildrop.proxy.verbs()
    assert verbs["DELE"] == 105 and verbs["RETR"] == verbs["TOP"] == 0, verbs
    assert maildrop.proxy.sessions <= 15
    assert maildrop.proxy.deepest >= 2, "they are sent without waiting for each"


def test_mailfs_rm(seeded, mounts):
    mount = listed(mounts(seeded, poll="1h"))
    system.wait_for(seeded.proxy.is_idle, "the session is over")
    seeded.proxy.forget()
    result = mount.run("rm", *[path_of(mount, n) for n in (0, 1, 5)])
    assert result.returncode == 0, result.stderr
    seeded.wait(numbered(2, 3, 4))
    assert seeded.proxy.sessions <= 2
    assert numbers(mount) == [2, 3, 4]


def test_an_open_file_can_be_removed(seeded, mounts):
    mount = listed(mounts(seeded))
    path = path_of(mount, 1)
    with open(path, "rb") as f:
        assert f.read() == on_wire(mail.numbered(1))
        os.unlink(path)
        seeded.wait(numbered(0, 2, 3, 4, 5))
        f.seek(0)
        assert f.read() == on_wire(mail.numbered(1))


def test_numbers_that_shifted_meanwhile(seeded, mounts):
    """The message that was meant goes, wherever it is by now."""
    mount = listed(mounts(seeded, poll="1h"))
    system.wait_for(seeded.proxy.is_idle, "the session is over")
    seeded.take_away(mail.numbered(0), mail.numbered(2))
    os.unlink(path_of(mount, 3))
    seeded.wait(numbered(1, 4, 5))
    os.unlink(path_of(mount, 5))
    seeded.wait(numbered(1, 4))
    system.wait_for(lambda: numbers(mount) == [1, 4], "the same here")


def test_what_another_client_removed_first(seeded, mounts):
    mount = listed(mounts(seeded, poll="1h"))
    system.wait_for(seeded.proxy.is_idle, "the session is over")
    path = path_of(mount, 2)
    seeded.take_away(mail.numbered(2))
    assert error_of(os.unlink, path) in (None, errno.ENOENT)
    system.wait_for(lambda: numbers(mount) == [0, 1, 3, 4, 5], "it is gone")
    settle(mount)
    seeded.wait(numbered(0, 1, 3, 4, 5))
    assert not seeded.proxy.lines("^DELE")


def test_inbox_itself_stays(seeded, mounts):
    mount = listed(mounts(seeded))
    assert error_of(os.rmdir, mount.path + "/INBOX") in (errno.EBUSY, errno.ENOTEMPTY)
    assert error_of(os.rename, mount.path + "/INBOX", mount.path + "/Old") == errno.EBUSY
    seeded.wait(numbered(*range(6)))


class TestTheAnswerToQuit:
    def test_lost_and_done(self, scripted, mounts):
        """The next UIDL says that it has happened: no second DELE."""
        mount = listed(mounts(scripted.keys(poll="1s")))
        scripted.quit = "lost"
        os.unlink(path_of(mount, 1))
        system.wait_for(lambda: scripted.deleted == ["uidl-2"], "it is deleted")
        scripted.quit = "ok"
        sessions = scripted.sessions
        system.wait_for(lambda: scripted.sessions > sessions + 1, "the sessions after that")
        settle(mount)
        assert scripted.verbs()["DELE"] == 1
        assert numbers(mount) == [0, 2, 3, 4, 5]
        mount.restart().online()
        assert numbers(mount) == [0, 2, 3, 4, 5]

    @pytest.mark.parametrize("how", ["early", "refuse"])
    def test_nothing_was_done(self, scripted, mounts, how):
        mount = listed(mounts(scripted.keys(poll="1s")))
        scripted.quit = how
        os.unlink(path_of(mount, 1))
        system.wait_for(lambda: scripted.verbs()["DELE"], "DELE")
        time.sleep(0.5)
        assert numbers(mount) == [0, 2, 3, 4, 5], "what was removed does not come back meanwhile"
        scripted.quit = "ok"
        scripted.wait_uidls(["uidl-%d" % n for n in (1, 3, 4, 5, 6)], 30)
        settle(mount)
        assert scripted.deleted == ["uidl-2"]
        assert numbers(mount) == [0, 2, 3, 4, 5]

    def test_lost_and_the_program_killed(self, scripted, mounts):
        mount = listed(mounts(scripted.keys(poll="1h")))
        for how, n in (("lost", 1), ("early", 4)):
            scripted.quit = how
            dele = scripted.verbs()["DELE"]
            os.unlink(path_of(mount, n))
            system.wait_for(lambda before=dele: scripted.verbs()["DELE"] > before, "DELE")
            system.wait_for(scripted.is_free, "the session is over")
            mount.kill()
            scripted.quit = "ok"
            mount.start().online()
            assert n not in numbers(mount)
            settle(mount)
        scripted.wait_uidls(["uidl-%d" % n for n in (1, 3, 4, 6)])
        system.wait_for(lambda: numbers(mount) == [0, 2, 3, 5], "the same here")
        assert sorted(scripted.deleted) == ["uidl-2", "uidl-5"]


class TestAServerThatIsBusy:
    def test_in_use(self, scripted, mounts):
        """rm is answered all the same, and carried out when the maildrop is free."""
        mount = listed(mounts(scripted.keys(poll="1h")))
        read(path_of(mount, 0))
        system.wait_for(scripted.is_free, "the session is over")
        leave = scripted.occupy()
        start = time.monotonic()
        os.unlink(path_of(mount, 2))
        assert time.monotonic() - start < 5
        system.wait_for(lambda: scripted.refused, "it was refused")
        assert numbers(mount) == [0, 1, 3, 4, 5]
        assert read(path_of(mount, 0)) == on_wire(mail.numbered(0))
        assert mount.account()["state"] != "auth-failed"
        time.sleep(1)
        assert len(scripted.logins) <= 12, "not without a pause"
        leave()
        scripted.wait_uidls(["uidl-%d" % n for n in (1, 2, 4, 5, 6)], 30)
        assert mount.is_mounted()

    def test_in_use_at_the_start(self, scripted, mounts):
        """Not a wrong password: it is tried again until it works."""
        scripted.in_use = 2
        mount = mounts(scripted.keys(poll="1s")).start()
        system.wait_for(lambda: numbers(mount) == list(range(6)), "INBOX", 40)
        assert len(scripted.refused) >= 2
        os.unlink(path_of(mount, 0))
        scripted.wait_uidls(["uidl-%d" % n for n in range(2, 7)])

    def test_login_delay(self, scripted, mounts):
        """A server that wants a pause between logins gets it: hardly a login is refused."""
        scripted.login_delay = 3
        mount = listed(mounts(scripted.keys(poll="1h")))
        for n in (1, 3):
            start = time.monotonic()
            os.unlink(path_of(mount, n))
            assert time.monotonic() - start < 2
        assert numbers(mount) == [0, 2, 4, 5]
        scripted.wait_uidls(["uidl-%d" % n for n in (1, 3, 5, 6)], 20)
        assert len(scripted.refused) <= 2, scripted.refused
        assert mount.account()["state"] != "auth-failed"

    def test_login_delay_and_reading(self, scripted, mounts):
        """A listing does not lock out who reads what it has listed."""
        scripted.login_delay = 60
        mount = listed(mounts(scripted.keys(poll="1h")))
        assert shown(mount) == sorted(numbered(*range(6)))
        assert scripted.sessions == 1 and not scripted.refused

    def test_login_delay_and_poll(self, scripted, mounts):
        scripted.login_delay = 2
        mount = listed(mounts(scripted.keys(poll="1s")))
        time.sleep(5)
        assert len(scripted.refused) <= 2
        scripted.add(scripted_pop3.Message("uidl-x", mail.numbered(6)))
        system.wait_for(lambda: numbers(mount) == list(range(7)), "new mail", 15)

    @pytest.mark.parametrize("code", ["[SYS/TEMP] ", "[SYS/PERM] ", ""])
    def test_dele_refused(self, scripted, mounts, code):
        """What cannot be deleted is there again, and said; the others are deleted."""
        mount = listed(mounts(scripted.keys(poll="1s")))
        rule = scripted.rule(r"^DELE 3$", "-ERR %snot this one" % code)
        os.unlink(path_of(mount, 2))
        os.unlink(path_of(mount, 4))
        system.wait_for(lambda: rule.hits, "DELE")
        system.wait_for(lambda: scripted.deleted == ["uidl-5"], "the other is deleted", 20)
        system.wait_for(lambda: "not this one" in mount.log(), "what the server said")
        assert mount.account()["state"] in ("online", "offline")
        scripted.rules.clear()
        system.wait_for(lambda: (numbers(mount) == [0, 1, 2, 3, 5]) == ("uidl-3" in
                                                                      scripted.uidls()),
                        "here and there agree", 20)


def test_umount_waits(scripted, mounts):
    mount = listed(mounts(scripted.keys(poll="1h")))
    system.wait_for(scripted.is_free, "the session is over")
    leave = scripted.occupy()
    os.unlink(path_of(mount, 5))
    umount = subprocess.Popen(mount.argv("umount", mount.path), env=mount.environment)
    time.sleep(1)
    assert umount.poll() is None and len(scripted.uidls()) == 6
    leave()
    assert umount.wait(60) == 0
    assert scripted.uidls() == ["uidl-%d" % n for n in range(1, 6)]
    mount.process.wait(20)
    mount.kill()


def test_umount_that_does_not_wait_for_ever(scripted, mounts):
    """--flush=1s: what is left is in the journal, and the next mount does it."""
    mount = listed(mounts(scripted.keys(poll="1h")))
    system.wait_for(scripted.is_free, "the session is over")
    leave = scripted.occupy()
    os.unlink(path_of(mount, 5))
    result = mount.run("umount", "--flush=1s", mount.path)
    assert "1" in result.stderr and "pending" in result.stderr
    system.wait_for(lambda: not mount.is_mounted(), "it is unmounted all the same")
    mount.kill()
    assert "remove 1 message of INBOX" in mount.run("queue").stdout
    leave()
    mount.start().online()
    assert numbers(mount) == [0, 1, 2, 3, 4]
    scripted.wait_uidls(["uidl-%d" % n for n in range(1, 6)])


@pytest.mark.parametrize("is_mounted", [True, False])
def test_given_up(scripted, mounts, is_mounted):
    """mailfs queue drop: what was to be removed is there again."""
    mount = listed(mounts(scripted.keys(poll="1s")))
    names = sorted(os.listdir(mount.path + "/INBOX"))
    assert mount.run("queue", "drop", "0").returncode == 66, "there is nothing to give up"
    system.wait_for(scripted.is_free, "the session is over")
    leave = scripted.occupy()
    os.unlink(path_of(mount, 1))
    os.unlink(path_of(mount, 4))
    if not is_mounted:
        mount.kill()
    assert re.match("0 .*remove 2 messages of INBOX", mount.run("queue").stdout)
    result = mount.run("queue", "drop", "0")
    assert result.returncode == 0, result.stderr
    system.wait_for(lambda: mount.run("queue").stdout == "", "nothing is left to do")
    leave()
    if not is_mounted:
        mount.start()
    system.wait_for(lambda: sorted(os.listdir(mount.path + "/INBOX")) == names, "all is back", 30)
    settle(mount)
    assert len(scripted.uidls()) == 6 and not scripted.commands("^DELE")


def test_killed_right_after(scripted, mounts):
    """rm was answered: it is done, by the next mount if need be."""
    mount = listed(mounts(scripted.keys(poll="1h")))
    system.wait_for(scripted.is_free, "the session is over")
    for n in (0, 3):
        leave = scripted.occupy()
        os.unlink(path_of(mount, n))
        mount.kill()
        leave()
        mount.start().online()
        system.wait_for(lambda gone=n: "uidl-%d" % (gone + 1) not in scripted.uidls(), "deleted")
        assert n not in numbers(mount)
    assert scripted.uidls() == ["uidl-%d" % n for n in (2, 3, 5, 6)]


def test_offline(maildrop, mounts):
    """Either it is refused, or it is done later: never answered and forgotten."""
    for n in range(4):
        maildrop.deliver(mail.numbered(n))
    mount = listed(mounts(maildrop), 4)
    system.wait_for(maildrop.proxy.is_idle, "the session is over")
    maildrop.proxy.down()
    code = error_of(os.unlink, path_of(mount, 1))
    assert code in (None, errno.ENETDOWN)
    left = [0, 1, 2, 3] if code else [0, 2, 3]
    assert numbers(mount) == left
    mount.kill()
    mount.start()
    system.wait_for(lambda: numbers(mount) == left, "the same after a crash")
    maildrop.proxy.up()
    mount.run("sync", mount.path + "/INBOX")
    mount.wait_state("online", 30)
    maildrop.wait(numbered(*left), seconds=30)
    assert numbers(mount) == left


class TestWithoutAnIdentity:
    """What cannot be told from others is not deleted by number."""

    def cannot_be_removed(self, mount, *paths):
        for path in paths:
            assert error_of(os.unlink, path) in READ_ONLY
            assert os.path.exists(path)
        system.wait_for(lambda: re.search("UIDL|unique", mount.log(), re.I), "a sentence on it")

    def test_no_uidl_at_all(self, scripted, mounts):
        scripted.rule(r"^UIDL", "-ERR I do not know that command")
        scripted.capabilities = ("TOP", "USER")
        mount = listed(mounts(scripted.keys(poll="1s")))
        paths = [path_of(mount, n) for n in range(6)]
        assert shown(mount) == sorted(numbered(*range(6)))
        self.cannot_be_removed(mount, *paths[:2])
        os.mkdir(mount.path + "/Archive")
        assert error_of(os.rename, paths[2], mount.path + "/Archive/x.eml") in READ_ONLY
        assert not scripted.commands("^DELE")
        assert len(scripted.uidls()) == 6
        assert shown(mount) == sorted(numbered(*range(6)))

    @pytest.mark.parametrize("first, second", [(None, None), ("same", "same"), ("", "")])
    def test_of_two(self, scripted, mounts, first, second):
        scripted.drop[1].uidl, scripted.drop[3].uidl = first, second
        mount = listed(mounts(scripted.keys(poll="1s")))
        assert shown(mount) == sorted(numbered(*range(6)))
        self.cannot_be_removed(mount, path_of(mount, 1), path_of(mount, 3))
        assert not scripted.commands("^DELE")
        # the others can
        os.unlink(path_of(mount, 2))
        system.wait_for(lambda: scripted.deleted == ["uidl-3"], "it is deleted", 20)
        system.wait_for(lambda: numbers(mount) == [0, 1, 3, 4, 5], "what is left")
        assert shown(mount) == sorted(numbered(0, 1, 3, 4, 5))

    def test_that_became_double(self, scripted, mounts):
        """Known as one, and two by the time of the session: nothing is deleted."""
        mount = listed(mounts(scripted.keys(poll="1h")))
        system.wait_for(scripted.is_free, "the session is over")
        scripted.add(scripted_pop3.Message("uidl-3", mail.numbered(9)))
        os.unlink(path_of(mount, 2))
        system.wait_for(lambda: scripted.sessions > 1, "a session")
        system.wait_for(scripted.is_free, "the session is over")
        time.sleep(0.5)
        assert scripted.deleted == [] and len(scripted.uidls()) == 7
