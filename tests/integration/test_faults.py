"""Nothing is lost: the program dies at each step of each mutation, and once more in recovery.

Which points a mutation passes is learned from the program (MAILFS_FAULT=list).  At each of them a
new run of the mutation is killed, the program started again, and the end compared with what the
table of windows allows (bed/faults.py).  By default a sample runs that meets each point of the
source at least once; MAILFS_TEST_ALL=1 runs all of them, and all of recovery.
"""
import concurrent.futures
import itertools
import os
import re
import shutil
import subprocess

import pytest

from bed import account as accounts
from bed import dovecot, faults, judge as judges, mount, proxy
from bed.mutations import BY_NAME, MUTATIONS

ALL = bool(os.environ.get("MAILFS_TEST_ALL"))
# Dovecot with everything; without UIDPLUS and MOVE, but with their response codes; without them.
VARIANTS = ["full", "bare", "poor"] if ALL else ["full", "poor"]
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src")
WORKERS = 4
PATIENCE = 10  # seconds until a fault is met
NUMBERS = itertools.count()
MET = set()  # names of points at which some run has died

# Points that only what this module does not do would pass.
ELSEWHERE = {
    "transfer-rescue": "test_neither_side",
    **dict.fromkeys(["pop3-doomed", "pop3-copied", "pop3-kept", "pop3-marked", "pop3-removed",
                     "maildir-named", "maildir-written", "maildir-kept"],
                    "test_pop3_faults.test_killed_at_each_step"),
}


def needs_faults(binary):
    """A build without fault points would pass every test."""
    with open(binary, "rb") as f:
        if b"MAILFS_FAULT_LOG" not in f.read():
            pytest.fail("the program has no fault points: configure it with -Dfaults=true",
                        pytrace=False)


@pytest.fixture(scope="module", autouse=True)
def faulty(binary):
    needs_faults(binary)


class Run:
    """One account, one mutation, one mount that may die."""

    def __init__(self, binary, folder, servers, variant, mutation):
        self.account = accounts.Account(servers.get("bare" if variant == "poor" else variant),
                                        dovecot.PASSWORD)
        if variant == "poor":
            self.account.through_proxy(proxy.UIDPLUS_CODES)
        self.where = os.path.join(folder, "run%d" % next(NUMBERS))
        self.mount = faults.FaultyMount(binary, self.where,
                                        dict(self.account.keys(), **mutation.keys))
        self.place = faults.Place(self.mount, self.account, None, "m", mutation)
        self.place.prepare()
        self.place.judge = self.judge = judges.Judge(self.account)
        self.answered = False

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind:
                self.mount.kill()
            else:
                self.mount.finish()
                shutil.rmtree(self.where)  # the logs of what failed are enough
        finally:
            self.mount.kill()
            self.judge.close()
            self.account.close()

    def do(self, fault):
        """The mutation, with this fault asked for."""
        self.mount.start().online()
        self.place.look()
        self.mount.ask(fault)
        self.answered = self.place.run()

    def go_on(self, fault="list"):
        """The next start, with a fault in it."""
        self.mount.forget()
        self.mount.ask(fault)
        try:
            self.mount.start()
            if fault == "list":
                self.place.settle()
        except mount.MountFailed:
            if fault == "list":
                raise
        except (OSError, AssertionError):
            if fault == "list" or self.mount.process.poll() is None:
                raise

    def pretend(self):
        """What makes a mount go on with what it has: somebody looks around in it."""
        try:
            self.place.settle()
        except (OSError, AssertionError, mount.MountFailed):
            pass  # it died


def trace(binary, folder, servers, variant, mutation):
    """The points that an undisturbed run passes."""
    with Run(binary, folder, servers, variant, mutation) as run:
        run.do("list")
        run.place.settle()
        faults.judge(run.place, run.answered, was_faulty=False)
        return run.mount.passed()


def has_died(run, point):
    if not run.mount.has_died(point, PATIENCE):
        return False
    MET.add(name_of(point))
    return True


def at_first(point):
    return name_of(point) + ":1"


def killed(binary, folder, servers, variant, mutation, first, second=None):
    """Dies at first, goes on, dies at second (if any), goes on, and is judged.  Gives the points
    that the last start passed.

    What is written in the background may be written in fewer steps than when the points were
    learned: an NTH passing need not come, and then it is the first one that must."""
    with Run(binary, folder, servers, variant, mutation) as run:
        run.do(first)
        deaths = 1 if has_died(run, first) else 0
        if second and deaths:
            run.go_on(second)
            if run.mount.process.poll() is None:
                run.pretend()
            deaths += has_died(run, second)
        is_met = deaths == (2 if second else 1)
        if is_met:
            run.go_on()
        else:
            run.mount.ask("list")
            run.place.settle()
        faults.judge(run.place, run.answered, deaths=deaths)
        passed = run.mount.passed()
    if is_met:
        return passed
    if deaths == 0:
        assert first != at_first(first), "%s was not met" % first
        return killed(binary, folder, servers, variant, mutation, at_first(first), second)
    if second == at_first(second):  # the death before was not where it was the other time
        assert first != at_first(first), "%s was not met after %s" % (second, first)
        return passed
    return killed(binary, folder, servers, variant, mutation, first, at_first(second))


def all_of(calls):
    """Calls them in a few threads; {call: what it gave}; fails with all that failed."""
    results, errors = {}, []
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        futures = {pool.submit(function, *arguments): tuple(arguments[-2:])
                   for function, *arguments in calls}
        for future in concurrent.futures.as_completed(futures):
            try:
                results[futures[future]] = future.result()
            except Exception as error:  # all are to be told
                errors.append("%s: %s: %s" % (futures[future], type(error).__name__, error))
    assert not errors, "\n\n".join(errors)
    return results


def name_of(point):
    return point.partition(":")[0]


def unmet(points):
    """Those that nothing has died at yet, one of each name; all of them if all are wanted."""
    if ALL:
        return points
    found = {}
    for point in points:
        if name_of(point) not in MET:
            found[name_of(point)] = point  # the last: the end is where most can go wrong
    return list(found.values())


@pytest.mark.limit(7200 if ALL else 300)
@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("variant", VARIANTS)
def test_killed(binary, folder, servers, request, variant, name):
    mutation = BY_NAME[name]
    case = (binary, folder, servers, variant, mutation)
    points = trace(*case)
    assert points, "no step of it has a fault point"
    chosen = unmet(points)
    # Each mutation dies at least twice, also if others met the same points before.
    chosen = chosen + [points[len(points) * i // 3] for i in (1, 2)][:max(0, 2 - len(chosen))]
    after = all_of([(killed, *case, point, None) for point in chosen])
    again = [(killed, *case, first, second) for (first, _), passed in sorted(after.items())
             for second in unmet(passed)]
    request.node.user_properties.append(("trials", len(chosen) + len(unique(again))))
    all_of(unique(again))


def unique(calls):
    """One of each second fault, if not all are wanted."""
    return calls if ALL else list({name_of(call[-1]): call for call in calls}.values())


def test_every_point_is_met(request):
    """Whatever is in the source was met by something above."""
    if request.session.testscollected < len(MUTATIONS) * len(VARIANTS):
        pytest.skip("only some of the mutations ran")
    listed = subprocess.run(["grep", "-rhoE", r'FAULT\("[a-z-]+"\)', SOURCE], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    points = set(re.findall(r'"([a-z-]+)"', listed))
    assert points
    assert points - MET - set(ELSEWHERE) == set()
