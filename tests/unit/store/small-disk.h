/* A disk that is really full: what a test does in the fixture's place when nothing more fits there.
 * By a tmpfs in a namespace of its own, which takes root's rights. */
#pragma once

#include "disk-fixture.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>

/* Takes all the room that is left where the fixture is. */
static inline void take_room(const Fixture *fixture)
{
    g_autofree char *ballast = in(fixture->dir, "ballast"), *octets = g_malloc0(4096);
    int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    while (write(fd, octets, 4096) > 0)
        ;
    g_assert_cmpint(errno, ==, ENOSPC);
    close(fd);
}

static inline void give_room(const Fixture *fixture)
{
    g_autofree char *ballast = in(fixture->dir, "ballast");

    g_assert_cmpint(g_unlink(ballast), ==, 0);
}

/* Runs @func in a child that has a disk of 2 MB in the fixture's place; skips the test where it
 * cannot have one. */
static inline void on_small_disk(Fixture *fixture, void (*func)(Fixture *))
{
    int status = 0;
    pid_t pid;

    fixture_close(fixture);
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("none", fixture->dir, "tmpfs", 0, "size=2m") < 0)
            _exit(77);
        fixture_open(fixture);
        func(fixture);
        fixture_close(fixture);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        g_test_skip("a small tmpfs takes root's rights");
    else
        g_assert_cmpint(status, ==, 0);
    fixture_open(fixture);
}
