/* SPDX-License-Identifier: MIT
 *
 * mirror.h - a graph of objects that one thread changes, and the same graph in plain integers
 *
 * The thread holds some units (roots); everything else hangs from them. Each change is made twice: with the
 * runtime's calls and in the mirror. What the mirror reaches must be alive and hold what the mirror says; what it
 * does not reach must die. dispose, on any thread, only leaves the node's serial number in its cell; the mirror's
 * thread judges.
 */
#ifndef MIRROR_H
#define MIRROR_H

#include "harness.h"

struct mirror;

/* `gone` is called at each disposal, on any thread. */
struct mirror *mirror_new(void (*gone)(void));
void           mirror_free(struct mirror *m);

/* One random change, and now and then a check of everything. Outside of sections. */
void mirror_step(struct mirror *m, struct stress_worker *me);

/* How many nodes the roots reach. */
uint64_t mirror_reachable(struct mirror *m);

/* When all is settled: the reachable ones live, the others are gone. */
void mirror_census(struct mirror *m);

/* Release the roots. */
void mirror_drop(struct mirror *m);

#endif
