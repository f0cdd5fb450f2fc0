/* SPDX-License-Identifier: MIT
 *
 * metrics.h - a port for browsers and scrapers: /metrics, /stats.json, and a page at /
 */
#ifndef METRICS_H
#define METRICS_H

#include <stdbool.h>

/* Serve on this listening socket until metrics_end. page: a file, or NULL. */
bool metrics_start(int listener, const char *page);
void metrics_end(void);

#endif
