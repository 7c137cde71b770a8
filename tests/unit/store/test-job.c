/* The queue between the main thread and the connections, and bodies with their waiters. */
#include "base/error.h"
#include "store/body.h"
#include "store/job.h"

#include <fcntl.h>

static Job *make(JobKind kind, JobPriority priority, guint16 mailbox)
{
    Job *job = job_new(kind, priority);

    job->mailbox = mailbox;
    return job;
}

/* Takes all out. */
static guint count_left(JobQueue *queue)
{
    g_autoptr(GPtrArray) jobs = job_queue_drain(queue);

    g_ptr_array_set_free_func(jobs, (GDestroyNotify)job_free);
    return jobs->len;
}

static const JobRoles everything = 0xffffffff;

static void test_most_urgent_first(void)
{
    JobQueue *queue = job_queue_new();
    static const JobPriority order[] = {JOB_INTERACTIVE, JOB_WAITED, JOB_BULK, JOB_BACKGROUND};

    job_queue_push(queue, make(JOB_FETCH, JOB_BULK, 1));
    job_queue_push(queue, make(JOB_LIST, JOB_BACKGROUND, 0));
    job_queue_push(queue, make(JOB_FETCH, JOB_INTERACTIVE, 1));
    job_queue_push(queue, make(JOB_SYNC, JOB_WAITED, 1));
    for (guint i = 0; i < G_N_ELEMENTS(order); i++) {
        g_autoptr(Job) job = job_queue_take(queue, &everything, 1, NULL);

        g_assert_cmpint(job->priority, ==, order[i]);
    }
    g_assert_null(job_queue_take(queue, &everything, 1, NULL));
    job_queue_free(queue);
}

/* A connection takes only what its roles allow, each role as a whole. */
static void test_roles(void)
{
    JobQueue *queue = job_queue_new();
    const JobRoles reader = JOB_ROLE(JOB_INTERACTIVE, JOB_FETCH);
    const JobRoles both[] = {JOB_ROLE(JOB_INTERACTIVE, JOB_FETCH),
                             JOB_ROLE(JOB_BULK, JOB_SYNC)};
    g_autoptr(Job) job = NULL;

    job_queue_push(queue, make(JOB_FETCH, JOB_BULK, 1));
    g_assert_null(job_queue_take(queue, &reader, 1, NULL));
    g_assert_null(job_queue_take(queue, both, 2, NULL)); /* not half of one, half of another */
    job = job_queue_take(queue, &everything, 1, NULL);
    g_assert_nonnull(job);
    job_queue_free(queue);
}

static void test_match(void)
{
    JobQueue *queue = job_queue_new();
    g_autoptr(Job) like = make(JOB_FETCH, JOB_BULK, 2);
    g_autoptr(Job) found = NULL;

    job_queue_push(queue, make(JOB_FETCH, JOB_BULK, 1));
    job_queue_push(queue, make(JOB_SYNC, JOB_BULK, 2));
    g_assert_null(job_queue_take(queue, &everything, 1, like));
    job_queue_push(queue, make(JOB_FETCH, JOB_BULK, 2));
    found = job_queue_take(queue, &everything, 1, like);
    g_assert_true(found && found->kind == JOB_FETCH && found->mailbox == 2);
    g_assert_cmpuint(count_left(queue), ==, 2);
    job_queue_free(queue);
}

static void test_remove(void)
{
    JobQueue *queue = job_queue_new();
    Job *job = make(JOB_FETCH, JOB_BULK, 1);
    guint64 id = job->id;
    g_autoptr(Job) removed = NULL;

    job_queue_push(queue, job);
    g_assert_null(job_queue_remove(queue, id + 1));
    removed = job_queue_remove(queue, id);
    g_assert_true(removed == job);
    g_assert_cmpuint(count_left(queue), ==, 0);
    job_queue_free(queue);
}

/* -- Bodies ------------------------------------------------------------------------------------ */

static void count_call(Body *body, gpointer user)
{
    ++*(guint *)user;
}

static void settle(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

static int some_file(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void test_body_streams(void)
{
    g_autoptr(Body) body = body_new(1, 2);
    guint opened = 0, early = 0, late = 0;

    body_wait(body, 0, count_call, &opened);
    body_wait(body, 100, count_call, &early);
    body_wait(body, 5000, count_call, &late); /* more than there is: all of it */
    settle();
    g_assert_cmpuint(opened + early + late, ==, 0);
    body_begin(body, some_file(), 1000);
    g_assert_cmpuint(opened, ==, 0); /* never from within the call */
    settle();
    g_assert_cmpuint(opened, ==, 1);
    g_assert_cmpuint(early + late, ==, 0);
    body_progress(body, 200);
    settle();
    g_assert_cmpuint(early, ==, 1);
    g_assert_cmpuint(late, ==, 0);
    body_progress(body, 1000);
    settle();
    g_assert_cmpuint(late, ==, 1);
    g_assert_cmpint(body_state(body), ==, BODY_WHOLE);
}

static void test_body_fails(void)
{
    g_autoptr(Body) body = body_new(1, 2);
    g_autoptr(GError) error = NULL;
    guint called = 0, cancelled = 0;
    BodyWait *wait;

    mail_fail(&error, MAIL_ERROR_GONE, "gone");
    body_wait(body, 10, count_call, &called);
    wait = body_wait(body, 10, count_call, &cancelled);
    body_fail(body, error);
    body_wait_cancel(wait);
    settle();
    g_assert_cmpuint(called, ==, 1);
    g_assert_cmpuint(cancelled, ==, 0);
    g_assert_error(body_error(body), MAIL_ERROR, MAIL_ERROR_GONE);
}

/* What was whole stays so: a connection that breaks afterwards is no loss to its reader. */
static void test_body_whole_stays(void)
{
    g_autoptr(Body) body = body_new(1, 2);
    g_autoptr(GError) error = NULL;

    mail_fail(&error, MAIL_ERROR_OFFLINE, "cut");
    body_begin(body, some_file(), 10);
    body_progress(body, 10);
    body_fail(body, error);
    g_assert_cmpint(body_state(body), ==, BODY_WHOLE);
}

/* After a lost connection it begins anew, from nothing. */
static void test_body_again(void)
{
    g_autoptr(Body) body = body_new(1, 2);

    body_begin(body, some_file(), 10);
    body_progress(body, 5);
    body_begin(body, some_file(), 12);
    g_assert_cmpuint(body_received(body), ==, 0);
    g_assert_cmpuint(body_size(body), ==, 12);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/queue/most-urgent-first", test_most_urgent_first);
    g_test_add_func("/queue/roles", test_roles);
    g_test_add_func("/queue/match", test_match);
    g_test_add_func("/queue/remove", test_remove);
    g_test_add_func("/body/streams", test_body_streams);
    g_test_add_func("/body/fails", test_body_fails);
    g_test_add_func("/body/whole-stays", test_body_whole_stays);
    g_test_add_func("/body/again", test_body_again);
    return g_test_run();
}
