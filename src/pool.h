/* SPDX-License-Identifier: MIT
 *
 * pool.h - blocks that are there when malloc has nothing: what wane_new has paid for
 *
 * Releases, stores and leaves cannot say that memory ran out. What they may need (candidate entries, queue nodes) is bounded by
 * the number of objects, and wane_new, which may fail, sees to it that so much is there: it *pays*. The bound and the sums are
 * in docs/design.md, "Out of memory". A block is a log chunk or a block of queue nodes.
 *
 * The pool is address space: it is never touched while malloc gives, so it costs no memory. It does not shrink.
 *
 * Invariant: after a pay that succeeded, total >= demand; blocks lent out for what the demand stands for <= demand.
 */
#ifndef WN_POOL_H
#define WN_POOL_H

#include "atomic.h"

#define WN_BLOCK 2048u

/* More is needed by so many blocks. False: there is no memory, and nothing has changed. */
bool wn_pool_pay(uint32_t blocks);

/* The same where nobody can be told: the next wn_pool_pay makes up for it. */
void wn_pool_owe(uint32_t blocks);

/* Less is needed. */
void wn_pool_unpay(uint32_t blocks);

/* Lock-free. NULL: all is lent. */
void *wn_pool_take(void);
void  wn_pool_give(void *block);

/* For tests: blocks that are lent. */
uint64_t wn_pool_lent(void);

#endif
