"""A program on a terminal, and somebody who types."""
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

QUIET = 0.15  # a screen that has not changed for so long waits for a key


def use(argv, keys, seconds=20, **more):
    """Runs argv on a terminal of 80 x 24 and types keys, a list of texts: each when the screen
    has come to rest.  Gives the exit code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave,
                               start_new_session=True, **more)
    os.close(slave)
    todo, screen, end = list(keys), b"", time.monotonic() + seconds
    try:
        while process.poll() is None:
            if time.monotonic() > end:
                raise AssertionError("%s does not end: %r" % (argv[0], screen[-2000:]))
            if select.select([master], [], [], QUIET)[0]:
                try:
                    screen += os.read(master, 65536)
                except OSError:  # nobody has the terminal open any more
                    process.wait(5)
            elif todo and screen:
                os.write(master, todo.pop(0).encode("utf-8"))
        return process.returncode
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)
