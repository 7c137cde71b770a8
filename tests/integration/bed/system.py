"""Users, ports, processes and waiting."""
import grp
import os
import pwd
import re
import shutil
import socket
import subprocess
import time

ROOT = os.geteuid() == 0
# The account that servers and ordinary users' mounts have when the tests run as root.
USER = "nobody" if ROOT else pwd.getpwuid(os.geteuid()).pw_name
UID = pwd.getpwnam(USER).pw_uid
GID = pwd.getpwnam(USER).pw_gid


def group_name():
    return grp.getgrgid(GID).gr_name


def as_user(argv, deathsig=True):
    """The command line that runs argv as USER and, with deathsig, ends it when its parent dies."""
    ids = ["--reuid=%d" % UID, "--regid=%d" % GID, "--clear-groups"] if ROOT else []
    if deathsig:
        ids.append("--pdeathsig=TERM")
    return ["setpriv", *ids, "--", *map(str, argv)]


def give(path):
    """Makes path, and all that is below it, USER's."""
    if not ROOT:
        return
    os.chown(path, UID, GID, follow_symlinks=False)
    for where, folders, names in os.walk(path):
        for name in folders + names:
            os.chown(os.path.join(where, name), UID, GID, follow_symlinks=False)


def make_folder(path, mode=0o755):
    """A folder with this mode, whatever the umask is; USER's."""
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)
    give(path)
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Waited(AssertionError):
    """What was waited for did not happen."""


def wait_for(condition, what, seconds=10.0, pause=0.05):
    """Calls condition until it gives something true, and returns that."""
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, AssertionError, KeyError, IndexError) as error:
            last = error
        if time.monotonic() > end:
            raise Waited("%s: not within %g s; last: %r" % (what, seconds, last))
        time.sleep(pause)


def wait_port(port, process=None, seconds=20):
    def accepts():
        if process is not None and process.poll() is not None:
            raise RuntimeError("the server ended with %d" % process.returncode)
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    wait_for(accepts, "port %d accepts" % port, seconds)


def stop(process, seconds=10):
    """Ends a child politely, then not."""
    if process is None:
        return
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def need(program):
    """The path of a program, also from the folders that an ordinary PATH leaves out."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def unescape(text):
    """A path of mountinfo: blanks and the like are octal there."""
    return re.sub(r"\\(\d{3})", lambda m: chr(int(m.group(1), 8)), text)


def mounted(path, process="self"):
    """The file system type that is mounted at path, as that process sees it, or None."""
    found = None
    try:
        with open("/proc/%s/mountinfo" % process, encoding="utf-8",
                  errors="surrogateescape") as f:
            lines = f.readlines()
    except OSError:  # the process has gone, and its mount namespace with it
        return None
    for line in lines:
        fields = line.split()
        if unescape(fields[4]) == str(path):
            found = fields[fields.index("-") + 1]
    return found
