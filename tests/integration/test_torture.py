"""The torture of tests/torture, for as long as a test run may take."""
import os

import pytest

from bed import proxy, race, storm

N_KILLS = 10
SECONDS = 10


@pytest.mark.parametrize("variant", ["full", "poor"])
def test_kill9(binary, folder, servers, variant):
    is_poor = variant == "poor"
    one = storm.Storm(binary, os.path.join(folder, "mount"),
                      servers.get("bare" if is_poor else "full"), 1,
                      keep_back=proxy.UIDPLUS_CODES if is_poor else None)
    try:
        one.run(N_KILLS)
        one.look_with_an_empty_cache()
        assert one.n_done(), "nothing was done between the kills"
    finally:
        one.close()


def test_race(binary, folder, servers):
    books, _ = race.race(binary, folder, servers.get("full"), SECONDS)
    assert books.done and books.stored
