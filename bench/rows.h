/* SPDX-License-Identifier: MIT
 *
 * rows.h - costs against sizes: a table, its exponents, which of them are too large (for growth.c)
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "bench.h"

#include <math.h>

#define SIZES_MOST 8
#define ROWS_MOST  40

struct row {
    const char *part, *name, *unit;
    double      most; /* exponent; above it the row is marked */
    int         n;
    double      size[SIZES_MOST], cost[SIZES_MOST];
};

static struct row rows[ROWS_MOST];
static int        row_count;

#define EACH  0.1 /* of a cost for each operation */
#define WHOLE 1.1

static inline void
add(const char *part, const char *name, const char *unit, double most, double size, double cost)
{
    struct row *r = rows;

    while (r < rows + row_count && (strcmp(r->part, part) != 0 || strcmp(r->name, name) != 0))
        r++;
    if (r == rows + ROWS_MOST || (r < rows + row_count && r->n == SIZES_MOST)) {
        fprintf(stderr, "bench: too many rows or sizes\n");
        exit(1);
    }
    if (r == rows + row_count) {
        *r = (struct row){.part = part, .name = name, .unit = unit, .most = most};
        row_count++;
    }
    r->size[r->n] = size;
    r->cost[r->n++] = cost;
}

/* NaN: there are not two costs above nothing. A cost is NaN where it is too small to be seen. */
static inline double
exponent(const struct row *r)
{
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;

    for (int i = 0; i < r->n; i++) {
        double x = log(r->size[i]), y = log(r->cost[i]);

        if (!(r->cost[i] > 0))
            continue;
        n++;
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
    }
    return n < 2 ? (double)NAN : (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

static inline bool
is_marked(const struct row *r)
{
    return exponent(r) > r->most;
}

static inline void
print_part(const char *part, const char *what)
{
    bool first = true;

    printf("%s: %s\n", part, what);
    for (const struct row *r = rows; r < rows + row_count; r++) {
        if (strcmp(r->part, part) != 0)
            continue;
        if (first) {
            printf("  %-46s", "");
            for (int i = 0; i < r->n; i++)
                printf(" %9.0f", r->size[i]);
            printf("  exponent\n");
            first = false;
        }
        printf("  %-38s %-7s", r->name, r->unit);
        for (int i = 0; i < r->n; i++)
            if (isnan(r->cost[i]))
                printf(" %9s", "-");
            else
                printf(" %9.*f", r->cost[i] < 100 ? 1 : 0, r->cost[i]);
        printf("  %+.2f%s\n", exponent(r), !is_marked(r) ? "" : r->most > 1 ? " super-linear" : " grows");
    }
    fflush(stdout);
}

static inline void
write_rows(FILE *f)
{
    for (const struct row *r = rows; r < rows + row_count; r++) {
        fprintf(f, "%s\n  {\"part\": \"%s\", \"name\": \"%s\", \"unit\": \"%s\", \"sizes\": [", r == rows ? "" : ",", r->part,
                r->name, r->unit);
        for (int i = 0; i < r->n; i++)
            fprintf(f, "%s%.0f", i ? ", " : "", r->size[i]);
        fprintf(f, "], \"costs\": [");
        for (int i = 0; i < r->n; i++)
            if (isnan(r->cost[i]))
                fprintf(f, "%snull", i ? ", " : "");
            else
                fprintf(f, "%s%.3f", i ? ", " : "", r->cost[i]);
        if (isnan(exponent(r)))
            fprintf(f, "], \"exponent\": null");
        else
            fprintf(f, "], \"exponent\": %.3f", exponent(r));
        fprintf(f, ", \"most\": %.1f, \"marked\": %s}", r->most, is_marked(r) ? "true" : "false");
    }
}

static inline void
print_marked(void)
{
    int marked = 0;

    for (const struct row *r = rows; r < rows + row_count; r++)
        if (is_marked(r))
            printf("%s%s: %s %+.2f", marked++ ? "; " : "marked: ", r->part, r->name, exponent(r));
    printf("%s\n", marked ? "" : "nothing is marked");
}

#endif
