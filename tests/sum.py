#!/usr/bin/env python3
"""The closing line of tests/run: "N passed, N failed, N skipped" over meson's and pytest's tests.

    sum.py MESON-TESTLOG.json PYTEST.xml

A file that is missing adds nothing; an exit code other than 0 says that something failed, or
that nothing ran at all.
"""
import json
import os
import sys
import xml.etree.ElementTree

MESON = {"OK": 0, "EXPECTEDFAIL": 0, "SKIP": 2}  # anything else is a failure


def meson(path, sums):
    with open(path, encoding="utf-8") as f:
        for line in f:
            sums[MESON.get(json.loads(line)["result"], 1)] += 1


def pytest(path, sums):
    for suite in xml.etree.ElementTree.parse(path).iter("testsuite"):
        bad = int(suite.get("failures")) + int(suite.get("errors"))
        skipped = int(suite.get("skipped"))
        sums[0] += int(suite.get("tests")) - bad - skipped
        sums[1] += bad
        sums[2] += skipped


def main():
    sums = [0, 0, 0]
    for read, path in ((meson, sys.argv[1]), (pytest, sys.argv[2])):
        if os.path.exists(path):
            read(path, sums)
    print("%d passed, %d failed, %d skipped" % tuple(sums))
    sys.exit(1 if sums[1] or not sums[0] else 0)


if __name__ == "__main__":
    main()
