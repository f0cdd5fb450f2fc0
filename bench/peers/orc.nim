# SPDX-License-Identifier: MIT
#
# orc.nim - Nim with --mm:orc: new objects, trees, large drops, rings. The command line and the output are those of peer.h.
# One thread. Its allocator is Nim's own.
import std/[bitops, json, monotimes, os, strutils, tables]

type
  Node = ref object
    value: uint64
    a, b: Node
  Leaf = ref object
    value: array[4, uint64]
  Timespec {.importc: "struct timespec", header: "<time.h>".} = object
    tv_sec, tv_nsec: int64

proc clock_gettime(clock: cint, t: var Timespec): cint {.importc, header: "<time.h>".}

proc cpuNs(): uint64 =
  var t: Timespec
  discard clock_gettime(2, t)
  t.tv_sec.uint64 * 1_000_000_000 + t.tv_nsec.uint64

proc wallNs(): uint64 = getMonoTime().ticks.uint64

proc kb(key: string): int =
  for line in lines("/proc/self/status"):
    if line.startsWith(key): return parseInt(line.splitWhitespace()[1])

var
  sum: uint64
  operations: uint64
  extra = newJObject()

proc churn(n: uint64) =
  for i in 0'u64 ..< n:
    let o = Leaf()
    o.value[0] = i
    {.emit: ["__asm__ volatile(\"\" : : \"r\"(", o, ") : \"memory\");"].}
    sum += o.value[0]
  operations = n

proc tree(depth: int): Node =
  result = Node(value: 1)
  if depth > 0:
    result.a = tree(depth - 1)
    result.b = tree(depth - 1)

proc count(n: Node): uint64 =
  result = n.value
  if n.a != nil: result += count(n.a) + count(n.b)

proc trees(n: uint64, depth: int) =
  var stays = tree(depth)
  for i in 0'u64 ..< n: sum += count(tree(depth))
  sum += count(stays)
  stays = nil
  GC_fullCollect()
  operations = sum

proc dropped(held: var Node) =
  let start = wallNs()
  held = nil
  let ns = wallNs() - start
  GC_fullCollect()
  extra["call_ns"] = %ns
  extra["back_ns"] = %(wallNs() - start)
  sum = operations

proc dropList(n: uint64) =
  var head: Node
  for i in 0'u64 ..< n: head = Node(value: 1, a: head)
  operations = n
  dropped(head)

proc dropTree(depth: int) =
  var t = tree(depth)
  operations = count(t)
  dropped(t)

var
  live: seq[Node]
  seed = 88172645463325252'u64
  histogram: CountTable[int]
  worst: uint64

proc random(): uint64 =
  seed = seed xor (seed shl 13)
  seed = seed xor (seed shr 7)
  seed = seed xor (seed shl 17)
  seed

proc heapMake(size: int, list: bool) =
  live = newSeq[Node](size)
  for i in 0 ..< size: live[i] = Node()
  for i in 1 ..< size:
    if list:
      live[i - 1].a = live[i]
    else:
      live[i].a = live[int(random() mod i.uint64)]
      live[i].b = live[int(random() mod i.uint64)]
  GC_fullCollect()
  extra["heap_kb"] = %kb("VmRSS")

proc ringDrop(number: uint64, length, variant: int) =
  let first = Node(value: number)
  var last = first
  for i in 1 ..< length:
    last.a = Node()
    last = last.a
  last.a = first
  if variant > 0: first.b = live[int(random() mod live.len.uint64)]
  sum += last.a.value

proc note(ns: uint64) =
  let octave = if ns < 8: 0 else: fastLog2(ns)
  histogram.inc(if ns < 8: int(ns) else: (octave - 2) * 8 + int((ns shr (octave - 3)) and 7))
  worst = max(worst, ns)

proc rings(n: uint64, size, variant: int) =
  heapMake(size, variant == 2)
  seed = 88172645463325252'u64
  let start = wallNs()
  var last = start
  for i in 0'u64 ..< n:
    let length = 2 + int(i mod 9)
    ringDrop(i, length, variant)
    operations += length.uint64
    let now = wallNs()
    note(now - last)
    last = now
  extra["made_ns"] = %(wallNs() - start)
  GC_fullCollect()
  extra["ring_ns"] = %(wallNs() - start)
  extra["process_cpu_ns"] = %cpuNs()
  extra["steps_worst"] = %worst
  extra["steps"] = newJObject()
  for bucket, times in histogram: extra["steps"][$bucket] = %times

let
  workload = paramStr(1)
  n = parseBiggestUInt(paramStr(3)).uint64
  size = if paramCount() > 3: parseInt(paramStr(4)) else: 0
  start = wallNs()
  cpu = cpuNs()
case workload
of "churn": churn(n)
of "trees": trees(n, size)
of "drop-list": dropList(n)
of "drop-tree": dropTree(size)
of "rings0": rings(n, size, 0)
of "rings1": rings(n, size, 1)
of "rings2": rings(n, size, 2)
else: quit(3)
var result = %*{"operations": operations, "ns": wallNs() - start, "cpu_ns": cpuNs() - cpu, "checksum": sum, "rss_kb": kb("VmHWM")}
for key, value in extra: result[key] = value
for key in ["ring_ns", "back_ns"]:
  if key in extra: result["ns"] = extra[key]
echo result
