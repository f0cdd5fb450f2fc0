#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library beside its peers, interleaved in one run. `./dev bench` builds the library and calls this.

usage: run.py [--quick] [--only NAME[,NAME ...]] [--threads N[,N ...]] [--build DIRECTORY] [--built]
              [--compare OLD.json] [--from NEW.json] [--document [PART]]

  --quick     small heaps, few threads, short samples: under three minutes
  --only      some workloads (read, rings1 ..) or rows of the goals (P5 ..)
  --threads   so many each, instead of 1, 2, 4 and 16 as far as there are cores (of the workloads that have several)
  --built     build nothing: DIRECTORY was copied from a machine that has the compilers
  --compare   afterwards: rows that are worse than in OLD.json, each as a ratio to its reference; exit status 1 if there are any
  --from      no measurement: goals, pictures (and --compare) from stored results
  --document  put tables, goals and pictures into docs/performance.md; PART (scaling): without goals, where that part's marks are

Results: DIRECTORY/results.json (below), DIRECTORY/plots/*.svg; while it runs, DIRECTORY/running.json has what is measured.
Exit status 1 too if a checksum is wrong.

  schema      2
  machine     cores, model, kernel, load (before and after)
  quick       whether it was a quick run
  programs    program -> "built", or why it is not there
  rows        one for each workload, peer, number of threads, size, allocator:
              status "measured", or "absent", "failed", "not applicable" with `why`;
              median, low, high: nanoseconds an operation and thread (quartiles), samples: all of them; by: cpu or wall;
              reference: whose row ratios refer to; extra: what else was measured (medians; *_worst: the most; steps: sums)
  goals       name, wanted, measured, met, why (not measured)
  seconds     what the run took, and building the peers
"""
import argparse
import collections
import json
import os
import pathlib
import platform
import signal
import struct
import subprocess
import sys
import time

import figures
import peers
import report
import workloads

HIGHEST = 120  # seconds that one sample may take
MOST = {True: 2.5, False: 20}  # seconds after which no more samples are taken of one place, in a quick run or not


class Driver:
    def __init__(self, arguments):
        self.quick = arguments.quick
        self.directory = pathlib.Path(arguments.build)
        self.threads = [int(n) for n in arguments.threads.split(",")] if arguments.threads else []
        self.builder = peers.Builder(self.directory, self.directory / "src", arguments.built)
        self.rows, self.wrong = [], 0

    # ---- One sample -----------------------------------------------------------------------------------------------

    def sample(self, place, n):
        """What a program prints, or a string that says why there is none."""
        w, peer, threads, size, allocator = place
        command, environment = self.builder.command(peer, w.name, threads, n, size, allocator)
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HIGHEST)
        except subprocess.TimeoutExpired:
            return f"longer than {HIGHEST} s"
        if done.returncode == 3:
            return "the program does not know this workload"
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or [""])[-1]
            name = signal.Signals(-done.returncode).name if done.returncode < 0 else f"status {done.returncode}"
            return f"{name} {last}".strip()
        try:
            out = json.loads(done.stdout.strip().splitlines()[-1])
        except (ValueError, IndexError):
            return "prints no result"
        if w.checksum:
            right = w.checksum(n, threads, size) & workloads.MASK
            if out["checksum"] != right:
                self.wrong += 1
                return f"checksum {out['checksum']} instead of {right}"
        out["per_operation"] = (out["cpu_ns"] if w.by == "cpu" and out["cpu_ns"] else out["ns"] * threads) / out["operations"]
        return out

    def steady_sample(self, place, n):
        """Wall time of one thread: again if the thread had not the core for itself, twice at most."""
        best = self.sample(place, n)
        for _ in range(2):
            if isinstance(best, str) or place[0].name != "trees" or best["ns"] <= 1.12 * best["cpu_ns"]:
                break
            again = self.sample(place, n)
            if not isinstance(again, str) and again["ns"] < best["ns"]:
                best = again
        return best

    def calibrate(self, place):
        """The n with which a sample takes about as long as it should; or why there is none."""
        w = place[0]
        if w.fixed:
            return w.fixed[0 if self.quick else 1]
        target = (1.2e8 if self.quick else 2e9) if w.heavy else (1.2e7 if self.quick else 2e8)
        n = w.unit
        for _ in range(6):
            out = self.sample(place, n)
            if isinstance(out, str):
                return out
            n = max(1, round(n / w.unit * min(max(target / max(out["ns"], 1), 0.05), 40))) * w.unit
            if out["ns"] > target / 4:
                break
        return n

    # ---- One workload -----------------------------------------------------------------------------------------------

    def places(self, w):
        for size in w.sizes[0 if self.quick else 1]:
            for peer in w.peers:
                about = peers.PEERS[peer]
                for allocator in workloads.allocators_of(w, about.allocator):
                    for threads in workloads.threads_of(w, peer, self.threads):
                        if self.threads or not self.quick or threads <= 2 or w.threads != "all":
                            yield w, peer, threads, size, allocator

    def row(self, place, status, why="", **more):
        w, peer, threads, size, allocator = place
        reference = w.peers[1] if len(w.peers) > 1 else ""
        self.rows.append({"workload": w.name, "peer": peer, "threads": threads, "size": size, "allocator": allocator,
                          "status": status, "why": why, "by": w.by, "reference": reference, **more})

    def absent(self, place):
        w, peer, allocator = place[0], place[1], place[4]
        if allocator in peers.ALLOCATORS and not peers.allocator_library(allocator):
            return f"{allocator} is not installed"
        return self.builder.absent.get(peers.program_of(peer, w.name))

    def measure(self, w):
        for peer, why in w.absent.items():
            self.row((w, peer, 1, 0, ""), "not applicable", why)
        n, samples, failed, spent = {}, collections.defaultdict(list), {}, collections.Counter()
        for place in self.places(w):
            if self.absent(place):
                self.row(place, "absent", self.absent(place))
                continue
            n[place] = self.calibrate(place)
            if isinstance(n[place], str):
                failed[place] = n[place]
        rounds = 3 if self.quick and w.heavy else 7
        for turn in range(rounds):
            for place in n:
                slow = self.quick and turn >= 3 and peers.PEERS[place[1]].slow_start
                if place in failed or slow or spent[place] > MOST[self.quick]:
                    continue
                begin = time.monotonic()
                out = self.steady_sample(place, n[place])
                spent[place] += time.monotonic() - begin
                if isinstance(out, str):
                    failed[place] = out
                else:
                    samples[place].append(out)
        self.agree(w, samples, n)
        for place in n:
            if place in failed:
                self.row(place, "failed", failed[place])
            else:
                self.summarize(place, n[place], samples[place])

    def agree(self, w, samples, n):
        """Without a formula: peers that did the same on one thread must have the same sum."""
        if w.checksum:
            return
        for place in [p for p in samples if p[2] == 1]:
            sums = {}
            for peer in w.peers:
                other = (w, peer, *place[2:])
                out = self.sample(other, w.unit) if other in n else "absent"
                if not isinstance(out, str):
                    sums[peer] = out["checksum"]
            if len(set(sums.values())) > 1:
                self.wrong += 1
                print(f"checksums of {w.name} differ: {sums}", file=sys.stderr)
            return

    def summarize(self, place, n, outs):
        values = [out["per_operation"] for out in outs]
        low, high = figures.spread(values)
        extra = {"cpu": figures.median([out["cpu_ns"] for out in outs])}
        for key in outs[0]:
            if key in ("operations", "ns", "cpu_ns", "checksum", "per_operation"):
                continue
            if isinstance(outs[0][key], dict):
                total = collections.Counter()
                for out in outs:
                    total.update({bucket: count for bucket, count in out[key].items()})
                extra[key] = dict(total)
            else:
                extra[key] = (max if key.endswith("_worst") else figures.median)([out[key] for out in outs])
        if place[0].name == "footprint":
            extra.update(self.footprint())
        if "steps" in extra:
            extra["made_ns"] *= len(outs)
        self.row(place, "measured", n=n, median=figures.median(values), low=low, high=high, samples=values, extra=extra)

    def footprint(self):
        """The library's text, and what loading it adds to the start of a program."""
        library = self.directory / "src" / "libwane.so"
        starts = {"plain": [], "wane_counts": []}
        for _ in range(15):
            for program, times in starts.items():
                begin = time.perf_counter_ns()
                subprocess.run([str(self.builder.directory / program)], capture_output=True)
                times.append(time.perf_counter_ns() - begin)
        return {"text_bytes": text_bytes(library),
                "load_ns": figures.median(starts["wane_counts"]) - figures.median(starts["plain"])}

    def not_packaged(self, w):
        for peer, why in peers.NOT_PACKAGED.items():
            if (peer == "CDRC") == (w.row in ("P5", "P6", "P7", "P10")) and w.row in ("P5", "P6", "P7", "P8", "P10", "P11"):
                self.row((w, peer, 1, 0, ""), "absent", why)


def text_bytes(library):
    """The size of the section .text of a 64-bit ELF file."""
    data = library.read_bytes()
    offset, size, count, names = struct.unpack_from("<Q", data, 0x28)[0], *struct.unpack_from("<HHH", data, 0x3A)
    sections = [struct.unpack_from("<IIQQQQ", data, offset + i * size) for i in range(count)]
    for name, _, _, _, _, length in sections:
        start = sections[names][4] + name
        if data[start:start + 6] == b".text\0":
            return length
    return 0


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    return {"cores": len(os.sched_getaffinity(0)), "model": model, "kernel": platform.release(), "load": os.getloadavg()[0]}


def write(results, path):
    path.write_text(json.dumps(results, indent=1) + "\n")


def measure_all(arguments):
    driver, begin = Driver(arguments), time.monotonic()
    driver.builder.build_all()
    built = time.monotonic()
    about = machine()
    running = driver.directory / "running.json"

    def results():
        return {"schema": 2, "date": time.strftime("%Y-%m-%d"), "machine": about, "quick": arguments.quick,
                "programs": {name: driver.builder.absent.get(name, "built") for name in peers.PROGRAMS}, "rows": driver.rows,
                "seconds": {"run": round(time.monotonic() - built, 1), "building": round(built - begin, 1)}}

    wanted = arguments.only.split(",") if arguments.only else []
    for w in workloads.WORKLOADS:
        if not wanted or w.name in wanted or w.row in wanted:
            first, started = len(driver.rows), time.monotonic()
            driver.not_packaged(w)
            driver.measure(w)
            print(report.table(w, driver.rows[first:]), flush=True)
            print(f"  ({time.monotonic() - started:.1f} s)\n", flush=True)
            write(results(), running)
    about["load_after"] = os.getloadavg()[0]
    running.unlink(missing_ok=True)
    return results(), driver.wrong


def print_goals(results):
    results["goals"] = figures.goals(results)
    for goal in results["goals"]:
        print(figures.goal_line(goal))
    print(figures.count_line(results["goals"]))


def print_comparison(old, new):
    rows = figures.compare(old, new)
    for row in rows:
        print(f"{'WORSE ' if row['worse'] else '      '}{row['place']}: {row['was']:.3f} -> {row['now']:.3f} of the reference")
    worse = sum(row["worse"] for row in rows)
    print(f"compared: {len(rows)} rows, {worse} worse")
    return worse if rows else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--threads", default="")
    parser.add_argument("--build", default="build/bench")
    parser.add_argument("--built", action="store_true")
    parser.add_argument("--compare")
    parser.add_argument("--from", dest="stored")
    parser.add_argument("--document", nargs="?", const="measured", choices=("measured", "scaling"))
    arguments = parser.parse_args()
    directory, bad = pathlib.Path(arguments.build), 0
    old = json.loads(pathlib.Path(arguments.compare).read_text()) if arguments.compare else None
    if arguments.stored:
        results = json.loads(pathlib.Path(arguments.stored).read_text())
    else:
        results, bad = measure_all(arguments)
    print_goals(results)
    directory.mkdir(parents=True, exist_ok=True)
    if not arguments.stored:
        write(results, directory / "results.json")
    report.plots(results, directory / "plots")
    if arguments.document:
        report.document(results, peers.ROOT / "docs", arguments.document)
    print(f"results: {directory}/results.json; pictures: {directory}/plots; measured in {results['seconds']['run']} s, "
          f"peers built in {results['seconds']['building']} s")
    if old:
        bad += print_comparison(old, results)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
