/* SPDX-License-Identifier: MIT
 *
 * hash.h - a hash of strings that strangers cannot aim at
 *
 * SipHash-1-3 (Aumasson, Bernstein 2012) under a key that the first call draws; children of a fork keep it. Words are
 * read in the byte order of the machine.
 */
#ifndef WN_HASH_H
#define WN_HASH_H

#include <stdint.h>

uint64_t wn_hash_string(const char *string);

#endif
