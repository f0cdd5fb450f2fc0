/* SPDX-License-Identifier: MIT
 *
 * stripe.c - a thousand mutexes, each on a cache line of its own
 *
 * They are held for a few hundred nanoseconds, never around a system call. The hash only spreads keys over stripes: who finds
 * keys that meet in one stripe makes writers take turns, no more. The dictionaries' own hashes are keyed where that matters.
 */
#include "stripe.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

static struct {
    _Alignas(64) pthread_mutex_t mutex;
} stripes[STRIPES];

static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

void
stripe_open(void)
{
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
        seed ^= (uintptr_t)&seed;
    for (unsigned i = 0; i < STRIPES; i++)
        pthread_mutex_init(&stripes[i].mutex, NULL);
}

unsigned
stripe_of(const char *key, size_t size)
{
    uint64_t h = seed ^ size, word;

    for (; size >= sizeof word; key += sizeof word, size -= sizeof word) {
        memcpy(&word, key, sizeof word);
        h = (h ^ word) * UINT64_C(0x9fb21c651e98df25);
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, key, size);
    h = (h ^ word) * UINT64_C(0x9fb21c651e98df25);
    h ^= h >> 35;
    return (unsigned)((h * UINT64_C(0x9e3779b97f4a7c15)) >> 54) % STRIPES;
}

void
stripe_lock(unsigned stripe)
{
    pthread_mutex_lock(&stripes[stripe].mutex);
}

void
stripe_unlock(unsigned stripe)
{
    pthread_mutex_unlock(&stripes[stripe].mutex);
}

void
stripe_lock_two(unsigned one, unsigned other)
{
    stripe_lock(one < other ? one : other);
    if (one != other)
        stripe_lock(one < other ? other : one);
}

void
stripe_unlock_two(unsigned one, unsigned other)
{
    stripe_unlock(one);
    if (one != other)
        stripe_unlock(other);
}
