#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which test fails with each mutant of src/mutants.h? usage: mutants.py BUILD [--tsan BUILD] [--quick] [--weak] [NAME ...];
mutants.py --list-tsan; mutants.py --self-test

tests/mutants.txt says for each what is tried first: its killer. Where that passes, the other fast programs are tried until one
fails. A killer that fails without a mutant is an error. --quick: a third of the mutants, another one each day, and of the weak
ones a fifteenth. --weak: those only that tests on x86 cannot show (a race report, the explorer's store buffers, a model stands
for them). Prints a table, by what each is killed, and writes it to build/mutants/results.json; exit status 1 if a mutant
survives, or the table and the list differ.
"""
import concurrent.futures
import datetime
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build/mutants/results.json"
LIMIT = 90  # seconds: generous
TRIES = 3  # of the killer that is known, before others are asked
KINDS = ("model", "tsan", "explorer", "timeout", "equivalent:")
WEAK = ("model", "tsan", "explorer")
RACE = 66  # the exit status of the race detector
SCHEDULES = 20000  # of the explorer, for each of its programs


# ---- The two lists -------------------------------------------------------------------------------------------------

def names_in(text):
    return dict(re.findall(r'^MUTANT\((\w+), "(.*)"\)$', text, re.M))


def killers_in(text):
    """{mutant: (kind, what)}; kind "test" for a plain line `MUTANT TEST`."""
    table = {}
    for line in text.splitlines():
        words = line.split(None, 2)
        if not words or line.startswith("#"):
            continue
        if words[0] in table or len(words) < 2:
            raise SystemExit(f"tests/mutants.txt: {line}")
        table[words[0]] = (words[1], words[2].strip()) if words[1] in KINDS and len(words) == 3 else ("test", words[1])
    return table


def differences(names, killers):
    return ([f"{name}: not in tests/mutants.txt" for name in names if name not in killers] +
            [f"{name}: not in src/mutants.h" for name in killers if name not in names])


# ---- Running a test ------------------------------------------------------------------------------------------------

class Tests:
    """The test programs of a build that look inside ("steps"), and those against the shared library ("black")."""

    def __init__(self, build, hasty):
        self.hasty = hasty
        self.build = pathlib.Path(build).resolve()
        self.test, self.seconds, self.cases = {}, {}, {}
        for test in json.loads((self.build / "meson-info/intro-tests.json").read_text()):
            suites = {suite.split(":")[-1] for suite in test["suite"]}
            if suites & {"steps", "black"}:
                self.test[test["name"]] = test

    def run(self, name, mutant=None):
        """("passed" | "failed" | "timeout", the case that failed or "", the cases that ended). Ends with the first failure."""
        test = self.test[name]
        env = {**os.environ, **test["env"], "CMOCKA_MESSAGE_OUTPUT": "TAP"}
        env["LD_LIBRARY_PATH"] = str(self.build / "tests/mutants")
        env.pop("WANE_MUTANT", None)
        if mutant:
            env["WANE_MUTANT"] = mutant
        if self.hasty and mutant:  # without one nothing should have to wait
            env["WANE_TEST_PATIENCE"] = "4000"
        wrap = []
        if "tsan" in self.build.name:
            wrap = ["setarch", "-R"]
            env["TSAN_OPTIONS"] = f"exitcode={RACE}:halt_on_error=1"
        master, slave = pty.openpty()  # a terminal: what a program says is seen before it dies
        process = subprocess.Popen(wrap + test["cmd"], env=env, stdin=subprocess.DEVNULL, stdout=slave,
                                   stderr=subprocess.DEVNULL, start_new_session=True, cwd=self.build)
        os.close(slave)
        began = time.monotonic()
        verdict, case, cases = listen(process, master, began + LIMIT)
        os.close(master)
        if verdict in ("failed", "race") and not case:
            known = self.cases.get(name, [])
            case = known[len(cases)] if len(cases) < len(known) else ""
        return verdict, case, cases, time.monotonic() - began


def listen(process, master, end):
    text, verdict, cases, seen = "", None, [], 0
    while verdict is None:
        ready, _, _ = select.select([master], [], [], 0.2)
        if ready:
            try:
                text += os.read(master, 65536).decode(errors="replace")
            except OSError:  # the other side is closed
                ready = []
            lines = text.split("\n")[:-1]
            for line in lines[seen:]:
                found = re.match(r"(not ok|ok) \d+ - (\S+)(?!.*# *skip)", line, re.I)
                if found and found[1] == "not ok":
                    verdict = "failed", found[2], cases
                    break
                if re.match(r"(not ok|ok) \d+", line):
                    cases.append(line.split(" - ")[-1].split()[0])
            seen = len(lines)
        if verdict is None and not ready and process.poll() is not None:
            verdict = ("passed" if process.returncode in (0, 77) else "race" if process.returncode == RACE else "failed"), "", cases
        elif verdict is None and time.monotonic() > end:
            verdict = "timeout", "", cases
    kill(process)
    return verdict


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


# ---- Killing -------------------------------------------------------------------------------------------------------

class Hunt:
    def __init__(self, tests, tsan, killers):
        self.tests, self.tsan, self.killers = tests, tsan, killers

    def baseline(self, names):
        """Each killer passes without a mutant. Returns complaints."""
        wanted = set()
        for name in names:
            kind, what = self.killers[name]
            if kind in ("test", "timeout"):
                wanted.add((self.tests, what))
            elif kind == "tsan" and self.tsan:
                wanted.add((self.tsan, what))
        unknown = [f"{what}: no such test" for tests, what in wanted if what not in tests.test]
        if unknown:
            return unknown
        with concurrent.futures.ThreadPoolExecutor(jobs()) as pool:
            return [c for c in pool.map(lambda w: self.passes(*w), sorted(wanted, key=lambda w: w[1])) if c]

    def passes(self, tests, name):
        verdict, case, tests.cases[name], tests.seconds[name] = tests.run(name)
        return None if verdict == "passed" else f"{name} {case}: {verdict} without a mutant"

    def kill(self, mutant):
        kind, what = self.killers[mutant]
        began = time.monotonic()
        killer, case = self.first(mutant, kind, what)
        if killer is None and kind == "tsan":
            killer, case = self.another_race(mutant, what)
        elif killer is None and kind in ("test", "timeout"):
            killer, case = self.any_other(mutant, what)
        return {"mutant": mutant, "killer": killer, "case": case, "expected": f"{kind} {what}",
                "seconds": round(time.monotonic() - began, 2)}

    def first(self, mutant, kind, what):
        if kind == "equivalent:":
            return "equivalent", what
        if kind == "model":
            return self.by_model(what)
        if kind == "explorer":
            return self.by_explorer(mutant, what)
        tests = self.tsan if kind == "tsan" else self.tests
        if tests is None:
            return "not run", "no build with the race detector"
        for _ in range(TRIES):
            verdict, case, _, _ = tests.run(what, mutant)
            if verdict == ("race" if kind == "tsan" else "failed") or verdict == "timeout" and kind == "timeout":
                return (what if kind == "test" else f"{kind} {what}"), case
        return None, ""

    def by_model(self, what):
        file, variant = what.split()
        if subprocess.run(["sh", "-c", "command -v spin"], stdout=subprocess.DEVNULL).returncode:
            return "not run", "no SPIN here"
        done = subprocess.run([ROOT / "tests/model/run.sh", f"{ROOT}/tests/model/{file}:{variant}"],
                              stdout=subprocess.DEVNULL)
        return (None, "") if done.returncode else (f"model {file}", variant)

    def by_explorer(self, mutant, program):
        explore = self.tests.build / "tests/explore/explore"
        if not explore.exists():
            return "not run", "no explorer in this build"
        text = subprocess.run([explore, program, "--mutant", mutant, "--schedules", str(SCHEDULES)], stdout=subprocess.PIPE,
                              text=True).stdout
        found, schedule = re.search(rf"^{program}: (.*)$", text, re.M), re.search("--replay '(.*)'$", text, re.M)
        if not found or not schedule:
            return None, ""
        without = subprocess.run([explore, "--replay", schedule[1]], stdout=subprocess.DEVNULL)
        return (None, "") if without.returncode else (f"explorer {program}", found[1])

    def another_race(self, mutant, tried):
        for name in sorted({what for kind, what in self.killers.values() if kind == "tsan"} - {tried}):
            verdict, case, _, _ = self.tsan.run(name, mutant)
            if verdict == "race":
                return f"tsan {name}", case
        return None, ""

    def any_other(self, mutant, tried):
        for name in sorted(self.tests.test, key=lambda n: (self.tests.seconds.get(n, 99), "steps" in n, n)):
            if name != tried:
                verdict, case, _, _ = self.tests.run(name, mutant)
                if verdict == "failed" and self.is_sure(name, mutant):
                    return name, case
        return None, ""

    def is_sure(self, name, mutant):
        """Nobody knows this test as a killer: it fails once more, and passes without the mutant."""
        return self.tests.run(name, mutant)[0] == "failed" and self.tests.run(name)[0] == "passed"


def jobs():
    return os.cpu_count() or 1


def choose(names, weak, wanted, quick, only_weak):
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise SystemExit("no such mutant: " + " ".join(unknown))
    day = datetime.date.today().timetuple().tm_yday
    return [name for i, name in enumerate(names) if (not wanted or name in wanted) and (not only_weak or name in weak)
            and (not quick or (i + day) % (15 if name in weak else 3) == 0)]


def report(rows, names, whole):
    for row in rows:
        killed = f"{row['killer']} {row['case']}" if row["killer"] else "SURVIVES"
        other = "" if not row["killer"] or row["expected"].split()[1] in killed else f" (not {row['expected']})"
        print(f"{row['mutant']:32} {killed}{other}  {row['seconds']} s")
    left = [row["mutant"] for row in rows if not row["killer"]]
    not_run = [row["mutant"] for row in rows if row["killer"] == "not run"]
    print(f"{len(rows) - len(left) - len(not_run)} of {len(rows)} mutants killed" +
          (f", {len(not_run)} not run: {' '.join(not_run)}" if not_run else "") +
          (f", survivors: {' '.join(left)}" if left else ""))
    print("by: " + ", ".join(f"{kind} {n}" for kind, n in by_what(rows).items()))
    save(rows, names, whole)
    return not left


def by_what(rows):
    """{"test": N, "tsan": N, ..} of what was killed; "equivalent" is not."""
    sums = {}
    for row in rows:
        if row["killer"] not in (None, "not run"):
            first = row["killer"].split()[0]
            kind = first if first in (*WEAK, "timeout", "equivalent") else "test"
            sums[kind] = sums.get(kind, 0) + 1
    return dict(sorted(sums.items()))


def save(rows, names, whole):
    """A part replaces its rows only; each row has its own date."""
    old = []
    if not whole and RESULTS.exists():
        old = [row for row in json.loads(RESULTS.read_text())["mutants"] if row["mutant"] in names]
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    table = {row["mutant"]: row for row in old}
    table.update({row["mutant"]: {**row, "date": now} for row in rows})
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"of": len(names), "mutants": [table[n] for n in names if n in table]}, indent=1) + "\n")


def self_test():
    names = names_in('MUTANT(a, "x")\n/* no */\nMUTANT(b, "y (z)")\n')
    killers = killers_in("# c\na  race_a\nc  model claim.pml NO_X\nd  equivalent: because it is so\n")
    right = {"a": ("test", "race_a"), "c": ("model", "claim.pml NO_X"), "d": ("equivalent:", "because it is so")}
    if names != {"a": "x", "b": "y (z)"} or killers != right or len(differences(names, killers)) != 3:
        raise SystemExit(f"{names} {killers}")
    if [verdict_of("echo ok 1 - a; exit 0"), verdict_of("echo ok 1 - a; echo not ok 2 - b; sleep 9"),
            verdict_of("echo ok 1 - a; kill -6 $$"), verdict_of(f"exit {RACE}")] != [
                ("passed", "", ["a"]), ("failed", "b", ["a"]), ("failed", "", ["a"]), ("race", "", [])]:
        raise SystemExit("what programs say is not understood")
    if by_what([{"killer": k} for k in ("race_a", "tsan race_a", "model a.pml", None, "explorer claim", "race_b")]) != {
            "explorer": 1, "model": 1, "test": 2, "tsan": 1}:
        raise SystemExit("killers are counted wrong")
    if choose(["a", "b"], {"b"}, [], False, True) != ["b"] or len(choose([*map(str, range(30))], set(), [], True, False)) != 10:
        raise SystemExit("the wrong mutants are chosen")


def verdict_of(script):
    master, slave = pty.openpty()
    process = subprocess.Popen(["sh", "-c", script], stdout=slave, start_new_session=True)
    os.close(slave)
    return listen(process, master, time.monotonic() + 60)


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        return self_test()
    names = names_in((ROOT / "src/mutants.h").read_text())
    killers = killers_in((ROOT / "tests/mutants.txt").read_text())
    if arguments == ["--list-tsan"]:
        print("".join(f"{what}\n" for what in sorted({what for kind, what in killers.values() if kind == "tsan"})), end="")
        return None
    problems = differences(names, killers)
    quick = "--quick" in arguments
    tsan = Tests(arguments[arguments.index("--tsan") + 1], quick) if "--tsan" in arguments else None
    wanted = [a for i, a in enumerate(arguments[1:], 1) if not a.startswith("--") and arguments[i - 1] != "--tsan"]
    weak = {name for name, (kind, _) in killers.items() if kind in WEAK}
    chosen = choose(list(names), weak, wanted, quick, "--weak" in arguments)
    hunt = Hunt(Tests(arguments[0], quick), tsan, killers)
    problems = problems or hunt.baseline(chosen)
    if problems:
        raise SystemExit("\n".join(problems))
    with concurrent.futures.ThreadPoolExecutor(jobs()) as pool:
        rows = list(pool.map(hunt.kill, chosen))
    sys.exit(0 if report(rows, list(names), chosen == list(names)) else 1)


if __name__ == "__main__":
    main()
