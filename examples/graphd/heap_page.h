/* SPDX-License-Identifier: MIT
 *
 * heap_page.h - small dictionaries of heap_wane.c: one object with all entries, keys included
 *
 * A node with a few edges in a wane_map is five objects and more; with a page it is two. The collector looks at fewer, and walks
 * read keys and references side by side.
 *
 * One writer at a time (the stripe's lock); readers beside it, in sections.
 */
#ifndef HEAP_PAGE_H
#define HEAP_PAGE_H

#include <wane/wane.h>

#define PAGE_MOST 64 /* entries; dictionaries that have more are maps */

struct page;

/* An empty page that takes `entries` keys of so many bytes in all; owned, or NULL. */
struct page *page_new(size_t entries, size_t key_bytes);

/* Borrowed, or NULL. */
void *page_find(const struct page *p, const char *key, size_t size);

/* Writer: the value takes the place of another one, or is added; it is retained. 1: a new key; 0: it was there; -ENOSPC: the key
 * is not there, and there is no room for it. */
int page_set(struct page *p, const char *key, size_t size, void *value);

/* Writer. */
bool page_remove(struct page *p, const char *key, size_t size);

/* Writer: another page with the same entries and room for one more, of this size; owned, or NULL. */
struct page *page_grown(const struct page *p, size_t key_bytes);

/* Until fn returns false. */
void page_each(const struct page *p, bool (*fn)(const char *key, size_t size, void *value, void *arg), void *arg);

#endif
