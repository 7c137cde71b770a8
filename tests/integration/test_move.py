"""Moving and copying inside an account is the server's work: a command, and no message travels.
The cached body goes along.  Counts are taken on the wire."""
import ctypes
import errno
import os
import shutil
import subprocess
import threading
import time

import pytest

from bed import mail, system
from bed.mail import ARABIC_FOLDER, PERSIAN_FOLDER

EVERYWHERE = pytest.mark.parametrize("account", ["full", "bare", "cyrus"], indirect=True)
AT_FDCWD, NOREPLACE, EXCHANGE = -100, 1, 2
# What moves mail: with the extension, and without it.
MOVES = {"full": ["UID MOVE"], "cyrus": ["UID MOVE"], "bare": ["UID COPY", "UID STORE", "EXPUNGE"]}
LIBC = ctypes.CDLL(None, use_errno=True)


def renameat2(old, new, flags):
    if LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), "renameat2")


def refused(number, function, *args):
    with pytest.raises(OSError) as caught:
        function(*args)
    assert caught.value.errno == number, caught.value


@pytest.fixture
def proxy(account):
    return account.through_proxy()


@pytest.fixture
def mount(account, judge, proxy, mounts):
    """INBOX with messages 0 to 3, Box with 10 and 11; both listed."""
    for n in range(4):
        judge.append(mail.numbered(n), flags="(\\Seen work)" if n == 0 else None)
    account.create("Box")
    for n in (10, 11):
        judge.append(mail.numbered(n), "Box")
    made = mounts(account).start().online()
    made.wait_listed("INBOX", 4)
    assert len(made.messages("Box")) == 2
    made.wait_listed("Box", 2)
    return made


def paths(mount, mailbox="INBOX"):
    return {uid: os.path.join(mount.path, mailbox, name)
            for uid, name in mount.messages(mailbox).items()}


@EVERYWHERE
def test_a_move_is_one_command(account, judge, mount, proxy):
    first, second = paths(mount)[1], paths(mount)[2]
    assert mount.read(os.path.relpath(first, mount.path)) == mail.numbered(0)
    proxy.forget()
    subprocess.run(["mv", first, mount.path + "/Box/"], check=True)
    assert proxy.changes() == MOVES[account.variant]
    judge.wait([mail.numbered(n) for n in (0, 10, 11)], "Box")
    judge.wait([mail.numbered(n) for n in (1, 2, 3)])
    seen = {one.data: one for one in judge.see("Box").values()}[mail.numbered(0)]
    assert seen.flags == {"\\Seen", "work"} and seen.date == mail.EPOCH
    # with a name of its own, and not read
    proxy.forget()
    os.rename(second, mount.path + "/Box/second.eml")
    assert proxy.changes() == MOVES[account.variant]
    assert not proxy.body_fetches()
    judge.wait([mail.numbered(n) for n in (2, 3)])
    assert not os.path.exists(first) and len(os.listdir(mount.path + "/INBOX")) == 2
    assert set(os.listdir(mount.path + "/Box")) >= {os.path.basename(first), "second.eml"}
    assert len(os.listdir(mount.path + "/Box")) == 4
    # the body went along
    proxy.down()
    assert mount.read("Box/" + os.path.basename(first)) == mail.numbered(0)
    proxy.up()
    mount.wait_state("online", 20)
    assert mount.read("Box/second.eml") == mail.numbered(1)
    assert len(proxy.body_fetches()) == 1
    mount.restart().online()
    assert mount.read("Box/second.eml") == mail.numbered(1)


@EVERYWHERE
def test_a_copy_uploads_nothing(account, judge, mount, proxy):
    """By copy_file_range, and by the same octets."""
    first, second = paths(mount)[1], paths(mount)[2]
    for path in paths(mount).values(): # or those behind the two would be read ahead of a reader
        with open(path, "rb") as f:
            f.read()
    proxy.forget()
    subprocess.run(["cp", first, mount.path + "/Box/copy.eml"], check=True)
    assert proxy.changes() == ["UID COPY"]
    proxy.forget()
    subprocess.run(["sh", "-c", 'cat "$0" > "$1"', second, mount.path + "/Box/cat.eml"],
                   check=True)
    assert proxy.changes() == ["UID COPY"]
    judge.wait([mail.numbered(n) for n in (0, 1, 10, 11)], "Box")
    judge.wait([mail.numbered(n) for n in range(4)])
    proxy.forget()
    assert mount.read("Box/copy.eml") == mail.numbered(0)
    assert mount.read("Box/cat.eml") == mail.numbered(1)
    assert not proxy.body_fetches()
    # into the same mailbox: a message more
    proxy.forget()
    subprocess.run(["cp", first, mount.path + "/INBOX/again.eml"], check=True)
    assert proxy.changes() == ["UID COPY"]
    judge.wait([mail.numbered(n) for n in (0, 0, 1, 2, 3)])
    subprocess.run(["cp", mount.path + "/INBOX/again.eml", mount.path + "/INBOX/third.eml"],
                   check=True)
    assert proxy.changes() == ["UID COPY"] * 2
    judge.wait([mail.numbered(n) for n in (0, 0, 0, 1, 2, 3)])
    names = os.listdir(mount.path + "/INBOX")
    assert len(names) == 6 and {"again.eml", "third.eml"} <= set(names)
    assert not proxy.body_fetches()


@EVERYWHERE
def test_onto_another_message(account, judge, mount):
    """The one that had the name goes as if it had been removed."""
    subprocess.run(["mv", "-f", paths(mount)[1], paths(mount, "Box")[1]], check=True)
    judge.wait([mail.numbered(0), mail.numbered(11)], "Box")
    judge.wait([mail.numbered(10)], "Trash")
    os.rename(paths(mount)[2], paths(mount)[3])
    judge.wait([mail.numbered(1), mail.numbered(3)])
    judge.wait([mail.numbered(10), mail.numbered(2)], "Trash")
    assert sorted(mount.read("INBOX/" + name) for name in os.listdir(mount.path + "/INBOX")) \
        == judge.data()
    assert sorted(mount.read("Box/" + name) for name in os.listdir(mount.path + "/Box")) \
        == judge.data("Box")


def test_inside_a_mailbox_it_is_a_name(account, judge, mount, proxy):
    proxy.forget()
    for uid, path in paths(mount).items():
        os.rename(path, "%s/INBOX/نامه\u200cی %d.eml" % (mount.path, uid))
    assert not proxy.changes()
    for _ in range(2):
        assert {name: mount.read("INBOX/" + name) for name in os.listdir(mount.path + "/INBOX")} \
            == {"نامه\u200cی %d.eml" % uid: mail.numbered(uid - 1) for uid in range(1, 5)}
        mount.stop()
        mount.empty_cache()
        mount.start().online()
    assert not proxy.changes()


def test_flags_of_rename(account, judge, mount):
    one, two = paths(mount)[1], paths(mount)[2]
    other = paths(mount, "Box")[1]
    refused(errno.EEXIST, renameat2, one, two, NOREPLACE)
    refused(errno.EEXIST, renameat2, one, other, NOREPLACE)
    refused(errno.EINVAL, renameat2, one, two, EXCHANGE)
    refused(errno.EINVAL, renameat2, one, other, EXCHANGE)
    judge.wait([mail.numbered(n) for n in range(4)])
    renameat2(one, mount.path + "/INBOX/free.eml", NOREPLACE)
    renameat2(two, mount.path + "/Box/free.eml", NOREPLACE)
    judge.wait([mail.numbered(n) for n in (1, 10, 11)], "Box")
    assert mount.read("INBOX/free.eml") == mail.numbered(0)
    assert mount.read("Box/free.eml") == mail.numbered(1)
    os.rename(mount.path + "/Box/free.eml", mount.path + "/Box/free.eml")
    refused(errno.ENOENT, os.rename, one, mount.path + "/Box/x.eml")
    refused(errno.EPERM, os.rename, mount.path + "/INBOX/free.eml", mount.path + "/Box/free.txt")


def test_a_file_that_is_being_sent(account, judge, mount, proxy):
    """The commit under way takes the new name; across mailboxes it is waited for, and the other
    end of the file, too, if by EBUSY."""
    for n, target in enumerate(("INBOX/renamed.eml", "Box/moved.eml")):
        data = mail.numbered(100 + n)
        path = "%s/INBOX/sent%d.eml" % (mount.path, n)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.write(fd, data)
        proxy.delay = 0.1
        closer = threading.Thread(target=os.close, args=(fd,))
        closer.start()
        time.sleep(0.15)
        system.wait_for(lambda: os.rename(path, os.path.join(mount.path, target)) is None,
                        "it can be moved")
        closer.join()
        proxy.delay = 0
        assert mount.read(target) == data
        assert not os.path.exists(path)
    judge.wait([mail.numbered(n) for n in (0, 1, 2, 3, 100)])
    judge.wait([mail.numbered(n) for n in (10, 11, 101)], "Box")


def test_an_open_file_that_is_moved(account, judge, mount):
    path = paths(mount)[1]
    with open(path, "rb") as reader, open(paths(mount)[2], "ab") as writer:
        reader.read(10)
        os.rename(path, mount.path + "/Box/moved.eml")
        reader.seek(0)
        assert reader.read() == mail.numbered(0)
        writer.write(b"More.\r\n")
        os.rename(paths(mount)[2], mount.path + "/INBOX/renamed.eml")
    judge.wait([mail.numbered(1) + b"More.\r\n", mail.numbered(2), mail.numbered(3)])
    assert mount.read("INBOX/renamed.eml") == mail.numbered(1) + b"More.\r\n"


@pytest.mark.parametrize("account", ["full", "bare"], indirect=True)
def test_a_thousand_by_one_command(account, judge, proxy, mounts):
    n = 1000
    account.deliver_copies(mail.tiny(7), n)
    account.create("Box")
    mount = mounts(account).start().online()
    mount.wait_listed("INBOX", n)
    names = sorted(paths(mount).values())
    proxy.forget()
    result = mount.run("mv", *names, mount.path + "/Box")
    assert result.returncode == 0, result.stderr
    assert len(proxy.changes()) <= 20, proxy.changes()[:40]
    assert len(judge.see("Box")) == n and not judge.see()
    assert os.listdir(mount.path + "/INBOX") == []
    assert sorted(os.listdir(mount.path + "/Box")) == sorted(map(os.path.basename, names))
    assert not proxy.body_fetches()
    proxy.forget()
    some = paths(mount, "Box")
    result = mount.run("rm", *sorted(some.values()))
    assert result.returncode == 0, result.stderr
    assert len(proxy.changes()) <= 20, proxy.changes()[:40]
    assert len(judge.see("Trash")) == n and not judge.see("Box")


def test_commands_say_what_went_wrong(account, judge, mount):
    gone = mount.path + "/INBOX/gone.eml"
    for words in (("mv", gone, mount.path + "/Box"), ("rm", gone),
                  ("mv", paths(mount)[1], mount.path + "/NoBox"), ("mv", paths(mount)[1]),
                  ("mv", __file__, mount.path + "/Box"), ("rm", __file__)):
        result = mount.run(*words)
        assert result.returncode != 0 and result.stderr.strip(), words
    judge.wait([mail.numbered(n) for n in range(4)])
    judge.wait([mail.numbered(n) for n in (10, 11)], "Box")
    # what can be moved is moved all the same
    result = mount.run("mv", gone, paths(mount)[1], mount.path + "/Box")
    assert result.returncode != 0 and "gone.eml" in result.stderr
    judge.wait([mail.numbered(n) for n in (0, 10, 11)], "Box")


def test_between_accounts(account, judge, servers, mounts, folder):
    """EXDEV, so mv copies and then removes."""
    other = type(account)(servers.get("full"), account.password)
    for n, name in enumerate(("INBOX", ARABIC_FOLDER, PERSIAN_FOLDER)):
        if n:
            account.create(name)
        judge.append(mail.numbered(n), name)
    mount = mounts(account)
    keys = account.keys()
    mount.write_raw_config("".join(
        "[account %s]\nimap=%s\nuser=%s\npassword-file=%s/password\n" % (
            name, keys["imap"], user, mount.folder)
        for name, user in (("one", account.user), ("two", other.user))))
    result = mount.run("mount", "--all", mount.path)
    assert result.returncode == 0, result.stderr
    try:
        system.wait_for(lambda: {a["state"] for a in mount.status()["accounts"]} == {"online"},
                        "both are online")
        source = "%s/one/INBOX/%s" % (mount.path, mount.messages("one/INBOX")[1])
        target = mount.path + "/two/INBOX/moved.eml"
        refused(errno.EXDEV, os.rename, source, target)
        subprocess.run(["mv", source, target], check=True)
        assert other.fetch() == {1: mail.numbered(0)} and account.fetch() == {}
        with open(target, "rb") as f:
            assert f.read() == mail.numbered(0)
        assert os.stat(target).st_mtime == mail.EPOCH
        source = "%s/one/%s" % (mount.path, ARABIC_FOLDER)
        shutil.copytree(source, mount.path + "/two/copied", copy_function=shutil.copy)
        assert other.fetch("copied") == {1: mail.numbered(1)}
        judge.wait([mail.numbered(1)], ARABIC_FOLDER)
    finally:
        assert mount.run("umount", mount.path).returncode == 0
