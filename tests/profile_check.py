#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A heap profile, read to the letter. usage: profile_check.py FILE [WISH ...] [--pprof BINARY FUNCTION ...]; --self-test

  A wish is TYPE.VALUE=N or TYPE.VALUE~N:SHARE (N, give or take that share of it); VALUE as alloc_objects, TYPE a label.
  With --pprof, Go's pprof reads the file too: its table of the bytes in use must name each function, with bytes.
"""
import collections
import re
import shutil
import subprocess
import sys

VALUES = ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]


def varint(data, at):
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 0x80:
            return number, at


def fields(data):
    """(field, value) in order: numbers, or the bytes of messages and strings."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 2:
            count, at = varint(data, at)
            value, at = data[at:at + count], at + count
            if len(value) != count:
                raise ValueError("a field is cut off")
        else:
            raise ValueError(f"wire type {tag & 7}")
        yield tag >> 3, value


def message(data):
    found = collections.defaultdict(list)
    for field, value in fields(data):
        found[field].append(value)
    return found


def read(data):
    """{type: {value: sum}}; complains of what a reader could not follow."""
    profile = message(data)
    strings = [s.decode() for s in profile[6]]
    if not strings or strings[0] != "":
        raise ValueError("the first string is not empty")
    kinds = [strings[message(m)[1][0]] for m in profile[1]]
    if kinds != VALUES:
        raise ValueError(f"the values are {kinds}")
    locations = [message(m) for m in profile[4]]
    ids = {m[1][0] for m in locations}
    mappings = {m[1][0]: m for m in map(message, profile[3])}
    if len(ids) != len(locations):
        raise ValueError("a location appears twice")
    for m in locations:
        inside = mappings.get(m[2][0]) if m[2] else None
        if m[2] and not (inside and inside[2][0] <= m[3][0] < inside[3][0]):
            raise ValueError(f"location {m[3][0]:#x} is outside of its mapping")
    sums = collections.defaultdict(lambda: dict.fromkeys(VALUES, 0))
    for sample in map(message, profile[2]):
        if not set(sample[1]) <= ids:
            raise ValueError("a sample names a location that is not there")
        label = message(sample[3][0])
        for name, value in zip(VALUES, sample[2], strict=True):
            sums[strings[label[2][0]]][name] += value
    return sums


def missed(sums, wishes):
    for wish in wishes:
        kind, value, how, wanted, share = re.fullmatch(r"(.+)\.(\w+)([=~])(\d+)(?::([\d.]+))?", wish).groups()
        n = sums[kind][value]
        if abs(n - int(wanted)) > (float(share) * int(wanted) if how == "~" else 0):
            yield f"{wish}: it is {n}"


def pprof(path, binary, functions):
    run = subprocess.run(["go", "tool", "pprof", "-top", "-nodecount=30", "-sample_index=inuse_space", binary, path],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)
    for function in functions:
        row = re.search(rf"^\s*\S+\s+\S+\s+\S+\s+([\d.]+)\S*\s+\S+\s+{function}( |$)", run.stdout, re.M)
        if not row or float(row[1]) == 0:
            yield f"go tool pprof does not say that {function} asked for memory:\n{run.stdout}"


def tag(field, kind, payload):
    return bytes([field << 3 | kind]) + payload


def chunk(field, data):
    return tag(field, 2, bytes([len(data)]) + data)


def self_test():
    strings = ["", *VALUES, "bytes", "type", "node"]
    good = b"".join(chunk(6, s.encode()) for s in strings)
    good += b"".join(chunk(1, tag(1, 0, bytes([i])) + tag(2, 0, b"\x05")) for i in range(1, 5))
    location = chunk(4, tag(1, 0, b"\x09") + tag(3, 0, b"\x09"))
    sample = chunk(2, tag(1, 0, b"\x09") + b"".join(tag(2, 0, bytes([n])) for n in (4, 40, 2, 20)) +
                   chunk(3, tag(1, 0, b"\x06") + tag(2, 0, b"\x07")))
    problems = []
    if list(missed(read(good + location + sample), ["node.alloc_objects=4", "node.inuse_space~22:0.1"])):
        problems.append("a good profile is refused")
    if len(list(missed(read(good + location + sample), ["node.alloc_objects=5", "node.inuse_space~30:0.1"]))) != 2:
        problems.append("wrong numbers are not seen")
    for what, data in {"a location twice": good + 2 * location, "no location": good + sample, "cut off": good + sample[:-1]}.items():
        try:
            read(data)
            problems.append(f"planted {what}: not found")
        except ValueError:
            pass
    for problem in problems:
        print(problem)
    return len(problems)


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(1 if self_test() else 0)
    path, *wishes = sys.argv[1:]
    names = []
    if "--pprof" in wishes:
        names = wishes[wishes.index("--pprof") + 1:]
        wishes = wishes[:wishes.index("--pprof")]
    with open(path, "rb") as file:
        problems = list(missed(read(file.read()), wishes))
    if names and not shutil.which("go"):
        print("go tool pprof is not installed: the profile was not read by it")
    elif names:
        problems += pprof(path, names[0], names[1:])
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
