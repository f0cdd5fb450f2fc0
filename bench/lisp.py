#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tinylisp beside CPython and Lua, on the same programs (bench/lisp). usage: lisp.py TINYLISP

Whole processes, the best of five in turns: wall time and CPU time (of tinylisp that includes the collector's thread). Ratios are of CPU
time; below 1 tinylisp takes less. It divides each program among tasks; CPython and Lua run it on one thread, for they have no others
that run at once.
"""
import pathlib
import resource
import shutil
import subprocess
import sys
import time

PROGRAMS = pathlib.Path(__file__).resolve().parent / "lisp"
ROUNDS = 5


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(commands, name):
    """(wall, CPU) seconds for each of the commands, the least of each; all must print the same."""
    best, printed = {}, {}
    for _ in range(ROUNDS):
        for peer, (command, suffix) in commands.items():
            began, used = time.perf_counter(), cpu_of_children()
            done = subprocess.run([*command, PROGRAMS / f"{name}.{suffix}"], capture_output=True, text=True)
            taken = time.perf_counter() - began, cpu_of_children() - used
            if done.returncode != 0:
                sys.exit(f"{peer}, {name}: status {done.returncode}\n{done.stderr}")
            best[peer] = tuple(map(min, taken, best.get(peer, taken)))
            printed[peer] = done.stdout
    if len(set(printed.values())) != 1:
        sys.exit(f"{name}: they print different things: {printed}")
    return best


def main():
    commands = {f"tinylisp, {n} threads" if n > 1 else "tinylisp": ([sys.argv[1], "--threads", str(n)], "lisp") for n in (1, 2, 4)}
    peers = {"CPython": "python3", "Lua": "lua5.4"}
    for peer, program in peers.items():
        if shutil.which(program):
            commands[peer] = ([program], "py" if peer == "CPython" else "lua")
        else:
            print(f"{peer} is absent")
    for name in sorted(path.stem for path in PROGRAMS.glob("*.lisp")):
        best = measure(commands, name)
        print(name)
        for peer, (wall, cpu) in best.items():
            ratio = f"  tinylisp / {peer} {best['tinylisp'][1] / cpu:.2f}" if peer in peers else ""
            print(f"    {peer:20} {wall:6.3f} s, CPU {cpu:6.3f} s{ratio}")


if __name__ == "__main__":
    main()
