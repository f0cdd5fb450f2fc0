/* SPDX-License-Identifier: MIT */
#include "hash.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint64_t       seed[2];
static pthread_once_t seed_drawn = PTHREAD_ONCE_INIT;

static void
draw_seed(void)
{
    struct timespec now;

    if (getrandom(seed, sizeof seed, GRND_NONBLOCK) == sizeof seed)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    seed[0] = (uint64_t)now.tv_sec ^ (uintptr_t)&now;
    seed[1] = (uint64_t)now.tv_nsec ^ (uintptr_t)&seed;
}

static uint64_t
rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void
sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void
sip_absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

uint64_t
wn_hash_string(const char *string)
{
    size_t   length = strlen(string), i;
    uint64_t word, v[4];

    pthread_once(&seed_drawn, draw_seed);
    v[0] = seed[0] ^ UINT64_C(0x736f6d6570736575);
    v[1] = seed[1] ^ UINT64_C(0x646f72616e646f6d);
    v[2] = seed[0] ^ UINT64_C(0x6c7967656e657261);
    v[3] = seed[1] ^ UINT64_C(0x7465646279746573);
    for (i = 0; i + sizeof word <= length; i += sizeof word) {
        memcpy(&word, string + i, sizeof word);
        sip_absorb(v, word);
    }
    word = 0;
    memcpy(&word, string + i, length - i);
    sip_absorb(v, word ^ (uint64_t)length << 56);
    v[2] ^= 0xff;
    for (i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
