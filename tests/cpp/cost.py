#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The functions of cost.cpp are not longer than those of cost.c, in instructions at -O2.

usage: cost.py INCLUDE cost.c cost.cpp CC CXX
"""
import pathlib
import re
import subprocess
import sys

# C has no exceptions either. With them compilers add, to noexcept functions that call C, a way to std::terminate.
FLAGS = ["-O2", "-fPIC", "-fno-exceptions", "-fno-asynchronous-unwind-tables", "-fcf-protection=none"]


def lengths(command, source):
    """Function -> instructions in the compiler's assembly."""
    text = subprocess.run([*command, *FLAGS, "-S", "-o", "-", source], check=True, capture_output=True, text=True).stdout
    found, name = {}, None
    for line in text.splitlines():
        label = re.match(r"(\w[\w.]*):", line)
        if label and not label[1].startswith("."):
            name = label[1]
            found[name] = 0
        elif re.match(r"\s+\.size\b", line):
            name = None
        elif name and re.match(r"\s+[a-z]", line):
            found[name] += 1
    return {name: count for name, count in found.items() if count}


def main():
    include, in_c, in_cpp, cc, cxx = sys.argv[1:]
    c = lengths([cc, "-std=gnu11", "-I", include], in_c)
    cpp = lengths([cxx, "-std=c++17", "-I", include], in_cpp)
    compared = re.findall(r"^([a-z]\w*)\(", pathlib.Path(in_c).read_text(), re.M)
    bad = [name for name in compared if cpp[name] > c[name]]
    for name in compared:
        print(f"{name:10} C {c[name]:4}  C++ {cpp[name]:4}" + ("  more than C" if name in bad else ""))
    sys.exit(1 if bad or not compared else 0)


if __name__ == "__main__":
    main()
