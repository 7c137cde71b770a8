"""The program: its commands, its configuration's errors, its signals, its secrets."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from bed import mail, mount as bed_mount, system
from bed.mount import ACCOUNT


@pytest.fixture
def mount(account, mounts):
    for n in range(5):
        account.deliver(mail.numbered(n))
    return mounts(account)


def started(mount):
    mount.start()
    mount.messages()
    mount.wait_state("online")
    mount.wait_listed("INBOX", 5)
    return mount


class TestCommandLine:
    def test_help_and_version(self, mount):
        assert re.search(r"mailfs \d+\.\d+", mount.run("--version").stdout)
        usage = mount.run("--help")
        assert usage.returncode == 0 and "mount" in usage.stdout

    def test_an_unknown_command(self, mount):
        result = mount.run("mout")
        assert result.returncode == 64
        assert "mount" in result.stderr

    def test_an_unknown_account(self, mount):
        wrong = ACCOUNT.replace("test", "tset")
        result = mount.run("mount", "-f", wrong, mount.path)
        assert result.returncode != 0
        assert wrong in result.stderr and ACCOUNT in result.stderr

    def test_a_mount_point_that_is_not_there(self, mount):
        result = mount.run("mount", "-f", ACCOUNT, mount.path + "/nothing")
        assert result.returncode != 0 and "nothing" in result.stderr

    def test_a_mount_point_that_is_not_empty(self, mount):
        with open(mount.path + "/file", "w", encoding="ascii"):
            pass
        result = mount.run("mount", "-f", ACCOUNT, mount.path)
        assert result.returncode != 0 and "empty" in result.stderr

    def test_commands_without_a_mount(self, mount):
        for words in (["umount", ACCOUNT], ["sync", mount.path], ["info", mount.path]):
            result = mount.run(*words)
            assert result.returncode != 0 and result.stderr.strip(), words
        assert ACCOUNT not in mount.run("status").stdout


class TestForking:
    def test_it_forks_when_it_is_ready(self, mount):
        result = mount.run("mount", ACCOUNT, mount.path)
        assert result.returncode == 0, result.stderr
        assert mount.is_mounted()
        assert len(mount.messages()) == 5
        assert ACCOUNT in mount.run("status").stdout
        assert mount.run("umount", ACCOUNT).returncode == 0
        assert not mount.is_mounted()

    def test_as_mount_8_calls_it(self, mount, folder):
        helper = folder + "/mount.mailfs"
        os.symlink(mount.binary, helper)

        def call(*words):
            return subprocess.run(mount.place.command([helper, *words]), env=mount.environment,
                                  capture_output=True, text=True, check=False, timeout=60)
        options = "rw,noauto,nosuid,x-systemd.automount,config=" + mount.config
        assert call(ACCOUNT, mount.path, "-o", "nonsense").returncode == 1
        assert call("nobody", mount.path, "-o", options).returncode == 32
        result = call(ACCOUNT, mount.path, "-o", options)
        assert result.returncode == 0, result.stderr
        assert len(mount.messages()) == 5
        assert mount.run("umount", mount.path).returncode == 0

    def test_all_accounts_in_one_mount(self, servers, mount, account):
        """Each has a directory of its own, and one that cannot log in keeps no other back."""
        keys = account.keys()
        text = "".join("[account %s]\nimap=%s\nuser=%s\npassword-file=%s\n" % (
            name, keys["imap"], user, mount.folder + "/password")
            for name, user in (("first", keys["user"]), ("second", keys["user"] + "x")))
        mount.write_raw_config(text + "[account third]\nimap=imap+plain://127.0.0.1:1\nuser=u\n"
                               "password-file=%s/password\n" % mount.folder)
        result = mount.run("mount", "--all", mount.path)
        assert result.returncode == 0, result.stderr
        try:
            assert sorted(os.listdir(mount.path)) == ["first", "second", "third"]
            assert len(mount.messages("first/INBOX")) == 5
            assert mount.messages("second/INBOX") == {}
            first = os.path.join(mount.path, "first/INBOX", mount.messages("first/INBOX")[1])
            with open(first, "rb") as f:
                assert f.read() == mail.numbered(0)
            assert "uid" in mount.run("info", first).stdout
            states = {a["id"]: a["state"] for a in mount.status()["accounts"]}
            assert states["first"] == states["second"] == "online" != states["third"]
        finally:
            assert mount.run("umount", mount.path).returncode == 0

    def test_it_ends_with_an_error_when_it_is_not(self, mount):
        mount.write_config("imap=nonsense\n")
        assert mount.run("mount", ACCOUNT, mount.path).returncode != 0
        assert not mount.is_mounted()


class TestOnAMount:
    def test_status(self, mount):
        started(mount)
        text = mount.run("status").stdout
        assert ACCOUNT in text and "online" in text
        facts = json.loads(mount.run("status", "--json", ACCOUNT).stdout)
        assert facts["format"] == 1
        found = facts["accounts"][0]
        assert found["id"] == ACCOUNT and found["state"] == "online"
        assert [m["messages"] for m in found["mailboxes"] if m["name"] == "INBOX"] == [5]
        assert "online" in mount.read(".mailfs/status").decode()
        assert mount.status()["format"] == 1

    def test_check(self, mount):
        result = mount.run("check", ACCOUNT)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "IMAP4rev1" in result.stdout or "IDLE" in result.stdout

    def test_info(self, mount):
        started(mount)
        name = os.path.join(mount.path, "INBOX", mount.messages()[1])
        out = mount.run("info", name)
        assert out.returncode == 0, out.stderr
        assert re.search(r"uid\W+1\b", out.stdout, re.I), out.stdout
        out = mount.run("info", mount.path + "/INBOX").stdout
        assert re.search(r"messages +5, 5 unseen", out), out

    def test_status_goes_on(self, account, mount):
        started(mount)
        status = subprocess.Popen(mount.argv("status", "-w", ACCOUNT), env=mount.environment,
                                  stdout=subprocess.PIPE, text=True)
        try:
            assert "INBOX 5" in status.stdout.readline()
            account.append(mail.message("a piece of news"))
            assert any("INBOX 6" in line for line in status.stdout)
        finally:
            status.kill()
            status.communicate()

    def test_fetch_and_evict(self, account, mounts):
        for n in range(5):
            account.deliver(mail.numbered(n))
        proxy = account.through_proxy()
        mount = started(mounts(account))
        assert mount.run("fetch", mount.path + "/INBOX").returncode == 0
        proxy.forget()
        assert len(mount.contents()) == 5
        assert not proxy.body_fetches()
        assert mount.run("evict", mount.path + "/INBOX").returncode == 0
        assert len(mount.contents()) == 5
        assert proxy.body_fetches()

    def test_sync(self, account, mounts):
        """sync fetches news now, though the poll interval is long."""
        made = mounts(account, poll="1h").start()
        account.create("A")
        account.append(mail.numbered(1), "A")
        made.wait_state("online")
        result = made.run("sync", made.path)
        assert result.returncode == 0, result.stderr
        system.wait_for(lambda: len(made.messages("A")) == 1, "the new mailbox")

    def test_events(self, account, mount):
        started(mount)
        events = subprocess.Popen(mount.argv("events", ACCOUNT), env=mount.environment,
                                  stdout=subprocess.PIPE, text=True)
        try:
            time.sleep(0.5)
            account.append(mail.message("a piece of news"))
            line = events.stdout.readline()
            assert "INBOX" in line, line
        finally:
            events.kill()
            events.communicate()

    def test_umount_of_a_busy_mount(self, mount):
        started(mount)
        with open(os.path.join(mount.path, "INBOX", mount.messages()[1]), "rb"):
            result = mount.umount()
            assert result.returncode != 0 and "busy" in result.stderr
            assert mount.is_mounted()
            assert len(mount.messages()) == 5


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_unmounts(self, mount, number):
        started(mount)
        mount.process.send_signal(number)
        assert mount.process.wait(20) in (0, -number, 128 + number)
        assert not mount.is_mounted()
        mount.process = None

    def test_it_connects_at_once(self, account, mounts):
        """SIGHUP ends the back-off."""
        proxy = account.through_proxy()
        mount = mounts(account).start()
        mount.wait_state("online")
        proxy.down()
        system.wait_for(lambda: mount.account()["state"] == "offline", "offline")
        time.sleep(5)  # the pauses between tries grow: 1 s, 2 s, 4 s, 8 s
        proxy.up()
        proxy.forget()
        mount.process.send_signal(signal.SIGHUP)
        mount.wait_state("online", 1.5)

    def test_dump(self, mount):
        started(mount)
        mount.process.send_signal(signal.SIGUSR1)
        system.wait_for(lambda: re.search("connection", mount.log()), "the dump")
        assert len(mount.messages()) == 5


class TestConfiguration:
    @pytest.mark.parametrize("line, sentence", [
        ("imapp=imaps://x", "did you mean.*imap"),
        ("poll=soon", "poll"),
        ("prefetch=everything", "prefetch"),
        ("cache-max=lots", "cache-max"),
        ("connections=900", "connections"),
        ("names=short", "names"),
        ("imap=http://x", "imap"),
        ("just words", ""),
    ])
    def test_a_wrong_line(self, mount, line, sentence):
        mount.write_config("user=u\n%s\n" % line)
        result = mount.run("mount", "-f", ACCOUNT, mount.path)
        assert result.returncode == 78, result.stderr
        assert re.search(r"mailfs\.conf:3:.*" + sentence, result.stderr, re.S), result.stderr

    def test_an_unknown_group(self, mount):
        mount.write_raw_config("[acount test]\nuser=u\n")
        result = mount.run("mount", "-f", ACCOUNT, mount.path)
        assert result.returncode == 78
        assert re.search(r"mailfs\.conf:1:.*did you mean.*account", result.stderr, re.S)

    def test_no_file(self, mount):
        os.unlink(mount.config)
        result = mount.run("mount", "-f", ACCOUNT, mount.path)
        assert result.returncode != 0 and mount.config in result.stderr

    def test_show_and_path(self, mount):
        assert mount.run("config", "path").stdout.strip() == mount.config
        shown = mount.run("config", "show").stdout
        assert "[account %s]" % ACCOUNT in shown and "poll" in shown
        redacted = mount.run("config", "show", "--redact").stdout
        assert "127.0.0.1" not in redacted

    def test_programs_that_must_not_fetch(self, account, mounts):
        """no-fetch-for: a thumbnailer gets what is in the cache, and nothing else."""
        account.deliver(mail.numbered(0))
        mount = mounts(account, no_fetch_for="tail;cat").start()
        read = "cat INBOX/*.eml 2>&1 > /dev/null"
        mount.messages()
        assert "denied" in mount.shell(read, check=False)
        mount.shell("head -c 1 INBOX/*.eml > /dev/null")
        system.wait_for(lambda: mount.shell(read, check=False) == "", "cat reads what is cached")

    def test_folders(self, account, mounts):
        for name in ("A", "B", "B/C"):
            account.create(name)
        mount = mounts(account, folders="*;!B*").start()
        mount.wait_state("online")
        system.wait_for(lambda: "A" in os.listdir(mount.path), "A")
        assert "B" not in os.listdir(mount.path)


class TestSecrets:
    def test_a_password_command(self, account, mounts, folder):
        account.deliver(mail.numbered(0))
        script = folder + "/give password"
        with open(script, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\necho run >> '%s/runs'\necho '%s'\n" % (folder, account.password))
        os.chmod(script, 0o755)
        keys = account.keys()
        del keys["password"]
        mount = mounts(dict(keys, **{"password-command": "'%s'" % script})).start()
        assert len(mount.messages()) == 1
        with open(folder + "/runs", encoding="ascii") as f:
            assert f.read() == "run\n"

    def test_a_password_command_that_fails(self, account, mounts):
        keys = account.keys()
        del keys["password"]
        mount = mounts(dict(keys, **{"password-command": "false"})).start()
        mount.wait_state("locked")
        assert "password-command" in mount.log()

    def test_a_password_file_that_others_can_read(self, account, mounts):
        mount = mounts(account)
        os.chmod(mount.folder + "/password", 0o644)
        result = mount.run("check", ACCOUNT)
        assert result.returncode != 0
        assert "chmod 600" in result.stderr

    def test_secrets_are_nowhere(self, account, mount, folder):
        os.mkdir(folder + "/wire", 0o700)
        mount.environment["MAILFS_WIRELOG"] = folder + "/wire"
        started(mount)
        for pid in bed_mount.processes_of(mount.process.pid):
            for name in ("cmdline", "environ"):
                with open("/proc/%d/%s" % (pid, name), "rb") as f:
                    assert account.password.encode() not in f.read()
        mount.stop()
        logs = mount.log()
        wire = ""
        for name in os.listdir(folder + "/wire"):
            with open(os.path.join(folder, "wire", name), encoding="utf-8",
                      errors="replace") as f:
                wire += f.read()
        assert re.search("LOGIN|AUTHENTICATE", wire)
        assert account.password not in logs + wire
        for top in ("cache", "state"):
            found = subprocess.run(["grep", "-rlF", account.password, mount.folder + "/" + top],
                                   capture_output=True, text=True, check=False).stdout
            assert not found
