/* SPDX-License-Identifier: MIT
 *
 * live_at_exit.c - ends with a live heap, which detectors of leaks must not complain about: live_at_exit [lose | clear]
 *
 * What lives hangs on root slots in static memory, by all that the library has: slots with tags, vectors, maps, caches, weak
 * references, shared objects, cycles, and displaced units that wait. With lose, one object's last pointer is
 * forgotten on purpose; with clear, nothing lives in the end.
 */
#include <wane/containers.h>
#include <wane/memory.h>
#include <wane/weakmap.h>

#include <pthread.h>
#include <string.h>

struct node {
    wane_slot a, b, c;
};
WANE_TYPE(node, a, b, c);

enum { ROOT, TAGGED, WEAK, VECTOR, MAP, CACHE, WEAK_MAP, PLACES };
static wane_slot at[PLACES];

static struct node *
ring(int n)
{
    struct node *first = wane_new(&node_type), *last = first;

    for (int i = 1; i < n; i++) {
        struct node *next = wane_new(&node_type);

        wane_put(&last->a, next);
        last = next;
    }
    wane_set(&last->a, first);
    return first;
}

static void *
elsewhere(void *unused)
{
    struct node *n = ring(20), *old;

    wane_put(&n->b, wane_new(&node_type));
    wane_put(&n->b, wane_new(&node_type)); /* the former one waits for a grace period */
    old = wane_swap(&at[TAGGED], wane_tag(n, 5));
    wane_release(old);
    return unused;
}

static void
fill_containers(struct node *n)
{
    struct wane_vec     *v = wane_vec_new();
    struct wane_map     *m = wane_map_new();
    struct wane_cache   *c = wane_cache_new(1000);
    struct wane_weakmap *w = wane_weakmap_new();
    struct node         *value = ring(3);

    for (int i = 0; i < 100; i++) {
        char key[] = {(char)('a' + i % 26), (char)('a' + i / 26), 0};

        (void)wane_vec_push(v, ring(2));
        (void)wane_map_put(m, key, ring(2));
        (void)wane_cache_put(c, key, ring(2), 1);
    }
    (void)wane_weakmap_set(w, n, value);
    wane_release(value);
    wane_put(&at[VECTOR], v);
    wane_put(&at[MAP], m);
    wane_put(&at[CACHE], c);
    wane_put(&at[WEAK_MAP], w);
}

/* Not inlined, so that its frame is gone. */
static __attribute__((noinline)) void
lose(void)
{
    struct node *volatile n = wane_new(&node_type);

    n = NULL;
    (void)n;
}

int
main(int argc, char **argv)
{
    pthread_t    thread;
    struct node *n = ring(1000);

    wane_put(&at[ROOT], n);
    wane_put(&at[WEAK], wane_weak(n));
    fill_containers(n);
    (void)wane_share(n);
    if (pthread_create(&thread, NULL, elsewhere, NULL) || pthread_join(thread, NULL))
        return 1;
    if (argc > 1 && strcmp(argv[1], "lose") == 0)
        lose();
    if (argc > 1 && strcmp(argv[1], "clear") == 0) {
        (void)wane_unshare(n);
        for (int i = 0; i < PLACES; i++)
            wane_clear(&at[i]);
    }
    return 0;
}
