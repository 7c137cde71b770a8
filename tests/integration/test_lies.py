"""Servers that lie: about sizes, about what was deleted, about who is who, and bodies that come
in half.  What is shown in the end is what is really there."""
import errno
import os
import threading
import time

import pytest

from bed import mail, proxy, scripted, system

BODY = r"^UID FETCH .*BODY\.PEEK\[\]"


def served(scripted_server, n=3, capabilities="IMAP4rev1", first=1):
    """A server with n messages, and what they are."""
    truth = {uid: mail.numbered(uid) for uid in range(first, first + n)}
    server = scripted_server({"INBOX": [scripted.Message(*item) for item in truth.items()]},
                             capabilities=capabilities)
    return server, truth


def make_long(server, truth, uid):
    """A message that does not come in one piece, and its first octets as an answer."""
    truth[uid] = mail.message("long", body=b"0123456789abcdef\r\n" * 20000)
    server.mailboxes["INBOX"][uid - 1].data = truth[uid]
    return (b"* %d FETCH (UID %d BODY[] {%d}\r\n%s"
            % (uid, uid, len(truth[uid]), truth[uid][:10000]))


def connect(server, mounts, url=None, **more):
    keys = {"imap": url or server.url(), "user": "u", "password": "secret", "poll": "1s"}
    mount = mounts(dict(keys, **more)).start()
    mount.wait_state("online")
    return mount


def path_of(mount, uid):
    return os.path.join(mount.path, "INBOX", mount.messages()[uid])


def error_of(function, *arguments):
    """The errno that it fails with, or None."""
    try:
        function(*arguments)
    except OSError as error:
        return error.errno
    return None


def read(path):
    with open(path, "rb") as f:
        return f.read()


class TestSizes:
    @pytest.mark.parametrize("claimed", [0, 10, 1 << 20, 1 << 28])
    def test_what_is_read_is_what_is_there(self, scripted_server, mounts, claimed):
        server, truth = served(scripted_server)
        for message in server.mailboxes["INBOX"]:
            message.size = claimed
        mount = connect(server, mounts)
        path = path_of(mount, 2)
        assert os.stat(path).st_size == claimed or claimed == 0
        with open(path, "rb") as f:
            assert os.fstat(f.fileno()).st_size == len(truth[2])
            assert f.read() == truth[2]
        assert os.stat(path).st_size == len(truth[2])
        mount.restart()
        assert os.stat(path).st_size == len(truth[2])
        assert read(path) == truth[2]


class TestDeletion:
    def test_vanished_of_everything(self, scripted_server, mounts):
        server, truth = served(scripted_server, 40,
                               "IMAP4rev1 ENABLE CONDSTORE QRESYNC IDLE")
        mount = connect(server, mounts)
        names = mount.messages()
        lies = [
            server.rule(r"^EXAMINE .*QRESYNC", "* OK [CLOSED] x", "* 40 EXISTS",
                        "* OK [UIDVALIDITY 4711] x", "* OK [UIDNEXT 41] x", "* OK [HIGHESTMODSEQ 9] x",
                        "* VANISHED (EARLIER) 1:39,100:4294967295", tagged="OK [READ-ONLY] x"),
            server.rule(r"^IDLE", raw=b"+ idling\r\n* VANISHED 1:40\r\n", drop=True,
                        times=1),
        ]
        mount.run("sync", mount.path + "/INBOX")
        system.wait_for(lambda: lies[0].hits, "the lie")
        time.sleep(1)
        assert mount.messages() == names
        assert mount.contents() == truth

    def test_expunge_of_everything(self, scripted_server, mounts):
        server, truth = served(scripted_server, 40)
        mount = connect(server, mounts)
        names = mount.messages()
        lie = server.rule(r"^(NOOP|UID FETCH .*FLAGS\))", *["* 1 EXPUNGE"] * 40, times=2)
        mount.run("sync", mount.path + "/INBOX")
        system.wait_for(lambda: lie.hits, "the lie")
        time.sleep(1)
        assert mount.messages() == names
        assert mount.contents() == truth

    def test_a_search_that_forgets(self, scripted_server, mounts):
        """UIDs that are fewer than EXISTS prove nothing."""
        server, truth = served(scripted_server, 40, "IMAP4rev1 ENABLE CONDSTORE QRESYNC")
        mount = connect(server, mounts)
        names = mount.messages()
        lie = server.rule(r"^UID SEARCH", "* SEARCH 40")
        server.rule(r"^EXAMINE .*QRESYNC", "* OK [CLOSED] x", "* 40 EXISTS",
                    "* OK [UIDVALIDITY 4711] x", "* OK [UIDNEXT 41] x", "* OK [HIGHESTMODSEQ 9] x",
                    "* VANISHED (EARLIER) 1:39", tagged="OK [READ-ONLY] x")
        mount.run("sync", mount.path + "/INBOX")
        system.wait_for(lambda: lie.hits, "the lie")
        assert mount.messages() == names
        assert mount.contents() == truth


class TestIdentity:
    @pytest.mark.parametrize("when", ["mounted", "down"])
    def test_a_new_uidvalidity(self, scripted_server, mounts, when):
        """All messages get other numbers; who is who is seen by their Message-IDs, and nothing is
        fetched twice."""
        server, truth = served(scripted_server)
        mount = connect(server, mounts)
        assert mount.contents() == truth
        inodes = {uid: os.stat(path_of(mount, uid)).st_ino for uid in truth}
        if when == "down":
            mount.stop()
        server.uidvalidity += 1
        server.mailboxes["INBOX"] = [scripted.Message(uid + 10, data)
                                     for uid, data in truth.items()]
        before = len(server.commands(r"BODY\.PEEK\[\]"))
        if when == "down":
            mount.start()
        system.wait_for(lambda: set(mount.messages()) == {11, 12, 13}, "the new numbers")
        assert mount.contents() == {uid + 10: data for uid, data in truth.items()}
        assert {uid: os.stat(path_of(mount, uid + 10)).st_ino for uid in truth} == inodes
        assert len(server.commands(r"BODY\.PEEK\[\]")) == before


    @pytest.mark.parametrize("first", [0, 1])
    @pytest.mark.parametrize("capabilities", ["IMAP4rev1 OBJECTID", "IMAP4rev1"])
    def test_twins(self, scripted_server, mounts, capabilities, first):
        """Two messages of one Message-ID and one size: EMAILID tells them apart; without it
        nobody is taken for the other."""
        twins = [mail.message("twin %s" % x, extra=b"Message-ID: <twin@example.org>\r\n")
                 for x in "ab"]
        server = scripted_server({"INBOX": [scripted.Message(1, twins[0]),
                                            scripted.Message(2, twins[1])]},
                                 capabilities=capabilities)
        mount = connect(server, mounts)
        assert mount.contents() == {1: twins[0], 2: twins[1]}
        inodes = [os.stat(path_of(mount, uid)).st_ino for uid in (1, 2)]
        server.uidvalidity += 1
        server.mailboxes["INBOX"] = [scripted.Message(11, twins[first]),
                                     scripted.Message(12, twins[1 - first])]
        system.wait_for(lambda: set(mount.messages()) == {11, 12}, "the new numbers")
        assert mount.contents() == {11: twins[first], 12: twins[1 - first]}
        if "OBJECTID" in capabilities:
            assert [os.stat(path_of(mount, 11 + (first != n))).st_ino
                    for n in range(2)] == inodes


class TestBodies:
    @pytest.mark.parametrize("length", ["short", "long"])
    def test_a_literal_that_is_cut(self, scripted_server, mounts, length):
        server, truth = served(scripted_server)
        half = make_long(server, truth, 2) if length == "long" else \
            b"* 2 FETCH (UID 2 BODY[] {%d}\r\n%s" % (len(truth[2]), truth[2][:1000])
        cut = server.rule(BODY, raw=half, drop=True, times=1)
        mount = connect(server, mounts)
        assert read(path_of(mount, 2)) == truth[2]
        assert cut.hits == 1

    def test_gone_before_it_is_read(self, scripted_server, mounts):
        server, truth = served(scripted_server)
        server.rule(BODY)  # only the tagged OK
        server.rule(BODY, "* 2 FETCH (UID 2 BODY[] NIL)", times=1)
        mount = connect(server, mounts)
        path = path_of(mount, 2)
        assert error_of(open, path) == errno.ENOENT
        assert error_of(open, path) == errno.ENOENT
        server.rules.clear()
        assert read(path) == truth[2]

    def test_gone_while_it_is_read(self, scripted_server, mounts):
        server, truth = served(scripted_server)
        between = proxy.Proxy(server.port)
        server.rule(BODY)
        server.rule(BODY, raw=make_long(server, truth, 2), times=1)
        mount = connect(server, mounts, between.url())
        with open(path_of(mount, 2), "rb") as f:
            between.cut()
            assert error_of(f.read) == errno.ESTALE
        between.close()

    def test_expunged_while_it_is_open(self, scripted_server, mounts):
        server, truth = served(scripted_server)
        mount = connect(server, mounts)
        path = path_of(mount, 2)
        with open(path, "rb") as f:
            del server.mailboxes["INBOX"][1]
            system.wait_for(lambda: 2 not in mount.messages(), "it is gone")
            assert error_of(open, path) == errno.ENOENT
            assert f.read() == truth[2]

    def test_another_one_is_sent(self, scripted_server, mounts):
        server, truth = served(scripted_server)
        server.rule(BODY, raw=b"* 1 FETCH (UID 1 BODY[] {%d}\r\n%s)\r\nTAG OK x\r\n"
                    % (len(truth[1]), truth[1]), times=1)
        mount = connect(server, mounts)
        path = path_of(mount, 2)
        assert error_of(read, path) == errno.ENOENT
        assert read(path) == truth[2]


class TestSilence:
    def test_nobody_waits_for_ever(self, scripted_server, mounts):
        """Listing, opening and reading end with ETIMEDOUT, 15 seconds after the last octet."""
        server, truth = served(scripted_server)
        server.mailboxes["Work"] = [scripted.Message(9, mail.numbered(9))]
        between = proxy.Proxy(server.port)
        mount = connect(server, mounts, between.url(), connections="1")
        other_server, other_truth = served(scripted_server)
        other_server.rule(BODY, raw=make_long(other_server, other_truth, 2))
        other = connect(other_server, mounts)
        path, half = path_of(mount, 2), path_of(other, 2)
        between.frozen = True
        found = {}

        def run(name, function, *arguments):
            start = time.monotonic()
            found[name] = (error_of(function, *arguments), time.monotonic() - start)
        threads = [threading.Thread(target=run, args=each) for each in [
            ("list", os.listdir, mount.path + "/Work"), ("open", open, path),
            ("read", read, half)]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, (code, seconds) in found.items():
            assert code == errno.ETIMEDOUT, found
            assert 14 < seconds < 19, found
        other_server.rules.clear()
        assert read(half) == other_truth[2]
        between.frozen = False
        system.wait_for(lambda: read(path) == truth[2], "it is read after all")
        between.close()
