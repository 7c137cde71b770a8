"""An account whose mail is in folders of the local disk (maildir=PATH): read, written and shared
with the programs that use such folders.  The judge is Python's mailbox."""
import errno
import mailbox
import os
import re
import shutil
import subprocess
import time

import pytest

from bed import faults, local, mail, system
from bed.mount import ACCOUNT
from bed.mutations import BY_NAME

LF = b"From: Ali <ali@example.org>\nSubject: bare line ends\n\nOne line.\n"


@pytest.fixture(params=["plusplus", "fs"])
def account(request, folder):
    return local.LocalAccount(os.path.join(folder, "Mail"), request.param)


@pytest.fixture
def judge(account):
    return local.LocalJudge(account)


@pytest.fixture
def mount(account, mounts):
    """INBOX with messages 0 to 3, of which 0 is seen; Box, empty."""
    for n in range(4):
        account.deliver(mail.numbered(n), flags="S" if n == 0 else "", date=mail.EPOCH + 60 * n)
    account.ensure("Box")
    made = mounts(account).start().online()
    os.listdir(made.path + "/INBOX")
    made.wait_listed("INBOX", 4)
    return made


def names(mount, box="INBOX"):
    return sorted(os.listdir(os.path.join(mount.path, box)))


def states(mount, *boxes):
    """{name: (inode, octets)}"""
    found = {}
    for box in boxes:
        for name in names(mount, box):
            path = os.path.join(mount.path, box, name)
            if os.path.isfile(path):
                found[box + "/" + name] = (os.stat(path).st_ino, mount.read(box + "/" + name))
    return found


def flags_of(mount, name):
    result = mount.run("info", os.path.join(mount.path, name))
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(number, function, *args):
    with pytest.raises(OSError) as caught:
        function(*args)
    assert caught.value.errno == number, caught.value


# -- Reading -------------------------------------------------------------------------------------

def test_what_is_there_is_shown_octet_by_octet(account, mounts):
    wanted = {}
    for n, data in enumerate([mail.numbered(0), LF, *mail.SPECIAL.values()]):
        account.deliver(data, date=mail.EPOCH + n)
        wanted[n + 1] = data
    made = mounts(account).start().online()
    assert made.contents() == wanted
    for uid, name in made.messages().items():
        st = os.stat(os.path.join(made.path, "INBOX", name))
        assert st.st_size == len(wanted[uid])
        assert st.st_mtime == mail.EPOCH + uid - 1
    assert any(mail.PERSIAN_SUBJECT.replace(" ", "-") in name for name in names(made))


def test_folders_of_any_language(account, mounts):
    for name in (mail.PERSIAN_FOLDER, "Lists/mailfs", mail.ARABIC_FOLDER + "/" + mail.PERSIAN_FOLDER):
        account.ensure(name)
        account.deliver(mail.numbered(1), name)
    made = mounts(account).start().online()
    assert set(names(made, "")) == {"INBOX", mail.PERSIAN_FOLDER, "Lists", mail.ARABIC_FOLDER}
    inner = mail.ARABIC_FOLDER + "/" + mail.PERSIAN_FOLDER
    for name in (mail.PERSIAN_FOLDER, "Lists/mailfs", inner):
        assert list(made.contents(name).values()) == [mail.numbered(1)]


def test_odd_names(account, judge, mounts):
    """Of folders and files that nobody would make but on purpose."""
    odd = [b"\xff\xfe", b"line\nend", b"x" * 200, "\u202ebidi".encode(), b"per%cent", b"a b"]
    for n, name in enumerate(odd):
        for part in ("tmp", "new", "cur"):
            os.makedirs(os.path.join(os.fsencode(account.root),
                                     b"." + name if account.layout == "plusplus" else name,
                                     os.fsencode(part)))
        with open(os.path.join(os.fsencode(account.root),
                               b"." + name if account.layout == "plusplus" else name,
                               b"new", b"odd\nname\xff"), "wb") as f:
            f.write(mail.numbered(n))
    os.symlink("/etc", os.path.join(account.root, ".etc"))
    os.symlink("/etc", os.path.join(account.root, "etc"))
    os.symlink("/etc/passwd", account.path("INBOX", "cur", "passwd:2,"))
    os.mkfifo(account.path("INBOX", "new", "pipe"))
    os.mkdir(account.path("INBOX", "new", "folder"))
    made = mounts(account).start().online()
    assert len(names(made, "")) == 1 + len(odd), names(made, "")
    assert names(made) == []
    found = set()
    for box in set(names(made, "")) - {"INBOX"}:
        [(name, (_, data))] = states(made, box).items()
        found.add(data)
        made.run("flag", os.path.join(made.path, name), "+seen")
        made.shell("mv '%s' INBOX/" % name)
    assert found == {mail.numbered(n) for n in range(len(odd))}
    os.unlink(account.path("INBOX", "cur", "passwd:2,"))
    os.unlink(account.path("INBOX", "new", "pipe"))
    os.rmdir(account.path("INBOX", "new", "folder"))
    assert judge.data() == sorted(found)
    assert {flags for seen in judge.see().values() for flags in seen.flags} == {"\\Seen"}


def test_a_tree_of_python_s_mailbox(folder, mounts):
    root = os.path.join(folder, "Mail")
    box = mailbox.Maildir(root)
    for n in range(3):
        box.add(mail.numbered(n).replace(b"\r\n", b"\n"))
    box.add_folder("Archive").add(LF)
    made = mounts({"maildir": root}).start().online()
    assert set(names(made, "")) == {"INBOX", "Archive"}
    assert list(made.contents("Archive").values()) == [LF]
    assert sorted(made.contents().values()) == sorted(
        mail.numbered(n).replace(b"\r\n", b"\n") for n in range(3))
    made.shell("mkdir Archive/2026 && cp INBOX/*000001* Archive/2026/kept.eml")
    assert [m.as_bytes() for m in mailbox.Maildir(root).get_folder("Archive.2026")] == [
        mail.numbered(1).replace(b"\r\n", b"\n")]


def test_an_empty_folder_becomes_an_account(folder, mounts):
    root = os.path.join(folder, "Mail")
    os.mkdir(root)
    made = mounts({"maildir": root}).start().online()
    assert names(made, "") == ["INBOX"]
    with open(made.path + "/INBOX/first.eml", "wb") as f:
        f.write(LF)
    assert [m.as_bytes() for m in mailbox.Maildir(root + "/INBOX", create=False)] == [LF]


# -- Writing -------------------------------------------------------------------------------------

def test_a_file_that_is_copied_in_is_a_message(account, judge, mount):
    source = os.path.join(mount.folder, "letter.eml")
    with open(source, "wb") as f:
        f.write(LF)
    os.utime(source, (mail.EPOCH, mail.EPOCH))
    subprocess.run(["cp", "-p", source, mount.path + "/Box/letter.eml"], check=True)
    assert names(mount, "Box") == ["letter.eml"]
    assert os.listdir(account.path("Box", "tmp")) == []
    [seen] = judge.see("Box").values()
    assert seen.data == LF and seen.date == mail.EPOCH
    assert mount.read("Box/letter.eml") == LF
    assert os.stat(mount.path + "/Box/letter.eml").st_mtime == mail.EPOCH


def test_moves_and_copies(account, judge, mount):
    first, second = (mount.messages()[uid] for uid in (1, 2))
    before = os.stat(os.path.join(mount.path, "INBOX", first))
    mount.shell("mv INBOX/%s Box/ && cp -p INBOX/%s Box/copy.eml" % (first, second))
    assert judge.data() == sorted(mail.numbered(n) for n in (1, 2, 3))
    found = {seen.data: seen for seen in judge.see("Box").values()}
    assert set(found) == {mail.numbered(0), mail.numbered(1)}
    assert found[mail.numbered(0)].flags == {"\\Seen"}
    assert found[mail.numbered(0)].date == before.st_mtime
    assert found[mail.numbered(1)].date == mail.EPOCH + 60
    assert set(names(mount, "Box")) == {first, "copy.eml"}
    # within one folder, where the copy may be a link
    mount.shell("cp -p INBOX/%s INBOX/again.eml && cp INBOX/again.eml INBOX/third.eml" % second)
    wanted = sorted(mail.numbered(n) for n in (1, 1, 1, 2, 3))
    assert judge.data() == wanted and len(names(mount)) == 5
    mount.shell("rm INBOX/" + second)
    mount.restart().online()
    assert judge.data() == wanted[1:] and len(names(mount)) == 4
    for name in ("again.eml", "third.eml"):
        assert mount.read("INBOX/" + name) == mail.numbered(1)


def test_an_edit_replaces_the_message(account, judge, mount):
    name = mount.messages()[1]
    mount.shell("sed -i 's/^Subject: .*/Subject: edited/' INBOX/" + name)
    wanted = re.sub(rb"Subject: [^\n]*", b"Subject: edited", mail.numbered(0))
    assert mount.read("INBOX/" + name) == wanted
    [seen] = [seen for seen in judge.see().values() if seen.data == wanted]
    assert seen.flags == {"\\Seen"} and seen.date == mail.EPOCH
    assert judge.data("Trash") == [mail.numbered(0)]
    assert len(judge.data()) == 4


def test_rm_goes_by_way_of_the_trash(account, judge, mount):
    name = mount.messages()[2]
    mount.shell("rm INBOX/" + name)
    assert judge.data("Trash") == [mail.numbered(1)] and len(judge.data()) == 3
    assert name in names(mount, "Trash")
    mount.shell("rm Trash/" + name)
    assert judge.data("Trash") == []


def test_folders_are_made_renamed_and_removed(account, judge, mount):
    mount.shell("mkdir -p Projects/%s && cp INBOX/* Projects/%s" % ((mail.PERSIAN_FOLDER,) * 2))
    inner = "Projects/" + mail.PERSIAN_FOLDER
    assert len(judge.data(inner)) == 4
    before = states(mount, inner)
    mount.shell("mv Projects Old")
    assert not judge.exists("Projects") and judge.exists("Old")
    after = states(mount, "Old/" + mail.PERSIAN_FOLDER)
    assert [after["Old/" + name[len("Projects/"):]] for name in before] == list(before.values())
    refused(errno.ENOTEMPTY, os.rmdir, mount.path + "/Old")
    refused(errno.ENOTEMPTY, os.rmdir, mount.path + "/Old/" + mail.PERSIAN_FOLDER)
    mount.shell("rm Old/%s/* && rmdir Old/%s && rmdir Old" % ((mail.PERSIAN_FOLDER,) * 2))
    assert not judge.exists("Old")
    refused(errno.EBUSY, os.rmdir, mount.path + "/INBOX")
    if account.layout == "plusplus":
        refused(errno.EINVAL, os.mkdir, mount.path + "/a.b")
        assert os.listdir(account.root).count(".Box") == 1
    else:
        refused(errno.EINVAL, os.mkdir, mount.path + "/Box/cur")
        os.mkdir(mount.path + "/a.b")


def test_the_view_as_a_maildir(account, judge, mount):
    view = mount.path + "/.mailfs/maildir/INBOX/"
    [name] = [name for name in os.listdir(view + "cur") if name.endswith("S")]
    os.rename(view + "cur/" + name, view + "cur/" + name[:-1] + "FS")
    assert [seen.flags for seen in judge.see().values() if seen.flags] == [
        {"\\Seen", "\\Flagged"}]


# -- Together with other programs ----------------------------------------------------------------

def test_flags_go_both_ways(account, judge, mount):
    name = mount.messages()[2]
    path = os.path.join(mount.path, "INBOX", name)
    result = mount.run("flag", path, "+seen", "+flagged", "+$Forwarded", "+blue")
    assert result.returncode == 0, result.stderr
    [seen] = [seen for seen in judge.see().values() if seen.data == mail.numbered(1)]
    assert seen.flags == {"\\Seen", "\\Flagged", "$Forwarded"}
    # what another program does by renaming the file
    [base] = [os.path.basename(file).partition(":")[0] for file in account.files()
              if open(file, "rb").read() == mail.numbered(1)]
    account.set_flags("INBOX", base, "RT")

    def is_shown():
        text = flags_of(mount, "INBOX/" + name)
        return "answered" in text.lower() and "flagged" not in text.lower()
    system.wait_for(is_shown, "the flags that the other program set")
    text = flags_of(mount, "INBOX/" + name)
    assert "blue" in text and "$Forwarded" not in text
    assert mount.read("INBOX/" + name) == mail.numbered(1)


def test_what_arrives_and_goes_is_seen(account, judge, mount):
    old = mount.messages()
    account.deliver(mail.numbered(7))
    system.wait_for(lambda: len(names(mount)) == 5, "the new message")
    assert mount.contents()[5] == mail.numbered(7)
    assert {uid: name for uid, name in mount.messages().items() if uid < 5} == old
    [file] = [file for file in account.files() if open(file, "rb").read() == mail.numbered(2)]
    os.unlink(file)
    system.wait_for(lambda: set(mount.messages()) == {1, 2, 4, 5}, "that one has gone")
    account.ensure("Made/Elsewhere")
    system.wait_for(lambda: "Made" in names(mount, ""), "the new folder")
    account.deliver(mail.numbered(8), "Made/Elsewhere")
    system.wait_for(lambda: list(mount.contents("Made/Elsewhere").values()) == [mail.numbered(8)],
                    "what is in it")


def test_new_mail_stays_new_until_it_is_touched(account, mount):
    base = account.deliver(mail.numbered(7))
    system.wait_for(lambda: len(names(mount)) == 5, "the new message")
    mount.read("INBOX/" + mount.messages()[5])
    assert os.path.dirname(account.file("INBOX", base)).endswith("/new")
    mount.run("flag", os.path.join(mount.path, "INBOX", mount.messages()[5]), "+flagged")
    assert account.file("INBOX", base).endswith("/cur/" + base + ":2,F")


def test_mutt_reads_what_was_written(account, mount):
    if not shutil.which("mutt"):
        pytest.skip("there is no mutt")
    mount.shell("printf 'From: a@b.example\\nSubject: to mutt\\n\\nhello mutt\\n' > Box/x.eml")
    out = os.path.join(mount.folder, "out")
    subprocess.run(["mutt", "-n", "-F", "/dev/null", "-R", "-f", account.path("Box"), "-e",
                    "set mbox_type=Maildir; push '<copy-message>%s<enter>y<exit>'" % out],
                   check=False, timeout=30, stdin=subprocess.DEVNULL, capture_output=True,
                   env=dict(mount.environment, TERM="dumb"))
    box = mailbox.Maildir(account.path("Box"), create=False)
    assert [m["Subject"] for m in box] == ["to mutt"]


# -- Ends and beginnings -------------------------------------------------------------------------

@pytest.mark.parametrize("empties_cache", [False, True])
def test_names_and_numbers_stay(account, mount, empties_cache):
    mount.shell("cp INBOX/*000002* Box/named.eml && mv INBOX/*000003* Box/")
    before = states(mount, "INBOX", "Box")
    mount.stop()
    if empties_cache:
        mount.empty_cache()
    # while nobody looks: flags, and one more
    name = os.path.basename(account.files()[0]).partition(":")[0]
    account.set_flags("INBOX", name, "RS")
    account.deliver(mail.numbered(9))
    mount.start().online()
    system.wait_for(lambda: len(names(mount)) == 4, "the new message")
    after = states(mount, "INBOX", "Box")
    assert {name: after.get(name) for name in before} == before
    assert len(after) == len(before) + 1


def test_mbsync_numbers_a_message(account, mount):
    """It gives ",U=n" by renaming, and other ones later: the message is who it was."""
    name = names(mount)[1]
    assert mount.run("flag", mount.path + "/INBOX/" + name, "+flagged", "+work").returncode == 0
    known = states(mount, "INBOX")
    root = account.path("INBOX")

    def rename(pattern, replacement):
        for sub in ("cur", "new"):
            for old in os.listdir(os.path.join(root, sub)):
                new = re.sub(pattern, replacement, old, count=1)
                os.rename(os.path.join(root, sub, old), os.path.join(root, sub, new))
        mount.run("sync", mount.path + "/INBOX")

    for n, (pattern, replacement) in enumerate([(r"(:|$)", r",U=7\1"), (r",U=7", r",U=1234")]):
        rename(pattern, replacement)
        for _ in range(2):
            assert states(mount, "INBOX") == known
            assert "work" in flags_of(mount, "INBOX/" + name)
            if n:
                mount.restart().online()
    assert mount.run("flag", mount.path + "/INBOX/" + name, "-flagged").returncode == 0
    assert sum(",U=1234" in file for sub in ("cur", "new")
               for file in os.listdir(os.path.join(root, sub))) == 4
    assert states(mount, "INBOX") == known


def test_an_unchanged_folder_is_not_read_again(account, mount):
    mount.stop()
    for part in ("new", "cur"):  # what changed a moment ago is looked at again
        os.utime(account.path("INBOX", part), (mail.EPOCH, mail.EPOCH))
        os.utime(account.path("Box", part), (mail.EPOCH, mail.EPOCH))
    mount.start().online().stop()
    mount.start().online()
    system.wait_for(lambda: mount.imap_commands().get("LIST"), "the list")
    assert len(mount.contents()) == 4
    assert "SYNC" not in mount.imap_commands()


def test_a_disk_that_is_not_mounted(account, mount):
    os.rename(account.root, account.root + ".away")
    os.mkdir(account.root)
    result = mount.run("sync", mount.path)
    assert result.returncode != 0
    mount.wait_state("offline")
    # what is known is still there, and nothing is made in the empty place
    assert len(names(mount)) == 4 and os.listdir(account.root) == []
    refused(errno.ENETDOWN, os.mkdir, mount.path + "/new")
    os.rmdir(account.root)
    os.rename(account.root + ".away", account.root)
    mount.run("sync", mount.path)
    mount.wait_state("online", 20)
    assert len(mount.contents()) == 4


def test_a_lost_state_loses_no_mail(account, judge, mount):
    wanted = sorted(mount.contents().values())
    mount.stop()
    shutil.rmtree(os.path.join(mount.folder, "state"))
    os.mkdir(os.path.join(mount.folder, "state"), 0o700)
    mount.start().online()
    assert sorted(mount.contents().values()) == wanted == judge.data()


def test_damaged_ledgers_lose_no_mail(account, judge, mount):
    before = states(mount, "INBOX")
    mount.stop()
    for where, _, files in os.walk(os.path.join(mount.folder, "state")):
        for file in files:
            if file.endswith(".ledger"):
                with open(os.path.join(where, file), "r+b") as f:
                    f.write(b"damage")
    mount.start().online()
    system.wait_for(lambda: len(mount.contents()) == 4, "all of it")
    # who they are is known by Message-ID and size
    system.wait_for(lambda: sorted(states(mount, "INBOX").values()) == sorted(before.values()),
                    "the same numbers")
    assert len(judge.data()) == 4


# -- Killed --------------------------------------------------------------------------------------

class Place(faults.Place):
    """Octets are kept as they are written, so a label stands for those with LF."""

    def octets(self, label):
        return self.text(label)

    def settle(self, seconds=faults.SECONDS):
        """A folder may go while it is looked at: that is what was going on."""
        try:
            super().settle(seconds)
        except OSError:
            super().settle(seconds)


def run_killed(binary, where, mutation, fault):
    """Dies at the fault, goes on, and is judged; without one, gives the points that it passed."""
    account = local.LocalAccount(os.path.join(where, "Mail"))
    mounted = faults.FaultyMount(binary, os.path.join(where, "m"),
                                 dict(account.keys(), **mutation.keys))
    place = Place(mounted, account, local.LocalJudge(account), "m", mutation)
    try:
        place.prepare()
        mounted.start().online()
        place.look()
        mounted.ask(fault or "list")
        was_answered = place.run()
        points = mounted.passed()
        if fault:
            # several changes may share one commit, and then a point is passed less often
            has_died = mounted.has_died(fault, 3 if was_answered else faults.SECONDS)
            assert has_died or was_answered, "%s was not met" % fault
        if fault and has_died:
            mounted.forget()
            mounted.ask("")
            mounted.start()
        place.settle()
        faults.judge(place, was_answered, was_faulty=bool(fault))
        mounted.finish()
        return points
    finally:
        mounted.kill()


# The others differ in what the program does before it asks anything of the folders.
KILLED = ["create", "copy", "edit", "edit-expunge", "move", "move-onto", "remove",
          "remove-in-trash", "flag", "make-directory", "remove-directory", "rename-directory"]


@pytest.mark.limit(300)
@pytest.mark.parametrize("name", BY_NAME if os.environ.get("MAILFS_TEST_FAULTS") else KILLED)
def test_killed(binary, folder, name):
    mutation = BY_NAME[name]
    points = run_killed(binary, os.path.join(folder, "trace"), mutation, None)
    assert points
    last = {point.partition(":")[0]: point for point in points}
    for n, point in enumerate(last.values()):
        run_killed(binary, os.path.join(folder, "run%d" % n), mutation, point)


@pytest.fixture
def faulty(binary, folder, account, judge):
    account.deliver(mail.numbered(0), date=mail.EPOCH)
    account.ensure("Box")
    mounted = faults.FaultyMount(binary, folder, account.keys())
    mounted.start().online()
    mounted.wait_listed("INBOX", 1)
    yield mounted
    mounted.kill()


def test_what_lies_in_tmp_is_of_today(account, faulty):
    """Whatever the message's date is: who finds an old file there takes it away."""
    local_file = os.path.join(faulty.folder, "old.eml")
    with open(local_file, "wb") as f:
        f.write(LF)
    os.utime(local_file, (mail.EPOCH, mail.EPOCH))
    faulty.ask("maildir-written")
    subprocess.run(["cp", "-p", local_file, faulty.path + "/Box/"], check=False)
    assert faulty.has_died("maildir-written")
    tmp = os.path.join(account.path("Box"), "tmp")
    name, = os.listdir(tmp)
    assert time.time() - os.stat(os.path.join(tmp, name)).st_mtime < 3600
    faulty.ask("")
    faulty.start().online()
    system.wait_for(lambda: len(names(faulty, "Box")) == 1, "it is delivered all the same")


def test_a_failed_fsync(account, judge, faulty):
    """Nothing is changed any more, and it is said why; reading goes on; the next mount is well."""
    name, = names(faulty)
    path = faulty.path + "/INBOX/" + name
    faulty.ask("fsync-maildir=error")
    refused(errno.EIO, os.rename, path, faulty.path + "/Box/" + name)
    faulty.ask("")
    for change in (lambda: os.rename(path, faulty.path + "/Box/" + name), lambda: os.unlink(path),
                   lambda: os.mkdir(faulty.path + "/Other")):
        refused(errno.EROFS, change)
    assert "takes no changes until it is mounted again" in faulty.log()
    assert faulty.read("INBOX/" + name) == mail.numbered(0)
    assert judge.data("INBOX") == [mail.numbered(0)], "the source was not removed"
    faulty.restart().online()
    os.rename(path, faulty.path + "/Box/" + name)
    assert mail.numbered(0) in judge.data("Box") and judge.data("INBOX") == []


WRITER = r"""
import os, sys
for n in range(1, 10000):
    fd = os.open("%s/%d.eml" % (sys.argv[1], n), os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"Subject: %d\n\n%d\n" % (n, n))
    os.close(fd)
    print(n, flush=True)
"""


def test_kill_loses_nothing(judge, mount):
    process = subprocess.Popen(["python3", "-c", WRITER, mount.path + "/Box"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    answered = [process.stdout.readline() for _ in range(17)]
    mount.kill()
    answered += process.stdout.read().splitlines()
    process.wait()
    # a thread of it may still wait for the disk, and holds the lock until then
    system.wait_for(lambda: mount.run("queue", "list", "-a", ACCOUNT).returncode == 0, "the lock")
    mount.start().online()
    wanted = {b"Subject: %d\n\n%d\n" % (int(n), int(n)) for n in answered}
    system.wait_for(lambda: wanted <= {data for _, data in states(mount, "Box").values()},
                    "all that was answered")
    assert wanted <= set(judge.data("Box"))


# -- Commands ------------------------------------------------------------------------------------

def test_check(account, mounts):
    account.ensure("Box")
    account.deliver(LF, "Box")
    made = mounts(account)
    result = made.run("check")
    assert result.returncode == 0, result.stderr
    assert re.search(r"1 in 2 folders", result.stdout), result.stdout
    assert ("Maildir++" in result.stdout) == (account.layout == "plusplus")
    assert "writable" in result.stdout
    shutil.rmtree(account.root)
    result = made.run("check")
    assert result.returncode != 0 and "FAIL" in result.stdout and "maildir=" in result.stdout


def test_status_and_configuration(account, mount):
    result = mount.run("status", mount.path)
    assert result.returncode == 0 and "online" in result.stdout, result.stdout
    assert "password" not in result.stdout
    result = mount.run("config", "show")
    assert "maildir=" + account.root in result.stdout
    result = mount.run("config", "show", "--redact")
    assert account.root not in result.stdout
