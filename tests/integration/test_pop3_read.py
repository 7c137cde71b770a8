"""Reading over POP3: INBOX shows the maildrop, octet for octet; each message is fetched once and
for all; a session is short, for it locks the maildrop; UIDL is who a message is."""
import errno
import filecmp
import os
import poplib
import re
import stat
import subprocess
import time
import unicodedata

import pytest

from bed import mail, mount as bed_mount, pop3_account, scripted_pop3, system
from bed.pop3_account import on_wire
from bed.pop3_mount import error_of, identity, numbers, path_of, read, shown

EVERYWHERE = pytest.mark.parametrize("maildrop", ["full", "poor", "bare", "cyrus"], indirect=True)
BOTH = pytest.mark.parametrize("maildrop", ["full", "cyrus"], indirect=True)
FREE_SECONDS = 8  # "a few seconds" after the last use


def fill(maildrop, n, first=0):
    maildrop.deliver_all([mail.numbered(i) for i in range(first, first + n)])


def wait_idle(maildrop):
    system.wait_for(maildrop.proxy.is_idle, "the session is over", FREE_SECONDS)


def numbered(*wanted):
    return sorted(on_wire(mail.numbered(n)) for n in wanted)


@EVERYWHERE
def test_every_octet_is_the_servers(maildrop, mounts):
    for data in mail.SPECIAL.values():
        if maildrop.kind != "cyrus" or data.isascii():  # Cyrus rewrites raw 8-bit headers
            maildrop.deliver(data)
    truth = sorted(maildrop.data())
    mount = mounts(maildrop).start().online()
    assert {"INBOX"} <= set(os.listdir(mount.path)) <= {"INBOX", "Trash"}
    assert os.path.isdir(mount.path + "/.mailfs")
    assert shown(mount) == truth
    for name in os.listdir(mount.path + "/INBOX"):
        info = os.stat(os.path.join(mount.path, "INBOX", name))
        assert info.st_size == len(mount.read("INBOX/" + name))
        assert stat.S_ISREG(info.st_mode) and not info.st_mode & 0o077 and info.st_nlink == 1
    assert shown(mount) == truth
    assert sorted(maildrop.data()) == truth


@EVERYWHERE
def test_what_a_listing_costs(maildrop, mounts):
    """TOP, many at once, and no RETR.  Without TOP each message comes whole, and that is that."""
    n = 120
    fill(maildrop, n)
    proxy = maildrop.proxy
    proxy.hold("TOP", 8)
    mount = mounts(maildrop).start().online()
    assert numbers(mount) == list(range(n))
    wait_idle(maildrop)
    verbs = proxy.verbs()
    assert proxy.sessions <= 2
    lists = proxy.lines("^(UIDL|LIST)$")
    assert lists.count("UIDL") <= proxy.sessions and lists.count("LIST") <= proxy.sessions
    if maildrop.kind in ("full", "cyrus"):
        assert verbs["TOP"] == n and verbs["RETR"] == 0, verbs
        assert proxy.deepest >= 8, "they are sent without waiting for each"
    else:
        assert verbs["TOP"] == 0 and verbs["XTOP"] <= 2 and verbs["RETR"] == n, verbs
        assert proxy.deepest == 1
    proxy.forget()
    assert shown(mount) == numbered(*range(n))
    assert len(subprocess.run(["ls", "-l", mount.path + "/INBOX"], capture_output=True,
                              check=True).stdout.splitlines()) == n + 1
    wait_idle(maildrop)
    assert proxy.verbs()["RETR"] == (n if maildrop.kind in ("full", "cyrus") else 0)
    assert proxy.verbs()["TOP"] == 0
    assert proxy.sessions <= 5, "all of it was read in a row"
    # never again, not in the next mount either
    mount.restart().online()
    wait_idle(maildrop)
    proxy.forget()
    assert shown(mount) == numbered(*range(n))
    mount.restart().online()
    assert numbers(mount) == list(range(n))
    wait_idle(maildrop)
    verbs = proxy.verbs()
    assert verbs["RETR"] == verbs["TOP"] == 0 and verbs["XTOP"] <= 1, verbs
    assert proxy.sessions <= 2


def test_reading_one_costs_one(maildrop, mounts):
    fill(maildrop, 20)
    proxy = maildrop.proxy
    mount = mounts(maildrop).start().online()
    path = path_of(mount, 7)
    wait_idle(maildrop)
    proxy.forget()
    with open(path, "rb") as f:
        assert os.fstat(f.fileno()).st_size == len(on_wire(mail.numbered(7)))
        assert f.read() == on_wire(mail.numbered(7))
    assert read(path) == on_wire(mail.numbered(7))
    wait_idle(maildrop)
    assert proxy.verbs()["RETR"] == 1 and proxy.verbs()["TOP"] == 0
    assert proxy.sessions == 1
    proxy.forget()
    subprocess.run(["head", "-c", "10", path], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["grep", "-q", "Message number", path], check=True)
    assert not proxy.lines("RETR")


@BOTH
def test_a_poll_costs_one_session(maildrop, mounts):
    fill(maildrop, 30)
    proxy = maildrop.proxy
    mount = mounts(maildrop, poll="1s").start().online()
    assert numbers(mount) == list(range(30))
    wait_idle(maildrop)
    proxy.forget()
    time.sleep(3.5)
    verbs, sessions, flights = proxy.verbs(), proxy.sessions, proxy.flights
    assert 1 <= sessions <= 5
    assert verbs["TOP"] == verbs["RETR"] == 0
    assert verbs["UIDL"] <= sessions + 1 and verbs["LIST"] <= sessions + 1
    assert flights <= 9 * (sessions + 1)
    fill(maildrop, 2, 30)
    system.wait_for(lambda: numbers(mount) == list(range(32)), "the new mail")
    wait_idle(maildrop)
    assert proxy.verbs()["TOP"] == 2 and proxy.verbs()["RETR"] == 0


def test_without_a_reason_nobody_logs_in(maildrop, mounts):
    fill(maildrop, 3)
    mount = mounts(maildrop, poll="1h").start().online()
    shown(mount)
    wait_idle(maildrop)
    maildrop.proxy.forget()
    time.sleep(2)
    shown(mount)
    assert maildrop.proxy.n_connections == 0


def test_sync_asks_at_once(maildrop, mounts):
    mount = mounts(maildrop, poll="1h").start().online()
    assert os.listdir(mount.path + "/INBOX") == []
    wait_idle(maildrop)
    fill(maildrop, 1)
    assert mount.run("sync", mount.path + "/INBOX").returncode == 0
    system.wait_for(lambda: numbers(mount) == [0], "the new mail")
    assert mount.account()["connections_max"] == 1


def test_sync_asks_although_a_session_is_open(maildrop, mounts):
    """One that a reader has just opened lists what was there then."""
    fill(maildrop, 1)
    mount = mounts(maildrop, poll="1h").start().online()
    system.wait_for(lambda: numbers(mount) == [0], "the listing")
    wait_idle(maildrop)
    read(path_of(mount, 0))
    fill(maildrop, 1, 1)
    assert mount.run("sync", mount.path + "/INBOX").returncode == 0
    assert numbers(mount) == [0, 1]


def test_sync_of_a_server_that_is_away(maildrop, mounts):
    """Has not looked, and says so."""
    fill(maildrop, 2)
    mount = mounts(maildrop, poll="1h").start().online()
    system.wait_for(lambda: numbers(mount) == [0, 1], "the listing")
    maildrop.proxy.down()
    for _ in range(2):
        result = mount.run("sync", mount.path + "/INBOX")
        assert result.returncode == 75 and "closed the connection" in result.stderr
        assert numbers(mount) == [0, 1]
    maildrop.proxy.up()
    fill(maildrop, 1, 2)
    assert mount.run("sync", mount.path + "/INBOX").returncode == 0
    assert numbers(mount) == [0, 1, 2]


def test_the_maildrop_is_free_soon(scripted_pop3_server, mounts):
    """Another client can log in a few seconds after the last use, and while the mount stays."""
    server = scripted_pop3_server([mail.numbered(n) for n in range(30)])
    mount = mounts(server.keys()).start().online()

    def used():
        system.wait_for(server.is_free, "the maildrop is free", FREE_SECONDS)
        with server.session() as pop3:
            assert pop3.stat()[0] == 30
    assert numbers(mount) == list(range(30))
    used()
    read(path_of(mount, 3))
    used()
    # and the mount waits for another client to be ready
    leave = server.occupy()
    reader = subprocess.Popen(["cat", path_of(mount, 4)], stdout=subprocess.PIPE)
    system.wait_for(lambda: server.refused, "a login was refused")
    leave()
    out, _ = reader.communicate(timeout=60)
    if reader.returncode != 0:  # it may be told that the server is busy, but not for long
        system.wait_for(lambda: error_of(read, path_of(mount, 4)) is None, "it can be read", 30)
        out = read(path_of(mount, 4))
    assert out == on_wire(mail.numbered(4))
    assert all("IN-USE" in text for text in server.refused)
    assert mount.account()["state"] != "auth-failed"


@EVERYWHERE
def test_who_is_who_when_numbers_shift(maildrop, mounts):
    """Names and inode numbers stay over sessions and mounts; what another client removed unread
    goes."""
    fill(maildrop, 8)
    mount = mounts(maildrop, poll="1s").start().online()
    system.wait_for(lambda: numbers(mount) == list(range(8)), "all of it")
    known = {n: identity(path_of(mount, n)) for n in range(8)}
    inodes = [known[n][1] for n in range(8)]
    assert inodes == sorted(set(inodes)), "inodes rise as mail came"
    if maildrop.kind in ("full", "cyrus"):
        maildrop.take_away(mail.numbered(0), mail.numbered(3))
        rest = [1, 2, 4, 5, 6, 7]
        system.wait_for(lambda: numbers(mount) == rest, "two are gone")
        for n in (5, 2):
            assert read(path_of(mount, n)) == on_wire(mail.numbered(n))
        mount.stop()
        maildrop.take_away(mail.numbered(1))
        rest.remove(1)
        mount.start().online()
    else:
        mount.restart().online()
        rest = list(range(8))
    system.wait_for(lambda: numbers(mount) == rest, "what is left")
    assert {n: identity(path_of(mount, n)) for n in rest} == {n: known[n] for n in rest}
    assert shown(mount) == numbered(*rest)
    fill(maildrop, 1, 8)
    system.wait_for(lambda: numbers(mount) == rest + [8], "the new mail")
    assert identity(path_of(mount, 8))[1] not in inodes


def test_a_maildrop_in_another_order(scripted_pop3_server, mounts):
    datas = [mail.numbered(n) for n in range(12)]
    server = scripted_pop3_server(datas)
    mount = mounts(server.keys(poll="1s")).start().online()
    system.wait_for(lambda: numbers(mount) == list(range(12)), "all of it")
    known = {n: identity(path_of(mount, n)) for n in range(12)}
    for turn in (lambda drop: drop[::-1], lambda drop: drop[5:] + drop[:5]):
        with server.lock:
            server.drop = turn(server.drop)
        sessions = server.sessions
        system.wait_for(lambda: server.sessions > sessions + 1, "somebody looked")
        assert {n: identity(path_of(mount, n)) for n in range(12)} == known
        for n in (0, 11, 6):
            assert read(path_of(mount, n)) == on_wire(mail.numbered(n))
    mount.restart().online()
    assert {n: identity(path_of(mount, n)) for n in range(12)} == known
    assert shown(mount) == numbered(*range(12))
    assert set(server.retrieved.values()) == {1}


def test_offline_from_the_cache(maildrop, mounts):
    fill(maildrop, 4)
    mount = mounts(maildrop).start().online()
    known = {n: identity(path_of(mount, n)) for n in range(4)}
    read(path_of(mount, 0))  # one alone: of several in a row the next are read ahead
    maildrop.proxy.down()

    def check():
        start = time.monotonic()
        assert numbers(mount) == [0, 1, 2, 3]
        assert {n: identity(path_of(mount, n)) for n in range(4)} == known
        assert read(path_of(mount, 0)) == on_wire(mail.numbered(0))
        for n in (1, 2, 3):
            assert error_of(read, path_of(mount, n)) == errno.ENETDOWN
        assert time.monotonic() - start < 10
        assert mount.account()["state"] == "offline"
    check()
    mount.restart()
    system.wait_for(lambda: mount.account()["state"] == "offline", "offline")
    check()
    maildrop.proxy.up()
    mount.run("sync", mount.path + "/INBOX")
    mount.wait_state("online", 20)
    assert shown(mount) == numbered(0, 1, 2, 3)


def test_names_outlast_the_cache(maildrop, mounts):
    """Also where the next mount finds no server: names and inode numbers are in the state."""
    fill(maildrop, 4)
    mount = mounts(maildrop, poll="1h").start().online()
    system.wait_for(lambda: numbers(mount) == [0, 1, 2, 3], "the listing")
    known = {n: identity(path_of(mount, n)) for n in range(4)}
    maildrop.proxy.down()
    mount.stop()
    mount.empty_cache()
    mount.start()
    system.wait_for(lambda: len(os.listdir(mount.path + "/INBOX")) == 4, "what is known")
    assert {n: identity(path_of(mount, n)) for n in range(4)} == known
    maildrop.proxy.up()
    assert mount.run("sync", mount.path + "/INBOX").returncode == 0
    assert {n: identity(path_of(mount, n)) for n in range(4)} == known
    assert shown(mount) == numbered(0, 1, 2, 3)


class TestNames:
    RECEIVED = (b"Received: from a.example.org (a.example.org [192.0.2.1])\r\n"
                b"\tby mx.example.org with ESMTP id 1234\r\n"
                b"\tfor <ali@example.org>; Sat, 02 Mar 2024 01:02:03 +0330\r\n"
                b"Received: from b by a; Fri, 1 Mar 2024 10:00:00 +0000\r\n")

    def test_the_date_is_when_it_was_received(self, maildrop, mounts):
        maildrop.deliver(self.RECEIVED + mail.message("with both"))
        maildrop.deliver(mail.message("sent only"))
        maildrop.deliver(b"Subject: no date at all\r\nFrom: x@example.org\r\n\r\nbody\r\n")
        maildrop.deliver(b"Received: from a by b; the day before yesterday\r\n"
                         + mail.message("a bad one"))
        mount = mounts(maildrop).start().online()
        names = os.listdir(mount.path + "/INBOX")
        assert len(names) == 4
        by_subject = {re.search(r"with-both|sent-only|no-date|a-bad-one", name).group(): name
                      for name in names}
        assert by_subject["with-both"].startswith("2024-03-01_2132_Alice_with-both.")
        assert by_subject["sent-only"].startswith("2023-11-14_2213_Alice_sent-only.")
        assert by_subject["a-bad-one"].startswith("2023-11-14_2213_Alice_a-bad-one.")
        where = mount.path + "/INBOX/"
        assert os.stat(where + by_subject["with-both"]).st_mtime == 1709328723
        assert os.stat(where + by_subject["sent-only"]).st_mtime == mail.EPOCH
        for name in names:
            assert re.search(r"\.\d+\.eml$", name), name

    @EVERYWHERE
    def test_legal_unique_readable(self, maildrop, mounts):
        given = [data for data in mail.SPECIAL.values()
                 if maildrop.kind != "cyrus" or data.isascii()]
        maildrop.deliver_all(given)
        mount = mounts(maildrop, charset_fallback="windows-1256").start().online()
        names = os.listdir(mount.path + "/INBOX")
        assert len(names) == len(given)
        for name in names:
            assert len(name.encode("utf-8")) <= 200
            assert name == unicodedata.normalize("NFC", name)
            assert not name.startswith((".", "-")) and name.endswith(".eml")
            bad = [c for c in name if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs")
                   or c in "/ \u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"]
            assert not bad, name
        parts = ["تقرير-الربع-الثاني", "no-subject", "one-two-three", "سلام"]
        for part in parts + (["نامه" + mail.ZWNJ + "های-تازه"] if maildrop.kind != "cyrus" else []):
            assert any(part in name for name in names), part


class TestTools:
    @pytest.fixture
    def mount(self, maildrop, mounts):
        fill(maildrop, 25)
        maildrop.deliver(mail.SPECIAL["big"])
        return mounts(maildrop).start().online()

    def test_cp_tar_and_rsync(self, mount, maildrop, folder):
        command = ["rsync", "-a", "--stats", mount.path + "/", folder + "/r/"]
        subprocess.run(["cp", "-rp", mount.path, folder + "/c"], check=True)
        os.mkdir(folder + "/t")
        subprocess.run(["sh", "-c", 'tar -C "$0" -cSf - . | tar -C "$1" -xf -', mount.path,
                        folder + "/t"], check=True)
        subprocess.run(command, check=True, capture_output=True)
        for copy in "crt":
            names = os.listdir(mount.path + "/INBOX")
            assert sorted(os.listdir("%s/%s/INBOX" % (folder, copy))) == sorted(names)
            assert filecmp.cmpfiles(mount.path + "/INBOX", "%s/%s/INBOX" % (folder, copy), names,
                                    shallow=False) == (names, [], [])
        again = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert "Number of regular files transferred: 0" in again
        assert maildrop.proxy.verbs()["RETR"] == 26

    def test_grep_and_find(self, mount):
        assert mount.shell("grep -rl 'Message number 000007' . | wc -l").strip() == "1"
        assert mount.shell("find . -type f -name '*.eml' | wc -l").strip() == "26"
        assert mount.shell("find . -type f -size +2000k | wc -l").strip() == "1"

    def test_readers_side_by_side(self, mount, maildrop):
        name = max(os.listdir(mount.path + "/INBOX"), key=lambda name: os.stat(
            os.path.join(mount.path, "INBOX", name)).st_size)
        path = os.path.join(mount.path, "INBOX", name)
        maildrop.proxy.forget()
        readers = [subprocess.Popen(["cat", path], stdout=subprocess.PIPE) for _ in range(4)]
        assert all(r.communicate(timeout=60)[0] == mail.SPECIAL["big"] for r in readers)
        with open(path, "rb", buffering=0) as f:
            for offset in (len(mail.SPECIAL["big"]) - 5, 1 << 20, 0, 4095):
                assert os.pread(f.fileno(), 500, offset) == \
                    mail.SPECIAL["big"][offset:offset + 500]
        assert maildrop.proxy.verbs()["RETR"] == 1

    def test_an_impatient_reader(self, mount, maildrop):
        name = next(name for name in os.listdir(mount.path + "/INBOX") if "Three" in name)
        with open(os.path.join(mount.path, "INBOX", name), "rb", buffering=0) as f:
            f.read(10)
        assert mount.read("INBOX/" + name) == mail.SPECIAL["big"]
        assert maildrop.proxy.verbs()["RETR"] == 1


class TestLogin:
    """Ways to reach a server, and to say who one is."""

    @pytest.mark.parametrize("scheme", ["pop3s", "pop3", "pop3+plain"])
    @pytest.mark.parametrize("auth", ["auto", "plain", "login", "cram-md5", "scram-sha-1",
                                      "scram-sha-256"])
    def test_dovecot(self, maildrop, mounts, certs, scheme, auth):
        self.logs_in(maildrop, mounts, certs, scheme, auth)

    @pytest.mark.parametrize("maildrop", ["cyrus"], indirect=True)
    @pytest.mark.parametrize("scheme, auth", [
        ("pop3s", "auto"), ("pop3", "auto"), ("pop3s", "apop"), ("pop3s", "scram-sha-1"),
        ("pop3+plain", "apop"), ("pop3", "cram-md5")])
    def test_cyrus(self, maildrop, mounts, certs, scheme, auth):
        self.logs_in(maildrop, mounts, certs, scheme, auth)

    @staticmethod
    def logs_in(maildrop, mounts, certs, scheme, auth):
        fill(maildrop, 1)
        trust = {} if scheme == "pop3+plain" else {"tls_ca": certs.ca}
        mount = mounts(maildrop, pop3=maildrop.server.pop3_url(scheme), auth=auth, **trust)
        mount.start().online()
        assert shown(mount) == numbered(0)

    @pytest.mark.parametrize("auth, sasl, greeting, wanted", [
        ("auto", "SASL PLAIN LOGIN", None, "PLAIN"),
        ("auto", "SASL LOGIN", None, "LOGIN"),
        ("auto", "SASL CRAM-MD5 PLAIN", None, "CRAM-MD5"),
        ("auto", None, None, "USER"),
        ("auto", None, "+OK ready " + scripted_pop3.BANNER, "USER"),  # APOP only where told
        ("apop", None, "+OK ready " + scripted_pop3.BANNER, "APOP"),
        ("plain", "SASL PLAIN LOGIN CRAM-MD5", None, "PLAIN"),
        ("cram-md5", "SASL PLAIN CRAM-MD5", None, "CRAM-MD5"),
    ])
    def test_how(self, scripted_pop3_server, mounts, auth, sasl, greeting, wanted):
        names = ["TOP", "UIDL", "PIPELINING"] + ([sasl] if sasl else ["USER"])
        server = scripted_pop3_server([mail.numbered(0)], capabilities=names, greeting=greeting)
        mount = mounts(server.keys(auth=auth)).start().online()
        assert shown(mount) == numbered(0)
        assert set(server.mechanisms) == {wanted}

    def test_without_capa(self, scripted_pop3_server, mounts):
        """USER and PASS; TOP and UIDL are tried; nothing is sent before an answer."""
        server = scripted_pop3_server([mail.numbered(n) for n in range(5)], capabilities=None)
        server.is_pipelining = False
        mount = mounts(server.keys()).start().online()
        assert shown(mount) == numbered(*range(5))
        assert set(server.mechanisms) == {"USER"}
        assert not server.pipelined
        assert server.verbs()["TOP"] in (5, 6)  # the first may be to see whether there is one

    @pytest.mark.parametrize("auth", ["scram-sha-256", "apop", "cram-md5"])
    def test_never_weaker_than_told(self, scripted_pop3_server, mounts, auth):
        server = scripted_pop3_server([mail.numbered(0)])
        mount = mounts(server.keys(auth=auth, poll="1s")).start()
        system.wait_for(lambda: server.n_connections > 0, "a connection")
        system.wait_for(lambda: auth in mount.log().lower(), "a sentence that names it")
        assert not server.commands("PASS|PLAIN") and not server.mechanisms
        assert mount.account()["state"] != "online"

    @pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
    def test_a_token(self, scripted_pop3_server, mounts, folder, mechanism):
        """The second time the command is asked for another: the first has run out."""
        command = os.path.join(folder, "token")
        with open(command, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\necho x >>%s.count\n"
                    "[ $(wc -l <%s.count) -gt 1 ] || { echo old; exit; }\necho fresh\n"
                    % (command, command))
        os.chmod(command, 0o755)
        server = scripted_pop3_server([mail.numbered(0)], password="fresh", capabilities=(
            "TOP", "UIDL", "SASL " + mechanism.upper()))
        keys = server.keys(auth=mechanism)
        del keys["password"]
        keys["token-command"] = command
        mount = mounts(keys).start().online()
        assert shown(mount) == numbered(0)
        assert len(server.refused) == 1 and set(server.mechanisms) == {mechanism.upper()}
        assert "fresh" not in mount.log()

    def test_check(self, maildrop, mounts, certs):
        mount = mounts(maildrop, pop3=maildrop.server.pop3_url("pop3s"), tls_ca=certs.ca)
        result = mount.run("check", bed_mount.ACCOUNT)
        assert result.returncode == 0, result.stdout + result.stderr
        assert re.search("UIDL|TOP", result.stdout)

    def test_the_wire_log_keeps_the_secret(self, scripted_pop3_server, mounts, folder):
        server = scripted_pop3_server([mail.numbered(0)], capabilities=("TOP", "UIDL", "USER"),
                                      password="correct-horse-battery")
        mount = mounts(server.keys())
        mount.environment["MAILFS_WIRELOG"] = folder + "/wire"
        os.mkdir(folder + "/wire", 0o700)
        mount.start("-vv").online()
        shown(mount)
        mount.stop()
        logs = [read(os.path.join(folder, "wire", name)) for name in os.listdir(folder + "/wire")]
        assert any(b"UIDL" in log for log in logs)
        assert not any(b"correct-horse" in log for log in logs)
        assert "correct-horse" not in mount.log()


def test_poplib_and_the_mount_side_by_side(maildrop, mounts):
    """The judge's hands: what another client deletes in a session of its own is gone here once
    its QUIT was answered, and not before."""
    fill(maildrop, 3)
    mount = mounts(maildrop, poll="1s").start().online()
    system.wait_for(lambda: numbers(mount) == [0, 1, 2], "all of it")
    pop3 = maildrop.log_in()
    pop3.dele(1)
    time.sleep(1.5)
    assert numbers(mount) == [0, 1, 2]
    pop3.quit()
    system.wait_for(lambda: numbers(mount) == [1, 2], "it is gone")
    with pytest.raises(poplib.error_proto):
        with maildrop.session() as again:
            pop3_account.retrieve(again, 3)


def test_as_an_ordinary_user_through_fusermount3(maildrop, mounts, ordinary_user):
    fill(maildrop, 5)
    mount = mounts(maildrop, place=ordinary_user).start()
    assert mount.shell("ls INBOX | wc -l").strip() == "5"
    assert mount.shell("cat INBOX/*.eml").encode() == b"".join(
        on_wire(mail.numbered(n)) for n in range(5))
    mount.shell("mkdir Archive && mv INBOX/*000002*.eml Archive/ && ls Archive")
    maildrop.wait([mail.numbered(n) for n in (0, 1, 3, 4)])
    mount.stop()
