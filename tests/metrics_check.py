#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Are these statistics what they should be? usage: metrics_check.py FILE openmetrics|json [WISH ...]; --self-test

  openmetrics  checked to the letter, as far as the runtime uses the format; and read by prometheus_client, if that is installed
  json         read by Python; the structs' fields in the public headers are the keys

A WISH is NAME=NUMBER or NAME>NUMBER: of a sample with its labels, or of a path of keys with dots.
"""
import json
import pathlib
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?\d+(?:\.\d+)?)")
META = re.compile(rf"# (TYPE|UNIT|HELP) ({NAME}) (.+)")
SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}
HEADERS = pathlib.Path(__file__).resolve().parent.parent / "include" / "wane"


def openmetrics(text):
    """{sample with labels: value}; raises ValueError with the line."""
    if not text.endswith("\n# EOF\n"):
        raise ValueError("it does not end with # EOF")
    family, kind, seen, samples = None, None, set(), {}
    for line in text.splitlines()[:-1]:
        meta, sample = META.fullmatch(line), SAMPLE.fullmatch(line)
        if meta and meta[1] == "TYPE":
            family, kind = meta[2], meta[3]
            if family in seen or kind not in SUFFIXES:
                raise ValueError(f"a family again, or of no type: {line}")
            seen.add(family)
        elif meta:
            if meta[2] != family or (meta[1] == "UNIT" and not family.endswith("_" + meta[3])):
                raise ValueError(f"not of its family: {line}")
        elif sample:
            if not family or sample[1] not in [family + suffix for suffix in SUFFIXES[kind]]:
                raise ValueError(f"not of the family {family}: {line}")
            key = sample[1] + (f"{{{sample[2]}}}" if sample[2] else "")
            if key in samples or (kind != "gauge" and sample[3].startswith("-")):
                raise ValueError(f"a sample again, or below zero: {line}")
            samples[key] = float(sample[3])
        else:
            raise ValueError(f"what is this: {line}")
    for name in {key[:-6] for key in samples if key.endswith("_count")}:
        check_histogram(name, [(key, n) for key, n in samples.items() if key.startswith(name + "_bucket{")], samples)
    return samples


def check_histogram(name, buckets, samples):
    ends = [float(re.search(r'le="([^"]*)"', key)[1]) for key, _ in buckets]
    counts = [n for _, n in buckets]
    if ends != sorted(set(ends)) or ends[-1:] != [float("inf")] or counts != sorted(counts):
        raise ValueError(f"{name}: the buckets do not rise to +Inf")
    if counts[-1] != samples[name + "_count"] or name + "_sum" not in samples:
        raise ValueError(f"{name}: the count is not the last bucket's")


def prometheus(text, samples):
    try:
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
    except ImportError:
        return
    found = sum(len(family.samples) for family in text_string_to_metric_families(text))
    if found != len(samples):
        raise ValueError(f"prometheus_client sees {found} samples, not {len(samples)}")


def fields_of(struct, header):
    body = re.search(rf"^struct {struct} {{\n(.*?)^}};", (HEADERS / header).read_text(), re.M | re.S)[1]
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    return {name for names in re.findall(r"uint64_t\s+([^;]+);", body) for name in re.findall(r"\w+", names)}


def json_numbers(text):
    data = json.loads(text)
    for part, struct, header in (("stats", "wane_stats", "wane.h"), ("memory", "wane_memory_stats", "memory.h")):
        if set(data[part]) != fields_of(struct, header):
            raise ValueError(f"{part}: not the fields of struct {struct}: {set(data[part]) ^ fields_of(struct, header)}")
    numbers = {f"{part}.{key}": n for part in ("stats", "memory", "aborts", "phases") for key, n in data[part].items()}
    for kind in data["types"]:
        for key in ("objects", "bytes"):
            numbers[f"types.{kind['name']}.{key}"] = kind[key]
    for name, histogram in data["histograms"].items():
        numbers[f"histograms.{name}.count"] = sum(n for _, n in histogram["buckets"])
    return numbers


def missed(numbers, wishes):
    for wish in wishes:
        name, how, wanted = re.fullmatch(r"(.+)([=>])(-?[\d.]+)", wish).groups()
        n = numbers.get(name)
        if n is None or not (n == float(wanted) if how == "=" else n > float(wanted)):
            yield f"{wish}: it is {n}"


def check(text, form, wishes):
    try:
        numbers = openmetrics(text) if form == "openmetrics" else json_numbers(text)
        if form == "openmetrics":
            prometheus(text, numbers)
    except (ValueError, KeyError, TypeError) as error:
        return [f"{error!r}"]
    return list(missed(numbers, wishes))


GOOD = """# TYPE a_b counter
# HELP a_b Help.
a_b_total 5
# TYPE t_seconds histogram
# UNIT t_seconds seconds
# HELP t_seconds Times.
t_seconds_bucket{le="0.5"} 1
t_seconds_bucket{le="+Inf"} 2
t_seconds_count 2
t_seconds_sum 1.5
# TYPE g gauge
# HELP g Help.
g{type="a \\"b\\"",id="1"} -1
# EOF
"""
PLANTED = {"no end": ("# EOF\n", ""), "no total": ("a_b_total", "a_b"), "a foreign sample": ("a_b_total", "a_c_total"),
           "a unit": ("UNIT t_seconds seconds", "UNIT t_seconds bytes"), "a bucket that falls": ('"0.5"} 1', '"0.5"} 3'),
           "no +Inf": ("+Inf", "0.7"), "a count": ("_count 2", "_count 3"), "a label": ('\\"b', '"b'),
           "below zero": ("total 5", "total -5"), "a family twice": ("# TYPE g gauge", "# TYPE a_b gauge"),
           "text": ("g{", "g {")}


def self_test():
    failures = check(GOOD, "openmetrics", ["a_b_total=5", 'g{type="a \\"b\\"",id="1"}=-1', "t_seconds_sum>1"])
    for what, (old, new) in PLANTED.items():
        if not check(GOOD.replace(old, new, 1), "openmetrics", []):
            failures.append(f"planted {what}: not found")
    if not check(GOOD, "openmetrics", ["a_b_total>5"]) or not check(GOOD, "openmetrics", ["b=0"]):
        failures.append("a wish that is not fulfilled is not missed")
    for failure in failures:
        print(failure)
    return failures


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(1 if self_test() else 0)
    with open(sys.argv[1], encoding="utf-8") as file:
        problems = check(file.read(), sys.argv[2], sys.argv[3:])
    for problem in problems:
        print("error:", problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
