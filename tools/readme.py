#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The program that README.md shows is examples/cycle.c, to the letter. usage: readme.py ROOT"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
blocks = re.findall(r"^```c\n(.*?)^```$", (root / "README.md").read_text(), re.M | re.S)
if (root / "examples/cycle.c").read_text() not in blocks:
    sys.exit("README.md does not show examples/cycle.c as it is")
