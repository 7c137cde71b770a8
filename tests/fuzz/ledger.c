/* A ledger's file: whatever it holds, it is opened, repaired, and used; what was read once is read
 * again after that, and no number is given twice. */
#include "fuzz.h"

#include "base/io.h"
#include "store/ledger.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME "fuzz.ledger"

static void check(gboolean holds)
{
    if (!holds)
        abort();
}

static char path[] = "/tmp/mailfs-fuzz-XXXXXX";

static void remove_folder(void)
{
    (void)rmdir(path);
}

static int folder(void)
{
    static int fd = -1;

    if (fd < 0) {
        check(mkdtemp(path) != NULL && atexit(remove_folder) == 0);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        check(fd >= 0);
    }
    return fd;
}

static void put(int dir_fd, const uint8_t *data, size_t size)
{
    autofd int fd = io_open_at(dir_fd, NAME, O_WRONLY | O_CREAT | O_TRUNC, 0600, NULL);

    check(fd >= 0 && io_write_all(fd, data, size, NULL));
}

static void use(int dir_fd)
{
    const LedgerEntry entry = {.date = 1};
    g_autoptr(Ledger) ledger = ledger_open(dir_fd, NAME, NULL);
    g_autoptr(Ledger) again = NULL;
    guint32 uidnext, uid;

    if (!ledger)
        return; /* of a later version */
    uidnext = ledger_uidnext(ledger);
    check(ledger_uidvalidity(ledger) != 0 && uidnext != 0);
    for (const LedgerEntry *each = ledger_next(ledger, 1); each;
         each = ledger_next(ledger, each->uid + 1))
        check(each->uid < uidnext);
    uid = ledger_add(ledger, "f:fuzz", &entry, NULL);
    check(uid == 0 || uid >= uidnext);
    check(ledger_flush(ledger, NULL));
    again = ledger_open(dir_fd, NAME, NULL);
    check(again && ledger_n_entries(again) == ledger_n_entries(ledger));
    check(ledger_uidnext(again) == ledger_uidnext(ledger));
    check(ledger_uidvalidity(again) == ledger_uidvalidity(ledger));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = folder();

    put(fd, data, size);
    use(fd);
    (void)unlinkat(fd, NAME, 0);
    (void)unlinkat(fd, NAME ".damaged", 0);
    return 0;
}
