"""A caller that is killed goes at once, whatever the network does; one that only gets a signal
for itself notices nothing."""
import os
import signal
import subprocess
import sys
import time

import pytest

from bed import mail, system

# Reads one file while SIGURG, which it handles, comes in ten times a second.
BUSY_READER = """
import signal, sys
signal.signal(signal.SIGURG, lambda *_: None)
print("ready", flush=True)
sys.stdout.buffer.write(open(sys.argv[1], "rb").read())
"""


@pytest.fixture
def mount(account, mounts):
    account.through_proxy()
    for n in range(2):
        account.deliver(mail.numbered(n))
    made = mounts(account).start()
    made.wait_listed("INBOX", 2)
    return made


def first(mount):
    return os.path.join(mount.path, "INBOX", mount.messages()[1])


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_reader_goes_at_once(account, mount, sign):
    path = first(mount)
    account.proxy.frozen = True
    reader = subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    assert reader.poll() is None
    reader.send_signal(sign)
    assert reader.wait(3) == -sign
    assert mount.messages()
    account.proxy.frozen = False


def test_a_handled_signal_is_no_interruption(account, mount):
    path = first(mount)
    account.proxy.frozen = True
    with subprocess.Popen([sys.executable, "-c", BUSY_READER, path],
                          stdout=subprocess.PIPE) as reader:
        assert reader.stdout.readline() == b"ready\n"
        for _ in range(10):
            time.sleep(0.1)
            reader.send_signal(signal.SIGURG)
        account.proxy.frozen = False
        assert reader.stdout.read() == mail.numbered(0)


def test_a_killed_listener_leaves_the_mount_alive(account, mount):
    """Reading .mailfs/events waits without end, and must end by a signal all the same."""
    for _ in range(3):
        listener = subprocess.Popen(["cat", mount.path + "/.mailfs/events"],
                                    stdout=subprocess.DEVNULL)
        time.sleep(0.3)
        listener.terminate()
        assert listener.wait(3) == -signal.SIGTERM
    account.append(mail.numbered(7))
    system.wait_for(lambda: len(mount.messages()) == 3, "the next message")
