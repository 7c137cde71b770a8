"""The main job: a tree of mailboxes that ls, cat, grep, find, cp, tar and rsync can read, and
that is, octet for octet, what another IMAP client sees."""
import errno
import filecmp
import mmap
import os
import stat
import subprocess
import unicodedata

import pytest

from bed import mail, scripted, system
from bed.mail import ARABIC_FOLDER, PERSIAN_FOLDER, SPECIAL, ZWNJ

EVERYWHERE = pytest.mark.parametrize("account", ["full", "bare", "ns", "cyrus", "courier", "tunnel"],
                                     indirect=True)
FOLDERS = ["Projects/2024", PERSIAN_FOLDER, ARABIC_FOLDER + "/" + PERSIAN_FOLDER, "R&D"]


@pytest.fixture
def seeded(account):
    """An account with folders of every kind, and all special messages in INBOX."""
    for name in FOLDERS:
        account.create(name)
    for data in SPECIAL.values():
        if account.variant != "cyrus" or data.isascii():  # Cyrus rewrites raw 8-bit headers
            account.deliver(data)
    for n, name in enumerate(FOLDERS):
        for i in range(3):
            account.deliver(mail.numbered(10 * n + i), name)
    return account


def directories(mount):
    found = set()
    for where, folders, _ in os.walk(mount.path):
        found |= {os.path.relpath(os.path.join(where, name), mount.path) for name in folders}
    return found


@EVERYWHERE
def test_the_tree_is_the_list_of_mailboxes(seeded, mounts):
    mount = mounts(seeded).start()
    mount.wait_state("online")
    wanted = {"INBOX"} | {seeded.shown(name) for name in FOLDERS}
    wanted |= {os.path.dirname(name) for name in wanted} - {""}
    found = directories(mount)
    assert wanted <= found
    assert {os.path.basename(name) for name in found - wanted} <= {
        "Sent", "Drafts", "Trash", "Junk", "Archive", "Spam"}
    assert ".mailfs" not in os.listdir(mount.path)
    assert os.path.isdir(os.path.join(mount.path, ".mailfs"))


@EVERYWHERE
def test_every_octet_is_the_servers(seeded, mounts):
    mount = mounts(seeded).start()
    for name in ["INBOX", *FOLDERS]:
        assert mount.contents(seeded.shown(name)) == seeded.fetch(name), name
    # and a second time, from the cache
    assert mount.contents() == seeded.fetch()


@EVERYWHERE
def test_attributes_are_right_before_anything_was_read(seeded, mounts):
    mount = mounts(seeded).start()
    messages = seeded.fetch()
    names = mount.messages()
    assert set(names) == set(messages)
    for uid, name in names.items():
        info = os.stat(os.path.join(mount.path, "INBOX", name))
        assert info.st_size == len(messages[uid]), name
        assert info.st_blocks == (info.st_size + 511) // 512
        assert stat.S_ISREG(info.st_mode) and not info.st_mode & 0o077
        assert info.st_nlink == 1
        assert info.st_uid == os.geteuid()
    assert stat.S_IMODE(os.stat(mount.path + "/INBOX").st_mode) & 0o077 == 0


def test_mtime_is_internaldate(account, mounts):
    dates = [mail.EPOCH, 86400 * 365, 1262304000, mail.EPOCH + 86399]
    for date in dates:
        account.deliver(mail.message("dated"), date=date)
    mount = mounts(account).start()
    for uid, name in mount.messages().items():
        assert os.stat(os.path.join(mount.path, "INBOX", name)).st_mtime == dates[uid - 1]


def test_unseen_mail_is_older_read_than_written(account, mounts):
    account.deliver(mail.message("unseen"))
    account.deliver(mail.message("seen"), flags="S")
    mount = mounts(account).start()
    times = {uid: os.stat(os.path.join(mount.path, "INBOX", name))
             for uid, name in mount.messages().items()}
    assert times[1].st_atime < times[1].st_mtime
    assert times[2].st_atime >= times[2].st_mtime


def test_inodes_rise_with_uids(account, mounts):
    for n in range(20):
        account.deliver(mail.numbered(n))
    mount = mounts(account).start()
    inodes = [os.stat(os.path.join(mount.path, "INBOX", name)).st_ino
              for _, name in sorted(mount.messages().items())]
    assert inodes == sorted(set(inodes))


@EVERYWHERE
def test_reading_never_marks_as_seen(seeded, mounts):
    before = seeded.flags()
    mount = mounts(seeded).start()
    mount.shell("cat INBOX/*.eml > /dev/null; grep -r . INBOX > /dev/null; head -c 10 INBOX/*.eml")
    assert seeded.flags() == before
    assert not any("\\Seen" in flags for flags in before.values())


class TestTools:
    """What people run on a tree of files."""

    @pytest.fixture
    def mount(self, account, mounts):
        for n in range(40):
            account.deliver(mail.numbered(n))
        account.create("A/" + PERSIAN_FOLDER)
        for n in range(5):
            account.deliver(mail.numbered(100 + n), "A/" + PERSIAN_FOLDER)
        return mounts(account).start()

    @staticmethod
    def assert_same(mount, copy):
        result = filecmp.dircmp(mount.path, copy)
        todo = [result]
        n = 0
        while todo:
            one = todo.pop()
            assert not one.left_only and not one.right_only and not one.funny_files
            _, mismatch, errors = filecmp.cmpfiles(one.left, one.right, one.common_files,
                                                   shallow=False)
            assert not mismatch and not errors
            n += len(one.common_files)
            todo += one.subdirs.values()
        assert n == 45

    def test_cp(self, mount, folder):
        subprocess.run(["cp", "-rp", mount.path, folder + "/copy"], check=True)
        self.assert_same(mount, folder + "/copy")

    def test_tar(self, mount, folder):
        os.mkdir(folder + "/copy")
        subprocess.run(["sh", "-c", 'tar -C "$0" -cSf - . | tar -C "$1" -xf -', mount.path,
                        folder + "/copy"], check=True)
        self.assert_same(mount, folder + "/copy")

    def test_rsync_copies_once(self, mount, folder):
        command = ["rsync", "-a", "--stats", mount.path + "/", folder + "/copy/"]
        subprocess.run(command, check=True, capture_output=True)
        self.assert_same(mount, folder + "/copy")
        again = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert "Number of regular files transferred: 0" in again

    def test_grep(self, mount):
        found = mount.shell("grep -rl 'Message number 000007' .").split("\n")
        assert len([name for name in found if name]) == 1
        assert mount.shell("grep -rh '^Subject:' . | wc -l").strip() == "45"

    def test_find(self, mount):
        assert mount.shell("find . -type f -name '*.eml' | wc -l").strip() == "45"
        big = int(mount.shell("find . -type f -size +8k | wc -l"))
        assert 0 < big < 45
        assert mount.shell("find . -type d -name '%s'" % PERSIAN_FOLDER).strip() \
            == "./A/" + PERSIAN_FOLDER

    def test_ls_and_wc(self, mount):
        assert len(mount.shell("ls -l INBOX").strip().split("\n")) == 41
        sizes = sum(len(mail.numbered(n)) for n in range(40))
        assert mount.shell("cat INBOX/*.eml | wc -c").strip() == str(sizes)
        assert mount.shell("du -b --apparent-size INBOX").split()[0].isdigit()

    def test_df(self, mount):
        # full has a quota of 2 GB; it is known once the account is online
        system.wait_for(lambda: int(mount.shell("df --output=size -B1 . | tail -1")) == 2 << 30,
                        "the quota")


class TestReading:
    """The ways of reading one file."""

    @pytest.fixture
    def big(self, account, mounts):
        account.deliver(SPECIAL["big"])
        mount = mounts(account).start()
        return os.path.join(mount.path, "INBOX", mount.messages()[1])

    def test_at_any_offset(self, big):
        data = SPECIAL["big"]
        with open(big, "rb", buffering=0) as f:
            for offset in (len(data) - 5, 1 << 20, 0, 4095, 131072, len(data), len(data) + 9):
                assert os.pread(f.fileno(), 5000, offset) == data[offset:offset + 5000]

    def test_fstat_after_open_is_exact(self, big):
        with open(big, "rb") as f:
            assert os.fstat(f.fileno()).st_size == len(SPECIAL["big"])

    def test_mmap(self, big):
        with open(big, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
            assert m[:] == SPECIAL["big"]

    def test_readers_side_by_side(self, big):
        readers = [subprocess.Popen(["cat", big], stdout=subprocess.PIPE) for _ in range(4)]
        assert all(r.communicate(timeout=60)[0] == SPECIAL["big"] for r in readers)

    def test_an_impatient_reader(self, big):
        with open(big, "rb", buffering=0) as f:
            f.read(10)
        with open(big, "rb") as f:
            assert f.read() == SPECIAL["big"]


class TestNames:
    @pytest.fixture
    def names(self, account, mounts):
        for data in SPECIAL.values():
            account.deliver(data)
        mount = mounts(account, charset_fallback="windows-1256").start()
        by_uid = mount.messages()
        return {key: by_uid[uid] for uid, key in enumerate(SPECIAL, 1)}

    def test_legal_unique_readable(self, names):
        assert len(set(names.values())) == len(SPECIAL)
        for name in names.values():
            assert len(name.encode("utf-8")) <= 200
            assert name == unicodedata.normalize("NFC", name)
            assert not name.startswith((".", "-")) and name.endswith(".eml")
            bad = [c for c in name if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs")
                   or c in "/ \u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"]
            assert not bad, name

    @pytest.mark.parametrize("key, part", [
        ("persian", "نامه" + ZWNJ + "های-تازه"),
        ("arabic-q", "تقرير-الربع-الثاني"),
        ("windows-1256", "تقرير-الربع-الثاني"),
        ("windows-1256-raw", "تقرير-الربع-الثاني"),
        ("utf-8-raw", "نامه" + ZWNJ + "های-تازه"),
        ("no-headers", "no-subject"),
        ("empty-subject", "no-subject"),
        ("split-character", "سلام"),
        ("folded-subject", "one-two-three"),
        ("slashes", "etc"),
    ])
    def test_subject(self, names, key, part):
        assert part in names[key]

    def test_date_first_in_utc(self, names):
        assert all(name.startswith("2023-11-14_22") for name in names.values())


def test_names_by_uid_need_no_headers(account, mounts):
    proxy = account.through_proxy()
    for n in range(3):
        account.deliver(mail.numbered(n))
    mount = mounts(account, names="uid").start()
    assert sorted(os.listdir(mount.path + "/INBOX")) == ["1.eml", "2.eml", "3.eml"]
    assert not proxy.lines(r"HEADER")


class TestExtendedAttributes:
    def test_on(self, account, mounts):
        account.deliver(mail.message("one"), flags="S")
        mount = mounts(account, xattr="on").start()
        name = mount.messages()[1]
        path = os.path.join(mount.path, "INBOX", name)
        account.store("INBOX", "1", "\\Flagged $Later")
        system.wait_for(lambda: "user.xdg.tags" in os.listxattr(path), "the keyword")
        values = {key: os.getxattr(path, key).decode() for key in os.listxattr(path)}
        assert int(values.pop("user.mailfs.uidvalidity")) > 0
        assert values == {
            "user.mailfs.uid": "1", "user.mailfs.flags": "seen flagged",
            "user.mailfs.keywords": "$Later", "user.mailfs.cached": "no",
            "user.mailfs.pending": "no", "user.mailfs.state": "stored",
            "user.xdg.tags": "$Later"}
        mount.read("INBOX/" + name)
        system.wait_for(lambda: os.getxattr(path, "user.mailfs.cached") == b"yes", "cached")
        with pytest.raises(OSError) as caught:
            os.getxattr(path, "user.other")
        assert caught.value.errno == errno.ENODATA
        assert os.listxattr(mount.path + "/INBOX") == []

    def test_off_costs_one_request(self, account, mounts):
        for n in range(30):
            account.deliver(mail.numbered(n))
        mount = mounts(account).start()
        assert len(mount.shell("ls -l INBOX").split("\n")) == 32
        requests = mount.fuse_requests()
        assert requests.get("GETXATTR", 0) + requests.get("LISTXATTR", 0) <= 2


class TestSizesThatLie:
    @pytest.mark.parametrize("lie", [9000, 1, 0, 5001, 4999])
    def test_read_gives_the_truth(self, scripted_server, mounts, lie):
        data = mail.message("a lie", body=b"x" * 4800 + b"\r\n")
        server = scripted_server({"INBOX": [scripted.Message(1, data, size=lie)]})
        mount = mounts({"imap": server.url(), "user": "u", "password": "secret"}).start()
        path = os.path.join(mount.path, "INBOX", mount.messages()[1])
        assert os.stat(path).st_size > 0
        for _ in range(2):
            with open(path, "rb") as f:
                assert f.read() == data
            assert os.stat(path).st_size == len(data)
        assert mount.read("INBOX/" + mount.messages()[1]) == data


def test_names_that_are_not_there(account, mounts):
    account.deliver(mail.message("one"))
    mount = mounts(account).start()
    for name in ("nothing", "INBOX/1.eml", "INBOX/2020-01-01_0000_x_y.1.eml", "INBOX/x/y"):
        with pytest.raises(FileNotFoundError):
            os.stat(os.path.join(mount.path, name))
    with pytest.raises(NotADirectoryError):
        os.stat(os.path.join(mount.path, "INBOX", mount.messages()[1], "x"))


def test_as_an_ordinary_user_through_fusermount3(account, mounts, ordinary_user):
    """The whole way: mount, look, read, unmount, without root."""
    messages = [mail.numbered(n) for n in range(5)]
    for data in messages:
        account.deliver(data)
    mount = mounts(account, place=ordinary_user).start()
    assert mount.shell("id -u").strip() != "0"
    assert mount.shell("ls INBOX | wc -l").strip() == "5"
    assert mount.shell("cat INBOX/*.eml").encode() == b"".join(messages)
    assert mount.account()["state"] == "online"
    mount.stop()
