#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rows of the state table in docs/design.md and those that tests/state_*.c walk are the same. usage: table.py [ROOT];
table.py --self-test
"""
import pathlib
import re
import sys


def in_document(text):
    table = re.search(r"^### State table\n(.*?)^#", text, re.M | re.S)
    rows = re.findall(r"^    (\S.*)$", table[1], re.M) if table else []
    return [row.split()[0] for row in rows if re.match(r"[a-z]", row)]


def in_tests(text):
    return re.findall(r'^    \{"([a-z-]+)", \w+\},$', text, re.M)


def differences(document, tests):
    for name, ids in (("the document", document), ("the tests", tests)):
        for i in sorted(set(ids)):
            if ids.count(i) > 1:
                yield f"{i}: twice in {name}"
    yield from (f"{i}: no test walks it" for i in document if i not in tests)
    yield from (f"{i}: not in the document" for i in tests if i not in document)
    if not document:
        yield "no table in the document"


def self_test():
    text = "### State table\n\n    ID      EVENT\n    own-a   x  y\n              continued\n    str-b   z\n\n## Next\n"
    assert in_document(text) == ["own-a", "str-b"], in_document(text)
    assert in_tests('    {"own-a", own_a},\n    {NULL, NULL},\n') == ["own-a"]
    assert list(differences(["own-a", "str-b"], ["own-a"])) == ["str-b: no test walks it"]
    assert list(differences(["own-a"], ["own-a", "c"])) == ["c: not in the document"]
    assert list(differences([], []))


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    document = in_document((root / "docs/design.md").read_text())
    tests = [i for path in sorted((root / "tests").glob("state_*.c")) for i in in_tests(path.read_text())]
    wrong = list(differences(document, tests))
    print("\n".join(wrong) if wrong else f"{len(document)} rows, each walked by a test")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
