"""Which message a unique-id means: servers give them to other messages, an account is led to another
server, and a list may lack what is there.  What the user never saw is not removed."""
import os
import re
import time

import pytest

from bed import mail, system
from bed.pop3_account import on_wire
from bed.pop3_mount import numbers, path_of, read, settle, shown
from bed.scripted_pop3 import Message


def numbered(*wanted):
    return sorted(on_wire(mail.numbered(n)) for n in wanted)


@pytest.fixture
def make(scripted_pop3_server):
    """A scripted server with these messages, uidl-1 and so on."""
    return lambda *wanted: scripted_pop3_server([mail.numbered(n) for n in wanted])


def listed(mount, *wanted):
    """A mount whose INBOX is known, between two sessions."""
    mount.start().online()
    system.wait_for(lambda: numbers(mount) == list(wanted), "INBOX is listed")
    return mount


def give_anew(server, *wanted):
    """The maildrop has these messages, and the ids are numbers of positions."""
    with server.lock:
        server.drop = [Message("uidl-%d" % i, mail.numbered(n)) for i, n in enumerate(wanted, 1)]


def left(server):
    return sorted(server.data())


def same_size(n):
    return mail.message("Same size %d" % n, body=b"The same.\r\n",
                        extra=b"Message-ID: <same-%d@example.org>\r\n" % n)


class TestIdsGivenAnew:
    def test_names_follow(self, make, mounts):
        """A server that counts positions: after the first one went, every file has its own
        content, and rm removes what it names."""
        server = make(*range(4))
        mount = listed(mounts(server.keys(poll="1s")), *range(4))
        names = {n: os.path.basename(path_of(mount, n)) for n in range(4)}
        system.wait_for(server.is_free, "the session is over")
        give_anew(server, 1, 2, 3)
        system.wait_for(lambda: numbers(mount) == [1, 2, 3], "the same here", 20)
        assert {n: os.path.basename(path_of(mount, n)) for n in (1, 2, 3)} == \
            {n: names[n] for n in (1, 2, 3)}
        assert shown(mount) == numbered(1, 2, 3)
        os.unlink(path_of(mount, 1))
        system.wait_for(lambda: left(server) == numbered(2, 3), "it is removed")

    def test_rm_before_anybody_knows(self, make, mounts):
        server = make(*range(3))
        mount = listed(mounts(server.keys(poll="1h")), *range(3))
        system.wait_for(server.is_free, "the session is over")
        give_anew(server, 1, 2)
        sessions = server.sessions
        os.unlink(path_of(mount, 0))
        os.unlink(path_of(mount, 1))
        system.wait_for(lambda: server.sessions > sessions and server.is_free(), "a session")
        settle(mount)
        assert left(server) == numbered(1, 2) and not server.commands("^DELE")
        assert "UIDL" in mount.log()
        system.wait_for(lambda: numbers(mount) == [1, 2], "what was not removed is shown", 20)

    def test_mv_of_a_cached_one(self, make, mounts):
        server = make(*range(3))
        mount = listed(mounts(server.keys(poll="1h")), *range(3))
        os.mkdir(mount.path + "/Archive")
        read(path_of(mount, 1))
        system.wait_for(server.is_free, "the session is over")
        give_anew(server, 1, 2)
        sessions = server.sessions
        os.rename(path_of(mount, 1), mount.path + "/Archive/x.eml")
        system.wait_for(lambda: server.sessions > sessions and server.is_free(), "a session")
        settle(mount)
        assert read(mount.path + "/Archive/x.eml") == on_wire(mail.numbered(1))
        assert left(server) == numbered(1, 2) and not server.commands("^DELE")
        system.wait_for(lambda: set(numbers(mount)) == {1, 2}, "INBOX is what it is there", 20)

    def test_quit_unanswered(self, scripted_pop3_server, mounts):
        """It was removed, nobody heard of it, and then its id is another one's, of the same
        size."""
        server = scripted_pop3_server([same_size(n) for n in range(3)])
        mount = mounts(server.keys(poll="1s")).start().online()
        system.wait_for(lambda: len(os.listdir(mount.path + "/INBOX")) == 3, "INBOX is listed")
        system.wait_for(server.is_free, "the session is over")
        server.quit = "lost"
        name = next(x for x in os.listdir(mount.path + "/INBOX") if "size-0" in x or "size 0" in x)
        os.unlink(os.path.join(mount.path, "INBOX", name))
        system.wait_for(lambda: len(server.drop) == 2, "it is removed")
        with server.lock:
            server.drop = [Message("uidl-%d" % i, same_size(i)) for i in (1, 2)]
        server.quit = "ok"
        rest = sorted(on_wire(same_size(n)) for n in (1, 2))
        system.wait_for(lambda: shown(mount) == rest, "the others", 20)
        sessions = server.sessions
        system.wait_for(lambda: server.sessions > sessions + 1, "more sessions")
        assert left(server) == rest
        assert server.verbs()["DELE"] == 1

    @pytest.mark.parametrize("capabilities", [("TOP", "UIDL", "USER"), ("UIDL", "USER")])
    def test_a_claim_that_changes(self, make, mounts, capabilities):
        """Some servers know sizes better after a RETR: it is the same message."""
        server = make(*range(3))
        server.capabilities = capabilities
        mount = listed(mounts(server.keys(poll="1s")), *range(3))
        before = sorted(os.listdir(mount.path + "/INBOX"))
        for n in range(3):
            sessions = server.sessions
            server.drop[n].size += 7
            system.wait_for(lambda seen=sessions: server.sessions > seen + 1, "sessions")
            assert sorted(os.listdir(mount.path + "/INBOX")) == before
        assert server.verbs()["TOP"] + server.verbs()["RETR"] <= 6, "one more each"
        os.unlink(path_of(mount, 1))
        system.wait_for(lambda: left(server) == numbered(0, 2), "it is removed")


class TestAnotherServer:
    def test_what_was_owed_is_dropped(self, make, mounts):
        """The same account leads to another server, which has the same unique-ids."""
        server, other = make(0, 1, 2), make(0, 11, 12)
        mount = listed(mounts(server.keys(poll="1s")), 0, 1, 2)
        read(path_of(mount, 2))
        system.wait_for(server.is_free, "the session is over")
        server.in_use = 1000
        os.unlink(path_of(mount, 0))
        mount.kill()
        edit_config(mount, server.port, other.port)
        mount.start()
        system.wait_for(lambda: [n for n in numbers(mount) if n != 2] == [0, 11, 12],
                        "the mail over there", 30)
        settle(mount)
        assert left(other) == numbered(0, 11, 12) and not other.commands("^DELE")
        assert re.search("another mailbox", mount.log())
        assert read(path_of(mount, 11)) == on_wire(mail.numbered(11))
        os.unlink(path_of(mount, 12))
        system.wait_for(lambda: left(other) == numbered(0, 11), "what is removed now")

    def test_the_same_mail_by_another_way(self, make, mounts):
        server, other = make(0, 1, 2), make(0, 1, 2)
        mount = listed(mounts(server.keys(poll="1s")), 0, 1, 2)
        assert mount.run("flag", path_of(mount, 1), "+flagged").returncode == 0
        before = facts(mount)
        mount.kill()
        edit_config(mount, server.port, other.port)
        mount.start()
        system.wait_for(lambda: other.sessions > 1, "sessions")
        settle(mount)
        assert facts(mount) == before


def edit_config(mount, old, new):
    for where, _, names in os.walk(mount.folder):
        for name in names:
            path = os.path.join(where, name)
            if name.endswith(".conf"):
                with open(path) as f:
                    text = f.read()
                with open(path, "w") as f:
                    f.write(text.replace(":%d" % old, ":%d" % new))


class TestOddLists:
    """A list that contradicts itself is not believed, and one that lacks mail once changes no
    name and loses no flag."""

    def flagged(self, server, mounts, n):
        mount = listed(mounts(server.keys(poll="1s")), *range(n))
        result = mount.run("flag", path_of(mount, 1), "+flagged")
        assert result.returncode == 0, result.stderr
        system.wait_for(server.is_free, "the session is over")
        return mount, facts(mount)

    def test_stat_and_nothing_else(self, make, mounts):
        server = make(*range(3))
        mount, before = self.flagged(server, mounts, 3)
        uidl = server.rule("^UIDL", "+OK", ".", times=1)
        server.rule("^LIST", "+OK", ".", times=1)
        system.wait_for(lambda: uidl.hits, "the lists")
        sessions = server.sessions
        while server.sessions < sessions + 2:
            assert facts(mount) == before
            time.sleep(0.1)
        settle(mount)
        assert facts(mount) == before

    def test_uidl_lacks_some(self, make, mounts):
        server = make(*range(8))
        mount, before = self.flagged(server, mounts, 8)
        uidl = server.rule("^UIDL", "+OK", *["%d uidl-%d" % (n, n) for n in range(1, 6)], ".",
                           times=1)
        system.wait_for(lambda: uidl.hits, "the list")
        sessions = server.sessions
        system.wait_for(lambda: server.sessions > sessions + 1, "more sessions", 20)
        settle(mount)
        assert facts(mount) == before

    def test_all_of_them_once(self, make, mounts):
        """STAT, LIST and UIDL agree, and two are back in the next session."""
        server = make(*range(6))
        mount, before = self.flagged(server, mounts, 6)
        hidden = server.drop[:2]
        server.remove("uidl-1", "uidl-2")
        system.wait_for(lambda: numbers(mount) == [2, 3, 4, 5], "they are gone", 20)
        with server.lock:
            server.drop = hidden + server.drop
        system.wait_for(lambda: numbers(mount) == list(range(6)), "they are back", 20)
        assert facts(mount) == before

    def test_always(self, make, mounts):
        """A server that never counts right is read all the same, in the end."""
        server = make(*range(3))
        server.rule("^STAT", "+OK 4 5000")
        mount = mounts(server.keys(poll="1s")).start()
        system.wait_for(lambda: numbers(mount) == [0, 1, 2], "INBOX", 40)
        server.add(Message("new", mail.numbered(7)))
        system.wait_for(lambda: numbers(mount) == [0, 1, 2, 7], "new mail")


def facts(mount):
    """Name -> flags."""
    inbox = mount.path + "/INBOX"
    result = {}
    for name in sorted(os.listdir(inbox)):
        flags = mount.run("flag", os.path.join(inbox, name)).stdout
        result[name] = "flagged" in flags
    return result


def test_a_batch_with_some_that_cannot_go(make, mounts):
    """Each is answered by itself."""
    server = make(*range(6))
    server.drop[2].uidl = server.drop[3].uidl = "same"
    mount = listed(mounts(server.keys(poll="1s")), *range(6))
    result = mount.run("rm", *[path_of(mount, n) for n in (0, 1, 2, 3, 4)])
    assert result.returncode != 0
    said = result.stderr
    assert "000002" in said and "000003" in said
    assert "000001" not in said and "000004" not in said
    system.wait_for(lambda: left(server) == numbered(2, 3, 5), "the others are removed")
    system.wait_for(lambda: numbers(mount) == [2, 3, 5], "the same here")
    os.mkdir(mount.path + "/Archive")
    result = mount.run("mv", *[path_of(mount, n) for n in (2, 3, 5)], mount.path + "/Archive")
    assert result.returncode != 0
    assert "000002" in result.stderr and "000005" not in result.stderr
    system.wait_for(lambda: left(server) == numbered(2, 3), "it is moved")
    assert len(os.listdir(mount.path + "/Archive")) == 1
    assert numbers(mount) == [2, 3]


@pytest.mark.parametrize("capabilities", [("TOP", "USER"), ("USER",)])
def test_without_uidl_nothing_is_fetched_twice(scripted_pop3_server, mounts, capabilities):
    server = scripted_pop3_server([mail.numbered(n) for n in range(20)],
                                  capabilities=capabilities)
    server.rule(r"^UIDL", "-ERR I do not know that command")
    mount = listed(mounts(server.keys(poll="1s")), *range(20))
    system.wait_for(server.is_free, "the session is over")
    verbs, sessions = server.verbs(), server.sessions
    system.wait_for(lambda: server.sessions >= sessions + 4, "more sessions", 20)
    after = server.verbs()
    assert (after["TOP"], after["RETR"]) == (verbs["TOP"], verbs["RETR"])
    server.add(Message("new", mail.numbered(20)))
    system.wait_for(lambda: numbers(mount) == list(range(21)), "new mail")
