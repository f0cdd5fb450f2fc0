# SPDX-License-Identifier: MIT
"""What is measured: workloads, which peers have them, how large they are, what their checksums must be."""
import dataclasses
import os

MASK = (1 << 64) - 1


def blocks(n, threads):
    """Every 64 operations the value of one of 64 objects (1 .. 64) is added."""
    rounds, rest = divmod(n // 64, 64)
    return threads * (rounds * 2080 + rest * (rest + 1) // 2)


def per_block(value):
    return lambda n, threads, size: threads * (n // 64) * value


def each_one(n, threads, size):
    return threads * n


def numbers(n, threads, size):
    """0 + 1 + .. + n - 1 on each thread"""
    return threads * (n * (n - 1) // 2)


def trees(n, threads, size):
    return (n + 1) * ((2 << size) - 1)


def tree(n, threads, size):
    return (2 << size) - 1


def live(n, threads, size):
    return size


@dataclasses.dataclass(eq=False)
class Workload:
    name: str
    row: str            # of the goals
    title: str
    peers: tuple        # the first is wane; the second is the reference of the ratios
    checksum: object    # n, threads, size -> what the sum must be; None: the peers must agree with each other
    threads: str = "1"  # "1", "all" (1, 2, 4, 16: as far as there are cores), or "4" (four threads anyhow)
    by: str = "cpu"     # cpu: CPU time of the working threads; wall: wall time, times threads
    unit: int = 6400    # n is a multiple of it
    most: int = 0       # n at most; 0: no limit
    fixed: tuple = ()   # n, in a quick run and in a full one: no calibration
    sizes: tuple = ((0,), (0,))  # in a quick run, in a full one
    heavy: bool = False  # fewer rounds, longer samples
    allocators: tuple = ("glibc",)
    plot: str = "threads"  # threads, size, steps
    absent: dict = dataclasses.field(default_factory=dict)  # peer -> why it cannot do this


SHARED_PLACE = ("wane", "liburcu", "arc-swap", "shared_ptr", "mutex + shared_ptr", "Go", "Java G1")
COUNTED = ("wane", "plain", "atomic", "Arc", "shared_ptr", "GObject")
CYCLES = ("wane", "plain", "wane, young first", "Nim ORC", "Boehm", "Boehm, incremental", "Python", "Go", "Java G1", "Java ZGC")
NO_COUNTS = {peer: "has no counts" for peer in ("Go", "Java G1", "Boehm")} | \
    {"Nim ORC": "its compiler removes pairs", "Python": "its interpreter costs more than the counts"}
NO_CYCLES = {peer: "does not collect cycles" for peer in ("Arc", "shared_ptr", "GObject")}
STRUCTURES = ("wane", "liburcu", "leaking")
RINGS = (18000, 450000)  # six objects each; as many for all, for who collects little garbage pays more for the last collection
MALLOCS = ("glibc", "mimalloc", "jemalloc")


def structures():
    for name, title in (("stack", "stack: push and pop"), ("queue", "queue: append and take"),
                        ("hash", "hash table of 100,000 buckets"), ("list", "sorted list of 1000"),
                        ("tree", "search tree of 100,000")):
        for percent in (10, 50):
            yield Workload(f"{name}-{percent}", "P10", f"{title}, {percent} % updates", STRUCTURES, None, "all",
                           unit=640 if name == "list" else 6400, plot="threads")


WORKLOADS = [
    Workload("own-one", "P1", "retain and release, one object of one's own", COUNTED, lambda n, t, s: blocks(n, t), "all",
             absent=NO_COUNTS),
    Workload("own-many", "P1", "retain and release, 64 objects of one's own in turns", COUNTED, lambda n, t, s: blocks(n, t),
             "all", absent=NO_COUNTS),
    Workload("calls", "P2", "retain and release through the library's symbols", ("wane", "empty calls"),
             lambda n, t, s: blocks(n, t)),
    Workload("foreign", "P3", "retain and release, one object that the first thread (or an idle one) owns",
             ("wane", "atomic", "Arc", "shared_ptr", "GObject"), per_block(7), "all", absent=NO_COUNTS),
    Workload("section", "P4", "enter and leave a section", ("wane", "liburcu"), per_block(3), "all"),
    Workload("read", "P5", "borrowed read of a shared place, a section each", SHARED_PLACE, each_one, "all"),
    Workload("mixed1", "P6", "the same with 1 % updates", SHARED_PLACE, each_one, "all"),
    Workload("mixed10", "P6", "the same with 10 % updates", SHARED_PLACE, each_one, "all"),
    Workload("owned", "P7", "owned read of a shared place, and release",
             ("wane", "liburcu", "arc-swap", "shared_ptr", "mutex + shared_ptr"), each_one, "all",
             absent={peer: "has no counts" for peer in ("Go", "Java G1")}),
    Workload("churn", "P8", "new object of 32 bytes, and release",
             ("wane", "plain", "Arc", "shared_ptr", "GObject", "Boehm", "Nim ORC", "Go", "Java G1", "Python"), numbers, "all",
             allocators=MALLOCS),
    Workload("trees", "P9", "binary trees, one after the other beside one that stays",
             ("wane", "plain", "Arc", "shared_ptr", "Boehm", "Nim ORC", "Go", "Java G1", "Java ZGC", "Python"), trees,
             by="wall", unit=1, heavy=True, sizes=((16,), (16, 18)), allocators=MALLOCS, plot="size"),
    *structures(),
    *(Workload(f"rings{v}", "P11", f"rings of 2 .. 10 dropped beside live objects; {what}", CYCLES, numbers, by="wall", fixed=RINGS,
               heavy=True, sizes=((50000, 200000), (100000, 1000000, 5000000)), plot="steps",
               absent=NO_CYCLES)
      for v, what in enumerate(("isolated", "with an edge to a random one", "the same, and these are a list"))),
    Workload("rings1-cpu", "P11", "the same as rings1, each step by CPU time", ("wane", "plain"), numbers, by="wall",
             heavy=True, fixed=RINGS, sizes=((50000,), (1000000,)), plot="steps"),
    Workload("growth", "P11", "one collection of one ring", ("wane",), lambda n, t, s: n, fixed=(100000, 1000000), heavy=True),
    Workload("drop-list", "P12", "the last reference to a list is dropped",
             ("wane", "plain", "Nim ORC", "Arc", "shared_ptr", "Go", "Python"), lambda n, t, s: n,
             fixed=(300000, 10000000), heavy=True),
    Workload("drop-tree", "P12", "the last reference to a tree is dropped",
             ("wane", "plain", "Nim ORC", "Arc", "shared_ptr", "Go", "Python"), tree, fixed=(0, 0), heavy=True,
             sizes=((17,), (22,))),
    Workload("pipeline", "P13", "objects handed on through four stages",
             ("wane", "plain", "wane, counted", "Arc", "shared_ptr"), lambda n, t, s: n * t, "4", by="wall"),
    Workload("hot", "P14", "retain and release, one object by all threads (wane_share)",
             ("wane", "atomic", "wane, not shared", "Arc", "shared_ptr", "GObject"), per_block(7), "all", absent=NO_COUNTS),
    Workload("weak", "P15", "weak reference: get and release",
             ("wane", "atomic", "Arc", "shared_ptr", "GObject", "Java G1", "Python"), each_one, "all"),
    Workload("quiet", "P16", "live heap under churn without garbage: the collector's share of a core",
             ("wane", "Go", "Java G1"), live, by="wall", fixed=(6000, 60000), heavy=True,
             sizes=((200000,), (5000000,)), plot=""),
    Workload("footprint", "P17", "bytes of an object of 32, of a thread; the first call", ("wane",), lambda n, t, s: n, "4",
             by="wall", fixed=(200000, 1000000), heavy=True, plot=""),
]

BY_NAME = {w.name: w for w in WORKLOADS}
ONE_THREAD = {"Nim ORC", "Python"}


def threads_of(workload, peer="wane", wanted=()):
    cores = len(os.sched_getaffinity(0))
    if workload.threads == "all":
        return [1] if peer in ONE_THREAD else [t for t in wanted or (1, 2, 4, 16) if wanted or t <= max(cores, 4)]
    return [int(workload.threads)]


def allocators_of(workload, peer_allocator):
    return workload.allocators if peer_allocator == "glibc" else ("own",)
