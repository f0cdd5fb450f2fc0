#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write docs/evidence.md from what test runs have left under build/. usage: evidence.py [--from-results]; evidence.py --self-test

Where results are missing or older than the newest commit, the command that makes them is run first, unless --from-results. What
takes longer (LONGER) is never begun here. What is read:

  build/NAME/meson-logs/testlog.json  ./dev test       the tests of one build; its compilers are in meson-log.txt
  build/model/MODEL.VARIANT           ./dev model      "DATE VERDICT STATES SECONDS"; the right protocol's VARIANT is -
  build/mutants/results.json          ./dev mutants    tools/mutants.py
  build/explore/results.json          ./dev explore    a line for each run: {"date": N, "programs": N, "schedules": N, ..}
  build/fuzz.txt                      ./dev fuzz       lines "DATE NAME SECONDS RUNS COVERED KEPT SEED VERDICT"
  build/soak.txt                      ./dev soak       lines "DATE BUILD PROGRAM SECONDS VERDICT"
  build/soak/report.json              ./dev soak --hours N     tools/soak.py: the last one
  build/coverage/summary.json         ./dev coverage   gcovr --json-summary; what is not run is in docs/uncovered.md
  build/valgrind/results.json         ./dev valgrind   tools/valgrind.py
  build/check/results.json            ./dev check      tools/analyze.py

Where results do not name a commit, it is the newest one that there was when they came.
"""
import datetime
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from mutants import by_what
from tally import tally

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILDS = ("plain", "clang", "asan", "tsan")
LONGER = {"./dev explore", "./dev fuzz", "./dev soak", "./dev coverage", "./dev valgrind", "./dev check"}
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


def git(root, *arguments):
    done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def commit_at(root, timestamp):
    return git(root, "rev-list", "-1", f"--before={int(timestamp)}", "--abbrev-commit", "--abbrev=12", "HEAD") or "unknown"


def compiler_of(root, name):
    log = root / f"build/{name}/meson-logs/meson-log.txt"
    found = re.search(r'^C compiler for the host machine: .*"(.*)"', log.read_text(), re.M) if log.exists() else None
    return found[1] if found else "unknown"


class Part:
    """One kind of results. read() returns (time of the oldest result, lines), or None."""

    def __init__(self, root, title, command):
        self.root, self.title, self.command = root, title, command

    def section(self):
        found = self.read()
        return ["", f"## {self.title} (`{self.command}`)", *(found[1] if found else ["", "not run"])]

    def made(self, timestamp, build=None, commit=None):
        """The line under a table: when, at which commit, by which compiler."""
        by = f"; {compiler_of(self.root, build)}" if build else ""
        return f"{when(timestamp)}, commit {commit or commit_at(self.root, timestamp)}{by}."

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
        lines += ["", "Seeds: " + (", ".join(sorted(seeds)) or "none printed") + "."]
        return oldest, lines + ["", self.made(oldest)] if oldest else lines

    def compiler(self, name):
        options = self.root / f"build/{name}/options"
        chosen = [w for w in options.read_text().split() if re.match("-Dchecks|-Db_san", w)] if options.exists() else []
        return " ".join([compiler_of(self.root, name).replace("unknown", ""), *chosen]).strip()


class Faults(Part):
    """What the tests say that stop threads, fork, and refuse memory: at how many places."""
    PROGRAMS = ("race_faults", "race_fork", "test_faults", "test_fork", "test_oom", "test_oom_collect", "test_oom_limits",
                "test_oom_memory")

    def read(self):
        rows, oldest = [], None
        for name in BUILDS:
            log = self.root / f"build/{name}/meson-logs/testlog.json"
            for test in map(json.loads, log.read_text().splitlines() if log.exists() else []):
                program = test.get("name", "").split(" / ")[-1]
                if program not in self.PROGRAMS:
                    continue
                said = re.findall(r"^# (\d+ (?:named steps|allocations).*)$", test.get("stdout", ""), re.M)
                rows.append((program, name, *tally(test), "; ".join(said)))
                oldest = min(log.stat().st_mtime, oldest or log.stat().st_mtime)
        if not rows:
            return None
        titles = ("program", "build", "passed", "failed", "skipped", "at how many places")
        return oldest, table(titles, sorted(rows)) + ["", self.made(oldest)]


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
        lines = table(("model", "right protocol", "states", "broken variants that fail", "of those run", "larger bounds", "oldest run"),
                      rows)
        return min(dates), lines + ["", "SPIN; the oldest: " + self.made(min(dates))]


class Mutants(Part):
    def read(self):
        path = self.root / "build/mutants/results.json"
        if not path.exists():
            return None
        results = json.loads(path.read_text())
        rows = results["mutants"]
        killed = sum(row["killer"] not in (None, "not run") for row in rows)
        dates = [age(row["date"]) for row in rows]
        equivalent = sum(row["killer"] == "equivalent" for row in rows)
        sums = ", ".join(f"{kind} {n}" for kind, n in by_what(rows).items() if kind != "equivalent")
        lines = ["", f"{killed - equivalent} of {results['of'] - equivalent} mutants are killed" +
                 (f", by: {sums}" if sums else "") + (f"; {equivalent} more are equivalent" if equivalent else "") + "."]
        lines += table(("mutant", "killed by", "what fails", "seconds", "run"),
                       [(f"`{r['mutant']}`", next(iter(by_what([r])), r["killer"] or "survives"), self.what_fails(r), r["seconds"],
                         when(age(r["date"]))) for r in rows])
        lines += ["", "test: the plain build; tsan: a race report; explorer: a schedule, with store buffers; model: the broken variant.",
                  "", "The oldest: " + self.made(min(dates, default=0), "plain")]
        return min(dates, default=0) if len(rows) == results["of"] else 0, lines


    @staticmethod
    def what_fails(row):
        words = re.sub(r"^(tsan|model|explorer|timeout) ", "", row["killer"] or "") if row["killer"] != "equivalent" else ""
        return f"{words} {row['case']}".strip().replace("|", "\\|")


class Explorer(Part):
    def read(self):
        path = self.root / "build/explore/results.json"
        if not path.exists():
            return None
        runs = [json.loads(line) for line in path.read_text().splitlines()]
        total, failures = sum(r["schedules"] for r in runs), sum(r["failures"] for r in runs)
        lines = ["", f"{total} schedules in {len(runs)} runs: {failures} failures. The longest runs:"]
        longest = sorted(runs, key=lambda r: -r["schedules"])[:12]
        lines += table(("programs", "strategy", "schedules", "seed", "minutes", "failures", "run"),
                       [(r["programs"], r["strategy"], r["schedules"], r["seed"], f"{r['seconds'] / 60:.1f}", r["failures"],
                         when(r["date"])) for r in longest])
        newest = max(r["date"] for r in runs)
        return newest, lines + ["", "The newest: " + self.made(newest, "plain")]


class Fuzz(Part):
    def read(self):
        path = self.root / "build/fuzz.txt"
        if not path.exists():
            return None
        rows, newest = {}, 0
        for line in path.read_text().splitlines():
            date, name, seconds, runs, covered, kept, seed, verdict = line.split()
            before = rows.get(name, (0, 0, 0, 0, 0, "", ""))
            rows[name] = (before[0] + int(seconds), before[1] + int(runs), int(covered), int(kept),
                          before[4] + (verdict != "passed"), seed, when(age(date)))
            newest = max(newest, age(date))
        lines = table(("entry", "hours", "runs", "edges covered", "inputs kept", "failed runs", "last seed", "last run"),
                      [(name, f"{row[0] / 3600:.2f}", *row[1:]) for name, row in sorted(rows.items())])
        return newest, lines + ["", "libFuzzer with ASan and UBSan. The newest: " + self.made(newest, "fuzz")]


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
        hours, failed = sum(r[0] for r in runs.values()) / 3600, sum(r[1] for r in runs.values())
        lines = ["", f"{hours:.1f} hours of programs, {failed} failed runs."]
        lines += table(("program", "build", "hours", "failed runs", "last run"),
                       [(*key, f"{total / 3600:.2f}", bad, when(age(date))) for key, (total, bad, date) in sorted(runs.items())])
        return path.stat().st_mtime, lines + self.last_report() + ["", "The newest: " + self.made(path.stat().st_mtime)]

    def last_report(self):
        path = self.root / "build/soak/report.json"
        if not path.exists():
            return []
        r = json.loads(path.read_text())
        objects = sum(row["objects"] for row in r["programs"])
        done = [re.search(r"ok: (\d+) programs, (\d+) operations", line) for run in r["runs"] for line in run.get("lines", [])]
        programs, operations = (sum(int(found[i]) for found in done if found) for i in (1, 2))
        lines = ["", f"The last long one: {r['hours']:.2f} of {r['hours_wanted']:g} hours from {r['began']}, commit {r['commit']}: "
                     f"{len(r['failures'])} failures, {r['rounds']} whole rounds, {objects} objects, ended: {r['ended']}; "
                     f"{programs} random programs, {operations} operations. Each run's seed is in report.json."]
        return lines + [f"- FAILED: {f['build']} {f['program']}, {f['status']}: `{f['replay']}`" for f in r["failures"]]


class Coverage(Part):
    def read(self):
        path = self.root / "build/coverage/summary.json"
        if not path.exists():
            return None
        r = json.loads(path.read_text())
        listed = self.root / "docs/uncovered.md"
        places = len(re.findall(r"^\| `", listed.read_text(), re.M)) if listed.exists() else 0
        parts = [f"{r[f'{kind}_percent']} % of {kind if kind == 'line' else 'branche'}s"
                 + (f" ({r[f'{kind}_covered']} of {r[f'{kind}_total']})" if f"{kind}_total" in r else "") for kind in ("line", "branch")]
        return path.stat().st_mtime, ["", f"{', '.join(parts)}. Each place that is not run is listed with a reason in uncovered.md: "
                                          f"{places}.", "", self.made(path.stat().st_mtime, "coverage")]


class Valgrind(Part):
    def read(self):
        path = self.root / "build/valgrind/results.json"
        if not path.exists():
            return None
        r = json.loads(path.read_text())
        bad = [row["program"] for row in r["programs"] if row["verdict"] != "passed"]
        lines = ["", f"{len(r['programs'])} programs, {sum(row['leaks'] == 'full' for row in r['programs'])} of them with a leak check; "
                     f"{sum(row['errors'] for row in r['programs'])} errors; " + (f"failed: {', '.join(bad)}." if bad else "none failed.") +
                     " No suppressions."]
        reasons = {}
        for name, reason in r["excluded"].items():
            reasons.setdefault(reason, []).append(name)
        lines += table(("not run", "why"), [(", ".join(names), reason) for reason, names in sorted(reasons.items())])
        return age(r["date"]), lines + ["", f"{r['valgrind']}; " + self.made(age(r["date"]), "plain", r["commit"])]


class Static(Part):
    def read(self):
        path = self.root / "build/check/results.json"
        if not path.exists():
            return None
        r = json.loads(path.read_text())
        return age(r["date"]), ["", f"{r['files']} files: {r['complaints']} complaints; {r['excused']} places are excused, each with a "
                                    "reason.", "", f"{'; '.join(r['tools'])}. " + self.made(age(r["date"]))]


def parts(root):
    return [Tests(root, "Tests", "./dev test"), Faults(root, "Faults", "./dev test"), Models(root, "Models", "./dev model"),
            Mutants(root, "Mutants", "./dev mutants"), Explorer(root, "Schedules", "./dev explore"), Fuzz(root, "Fuzzing", "./dev fuzz"),
            Soak(root, "Soak", "./dev soak"), Coverage(root, "Coverage", "./dev coverage"),
            Valgrind(root, "Memcheck", "./dev valgrind"), Static(root, "Static analysis", "./dev check")]


def document(root):
    now = when(datetime.datetime.now(datetime.timezone.utc).timestamp())
    changed = " and changes to it" if git(root, "status", "--porcelain", "--untracked-files=no") else ""
    lines = [HEAD, f"Written {now}, at commit {git(root, 'rev-parse', '--short=12', 'HEAD') or 'unknown'}{changed}."]
    for part in parts(root):
        lines += part.section()
    return "\n".join(lines) + "\n"


def run_what_is_due(root):
    commit = int(git(root, "log", "-1", "--format=%ct") or 0)
    failed, run = [], set()
    for part in parts(root):
        if part.command in LONGER | run or not part.is_due(commit):
            continue
        run.add(part.command)
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
            "plain/meson-logs/testlog.json": json.dumps({"name": "wane / race_faults", "result": "OK",
                                                         "stdout": "1..2\n# 64 named steps: x\nok 1 - a\nok 2 - b\n# seed 77"}),
            "plain/meson-logs/meson-log.txt": 'C compiler for the host machine: gcc (gcc 12.2 "gcc (Debian) 12.2")\n',
            "model/claim.-": "2026-01-02T03:04:05+00:00 passes 123 4", "model/claim.X": "2026-01-02T03:04:05+00:00 fails 5 1",
            "model/claim.N=2": "2026-01-02T03:04:05+00:00 passes 456 9",
            "mutants/results.json": json.dumps({"of": 5, "mutants": [
                {"mutant": mutant, "killer": killer, "case": "c", "seconds": 1, "date": "2026-01-02T03:04:05+00:00"}
                for mutant, killer in (("m", "race_a"), ("n", "tsan race_b"), ("o", "equivalent"), ("p", None))]}),
            "explore/results.json": 2 * (json.dumps({"date": 1767323045, "programs": 3, "strategy": "both", "schedules": 400, "seed": 9,
                                                     "seconds": 60, "failures": 0}) + "\n"),
            "fuzz.txt": 2 * "2026-01-02T03:04:05+00:00 api 1800 1000 432 51 7 passed\n",
            "valgrind/results.json": json.dumps({
                "date": "2026-01-02T03:04:05+00:00", "commit": "abc", "valgrind": "valgrind-3", "compiler": "gcc",
                "programs": [{"program": "test_a", "verdict": "passed", "errors": 0, "leaks": "full", "seconds": 1}],
                "excluded": {"test_b": "too long", "test_c": "too long"}}),
            "check/results.json": json.dumps({"date": "2026-01-02T03:04:05+00:00", "files": 9, "complaints": 0, "excused": 2,
                                              "tools": ["tidy 19", "gcc 12"]}),
            "soak/report.json": json.dumps({
                "began": "then", "hours": 1.5, "hours_wanted": 2, "ended": "in time", "rounds": 3, "commit": "abc",
                "programs": [{"objects": 5}], "runs": [{"lines": ["stress_random: ok: 7 programs, 90 operations"]}],
                "failures": [{"build": "asan", "program": "stress_a", "status": 1, "replay": "again"}]}),
            "soak.txt": "2026-01-02T03:04:05+00:00 tsan stress_a 1800 passed\n" * 2,
            "coverage/summary.json": json.dumps({"line_percent": 91, "branch_percent": 80})}
        for name, text in planted.items():
            (root / "build" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "build" / name).write_text(text)
        text = document(root)
        for wanted in ("| plain | gcc (Debian) 12.2 | 1 | 2 | 0 | 0 |", "Seeds: 77.", "| clang |  |  |  |  |  | not run |",
                       "| claim | passes | 123 | 1 | 1 | N=2: passes, 456 states | 2026-01-02T03:04 UTC |",
                       "2 of 4 mutants are killed, by: test 1, tsan 1; 1 more are equivalent.", "| `n` | tsan | race_b c |",
                       "| `p` | survives | c |", "800 schedules in 2 runs: 0 failures", "| 3 | both | 400 | 9 | 1.0 | 0 |",
                       "| race_faults | plain | 2 | 0 | 0 | 64 named steps: x |", "| api | 1.00 | 2000 | 432 | 51 | 0 | 7 |",
                       "| stress_a | tsan | 1.00 | 0 |", "1.50 of 2 hours", "7 random programs, 90 operations", "- FAILED: asan stress_a",
                       "91 % of lines", "1 programs, 1 of them with a leak check; 0 errors; none failed", "| test_b, test_c | too long |",
                       "valgrind-3; 2026-01-02T03:04 UTC, commit abc; gcc (Debian) 12.2.", "9 files: 0 complaints; 2 places"):
            if wanted not in text:
                sys.exit(f"missing: {wanted}\n{text}")
        if [part.is_due(1) for part in parts(root)] != [True, False, False, True] + 6 * [False]:
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
