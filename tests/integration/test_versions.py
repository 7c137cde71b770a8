"""Several versions of one file on their way, and what a restart makes of files that wait."""
import glob
import os

import pytest

from bed import mail, proxy as proxies, scripted, system

V1, V2 = (mail.message(name, body=name.encode("ascii") + b" version\r\n")
          for name in ("first", "second"))


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def queue_two(mount, between):
    """Offline, with two versions of x.eml in the queue."""
    mount.wait_listed("INBOX", 0)
    between.down()
    mount.wait_state("offline")
    write(mount.path + "/INBOX/x.eml", V1)
    write(mount.path + "/INBOX/x.eml", V2)


@pytest.fixture
def server(scripted_server):
    return scripted_server({"INBOX": []}, "IMAP4rev1 UIDPLUS MOVE")


@pytest.fixture
def between(server):
    made = proxies.Proxy(server.port)
    yield made
    made.close()


@pytest.fixture
def waiting(between, mounts):
    mount = mounts({"imap": between.url(), "user": "u", "password": "secret"}, offline="queue",
                   delete="expunge").start().online()
    queue_two(mount, between)
    return mount


def n_pending(mount):
    return (mount.account()["upload"] or {"pending": 0})["pending"]


def wait_for_end(mount, between, *there):
    between.up()
    mount.online()
    system.wait_for(lambda: n_pending(mount) == 0, "nothing is pending", 20)
    assert sorted(os.listdir(mount.path + "/INBOX")) == sorted(there)


def data(server):
    return [message.data for message in server.mailboxes["INBOX"]]


def test_the_first_is_refused(server, between, waiting):
    server.rule(r"^APPEND ", tagged="NO [OVERQUOTA] your mailbox is full", times=1)
    wait_for_end(waiting, between, "x.eml")
    assert data(server) == [V2] == [waiting.read("INBOX/x.eml")]
    assert not server.commands(r"STORE|EXPUNGE|MOVE")
    assert waiting.read(".mailfs/lost+found/INBOX/x.eml") == V1


def test_the_first_is_given_up(server, between, waiting):
    assert waiting.run("queue", "drop", "1").returncode == 0
    assert waiting.read("INBOX/x.eml") == V2
    wait_for_end(waiting, between, "x.eml")
    assert data(server) == [V2] == [waiting.read("INBOX/x.eml")]
    assert not server.commands(r"STORE|EXPUNGE|MOVE")
    system.wait_for(lambda: waiting.read(".mailfs/lost+found/INBOX/x.eml") == V1, "it is kept")


def test_both_are_renamed_and_mailfs_is_killed(account, judge, mounts):
    proxy = account.through_proxy()
    mount = mounts(account, offline="queue").start().online()
    queue_two(mount, proxy)
    os.rename(mount.path + "/INBOX/x.eml", mount.path + "/INBOX/y.eml")
    # The disk takes things in their order: with this one it has the rename.
    write(mount.path + "/INBOX/later.eml~", V1)
    os.unlink(mount.path + "/INBOX/later.eml~")
    mount.kill()
    mount.start()
    wait_for_end(mount, proxy, "y.eml")
    judge.wait([V2])
    assert mount.read("INBOX/y.eml") == V2


def test_an_older_one_is_tried_again(scripted_server, mounts):
    """It was refused, the file was saved anew since: that one stays, the older gets a place."""
    server, mount, name, old = one_message(scripted_server, mounts, "IMAP4rev1 UIDPLUS MOVE",
                                         trash="Trash")
    server.mailboxes["Trash"] = []
    server.rule(r"^UID MOVE")  # says OK and moves nothing, which is of no matter here
    full = server.rule(r"^APPEND ", tagged="NO [OVERQUOTA] your mailbox is full", times=1)
    with pytest.raises(OSError):
        write(mount.path + "/INBOX/" + name, V1)
    assert full.hits == 1
    system.wait_for(lambda: mount.read("INBOX/" + name) == old, "it is in lost+found")
    write(mount.path + "/INBOX/" + name, V2)
    n_moved = len(server.commands(r"UID MOVE"))
    assert mount.run("queue", "retry").returncode == 0
    system.wait_for(lambda: V1 in data(server), "it is sent")
    system.wait_for(lambda: n_pending(mount) == 0, "nothing is pending", 20)
    assert mount.read("INBOX/" + name) == V2
    assert V1 in [mount.read("INBOX/" + each) for each in os.listdir(mount.path + "/INBOX")]
    assert len(server.commands(r"UID MOVE")) == n_moved


def one_message(scripted_server, mounts, capabilities, **keys):
    old = mail.message("T", body=b"zeroth version\r\n", extra=b"Message-ID: <t@example.org>\r\n")
    server = scripted_server({"INBOX": [scripted.Message(1, old)]}, capabilities)
    mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}, **keys)
    mount.start().online()
    mount.wait_listed("INBOX", 1)
    name, = os.listdir(mount.path + "/INBOX")
    return server, mount, name, old


def test_a_server_that_merges(scripted_server, mounts):
    """APPEND of a known Message-ID is OK, and gives the number of the message that is there."""
    server, mount, name, old = one_message(scripted_server, mounts, "IMAP4rev1 UIDPLUS")
    server.rule(r"^APPEND ", tagged="OK [APPENDUID 4711 1] merged")
    new = old.replace(b"zeroth", b"other")
    with pytest.raises(FileExistsError):
        write(mount.path + "/INBOX/new.eml", new)
    system.wait_for(lambda: os.listdir(mount.path + "/INBOX") == [name], "it is in lost+found")
    assert mount.read("INBOX/" + name) == old
    assert mount.read(".mailfs/lost+found/INBOX/new.eml") == new


def test_a_replace_that_is_refused(scripted_server, mounts):
    """Somebody was faster: the new version is there beside what they made of it."""
    server, mount, name, old = one_message(scripted_server, mounts, "IMAP4rev1 UIDPLUS REPLACE",
                                           delete="expunge")
    refused = server.rule(r"^UID REPLACE", tagged="NO no such message")
    new = old.replace(b"zeroth", b"first")
    write(mount.path + "/INBOX/" + name, new)
    assert refused.hits == 1
    assert data(server) == [old, new]
    assert mount.read("INBOX/" + name) == new


def test_a_scratch_file_that_the_queue_took(server, between, mounts):
    """Its rename was promised: what is refused then is in lost+found, and no scratch file."""
    mount = mounts({"imap": between.url(), "user": "u", "password": "secret"},
                   offline="queue").start().online()
    mount.wait_listed("INBOX", 0)
    between.down()
    mount.wait_state("offline")
    write(mount.path + "/INBOX/.x.eml.AbCdEf", V1)
    os.rename(mount.path + "/INBOX/.x.eml.AbCdEf", mount.path + "/INBOX/x.eml")
    server.rule(r"^APPEND ", tagged="NO [OVERQUOTA] your mailbox is full")
    wait_for_end(mount, between)
    assert mount.read(".mailfs/lost+found/INBOX/x.eml") == V1


def test_octets_that_cannot_be_read_are_kept(account, mounts):
    """They may be there the next time: what cannot be opened is not taken for empty."""
    mount = mounts(account).start().online()
    mount.wait_listed("INBOX", 0)
    write(mount.path + "/INBOX/x.eml~", V1)
    mount.stop()
    stage, = glob.glob(mount.folder + "/state/mailfs/*/staging/*")
    os.rename(stage, mount.folder + "/aside")
    os.mkdir(stage)
    mount.start().online()
    assert os.listdir(mount.path + "/INBOX") == []
    assert "stay in the staging folder" in mount.log()
    mount.stop()
    os.rmdir(stage)
    os.rename(mount.folder + "/aside", stage)
    mount.start()
    assert mount.read("INBOX/x.eml~") == V1
