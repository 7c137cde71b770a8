"""Commands right after a mount, when the server has not said yet which mailboxes there are: they
wait for that, as ls does, and say so where it cannot be had."""
import os
import signal
import subprocess
import threading
import time

import pytest

from bed import mail, scripted, system

BOTH = pytest.mark.parametrize("account", ["full", "cyrus"], indirect=True)


@pytest.fixture
def proxy(account):
    return account.through_proxy()


@pytest.fixture
def seeded(account, judge, proxy):
    """INBOX with the UIDs 1 to 3, Box with 1."""
    account.create("Box")
    account.create("Empty")
    for n in range(3):
        judge.append(mail.numbered(n))
    judge.append(mail.numbered(10), "Box")
    return account


@pytest.fixture
def gated(scripted_server, mounts):
    """A mount whose LIST is answered when the gate is opened, and what opens it."""
    gate = threading.Event()
    server = scripted_server({"INBOX": [scripted.Message(1, mail.numbered(1))],
                              "Box": [scripted.Message(7, mail.numbered(7))], "Box/Sub": []})
    rule = server.rule(r"^LIST", gate=gate)
    mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}, names="uid",
                   poll="1h").start()
    yield mount, server, rule, gate
    gate.set()


def numbered(*numbers):
    return [mail.numbered(n) for n in numbers]


def begin(mount, *words):
    return subprocess.Popen(mount.argv(*words), env=mount.environment, cwd=mount.path,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


class TestOnline:
    @BOTH
    def test_what_changes_mail(self, seeded, judge, proxy, mounts):
        """Each in a mount that knows nothing yet."""
        proxy.delay = 0.1

        def fresh(*words):
            mount = mounts(seeded, names="uid").start()
            result = mount.run(*words, cwd=mount.path)
            assert (result.returncode, result.stderr) == (0, ""), result
            mount.stop()

        fresh("flag", "INBOX/1.eml", "+flagged")
        assert {uid for uid, seen in judge.see().items() if "\\Flagged" in seen.flags} == {1}
        fresh("mv", "INBOX/2.eml", "Empty")
        judge.wait(numbered(1), "Empty")
        fresh("mv", "Box/1.eml", "Empty/named.eml")
        judge.wait(numbered(1, 10), "Empty")
        fresh("rm", "INBOX/3.eml")
        judge.wait(numbered(2), "Trash")
        judge.wait(numbered(0))

    @pytest.mark.parametrize("words, answer", [
        (("sync", "Box"), "1 done"),
        (("info", "Box"), "mailbox      Box"),
        (("info", "Box/Sub"), "mailbox      Box/Sub"),
        (("info", "Box/7.eml"), "uid          7"),
        (("info", ".mailfs/maildir/Box/cur/7:2,"), "uid          7"),
        (("fetch", "Box/7.eml"), "1 done"),
        (("evict", "Box"), "0 done"),
        (("flag", "INBOX/1.eml", "Box/7.eml"), "Box/7.eml"),
    ])
    def test_it_waits_for_the_list(self, gated, words, answer):
        mount, _, rule, gate = gated
        command = begin(mount, *words)
        system.wait_for(lambda: rule.hits, "LIST")
        with pytest.raises(subprocess.TimeoutExpired):
            command.wait(1)
        gate.set()
        out, err = command.communicate(timeout=20)
        assert (command.returncode, err) == (0, ""), err
        assert answer in out

    def test_what_is_not_there(self, gated):
        mount, _, _, gate = gated
        commands = [begin(mount, *words) for words in (
            ("sync", "None"), ("info", "Box/8.eml"), ("mv", "INBOX/1.eml", "None/x.eml"),
            ("rm", "None/x.eml"))]
        gate.set()
        for command in commands:
            err = command.communicate(timeout=20)[1]
            assert (command.returncode, "there is no" in err) == (66, True), err

    def test_others_do_not_wait(self, gated):
        """What asks for no mailbox is answered meanwhile."""
        mount, _, rule, _ = gated
        waiting = begin(mount, "sync", "Box")
        system.wait_for(lambda: rule.hits, "LIST")
        start = time.monotonic()
        assert mount.run("status").returncode == 0
        assert mount.run("queue").returncode == 0
        assert time.monotonic() - start < 5
        assert waiting.poll() is None
        waiting.kill()
        waiting.communicate()

    def test_an_interrupt_ends_it(self, gated):
        """What nobody waits for any more is not done later on."""
        mount, server, rule, gate = gated
        command = begin(mount, "rm", "INBOX/1.eml")
        system.wait_for(lambda: rule.hits, "LIST")
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=5)
        assert command.returncode == -signal.SIGINT
        gate.set()
        assert os.listdir(mount.path + "/INBOX") == ["1.eml"]
        assert mount.run("sync", mount.path + "/INBOX").returncode == 0
        assert os.listdir(mount.path + "/INBOX") == ["1.eml"]
        assert not server.commands(r"^\S+ (UID )?(STORE|COPY|MOVE|EXPUNGE|CREATE)")


COMMANDS = pytest.mark.parametrize("words", [
    ("sync", "Box"), ("info", "Box"), ("fetch", "Box"), ("rm", "Box/1.eml"),
    ("mv", "Box/1.eml", "Empty"), ("flag", "Box/1.eml", "+seen")])


@COMMANDS
def test_offline_and_nothing_known(seeded, proxy, mounts, words):
    proxy.down()
    mount = mounts(seeded).start()
    mount.wait_state("offline")
    start = time.monotonic()
    result = mount.run(*words, cwd=mount.path)
    assert time.monotonic() - start < 10
    assert result.returncode == 69, result
    assert "were never listed, and cannot be now" in result.stderr
    assert "is offline" in result.stderr


def test_offline_and_not_known_in_full(seeded, proxy, mounts):
    """The mailboxes are known, and one of them was never looked into."""
    mount = mounts(seeded, names="uid").start().online()
    assert "Box" in os.listdir(mount.path)
    proxy.down()
    mount.wait_state("offline")
    result = mount.run("info", "Box/1.eml", cwd=mount.path)
    assert result.returncode == 69
    assert "Box of " in result.stderr and "was never listed" in result.stderr
    result = mount.run("info", "None", cwd=mount.path)
    assert (result.returncode, "there is no None" in result.stderr) == (66, True), result


def test_nobody_waits_for_ever(gated):
    mount, _, _, _ = gated
    start = time.monotonic()
    result = mount.run("sync", "Box", cwd=mount.path)
    assert 14 < time.monotonic() - start < 19
    assert result.returncode == 75, result
    assert "has not answered for 15 seconds" in result.stderr
