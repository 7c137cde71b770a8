"""Courier IMAP: a server with UIDPLUS and nothing newer: no MOVE, no CONDSTORE, no LITERAL+, no
UIDNEXT in its answer to SELECT, and every mailbox below INBOX.  And Courier's POP3 server, which
asks for ten seconds between two logins, lists a message without a last line end as smaller than
what it sends, locks nothing, and says +OK to a QUIT that has not removed what somebody else has
read meanwhile.

Debian's Courier cannot be installed beside Dovecot, so tests/run unpacks it without installing it;
MAILFS_TEST_UNPACKED names that folder.  Its IMAP server, started by hand, says PREAUTH and serves
the Maildir of its user: a tunnel, without a network and without a login.  Its POP3 server begins
where the login has ended in the same way, and Pop3Server logs in before it.
"""
import os
import poplib
import socket
import subprocess
import threading

from . import mail, system

UNPACKED = os.environ.get("MAILFS_TEST_UNPACKED", "")
SERVER = os.path.join(UNPACKED, "usr/bin/imapd")
POP3_SERVER = os.path.join(UNPACKED, "usr/lib/courier/courier/courierpop3d")
PASSWORD = "secret"
separator = "."
prefix = "INBOX."

# What /etc/courier/imapd says in Debian; but it looks around every 2 s in IDLE, not every 60 s.
SCRIPT = """\
#!/bin/sh
cd '{folder}' || exit
exec env -i PATH=/usr/bin:/bin HOME='{folder}' LD_LIBRARY_PATH='{libraries}' MAILDIRPATH=Maildir \\
    IMAP_CAPABILITY='IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES \
SORT QUOTA IDLE' IMAP_KEYWORDS=1 IMAP_ACL=1 IMAP_USELOCKS=1 IMAP_IDLE_TIMEOUT=2 \\
    IMAP_TRASHFOLDERNAME=Trash '{server}' Maildir 2>> log
"""

# What courierpop3login and courierpop3d both say, word for word.
CAPABILITIES = ("+OK Here's what I can do:", "TOP", "USER", "LOGIN-DELAY 10", "PIPELINING", "UIDL",
                "UTF8 USER", "IMPLEMENTATION Courier Mail Server", ".")


def missing():
    """Why Courier cannot run here, or None."""
    for server in (SERVER, POP3_SERVER):
        if not os.path.exists(server):
            return "Courier is not unpacked (tests/run does it)"
    return None


def libraries():
    lib = os.path.join(UNPACKED, "usr/lib")
    return ":".join([lib, *[os.path.join(lib, name) for name in os.listdir(lib)
                            if "linux" in name]])


def tunnel(folder):
    """The command for tunnel=, over the Maildir FOLDER/Maildir."""
    script = os.path.join(folder, "imapd")
    with open(script, "w", encoding="ascii") as f:
        f.write(SCRIPT.format(folder=folder, libraries=libraries(), server=SERVER))
    system.give(folder)
    return " ".join(system.as_user(["sh", script], deathsig=False) if system.ROOT
                    else ["sh", script])


class Pop3Server:
    """Courier's POP3 server over the Maildir FOLDER/Maildir, for one user with PASSWORD.  The
    login is done here, in the words of courierpop3login, whose users are those of a daemon with
    one place in a system."""

    variant = "courier"

    def __init__(self, folder):
        self.folder = system.make_folder(str(folder))
        self.maildir(None, "INBOX")
        self.processes = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.pop3_port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def maildir(self, _, name):
        return mail.maildir_below(self.folder + "/Maildir", name, encode=str)

    def pop3_url(self):
        return "pop3+plain://127.0.0.1:%d" % self.pop3_port

    def connect_pop3(self, user):
        pop3 = poplib.POP3("127.0.0.1", self.pop3_port, timeout=30)
        pop3.user(user)
        pop3.pass_(PASSWORD)
        return pop3

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # or accept() would wait for ever
        self.listener.close()
        for process in list(self.processes):
            system.stop(process)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            try:
                if self._log_in(client):
                    self._run(client)
            except OSError:
                pass  # the client has gone

    def _log_in(self, client):
        """Whether somebody is in.  Line by line, for what is behind the login is courierpop3d's."""
        def say(*lines):
            client.sendall("".join(line + "\r\n" for line in lines).encode("ascii"))
        # octet by octet: what follows PASS is not to be taken away
        reader = client.makefile("rb", buffering=0)
        say("+OK Hello there.")
        user = None
        while True:
            line = reader.readline()
            if not line:
                return False
            words = line.decode("latin-1").split()
            verb = words[0].upper() if words else ""
            if verb == "QUIT":
                say("+OK Better luck next time.")
                return False
            if verb == "CAPA":
                say(*CAPABILITIES)
            elif verb == "USER" and len(words) == 2:
                user = words[1]
                say("+OK Password required.")
            elif verb == "PASS":
                if user and words[1:] == [PASSWORD]:
                    return True
                say("-ERR Login failed.")
            else:
                say("-ERR Invalid command.")

    def _run(self, client):
        environment = {"PATH": "/usr/bin:/bin", "HOME": self.folder, "MAILDIRPATH": "Maildir",
                       "LD_LIBRARY_PATH": libraries()}
        with open(os.path.join(self.folder, "log"), "ab") as log:
            process = subprocess.Popen(system.as_user([POP3_SERVER, "Maildir"]), cwd=self.folder,
                                       env=environment, stdin=client, stdout=client, stderr=log)
        self.processes.append(process)
        process.wait()
        self.processes.remove(process)
