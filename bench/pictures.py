#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pictures of build/bench/latency.json (each call's percentiles) and growth.json (costs against sizes). usage: pictures.py FILE DIR"""
import json
import pathlib
import sys

import plot

# Of latency.c's many calls those that a picture can tell apart; the rest are in the table.
SHOWN = ("nothing: two looks at the clock", "wane_enter", "wane_leave", "wane_new", "wane_retain, own", "wane_release, frees 1,000",
         "wane_get", "wane_set", "wane_weak_get", "wane_map_set")
RARE = (("p50", 2), ("p99", 100), ("p99.9", 1000), ("p99.99", 10000))  # one call in so many takes that long, or longer
PARTS = {"live": "live objects", "rate": "rings a second", "threads": "threads", "section": "operations in a section",
         "backlog": "units displaced while a reader stays inside"}


def by_rarity(row):
    """A call's times: (one in so many, nanoseconds)."""
    return [(one_in, row[key]) for key, one_in in RARE if one_in <= row["count"]] + [(row["count"], row["max"])]


def of_latency(results):
    series = {row["name"]: by_rarity(row) for row in results["calls"] if row["name"] in SHOWN}
    title = f"A call by the clock, beside {results['live']:,} live objects: one in so many takes longer"
    yield "latency", plot.lines(title, series, "one call in ..", "nanoseconds")
    gaps = {f"collections {state}": by_rarity(row) for state, row in zip(("off", "on"), results["gaps"])}
    yield "latency-gaps", plot.lines("The gaps of a thread that looks at the clock every 10 us", gaps, "one gap in ..", "nanoseconds")


def of_growth(results):
    for part, what in PARTS.items():
        rows = [row for row in results["rows"] if row["part"] == part]
        series = {f"{row['exponent']:.2f} {row['name'].strip()[:26]}, {row['unit']}": list(zip(row["sizes"], row["costs"]))
                  for row in rows}
        if series:
            yield f"growth-{part}", plot.lines(f"Exponents of costs against {what}", series, what, "as named")


def main(file, directory):
    results = json.loads(pathlib.Path(file).read_text())
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name, svg in (of_latency if "calls" in results else of_growth)(results):
        if svg:
            (directory / f"{name}.svg").write_text(svg)


if __name__ == "__main__":
    main(*sys.argv[1:])
