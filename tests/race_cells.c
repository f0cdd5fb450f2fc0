/* SPDX-License-Identifier: MIT
 *
 * race_cells.c - pages of cells between their owner, strangers, a fork, and the system (cell.h)
 */
#include "race_common.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <wane/memory.h>

#include "cell.h"
#include "check.h"
#include "driver.h"

#define MANY   3000 /* on several pages */
#define ENOUGH 20000 /* of the largest: more pages than are kept for good */

static struct {
    struct actor m1, m2;
    struct gate  inside, may_go;
    struct node *o[MANY];
    void        *small;
    int          ended;
    unsigned     made;
    unsigned     owned; /* pages of m1's record, where a schedule counted them */
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    store_relaxed(&wn_quarantine_on, 0u); /* which keeps the last of the dead, and their pages */
    schedule_begin();
    actor_start(&w.m1);
    actor_start(&w.m2);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.m1);
    actor_stop(&w.m2);
    return wane_shutdown();
}

static void
skip_without_cells(void)
{
    if (!wn_cell_most) {
        print_message("# objects are malloc's in this build\n");
        skip();
    }
}

/* Of a record's; of anybody's: 0. */
static unsigned
pages_of(uint32_t owner)
{
    unsigned n = 0;

    for (uintptr_t i = 0; i < WN_MAP_TABLES; i++) {
        struct wane_atomic64 *table = load_acquire(&wn_page_map[i]);

        for (uintptr_t bit = 0; table && bit < 65536; bit++) {
            struct wn_page *page = (struct wn_page *)((i << 32) | bit << 16);

            if (load_relaxed(&table[bit / 64]) >> bit % 64 & 1)
                n += owner ? load_relaxed(&page->owner) == owner : load_relaxed(&page->owner) != 0;
        }
    }
    return n;
}

static struct wn_page *
page_around(const void *object)
{
    return (struct wn_page *)((uintptr_t)object & ~(uintptr_t)(WN_PAGE_BYTES - 1));
}

static uint32_t
owner_of(const void *object)
{
    return load_relaxed(&page_around(object)->owner);
}

DEED(make_many)
{
    wane_enter();
    for (w.made = 0; w.made < MANY; w.made++)
        w.o[w.made] = node_new(&w.ended);
    wane_leave();
}

/* By agreement the objects are the caller's. Strangers' releases: the unit is queued with the owner. */
DEED(release_many)
{
    for (unsigned i = 0; i < MANY; i++)
        wane_release(w.o[i]);
}

DEED(release_one)
{
    wane_release(w.o[0]);
}

DEED(release_all_but_one)
{
    for (unsigned i = 1; i < MANY; i++)
        wane_release(w.o[i]);
}

DEED(tend)
{
    wane_enter();
    fetch_or_relaxed(&((struct wn_record *)wane_self.record)->pub.attention, WN_ATTEND);
    wane_leave();
}

/* Merged by their owner: whoever releases them kills them, and frees the memory himself. */
DEED(merge_many)
{
    wane_enter();
    for (unsigned i = 0; i < MANY; i++) {
        wane_retain(w.o[i]);
        (void)wn_count_merge(WANE_HEADER(w.o[i]), wn_type_of(WANE_HEADER(w.o[i])), wn_standing());
        wn_unit_give(WANE_HEADER(w.o[i]));
    }
    wane_leave();
}

static void
quiet_down(void)
{
    int rc;

    while ((rc = wane_collect(WANE_ALL, NULL)) == -EAGAIN) /* a slow machine */
        ;
    assert_int_equal(rc, 0);
    assert_int_equal(wane_barrier(), 0);
}

/* Another thread frees all: the owner gets the cells back, and gives up the pages. */
static void
cells_return_to_their_owner(void **state)
{
    unsigned pages;
    uint32_t owner;

    (void)state;
    skip_without_cells();
    act(&w.m1, make_many, NULL);
    owner = owner_of(w.o[0]);
    pages = pages_of(owner);
    assert_true(pages > 2);
    act(&w.m1, merge_many, NULL);
    act(&w.m2, release_many, NULL);
    quiet_down();
    assert_int_equal(ended(&w.ended), MANY);
    act(&w.m1, tend, NULL);
    assert_true(pages_of(owner) <= 2); /* the bin's, and a spare one */
    act(&w.m1, make_many, NULL);
    assert_true(pages_of(owner) <= pages);
    act(&w.m1, release_many, NULL);
}

DEED(m1_empties_the_page)
{
    act(&w.m1, release_all_but_one, NULL);
    act(&w.m1, tend, NULL);
    w.owned = pages_of(owner_of(w.o[0]));
}

/* A stranger stops between the push of a page's first cell and the push of the page; everything else of the record is freed
 * meanwhile. The page must stay the record's: the cell counts as used. */
static void
a_page_stays_while_its_push_is_half_done(void **state)
{
    struct wn_page *page;
    uint32_t        owner;

    (void)state;
    skip_without_cells();
    act(&w.m1, make_many, NULL);
    page = page_around(w.o[0]);
    owner = owner_of(w.o[0]);
    act(&w.m1, merge_many, NULL);
    quiet_down();
    on_any_step("cell:before-returned", m1_empties_the_page, NULL);
    act(&w.m2, release_one, NULL);
    quiet_down();
    if (steps_seen("cell:before-returned")) {
        assert_true(w.owned >= 1);
        assert_int_equal(load_relaxed(&page->owner), owner);
    }
    act(&w.m1, tend, NULL);
    assert_int_equal(ended(&w.ended), MANY);
    assert_int_equal(load_relaxed(&page->remote), 0);
}

/* So many objects of the page, at most. */
static void
release_of(const struct wn_page *page, unsigned most)
{
    for (unsigned i = 0; i < MANY && most; i++)
        if (w.o[i] && page_around(w.o[i]) == page) {
            wane_release(w.o[i]);
            w.o[i] = NULL;
            most--;
        }
}

/* A page that is alone in its bin may be empty there; one that has company, or gets some, may not. */
DEED(pages_come_and_go)
{
    struct wn_page   *first = page_around(w.o[0]), *second = NULL, *last = page_around(w.o[MANY - 1]);
    struct wn_record *r;
    struct wn_page  **bin;

    for (unsigned i = 0; i < MANY && !second; i++)
        if (page_around(w.o[i]) != first && page_around(w.o[i]) != last)
            second = page_around(w.o[i]);
    assert_non_null(second);
    wane_enter();
    r = wn_standing();
    bin = &r->bin[last->cell / WN_CELL_UNIT];
    assert_ptr_equal(*bin, last);
    release_of(first, 1);
    assert_ptr_equal(*bin, first);
    release_of(last, MANY); /* no longer alone: it goes */
    assert_true(r->spare_page == last || load_relaxed(&last->owner) != r->id);
    release_of(first, MANY);
    assert_ptr_equal(*bin, first); /* alone, and empty */
    assert_int_equal(first->used, 0);
    release_of(second, 1);
    assert_ptr_equal(*bin, second);
    assert_true(r->spare_page == first || load_relaxed(&first->owner) != r->id);
    for (unsigned i = 0; i < MANY; i++)
        if (w.o[i])
            wane_release(w.o[i]);
    wane_leave();
}

static void
an_empty_page_stays_only_alone(void **state)
{
    (void)state;
    skip_without_cells();
    act(&w.m1, make_many, NULL);
    act(&w.m1, pages_come_and_go, NULL);
    quiet_down();
    assert_int_equal(ended(&w.ended), MANY);
}

/* In the child of a fork the records of other threads are whole, and their pages are used again. */
static int
child(uint32_t owner)
{
    struct wn_record *r = wn_record(owner);
    unsigned          before = pages_of(owner);

    if (!before || load_relaxed(&r->holder))
        return 1;
    wane_enter();
    for (unsigned i = 0; i < MANY; i++)
        wane_release(w.o[i]); /* the vanished thread's, by agreement */
    wane_leave();
    if (wane_collect(WANE_ALL, NULL) || wane_trim() || ended(&w.ended) != MANY)
        return 2;
    return pages_of(owner) > 2 ? 3 : 0;
}

static void
a_fork_mends_the_lists(void **state)
{
    uint32_t owner;
    int      status;
    pid_t    pid;

    (void)state;
    skip_without_cells();
#ifdef WN_TSAN
    skip(); /* its children cannot start threads */
#endif
    act(&w.m1, make_many, NULL);
    owner = owner_of(w.o[0]);
    act(&w.m1, merge_many, NULL);
    pid = fork();
    if (!pid)
        _exit(child(owner));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    act(&w.m1, release_many, NULL);
}

/* ---- Forks in the middle ------------------------------------------------------------------------------------------- */

static void
wait_inside(void *unused)
{
    (void)unused;
    gate_open(&w.inside);
    (void)gate_wait(&w.may_go, 60000);
}

/* fn runs on m2 up to the step; the child's exit status. */
static int
child_at(const char *step, void (*fn)(void *), int (*in_child)(void))
{
    int   status;
    pid_t pid;

    w.inside = w.may_go = (struct gate)GATE_CLOSED;
    on_any_step(step, wait_inside, NULL);
    act_begin(&w.m2, fn, NULL);
    assert_true(gate_wait(&w.inside, 60000));
    pid = fork();
    if (!pid)
        _exit(in_child());
    gate_open(&w.may_go);
    act_wait(&w.m2);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A cell came back, and the page was not on the stack yet: the child gets it back all the same. */
static int
the_page_empties(void)
{
    wane_enter();
    for (unsigned i = 1; i < MANY; i++)
        wane_release(w.o[i]);
    wane_leave();
    while (wane_collect(WANE_ALL, NULL) == -EAGAIN)
        ;
    if (wane_barrier())
        return 1;
    return pages_of(w.owned) ? 2 : 0;
}

static void
a_fork_before_the_page_is_returned(void **state)
{
    (void)state;
    skip_without_cells();
#ifdef WN_TSAN
    skip();
#endif
    act(&w.m1, make_many, NULL);
    w.owned = owner_of(w.o[0]);
    act(&w.m1, merge_many, NULL);
    quiet_down();
    assert_int_equal(child_at("cell:before-returned", release_one, the_page_empties), 0);
    act(&w.m1, release_all_but_one, NULL);
}

static struct wane_type small_type = {.name = "small", .size = 24};

DEED(make_small)
{
    w.small = wane_new(&small_type);
}

/* m2's spare page, from which cells of another size were taken, was being opened. */
static int
the_page_is_whole_or_nobodys(void)
{
    for (uintptr_t i = 0; i < MANY; i++) {
        struct wn_page *page = page_around(w.o[i]);
        uint32_t        owner = load_relaxed(&page->owner);

        if (owner && (page->end - (char *)(page + 1)) % page->cell)
            return 1;
        if (owner && (page->fresh - (char *)(page + 1)) % page->cell)
            return 2;
    }
    return 0;
}

static void
a_fork_while_a_page_is_opened(void **state)
{
    (void)state;
    skip_without_cells();
    act(&w.m2, make_many, NULL);
    act(&w.m2, release_many, NULL);
    assert_int_equal(child_at("cell:opening", make_small, the_page_is_whole_or_nobodys), 0);
    wane_release(w.small);
    quiet_down();
}

/* ---- Back to all, and to the system -------------------------------------------------------------------------------- */

/* What others free after a thread's end empties its pages: its record keeps none of them. */
static void
pages_of_a_thread_that_has_ended(void **state)
{
    struct actor third;
    uint32_t     owner;

    (void)state;
    skip_without_cells();
    act(&w.m1, tend, NULL); /* it has a record of its own */
    actor_start(&third);
    act(&third, make_many, NULL);
    owner = owner_of(w.o[0]);
    actor_stop(&third);
    act(&w.m1, release_many, NULL);
    quiet_down();
    assert_int_equal(ended(&w.ended), MANY);
    assert_int_equal(pages_of(owner), 0);
}

static int woken;

static void
note_waking(void)
{
    woken++;
}

static struct wane_type large_type = {.name = "large", .size = 480};

DEED(come_and_go)
{
    static void *large[ENOUGH];

    wane_enter();
    for (int i = 0; i < ENOUGH; i++)
        large[i] = wane_new(&large_type);
    wn_wake_background = note_waking;
    for (int i = 0; i < ENOUGH; i++)
        wane_release(large[i]);
    wane_leave();
}

/* The background has nothing to do when much memory falls vacant: it is told. */
static void
vacant_memory_wakes_the_background(void **state)
{
    void (*wake)(void) = wn_wake_background;

    (void)state;
    skip_without_cells();
    assert_int_equal(wane_trim(), 0);
    woken = 0;
    act(&w.m1, come_and_go, NULL);
    wn_wake_background = wake;
    assert_true(woken > 0);
    assert_true(wn_pages_tend());
}

struct link {
    wane_slot next;
};
WANE_TYPE(link, next);

static struct link *
list_of(unsigned n)
{
    struct link *head = NULL;

    for (unsigned i = 0; i < n; i++) {
        struct link *l = wane_new(&link_type);

        assert_non_null(l);
        if (head)
            wane_put_private(&l->next, head);
        head = l;
    }
    return head;
}

DEED(drop_and_make)
{
    struct link *l;
    size_t       most;

    wane_enter();
    l = list_of(MANY);
    most = wane_budget_used();
    for (int round = 0; round < 5; round++) {
        wane_release(l);
        l = list_of(MANY);
        assert_true(wane_budget_used() <= most + most / 10);
    }
    wane_release(l);
    wane_leave();
}

#define LEAVES 8000

static struct wane_type leaf_type = {.name = "leaf", .size = 240};
static void            *leaf[LEAVES];

static void
make_leaves(unsigned but)
{
    for (unsigned i = 0; i < LEAVES; i++)
        if (!but || i % but)
            assert_non_null(leaf[i] = wane_new(&leaf_type));
}

static void
release_leaves(unsigned but)
{
    for (unsigned i = 0; i < LEAVES; i++)
        if (!but || i % but)
            wane_release(leaf[i]);
}

/* A list is dropped, and what is made then is of another size: in cells that never were, then in some that came back. */
DEED(drop_and_make_another_size)
{
    struct link *l;

    wane_enter();
    l = list_of(100000);
    assert_int_equal(wane_budget(0, wane_budget_used() + 500000), 0);
    wane_release(l);
    make_leaves(0);
    assert_int_equal(wane_budget(0, 0), 0);
    l = list_of(100000);
    release_leaves(200);
    assert_int_equal(wane_budget(0, wane_budget_used() + 500000), 0);
    wane_release(l);
    make_leaves(200);
    assert_int_equal(wane_budget(0, 0), 0);
    release_leaves(0);
    wane_leave();
}

/* At the limit no birth is refused while enough waits to be buried. */
static void
the_dead_make_room_in_the_budget(void **state)
{
    (void)state;
    skip_without_cells();
    act(&w.m1, drop_and_make_another_size, NULL);
}

/* One long section drops large structures and makes others: those take the memory of these. */
static void
the_dead_make_room_for_the_new(void **state)
{
    (void)state;
    skip_without_cells(); /* each link is a candidate then */
    act(&w.m1, drop_and_make, NULL);
}

/* A thread that ends keeps no empty page; pages that nobody needs go back to the system on wane_trim. */
static void
threads_end_and_memory_goes_back(void **state)
{
    struct actor third;
    uint32_t     owner;
    unsigned char in_core[WN_PAGE_BYTES / 4096];
    struct wn_page *page;

    (void)state;
    skip_without_cells();
    actor_start(&third);
    act(&third, make_many, NULL);
    page = page_around(w.o[MANY - 1]);
    owner = owner_of(w.o[0]);
    act(&third, release_many, NULL);
    actor_stop(&third);
    assert_int_equal(pages_of(owner), 0);
    assert_int_equal(wane_trim(), 0);
    assert_int_equal(mincore(page, WN_PAGE_BYTES, in_core), 0);
    for (unsigned i = 0; i < sizeof in_core; i++)
        assert_false(in_core[i] & 1);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cells_return_to_their_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_page_stays_only_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_stays_while_its_push_is_half_done, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fork_mends_the_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fork_before_the_page_is_returned, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fork_while_a_page_is_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(pages_of_a_thread_that_has_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(vacant_memory_wakes_the_background, setup, teardown),
        cmocka_unit_test_setup_teardown(the_dead_make_room_for_the_new, setup, teardown),
        cmocka_unit_test_setup_teardown(the_dead_make_room_in_the_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_end_and_memory_goes_back, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
