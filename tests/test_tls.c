/* SPDX-License-Identifier: MIT
 *
 * test_tls.c - the library loaded late, after many others with thread-local variables of either model
 *
 * usage: test_tls LIBRARY OTHER...   Threads that are older than all of them, and younger ones, use all of them.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <wane/wane.h> /* types only */

struct pair {
    wane_slot other;
};

static const uint32_t   slots[] = {offsetof(struct pair, other)};
static struct wane_type type = {"pair", sizeof(struct pair), slots, 1, 0, 0, 0, 0, {0}};

#define MOST_OTHERS 64

static int (*eat[MOST_OTHERS])(int);
static int others;
static void *(*new)(struct wane_type *);
static void (*set)(wane_slot *, void *), (*release)(void *);
static int (*collect)(int, struct wane_collected *), (*shut_down)(void);
static pthread_barrier_t loaded;

static void
require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "failed: %s\n", what);
    exit(1);
}

static void
load(void *library, const char *name, void *function)
{
    *(void **)function = library ? dlsym(library, name) : NULL;
    if (!*(void **)function)
        fprintf(stderr, "%s\n", dlerror());
    require(*(void **)function != NULL, name);
}

static void *
use(void *wait)
{
    struct pair *a, *b;

    if (wait)
        pthread_barrier_wait(&loaded);
    for (int round = 1; round < 100; round++) {
        for (int i = 0; i < others; i++)
            require(eat[i](round) == round, "a variable of another library is this thread's, and zero at first");
        a = new(&type);
        b = new(&type);
        require(a && b, "wane_new");
        set(&a->other, b);
        set(&b->other, a);
        release(a);
        release(b);
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    struct wane_collected c = {0};
    pthread_t             older, younger;
    void                 *library;

    require(argc > 1 && argc - 2 <= MOST_OTHERS, "usage: test_tls LIBRARY OTHER...");
    pthread_barrier_init(&loaded, NULL, 2);
    require(pthread_create(&older, NULL, use, &loaded) == 0, "pthread_create");
    for (int i = 2; i < argc; i++)
        load(dlopen(argv[i], RTLD_NOW | RTLD_LOCAL), "eat", &eat[others++]);
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    load(library, "wane_new", &new);
    load(library, "wane_set", &set);
    load(library, "wane_release", &release);
    load(library, "wane_collect", &collect);
    load(library, "wane_shutdown", &shut_down);
    pthread_barrier_wait(&loaded);
    require(pthread_create(&younger, NULL, use, NULL) == 0, "pthread_create");
    (void)use(NULL);
    pthread_join(older, NULL);
    pthread_join(younger, NULL);
    require(collect(WANE_ALL, &c) == 0, "wane_collect");
    require(shut_down() == 0, "nothing is left");
    return 0;
}
