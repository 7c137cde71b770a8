/* The one question that mailfs asks on a terminal: a password.
 *
 * The answer is not echoed and is read without blocking, for the supervisor serves its worker
 * meanwhile.  /dev/tty is used, not standard input, so that a redirected output does no harm.
 */
#pragma once

#include <glib.h>

#include "base/secret.h"

typedef struct Terminal Terminal;

/* Writes @question and switches the echo off.  NULL when there is no terminal to ask on: standard
 * input is none, or we are in the background (asking would stop us). */
Terminal *terminal_ask(const char *question);

/* Switches the echo on again.  NULL is fine. */
void terminal_free(Terminal *terminal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Terminal, terminal_free)

int terminal_fd(const Terminal *terminal); /* readable when the line is complete */

/* TRUE when the question is over; *@ret_secret is then the answer, NULL when it was empty or the
 * terminal has gone. */
gboolean terminal_answer(Terminal *terminal, Secret **ret_secret);
