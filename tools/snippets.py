#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each block of code in README.md and docs is compiled and run. usage: snippets.py ROOT LIBRARY; snippets.py --self-test

The blocks of one language in a chapter follow each other in one program, up to one that has a main; the next program begins after
it. A block of text right after a main is what the program prints. Programs that include headers of packages that are not installed
are left out, and named. README.md shows examples/cycle.c to the letter.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
COMPILERS = {"c": ["gcc", "-std=gnu11", "-Wshadow", "-x", "c"], "cpp": ["g++", "-std=c++17", "-x", "c++"], "python": None}
STRICT = ["-O1", "-g", "-Wall", "-Wextra", "-Werror"]
PACKAGES = {"glib-object.h": "gobject-2.0", "gc.h": "bdw-gc"}  # what else snippets include
SHELL = {"sh", "text", "meson", "cmake", "yaml", ""}


def programs(text):
    """(line, language, source, what it prints or None) of the programs in a document; an unfinished one has no main."""
    open_blocks, last = {}, None
    for block in BLOCK.finditer(text):
        language, code = block.groups()
        line = text.count("\n", 0, block.start()) + 2
        if language == "text" and last:
            yield (*last, code)
            last = None
            continue
        if last:
            yield (*last, None)
            last = None
        if language in COMPILERS:
            begun, before = open_blocks.pop(language, (line, ""))
            # Compilers shall speak of the document's lines.
            before += "" if language == "python" else f"#line {line}\n"
            if language == "python" or re.search(r"^(int )?main\(", code, re.M):
                last = (begun, language, before + code)
            else:
                open_blocks[language] = (begun, before + code)
        elif language not in SHELL:
            raise SystemExit(f"line {line}: a block of {language}, which nobody runs")
    if last:
        yield (*last, None)
    for language, (line, code) in open_blocks.items():
        yield (line, language, code, None)


def needs(source):
    return [package for header, package in PACKAGES.items() if f"<{header}>" in source]


def flags_of(packages):
    """What pkg-config says, or None where one of them is not installed."""
    if not packages:
        return []
    found = subprocess.run(["pkg-config", "--cflags", "--libs", *packages], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True)
    return found.stdout.split() if found.returncode == 0 else None


def run(root, library, language, source, name):
    """What the program prints, or what is wrong with it."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library.parent), "WANE_LIBRARY": str(library)}
    with tempfile.TemporaryDirectory() as place:
        path, program = pathlib.Path(place) / "snippet", pathlib.Path(place) / "program"
        path.write_text(source)
        command = [sys.executable, str(path)]
        if COMPILERS[language]:
            own = ["-I", str(root / "include"), f"-L{library.parent}"]
            files = ["-o", str(program), str(path), "-x", "none", "-lwane", "-pthread", *flags_of(needs(source))]
            made = subprocess.run([*COMPILERS[language], *STRICT, *own, *files],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if made.returncode != 0:
                return None, made.stdout.replace(str(path), name)
            command = [str(program)]
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=place,
                             env=environment, timeout=60)
        return (ran.stdout, None) if ran.returncode == 0 else (None, f"{ran.stdout}exit status {ran.returncode}")


def check(root, library, document):
    name = str(document.relative_to(root))
    count = 0
    for line, language, source, expected in programs(document.read_text()):
        where = f"{name}:{line}"
        if language != "python" and not re.search(r"^(int )?main\(", source, re.M):
            yield f"{where}: this program has no main"
            continue
        if flags_of(needs(source)) is None:
            print(f"{where}: left out, it needs {' '.join(needs(source))}")
            continue
        printed, problem = run(root, library, language, source, name)
        count += 1
        if problem:
            yield f"{where}: {problem}"
        elif expected is not None and printed != expected:
            yield f"{where}: it prints\n{printed}and not\n{expected}"
    if count:
        print(f"{name}: {count} program{'s' if count > 1 else ''}")


def readme(root):
    blocks = [code for language, code in BLOCK.findall((root / "README.md").read_text()) if language == "c"]
    if (root / "examples/cycle.c").read_text() not in blocks:
        yield "README.md does not show examples/cycle.c as it is"


def self_test():
    text = "```c\nint x;\n```\nand\n```c\nint\nmain(void)\n{\n}\n```\n```text\nout\n```\n```c\nint main(void) {}\n```\n"
    found = list(programs(text))
    right = [(2, "c", "#line 2\nint x;\n#line 6\nint\nmain(void)\n{\n}\n", "out\n"),
             (15, "c", "#line 15\nint main(void) {}\n", None)]
    if found != right:
        print(f"programs: {found}")
    broken = list(programs("```c\nint x;\n```\n"))
    return 0 if found == right and len(broken) == 1 else 1


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    root, library = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    documents = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    problems = [*readme(root), *(problem for document in documents for problem in check(root, library, document))]
    for problem in problems:
        print("error:", problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
