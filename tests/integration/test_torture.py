"""The torture of tests/torture, for as long as a test run may take."""
import os

from bed import race, storm

N_KILLS = 10
SECONDS = 10


def test_kill9(binary, folder, servers):
    one = storm.Storm(binary, os.path.join(folder, "mount"), servers.get("full"), 1)
    try:
        one.run(N_KILLS)
        one.look_with_an_empty_cache()
        assert one.n_done(), "nothing was done between the kills"
    finally:
        one.close()


def test_race(binary, folder, servers):
    books, _ = race.race(binary, folder, servers.get("full"), SECONDS)
    assert books.done and books.stored
