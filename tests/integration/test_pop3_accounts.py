"""A POP3 account beside an IMAP one: in one mount of all accounts, and in two mounts.  mv and cp
carry mail from one to the other; a rename between accounts is EXDEV, so mv copies first."""
import errno
import os
import re
import subprocess

import pytest

from bed import judge as judges, mail, system
from bed.mail import PERSIAN_FOLDER
from bed.pop3_account import on_wire
from bed.pop3_mount import error_of, is_maildir, numbers, path_of, read, shown


def octets(*wanted):
    return [on_wire(mail.numbered(n)) for n in wanted]


@pytest.fixture
def imap_judge(account):
    made = judges.Judge(account)
    yield made
    made.close()


@pytest.fixture
def seeded(maildrop, account, imap_judge):
    for n in range(5):
        maildrop.deliver(mail.numbered(n))
    account.create("Box")
    imap_judge.append(mail.numbered(50))


class All:
    """One mount of both: pop3/ and imap/."""

    def __init__(self, made, maildrop, account, pop3="pop3", imap="imap"):
        self.mount = made
        groups = []
        for name, keys in ((pop3, maildrop.keys()), (imap, account.keys())):
            keys = dict(keys, poll="1s")
            secret = os.path.join(made.folder, name + "-password")
            with open(secret, "w", encoding="utf-8") as f:
                os.fchmod(f.fileno(), 0o600)
                f.write(keys.pop("password") + "\n")
            keys["password-file"] = secret
            groups.append("[account %s]\n%s" % (name, "".join(
                "%s=%s\n" % item for item in keys.items())))
        made.write_raw_config("\n".join(groups))
        result = made.run("mount", "--all", made.path)
        assert result.returncode == 0, result.stderr
        self.pop3 = made.path + "/" + pop3
        self.imap = made.path + "/" + imap
        system.wait_for(lambda: all(a["state"] == "online" for a in made.status()["accounts"]),
                        "both are online")

    def stop(self):
        result = self.mount.run("umount", self.mount.path)
        assert result.returncode == 0, result.stderr


class Two:
    """A mount each."""

    def __init__(self, mounts, maildrop, account):
        self.mount = mounts(maildrop, poll="1s").start().online()
        other = mounts(account, poll="1s").start().online()
        self.pop3, self.imap = self.mount.path, other.path

    def stop(self):
        pass  # their fixture does it


@pytest.fixture(params=["all", "two"])
def both(request, maildrop, account, seeded, mounts):
    made = All(mounts(maildrop), maildrop, account) if request.param == "all" \
        else Two(mounts, maildrop, account)
    yield made
    made.stop()


def inbox(both, n):
    found = [name for name in os.listdir(both.pop3 + "/INBOX") if "-%06d." % n in name]
    assert len(found) == 1
    return os.path.join(both.pop3, "INBOX", found[0])


def test_a_directory_each(both, maildrop):
    """And each tells of itself."""
    if both.pop3.endswith("/pop3"):
        assert sorted(os.listdir(both.mount.path)) == ["imap", "pop3"]
        assert {a["id"] for a in both.mount.status()["accounts"]} == {"pop3", "imap"}
    assert "INBOX" in os.listdir(both.pop3) and "Box" in os.listdir(both.imap)
    assert sorted(read(os.path.join(both.pop3, "INBOX", name))
                  for name in os.listdir(both.pop3 + "/INBOX")) == sorted(octets(*range(5)))
    assert sorted(maildrop.data()) == sorted(octets(*range(5)))


def test_from_pop3_to_imap(both, maildrop, imap_judge):
    path = inbox(both, 1)
    assert error_of(os.rename, path, both.imap + "/Box/x.eml") == errno.EXDEV
    assert os.path.exists(path)
    subprocess.run(["mv", path, both.imap + "/Box/"], check=True)
    assert os.path.basename(path) in os.listdir(both.imap + "/Box")
    imap_judge.wait(octets(1), "Box")
    maildrop.wait(octets(0, 2, 3, 4))
    assert not os.path.exists(path)
    subprocess.run(["cp", "-p", inbox(both, 2), both.imap + "/Box/two.eml"], check=True)
    imap_judge.wait(octets(1, 2), "Box")
    dates = {seen.data: seen.date for seen in imap_judge.see("Box").values()}
    assert dates[octets(2)[0]] == mail.EPOCH
    subprocess.run("mv %s/INBOX/*.eml %s/Box/" % (both.pop3, both.imap), shell=True, check=True)
    imap_judge.wait(octets(0, 1, 2, 2, 3, 4), "Box", 20)
    maildrop.wait([])


def test_from_imap_to_pop3(both, maildrop, imap_judge):
    os.makedirs("%s/%s/In" % (both.pop3, PERSIAN_FOLDER))
    source = os.path.join(both.imap, "INBOX", os.listdir(both.imap + "/INBOX")[0])
    target = "%s/%s/In/x.eml" % (both.pop3, PERSIAN_FOLDER)
    assert error_of(os.rename, source, target) == errno.EXDEV
    subprocess.run(["cp", "-p", source, both.pop3 + "/INBOX/copy.eml"], check=True)
    assert len(imap_judge.data()) == 1
    subprocess.run(["mv", source, target], check=True)
    assert read(target) == read(both.pop3 + "/INBOX/copy.eml") == mail.numbered(50)
    imap_judge.wait([])  # in Trash, as rm does it there
    assert sorted(maildrop.data()) == sorted(octets(*range(5)))


def test_folders_between_them(both, maildrop, imap_judge):
    """cp -r of a tree, both ways."""
    os.makedirs(both.pop3 + "/Tree/Below")
    os.rename(inbox(both, 3), both.pop3 + "/Tree/Below/three.eml")
    subprocess.run(["cp", "-r", both.pop3 + "/Tree", both.imap + "/"], check=True)
    imap_judge.wait(octets(3), "Tree/Below")
    subprocess.run(["cp", "-r", both.imap + "/Tree", both.pop3 + "/Back"], check=True)
    assert read(both.pop3 + "/Back/Below/three.eml") == octets(3)[0]
    maildrop.wait(octets(0, 1, 2, 4))


def test_a_copy_that_is_refused_leaves_the_mail(maildrop, servers, scripted_server, mounts):
    """mv whose copy fails: nothing is deleted."""
    maildrop.deliver(mail.numbered(0))
    full = scripted_server({"INBOX": []})
    full.rule(r"^APPEND ", tagged="NO [OVERQUOTA] your mailbox is full")
    mount = mounts(maildrop, poll="1s").start().online()
    other = mounts({"imap": full.url(), "user": "u", "password": "secret"}).start().online()
    path = path_of(mount, 0)
    assert subprocess.run(["mv", path, other.path + "/INBOX/"], check=False,
                          capture_output=True).returncode != 0
    assert os.path.exists(path) and numbers(mount) == [0]
    assert maildrop.data() == octets(0)
    assert shown(mount) == octets(0)


def test_two_maildrops(servers, maildrop, scripted_pop3_server, mounts):
    """Two POP3 accounts: what is kept here of each has a folder of its own."""
    for n in range(3):
        maildrop.deliver(mail.numbered(n))
    server = scripted_pop3_server([mail.numbered(n) for n in (10, 11)])
    made = mounts(maildrop)
    secret = made.write_secret(server.password)
    keys = maildrop.keys()
    with open(made.folder + "/other", "w", encoding="utf-8") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(keys["password"] + "\n")
    made.write_raw_config(
        "[account one]\npop3=%s\nuser=%s\npassword-file=%s/other\n"
        "[account two]\npop3=%s\nuser=ali\npassword-file=%s\n" % (
            keys["pop3"], keys["user"], made.folder, server.url(), secret))
    assert made.run("mount", "--all", made.path).returncode == 0
    try:
        for name, wanted in (("one", [0, 1, 2]), ("two", [10, 11])):
            system.wait_for(lambda: numbers(made, name + "/INBOX") == wanted, "INBOX of " + name)
            os.mkdir("%s/%s/Archive" % (made.path, name))
            assert is_maildir("%s/data/mailfs/%s/Archive" % (made.folder, name))
        path = path_of(made, 10, "two/INBOX")
        assert error_of(os.rename, path, made.path + "/one/Archive/x.eml") == errno.EXDEV
        subprocess.run(["mv", path, made.path + "/one/Archive/x.eml"], check=True)
        server.wait_uidls(["uidl-2"])
        assert read(made.path + "/one/Archive/x.eml") == octets(10)[0]
        assert sorted(maildrop.data()) == sorted(octets(0, 1, 2))
    finally:
        assert made.run("umount", made.path).returncode == 0


# -- contrib/recipes/pop3-to-imap.sh, which mailfs(1) names ----------------------------------------

RECIPE = os.path.join(os.path.dirname(__file__), "..", "..", "contrib", "recipes",
                      "pop3-to-imap.sh")
MANUAL = os.path.join(os.path.dirname(__file__), "..", "..", "man", "mailfs.1")


def commands(path, mark):
    """The lines of a text that begin with a mark, without it and what is said of them."""
    with open(path, encoding="utf-8") as f:
        return [re.sub(" +", " ", line[len(mark):].split(" #")[0]).strip()
                for line in f if line.startswith(mark)]


STEPS = commands(RECIPE, "#     pop3-to-imap.sh ")
PLAIN = [line for line in commands(MANUAL, "$ ") if "~/Mail/new/Old" in line]


def test_the_manual_and_the_recipe_say_the_same():
    assert [line.split()[0] for line in STEPS] == ["copy", "check", "remove"]
    assert ["pop3-to-imap.sh " + line for line in STEPS] == PLAIN[2:]
    assert [line.split()[0] for line in PLAIN[:2]] == ["mkdir", "mv"]


@pytest.fixture
def moving(maildrop, account, seeded, mounts):
    """The accounts are ~/Mail/old and ~/Mail/new, as the recipe has them; gives the mount, and a
    function that runs a line of the recipe or of the manual."""
    made = All(mounts(maildrop), maildrop, account, "old", "new")
    os.symlink(made.mount.path, made.mount.folder + "/Mail")
    program = os.path.join(made.mount.folder, "mailfs")
    with open(program, "w", encoding="utf-8") as f:
        f.write('#!/bin/sh\nexec %s -c %s "$@"\n' % (made.mount.binary, made.mount.config))
    os.chmod(program, 0o755)
    environment = dict(made.mount.environment, MAILFS=program)

    def run(line, code=0):
        result = subprocess.run(["sh", "-c", line], env=environment, capture_output=True,
                                text=True, timeout=60, check=False)
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout.splitlines()
    yield made, run
    made.stop()


def test_the_recipe(moving, maildrop, imap_judge):
    """Copied, cut half-way, compared, and only then removed; and mail that came meanwhile."""
    both, run = moving
    copy, check, remove = (RECIPE + " " + line for line in STEPS)
    run(copy)
    assert run(check) == []
    imap_judge.wait(octets(*range(5)), "Old")
    assert {seen.date for seen in imap_judge.see("Old").values()} == {mail.EPOCH}
    assert sorted(maildrop.data()) == sorted(octets(*range(5)))
    # an interrupt has left one half, and one was not there yet
    half, missing = (os.path.basename(inbox(both, n)) for n in (3, 4))
    os.truncate(os.path.join(both.imap, "Old", half), 100)
    os.unlink(os.path.join(both.imap, "Old", missing))
    assert set(run(check, 1)) == {"differs: " + half, "missing: " + missing}
    run(remove)
    maildrop.wait(octets(3, 4))
    maildrop.deliver(mail.numbered(7))
    system.wait_for(lambda: len(os.listdir(both.pop3 + "/INBOX")) == 3, "new mail")
    run(copy)
    assert run(check) == []
    run(remove)
    imap_judge.wait(octets(0, 1, 2, 3, 4, 7), "Old")
    maildrop.wait([])
    assert os.listdir(both.pop3 + "/INBOX") == []
    assert run(check) == []


def test_the_recipe_keeps_what_is_refused(moving, maildrop, imap_judge):
    """A NUL cannot be in an IMAP message."""
    both, run = moving
    copy, check, remove = (RECIPE + " " + line for line in STEPS)
    path = both.pop3 + "/INBOX/nul.eml"
    with open(path, "wb") as f:
        f.write(b"Subject: a NUL\r\n\r\n\0\r\n")
    run(copy, 1)
    assert run(check, 1) == ["missing: nul.eml"]
    run(remove)
    assert os.listdir(both.pop3 + "/INBOX") == ["nul.eml"] and read(path).endswith(b"\0\r\n")
    maildrop.wait([])
    imap_judge.wait(octets(*range(5)), "Old")


def test_plain_mv(moving, maildrop, imap_judge):
    """The short way, interrupted and begun again."""
    both, run = moving
    mkdir, mv = PLAIN[:2]
    run(mkdir)
    half = inbox(both, 2)
    with open(half, "rb") as f, open(os.path.join(both.imap, "Old", os.path.basename(half)),
                                     "wb") as g:
        g.write(f.read(100))
    run(mv)
    imap_judge.wait(octets(*range(5)), "Old")
    maildrop.wait([])


def test_mailfs_mv_between_accounts(both, maildrop):
    """Is refused, with the way that there is."""
    path = inbox(both, 1)
    assert "Box" in os.listdir(both.imap)  # which waits for the mailboxes to be listed
    result = both.mount.run("mv", path, os.path.join(both.imap, "Box", "x.eml"))
    assert result.returncode != 0 and "mv(1)" in result.stderr
    assert os.path.exists(path) and os.listdir(both.imap + "/Box") == []
    assert sorted(maildrop.data()) == sorted(octets(*range(5)))
