"""Directories are mailboxes: mkdir, rmdir and mv of them, with names in any script."""
import errno
import os
import subprocess
import unicodedata

import pytest

from bed import mail, system
from bed.mail import ARABIC_FOLDER, PERSIAN_FOLDER

EVERYWHERE = pytest.mark.parametrize("account", ["full", "bare", "ns", "cyrus"], indirect=True)
NAMES = ["Work", PERSIAN_FOLDER, ARABIC_FOLDER, "📬 Post", "R&D", "a b 'c'", "Müll", "日本語"]


def refused(number, function, *args):
    try:
        function(*args)
    except OSError as error:
        assert error.errno == number, (error, args)
    else:
        raise AssertionError("was not refused: %r" % (args,))


@pytest.fixture
def proxy(account):
    return account.through_proxy()


@pytest.fixture
def mount(account, proxy, mounts):
    return mounts(account, poll="2s").start().online()


def where(account, mount, name):
    return os.path.join(mount.path, account.shown(name))


@EVERYWHERE
def test_mkdir_and_rmdir(account, judge, mount, proxy):
    for name in NAMES:
        os.mkdir(where(account, mount, name))
        assert judge.exists(name) and judge.is_subscribed(name), name
        assert os.listdir(where(account, mount, name)) == []
        name = unicodedata.normalize("NFC", name)
        assert os.path.basename(account.shown(name)) in os.listdir(
            os.path.dirname(where(account, mount, name)))
    data = mail.numbered(1)
    with open(where(account, mount, PERSIAN_FOLDER) + "/نامه.eml", "wb") as f:
        f.write(data)
    judge.wait([data], PERSIAN_FOLDER)
    os.makedirs(where(account, mount, "A/%s/C" % ARABIC_FOLDER))
    assert judge.exists("A/%s/C" % ARABIC_FOLDER)
    refused(errno.EEXIST, os.mkdir, where(account, mount, "Work"))
    refused(errno.ENOENT, os.mkdir, where(account, mount, "None/Such"))
    refused(errno.ENOTEMPTY, os.rmdir, where(account, mount, PERSIAN_FOLDER))
    refused(errno.ENOTEMPTY, os.rmdir, where(account, mount, "A"))
    refused(errno.EBUSY, os.rmdir, mount.path + "/INBOX")
    refused(errno.EBUSY, os.rename, mount.path + "/INBOX", mount.path + "/Old")
    assert judge.exists(PERSIAN_FOLDER) and judge.exists("INBOX") and not judge.exists("Old")
    for name in ("Work", "📬 Post", "A/%s/C" % ARABIC_FOLDER, "A/" + ARABIC_FOLDER, "A"):
        os.rmdir(where(account, mount, name))
        assert not judge.exists(name) and not judge.is_subscribed(name), name
        assert not os.path.exists(where(account, mount, name))
    # something that was delivered a moment ago, of which the mount need not know yet
    judge.append(data, "Müll")
    refused(errno.ENOTEMPTY, os.rmdir, where(account, mount, "Müll"))
    judge.wait([data], "Müll")


@pytest.mark.parametrize("account", ["full", "ns"], indirect=True)
def test_names_that_no_server_can_hold(account, judge, mount, proxy):
    proxy.forget()
    for name, number in (("a\x01b", errno.EINVAL), ("x\u202ey", errno.EINVAL), (".x", errno.EPERM),
                         ("n" * 300, errno.EINVAL), (b"\xff\xfe", errno.EINVAL),
                         (".DS_Store", errno.EPERM)):
        base = where(account, mount, "x")[:-1]
        refused(number, os.mkdir, os.path.join(os.fsencode(base), os.fsencode(name)))
    if account.server.separator != "/":
        refused(errno.EINVAL, os.mkdir, where(account, mount, "x")[:-1] + "a.b")
    assert not proxy.changes()


@EVERYWHERE
def test_a_tree_is_renamed_by_one_command(account, judge, proxy, mounts):
    tree = ["Tree", "Tree/" + PERSIAN_FOLDER, "Tree/%s/C" % PERSIAN_FOLDER, "Other"]
    for n, name in enumerate(tree):
        account.create(name)
        judge.append(mail.numbered(n), name)
        judge.subscribe(name)
    mount = mounts(account, poll="2s").start().online()
    octets = {name: mount.contents(account.shown(name)) for name in tree}
    first = mount.messages(account.shown("Tree"))
    inode = os.stat("%s/%s" % (where(account, mount, "Tree"), first[1])).st_ino
    proxy.forget()
    subprocess.run(["mv", where(account, mount, "Tree"), where(account, mount, ARABIC_FOLDER)],
                   check=True)
    assert [x for x in proxy.changes() if "SUBSCRIBE" not in x] == ["RENAME"]
    for name in tree[:3]:
        new = name.replace("Tree", ARABIC_FOLDER)
        assert judge.exists(new) and not judge.exists(name), new
        assert judge.is_subscribed(new) and not judge.is_subscribed(name), new
        assert mount.contents(account.shown(new)) == octets[name]
    assert mount.messages(account.shown(ARABIC_FOLDER)) == first
    assert os.stat("%s/%s" % (where(account, mount, ARABIC_FOLDER), first[1])).st_ino == inode
    assert not proxy.body_fetches()
    # into another one
    os.rename(where(account, mount, ARABIC_FOLDER), where(account, mount, "Other/In"))
    assert judge.exists("Other/In/%s/C" % PERSIAN_FOLDER)
    refused(errno.EINVAL, os.rename, where(account, mount, "Other"),
            where(account, mount, "Other/In/X"))
    os.mkdir(where(account, mount, "Empty"))
    refused(errno.ENOTEMPTY, os.rename, where(account, mount, "Empty"),
            where(account, mount, "Other"))
    refused(errno.EINVAL if account.shown("Empty").startswith("INBOX/") else errno.EBUSY,
            os.rename, mount.path + "/INBOX", where(account, mount, "Empty"))
    assert judge.exists("Empty")
    os.rename(where(account, mount, "Other"), where(account, mount, "Empty"))
    assert judge.exists("Empty/In/%s/C" % PERSIAN_FOLDER) and not judge.exists("Other")
    mount.restart().online()
    assert mount.contents(account.shown("Empty/In/" + PERSIAN_FOLDER)) == octets[tree[1]]


@pytest.mark.parametrize("account", ["full", "cyrus"], indirect=True)
def test_deleted_elsewhere_while_a_file_is_open(account, judge, proxy, mounts):
    account.create("Doomed")
    for n in range(3):
        judge.append(mail.numbered(n), "Doomed")
    mount = mounts(account, poll="2s").start().online()
    names = mount.messages("Doomed")
    mount.wait_listed("Doomed", 3)
    where_ = mount.path + "/Doomed/"
    writer = os.open(where_ + names[2], os.O_WRONLY | os.O_APPEND)
    with open(where_ + names[1], "rb") as reader:
        reader.read(1)
        os.write(writer, b"More.\r\n")
        account.delete("Doomed")
        system.wait_for(lambda: not os.path.exists(mount.path + "/Doomed"), "it is gone", 20)
        reader.seek(0)
        assert reader.read() == mail.numbered(0)
    refused_with = None
    try:
        os.close(writer)
    except OSError as error:
        refused_with = error.errno
    assert refused_with in (errno.ENOENT, errno.ESTALE, errno.EIO)

    def kept():
        found = []
        for folder, _, files in os.walk(mount.path + "/.mailfs/lost+found"):
            for name in files:
                with open(os.path.join(folder, name), "rb") as f:
                    found.append(f.read())
        return mail.numbered(1) + b"More.\r\n" in found
    system.wait_for(kept, "what was written is in lost+found")
    assert not judge.exists("Doomed")


@pytest.mark.parametrize("account", ["full"], indirect=True)
def test_copying_a_tree_in_and_out(account, judge, mount, folder):
    """cp -r and tar: the directories become mailboxes."""
    for n, name in enumerate(("in", "in/" + PERSIAN_FOLDER, "in/two/" + ARABIC_FOLDER)):
        os.makedirs(os.path.join(folder, name))
        with open(os.path.join(folder, name, "m.eml"), "wb") as f:
            f.write(mail.numbered(n))
    subprocess.run(["cp", "-r", folder + "/in", mount.path + "/copied"], check=True)
    os.mkdir(mount.path + "/untarred")
    subprocess.run(["sh", "-ec", 'tar -C "$0" -cf - . | tar -C "$1" -xf -', folder + "/in",
                    mount.path + "/untarred"], check=True)
    for root in ("copied", "untarred"):
        judge.wait([mail.numbered(0)], root)
        judge.wait([mail.numbered(1)], "%s/%s" % (root, PERSIAN_FOLDER))
        judge.wait([mail.numbered(2)], "%s/two/%s" % (root, ARABIC_FOLDER))
        subprocess.run(["diff", "-r", folder + "/in", mount.path + "/" + root], check=True)
