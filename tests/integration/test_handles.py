"""What is written through a file handle: a write that was refused may be mended as long as the file
is open, and otherwise all of it is in lost+found; what is on its way does not change under it; and
what a child has flushed is what the next start sends."""
import errno
import os
import subprocess
import threading

import pytest

from bed import faults, mail, proxy as proxies, scripted, system


def letter(text):
    return mail.message("Handle", body=text, extra=b"Message-ID: <handle@example.org>\r\n")


def refused(number, function, *args):
    with pytest.raises(OSError) as caught:
        function(*args)
    assert caught.value.errno == number, caught.value


def create(path):
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def wait_lost(mount, name, data):
    def is_there():
        assert mount.read(".mailfs/lost+found/INBOX/" + name) == data
        return os.path.exists(mount.path + "/.mailfs/lost+found/INBOX/" + name + ".reason")
    system.wait_for(is_there, "all of it is in lost+found")


@pytest.fixture
def full(request, scripted_server, mounts):
    """A server that is full until its rules are cleared, and a mount of it."""
    there = getattr(request, "param", [])
    server = scripted_server({"INBOX": [scripted.Message(1, data) for data in there]},
                             "IMAP4rev1 UIDPLUS")
    mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}).start().online()
    mount.wait_listed("INBOX", len(there))
    server.rule(r"^APPEND ", tagged="NO [OVERQUOTA] your mailbox is full")
    return server, mount


@pytest.fixture
def faulty(account, binary, folder):
    """A factory of mounts that can be asked for faults."""
    made = []

    def make(**keys):
        made.append(faults.FaultyMount(binary, folder + "/faulty", {**account.keys(), **keys}))
        made[-1].environment["G_DEBUG"] = ""  # a disk that fails is critical
        mount = made[-1].start().online()
        os.listdir(mount.path + "/INBOX")
        return mount
    yield make
    for mount in made:
        mount.finish()


class TestRefused:
    def test_prints_of_a_shell_are_one_message(self, account, judge, mounts):
        """The first half of a field is no message, yet."""
        mount = mounts(account).start().online()
        script = r"""exec 5>x.eml; printf 'Sub' >&5; printf 'ject: hi\r\nFrom: a@b\r\n\r\n' >&5
                     printf 'body\r\n' >&5; exec 5>&-"""
        subprocess.run(["bash", "-c", script], cwd=mount.path + "/INBOX", check=True, timeout=30)
        judge.wait([b"Subject: hi\r\nFrom: a@b\r\n\r\nbody\r\n"])
        assert os.listdir(mount.path + "/INBOX") == ["x.eml"]
        assert not os.path.exists(mount.path + "/.mailfs/lost+found/INBOX")

    def test_room_is_made(self, full):
        server, mount = full
        data = letter(b"first\r\n")
        fd = create(mount.path + "/INBOX/x.eml")
        os.write(fd, data)
        refused(errno.EDQUOT, os.fsync, fd)
        server.rules.clear()
        os.write(fd, b"second\r\n")
        os.fsync(fd)
        os.close(fd)
        assert [m.data for m in server.mailboxes["INBOX"]] == [data + b"second\r\n"]
        assert mount.read("INBOX/x.eml") == data + b"second\r\n"
        assert not os.path.exists(mount.path + "/.mailfs/lost+found/INBOX")
        assert mount.account()["upload"] is None

    def test_room_is_made_without_another_write(self, full):
        server, mount = full
        fd = create(mount.path + "/INBOX/x.eml")
        os.write(fd, letter(b"once\r\n"))
        refused(errno.EDQUOT, os.fsync, fd)
        server.rules.clear()
        os.close(fd)
        assert [m.data for m in server.mailboxes["INBOX"]] == [letter(b"once\r\n")]

    def test_all_of_it_is_kept(self, full):
        server, mount = full
        data = letter(b"first\r\n")
        fd = create(mount.path + "/INBOX/x.eml")
        other = os.dup(fd)
        os.write(fd, data)
        refused(errno.EDQUOT, os.fsync, fd)
        os.write(fd, b"second\r\n")
        refused(errno.EDQUOT, os.fsync, fd)
        refused(errno.EDQUOT, os.close, fd)
        os.write(other, b"third\r\n")
        refused(errno.EDQUOT, os.close, other)
        wait_lost(mount, "x.eml", data + b"second\r\nthird\r\n")
        system.wait_for(lambda: os.listdir(mount.path + "/INBOX") == [], "nothing is shown")
        assert len(os.listdir(mount.path + "/.mailfs/lost+found/INBOX")) == 2
        assert mount.account()["upload"]["failed"] == 1
        assert server.mailboxes["INBOX"] == []

    @pytest.mark.parametrize("full", [[letter(b"old\r\n")]], indirect=True)
    def test_an_edit(self, full):
        _, mount = full
        name = mount.messages()[1]
        fd = os.open(mount.path + "/INBOX/" + name, os.O_WRONLY | os.O_APPEND)
        os.write(fd, b"new\r\n")
        refused(errno.EDQUOT, os.fsync, fd)
        os.write(fd, b"newer\r\n")
        refused(errno.EDQUOT, os.close, fd)
        wait_lost(mount, name, letter(b"old\r\n") + b"new\r\nnewer\r\n")
        system.wait_for(lambda: mount.read("INBOX/" + name) == letter(b"old\r\n"), "the old one")


def test_what_is_on_its_way_does_not_change(account, judge, faulty):
    """While the file is copied to be sent, another program empties it."""
    mount = faulty()
    path = mount.path + "/INBOX/x.eml"
    first = letter(b"First.\r\n" * 30000)
    fd = create(path)
    os.write(fd, first)
    mount.ask("seal-chunk=hold")
    answers = []
    closing = threading.Thread(target=lambda: answers.append(os.close(fd)))
    closing.start()
    system.wait_for(mount.met, "the file is being copied")
    with open(path, "wb", buffering=0) as f:
        f.write(b"Subject: second\r\n\r\n")
        mount.ask("")
        closing.join()
        assert answers == [None]
    judge.wait([b"Subject: second\r\n\r\n"])
    judge.wait([first], "Trash")  # whole, as it was closed
    assert mount.read("INBOX/x.eml") == b"Subject: second\r\n\r\n"


class TestFlushedByAChild:
    @staticmethod
    def flush_in_child(fd, data):
        pid = os.fork()
        if pid == 0:
            os.write(fd, data)
            os.close(fd)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0

    def test_what_was_written_after_it_is_not_sent(self, account, judge, mounts):
        judge.append(letter(b"old\r\n"))
        mount = mounts(account, delete="expunge").start().online()
        name = mount.messages()[1]
        fd = os.open(mount.path + "/INBOX/" + name, os.O_WRONLY | os.O_APPEND)
        self.flush_in_child(fd, b"a child\r\n")
        os.ftruncate(fd, 0)
        os.write(fd, b"Subject: half\r\n\r\nha")
        mount.kill()
        with pytest.raises(OSError):
            os.close(fd)
        mount.start().online()
        judge.wait([letter(b"old\r\n") + b"a child\r\n"])
        assert mount.read("INBOX/" + name) == letter(b"old\r\n") + b"a child\r\n"
        lost = mount.path + "/.mailfs/lost+found/unknown"
        system.wait_for(lambda: any(mount.read(".mailfs/lost+found/unknown/" + each) ==
                                    b"Subject: half\r\n\r\nha" for each in os.listdir(lost)),
                        "the half is kept")

    def test_all_is_sent_at_the_end(self, account, judge, mounts):
        mount = mounts(account).start().online()
        fd = create(mount.path + "/INBOX/x.eml")
        for n in range(3):
            self.flush_in_child(fd, b"Field-%d: x\r\n" % n)
        os.write(fd, b"\r\nBody.\r\n")
        os.close(fd)
        judge.wait([b"Field-0: x\r\nField-1: x\r\nField-2: x\r\n\r\nBody.\r\n"])
        mount.restart().online()
        assert os.listdir(mount.path + "/INBOX") == ["x.eml"]
        assert not os.path.exists(mount.path + "/.mailfs/lost+found/unknown")


class TestNoFsync:
    """J6: a disk that did not take it may have lost it without saying so the next time."""

    def test_a_flush(self, account, judge, faulty):
        mount = faulty(commit="release")
        fd = create(mount.path + "/INBOX/x.eml")
        os.write(fd, letter(b"first\r\n"))
        mount.ask("fsync-stage=error")
        refused(errno.EIO, os.close, fd)
        mount.ask("")
        refused(errno.EROFS, create, mount.path + "/INBOX/y.eml")
        judge.wait([])
        mount.kill()
        mount.start().online()
        wait_lost(mount, "x.eml", letter(b"first\r\n"))
        judge.wait([])

    @pytest.mark.parametrize("name", ["x.bak", ".m.eml"])
    def test_scratch(self, account, faulty, folder, name):
        """mv removes its source when close has answered 0."""
        mount = faulty()
        with open(folder + "/" + name, "wb") as f:
            f.write(letter(b"mine\r\n"))
        mount.ask("fsync-stage=error")
        mv = subprocess.run(["mv", name, mount.path + "/INBOX/"], cwd=folder, check=False,
                            capture_output=True, text=True, timeout=30)
        assert mv.returncode == 1 and "Input/output error" in mv.stderr
        assert os.path.exists(folder + "/" + name)


def test_flags_of_the_view_outlive_the_process(account, judge, mounts):
    account.through_proxy()
    mount = mounts(account, offline="queue").start().online()
    view = mount.path + "/.mailfs/maildir/INBOX/"
    os.listdir(view + "cur")
    account.proxy.down()
    mount.wait_state("offline")
    with open(view + "tmp/abc.host", "wb") as f:
        f.write(letter(b"mine\r\n"))
    os.rename(view + "tmp/abc.host", view + "cur/abc.host:2,FS")
    mount.kill()
    mount.start()
    system.wait_for(lambda: os.listdir(view + "cur") == ["abc.host:2,FS"], "it has its flags")
    account.proxy.up()
    mount.wait_state("online", 30)
    judge.wait([letter(b"mine\r\n")])
    assert {"\\Flagged", "\\Seen"} <= set(list(judge.see().values())[0].flags)


class Few:
    """A place with few descriptors."""
    pid = "self"

    @staticmethod
    def command(argv):
        return ["prlimit", "--nofile=128:128", *map(str, argv)]

    def own(self, path):
        pass

    def close(self):
        pass


def test_a_long_queue_needs_few_descriptors(account, judge, mounts):
    account.through_proxy()
    mount = mounts(account, place=Few(), offline="queue").start().online()
    os.listdir(mount.path + "/INBOX")
    account.proxy.down()
    mount.wait_state("offline")
    letters = [mail.tiny(n) for n in range(150)]
    for n, data in enumerate(letters):
        with open("%s/INBOX/%d.eml" % (mount.path, n), "wb") as f:
            f.write(data)
    assert mount.read("INBOX/7.eml") == letters[7]
    account.proxy.up()
    judge.wait(letters, seconds=60)
