/* SPDX-License-Identifier: MIT
 *
 * stripe.h - locks by which writers of one key take turns; where a back end cannot read without, readers too
 *
 * A key's stripe is a hash of it; a dictionary has the stripe of the key it was made for. Two stripes are locked in their order.
 */
#ifndef STRIPE_H
#define STRIPE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STRIPES 1024u

void     stripe_open(void); /* draws the seed of the hash */
unsigned stripe_of(const char *key, size_t size);
void     stripe_lock(unsigned stripe);
void     stripe_unlock(unsigned stripe);
void     stripe_lock_two(unsigned one, unsigned other); /* may be the same */
void     stripe_unlock_two(unsigned one, unsigned other);

#ifdef __cplusplus
}
#endif

#endif
