"""Wrong passwords, bad certificates, servers that are none, hostile names and answers: each gets
a clear sentence and the right errno; nothing crashes, and no credential goes out before TLS is
verified."""
import base64
import errno
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from bed import mail, mount as bed_mount, proxy, scripted, system

SECRET = "correct-horse-battery"


def keys(server, scheme="imap+plain", **more):
    server.password = SECRET
    found = {"imap": server.url(scheme), "user": "ali", "password": SECRET}
    found.update({key.replace("_", "-"): value for key, value in more.items()})
    return found


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
    def test_a_wrong_password(self, account, mounts):
        proxy_ = account.through_proxy()
        account.deliver(mail.message("x"))
        mount = mounts(account, password="not the password").start()
        mount.wait_state("auth-failed")
        # the mount stands, and what needs the server is refused
        with pytest.raises(PermissionError):
            os.listdir(mount.path + "/INBOX")
        assert "password" in mount.log()
        tries = len(proxy_.lines(r"^\S+ (LOGIN|AUTHENTICATE)"))
        assert 1 <= tries <= 2
        assert "not the password" not in mount.log()

    def test_the_mount_command_says_so(self, account, mounts):
        """Forking or not, the sentence is on the terminal, with its remedy."""
        mount = mounts(account, password="wrong")
        result = mount.run("mount", bed_mount.ACCOUNT, mount.path)
        try:
            assert re.search("password|credential", result.stderr), result.stderr
        finally:
            mount.umount()
        assert not mount.is_mounted()

    def test_check_ends_with_the_remedy(self, account, mounts):
        result = mounts(account, password="wrong").run("check", bed_mount.ACCOUNT)
        assert result.returncode != 0
        assert re.search("password", result.stdout + result.stderr)

    def test_an_unknown_host(self, mounts):
        mount = mounts({"imap": "imaps://nowhere.invalid", "user": "u", "password": SECRET})
        mount.start()
        mount.wait_state("offline")
        result = mount.run("check", bed_mount.ACCOUNT)
        assert result.returncode != 0
        assert "nowhere.invalid" in result.stdout + result.stderr

    def test_nothing_listens(self, mounts):
        port = system.free_port()
        mount = mounts({"imap": "imap+plain://127.0.0.1:%d" % port, "user": "u",
                        "password": SECRET}).start()
        mount.wait_state("offline")
        with pytest.raises(OSError) as caught:
            os.listdir(mount.path + "/INBOX")
        assert caught.value.errno in (errno.ENETDOWN, errno.ENOENT)


class TestTls:
    @pytest.mark.parametrize("certificate, word", [
        ("expired", "expired"), ("wrongname", "localhost"), ("selfsigned", "self-signed|signed"),
        ("stranger", "authority|issuer|trust"),
    ])
    @pytest.mark.parametrize("scheme", ["imaps", "imap"])
    def test_a_bad_certificate(self, scripted_server, certs, mounts, certificate, word, scheme):
        context = certs.server_context(certificate)
        server = scripted_server(tls=context) if scheme == "imaps" \
            else scripted_server(starttls=context)
        mount = mounts(keys(server, scheme, tls_ca=certs.ca)).start()
        system.wait_for(lambda: server.errors, "the server has seen the refusal")
        result = mount.run("check", bed_mount.ACCOUNT)
        assert result.returncode != 0
        assert re.search(word, result.stdout + result.stderr, re.I), result.stdout
        assert re.search(word, mount.log(), re.I), mount.log()
        assert mount.account()["state"] != "online"
        mount.stop()
        assert_no_secret(all_octets(server))

    def test_the_systems_authorities_do_not_know_ours(self, scripted_server, certs, mounts):
        server = scripted_server(tls=certs.server_context())
        mount = mounts(keys(server, "imaps")).start()
        system.wait_for(lambda: server.errors, "the refusal")
        mount.stop()
        assert_no_secret(all_octets(server))

    def test_no_starttls_no_login(self, scripted_server, mounts, certs):
        """imap:// to a server that does not offer STARTTLS: somebody may have taken it away."""
        server = scripted_server()
        mount = mounts(keys(server, "imap", tls_ca=certs.ca)).start()
        system.wait_for(lambda: "STARTTLS" in mount.log(), "a sentence on STARTTLS")
        mount.stop()
        assert_no_secret(all_octets(server))
        assert not server.commands(r"LOGIN|AUTHENTICATE")

    def test_starttls_refused(self, scripted_server, mounts, certs):
        server = scripted_server(starttls=certs.server_context())
        server.rule("^STARTTLS", tagged="NO not now")
        mount = mounts(keys(server, "imap", tls_ca=certs.ca)).start()
        system.wait_for(lambda: "STARTTLS" in mount.log(), "a sentence on STARTTLS")
        mount.stop()
        assert_no_secret(all_octets(server))

    def test_words_slipped_in_before_tls(self, scripted_server, mounts, certs):
        """What comes in clear after the OK to STARTTLS must not count as said inside TLS."""
        server = scripted_server(starttls=certs.server_context())
        rule = server.rule("^STARTTLS", raw=b"TAG OK go ahead\r\n* CAPABILITY IMAP4rev1 EVIL\r\n",
                           drop=True)
        mount = mounts(keys(server, "imap", tls_ca=certs.ca)).start()
        system.wait_for(lambda: rule.hits, "STARTTLS")
        mount.stop()
        assert_no_secret(all_octets(server))

    def test_preauth_before_tls(self, scripted_server, mounts, certs):
        server = scripted_server(starttls=certs.server_context(),
                                 greeting="* PREAUTH [CAPABILITY IMAP4rev1] welcome")
        mount = mounts(keys(server, "imap", tls_ca=certs.ca)).start()
        system.wait_for(lambda: server.n_connections >= 1, "a connection")
        system.wait_for(lambda: mount.account()["state"] == "offline", "offline")
        assert not server.commands(r"LIST|SELECT|EXAMINE|LOGIN")

    def test_clear_text_is_for_loopback_alone(self, mounts):
        mount = mounts({"imap": "imap+plain://mail.example.org", "user": "u", "password": "p"})
        result = mount.run("mount", "-f", bed_mount.ACCOUNT, mount.path)
        assert result.returncode != 0
        assert re.search(r"mailfs\.conf:\d+: .*127\.0\.0\.1.*use imaps://", result.stderr), result.stderr


@pytest.mark.parametrize("greeting", [
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    b"220 mail.example.org ESMTP\r\n",
    b"+OK POP3 ready\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00" * 50,
    b"* BYE too many connections\r\n",
    b"* OK " + b"a" * 200000,
    b"\0\0\0\0\r\n",
    b"* OK \r\n* OK \r\n* 1 EXISTS\r\n* OK \r\n",
], ids=["http", "smtp", "pop3", "ssh", "tls", "bye", "long", "nul", "chatter"])
def test_no_imap_server(scripted_server, mounts, greeting):
    server = scripted_server(greeting=greeting)
    mount = mounts(keys(server)).start()
    system.wait_for(lambda: server.n_connections >= 1, "a connection")
    result = mount.run("check", bed_mount.ACCOUNT)
    assert mount.account()["state"] != "online" or b"* OK" == greeting[:4]
    if not greeting.startswith(b"* OK"):
        assert result.returncode != 0
        assert len(result.stdout + result.stderr) < 4000
        assert_no_secret(all_octets(server))


class TestHostileMailboxNames:
    NAMES = [r'".."', r'"."', r'""', r'"a/../../b"', r'".mailfs"', r'".mailfs/status"', r'"/"',
             r'"//"', r'"/etc/passwd"', '"bell\x07"', '"tab\there"', '"del\x7f"',
             '"&IC4-bidi"', '"&AAA-"', '"&2AA-"', '"&&&"', '"&Jjo"', '"100%"', '"%2F"',
             '"' + "x" * 300 + '"', '"' + "/".join("d" * 60) + '"', '"inbox"', '"InBoX/sub"',
             '"a\\"b"', '"a\\\\b"', '"caf\u00e9"']

    def test_all_of_them(self, scripted_server, mounts):
        server = scripted_server({"INBOX": [scripted.Message(1, mail.numbered(1))]})
        server.rule(r"^LIST", *['* LIST () "/" %s' % name for name in self.NAMES],
                    '* LIST () "/" INBOX', '* LIST (\\Noselect) NIL "flat.name"')
        mount = mounts(keys(server), poll="1s").start()
        mount.wait_state("online")
        assert mount.contents() == {1: mail.numbered(1)}
        seen = set()
        for where, folders, names in os.walk(mount.path):
            for name in folders + names:
                assert name not in (".", "..", "") and "/" not in name and name != ".mailfs"
                assert not re.search("[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]", name), name
                assert len(name.encode()) <= 255
                path = os.path.join(where, name)
                assert path not in seen
                seen.add(path)
            assert where.count("/") - mount.path.count("/") <= 33
        assert sorted(os.listdir(mount.path)).count("INBOX") == 1
        assert any("%2E" in name or "%2e" in name for name in os.listdir(mount.path))

    def test_a_delimiter_that_is_a_slash_in_a_dotted_world(self, scripted_server, mounts):
        server = scripted_server({"INBOX": [], "a/b.c": []}, delimiter='"."')
        mount = mounts(keys(server)).start()
        system.wait_for(lambda: os.path.isdir(mount.path + "/a%2Fb/c"), "the escaped name")


ANSWERS = {
    # what                         (command, raw answer)
    "garbage":                     ("^UID FETCH", b"\xff\xfe garbage\r\nTAG OK\r\n"),
    "nested":                      ("^UID FETCH", b"* 1 FETCH " + b"(" * 5000 + b"\r\nTAG OK\r\n"),
    "literal too large":           ("^UID FETCH", b"* 1 FETCH (UID 1 BODY[] {99999999999}\r\n"),
    "literal overflows":           ("^UID FETCH",
                                    b"* 1 FETCH (UID 1 BODY[] {18446744073709551616}\r\n"),
    "literal negative":            ("^UID FETCH", b"* 1 FETCH (UID 1 BODY[] {-1}\r\nTAG OK x\r\n"),
    "literal short":               ("^UID FETCH", b"* 1 FETCH (UID 1 BODY[] {500}\r\nshort"),
    "uid 0":                       ("^UID FETCH",
                                    b"* 1 FETCH (UID 0 FLAGS () RFC822.SIZE 5)\r\nTAG OK x\r\n"),
    "uid too large":               ("^UID FETCH",
                                    b"* 1 FETCH (UID 99999999999 FLAGS ())\r\nTAG OK x\r\n"),
    "number beyond EXISTS":        ("^UID FETCH",
                                    b"* 4000000000 FETCH (UID 7 FLAGS ())\r\nTAG OK x\r\n"),
    "expunge of nothing":          ("^UID FETCH",
                                    b"* 0 EXPUNGE\r\n* 99999 EXPUNGE\r\nTAG OK x\r\n"),
    "exists too large":            ("^(SELECT|EXAMINE)",
                                    b"* 4294967295 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n"
                                    b"TAG OK [READ-ONLY] x\r\n"),
    "uidvalidity 0":               ("^(SELECT|EXAMINE)",
                                    b"* 1 EXISTS\r\n* OK [UIDVALIDITY 0] x\r\nTAG OK x\r\n"),
    "no uidvalidity":              ("^(SELECT|EXAMINE)", b"* 1 EXISTS\r\nTAG OK x\r\n"),
    "bad":                         ("^(SELECT|EXAMINE)", b"TAG BAD what?\r\n"),
    "bye":                         ("^(SELECT|EXAMINE)", b"* BYE I am going\r\n"),
    "endless line":                ("^(SELECT|EXAMINE)", b"* OK " + b"x" * (9 << 20)),
    "wrong tag":                   ("^(SELECT|EXAMINE)", b"zzz OK done\r\nTAG OK done\r\n"),
    "flood":                       ("^UID FETCH", b"* 1 RECENT\r\n" * 20000 + b"TAG OK x\r\n"),
    "list of nothing":             ("^LIST", b"* LIST\r\n* LIST ()\r\n* LIST () NIL\r\nTAG OK x\r\n"),
    "nul in a name":               ("^LIST", b'* LIST () "/" {3}\r\na\0b\r\nTAG OK x\r\n'),
    "duplicates":                  ("^UID FETCH", b"* 1 FETCH (UID 1 FLAGS ())\r\n" * 500
                                    + b"TAG OK x\r\n"),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_a_hostile_answer(scripted_server, mounts, what):
    """The worst that may happen is an error; afterwards, from a server in its right mind again,
    everything is right."""
    command, raw = ANSWERS[what]
    truth = {n: mail.numbered(n) for n in (1, 2, 3)}
    server = scripted_server({"INBOX": [scripted.Message(n, data) for n, data in truth.items()]})
    drop = what in ("bye", "literal short", "endless line", "literal too large",
                    "literal overflows")
    rule = server.rule(command, raw=raw, drop=drop)
    mount = mounts(keys(server), poll="1s").start()
    try:
        os.listdir(mount.path + "/INBOX")
    except OSError as error:
        assert error.errno in (errno.EIO, errno.ENETDOWN, errno.ETIMEDOUT, errno.ENOENT,
                               errno.EFBIG, errno.EACCES, errno.EOPNOTSUPP), error
    system.wait_for(lambda: rule.hits, "the answer was given")
    assert mount.status()["format"] == 1
    server.rules.clear()

    def healed():
        return mount.contents() == truth
    system.wait_for(healed, "everything is right again", 40, pause=0.5)


@pytest.mark.limit(300)
def test_cut_at_any_octet(scripted_server, mounts):
    """The first connections end after 1, 9, 17 ... octets from the server: whatever was being
    said, nothing crashes, and the next connections make it right."""
    truth = {n: mail.numbered(n) for n in (1, 2, 3)}
    server = scripted_server({"INBOX": [scripted.Message(n, data) for n, data in truth.items()],
                              "Work": [scripted.Message(5, mail.numbered(5))]})
    proxies = []

    def prepare(cut_after):
        between = proxy.Proxy(server.port)
        between.cut_after = cut_after
        proxies.append(between)
        made = mounts({"imap": between.url(), "user": "u", "password": "secret"}, poll="1s")
        return cut_after, between, made

    def one(prepared):
        cut_after, between, made = prepared
        made.start()
        system.wait_for(lambda: between.n_cut or between.octets_down < cut_after,
                        "the cut at %d" % cut_after)
        try:
            made.contents()
        except OSError:
            pass
        hit = between.n_cut
        between.cut_after = None
        between.cut()
        system.wait_for(lambda: made.contents() == truth, "right after a cut at %d" % cut_after,
                        30, pause=0.3)
        made.stop()
        return hit

    cuts = [prepare(n) for n in [*range(1, 400, 16), *range(400, 12000, 800)]]
    with ThreadPoolExecutor(6) as pool:
        hits = list(pool.map(one, cuts))
    for between in proxies:
        between.close()
    assert sum(1 for n in hits if n) >= len(cuts) * 3 // 4, hits
