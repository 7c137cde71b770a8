"""Ways to reach a server and to log in, and extensions that only some servers have."""
import base64
import os
import re

import pytest

from bed import cyrus, mail, scripted, system


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


class TestTokens:
    @pytest.mark.parametrize("mechanism, wanted", [
        ("xoauth2", "user=ali\x01auth=Bearer a-token\x01\x01"),
        ("oauthbearer", "n,a=ali,\x01"),
    ])
    def test_a_token(self, scripted_server, mounts, mechanism, wanted):
        server = scripted_server({"INBOX": [scripted.Message(1, mail.numbered(3))]},
                                 capabilities="IMAP4rev1 SASL-IR AUTH=" + mechanism.upper())
        server.rule("^AUTHENTICATE " + mechanism)
        mount = mounts({"imap": server.url(), "user": "ali", "auth": mechanism,
                        "token-command": "echo a-token"}).start()
        assert reads_one(mount)
        sent = server.commands("AUTHENTICATE " + mechanism)[0].split(" ")[3]
        assert wanted in base64.b64decode(sent).decode()


class TestUtf8Accept:
    def test_names_in_utf_8(self, scripted_server, mounts):
        name = "نامه‌ها"
        server = scripted_server({"INBOX": [], name: [scripted.Message(1, mail.numbered(3))]},
                                 capabilities="IMAP4rev1 ENABLE UTF8=ACCEPT")
        mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}).start()
        system.wait_for(lambda: name in os.listdir(mount.path), "the name")
        assert mount.contents(name) == {1: mail.numbered(3)}
        assert server.commands("ENABLE .*UTF8=ACCEPT")


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
        ("IDLE", "IDLE"), ("ID", "ID"), ("UNSELECT", "EXAMINE")])
    def test_what_is_offered_is_used(self, scripted_server, mounts, extension, command):
        server = scripted_server({"INBOX": [scripted.Message(1, mail.numbered(3))]},
                                 capabilities="IMAP4rev1 " + extension)
        mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}).start()
        assert reads_one(mount)
        system.wait_for(lambda: server.commands(r"^\S+ %s\b" % command), command)


def test_a_capability_that_appears_after_login(scripted_server, mounts):
    """The list before login is not the list after it."""
    server = scripted_server({"INBOX": [scripted.Message(1, mail.numbered(3))]},
                             greeting="* OK [CAPABILITY IMAP4rev1] hello")
    server.rule("^(LOGIN|AUTHENTICATE)", tagged="OK [CAPABILITY IMAP4rev1 IDLE] in")
    mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}).start()
    assert reads_one(mount)
    system.wait_for(lambda: server.commands(r"^\S+ IDLE"), "IDLE")
    assert not re.search("error", mount.log(), re.I)
