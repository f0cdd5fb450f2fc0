/* SPDX-License-Identifier: MIT */
#include "gate.h"

#include <pthread.h>

static pthread_mutex_t      gate = PTHREAD_MUTEX_INITIALIZER;
static struct wane_atomic32 wanted; /* forks that wait */
static struct wane_atomic64 holder; /* a: the thread inside, to know oneself */

static uint64_t
myself(void)
{
    return (uint64_t)(uintptr_t)pthread_self();
}

void
wn_gate_enter(void)
{
    pthread_mutex_lock(&gate);
    store_relaxed(&holder, myself());
}

void
wn_gate_leave(void)
{
    store_relaxed(&holder, UINT64_C(0));
    pthread_mutex_unlock(&gate);
}

bool
wn_gate_is_wanted(void)
{
    return load_relaxed(&wanted);
}

bool
wn_callback_begin(void)
{
    bool drives = load_relaxed(&holder) == myself();

    if (drives)
        wn_gate_leave();
    return drives;
}

void
wn_callback_end(bool drives)
{
    if (drives)
        wn_gate_enter();
}

/* The forking thread is never inside: user code runs with the gate let go. */
void
wn_gate_close(void)
{
    fetch_add_relaxed(&wanted, 1u);
    pthread_mutex_lock(&gate);
    fetch_add_relaxed(&wanted, UINT32_MAX);
}

void
wn_gate_open(void)
{
    pthread_mutex_unlock(&gate);
}

void
wn_gate_forked(void)
{
    pthread_mutex_init(&gate, NULL);
    store_relaxed(&wanted, 0u);
    store_relaxed(&holder, UINT64_C(0));
}
