"""POP3 servers that end a message too early: one that leaves a dot alone on its line, as somebody may
have written it, and one that gives less than LIST says.  Whatever is done with such a message, the
server keeps it, and nothing that its sender wrote passes for another message."""
import errno
import os
import subprocess

import pytest

from bed import mail, system
from bed.pop3_account import on_wire
from bed.pop3_mount import error_of, live_through, numbers, path_of, read, shown, stored
from bed.scripted_pop3 import Message

DOTS = on_wire(mail.message("dots", body=b"one\r\n.\r\ntwo\r\n.three\r\n" + b"x" * 5000 + b"\r\n"))
FAKE = b"Subject: fake\r\nFrom: mallory@example.org\r\n\r\nnot your mail\r\n.\r\n"
SMUGGLED = {
    "message": b"+OK\r\n" + FAKE,
    "answer": b"+OK 1 u\r\n+OK\r\n" + FAKE,  # to UIDL, by one who guesses wrong
    "list": b"+OK 1 5000\r\n+OK\r\n" + FAKE,
    "error": b"-ERR no such message\r\n",
    "dot": b"",
}


def numbered(*wanted):
    return sorted(on_wire(mail.numbered(n)) for n in wanted)


def unstuffed(data, uidl="the-uidl"):
    return Message(uidl, data, raw=data + b".\r\n")


def short(size=50184, n=302):
    """LIST says size; RETR gives n octets and a dot."""
    data = on_wire(mail.message("short", body=b"y" * 60 + b"\r\n"))
    header = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    data = header + b"y" * (n - len(header) - 2) + b"\r\n"
    assert len(data) == n
    return Message("the-uidl", data, size=size)


def named(mount, word):
    found = [name for name in os.listdir(mount.path + "/INBOX") if word in name]
    assert len(found) == 1, os.listdir(mount.path + "/INBOX")
    return os.path.join(mount.path, "INBOX", found[0])


def ready(mount, n):
    mount.start().online()
    os.mkdir(mount.path + "/Archive")
    system.wait_for(lambda: len(os.listdir(mount.path + "/INBOX")) == n, "INBOX is listed")
    return mount


def polls(server, n=2):
    sessions = server.sessions
    system.wait_for(lambda: server.sessions > sessions + n and server.is_free(), "polls", 20)


@pytest.fixture(params=[True, False], ids=["pipelining", "one by one"])
def make(request, scripted_pop3_server):
    def made(*messages):
        server = scripted_pop3_server([])
        if not request.param:
            server.capabilities = tuple(x for x in server.capabilities if x != "PIPELINING")
            server.is_pipelining = False
        server.add(*messages)
        return server
    return made


def assert_all_there(server, n):
    assert len(server.uidls()) == n and not server.deleted and not server.pipelined


class TestDots:
    def test_read(self, make, mounts):
        server = make(unstuffed(DOTS), Message("v", mail.numbered(1)))
        mount = ready(mounts(server.keys(poll="1s")), 2)
        for _ in range(2):
            assert error_of(read, named(mount, "dots")) == errno.EIO
        assert "RFC 1939" in mount.log()
        assert read(path_of(mount, 1)) == on_wire(mail.numbered(1))
        mount.restart().online()
        assert error_of(read, named(mount, "dots")) == errno.EIO
        assert read(path_of(mount, 1)) == on_wire(mail.numbered(1))

    def test_others_that_are_asked_for_together(self, make, mounts):
        server = make(*[Message("a%d" % n, mail.numbered(n)) for n in range(4)], unstuffed(DOTS),
                      *[Message("b%d" % n, mail.numbered(n)) for n in range(4, 8)])
        mount = ready(mounts(server.keys()), 9)
        command = ["sh", "-c", "cat INBOX/*Message* INBOX/*dots* INBOX/*Message* >/dev/null"]
        result = subprocess.run(command, cwd=mount.path, capture_output=True, text=True)
        assert result.stderr.count("\n") == 1 and "dots" in result.stderr
        assert sorted(read(path_of(mount, n)) for n in range(8)) == numbered(*range(8))

    def test_mv(self, make, mounts):
        server = make(unstuffed(DOTS))
        mount = ready(mounts(server.keys(poll="1s")), 1)
        assert error_of(os.rename, named(mount, "dots"), mount.path + "/Archive/x.eml") == errno.EIO
        polls(server)
        assert named(mount, "dots") and stored(mount, "Archive") == []
        assert_all_there(server, 1)

    def test_mv_to_another_filesystem(self, make, mounts, folder):
        server = make(unstuffed(DOTS))
        mount = ready(mounts(server.keys(poll="1s")), 1)
        result = subprocess.run(["mv", named(mount, "dots"), folder + "/x.eml"],
                                capture_output=True)
        assert result.returncode != 0
        polls(server)
        assert named(mount, "dots")
        assert_all_there(server, 1)

    def test_fetched(self, make, mounts):
        server = make(Message("a", mail.numbered(0)), unstuffed(DOTS),
                      Message("b", mail.numbered(1)))
        mount = ready(mounts(server.keys(poll="1s", pop3_keep="fetched")), 3)
        assert error_of(read, named(mount, "dots")) == errno.EIO
        assert [read(path_of(mount, n)) for n in (0, 1)] == numbered(0, 1)
        server.wait_uidls(["the-uidl"])
        polls(server)
        assert stored(mount) == numbered(0, 1) and len(os.listdir(mount.path + "/INBOX")) == 3
        assert server.deleted == ["a", "b"]

    def test_days(self, make, mounts):
        """What comes behind it is taken off, and it costs no session for ever."""
        server = make(Message("a", mail.numbered(0)), unstuffed(DOTS),
                      Message("b", mail.numbered(1)))
        mount = ready(mounts(server.keys(poll="1s", pop3_keep="2d")), 3)
        mount.stop()
        live_through(mount, 3)
        mount.start()
        server.wait_uidls(["the-uidl"], 30)
        polls(server)
        retrieved = server.retrieved["the-uidl"]
        assert 1 <= retrieved <= 3
        polls(server)
        assert server.retrieved["the-uidl"] == retrieved
        assert stored(mount) == numbered(0, 1) and numbers(mount) == [0, 1]
        assert error_of(read, named(mount, "dots")) == errno.EIO
        assert mount.log().count("stay on the server longer") == 1

    @pytest.mark.parametrize("what", SMUGGLED)
    def test_two_at_once(self, make, mounts, what):
        """What follows the dot looks like an answer to what was asked next."""
        data = on_wire(mail.message("dots", body=b"one\r\n.\r\n" + SMUGGLED[what]))
        server = make(unstuffed(data), Message("v", mail.numbered(1)))
        mount = ready(mounts(server.keys(poll="1s")), 2)
        result = mount.run("mv", named(mount, "dots"), path_of(mount, 1), mount.path + "/Archive")
        assert result.returncode != 0 and "RFC 1939" in result.stdout + result.stderr
        polls(server)
        assert set(stored(mount, "Archive")) <= set(numbered(1))
        assert "the-uidl" in server.uidls()
        assert len(server.uidls()) + len(stored(mount, "Archive")) == 2
        assert error_of(read, named(mount, "dots")) == errno.EIO

    @pytest.mark.parametrize("size", [5000, 0])
    def test_without_uidl(self, make, mounts, size):
        """LIST says the size again, which somebody may guess: then more comes than was asked for."""
        data = on_wire(mail.message("dots", body=b"one\r\n.\r\n+OK 1 5000\r\n+OK\r\n" + FAKE))
        server = make(Message(None, data, raw=data + b".\r\n", size=size))
        server.capabilities = tuple(x for x in server.capabilities if x != "UIDL")
        server.rule("^UIDL", "-ERR I do not know that command")
        mount = ready(mounts(server.keys(poll="1s")), 1)
        assert error_of(read, named(mount, "dots")) == errno.EIO

    def test_without_top(self, make, mounts):
        """Others are shown, and it is not fetched for ever."""
        server = make(Message("a", mail.numbered(0)), unstuffed(DOTS),
                      Message("b", mail.numbered(1)))
        server.capabilities = tuple(x for x in server.capabilities if x != "TOP")
        mount = mounts(server.keys(poll="1s")).start()
        system.wait_for(lambda: numbers(mount) == [0, 1], "the others", 30)
        polls(server)
        retrieved = server.retrieved["the-uidl"]
        polls(server)
        assert server.retrieved["the-uidl"] == retrieved
        assert shown(mount) == numbered(0, 1)
        assert_all_there(server, 3)


class TestShort:
    def test_read(self, scripted_pop3_server, mounts):
        message = short()
        server = scripted_pop3_server([message])
        mount = ready(mounts(server.keys(poll="1s")), 1)
        for _ in range(2):
            assert read(named(mount, "short")) == message.data
        assert mount.log().count("50184") == 1
        polls(server)
        assert_all_there(server, 1)

    @pytest.mark.parametrize("is_read", [True, False])
    def test_mv(self, scripted_pop3_server, mounts, is_read):
        """Not out of the cache either.  A copy may be made, and rm is asked for in so many words."""
        server = scripted_pop3_server([short()])
        mount = ready(mounts(server.keys(poll="1s")), 1)
        if is_read:
            read(named(mount, "short"))
        assert error_of(os.rename, named(mount, "short"),
                        mount.path + "/Archive/x.eml") == errno.EIO
        assert "50184" in mount.log() and " 302" in mount.log()
        polls(server)
        assert named(mount, "short") and stored(mount, "Archive") == []
        assert_all_there(server, 1)
        subprocess.run(["cp", named(mount, "short"), mount.path + "/Archive"], check=True)
        assert len(stored(mount, "Archive")) == 1
        os.unlink(named(mount, "short"))
        server.wait_uidls([])

    def test_mv_what_has_a_file(self, scripted_pop3_server, mounts):
        """A server without TOP."""
        server = scripted_pop3_server([short()], capabilities=("UIDL", "USER"))
        mount = ready(mounts(server.keys(poll="1s")), 1)
        assert error_of(os.rename, named(mount, "short"),
                        mount.path + "/Archive/x.eml") == errno.EIO
        polls(server)
        assert named(mount, "short") and stored(mount, "Archive") == []
        assert_all_there(server, 1)

    @pytest.mark.parametrize("keep", ["fetched", "2d"])
    def test_keep(self, scripted_pop3_server, mounts, keep):
        message = short()
        server = scripted_pop3_server([message, Message("v", mail.numbered(1))])
        mount = ready(mounts(server.keys(poll="1s", pop3_keep=keep)), 2)
        if keep == "2d":
            mount.stop()
            live_through(mount, 3)
            mount.start()
        else:
            assert read(named(mount, "short")) == message.data
            assert read(path_of(mount, 1)) == on_wire(mail.numbered(1))
        server.wait_uidls(["the-uidl"])
        polls(server)
        retrieved = server.retrieved["the-uidl"]
        polls(server)
        assert server.retrieved["the-uidl"] == retrieved <= 2
        assert server.uidls() == ["the-uidl"]
        assert read(named(mount, "short")) == message.data

    @pytest.mark.parametrize("body, line_end, more", [
        (b".\r\n" * 3000, b"\r\n", 3000), (b"a\r\n" * 3000, b"\n", 3000),
        (b"x\r\n" * 1000, b"\r\n", 700)], ids=["stuffed dots", "line feeds", "header lines"])
    def test_a_size_that_counts_what_does_not_come(self, scripted_pop3_server, mounts, body,
                                                   line_end, more):
        data = on_wire(mail.message("longer", body=body)).replace(b"\r\n", line_end)
        message = Message("u", data, size=len(data) + more)
        message.raw = data + b".\r\n" if line_end == b"\n" else message.stuffed()
        server = scripted_pop3_server([message])
        mount = ready(mounts(server.keys(poll="1s")), 1)
        assert read(named(mount, "longer")) == data
        assert "but mailfs does not" not in mount.log()
        os.rename(named(mount, "longer"), mount.path + "/Archive/x.eml")
        server.wait_uidls([])

    def test_too_large_to_keep(self, scripted_pop3_server, mounts):
        """What is not read because of its size is not fetched at each poll, to be thrown away."""
        large = Message("large", mail.numbered(0), size=300 << 20)
        server = scripted_pop3_server([large, Message("v", mail.numbered(1))])
        mount = ready(mounts(server.keys(poll="1s", pop3_keep="2d")), 2)
        mount.stop()
        live_through(mount, 3)
        mount.start()
        server.wait_uidls(["large"])
        polls(server)
        assert server.retrieved["large"] == 0
        assert numbers(mount) == [0, 1]


def test_lines_that_end_in_line_feeds(make, mounts):
    """Replies end in CRLF, and the lines of messages in LF, the dot's or not."""
    data = on_wire(mail.message("first", body=b"a\r\n.b\r\n\r\n.\r\nc\r\n")).replace(b"\r\n", b"\n")
    stuffed = data.replace(b"\n.", b"\n..")
    server = make(Message("u", data, raw=stuffed + b".\r\n"),
                  Message("v", data.replace(b"first", b"second"),
                          raw=stuffed.replace(b"first", b"second") + b".\n"))
    mount = ready(mounts(server.keys(poll="1s")), 2)
    assert read(named(mount, "first")) == data
    assert read(named(mount, "second")) == data.replace(b"first", b"second")
    os.rename(named(mount, "first"), mount.path + "/Archive/x.eml")
    server.wait_uidls(["v"])
