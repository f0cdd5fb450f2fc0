#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write docs/evidence.md from what test runs have left under build/. usage: evidence.py [--from-results]; evidence.py --self-test

Where results are missing or older than the newest commit, the command that makes them is run first, unless --from-results.
Soaks, coverage and the explorer's long runs are never begun here. What is read:

  build/NAME/meson-logs/testlog.json  ./dev test       the tests of one build; its compilers are in meson-log.txt
  build/model/MODEL.VARIANT           ./dev model      "DATE VERDICT STATES SECONDS"; the right protocol's VARIANT is -
  build/mutants/results.json          ./dev mutants    tools/mutants.py
  build/explore/results.json          ./dev explore    {"programs": N, "schedules": N, "seed": N, "failures": N}
  build/soak.txt                      ./dev soak       lines "DATE BUILD PROGRAM SECONDS VERDICT"
  build/coverage/summary.json         ./dev coverage   gcovr --json-summary
"""
import datetime
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from tally import tally

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILDS = ("plain", "clang", "asan", "tsan")
LONGER = {"./dev explore", "./dev soak", "./dev coverage"}
HEAD = """# Evidence

Written by `./dev evidence` from the results of test runs; nothing here is typed by hand. What a table's last column or a line
calls "not run" has left no results on the machine where this was written.
"""


def when(timestamp):
    return datetime.datetime.fromtimestamp(timestamp, datetime.timezone.utc).isoformat(timespec="minutes")[:16] + " UTC"


def table(titles, rows):
    return ["", "| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles),
            *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)]


def age(date):
    """Seconds since 1970 of a date in a results file."""
    return datetime.datetime.fromisoformat(date).timestamp()


class Part:
    """One kind of results. read() returns (time of the oldest result, lines), or None."""

    def __init__(self, root, title, command):
        self.root, self.title, self.command = root, title, command

    def section(self):
        found = self.read()
        return ["", f"## {self.title} (`{self.command}`)", *(found[1] if found else ["", "not run"])]

    def is_due(self, commit):
        found = self.read()
        return found is None or found[0] < commit


class Tests(Part):
    def read(self):
        rows, seeds, oldest = [], set(), None
        for name in BUILDS:
            log = self.root / f"build/{name}/meson-logs/testlog.json"
            if not log.exists():
                rows.append((name, self.compiler(name), "", "", "", "", "not run"))
                oldest = 0
                continue
            tests = [json.loads(line) for line in log.read_text().splitlines()]
            sums = [sum(counts) for counts in zip(*map(tally, tests))] or [0, 0, 0]
            rows.append((name, self.compiler(name), len(tests), *sums, when(log.stat().st_mtime)))
            oldest = min(log.stat().st_mtime, oldest if oldest is not None else log.stat().st_mtime)
            seeds.update(seed for test in tests for seed in re.findall(r"\bseed:? (\d+|0x[0-9a-f]+)", test.get("stdout", "")))
        if all(row[-1] == "not run" for row in rows):
            return None
        lines = table(("build", "compiler", "programs", "passed", "failed", "skipped", "run"), rows)
        return oldest, lines + ["", "Seeds: " + (", ".join(sorted(seeds)) or "none printed") + "."]

    def compiler(self, name):
        log = self.root / f"build/{name}/meson-logs/meson-log.txt"
        found = re.search(r'^C compiler for the host machine: .*"(.*)"', log.read_text(), re.M) if log.exists() else None
        options = self.root / f"build/{name}/options"
        chosen = [w for w in options.read_text().split() if re.match("-Dchecks|-Db_san", w)] if options.exists() else []
        return " ".join([found[1] if found else "", *chosen]).strip()


class Models(Part):
    def read(self):
        models, dates = {}, []
        for path in sorted((self.root / "build/model").glob("*.*")):
            model, variant = path.name.split(".", 1)
            date, verdict, states, _ = path.read_text().split()
            dates.append(age(date))
            models.setdefault(model, {})[variant] = verdict, states, date
        if not models:
            return None
        rows = []
        for name, v in sorted(models.items()):
            broken = [r for k, r in v.items() if k != "-" and "=" not in k]
            larger = "; ".join(f"{k}: {r[0]}, {r[1]} states" for k, r in sorted(v.items()) if "=" in k)
            rows.append((name, *v.get("-", ("not run", "", ""))[:2], sum(r[0] == "fails" for r in broken), len(broken), larger,
                         when(min(age(r[2]) for r in v.values()))))
        return min(dates), table(("model", "right protocol", "states", "broken variants that fail", "of those run", "larger bounds",
                                  "oldest run"), rows)


class Mutants(Part):
    def read(self):
        path = self.root / "build/mutants/results.json"
        if not path.exists():
            return None
        results = json.loads(path.read_text())
        rows = results["mutants"]
        killed = sum(row["killer"] not in (None, "not run") for row in rows)
        dates = [age(row["date"]) for row in rows]
        lines = ["", f"{killed} of {results['of']} mutants are killed."]
        lines += table(("mutant", "test that fails", "seconds", "run"),
                       [(f"`{r['mutant']}`", f"{r['killer'] or 'survives'} {r['case']}".strip(), r["seconds"],
                         when(age(r["date"]))) for r in rows])
        return min(dates, default=0) if len(rows) == results["of"] else 0, lines


class Explorer(Part):
    def read(self):
        path = self.root / "build/explore/results.json"
        if not path.exists():
            return None
        r = json.loads(path.read_text())
        return path.stat().st_mtime, ["", f"{r['schedules']} schedules of {r['programs']} programs, seed {r['seed']}: "
                                          f"{r['failures']} failures ({when(path.stat().st_mtime)})."]


class Soak(Part):
    def read(self):
        path = self.root / "build/soak.txt"
        if not path.exists():
            return None
        runs = {}
        for line in path.read_text().splitlines():
            date, build, program, seconds, verdict = line.split()
            total, bad, _ = runs.get((program, build), (0, 0, ""))
            runs[program, build] = total + int(seconds), bad + (verdict != "passed"), date
        lines = table(("program", "build", "hours", "failed runs", "last run"),
                      [(*key, f"{total / 3600:.2f}", bad, when(age(date))) for key, (total, bad, date) in sorted(runs.items())])
        return path.stat().st_mtime, lines


class Coverage(Part):
    def read(self):
        path = self.root / "build/coverage/summary.json"
        if not path.exists():
            return None
        r = json.loads(path.read_text())
        return path.stat().st_mtime, ["", f"{r['line_percent']} % of lines, {r['branch_percent']} % of branches "
                                          f"({when(path.stat().st_mtime)})."]


def parts(root):
    return [Tests(root, "Tests", "./dev test"), Models(root, "Models", "./dev model"),
            Mutants(root, "Mutants", "./dev mutants"), Explorer(root, "Schedules", "./dev explore"),
            Soak(root, "Soak", "./dev soak"), Coverage(root, "Coverage", "./dev coverage")]


def git(root, *arguments):
    done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def document(root):
    now = when(datetime.datetime.now(datetime.timezone.utc).timestamp())
    changed = " and changes to it" if git(root, "status", "--porcelain", "--untracked-files=no") else ""
    lines = [HEAD, f"Written {now}, at commit {git(root, 'rev-parse', '--short=12', 'HEAD') or 'unknown'}{changed}."]
    for part in parts(root):
        lines += part.section()
    return "\n".join(lines) + "\n"


def run_what_is_due(root):
    commit = int(git(root, "log", "-1", "--format=%ct") or 0)
    failed = []
    for part in parts(root):
        if part.command in LONGER or not part.is_due(commit):
            continue
        print(f"== {part.command}", file=sys.stderr)
        if subprocess.run(part.command.split(), cwd=root).returncode:
            failed.append(part.command)
    return failed


def self_test():
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        if document(root).count("\nnot run\n") != len(parts(root)):
            sys.exit("what was not run is not said to be")
        planted = {
            "plain/meson-logs/testlog.json": json.dumps({"stdout": "1..2\nok 1 - a\nok 2 - b\n# seed 77", "result": "OK"}),
            "model/claim.-": "2026-01-02T03:04:05+00:00 passes 123 4", "model/claim.X": "2026-01-02T03:04:05+00:00 fails 5 1",
            "model/claim.N=2": "2026-01-02T03:04:05+00:00 passes 456 9",
            "mutants/results.json": json.dumps({"of": 2, "mutants": [
                {"mutant": "m", "killer": "race_a", "case": "c", "seconds": 1, "date": "2026-01-02T03:04:05+00:00"}]}),
            "explore/results.json": json.dumps({"programs": 3, "schedules": 400, "seed": 9, "failures": 0}),
            "soak.txt": "2026-01-02T03:04:05+00:00 tsan stress_a 1800 passed\n" * 2,
            "coverage/summary.json": json.dumps({"line_percent": 91, "branch_percent": 80})}
        for name, text in planted.items():
            (root / "build" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "build" / name).write_text(text)
        text = document(root)
        for wanted in ("| plain |  | 1 | 2 | 0 | 0 |", "Seeds: 77.", "| clang |  |  |  |  |  | not run |",
                       "| claim | passes | 123 | 1 | 1 | N=2: passes, 456 states | 2026-01-02T03:04 UTC |", "1 of 2 mutants are killed",
                       "400 schedules of 3 programs, seed 9: 0 failures", "| stress_a | tsan | 1.00 | 0 |", "91 % of lines"):
            if wanted not in text:
                sys.exit(f"missing: {wanted}\n{text}")
        if [part.is_due(1) for part in parts(root)] != [True, False, True, False, False, False]:
            sys.exit("what is missing is not due")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    failed = [] if "--from-results" in sys.argv[1:] else run_what_is_due(ROOT)
    (ROOT / "docs/evidence.md").write_text(document(ROOT))
    print("docs/evidence.md is written" + (f"; failed: {', '.join(failed)}" if failed else ""))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
