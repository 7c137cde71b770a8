"""Cyrus IMAP: a server of another family (OBJECTID, SCRAM with channel binding; no NOTIFY), and
its POP3 server (APOP).

Debian's Cyrus cannot be installed beside Dovecot, so tests/run unpacks it without installing it;
MAILFS_TEST_UNPACKED names that folder.  It runs from there, as an ordinary user.
"""
import imaplib
import os
import poplib
import subprocess

from . import system

# expunge_mode: with "immediate", Cyrus 3.6.1 renumbers its records when another session ends, and a
# POP3 session that stands then removes, at QUIT, another message than the one that DELE named.
PASSWORD = "a-secret"
ADMIN = "cyrus"
UNPACKED = os.environ.get("MAILFS_TEST_UNPACKED", "")

SETTINGS = """\
configdirectory: {folder}/conf
defaultpartition: default
partition-default: {folder}/spool
servername: localhost
cyrus_user: {user}
cyrus_group: {group}
admins: cyrus
unixhierarchysep: yes
altnamespace: yes
virtdomains: off
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {folder}/sasldb2
sasl_mech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-1
tls_server_cert: {cert}
tls_server_key: {key}
imapidlepoll: 1
popminpoll: 0
specialusealways: yes
expunge_mode: delayed
delete_mode: immediate
syslog_prefix: mailfs-tests
"""

SERVICES = """\
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {folder}/imapd.conf -r"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {folder}/imapd.conf" listen="127.0.0.1:{port}" prefork=1
  imaps cmd="{bin}/imapd -C {folder}/imapd.conf -s" listen="127.0.0.1:{tls_port}" prefork=0
  pop3 cmd="{bin}/pop3d -C {folder}/imapd.conf" listen="127.0.0.1:{pop3_port}" prefork=0
  pop3s cmd="{bin}/pop3d -C {folder}/imapd.conf -s" listen="127.0.0.1:{pop3_tls_port}" prefork=0
}}
DAEMON {{
  idled cmd="{bin}/idled -C {folder}/imapd.conf"
}}
"""


def missing():
    """Why Cyrus cannot run here, or None."""
    for name in ("imapd", "pop3d"):
        if not os.path.exists(os.path.join(UNPACKED, "usr/lib/cyrus/bin", name)):
            return "Cyrus is not unpacked (tests/run does it)"
    return None


class Cyrus:
    separator = "/"
    prefix = ""
    variant = "cyrus"

    def __init__(self, folder, certs):
        self.folder = system.make_folder(str(folder))
        self.port = system.free_port()
        self.tls_port = system.free_port()
        self.pop3_port = system.free_port()
        self.pop3_tls_port = system.free_port()
        self.process = None
        for name in ("db", "proc", "ptclient", "socket", "log", "sieve", "lock", "msg"):
            os.makedirs(os.path.join(self.folder, "conf", name))
        os.makedirs(os.path.join(self.folder, "spool"))
        values = {"folder": self.folder, "user": system.USER, "group": system.group_name(),
                  "cert": certs.pem("good"), "key": certs.key("good"), "port": self.port,
                  "tls_port": self.tls_port, "pop3_port": self.pop3_port,
                  "pop3_tls_port": self.pop3_tls_port, "bin": UNPACKED + "/usr/lib/cyrus/bin"}
        for name, text in (("imapd.conf", SETTINGS), ("cyrus.conf", SERVICES)):
            with open(os.path.join(self.folder, name), "w", encoding="ascii") as f:
                f.write(text.format(**values))
        self.environment = dict(os.environ, CYRUS_USER=system.USER)
        self.environment["LD_LIBRARY_PATH"] = ":".join(
            os.path.join(UNPACKED, "usr/lib", name)
            for name in os.listdir(os.path.join(UNPACKED, "usr/lib")) if "linux" in name)
        self._add_password(ADMIN)
        system.give(self.folder)
        # in a session of its own: at its end the master ends its whole process group
        self.process = subprocess.Popen(
            system.as_user([values["bin"] + "/master", "-C", self.folder + "/imapd.conf",
                            "-M", self.folder + "/cyrus.conf", "-p", self.folder + "/pid"]),
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT, start_new_session=True)
        system.wait_port(self.port, self.process)

    def _add_password(self, user):
        subprocess.run([UNPACKED + "/usr/sbin/saslpasswd2", "-p", "-c", "-u", "localhost",
                        "-f", self.folder + "/sasldb2", user], input=PASSWORD + "\n", text=True,
                       check=True, env=self.environment)
        system.give(self.folder + "/sasldb2")

    def _login(self, user):
        imap = imaplib.IMAP4("127.0.0.1", self.port)
        imap.login(user, PASSWORD)
        return imap

    def add_user(self, user):
        self._add_password(user)
        admin = self._login(ADMIN)
        admin.create("user/" + user)
        admin.setacl("user/" + user, user, "lrswipkxtecda")
        admin.logout()

    def connect(self, user):
        return self._login(user)

    def connect_pop3(self, user):
        pop3 = poplib.POP3("127.0.0.1", self.pop3_port, timeout=30)
        pop3.user(user)
        pop3.pass_(PASSWORD)
        return pop3

    def stop(self):
        system.stop(self.process)

    def url(self, scheme="imap+plain"):
        port = self.tls_port if scheme == "imaps" else self.port
        return "%s://%s:%d" % (scheme, "localhost" if scheme != "imap+plain" else "127.0.0.1",
                               port)

    def pop3_url(self, scheme="pop3+plain"):
        port = self.pop3_tls_port if scheme == "pop3s" else self.pop3_port
        return "%s://%s:%d" % (scheme, "localhost" if scheme != "pop3+plain" else "127.0.0.1",
                               port)

    def wire_name(self, shown):
        return shown
