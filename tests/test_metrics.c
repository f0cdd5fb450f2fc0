/* SPDX-License-Identifier: MIT
 *
 * test_metrics.c - the statistics as OpenMetrics and as JSON: well-formed, complete, and the right numbers
 */
#include "observe_common.h"

static void
checked(int (*write_to)(int), const char *form, const char *wishes)
{
    struct report r = report_open();
    char          arguments[1024];

    snprintf(arguments, sizeof arguments, "%s %s", form, wishes);
    assert_int_equal(write_to(r.fd), 0);
    if (run_tool("tests/metrics_check.py", &r, arguments, NULL) != 0)
        fail();
    report_close(&r);
}

struct odd {
    int x;
};
static struct wane_type odd_type = {.name = "odd \"name\"\n\\", .size = sizeof(struct odd)};

static void
obs_10_numbers_are_right(void **state)
{
    struct node *n[3] = {node_new(), node_new(), node_new()};
    struct odd  *o = wane_new(&odd_type);

    (void)state;
    wane_release(ring_of(&node_type, 5, NULL));
    expect_disposed(5);
    checked(wane_metrics_write, "openmetrics",
            "'wane_objects_born_total=9' 'wane_objects_died_total=5' 'wane_died_in_cycles_total=5' 'wane_components_total=1' "
            "'wane_type_objects{type=\"node\",id=\"1\"}=3' 'wane_collection_seconds_count>0' 'wane_grace_wait_seconds_count>0' "
            "'wane_collect_seconds_total>0' 'wane_phase_seconds_total{phase=\"review\"}>0' 'wane_memory_used>0' "
            "'wane_aborts_total{reason=\"memory\"}=0' 'wane_type_objects{type=\"odd \\\"name\\\"\\n\\\\\",id=\"2\"}=1'");
    checked(wane_stats_json_write, "json",
            "'stats.objects_born=9' 'stats.died_in_cycles=5' 'types.node.objects=3' 'aborts.memory=0' 'phases.review>0' "
            "'memory.used>0' 'histograms.collection_nanoseconds.count>0' 'histograms.grace_wait_nanoseconds.count>0'");
    for (int i = 0; i < 3; i++)
        wane_release(n[i]);
    wane_release(o);
}

/* Names that are no UTF-8, byte by byte, and one that is longer than what is usually written at once. */
static void
obs_12_names_of_any_kind(void **state)
{
    static char             many[200001];
    static struct wane_type types[] = {{.name = "\xf4\x90\x80\x80 \xc3", .size = 8}, {.name = many, .size = 8}};
    void                   *o[2];
    struct report           r = report_open();

    (void)state;
    memset(many, 'm', sizeof many - 1);
    for (int i = 0; i < 2; i++)
        o[i] = wane_new(&types[i]);
    checked(wane_stats_json_write, "json", "'stats.objects_born>1'");
    assert_int_equal(wane_stats_json_write(r.fd), 0);
    assert_report_says(&r, (const char *[]){"\"\\ufffd\\ufffd\\ufffd\\ufffd \\ufffd\"", "\"mmmmmmmm", "mmmmmmmm\"}", NULL});
    report_close(&r);
    for (int i = 0; i < 2; i++)
        wane_release(o[i]);
}

static void
obs_11_errors(void **state)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(wane_metrics_write(full), -ENOSPC);
    assert_int_equal(wane_stats_json_write(full), -ENOSPC);
    assert_int_equal(wane_metrics_write(-1), -EBADF);
    close(full);
}

SCENE_MAIN(SCENE(obs_10_numbers_are_right), SCENE(obs_11_errors), SCENE(obs_12_names_of_any_kind))
