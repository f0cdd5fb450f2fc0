/* SPDX-License-Identifier: MIT
 *
 * report.h - what is told while it runs
 */
#ifndef DEPGRAPH_REPORT_H
#define DEPGRAPH_REPORT_H

#include "worker.h"

struct report {
    const struct worker *workers;
    uint32_t             count;
    bool                 terminal;
    uint64_t             start, last_time, last_queries;
    double              *rss; /* samples, in MB */
    size_t               samples, capacity;
};

void report_start(struct report *r, const struct worker *workers, uint32_t count);
void report_line(struct report *r);
void report_end(struct report *r); /* memory over the run */

#endif
