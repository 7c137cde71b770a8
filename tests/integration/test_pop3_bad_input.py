"""POP3 servers that are none, that cheat at TLS, that send nonsense: each gets a clear sentence and
the right errno; nothing crashes, no credential goes out before TLS is verified, and no half of a
message is taken for the whole."""
import base64
import errno
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bed import mail, mount as bed_mount, pop3_proxy, scripted_pop3, system
from bed.pop3_account import on_wire
from bed.pop3_mount import error_of, numbers, path_of, read, shown, stored
from bed.scripted_pop3 import Message

SECRET = "correct-horse-battery"
FAILURES = (errno.EIO, errno.ENETDOWN, errno.ETIMEDOUT, errno.ENOENT, errno.EFBIG, errno.EACCES,
            errno.EOPNOTSUPP, errno.EBUSY, errno.ESTALE)


def numbered(*wanted):
    return sorted(on_wire(mail.numbered(n)) for n in wanted)


@pytest.fixture
def make(scripted_pop3_server):
    """A server with messages 0, 1 and 2."""
    def made(**more):
        return scripted_pop3_server([mail.numbered(n) for n in range(3)], password=SECRET, **more)
    return made


def all_octets(server):
    return b"\n".join(server.received) + server.clear_octets


def assert_no_secret(octets):
    assert SECRET.encode() not in octets
    for word in re.findall(rb"[A-Za-z0-9+/=]{8,}", octets):
        try:
            assert SECRET.encode() not in base64.b64decode(word + b"=" * (-len(word) % 4))
        except ValueError:
            pass


class TestLogin:
    def test_a_wrong_password(self, maildrop, mounts):
        maildrop.deliver(mail.numbered(0))
        mount = mounts(maildrop, password="not the password", poll="1s").start()
        mount.wait_state("auth-failed")
        with pytest.raises(PermissionError):
            os.listdir(mount.path + "/INBOX")
        assert "password" in mount.log()
        assert 1 <= len(maildrop.proxy.lines("^(PASS|AUTH .)")) <= 2
        assert "not the password" not in mount.log()
        result = mount.run("check", bed_mount.ACCOUNT)
        assert result.returncode != 0 and "password" in result.stdout + result.stderr

    def test_folders_do_not_wait_for_it(self, maildrop, mounts):
        mount = mounts(maildrop, password="wrong").start()
        mount.wait_state("auth-failed")
        os.mkdir(mount.path + "/Archive")
        with open(mount.path + "/Archive/x.eml", "wb") as f:
            f.write(mail.numbered(0))
        assert stored(mount, "Archive") == numbered(0)

    @pytest.mark.parametrize("answer, code", [
        ("-ERR [AUTH] no", "AUTH-RESP-CODE"), ("-ERR [AUTH] ", "AUTH-RESP-CODE"),
        ("-ERR authentication failed", "UTF8"), ("-ERR", "UTF8")])
    def test_refused_for_good(self, make, mounts, answer, code):
        server = make(capabilities=("TOP", "UIDL", "USER", code))
        server.rule(r"^PASS", answer)
        mount = mounts(server.keys(poll="1s")).start()
        mount.wait_state("auth-failed")
        assert len(server.commands("^PASS")) <= 2

    @pytest.mark.parametrize("answer", [
        "-ERR [SYS/TEMP] try again", "-ERR [IN-USE] locked", "-ERR [LOGIN-DELAY] wait",
        "-ERR [in-use] Lock busy!  Is another session active?"])
    def test_refused_for_now(self, make, mounts, answer):
        """Not the password's fault: tried again, and the state never says so."""
        server = make(capabilities=("TOP", "UIDL", "USER", "RESP-CODES", "AUTH-RESP-CODE"))
        server.rule(r"^PASS", answer, times=2)
        mount = mounts(server.keys(poll="1s")).start()
        system.wait_for(lambda: server.rules[0].hits, "the refusal")
        assert mount.account()["state"] != "auth-failed"
        system.wait_for(lambda: numbers(mount) == [0, 1, 2], "INBOX", 40)

    def test_sys_perm(self, make, mounts):
        """Somebody must do something: not asked for ever in a row, and the words are there."""
        server = make()
        server.rule(r"^(PASS|AUTH)", "-ERR [SYS/PERM] this maildrop is broken")
        mount = mounts(server.keys(poll="1s")).start()
        system.wait_for(lambda: "this maildrop is broken" in mount.log(), "the server's words")
        assert mount.account()["state"] != "online"

    def test_nothing_listens(self, mounts):
        mount = mounts({"pop3": "pop3+plain://127.0.0.1:%d" % system.free_port(), "user": "u",
                        "password": SECRET}).start()
        mount.wait_state("offline")
        assert error_of(os.listdir, mount.path + "/INBOX") in (None, errno.ENETDOWN, errno.ENOENT)

    @pytest.mark.parametrize("url, words", [
        ("pop3+plain://mail.example.org", r"127\.0\.0\.1.*use pop3s://"),
        ("pop://mail.example.org", "pop3s"), ("pop3s://", "pop3"),
        ("pop3s://mail.example.org:99999", "port")])
    def test_a_url_that_will_not_do(self, mounts, url, words):
        mount = mounts({"pop3": url, "user": "u", "password": "p"})
        result = mount.run("mount", "-f", bed_mount.ACCOUNT, mount.path)
        assert result.returncode != 0
        assert re.search(r"mailfs\.conf:\d+: .*" + words, result.stderr), result.stderr


class TestTls:
    @pytest.mark.parametrize("certificate, word", [
        ("expired", "expired"), ("wrongname", "localhost"), ("selfsigned", "self-signed|signed"),
        ("stranger", "authority|issuer|trust")])
    @pytest.mark.parametrize("scheme", ["pop3s", "pop3"])
    def test_a_bad_certificate(self, make, certs, mounts, certificate, word, scheme):
        context = certs.server_context(certificate)
        server = make(tls=context) if scheme == "pop3s" else make(stls=context)
        mount = mounts(server.keys(scheme, tls_ca=certs.ca)).start()
        system.wait_for(lambda: server.errors, "the server has seen the refusal")
        system.wait_for(lambda: re.search(word, mount.log(), re.I), "a sentence on it")
        result = mount.run("check", bed_mount.ACCOUNT)
        assert result.returncode != 0
        assert re.search(word, result.stdout + result.stderr, re.I), result.stdout
        assert mount.account()["state"] != "online"
        mount.stop()
        assert_no_secret(all_octets(server))

    @pytest.mark.parametrize("capabilities", [scripted_pop3.EVERYTHING, None])
    def test_no_stls_no_login(self, make, mounts, certs, capabilities):
        """pop3:// to a server that does not offer it: somebody may have taken it away."""
        server = make(capabilities=capabilities)
        mount = mounts(server.keys("pop3", tls_ca=certs.ca)).start()
        system.wait_for(lambda: "STLS" in mount.log(), "a sentence on STLS")
        mount.stop()
        assert_no_secret(all_octets(server))
        assert not server.commands("^(USER|PASS|APOP|AUTH .)")

    def test_stls_refused(self, make, mounts, certs):
        server = make(stls=certs.server_context())
        server.rule("^STLS", "-ERR not now")
        mount = mounts(server.keys("pop3", tls_ca=certs.ca)).start()
        system.wait_for(lambda: "STLS" in mount.log(), "a sentence on STLS")
        mount.stop()
        assert_no_secret(all_octets(server))

    @pytest.mark.parametrize("slipped", [
        b"+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n", b"+OK welcome\r\n", b"-", b"\r\n"])
    def test_words_slipped_in_before_tls(self, make, mounts, certs, slipped):
        """What comes in clear after the +OK to STLS must not count as said inside TLS."""
        server = make(stls=certs.server_context())

        def inject(conversation, rest):
            conversation.socket.sendall(b"+OK begin\r\n" + slipped)
            conversation.wrap(server.stls)
        usual = scripted_pop3.Conversation.do_stls
        try:
            scripted_pop3.Conversation.do_stls = inject
            mount = mounts(server.keys("pop3", tls_ca=certs.ca)).start()
            system.wait_for(lambda: server.errors, "the connection has ended")
            system.wait_for(lambda: mount.account()["state"] == "offline", "offline")
            mount.stop()
        finally:
            scripted_pop3.Conversation.do_stls = usual
        assert_no_secret(all_octets(server))
        assert not server.mechanisms

    def test_what_was_said_before_is_forgotten(self, make, mounts, certs):
        """Capabilities from before TLS may be anybody's: SASL there, which is not there inside."""
        server = make(stls=certs.server_context(), capabilities=("TOP", "UIDL", "USER"))
        server.rule("^CAPA", "+OK", "STLS", "SASL CRAM-MD5 EVIL", ".", times=1)
        mount = mounts(server.keys("pop3", tls_ca=certs.ca)).start().online()
        assert shown(mount) == numbered(0, 1, 2)
        assert set(server.mechanisms) == {"USER"}
        assert SECRET.encode() not in server.clear_octets


@pytest.mark.parametrize("greeting", [
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    b"220 mail.example.org ESMTP\r\n",
    b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00" * 50,
    b"-ERR [SYS/TEMP] come back later\r\n",
    b"+OK " + b"a" * 200000,
    b"\0\0\0\0\r\n",
    b"+OK\r\n+OK\r\n+OK\r\n",
    b"\r\n",
], ids=["http", "smtp", "imap", "ssh", "tls", "err", "long", "nul", "chatter", "empty"])
def test_no_pop3_server(make, mounts, greeting):
    server = make(greeting=greeting)
    mount = mounts(server.keys()).start()
    system.wait_for(lambda: server.n_connections >= 1, "a connection")
    result = mount.run("check", bed_mount.ACCOUNT)
    if not greeting.startswith(b"+OK\r\n"):
        assert mount.account()["state"] != "online"
        assert result.returncode != 0
        assert len(result.stdout + result.stderr) < 4000
        assert_no_secret(all_octets(server))


ANSWERS = {
    # what                    (command, raw answer)
    "garbage":                ("^RETR", b"\xff\xfe garbage\r\n"),
    "no answer at all":       ("^RETR", b""),
    "no dot":                 ("^RETR", b"+OK\r\nSubject: x\r\n\r\nhalf"),
    "a dot that is cut":      ("^RETR", b"+OK\r\nSubject: x\r\n\r\nhalf\r\n."),
    "a dot with a cr":        ("^RETR", b"+OK\r\nSubject: x\r\n\r\nhalf\r\n.\r"),
    "err in the middle":      ("^RETR", b"-ERR [SYS/TEMP] disk\r\n"),
    "nothing in it":          ("^RETR", b"+OK\r\n"),
    "top: err":               ("^TOP", b"-ERR [SYS/TEMP] disk\r\n"),
    "top: no dot":            ("^TOP", b"+OK\r\nSubject: x\r\n"),
    "top: endless line":      ("^TOP", b"+OK\r\nSubject: " + b"x" * (9 << 20)),
    "top: endless header":    ("^TOP", b"+OK\r\n" + b"X-A: b\r\n" * 600000),
    "uidl: no numbers":       ("^UIDL", b"+OK\r\none a\r\ntwo b\r\n.\r\n"),
    "uidl: number 0":         ("^UIDL", b"+OK\r\n0 a\r\n1 b\r\n.\r\n"),
    "uidl: too large":        ("^UIDL", b"+OK\r\n99999999999999999999 a\r\n4294967297 b\r\n.\r\n"),
    "uidl: negative":         ("^UIDL", b"+OK\r\n-1 a\r\n.\r\n"),
    "uidl: beyond list":      ("^UIDL", b"+OK\r\n1 a\r\n2 b\r\n3 c\r\n4 d\r\n900000 e\r\n.\r\n"),
    "uidl: twice the number": ("^UIDL", b"+OK\r\n1 a\r\n1 b\r\n1 c\r\n.\r\n"),
    "uidl: only numbers":     ("^UIDL", b"+OK\r\n1\r\n2\r\n3\r\n.\r\n"),
    "uidl: nul":              ("^UIDL", b"+OK\r\n1 a\0b\r\n2 \0\r\n3 c\r\n.\r\n"),
    "uidl: no dot":           ("^UIDL", b"+OK\r\n1 a\r\n2 b\r\n"),
    "uidl: endless line":     ("^UIDL", b"+OK\r\n1 " + b"u" * (9 << 20)),
    "list: sizes":            ("^LIST", b"+OK\r\n1 -5\r\n2 99999999999999999999\r\n3 x\r\n.\r\n"),
    "list: 2^64":             ("^LIST", b"+OK\r\n1 18446744073709551616\r\n2 0\r\n3 1\r\n.\r\n"),
    "list: fewer":            ("^LIST", b"+OK\r\n1 100\r\n.\r\n"),
    "list: err":              ("^LIST", b"-ERR no\r\n"),
    "stat: nonsense":         ("^STAT", b"+OK many big\r\n"),
    "stat: too many":         ("^STAT", b"+OK 4294967295 18446744073709551615\r\n"),
    "capa: endless":          ("^CAPA", b"+OK\r\n" + b"X-CAPABILITY y\r\n" * 100000 + b".\r\n"),
    "capa: no dot":           ("^CAPA", b"+OK\r\nTOP\r\n"),
    "capa: login-delay":      ("^CAPA", b"+OK\r\nTOP\r\nUIDL\r\nUSER\r\nLOGIN-DELAY -1 x\r\n"
                                        b"EXPIRE 0\r\nEXPIRE\r\nPIPELINING no\r\n.\r\n"),
    "answers for nothing":    ("^UIDL", b"+OK\r\n1 uidl-1\r\n2 uidl-2\r\n3 uidl-3\r\n.\r\n"
                                        + b"+OK\r\n" * 3000),
}
# After these the server says no more: the connection goes.
LAST = re.compile("no dot|cut|with a cr|no answer|nothing in it|endless line|endless header")


def look(mount, problems):
    """Reads all that is shown; what may not happen is a problem."""
    try:
        for name in os.listdir(mount.path + "/INBOX"):
            if re.search("[\x00-\x1f/]", name):
                problems.append(name)
            code = error_of(read, os.path.join(mount.path, "INBOX", name))
            if code not in (None, *FAILURES):
                problems.append((name, code))
    except OSError as error:
        if error.errno not in FAILURES:
            problems.append(error)


@pytest.mark.parametrize("what", ANSWERS)
def test_a_hostile_answer(make, mounts, what):
    """The worst that may happen is an error; afterwards, from a server in its right mind again,
    everything is right, and nothing that was nonsense is still there."""
    command, raw = ANSWERS[what]
    server = make()
    if command == "^STAT":
        # whether a client asks for it is its own business
        server.capabilities = ("TOP", "UIDL", "USER")
    rule = server.rule(command, raw=raw, drop=bool(LAST.search(what)))
    mount = mounts(server.keys(poll="1s")).start()
    problems = []
    reader = threading.Thread(target=look, args=(mount, problems))
    reader.start()
    if command != "^STAT":
        system.wait_for(lambda: rule.hits, "the answer was given")
    assert mount.status()["format"] == 1
    reader.join(2)
    server.rules.clear()
    reader.join(60)
    assert not problems

    def healed():
        assert set(numbered(0, 1, 2)) <= set(shown(mount))
        return True
    system.wait_for(healed, "everything is right again", 40, pause=0.5)
    assert len(server.uidls()) == 3, "nothing was deleted there"


class TestIdentities:
    UIDLS = ["x" * 200, "a/b", "../../../etc/passwd", "..", ".", "a b c", "caf\u00e9", "\t",
             "%2F", "'; DROP TABLE message; --", "~", "-rf", "A" * 69 + "/", "\u202ex"]

    def test_odd_ones(self, scripted_pop3_server, mounts):
        """Over 70 characters, with slashes, with blanks: mail all the same, and no path."""
        server = scripted_pop3_server()
        for n, uidl in enumerate(self.UIDLS):
            server.add(Message(uidl, mail.numbered(n)))
        everything = list(range(len(self.UIDLS)))
        mount = mounts(server.keys(poll="1s")).start().online()
        system.wait_for(lambda: numbers(mount) == everything, "all of it")
        assert shown(mount) == numbered(*everything)
        mount.restart().online()
        assert numbers(mount) == everything
        assert shown(mount) == numbered(*everything)
        assert set(server.retrieved.values()) == {1}
        for where, folders, names in os.walk(mount.folder):
            if where.startswith(mount.path):
                continue
            for name in folders + names:
                assert "passwd" not in name and "DROP" not in name and "x" * 100 not in name
        os.unlink(path_of(mount, 1))
        system.wait_for(lambda: "a/b" not in server.uidls(), "it is deleted")

    def test_many_that_differ_late(self, scripted_pop3_server, mounts):
        server = scripted_pop3_server()
        for n in range(10):
            server.add(Message("u" * 100 + str(n), mail.numbered(n)))
        mount = mounts(server.keys(poll="1s")).start().online()
        assert shown(mount) == numbered(*range(10))
        mount.restart().online()
        assert shown(mount) == numbered(*range(10))

    def test_by_other_case(self, scripted_pop3_server, mounts):
        server = scripted_pop3_server([], capabilities=("top", "uidl", "user", "Pipelining"))
        server.add(Message("abc", mail.numbered(0)), Message("ABC", mail.numbered(1)))
        mount = mounts(server.keys(poll="1s")).start().online()
        assert shown(mount) == numbered(0, 1)
        os.unlink(path_of(mount, 1))
        system.wait_for(lambda: server.uidls() == ["abc"], "the one that was meant")


class TestBodies:
    @pytest.mark.parametrize("lie", [0, 1, 9000, 5001, 1 << 27])
    def test_sizes_that_lie(self, scripted_pop3_server, mounts, lie):
        data = mail.message("a lie", body=b"x" * 4800 + b"\r\n")
        server = scripted_pop3_server([Message("u", data, size=lie)])
        mount = mounts(server.keys()).start().online()
        path = os.path.join(mount.path, "INBOX", os.listdir(mount.path + "/INBOX")[0])
        assert os.stat(path).st_size > 0
        for _ in range(2):
            with open(path, "rb") as f:
                assert os.fstat(f.fileno()).st_size == len(data)
                assert f.read() == data
            assert os.stat(path).st_size == len(data)

    @pytest.mark.parametrize("body", [
        b".\r\n", b"..\r\n", b".a\r\n..b\r\n...\r\n", b"\r\n.\r\n\r\n..\r\n", b".", b"a\r\n.",
        b".\r\n" * 2000, b"\r\n" * 50, b"x" * 70000 + b"\r\n.y\r\n", b"a\rb\r\r\n.\r\n"])
    def test_dots(self, scripted_pop3_server, mounts, body):
        """Stuffed as it should be, in whatever pieces it comes."""
        data = mail.message("dots", body=body)
        server = scripted_pop3_server([Message("u", data)])
        mount = mounts(server.keys()).start().online()
        assert shown(mount) == [on_wire(data)]

    def test_a_server_that_stuffs_nothing(self, scripted_pop3_server, mounts):
        """A line with a dot in the middle ends the message for everybody; what follows must not be
        taken for an answer to something else, and other mail is not touched by it."""
        data = on_wire(mail.message("dots", body=b"one\r\n.\r\ntwo\r\n.three\r\n"))
        server = scripted_pop3_server([mail.numbered(0), mail.numbered(1)])
        server.add(Message("u", data, raw=data + b".\r\n"))
        mount = mounts(server.keys(poll="1s")).start().online()
        names = os.listdir(mount.path + "/INBOX")
        assert len(names) == 3
        dots = next(name for name in names if "dots" in name)
        try:
            read(os.path.join(mount.path, "INBOX", dots))
        except OSError as error:
            assert error.errno in FAILURES

        def others():
            return [read(path_of(mount, n)) for n in (0, 1)] == numbered(0, 1)
        system.wait_for(others, "the others", 30)
        mount.restart().online()
        system.wait_for(others, "the others", 30)

    def test_bare_line_feeds(self, scripted_pop3_server, mounts):
        """A server that ends its lines with LF alone, all of them."""
        server = scripted_pop3_server([mail.numbered(n) for n in range(5)])
        server.line_end = b"\n"
        mount = mounts(server.keys()).start().online()
        assert sorted(map(on_wire, shown(mount))) == numbered(*range(5))

    def test_a_bare_line_feed_before_a_dot(self, scripted_pop3_server, mounts):
        """LF . LF inside of a message whose lines end in CRLF is not its end."""
        data = mail.message("smuggled", body=b"one\n.\ntwo\n.\r\nthree\r\n")
        raw = data + b".\r\n"
        server = scripted_pop3_server([Message("u", data, raw=raw), Message("v", mail.numbered(1))])
        mount = mounts(server.keys()).start().online()
        name = next(name for name in os.listdir(mount.path + "/INBOX") if "smuggled" in name)
        try:
            got = read(os.path.join(mount.path, "INBOX", name))
            assert got.startswith(data.partition(b"\n.\n")[0]) and got.endswith(b"three\r\n")
        except OSError as error:
            assert error.errno in FAILURES
        system.wait_for(lambda: read(path_of(mount, 1)) == on_wire(mail.numbered(1)), "the other")

    @pytest.mark.parametrize("n", [3, 40, 3000])
    def test_half_a_message_is_none(self, scripted_pop3_server, mounts, n):
        """Cut in the middle: an error, never a short file; then all of it."""
        data = on_wire(mail.message("cut", body=b"0123456789abcdef\r\n" * 400))
        server = scripted_pop3_server([Message("u", data)])
        mount = mounts(server.keys()).start().online()
        path = os.path.join(mount.path, "INBOX", os.listdir(mount.path + "/INBOX")[0])
        server.rule(r"^RETR", raw=b"+OK\r\n" + data[:n], drop=True)
        code = error_of(read, path)
        assert code in FAILURES
        server.rules.clear()
        system.wait_for(lambda: read(path) == data, "all of it", 30)
        mount.restart()
        assert read(path) == data

    def test_top_sends_everything(self, scripted_pop3_server, mounts):
        """A server that does not count lines: its bodies are not taken for headers."""
        server = scripted_pop3_server([mail.numbered(n) for n in range(5)])
        for n, message in enumerate(server.drop, 1):
            server.rule(r"^TOP %d " % n, raw=b"+OK\r\n" + message.stuffed())
        mount = mounts(server.keys()).start().online()
        assert numbers(mount) == list(range(5))
        assert shown(mount) == numbered(*range(5))

    def test_gone_between_list_and_retr(self, scripted_pop3_server, mounts):
        server = scripted_pop3_server([mail.numbered(n) for n in range(3)])
        mount = mounts(server.keys(poll="1h")).start().online()
        system.wait_for(lambda: numbers(mount) == [0, 1, 2], "INBOX is listed")
        system.wait_for(server.is_free, "the session is over")
        path = path_of(mount, 1)
        server.remove("uidl-2")
        assert error_of(read, path) in (errno.ENOENT, errno.ESTALE, errno.EIO)
        system.wait_for(lambda: numbers(mount) == [0, 2], "it is gone")
        assert shown(mount) == numbered(0, 2)


@pytest.mark.limit(300)
def test_cut_at_any_octet(scripted_pop3_server, mounts):
    """The first connections end after 1, 9, 17 ... octets from the server: whatever was being
    said, nothing crashes, and the next connections make it right."""
    proxies = []

    def prepare(cut_after):
        # each has a maildrop of its own: they do not lock each other out
        own = scripted_pop3_server([mail.numbered(n) for n in range(3)])
        between = pop3_proxy.Pop3Proxy(own.port)
        between.cut_after = cut_after
        proxies.append(between)
        return cut_after, between, mounts(own.keys(pop3=between.url(), poll="1s")), own

    def one(prepared):
        cut_after, between, mount, own = prepared
        mount.start()
        system.wait_for(lambda: between.n_cut or between.octets_down < cut_after,
                        "the cut at %d" % cut_after)
        try:
            shown(mount)
        except OSError:
            pass
        hit = between.n_cut
        between.cut_after = None
        between.cut()
        system.wait_for(lambda: shown(mount) == numbered(0, 1, 2),
                        "right after a cut at %d" % cut_after, 30, pause=0.3)
        assert len(own.uidls()) == 3
        mount.stop()
        return hit
    cuts = [prepare(n) for n in [*range(1, 400, 32), *range(400, 4000, 1200)]]
    with ThreadPoolExecutor(6) as pool:
        hits = list(pool.map(one, cuts))
    for between in proxies:
        between.close()
    assert sum(1 for n in hits if n) >= len(cuts) * 3 // 4, hits
