#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is the benchmarks' arithmetic right? On stored results, without timing. usage: self_test.py RESULTS.json"""
import copy
import json
import pathlib
import sys
import tempfile
import xml.etree.ElementTree

import figures
import peers
import pictures
import plot
import report
import workloads

failures = 0


def expect(what, got, wanted):
    global failures
    same = abs(got - wanted) < 1e-9 if isinstance(wanted, float) and isinstance(got, (int, float)) else got == wanted
    if not same:
        print(f"{what}: {got!r}, should be {wanted!r}")
        failures += 1


def numbers():
    expect("median", figures.median([3, 1, 2]), 2)
    expect("spread of three", figures.spread([3, 1, 2]), (1, 3))
    expect("spread of five", figures.spread([1, 2, 3, 4, 5]), (2, 4))
    expect("percentile", figures.percentile({"3": 90, "5": 9, "7": 1}, 0.99), 5)
    expect("percentile, all", figures.percentile({"3": 90, "5": 9, "7": 1}, 1), 7)
    expect("buckets", [figures.bucket_top(b) for b in (7, 8, 15, 16, 23, 24)], [7, 8, 15, 17, 31, 35])
    expect("above", figures.above({"24": 5, "136": 7, "8": 1}, 1000), 7)
    expect("exponent of a constant cost", figures.exponent([(10, 5.0), (1000, 5.0)]), 1.0)
    expect("exponent of a square", figures.exponent([(10, 1.0), (100, 10.0)]), 2.0)


def goals(results):
    table = [("met", "<=", 1.5, lambda f: f.slower("own-one", "plain")), ("missed", ">=", 12, lambda f: f.faster("own-one", "Arc")),
             ("absent", ">=", 12, lambda f: f.faster("own-one", "shared_ptr")),
             ("not packaged", ">=", 2, lambda f: f.ns("read", "CDRC")), ("never run", "<=", 1, lambda f: f.ns("weak", "wane")),
             ("best", "<=", 0.8, lambda f: f.best("churn") / f.ns("churn", "Arc")),
             ("rate", ">=", 5, lambda f: f.reclaimed("rings1")), ("growth", "<=", 1.1, figures.large_beside_small)]
    found = figures.goals(results, table)
    expect("goals met", [g["met"] for g in found], [True, False, False, False, False, True, False, False])
    expect("goals measured", [g["measured"] is not None for g in found], [True, True, False, False, False, True, True, True])
    for got, wanted in zip((found[0], found[1], found[5], found[6], found[7]), (1.5, 5.0, 0.8, 1000 / 300, 1.5)):
        expect(got["name"], got["measured"], wanted)
    expect("goal line", figures.goal_line(found[1]), "goal missed: measured 5, wanted >= 12, missed")
    expect("goal line of an absent peer", figures.goal_line(found[2]),
           "goal absent: not measured (shared_ptr: g++ is not there (package g++))")
    expect("count", figures.count_line(found), "goals: 2 met, 3 missed, 3 not measured")
    names = [goal[0] for goal in figures.GOALS]
    expect("goals' names differ", len(set(names)), len(names))
    expect("all goals can be computed or say why", len(figures.goals(results)), len(names))


def comparison(results):
    worse = copy.deepcopy(results)
    for row in worse["rows"]:
        if row["workload"] in ("own-one", "churn") and row["peer"] == "wane" and row["allocator"] == "glibc":
            for key in ("median", "low", "high"):
                row[key] *= 1.5
        if row["workload"] == "own-one" and row["threads"] == 2 and row["status"] == "measured":  # the machine is slower
            for key in ("median", "low", "high"):
                row[key] *= 3 if row["peer"] == "plain" else 2
    expect("nothing is worse than itself", [r["place"] for r in figures.compare(results, results) if r["worse"]], [])
    expect("rows compared", len(figures.compare(results, results)), 4)
    expect("worse rows", [r["place"] for r in figures.compare(results, worse) if r["worse"]], ["own-one 1 0 glibc"])


def labels():
    expect("labels are moved apart", plot.spread_labels([(10, "a"), (12, "b"), (50, "c")], 60, 14), {"a": 10, "b": 24, "c": 50})
    expect("labels stay inside", plot.spread_labels([(55, "a"), (58, "b")], 60, 14), {"a": 46, "b": 60})


def drawn(results):
    with tempfile.TemporaryDirectory() as directory:
        written = report.plots(results, pathlib.Path(directory))
        expect("pictures", written, ["own-one", "churn", "rings1-steps", "rings1-size", "drop-list"])
        for name in written:
            xml.etree.ElementTree.parse(pathlib.Path(directory) / f"{name}.svg")
    results["goals"] = figures.goals(results)
    text = report.markdown(results)
    expect("absent peers are named in the document", "- CDRC: absent: not in Debian" in text, True)
    expect("failed peers too", "- Arc: failed: SIGABRT stack overflow" in text, True)


def series():
    call = {"name": "wane_get", "count": 5000, "p50": 40, "p99": 80, "p99.9": 200, "p99.99": 900, "max": 5000}
    expect("no more percentiles than calls", pictures.by_rarity(call), [(2, 40), (100, 80), (1000, 200), (5000, 5000)])
    latency = {"live": 10, "calls": [call, dict(call, name="wane_vec_get")], "gaps": [call, call]}
    row = {"part": "rate", "name": "  a cost", "unit": "ns", "sizes": [1, 10], "costs": [5.0, 50.0], "exponent": 1.0}
    drawn_of = dict(pictures.of_latency(latency)) | dict(pictures.of_growth({"rows": [row]}))
    expect("pictures of latency and growth", list(drawn_of), ["latency", "latency-gaps", "growth-rate"])
    expect("the calls in it", ("wane_get" in drawn_of["latency"], "wane_vec_get" in drawn_of["latency"]), (True, False))
    expect("the exponent in it", "1.00 a cost, ns" in drawn_of["growth-rate"], True)
    for svg in drawn_of.values():
        xml.etree.ElementTree.fromstring(svg)


def tables():
    for n, threads in ((64, 1), (6400, 2), (64 * 65, 1)):
        expect("sum of blocks", workloads.blocks(n, threads), threads * sum(b % 64 + 1 for b in range(n // 64)))
    for w in workloads.WORKLOADS:
        for peer in w.peers:
            expect(f"{w.name}: {peer} has a program", peers.program_of(peer, w.name) in peers.PROGRAMS, True)
        expect(f"{w.name}: measured or not applicable", set(w.peers) & set(w.absent), set())
    for program in peers.PROGRAMS.values():
        for command in program.build:
            for word in command.replace("=", " ").split():
                if word.startswith("{src}/"):
                    expect(f"{word} exists", (peers.SOURCES / word[6:]).exists(), True)


def main():
    results = json.loads(pathlib.Path(sys.argv[1]).read_text())
    numbers()
    goals(results)
    comparison(results)
    labels()
    drawn(results)
    series()
    tables()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
