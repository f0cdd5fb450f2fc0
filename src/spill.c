/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* O_TMPFILE */
#include "spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "header.h"
#include "memory.h"
#include "step.h"
#include "type.h"

#define BLOCK     UINT64_C(4096)
#define WORD_BITS 64u

struct file {
    int                   fd;
    uint64_t              blocks; /* c */
    uint64_t              from;   /* of purges: where to look first */
    struct wane_atomic64  taken[]; /* a: bits */
};

struct stub {
    wane_slot         file;
    struct wane_type *type; /* c: the rest, too */
    size_t            size;
    uint64_t          block;
};

static struct wane_atomic64 out_count, in_count, bytes_there;

static uint64_t
blocks_for(size_t size)
{
    return (size + BLOCK - 1) / BLOCK;
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------- */

static bool
is_taken(const struct file *f, uint64_t block)
{
    /* acquire E7: the last reader of these bytes is done with them. */
    return load_acquire(&f->taken[block / WORD_BITS]) >> block % WORD_BITS & 1;
}

/* n blocks in a row at or behind `from`, or f->blocks. */
static uint64_t
find_run(const struct file *f, uint64_t from, uint64_t n)
{
    uint64_t run = 0;

    for (uint64_t i = from; i < f->blocks; i++) {
        run = is_taken(f, i) ? 0 : run + 1;
        if (run == n)
            return i + 1 - n;
    }
    return f->blocks;
}

static void
give_blocks(struct file *f, uint64_t block, uint64_t n)
{
    for (uint64_t i = block; i < block + n; i++)
        fetch_and_release(&f->taken[i / WORD_BITS], ~(UINT64_C(1) << i % WORD_BITS)); /* release E7 */
}

/* One purge at a time: nobody else takes. */
static uint64_t
take_blocks(struct file *f, uint64_t n)
{
    uint64_t block = find_run(f, f->from, n);

    if (block == f->blocks)
        block = find_run(f, 0, n);
    if (block == f->blocks)
        return block;
    for (uint64_t i = block; i < block + n && !WN_MUTANT(spill_blocks_overlap); i++)
        fetch_or_relaxed(&f->taken[i / WORD_BITS], UINT64_C(1) << i % WORD_BITS); /* relaxed: see find_run */
    f->from = block + n;
    return block;
}

/* ---- The file ----------------------------------------------------------------------------------------------------- */

static void
file_dispose(void *object)
{
    struct file *f = object;

    if (f->fd >= 0)
        close(f->fd);
}

static struct wane_type file_type = {
    .name = "wane.spill", .size = sizeof(struct file), .dispose = file_dispose, .flags = WANE_SIZED};

int
wn_open_nameless(const char *directory)
{
    char path[4096];
    int  fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
        return fd;
    if ((size_t)snprintf(path, sizeof path, "%s/wane-XXXXXX", directory) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

void *
wn_spill_open(const char *directory, size_t most)
{
    uint64_t     words = (most / BLOCK + WORD_BITS - 1) / WORD_BITS;
    struct file *f = wane_new_sized(&file_type, sizeof *f + words * sizeof f->taken[0]);

    if (!f)
        return NULL;
    f->blocks = most / BLOCK;
    f->fd = wn_open_nameless(directory);
    if (f->fd < 0) {
        int error = errno;

        wane_release(f);
        errno = error;
        return NULL;
    }
    return f;
}

static bool
transfer(ssize_t done)
{
    return done > 0 || (done < 0 && errno == EINTR);
}

static bool
write_all(int fd, const char *from, size_t size, uint64_t at)
{
    while (size) {
        ssize_t n = pwrite(fd, from, size, (off_t)at);

        if (!transfer(n))
            return false;
        if (n > 0)
            from += n, size -= (size_t)n, at += (uint64_t)n;
    }
    return true;
}

static bool
read_all(int fd, char *to, size_t size, uint64_t at)
{
    while (size) {
        ssize_t n = pread(fd, to, size, (off_t)at);

        if (!transfer(n))
            return false;
        if (n > 0)
            to += n, size -= (size_t)n, at += (uint64_t)n;
    }
    return true;
}

/* ---- Stubs -------------------------------------------------------------------------------------------------------- */

static void
stub_dispose(void *object)
{
    struct stub *s = object;
    struct file *f = wane_peek(&s->file);

    if (!f || WN_MUTANT(spill_keeps_blocks))
        return;
    give_blocks(f, s->block, blocks_for(s->size));
    fetch_add_relaxed(&bytes_there, -(uint64_t)s->size);
}

static const uint32_t   stub_slots[] = {offsetof(struct stub, file)};
static struct wane_type stub_type = {.name = "wane.spilled",
                                     .size = sizeof(struct stub),
                                     .slots = stub_slots,
                                     .slot_count = 1,
                                     .dispose = stub_dispose};

bool
wn_spill_is_stub(const void *object)
{
    return wn_type_of(WANE_HEADER(object))->declared == &stub_type;
}

bool
wn_spill_takes(const void *object)
{
    const struct wane_header *h = WANE_HEADER(object);
    const struct wn_type     *t = wn_type_of(h);

    return !t->has_slots && !t->dispose && !t->finalize && wn_type_payload_size(t, h) >= BLOCK &&
           !(load_acquire(&h->word1) & (WN_MUTANT(spill_takes_weak) ? WN_SHARED : WN_WEAK | WN_SHARED));
}

void *
wn_spill_out(void *file, const void *object)
{
    struct file *f = file;
    size_t       size = wane_size_of(object);
    uint64_t     block = take_blocks(f, blocks_for(size));
    struct stub *s;

    if (block == f->blocks)
        return NULL;
    s = wane_new(&stub_type);
    if (!s || !write_all(f->fd, object, size, block * BLOCK)) {
        give_blocks(f, block, blocks_for(size));
        wane_release(s);
        return NULL;
    }
    s->type = wn_type_of(WANE_HEADER(object))->declared;
    s->size = size;
    s->block = block;
    wane_set(&s->file, f);
    fetch_add_relaxed(&out_count, 1u);
    fetch_add_relaxed(&bytes_there, (uint64_t)size);
    return s;
}

void *
wn_spill_in(const void *stub)
{
    const struct stub *s = stub;
    struct file       *f = wane_get(&s->file);
    void *object = s->type->flags & WANE_SIZED ? wane_new_sized(s->type, s->size) : wane_new(s->type);

    if (object && !read_all(f->fd, object, s->size, s->block * BLOCK)) {
        wane_release(object);
        object = NULL;
        errno = EIO;
    }
    wane_release(f);
    if (object)
        fetch_add_relaxed(&in_count, 1u);
    return object;
}

void
wn_spill_stats(struct wane_memory_stats *out)
{
    out->spilled = load_relaxed(&out_count);
    out->brought_back = load_relaxed(&in_count);
    out->spilled_bytes = load_relaxed(&bytes_there);
}
