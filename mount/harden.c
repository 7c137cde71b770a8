/* See harden.h.  None of these can fail in a way that would be a reason to stop. */
#include "mount/harden.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

void harden_against_tracing(void)
{
    if (!HARDEN_HAS_SANITIZER)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void harden_process(void)
{
    static const struct rlimit no_core = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)umask(0077);
    harden_against_tracing();
}
