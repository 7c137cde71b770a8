/* GLib's mutexes and conditions as those of pthreads, for builds with ThreadSanitizer alone.
 *
 * GLib makes them of futexes, where the sanitizer sees neither who holds one nor what it orders,
 * so that each use of a lock looks like a race.  What the program defines itself comes before what
 * GLib has under the same name; GLib's own calls stay within it.
 */
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* What is no race, though the sanitizer cannot know: a lock within GLib that is made at its first
 * use, and the number of G_DEFINE_QUARK, which is the same whoever writes it. */
const char *__tsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void)
{
    return "race:g_rw_lock_reader_lock\nrace:mail_error_quark\n";
}

/* Both are all zero before their first use, and then hold a pointer; who comes second to make one
 * takes the first. */
static gpointer settle(gpointer *place, gpointer made)
{
    gpointer none = NULL;

    if (__atomic_compare_exchange_n(place, &none, made, FALSE, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return made;
    free(made);
    return none;
}

/* malloc() and not g_new(): GLib's needs no lock now, but that is its own affair. */
static gpointer some(gsize size)
{
    gpointer made = malloc(size);

    if (!made)
        abort();
    return made;
}

static pthread_mutex_t *mutex_of(GMutex *mutex)
{
    pthread_mutex_t *made = __atomic_load_n(&mutex->p, __ATOMIC_ACQUIRE);

    if (made)
        return made;
    made = some(sizeof *made);
    pthread_mutex_init(made, NULL);
    return settle(&mutex->p, made);
}

static pthread_cond_t *cond_of(GCond *cond)
{
    pthread_cond_t *made = __atomic_load_n(&cond->p, __ATOMIC_ACQUIRE);
    pthread_condattr_t attributes;

    if (made)
        return made;
    made = some(sizeof *made);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* as g_get_monotonic_time() */
    pthread_cond_init(made, &attributes);
    return settle(&cond->p, made);
}

void g_mutex_init(GMutex *mutex)
{
    mutex->p = NULL;
}

void g_mutex_clear(GMutex *mutex)
{
    if (!mutex->p)
        return;
    pthread_mutex_destroy(mutex->p);
    free(g_steal_pointer(&mutex->p));
}

void g_mutex_lock(GMutex *mutex)
{
    pthread_mutex_lock(mutex_of(mutex));
}

void g_mutex_unlock(GMutex *mutex)
{
    pthread_mutex_unlock(mutex_of(mutex));
}

gboolean g_mutex_trylock(GMutex *mutex)
{
    return pthread_mutex_trylock(mutex_of(mutex)) == 0;
}

void g_cond_init(GCond *cond)
{
    cond->p = NULL;
}

void g_cond_clear(GCond *cond)
{
    if (!cond->p)
        return;
    pthread_cond_destroy(cond->p);
    free(g_steal_pointer(&cond->p));
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
    pthread_cond_wait(cond_of(cond), mutex_of(mutex));
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end)
{
    struct timespec until = {end / G_USEC_PER_SEC, end % G_USEC_PER_SEC * 1000};

    return pthread_cond_timedwait(cond_of(cond), mutex_of(mutex), &until) != ETIMEDOUT;
}

void g_cond_signal(GCond *cond)
{
    pthread_cond_signal(cond_of(cond));
}

void g_cond_broadcast(GCond *cond)
{
    pthread_cond_broadcast(cond_of(cond));
}
