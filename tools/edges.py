#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Comments and the ordering table of docs/design.md name the same edges. usage: edges.py [ROOT]; edges.py --self-test

  a number named in a comment of src/*.[ch] or include/wane/*.h has a row
  a row's edge is named in the code, at least once on a release side and once on an acquire side

A side is named by its order and the edge: `release E7`, `acquire E10, E11`, `acq_rel for E5`; acq_rel and seq_cst are
both sides, also in the form `acq_rel: why (E12)`. Text in backquotes is not counted.
"""
import pathlib
import re
import sys
import tempfile

DOCUMENT, TABLE = "docs/design.md", "Ordering table"
COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.S)
EDGE = re.compile(r"\bE(\d+)\b")
LIST = r"(E\d+\b(?:(?:,| and) E\d+\b)*)"
SIDE = re.compile(r"\b(release|acquire|acq_rel|seq_cst) \(?(?:for )?" + LIST)
BOTH = re.compile(r"\b(acq_rel|seq_cst)\b[^.;()]*\(" + LIST + r"\)")


def comments(root):
    """(file:line, text in one line) of every comment."""
    for pattern in ("src/*.[ch]", "include/wane/*.h"):
        for path in sorted(root.glob(pattern)):
            text = path.read_text()
            for found in COMMENT.finditer(text):
                if found[0][0] == '"':
                    continue
                line = text.count("\n", 0, found.start()) + 1
                words = re.sub(r"\n\s*\*", "\n", found[0])
                yield f"{path.relative_to(root)}:{line}", re.sub(r"\s+", " ", re.sub(r"`[^`]*`", " ", words))


def rows(root):
    """Edges of the first table under the heading."""
    edges, inside, begun = set(), False, False
    for line in (root / DOCUMENT).read_text().splitlines():
        if line.startswith("#"):
            inside = TABLE in line
        elif inside and line.startswith("|"):
            begun = True
            edges |= {int(n) for n in EDGE.findall(line.split("|")[1])}
        elif begun:
            break
    return edges


def check(root):
    named, sides = {}, {"release": set(), "acquire": set()}
    for where, text in comments(root):
        for number in EDGE.findall(text):
            named.setdefault(int(number), where)
        for order, edges in SIDE.findall(text) + BOTH.findall(text):
            for side in sides if order in ("acq_rel", "seq_cst") else (order,):
                sides[side] |= {int(n) for n in EDGE.findall(edges)}
    table = rows(root)
    if not table:
        yield f"{DOCUMENT}: no table under a heading '{TABLE}'"
    for edge in sorted(set(named) - table):
        yield f"{named[edge]}: E{edge} has no row in {DOCUMENT}"
    for edge in sorted(table - set(named)):
        yield f"{DOCUMENT}: E{edge} is named in no comment"
    for side, edges in sides.items():
        for edge in sorted((table & set(named)) - edges):
            yield f"{DOCUMENT}: E{edge}: no comment names its {side} side"


CODE = """/* release E1: what was written before */
/* seq_cst: the full fence
 * of the others (E2) */
static const char *message = "acquire E9"; /* `release E9` is only spoken of */
// acquire E1, E3
/* relaxed: a guess. acq_rel for E4; release E3 */
"""
DOC = "# Document\n\n## 12. Ordering table\n\n| edge | writer |\n| --- | --- |\n"
CLEAN = DOC + "| E1 | a |\n| E2 | b |\n| E3 | c |\n| E4 | d |\n\n| E8 | another table |\n"
MORE = CLEAN.replace("| E4", "| E5 | e |\n| E4")
PLANTED = {  # what: (code to add, document, the complaint)
    "nothing": ("", CLEAN, None),
    "missing row": ("/* acq_rel E7 */\n", CLEAN, "E7 has no row"),
    "missing row in a line comment": ("// see E12\n", CLEAN, "E12 has no row"),
    "row without code": ("", MORE, "E5 is named in no comment"),
    "no acquire side": ("/* release E5 */\n", MORE, "E5: no comment names its acquire"),
    "no release side": ("/* acquire E5 */\n", MORE, "E5: no comment names its release"),
    "mentioned without a side": ("/* see E5 */\n", MORE, "E5: no comment names"),
    "no table": ("", "# Document\n", "no table"),
}


def self_test():
    failures = 0
    for what, (code, document, complaint) in PLANTED.items():
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for name, text in {"src/a.c": CODE + code, DOCUMENT: document}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            problems = list(check(root))
        right = any(complaint in p for p in problems) if complaint else not problems
        if not right:
            print(f"planted {what}: {problems or 'not found'}")
            failures += 1
    return failures


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(1 if self_test() else 0)
    problems = list(check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
    for problem in problems:
        print("error:", problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
