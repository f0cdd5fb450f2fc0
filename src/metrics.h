/* SPDX-License-Identifier: MIT
 *
 * metrics.h - the statistics as JSON, for who does not write to a descriptor
 */
#ifndef WN_METRICS_H
#define WN_METRICS_H

#include "text.h"

/* At most so many bytes, where types need no more than that: those that do not fit are counted in "types_left_out". */
void wn_metrics_json(struct wn_text *text, size_t most);

#endif
