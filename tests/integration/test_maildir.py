"""The same mail as a Maildir: what its tools do to files is done to the mailbox, and what other
clients do to the mailbox is what tools see.  The recipes in contrib/recipes are
used as they are."""
import errno
import mailbox
import os
import re
import shutil
import stat
import subprocess
import time

import pytest

from bed import mail, system, terminal

RECIPES = os.path.join(os.path.dirname(__file__), "..", "..", "contrib", "recipes")

PASSED = "$Forwarded"


def refused(number, function, *args):
    with pytest.raises(OSError) as caught:
        function(*args)
    assert caught.value.errno == number, caught.value


@pytest.fixture
def proxy(account):
    return account.through_proxy()


@pytest.fixture
def mount(account, judge, proxy, mounts):
    """INBOX with messages 0 to 3, of which 0 is seen; Box, empty."""
    for n in range(4):
        judge.append(mail.numbered(n), flags="(\\Seen)" if n == 0 else None)
    account.create("Box")
    made = mounts(account).start().online()
    made.wait_listed("INBOX", 4)
    return made


@pytest.fixture
def view(mount):
    """A function: the path of a name in the view."""
    def path(*words):
        return os.path.join(mount.path, ".mailfs", "maildir", *words)
    return path


def flags(judge, name="INBOX"):
    """{number of the message: its flags}"""
    return {int(re.search(rb"message (\d+)", seen.data).group(1)): set(seen.flags)
            for seen in judge.see(name).values()}


def names(path):
    """{the UID that the name was made with: the name}"""
    found = {int(re.search(r"\.(\d+)(:2,|$)", name).group(1)): name for name in os.listdir(path)}
    assert len(found) == len(os.listdir(path))
    return found


def wait_flags(judge, n, wanted, name="INBOX"):
    system.wait_for(lambda: flags(judge, name).get(n) == set(wanted),
                    "flags %s of message %d" % (wanted, n))


# -- By hand -------------------------------------------------------------------------------------

def test_it_is_a_maildir_of_the_same_files(mount, view):
    assert "maildir" in os.listdir(mount.path + "/.mailfs")
    assert set(os.listdir(view())) >= {"INBOX", "Box"}
    assert set(os.listdir(view("INBOX"))) == {"cur", "new", "tmp"}
    assert os.listdir(view("INBOX/new")) == os.listdir(view("INBOX/tmp")) == []
    shown = names(view("INBOX/cur"))
    assert sorted(shown) == [1, 2, 3, 4]
    assert shown[1].endswith(":2,S") and shown[2].endswith(":2,")
    for uid, name in mount.messages().items():
        assert shown[uid].partition(":2,")[0] + ".eml" == name
        one, other = os.stat(view("INBOX/cur", shown[uid])), os.stat(mount.path + "/INBOX/" + name)
        assert one == other and one.st_nlink == 1
        assert mount.read(".mailfs/maildir/INBOX/cur/" + shown[uid]) == mail.numbered(uid - 1)
    for sub, links in (("INBOX", 1), ("INBOX/cur", 2), ("INBOX/new", 2), ("INBOX/tmp", 2)):
        assert os.stat(view(sub)).st_nlink == links
        assert stat.S_ISDIR(os.stat(view(sub)).st_mode)
    assert [entry.inode() for entry in os.scandir(view("INBOX/cur"))] == sorted(
        os.stat(view("INBOX/cur", name)).st_ino for name in shown.values())


@pytest.mark.parametrize("account", ["full", "cyrus"], indirect=True)
def test_flags_are_in_the_names_both_ways(account, judge, mount, view):
    shown = names(view("INBOX/cur"))
    base = shown[2].partition(":")[0]
    before = os.stat(view("INBOX/cur"))
    os.rename(view("INBOX/cur", shown[2]), view("INBOX/cur", base + ":2,FRS"))
    assert flags(judge)[1] == {"\\Flagged", "\\Answered", "\\Seen"}
    assert os.stat(view("INBOX/cur")).st_mtime_ns > before.st_mtime_ns
    os.rename(view("INBOX/cur", base + ":2,FRS"), view("INBOX/cur", base + ":2,DPS"))
    assert flags(judge)[1] == {"\\Draft", PASSED, "\\Seen"}
    assert not os.path.exists(view("INBOX/cur", shown[2]))
    os.rename(view("INBOX/cur", base + ":2,DPS"), view("INBOX/cur", base + ":2,T"))
    assert flags(judge)[1] == {"\\Deleted"}
    os.rename(view("INBOX/cur", base + ":2,T"), view("INBOX/cur", base + ":2,"))
    assert flags(judge)[1] == set()
    # another client's
    before = os.stat(view("INBOX/cur"))
    account.store("INBOX", "2", "\\Flagged")
    system.wait_for(lambda: names(view("INBOX/cur"))[2] == base + ":2,F", "the flag in the name")
    assert os.stat(view("INBOX/cur")).st_mtime_ns > before.st_mtime_ns
    assert not os.path.exists(view("INBOX/cur", base + ":2,"))
    # a name that is no longer right names nothing, and nothing is done
    refused(errno.ENOENT, os.rename, view("INBOX/cur", base + ":2,"), view("INBOX/cur", "x:2,S"))
    refused(errno.EEXIST, os.rename, view("INBOX/cur", shown[3]), view("INBOX/cur", base + ":2,S"))
    assert flags(judge)[1] == {"\\Flagged"} and flags(judge)[2] == set()


@pytest.mark.parametrize("account", ["full", "bare", "cyrus"], indirect=True)
def test_a_name_does_not_go_back(mount, view):
    """What a sync that began before a change tells of flags is older than the change."""
    for n in range(8):
        base = "m%d" % n
        with open(view("Box/tmp", base), "wb") as f:
            f.write(mail.message(base))
        os.rename(view("Box/tmp", base), view("Box/new", base))
        os.rename(view("Box/new", base), view("Box/cur", base + ":2,FS"))
        os.rename(view("Box/cur", base + ":2,FS"), view("Box/cur", base + ":2,S"))
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            assert os.listdir(view("Box/new")) == []
            assert sorted(os.listdir(view("Box/cur"))) == ["m%d:2,S" % i for i in range(n + 1)]


def test_what_arrives_is_new_until_it_is_taken(account, judge, mount, view):
    before = os.stat(view("INBOX/new"))
    judge.append(mail.numbered(4))
    judge.append(mail.numbered(5), flags="(\\Seen)")
    judge.append(mail.numbered(6), flags="(\\Flagged)")
    system.wait_for(lambda: len(os.listdir(view("INBOX/new"))) == 2, "new mail in new/")
    assert os.stat(view("INBOX/new")).st_mtime_ns > before.st_mtime_ns
    new = names(view("INBOX/new"))
    assert ":" not in new[5] and new[7].endswith(":2,F")
    assert set(names(view("INBOX/cur"))) == {1, 2, 3, 4, 6}
    os.rename(view("INBOX/new", new[5]), view("INBOX/cur", new[5] + ":2,"))
    assert set(names(view("INBOX/new"))) == {7}
    assert names(view("INBOX/cur"))[5] == new[5] + ":2,"
    account.store("INBOX", "7", "\\Seen")
    system.wait_for(lambda: names(view("INBOX/cur")).get(7) == new[7] + "S", "read elsewhere")
    assert os.listdir(view("INBOX/new")) == []
    assert flags(judge)[4] == set()


@pytest.mark.parametrize("account", ["full", "bare", "cyrus"], indirect=True)
def test_moving_takes_flags_and_name_along(account, judge, mount, proxy, view):
    name = names(view("INBOX/cur"))[3]
    base = name.partition(":")[0]
    mount.read(".mailfs/maildir/INBOX/cur/" + name)
    proxy.forget()
    os.rename(view("INBOX/cur", name), view("Box/cur", base + ":2,S"))
    assert os.listdir(view("Box/cur")) == [base + ":2,S"]
    assert os.listdir(mount.path + "/Box") == [base + ".eml"]
    assert not proxy.body_fetches()
    assert mount.read(".mailfs/maildir/Box/cur/" + base + ":2,S") == mail.numbered(2)
    judge.wait([mail.numbered(2)], "Box")
    assert flags(judge, "Box") == {2: {"\\Seen"}}
    # under a name that the tool chose, which both views keep
    os.rename(view("Box/cur", base + ":2,S"), view("INBOX/cur", "1700000000.M1P2.host:2,"))
    judge.wait([mail.numbered(n) for n in range(4)])
    assert os.path.exists(view("INBOX/cur", "1700000000.M1P2.host:2,"))
    assert "1700000000.M1P2.host.eml" in os.listdir(mount.path + "/INBOX")
    os.unlink(view("INBOX/cur", "1700000000.M1P2.host:2,"))
    judge.wait([mail.numbered(n) for n in (0, 1, 3)])
    assert judge.data("Trash") == [mail.numbered(2)]


def test_delivery_by_rename_and_by_link(judge, mount, proxy, view):
    first, second, third = (mail.message("delivered %d" % n) for n in range(3))

    def write(name, data):
        with open(view("INBOX/tmp", name), "xb") as f:
            f.write(data)
        os.utime(view("INBOX/tmp", name), (mail.EPOCH, mail.EPOCH))
    write("1.first", first)
    write("2.second", second)
    write("3.third", third)
    assert sorted(os.listdir(view("INBOX/tmp"))) == ["1.first", "2.second", "3.third"]
    assert not [name for name in os.listdir(mount.path + "/INBOX") if "first" in name]
    assert len(judge.data()) == 4
    inode = os.stat(view("INBOX/tmp/1.first")).st_ino
    os.rename(view("INBOX/tmp/1.first"), view("INBOX/cur/1.first:2,FS"))
    assert os.stat(view("INBOX/cur/1.first:2,FS")).st_ino == inode
    os.link(view("INBOX/tmp/2.second"), view("INBOX/new/2.second"))
    assert judge.has(second)
    assert os.path.samefile(view("INBOX/tmp/2.second"), view("INBOX/new/2.second"))
    os.unlink(view("INBOX/tmp/2.second"))
    assert os.listdir(view("INBOX/new")) == ["2.second"]
    os.rename(view("INBOX/tmp/3.third"), view("INBOX/new/3.third:2,F"))
    assert os.listdir(view("INBOX/tmp")) == []
    judge.wait([first, second, third] + [mail.numbered(n) for n in range(4)])
    seen = {one.data: one for one in judge.see().values()}
    assert seen[first].flags == {"\\Flagged", "\\Seen"} and seen[first].date == mail.EPOCH
    assert seen[second].flags == set() and seen[third].flags == {"\\Flagged"}
    assert {"1.first.eml", "2.second.eml", "3.third.eml"} <= set(os.listdir(mount.path + "/INBOX"))
    assert mount.read(".mailfs/maildir/INBOX/cur/1.first:2,FS") == first
    assert not proxy.body_fetches()
    # a message has one name, but for that
    refused(errno.EPERM, os.link, view("INBOX/new/2.second"), view("INBOX/cur/x:2,"))
    # what is there already, whatever its flags
    write("1.first", first)
    refused(errno.EEXIST, os.rename, view("INBOX/tmp/1.first"), view("INBOX/cur/1.first:2,"))
    os.unlink(view("INBOX/tmp/1.first"))
    # created in place, sent by close
    with open(view("INBOX/cur/4.fourth:2,S"), "xb") as f:
        f.write(mail.message("fourth"))
    assert judge.has(mail.message("fourth"))
    assert flags_of(judge, mail.message("fourth")) == {"\\Seen"}


def flags_of(judge, data, name="INBOX"):
    return [set(one.flags) for one in judge.see(name).values() if one.data == data][0]


def test_tmp_survives_a_crash_and_is_nobody_elses(judge, mount, view):
    with open(view("INBOX/tmp/half"), "wb") as f:
        f.write(mail.message("half"))
    mount.kill()
    mount.start().online()
    assert os.listdir(view("INBOX/tmp")) == ["half"]
    assert len(mount.messages()) == len(os.listdir(mount.path + "/INBOX")) == 4
    os.rename(view("INBOX/tmp/half"), view("INBOX/new/half"))
    assert judge.has(mail.message("half"))


def test_maildirs_come_and_go(judge, mount, view):
    made = mailbox.Maildir(view("Box", "Made"), create=True)  # which is for four mkdir(2)
    assert judge.exists("Box/Made")
    key = made.add(mail.message("first in it"))
    assert judge.data("Box/Made") == [mail.message("first in it")]
    refused(errno.ENOTEMPTY, os.rmdir, view("Box/Made/new"))
    os.rename(view("Box/Made"), view("Box/Other"))
    assert judge.exists("Box/Other") and not judge.exists("Box/Made")
    assert os.listdir(view("Box/Other/new")) == [key]
    subprocess.run(["rm", "-r", view("Box/Other")], check=True)
    assert not judge.exists("Box/Other")
    assert judge.data("Trash") == [mail.message("first in it")]
    # a mailbox that is called like one of the three
    os.mkdir(view("Box/%63ur"))
    assert judge.exists("Box/cur") and "cur" in os.listdir(mount.path + "/Box")
    assert {"cur", "%63ur"} <= set(os.listdir(view("Box")))
    # what a tool would keep here for itself is refused: nobody's mailbox
    for name in (".notmuch", "INBOX/.mbsyncstate", "INBOX/cur/.lock"):
        refused(errno.EPERM, os.mkdir, view(name))
        refused(errno.EPERM, open, view(name), "w")
    refused(errno.EPERM, open, view("INBOX/maildirsize"), "w")


def test_layout_maildir_is_the_same_at_the_root(account, judge, mounts):
    judge.append(mail.numbered(0))
    mount = mounts(account, layout="maildir").start().online()
    mount.wait_listed("INBOX", 1)
    assert set(os.listdir(mount.path + "/INBOX")) == {"cur", "new", "tmp"}
    name = names(mount.path + "/INBOX/cur")[1]
    os.rename(mount.path + "/INBOX/cur/" + name, mount.path + "/INBOX/cur/" + name + "S")
    assert flags(judge)[0] == {"\\Seen"}
    assert "maildir" not in os.listdir(mount.path + "/.mailfs")
    assert not os.path.exists(mount.path + "/.mailfs/maildir")
    made = mailbox.Maildir(mount.path + "/Made", create=True)
    made.add(mail.message("in it"))
    assert judge.data("Made") == [mail.message("in it")]


def test_all_accounts(account, judge, mounts, servers):
    """An account in front; one with layout=maildir shows its Maildirs in its own directory."""
    other = type(account)(servers.get("full"), account.password)
    judge.append(mail.numbered(0))
    other.append(mail.numbered(1))
    mount = mounts(account)
    mount.write_raw_config("".join(
        "[account %s]\nimap=%s\nuser=%s\npassword-file=%s/password\n%s" % (
            name, account.keys()["imap"], user, mount.folder, more)
        for name, user, more in (("one", account.user, ""),
                                 ("two", other.user, "layout=maildir\n"))))
    result = mount.run("mount", "--all", mount.path)
    assert result.returncode == 0, result.stderr
    try:
        system.wait_for(lambda: {a["state"] for a in mount.status()["accounts"]} == {"online"},
                        "both are online")
        assert os.listdir(mount.path + "/.mailfs/maildir") == ["one"]
        one = mount.path + "/.mailfs/maildir/one/INBOX/cur/"
        two = mount.path + "/two/INBOX/cur/"
        assert len(os.listdir(one)) == len(os.listdir(two)) == 1
        with open(two + os.listdir(two)[0], "rb") as f:
            assert f.read() == mail.numbered(1)
        refused(errno.EXDEV, os.rename, one + os.listdir(one)[0], two + "x:2,")
        subprocess.run(["mv", one + os.listdir(one)[0], two + "x:2,F"], check=True)
        assert sorted(other.fetch().values()) == [mail.numbered(0), mail.numbered(1)]
        assert judge.data() == []
        refused(errno.EPERM, os.mkdir, mount.path + "/.mailfs/maildir/three")
    finally:
        assert mount.run("umount", mount.path).returncode == 0


def test_python(judge, mount, view):
    box = mailbox.Maildir(view("INBOX"), create=False)
    assert len(box) == 4
    by_subject = {message["Subject"][-1]: key for key, message in box.iteritems()}
    message = box[by_subject["1"]]
    message.add_flag("RS")
    box[by_subject["1"]] = message  # deletes, and writes anew under the same key
    assert flags(judge)[1] == {"\\Answered", "\\Seen"}
    assert box[by_subject["1"]].get_flags() == "RS"
    letter = mailbox.MaildirMessage(mail.message("by Python"))
    letter.set_flags("F")
    letter.set_subdir("cur")
    letter.set_date(mail.EPOCH)
    key = box.add(letter)
    assert [one.flags for one in judge.see().values() if b"by Python" in one.data] == [
        {"\\Flagged"}]
    assert [one.date for one in judge.see().values() if b"by Python" in one.data] == [mail.EPOCH]
    box.remove(key)
    assert not any(b"by Python" in data for data in judge.data())
    assert any(b"by Python" in data for data in judge.data("Trash"))
    other = mailbox.Maildir(view("Box"), create=False)
    other.add(box[by_subject["3"]])
    box.discard(by_subject["3"])
    assert len(judge.data("Box")) == 1 and len(judge.data()) == 3
    box.close()


# -- The tools -----------------------------------------------------------------------------------

@pytest.fixture
def home(mount):
    """The mount is ~/Mail/work, as the recipes have it; gives a function that runs a tool."""
    os.mkdir(mount.folder + "/Mail")
    os.symlink(mount.path, mount.folder + "/Mail/work")
    os.makedirs(mount.folder + "/.cache/mutt")
    os.makedirs(mount.folder + "/.cache/neomutt")
    environment = dict(mount.environment, NOTMUCH_CONFIG=os.path.join(RECIPES, "notmuch-config"),
                       TERM="xterm", EMAIL="bob@example.org")

    def run(*words, data=b"", code=0):
        result = subprocess.run(words, env=environment, input=data, capture_output=True,
                                timeout=60, check=False)
        assert result.returncode == code, result.stderr.decode("utf-8", "replace")
        return result.stdout.decode("utf-8", "replace")
    run.environment = environment
    return run


@pytest.mark.parametrize("account", ["full", "cyrus"], indirect=True)
def test_notmuch(account, judge, mount, proxy, view, home):
    def found(*query):
        return set(home("notmuch", "search", "--output=messages", *query).split())
    home("mkdir", "-p", mount.folder + "/.local/share/notmuch/work")
    assert "Added 4 new messages" in home("notmuch", "new")
    assert found("tag:unread") == {"id:%d@example.org" % n for n in (1, 2, 3)}
    # where nothing changed nothing is read
    proxy.forget()
    assert "No new mail" in home("notmuch", "new")
    assert not proxy.body_fetches()
    # tags are flags
    home("notmuch", "tag", "-unread", "+flagged", "+replied", "--", "id:1@example.org")
    assert flags(judge)[1] == {"\\Seen", "\\Flagged", "\\Answered"}
    home("notmuch", "tag", "+passed", "--", "id:2@example.org")
    assert flags(judge)[2] == {PASSED}
    # and flags are tags
    account.store("INBOX", "4", "\\Seen")
    account.store("INBOX", "2", "\\Flagged", "-")
    judge.append(mail.numbered(4))
    system.wait_for(lambda: os.listdir(view("INBOX/new")) and
                    names(view("INBOX/cur"))[4].endswith("S") and
                    names(view("INBOX/cur"))[2].endswith(":2,RS"), "what others did")
    assert "Added 1 new message" in home("notmuch", "new")
    assert found("tag:unread") == {"id:2@example.org", "id:4@example.org"}
    assert found("tag:flagged") == set()
    # a letter that notmuch puts there itself
    home("notmuch", "insert", "--folder=Box", "-unread", "+flagged",
         data=mail.message("inserted", extra=b"Message-ID: <in@example.org>\r\n"))
    assert [one.flags for one in judge.see("Box").values()] == [{"\\Seen", "\\Flagged"}]
    assert found("folder:Box") == {"id:in@example.org"}
    home("notmuch", "tag", "-flagged", "--", "id:in@example.org")
    # a message that went elsewhere is the same one
    os.rename(view("INBOX/cur", names(view("INBOX/cur"))[1]), view("Box/cur/moved:2,S"))
    assert "Detected 1 file rename" in home("notmuch", "new")
    assert found("folder:Box") == {"id:0@example.org", "id:in@example.org"}
    # after a restart all is known
    mount.restart()
    mount.online()
    proxy.forget()
    home("notmuch", "new")
    assert not proxy.body_fetches()
    assert found("not id:in@example.org") == {"id:%d@example.org" % n for n in range(5)}


@pytest.mark.parametrize("reader", ["mutt", "neomutt"])
def test_mutt(judge, mount, view, home, reader):
    recipe = os.path.join(RECIPES, reader + "rc")
    # the first is flagged, the second deleted, the third saved to Box
    keys = ["=", "F", "d", "s", "\x15=Box\n", "y", "q", "y"]
    code = terminal.use([reader, "-n", "-F", recipe], keys, seconds=40, env=home.environment)
    assert code == 0
    judge.wait([mail.numbered(n) for n in (0, 3)])
    assert flags(judge) == {0: {"\\Seen", "\\Flagged"}, 3: set()}
    saved = judge.data("Box")
    assert len(saved) == 1 and saved[0].endswith(mail.numbered(2).partition(b"\r\n\r\n")[2])
    assert sorted(judge.data("Trash")) == sorted([mail.numbered(1), mail.numbered(2)])
    # a letter: its copy makes the Maildir that is not there yet
    home(reader, "-n", "-F", recipe, "-e", "set sendmail=true copy=yes", "-s", "a letter", "--",
         "alice@example.org", data=b"Dear Alice\n")
    sent = judge.see("Sent")
    assert len(sent) == 1
    seen = list(sent.values())[0]
    assert b"Subject: a letter\r\n" in seen.data and b"\r\n\r\nDear Alice\r\n" in seen.data
    assert "\\Seen" in seen.flags


def test_mu(judge, mount, proxy, view, home):
    recipe = os.path.join(RECIPES, "mu.sh")
    home(recipe)
    assert len(home("mu", "find", "--fields=i", "maildir:/INBOX").split()) == 4
    assert home("mu", "find", "--fields=i", "flag:seen").split() == ["0@example.org"]
    proxy.forget()
    home(recipe)
    assert not proxy.body_fetches()
    os.rename(view("INBOX/cur", names(view("INBOX/cur"))[2]), view("INBOX/cur/two:2,FS"))
    judge.append(mail.numbered(4))
    system.wait_for(lambda: os.listdir(view("INBOX/new")), "new mail")
    home(recipe)
    assert home("mu", "find", "--fields=i", "flag:flagged").split() == ["1@example.org"]
    assert home("mu", "find", "--fields=i", "flag:new").split() == ["4@example.org"]
    assert len(home("mu", "find", "--fields=i", "maildir:/INBOX").split()) == 5


def test_mblaze(judge, mount, view, home):
    def shell(script):
        return home("sh", "-ec", ". %s\n%s" % (os.path.join(RECIPES, "mblaze.sh"), script))
    judge.append(mail.numbered(4))
    system.wait_for(lambda: os.listdir(view("INBOX/new")), "new mail")
    listed = shell("inbox").splitlines()
    assert len(listed) == 5 and all("Message number 00000%d" % i in line
                                    for i, line in enumerate(listed))
    assert os.listdir(view("INBOX/new")) == []
    shell("flag -SF 2")
    wait_flags(judge, 1, {"\\Seen", "\\Flagged"})
    assert "Message number 000002" in shell("mshow 3")
    shell("refile Box 2")
    judge.wait([mail.numbered(1)], "Box")
    assert flags(judge, "Box") == {1: {"\\Seen", "\\Flagged"}}
    judge.wait([mail.numbered(n) for n in (0, 2, 3, 4)])
    home("mdeliver", view("Box"), data=mail.message("by mdeliver").replace(b"\r\n", b"\n"))
    judge.wait([mail.numbered(1), mail.message("by mdeliver")], "Box")


def test_maildrop(judge, mount, view, home):
    data = mail.message("by maildrop")
    with open(mount.folder + "/filter", "w", encoding="ascii") as f:
        f.write('to "%s"\n' % view("INBOX"))
    os.chmod(mount.folder + "/filter", 0o600)
    # a copy is not setgid: the kernel keeps programs of another group out of everybody's mounts
    program = shutil.copy(shutil.which("maildrop"), mount.folder)
    home(program, mount.folder + "/filter", data=data)
    assert any(one.endswith(data) for one in judge.data())
    assert len(os.listdir(view("INBOX/new"))) == 1
    assert os.listdir(view("INBOX/tmp")) == []
