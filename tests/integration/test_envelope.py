"""Files that begin with the "From " line of an mbox (RFC 4155), as git format-patch, formail and
whoever copies a message out of an mbox write them: the line is no part of the message, and only
one message is in a file."""
import errno
import mailbox
import os
import shutil
import subprocess

import pytest

from bed import local, mail, system
from bed.pop3_account import on_wire
from bed.pop3_mount import stored

EVERYWHERE = pytest.mark.parametrize("account", ["full", "bare", "cyrus", "courier"],
                                     indirect=True)
ENVELOPE = b"From ali@example.org Tue Nov 14 22:13:20 2023\n"
# Scripts of sh that make the file $dst of the file $src.
WAYS = {
    "cp": 'cp "$src" "$dst"',
    "cp-p": 'cp -p "$src" "$dst"',
    "mv": 'mv "$src" "$dst"',  # from another file system
    "redirect": 'cat "$src" > "$dst"',
    "pieces": 'dd if="$src" of="$dst" bs=7 status=none',
    "rename": 'cp "$src" "$dst.tmp" && mv "$dst.tmp" "$dst"',
    "fsync": 'dd if="$src" of="$dst" conv=fsync status=none',
    "twice": 'cp "$src" "$dst" && cp "$src" "$dst"',
}


def letter(marker):
    """Its text has lines that begin as an envelope does."""
    return ("Message-ID: <%s@example.org>\nFrom: ali@example.org\nSubject: %s\n\n"
            "From here on it is text.\n\nFrom Monday at 10:00 in 2023 as well.\n\n"
            ">From what was quoted nothing is undone.\n" % (marker, marker)).encode("ascii")


def several(*markers):
    return b"".join(ENVELOPE + letter(marker) + b"\n" for marker in markers)


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def run(script, **values):
    result = subprocess.run(["sh", "-ec", script], check=False, timeout=30, capture_output=True,
                            env=dict(os.environ, **values), text=True)
    return result.stderr if result.returncode else ""


def every_way(mount, folder, where, stores):
    """Gives what is to be there then: stores(octets) is what becomes of a message."""
    letters = {way: letter(way) for way in WAYS}
    for way, data in letters.items():
        source = write(os.path.join(folder, way), ENVELOPE + data)
        name = "%s/%s.eml" % (where, way)
        assert run(WAYS[way], src=source, dst=os.path.join(mount.path, name)) == "", way
        assert mount.read(name) == stores(data), way
        assert os.stat(os.path.join(mount.path, name)).st_size == len(stores(data)), way
    return [stores(data) for data in letters.values()]


@EVERYWHERE
def test_every_way(account, judge, mounts, folder):
    mount = mounts(account).start().online()
    wanted = every_way(mount, folder, "INBOX", on_wire)
    if account.variant != "courier":  # which adds a line end
        judge.wait(wanted)
    names = {way + ".eml": on_wire(letter(way)) for way in WAYS}
    mount.stop()
    mount.empty_cache()
    mount.start().online()
    if account.variant != "courier":
        assert {name: mount.read("INBOX/" + name) for name in os.listdir(mount.path + "/INBOX")} \
            == names
    assert len(judge.see()) == len(WAYS)


def test_maildir(folder, mounts):
    account = local.LocalAccount(os.path.join(folder, "Mail"), "fs")
    mount = mounts(account).start().online()
    wanted = every_way(mount, folder, "INBOX", bytes)
    assert sorted(local.LocalJudge(account).data()) == sorted(wanted)


def test_pop3(maildrop, mounts, folder):
    """What is in a folder is here alone, and so is what is copied into INBOX."""
    mount = mounts(maildrop).start().online()
    os.mkdir(mount.path + "/Box")
    for where in ("INBOX", "Box"):
        wanted = every_way(mount, folder, where, bytes)
        assert stored(mount, where) == sorted(map(on_wire, wanted))


def test_format_patch(account, judge, mounts, folder):
    """Its mail is what git am takes, then as before."""
    mount = mounts(account).start().online()
    repo = os.path.join(folder, "repo")
    script = ('export HOME="$repo" GIT_AUTHOR_NAME=Ali GIT_AUTHOR_EMAIL=ali@example.org'
              ' GIT_COMMITTER_NAME=Ali GIT_COMMITTER_EMAIL=ali@example.org; git init -q "$repo";'
              ' cd "$repo"; for n in 1 2 3; do echo $n > file; git add file;'
              ' git commit -q -m "change $n" -m "From the top: one line more."; done;'
              ' git format-patch -q --suffix=.eml -o "$to" --root; git format-patch -q'
              ' --suffix=.eml -o ../patches --root')
    assert run(script, repo=repo, to=mount.path + "/INBOX") == ""
    patches = os.path.join(folder, "patches")
    wanted = {}
    for name in os.listdir(patches):
        with open(os.path.join(patches, name), "rb") as f:
            envelope, wanted[name] = f.read().split(b"\n", 1)
        assert envelope.startswith(b"From ")
        assert mount.read("INBOX/" + name) == on_wire(wanted[name])
    assert len(wanted) == 3
    judge.wait(map(on_wire, wanted.values()))
    again = os.path.join(folder, "again")
    assert run('export HOME="$repo" GIT_COMMITTER_NAME=B GIT_COMMITTER_EMAIL=b@example.org;'
               ' git init -q "$again"; cd "$again"; git am -q "$from"/*.eml', repo=repo,
               again=again, **{"from": mount.path + "/INBOX"}) == ""
    with open(os.path.join(again, "file"), encoding="ascii") as f:
        assert f.read() == "3\n"


def test_through_a_maildir(account, judge, mounts):
    mount = mounts(account).start().online()
    maildir = mount.path + "/.mailfs/maildir/INBOX"
    write(maildir + "/tmp/a", ENVELOPE + letter("a"))
    os.rename(maildir + "/tmp/a", maildir + "/new/a")
    judge.wait([on_wire(letter("a"))])
    assert mount.read(".mailfs/maildir/INBOX/new/a") == on_wire(letter("a"))


@pytest.mark.parametrize("account", ["full", "cyrus"], indirect=True)
@pytest.mark.parametrize("script", [
    'cp "$new" "$f"',
    'cat "$new" > "$f"',
    'cp "$new" "$f.tmp" && mv "$f.tmp" "$f"',
    'sed -i "1i From ali@example.org Tue Nov 14 22:13:20 2023\\r" "$f"'])
def test_edit(account, judge, mounts, folder, script):
    """The line that an edit puts there is left out, and the rest is the new version."""
    judge.append(on_wire(letter("old")), flags="(\\Flagged)")
    mount = mounts(account).start().online()
    path = os.path.join(mount.path, "INBOX", mount.messages()[1])
    inode = os.stat(path).st_ino
    wanted = on_wire(letter("old" if script.startswith("sed") else "new"))
    new = write(os.path.join(folder, "new"), ENVELOPE + letter("new"))
    assert run(script, f=path, new=new) == ""
    assert os.path.basename(path) in os.listdir(mount.path + "/INBOX")
    if not script.startswith("sed"):
        assert os.stat(path).st_ino == inode or ".tmp" in script
    with open(path, "rb") as f:
        assert f.read() == wanted
    judge.wait([wanted])
    assert [seen.flags for seen in judge.see().values()] == [{"\\Flagged"}]


def test_while_it_is_written(account, judge, mounts):
    """Who writes sees what was written, also after it was sent; all others see the message."""
    mount = mounts(account).start().online()
    path = mount.path + "/INBOX/x.eml"
    first, second = letter("x"), letter("x") + b"And more.\n"
    with open(path, "w+b", buffering=0) as f:
        f.write(ENVELOPE + first)
        os.fsync(f.fileno())
        judge.wait([on_wire(first)])
        f.seek(0)
        assert f.read() == ENVELOPE + first
        f.write(b"And more.\n")
    judge.wait([on_wire(second)])
    with open(path, "rb") as f:
        assert f.read() == on_wire(second)
        assert os.fstat(f.fileno()).st_size == len(on_wire(second))


def test_copied_from_another_message(account, judge, mounts):
    """A server may hold one that begins so: its copy is made of octets, and has no such line."""
    account.create("Box")
    judge.append(on_wire(ENVELOPE + letter("odd")))
    mount = mounts(account).start().online()
    path = os.path.join(mount.path, "INBOX", mount.messages()[1])
    with open(path, "rb") as f:
        assert f.read() == on_wire(ENVELOPE + letter("odd"))
    assert run('cp "$src" "$dst"', src=path, dst=mount.path + "/Box/copy.eml") == ""
    judge.wait([on_wire(letter("odd"))], "Box")
    assert mount.read("Box/copy.eml") == on_wire(letter("odd"))
    assert run('mv "$src" "$dst"', src=path, dst=mount.path + "/Box/moved.eml") == ""
    judge.wait([on_wire(letter("odd")), on_wire(ENVELOPE + letter("odd"))], "Box")


class TestSeveral:
    """Refused, with the way that there is; nothing is lost by it."""

    @pytest.mark.parametrize("account", ["full", "cyrus"], indirect=True)
    def test_new(self, account, judge, mounts, folder):
        mount = mounts(account).start().online()
        source = write(os.path.join(folder, "several"), several("a", "b"))
        assert "Invalid argument" in run('mv "$src" "$dst"', src=source,
                                         dst=mount.path + "/INBOX/x.eml")
        assert os.path.exists(source)
        lost = ".mailfs/lost+found/INBOX/x.eml"
        system.wait_for(lambda: os.path.exists(os.path.join(mount.path, lost + ".reason")),
                        "the reason")
        assert mount.read(lost) == several("a", "b")
        reason = mount.read(lost + ".reason").decode()
        assert "several messages" in reason and "git mailsplit" in reason
        assert "formail -s" in reason
        judge.wait([])

    def test_edit(self, account, judge, mounts):
        judge.append(on_wire(letter("old")))
        mount = mounts(account).start().online()
        name = mount.messages()[1]
        with pytest.raises(OSError) as caught:
            write(os.path.join(mount.path, "INBOX", name), several("a", "b"))
        assert caught.value.errno == errno.EINVAL
        judge.wait([on_wire(letter("old"))])
        system.wait_for(lambda: mount.read("INBOX/" + name) == on_wire(letter("old")),
                        "the old version is shown")

    def test_maildir(self, folder, mounts):
        account = local.LocalAccount(os.path.join(folder, "Mail"), "fs")
        mount = mounts(account).start().online()
        with pytest.raises(OSError) as caught:
            write(mount.path + "/INBOX/x.eml", several("a", "b", "c"))
        assert caught.value.errno == errno.EINVAL
        system.wait_for(lambda: os.listdir(mount.path + "/INBOX") == [], "it is in lost+found")

    def test_split(self, account, judge, mounts, folder):
        """What the sentence tells: of the parts each is a message."""
        mount = mounts(account).start().online()
        box = mailbox.mbox(os.path.join(folder, "box"))
        for n in range(3):
            box.add(letter("part%d" % n))
        box.close()
        parts = os.path.join(folder, "parts")
        os.mkdir(parts)
        assert run('git mailsplit -o"$parts" "$box"; for f in "$parts"/*; do'
                   ' mv "$f" "$to/${f##*/}.eml"; done',
                   parts=parts, box=os.path.join(folder, "box"), to=mount.path + "/INBOX") == ""
        assert len(judge.see()) == 3
        assert all(seen.data.startswith(b"Message-ID: <part") for seen in judge.see().values())
        shutil.rmtree(parts)
