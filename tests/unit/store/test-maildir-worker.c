/* Jobs on a Maildir: what is answered, and what is on the disk then. */
#include "maildir-fixture.h"
int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    return g_test_run();
}
