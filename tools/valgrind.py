#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run test programs of a build under memcheck. usage: valgrind.py BUILD [--jobs N] [NAME ...]; valgrind.py --self-test

All programs of the suites "black" and "steps" in BUILD (or those named) but for those in EXCLUDED, each with a reason. An error that
memcheck finds fails the program, and so does one that it does not end well with. Where a program ends with wane_shutdown, memory
that nobody knows any more is an error, too; not in children, which end in the middle. There are no suppressions.

Valgrind runs one thread at a time: data races are the business of the other builds, and what waits for overlaps is excluded.
Prints a table and writes build/valgrind/results.json (tools/evidence.py). Exit status 1 if a program fails.
"""
import concurrent.futures
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOUND = 99  # the exit status for what memcheck finds
LIMIT = 300  # seconds: generous
OVERLAPS = "waits for overlaps of threads, which valgrind runs one at a time"
LONG = "takes minutes there; its paths are those of shorter programs"
SYSTEM = "limits or forbids what valgrind itself needs or does not know (descriptors, address space, seccomp)"
FUTEX = "a lock is waited for with a deadline for seconds, and futex gives an error there that glibc does not know"
TIME = "measures time or memory"
EXCLUDED = {
    "race_attack": OVERLAPS, "race_batches": LONG, "race_bounds": LONG, "race_claimer": OVERLAPS, "race_faults": LONG,
    "race_generations": LONG, "race_parts": LONG, "race_storm": OVERLAPS, "test_container_races": OVERLAPS, "test_container_rings": OVERLAPS,
    "test_corners": SYSTEM, "test_death": LONG, "test_defer": FUTEX, "test_driver": SYSTEM, "test_faults": SYSTEM,
    "test_fork": LONG, "test_generations": TIME, "test_idle": TIME, "test_kept": LONG, "test_large": LONG,
    "test_linear_boxes": OVERLAPS, "test_loop": SYSTEM, "test_map": LONG, "test_memory": LONG, "test_memory_churn": LONG,
    "test_oom": LONG, "test_oom_collect": SYSTEM, "test_oom_limits": LONG, "test_overload": TIME, "test_soft": LONG,
    "test_step": SYSTEM, "test_threads": OVERLAPS, "test_weak_notify": LONG, "test_weak_races": OVERLAPS, "test_weakmap": LONG,
    "test_weakmap_races": OVERLAPS,
}


def programs(build, names):
    """{name: command}; a program with several environments is one."""
    found = {}
    for test in json.loads((build / "meson-info/intro-tests.json").read_text()):
        suites = {suite.split(":")[-1] for suite in test["suite"]}
        if suites & {"steps", "black"} and not test["name"].endswith("_fences"):
            found[test["name"]] = test["cmd"]
    unknown = [name for name in names if name not in found]
    if unknown:
        raise SystemExit("no such program: " + " ".join(unknown))
    return {name: cmd for name, cmd in found.items() if (name in names if names else name not in EXCLUDED)}


def ends_with_shutdown(name):
    source = ROOT / f"tests/{name}.c"
    text = source.read_text() if source.exists() else ""
    headers = [ROOT / "tests" / header for header in re.findall(r'^#include "(\w+\.h)"', text, re.M)]
    return "SCENE_MAIN" in text or "wane_shutdown" in text + "".join(header.read_text() for header in headers if header.exists())


def errors_in(log, process):
    """What memcheck says of one process: lines of its report that begin an error."""
    lines = re.findall(rf"^=={process}== (.*)$", log, re.M)
    return [line for line in lines if re.match(r"(Invalid|Conditional jump|Use of uninit|Syscall param|Mismatched|Source and dest|"
                                               r"[\d,]+ (\([^)]*\) )?bytes in [\d,]+ blocks are definitely)", line)]


def run(name, command, place):
    leaks = "full" if ends_with_shutdown(name) else "no"
    log, output = place / f"{name}.log", place / f"{name}.out"
    wrapped = ["valgrind", "--fair-sched=yes", f"--error-exitcode={FOUND}", f"--leak-check={leaks}", "--show-leak-kinds=definite",
               "--errors-for-leak-kinds=none", "--num-callers=20", f"--log-file={log}", *command]
    began = time.monotonic()
    with open(output, "wb") as to:
        process = subprocess.Popen(wrapped, stdin=subprocess.DEVNULL, stdout=to, stderr=subprocess.STDOUT,
                                   env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", "WANE_OBJECTS": "malloc"})
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = "timeout"
    errors = errors_in(log.read_text(errors="replace"), process.pid) if log.exists() else []
    verdict = "passed" if status == 0 and not errors else "failed"
    print(f"{name:24} {verdict}  {time.monotonic() - began:5.1f} s  leaks: {leaks}" +
          "".join(f"\n  {error}" for error in errors[:5]) + (f"\n  status {status}; {log}, {output}" if verdict != "passed" else ""),
          flush=True)
    return {"program": name, "verdict": verdict, "errors": len(errors), "leaks": leaks,
            "seconds": round(time.monotonic() - began, 1)}


def first_line(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip().split("\n")[0] if done.returncode == 0 else ""


def self_test():
    text = ("==7== Invalid read of size 8\n==7==    at 0x1: f\n==8== Invalid write of size 8\n"
            "==7== 72 (8 direct, 64 indirect) bytes in 1 blocks are definitely lost in loss record 2 of 29\n"
            "==7== 8 bytes in 1 blocks are definitely lost in loss record 1 of 29\n==7== ERROR SUMMARY: 3 errors\n")
    if len(errors_in(text, 7)) != 3 or len(errors_in(text, 8)) != 1:
        sys.exit("what memcheck says is not understood")
    with tempfile.TemporaryDirectory() as directory:
        build = pathlib.Path(directory)
        (build / "meson-info").mkdir()
        tests = [{"name": name, "suite": [f"wane:{suite}"], "cmd": [name]}
                 for name, suite in (("test_a", "black"), ("test_a_fences", "black"), ("test_idle", "black"), ("lint", "lint"))]
        (build / "meson-info/intro-tests.json").write_text(json.dumps(tests))
        if programs(build, []) != {"test_a": ["test_a"]} or programs(build, ["test_idle"]) != {"test_idle": ["test_idle"]}:
            sys.exit("the wrong programs are run")


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        return self_test()
    jobs = int(arguments.pop(arguments.index("--jobs") + 1)) if "--jobs" in arguments else os.cpu_count() or 1
    build, names = pathlib.Path(arguments[0]).resolve(), [a for a in arguments[1:] if not a.startswith("--")]
    chosen = programs(build, names)
    place = ROOT / "build/valgrind"
    place.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        rows = list(pool.map(lambda name: run(name, chosen[name], place), chosen))
    failed = sum(row["verdict"] != "passed" for row in rows)
    if not names:
        (place / "results.json").write_text(json.dumps({
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "commit": first_line("git", "rev-parse", "--short=12", "HEAD"), "valgrind": first_line("valgrind", "--version"),
            "compiler": first_line("gcc", "--version"), "programs": rows, "excluded": EXCLUDED}, indent=1) + "\n")
    print(f"{len(rows)} programs, {failed} failed, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
