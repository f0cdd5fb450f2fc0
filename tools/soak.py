#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run everything in turn for hours, and report. usage: soak.py --hours N [--builds plain,asan,tsan] [NAME ...]; soak.py --self-test

In turn, in each build: the stress programs and depgraph, each time with a new seed; the race_* tests, again and again for a tenth
of a stress program's slice. If the soak is of an hour or more: the random programs of the plain build under memcheck, too; and
once, what else is run there (tools/valgrind.py), and each model with the larger bounds that its head names.
NAME: only programs whose names contain it. A failure is noted, with the line that replays it, and the soak goes on.

It ends when the hours are over, or by SIGINT or SIGTERM. What it leaves, written anew after each run, in build/soak:
  report.md     one page           report.json   all of it: seeds, resident memory over time, the lines that programs print
  failures/     the output of each run that failed
and a line for each run in build/soak.txt (tools/evidence.py).

Resident memory is that of a program and its children. First and last fifth: means over the samples of a run; a program of which
the last fifth is larger in run after run leaks.
"""
import argparse
import datetime
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LONGEST_SLICE = 300  # seconds of a stress program
RACE_SHARE = 0.1     # .. of which a race test gets so much
LONG_FROM = 1        # hours of a soak: models and memcheck, too
OVERTIME = 10        # a stress program goes on for so many times its seconds until it has seen what it is there for
PATIENCE = 240       # seconds after that: it hangs
AFTER_END = 60       # .. after the soak's end: it is cut off
KEPT_LINES, KEPT_SAMPLES = 30, 60
SLOW = ("asan", "tsan")
ARGUMENTS = {"race_faults": ["src"], "depgraph": ["--input", "/var/lib/dpkg/status"]}  # the small input: in SLOW builds
SEEDED = re.compile(r"^(stress_|depgraph$)")
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=67", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
              "TSAN_OPTIONS": "exitcode=66:halt_on_error=0"}


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


# ---- What is run ----

class Job:
    """One program in one build, or one model. Its runs are records in `runs`."""

    def __init__(self, build, name, command, kind):
        self.build, self.name, self.command, self.kind, self.runs = build, name, command, kind, []

    def arguments(self, seed, seconds):
        if not SEEDED.match(self.name):
            return self.command
        return [*self.command, "--seconds", f"{seconds:g}", "--seed", str(seed)]


def wrapper(build):
    """Kernels with much address randomization break the sanitizers' memory maps."""
    works = subprocess.run(["setarch", "-R", "true"], capture_output=True).returncode == 0
    return ["setarch", "-R"] if build in SLOW and works else []


def programs(root, build):
    base = root / "build" / build
    found = [p for pattern in ("stress/stress_*", "examples/depgraph/depgraph", "tests/race_*") for p in sorted(base.glob(pattern))]
    return [p for p in found if p.is_file() and os.access(p, os.X_OK)]


def under_memcheck():
    if not shutil.which("valgrind"):
        return []
    memcheck = ["valgrind", "-q", "--fair-sched=yes", "--error-exitcode=99", "build/plain/stress/stress_random"]
    return [Job("memcheck", "stress_random", memcheck, "stress"),
            Job("memcheck", "tests", [sys.executable, "tools/valgrind.py", "build/plain", "--jobs", "1"], "model")]


def jobs(root, builds, names, is_long):
    """In the order of a round: a program in one build, then in the next."""
    all_jobs = []
    for number, build in enumerate(builds):
        wrap = wrapper(build)
        for place, path in enumerate(programs(root, build)):
            command = [*wrap, str(path.relative_to(root))]
            command += ARGUMENTS.get(path.name, []) if path.name != "depgraph" or build in SLOW else []
            all_jobs.append(((place, number), Job(build, path.name, command, "race" if path.name.startswith("race_") else "stress")))
    all_jobs.sort(key=lambda pair: pair[0])
    chosen = [job for _, job in all_jobs]
    chosen += under_memcheck() if is_long else []
    for model in sorted((root / "tests/model").glob("*.pml")) if is_long else []:
        for line in re.findall(r"^ \* LARGER: *(.*)$", model.read_text(), re.M):
            chosen += [Job("model", f"{model.stem}+{bounds}", ["tests/model/run.sh", f"tests/model/{model.name}+{bounds}"], "model")
                       for bounds in line.split()]
    return [job for job in chosen if not names or any(name in job.name for name in names)]


# ---- A run ----

def family(pid):
    pids = [pid]
    for parent in pids:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                pids += map(int, pathlib.Path(f"/proc/{parent}/task/{task}/children").read_text().split())
        except OSError:
            pass  # it has ended
    return pids


def resident(pid):
    """Bytes of it and its children."""
    total = 0
    for one in family(pid):
        try:
            total += int(pathlib.Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            pass
    return total


def fifths(samples):
    n = max(1, len(samples) // 5)
    return (sum(samples[:n]) // n, sum(samples[-n:]) // n) if samples else (0, 0)


def thinned(samples):
    step = -(-len(samples) // KEPT_SAMPLES) or 1
    return samples[::step]


class Soak:
    def __init__(self, root, hours, all_jobs):
        self.root, self.jobs, self.hours = root, all_jobs, hours
        self.began, self.began_at = time.monotonic(), now()
        self.end = self.began + hours * 3600
        self.ended_by, self.child = None, None
        self.failures, self.rounds = [], 0
        self.seeds = random.SystemRandom()
        self.place = root / "build/soak"
        (self.place / "failures").mkdir(parents=True, exist_ok=True)
        stress = sum(job.kind == "stress" for job in all_jobs) + RACE_SHARE * sum(job.kind == "race" for job in all_jobs)
        self.slice = min(LONGEST_SLICE, max(1, hours * 3600 / max(1, stress) / 2))
        self.env = {**SANITIZERS, **os.environ}

    def stop(self, number, _):
        self.ended_by = self.ended_by or signal.Signals(number).name
        self.kill(signal.SIGTERM)

    def kill(self, number):
        if self.child and self.child.poll() is None:
            os.killpg(self.child.pid, number)

    def is_over(self):
        return self.ended_by is not None or time.monotonic() >= self.end

    def run(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.stop)
        while not self.is_over():
            for job in self.jobs:
                if self.is_over():
                    break
                if job.kind != "model" or not job.runs:
                    self.turn(job)
                    self.report()
            else:
                self.rounds += 1
        self.report()

    def turn(self, job):
        """A slice of one job: one run of a stress program or model, of others as many as fit."""
        left = self.end - time.monotonic()
        seconds = min(self.slice, left) if job.kind == "stress" else min(self.slice * RACE_SHARE, left)
        until = time.monotonic() + seconds
        print(f"{now()} {job.build} {job.name}", flush=True)
        while True:
            self.run_once(job, max(1, round(seconds)))
            if job.kind != "race" or self.is_over() or time.monotonic() >= until or job.runs[-1]["verdict"] == "failed":
                break

    def run_once(self, job, seconds):
        seed = self.seeds.getrandbits(48) if SEEDED.match(job.name) else None
        command, log = job.arguments(seed, seconds), self.place / "output"
        began, samples, hangs = time.monotonic(), [], False
        cut = killed = False
        limit = began + seconds * OVERTIME + PATIENCE if job.kind != "model" else self.end
        cut_at = self.end + (AFTER_END if job.kind != "model" else 0)
        with open(log, "wb") as output:
            self.child = subprocess.Popen(command, cwd=self.root, env=self.env, stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=subprocess.STDOUT, start_new_session=True)
            status = None
            while status is None:
                samples.append(resident(self.child.pid))
                try:
                    status = self.child.wait(timeout=min(10, max(0.05, seconds / 50)))
                except subprocess.TimeoutExpired:
                    cut = cut or self.ended_by is not None or time.monotonic() > cut_at
                    hangs = not cut and time.monotonic() > limit
                    if cut or hangs:
                        self.kill(signal.SIGKILL if killed else signal.SIGTERM if cut else signal.SIGABRT)
                        killed = True
        stopped = (cut or self.ended_by) and (job.kind == "model" or status in (-signal.SIGTERM, -signal.SIGKILL))
        verdict = "passed" if status == 0 else "cut" if stopped else "failed"
        self.note(job, command, seed, time.monotonic() - began, verdict, "hangs" if hangs else status, samples)

    def note(self, job, command, seed, seconds, verdict, status, samples):
        text = (self.place / "output").read_text(errors="replace")
        first, last = fifths(samples)
        run = {"date": now(), "seed": seed, "seconds": round(seconds, 2), "verdict": verdict, "rss_first_fifth": first,
               "rss_last_fifth": last, "objects": sum(map(int, re.findall(r"\bborn (\d+)", text)))}
        if job.kind != "race":
            run["rss"] = thinned(samples)
            run["lines"] = [line for line in text.splitlines() if "replay:" not in line][-KEPT_LINES:]
        job.runs.append(run)
        if verdict == "failed":
            self.note_failure(job, command, run, status, text)
        if verdict != "cut":
            with open(self.root / "build/soak.txt", "a", encoding="utf-8") as lines:
                print(now(), job.build, job.name, max(1, round(seconds)), verdict, file=lines)

    def note_failure(self, job, command, run, status, text):
        printed = re.findall(r"\breplay: *(.*)$", text, re.M)
        options = {key: self.env[key] for key in SANITIZERS if job.build in SLOW}
        replay = printed[-1] if printed else shlex.join(command)
        if printed and command[0] == "setarch":
            replay = "setarch -R " + replay
        if options:
            replay = " ".join(f"{key}={value}" for key, value in options.items()) + " " + replay
        name = f"{len(self.failures) + 1:03d}-{job.build}-{job.name}.log"
        (self.place / "failures" / name).write_text(text)
        self.failures.append({"date": run["date"], "build": job.build, "program": job.name, "seed": run["seed"], "status": status,
                              "replay": replay, "output": f"build/soak/failures/{name}", "last": text.splitlines()[-5:]})
        print(f"FAILED ({status}): {job.build} {job.name}; replay: {replay}", flush=True)

    # ---- The report ----

    def rows(self):
        for job in self.jobs:
            whole = [run for run in job.runs if run["verdict"] != "cut"]
            if not job.runs:
                continue
            yield {"build": job.build, "program": job.name, "runs": len(job.runs),
                   "hours": round(sum(run["seconds"] for run in job.runs) / 3600, 4),
                   "objects": sum(run["objects"] for run in job.runs),
                   "failed": sum(run["verdict"] == "failed" for run in job.runs),
                   "rss_first_fifth": sum(run["rss_first_fifth"] for run in whole) // max(1, len(whole)),
                   "rss_last_fifth": sum(run["rss_last_fifth"] for run in whole) // max(1, len(whole))}

    def not_run(self):
        return [f"{job.build} {job.name}" for job in self.jobs if not job.runs]

    def how_it_ended(self):
        return f"by {self.ended_by}" if self.ended_by else "in time" if time.monotonic() >= self.end else "not yet"

    def report(self):
        table = list(self.rows())
        whole = {"began": self.began_at, "written": now(), "hours_wanted": self.hours, "ended": self.how_it_ended(),
                 "hours": round((time.monotonic() - self.began) / 3600, 4), "rounds": self.rounds, "slice": round(self.slice, 1),
                 "commit": git(self.root), "programs": table, "not_run": self.not_run(), "failures": self.failures,
                 "runs": [{"build": job.build, "program": job.name, **run} for job in self.jobs for run in job.runs]}
        replace(self.place / "report.json", json.dumps(whole, indent=1))
        replace(self.place / "report.md", page(whole))


def page(whole):
    """The report; the race tests are one line for each build, for they are many."""
    lines = ["# Soak", "", f"{whole['hours']:.2f} of {whole['hours_wanted']:g} hours, from {whole['began']}, commit "
             f"{whole['commit'] or 'unknown'}; {whole['rounds']} whole rounds, slices of {whole['slice']:g} s; ended: {whole['ended']}.",
             f"Failures: {len(whole['failures'])}.", "",
             "| build | program | runs | hours | objects | failed | RSS, first fifth | last fifth |", "| --- " * 8 + "|"]
    races = {}
    for row in whole["programs"]:
        if row["program"].startswith("race_") and not row["failed"]:
            races.setdefault(row["build"], []).append(row)
        else:
            lines.append(line_of(row))
    for build, rows in races.items():
        lines.append(line_of({"build": build, "program": f"{len(rows)} race tests", "rss_first_fifth": None,
                              **{key: sum(row[key] for row in rows) for key in ("runs", "hours", "objects", "failed")}}))
    if whole["not_run"]:
        lines += ["", f"Without a turn: {len(whole['not_run'])}: {', '.join(whole['not_run'][:8])}"
                  + (" .." if len(whole["not_run"]) > 8 else "")]
    for failure in whole["failures"][:20]:
        lines += ["", f"**{failure['build']} {failure['program']}** ({failure['status']}, {failure['date']}; `{failure['output']}`)", "",
                  "```sh", failure["replay"], "```"]
    if len(whole["failures"]) > 20:
        lines += ["", f"{len(whole['failures']) - 20} more in report.json."]
    return "\n".join(lines) + "\n"


def line_of(row):
    sizes = ["", ""] if row["rss_first_fifth"] is None else [f"{row[key] / 2**20:.1f} MiB" for key in ("rss_first_fifth", "rss_last_fifth")]
    return (f"| {row['build']} | {row['program']} | {row['runs']} | {row['hours']:.3f} | {row['objects'] or ''} | {row['failed']} | "
            + " | ".join(sizes) + " |")


def replace(path, text):
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def git(root):
    done = subprocess.run(["git", "-C", root, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


# ---- Self test ----

FAKES = {
    "stress_good": 'echo "seed $4"; echo "  born 21, died 21"; sleep 0.2',
    "stress_bad": 'echo "replay: $0 --seed $4"; echo broken; exit 3',
    "race_quick": "exit 0",
    "stress_long": "while :; do sleep 0.1; done",
}


def fake(root, *names):
    for name in names:
        path = root / f"build/plain/{name.split('_')[0].replace('race', 'tests')}/{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + FAKES[name] + "\n")
        path.chmod(0o755)


def self_test():
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        fake(root, "stress_good", "stress_bad", "race_quick")
        soak = Soak(root, 0.6 / 3600, jobs(root, ["plain"], [], False))
        soak.run()
        whole = json.loads((root / "build/soak/report.json").read_text())
        rows = {row["program"]: row for row in whole["programs"]}
        replays = {failure["replay"] for failure in whole["failures"]}
        seeds = [run["seed"] for run in whole["runs"] if run["program"] == "stress_good"]
        if (rows["stress_good"]["failed"] or not rows["stress_bad"]["failed"] or rows["stress_good"]["objects"] != 21 * len(seeds)
                or len(set(seeds)) != len(seeds) or not all(re.search(r"stress_bad --seed \d+$", replay) for replay in replays)
                or len(whole["failures"]) != rows["stress_bad"]["runs"] or whole["ended"] != "in time"):
            sys.exit(f"wrong report: {json.dumps(whole, indent=1)}")
        if "stress_bad --seed" not in (root / "build/soak/report.md").read_text():
            sys.exit("the page lacks the replay line")
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        fake(root, "stress_long")
        soak = Soak(root, 1, jobs(root, ["plain"], [], False))
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        soak.run()
        whole = json.loads((root / "build/soak/report.json").read_text())
        if whole["ended"] != "by SIGTERM" or whole["failures"] or whole["runs"][0]["verdict"] != "cut":
            sys.exit(f"wrong report of one that was stopped: {json.dumps(whole, indent=1)}")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    parser = argparse.ArgumentParser(description="everything in turn, for hours")
    parser.add_argument("--hours", type=float, required=True)
    parser.add_argument("--builds", default="plain,asan,tsan")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    builds = options.builds.split(",")
    broken = [build for build in builds if subprocess.run([ROOT / "dev", "build", build]).returncode]
    chosen = jobs(ROOT, builds, options.names, options.hours >= LONG_FROM and "plain" in builds)
    if not chosen:
        sys.exit("nothing to run: no such program, or nothing is built")
    soak = Soak(ROOT, options.hours, chosen)
    for build in broken:
        soak.note_failure(Job(build, "all", ["./dev", "build", build], "build"), ["./dev", "build", build], {"date": now(), "seed": None},
                          "does not build", (ROOT / f"build/{build}.log").read_text())
    soak.run()
    print(f"{len(soak.failures)} failures; build/soak/report.md")
    return 1 if soak.failures else 0


if __name__ == "__main__":
    sys.exit(main())
