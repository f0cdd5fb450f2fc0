/* SPDX-License-Identifier: MIT
 *
 * probe.h - named points for perf, bpftrace, systemtap (USDT): a nop in the code and a note in the file, where sys/sdt.h was
 * there at build time (-Dprobes); else nothing
 *
 *   wane:collection__begin (generation)
 *   wane:collection__end   (generation, objects freed, nanoseconds)
 *   wane:abort             (objects given back, nanoseconds): before the end of that collection
 *   wane:grace__period     (epoch): sections that began before it have ended
 *   wane:merge             (header, local units): a thread gives up a bias, or somebody for it
 *   wane:stall             (thread id, nanoseconds, units that wait)
 */
#ifndef WN_PROBE_H
#define WN_PROBE_H

#ifdef WN_PROBES
#include <sys/sdt.h>
#define WN_PROBE1(name, a) STAP_PROBE1(wane, name, a)
#define WN_PROBE2(name, a, b) STAP_PROBE2(wane, name, a, b)
#define WN_PROBE3(name, a, b, c) STAP_PROBE3(wane, name, a, b, c)
#else
#define WN_PROBE1(name, a) ((void)0)
#define WN_PROBE2(name, a, b) ((void)0)
#define WN_PROBE3(name, a, b, c) ((void)0)
#endif

#endif
