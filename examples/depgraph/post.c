/* SPDX-License-Identifier: MIT
 *
 * post.c - lists of changed names
 */
#include "post.h"

#include <stdlib.h>

#define LAST UINT32_MAX

void
post_init(struct post *post, const struct universe *u, uint32_t owners)
{
    uint32_t name, i;

    *post = (struct post){.universe = u, .owners = owners};
    post->audience = need(u->names.count, sizeof *post->audience);
    post->boxes = need(owners, sizeof *post->boxes);
    for (i = 0; i < owners; i++)
        post->boxes[i].next = need(u->names.count, sizeof *post->boxes[i].next);
    for (name = 0; name < u->names.count; name++) {
        for (i = 0; i < table_count(&u->dependents, name); i++)
            post->audience[name] |= UINT64_C(1) << owner_of(post, table_row(&u->dependents, name)[i]);
    }
}

static void
push(struct box *box, uint32_t name)
{
    unsigned free_mark = 0, head;

    if (!atomic_compare_exchange_strong(&box->next[name], &free_mark, LAST))
        return; /* waits already: whoever goes through it looks the name up after taking it off */
    head = atomic_load(&box->head);
    do
        atomic_store(&box->next[name], head ? head : LAST);
    while (!atomic_compare_exchange_weak(&box->head, &head, name + 1));
}

void
post_tell(struct post *post, uint32_t name)
{
    uint32_t i;

    for (i = 0; i < post->owners; i++) {
        if (post->audience[name] >> i & 1)
            push(&post->boxes[i], name);
    }
}

uint32_t
post_next(struct post *post, uint32_t owner)
{
    struct box *box = &post->boxes[owner];
    uint32_t    name;

    if (box->taken == 0)
        box->taken = atomic_load(&box->head) ? atomic_exchange(&box->head, 0) : 0;
    if (box->taken == 0)
        return NONE;
    name = box->taken - 1;
    box->taken = atomic_exchange(&box->next[name], 0);
    if (box->taken == LAST)
        box->taken = 0;
    return name;
}

void
post_free(struct post *post)
{
    uint32_t i;

    for (i = 0; i < post->owners; i++)
        free(post->boxes[i].next);
    free(post->boxes);
    free(post->audience);
    *post = (struct post){0};
}
