/* SPDX-License-Identifier: MIT
 *
 * race_cells.c - pages of cells between their owner, strangers, a fork, and the system (cell.h)
 */
#include "race_common.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <wane/memory.h>

#include "cell.h"
#include "driver.h"

#define MANY 3000 /* on several pages */

static struct {
    struct actor m1, m2;
    struct node *o[MANY];
    int          ended;
    unsigned     made;
    unsigned     owned; /* pages of m1's record, where a schedule counted them */
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
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
    assert_int_equal(wane_collect(WANE_ALL, NULL), 0);
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
        cmocka_unit_test_setup_teardown(a_page_stays_while_its_push_is_half_done, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fork_mends_the_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_end_and_memory_goes_back, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
