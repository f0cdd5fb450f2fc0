/* SPDX-License-Identifier: MIT
 *
 * access.c - each atomic access: a point, then the thread's store buffer, then memory
 */
#include "explore.h"

static struct ex_buffer *
own(void)
{
    return ex_thread_buffer(ex_self());
}

/* ---- Store buffers ---------------------------------------------------------------------------------------------------- */

void
ex_drain_own(void)
{
    ex_buffer_drain(own(), EX_BUFFER);
}

void
ex_buffers_drain(void)
{
    for (unsigned i = 0; i < ex_threads(); i++)
        ex_buffer_drain(ex_thread_buffer(i), EX_BUFFER);
}

void
ex_buffers_forget(uintptr_t begin, uintptr_t end)
{
    ex_buffer_forget(own(), begin, end);
}

static void
check_address(const volatile void *p, const char *what)
{
    if (ex_heap_is_freed((uintptr_t)p))
        ex_fail("%s freed memory", what);
}

static uint64_t
read_memory(const volatile void *p, unsigned size)
{
    switch (size) {
    case 1: return *(const volatile uint8_t *)p;
    case 2: return *(const volatile uint16_t *)p;
    case 4: return *(const volatile uint32_t *)p;
    default: return *(const volatile uint64_t *)p;
    }
}

static void
write_memory(volatile void *p, unsigned size, uint64_t value)
{
    switch (size) {
    case 1: *(volatile uint8_t *)p = (uint8_t)value; break;
    case 2: *(volatile uint16_t *)p = (uint16_t)value; break;
    case 4: *(volatile uint32_t *)p = (uint32_t)value; break;
    default: *(volatile uint64_t *)p = value; break;
    }
}

uint64_t
ex_load(const volatile void *p, unsigned size, const char *where)
{
    uint64_t value;

    if (!ex_is_running())
        return read_memory(p, size);
    ex_point(p, false, where);
    if (ex_buffer_find(own(), (uintptr_t)p, size, &value))
        return value;
    check_address(p, "reads");
    return read_memory(p, size);
}

void
ex_store(volatile void *p, unsigned size, uint64_t value, int order, const char *where)
{
    if (!ex_is_running()) {
        write_memory(p, size, value);
        return;
    }
    ex_point(p, true, where);
    check_address(p, "writes");
    if (ex->plan.buffered && order != __ATOMIC_SEQ_CST) {
        ex_buffer_add(own(), (struct ex_entry){(uintptr_t)p, value, size, where});
        return;
    }
    ex_drain_own();
    write_memory(p, size, value);
}

static uint64_t
result(enum ex_rmw what, uint64_t old, uint64_t value)
{
    return what == EX_XCHG ? value : what == EX_ADD ? old + value : what == EX_OR ? old | value : old & value;
}

uint64_t
ex_rmw(volatile void *p, unsigned size, enum ex_rmw what, uint64_t value, const char *where)
{
    uint64_t old;

    if (ex_is_running()) {
        ex_point(p, true, where);
        ex_drain_own();
        check_address(p, "changes");
    }
    old = read_memory(p, size);
    write_memory(p, size, result(what, old, value));
    return old;
}

bool
ex_cas(volatile void *p, unsigned size, void *expected, uint64_t desired, const char *where)
{
    uint64_t old, want = read_memory(expected, size);

    if (ex_is_running()) {
        ex_point(p, true, where);
        ex_drain_own();
        check_address(p, "changes");
    }
    old = read_memory(p, size);
    if (old == want)
        write_memory(p, size, desired);
    else
        write_memory(expected, size, old);
    return old == want;
}

void
ex_fence(const char *where)
{
    if (!ex_is_running())
        return;
    ex_point(NULL, false, where);
    ex_drain_own();
}
