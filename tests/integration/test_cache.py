"""The cache: a mount comes up from it without the network, it is rebuilt when it is damaged, it
keeps within its bounds, and it belongs to one program at a time."""
import errno
import glob
import os
import re
import stat
import subprocess
import time

import pytest

from bed import mail, mount as bed_mount, system

N = 20


@pytest.fixture
def filled(account):
    account.through_proxy()
    for n in range(N):
        account.deliver(mail.numbered(n))
    account.create("A/B")
    account.deliver(mail.numbered(100), "A/B")
    return account


def below(mount, folder, pattern):
    return glob.glob(os.path.join(mount.folder, folder, "**", pattern), recursive=True)


def inodes(mount):
    return {name: os.stat(os.path.join(mount.path, "INBOX", name)).st_ino
            for name in os.listdir(mount.path + "/INBOX")}


class TestRestart:
    def test_offline_from_the_cache(self, filled, mounts):
        mount = mounts(filled).start()
        half = {uid: mount.read("INBOX/" + name) for uid, name in mount.messages().items()
                if uid <= N // 2}
        assert mount.messages(filled.shown("A/B"))
        before = inodes(mount)
        mount.wait_listed("INBOX", N)
        mount.stop()
        filled.proxy.down()
        start = time.monotonic()
        mount.start()
        assert inodes(mount) == before
        assert time.monotonic() - start < 5
        names = mount.messages()
        for uid, data in half.items():
            assert mount.read("INBOX/" + names[uid]) == data
        assert len(mount.messages(filled.shown("A/B"))) == 1
        elsewhere = filled.shown("A/B")  # nothing was read there
        with pytest.raises(OSError) as caught:
            with open(os.path.join(mount.path, elsewhere, mount.messages(elsewhere)[1]), "rb"):
                pass
        assert caught.value.errno == errno.ENETDOWN

    def test_the_very_first_start_offline(self, filled, mounts):
        filled.proxy.down()
        mount = mounts(filled, poll="2s").start()
        mount.wait_state("offline")
        filled.proxy.up()
        system.wait_for(lambda: len(mount.messages()) == N, "the mail", 20)

    def test_changes_while_it_was_down(self, filled, mounts):
        mount = mounts(filled).start()
        mount.contents()
        mount.wait_listed("INBOX", N)
        mount.stop()
        filled.expunge("INBOX", "3,5")
        filled.append(mail.numbered(200))
        filled.store("INBOX", "7", "\\Seen")
        mount.start()
        mount.wait_state("online")
        system.wait_for(lambda: set(mount.messages()) == set(filled.fetch()), "the changes")
        assert mount.contents() == filled.fetch()
        info = os.stat(os.path.join(mount.path, "INBOX", mount.messages()[7]))
        assert info.st_atime >= info.st_mtime

    def test_after_kill(self, filled, mounts):
        mount = mounts(filled).start()
        mount.contents()
        before = inodes(mount)
        mount.kill()
        mount.start()
        assert inodes(mount) == before
        assert mount.contents() == filled.fetch()

    def test_a_dead_mount_is_replaced(self, filled, mounts):
        """SIGKILL leaves ENOTCONN behind; the next mount takes it away itself."""
        mount = mounts(filled).start()
        mount.messages()
        processes = bed_mount.processes_of(mount.process.pid)
        for pid in processes:
            os.kill(pid, 9)
        mount.process.wait()
        bed_mount.wait_gone(processes)
        mount.start()
        system.wait_for(lambda: len(mount.messages()) == N, "the mount lives")


class TestDamage:
    @pytest.mark.parametrize("damage", ["garbage", "truncated", "empty", "gone", "header"])
    def test_the_index_is_rebuilt(self, filled, mounts, damage):
        mount = mounts(filled).start()
        mount.contents()
        names = mount.messages()
        before = inodes(mount)
        mount.wait_listed("INBOX", N)
        mount.stop()
        files = below(mount, "cache", "index.db*")
        assert files
        for path in files:
            with open(path, "r+b") as f:
                size = os.fstat(f.fileno()).st_size
                if damage == "garbage":
                    f.write(os.urandom(size))
                elif damage == "header":
                    f.seek(100)
                    f.write(b"\xff" * min(4000, max(0, size - 100)))
                else:
                    f.truncate(size // 2 if damage == "truncated" else 0)
            if damage == "gone":
                os.unlink(path)
        mount.start()
        system.wait_for(lambda: len(mount.messages()) == N, "the mailbox is back", 20)
        assert mount.contents() == filled.fetch()
        # names and inodes are state, not cache: they stay
        assert mount.messages() == names
        assert inodes(mount) == before

    @pytest.mark.parametrize("damage", ["garbage", "header", "empty"])
    def test_a_damaged_state_is_set_aside(self, filled, mounts, damage):
        """Numbers may be lost with it, mail and its names are not; and it is said."""
        mount = mounts(filled).start()
        truth = mount.contents()
        names = mount.messages()
        mount.wait_listed("INBOX", N)
        mount.stop()
        for path in below(mount, "state", "state.db*"):
            with open(path, "r+b") as f:
                size = os.fstat(f.fileno()).st_size
                f.seek(100 if damage == "header" else 0)
                if damage == "empty":
                    f.truncate(0)
                else:
                    f.write(os.urandom(size - f.tell()))
        mount.start()
        system.wait_for(lambda: len(mount.messages()) == N, "the mailbox is back", 20)
        assert mount.contents() == truth
        assert mount.messages() == names
        if damage != "empty":
            assert "state.db" in mount.account()["warning"]
            assert below(mount, "state", "state.db.damaged*")
        mount.restart()
        system.wait_for(lambda: mount.contents() == truth, "all is well", 20)

    def test_a_damaged_body_is_not_served(self, filled, mounts):
        mount = mounts(filled).start()
        truth = mount.contents()
        mount.stop()
        bodies = [path for path in below(mount, "cache", "*")
                  if os.path.isfile(path) and "index.db" not in path
                  and os.path.getsize(path) > 100]
        assert len(bodies) >= N
        for path in bodies:
            with open(path, "r+b") as f:
                f.truncate(os.path.getsize(path) - 50)
        mount.start()
        mount.wait_state("online")
        assert mount.contents() == truth

    def test_the_whole_cache_is_removed(self, filled, mounts):
        mount = mounts(filled).start()
        before = inodes(mount)
        mount.stop()
        subprocess.run(["rm", "-rf", mount.folder + "/cache/mailfs"], check=True)
        mount.start()
        system.wait_for(lambda: len(mount.messages()) == N, "the mailbox is back", 20)
        assert inodes(mount) == before


class TestBounds:
    def test_private(self, filled, mounts):
        mount = mounts(filled).start()
        mount.contents()
        for folder in ("cache", "state"):
            top = os.path.join(mount.folder, folder, "mailfs")
            for where, _, names in os.walk(top):
                assert stat.S_IMODE(os.stat(where).st_mode) == 0o700, where
                for name in names:
                    if not os.path.lexists(os.path.join(where, name)):
                        continue  # a temporary file, gone meanwhile
                    mode = os.lstat(os.path.join(where, name)).st_mode
                    assert stat.S_IMODE(mode) == 0o600, name

    def test_cache_max(self, account, mounts):
        for n in range(10):
            account.deliver(mail.message("n%d" % n, body=b"%d" % n * 400000))
        mount = mounts(account, cache_max="1M").start()
        for _ in range(2):
            assert mount.contents() == account.fetch()

        def small():
            used = sum(os.path.getsize(p) for p in below(mount, "cache", "*")
                       if os.path.isfile(p) and "index.db" not in p)
            return used <= 1.5 * (1 << 20)
        system.wait_for(small, "the cache is within its bounds")
        assert mount.account()["cache"]["max"] == 1 << 20

    @pytest.mark.parametrize("prefetch, n_fetched", [("headers", 0), ("recent:30d", 3), ("all", 8)])
    def test_prefetch(self, account, mounts, prefetch, n_fetched):
        now = int(time.time())
        for n in range(5):
            account.deliver(mail.numbered(n), date=now - 90 * 86400)
        for n in range(5, 8):
            account.deliver(mail.numbered(n), date=now - 86400)
        proxy = account.through_proxy()
        mount = mounts(account, prefetch=prefetch).start()
        mount.wait_state("online")
        mount.wait_listed("INBOX", 8)

        def fetched():
            return [p for p in below(mount, "cache", "*")
                    if os.path.isfile(p) and "index.db" not in p and os.path.getsize(p) > 200]
        if n_fetched:
            system.wait_for(lambda: len(fetched()) >= n_fetched, "prefetched")
        time.sleep(1)
        assert len(fetched()) == n_fetched
        names = mount.messages()
        proxy.down()
        system.wait_for(lambda: mount.account()["state"] != "online", "offline")
        for uid, name in names.items():
            if uid > 8 - n_fetched:
                assert mount.read("INBOX/" + name) == mail.numbered(uid - 1)

    @pytest.mark.skipif(not system.ROOT, reason="needs root, to mount a small tmpfs")
    def test_a_full_disk(self, account, mounts):
        for n in range(8):
            account.deliver(mail.message("n%d" % n, body=b"%d" % n * 500000))
        truth = account.fetch()
        mount = mounts(account)
        cache = mount.folder + "/cache"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M,mode=700", "none", cache],
                       check=True)
        try:
            mount.start()
            n_right = 0
            for uid, name in mount.messages().items():
                try:
                    with open(os.path.join(mount.path, "INBOX", name), "rb") as f:
                        assert f.read() == truth[uid]
                    n_right += 1
                except OSError as error:
                    assert error.errno == errno.ENOSPC
            assert len(mount.messages()) == 8
            assert 0 < n_right < 8
            assert re.search("disk|space", mount.log())
            mount.stop()
        finally:
            subprocess.run(["umount", "-l", cache], check=True)
        mount.start()
        assert mount.contents() == truth


def test_one_program_a_cache(filled, mounts):
    first = mounts(filled).start()
    first.messages()
    second = first.folder + "/second"
    os.mkdir(second)
    result = first.run("mount", "-f", bed_mount.ACCOUNT, second)
    assert result.returncode == 75, result.stderr
    assert bed_mount.ACCOUNT in result.stderr
    assert system.mounted(second) is None
    assert len(first.messages()) == N
