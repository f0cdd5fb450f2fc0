# SPDX-License-Identifier: MIT
"""CPython: new objects, weak references, trees, large drops, rings. The command line and the output are those of peer.h."""
import gc
import json
import sys
import time
import weakref


class Node:
    __slots__ = ("value", "a", "b", "__weakref__")

    def __init__(self, value=0):
        self.value, self.a, self.b = value, None, None


extra = {}


def kb(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key + ":"))


def churn(n, size):
    total = 0
    for i in range(n):
        o = Node(i)
        total += o.value
    return n, total


def weak(n, size):
    o = Node(1)
    ref, total = weakref.ref(o), 0
    for _ in range(n):
        total += ref().value
    return n, total


def tree(depth):
    n = Node(1)
    if depth:
        n.a, n.b = tree(depth - 1), tree(depth - 1)
    return n


def count(n):
    return n.value if n.a is None else n.value + count(n.a) + count(n.b)


def trees(n, size):
    stays, total = tree(size), 0
    for _ in range(n):
        total += count(tree(size))
    total += count(stays)
    del stays
    gc.collect()
    return total, total


def drop_list(n, size):
    head = None
    for _ in range(n):
        one = Node(1)
        one.a, head = head, one
    del one
    return dropped([head], n, lambda held: held.clear())


def dropped(held, nodes, drop):
    start = time.perf_counter_ns()
    drop(held)
    extra["call_ns"] = extra["back_ns"] = extra["ns"] = time.perf_counter_ns() - start
    return nodes, nodes


def drop_tree(n, size):
    held = [tree(size)]
    return dropped(held, count(held[0]), lambda held: held.clear())


MASK = (1 << 64) - 1
seed = 88172645463325252


def random():
    global seed
    seed ^= seed << 13 & MASK
    seed ^= seed >> 7
    seed ^= seed << 17 & MASK
    return seed


def ring_drop(number, length, live, variant):
    first = last = Node(number)
    for _ in range(1, length):
        last.a = Node()
        last = last.a
    last.a = first
    if variant:
        first.b = live[random() % len(live)]
    return last.a.value


def bucket(ns):
    octave = ns.bit_length() - 1
    return ns if ns < 8 else (octave - 2) * 8 + (ns >> (octave - 3) & 7)


def rings(variant, n, size):
    live = [Node() for _ in range(size)]
    for i in range(1, size):
        if variant == 2:
            live[i - 1].a = live[i]
        else:
            live[i].a, live[i].b = live[random() % i], live[random() % i]
    gc.collect()
    extra["heap_kb"] = kb("VmRSS")
    steps, operations, total = {}, 0, 0
    start = last = time.perf_counter_ns()
    for i in range(n):
        total += ring_drop(i, 2 + i % 9, live, variant)
        operations += 2 + i % 9
        now = time.perf_counter_ns()
        b = bucket(now - last)
        steps[b] = steps.get(b, 0) + 1
        extra["steps_worst"] = max(extra.get("steps_worst", 0), now - last)
        last = now
    extra["made_ns"] = time.perf_counter_ns() - start
    gc.collect()
    extra["ns"], extra["steps"], extra["process_cpu_ns"] = time.perf_counter_ns() - start, steps, time.process_time_ns()
    return operations, total


WORKLOADS = {"churn": churn, "weak": weak, "trees": trees, "drop-list": drop_list, "drop-tree": drop_tree,
             **{f"rings{v}": (lambda n, size, v=v: rings(v, n, size)) for v in range(3)}}


def main():
    workload, n, size = sys.argv[1], int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 0
    if workload not in WORKLOADS:
        sys.exit(3)
    start, cpu = time.perf_counter_ns(), time.process_time_ns()
    operations, checksum = WORKLOADS[workload](n, size)
    print(json.dumps({"operations": operations, "ns": time.perf_counter_ns() - start, "cpu_ns": time.process_time_ns() - cpu,
                      "checksum": checksum & MASK, "rss_kb": kb("VmHWM"), **extra}))


main()
