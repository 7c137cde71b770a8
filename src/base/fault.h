/* Fault points: places where a test kills the process, or lets a call fail, to see what is left.
 *
 * They compile to nothing unless configured with -Dfaults=true, which no release is.  One fault at
 * a time is asked for by the environment:
 *
 *   MAILFS_FAULT=NAME        _exit(86) at the first passing of FAULT("NAME"), on whatever thread
 *   MAILFS_FAULT=NAME:3      at the third
 *   MAILFS_FAULT=NAME=error  FAULT_FAILS("NAME") is TRUE, always
 *   MAILFS_FAULT=NAME=hold   the thread waits there until @FILE asks for something else
 *   MAILFS_FAULT=list        no fault; the log gets a line "pass: NAME" at each passing
 *   MAILFS_FAULT=@FILE       one of these, as the first line of FILE says at that moment: a test
 *                            prepares what it needs, and only then asks.  Passings are counted
 *                            from when the line last changed
 *   MAILFS_FAULT_LOG=FILE    gets a line "fault: NAME" when it happens, so that a test can prove
 *                            that its fault was met
 *
 * Both files are opened when the program starts, before any sandbox.
 *
 * Names are string literals on one line, so that grep lists them all:
 *   grep -rhoE 'FAULT(_FAILS)?\("[a-z-]+"\)' src
 */
#pragma once

#include <glib.h>

#ifdef MAILFS_FAULTS

void fault_pass(const char *name);
gboolean fault_fails(const char *name);

#define FAULT(name) fault_pass(name)
#define FAULT_FAILS(name) fault_fails(name)

#else

#define FAULT(name) ((void)0)
#define FAULT_FAILS(name) FALSE

#endif
