"""What another client does shows in the tree: at once where the server tells, otherwise within
the poll interval; and nothing that the server did not say is taken away."""
import errno
import os
import signal
import subprocess
import time

import pytest

from bed import mail, scripted, system

# How soon changes show where the server does not push them.  Where it does (NOTIFY) polls are five
# times as rare: later than the tests wait, but for the tunnel, where Dovecot 2.3 forgets what was
# renamed.
POLL = {"full": "3s", "ns": "3s", "bare": "2s", "cyrus": "2s", "courier": "2s",
        "tunnel": "1s"}
SERVERS = pytest.mark.parametrize("account", ["full", "bare", "ns", "cyrus", "courier",
                                                "tunnel"],
                                  indirect=True)


@pytest.fixture
def mount(account, mounts):
    """A mount that has looked at an INBOX of three messages, and A with one."""
    for n in range(3):
        account.deliver(mail.numbered(n))
    account.create("A")
    account.deliver(mail.numbered(10), "A")
    made = mounts(account, poll=POLL[account.variant]).start()
    assert len(made.messages()) == 3
    assert len(made.messages(account.shown("A"))) == 1
    made.wait_listed("INBOX", 3)
    return made


def appears(mount, n, mailbox="INBOX"):
    system.wait_for(lambda: len(mount.messages(mailbox)) == n,
                    "%d messages in %s" % (n, mailbox))


@SERVERS
class TestAnotherClient:
    def test_new_mail(self, account, mount):
        mount.contents()  # the connection that reads has selected INBOX now
        uid = account.append(mail.numbered(77))
        appears(mount, 4)
        assert mount.contents() == account.fetch()
        assert uid is None or uid in mount.messages()

    def test_expunge(self, account, mount):
        gone = mount.messages()[2]
        account.expunge("INBOX", "2")
        appears(mount, 2)
        with pytest.raises(FileNotFoundError):
            os.stat(os.path.join(mount.path, "INBOX", gone))
        assert mount.contents() == account.fetch()

    def test_flags(self, account, mount):
        path = os.path.join(mount.path, "INBOX", mount.messages()[1])

        def is_new():
            info = os.stat(path)
            return info.st_atime < info.st_mtime
        assert is_new()
        account.store("INBOX", "1", "\\Seen")
        system.wait_for(lambda: not is_new(), "the message counts as seen")
        account.store("INBOX", "1", "\\Seen", sign="-")
        system.wait_for(is_new, "the message counts as unseen again")

    def test_in_another_mailbox(self, account, mount):
        account.append(mail.numbered(78), "A")
        appears(mount, 2, account.shown("A"))

    def test_a_mailbox_comes_and_goes(self, account, mount):
        path = os.path.join(mount.path, account.shown("New"))
        account.create("New")
        system.wait_for(lambda: os.path.isdir(path), "the new mailbox")
        account.append(mail.numbered(1), "New")
        appears(mount, 1, account.shown("New"))
        account.delete("New")
        system.wait_for(lambda: not os.path.exists(path), "the mailbox is gone")

    def test_a_mailbox_is_renamed(self, account, mount):
        account.rename("A", "B")
        # Dovecot's NOTIFY may lose track of a renamed mailbox: then by the poll
        system.wait_for(lambda: len(mount.messages(account.shown("B"))) == 1, "the new name", 20)
        assert not os.path.exists(os.path.join(mount.path, account.shown("A")))
        assert mount.contents(account.shown("B")) == account.fetch("B")

    def test_uidvalidity_changes(self, account, mount):
        """The same name, another mailbox: nothing of the old one is shown in its place."""
        assert mount.contents(account.shown("A"))[1] == mail.numbered(10)
        account.delete("A")
        time.sleep(1.1)  # UIDVALIDITY may be the time in seconds
        account.create("A")
        account.append(mail.numbered(20), "A")
        account.append(mail.numbered(21), "A")
        appears(mount, 2, account.shown("A"))
        assert list(mount.contents(account.shown("A")).values()) == [
            mail.numbered(20), mail.numbered(21)]


@pytest.mark.parametrize("account", ["cyrus"], indirect=True)
def test_idle_alone_tells_of_inbox(account, mounts):
    """A server without NOTIFY, and polls that are too rare to help."""
    for n in range(3):
        account.deliver(mail.numbered(n))
    mount = mounts(account, poll="1h").start()
    path = os.path.join(mount.path, "INBOX", mount.messages()[1])
    mount.wait_listed("INBOX", 3)
    account.append(mail.numbered(3))
    appears(mount, 4)
    account.store("INBOX", "1", "\\Seen")
    system.wait_for(lambda: os.stat(path).st_atime >= os.stat(path).st_mtime, "it counts as seen")
    account.expunge("INBOX", "2,3")
    appears(mount, 2)
    assert mount.contents() == account.fetch()


class TestFiles:
    def test_an_open_file_outlives_its_message(self, account, mount):
        with open(os.path.join(mount.path, "INBOX", mount.messages()[1]), "rb") as f:
            f.read(1)
            account.expunge("INBOX", "1")
            appears(mount, 2)
            f.seek(0)
            assert f.read() == mail.numbered(0)

    def test_directory_mtime_moves(self, account, mount):
        before = os.stat(mount.path + "/INBOX").st_mtime_ns
        account.append(mail.numbered(5))
        appears(mount, 4)
        assert os.stat(mount.path + "/INBOX").st_mtime_ns > before

    def test_a_thousand_at_once(self, account, mount):
        imap = account.connect()
        for n in range(1000):
            mail.append(imap, "INBOX", mail.tiny(n))
        appears(mount, 1003)


class TestNetwork:
    @pytest.fixture
    def proxied(self, account, mounts):
        account.through_proxy()
        for n in range(3):
            account.deliver(mail.numbered(n))
        made = mounts(account, poll="2s").start()
        assert mount_read_first(made) == mail.numbered(0)
        return made

    def test_offline_reading_and_return(self, account, proxied):
        account.proxy.down()
        system.wait_for(lambda: proxied.account()["state"] != "online", "offline")
        assert len(proxied.messages()) == 3
        assert mount_read_first(proxied) == mail.numbered(0)
        start = time.monotonic()
        with pytest.raises(OSError) as caught:
            with open(os.path.join(proxied.path, "INBOX", proxied.messages()[2]), "rb") as f:
                f.read()
        assert caught.value.errno == errno.ENETDOWN
        assert time.monotonic() - start < 2
        account.append(mail.numbered(50))
        account.proxy.up()
        proxied.wait_state("online", 20)
        appears(proxied, 4)
        assert proxied.contents() == account.fetch()

    def test_a_cut_connection_comes_back(self, account, proxied):
        for _ in range(3):
            account.proxy.cut()
            account.append(mail.numbered(60))
            n = len(account.fetch())
            system.wait_for(lambda n=n: len(proxied.messages()) == n, "the mailbox is right", 20)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
    def test_a_reader_that_waits_can_be_ended(self, account, proxied, number):
        account.proxy.frozen = True
        path = os.path.join(proxied.path, "INBOX", proxied.messages()[2])
        reader = subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL)
        time.sleep(0.3)
        assert reader.poll() is None
        reader.send_signal(signal.SIGWINCH)  # harmless: no reason to end
        time.sleep(0.7)
        assert reader.poll() is None
        reader.send_signal(number)
        assert reader.wait(5) == -number
        assert mount_read_first(proxied) == mail.numbered(0)
        account.proxy.frozen = False

    @pytest.mark.limit(180)
    def test_a_black_hole_is_no_hang(self, account, proxied):
        """A server that no longer answers: a read ends by its deadline, a cached one at once."""
        account.proxy.frozen = True
        start = time.monotonic()
        assert mount_read_first(proxied) == mail.numbered(0)
        assert len(os.listdir(proxied.path + "/INBOX")) == 3
        assert time.monotonic() - start < 2
        with pytest.raises(OSError) as caught:
            with open(os.path.join(proxied.path, "INBOX", proxied.messages()[3]), "rb") as f:
                f.read()
        assert caught.value.errno in (errno.ETIMEDOUT, errno.ENETDOWN)
        assert time.monotonic() - start < 40
        account.proxy.frozen = False
        account.proxy.cut()
        proxied.wait_state("online", 30)
        assert proxied.contents() == account.fetch()


def mount_read_first(mount):
    return mount.read("INBOX/" + mount.messages()[1])


def test_a_failed_list_removes_nothing(scripted_server, mounts):
    server = scripted_server({"INBOX": [scripted.Message(1, mail.numbered(1))], "Work": []})
    mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}, poll="1s").start()
    system.wait_for(lambda: os.path.isdir(mount.path + "/Work"), "Work")
    rule = server.rule(r"^LIST", tagged="NO [UNAVAILABLE] the database is away")
    system.wait_for(lambda: rule.hits >= 2, "LIST has failed twice", 30)
    assert os.path.isdir(mount.path + "/Work")
    assert len(mount.messages()) == 1


def test_a_list_that_ends_early_removes_nothing(scripted_server, mounts):
    server = scripted_server({"INBOX": [], "Work": []})
    mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}, poll="1s").start()
    system.wait_for(lambda: os.path.isdir(mount.path + "/Work"), "Work")
    rule = server.rule(r"^LIST", raw=b'* LIST () "/" INBOX\r\n', drop=True)
    system.wait_for(lambda: rule.hits >= 2, "LIST was cut twice", 30)
    assert os.path.isdir(mount.path + "/Work")


def test_a_session_that_is_behind(scripted_server, mounts):
    """The one that reads has not been told of what another one listed, and without UIDNEXT does not
    know that it is behind."""
    inbox = [scripted.Message(n, mail.numbered(n)) for n in (1, 2)]
    server = scripted_server({"INBOX": inbox})
    server.gives_uidnext, server.keeps_views = False, True
    mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}, poll="1s").start()
    assert mount_read_first(mount) == mail.numbered(1)
    inbox.append(scripted.Message(3, mail.numbered(3)))
    system.wait_for(lambda: 3 in mount.messages(), "the new one is listed", 30)
    assert mount.read("INBOX/" + mount.messages()[3]) == mail.numbered(3)
    assert len(server.commands(r"^\S+ UID SEARCH \*$")) <= server.n_connections
