"""All that a directory of mail can do, once, on a server of a third family: Courier
(bed/courier.py), which has UIDPLUS and nothing newer, and has a made-up message to show for one
that is gone."""
import os
import subprocess

import pytest

from bed import mail, system

COURIER = pytest.mark.parametrize("account", ["courier"], indirect=True)


def numbered(*numbers):
    return sorted(mail.numbered(n) for n in numbers)


@pytest.fixture
def mount(account, judge, mounts):
    """INBOX with messages 0 to 3, Box with 10."""
    for n in range(4):
        judge.append(mail.numbered(n), flags="(\\Seen)" if n == 0 else None)
    account.create("Box")
    judge.append(mail.numbered(10), "Box")
    made = mounts(account, poll="2s", xattr="on").start().online()
    made.wait_listed("INBOX", len(made.messages()))
    return made


def path_of(mount, uid, mailbox="INBOX"):
    return os.path.join(mount.path, mailbox, mount.messages(mailbox)[uid])


def shown(mount, mailbox="INBOX"):
    return sorted(mount.read("%s/%s" % (mailbox, name))
                  for name in os.listdir(os.path.join(mount.path, mailbox))
                  if name.endswith(".eml"))


def run(*argv):
    subprocess.run(argv, check=True, timeout=60)


@COURIER
def test_read(account, judge, mount):
    assert shown(mount) == judge.data() == numbered(0, 1, 2, 3)
    assert shown(mount, account.shown("Box")) == numbered(10)


@COURIER
def test_create_and_edit(judge, mount):
    path = os.path.join(mount.path, "INBOX", "new.eml")
    with open(path, "wb") as f:
        f.write(mail.numbered(20))
    judge.wait(numbered(0, 1, 2, 3, 20))
    with open(path, "r+b") as f:
        f.write(mail.numbered(21))
    judge.wait(numbered(0, 1, 2, 3, 21))
    judge.wait(numbered(20), "Trash")
    with open(path, "rb") as f:
        assert f.read() == mail.numbered(21)
    system.wait_for(lambda: shown(mount) == numbered(0, 1, 2, 3, 21), "nothing else is shown")


@COURIER
def test_copy_and_move(account, judge, mount):
    box = os.path.join(mount.path, account.shown("Box"))
    run("cp", "-p", path_of(mount, 1), box + "/copy.eml")
    judge.wait(numbered(0, 10), "Box")
    run("mv", path_of(mount, 2), box + "/moved.eml")
    judge.wait(numbered(0, 1, 10), "Box")
    judge.wait(numbered(0, 2, 3))
    assert {"copy.eml", "moved.eml"} <= set(os.listdir(box))
    assert shown(mount, account.shown("Box")) == numbered(0, 1, 10)
    assert shown(mount) == numbered(0, 2, 3)


@COURIER
def test_remove(account, judge, mount):
    os.unlink(path_of(mount, 1))
    judge.wait(numbered(0), "Trash")
    judge.wait(numbered(1, 2, 3))
    trash = account.shown("Trash")
    assert shown(mount, trash) == numbered(0)
    for name in os.listdir(os.path.join(mount.path, trash)):
        os.unlink(os.path.join(mount.path, trash, name))
    judge.wait([], "Trash")
    assert shown(mount) == numbered(1, 2, 3)


@COURIER
def test_flags(account, judge, mount):
    result = mount.run("flag", "+flagged", "+seen", path_of(mount, 2))
    assert result.returncode == 0, result.stderr
    assert judge.see()[2].flags == {"\\Flagged", "\\Seen"}
    assert judge.see()[1].flags == {"\\Seen"}
    account.store("INBOX", "3", "\\Answered")
    system.wait_for(
        lambda: os.getxattr(path_of(mount, 3), "user.mailfs.flags") == b"answered",
        "what another client did is seen")


@COURIER
def test_folders(account, judge, mount):
    """RENAME takes Courier 2 s."""
    new = os.path.join(mount.path, account.shown("Müll"))
    os.mkdir(new)
    assert judge.exists("Müll")
    os.rmdir(new)
    assert not judge.exists("Müll")
    os.rename(os.path.join(mount.path, account.shown("Box")),
              os.path.join(mount.path, account.shown("Other")))
    judge.wait(numbered(10), "Other")
    assert shown(mount, account.shown("Other")) == numbered(10)


@COURIER
def test_gone_meanwhile(account, judge, mount):
    assert mount.messages()
    account.expunge("INBOX", "2")
    system.wait_for(lambda: 2 not in mount.messages(), "the message is gone")
    assert shown(mount) == numbered(0, 2, 3)
    mount.restart().online()
    assert shown(mount) == judge.data() == numbered(0, 2, 3)
