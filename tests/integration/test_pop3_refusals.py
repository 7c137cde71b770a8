"""POP3 servers that say no in words of their own: what they mean, how long it is believed, and what
is shown all the same."""

import pytest

from bed import mail, system
from bed.pop3_account import on_wire
from bed.pop3_mount import numbers

NO_CODES = ("TOP", "UIDL", "USER", "PIPELINING")


def numbered(*wanted):
    return sorted(on_wire(mail.numbered(n)) for n in wanted)


@pytest.fixture
def make(scripted_pop3_server):
    def made(n=3, **more):
        return scripted_pop3_server([mail.numbered(i) for i in range(n)], **more)
    return made


def listed(mount, n=3):
    mount.start().online()
    system.wait_for(lambda: len(numbers(mount)) == n, "INBOX is listed")
    return mount


class TestLogin:
    @pytest.mark.parametrize("answer", [
        "Mailbox locked by another session", "can't lock mailbox", "maildrop busy",
        "Failed to lock maildrop", "system error, please retry", "connection limit reached"])
    def test_a_lock_in_other_words(self, make, mounts, answer):
        """It says nothing about the password."""
        server = make(capabilities=NO_CODES)
        rule = server.rule(r"^PASS", "-ERR " + answer, times=2)
        mount = mounts(server.keys(poll="1s")).start()
        system.wait_for(lambda: rule.hits, "the refusal")
        assert mount.account()["state"] != "auth-failed"
        system.wait_for(lambda: numbers(mount) == [0, 1, 2], "INBOX", 20)
        assert rule.hits == 2

    @pytest.mark.parametrize("answer", [
        "Wrong password, please try again", "your account is locked", "this address is blocked"])
    def test_no_lock(self, make, mounts, answer):
        """More tries make it worse."""
        server = make(capabilities=NO_CODES)
        server.rule(r"^PASS", "-ERR " + answer)
        mount = mounts(server.keys(poll="1s")).start()
        mount.wait_state("auth-failed")
        assert answer in mount.account()["reason"]
        assert len(server.commands("^PASS")) <= 2
