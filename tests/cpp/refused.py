#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each line of refused.cpp that is marked "// refused: TEXT" is refused with that text (a pattern), and no other line.

usage: refused.py INCLUDE FILE.cpp COMPILER [ARGUMENT ..]
"""
import re
import subprocess
import sys

NEW = re.compile(r"(In file included from|.*: In (instantiation|substitution|function|member function)|.*: error: )")


def complaints(output):
    """Each error with all that is said about it: gcc names who asked for it before, clang after."""
    context, found, after_error = [], [], False
    for line in output.splitlines():
        if ": error: " in line:
            found.append([*context, line])
            context, after_error = [], True
        elif after_error and (": note: " in line or not NEW.match(line)) and "required from" not in line:
            found[-1].append(line)
        else:
            after_error = False
            context.append(line)  # of the error that follows
    return ["\n".join(lines) for lines in found]


def main():
    include, path, *compiler = sys.argv[1:]
    with open(path) as file:
        wanted = {number: match[1] for number, line in enumerate(file, 1) if (match := re.search(r"// refused: (.*)", line))}
    unlimited = ["-ferror-limit=0"] if "clang" in compiler[0] else []
    done = subprocess.run([*compiler, *unlimited, "-std=c++17", "-fsyntax-only", "-I", include, path], capture_output=True, text=True,
                          env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"})
    problems = []
    found = complaints(done.stderr)
    lines = [{int(n) for n in re.findall(rf"{re.escape(path)}:(\d+):", text)} for text in found]
    for number, pattern in wanted.items():
        about = [text for text, mentioned in zip(found, lines) if number in mentioned]
        if not any(re.search(pattern, text) for text in about):
            problems.append(f"{path}:{number}: not refused with '{pattern}'" + "".join(f"\n{text}" for text in about))
    for text, mentioned in zip(found, lines):
        if mentioned and not mentioned & wanted.keys():
            problems.append(f"this was not expected:\n{text}")
    print("\n".join(problems) or f"{len(wanted)} lines are refused")
    sys.exit(1 if problems or not wanted or done.returncode == 0 else 0)


if __name__ == "__main__":
    main()
