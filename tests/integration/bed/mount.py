"""A mount of mailfs, as a test sees it.

The program runs in the foreground with its log in a file.  However a test ends, the mount is
taken down, and the test fails when the program did not end well, left a process behind, or wrote
a sanitizer's report or a critical warning to its log.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import threading

from . import system

SUSPICIOUS = re.compile(r"ERROR: \w+Sanitizer|SUMMARY: \w+Sanitizer|runtime error:|CRITICAL|"
                        r"WARNING: suspicious|\*\* ERROR|[Aa]ssertion .*failed")
ACCOUNT = "test%d" % os.getpid()  # commands find mounts by it: other runs are not ours


class Here:
    """Mounts where the tests run: in their mount namespace, as their user."""

    pid = "self"

    def command(self, argv):
        return list(map(str, argv))

    def own(self, path):
        pass

    def close(self):
        pass


class OrdinaryUser:
    """Mounts as an ordinary user, through fusermount3.

    When the tests run as root: a mount namespace where everybody may open /dev/fuse (some build
    machines give it to root alone), and USER's ids."""

    def __init__(self, folder):
        self.holder = None
        self.pid = "self"
        if not system.ROOT:
            return
        device = os.path.join(folder, "device")
        os.makedirs(device)
        script = ('mount -t tmpfs -o mode=755,dev none "$1" && mknod "$1/fuse" c 10 229 &&'
                  ' chmod 666 "$1/fuse" && mount --bind "$1/fuse" /dev/fuse && echo ready &&'
                  ' exec sleep 100000')
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "--kill-child", "--fork",
             "sh", "-c", 'echo $$; ' + script, "sh", device],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.pid = self.holder.stdout.readline().strip()
        assert self.holder.stdout.readline() == "ready\n"

    def command(self, argv):
        if not self.holder:
            return list(map(str, argv))
        return ["nsenter", "--mount=/proc/%s/ns/mnt" % self.pid, "--wdns=.",
                *system.as_user(argv, deathsig=False)]

    def own(self, path):
        system.give(path)

    def close(self):
        if self.holder:
            self.holder.stdout.close()
            self.holder.kill()  # unshare ignores SIGTERM; its child dies with it
            self.holder.wait()


def environment(folder):
    """What the program sees: folders of its own, a plain locale, strict sanitizers."""
    values = {
        "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
        "HOME": folder,
        "LC_ALL": "C.UTF-8",
        "G_DEBUG": "fatal-criticals",
        "G_SLICE": "always-malloc",  # a sanitizer sees who has what, and until when
        "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "LSAN_OPTIONS": "report_objects=1",
    }
    for name, sub in (("CONFIG_HOME", "config"), ("CACHE_HOME", "cache"),
                      ("STATE_HOME", "state"), ("DATA_HOME", "data"),
                      ("RUNTIME_DIR", "runtime")):
        values["XDG_" + name] = os.path.join(folder, sub)
    return values


class Program:
    """mailfs with a configuration and folders of its own; runs commands, mounts nothing."""

    def __init__(self, binary, folder, keys, place=None):
        """keys: of the account's group.  password: not a key, but the password."""
        self.binary = binary
        self.folder = str(folder)
        self.place = place or Here()
        os.makedirs(self.folder, exist_ok=True)
        self.environment = environment(self.folder)
        for name in ("config", "cache", "state", "data", "runtime"):
            os.makedirs(os.path.join(self.folder, name), mode=0o700, exist_ok=True)
        self.config = os.path.join(self.folder, "mailfs.conf")
        keys = dict(keys)
        if "password" in keys:
            keys["password-file"] = self.write_secret(keys.pop("password"))
        self.write_config("".join("%s=%s\n" % item for item in keys.items()))
        self.place.own(self.folder)

    def write_secret(self, password):
        path = os.path.join(self.folder, "password")
        with open(path, "w", encoding="utf-8") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(password + "\n")
        return path

    def write_config(self, lines):
        self.write_raw_config("[account %s]\n%s" % (ACCOUNT, lines))

    def write_raw_config(self, text):
        with open(self.config, "w", encoding="utf-8") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(text)
        self.place.own(self.folder)

    def argv(self, *words):
        return self.place.command([self.binary, "-c", self.config, *words])

    def run(self, *words, timeout=60, **more):
        """Runs a command of mailfs; gives its CompletedProcess with text."""
        result = subprocess.run(self.argv(*words), env=self.environment, timeout=timeout,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, **more)
        assert not SUSPICIOUS.search(result.stderr), result.stderr
        return result


class MountFailed(Exception):
    """The program ended before the mount was there."""

    def __init__(self, code, log):
        super().__init__("mailfs ended with %d:\n%s" % (code, log))
        self.code = code
        self.log = log


class Mount(Program):
    """Usage: mount.start(), then mount.path; the fixture that made it calls finish()."""

    live = set()

    def __init__(self, binary, folder, keys, place=None):
        super().__init__(binary, folder, keys, place)
        self.path = os.path.join(self.folder, "mnt")
        self.log_path = os.path.join(self.folder, "log")
        self.process = None
        self.timed_out = False
        self.expected_code = 0
        os.makedirs(self.path, exist_ok=True)
        self.place.own(self.path)

    # -- its life ----------------------------------------------------------------------------

    def start(self, *options, seconds=30):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.argv("mount", "-f", *options, ACCOUNT, self.path), env=self.environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        Mount.live.add(self)

        def is_up():
            return self.process.poll() is not None or self.is_mounted()
        try:
            system.wait_for(is_up, "the mount is there", seconds, pause=0.02)
        except system.Waited as error:
            raise AssertionError("%s\n%s" % (error, self.log())) from error
        if self.process.poll() is not None:
            raise MountFailed(self.process.returncode, self.log())
        return self

    def online(self):
        """Waits until the account is; gives the mount."""
        self.wait_state("online")
        return self

    def is_mounted(self):
        return system.mounted(self.path, self.place.pid) is not None

    def umount(self):
        return self.run("umount", self.path)

    def stop(self):
        """Unmounts as a user does, and waits until the program has ended."""
        result = self.umount()
        assert result.returncode == 0, "umount: %s\n%s" % (result.stderr, self.log())
        assert not self.is_mounted()
        code = self.process.wait(30)
        self.process = None
        Mount.live.discard(self)
        assert code == self.expected_code, "mailfs ended with %d\n%s" % (code, self.log())

    def restart(self, *options):
        self.stop()
        return self.start(*options)

    def empty_cache(self):
        """As people free space: only between two mounts."""
        shutil.rmtree(os.path.join(self.folder, "cache"))
        os.mkdir(os.path.join(self.folder, "cache"), 0o700)
        self.place.own(self.folder)

    def kill(self):
        """Ends all of its processes by SIGKILL, and takes the dead mount away."""
        if self.process:
            processes = processes_of(self.process.pid)
            for pid in processes:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()
            self.process = None
            wait_gone(processes)
        Mount.live.discard(self)
        for _ in range(5):
            if not self.is_mounted():
                break
            tool = ["umount", "-f", "-l"] if system.ROOT else ["fusermount3", "-u", "-z"]
            subprocess.run(self.place.command([*tool, self.path]), check=False,
                           capture_output=True)

    def finish(self):
        """Ends it whatever its state; raises when something was wrong with it."""
        processes = processes_of(self.process.pid) if self.process else []
        try:
            if self.timed_out:
                raise AssertionError("the test's time was over\n" + self.log())
            if self.process:
                if self.process.poll() is not None:
                    raise AssertionError("mailfs ended by itself with %d\n%s"
                                         % (self.process.returncode, self.log()))
                self.stop()
                wait_gone(processes, 1)
        finally:
            self.kill()
        match = SUSPICIOUS.search(self.log())
        assert not match, self.log()[max(0, match.start() - 2000):][:20000]

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    # -- looking at it -----------------------------------------------------------------------

    def shell(self, script, check=True, timeout=60):
        """Runs a shell script in the mount's root; gives its standard output as text."""
        result = subprocess.run(
            self.place.command(["sh", "-c", 'cd "$0" || exit 99\n' + script, self.path]),
            stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False,
            env=dict(self.environment, LC_ALL="C.UTF-8"))
        if check:
            assert result.returncode == 0, result.stderr.decode("utf-8", "replace")
        return result.stdout.decode("utf-8", "surrogateescape")

    def read(self, name):
        """A file's octets, by cat: works in every place."""
        result = subprocess.run(self.place.command(["cat", os.path.join(self.path, name)]),
                                stdin=subprocess.DEVNULL, capture_output=True, check=False,
                                timeout=60)
        assert result.returncode == 0, result.stderr.decode("utf-8", "replace")
        return result.stdout

    def status(self):
        return json.loads(self.read(".mailfs/status.json"))

    def account(self):
        return self.status()["accounts"][0]

    def mailbox(self, name):
        found = [m for m in self.account()["mailboxes"] if m["name"] == name]
        return found[0] if found else None

    def wait_state(self, state, seconds=10):
        system.wait_for(lambda: self.account()["state"] == state, "state " + state, seconds)

    def wait_listed(self, name, n, seconds=30):
        """Waits until a mailbox is listed whole and has n messages."""
        def whole():
            mailbox = self.mailbox(name)
            return mailbox and mailbox["listed"] and mailbox["messages"] == n
        system.wait_for(whole, "%s listed with %d messages" % (name, n), seconds)

    def imap_commands(self):
        return dict(self.account()["imap_commands"])

    def fuse_requests(self):
        return dict(self.status()["fuse_requests"])

    def messages(self, mailbox="INBOX"):
        """{UID: file name} of a mailbox's directory.  (The tests may read the UID off a name.)"""
        found = {}
        for name in os.listdir(os.path.join(self.path, mailbox)):
            match = re.search(r"\.(\d+)\.eml$", name) or re.match(r"(\d+)\.eml$", name)
            if match:
                assert int(match.group(1)) not in found, "two names for one UID"
                found[int(match.group(1))] = name
        return found

    def contents(self, mailbox="INBOX"):
        """{UID: octets} of a mailbox's directory."""
        found = {}
        for uid, name in sorted(self.messages(mailbox).items()):
            with open(os.path.join(self.path, mailbox, name), "rb") as f:
                found[uid] = f.read()
        return found


def stats():
    """{process: (parent, session)}, zombies left out."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid, encoding="utf-8", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z":
            found[int(pid)] = (int(fields[1]), int(fields[3]))
    return found


def processes_of(leader):
    """A process, who is of its session, and all below them: the worker has a session of its own."""
    known = stats()
    found = {pid for pid, (_, session) in known.items() if leader in (pid, session)}
    while True:
        below = {pid for pid, (parent, _) in known.items() if parent in found} - found
        if not below:
            return sorted(found)
        found |= below


def wait_gone(pids, seconds=10):
    system.wait_for(lambda: not set(pids) & set(stats()), "the processes are gone", seconds)


class Watchdog:
    """Ends all mounts when a test takes too long: a process that waits for a file system cannot
    be interrupted, but it gets an error when the file system dies."""

    def __init__(self, seconds):
        self.timer = threading.Timer(seconds, self._bite)
        self.timer.daemon = True
        self.timer.start()

    def _bite(self):
        for mount in list(Mount.live):
            mount.timed_out = True
            mount.kill()

    def stop(self):
        self.timer.cancel()
