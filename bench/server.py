#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""graphd over wane, over std::shared_ptr with a mutex around each look, over Boehm's collector; redis-server for orientation.

usage: server.py [--quick] [--build DIRECTORY] [--rounds N] [--seconds N]

The same server source over three heaps (examples/graphd/heap.h), two threads each. Every round starts each server anew and loads
it (bench/peers/graphd/load.c, two threads of eight connections; redis-benchmark for the commands of Redis); medians of the rounds
are shown. Per workload: requests a second; CPU time of the server for a request, which other programs on the machine disturb
less; microseconds at the 99.9th percentile. That last one is of a queue: the load asks again as soon as it has a reply, so each
thread is late by the time slices of the others. Therefore, from the second round on, also how late replies are ("paced") while
all are asked for a fixed number of requests a second: a third of what the slowest did in the first round, whether it keeps up
or not. Then the longest time that another client waits while 200,000 keys are dropped. At the end rings of nodes are made and
dropped in two equal parts: memory in MB after each. Results: DIRECTORY/server.json. Exit status 1 if a server fails, or an error
is replied.

redis-server runs commands on one thread, and has no graph.
"""
import argparse
import csv
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/server"))
from client import Client, Server, until  # noqa: E402

GRAPHD, PEERS = ROOT / "examples/graphd", ROOT / "bench/peers/graphd"
HEAPS = {  # name -> sources of the heap, the compiler that links, libraries, a file without which it cannot be built
    "wane": (f"{GRAPHD}/heap_wane.c {GRAPHD}/heap_page.c", "gcc -std=gnu11", "-L{lib} -lwane -Wl,-rpath,{lib}", None),
    "shared_ptr": (PEERS / "shared_ptr.cpp", "g++ -std=c++20", "", None),
    "Boehm": (PEERS / "boehm.c", "gcc -std=gnu11", "-lgc", "/usr/include/gc.h"),
}
REDIS = "redis-server"
LOADS = [("mixed", 1), ("mixed", 16), ("graph", 1), ("graph", 16)]  # workload, pipeline
DROPPED = 200000  # keys
GOALS = [("rate", "throughput at least", 1.3), ("p99.9 paced", "p99.9 at most", 0.5)]
PACE = 1 / 3  # of the slowest


class Builder:
    def __init__(self, directory, library):
        self.directory, self.wane = directory, library
        directory.mkdir(parents=True, exist_ok=True)

    def run(self, command):
        done = subprocess.run(command, shell=True, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{command}\n{done.stderr}")

    def build(self):
        flags = f"-O2 -D_GNU_SOURCE -Wall -Wextra -pthread -I{ROOT}/include -I{GRAPHD}"
        objects = []
        for source in sorted(GRAPHD.glob("*.c")):
            if not source.name.startswith("heap_"):
                objects.append(str(self.directory / (source.stem + ".o")))
                self.run(f"gcc -std=gnu11 {flags} -c {source} -o {objects[-1]}")
        programs = {}
        for name, (source, compiler, libraries, need) in HEAPS.items():
            if need and not os.path.exists(need):
                print(f"{name}: {need} is not there")
                continue
            programs[name] = str(self.directory / ("graphd_" + name))
            self.run(f"{compiler} {flags} {source} {' '.join(objects)} -o {programs[name]} "
                     + libraries.format(lib=self.wane))
        self.run(f"gcc -std=gnu11 {flags} {PEERS}/load.c -o {self.directory}/load")
        return programs


class Redis(Server):
    """The real one, seen like ours."""

    def __init__(self):
        self.port = 6400 + os.getpid() % 1000
        self.said = ""
        self.process = subprocess.Popen([REDIS, "--port", str(self.port), "--save", "", "--appendonly", "no"],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def answers():
            try:
                return Client(self.port)("PING") == "PONG"
            except OSError:
                return False
        until(answers)


def cpu_seconds(server):
    words = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    def __init__(self, arguments):
        self.seconds = arguments.seconds or (0.7 if arguments.quick else 4)
        self.rounds = arguments.rounds or (3 if arguments.quick else 7)
        self.directory = (pathlib.Path(arguments.build) / "server").resolve()
        self.programs = Builder(self.directory, (pathlib.Path(arguments.build) / "src").resolve()).build()
        self.samples = {}  # (peer, what) -> numbers
        self.pace = {}  # workload -> requests a second
        self.failed = False

    def add(self, peer, what, number):
        self.samples.setdefault((peer, what), []).append(number)

    def load(self, server, workload, pipeline, seconds, rate=None):
        command = [self.directory / "load", server.port, workload, 2, 8, pipeline, seconds] + ([0, rate] if rate else [])
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        result = json.loads(done.stdout)
        self.failed |= result["errors"] > 0
        return result

    def measure(self, peer, server, workload, pipeline):
        before = cpu_seconds(server)
        result = self.load(server, workload, pipeline, self.seconds)
        name = f"{workload} x{pipeline}"
        self.add(peer, name + " rate", result["operations"] / result["seconds"])
        self.add(peer, name + " p99.9", result["p999"])
        self.add(peer, name + " cpu", (cpu_seconds(server) - before) * 1e6 / result["operations"])
        if self.pace:
            late = self.load(server, workload, pipeline, self.seconds, self.pace[name])
            for what, key in ("p99", "p99"), ("p99.9", "p999"), ("worst", "worst"):
                self.add(peer, f"{name} {what} paced", late[key])

    def set_pace(self):
        """After the first round."""
        for workload, pipeline in LOADS:
            name = f"{workload} x{pipeline}"
            rates = [numbers[0] for (_, what), numbers in self.samples.items() if what == name + " rate"]
            if rates:
                self.pace[name] = round(min(rates) * PACE, -3)

    def redis_benchmark(self, peer, server, pipeline):
        if not shutil.which("redis-benchmark"):
            return
        count = int(20000 * self.seconds * (1 if pipeline == 1 else 8))
        done = subprocess.run(["redis-benchmark", "-p", str(server.port), "--csv", "-t", "set,get", "-n", str(count), "-P",
                               str(pipeline), "-r", "100000", "-c", "16"], capture_output=True, text=True, timeout=120)
        for row in list(csv.reader(done.stdout.splitlines()))[1:]:
            self.add(peer, f"redis-benchmark {row[0]} x{pipeline} rate", float(row[1]))

    def drop(self, peer, server):
        """Many keys go at once: how long do the other clients wait?"""
        client, others, worst, done = server.client(), [server.client() for _ in range(2)], [0.0, 0.0], threading.Event()
        for first in range(0, DROPPED, 5000):
            client.pipeline([("SET", f"drop:{i}", "v" * 40) for i in range(first, first + 5000)])

        def ask(i):
            while not done.is_set():
                began = time.perf_counter()
                others[i]("PING")
                worst[i] = max(worst[i], time.perf_counter() - began)

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(2)]
        for t in threads:
            t.start()
        client("FLUSHALL")
        time.sleep(0.5)
        done.set()
        for t in threads:
            t.join()
        self.add(peer, "FLUSHALL: worst reply, ms", max(worst) * 1000)

    def rings(self, peer, server):
        """Twice as many garbage rings must not take more memory."""
        for part in "first", "second":
            self.load(server, "rings", 16, 2 * self.seconds)
            server.client().purge()
            self.add(peer, f"memory after the {part} churn", server.rss() / 1024)

    def one(self, peer):
        server = Redis() if peer == REDIS else Server(self.programs[peer], "--threads", 2)
        try:
            for pipeline in 1, 16:
                self.redis_benchmark(peer, server, pipeline)
            for workload, pipeline in LOADS:
                if workload == "mixed" or peer != REDIS:
                    self.measure(peer, server, workload, pipeline)
            self.drop(peer, server)
            if peer != REDIS:
                self.rings(peer, server)
        finally:
            server.end()

    def run(self):
        peers = [*self.programs, *([REDIS] if shutil.which(REDIS) else [])]
        for number in range(self.rounds):
            for peer in peers[number % len(peers):] + peers[:number % len(peers)]:
                try:
                    self.one(peer)
                except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                    self.failed = True
                    print(f"{peer}: {error}")
            if number == 0:
                self.set_pace()
        return peers

    def median(self, peer, what):
        return statistics.median(self.samples[peer, what]) if (peer, what) in self.samples else None


def shown(number):
    return "-" if number is None else f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def table(bench, peers):
    seen = list(dict.fromkeys(what for _, what in bench.samples))
    groups = list(dict.fromkeys(" ".join(what.split()[:2]) for what in seen))
    rows = sorted(seen, key=lambda what: groups.index(" ".join(what.split()[:2])))
    print(f"{'':34}" + "".join(f"{p:>14}" for p in peers) + f"{'wane/shared_ptr':>17}")
    for what in rows:
        numbers = [bench.median(p, what) for p in peers]
        ours, theirs = bench.median("wane", what), bench.median("shared_ptr", what)
        ratio = f"{ours / theirs:.2f}" if ours and theirs else "-"
        print(f"{what:34}" + "".join(f"{shown(n):>14}" for n in numbers) + f"{ratio:>17}")


def goals(bench):
    for workload, pipeline in LOADS:
        for what, words, wanted in GOALS:
            ours, theirs = (bench.median(p, f"{workload} x{pipeline} {what}") for p in ("wane", "shared_ptr"))
            if ours and theirs:
                ratio = ours / theirs
                met = ratio >= wanted if what == "rate" else ratio <= wanted
                print(f"goal: {workload} x{pipeline}: {words} {wanted} of shared_ptr's: {ratio:.2f}: "
                      + ("met" if met else "missed"))
    first, second = (bench.median("wane", f"memory after the {part} churn") for part in ("first", "second"))
    if first and second:
        print(f"goal: memory does not grow with garbage: {second / first:.2f}: {'met' if second < 1.1 * first else 'missed'}")


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--build", default="build/bench")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    began = time.monotonic()
    bench = Bench(parser.parse_args())
    peers = bench.run()
    print(f"two threads, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; medians of {bench.rounds} rounds; "
          "rate: requests a second, p99.9 and cpu: microseconds, memory: MB; redis-server: one thread, no graph")
    table(bench, peers)
    print("paced: " + ", ".join(f"{name}: {rate:,.0f}" for name, rate in bench.pace.items()) + " requests a second")
    goals(bench)
    out = bench.directory.parent / "server.json"
    out.write_text(json.dumps({f"{p}: {what}": numbers for (p, what), numbers in bench.samples.items()}, indent=1) + "\n")
    print(f"{time.monotonic() - began:.0f} s; {out}")
    return bench.failed


if __name__ == "__main__":
    sys.exit(main())
