/* SPDX-License-Identifier: MIT
 *
 * explain.h - edges and flags in words
 */
#ifndef WN_EXPLAIN_H
#define WN_EXPLAIN_H

#include "text.h"
#include "walk.h"

/* ".name", "+16", "[3]", ".owned" .. of a slot of an object of this type. */
void wn_explain_edge(struct wn_text *text, const struct wn_type *type, enum wn_edge kind, size_t number);

#endif
