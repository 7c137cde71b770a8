"""The fixtures of the integration tests; the parts of the test bed are in bed/.

The program under test is the one that the environment variable MAILFS names (tests/run sets it
to the build with the sanitizers).
"""
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
from bed import account as accounts
from bed import certs as certificates
from bed import courier, cyrus, dovecot, judge as judges, mount, pop3_account, scripted
from bed import scripted_pop3

TEST_SECONDS = 120


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): how long the test may take")
    os.umask(0o022)


@pytest.fixture(scope="session")
def area():
    """One folder for everything; the unprivileged servers can enter it."""
    path = tempfile.mkdtemp(prefix="mailfs-tests-")
    os.chmod(path, 0o755)
    yield path
    if not os.environ.get("MAILFS_TEST_KEEP"):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def binary(area):
    """The program, copied to where every user can run it."""
    path = os.environ.get("MAILFS", "")
    if not os.access(path, os.X_OK):
        pytest.exit("MAILFS must name the program under test; tests/run does it", 2)
    return shutil.copy(path, os.path.join(area, "mailfs"))


@pytest.fixture
def folder(area, request):
    """The test's own folder."""
    path = tempfile.mkdtemp(prefix="t", dir=area)
    os.chmod(path, 0o755)
    request.node.user_properties.append(("folder", path))
    return path


@pytest.fixture(scope="session")
def certs(area):
    return certificates.Certificates(os.path.join(area, "certs"))


class Servers:
    """The servers that some test has asked for; each is started once."""

    def __init__(self, area, certs):
        self.area = area
        self.certs = certs
        self.running = {}

    def get(self, variant):
        if variant not in self.running:
            where = os.path.join(self.area, variant)
            self.running[variant] = cyrus.Cyrus(where, self.certs) if variant == "cyrus" \
                else dovecot.Dovecot(where, self.certs, variant)
        return self.running[variant]

    def stop(self):
        for server in self.running.values():
            server.stop()


@pytest.fixture(scope="session")
def servers(area, certs):
    found = Servers(area, certs)
    yield found
    found.stop()


@pytest.fixture
def account(request, servers, folder):
    """A fresh account; on Dovecot with all extensions, or as the test is parametrized:
    full, bare, ns, small, cyrus, courier, tunnel."""
    variant = getattr(request, "param", "full")
    if variant == "tunnel":
        made = accounts.TunnelAccount(os.path.join(folder, "tunnel"))
    elif variant == "courier":
        if courier.missing():
            pytest.skip(courier.missing())
        made = accounts.CourierAccount(os.path.join(folder, "courier"))
    elif variant == "cyrus":
        if cyrus.missing():
            pytest.skip(cyrus.missing())
        made = accounts.CyrusAccount(servers.get("cyrus"))
    else:
        made = accounts.Account(servers.get(variant), dovecot.PASSWORD)
    yield made
    made.close()


@pytest.fixture
def judge(account):
    """Another client of the account, which says what is on the server."""
    made = judges.Judge(account)
    yield made
    made.close()


@pytest.fixture
def maildrop(request, servers, folder):
    """A fresh POP3 account behind a proxy, and poplib's eyes on it; on Dovecot, or as the test is
    parametrized: full, poor, bare, cyrus, courier."""
    variant = getattr(request, "param", "full")
    for family in (courier, cyrus):
        if family.__name__.endswith(variant) and family.missing():
            pytest.skip(family.missing())
    made = pop3_account.make(servers, variant, os.path.join(folder, variant))
    yield made
    made.close()


@pytest.fixture
def scripted_pop3_server(request):
    """A factory of scripted POP3 servers: of Messages, or of octets."""
    made = request.node.scripted_servers = []

    def make(drop=(), **more):
        drop = list(drop)
        if drop and isinstance(drop[0], bytes):
            drop = scripted_pop3.messages(drop)
        made.append(scripted_pop3.ScriptedPop3Server(drop, **more))
        return made[-1]
    yield make
    for server in made:
        server.close()


@pytest.fixture
def scripted_server(request):
    """A factory of scripted servers."""
    made = request.node.scripted_servers = []

    def make(*args, **more):
        made.append(scripted.ScriptedServer(*args, **more))
        return made[-1]
    yield make
    for server in made:
        server.close()


@pytest.fixture(autouse=True)
def watchdog(request):
    marker = request.node.get_closest_marker("limit")
    dog = mount.Watchdog(marker.args[0] if marker else TEST_SECONDS)
    yield
    dog.stop()


@pytest.fixture
def mounts(binary, folder, watchdog):
    """A factory: mounts(account, key=value...) gives a Mount that is not started.  account: an
    Account, or a dictionary of keys.  Underscores in keys stand for hyphens."""
    made = []

    def make(account, name=None, place=None, **keys):
        base = account if isinstance(account, dict) else account.keys()
        base = dict(base, **{key.replace("_", "-"): value for key, value in keys.items()})
        where = os.path.join(folder, name or "m%d" % len(made))
        made.append(mount.Mount(binary, where, base, place))
        return made[-1]
    yield make
    problems = []
    for each in made:
        try:
            each.finish()
        except Exception as error:  # all of them are to be taken down
            problems.append(str(error))
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def ordinary_user(folder):
    place = mount.OrdinaryUser(folder)
    yield place
    place.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the logs of its mounts, and what its scripted servers were asked."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for n, server in enumerate(getattr(item, "scripted_servers", [])):
            report.sections.append(("commands that scripted server %d got" % n,
                                    "\n".join(server.commands()[-200:] + server.errors)))
        for where in [v for k, v in item.user_properties if k == "folder"]:
            for name in sorted(os.listdir(where)):
                path = os.path.join(where, name, "log")
                if os.path.isfile(path):
                    with open(path, encoding="utf-8", errors="replace") as f:
                        report.sections.append(("log of " + name, f.read()[-8000:]))
