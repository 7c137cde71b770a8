"""A POP3 account beside an IMAP one: in one mount of all accounts, and in two mounts.  mv and cp
carry mail from one to the other; a rename between accounts is EXDEV, so mv copies first."""
import errno
import os
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

    def __init__(self, made, maildrop, account):
        self.mount = made
        groups = []
        for name, keys in (("pop3", maildrop.keys()), ("imap", account.keys())):
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
        self.pop3 = made.path + "/pop3"
        self.imap = made.path + "/imap"
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
def both(request, mounts, maildrop, account, seeded):
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


def test_a_copy_that_is_refused_leaves_the_mail(maildrop, mounts, servers, scripted_server):
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


def test_two_maildrops(servers, mounts, maildrop, scripted_pop3_server):
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
