"""Nothing is lost over POP3: the network goes away after an octet of DELE, of QUIT, of taking mail
off the server; the program dies at each of its steps, and at moments that nobody chose.

By default it is a sample; MAILFS_TEST_ALL=1 takes every octet and every point.
"""
import concurrent.futures
import itertools
import os
import random

import pytest

from bed import pop3_faults, proxy
from bed.pop3_faults import CHANGES, REMOTE, World

ALL = bool(os.environ.get("MAILFS_TEST_ALL"))
WORKERS = 4
N_CUTS = 5          # in each direction, evenly; and some of the last octets, where QUIT is
N_LAST = 40
LAST_STRIDE = 9
N_KILLS = 40 if ALL else 5
NUMBERS = itertools.count()
MET = set()  # names of points at which some change has died
ONCE = {"create-trash-made:1"}  # what an account passes once; first in its world, then


def world(binary, folder, n, change, **more):
    where = os.path.join(folder, "w%d" % next(NUMBERS))
    if change.is_local:
        return World(binary, where, 2, change.keys, n_local=n, **more)
    return World(binary, where, n + 2, change.keys, **more)


def side_by_side(function, cases):
    """Calls it with some worlds at once; fails with all that failed."""
    errors = []
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(function, case) for case in cases]
        for future in concurrent.futures.as_completed(futures):
            try:
                future.result()
            except Exception as error:  # all are to be told
                errors.append("%s: %s" % (type(error).__name__, error))
    assert not errors, "\n\n".join(errors)


def positions(passed):
    found = []
    for direction, n in sorted(passed.items()):
        assert n > 20, passed
        octets = range(n) if ALL else [
            *range(7, n - N_LAST, max(1, n // N_CUTS)), *range(max(0, n - N_LAST), n, LAST_STRIDE)]
        found += [(direction, octet) for octet in octets]
    return found


@pytest.mark.limit(7200 if ALL else 240)
@pytest.mark.parametrize("change", REMOTE, ids=lambda change: change.name)
def test_cut(binary, folder, request, change):
    with world(binary, folder, 3, change) as first:
        passed = pop3_faults.measure(first, change)
    assert set(passed) == {proxy.UP, proxy.DOWN}
    places = positions(passed)
    request.node.user_properties.append(("trials", len(places)))
    met = []

    def some(chosen):
        with world(binary, folder, len(chosen), change) as place:
            for direction, octets in chosen:
                met.append(pop3_faults.cut(place, change, direction, octets))
            place.audit()
    side_by_side(some, [places[i::WORKERS] for i in range(WORKERS)])
    # The list of messages is longer or shorter here and there, which moves the end; and what can be
    # done in the session that is open is.
    assert sum(met) >= len(places) // 3, "%d of %d cuts were met" % (sum(met), len(places))


@pytest.mark.limit(7200 if ALL else 240)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_killed_at_any_moment(binary, folder, change):
    """kill -9, with the change under way, just done, or done a while ago."""
    chance = random.Random(change.name)
    moments = [chance.random() ** 2 * 0.6 for _ in range(N_KILLS * 2)]

    def some(chosen):
        with world(binary, folder, len(chosen), change) as place:
            for moment in chosen:
                pop3_faults.killed_after(place, change, moment)
            place.audit()
    side_by_side(some, [moments[i::2] for i in range(2)])


@pytest.mark.limit(7200 if ALL else 240)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_killed_at_each_step(binary, folder, request, change):
    """Fault points are what the program was built with (-Dfaults=true)."""
    if not pop3_faults.is_faulty_build(binary):
        pytest.fail("the program has no fault points: configure it with -Dfaults=true",
                    pytrace=False)
    with world(binary, folder, 3, change) as first:
        points = pop3_faults.points_of(first, change)
    assert points, "no step of it has a fault point"
    chosen = points if ALL else list({point.partition(":")[0]: point for point in points
                                      if point.partition(":")[0] not in MET}.values())
    chosen = chosen or points[-1:]
    request.node.user_properties.append(("trials", len(chosen)))

    def some(points):
        if not points:
            return
        with world(binary, folder, 2 * len(points), change) as place:
            for point in points:
                pop3_faults.killed_at(place, change, point)
                MET.add(point.partition(":")[0])
            place.audit()
    chosen = sorted(chosen, key=lambda point: point not in ONCE)
    side_by_side(some, [chosen[i::WORKERS] for i in range(WORKERS)])
