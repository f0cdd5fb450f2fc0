# SPDX-License-Identifier: MIT
"""The arithmetic: medians and spreads, ratios, goals, the comparison of two runs. Needs nothing but the results."""
import statistics


def median(values):
    return statistics.median(values)


def spread(values):
    """Lower and upper quartile (with fewer than four values: the extremes)."""
    if len(values) < 4:
        return min(values), max(values)
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    return quartiles[0], quartiles[2]


def bucket_top(bucket):
    """The largest nanoseconds that a bucket of the histograms (eight an octave) holds."""
    return bucket if bucket < 8 else ((8 + bucket % 8 + 1) << (bucket // 8 - 1)) - 1


def percentile(histogram, share):
    """The least value, to 9 %, that `share` of all do not exceed."""
    counts = sorted((int(bucket), count) for bucket, count in histogram.items())
    total, seen = sum(count for _, count in counts), 0
    for bucket, count in counts:
        seen += count
        if seen >= share * total:
            return bucket_top(bucket)
    return None


def above(histogram, ns):
    """How many values are certainly above ns."""
    return sum(count for bucket, count in histogram.items() if int(bucket) > 8 and bucket_top(int(bucket) - 1) >= ns)


class Missing(Exception):
    """A figure that was not measured."""


class Figures:
    """Looks rows up. A row is one workload of one peer with so many threads, one size, one allocator."""

    def __init__(self, results):
        self.rows = results["rows"]
        self.largest = {}
        for row in self.rows:
            if row["status"] == "measured":
                self.largest[row["workload"]] = max(self.largest.get(row["workload"], 0), row["size"])

    def row(self, workload, peer, threads=1, size=None, allocator=None):
        size = self.largest.get(workload, 0) if size is None else size
        for row in self.rows:
            if (row["workload"], row["peer"], row["threads"]) == (workload, peer, threads) and row["size"] == size and \
                    row["allocator"] in ((allocator,) if allocator else ("glibc", "own")) and row["status"] == "measured":
                return row
        for row in self.rows:
            if (row["workload"], row["peer"]) == (workload, peer) and row["why"]:
                raise Missing(f"{peer}: {row['why']}")
        raise Missing(f"{workload} of {peer} with {threads} threads was not run")

    def ns(self, *place, **more):
        return self.row(*place, **more)["median"]

    def extra(self, name, *place, **more):
        row = self.row(*place, **more)
        if name not in row["extra"]:
            raise Missing(f"{row['workload']} of {row['peer']} has no {name}")
        return row["extra"][name]

    def faster(self, workload, peer, threads=1, **more):
        """How many times faster than a peer."""
        return self.ns(workload, peer, threads, **more) / self.ns(workload, "wane", threads, **more)

    def slower(self, workload, peer, threads=1, **more):
        return 1 / self.faster(workload, peer, threads, **more)

    def best(self, workload, threads=1):
        """The library with whichever allocator is best for it."""
        found = []
        for allocator in ("glibc", "mimalloc", "jemalloc"):
            try:
                found.append(self.ns(workload, "wane", threads, allocator=allocator))
            except Missing:
                pass
        if not found:
            raise Missing(f"{workload} of wane was not run")
        return min(found)

    def reclaimed(self, workload):
        """Millions of objects a second beside a million (or fewer: as many as there were), the final collection included."""
        sizes = [row["size"] for row in self.rows if row["workload"] == workload and row["size"] <= 1000000]
        return 1000 / self.ns(workload, "wane, young first", size=max(sizes, default=None))


def footprint(name):
    return lambda f: f.extra(name, "footprint", "wane", 4)


def over_a_millisecond(f):
    """Steps over 1 ms a second, beside the same of plain C (one a second is forgiven)."""
    def rate(peer):
        row = f.row("rings1", peer)
        return above(row["extra"]["steps"], 1000000) / (row["extra"]["made_ns"] / 1e9)
    return rate("wane") / max(rate("plain"), 1)


def memory_beside(f):
    row = f.row("rings1", "wane")
    return row["extra"]["rss_kb"] / (1.5 * row["extra"]["heap_kb"] + 100e6 / 1024)


def large_beside_small(f):
    sizes = sorted({row["size"] for row in f.rows if row["workload"] == "rings1" and row["status"] == "measured"})
    if len(sizes) < 2:
        raise Missing("one size only")
    return f.ns("rings1", "wane, young first", size=sizes[-1]) / f.ns("rings1", "wane, young first", size=sizes[-2])


AT_MOST, AT_LEAST = "<=", ">="

# name, comparison, what is wanted, how it is computed
GOALS = [
    ("P1 own object, of plain ++ and --", AT_MOST, 1.5, lambda f: f.slower("own-one", "plain")),
    ("P1 own objects in turns, of plain ++ and --", AT_MOST, 1.5, lambda f: f.slower("own-many", "plain")),
    ("P1 own object, faster than Arc", AT_LEAST, 4.5, lambda f: f.faster("own-one", "Arc")),
    ("P1 own objects in turns, faster than Arc", AT_LEAST, 4.5, lambda f: f.faster("own-many", "Arc")),
    ("P1 own object, faster than shared_ptr", AT_LEAST, 12, lambda f: f.faster("own-one", "shared_ptr")),
    ("P2 out of line, of two empty calls", AT_MOST, 1.25, lambda f: f.slower("calls", "empty calls")),
    ("P3 another's object, of an atomic pair", AT_MOST, 1.2, lambda f: f.slower("foreign", "atomic")),
    ("P3 two threads, one owns, of atomic pairs", AT_MOST, 0.65, lambda f: f.slower("foreign", "atomic", 2)),
    ("P4 section, of liburcu inlined", AT_MOST, 1.0, lambda f: f.slower("section", "liburcu")),
    ("P5 borrowed read, of liburcu", AT_MOST, 1.1, lambda f: f.slower("read", "liburcu")),
    ("P5 borrowed read, 2 threads, of liburcu", AT_MOST, 1.1, lambda f: f.slower("read", "liburcu", 2)),
    ("P5 borrowed read, faster than arc-swap", AT_LEAST, 3.5, lambda f: f.faster("read", "arc-swap")),
    ("P5 borrowed read, 2 threads, faster than atomic<shared_ptr>", AT_LEAST, 60, lambda f: f.faster("read", "shared_ptr", 2)),
    ("P5 borrowed read, faster than CDRC", AT_LEAST, 2.4, lambda f: f.faster("read", "CDRC")),
    ("P6 1 % updates, faster than arc-swap", AT_LEAST, 2, lambda f: f.faster("mixed1", "arc-swap")),
    ("P6 1 % updates, 2 threads, faster than arc-swap", AT_LEAST, 2, lambda f: f.faster("mixed1", "arc-swap", 2)),
    ("P6 10 % updates, faster than arc-swap", AT_LEAST, 2, lambda f: f.faster("mixed10", "arc-swap")),
    ("P6 10 % updates, 2 threads, faster than arc-swap", AT_LEAST, 2, lambda f: f.faster("mixed10", "arc-swap", 2)),
    ("P6 faster than CDRC", AT_LEAST, 1.3, lambda f: f.faster("mixed1", "CDRC")),
    ("P7 owned read, of liburcu and two atomics", AT_MOST, 1.15, lambda f: f.slower("owned", "liburcu")),
    ("P7 owned read, 2 threads, of liburcu and two atomics", AT_MOST, 1.15, lambda f: f.slower("owned", "liburcu", 2)),
    ("P7 owned read, faster than CDRC", AT_LEAST, 1.6, lambda f: f.faster("owned", "CDRC")),
    ("P8 new and release on glibc, of Arc", AT_MOST, 1.15, lambda f: f.slower("churn", "Arc")),
    ("P8 new and release, best allocator, of Arc on glibc", AT_MOST, 0.7, lambda f: f.best("churn") / f.ns("churn", "Arc")),
    ("P9 trees on glibc, of plain C", AT_MOST, 1.15, lambda f: f.slower("trees", "plain")),
    ("P9 trees, best allocator, of plain C on glibc", AT_MOST, 0.8, lambda f: f.best("trees") / f.ns("trees", "plain")),
    ("P9 trees, most memory, of Arc", AT_MOST, 1.3,
     lambda f: f.extra("rss_kb", "trees", "wane") / f.extra("rss_kb", "trees", "Arc")),
    *((f"P10 {name}, {percent} % updates, throughput of liburcu's", AT_LEAST, 0.95,
       lambda f, w=f"{name}-{percent}": f.faster(w, "liburcu"))
      for name in ("stack", "queue", "hash", "list", "tree") for percent in (10, 50)),
    ("P10 faster than CDRC", AT_LEAST, 1.1, lambda f: f.faster("hash-10", "CDRC")),
    ("P11 isolated rings, M objects a second", AT_LEAST, 10, lambda f: f.reclaimed("rings0")),
    ("P11 with an edge to a live object, M objects a second", AT_LEAST, 5, lambda f: f.reclaimed("rings1")),
    ("P11 beside a live list, M objects a second", AT_LEAST, 3, lambda f: f.reclaimed("rings2")),
    ("P11 cost beside the largest heap, of the next smaller", AT_MOST, 1.1, large_beside_small),
    ("P11 visited for each freed", AT_MOST, 4,
     lambda f: f.extra("visited", "rings1", "wane") / f.extra("freed", "rings1", "wane")),
    ("P11 CPU time of a step, worst, microseconds", AT_MOST, 100,
     lambda f: f.extra("steps_worst", "rings1-cpu", "wane") / 1e3),
    ("P11 CPU time of a step, 99.9 %, microseconds", AT_MOST, 20,
     lambda f: percentile(f.extra("steps", "rings1-cpu", "wane"), 0.999) / 1e3),
    ("P11 steps over 1 ms a second, of plain C", AT_MOST, 1.0, over_a_millisecond),
    ("P11 most memory, of 1.5 x live + 100 MB", AT_MOST, 1.0, memory_beside),
    ("P12 drop of a list, the call, microseconds", AT_MOST, 50, lambda f: f.extra("call_ns", "drop-list", "wane") / 1e3),
    ("P12 drop of a tree, the call, microseconds", AT_MOST, 50, lambda f: f.extra("call_ns", "drop-tree", "wane") / 1e3),
    ("P12 drop of a list, CPU, of the C loop", AT_MOST, 1.3,
     lambda f: f.extra("cpu", "drop-list", "wane") / f.extra("cpu", "drop-list", "plain")),
    ("P12 drop of a tree, CPU, of the C loop", AT_MOST, 1.3,
     lambda f: f.extra("cpu", "drop-tree", "wane") / f.extra("cpu", "drop-tree", "plain")),
    ("P12 list back by itself, of twice the C loop x 1.3", AT_MOST, 1.0,
     lambda f: f.extra("back_ns", "drop-list", "wane") / (2.6 * f.extra("back_ns", "drop-list", "plain"))),
    ("P12 tree back by itself, of twice the C loop x 1.3", AT_MOST, 1.0,
     lambda f: f.extra("back_ns", "drop-tree", "wane") / (2.6 * f.extra("back_ns", "drop-tree", "plain"))),
    ("P13 give and adopt, of raw pointers", AT_MOST, 1.1, lambda f: f.slower("pipeline", "plain", 4)),
    ("P14 hot object, a thread of 2, of an own one", AT_MOST, 1.5,
     lambda f: f.ns("hot", "wane", 2) / f.ns("own-one", "wane")),
    ("P14 hot object, 2 threads, of 1", AT_MOST, 1.15, lambda f: f.ns("hot", "wane", 2) / f.ns("hot", "wane")),
    ("P15 weak get and release, of an atomic pair", AT_MOST, 1.3, lambda f: f.slower("weak", "atomic")),
    ("P15 weak get, 2 threads, faster than weak_ptr", AT_LEAST, 2, lambda f: f.faster("weak", "shared_ptr", 2)),
    ("P16 collector beside a heap without garbage, share of a core", AT_MOST, 0.1,
     lambda f: f.extra("background_share", "quiet", "wane")),
    ("P17 header, bytes of an object", AT_MOST, 16, footprint("header_bytes")),
    ("P17 bytes of a thread", AT_MOST, 16384, footprint("thread_bytes")),
    ("P17 collector, bytes of an object explored", AT_MOST, 40, lambda f: f.extra("explored_bytes", "growth", "wane")),
    ("P17 text of the library, bytes", AT_MOST, 131072, footprint("text_bytes")),
]


def number(value):
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def goals(results, table=None):
    """What became of each goal: name, wanted, measured (None: was not), met."""
    f, out = Figures(results), []
    for name, comparison, wanted, compute in table or GOALS:
        goal = {"name": name, "wanted": f"{comparison} {number(wanted)}", "measured": None, "met": False, "why": ""}
        try:
            goal["measured"] = compute(f)
            goal["met"] = goal["measured"] <= wanted if comparison == AT_MOST else goal["measured"] >= wanted
        except Missing as missing:
            goal["why"] = str(missing)
        except ZeroDivisionError:
            goal["why"] = "the other figure is zero"
        out.append(goal)
    return out


def goal_line(goal):
    if goal["measured"] is None:
        return f"goal {goal['name']}: not measured ({goal['why']})"
    return f"goal {goal['name']}: measured {number(goal['measured'])}, wanted {goal['wanted']}, {'met' if goal['met'] else 'missed'}"


def count_line(all_goals):
    measured = [goal for goal in all_goals if goal["measured"] is not None]
    return f"goals: {sum(g['met'] for g in measured)} met, {sum(not g['met'] for g in measured)} missed, " \
           f"{len(all_goals) - len(measured)} not measured"


def relative(row, rows):
    """The row's figure as a ratio to its reference in the same run, with the quartiles' worst ratios; None without one."""
    for other in rows:
        if other["status"] == "measured" and other["peer"] == row["reference"] and \
                all(other[key] == row[key] for key in ("workload", "threads", "size", "allocator")):
            return tuple(a / b for a, b in ((row["median"], other["median"]), (row["low"], other["high"]),
                                            (row["high"], other["low"])))
    return None


def compare(old, new, tolerance=0.1):
    """
    Rows of the library in both runs, each as a ratio to its reference, so that a busier or another machine matters less.
    Worse: the ratio grew by more than `tolerance`, and the ranges of the two do not overlap.
    """
    key = ("workload", "threads", "size", "allocator")
    known = {tuple(row[k] for k in key): row for row in old["rows"] if row["peer"] == "wane" and row["status"] == "measured"}
    out = []
    for row in new["rows"]:
        before = known.get(tuple(row[k] for k in key))
        if row["peer"] != "wane" or row["status"] != "measured" or not before:
            continue
        was, now = relative(before, old["rows"]), relative(row, new["rows"])
        if was and now:
            out.append({"place": " ".join(str(row[k]) for k in key), "was": was[0], "now": now[0],
                        "worse": now[0] > was[0] * (1 + tolerance) and now[1] > was[2]})
    return out


def exponent(points):
    """The slope of the points (size, cost of one) in logarithms, plus one: how the cost of all grows."""
    import math
    if len(points) < 2:
        return None
    (x0, y0), (x1, y1) = points[0], points[-1]
    return 1 + math.log(y1 / y0) / math.log(x1 / x0)
