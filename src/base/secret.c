/* Secrets live in pages of their own: mlock and MADV_DONTDUMP work on pages, and a page shared
 * with other data could be copied by its neighbours' realloc.  There are a few at a time, so
 * a page each is cheap.  See secret.h.
 */
#include "base/secret.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct Secret {
    gatomicrefcount refs;
    gsize mapped; /* bytes of the mapping that this struct begins */
    gsize length;
    char text[];
};

Secret *secret_new(const char *bytes, gsize length)
{
    gsize page = (gsize)sysconf(_SC_PAGESIZE);
    gsize mapped = (sizeof(Secret) + length + 1 + page - 1) / page * page;
    Secret *secret =
        mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (secret == MAP_FAILED)
        g_error("out of memory for a secret");
    /* Both are best effort: RLIMIT_MEMLOCK may be 0 in a container. */
    (void)mlock(secret, mapped);
    (void)madvise(secret, mapped, MADV_DONTDUMP);
    g_atomic_ref_count_init(&secret->refs);
    secret->mapped = mapped;
    secret->length = length;
    memcpy(secret->text, bytes, length);
    secret->text[length] = '\0';
    return secret;
}

Secret *secret_ref(Secret *secret)
{
    g_atomic_ref_count_inc(&secret->refs);
    return secret;
}

void secret_unref(Secret *secret)
{
    if (secret && g_atomic_ref_count_dec(&secret->refs)) {
        secret_wipe(secret->text, secret->length);
        (void)munmap(secret, secret->mapped);
    }
}

const char *secret_text(const Secret *secret)
{
    return secret->text;
}

gsize secret_length(const Secret *secret)
{
    return secret->length;
}

void secret_wipe(void *bytes, gsize length)
{
    explicit_bzero(bytes, length);
}
