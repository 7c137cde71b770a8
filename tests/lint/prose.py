#!/usr/bin/env python3
"""Each file says in prose what it is, and none says that it is unfinished."""
import re

import source

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
OPENING_WORDS = 6


def opening(text):
    """The first comment of a C file, or None when something else stands before it."""
    match = re.match(r"\s*/\*(.*?)\*/", text, re.S)
    return match.group(1) if match else None


def main():
    errors = []
    for path in source.files("src", "mount"):
        text = "\n".join(source.lines(path))
        words = re.findall(r"\w+", opening(text) or "")
        if len(words) < OPENING_WORDS:
            errors.append("%s: open the file with a comment: what it is, why this shape" % path)
        if path.endswith(".h") and "#pragma once" not in text:
            errors.append("%s: no #pragma once" % path)
    everything = source.files("src", "mount", "tests", "contrib", "man",
                              suffixes=(".c", ".h", ".py", ".build", ".1", ".5", ".8", ".md"))
    for path in everything:
        if path == "tests/lint/prose.py":
            continue
        for number, line in enumerate(source.lines(path), 1):
            if UNFINISHED.search(line):
                errors.append("%s:%d: unfinished: %s" % (path, number, line.strip()))
            if line != line.rstrip():
                errors.append("%s:%d: blanks at the end of the line" % (path, number))
    source.finish("prose", errors)


if __name__ == "__main__":
    main()
