"""Counts, not seconds: what a listing, a read and a restart may cost in IMAP commands (counted by
a proxy on the wire) and in FUSE requests (counted by the program)."""
import os
import re
import subprocess
import time

import pytest

from bed import mail, system

N = 2000


def fetches(proxy):
    return len(proxy.lines(r"\bFETCH\b"))


@pytest.fixture
def proxy(account):
    return account.through_proxy()


def fill(account, n):
    for i in range(n):
        account.deliver(mail.numbered(i))


def listing(mount, mailbox="INBOX"):
    """ls -l, as its own process: what it costs is what a user pays."""
    out = subprocess.run(["ls", "-l", os.path.join(mount.path, mailbox)], check=True,
                         capture_output=True).stdout
    return len(out.splitlines()) - 1


@pytest.mark.parametrize("account", ["full", "bare"], indirect=True)
def test_listing(account, proxy, mounts):
    fill(account, N)
    mount = mounts(account).start()
    assert listing(mount) == N
    # N/500 for the attributes, as many for the headers, and a few for the other mailboxes
    assert fetches(proxy) <= 2 * (N // 500) + 4, proxy.lines("FETCH")
    assert not proxy.body_fetches()

    mount.wait_listed("INBOX", N)
    proxy.forget()
    before = mount.fuse_requests()
    for _ in range(3):
        assert listing(mount) == N
    assert fetches(proxy) == 0
    after = mount.fuse_requests()
    stats = sum(after.get(x, 0) - before.get(x, 0) for x in ("LOOKUP", "GETATTR"))
    assert stats < N / 2


def test_reading_one_message_fetches_only_that_one(account, proxy, mounts):
    fill(account, 50)
    mount = mounts(account).start()
    names = mount.messages()
    mount.wait_listed("INBOX", 50)
    proxy.forget()
    assert mount.read("INBOX/" + names[25]) == mail.numbered(24)
    time.sleep(0.5)  # time in which more might be fetched
    assert len(proxy.body_fetches()) == 1
    # the message, and the login of the connection that fetches it
    assert proxy.octets_down < len(mail.numbered(24)) + 5000
    proxy.forget()
    assert mount.read("INBOX/" + names[25]) == mail.numbered(24)
    assert not proxy.body_fetches()


@pytest.mark.parametrize("account", ["full", "bare"], indirect=True)
@pytest.mark.limit(240)
def test_reading_all_in_a_row(account, proxy, mounts):
    fill(account, N)
    mount = mounts(account, connections=4).start()
    names = mount.messages()
    mount.wait_listed("INBOX", N)
    proxy.forget()
    found = mount.shell("grep -rc 'This is line 0000' INBOX | grep -c ':1$'", timeout=200)
    assert int(found) == N == len(names)
    assert len(proxy.body_fetches()) <= 100


@pytest.mark.limit(240)
def test_a_reader_does_not_wait_behind_a_stream(account, proxy, mounts):
    """While grep reads a mailbox, one message of another arrives in the time of a few trips: the
    connection that fetches it has nothing else to do."""
    fill(account, N)
    account.create("Other")
    for n in range(20):
        account.deliver(mail.numbered(n), "Other")
    mount = mounts(account).start()
    others = mount.messages("Other")
    mount.messages()
    mount.wait_listed("INBOX", N)
    proxy.delay = 0.02
    stream = subprocess.Popen(["grep", "-rc", "line", mount.path + "/INBOX"],
                              stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        worst = 0
        for uid in range(20, 0, -3):  # in no order that looks like another stream
            assert stream.poll() is None, "the stream was over too soon to tell anything"
            start = time.monotonic()
            assert mount.read("Other/" + others[uid]) == mail.numbered(uid - 1)
            worst = max(worst, time.monotonic() - start)
        assert worst < 1.5
        selected, asked = {}, {}
        for number, line in list(proxy.commands):
            text = line.decode("latin-1")
            if re.search(r"\b(EXAMINE|SELECT)\b", text):
                selected[number] = "Other" if "Other" in text else "INBOX"
            elif "BODY.PEEK[]" in text:
                asked.setdefault(number, []).append((selected[number], text.split()[3]))
        ours = [fetches for fetches in asked.values() if "Other" in dict(fetches)]
        assert ours and not [uids for fetches in ours for _, uids in fetches if not uids.isdigit()]
    finally:
        stream.kill()
        stream.wait()


@pytest.mark.parametrize("account", ["full", "bare"], indirect=True)
def test_a_restart_with_nothing_changed(account, proxy, mounts):
    """From the cache: one command a mailbox at most, no message is asked for again."""
    fill(account, 300)
    folders = ["A", "B", "C"]
    for name in folders:
        account.create(name)
        account.deliver(mail.numbered(1), name)
    mount = mounts(account).start()
    for name in ["INBOX", *folders]:
        listing(mount, name)
    mount.wait_listed("INBOX", 300)
    mount.stop()
    proxy.forget()
    mount.start()
    mount.wait_state("online")
    assert listing(mount) == 300
    time.sleep(2)  # time in which it might ask for more
    verbs = proxy.verbs()
    n_mailboxes = len(mount.account()["mailboxes"])
    per_mailbox = verbs["STATUS"] + verbs["SELECT"] + verbs["EXAMINE"]
    assert per_mailbox <= n_mailboxes, verbs
    assert verbs["FETCH"] <= 1 + len(folders), proxy.lines("FETCH")
    assert not proxy.lines(r"HEADER") and not proxy.body_fetches()
    assert proxy.octets_down < 300 * 40


def test_idle_costs_nothing(account, proxy, mounts):
    fill(account, 10)
    mount = mounts(account, poll="60s").start()
    listing(mount)
    mount.wait_listed("INBOX", 10)
    time.sleep(2)
    proxy.forget()
    time.sleep(4)
    assert len(proxy.lines()) <= 2, proxy.lines()


@pytest.mark.limit(400)
def test_a_hundred_thousand(account, proxy, mounts):
    """ls -l of 100,000 messages: under 5,000 FUSE requests, O(N/500) FETCH commands."""
    n = 100000
    account.deliver_copies(mail.tiny(1), n)
    mount = mounts(account).start()
    before = mount.fuse_requests()
    result = subprocess.run(["ls", "-l", mount.path + "/INBOX"], check=True, timeout=300,
                            stdout=subprocess.PIPE).stdout
    assert result.count(b"\n") == n + 1
    assert len(set(line.split()[-1] for line in result.splitlines()[1:])) == n
    after = mount.fuse_requests()
    assert sum(after.values()) - sum(before.values()) < 5000, (before, after)
    assert fetches(proxy) <= 2 * (n // 500) + 10
    assert not proxy.body_fetches()
    assert system.mounted(mount.path)
