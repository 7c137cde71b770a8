"""Folders of a POP3 account are here and nowhere else: Maildirs below XDG_DATA_HOME.  To move mail
into one is the protocol's "download and delete"; everything in them works without a server."""
import errno
import os
import re
import subprocess
import time

import pytest

from bed import mail, system
from bed.mail import ARABIC_FOLDER, PERSIAN_FOLDER
from bed.pop3_account import on_wire
from bed.pop3_mount import (data_folder, error_of, identity, is_maildir, numbers, path_of, read,
                            settle, shown, stored, write)

BOTH = pytest.mark.parametrize("maildrop", ["full", "cyrus"], indirect=True)
NAMES = ["Work", PERSIAN_FOLDER, ARABIC_FOLDER, "R&D", "a b 'c'", "Müll", "日本語", "a.b"]
# Scripts of sh that change the file $f; $new is what it becomes.
EDITORS = {
    "sed": 'sed -i s/Hello/Salam/ "$f"',
    "ed": r'printf ",s/Hello/Salam/\nw\nq\n" | ed -s "$f" > /dev/null',
    "vim": "vim.tiny -N -u NONE -i NONE -es -c '%s/Hello/Salam/' -c wq \"$f\"",
    "cp": 'cp "$new" "$f"',
    "mv": 'cp "$new" ".$f.tmp" && mv ".$f.tmp" "$f"',
    "rsync": 'rsync --ignore-times "$new" "$f"',
}


def numbered(*wanted):
    return sorted(on_wire(mail.numbered(n)) for n in wanted)


@pytest.fixture
def seeded(maildrop):
    for n in range(6):
        maildrop.deliver(mail.numbered(n))
    return maildrop


@pytest.fixture
def mount(seeded, mounts):
    """INBOX with messages 0 to 5, and Archive."""
    made = mounts(seeded, poll="1s").start().online()
    system.wait_for(lambda: len(numbers(made)) == 6, "INBOX is listed")
    os.mkdir(made.path + "/Archive")
    return made


@pytest.fixture
def alone(mounts):
    """A mount whose server was never there."""
    made = mounts({"pop3": "pop3+plain://127.0.0.1:%d" % system.free_port(), "user": "u",
                   "password": "p"}).start()
    made.wait_state("offline")
    os.mkdir(made.path + "/Archive")
    return made


def same_after_a_restart(mount, *mailboxes):
    """Octets, names and inode numbers are what they were, without the cache, too."""
    def look():
        return {name: {identity(os.path.join(mount.path, name, each)): read(os.path.join(
            mount.path, name, each)) for each in os.listdir(os.path.join(mount.path, name))
            if each.endswith(".eml")} for name in mailboxes}
    before = look()
    mount.restart()
    assert look() == before
    mount.stop()
    mount.empty_cache()
    mount.start()
    assert look() == before


@BOTH
def test_mkdir_is_a_maildir(maildrop, mounts):
    mount = mounts(maildrop).start().online()
    for name in NAMES + ["A", "A/" + ARABIC_FOLDER, "A/%s/C" % ARABIC_FOLDER]:
        os.mkdir(os.path.join(mount.path, name))
        assert os.listdir(os.path.join(mount.path, name)) == []
        assert is_maildir(data_folder(mount, name)), name
        assert not os.stat(data_folder(mount)).st_mode & 0o077
    assert error_of(os.mkdir, mount.path + "/Work") == errno.EEXIST
    assert error_of(os.mkdir, mount.path + "/INBOX") == errno.EEXIST
    assert error_of(os.mkdir, mount.path + "/None/Such") == errno.ENOENT
    assert error_of(os.rmdir, mount.path + "/A") == errno.ENOTEMPTY
    assert error_of(os.rmdir, mount.path + "/INBOX") == errno.EBUSY
    for name, number in (("a\x01b", errno.EINVAL), (".x", errno.EPERM), ("n" * 300, errno.EINVAL),
                         (".DS_Store", errno.EPERM)):
        assert error_of(os.mkdir, os.path.join(mount.path, name)) in (number, errno.ENAMETOOLONG)
    mount.restart()
    assert set(NAMES) | {"A", "INBOX"} <= set(os.listdir(mount.path))
    for name in NAMES + ["A/%s/C" % ARABIC_FOLDER, "A/" + ARABIC_FOLDER, "A"]:
        os.rmdir(os.path.join(mount.path, name))
        assert not os.path.exists(data_folder(mount, name))
    assert set(os.listdir(mount.path)) <= {"INBOX", "Trash"}
    assert not maildrop.proxy.lines("Work")


@pytest.mark.parametrize("name", ["cur", "new", "tmp"])
def test_a_folder_with_a_maildirs_name(mount, name):
    """It may be refused, but it may not get in the way of mail."""
    os.rename(path_of(mount, 2), mount.path + "/Archive/kept.eml")
    code = error_of(os.mkdir, "%s/Archive/%s" % (mount.path, name))
    assert code in (None, errno.EINVAL, errno.EPERM, errno.EEXIST)
    if code is None:
        os.rename(path_of(mount, 3), "%s/Archive/%s/in.eml" % (mount.path, name))
        assert error_of(os.rmdir, "%s/Archive/%s" % (mount.path, name)) == errno.ENOTEMPTY
    same_after_a_restart(mount, "Archive")
    assert read(mount.path + "/Archive/kept.eml") == on_wire(mail.numbered(2))
    assert stored(mount, "Archive") == numbered(2)


@BOTH
def test_mv_is_download_and_delete(seeded, mount):
    known = {n: identity(path_of(mount, n)) for n in range(6)}
    read(path_of(mount, 4))
    seeded.proxy.forget()
    for n in (1, 4):
        os.rename(path_of(mount, n), os.path.join(mount.path, "Archive", known[n][0]))
        assert on_wire(mail.numbered(n)) in stored(mount, "Archive"), "stored once it is answered"
    seeded.wait([mail.numbered(n) for n in (0, 2, 3, 5)])
    assert seeded.proxy.verbs()["DELE"] == 2 and seeded.proxy.verbs()["RETR"] == 1
    assert numbers(mount) == [0, 2, 3, 5] and numbers(mount, "Archive") == [1, 4]
    assert {name for name in os.listdir(mount.path + "/Archive")} == {known[1][0], known[4][0]}
    assert shown(mount, "Archive") == stored(mount, "Archive") == numbered(1, 4)
    subprocess.run(["mv", path_of(mount, 5), mount.path + "/Archive/renamed.eml"], check=True)
    seeded.wait([mail.numbered(n) for n in (0, 2, 3)])
    same_after_a_restart(mount, "Archive")
    assert read(mount.path + "/Archive/renamed.eml") == on_wire(mail.numbered(5))
    assert numbers(mount) == [0, 2, 3]
    seeded.wait([mail.numbered(n) for n in (0, 2, 3)])


@BOTH
def test_moving_many(maildrop, mounts):
    n = 60
    maildrop.deliver_all([mail.numbered(i) for i in range(n)])
    mount = mounts(maildrop, poll="1h").start().online()
    system.wait_for(lambda: len(numbers(mount)) == n, "INBOX is listed")
    os.mkdir(mount.path + "/" + PERSIAN_FOLDER)
    system.wait_for(maildrop.proxy.is_idle, "the session is over")
    maildrop.proxy.forget()
    mount.shell("mv INBOX/*.eml %s/" % PERSIAN_FOLDER)
    assert stored(mount, PERSIAN_FOLDER) == numbered(*range(n))
    maildrop.wait([], seconds=20)
    verbs = maildrop.proxy.verbs()
    assert verbs["RETR"] == n and verbs["DELE"] == n, verbs
    assert maildrop.proxy.sessions <= 20
    assert numbers(mount) == [] and numbers(mount, PERSIAN_FOLDER) == list(range(n))


def test_mailfs_mv(seeded, mount):
    result = mount.run("mv", *[path_of(mount, n) for n in (0, 3)], mount.path + "/Archive")
    assert result.returncode == 0, result.stderr
    seeded.wait([mail.numbered(n) for n in (1, 2, 4, 5)])
    assert numbers(mount, "Archive") == [0, 3]
    assert stored(mount, "Archive") == numbered(0, 3)


def test_moving_on_and_back(seeded, mount):
    """Between folders no server is asked; back in INBOX it is a local file there."""
    os.makedirs(mount.path + "/A/" + ARABIC_FOLDER)
    os.rename(path_of(mount, 1), mount.path + "/Archive/x.eml")
    seeded.wait([mail.numbered(n) for n in (0, 2, 3, 4, 5)])
    settle(mount)
    seeded.proxy.forget()
    os.rename(mount.path + "/Archive/x.eml", "%s/A/%s/y.eml" % (mount.path, ARABIC_FOLDER))
    assert stored(mount, "Archive") == [] and stored(mount, "A/" + ARABIC_FOLDER) == numbered(1)
    os.rename("%s/A/%s/y.eml" % (mount.path, ARABIC_FOLDER), mount.path + "/INBOX/back.eml")
    assert read(mount.path + "/INBOX/back.eml") == on_wire(mail.numbered(1))
    assert stored(mount) == numbered(1)
    same_after_a_restart(mount, "INBOX")
    assert not seeded.proxy.lines("^DELE")
    seeded.wait([mail.numbered(n) for n in (0, 2, 3, 4, 5)])
    os.unlink(mount.path + "/INBOX/back.eml")
    assert not os.path.exists(mount.path + "/INBOX/back.eml") and stored(mount) == []


@BOTH
def test_cp_leaves_it_there(seeded, mount):
    seeded.proxy.forget()
    for n in (0, 1):
        subprocess.run(["cp", "-p", path_of(mount, n), "%s/Archive/%d.eml" % (mount.path, n)],
                       check=True)
    subprocess.run(["cp", path_of(mount, 2), mount.path + "/INBOX/mine.eml"], check=True)
    assert seeded.proxy.verbs()["RETR"] <= 6  # those that follow are read ahead, and none twice
    assert stored(mount, "Archive") == numbered(0, 1)
    assert stored(mount) == numbered(2)
    assert len(os.listdir(mount.path + "/INBOX")) == 7
    assert os.stat(mount.path + "/Archive/0.eml").st_mtime == mail.EPOCH
    same_after_a_restart(mount, "Archive", "INBOX")
    assert not seeded.proxy.lines("^DELE")
    assert sorted(seeded.data()) == numbered(*range(6))
    os.unlink(mount.path + "/INBOX/mine.eml")
    assert numbers(mount) == list(range(6))
    assert sorted(seeded.data()) == numbered(*range(6))


class TestWithoutAServer:
    """All of this with a server that was never there."""

    def test_mail_of_ones_own(self, alone):
        where = alone.path + "/Archive/"
        one, two = mail.message("one"), mail.message("two", body=b"Persian: \xd8\xb3\r\n")
        write(where + "one.eml", one)
        write(where + "نامه.eml", two.replace(b"\r\n", b"\n"))
        assert stored(alone, "Archive") == sorted([one, two])
        assert sorted(map(on_wire, shown(alone, "Archive"))) == sorted([one, two])
        inode = os.stat(where + "one.eml").st_ino
        write(where + "one.eml", b"One more line.\r\n", "ab")
        one += b"One more line.\r\n"
        assert on_wire(read(where + "one.eml")) == one
        assert os.stat(where + "one.eml").st_ino == inode
        os.rename(where + "one.eml", where + "uno.eml")
        assert set(os.listdir(where)) == {"uno.eml", "نامه.eml"}
        assert error_of(write, where + "none.eml", b"this is no message\n") == errno.EINVAL
        system.wait_for(lambda: "none.eml" not in os.listdir(where), "it is in lost+found")
        assert error_of(write, where + "none.txt", one) == errno.EPERM
        same_after_a_restart(alone, "Archive")
        assert stored(alone, "Archive") == sorted([one, two])

    def test_editors(self, alone, folder):
        data = mail.message("edited", body=b"Hello.\r\n" * 20)
        wanted = mail.message("edited", body=b"Salam.\r\n" * 20)
        write(folder + "/new.eml", wanted)
        where = alone.path + "/Archive/"
        for name in EDITORS:
            write(where + name + ".eml", data)
        inodes = {name: os.stat(where + name + ".eml").st_ino for name in EDITORS}
        for name, command in EDITORS.items():
            alone.shell("cd Archive && f=%s.eml new=%s/new.eml && %s" % (name, folder, command))
            assert on_wire(read(where + name + ".eml")) == wanted, name
        assert set(os.listdir(where)) == {name + ".eml" for name in EDITORS}
        assert os.stat(where + "ed.eml").st_ino == inodes["ed"]
        assert os.stat(where + "cp.eml").st_ino == inodes["cp"]
        system.wait_for(lambda: stored(alone, "Archive") == [wanted] * len(EDITORS),
                        "the new ones are stored")
        same_after_a_restart(alone, "Archive")

    def test_rm_moves_to_trash(self, alone):
        """And in Trash it is for good."""
        one, two = mail.message("one"), mail.message("two")
        write(alone.path + "/Archive/one.eml", one)
        write(alone.path + "/Archive/two.eml", two)
        os.unlink(alone.path + "/Archive/one.eml")
        assert os.listdir(alone.path + "/Archive") == ["two.eml"]
        system.wait_for(lambda: stored(alone, "Trash") == [one], "it is in Trash")
        assert stored(alone, "Archive") == [two]
        name, = os.listdir(alone.path + "/Trash")
        assert on_wire(read(alone.path + "/Trash/" + name)) == one
        same_after_a_restart(alone, "Archive", "Trash")
        os.unlink(alone.path + "/Trash/" + name)
        assert os.listdir(alone.path + "/Trash") == [] == stored(alone, "Trash")
        alone.restart()
        assert os.listdir(alone.path + "/Trash") == []
        subprocess.run(["rm", "-r", alone.path + "/Archive"], check=True)
        assert not os.path.exists(data_folder(alone, "Archive"))
        system.wait_for(lambda: stored(alone, "Trash") == [two], "rm -r, too")

    def test_rm_for_good_where_asked(self, mounts):
        made = mounts({"pop3": "pop3+plain://127.0.0.1:%d" % system.free_port(), "user": "u",
                       "password": "p", "delete": "expunge"}).start()
        os.mkdir(made.path + "/Archive")
        write(made.path + "/Archive/one.eml", mail.message("one"))
        os.unlink(made.path + "/Archive/one.eml")
        assert stored(made, "Archive") == stored(made, "Trash") == []

    def test_trash_by_its_key(self, mounts):
        made = mounts({"pop3": "pop3+plain://127.0.0.1:%d" % system.free_port(), "user": "u",
                       "password": "p", "trash": "سطل"}).start()
        os.mkdir(made.path + "/Archive")
        write(made.path + "/Archive/one.eml", mail.message("one"))
        os.unlink(made.path + "/Archive/one.eml")
        system.wait_for(lambda: stored(made, "سطل") == [mail.message("one")], "it is there")

    def test_a_tree_of_folders(self, alone):
        tree = ["Tree", "Tree/" + PERSIAN_FOLDER, "Tree/%s/C" % PERSIAN_FOLDER]
        for n, name in enumerate(tree):
            os.mkdir(os.path.join(alone.path, name))
            write(os.path.join(alone.path, name, "m.eml"), mail.numbered(n))
        inode = os.stat(alone.path + "/Tree/m.eml").st_ino
        assert error_of(os.rmdir, alone.path + "/Tree") == errno.ENOTEMPTY
        os.rename(alone.path + "/Tree", "%s/%s" % (alone.path, ARABIC_FOLDER))
        new = [name.replace("Tree", ARABIC_FOLDER) for name in tree]
        for n, name in enumerate(new):
            assert stored(alone, name) == numbered(n)
            assert on_wire(read(os.path.join(alone.path, name, "m.eml"))) == on_wire(
                mail.numbered(n))
        assert not os.path.exists(data_folder(alone, "Tree"))
        assert os.stat("%s/%s/m.eml" % (alone.path, ARABIC_FOLDER)).st_ino == inode
        same_after_a_restart(alone, *new)
        assert error_of(os.rename, "%s/%s" % (alone.path, new[0]),
                        "%s/%s/x" % (alone.path, new[1])) == errno.EINVAL
        assert error_of(os.rename, alone.path + "/INBOX", alone.path + "/Old") == errno.EBUSY

    def test_flags(self, alone):
        path = alone.path + "/Archive/x.eml"
        write(path, mail.message("flagged"))
        result = alone.run("flag", path, "+seen", "+flagged", "+work")
        assert result.returncode == 0, result.stderr
        view = alone.path + "/.mailfs/maildir/Archive/cur"
        assert os.listdir(view) == ["x:2,FS"]
        os.rename(view + "/x:2,FS", view + "/x:2,RS")
        for _ in range(2):
            words = set(alone.run("flag", path).stdout.split())
            assert {"seen", "answered", "work"} <= words and "flagged" not in words
            assert os.stat(path).st_atime >= os.stat(path).st_mtime
            alone.restart()
        os.mkdir(alone.path + "/Other")
        os.rename(path, alone.path + "/Other/y.eml")
        words = set(alone.run("flag", alone.path + "/Other/y.eml").stdout.split())
        assert {"seen", "answered", "work"} <= words
        assert os.listdir(alone.path + "/.mailfs/maildir/Other/cur") == ["y:2,RS"]

    def test_a_delivery_agent(self, alone):
        """By the view: tmp, then new."""
        view = alone.path + "/.mailfs/maildir/Archive/"
        for name in ("1.one", "2.two"):
            write(view + "tmp/" + name, mail.message(name.replace(".", "-")))
        os.rename(view + "tmp/1.one", view + "new/1.one")
        os.rename(view + "tmp/2.two", view + "cur/2.two:2,S")
        assert stored(alone, "Archive") == sorted([mail.message("1-one"), mail.message("2-two")])
        assert set(os.listdir(alone.path + "/Archive")) == {"1.one.eml", "2.two.eml"}
        same_after_a_restart(alone, "Archive")


class TestFlagsInInbox:
    def test_they_are_local_and_last(self, seeded, mount):
        path = path_of(mount, 2)
        assert os.stat(path).st_atime < os.stat(path).st_mtime, "it is unseen"
        assert mount.run("flag", path, "+seen", "+flagged").returncode == 0
        mount.restart().online()
        assert {"seen", "flagged"} <= set(mount.run("flag", path).stdout.split())
        assert os.stat(path).st_atime >= os.stat(path).st_mtime
        view = mount.path + "/.mailfs/maildir/INBOX/cur"
        base = os.path.basename(path)[:-len(".eml")]
        assert base + ":2,FS" in os.listdir(view)
        os.rename("%s/%s:2,FS" % (view, base), "%s/%s:2,S" % (view, base))
        assert "flagged" not in mount.run("flag", path).stdout.split()
        # they go along into a folder
        os.rename(path, mount.path + "/Archive/x.eml")
        assert "seen" in mount.run("flag", mount.path + "/Archive/x.eml").stdout.split()
        seeded.wait([mail.numbered(n) for n in (0, 1, 3, 4, 5)])

    def test_by_the_view_into_a_folder(self, seeded, mount):
        view = mount.path + "/.mailfs/maildir/"
        name = next(name for name in os.listdir(view + "INBOX/cur") if "-000003." in name)
        os.rename(view + "INBOX/cur/" + name, view + "Archive/cur/moved:2,RS")
        assert stored(mount, "Archive") == numbered(3)
        assert os.listdir(mount.path + "/Archive") == ["moved.eml"]
        seeded.wait([mail.numbered(n) for n in (0, 1, 2, 4, 5)])


@pytest.mark.parametrize("keys, box, trash", [
    ({}, "deleted items", "deleted items"),
    ({}, "INBOX/Bin", "INBOX/Bin"),
    ({}, "Work/Bin", "Trash"),  # not one of the account
    ({"trash": "Work/Old"}, "Deleted", "Work/Old"),
    ({}, "Archive", "Trash"),
])
def test_rm_finds_a_trash_by_its_name(maildrop, mounts, keys, box, trash):
    """The same one for INBOX, of what is here alone, and for the folders."""
    made = mounts(maildrop, **keys).start().online()
    os.makedirs(os.path.join(made.path, box))
    os.mkdir(made.path + "/Some")
    letters = {name: mail.message(name) for name in ("INBOX", "Some")}
    for name, data in letters.items():
        write("%s/%s/x.eml" % (made.path, name), data)
    for n, (name, data) in enumerate(letters.items(), 1):
        os.unlink("%s/%s/x.eml" % (made.path, name))
        assert stored(made, name) == []
        system.wait_for(lambda n=n: len(stored(made, trash)) == n, "it is in Trash")
        assert data in stored(made, trash)
    assert trash == "Trash" or not os.path.exists(made.path + "/Trash")


class TestAServerInTheWay:
    def test_offline_and_not_here(self, seeded, mount):
        """What is not here cannot be taken along; what is, can, and is deleted there later."""
        read(path_of(mount, 1))
        system.wait_for(seeded.proxy.is_idle, "the session is over", 15)
        seeded.proxy.down()
        mount.wait_state("offline")
        start = time.monotonic()
        assert error_of(os.rename, path_of(mount, 0), mount.path + "/Archive/0.eml") \
            == errno.ENETDOWN
        code = error_of(os.rename, path_of(mount, 1), mount.path + "/Archive/1.eml")
        assert code in (None, errno.ENETDOWN)
        assert time.monotonic() - start < 10
        assert os.path.exists(path_of(mount, 0))
        assert os.listdir(mount.path + "/Archive") == ([] if code else ["1.eml"])
        seeded.proxy.up()
        mount.run("sync", mount.path + "/INBOX")
        mount.wait_state("online", 30)
        seeded.wait([mail.numbered(n) for n in range(6) if code or n != 1], seconds=30)
        assert stored(mount, "Archive") == ([] if code else numbered(1))

    def test_files_of_ones_own_in_inbox(self, seeded, mount):
        seeded.proxy.down()
        one = mail.message("one")
        write(mount.path + "/INBOX/local.eml", one)
        os.mkdir(mount.path + "/New")
        os.rename(mount.path + "/INBOX/local.eml", mount.path + "/New/local.eml")
        os.rename(mount.path + "/New/local.eml", mount.path + "/INBOX/again.eml")
        assert stored(mount) == [one]
        same = identity(mount.path + "/INBOX/again.eml")
        mount.restart()
        assert identity(mount.path + "/INBOX/again.eml") == same
        assert on_wire(read(mount.path + "/INBOX/again.eml")) == one
        assert numbers(mount) == list(range(6))
        seeded.proxy.up()
        mount.run("sync", mount.path + "/INBOX")
        mount.wait_state("online", 30)
        assert on_wire(read(mount.path + "/INBOX/again.eml")) == one
        assert sorted(seeded.data()) == numbered(*range(6))

    def test_the_download_breaks_off(self, scripted_pop3_server, mounts):
        """A rename that fails leaves everything as it was."""
        server = scripted_pop3_server([mail.numbered(n) for n in range(3)])
        mount = mounts(server.keys(poll="1h")).start().online()
        os.mkdir(mount.path + "/Archive")
        system.wait_for(lambda: len(numbers(mount)) == 3, "INBOX is listed")
        path = path_of(mount, 1)
        server.rule(r"^RETR", raw=b"+OK\r\nFrom: half a mess", drop=True)
        assert error_of(os.rename, path, mount.path + "/Archive/x.eml") not in (None, errno.ENOENT)
        assert os.path.exists(path) and os.listdir(mount.path + "/Archive") == []
        assert stored(mount, "Archive") == [] and not server.commands("^DELE")
        server.rules.clear()
        # It was promised, and goes on by itself as soon as it can.
        system.wait_for(lambda: os.listdir(mount.path + "/Archive") == ["x.eml"], "it is moved", 30)
        assert stored(mount, "Archive") == numbered(1)
        server.wait_uidls(["uidl-1", "uidl-3"])

    def test_messages_below_the_data_folder_are_whole(self, seeded, mount):
        """tmp is empty once all is done, and no name tells more than a Maildir's does."""
        for n in range(6):
            os.rename(path_of(mount, n), mount.path + "/Archive/%d.eml" % n)
        seeded.wait([])
        settle(mount)
        assert os.listdir(data_folder(mount, "Archive") + "/tmp") == []
        for sub in ("cur", "new"):
            for name in os.listdir(os.path.join(data_folder(mount, "Archive"), sub)):
                assert not re.search(r"[\x00-\x20/]", name) and len(name.encode()) <= 255
                path = os.path.join(data_folder(mount, "Archive"), sub, name)
                assert not os.stat(path).st_mode & 0o077
