/* SPDX-License-Identifier: MIT
 *
 * system.c - built in: tasks and channels, weak tables, files, and the runtime underneath
 */
#include "lisp.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static enum outcome
wrong(struct fiber *f, const char *what)
{
    fail(f, "%s", what);
    return FAILED;
}

/* ---- Ports: files. Who forgets to close one has it closed by its finalizer ------------------------------------- */

struct port {
    pthread_mutex_t lock;
    FILE           *file; /* lock; NULL: closed */
};

static atomic_long forgotten;

static bool
close_file(struct port *p)
{
    FILE *file;

    pthread_mutex_lock(&p->lock);
    file = p->file;
    p->file = NULL;
    pthread_mutex_unlock(&p->lock);
    return file && fclose(file) == 0;
}

static void
port_finalize(void *object)
{
    if (close_file(object))
        atomic_fetch_add(&forgotten, 1);
}

static void
port_dispose(void *object)
{
    struct port *p = object;

    pthread_mutex_destroy(&p->lock);
}

static struct wane_type port_type = {
    .name = "port", .size = sizeof(struct port), .dispose = port_dispose, .finalize = port_finalize};

static enum outcome
open_port(struct fiber *f, const struct value *name, const char *mode, struct value *result)
{
    const struct string *s = name->object;
    struct port         *p;
    FILE                *file;

    if (name->kind != STRING)
        return wrong(f, "the name of a file is a string");
    file = fopen(s->bytes, mode);
    if (!file) {
        fail(f, "%s: %s", s->bytes, strerror(errno));
        return FAILED;
    }
    p = wane_new(&port_type);
    if (!p) {
        fclose(file);
        return wrong(f, "no memory");
    }
    pthread_mutex_init(&p->lock, NULL);
    p->file = file;
    *result = owned(OTHER, p);
    return DONE;
}

static enum outcome
fn_open_output(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)n;
    return open_port(f, a, "w", result);
}

static enum outcome
fn_open_input(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)n;
    return open_port(f, a, "r", result);
}

static struct port *
port_of(struct fiber *f, struct value v)
{
    if (v.kind == OTHER && wane_type_of(v.object) == &port_type)
        return v.object;
    fail(f, "a port is wanted");
    return NULL;
}

static enum outcome
fn_close(struct fiber *f, struct value *a, int n, struct value *result)
{
    struct port *p = port_of(f, a[0]);

    (void)n;
    if (!p)
        return FAILED;
    *result = truth(close_file(p));
    return DONE;
}

static enum outcome
fn_read_line(struct fiber *f, struct value *a, int n, struct value *result)
{
    struct port *p = port_of(f, a[0]);
    char         line[4096];
    bool         open, got = false;

    (void)n;
    if (!p)
        return FAILED;
    pthread_mutex_lock(&p->lock);
    open = p->file != NULL;
    if (open)
        got = fgets(line, sizeof line, p->file) != NULL;
    pthread_mutex_unlock(&p->lock);
    if (!open)
        return wrong(f, "the port is closed");
    *result = simple(END_OF_FILE);
    if (!got)
        return DONE;
    *result = owned(STRING, string_new(line, strcspn(line, "\n")));
    return result->object ? DONE : wrong(f, "no memory");
}

/* ---- Output ---------------------------------------------------------------------------------------------------- */

static enum outcome
put(struct fiber *f, const struct value *a, int n, int port_at, bool quoted, const char *text)
{
    struct port *p = n > port_at ? port_of(f, a[port_at]) : NULL;
    FILE        *to = stdout;

    if (n > port_at && !p)
        return FAILED;
    if (p) {
        pthread_mutex_lock(&p->lock);
        to = p->file;
    }
    if (to && text)
        fputs(text, to);
    else if (to)
        print_value(to, a[0], quoted);
    if (p)
        pthread_mutex_unlock(&p->lock);
    return to ? DONE : wrong(f, "the port is closed");
}

static enum outcome
fn_display(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)result;
    return put(f, a, n, 1, false, NULL);
}

static enum outcome
fn_write(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)result;
    return put(f, a, n, 1, true, NULL);
}

static enum outcome
fn_newline(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)result;
    return put(f, a, n, 0, false, "\n");
}

static enum outcome
fn_error(struct fiber *f, struct value *a, int n, struct value *result)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    (void)result;
    if (!to)
        return wrong(f, "error");
    for (int i = 0; i < n; i++) {
        fputs(i ? " " : "", to);
        print_value(to, a[i], i > 0);
    }
    fclose(to);
    fail(f, "%s", text);
    free(text);
    return FAILED;
}

/* ---- Tasks ----------------------------------------------------------------------------------------------------- */

static enum outcome
fn_spawn(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)n;
    return task_spawn(f, a[0], result) ? DONE : FAILED;
}

static enum outcome
fn_make_channel(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)a;
    (void)n;
    *result = owned(CHANNEL, channel_new());
    return result->object ? DONE : wrong(f, "no memory");
}

static enum outcome
fn_send(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)n;
    (void)result;
    if (a[0].kind != CHANNEL)
        return wrong(f, "send takes a channel");
    return channel_send(a[0].object, a[1]) ? DONE : wrong(f, "nothing can be sent to this");
}

static enum outcome
fn_receive(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)n;
    if (a[0].kind != CHANNEL)
        return wrong(f, "a channel or a task is wanted");
    return channel_receive(f, a[0].object, result);
}

/* ---- Weak tables: what is known of an object, as long as others keep it ---------------------------------------- */

struct table {
    wane_slot map;
};

static const uint32_t   table_slots[] = {offsetof(struct table, map)};
static struct wane_type table_type = {.name = "weak table", .size = sizeof(struct table), .slots = table_slots, .slot_count = 1};

static enum outcome
fn_make_table(struct fiber *f, struct value *a, int n, struct value *result)
{
    struct table        *t = wane_new(&table_type);
    struct wane_weakmap *map = t ? wane_weakmap_new() : NULL;

    (void)a;
    (void)n;
    if (!map) {
        wane_release(t);
        return wrong(f, "no memory");
    }
    wane_put_private(&t->map, map);
    *result = owned(OTHER, t);
    return DONE;
}

static struct wane_weakmap *
map_of(struct fiber *f, struct value v)
{
    if (v.kind == OTHER && wane_type_of(v.object) == &table_type)
        return wane_peek(&((struct table *)v.object)->map);
    fail(f, "a weak table is wanted");
    return NULL;
}

/* The map holds objects: the value lies in a box. */
static enum outcome
fn_table_set(struct fiber *f, struct value *a, int n, struct value *result)
{
    struct wane_weakmap *map = map_of(f, a[0]);
    struct value         content = a[2];
    struct box          *b;
    int                  rc;

    (void)n;
    (void)result;
    if (!map)
        return FAILED;
    if (!is_object(a[1]))
        return wrong(f, "a key of a weak table is an object");
    content.owned = 0;
    b = box_new(content);
    rc = b ? wane_weakmap_set(map, a[1].object, b) : -ENOMEM;
    wane_release(b);
    return rc == 0 ? DONE : wrong(f, "no memory");
}

static enum outcome
fn_table_ref(struct fiber *f, struct value *a, int n, struct value *result)
{
    struct wane_weakmap *map = map_of(f, a[0]);
    struct box          *b = map && is_object(a[1]) ? wane_weakmap_get(map, a[1].object) : NULL;

    *result = b ? own(cell_load(&b->content)) : n > 2 ? a[2] : truth(false);
    if (!b)
        result->owned = 0;
    wane_release(b);
    return map ? DONE : FAILED;
}

static enum outcome
fn_table_count(struct fiber *f, struct value *a, int n, struct value *result)
{
    struct wane_weakmap *map = map_of(f, a[0]);

    (void)n;
    if (!map)
        return FAILED;
    *result = number((int64_t)wane_weakmap_count(map));
    return DONE;
}

/* ---- The runtime ----------------------------------------------------------------------------------------------- */

/* Collections run outside of sections: the fiber stops, and is here once more when it is done. */
static enum outcome
fn_collect(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)a;
    (void)n;
    (void)result;
    if (!f->collected)
        return PARKED;
    f->collected = false;
    return DONE;
}

static enum outcome
fn_live_objects(struct fiber *f, struct value *a, int n, struct value *result)
{
    struct wane_stats s;

    (void)f;
    (void)a;
    (void)n;
    wane_stats(&s);
    *result = number((int64_t)(s.objects_born - s.objects_died));
    return DONE;
}

static enum outcome
fn_known_symbols(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)f;
    (void)a;
    (void)n;
    *result = number((int64_t)symbols_known());
    return DONE;
}

static enum outcome
fn_forgotten_ports(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)f;
    (void)a;
    (void)n;
    *result = number(atomic_load(&forgotten));
    return DONE;
}

const struct primitive system_primitives[] = {
    {"open-output-file", fn_open_output, 1, 1},
    {"open-input-file", fn_open_input, 1, 1},
    {"close-port", fn_close, 1, 1},
    {"read-line", fn_read_line, 1, 1},
    {"display", fn_display, 1, 2},
    {"write", fn_write, 1, 2},
    {"newline", fn_newline, 0, 1},
    {"error", fn_error, 1, -1},
    {"spawn", fn_spawn, 1, 1},
    {"await", fn_receive, 1, 1},
    {"make-channel", fn_make_channel, 0, 0},
    {"send", fn_send, 2, 2},
    {"receive", fn_receive, 1, 1},
    {"make-weak-table", fn_make_table, 0, 0},
    {"weak-table-set!", fn_table_set, 3, 3},
    {"weak-table-ref", fn_table_ref, 2, 3},
    {"weak-table-count", fn_table_count, 1, 1},
    {"collect", fn_collect, 0, 0},
    {"live-objects", fn_live_objects, 0, 0},
    {"known-symbols", fn_known_symbols, 0, 0},
    {"forgotten-ports", fn_forgotten_ports, 0, 0},
    {NULL, NULL, 0, 0},
};

/* ---- All that is built in -------------------------------------------------------------------------------------- */

enum { TABLE = 256 }; /* an index is table * 256 + place */

static const struct primitive *const tables[] = {list_primitives, number_primitives, system_primitives};

const struct primitive *
primitive_at(int64_t index)
{
    return &tables[index / TABLE][index % TABLE];
}

int64_t
primitive_find(const char *name)
{
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (size_t i = 0; tables[t][i].name; i++)
            if (strcmp(tables[t][i].name, name) == 0)
                return (int64_t)(t * TABLE + i);
    return -1;
}
