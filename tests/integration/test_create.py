"""Writing a file into a mailbox makes one message of it, whoever writes, and however; when close
has answered 0 the server has it.  What cannot be a message is refused, and its octets are kept."""
import errno
import os
import shutil
import subprocess
import time

import pytest

from bed import mail, scripted, system
from bed.mail import ARABIC_FOLDER, EPOCH, PERSIAN_FOLDER, PERSIAN_SUBJECT

EVERYWHERE = pytest.mark.parametrize("account", ["full", "bare", "cyrus"], indirect=True)
DATE = EPOCH - 86400 * 100

# Scripts of sh that make $dst of $src, or of its two halves.
WAYS = {
    "cp": 'cp "$src" "$dst"',
    "cp-p": 'cp -p "$src" "$dst"',
    "mv": 'cp -p "$src" "$src.mv" && mv "$src.mv" "$dst"',
    "rsync": 'rsync -a "$src" "$dst"',
    "install": 'install -m 600 "$src" "$dst"',
    "redirect": 'cat "$src" > "$dst"',
    "builtin": '{ printf "%s" "$(cat "$src")"; echo; } > "$dst"',
    "two-halves": 'cat "$head" "$tail" > "$dst"',
    "subshells": '(cat "$head"; cat "$tail") > "$dst"',
    "exec": 'exec 5> "$dst"; cat "$head" >&5; cat "$tail" >&5; exec 5>&-',
    "append-to-none": 'cat "$src" >> "$dst"',
    "touch-first": 'touch "$dst"; cat "$src" >> "$dst"',
    "dd": 'dd if="$src" of="$dst" bs=100 status=none',
    "dd-fsync": 'dd if="$src" of="$dst" bs=1k conv=fsync status=none',
    "tee": 'tee "$dst" < "$src" > /dev/null',
    "tar": 'tar -C "$(dirname "$src")" -cf - "$(basename "$src")" |'
           ' tar -C "$(dirname "$dst")" -xf -',
    "scratch-name": 'cp "$src" "$dst.tmp" && mv "$dst.tmp" "$dst"',
    "hidden-name": 'cp -p "$src" "$(dirname "$dst")/.new" && mv "$(dirname "$dst")/.new" "$dst"',
}
KEEP_THE_DATE = {"cp-p", "mv", "rsync", "tar", "hidden-name"}


def letter(marker, n_lines=40):
    body = b"".join(b"Line %d of %s.\r\n" % (n, marker.encode()) for n in range(n_lines))
    return mail.message("Letter " + marker, body=body,
                        extra=b"Message-ID: <%s@example.org>\r\n" % marker.encode())


def write_file(path, data, date=DATE):
    with open(path, "wb") as f:
        f.write(data)
    os.utime(path, (date, date))
    return path


def write_pieces(path, data):
    """Out of order, with a gap that is filled last."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.pwrite(fd, data[700:], 700)
    os.pwrite(fd, data[:300], 0)
    os.pwrite(fd, data[300:700], 300)
    os.close(fd)


def write_and_sync(path, data):
    """fsync commits; nothing is written after it."""
    with open(path, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def write_read_write(path, data):
    with open(path, "w+b", buffering=0) as f:
        f.write(data[:500])
        f.seek(0)
        assert f.read() == data[:500]
        f.write(data[500:])


PYTHON = {"python": lambda path, data: write_file(path, data),
          "python-pieces": write_pieces,
          "python-fsync": write_and_sync,
          "python-reads": write_read_write}
COPIES = {"shutil-copy": shutil.copy, "shutil-copy2": shutil.copy2}


def differing(found, wanted):
    """The keys by which two dictionaries differ: names, and not all their octets."""
    return sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))


def refused(number, function, *args):
    with pytest.raises(OSError) as caught:
        function(*args)
    assert caught.value.errno == number, caught.value


@pytest.fixture
def mount(account, mounts):
    return mounts(account).start().online()


@EVERYWHERE
def test_every_way_makes_one_message(account, judge, mount, folder):
    letters = {way: letter(way) for way in [*WAYS, *PYTHON, *COPIES]}
    failed, late = {}, []
    for way, data in letters.items():
        path = "%s/INBOX/%s.eml" % (mount.path, way)
        source = write_file("%s/%s.eml" % (folder, way), data)
        if way in WAYS:
            half = len(data) // 2
            result = subprocess.run(["sh", "-ec", WAYS[way]], timeout=30, env=dict(
                mount.environment, src=source, dst=path,
                head=write_file(folder + "/head", data[:half]),
                tail=write_file(folder + "/tail", data[half:])),
                                    check=False, capture_output=True, text=True)
            if result.returncode:
                failed[way] = result.stderr
        elif way in PYTHON:
            PYTHON[way](path, data)
        else:
            COPIES[way](source, path)
        if not judge.has(data):
            late.append(way)
    assert not failed
    assert not late, "close has answered before the server"
    by_name = {name: name + ".eml" for name in letters}
    judge.wait(letters.values())

    seen = {seen.data: seen for seen in judge.see().values()}
    for way in KEEP_THE_DATE:
        assert seen[letters[way]].date == DATE, way
    assert abs(seen[letters["cp"]].date - time.time()) < 120
    assert not [way for way, data in letters.items()
                if os.stat("%s/INBOX/%s" % (mount.path, by_name[way])).st_size != len(data)]

    def names_and_octets():
        assert sorted(os.listdir(mount.path + "/INBOX")) == sorted(by_name.values())
        found = {way: mount.read("INBOX/" + name) for way, name in by_name.items()}
        assert not differing(found, letters)
    names_and_octets()
    mount.stop()
    mount.empty_cache()
    mount.start().online()
    names_and_octets()
    assert os.stat(mount.path + "/INBOX/shutil-copy2.eml").st_mtime == DATE
    judge.wait(letters.values())


@EVERYWHERE
def test_rsync_transfers_once(account, judge, mount, folder):
    letters = {"%d.eml" % n: letter("rsync%d" % n) for n in range(6)}
    os.mkdir(folder + "/from")
    for n, (name, data) in enumerate(letters.items()):
        write_file("%s/from/%s" % (folder, name), data, DATE + n)
    command = ["rsync", "-a", "--out-format=%n", folder + "/from/", mount.path + "/INBOX/"]
    first = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert set(letters) <= set(first.split())
    judge.wait(letters.values())
    assert sorted(seen.date for seen in judge.see().values()) == [DATE + n for n in range(6)]
    again = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert ".eml" not in again
    mount.restart().online()
    again = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert ".eml" not in again
    judge.wait(letters.values())


@EVERYWHERE
def test_bare_line_feeds_are_sent_canonical(account, judge, mount, folder):
    """The file then shows what the server holds."""
    data = letter("lf")
    source = write_file(folder + "/lf.eml", data.replace(b"\r\n", b"\n"))
    subprocess.run(["cp", "-p", source, mount.path + "/INBOX/lf.eml"], check=True)
    judge.wait([data])
    assert mount.read("INBOX/lf.eml") == data
    assert os.stat(mount.path + "/INBOX/lf.eml").st_size == len(data)


@EVERYWHERE
@pytest.mark.parametrize("command", [["cp"], ["rsync", "-t"]], ids=" ".join)
def test_the_same_octets_once_more(account, judge, mount, folder, command):
    """What the server has already is not sent again, nor is its copy thrown away; LF or not."""
    data = letter("same")
    source = write_file(folder + "/same.eml", data.replace(b"\r\n", b"\n"), DATE)
    target = mount.path + "/INBOX/same.eml"
    subprocess.run(["cp", "-p", source, target], check=True)
    judge.wait([data])
    before = judge.see()
    for _ in range(2):
        subprocess.run(command + [source, target], check=True)
        assert mount.read("INBOX/same.eml") == data
    assert judge.see() == before
    assert not (judge.exists("Trash") and judge.see("Trash"))
    subprocess.run(["cp", write_file(folder + "/other.eml", letter("other")), target], check=True)
    judge.wait([letter("other")])


@pytest.mark.parametrize("account", ["full", "ns", "cyrus"], indirect=True)
def test_into_mailboxes_that_were_never_listed(account, judge, mounts, folder):
    boxes = ["Box", PERSIAN_FOLDER, "Box/" + ARABIC_FOLDER]
    old = {name: letter("old%d" % n) for n, name in enumerate(boxes)}
    for name, data in old.items():
        account.create(name)
        judge.append(data, name)
    mount = mounts(account).start().online()
    for n, name in enumerate(boxes):
        data = letter("new%d" % n)
        shutil.copy(write_file(folder + "/x.eml", data),
                    "%s/%s/new.eml" % (mount.path, account.shown(name)))
        judge.wait([old[name], data], name)
        names = os.listdir(os.path.join(mount.path, account.shown(name)))
        assert len([x for x in names if x.endswith(".eml")]) == 2 and "new.eml" in names


@pytest.mark.parametrize("account", ["full", "cyrus"], indirect=True)
def test_any_script_and_any_sign_in_a_name(account, judge, mount, folder):
    names = ["نامه\u200cها.eml", "تقرير الربع.eml", PERSIAN_SUBJECT + ".eml", "📬 ✉.eml",
             "a b 'c' \"d\" $e %20 \\f.eml", "n" * 250 + ".eml", "-rf.eml", "UPPER.EML.eml"]
    letters = {name: letter("name%d" % n) for n, name in enumerate(names)}
    for name, data in letters.items():
        write_file("%s/INBOX/%s" % (mount.path, name), data)
    judge.wait(letters.values())
    for _ in range(2):
        found = {name: mount.read("INBOX/" + name) for name in os.listdir(mount.path + "/INBOX")}
        assert not differing(found, letters)
        mount.restart().online()


@pytest.mark.parametrize("account", ["full", "bare"], indirect=True)
def test_eight_writers_at_once(account, judge, mount, folder):
    letters = {"%d.eml" % n: letter("many%d" % n, 1 + n * 40) for n in range(48)}
    os.mkdir(folder + "/many")
    for name, data in letters.items():
        write_file(folder + "/many/" + name, data)
    subprocess.run(["sh", "-c", 'ls | xargs -P8 -I{} cp {} "$0"/{}', mount.path + "/INBOX"],
                   check=True, cwd=folder + "/many", timeout=60)
    judge.wait(letters.values())
    found = {name: mount.read("INBOX/" + name) for name in os.listdir(mount.path + "/INBOX")}
    assert not differing(found, letters)


def test_who_flushes_and_who_commits(account, judge, mount, folder):
    """Half a message that a child has flushed is not sent; a file that outlives its creator is
    sent when the last one lets go of it."""
    data = letter("outlives")
    half = len(data) // 2
    head, tail = (write_file(folder + "/" + name, data) for name, data in
                  (("head", data[:half]), ("tail", data[half:])))
    mount.shell('exec 5> INBOX/late.eml\ncat "%s" >&5\n(sleep 0.5; cat "%s" >&5) &\n'
                'exec 5>&-' % (head, tail))
    judge.wait([data])
    assert os.listdir(mount.path + "/INBOX") == ["late.eml"]


def test_what_is_written_after_a_commit_supersedes_it(account, judge, mount):
    data = letter("twice")
    half = data.index(b"\r\n", 600) + 2
    with open(mount.path + "/INBOX/twice.eml", "wb", buffering=0) as f:
        f.write(data[:half])
        os.fsync(f.fileno())
        assert judge.data() == [data[:half]]
        f.write(data[half:])
    judge.wait([data])
    assert mount.read("INBOX/twice.eml") == data


def test_commit_at_release(account, judge, mounts):
    """commit=release: neither fsync nor the first close sends; the last one does."""
    mount = mounts(account, commit="release").start().online()
    data = letter("release")
    with open(mount.path + "/INBOX/r.eml", "wb", buffering=0) as f:
        f.write(data[:700])
        os.fsync(f.fileno())
        os.close(os.dup(f.fileno()))
        time.sleep(0.3)  # time in which it might be sent
        assert judge.see() == {}
        f.write(data[700:])
    judge.wait([data])


def test_directories_move_with_their_files(account, mount):
    """Their times, by which tools see that something has changed."""
    inbox, path = mount.path + "/INBOX", mount.path + "/INBOX/one.eml"
    times = [os.stat(inbox).st_mtime_ns]
    for function, args in ((write_file, (path, letter("one"))),
                           (os.rename, (path, path[:-4] + "2.eml")),
                           (os.unlink, (path[:-4] + "2.eml",))):
        function(*args)
        times.append(os.stat(inbox).st_mtime_ns)
    assert times == sorted(set(times))


def test_times_and_modes_are_kept(account, judge, mount):
    path = mount.path + "/INBOX/kept.eml"
    write_file(path, letter("kept"), EPOCH)
    before = {uid: seen.date for uid, seen in judge.see().items()}
    os.utime(path, (DATE, DATE))
    os.chmod(path, 0o400)
    os.chown(path, os.getuid(), os.getgid())
    refused(errno.EPERM, os.chown, path, os.getuid() + 1, -1)
    for _ in range(2):
        info = os.stat(path)
        assert (info.st_mtime, info.st_mode & 0o777) == (DATE, 0o400)
        mount.restart().online()
    assert {uid: seen.date for uid, seen in judge.see().items()} == before


class TestNoMessages:
    """Files that are none, by their octets or by their names."""

    def test_octets(self, account, judge, mount, folder):
        lost = mount.path + "/.mailfs/lost+found/INBOX/"
        none = {"text.eml": b"hello\n", "elf.eml": b"\x7fELF\x02\x01\x01\x00\x00",
                "no-header.eml": b"\r\nNo header.\r\n", "late.eml": b"a line\nSubject: x\n",
                "nul.eml": b"Subject: x\r\n\r\nA NUL: \0.\r\n"}

        def write(name, data):
            fd = os.open("%s/INBOX/%s" % (mount.path, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(fd, data)
            refused(errno.EINVAL, os.close, fd)

        def kept():
            found = {}
            for name in none:
                with open(lost + name, "rb") as f, open(lost + name + ".reason", "rb") as reason:
                    found[name] = f.read()
                    assert len(reason.read().split()) > 3, "a sentence"
            return not differing(found, none)
        for name, data in none.items():
            write(name, data)
            cp = subprocess.run(["cp", write_file(folder + "/x", data),
                                 "%s/INBOX/cp-%s" % (mount.path, name)],
                                check=False, capture_output=True, text=True)
            assert cp.returncode == 1 and "Invalid argument" in cp.stderr, name
        system.wait_for(kept, "the octets and the reasons are in lost+found")
        mount.restart().online()
        assert kept() and judge.see() == {} and os.listdir(mount.path + "/INBOX") == []
        # a name that is taken there, too
        write("nul.eml", none["nul.eml"] + b"again")
        system.wait_for(lambda: len([x for x in os.listdir(lost) if x.startswith("nul")
                                     and not x.endswith(".reason")]) == 2, "both are kept")
        assert kept()

    def test_names(self, account, judge, mount, folder):
        inbox = mount.path + "/INBOX"
        for name in ("README", "notes.txt", "a.html", "x.eml.zip", ".DS_Store", ".directory",
                     "Thumbs.db", "desktop.ini"):
            refused(errno.EPERM, os.open, inbox + "/" + name, os.O_WRONLY | os.O_CREAT)
        for name in (".git", ".hg", ".svn", ".Trash-0", ".hidden"):
            refused(errno.EPERM, os.mkdir, inbox + "/" + name)
        refused(errno.EPERM, os.symlink, "INBOX", inbox + "/link.eml")
        refused(errno.EPERM, os.mkfifo, inbox + "/fifo.eml")
        write_file(inbox + "/one.eml", letter("one"))
        refused(errno.EPERM, os.link, inbox + "/one.eml", inbox + "/two.eml")
        refused(errno.EPERM, os.rename, inbox + "/one.eml", inbox + "/one.txt")
        with pytest.raises(OSError):
            os.open(mount.path + "/x.eml", os.O_WRONLY | os.O_CREAT)
        for where in (".mailfs", ".mailfs/lost+found", ".mailfs/pending"):
            with pytest.raises(OSError):
                os.open("%s/%s/x.eml" % (mount.path, where), os.O_WRONLY | os.O_CREAT)
        assert os.listdir(inbox) == ["one.eml"]
        judge.wait([letter("one")])

    def test_git_is_refused_cleanly(self, account, judge, mounts):
        proxy = account.through_proxy()
        mount = mounts(account).start().online()
        assert os.listdir(mount.path + "/INBOX") == []
        proxy.forget()
        # not by cwd=: the proxy is of this process, which stands still until the child has moved
        said = mount.shell("cd INBOX && git init . 2>&1; echo $?")
        assert "not permitted" in said and said.split()[-1] != "0"
        assert os.listdir(mount.path + "/INBOX") == []
        assert not proxy.changes()
        # the directory that it makes first is a mailbox
        said = mount.shell("cd INBOX && git init repo 2>&1; echo $?")
        assert "not permitted" in said and said.split()[-1] != "0"
        assert "CREATE" in proxy.changes()
        assert os.listdir(mount.path + "/INBOX/repo") == []
        assert judge.exists("INBOX/repo")
        mount.shell("rmdir INBOX/repo")
        assert not judge.exists("INBOX/repo") and os.listdir(mount.path + "/INBOX") == []

    def test_a_name_that_exists(self, account, judge, mount):
        path = mount.path + "/INBOX/one.eml"
        write_file(path, letter("one"))
        refused(errno.EEXIST, os.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        refused(errno.ENOTDIR, os.open, path + "/x.eml", os.O_WRONLY | os.O_CREAT)
        refused(errno.EISDIR, os.open, mount.path + "/INBOX", os.O_WRONLY)
        judge.wait([letter("one")])


class TestServersThatRefuse:
    @pytest.mark.parametrize("account", ["small"], indirect=True)
    def test_over_quota(self, account, judge, mount, folder):
        big = letter("big", 5000)
        cp = subprocess.run(["cp", write_file(folder + "/x", big), mount.path + "/INBOX/big.eml"],
                            check=False, capture_output=True, text=True)
        assert cp.returncode == 1 and "quota exceeded" in cp.stderr
        assert judge.see() == {}
        self.assert_kept(mount, "big.eml", big, "uota")
        write_file(mount.path + "/INBOX/fits.eml", letter("fits"))
        judge.wait([letter("fits")])

    def test_codes(self, scripted_server, mounts):
        server = scripted_server({"INBOX": []})
        mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}).start().online()
        for code, words, number in (
                ("OVERQUOTA", "your mailbox is full", errno.EDQUOT),
                ("TOOBIG", "at most 10 octets", errno.EFBIG),
                ("NOPERM", "not for you", errno.EACCES),
                ("CANNOT", "this is not a mailbox for that", errno.EACCES),
                ("TRYCREATE", "no such mailbox", errno.ENOENT)):
            rule = server.rule(r"^APPEND ", tagged="NO [%s] %s" % (code, words))
            data = letter(code)
            refused(number, write_file, "%s/INBOX/%s.eml" % (mount.path, code), data)
            assert rule.hits == 1 and server.appended.pop() == ("INBOX", data), code
            self.assert_kept(mount, code + ".eml", data, words)
            assert words in mount.log()
        server.rules.clear()
        write_file(mount.path + "/INBOX/yes.eml", data)
        assert [m.data for m in server.mailboxes["INBOX"]] == [data]

    def test_rights(self, account, judge, mounts):
        """MYRIGHTS and a mailbox that opens for reading only."""
        account.create("Shared")
        judge.append(letter("there"), "Shared")
        judge.set_rights("Shared", "owner", "lr")
        mount = mounts(account).start().online()
        path = mount.path + "/Shared/" + mount.messages("Shared")[1]
        for function, args in ((write_file, (mount.path + "/Shared/new.eml", letter("new"))),
                               (os.unlink, (path,)),
                               (os.rename, (path, mount.path + "/INBOX/x.eml"))):
            with pytest.raises(OSError) as caught:
                function(*args)
            assert caught.value.errno in (errno.EACCES, errno.EROFS), function
        assert mount.read("Shared/" + os.path.basename(path)) == letter("there")
        judge.wait([letter("there")], "Shared")
        judge.wait([])

    def test_a_mailbox_for_reading_only(self, scripted_server, mounts):
        server = scripted_server({"INBOX": [scripted.Message(1, letter("there"))]},
                                 capabilities="IMAP4rev1 UIDPLUS MOVE")
        server.read_only.add("INBOX")
        mount = mounts({"imap": server.url(), "user": "u", "password": "secret"},
                       delete="expunge").start().online()
        path = mount.path + "/INBOX/" + mount.messages()[1]
        refused(errno.EROFS, os.unlink, path)
        assert mount.read("INBOX/" + os.path.basename(path)) == letter("there")
        assert not server.commands(r" (MOVE|STORE|EXPUNGE|APPEND)\b")

    @staticmethod
    def assert_kept(mount, name, data, reason):
        lost = mount.path + "/.mailfs/lost+found/INBOX/" + name
        system.wait_for(lambda: os.path.exists(lost + ".reason"), "the reason")
        with open(lost, "rb") as f, open(lost + ".reason", encoding="utf-8") as why:
            assert f.read() == data
            assert reason in why.read()
