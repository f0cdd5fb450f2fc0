/* SPDX-License-Identifier: MIT
 *
 * planted.c - a small heap with planted leaks, for readers of snapshots: planted FILE.heapsnapshot
 *
 *     outside -> server .cache -> cache .first -> entry .session -> session A .buffer -> buffer A    (only the cache keeps A)
 *                                       .second -> entry .session -> session B .buffer -> buffer B
 *                server .current -> session B                              (kept twice: the server dominates B)
 *     outside -> session C .buffer -> buffer C                             (a forgotten unit)
 */
#include <wane/observe.h>

#include <fcntl.h>
#include <unistd.h>

struct holder {
    wane_slot first, second;
};

struct session {
    wane_slot buffer;
    char      name[1000];
};

static const uint32_t two[] = {0, 8}, one[] = {0};

static struct wane_type server_type = {.name = "server", .size = sizeof(struct holder), .slots = two, .slot_count = 2};
static struct wane_type cache_type = {.name = "cache", .size = sizeof(struct holder), .slots = two, .slot_count = 2};
static struct wane_type entry_type = {.name = "entry", .size = sizeof(struct holder), .slots = one, .slot_count = 1};
static struct wane_type session_type = {.name = "session", .size = sizeof(struct session), .slots = one, .slot_count = 1};
static struct wane_type buffer_type = {.name = "buffer", .size = 4096};

static wane_slot root;
static void     *forgotten;

static struct session *
session_new(void)
{
    struct session *s = wane_new(&session_type);

    wane_put(&s->buffer, wane_new(&buffer_type));
    return s;
}

static struct holder *
entry_of(struct session *s)
{
    struct holder *e = wane_new(&entry_type);

    wane_put(&e->first, s);
    return e;
}

int
main(int argc, char **argv)
{
    static const char *const server_slots[] = {"cache", "current"}, *const cache_slots[] = {"first", "second"};
    static const char *const entry_slots[] = {"session"}, *const session_slots[] = {"buffer"};
    struct holder           *server, *cache;
    struct session          *b;
    int                      fd = argc == 2 ? open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;

    if (fd < 0)
        return 2;
    (void)wane_observe(true);
    if (wane_slot_names(&server_type, server_slots) || wane_slot_names(&cache_type, cache_slots) ||
        wane_slot_names(&entry_type, entry_slots) || wane_slot_names(&session_type, session_slots))
        return 1;
    server = wane_new(&server_type);
    cache = wane_new(&cache_type);
    b = session_new();
    wane_put(&cache->first, entry_of(session_new()));
    wane_set(&server->second, b);
    wane_put(&cache->second, entry_of(b));
    wane_put(&server->first, cache);
    wane_put(&root, server);
    forgotten = session_new();
    wane_barrier();
    if (wane_snapshot_write(fd) || close(fd))
        return 1;
    wane_clear(&root);
    wane_release(forgotten);
    return wane_shutdown();
}
