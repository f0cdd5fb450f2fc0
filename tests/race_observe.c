/* SPDX-License-Identifier: MIT
 *
 * race_observe.c - walks through the registry against births and deaths, at named steps
 *
 * Oracles: a dead object's memory is counted as buried (it waits for a grace period) while a walk may be looking at it; what has
 * died before the walk's look is missing in its report.
 */
#include <stdio.h>

#include "race_common.h"

#include <wane/observe.h>

static struct actor other;
static int          ends;
static struct node *victim;
static char         text[8192];

static int
begin(void **state)
{
    (void)state;
    schedule_begin();
    actor_start(&other);
    ends = 0;
    wane_observe(true);
    return 0;
}

static int
finish(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&other);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    return 0;
}

/* What a snapshot says. */
static const char *
snapshot(void)
{
    FILE  *f = tmpfile();
    size_t n;

    assert_non_null(f);
    assert_int_equal(wane_snapshot_write(fileno(f)), 0);
    rewind(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    return text;
}

static uint64_t
held_bytes(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s.held_bytes;
}

DEED(make)
{
    victim = node_new(&ends);
}

DEED(drop)
{
    wane_release(victim);
}

/* The walk has seen the bit; then the object dies, and its memory must stay until the walk's section ends. */
static uint64_t held_then;

DEED(drop_and_look)
{
    uint64_t before = held_bytes();

    act(&other, drop, NULL);
    held_then = held_bytes() - before;
}

static void
obs_30_a_death_behind_the_look(void **state)
{
    (void)state;
    act(&other, make, NULL);
    on_step("walk:seen", drop_and_look, NULL);
    assert_non_null(strstr(snapshot(), "\"node_count\":3"));
    assert_int_equal(ended(&ends), 1);
    assert_int_equal(held_then, sizeof(struct node));
    assert_non_null(strstr(text, "0,2,")); /* a hidden node: it was found dead in the end */
    assert_int_equal(wane_barrier(), 0);
    assert_non_null(strstr(snapshot(), "\"node_count\":2"));
}

/* [ release: nobody collects, so the memory goes at once | walk: must not find it any more | .. release ] */
static struct wane_type plain_type = {.name = "plain", .size = 48};
static void            *plain;
static struct gate      looked = GATE_CLOSED, dying = GATE_CLOSED;

DEED(make_plain)
{
    plain = wane_new(&plain_type);
    assert_non_null(plain);
}

DEED(drop_plain)
{
    wane_release(plain);
}

DEED(wait_for_the_look)
{
    gate_open(&dying);
    (void)gate_wait(&looked, 30000);
}

static void
obs_31_a_look_in_the_middle_of_a_death(void **state)
{
    (void)state;
    looked.open = dying.open = false;
    act(&other, make_plain, NULL);
    assert_non_null(strstr(snapshot(), "\"node_count\":3"));
    on_any_step("death:plain", wait_for_the_look, NULL);
    act_begin(&other, drop_plain, NULL);
    assert_true(gate_wait(&dying, 30000));
    snapshot();
    gate_open(&looked);
    act_wait(&other);
    assert_non_null(strstr(text, "\"node_count\":2"));
}

static void
obs_32_births_are_seen_when_they_are_done(void **state)
{
    (void)state;
    act(&other, make, NULL);
    assert_non_null(strstr(snapshot(), "\"node_count\":3"));
    assert_non_null(strstr(text, "\"node\""));
    act(&other, drop, NULL);
    assert_int_equal(ended(&ends), 1);
    assert_non_null(strstr(snapshot(), "\"node_count\":2"));
}

#define RACE(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int
main(void)
{
    const struct CMUnitTest tests[] = {RACE(obs_30_a_death_behind_the_look), RACE(obs_31_a_look_in_the_middle_of_a_death),
                                       RACE(obs_32_births_are_seen_when_they_are_done)};

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
