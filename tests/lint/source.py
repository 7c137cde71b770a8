"""What the lints share: which files are ours, and how to say what is wrong with one."""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files(*folders, suffixes=(".c", ".h")):
    """Paths below the folders, relative to the root of the project, sorted."""
    found = []
    for folder in folders:
        for where, _, names in os.walk(os.path.join(ROOT, folder)):
            found += [os.path.relpath(os.path.join(where, name), ROOT)
                      for name in names if name.endswith(suffixes)]
    return sorted(found)


def lines(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read().split("\n")


def code_only(text):
    """The text with comments, strings and characters blanked, line breaks kept."""
    out = []
    state = None  # None, or what ends the piece that we are in
    i = 0
    while i < len(text):
        two = text[i:i + 2]
        if state is None and two in ("/*", "//"):
            state = "*/" if two == "/*" else "\n"
            out.append("  ")
            i += 2
        elif state is None and text[i] in "\"'":
            state = text[i]
            out.append(text[i])
            i += 1
        elif state is None:
            out.append(text[i])
            i += 1
        elif state in ("\"", "'") and text[i] == "\\":
            out.append("  ")
            i += 2
        elif text.startswith(state, i):
            out.append("\n" if state == "\n" else state if len(state) == 1 else "  ")
            i += len(state)
            state = None
        else:
            out.append("\n" if text[i] == "\n" else " ")
            i += 1
    return "".join(out)


def finish(what, errors, notes=()):
    for note in notes:
        print("note:", note)
    for error in errors:
        print(error)
    print("%s: %d errors, %d notes" % (what, len(errors), len(notes)))
    sys.exit(1 if errors else 0)
