#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare the lines of src/ that tests do not run with docs/uncovered.md. usage: uncovered.py [--write] COVERAGE.json; --self-test

COVERAGE.json is what gcovr --json writes. Lines that are not run, with none in between that is, are one place. A place is listed
by its file, its function, and the text of one of its lines, so that it is found again when lines move. What is complained of:

  not listed          a place without a row
  listed but run      a row without a place, but for those whose reason begins with "by chance": they may be run or not
  without a reason    "?", which --write puts to the places that it adds (it also takes out rows that are run)
"""
import json
import pathlib
import re
import sys
import tempfile

from lint import enclosing_function

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEAD = """# Lines that the tests do not run

`./dev coverage` compares this list with what it measures in the plain build: a line that is missing here, or one that is run, is an
error. Each row stands for the lines that are not run from there on. "By chance": another thread must come at one moment; schedules
at named steps show what happens then where the line has one.

| file | function | line | why |
| --- | --- | --- | --- |
"""
ROW = re.compile(r"^\| `(\S+)` \| `(\S+)` \| `(.*)` \| (.*) \|$", re.M)
CHANCE = "by chance"


class Place:
    def __init__(self, file, function, first, texts):
        self.file, self.function, self.first, self.texts = file, function, first, texts

    def is_named_by(self, row):
        return row[:2] == (self.file, self.function) and row[2] in self.texts


def places(root, measured):
    for file in measured["files"]:
        text = (root / file["file"]).read_text()
        starts = [0] + [found.end() for found in re.finditer("\n", text)]
        lines, run = text.splitlines(), []
        counted = {}
        for line in file["lines"]:
            if not line.get("gcovr/noncode"):
                counted[line["line_number"]] = counted.get(line["line_number"], 0) + line["count"]
        for number in [*sorted(counted), None]:
            function = number and (enclosing_function(text, starts[number - 1]) or "-")
            if run and (number is None or counted[number] or function != run[0][1]):
                yield Place(file["file"], run[0][1], run[0][0], [lines[n - 1].strip() for n, _ in run])
                run = []
            if number and not counted[number]:
                run.append((number, function))


def rows(text):
    return [(file, function, line.replace("\\|", "|"), why) for file, function, line, why in ROW.findall(text)]


def compare(found, listed):
    for place in found:
        if not any(place.is_named_by(row) for row in listed):
            yield f"{place.file}:{place.first}: not run, and not listed: {place.texts[0]}"
    for row in listed:
        if row[3] == "?":
            yield f"{row[0]}: {row[1]}: without a reason: {row[2]}"
        elif not row[3].startswith(CHANCE) and not any(place.is_named_by(row) for place in found):
            yield f"{row[0]}: {row[1]}: listed, but run or gone: {row[2]}"


def written(found, listed):
    kept = [row for row in listed if row[3].startswith(CHANCE) or any(place.is_named_by(row) for place in found)]
    kept += dict.fromkeys((place.file, place.function, place.texts[0], "?") for place in found
                          if not any(place.is_named_by(row) for row in kept))
    order = {}
    for place in found:
        order.setdefault((place.file, place.function), place.first)
    kept.sort(key=lambda row: (row[0], order.get(row[:2], 0)))
    return HEAD + "".join("| `{}` | `{}` | `{}` | {} |\n".format(row[0], row[1], row[2].replace("|", "\\|"), row[3]) for row in kept)


def self_test():
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        (root / "a.c").write_text("static int\nf(int n)\n{\n    if (n)\n        return a | b;\n    g();\n    return 2;\n}\n")
        counts = ((4, 1), (5, 0), (6, 1), (7, 0))
        measured = {"files": [{"file": "a.c", "lines": [{"line_number": n, "count": c} for n, c in counts]}]}
        found = list(places(root, measured))
        row, other = ("a.c", "f", "return a | b;", "w"), ("a.c", "f", "return 2;", "w")
        for listed, wanted in (([row, other], 0), ([row], 1), ([row, other, ("a.c", "f", "g();", "w")], 1),
                               ([row, other, ("a.c", "f", "g();", "by chance")], 0), ([row, other[:3] + ("?",)], 1)):
            if len(problems := list(compare(found, listed))) != wanted:
                sys.exit(f"{listed}: {problems}")
        again = rows(written(found, [row]))
        if again != [row, other[:3] + ("?",)] or list(compare(found, rows(written(found, again)))) == []:
            sys.exit(f"written: {again}")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    document = ROOT / "docs/uncovered.md"
    found = list(places(ROOT, json.loads(pathlib.Path(sys.argv[-1]).read_text())))
    listed = rows(document.read_text()) if document.exists() else []
    if sys.argv[1] == "--write":
        document.write_text(written(found, listed))
        listed = rows(document.read_text())
    problems = list(compare(found, listed))
    print("\n".join([*problems, f"{len(found)} places are not run, {len(problems)} complaints"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
