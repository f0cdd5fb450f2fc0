# SPDX-License-Identifier: MIT
"""The programs that are compared: how each is built, which Debian package it needs, and what is called by which name."""
import dataclasses
import os
import pathlib
import shutil
import subprocess

SOURCES = pathlib.Path(__file__).resolve().parent / "peers"
ROOT = SOURCES.parent.parent
CARGO = pathlib.Path("/usr/share/cargo/registry")


@dataclasses.dataclass
class Program:
    """What is built once, for one or several peers. `build` are commands; {out}, {src}, {lib}, {include} are filled in."""
    packages: str
    needs: tuple  # commands or files without which it cannot be built
    build: tuple
    run: tuple = ("{out}",)


C = "gcc -std=gnu11 -O2 -Wall -Wextra -I{include} -pthread "
WANE = " -L{lib} -lwane -Wl,-rpath,{lib}"

PROGRAMS = {
    "plain": Program("gcc", ("gcc",), (
        C + "-shared -fPIC {src}/empty.c -o {dir}/libempty.so",
        C + "{src}/plain.c -o {out} -L{dir} -lempty -Wl,-rpath,{dir}")),
    "wane_counts": Program("gcc", ("gcc",), (C + "{src}/wane_counts.c -o {out}" + WANE,)),
    "wane_heap": Program("gcc", ("gcc",), (C + "{src}/wane_heap.c -o {out}" + WANE,)),
    "urcu": Program("liburcu-dev", ("gcc",), (C + "{src}/urcu.c -o {out} -lurcu-memb",)),
    "leaking_structures": Program("gcc", ("gcc",), (C + "-DSCHEME_LEAK {src}/structures.c -o {out}",)),
    "urcu_structures": Program("liburcu-dev", ("gcc",), (
        C + "-DSCHEME_URCU {src}/structures.c -o {out} -lurcu-memb",)),
    "wane_structures": Program("gcc", ("gcc",), (C + "-DSCHEME_WANE {src}/structures.c -o {out}" + WANE,)),
    "shared_ptr": Program("g++", ("g++",), ("g++ -std=c++20 -O2 -Wall -Wextra -pthread {src}/shared_ptr.cpp -o {out}",)),
    "arc": Program("rustc librust-arc-swap-dev", ("/usr/bin/rustc", "arc-swap-*"), (
        "/usr/bin/rustc --edition 2018 -O --cap-lints allow --crate-type rlib --crate-name arc_swap {crate}/src/lib.rs "
        "--out-dir {dir}",
        "/usr/bin/rustc --edition 2021 -O --extern arc_swap={dir}/libarc_swap.rlib {src}/arc.rs -o {out}")),
    "gobject": Program("libglib2.0-dev", ("/usr/include/glib-2.0/glib-object.h",), (
        C + "{src}/gobject.c -o {out} $(pkg-config --cflags --libs gobject-2.0)",)),
    "boehm": Program("libgc-dev", ("/usr/include/gc.h",), (C + "{src}/boehm.c -o {out} -lgc",)),
    "orc": Program("nim", ("nim",), (
        "nim c --mm:orc -d:release --threads:off --hints:off --nimcache:{dir}/nimcache -o:{out} {src}/orc.nim",)),
    "collected": Program("golang-go", ("go",), ("GOCACHE={dir}/gocache go build -o {out} {src}/collected.go",)),
    "java": Program("default-jdk-headless", ("javac",), ("javac -d {dir}/java {src}/Collected.java",),
                    ("java", "-Xmx6g", "-cp", "{dir}/java", "Collected")),
    "python": Program("python3", ("python3",), (), ("python3", "{src}/counted.py")),
}


@dataclasses.dataclass
class Peer:
    program: str
    prefix: str = ""         # before the workload's name
    arguments: tuple = ()    # of the interpreter, before the others
    environment: tuple = ()
    allocator: str = "glibc"
    slow_start: bool = False  # fewer rounds in a quick run


PEERS = {
    "wane": Peer("wane_counts"),
    "wane, not shared": Peer("wane_counts", prefix="unshared-"),
    "wane, counted": Peer("wane_counts", prefix="counted-"),
    "wane, young first": Peer("wane_counts", prefix="young-"),
    "plain": Peer("plain"),
    "atomic": Peer("plain", prefix="atomic-"),
    "empty calls": Peer("plain", prefix="empty-"),
    "liburcu": Peer("urcu"),
    "leaking": Peer("leaking_structures"),
    "shared_ptr": Peer("shared_ptr"),
    "mutex + shared_ptr": Peer("shared_ptr", prefix="mutex-"),
    "Arc": Peer("arc"),
    "arc-swap": Peer("arc", prefix="swap-"),
    "GObject": Peer("gobject"),
    "Boehm": Peer("boehm", allocator="own"),
    "Boehm, incremental": Peer("boehm", environment=(("BOEHM_INCREMENTAL", "1"),), allocator="own"),
    "Nim ORC": Peer("orc", allocator="own"),
    "Go": Peer("collected", allocator="own"),
    "Java G1": Peer("java", arguments=("-XX:+UseG1GC",), allocator="own", slow_start=True),
    "Java ZGC": Peer("java", arguments=("-XX:+UseZGC",), allocator="own", slow_start=True),
    "Python": Peer("python", allocator="own", slow_start=True),
}

# What would belong here and no Debian package has.
NOT_PACKAGED = {
    "CDRC": "concurrent deferred reference counting (C++): not in Debian",
    "dumpster": "cycle-collecting Rc for Rust: not in Debian",
}

# Programs of workloads that a peer has elsewhere.
HEAP = ("trees", "drop", "rings", "growth", "quiet")
STRUCTURES = ("stack", "queue", "hash", "list", "tree")

ALLOCATORS = {"mimalloc": ("libmimalloc2.0", "libmimalloc.so.2"), "jemalloc": ("libjemalloc2", "libjemalloc.so.2")}


def program_of(peer, workload):
    name = PEERS[peer].program
    family = workload.split("-")[0].rstrip("0123456789")
    if family in STRUCTURES:
        return {"wane_counts": "wane_structures", "urcu": "urcu_structures"}.get(name, name)
    if name == "wane_counts" and family in HEAP:
        return "wane_heap"
    return name


def crate():
    found = sorted(CARGO.glob("arc-swap-*"))
    return found[-1] if found else None


def missing(need):
    if need == "arc-swap-*":
        return None if crate() else "arc-swap"
    return None if (os.path.exists(need) if need.startswith("/") else shutil.which(need)) else need


def allocator_library(name):
    """The path of an allocator that can be preloaded, or None."""
    soname = ALLOCATORS[name][1]
    for directory in sorted(pathlib.Path("/usr/lib").glob("*-linux-gnu")) + [pathlib.Path("/usr/lib64"), pathlib.Path("/usr/lib")]:
        if (directory / soname).exists():
            return str(directory / soname)
    return None


class Builder:
    """Builds the programs below `directory`; `absent` says why one is not there."""

    def __init__(self, directory, library, built=False):
        self.built = built  # build nothing
        self.directory = pathlib.Path(directory).resolve() / "peers"
        self.words = {"src": SOURCES, "dir": self.directory, "lib": pathlib.Path(library).resolve(), "include": ROOT / "include",
                      "crate": crate()}
        self.absent = {}

    def fill(self, text, name):
        return text.format(out=self.directory / name, **self.words)

    def build(self, name):
        program = PROGRAMS[name]
        if self.built:
            if program.build and not (self.directory / name).exists():
                self.absent[name] = "was not brought along"
            elif "{" not in program.run[0] and missing(program.run[0]):
                self.absent[name] = f"{program.run[0]} is not there"
            return
        for need in program.needs:
            if missing(need):
                self.absent[name] = f"{missing(need)} is not there (package {program.packages})"
                return
        sources = [path for path in SOURCES.iterdir()] + [ROOT / "include/wane/fast.h", ROOT / "include/wane/wane.h"]
        stamp = self.directory / (name + ".built")
        commands = [self.fill(command, name) for command in program.build]
        if stamp.exists() and stamp.read_text() == str(commands) and \
                all(path.stat().st_mtime < stamp.stat().st_mtime for path in sources):
            return
        for command in commands:
            done = subprocess.run(command, shell=True, capture_output=True, text=True)
            if done.returncode != 0:
                self.absent[name] = "does not build: " + (done.stderr.strip().splitlines() or ["?"])[-1]
                (self.directory / (name + ".log")).write_text(done.stdout + done.stderr)
                return
        stamp.write_text(str(commands))

    def build_all(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        for name in PROGRAMS:
            self.build(name)

    def command(self, peer, workload, threads, n, size, allocator):
        """The command line and the environment of one sample."""
        about = PEERS[peer]
        name = program_of(peer, workload)
        words = [self.fill(word, name) for word in PROGRAMS[name].run]
        words[1:1] = about.arguments
        environment = dict(os.environ, **dict(about.environment))
        if allocator not in ("glibc", "own"):
            environment["LD_PRELOAD"] = allocator_library(allocator)
        return [*words, about.prefix + workload, str(threads), str(n), str(size)], environment
