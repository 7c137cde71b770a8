"""Editing a file replaces its message: the same name, flags, keywords and date, one message on the
server, and the old one in Trash; an editor's own files stay here."""
import collections
import errno
import os
import re
import shutil
import subprocess
import threading
import time

import pytest

from bed import mail, system, terminal

EVERYWHERE = pytest.mark.parametrize("account", ["full", "bare", "cyrus"], indirect=True)
# backupskip: by default it leaves out /tmp, where the tests run
VIM = "vim.tiny -N -u NONE -i NONE -es -c 'set backup backupskip= backupdir=. backupcopy=%s'" \
      " -c '%%s/Hello/Salam/' -c wq \"$f\""

# Scripts of sh that change the file $f of the folder in which they run; $new is another letter.
EDITS = {
    "sed": 'sed -i s/Hello/Salam/ "$f"',
    "perl": 'perl -i -pe s/Hello/Salam/ "$f"',
    "perl-backup": 'perl -i~ -pe s/Hello/Salam/ "$f"',
    "gawk": """gawk -i inplace '{ gsub("Hello", "Salam"); print }' "$f\"""",
    "patch": 'sed s/Hello/Salam/ "$f" | diff --label "$f" --label "$f" -u "$f" - |'
             ' patch -s --binary "$f"',
    "append": r'printf "P.S. x\r\n" >> "$f"',
    "truncate": 'truncate -s -9 "$f"',
    "redirect": 'cat "$new" > "$f"',
    "cp": 'cp "$new" "$f"',
    "cp-rename": 'cp "$new" "$f.tmp" && mv "$f.tmp" "$f"',
    "rsync": 'rsync --ignore-times "$new" "$f"',
    "dd": r'printf "SALAM" | dd of="$f" bs=1 seek=300 conv=notrunc status=none',
    "ed": r'printf ",s/Hello/Salam/\nw\nq\n" | ed -s "$f" > /dev/null',
    "vim-yes": VIM % "yes",
    "vim-no": VIM % "no",
    "vim-auto": VIM % "auto",
    # as Emacs does: the old file becomes the backup, and a new one is written in its place
    "emacs": 'mv "$f" "$f~" && cp "$new" "$f"',
    "emacs-lock": 'cp "$f" "#$f#" && cp "$new" "$f" && rm "#$f#"',
}
IN_PLACE = {"append", "truncate", "redirect", "cp", "dd", "ed", "vim-yes"}
BACKUPS = {"vim-yes", "vim-no", "vim-auto", "emacs", "perl-backup"}
FLAGS = {"\\Seen", "\\Flagged", "work"}
DATE = mail.EPOCH - 86400


def letter(marker, word=b"Hello", n_lines=30):
    body = b"".join(b"%s, line %d of %s.\r\n" % (word, n, marker.encode())
                    for n in range(n_lines))
    return mail.message("Letter " + marker, body=body, extra=b"X-Marker: %s\r\nMessage-ID: <%s@"
                        b"example.org>\r\n" % (marker.encode(), marker.encode()))


def marker_of(data):
    return re.search(rb"X-Marker: (\S+)", data).group(1).decode("ascii")


def run(script, folder, name, new, environment):
    """Gives what went wrong."""
    result = subprocess.run(["sh", "-ec", script], check=False, timeout=30, cwd=folder,
                            stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            env=dict(environment, f=name, new=new))
    return "%d: %s" % (result.returncode, result.stderr) if result.returncode else None


def on_a_plain_disk(edit, folder, name, old, new, environment):
    """The octets that the edit makes of a file elsewhere, with the line ends of mail."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(old)
    if isinstance(edit, str):
        assert not run(edit, folder, name, new, environment)
    else:
        edit(os.path.join(folder, name))
    with open(os.path.join(folder, name), "rb") as f:
        return re.sub(rb"\r?\n", b"\r\n", f.read())


def differing(found, wanted):
    return sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))


def seed(judge, markers):
    for marker in markers:
        judge.append(letter(marker), flags="(%s)" % " ".join(sorted(FLAGS)), date=DATE)


def names_by_marker(mount):
    return {marker_of(mount.read("INBOX/" + name)): name
            for name in mount.messages().values()}


def eml(mount, mailbox="INBOX"):
    return sorted(x for x in os.listdir(os.path.join(mount.path, mailbox)) if x.endswith(".eml"))


def assert_replaced(judge, wanted, trash="Trash"):
    """On the server: one message a marker, with these octets and all that belonged to the old;
    the old ones are in Trash."""
    found = collections.Counter(marker_of(seen.data) for seen in judge.see().values())
    assert not [marker for marker, n in found.items() if n != 1], "doubled"
    seen = {marker_of(seen.data): seen for seen in judge.see().values()}
    assert not differing({marker: one.data for marker, one in seen.items()}, wanted)
    assert not [m for m, one in seen.items() if one.flags != FLAGS], seen["append"].flags
    assert not [m for m, one in seen.items() if one.date != DATE]
    if trash:
        judge.wait([letter(marker) for marker in wanted], trash)


@EVERYWHERE
def test_flags_that_another_client_set_meanwhile(account, judge, mounts):
    """Those of the server at the time of the edit count, not those of the last sync."""
    account.create("Box")
    judge.append(letter("one"), "Box", flags="(\\Seen kw0)")
    proxy = account.through_proxy()
    mount = mounts(account, poll="1h").start().online()
    path = "%s/Box/%s" % (mount.path, mount.messages("Box")[1])
    for n, flag in enumerate(("kw1", "kw2"), 1):
        uid = str(max(account.fetch("Box")))
        account.store("Box", uid, "\\Flagged " + flag)
        account.store("Box", uid, "\\Seen kw0", "-")
        proxy.forget()
        with open(path, "ab") as f:
            f.write(b"P.S.\r\n")
        assert len(proxy.lines(r"UID FETCH \d+ \(UID FLAGS\)")) <= 2, proxy.lines()
        [seen] = judge.see("Box").values()
        assert seen.data == letter("one") + b"P.S.\r\n" * n
        assert seen.flags == {"\\Flagged", *("kw1", "kw2")[:n]}
    info = mount.run("info", path).stdout
    assert "kw1" in info and "kw2" in info and "kw0" not in info


@EVERYWHERE
def test_every_edit_replaces_the_message(account, judge, mounts, folder):
    seed(judge, EDITS)
    mount = mounts(account).start().online()
    names = names_by_marker(mount)
    inodes = {edit: os.stat("%s/INBOX/%s" % (mount.path, names[edit])).st_ino for edit in EDITS}
    wanted, failed = {}, {}
    for edit, script in EDITS.items():
        new = "%s/new.eml" % folder
        with open(new, "wb") as f:
            f.write(letter(edit, b"Salam", 50))
        wanted[edit] = on_a_plain_disk(script, folder + "/plain", names[edit], letter(edit), new,
                                       mount.environment)
        failed[edit] = run(script, mount.path + "/INBOX", names[edit], new, mount.environment)
    assert not {edit: why for edit, why in failed.items() if why}
    assert_replaced(judge, wanted)

    def assert_shown():
        assert eml(mount) == sorted(names.values())
        found = {edit: mount.read("INBOX/" + name) for edit, name in names.items()}
        assert not differing(found, wanted)
        backups = {edit: mount.read("INBOX/%s~" % names[edit]) for edit in BACKUPS}
        assert not differing(backups, {edit: letter(edit) for edit in BACKUPS})
        assert {x for x in os.listdir(mount.path + "/INBOX") if not x.endswith(".eml")} \
            == {names[edit] + "~" for edit in BACKUPS}
    assert_shown()
    assert not [edit for edit in IN_PLACE if os.stat(
        "%s/INBOX/%s" % (mount.path, names[edit])).st_ino != inodes[edit]]
    mount.stop()
    mount.empty_cache()
    mount.start().online()
    assert_shown()
    assert_replaced(judge, wanted)


def python_in_place(path):
    with open(path, "r+b", buffering=0) as f:
        data = f.read()
        f.seek(data.index(b"Hello"))
        f.write(b"SALAM")
        f.seek(0, os.SEEK_END)
        f.write(b"The end.\r\n")


def python_rewrite(path):
    with open(path, "rb") as f:
        data = f.read()
    with open(path, "wb") as f:
        f.write(data.replace(b"Hello", b"Good morning"))


def python_replace(path):
    with open(path, "rb") as f:
        data = f.read()
    with open(path + ".tmp", "xb") as f:
        f.write(data.replace(b"Hello", b"Bye"))
        f.flush()
        os.fsync(f.fileno())
    os.replace(path + ".tmp", path)


def python_syncs(path):
    """Each fsync commits a version; one message is left."""
    with open(path, "ab", buffering=0) as f:
        for n in range(3):
            f.write(b"Version %d.\r\n" % n)
            os.fsync(f.fileno())


def python_two_handles(path):
    with open(path, "r+b", buffering=0) as one, open(path, "r+b", buffering=0) as other:
        one.seek(300)
        one.write(b"ONE")
        other.seek(310)
        other.write(b"OTHER")
        one.seek(300)
        assert one.read(15)[10:] == b"OTHER"


@pytest.mark.parametrize("account", ["full", "bare"], indirect=True)
def test_programs_that_edit(account, judge, mounts, folder):
    edits = [python_in_place, python_rewrite, python_replace, python_syncs, python_two_handles]
    seed(judge, [edit.__name__ for edit in edits])
    mount = mounts(account).start().online()
    names = names_by_marker(mount)
    wanted = {}
    for edit in edits:
        key = edit.__name__
        wanted[key] = on_a_plain_disk(edit, folder + "/plain", names[key], letter(key), None, None)
        edit("%s/INBOX/%s" % (mount.path, names[key]))
    judge.wait(wanted.values())
    assert {(seen.flags, seen.date) for seen in judge.see().values()} == {(frozenset(FLAGS), DATE)}
    assert not differing({key: mount.read("INBOX/" + name) for key, name in names.items()}, wanted)
    assert eml(mount) == sorted(names.values())


TERMINAL = {
    "vim": (["vim.tiny", "-N", "-u", "NONE", "-i", "NONE"],
            [":set backupcopy=auto backupskip=\r", "gg/Hello\r", "cwSalam\x1b", ":w\r",
             "oA line more.\x1b", ":wq\r"]),
    "nano": (["nano", "-I", "-B", "-G"], ["X-Note: here\r", "\x0f", "\r", "\x18"]),
}


@pytest.mark.parametrize("editor", TERMINAL)
def test_editors_on_a_terminal(account, judge, mounts, folder, editor):
    seed(judge, [editor])
    mount = mounts(account).start().online()
    name = mount.messages()[1]
    argv, keys = TERMINAL[editor]

    def use(path):
        where, base = os.path.split(path)
        assert terminal.use([*argv, base], keys, cwd=where,
                            env=dict(mount.environment, TERM="xterm")) == 0
    wanted = on_a_plain_disk(use, folder + "/plain", name, letter(editor), None, None)
    assert wanted != letter(editor)
    use(mount.path + "/INBOX/" + name)
    judge.wait([wanted])
    assert [seen.flags for seen in judge.see().values()] == [FLAGS]
    assert mount.read("INBOX/" + name) == wanted
    system.wait_for(lambda: eml(mount) == [name], "one name")


class TestRaces:
    @pytest.fixture
    def mount(self, account, judge, mounts):
        seed(judge, ["mine"])
        account.through_proxy()
        return mounts(account).start().online()

    @EVERYWHERE
    def test_changed_elsewhere_keeps_both(self, account, judge, mount):
        path = mount.path + "/INBOX/" + mount.messages()[1]
        theirs = letter("theirs")
        with open(path, "ab") as f:
            f.write(b"Mine.\r\n")
            judge.append(theirs)
            account.expunge("INBOX", "1")
        judge.wait([theirs, letter("mine") + b"Mine.\r\n"])
        system.wait_for(lambda: len(eml(mount)) == 2, "both are shown")
        assert sorted(mount.read("INBOX/" + name) for name in eml(mount)) == judge.data()

    def test_flags_that_change_meanwhile(self, account, judge, mount):
        """Another client's change of flags during an edit is carried over."""
        path = mount.path + "/INBOX/" + mount.messages()[1]
        with open(path, "ab") as f:
            f.write(b"Mine.\r\n")
            account.store("INBOX", "1", "\\Answered")
            system.wait_for(lambda: "answered" in mount.run("flag", path).stdout, "the flag")
        judge.wait([letter("mine") + b"Mine.\r\n"])
        assert [seen.flags for seen in judge.see().values()] == [FLAGS | {"\\Answered"}]

    def test_written_while_a_commit_is_under_way(self, account, judge, mount):
        """A new revision, sent after the first."""
        path = mount.path + "/INBOX/" + mount.messages()[1]
        with open(path, "ab", buffering=0) as f:
            f.write(b"First.\r\n")
            account.proxy.delay = 0.1
            syncer = threading.Thread(target=os.fsync, args=(f.fileno(),))
            syncer.start()
            time.sleep(0.15)
            f.write(b"Second.\r\n")
            syncer.join()
            account.proxy.delay = 0
        judge.wait([letter("mine") + b"First.\r\nSecond.\r\n"])
        assert mount.read("INBOX/" + os.path.basename(path)) \
            == letter("mine") + b"First.\r\nSecond.\r\n"

    def test_removed_while_it_is_edited(self, account, judge, mount):
        """rm by a person, and the editor's file is still open: the last close brings nothing back
        into the mailbox, as everywhere."""
        path = mount.path + "/INBOX/" + mount.messages()[1]
        fd = os.open(path, os.O_RDWR)
        os.unlink(path)
        for function, args in ((os.pwrite, (fd, b"Too late.\r\n", 100)), (os.close, (fd,))):
            try:
                function(*args)
            except OSError as error:
                assert error.errno == errno.ESTALE
        judge.wait([])
        assert eml(mount) == []
        assert judge.has(letter("mine"), "Trash")

    def test_empty_replaces_nothing(self, account, judge, mount):
        path = mount.path + "/INBOX/" + mount.messages()[1]
        account.proxy.forget()
        with open(path, "wb"):
            pass
        os.truncate(path, 0)
        judge.wait([letter("mine")])
        assert mount.read("INBOX/" + os.path.basename(path)) == letter("mine")
        assert not account.proxy.changes()

    def test_unchanged_sends_nothing(self, account, judge, mount):
        path = mount.path + "/INBOX/" + mount.messages()[1]
        account.proxy.forget()
        with open(path, "r+b") as f:
            f.read()
        with open(path, "ab"):
            pass
        judge.wait([letter("mine")])
        assert not account.proxy.changes()

    def test_no_message_any_more(self, account, judge, mount):
        """EINVAL at close; the message stays, and what was written is in lost+found."""
        name = mount.messages()[1]
        f = os.open(mount.path + "/INBOX/" + name, os.O_WRONLY | os.O_TRUNC)
        os.write(f, b"No header at all\n")
        with pytest.raises(OSError):
            os.close(f)
        judge.wait([letter("mine")])
        lost = mount.path + "/.mailfs/lost+found/INBOX"
        system.wait_for(lambda: os.path.exists("%s/%s.reason" % (lost, name)), "it is kept")
        assert mount.read(".mailfs/lost+found/INBOX/" + name) == b"No header at all\n"


class TestScratch:
    NAMES = [".x.eml.swp", "x.eml~", "#x.eml#", "4913", "sedAb3dEf", "x.tmp", "x.eml.bak",
             "x.eml.Ab3dEf", "x.eml.oAb3dEf", "x.eml.partial", "x.eml.crdownload",
             ".goutputstream-XYZ123"]

    @pytest.fixture
    def mount(self, account, judge, mounts):
        seed(judge, ["one"])
        account.through_proxy()
        return mounts(account).start().online()

    def test_stays_here_and_survives_a_crash(self, account, judge, mount):
        account.proxy.forget()
        where = mount.path + "/INBOX/"
        wanted = {name: b"no message " + name.encode() * 100 for name in self.NAMES}
        for name, data in wanted.items():
            with open(where + name, "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
        os.rename(where + "x.tmp", where + "y.tmp")
        wanted["y.tmp"] = wanted.pop("x.tmp")
        with open(where + "4913", "ab") as f:
            f.write(b" and more")
            os.fsync(f.fileno())
        wanted["4913"] += b" and more"
        os.unlink(where + "#x.eml#")
        del wanted["#x.eml#"]
        for _ in range(2):
            assert set(os.listdir(where)) == {*wanted, mount.messages()[1]}
            assert not differing({name: mount.read("INBOX/" + name) for name in wanted}, wanted)
            mount.kill()
            mount.start().online()
        assert not account.proxy.changes()
        judge.wait([letter("one")])

    def test_a_parked_message_comes_back(self, account, judge, mount):
        """A crash between an editor's rename and its write."""
        name = mount.messages()[1]
        mount.read("INBOX/" + name)
        os.rename("%s/INBOX/%s" % (mount.path, name), "%s/INBOX/%s~" % (mount.path, name))
        assert os.listdir(mount.path + "/INBOX") == [name + "~"]
        assert mount.read("INBOX/%s~" % name) == letter("one")
        judge.wait([letter("one")])
        mount.kill()
        mount.start().online()
        assert os.listdir(mount.path + "/INBOX") == [name]
        assert mount.read("INBOX/" + name) == letter("one")
        judge.wait([letter("one")])
        assert not account.proxy.changes()

    def test_parked_and_renamed_back(self, account, judge, mount):
        name = mount.messages()[1]
        old, new = mount.path + "/INBOX/" + name, mount.path + "/INBOX/" + name + "~"
        os.rename(old, new)
        os.rename(new, old)
        assert os.listdir(mount.path + "/INBOX") == [name]
        judge.wait([letter("one")])
        assert mount.read("INBOX/" + name) == letter("one")
        assert not account.proxy.changes()

    def test_a_cache_that_was_emptied(self, account, judge, mount, folder):
        with open(mount.path + "/INBOX/.x.swp", "wb") as f:
            f.write(b"precious")
        mount.stop()
        mount.empty_cache()
        mount.start().online()
        assert mount.read("INBOX/.x.swp") == b"precious"
        shutil.copy(mount.path + "/INBOX/.x.swp", folder + "/x")
        os.unlink(mount.path + "/INBOX/.x.swp")
        assert eml(mount) == os.listdir(mount.path + "/INBOX")


def test_delete_expunge_leaves_no_old_copy(account, judge, mounts):
    seed(judge, ["append"])
    mount = mounts(account, delete="expunge").start().online()
    with open(mount.path + "/INBOX/" + mount.messages()[1], "ab") as f:
        f.write(b"More.\r\n")
    assert_replaced(judge, {"append": letter("append") + b"More.\r\n"}, trash=None)
    judge.wait([], "Trash")
