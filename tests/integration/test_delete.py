"""rm moves to Trash; within Trash, or as delete=expunge says, it is for good.  No other client's
mail goes with it."""
import os
import subprocess

import pytest

from bed import mail, system

EVERYWHERE = pytest.mark.parametrize("account", ["full", "bare", "cyrus"], indirect=True)


@pytest.fixture
def proxy(account):
    return account.through_proxy()


@pytest.fixture
def seeded(account, judge, proxy):
    for n in range(4):
        judge.append(mail.numbered(n), flags="(\\Seen)" if n == 0 else None)
    return account


def path_of(mount, uid, mailbox="INBOX"):
    return os.path.join(mount.path, mailbox, mount.messages(mailbox)[uid])


def numbered(*numbers):
    return [mail.numbered(n) for n in numbers]


def shown(mount, mailbox="INBOX"):
    return sorted(mount.read("%s/%s" % (mailbox, name))
                  for name in os.listdir(os.path.join(mount.path, mailbox)))


@EVERYWHERE
def test_rm_moves_to_trash(seeded, judge, proxy, mounts):
    """Which is made when there is none (Cyrus); in Trash it is for good."""
    mount = mounts(seeded).start().online()
    mount.wait_listed("INBOX", len(mount.messages()))
    names = mount.messages()
    assert judge.exists("Trash") == (seeded.variant != "cyrus")
    proxy.forget()
    subprocess.run(["rm", path_of(mount, 1)], check=True)
    judge.wait(numbered(0), "Trash")
    judge.wait(numbered(1, 2, 3))
    assert judge.is_subscribed("Trash")
    assert [seen.flags for seen in judge.see("Trash").values()] == [{"\\Seen"}]
    assert shown(mount, "Trash") == numbered(0)
    proxy.forget()
    os.unlink(path_of(mount, 2))
    assert proxy.changes() == (["UID COPY", "UID STORE", "EXPUNGE"]
                               if seeded.variant == "bare" else ["UID MOVE"])
    assert not proxy.body_fetches()
    judge.wait(numbered(2, 3))
    # in Trash
    for name in os.listdir(mount.path + "/Trash"):
        os.unlink("%s/Trash/%s" % (mount.path, name))
    judge.wait([], "Trash")
    assert os.listdir(mount.path + "/Trash") == []
    with pytest.raises(FileNotFoundError):
        os.unlink("%s/INBOX/%s" % (mount.path, names[1]))
    mount.restart().online()
    assert shown(mount) == numbered(2, 3) == judge.data()


def test_much_at_once_is_all_in_trash(account, judge, proxy, mounts):
    """Whatever removes or replaces outside Trash is a move to it, however much it is: nothing there
    ends for good."""
    for n in range(60):
        account.deliver(mail.numbered(n))
    mount = mounts(account).start().online()
    mount.wait_listed("INBOX", 60)
    proxy.forget()
    paths = [path_of(mount, uid) for uid in range(1, 61)]
    with open(paths[0], "ab") as f:
        f.write(b"One line more.\r\n")
    os.rename(paths[1], paths[2])
    subprocess.run(["rm", *(path for path in paths if os.path.exists(path))], check=True)
    judge.wait([], "INBOX")
    judge.wait(numbered(*range(60)) + [mail.numbered(0) + b"One line more.\r\n"], "Trash")
    assert not proxy.lines(r"\bEXPUNGE\b|\bREPLACE\b|\bSTORE\b")


@EVERYWHERE
def test_expunge(seeded, judge, proxy, mounts):
    """delete=expunge, and the rule without UIDPLUS: what another client has marked as deleted
    stays; what could not be removed without it is hidden here."""
    mount = mounts(seeded, delete="expunge").start().online()
    mount.wait_listed("INBOX", len(mount.messages()))
    proxy.forget()
    os.unlink(path_of(mount, 1))
    judge.wait(numbered(1, 2, 3))
    assert proxy.changes() == ["UID STORE", "EXPUNGE" if seeded.variant == "bare"
                               else "UID EXPUNGE"]
    seeded.store("INBOX", "4", "\\Deleted")  # another client's: it may yet change its mind
    os.unlink(path_of(mount, 2))
    assert not proxy.lines(r"\bCLOSE\b")
    if seeded.variant == "bare":
        judge.wait(numbered(1, 2, 3))
    else:
        judge.wait(numbered(2, 3))
    assert {seen.data: seen.flags for seen in judge.see().values()}[mail.numbered(3)] \
        == {"\\Deleted"}
    for _ in range(2):
        assert shown(mount) == numbered(2, 3)
        mount.restart().online()
    if judge.exists("Trash"):
        judge.wait([], "Trash")


@pytest.mark.parametrize("account", ["bare"], indirect=True)
def test_trash_without_uidplus_beside_anothers_deletion(seeded, judge, mounts):
    mount = mounts(seeded).start().online()
    mount.wait_listed("INBOX", len(mount.messages()))
    seeded.store("INBOX", "4", "\\Deleted")
    os.unlink(path_of(mount, 1))
    judge.wait(numbered(0), "Trash")
    assert judge.has(mail.numbered(3))
    for _ in range(2):
        assert shown(mount) == numbered(1, 2, 3)
        mount.restart().online()


@pytest.mark.parametrize("account", ["cyrus"], indirect=True)
def test_trash_by_special_use(seeded, judge, mounts):
    kind, answer = judge.imap._simple_command(  # pylint: disable=protected-access
        "CREATE", "Papierkorb", "(USE (\\Trash))")
    assert kind == "OK", answer
    mount = mounts(seeded).start().online()
    os.unlink(path_of(mount, 1))
    judge.wait(numbered(0), "Papierkorb")
    assert not judge.exists("Trash")


def test_trash_by_its_key(seeded, judge, mounts):
    """trash= names a mailbox that is not there yet."""
    mount = mounts(seeded, trash="Old/سطل").start().online()
    os.unlink(path_of(mount, 1))
    judge.wait(numbered(0), "Old/سطل")
    judge.wait([], "Trash")
    os.unlink("%s/Old/سطل/%s" % (mount.path, os.listdir(mount.path + "/Old/سطل")[0]))
    judge.wait([], "Old/سطل")


@pytest.mark.parametrize("account", ["full", "bare"], indirect=True)
def test_trash_that_another_client_removed(seeded, judge, mounts):
    """The first to need it makes it anew, whether we heard of its end or not."""
    mount = mounts(seeded, poll="1h").start().online()
    mount.wait_listed("INBOX", 4)
    names = mount.messages()
    seeded.delete("Trash")
    os.unlink(path_of(mount, 1))
    judge.wait(numbered(0), "Trash")
    judge.wait(numbered(1, 2, 3))
    seeded.delete("Trash")
    with open(os.path.join(mount.path, "INBOX", names[2]), "r+b") as f:
        f.write(mail.numbered(9))
        f.truncate()
    judge.wait(numbered(1), "Trash")
    assert sorted(judge.data()) == sorted(numbered(2, 3, 9))
    system.wait_for(lambda: shown(mount) == sorted(numbered(2, 3, 9)), "it is shown")


@pytest.mark.parametrize("account", ["full", "bare"], indirect=True)
def test_rm_of_a_tree(seeded, judge, mounts):
    for n, name in enumerate(("Tree", "Tree/One", "Tree/One/Two")):
        seeded.create(name)
        judge.append(mail.numbered(20 + n), name)
    mount = mounts(seeded).start().online()
    subprocess.run(["rm", "-r", mount.path + "/Tree"], check=True)
    judge.wait(numbered(20, 21, 22), "Trash")
    assert not judge.exists("Tree") and not judge.exists("Tree/One")
    assert not os.path.exists(mount.path + "/Tree")
    judge.wait(numbered(0, 1, 2, 3))


def test_an_open_file_can_be_removed(seeded, judge, mounts):
    mount = mounts(seeded).start().online()
    path = path_of(mount, 1)
    with open(path, "rb") as f:
        f.read(1)
        os.unlink(path)
        f.seek(0)
        assert f.read() == mail.numbered(0)
        assert not os.path.exists(path)
    judge.wait(numbered(0), "Trash")


def test_a_message_that_another_client_removed_first(seeded, judge, mounts):
    mount = mounts(seeded).start().online()
    path = path_of(mount, 1)
    seeded.expunge("INBOX", "1")
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    system.wait_for(lambda: not os.path.exists(path), "it is gone")
    judge.wait(numbered(1, 2, 3))
    assert shown(mount) == numbered(1, 2, 3)
