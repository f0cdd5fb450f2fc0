#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sum up test logs of meson (one JSON object a line): prints "PASSED FAILED SKIPPED". usage: tally.py LOG...

A program that speaks TAP counts with each of its cases; one that ends badly with no failed case counts as one failure.
"""
import json
import re
import sys


def tally(test):
    passed = failed = skipped = 0
    cases = re.findall(r"^(not ok|ok) \d+(.*)$", test.get("stdout", ""), re.M)
    for verdict, rest in cases:
        if re.search(r"# *skip", rest, re.I):
            skipped += 1
        elif verdict == "ok":
            passed += 1
        else:
            failed += 1
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    if not cases:
        skipped += test["result"] == "SKIP"
        passed += good
    if not good and test["result"] != "SKIP" and not failed:
        failed += 1
    return passed, failed, skipped


def main():
    total = (0, 0, 0)
    for log in sys.argv[1:]:
        with open(log, encoding="utf-8") as lines:
            for line in lines:
                total = tuple(map(sum, zip(total, tally(json.loads(line)))))
    print(*total)


if __name__ == "__main__":
    main()
