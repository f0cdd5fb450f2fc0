#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the sources must keep to. usage: lint.py [ROOT]; lint.py --self-test

  layers    ck and liburcu headers in their glue files only; no include cycles; public headers need the system only
  fences    no fence but the wrapper in atomic.h (the race detector does not model them); no stdatomic, no assembly
  sizes     files of at most 600 lines of at most 130 columns; warnings for functions above 60 lines, columns above 120
  lists     every C file is named in its directory's meson.build
"""
import pathlib
import re
import sys
import tempfile

GLUE = {"src/ck_glue.c", "src/urcu_glue.c", "tests/litmus.c"}
PEERS = "bench/peers/"  # what the library is compared with
FOREIGN = re.compile(r"^(ck_|urcu|lttng)|^ck/")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
DIRECTORIES = ("src", "include", "tests", "stress", "examples", "bench")
FILE_LINES, FUNCTION_LINES, COLUMNS, MOST_COLUMNS = 600, 60, 120, 130


def sources(root, *directories):
    for directory in directories:
        for path in sorted((root / directory).rglob("*")):
            if path.suffix in (".c", ".h", ".cc"):
                yield str(path.relative_to(root)), path.read_text()


def without_comments(text):
    """Comments and strings become blanks; the lines stay."""
    blank = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
    return blank.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def layers(root):
    for name, text in sources(root, *DIRECTORIES):
        for include in INCLUDE.finditer(text):
            where = f"{name}:{line_of(text, include.start())}"
            bracket, header = include.groups()
            if FOREIGN.search(header) and name not in GLUE and not header.startswith("ck_glue") and not name.startswith(PEERS):
                yield f"{where}: <{header}> outside of the glue files"
            if name.startswith("include/") and bracket == '"':
                yield f"{where}: public headers include <wane/...>"
        if name.startswith("include/") and "_LGPL_SOURCE" in text:
            yield f"{name}: _LGPL_SOURCE in a public header"
    yield from cycles(root)


def cycles(root):
    edges = {name[4:]: sorted(h for quote, h in INCLUDE.findall(text) if quote == '"')
             for name, text in sources(root, "src") if name.endswith(".h")}
    done = set()

    def visit(name, path):
        if name in path:
            yield "src: include cycle: " + " -> ".join(path[path.index(name):] + [name])
            return
        if name in done:
            return
        for header in edges.get(name, []):
            yield from visit(header, path + [name])
        done.add(name)

    for name in edges:
        yield from visit(name, [])


def fences(root):
    for name, text in sources(root, "src", "include"):
        code = without_comments(text)
        for found in re.finditer(r"\b(?:__)?atomic_thread_fence\b|\b__sync_\w+|\basm\b|\b__asm__\b", code):
            if name == "src/atomic.h" and enclosing_function(code, found.start()) == "wn_full_fence":
                continue
            yield f"{name}:{line_of(code, found.start())}: {found[0]}; use atomic.h"
        if re.search(r"#\s*include\s*<stdatomic\.h>", text):
            yield f"{name}: <stdatomic.h>; use atomic.h"


def functions(text):
    """(name, start, end) of the functions: name and both braces at the beginning of a line."""
    for found in re.finditer(r"^(\w+)\([^;{]*?\)\s*\n\{\n(.*?)^\}", text, re.M | re.S):
        yield found[1], found.start(), found.end()


def enclosing_function(text, position):
    return next((name for name, start, end in functions(text) if start <= position < end), None)


def sizes(root, warnings):
    for name, text in sources(root, *DIRECTORIES):
        lines = text.splitlines()
        if len(lines) > FILE_LINES:
            yield f"{name}: {len(lines)} lines; is there a seam?"
        for function, start, end in functions(text):
            length = text.count("\n", start, end) + 1
            if length > FUNCTION_LINES:
                warnings.append(f"{name}:{line_of(text, start)}: {function} has {length} lines")
        for number, line in enumerate(lines, 1):
            if len(line) > MOST_COLUMNS:
                yield f"{name}:{number}: {len(line)} columns"
        wide = [str(number) for number, line in enumerate(lines, 1) if len(line) > COLUMNS]
        if wide:
            warnings.append(f"{name}: above {COLUMNS} columns: " + " ".join(wide))


def lists(root):
    for build in (path for directory in DIRECTORIES for path in sorted((root / directory).rglob("meson.build"))):
        text = build.read_text()
        for path in sorted(build.parent.glob("*.c")):
            if not re.search(rf"'{re.escape(path.stem)}(\.c)?'", text):
                yield f"{path.relative_to(root)}: not named in {build.relative_to(root)}"


def lint(root, warnings):
    return [*layers(root), *fences(root), *sizes(root, warnings), *lists(root)]


PLANTED = {  # what is planted: (file, text, the complaint)
    "foreign header": ("src/count.c", "#include <urcu/rculfhash.h>\n", "outside of the glue"),
    "foreign header in a test": ("tests/test_a.c", "#include <ck_ring.h>\n", "outside of the glue"),
    "cycle": ("src/header.h", '#include "record.h"\n', "include cycle"),
    "private include": ("include/wane/extra.h", '#include "wane.h"\n', "include <wane/...>"),
    "licence switch": ("include/wane/extra.h", "#define _LGPL_SOURCE\n", "_LGPL_SOURCE"),
    "fence": ("src/count.c", "static void\nf(void)\n{\n    __atomic_thread_fence(5);\n}\n", "atomic_thread_fence"),
    "fence beside the wrapper": ("src/atomic.h", "static void\ng(void)\n{\n    atomic_thread_fence(5);\n}\n", "fence"),
    "stdatomic": ("src/count.c", "#include <stdatomic.h>\n", "stdatomic"),
    "long file": ("src/count.c", "\n" * 700, "700 lines"),
    "long line": ("src/count.c", "/*" + "." * 140 + "*/\n", "144 columns"),
    "forgotten file": ("src/orphan.c", "\n", "not named"),
}
CLEAN = {
    "src/record.h": '#include "header.h"\n',
    "src/header.h": "/* atomic_thread_fence is only spoken of */\n",
    "src/atomic.h": "static inline void\nwn_full_fence(void)\n{\n    __atomic_thread_fence(5);\n}\n",
    "src/urcu_glue.c": "#include <urcu/flavor.h>\n",
    "src/ck_glue.c": '#include <ck_ec.h>\n#include "ck_glue.h"\n',
    "src/count.c": "",
    "src/meson.build": "files('count.c', 'urcu_glue.c', 'ck_glue.c')\n",
    "include/wane/wane.h": "#include <stddef.h>\n",
}


def self_test():
    failures = 0
    for what, (name, text, complaint) in {"nothing": ("src/count.c", "", None), **PLANTED}.items():
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for path, content in {**CLEAN, name: CLEAN.get(name, "") + text}.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(content)
            problems = lint(root, [])
        right = any(complaint in p for p in problems) if complaint else not problems
        if not right:
            print(f"planted {what}: {problems or 'not found'}")
            failures += 1
    long_function = "void\nf(void)\n{\n" + "    ;\n" * 70 + "}\n"
    if [name for name, *_ in functions(long_function)] != ["f"]:
        print("a function of 70 lines is not seen")
        failures += 1
    return failures


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(1 if self_test() else 0)
    warnings = []
    problems = lint(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."), warnings)
    for warning in warnings:
        print("warning:", warning)
    for problem in problems:
        print("error:", problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
