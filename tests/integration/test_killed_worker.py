"""The worker killed while others change mail and the kernel is told of news: nobody hangs.

An announcement may wait in the kernel for a request that nobody will answer any more."""
import errno
import os
import signal
import threading
import time

import pytest

from bed import mail, system

DEAD = {errno.ENOTCONN, errno.ECONNABORTED}


def until_it_dies(function, found):
    """Calls function(0), function(1) and so on; what ends that is put into found."""
    for n in range(100000):
        try:
            function(n)
        except OSError as error:
            found.append(error.errno)
            return


@pytest.mark.parametrize("attempt", range(4))
def test_nobody_hangs(account, judge, mounts, attempt):
    account.create("Other")
    mount = mounts(account).start().online()
    here, there = mount.path + "/INBOX/", mount.path + "/Other/"
    os.listdir(here)
    os.listdir(there)
    found = []

    def use(thread):
        def once(n):
            name = "%d.%d.eml" % (thread, n)
            with open(here + name, "wb") as f:
                f.write(mail.message(name))
            os.rename(here + name, there + name)
            os.unlink(there + name)
        return threading.Thread(target=until_it_dies, args=(once, found), daemon=True)
    threads = [use(n) for n in range(3)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 1.5 + attempt / 4
    while time.monotonic() < deadline:
        judge.append(mail.message("news"))
    worker = mount.status()["pid"]
    os.kill(worker, signal.SIGKILL)
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)
    assert len(found) == len(threads) and set(found) <= DEAD, found
    system.wait_for(lambda: not os.path.exists("/proc/%d" % worker), "the worker is gone")
    mount.process.wait()
    mount.start().online()
    assert os.listdir(here)
