"""Dovecot, in the variants that a client must cope with.

full  every extension of Dovecot 2.3, separator '/', no prefix
bare  advertises IMAP4rev1 and nothing else
ns    separator '.', everything below the prefix INBOX.
small full, with room for 64 KiB of mail

Each speaks POP3, too: TLS, STLS and, for us on loopback, clear text.

Any user name works, with the password PASSWORD, and has an empty Maildir: a test takes a fresh
name and so has mail of its own without a server of its own.
"""
import imaplib
import os
import poplib
import subprocess

from . import mail, system

PASSWORD = 'open"sesame'
IMAP = "/usr/lib/dovecot/imap"

CONFIG = """\
protocols = imap pop3
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
instance_name = mailfs-tests-{variant}
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
default_client_limit = 4096
first_valid_uid = 1
verbose_proctitle = no
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
auth_failure_delay = 1 secs
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home/%u
}}
mail_location = maildir:~/mail
mail_max_userip_connections = 50
mailbox_idle_check_interval = 2 secs
lock_method = fcntl
{mail}
namespace inbox {{
  inbox = yes
  separator = {separator}
  prefix = {prefix}
  mailbox Drafts {{
    auto = subscribe
    special_use = \\Drafts
  }}
  mailbox Sent {{
    auto = subscribe
    special_use = \\Sent
  }}
  mailbox Trash {{
    auto = subscribe
    special_use = \\Trash
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 512
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3_port}
  }}
  inet_listener pop3s {{
    port = {pop3_tls_port}
    ssl = yes
  }}
}}
service pop3 {{
  process_limit = 512
}}
service anvil {{
  chroot =
  # no longer and longer pauses for one address: all tests come from the same
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""

FULL = """\
mail_plugins = quota acl zlib
mail_attribute_dict = file:%h/attributes
plugin {
  quota = maildir:User quota
  quota_rule = *:storage=2G
  acl = vfile
}
protocol imap {
  mail_plugins = $mail_plugins imap_quota imap_acl imap_zlib
  imap_metadata = yes
}
"""

VARIANTS = {
    "full": {"mail": FULL, "separator": "/", "prefix": ""},
    "bare": {"mail": "imap_capability = IMAP4rev1", "separator": "/", "prefix": ""},
    "ns": {"mail": FULL, "separator": ".", "prefix": "INBOX."},
    "small": {"mail": FULL.replace("=2G", "=64K"), "separator": "/", "prefix": ""},
}


class Dovecot:
    def __init__(self, folder, certs, variant):
        self.folder = system.make_folder(str(folder))
        self.variant = variant
        self.separator = VARIANTS[variant]["separator"]
        self.prefix = VARIANTS[variant]["prefix"]
        self.port = system.free_port()
        self.tls_port = system.free_port()
        self.pop3_port = system.free_port()
        self.pop3_tls_port = system.free_port()
        self.process = None
        for name in ("run", "state", "home"):
            os.makedirs(os.path.join(self.folder, name))
        self.config = os.path.join(self.folder, "dovecot.conf")
        with open(self.config, "w", encoding="ascii") as f:
            f.write(CONFIG.format(
                folder=self.folder, variant=variant, user=system.USER, uid=system.UID,
                gid=system.GID, group=system.group_name(), port=self.port,
                tls_port=self.tls_port, pop3_port=self.pop3_port,
                pop3_tls_port=self.pop3_tls_port, password=PASSWORD, cert=certs.pem("good"),
                key=certs.key("good"), **VARIANTS[variant]))
        system.give(self.folder)
        self.start()

    def start(self):
        # Not our standard streams: a test that is piped must not wait for the server's end.
        self.process = subprocess.Popen(
            system.as_user([system.need("dovecot"), "-F", "-c", self.config]),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        system.wait_port(self.port, self.process)
        system.wait_port(self.pop3_port, self.process)

    def stop(self):
        system.stop(self.process)

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def url(self, scheme="imap+plain"):
        port = self.tls_port if scheme == "imaps" else self.port
        return "%s://%s:%d" % (scheme, "localhost" if scheme != "imap+plain" else "127.0.0.1",
                               port)

    def connect(self, user):
        """Another client: an imaplib connection, logged in."""
        imap = imaplib.IMAP4("127.0.0.1", self.port)
        imap.login(user, PASSWORD)
        return imap

    def pop3_url(self, scheme="pop3+plain"):
        port = self.pop3_tls_port if scheme == "pop3s" else self.pop3_port
        return "%s://%s:%d" % (scheme, "localhost" if scheme != "pop3+plain" else "127.0.0.1",
                               port)

    def connect_pop3(self, user):
        """Another client: a poplib connection, logged in."""
        pop3 = poplib.POP3("127.0.0.1", self.pop3_port, timeout=30)
        pop3.user(user)
        pop3.pass_(PASSWORD)
        return pop3

    def wire_name(self, shown):
        """The server's name of a mailbox that the mount shows as "A/B"."""
        if shown == "INBOX":
            return shown
        return self.prefix + shown.replace("/", self.separator)

    def maildir(self, user, shown="INBOX"):
        """A Maildir to deliver to."""
        home = system.make_folder(os.path.join(self.folder, "home", user))
        return mail.maildir_below(os.path.join(home, "mail"), shown)


def tunnel(folder, name="alice", options=""):
    """A server without a network: the command for tunnel=, over the Maildir FOLDER/Maildir."""
    folder = system.make_folder(str(folder))
    config = os.path.join(folder, "dovecot.conf")
    with open(config, "w", encoding="ascii") as f:
        f.write("mail_location = maildir:~/Maildir\nlog_path = %s/log\nssl = no\n"
                "mailbox_idle_check_interval = 2 secs\n%s" % (folder, options))
    system.give(folder)
    command = ["env", "USER=" + name, "HOME=" + folder, IMAP, "-c", config]
    return " ".join(system.as_user(command, deathsig=False) if system.ROOT else command)
