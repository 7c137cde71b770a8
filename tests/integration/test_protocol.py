"""Ways to reach a server and to log in, and extensions that only some servers have."""
import base64
import os
import re

import pytest

from bed import cyrus, mail, mount as bed_mount, scripted, system


def reads_one(mount):
    return len(mount.messages()) == 1 and mount.contents()[1] == mail.numbered(3)


class TestDovecot:
    @pytest.mark.parametrize("scheme", ["imaps", "imap", "imap+plain"])
    @pytest.mark.parametrize("auth", ["auto", "plain", "login", "cram-md5", "scram-sha-1",
                                      "scram-sha-256"])
    def test_logs_in(self, account, mounts, certs, scheme, auth):
        account.deliver(mail.numbered(3))
        trust = {} if scheme == "imap+plain" else {"tls_ca": certs.ca}
        mount = mounts(account, imap=account.server.url(scheme), auth=auth, **trust).start()
        assert reads_one(mount)

    def test_compress(self, account, mounts):
        account.deliver(mail.SPECIAL["big"])
        mount = mounts(account, compress="on").start()
        assert mount.contents() == {1: mail.SPECIAL["big"]}
        assert mount.account()["octets_in"] < len(mail.SPECIAL["big"]) // 2


@pytest.mark.skipif(cyrus.missing() is not None, reason=cyrus.missing() or "")
class TestCyrus:
    @pytest.mark.parametrize("account", ["cyrus"], indirect=True)
    @pytest.mark.parametrize("auth, mechanism", [
        ("auto", "SCRAM-SHA-256-PLUS"), ("scram-sha-1", "SCRAM-SHA-1-PLUS"),
        ("cram-md5", "CRAM-MD5"), ("plain", "PLAIN")])
    def test_logs_in_with_channel_binding(self, account, mounts, certs, auth, mechanism):
        account.deliver(mail.numbered(3))
        mount = mounts(account, imap=account.server.url("imaps"), auth=auth, tls_ca=certs.ca)
        mount.start()
        assert reads_one(mount)
        assert mount.account()["mechanism"] == mechanism


    @pytest.mark.parametrize("account", ["cyrus"], indirect=True)
    def test_object_identifiers(self, account, mounts):
        """EMAILID is asked of who has OBJECTID."""
        account.deliver(mail.numbered(3))
        proxy = account.through_proxy()
        mount = mounts(account).start()
        assert reads_one(mount)
        assert proxy.lines(r"UID FETCH .*EMAILID")


class TestTokens:
    """OAuth 2: the access token comes from a command, and a new one when the server wants it."""

    def mount(self, server, mounts, folder, mechanism, tokens):
        """The command prints the next of @tokens each time, the last one for ever."""
        command = os.path.join(folder, "token")
        with open(command, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\necho x >>%s.count\n" % command)
            for number, token in enumerate(tokens, 1):
                f.write("[ $(wc -l <%s.count) -gt %d ] || { echo %s; exit; }\n"
                        % (command, number, token))
            f.write("echo %s\n" % tokens[-1])
        os.chmod(command, 0o755)
        return mounts({"imap": server.url(), "user": "ali", "auth": mechanism,
                       "token-command": command}).start()

    @pytest.mark.parametrize("extra", ["SASL-IR ", ""])
    @pytest.mark.parametrize("mechanism, wanted", [
        ("xoauth2", "user=ali\x01auth=Bearer a-token\x01\x01"),
        ("oauthbearer", "n,a=ali,\x01host=127.0.0.1\x01port=%d\x01auth=Bearer a-token\x01\x01"),
    ])
    def test_a_token(self, scripted_server, mounts, folder, mechanism, wanted, extra):
        server = scripted_server({"INBOX": [scripted.Message(1, mail.numbered(3))]},
                                 capabilities="IMAP4rev1 %sAUTH=%s" % (extra, mechanism.upper()),
                                 password="a-token")
        mount = self.mount(server, mounts, folder, mechanism, ["a-token"])
        assert reads_one(mount)
        lines = server.commands()
        at = next(n for n, line in enumerate(lines) if "AUTHENTICATE" in line)
        sent = lines[at].split(" ")[3] if extra else lines[at + 1]
        wanted = wanted.replace("%d", str(server.port))
        assert base64.b64decode(sent).decode() == wanted

    @pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
    def test_a_token_that_ran_out(self, scripted_server, mounts, folder, mechanism):
        server = scripted_server({"INBOX": [scripted.Message(1, mail.numbered(3))]},
                                 capabilities="IMAP4rev1 SASL-IR AUTH=" + mechanism.upper(),
                                 password="new-token")
        mount = self.mount(server, mounts, folder, mechanism, ["old-token", "new-token"])
        assert reads_one(mount)
        assert "refused" not in mount.log()

    @pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
    def test_no_good_token(self, scripted_server, mounts, folder, mechanism):
        server = scripted_server(capabilities="IMAP4rev1 SASL-IR AUTH=" + mechanism.upper(),
                                 password="new-token")
        mount = self.mount(server, mounts, folder, mechanism, ["old-token"])
        mount.wait_state("auth-failed")
        assert re.search("token", mount.account()["reason"]), mount.account()["reason"]
        assert "old-token" not in mount.log()
        assert 1 <= len(server.commands("AUTHENTICATE")) <= 2


def test_a_client_certificate(scripted_server, mounts, certs, folder):
    """SASL EXTERNAL: who one is has been said by TLS."""
    server = scripted_server({"INBOX": [scripted.Message(1, mail.numbered(3))]},
                             capabilities="IMAP4rev1 SASL-IR AUTH=EXTERNAL AUTH=PLAIN",
                             tls=certs.mutual_context())
    key = os.path.join(folder, "client.key")
    with open(certs.key("client"), "rb") as source, open(key, "wb") as sink:
        os.fchmod(sink.fileno(), 0o600)
        sink.write(source.read())
    mount = mounts({"imap": server.url("imaps"), "user": "ali", "auth": "external",
                    "tls-ca": certs.ca, "tls-cert": certs.pem("client"),
                    "tls-key": key}).start()
    assert reads_one(mount)
    assert mount.account()["mechanism"] == "EXTERNAL"


class TestNoTrace:
    """A credential is in no log, not even in the protocol's, in no file but its own, and in
    nobody's command line or environment."""

    SECRET = "canary-7f3a9c-bird"

    def holds(self, octets):
        """Plain, or in base64 wherever a word may begin."""
        if self.SECRET.encode() in octets:
            return True
        for word in re.findall(rb"[A-Za-z0-9+/=]{12,}", octets):
            word = word.replace(b"=", b"")
            if self.SECRET.encode() in base64.b64decode(word[:len(word) // 4 * 4]):
                return True
        return False

    @pytest.mark.parametrize("auth", ["login command", "plain", "login", "cram-md5", "xoauth2",
                                      "scram-sha-256"])
    def test_none(self, scripted_server, account, mounts, auth):
        keys = {"user": "ali", "password": self.SECRET}
        if auth in ("cram-md5", "scram-sha-256", "login"):
            account.deliver(mail.numbered(3))
            keys = dict(account.keys(), password=self.SECRET, auth=auth)
        else:
            plain = auth == "login command"
            server = scripted_server(
                {"INBOX": [scripted.Message(1, mail.numbered(3))]}, password=self.SECRET,
                capabilities="IMAP4rev1" + ("" if plain else " SASL-IR AUTH=" + auth.upper()))
            keys.update({"imap": server.url(), "auth": "auto" if plain else auth})
        mount = mounts(keys)
        if auth == "xoauth2":
            mount.write_config("imap=%s\nuser=ali\nauth=xoauth2\ntoken-command=cat %s/password\n"
                               % (keys["imap"], mount.folder))
        wire = os.path.join(mount.folder, "wire")
        os.mkdir(wire, 0o700)
        mount.environment["MAILFS_WIRELOG"] = wire
        mount.start()
        system.wait_for(lambda: os.listdir(wire), "a wire log")
        system.wait_for(lambda: mount.account()["state"] in ("online", "auth-failed"), "an end")
        for pid in bed_mount.processes_of(mount.process.pid):
            for name in ("cmdline", "environ"):
                with open("/proc/%d/%s" % (pid, name), "rb") as f:
                    assert not self.holds(f.read()), (pid, name)
        logged = b""
        for where, _, names in os.walk(mount.folder):
            if where.startswith(mount.path):
                continue
            for name in names:
                path = os.path.join(where, name)
                if os.path.isfile(path) and path != mount.folder + "/password":
                    with open(path, "rb") as f:
                        data = f.read()
                    assert not self.holds(data), path
                    logged += data if where == wire else b""
        assert re.search(rb"C: \S+ (LOGIN|AUTHENTICATE)", logged)
        assert not self.holds(mount.read(".mailfs/status.json"))


class TestUtf8:
    NAME = "نامه‌ها"

    def mount(self, scripted_server, mounts, capability):
        server = scripted_server({"INBOX": [],
                                  self.NAME: [scripted.Message(1, mail.numbered(3))]},
                                 capabilities="IMAP4rev1 ENABLE " + capability)
        mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}).start()
        system.wait_for(lambda: self.NAME in os.listdir(mount.path), "the name")
        assert mount.contents(self.NAME) == {1: mail.numbered(3)}
        return server

    def test_where_the_server_insists(self, scripted_server, mounts):
        server = self.mount(scripted_server, mounts, "UTF8=ONLY")
        assert server.commands("ENABLE .*UTF8=ACCEPT")

    def test_modified_utf_7_elsewhere(self, scripted_server, mounts):
        server = self.mount(scripted_server, mounts, "UTF8=ACCEPT")
        assert server.commands('EXAMINE "&BkYGJwZFBkcgDAZHBic-"')


class TestBareServer:
    """What a server does not offer is not asked of it."""

    def test_only_imap4rev1(self, scripted_server, mounts):
        server = scripted_server({"INBOX": [scripted.Message(1, mail.numbered(3))]})
        mount = mounts({"imap": server.url(), "user": "u", "password": "secret"},
                       poll="1s").start()
        assert reads_one(mount)
        server.mailboxes["INBOX"].append(scripted.Message(2, mail.numbered(4)))
        system.wait_for(lambda: len(mount.messages()) == 2, "the new message")
        assert not server.commands(
            r"^\S+ (ID|ENABLE|NAMESPACE|IDLE|NOTIFY|COMPRESS|UNSELECT|GETQUOTA\w*|MYRIGHTS|MOVE)\b"
            r"|RETURN|CONDSTORE|QRESYNC|CHANGEDSINCE|ESEARCH|PARTIAL")

    @pytest.mark.parametrize("extension, command", [
        ("IDLE", "IDLE"), ("ID", "ID"), ("NAMESPACE", "NAMESPACE")])
    def test_what_is_offered_is_used(self, scripted_server, mounts, extension, command):
        server = scripted_server({"INBOX": [scripted.Message(1, mail.numbered(3))]},
                                 capabilities="IMAP4rev1 " + extension)
        mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}).start()
        assert reads_one(mount)
        system.wait_for(lambda: server.commands(r"^\S+ %s\b" % command), command)


def test_a_capability_that_appears_after_login(scripted_server, mounts):
    """The list before login is not the list after it."""
    server = scripted_server({"INBOX": [scripted.Message(1, mail.numbered(3))]},
                             capabilities="IMAP4rev1 IDLE",
                             greeting="* OK [CAPABILITY IMAP4rev1] hello")
    mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}).start()
    assert reads_one(mount)
    system.wait_for(lambda: server.commands(r"^\S+ IDLE"), "IDLE")
    assert not re.search("error", mount.log(), re.I)
