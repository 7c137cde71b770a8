"""Nothing is lost: the network goes away after each octet of each mutation's conversation.

A proxy counts octets from the moment when a mutation begins, and cuts all connections after the
chosen one, from the client or from the server.  The program finds its way back by itself, and the
end must be one that the table of windows allows (bed/faults.py).  By default there are SAMPLE cuts
in each direction (MAILFS_TEST_CUTS=N: as many); MAILFS_TEST_ALL=1 takes every octet.
"""
import concurrent.futures
import itertools
import os
import re
import shutil

import pytest

from bed import account as accounts
from bed import dovecot, faults, judge as judges, mount, proxy
from bed.mutations import BY_NAME

ALL = bool(os.environ.get("MAILFS_TEST_ALL"))
SAMPLE = int(os.environ.get("MAILFS_TEST_CUTS", "3"))
WORKERS = 4
NUMBERS = itertools.count()
# Those that a server hears of, and whose mailboxes are their own.
NAMES = [name for name, mutation in BY_NAME.items()
         if name not in ("create-no-message", "park", "scratch", "alias")
         and "trash" not in mutation.keys]
# Without UIDPLUS and MOVE only these are said in other words.
POOR = re.compile("create$|copy|edit|move|remove")
CASES = [(variant, name) for variant in ("full", "poor") for name in NAMES
         if ALL or variant == "full" or POOR.match(name)]
if ALL:
    CASES += [("bare", name) for name in NAMES]


class Network:
    """An account behind a proxy, a mount, and a place for a mutation."""

    def __init__(self, binary, folder, servers, variant, mutation):
        self.account = accounts.Account(servers.get("bare" if variant == "poor" else variant),
                                        dovecot.PASSWORD)
        self.proxy = self.account.through_proxy(
            proxy.UIDPLUS_CODES if variant == "poor" else None)
        self.where = os.path.join(folder, "cut%d" % next(NUMBERS))
        self.mount = mount.Mount(binary, self.where, dict(self.account.keys(), **mutation.keys))
        self.place = faults.Place(self.mount, self.account, None, "m", mutation)
        self.place.prepare()
        self.place.judge = self.judge = judges.Judge(self.account)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if not kind:
                self.mount.finish()
                shutil.rmtree(self.where)  # the logs of what failed are enough
        finally:
            self.mount.kill()
            self.judge.close()
            self.account.close()

    def begin(self):
        self.mount.start().online()
        self.place.look()


def measure(*case):
    """How many octets go up and down while the mutation runs undisturbed."""
    with Network(*case) as network:
        network.begin()
        network.proxy.forget()
        answered = network.place.run()
        passed = dict(network.proxy.passed)
        network.place.settle()
        faults.judge(network.place, answered, was_faulty=False)
        return passed


def cut(position, *case):
    """Whether the cut was met before the mutation had ended."""
    direction, octets = position
    with Network(*case) as network:
        network.begin()
        network.proxy.cut_in(direction, octets)
        answered = network.place.run()
        was_met = network.proxy.is_cut()
        network.proxy.cut_in(direction, None)
        try:
            network.place.settle()
            faults.judge(network.place, answered)
        except AssertionError as error:
            raise AssertionError("cut after octet %d %s: %s" % (octets, direction, error)) \
                from error
    return was_met


@pytest.mark.limit(7200 if ALL or SAMPLE > 3 else 300)
@pytest.mark.parametrize("variant, name", CASES)
def test_cut(binary, folder, servers, request, variant, name):
    case = (binary, folder, servers, variant, BY_NAME[name])
    passed = measure(*case)
    assert passed[proxy.UP] > 20 and passed[proxy.DOWN] > 20
    positions = []
    for direction, n in passed.items():
        stride = 1 if ALL else max(1, n // SAMPLE)
        first = NAMES.index(name) * 7 % stride  # not the same octets of all of them
        positions += [(direction, octet) for octet in range(first, n, stride)]
    request.node.user_properties.append(("trials", len(positions)))
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        met = sum(pool.map(lambda position: cut(position, *case), positions))
    # What else goes over the wire meanwhile moves the end a little.
    assert met >= len(positions) // 2, "%d of %d cuts were met" % (met, len(positions))
