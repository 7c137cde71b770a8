"""What the benches have in common: how long a command takes, as a ratio of how long another does.
"""
import subprocess
import time


def seconds(argv, times=1):
    """The best of some runs."""
    best = None
    for _ in range(times):
        start = time.monotonic()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        took = time.monotonic() - start
        best = took if best is None else min(best, took)
    return best


def tell(what, ours, theirs):
    print("%-34s %8.3f s %8.3f s   ratio %5.2f" % (what, ours, theirs, ours / theirs))


def memory(mount):
    """RSS of the process that serves, in MiB."""
    with open("/proc/%d/status" % mount.status()["pid"], encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0
