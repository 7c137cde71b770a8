"""The commands that change mail: many files in one command, what each answers for a file that it
cannot change, the queue, and the directories below .mailfs."""
import errno
import json
import os
import re
import shutil
import subprocess

import pytest

from bed import mail, system
from bed.mount import ACCOUNT


@pytest.fixture
def proxy(account):
    return account.through_proxy()


@pytest.fixture
def seeded(account, judge, proxy):
    """INBOX with messages 0 to 5, Box with 10 to 12, Empty."""
    for n in range(6):
        judge.append(mail.numbered(n))
    account.create("Box")
    account.create("Empty")
    for n in (10, 11, 12):
        judge.append(mail.numbered(n), "Box")
    return account


@pytest.fixture
def mount(seeded, mounts):
    made = mounts(seeded).start().online()
    made.wait_listed("INBOX", 6)
    return made


def paths(mount, mailbox="INBOX"):
    """The files of a mailbox, in the order of their UIDs."""
    return [os.path.join(mount.path, mailbox, name)
            for _, name in sorted(mount.messages(mailbox).items())]


def numbered(*numbers):
    return [mail.numbered(n) for n in numbers]


def ok(result):
    assert result.returncode == 0, result.stderr
    assert not result.stderr, result.stderr
    return result.stdout


def inside(mount, *words):
    """A command in the mount's root."""
    return mount.run(*words, cwd=mount.path)


class TestMv:
    def test_from_several_directories(self, judge, mount, proxy):
        files = paths(mount)[:2] + paths(mount, "Box")[:2]
        proxy.forget()
        assert ok(mount.run("mv", *files, mount.path + "/Empty")) == ""
        judge.wait(numbered(0, 1, 10, 11), "Empty")
        judge.wait(numbered(2, 3, 4, 5))
        judge.wait(numbered(12), "Box")
        assert proxy.changes() == ["UID MOVE", "UID MOVE"]
        assert sorted(os.listdir(mount.path + "/Empty")) == sorted(map(os.path.basename, files))
        assert not proxy.body_fetches()
        shown = [mount.read("Empty/" + os.path.basename(file)) for file in files]
        assert shown == numbered(0, 1, 10, 11)

    def test_to_another_name(self, judge, mount):
        ok(inside(mount, "mv", os.path.relpath(paths(mount)[0], mount.path), "Box/new.eml"))
        judge.wait(numbered(0, 10, 11, 12), "Box")
        assert mount.read("Box/new.eml") == mail.numbered(0)

    def test_a_name_in_the_same_directory(self, mount, proxy):
        file = paths(mount)[0]
        proxy.forget()
        ok(mount.run("mv", file, mount.path + "/INBOX/alias.eml"))
        assert mount.read("INBOX/alias.eml") == mail.numbered(0)
        assert not os.path.exists(file)
        assert not proxy.changes()

    def test_onto_a_message(self, judge, mount):
        """As mv(1): what was there goes, to Trash."""
        ok(mount.run("mv", paths(mount)[0], paths(mount, "Box")[1]))
        judge.wait(numbered(0, 10, 12), "Box")
        judge.wait(numbered(11), "Trash")

    def test_what_cannot_be_moved(self, judge, mount):
        """It keeps no other file back, and is told by the name that was given."""
        good, gone = paths(mount)[0], mount.path + "/INBOX/none.eml"
        result = inside(mount, "mv", "INBOX/none.eml", good, mount.path + "/Empty",
                        "Nowhere/x.eml", paths(mount, "Box")[0], "Box")
        assert result.returncode == 66
        lines = result.stderr.splitlines()
        assert len(lines) == 4, lines
        for word, line in (("INBOX/none.eml", lines), ("Empty", lines), ("Nowhere", lines),
                           ("is there already", lines)):
            assert any(word in each for each in line), (word, lines)
        judge.wait(numbered(0, 10, 11, 12), "Box")
        assert not os.path.exists(gone)

    @pytest.mark.parametrize("to, code, sentence", [
        ("Box/x", 65, "ends in .eml"),
        ("Box/.x.eml", 65, "ends in .eml"),
        ("Nowhere/x.eml", 66, "no Nowhere here"),
        ("/tmp", 69, "not in a mailbox that is mounted"),
    ])
    def test_where_nothing_can_be_moved_to(self, judge, mount, to, code, sentence):
        result = inside(mount, "mv", paths(mount)[0], to)
        assert (result.returncode, sentence in result.stderr) == (code, True), result.stderr
        assert len(judge.see()) == 6

    def test_several_to_one_name(self, judge, mount):
        result = mount.run("mv", *paths(mount)[:2], mount.path + "/Box/x.eml")
        assert result.returncode == 65 and "not a directory" in result.stderr
        assert len(judge.see()) == 6

    def test_between_accounts(self, account, servers, judge, mounts):
        """Refused with the remedy; mv(1) can."""
        judge.append(mail.numbered(0))
        keys = account.keys()
        made = mounts(account)
        with open(made.config, encoding="utf-8") as f:
            group = f.read().split("\n", 1)[1]
        made.write_raw_config("[account first]\n%s[account second]\n%s" % (group, group))
        assert made.run("mount", "--all", made.path).returncode == 0, keys
        try:
            system.wait_for(lambda: all(a["state"] == "online"
                                        for a in made.status()["accounts"]), "online")
            name = "first/INBOX/" + made.messages("first/INBOX")[1]
            result = inside(made, "mv", name, "second/INBOX")
            assert result.returncode == 69 and "mv(1)" in result.stderr
            ok(inside(made, "flag", name, "+seen"))
            assert "seen" in ok(inside(made, "flag", name))
            assert sorted(os.listdir(made.path + "/.mailfs/pending")) == ["first", "second"]
            assert sorted(os.listdir(made.path + "/.mailfs/lost+found")) == ["first", "second"]
            assert ok(made.run("queue")) == ""
        finally:
            assert made.run("umount", made.path).returncode == 0


class TestRm:
    def test_several_directories(self, judge, mount, proxy):
        files = paths(mount)[1:3] + paths(mount, "Box")[:1]
        proxy.forget()
        ok(mount.run("rm", *files))
        judge.wait(numbered(1, 2, 10), "Trash")
        judge.wait(numbered(0, 3, 4, 5))
        judge.wait(numbered(11, 12), "Box")
        assert len(proxy.changes()) <= 3  # CREATE Trash, where there is none
        assert not any(os.path.exists(file) for file in files)

    def test_what_cannot_be_removed(self, judge, mount):
        result = mount.run("rm", mount.path + "/Box", paths(mount)[0], mount.path,
                           mount.path + "/INBOX/none.eml")
        assert result.returncode == 65 and "mount point" in result.stderr
        assert len(judge.see()) == 6
        result = mount.run("rm", mount.path + "/Box", paths(mount)[0],
                           mount.path + "/INBOX/none.eml")
        assert result.returncode == 65 and "directory" in result.stderr
        assert "none.eml: there is no such message" in result.stderr
        judge.wait(numbered(1, 2, 3, 4, 5))

    def test_a_scratch_file_is_not_for_it(self, mount):
        with open(mount.path + "/INBOX/.x.swp", "wb") as f:
            f.write(b"x")
        result = mount.run("rm", mount.path + "/INBOX/.x.swp")
        assert result.returncode == 75 and "not on the server" in result.stderr
        os.unlink(mount.path + "/INBOX/.x.swp")


class TestFlag:
    def test_set_and_show(self, judge, mount):
        first, second = paths(mount)[:2]
        ok(inside(mount, "flag", "+seen", first, "+$Work", "-draft", second, "+Later"))
        ok(mount.run("flag", second, "-later", "+\\Flagged"))
        flags = {uid: seen.flags for uid, seen in judge.see().items()}
        assert flags[1] == {"\\Seen", "$Work", "Later"}
        assert flags[2] == {"\\Seen", "\\Flagged", "$Work"}
        shown = dict(line.split("\t") for line in ok(mount.run("flag", first, second))
                     .splitlines())
        assert set(shown[first].split()) == {"seen", "$Work", "Later"}
        assert set(shown[second].split()) == {"seen", "flagged", "$Work"}

    @pytest.mark.parametrize("words, code", [
        ((), 64), (("+seen",), 64), (("--", ), 64), (("x.eml", "--all"), 64),
        (("INBOX/none.eml", "+seen"), 66), (("INBOX/none.eml", "+a b"), 65),
        (("INBOX/none.eml", "+\\Recent"), 65), (("INBOX/none.eml", "+\u06a9"), 65),
    ])
    def test_what_makes_no_sense(self, mount, words, code):
        result = inside(mount, "flag", *words)
        assert result.returncode == code and result.stderr, result

    def test_files_with_a_sign(self, judge, mount):
        os.rename(paths(mount)[0], mount.path + "/INBOX/+plus.eml")
        ok(subprocess.run(mount.argv("flag", "+seen", "--", "+plus.eml"), capture_output=True,
                          text=True, env=mount.environment, cwd=mount.path + "/INBOX",
                          check=False))
        assert judge.see()[1].flags == {"\\Seen"}


class TestMaildir:
    """The same by the names that the messages have in the Maildir view."""

    def viewed(self, mount, mailbox="INBOX"):
        root = "%s/.mailfs/maildir/%s" % (mount.path, mailbox)
        return sorted(os.path.join(root, sub, name) for sub in ("cur", "new")
                      for name in os.listdir(os.path.join(root, sub)))

    def test_the_commands(self, judge, mount):
        files = self.viewed(mount)
        assert len(files) == 6
        ok(mount.run("flag", files[0], "+flagged"))
        assert sum(seen.flags == {"\\Flagged"} for seen in judge.see().values()) == 1
        files = self.viewed(mount)
        ok(mount.run("mv", *files[:2], mount.path + "/.mailfs/maildir/Box/cur"))
        assert len(judge.see("Box")) == 5
        ok(mount.run("mv", files[2], mount.path + "/Box"))
        ok(mount.run("rm", self.viewed(mount)[0]))
        assert (len(judge.see()), len(judge.see("Box")), len(judge.see("Trash"))) == (2, 6, 1)
        assert "uid" in ok(mount.run("info", self.viewed(mount)[0]))
        result = mount.run("mv", self.viewed(mount)[0],
                           mount.path + "/.mailfs/maildir/Box/cur/x:2,S")
        assert result.returncode == 65 and "Maildir" in result.stderr


class TestMany:
    @pytest.mark.limit(240)
    def test_a_thousand(self, account, judge, mounts):
        """At most 20 commands that change something, for each of the three."""
        account.deliver_copies(mail.numbered(1), 1000)
        account.create("Box")
        proxy = account.through_proxy()
        made = mounts(account).start().online()
        made.wait_listed("INBOX", 1000, 60)
        names = [os.path.relpath(path, made.path) for path in paths(made)]
        for words, mailbox in ((["flag", *names, "+seen"], "INBOX"),
                               (["mv", *names, "Box"], "Box")):
            proxy.forget()
            ok(inside(made, *words))
            assert 0 < len(proxy.changes()) <= 20, proxy.changes()
            assert len(proxy.lines()) < 60, proxy.verbs()
            assert len(judge.see(mailbox)) == 1000
        assert all(seen.flags == {"\\Seen"} for seen in judge.see("Box").values())
        names = [os.path.relpath(path, made.path) for path in paths(made, "Box")]
        proxy.forget()
        ok(inside(made, "rm", *names))
        assert 0 < len(proxy.changes()) <= 20, proxy.changes()
        assert len(judge.see("Trash")) == 1000 and not judge.see("Box")


def go_offline(mount, proxy):
    proxy.down()
    system.wait_for(lambda: mount.account()["state"] != "online", "offline")


class TestQueue:
    @pytest.fixture
    def queued(self, seeded, mounts, proxy):
        """Offline, with a file and a flag in the queue."""
        made = mounts(seeded, offline="queue").start().online()
        made.wait_listed("INBOX", 6)
        go_offline(made, proxy)
        with open(made.path + "/INBOX/new.eml", "wb") as f:
            f.write(mail.numbered(20))
        ok(made.run("flag", paths(made)[0], "+flagged"))
        return made

    def test_it_is_seen_everywhere(self, queued):
        out = ok(queued.run("info", queued.path + "/INBOX/new.eml"))
        assert re.search(r"state +new", out) and re.search(r"change +\d+ +waiting", out), out
        entries = [json.loads(line) for line in ok(queued.run("queue", "--json")).splitlines()]
        assert [entry["kind"] for entry in entries] == ["create", "flags"]
        assert {entry["account"] for entry in entries} == {ACCOUNT}
        assert entries[0]["mailbox"] == "INBOX" and entries[0]["name"] == "new.eml"
        lines = ok(queued.run("queue", "list", "-a", ACCOUNT)).splitlines()
        assert re.match(r"%d  \w+ +\d+s  create INBOX/new.eml" % entries[0]["id"], lines[0])
        assert "2 pending" in ok(queued.run("status", ACCOUNT))
        assert queued.account()["upload"]["pending"] == 2
        assert "flags of 1 message" in ok(queued.run("info", paths(queued)[0]))
        queued.kill()

    def test_the_directory(self, queued):
        root = queued.path + "/.mailfs/pending"
        assert os.listdir(root) == ["INBOX"]
        assert os.listdir(root + "/INBOX") == ["new.eml"]
        file = root + "/INBOX/new.eml"
        assert queued.read(".mailfs/pending/INBOX/new.eml") == mail.numbered(20)
        assert os.stat(file).st_size == len(mail.numbered(20))
        for function, args in ((os.unlink, (file,)), (os.rmdir, (root + "/INBOX",)),
                               (os.mkdir, (root + "/x",)), (os.truncate, (file, 0)),
                               (os.rename, (file, root + "/INBOX/y.eml")),
                               (os.rename, (file, queued.path + "/INBOX/y.eml")),
                               (open, (root + "/INBOX/x", "w")), (open, (file, "w"))):
            with pytest.raises(OSError) as caught:
                function(*args)
            assert caught.value.errno in (errno.EPERM, errno.EROFS, errno.EXDEV), (function, args)
        assert not os.path.exists(root + "/Box")
        queued.kill()

    def test_without_a_daemon(self, queued, judge, proxy):
        """Listed, and dropped: its octets are in lost+found when it is mounted again."""
        queued.kill()
        entries = [json.loads(line) for line in ok(queued.run("queue", "--json")).splitlines()]
        assert len(entries) == 2
        assert queued.run("queue", "drop", str(entries[1]["id"] + 1)).returncode == 66
        assert "mailfs mount" in queued.run("queue", "retry").stderr
        ok(queued.run("queue", "drop", str(entries[0]["id"])))
        assert len(ok(queued.run("queue")).splitlines()) == 1
        proxy.up()
        queued.start().online()
        system.wait_for(lambda: ok(queued.run("queue")) == "", "the flag is sent")
        judge.wait(numbered(0, 1, 2, 3, 4, 5))
        assert "\\Flagged" in judge.see()[1].flags
        assert queued.read(".mailfs/lost+found/INBOX/new.eml") == mail.numbered(20)
        assert queued.read(".mailfs/lost+found/INBOX/new.eml.reason").strip()

    def test_dropped_by_the_daemon(self, queued):
        entry = json.loads(ok(queued.run("queue", "--json")).splitlines()[0])
        ok(queued.run("queue", "drop", str(entry["id"])))
        system.wait_for(lambda: os.path.exists(queued.path + "/.mailfs/lost+found/INBOX/new.eml"),
                        "lost+found")
        assert os.listdir(queued.path + "/.mailfs/pending") == []
        assert not os.path.exists(queued.path + "/INBOX/new.eml")
        queued.kill()

    @pytest.mark.parametrize("words, code", [
        (["nosuch"], 64), (["drop"], 64), (["list", "7"], 64), (["drop", "x"], 65),
        (["drop", "0"], 66), (["retry", "0"], 65), (["retry", "99999"], 66), (["-a", "nobody"], 78)])
    def test_what_makes_no_sense(self, mount, words, code):
        result = mount.run("queue", *words)
        assert result.returncode == code and result.stderr, result


class TestUmount:
    def test_it_waits_and_tells(self, seeded, judge, mounts, proxy):
        made = mounts(seeded, offline="queue").start().online()
        made.wait_listed("INBOX", 6)
        go_offline(made, proxy)
        with open(made.path + "/INBOX/new.eml", "wb") as f:
            f.write(mail.numbered(20))
        result = made.run("umount", "--flush=1s", made.path)
        assert result.returncode == 75
        assert "1 change is still pending" in result.stderr and "new.eml" in result.stderr
        assert not made.is_mounted()
        made.process.wait(30)
        made.kill()
        proxy.up()
        made.start().online()
        judge.wait(numbered(0, 1, 2, 3, 4, 5, 20), seconds=20)
        assert ok(made.run("umount", made.path)) == ""
        made.process.wait(30)
        made.kill()


class TestLostAndFound:
    @pytest.fixture
    def lost(self, mount):
        """One that the server refused: no message."""
        with pytest.raises(OSError) as caught:
            with open(mount.path + "/INBOX/no.eml", "wb") as f:
                f.write(b"this is no message\n")
        assert caught.value.errno == errno.EINVAL
        lost = mount.path + "/.mailfs/lost+found"
        system.wait_for(lambda: os.path.exists(lost + "/INBOX/no.eml"), "what was refused")
        return lost

    def test_what_is_there(self, mount, lost):
        assert os.listdir(lost) == ["INBOX"]
        assert sorted(os.listdir(lost + "/INBOX")) == ["no.eml", "no.eml.reason"]
        with open(lost + "/INBOX/no.eml", "rb") as f:
            assert f.read() == b"this is no message\n"
        with open(lost + "/INBOX/no.eml.reason", encoding="utf-8") as f:
            assert f.read().strip()
        assert "lost+found" not in os.listdir(mount.path)

    def test_it_takes_nothing(self, mount, lost):
        for function, args in ((open, (lost + "/x", "w")), (os.mkdir, (lost + "/x",)),
                               (open, (lost + "/INBOX/no.eml", "r+b")),
                               (os.rename, (lost + "/INBOX/no.eml", lost + "/INBOX/y")),
                               (os.link, (lost + "/INBOX/no.eml", lost + "/INBOX/y")),
                               (os.rename, (paths(mount)[0], lost + "/INBOX/y"))):
            with pytest.raises(OSError) as caught:
                function(*args)
            assert caught.value.errno in (errno.EPERM, errno.EROFS), (function, args)

    def test_mv_takes_it_out(self, judge, mount, lost):
        """mv(1) copies and then removes, as between file systems."""
        with open(mount.folder + "/state/mailfs/%s/lost+found/INBOX/no.eml" % ACCOUNT, "wb") as f:
            f.write(mail.numbered(30))  # somebody mended it
        shutil.move(lost + "/INBOX/no.eml", mount.path + "/INBOX/yes.eml")
        judge.wait(numbered(0, 1, 2, 3, 4, 5, 30))
        assert os.listdir(lost + "/INBOX") == ["no.eml.reason"]

    def test_people_clean_up(self, mount, lost):
        with open(lost + "/INBOX/no.eml", "rb") as f:
            os.unlink(lost + "/INBOX/no.eml")
            assert f.read() == b"this is no message\n"
        assert os.listdir(lost + "/INBOX") == ["no.eml.reason"]
        with pytest.raises(OSError) as caught:
            os.rmdir(lost + "/INBOX")
        assert caught.value.errno == errno.ENOTEMPTY
        shutil.rmtree(lost + "/INBOX")
        assert os.listdir(lost) == []

    def test_rm_of_many(self, mount, lost):
        """A listing that is read while its files are removed loses none."""
        state = os.path.join(mount.folder, "state/mailfs", ACCOUNT, "lost+found/INBOX")
        for n in range(2000):
            with open(os.path.join(state, "%04d.eml" % n), "wb") as f:
                f.write(b"x")
        with os.scandir(lost + "/INBOX") as entries:
            names = {entry.name for entry in entries if os.unlink(entry.path) is None}
        assert len(names) == 2002
        assert os.listdir(lost + "/INBOX") == []
