/* SPDX-License-Identifier: MIT
 *
 * observe.h - what the heap holds, and why; how the runtime fares (docs/observe.md)
 *
 * Everything here writes to a descriptor: a file, a pipe, a socket. Nothing here stops other threads.
 */
#ifndef WANE_OBSERVE_H
#define WANE_OBSERVE_H

#include <wane/wane.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * wane_observe - note the objects that are made from now on, so that the calls below find them
 *
 * @yes      false: objects made later are not noted; those that were stay so until they die
 * Returns   what was set before. With WANE_OBSERVE=1 in the environment it is set from the start
 * Counts    none
 * Threads   any; other threads may go by the old setting for a moment
 * Progress  lock-free. While it is on, a birth and a death each cost one RMW, and 1/64 of the heap's address space is used for
 *           it. While it is off, each costs a load and a branch
 */
bool wane_observe(bool yes);

/* A type's flag, beside WANE_SIZED: trace may be called from wane_new on, at any moment of the object's making. Its callback
 * reads by atomic loads what is written by atomic stores, and finds in zeroed memory no slots. Without it the objects that nobody
 * but their maker knows, and most of a WANE_ACYCLIC type, are shown with their declared slots only. */
#define WANE_TRACED_EARLY 2u

/* Another flag: the payload begins with a pointer, written by atomic stores and NULL in the beginning, to an object of which this
 * one owns a unit that is in no slot: the array behind a container. It is shown; the collector does not look at it. */
#define WANE_OWNS_FIRST 4u

/**
 * wane_slot_names - names for the slots that a type declares, in snapshots and reports
 *
 * @type     registered by this call, if it was not
 * @names    one for each of type->slots; kept, not copied. NULL: none. Slots without a name show their offset
 * Returns   0; -EINVAL or -ENOMEM as wane_new's errno
 * Threads   any
 */
int wane_slot_names(struct wane_type *type, const char *const *names);

/**
 * wane_snapshot_write - write the observed heap in the format of Chrome DevTools (.heapsnapshot)
 *
 * @fd       where; written from its present position, not closed
 * Returns   0; -EDEADLK inside a section; -ENOMEM; -EOVERFLOW: more than 2^31 objects; -EAGAIN: for 30 seconds the library was
 *           busy with something that does not end; or -errno of a write, or of the temporary file in $TMPDIR or /tmp
 * Counts    none
 * Threads   any, outside sections; several at a time
 * Progress  blocking: on the descriptor, and on collections. Other threads go on; memory that is let go of meanwhile waits for
 *           the end of a batch of 256 objects, and garbage in cycles for the end of the look at the heap. It takes 4 bytes an
 *           object, 1/100 of the heap's address space, 8 MB, and a temporary file
 *
 * Consistency: the objects are those that were alive at one time between the call and its return, less those that died before
 * they were looked at (their nodes are named "(died meanwhile)"). Each object is looked at once, at some time during the call:
 * its counts, then one slot after the other. So a reference that moves meanwhile may be seen twice, or not at all. What does not
 * change during the call is exact.
 *
 * An object with more units than slots seen that hold it is *held from outside*: by a thread, a root slot, or a displacement that
 * waits for a grace period (wane_barrier ends those). The root node has an edge to each.
 */
int wane_snapshot_write(int fd);

/**
 * wane_metrics_write - write all statistics as OpenMetrics text, for Prometheus and its like
 *
 * @fd       where; a scraper's connection, after the header "content-type: application/openmetrics-text; version=1.0.0"
 * Returns   0; -ENOMEM; or -errno of a write
 * Threads   any, inside or outside a section (the descriptor may block; do not let a section wait for it)
 * Progress  linear in types and records
 *
 * wane_stats_json_write - the same numbers as a JSON object: stats, memory, aborts, phases, histograms, types
 *
 * What it holds: wane_stats, wane_memory_stats, wane_aborts, wane_phases, wane_type_stats, and two histograms by powers of two:
 * how long each collection took, and how long the driver waited for each grace period that a collection or a barrier needed.
 */
int wane_metrics_write(int fd);
int wane_stats_json_write(int fd);

/**
 * wane_stall_write - write who sits in a section, and where: for callbacks of wane_on_stall. WANE_STALL_MS does so on stderr
 *
 * @stall    as the callback got it
 * @fd       where; a line with the thread's name, the age, and what waits; then, as far as the system lets it see: the thread's
 *           state, its system call and the place in the program, its stack in the kernel (root only), its own stack (below)
 * Returns   0; -ENOMEM; -errno of a write
 * Threads   any; outside sections
 * Progress  blocking: reads /proc; waits up to two seconds for an answer to the signal
 *
 * wane_stall_signal - lend a signal by which a thread is asked for its own stack
 *
 * @signal   without a handler, that nobody else sends or waits for (SIGRTMIN + 3, for example); 0: none from here on.
 *           WANE_STALL_SIGNAL=N in the environment does so from the start. System calls in that thread that the kernel does not
 *           restart (nanosleep, poll, epoll_wait) end with EINTR, once for each report
 * Returns   0; -EBUSY: the program has a handler for it; -EINVAL: no such signal; -ENOTSUP: the C library has no backtrace()
 * Threads   any; the handler takes no lock and no memory
 */
int wane_stall_write(const struct wane_stall *stall, int fd);
int wane_stall_signal(int signal);

/**
 * wane_profile - sample births by bytes, with the stacks that they came from
 *
 * @bytes    on average one sample in so many (512 * 1024 is usual); 0: no more samples; those alive go on to be watched until
 *           they die. WANE_PROFILE=1 in the environment samples from the start, WANE_PROFILE=N every N bytes
 * Returns   0; -ENOMEM; -ENOTSUP: the C library has no backtrace()
 * Counts    none
 * Threads   any; others may go by the old setting for a moment
 * Progress  a sample takes some microseconds, in the thread that makes the object; every other birth an addition, every death a
 *           look at one cache line. While it is off, each costs a load and a branch, together with wane_observe
 *
 * wane_profile_write - write the samples as a heap profile for pprof (profile.proto, not compressed)
 *
 * @fd       where; values: alloc_objects, alloc_space, inuse_objects, inuse_space: estimates for all objects that were made since
 *           the beginning, and that live. Space is what was asked of malloc. The label "type" has the name of the type
 * Returns   0; -ENOMEM; -errno of a write
 * Threads   any
 * Progress  linear in stacks
 */
int wane_profile(size_t bytes);
int wane_profile_write(int fd);

/**
 * wane_page_open - keep the statistics in shared memory, for tools/wane-top and whoever else may read the file
 *
 * @path     of a file to make, for this user only; NULL: /dev/shm/wane.PID. With WANE_PAGE=1 (or a path) in the environment it is
 *           opened from the start
 * Returns   0; -EALREADY: there is one; -EEXIST: that file is there, and no page that a dead process has left; or -errno
 * Threads   any; the background, or wane_step, writes it four times a second (src/page.h has the layout). Mutators pay nothing
 * Progress  blocking on the file system
 *
 * wane_page_close - unlink and unmap it; so do wane_shutdown, and the program's exit. A child of a fork has none of its parent's
 */
int  wane_page_open(const char *path);
void wane_page_close(void);

/**
 * wane_explain - write what is known of one object, in words
 *
 * @object   owned by the caller
 * @fd       where; a few lines: its units, whose it is, what its flags say, which slots hold it (the first 32; only of observed
 *           objects), how many units no such slot explains, and the section that grace periods wait for, if any
 * Returns   0; -EDEADLK inside a section; -ENOMEM; -errno of a write
 * Counts    none
 * Threads   any, outside sections
 * Progress  as wane_snapshot_write, without a file. The words are looked at before the slots, so numbers may disagree
 *           while other threads use the object
 */
int wane_explain(const void *object, int fd);

/**
 * wane_leak_report - write what is alive, by type; of the observed types also how one object of each is held
 *
 * @fd       where; without immortal objects, those with the most bytes first. Call wane_collect before, or it shows garbage, too
 * Returns   0; -EDEADLK inside a section; -ENOMEM; -EAGAIN as wane_snapshot_write; -errno of a write
 * Counts    none
 * Threads   any, outside sections
 * Progress  as wane_snapshot_write, without a file: up to 13 walks through the observed heap, and 20 bytes an object
 */
int wane_leak_report(int fd);

/**
 * wane_leak_exit - for tests: a process that exits with objects alive fails
 *
 * @status   its exit status then, after a leak report on stderr; 0: leaks do not matter. WANE_LEAK_EXIT=N in the environment sets
 *           it from the start; children of forks begin with 0
 * Counts    at exit everything that can be destroyed is destroyed first, as by wane_shutdown
 * Threads   any. The check is made when exit() is called, or main returns; other threads are outside of sections by then
 * Progress  exit waits for grace periods, collections and finalizers
 */
void wane_leak_exit(int status);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
