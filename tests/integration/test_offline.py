"""Without a server: the default refuses at once; offline=queue takes everything, and all of it
arrives, once."""
import errno
import os
import re
import subprocess
import time

import pytest

from bed import mail, proxy as proxies, system


@pytest.fixture
def proxy(account):
    return account.through_proxy()


@pytest.fixture
def seeded(account, judge, proxy):
    account.create("Box")
    for n in range(4):
        judge.append(mail.numbered(n))
    return account


def begin(mount):
    """Online, INBOX read, and then without a network."""
    mount.start().online()
    mount.wait_listed("INBOX", len(mount.contents()))
    os.listdir(mount.path + "/Box")
    mount.wait_listed("Box", 0)
    return mount


def go_offline(mount, proxy):
    proxy.down()
    mount.wait_state("offline")


def paths(mount, mailbox="INBOX"):
    return {uid: os.path.join(mount.path, mailbox, name)
            for uid, name in mount.messages(mailbox).items()}


def write(path, data, mode="wb"):
    with open(path, mode) as f:
        f.write(data)


def refused(function, *args):
    try:
        function(*args)
    except OSError as error:
        assert error.errno == errno.ENETDOWN, (error, args)
    else:
        raise AssertionError("was not refused: %s %r" % (function, args))


def numbered(*numbers):
    return [mail.numbered(n) for n in numbers]


def pending(mount):
    found = {}
    for where, _, files in os.walk(mount.path + "/.mailfs/pending"):
        for name in files:
            with open(os.path.join(where, name), "rb") as f:
                found[name] = f.read()
    return found


def test_by_default_it_is_refused_at_once(seeded, judge, proxy, mounts):
    mount = begin(mounts(seeded))
    go_offline(mount, proxy)
    old = paths(mount)
    names = sorted(os.listdir(mount.path + "/INBOX"))
    start = time.monotonic()
    for function, args in (
            (write, (mount.path + "/INBOX/new.eml", mail.numbered(9))),
            (write, (old[1], b"more\r\n", "ab")),
            (os.unlink, (old[2],)),
            (os.rename, (old[3], mount.path + "/Box/x.eml")),
            (os.mkdir, (mount.path + "/New",)),
            (os.rmdir, (mount.path + "/Box",)),
            (os.rename, (mount.path + "/Box", mount.path + "/Other"))):
        refused(function, *args)
    assert mount.run("flag", old[1], "+seen").returncode != 0
    assert time.monotonic() - start < 5
    # what is here is read, and an editor's own files are written
    assert mount.contents() == {uid: mail.numbered(uid - 1) for uid in range(1, 5)}
    write(mount.path + "/INBOX/.x.swp", b"scratch")
    os.unlink(mount.path + "/INBOX/.x.swp")
    assert sorted(os.listdir(mount.path + "/INBOX")) == names
    os.rename(old[4], mount.path + "/INBOX/alias.eml")  # no server hears of that
    proxy.up()
    mount.wait_state("online", 20)
    judge.wait(numbered(0, 1, 2, 3))
    write(mount.path + "/INBOX/new.eml", mail.numbered(9))
    judge.wait(numbered(0, 1, 2, 3, 9))
    assert mount.read("INBOX/alias.eml") == mail.numbered(3)


@pytest.mark.parametrize("account", ["full", "bare"], indirect=True)
def test_a_queue_takes_everything(seeded, judge, proxy, mounts):
    """Of each kind of change one; a crash in between; then all arrives, once."""
    mount = begin(mounts(seeded, offline="queue"))
    go_offline(mount, proxy)
    old = paths(mount)
    start = time.monotonic()
    write(mount.path + "/INBOX/new.eml", mail.numbered(9))
    write(mount.path + "/Box/other.eml", mail.numbered(8))
    write(old[1], b"more\r\n", "ab")
    os.unlink(old[2])
    os.rename(old[3], mount.path + "/Box/moved.eml")
    assert mount.run("flag", old[4], "+flagged").returncode == 0
    os.mkdir(mount.path + "/New")
    write(mount.path + "/New/inside.eml", mail.numbered(7))
    assert time.monotonic() - start < 10

    def shown():
        """At once, and after a restart without a server, and in the end."""
        assert set(os.listdir(mount.path + "/INBOX")) \
            == {"new.eml", os.path.basename(old[1]), os.path.basename(old[4])}
        assert set(os.listdir(mount.path + "/Box")) == {"other.eml", "moved.eml"}
        assert os.listdir(mount.path + "/New") == ["inside.eml"]
        assert mount.read("New/inside.eml") == mail.numbered(7)
        assert mount.read("Box/moved.eml") == mail.numbered(2)
        assert mount.read("INBOX/new.eml") == mail.numbered(9)
        assert mount.read("Box/other.eml") == mail.numbered(8)
        assert mount.read("INBOX/" + os.path.basename(old[1])) == mail.numbered(0) + b"more\r\n"
        return True
    shown()
    judge.wait(numbered(0, 1, 2, 3))
    listing = mount.run("queue", "list")
    assert listing.returncode == 0 and len(listing.stdout.splitlines()) >= 8, listing
    assert "new.eml" in listing.stdout and "other.eml" in listing.stdout
    assert {mail.numbered(9), mail.numbered(8), mail.numbered(0) + b"more\r\n"} \
        <= set(pending(mount).values())
    mount.kill()
    mount.start()
    system.wait_for(shown, "all is as before")
    assert len(pending(mount)) >= 3
    proxy.up()
    mount.wait_state("online", 20)
    judge.wait([mail.numbered(9), mail.numbered(0) + b"more\r\n", mail.numbered(3)], seconds=20)
    judge.wait([mail.numbered(8), mail.numbered(2)], "Box", seconds=20)
    judge.wait(numbered(0, 1), "Trash", seconds=20)
    system.wait_for(lambda: judge.data("New") == numbered(7), "the new mailbox", 20)
    system.wait_for(lambda: {seen.data: seen.flags for seen in judge.see().values()}
                    [mail.numbered(3)] == {"\\Flagged"}, "the flag")
    system.wait_for(lambda: not pending(mount), "nothing is pending")
    shown()
    assert "new.eml" not in mount.run("queue", "list").stdout
    time.sleep(0.5)  # time in which something might be sent twice
    judge.wait([mail.numbered(9), mail.numbered(0) + b"more\r\n", mail.numbered(3)])
    mount.restart().online()
    shown()


class TestWhatWaits:
    """A file of the queue is a file as any other: nothing waits for a server to change it."""

    @pytest.fixture
    def mount(self, seeded, proxy, mounts):
        made = begin(mounts(seeded, offline="queue"))
        go_offline(made, proxy)
        write(made.path + "/INBOX/x.eml", mail.numbered(7))
        return made

    def finish(self, mount, proxy):
        proxy.up()
        mount.online()
        system.wait_for(lambda: not pending(mount), "nothing is pending", 20)

    def test_it_is_removed(self, mount, judge, proxy):
        began = time.monotonic()
        os.unlink(mount.path + "/INBOX/x.eml")
        assert time.monotonic() - began < 10 and not pending(mount)
        self.finish(mount, proxy)
        judge.wait(numbered(0, 1, 2, 3))

    @pytest.mark.parametrize("ends", ["well", "killed"])
    def test_it_moves(self, mount, judge, proxy, ends):
        os.rename(mount.path + "/INBOX/x.eml", mount.path + "/Box/y.eml")
        assert list(pending(mount).values()) == [mail.numbered(7)]
        if ends == "killed":
            mount.kill()
            mount.start()
        assert mount.read("Box/y.eml") == mail.numbered(7)
        self.finish(mount, proxy)
        judge.wait(numbered(7), "Box")
        judge.wait(numbered(0, 1, 2, 3))
        assert os.listdir(mount.path + "/Box") == ["y.eml"]

    def test_an_editor_saves_it(self, mount, judge, proxy):
        """As vim does it with backupcopy=no."""
        path = mount.path + "/INBOX/x.eml"
        os.rename(path, path + "~")
        assert mount.read("INBOX/x.eml~") == mail.numbered(7)
        write(path, mail.numbered(8))
        os.unlink(path + "~")
        self.finish(mount, proxy)
        judge.wait(numbered(0, 1, 2, 3, 8))

    def test_an_editor_saves_a_message(self, mount, judge, proxy):
        path = paths(mount)[min(paths(mount))]
        os.rename(path, path + "~")
        write(path, mail.numbered(8))
        began = time.monotonic()
        os.unlink(path + "~")
        assert time.monotonic() - began < 10
        self.finish(mount, proxy)
        judge.wait(numbered(1, 2, 3, 7, 8))

    def test_it_replaces_a_message(self, mount, judge, proxy):
        old = paths(mount)[min(paths(mount))]
        os.rename(mount.path + "/INBOX/x.eml", old)
        with open(old, "rb") as f:
            assert f.read() == mail.numbered(7)
        self.finish(mount, proxy)
        judge.wait(numbered(1, 2, 3, 7))

    def test_it_replaces_another(self, mount, judge, proxy):
        write(mount.path + "/INBOX/y.eml", mail.numbered(8))
        os.rename(mount.path + "/INBOX/x.eml", mount.path + "/INBOX/y.eml")
        self.finish(mount, proxy)
        judge.wait(numbered(0, 1, 2, 3, 7))
        assert mount.read("INBOX/y.eml") == mail.numbered(7)


def test_umount_says_what_is_pending(seeded, judge, proxy, mounts):
    mount = begin(mounts(seeded, offline="queue"))
    go_offline(mount, proxy)
    write(mount.path + "/INBOX/new.eml", mail.numbered(9))
    result = mount.run("umount", "--flush=1s", mount.path)
    assert "1" in result.stderr and "pending" in result.stderr
    system.wait_for(lambda: not mount.is_mounted(), "it is unmounted all the same")
    mount.kill()
    # without a daemon, too
    assert "new.eml" in mount.run("queue", "list").stdout
    proxy.up()
    mount.start()
    judge.wait(numbered(0, 1, 2, 3, 9), seconds=20)
    system.wait_for(lambda: not pending(mount), "nothing is pending")


def test_umount_waits(seeded, judge, proxy, mounts):
    mount = begin(mounts(seeded, offline="queue"))
    go_offline(mount, proxy)
    write(mount.path + "/INBOX/new.eml", mail.numbered(9))
    umount = subprocess.Popen(mount.argv("umount", mount.path), env=mount.environment)
    time.sleep(0.5)
    assert umount.poll() is None and mount.is_mounted()
    proxy.up()
    assert umount.wait(40) == 0
    judge.wait(numbered(0, 1, 2, 3, 9))
    mount.process.wait(20)
    mount.kill()


def test_retry_and_drop(scripted_server, mounts):
    """What close had promised and the server then refuses for good is kept until somebody
    decides."""
    server = scripted_server({"INBOX": []})
    between = proxies.Proxy(server.port)
    mount = mounts({"imap": between.url(), "user": "u", "password": "secret"},
                   offline="queue").start().online()
    mount.wait_listed("INBOX", 0)
    go_offline(mount, between)
    for n in (1, 2, 3):
        write("%s/INBOX/%d.eml" % (mount.path, n), mail.numbered(n))
    server.rule(r"^APPEND ", tagged="NO [OVERQUOTA] your mailbox is full")
    between.up()

    def listed():
        lines = mount.run("queue", "list").stdout.splitlines()
        found = {n: next(line for line in lines if "%d.eml" % n in line) for n in (1, 2, 3)}
        return "\n".join(lines).count("your mailbox is full") >= 3 and found
    found = system.wait_for(listed, "all three are refused", 20)
    ids = {n: re.search(r"\d+", line).group() for n, line in found.items()}
    assert len(set(ids.values())) == 3
    assert set(pending(mount).values()) == set(numbered(1, 2, 3))
    mount.kill()
    mount.start().online()
    assert listed()
    server.rules.clear()
    assert server.mailboxes["INBOX"] == []
    assert mount.run("queue", "retry", ids[1]).returncode == 0
    system.wait_for(lambda: [m.data for m in server.mailboxes["INBOX"]] == numbered(1), "1")
    assert mount.run("queue", "drop", ids[2]).returncode == 0
    system.wait_for(lambda: mount.read(".mailfs/lost+found/INBOX/2.eml") == mail.numbered(2),
                    "what was dropped is in lost+found")
    assert mount.run("queue", "retry").returncode == 0
    system.wait_for(lambda: [m.data for m in server.mailboxes["INBOX"]] == numbered(1, 3), "3")
    system.wait_for(lambda: not pending(mount), "nothing is pending")
    for words in (("retry", "999999"), ("drop", "x"), ("drop",), ("nosuch",)):
        result = mount.run("queue", *words)
        assert result.returncode != 0 and result.stderr.strip(), words
    between.close()
