#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sum up test logs of meson (one JSON object a line): prints "PASSED FAILED SKIPPED".

usage: tally.py LOG...; tally.py --self-test

A program that speaks TAP counts with each of its cases; one that ends badly with no failed case, or stops before its last
case, counts as one failure.
"""
import json
import re
import sys


def tally(test):
    output = test.get("stdout", "")
    result = test["result"]
    cases = re.findall(r"^(not ok|ok) \d+\b(.*)$", output, re.M)
    plan = re.search(r"^1\.\.(\d+)$", output, re.M)
    if not plan:
        return (0, 0, 1) if result == "SKIP" else (1, 0, 0) if result in ("OK", "EXPECTEDFAIL") else (0, 1, 0)
    passed = failed = skipped = 0
    for verdict, rest in cases:
        if re.match(r"[^#]*# *skip", rest, re.I):
            skipped += 1
        elif verdict == "ok":
            passed += 1
        else:
            failed += 1
    if not failed and (result != "OK" or len(cases) < int(plan[1])):
        failed = 1
    return passed, failed, skipped


def self_test():
    for result, output, right in (
            ("OK", "", (1, 0, 0)), ("FAIL", "ok 1 - so it says\n", (0, 1, 0)), ("SKIP", "", (0, 0, 1)),
            ("TIMEOUT", "", (0, 1, 0)),
            ("OK", "1..3\nok 1 - a\nnot ok 2 # SKIP b\nok 3 - c\n# ok - tests\n", (2, 0, 1)),
            ("FAIL", "1..2\nok 1 - a\nnot ok 2 - b\n", (1, 1, 0)),
            ("FAIL", "1..2\nok 1 - a\nok 2 - b\n", (2, 1, 0)),
            ("OK", "1..2\nok 1 - a\n", (1, 1, 0))):
        got = tally({"result": result, "stdout": output})
        if got != right:
            sys.exit(f"{result} {output!r}: {got}, not {right}")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return
    total = (0, 0, 0)
    for log in sys.argv[1:]:
        with open(log, encoding="utf-8") as lines:
            for line in lines:
                total = tuple(map(sum, zip(total, tally(json.loads(line)))))
    print(*total)


if __name__ == "__main__":
    main()
