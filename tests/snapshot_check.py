#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is a file a heap snapshot, to the letter? usage: snapshot_check.py FILE [WISH ...]; snapshot_check.py --self-test

  The order of the parts is that in which readers of streams expect them; counts are right; each index is in its range; numbers
  are whole and in the range of their field; the edges of a node follow those of the nodes before it; ids are unique with their
  region; all nodes but the second are reached from the root or from one another (a node that nothing leads to has no units from
  outside); no string is repeated where it would be ambiguous.

A WISH is TYPE=N (so many nodes of that name) or "TYPE NAME TYPE=N" (so many edges of that name; "?" is any name; the root's type
is "root", and what DevTools calls an element has its number as its name).
"""
import collections
import json
import sys

PARTS = ["snapshot", "nodes", "edges", "trace_function_infos", "trace_tree", "samples", "locations", "strings"]
NODE_FIELDS = ["type", "name", "id", "self_size", "edge_count", "trace_node_id", "detachedness"]
EDGE_FIELDS = ["type", "name_or_index", "to_node"]


def unique_pairs(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key is repeated: {keys}")
    return dict(pairs)


class Snapshot:
    def __init__(self, text):
        data = json.loads(text, object_pairs_hook=unique_pairs)
        self.data = data
        self.problems = list(self.check_form())
        if not self.problems:
            self.read()
            self.problems = list(self.check_numbers())
            self.problems += [] if self.problems else list(self.check_graph())

    def check_form(self):
        data = self.data
        if list(data) != PARTS:
            yield f"the parts are {list(data)}"
            return
        meta = data["snapshot"]["meta"]
        if meta["node_fields"][:len(NODE_FIELDS)] != NODE_FIELDS or meta["edge_fields"] != EDGE_FIELDS:
            yield "the fields are not those of the format"
            return
        if len(meta["node_types"]) != len(meta["node_fields"]) or len(meta["edge_types"]) != len(EDGE_FIELDS):
            yield "not one type for each field"
        for part in ("nodes", "edges"):
            if not all(type(n) is int and n >= 0 for n in data[part]):
                yield f"{part}: not all are whole numbers"
        if not all(isinstance(s, str) for s in data["strings"]):
            yield "strings: not all are strings"
        for part, count, fields in (("nodes", "node_count", "node_fields"), ("edges", "edge_count", "edge_fields")):
            wanted = data["snapshot"][count] * len(meta[fields])
            if len(data[part]) != wanted:
                yield f"{part}: {len(data[part])} numbers, not {wanted}"

    def read(self):
        meta = self.data["snapshot"]["meta"]
        self.fields, width = meta["node_fields"], len(meta["node_fields"])
        self.node_types, self.edge_types = meta["node_types"][0], meta["edge_types"][0]
        nodes, edges = self.data["nodes"], self.data["edges"]
        self.nodes = [dict(zip(self.fields, nodes[i:i + width])) for i in range(0, len(nodes), width)]
        self.edges = [tuple(edges[i:i + 3]) for i in range(0, len(edges), 3)]

    def check_numbers(self):
        strings, width = self.data["strings"], len(self.fields)
        for i, node in enumerate(self.nodes):
            if node["type"] >= len(self.node_types):
                yield f"node {i}: type {node['type']}"
            if node["name"] >= len(strings):
                yield f"node {i}: name {node['name']}"
            if node["id"] >= 1 << 32:
                yield f"node {i}: id {node['id']}"
        ids = collections.Counter((node["id"], node.get("wane_region")) for node in self.nodes)
        for repeated in (key for key, n in ids.items() if n > 1):
            yield f"id {repeated} is repeated"
        if sum(node["edge_count"] for node in self.nodes) != len(self.edges):
            yield "the nodes' edges are not as many as the edges"
        for i, (kind, name, to) in enumerate(self.edges):
            if kind >= len(self.edge_types):
                yield f"edge {i}: type {kind}"
            elif self.edge_types[kind] not in ("element", "hidden") and name >= len(strings):
                yield f"edge {i}: name {name}"
            if to % width or to // width >= len(self.nodes):
                yield f"edge {i}: to {to}"

    def check_graph(self):
        width, at = len(self.fields), 0
        self.out, into = [], collections.Counter()
        for i, node in enumerate(self.nodes):
            out = self.edges[at:at + node["edge_count"]]
            at += node["edge_count"]
            self.out.append(out)
            into.update(to // width for *_, to in out)
            names = [(kind, name) for kind, name, _ in out]
            if len(set(names)) != len(names):
                yield f"node {i}: two edges of one name"
        if self.node_types[self.nodes[0]["type"]] != "synthetic" or into[0]:
            yield "node 0 is not a root"
        held = {to // width for *_, to in self.out[0]}
        for i, node in enumerate(self.nodes[2:], 2):
            if bool(node.get("wane_outside")) != (i in held):
                yield f"node {i}: {node} is{'' if i in held else ' not'} the root's"

    def name(self, i):
        return self.data["strings"][self.nodes[i]["name"]] if i else "root"

    def edge_name(self, kind, name):
        return str(name) if self.edge_types[kind] in ("element", "hidden") else self.data["strings"][name]

    def found(self):
        """How many there are of whatever may be wished."""
        found = collections.Counter(self.name(i) for i in range(len(self.nodes)))
        for i, out in enumerate(self.out):
            for kind, name, to in out:
                target = self.name(to // len(self.fields))
                found[f"{self.name(i)} {self.edge_name(kind, name)} {target}"] += 1
                found[f"{self.name(i)} ? {target}"] += 1
        return found


def check(text, wishes):
    try:
        snapshot = Snapshot(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"not a snapshot: {error!r}"]
    if snapshot.problems:
        return snapshot.problems
    found = snapshot.found()
    return [f"{what}: {found[what]}, not {n}" for what, n in (wish.rsplit("=", 1) for wish in wishes)
            if found[what] != int(n)]


def example():
    meta = {"node_fields": NODE_FIELDS + ["wane_region", "wane_outside"],
            "node_types": [["object", "synthetic"], "string"] + ["number"] * 7,
            "edge_fields": EDGE_FIELDS, "edge_types": [["element", "property"], "string_or_number", "node"]}
    return {"snapshot": {"meta": meta, "node_count": 4, "edge_count": 4, "trace_function_count": 0},
            "nodes": [1, 0, 1, 0, 2, 0, 0, 0, 0, 1, 1, 3, 0, 0, 0, 0, 0, 0, 0, 2, 9, 48, 1, 0, 0, 7, 2,
                      0, 3, 9, 32, 1, 0, 0, 8, 0],
            "edges": [0, 0, 9, 0, 1, 18, 1, 4, 27, 0, 0, 18], "trace_function_infos": [], "trace_tree": [], "samples": [],
            "locations": [], "strings": ["", "(GC roots)", "node", "leaf", "next"]}


PLANTED = {  # what: (where, the wrong value, the complaint)
    "nothing": (None, None, None),
    "a count": (("snapshot", "node_count"), 5, "nodes: 36 numbers, not 45"),
    "an edge count": (("nodes", 4), 1, "not as many as the edges"),
    "a type": (("nodes", 9), 2, "node 1: type 2"),
    "a name": (("nodes", 19), 5, "node 2: name 5"),
    "an id": (("nodes", 20), 1 << 32, "node 2: id"),
    "a repeated id": (("nodes", 34), 7, "is repeated"),
    "a target": (("edges", 5), 19, "edge 1: to 19"),
    "a far target": (("edges", 5), 36, "edge 1: to 36"),
    "an edge name": (("edges", 7), 5, "edge 2: name 5"),
    "an edge type": (("edges", 6), 2, "edge 2: type 2"),
    "two edges of one name": (("edges", 4), 0, "two edges of one name"),
    "a fraction": (("edges", 4), 0.5, "not all are whole"),
    "a root's child that is not held": (("nodes", 26), 0, "the root's"),
    "one that is held": (("nodes", 35), 1, "not the root's"),
    "a string": (("strings", 0), 7, "not all are strings"),
}


def self_test():
    failures = 0
    wishes = ["node=1", "root 1 node=1", "node next leaf=1", "node ? leaf=1", "leaf 0 node=1", "leaf next node=0"]
    for what, (where, value, complaint) in PLANTED.items():
        data = example()
        if where:
            data[where[0]][where[1]] = value
        problems = check(json.dumps(data), wishes)
        if not (any(complaint in p for p in problems) if complaint else not problems):
            print(f"planted {what}: {problems or 'not found'}")
            failures += 1
    for what, text in {"a torn file": json.dumps(example())[:-9], "another order": json.dumps(dict(reversed(example().items())))}.items():
        if not check(text, []):
            print(f"planted {what}: not found")
            failures += 1
    if not check(json.dumps(example()), ["node=2"]) or not check(json.dumps(example()), ["node next node=1"]):
        print("a wish that is not fulfilled is not missed")
        failures += 1
    return failures


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(1 if self_test() else 0)
    with open(sys.argv[1], encoding="utf-8") as file:
        problems = check(file.read(), sys.argv[2:])
    for problem in problems[:20]:
        print("error:", problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
