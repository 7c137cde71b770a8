#!/usr/bin/env python3
"""The floors of the house: who may include whom, and who may touch what.

Read off the include lines of src/ and mount/, so that a shortcut between floors fails the tests
on the day it is made.  The rules are those of src/README.md.  An exception needs a line in
EXCEPTIONS, with its reason.
"""
import re

import source

MAY_INCLUDE = {
    "base": [],
    "mime": [],
    "imap": [],
    "pop3": [],
    "net": [],
    "config": [],
    "client": ["net", "imap", "pop3"],
    "model": ["mime"],
    "store": ["client", "model", "mime", "config"],
    "tree": ["model", "mime"],
    "fs": ["tree", "store", "model", "config"],
    "cli": ["store", "tree", "client", "config"],
    "mount": ["fs", "store", "cli", "config"],
}

PURE = ["mime", "imap", "pop3", "model", "tree"]

# What only some floors may name: (what it is, expression on the code, floors).
RESERVED = [
    ("FUSE", r"#\s*include\s*<fuse|\bfuse_\w+\s*\(", ["fs"]),
    ("OpenSSL's TLS", r"#\s*include\s*<openssl/ssl\.h>|\bSSL_\w+\s*\(", ["net"]),
    ("TCP", r"\b(connect|getaddrinfo)\s*\(", ["net"]),
    ("threads", r"\b(g_thread_(try_)?new|pthread_create|g_thread_pool_new\w*)\s*\(",
     ["store", "fs"]),
    ("processes", r"\b(v?fork|exec[lv]p?e?|posix_spawnp?|system|popen|g_spawn_\w+)\s*\(",
     ["mount"]),
    ("AF_UNIX", r"\bAF_(UNIX|LOCAL)\b", ["mount"]),
    ("main()", r"^(int\s+)?main\s*\(", ["mount"]),
]

# No I/O in the pure floors: bytes come in, structures go out.
IMPURE = (r"#\s*include\s*<(gio/|sys/socket\.h|sys/epoll\.h|poll\.h|fcntl\.h|unistd\.h|"
          r"netdb\.h|sqlite3\.h|pthread\.h)")

# (path, what): why this one may.
EXCEPTIONS = {
    ("src/net/resolve.c", "threads"):
        "getaddrinfo() has no deadline of its own; one helper thread gives it one",
    ("src/cli/daemon.c", "processes"):
        "a read(2) that a hung file system does not answer ends by SIGKILL alone",
}


def floor_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "src" else "mount"


def check(path, errors):
    floor = floor_of(path)
    if floor not in MAY_INCLUDE:
        errors.append("%s: no floor is called '%s' (tests/lint/layers.py)" % (path, floor))
        return
    text = "\n".join(source.lines(path))
    for number, line in enumerate(source.lines(path), 1):
        where = "%s:%d" % (path, number)
        quoted = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if quoted:
            check_include(where, floor, quoted.group(1), errors)
        if floor in PURE and re.match(r"\s*" + IMPURE, line):
            errors.append("%s: %s is pure, it does no I/O: %s" % (where, floor, line.strip()))
    for number, line in enumerate(source.code_only(text).split("\n"), 1):
        for what, pattern, floors in RESERVED:
            if floor in floors or (path, what) in EXCEPTIONS or not re.search(pattern, line):
                continue
            errors.append("%s:%d: only %s may use %s: %s"
                          % (path, number, " and ".join(floors), what, line.strip()))


def check_include(where, floor, name, errors):
    target = name.split("/")[0]
    if "/" not in name:
        errors.append("%s: write the floor too: \"%s/%s\"" % (where, floor, name))
    elif target not in MAY_INCLUDE:
        errors.append("%s: no floor is called '%s'" % (where, target))
    elif target != floor and target != "base" and target not in MAY_INCLUDE[floor]:
        errors.append("%s: %s may not know %s" % (where, floor, target))
    elif name.endswith("/internal.h") and target != floor:
        errors.append("%s: internal.h never leaves its folder" % where)


def main():
    errors = []
    for path in source.files("src", "mount"):
        check(path, errors)
    for path, what in EXCEPTIONS:
        if path in source.files("src", "mount") and what not in [r[0] for r in RESERVED]:
            errors.append("layers.py: the exception for %s names no rule" % path)
    source.finish("layers", errors)


if __name__ == "__main__":
    main()
