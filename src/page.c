/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* secure_getenv */
#include "page.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <wane/observe.h>

#include "driver.h"
#include "metrics.h"

#define MAGIC     "wanepage"
#define VERSION   1
#define BYTES     ((size_t)256 * 1024)
#define HEAD      64
#define PERIOD_NS UINT64_C(250000000)

struct page {
    char                 magic[8]; /* c, as all up to the sequence */
    uint32_t             version, head, process;
    struct wane_atomic32 sequence, length; /* a */
    uint32_t             room;             /* c */
    uint64_t             made;             /* c */
    struct wane_atomic64 written;          /* a */
    uint64_t             period;           /* c */
    uint64_t             reserved;
    struct wane_atomic64 text[(BYTES - HEAD) / sizeof(uint64_t)]; /* a: relaxed, between two stores of the sequence */
};
_Static_assert(offsetof(struct page, text) == HEAD && sizeof(struct page) == BYTES, "as page.h says");

static struct wane_atomic32 busy;   /* a: 1 guards the following */
static struct page         *page;   /* NULL: none */
static uint64_t             due;    /* when to write again */
static char                 path[4096];
static bool                 wanted; /* the background makes one of the default path */

static struct wane_atomic32 any; /* a: a guess for who would look: there is a page, or one is wanted */

/* Not by mutators. Whoever has it holds it for a write of the page at most. */
static void
lock(void)
{
    while (exchange_acq_rel(&busy, 1u))
        wn_driver_pause();
}

static void
unlock(void)
{
    store_relaxed(&any, (uint32_t)(page || wanted));
    store_release(&busy, 0u);
}

static uint64_t
boot_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- The file ------------------------------------------------------------------------------------------------------------ */

/* A page of a process that is no more, or of an earlier one with this number; never another file. */
static bool
is_left_over(const char *name)
{
    struct {
        char     magic[8];
        uint32_t version, head, process;
    } h;
    int     fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : pread(fd, &h, sizeof h, 0);

    if (fd >= 0)
        close(fd);
    return n == (ssize_t)sizeof h && memcmp(h.magic, MAGIC, sizeof h.magic) == 0 &&
           ((pid_t)h.process == getpid() || (kill((pid_t)h.process, 0) && errno == ESRCH));
}

static int
create(const char *name)
{
    int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = open(name, flags, 0600);

    if (fd < 0 && errno == EEXIST && is_left_over(name) && unlink(name) == 0)
        fd = open(name, flags, 0600);
    return fd < 0 ? -errno : fd;
}

/* With all its memory at once: a store must not find the file system full. */
static struct page *
map(int fd, int *error)
{
    void *p;

    *error = -posix_fallocate(fd, 0, BYTES);
    if (*error)
        return NULL;
    p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *error = p == MAP_FAILED ? -errno : 0;
    return p == MAP_FAILED ? NULL : p;
}

static void
fill_head(struct page *p)
{
    memcpy(p->magic, MAGIC, sizeof p->magic);
    p->version = VERSION;
    p->head = HEAD;
    p->process = (uint32_t)getpid();
    p->room = BYTES - HEAD;
    p->made = boot_time();
    p->period = PERIOD_NS;
}

/* Under the lock. */
static int
open_locked(const char *name)
{
    int          fd, error;
    struct page *p;

    if (page)
        return -EALREADY;
    if (snprintf(path, sizeof path, "%s", name) >= (int)sizeof path)
        return -ENAMETOOLONG;
    fd = create(path);
    if (fd < 0)
        return fd;
    p = map(fd, &error);
    close(fd);
    if (!p) {
        unlink(path);
        return error;
    }
    fill_head(p);
    page = p;
    due = 0;
    return 0;
}

static int
open_default(void)
{
    char name[64];

    snprintf(name, sizeof name, "/dev/shm/wane.%ld", (long)getpid());
    return open_locked(name);
}

int
wane_page_open(const char *name)
{
    int rc;

    lock();
    rc = name ? open_locked(name) : open_default();
    wanted = wanted || (rc == 0 && !name);
    unlock();
    if (rc == 0)
        wn_wake_background();
    return rc;
}

void
wane_page_close(void)
{
    lock();
    wanted = false;
    if (page) {
        unlink(path);
        munmap(page, BYTES);
        page = NULL;
    }
    unlock();
}

/* ---- Writing ------------------------------------------------------------------------------------------------------------- */

static void
publish(struct page *p, const struct wn_text *t)
{
    uint32_t sequence = load_relaxed(&p->sequence); /* relaxed: written under the lock only */

    exchange_seq_cst(&p->sequence, sequence + 1); /* both are RMWs, for readers in other processes: around the stores between */
    for (size_t i = 0; i < t->used; i += sizeof(uint64_t)) {
        uint64_t word = 0;

        memcpy(&word, t->data + i, t->used - i < sizeof word ? t->used - i : sizeof word);
        store_relaxed(&p->text[i / sizeof word], word);
    }
    store_relaxed(&p->length, (uint32_t)t->used);
    store_relaxed(&p->written, boot_time());
    exchange_seq_cst(&p->sequence, sequence + 2);
}

/* Without memory the page stays as it is. */
static void
write_page(struct page *p)
{
    struct wn_text t;

    wn_text_init(&t, -1);
    wn_metrics_json(&t, BYTES - HEAD);
    if (!t.error && t.used <= BYTES - HEAD)
        publish(p, &t);
    t.used = 0;
    (void)wn_text_done(&t);
}

/* Under the lock. */
static uint64_t
attend(void)
{
    uint64_t now = wn_now();

    if (!page && wanted)
        wanted = open_default() == 0;
    if (!page)
        return 0;
    if (now >= due) {
        write_page(page);
        due = now + PERIOD_NS;
    }
    return due - now;
}

uint64_t
wn_page_attend(void)
{
    uint64_t next;

    if (!load_relaxed(&any)) /* relaxed: who opens one wakes the background afterwards */
        return 0;
    if (exchange_acq_rel(&busy, 1u))
        return PERIOD_NS;
    next = attend();
    unlock();
    return next;
}

/* ---- Beginning and end --------------------------------------------------------------------------------------------------- */

void
wn_page_init(void)
{
    const char *value = secure_getenv("WANE_PAGE");
    int         rc;

    if (!value || !*value || strcmp(value, "0") == 0)
        return;
    rc = wane_page_open(strcmp(value, "1") == 0 ? NULL : value);
    if (rc && rc != -EALREADY)
        fprintf(stderr, "wane: WANE_PAGE=%s: %s\n", value, strerror(-rc));
}

void
wn_page_forked(void)
{
    if (page)
        munmap(page, BYTES);
    page = NULL;
    unlock();
}

/* The mapping stays: a background that did not come to an end may be writing. */
void
wn_page_exit(void)
{
    bool mine = false;

    for (int i = 0; i < 1000 && !mine; i++) {
        mine = !exchange_acq_rel(&busy, 1u);
        if (!mine)
            wn_driver_pause();
    }
    if (page)
        unlink(path);
    if (!mine)
        return;
    page = NULL;
    wanted = false;
    unlock();
}
