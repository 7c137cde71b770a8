"""Flags and keywords: by mailfs flag, by extended attributes, by other clients; seen is shown as
the time of the last access."""
import errno
import os
import subprocess

import pytest

from bed import mail, system

EVERYWHERE = pytest.mark.parametrize("account", ["full", "bare", "cyrus"], indirect=True)


@pytest.fixture
def proxy(account):
    return account.through_proxy()


@pytest.fixture
def seeded(account, judge, proxy):
    for n in range(4):
        judge.append(mail.numbered(n), flags="(\\Flagged work)" if n == 3 else None)
    return account


def flags(judge, uid, mailbox="INBOX"):
    return set(judge.see(mailbox)[uid].flags)


def path_of(mount, uid):
    return os.path.join(mount.path, "INBOX", mount.messages()[uid])


def attribute(path, name):
    return set(os.getxattr(path, name).decode("utf-8").replace(",", " ").split())


def refused(numbers, function, *args):
    try:
        function(*args)
    except OSError as error:
        assert error.errno in numbers, (error, args)
    else:
        raise AssertionError("was not refused: %r" % (args,))


def is_new(path):
    info = os.stat(path)
    return info.st_atime < info.st_mtime


@EVERYWHERE
def test_the_command(seeded, judge, proxy, mounts):
    mount = mounts(seeded).start().online()
    mount.wait_listed("INBOX", len(mount.messages()))
    paths = [path_of(mount, uid) for uid in (1, 2, 3)]
    assert all(map(is_new, paths))
    proxy.forget()
    result = mount.run("flag", *paths, "+seen", "+flagged")
    assert result.returncode == 0, result.stderr
    assert proxy.changes() == ["UID STORE"]
    assert all(flags(judge, uid) == {"\\Seen", "\\Flagged"} for uid in (1, 2, 3))
    assert not any(map(is_new, paths))
    result = mount.run("flag", paths[0], "-seen", "+answered", "+work")
    assert result.returncode == 0, result.stderr
    assert flags(judge, 1) == {"\\Flagged", "\\Answered", "work"}
    assert is_new(paths[0])
    assert mount.run("flag", path_of(mount, 4), "-work").returncode == 0
    assert flags(judge, 4) == {"\\Flagged"}
    mount.restart().online()
    assert is_new(paths[0]) and not is_new(paths[1])
    assert {"seen", "flagged"} <= set(mount.run("flag", paths[1]).stdout.split())
    for words in (("+seen",), (paths[0], "+"), (paths[0], "+sp ace"),
                  (mount.path + "/INBOX/gone.eml", "+seen"), (paths[0], "+\\Seen\r\nx")):
        result = mount.run("flag", *words)
        assert result.returncode != 0 and result.stderr.strip(), words
    assert flags(judge, 1) == {"\\Flagged", "\\Answered", "work"}


@EVERYWHERE
def test_attributes(seeded, judge, mounts):
    mount = mounts(seeded, xattr="on").start().online()
    path = path_of(mount, 1)
    subprocess.run(["setfattr", "-n", "user.mailfs.flags", "-v", "+seen +flagged", path],
                   check=True)
    assert flags(judge, 1) == {"\\Seen", "\\Flagged"}
    assert attribute(path, "user.mailfs.flags") == {"seen", "flagged"}
    os.setxattr(path, "user.mailfs.flags", b"-flagged +answered")
    assert flags(judge, 1) == {"\\Seen", "\\Answered"}
    os.setxattr(path, "user.mailfs.flags", b"flagged")  # a whole list
    assert flags(judge, 1) == {"\\Flagged"}
    os.setxattr(path, "user.xdg.tags", b"work,later")
    assert flags(judge, 1) == {"\\Flagged", "work", "later"}
    assert attribute(path, "user.xdg.tags") == {"work", "later"}
    assert attribute(path, "user.mailfs.keywords") == {"work", "later"}
    os.setxattr(path, "user.xdg.tags", b"later")
    assert flags(judge, 1) == {"\\Flagged", "later"}
    for name, value in (("user.mailfs.flags", b"+seen +a(b"), ("user.mailfs.flags", b"+*"),
                        ("user.xdg.tags", b"a(b"), ("user.xdg.tags", b"x\r\nA1 LOGOUT")):
        refused({errno.EINVAL}, os.setxattr, path, name, value)
    for name in ("user.mailfs.uid", "user.other", "security.x"):
        refused({errno.EPERM, errno.EACCES, errno.ENOTSUP}, os.setxattr, path, name, b"1")
    assert flags(judge, 1) == {"\\Flagged", "later"}


@EVERYWHERE
def test_both_ways(seeded, judge, mounts):
    mount = mounts(seeded, xattr="on", poll="2s").start().online()
    mine, theirs = path_of(mount, 1), path_of(mount, 2)
    seeded.store("INBOX", "2", "\\Seen \\Flagged")
    assert mount.run("flag", mine, "+seen").returncode == 0
    system.wait_for(lambda: not is_new(theirs), "the other's flag")
    system.wait_for(lambda: attribute(theirs, "user.mailfs.flags") == {"seen", "flagged"}, "both")
    # both of one message: neither undoes what the other did
    seeded.store("INBOX", "1", "\\Answered")
    assert mount.run("flag", mine, "+flagged", "-seen").returncode == 0
    assert flags(judge, 1) == {"\\Answered", "\\Flagged"}
    seeded.store("INBOX", "4", "work \\Flagged", sign="-")
    system.wait_for(lambda: attribute(path_of(mount, 4), "user.mailfs.flags") == set(), "taken")


def test_reading_marks_where_asked(seeded, judge, mounts):
    mount = mounts(seeded, mark_seen="on-read").start().online()
    os.stat(path_of(mount, 1))
    mount.read("INBOX/" + mount.messages()[2])
    system.wait_for(lambda: flags(judge, 2) == {"\\Seen"}, "the message that was read is seen")
    assert flags(judge, 1) == set()
