/* SPDX-License-Identifier: MIT
 *
 * observe_common.h - files of snapshots and reports, and the tools that read them
 */
#ifndef OBSERVE_COMMON_H
#define OBSERVE_COMMON_H

#include "scene.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <wane/observe.h>

#ifndef ROOT
#error "ROOT is the directory of the sources"
#endif

struct report {
    char path[64];
    int  fd;
};

static inline struct report
report_open(void)
{
    struct report r = {"/tmp/wane-report.XXXXXX", -1};

    r.fd = mkstemp(r.path);
    if (r.fd < 0)
        die("no temporary file");
    return r;
}

static inline void
report_close(struct report *r)
{
    close(r->fd);
    unlink(r->path);
}

/* All that was written, with a zero behind it; the caller frees it. */
static inline char *
report_text(const struct report *r)
{
    struct stat s;
    char       *text = fstat(r->fd, &s) == 0 ? malloc((size_t)s.st_size + 1) : NULL;

    if (!text || pread(r->fd, text, (size_t)s.st_size, 0) != s.st_size)
        die("the report cannot be read");
    text[s.st_size] = 0;
    return text;
}

/* These words, in this order. */
static inline void
assert_report_says(const struct report *r, const char *const *words)
{
    char *text = report_text(r), *at = text;

    for (; *words; words++) {
        at = strstr(at, *words);
        if (!at) {
            fprintf(stderr, "no \"%s\" (here) in:\n%s\n", *words, text);
            free(text);
            fail();
        }
        at += strlen(*words);
    }
    free(text);
}

/* Run a command with the report's path for FILE; its output goes to `out`, or to stderr. Returns its exit status. */
static inline int
run_tool(const char *tool, const struct report *r, const char *arguments, const struct report *out)
{
    char command[2048];
    int  status;

    snprintf(command, sizeof command, "python3 %s/%s %s %s >%s", ROOT, tool, r->path, arguments, out ? out->path : "&2");
    fflush(NULL);
    status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Write a snapshot and check it to the letter. The wishes: see snapshot_check.py, each in quotes. */
static inline void
snapshot_checked(const char *wishes)
{
    struct report r = report_open();

    assert_int_equal(wane_snapshot_write(r.fd), 0);
    if (run_tool("tests/snapshot_check.py", &r, wishes, NULL) != 0)
        fail();
    report_close(&r);
}

static inline int
observe_begin(void **state)
{
    wane_observe(true);
    return scene_begin(state);
}

#define OBSERVED(f) cmocka_unit_test_setup_teardown(f, observe_begin, scene_end)

#endif
