#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Static analysis of src/: clang-tidy, and gcc -fanalyzer. usage: analyze.py BUILD [FILE.c ...]; analyze.py --self-test

Each file is analyzed with the flags with which BUILD compiles it for the shared library. Where a tool is wrong, the line that it
names says so: `NOLINT(CHECK)` with the reason, CHECK being clang-tidy's, or gcc's without -W; NOLINTNEXTLINE on the line before.
One for gcc that nothing needs any more is an error. What all files give is left in build/check/results.json (tools/evidence.py).
"""
import concurrent.futures
import datetime
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

CHECKS = ",".join(("-*", "clang-analyzer-*", "bugprone-*",
                   "-clang-analyzer-security.insecureAPI.*",        # asks for memcpy_s
                   "-bugprone-casting-through-void",                # how one says that the alignment is meant (-Wcast-align)
                   "-bugprone-easily-swappable-parameters", "-bugprone-reserved-identifier"))  # taste; _GNU_SOURCE
ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build/check/results.json"
OPTIONS_WITH_VALUE = {"-o", "-MF", "-MQ"}


def flags(command):
    """Without what concerns output, dependencies and the file itself; warnings are not errors yet."""
    words, kept = iter(shlex.split(command)[1:]), []
    for word in words:
        if word in OPTIONS_WITH_VALUE:
            next(words)
        elif word not in ("-c", "-MD", "-Werror") and not word.endswith(".c"):
            kept.append(word)
    return kept


def units(build):
    """(file, flags) of what the library is made of."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if re.match(r"src/lib(wane\.so|wane_rare|ck_glue)", entry["output"]):
            yield (pathlib.Path(entry["directory"]) / entry["file"]).resolve(), flags(entry["command"])


def run(command, build):
    return subprocess.run(command, cwd=build, capture_output=True, text=True)


def tidy(program, build, path, options):
    """The newest clang need not know all of gcc's flags."""
    done = run([program, "--quiet", "--warnings-as-errors=*", f"--checks={CHECKS}", str(path), "--", *options,
                "-Wno-unknown-warning-option"], build)
    return [done.stdout + done.stderr] if done.returncode else []


def excused(lines, number, check):
    return (number, check) in excuses(lines)


def excuses(lines):
    """(line, check of gcc's)"""
    return {(number + (kind == "NOLINTNEXTLINE"), check) for number, line in enumerate(lines, 1)
            for kind, checks in re.findall(r"(NOLINT|NOLINTNEXTLINE)\(([^)]*)\)", line)
            for check in checks.split(", ") if check.startswith("analyzer-")}


def gcc(build, path, options):
    with tempfile.TemporaryDirectory() as directory:
        done = run(["gcc", *options, "-fanalyzer", "-fdiagnostics-format=json", "-c", "-o", f"{directory}/o", str(path)], build)
    reports = [report for line in done.stderr.splitlines() if line.startswith("[") for report in json.loads(line)]
    if done.returncode and not reports:
        return [f"{path}: {done.stderr}"]
    texts, found = {}, set()
    problems = []
    for report in reports:
        caret = report["locations"][0]["caret"]
        place, check = (build / caret["file"]).resolve(), report.get("option", "").removeprefix("-W")
        lines = texts.setdefault(place, place.read_text().splitlines())
        found.add((place, caret["line"], check))
        if not excused(lines, caret["line"], check):
            problems.append(f"{place}:{caret['line']}: {report['message']} [{check}]")
    needless = {(path, *excuse) for excuse in excuses(path.read_text().splitlines())} - found
    return problems + [f"{where}:{line}: NOLINT({check}) is not needed" for where, line, check in sorted(needless)]


def analyze(build, names):
    program = next((p for p in ("clang-tidy-19", "clang-tidy") if shutil.which(p)), None)
    chosen = [(path, options) for path, options in units(build) if not names or path.name in names]
    if not program or not chosen:
        sys.exit("no clang-tidy" if chosen else "no such source")
    forgotten = not names and {path.name for path in (ROOT / "src").glob("*.c")} - {path.name for path, _ in chosen} - {"step.c"}
    if forgotten:
        sys.exit(f"not in the library's targets: {' '.join(sorted(forgotten))}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        work = [job for path, options in chosen
                for job in (pool.submit(gcc, build, path, options), pool.submit(tidy, program, build, path, options))]
        problems = [problem for job in work for problem in job.result()]
    print("\n".join([*problems, f"{len(chosen)} files, {len(problems)} complaints of {program} and gcc -fanalyzer"]))
    if not names:
        save({"files": len(chosen), "complaints": len(problems), "tools": [version(program), version("gcc")],
              "excused": sum(path.read_text().count("NOLINT") for path, _ in chosen)})
    return len(problems)


def version(program):
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    return next((line.strip() for line in done.stdout.splitlines() if re.search(r"\d+\.\d+", line)), program)


def save(results):
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    RESULTS.write_text(json.dumps({"date": date, **results}) + "\n")


PLANTED = {
    "clean": ("int f(int n) { return n + 1; }\n", 0),
    "leak": ("#include <stdlib.h>\nint f(void) { int *p = malloc(4); return p != 0; }\n", 1),
    "excused leak": ("#include <stdlib.h>\nint f(void) { int *p = malloc(4); return p != 0; /* NOLINT(analyzer-malloc-leak): x */ }\n", 0),
    "needless excuse": ("int f(int n) { return n + 1; } /* NOLINT(analyzer-malloc-leak): x */\n", 1),
}


def self_test():
    """Of the part that is this tool's own: clang-tidy need not be installed."""
    with tempfile.TemporaryDirectory() as directory:
        for what, (text, wanted) in PLANTED.items():
            path = pathlib.Path(directory).resolve() / "a.c"
            path.write_text(text)
            problems = gcc(pathlib.Path(directory), path, ["-O1"])
            if len(problems) != wanted:
                sys.exit(f"{what}: {problems}")
    if flags("cc -Isrc -MD -MQ a -MF b -o a.o -c ../a.c -DX") != ["-Isrc", "-DX"]:
        sys.exit("flags")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    return 1 if analyze(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]) else 0


if __name__ == "__main__":
    sys.exit(main())
