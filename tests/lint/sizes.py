#!/usr/bin/env python3
"""The size of a room: how long functions, files and lines may be, how deep and how wide.

Functions and their parameters come from Universal Ctags.  What passes a soft limit is a note,
what passes a hard one an error.
"""
import json
import re
import shutil
import subprocess

import source

FUNCTION_SOFT, FUNCTION_HARD = 60, 100
FILE_SOFT, FILE_HARD = 600, 1000
LINE_HARD = 100
PARAMETERS_HARD = 6
NESTING_SOFT, NESTING_HARD = 3, 4

# (path, function): whose signature is not ours to choose.
FOREIGN = {
    ("src/fs/write.c", "fs_op_copy_file_range"): "libfuse's",
}


def tags(paths):
    """One dictionary a function, with its first and last line."""
    out = subprocess.run(
        ["ctags", "--output-format=json", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f",
         "--fields=+neS", "-f", "-"] + paths,
        cwd=source.ROOT, check=True, capture_output=True, text=True).stdout
    return [tag for tag in map(json.loads, out.splitlines()) if "end" in tag]


def parameters(signature):
    """How many a signature has; commas inside parentheses belong to a callback's type."""
    inside = signature.strip()[1:-1].strip()
    if inside in ("", "void"):
        return 0
    depth, n = 0, 1
    for c in inside:
        depth += (c == "(") - (c == ")")
        n += c == "," and depth == 0
    return n


def nesting(code):
    """The deepest block of a function: its own braces are 0; initialisers do not count."""
    depth, deepest, blocks = -1, 0, []
    for match in re.finditer(r"[{}]", code):
        if match.group() == "{":
            before = code[:match.start()].rstrip()
            block = not before.endswith(("=", ",", "{", "(")) and \
                not re.search(r"\bswitch\s*\([^{}]*\)$", before)
            blocks.append(block)
            depth += block
            deepest = max(deepest, depth)
        elif blocks:
            depth -= blocks.pop()
    return deepest


def check_function(tag, text, errors, notes):
    where = "%s:%d: %s()" % (tag["path"], tag["line"], tag["name"])
    length = tag["end"] - tag["line"] + 1
    if length > FUNCTION_HARD:
        errors.append("%s has %d lines, more than %d" % (where, length, FUNCTION_HARD))
    elif length > FUNCTION_SOFT:
        notes.append("%s has %d lines; %d is the aim" % (where, length, FUNCTION_SOFT))
    n = parameters(tag.get("signature", "()"))
    if n > PARAMETERS_HARD and (tag["path"], tag["name"]) not in FOREIGN:
        errors.append("%s has %d parameters, more than %d" % (where, n, PARAMETERS_HARD))
    depth = nesting("\n".join(text[tag["line"] - 1:tag["end"]]))
    if depth > NESTING_HARD:
        errors.append("%s nests %d deep, more than %d" % (where, depth, NESTING_HARD))
    elif depth > NESTING_SOFT:
        notes.append("%s nests %d deep; %d is the aim" % (where, depth, NESTING_SOFT))


def main():
    if not shutil.which("ctags"):
        print("sizes: ctags is missing (Debian: universal-ctags)")
        raise SystemExit(77)
    errors, notes = [], []
    paths = source.files("src", "mount", "tests")
    texts = {}
    for path in paths:
        text = source.lines(path)
        texts[path] = source.code_only("\n".join(text)).split("\n")
        length = len(text) - 1
        if length > FILE_HARD:
            errors.append("%s: %d lines, more than %d" % (path, length, FILE_HARD))
        elif length > FILE_SOFT:
            notes.append("%s: %d lines; %d is the aim" % (path, length, FILE_SOFT))
        for number, line in enumerate(text, 1):
            if len(line) > LINE_HARD:
                errors.append("%s:%d: %d columns" % (path, number, len(line)))
    for tag in tags(paths):
        check_function(tag, texts[tag["path"]], errors, notes)
    source.finish("sizes", errors, notes)


if __name__ == "__main__":
    main()
