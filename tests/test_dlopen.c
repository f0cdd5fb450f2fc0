/* SPDX-License-Identifier: MIT
 *
 * test_dlopen.c - the library loaded by name into a program that is not linked to it
 *
 * Its thread-local word must fit into what the loader keeps for late comers, and a thread that used the library must be
 * able to exit after dlclose: the library's thread-exit code has to be there still.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <wane/wane.h> /* types only: no symbol of the library is referenced */

struct node {
    wane_slot next;
};

static const uint32_t   slots[] = {offsetof(struct node, next)};
static struct wane_type type = {"node", sizeof(struct node), slots, 1, 0, 0, 0, 0, {0}};

static struct {
    void *(*new)(struct wane_type *);
    void *(*retain)(void *);
    void (*release)(void *);
    void (*enter)(void);
    void (*leave)(void);
    void *(*peek)(const wane_slot *);
    void (*set)(wane_slot *, void *);
    int (*collect)(int, struct wane_collected *);
    int (*shutdown)(void);
} wane;

static pthread_barrier_t loaded, used, closed;

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
    void *symbol = dlsym(library, name);

    require(symbol != NULL, name);
    *(void **)function = symbol;
}

static void *
open_library(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library)
        fprintf(stderr, "%s\n", dlerror());
    require(library != NULL, "dlopen");
    load(library, "wane_new", &wane.new);
    load(library, "wane_retain", &wane.retain);
    load(library, "wane_release", &wane.release);
    load(library, "wane_enter", &wane.enter);
    load(library, "wane_leave", &wane.leave);
    load(library, "wane_peek", &wane.peek);
    load(library, "wane_set", &wane.set);
    load(library, "wane_collect", &wane.collect);
    load(library, "wane_shutdown", &wane.shutdown);
    return library;
}

static void
make_cycle(void)
{
    struct node *a = wane.new(&type), *b = wane.new(&type);

    require(a && b, "wane_new");
    wane.set(&a->next, b);
    wane.set(&b->next, a);
    wane.enter();
    require(wane.peek(&a->next) == b, "wane_peek");
    require(wane.retain(b) == b, "wane_retain");
    wane.release(b);
    wane.leave();
    wane.release(a);
    wane.release(b);
}

static void *
user(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&loaded);
    make_cycle();
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    return NULL; /* its record is given up here, by code of a library that was closed */
}

int
main(int argc, char **argv)
{
    struct wane_collected c = {0};
    pthread_t             thread;
    void                 *library;

    require(argc == 2, "usage: test_dlopen LIBRARY");
    pthread_barrier_init(&loaded, NULL, 2);
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&closed, NULL, 2);
    require(pthread_create(&thread, NULL, user, NULL) == 0, "pthread_create"); /* older than the library */
    library = open_library(argv[1]);
    pthread_barrier_wait(&loaded);
    pthread_barrier_wait(&used);
    require(dlclose(library) == 0, "dlclose");
    pthread_barrier_wait(&closed);
    require(pthread_join(thread, NULL) == 0, "pthread_join");

    require(open_library(argv[1]) == library, "the library is where it was");
    make_cycle();
    require(wane.collect(WANE_ALL, &c) == 0, "wane_collect");
    require(wane.shutdown() == 0, "nothing is left");
    require(dlclose(library) == 0, "dlclose");
    return 0;
}
