# SPDX-License-Identifier: MIT
"""A file as an array in C. usage: embed.py NAME FILE HEADER"""
import pathlib
import sys

name, source, header = sys.argv[1:]
data = pathlib.Path(source).read_bytes()
rows = (", ".join(map(str, data[at:at + 32])) for at in range(0, len(data), 32))
pathlib.Path(header).write_text(f"static const unsigned char {name}[] = {{\n" + ",\n".join(rows) + "\n};\n")
