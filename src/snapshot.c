/* SPDX-License-Identifier: MIT
 *
 * snapshot.c - the heap in the format of Chrome DevTools
 *
 * The file holds three lists: nodes (each with the number of its edges), edges (in the order of the nodes that they leave; they
 * name targets by place), strings. The counts stand in front of all. So nodes and edges are gathered in two temporary files while
 * the heap is walked once (walk.h), and copied afterwards. The nodes are those of a copy of the registry, so each has its place
 * before the first one is written; an edge to an object that was made later is left out.
 *
 * held[i] counts the units of object i, less the edges seen that lead to it. What is above zero in the end is held from outside.
 *
 * Node 0 is the root. Node 1, "(GC roots)", has no edges: DevTools wants to see it, and takes the others that the root leads to
 * for the program's. An object's address is (wane_region << 32 | id) << 3 + 16.
 */
#include <wane/observe.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "memory.h"
#include "record.h"
#include "text.h"
#include "walk.h"

#define FIELDS     12
#define OUTSIDE    9 /* the field of what holds a node from outside */
#define ROOT_NODES 2u
#define NODES_AT_ONCE 64u /* read back from the temporary file */
#define MOST_GATHERED (4u << 20) /* bytes of nodes or edges in memory */

static const char meta[] =
    "{\"snapshot\":{\"meta\":{\"node_fields\":[\"type\",\"name\",\"id\",\"self_size\",\"edge_count\",\"trace_node_id\","
    "\"detachedness\",\"wane_region\",\"wane_units\",\"wane_outside\",\"wane_owner\",\"wane_flags\"],\"node_types\":[[\"hidden\","
    "\"array\",\"string\",\"object\",\"code\",\"closure\",\"regexp\",\"number\",\"native\",\"synthetic\",\"concatenated string\","
    "\"sliced string\",\"symbol\",\"bigint\",\"object shape\"],\"string\",\"number\",\"number\",\"number\",\"number\","
    "\"number\",\"number\",\"number\",\"number\",\"number\",\"number\"],\"edge_fields\":[\"type\",\"name_or_index\",\"to_node\"],"
    "\"edge_types\":[[\"context\",\"element\",\"property\",\"internal\",\"hidden\",\"shortcut\",\"weak\"],\"string_or_number\","
    "\"node\"],\"trace_function_info_fields\":[\"function_id\",\"name\",\"script_name\",\"script_id\",\"line\",\"column\"],"
    "\"trace_node_fields\":[\"id\",\"function_info_index\",\"count\",\"size\",\"children\"],\"sample_fields\":"
    "[\"timestamp_us\",\"last_assigned_id\"],\"location_fields\":[\"object_index\",\"script_id\",\"line\",\"column\"]},";

enum { NODE_HIDDEN = 0, NODE_OBJECT = 3, NODE_SYNTHETIC = 9 };
enum { EDGE_ELEMENT = 1, EDGE_PROPERTY = 2, EDGE_INTERNAL = 3 };
enum { STRING_EMPTY, STRING_ROOTS, STRING_DIED, STRING_HUNG, STRING_WEAK, STRING_OWNED, STRINGS };

static const char *const fixed[STRINGS] = {"", "(GC roots)", "(died meanwhile)", "values of weak maps", "weak reference",
                                            "owned"};

struct writer {
    struct wn_walk walk;
    struct wn_set  set;
    struct wn_text nodes, edges; /* to the temporary files */
    struct wn_text out;
    uint32_t      *name;   /* by type: the number of its name's string; those of its slots follow */
    int32_t       *held;   /* by rank */
    uint64_t       edge_count;
    uint32_t       here; /* edges of this object */
};

static struct writer *
writer_of(struct wn_walk *walk)
{
    return (struct writer *)walk; /* its first field */
}

/* ---- Nodes and edges ---------------------------------------------------------------------------------------------------- */

static void
add_edge(struct wn_text *text, unsigned type, uint64_t name, uint64_t to)
{
    wn_text_string(text, ",\n");
    wn_text_number(text, type);
    wn_text_string(text, ",");
    wn_text_number(text, name);
    wn_text_string(text, ",");
    wn_text_number(text, to * FIELDS);
}

static void
add_numbers(struct wn_text *text, const uint64_t number[FIELDS])
{
    wn_text_string(text, "\n");
    for (int i = 0; i < FIELDS; i++) {
        wn_text_string(text, i ? "," : "");
        wn_text_number(text, number[i]);
    }
}

/* One number is left out, what holds it from outside: it is known at the end only, and added where the node is copied. */
static void
add_object(struct writer *w, uint64_t type, uint64_t name, const struct wn_sight *s)
{
    struct wn_text *text = &w->nodes;
    uint64_t        place = (uint64_t)(uintptr_t)s->h >> 3;
    uint64_t        size = s->type ? s->type->prefix + sizeof *s->h + s->bytes : 0;
    int64_t         units = s->type ? wn_sight_units(s) : 0;
    uint64_t        quiet = (s->w0 & WANE_QUIET) && s->type->traced, opaque = s->opaque;
    uint64_t        number[FIELDS - 1] = {type, name, place & UINT32_MAX, size, w->here, 0, 0, place >> 32,
                                          units > 0 ? (uint64_t)units : 0, s->type ? wn_owner(s->w0) : 0,
                                          (s->w1 & (WN_COUNT_ONE - 1)) | quiet << 15 | opaque << 16};

    wn_text_add(text, (const char *)number, sizeof number);
}

static void
begin(struct wn_walk *walk, const struct wn_sight *s)
{
    struct writer *w = writer_of(walk);
    int64_t        units = wn_sight_units(s);

    w->here = 0;
    w->held[s->rank] += units > INT32_MAX / 2 ? INT32_MAX / 2 : units > 0 ? (int32_t)units : 0;
}

static void
edge(struct wn_walk *walk, enum wn_edge kind, size_t number, uintptr_t target)
{
    struct writer *w = writer_of(walk);
    uint32_t       rank = wn_set_rank(&w->set, target);
    uint64_t       to = (uint64_t)rank + ROOT_NODES;

    if (rank == WN_NO_RANK)
        return;
    w->held[rank]--;
    w->here++;
    switch (kind) {
    case WN_EDGE_SLOT:
        add_edge(&w->edges, EDGE_PROPERTY, w->name[walk->sight.type->id] + 1 + number, to);
        break;
    case WN_EDGE_ELEMENT:
        add_edge(&w->edges, EDGE_ELEMENT, number, to);
        break;
    case WN_EDGE_HUNG:
        add_edge(&w->edges, EDGE_INTERNAL, STRING_HUNG, to);
        break;
    case WN_EDGE_OWNED:
        add_edge(&w->edges, EDGE_INTERNAL, STRING_OWNED, to);
        break;
    case WN_EDGE_WEAK:
        add_edge(&w->edges, EDGE_INTERNAL, STRING_WEAK, to);
        break;
    }
}

static void
end(struct wn_walk *walk, const struct wn_sight *s)
{
    struct writer *w = writer_of(walk);

    w->edge_count += w->here;
    add_object(w, NODE_OBJECT, w->name[s->type->id], s);
}

static void
missing(struct wn_walk *walk, uint32_t rank)
{
    struct writer  *w = writer_of(walk);
    struct wn_sight none = {.h = walk->sight.h, .rank = rank};

    w->here = 0;
    add_object(w, NODE_HIDDEN, STRING_DIED, &none);
}

static bool
full(struct wn_walk *walk)
{
    return writer_of(walk)->nodes.used >= MOST_GATHERED || writer_of(walk)->edges.used >= MOST_GATHERED;
}

static int
flush(struct wn_walk *walk)
{
    int rc = wn_text_flush(&writer_of(walk)->nodes);

    return rc ? rc : wn_text_flush(&writer_of(walk)->edges);
}

/* ---- Strings ------------------------------------------------------------------------------------------------------------ */

static int
number_strings(struct writer *w)
{
    uint32_t types = wn_type_count(), next = STRINGS;

    w->name = wn_malloc(((size_t)types + 1) * sizeof *w->name);
    if (!w->name)
        return -ENOMEM;
    for (uint32_t id = 1; id <= types; id++) {
        const struct wn_type *t = load_acquire(&wn_types[id]);

        w->name[id] = next;
        next += 1 + (uint32_t)t->slot_count;
    }
    w->walk.types = types;
    return 0;
}

static void
write_type(struct wn_text *out, struct wn_type *t)
{
    const char *const *names = (const char *const *)load_acquire(&t->slot_names); /* acquire E40 */

    wn_text_string(out, ",\n");
    wn_text_json(out, t->name);
    for (size_t i = 0; i < t->slot_count; i++) {
        char offset[16];

        snprintf(offset, sizeof offset, "+%u", t->slots[i]);
        wn_text_string(out, ",\n");
        wn_text_json(out, names ? names[i] : offset);
    }
}

static void
write_strings(struct writer *w)
{
    wn_text_string(&w->out, "],\n\"trace_function_infos\":[],\n\"trace_tree\":[],\n\"samples\":[],\n\"locations\":[],\n"
                            "\"strings\":[");
    for (int i = 0; i < STRINGS; i++) {
        wn_text_string(&w->out, i ? ",\n" : "");
        wn_text_json(&w->out, fixed[i]);
    }
    for (uint32_t id = 1; id <= w->walk.types && !w->out.error; id++) {
        write_type(&w->out, load_acquire(&wn_types[id]));
        if (w->out.used >= WN_TEXT_FULL)
            (void)wn_text_flush(&w->out);
    }
    wn_text_string(&w->out, "]}\n");
}

/* ---- The file ----------------------------------------------------------------------------------------------------------- */

static uint64_t
count_held(const struct writer *w)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < w->set.count; i++)
        n += w->held[i] > 0;
    return n;
}

/* The temporary file has all numbers but what is held from outside. */
static void
write_node(struct writer *w, const uint64_t from[FIELDS - 1], int64_t held)
{
    uint64_t number[FIELDS];

    memcpy(number, from, OUTSIDE * sizeof *number);
    number[OUTSIDE] = held > 0 ? (uint64_t)held : 0;
    memcpy(&number[OUTSIDE + 1], &from[OUTSIDE], (FIELDS - 1 - OUTSIDE) * sizeof *number);
    wn_text_string(&w->out, ",");
    add_numbers(&w->out, number);
    if (w->out.used >= WN_TEXT_FULL)
        (void)wn_text_flush(&w->out);
}

static void
write_nodes(struct writer *w)
{
    uint64_t from[NODES_AT_ONCE][FIELDS - 1];

    for (uint32_t i = 0; i < w->set.count && !w->out.error; i += NODES_AT_ONCE) {
        uint32_t more = w->set.count - i, n = more < NODES_AT_ONCE ? more : NODES_AT_ONCE;
        ssize_t  got = pread(w->nodes.fd, from, n * sizeof from[0], (off_t)(i * sizeof from[0]));

        if (got != (ssize_t)(n * sizeof from[0])) {
            w->out.error = got < 0 ? -errno : -EIO;
            return;
        }
        for (uint32_t k = 0; k < n; k++)
            write_node(w, from[k], w->held[i + k]);
    }
}

static void
write_root_edges(struct writer *w)
{
    uint64_t next = 1;

    wn_text_string(&w->out, "],\n\"edges\":[\n1,0,12"); /* element 0: node 1 */
    for (uint32_t i = 0; i < w->set.count && !w->out.error; i++) {
        if (w->held[i] > 0)
            add_edge(&w->out, EDGE_ELEMENT, next++, (uint64_t)i + ROOT_NODES);
        if (w->out.used >= WN_TEXT_FULL)
            (void)wn_text_flush(&w->out);
    }
}

static int
write_file(struct writer *w)
{
    uint64_t roots = 1 + count_held(w);

    wn_text_string(&w->out, meta);
    wn_text_print(&w->out, "\"node_count\":%llu,\"edge_count\":%llu,\"trace_function_count\":0},\n\"nodes\":[",
                  (unsigned long long)w->set.count + ROOT_NODES, (unsigned long long)w->edge_count + roots);
    add_numbers(&w->out, (uint64_t[FIELDS]){NODE_SYNTHETIC, STRING_EMPTY, 1, 0, roots});
    wn_text_string(&w->out, ",");
    add_numbers(&w->out, (uint64_t[FIELDS]){NODE_SYNTHETIC, STRING_ROOTS, 3});
    write_nodes(w);
    write_root_edges(w);
    wn_text_copy(&w->out, w->edges.fd);
    write_strings(w);
    return wn_text_flush(&w->out);
}

static int
prepare(struct writer *w)
{
    int rc;

    w->nodes.fd = wn_text_spool();
    w->edges.fd = wn_text_spool();
    if (w->nodes.fd < 0 || w->edges.fd < 0)
        return w->nodes.fd < 0 ? w->nodes.fd : w->edges.fd;
    wn_walk_prepare();
    rc = wn_set_copy(&w->set);
    if (!rc)
        rc = number_strings(w);
    if (rc)
        return rc;
    w->held = wn_calloc((size_t)w->set.count + 1, sizeof *w->held);
    return w->held ? 0 : -ENOMEM;
}

static void
clean_up(struct writer *w)
{
    struct wn_text *text[] = {&w->nodes, &w->edges, &w->out};

    for (int i = 0; i < 3; i++)
        wn_free(text[i]->data);
    for (int i = 0; i < 2; i++)
        if (text[i]->fd >= 0)
            close(text[i]->fd);
    wn_set_free(&w->set);
    wn_free(w->name);
    wn_free(w->held);
}

int
wane_snapshot_write(int fd)
{
    struct writer w = {.walk = {.set = &w.set, .begin = begin, .edge = edge, .end = end, .missing = missing, .flush = flush,
                                .full = full}};
    int           rc;

    if (wn_in_section())
        return -EDEADLK;
    wn_text_init(&w.nodes, -1);
    wn_text_init(&w.edges, -1);
    wn_text_init(&w.out, fd);
    rc = prepare(&w);
    if (!rc)
        rc = wn_walk_run(&w.walk);
    if (!rc)
        rc = write_file(&w);
    clean_up(&w);
    return rc;
}
