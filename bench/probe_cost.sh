#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# probe_cost.sh SOURCES BUILD - instructions of everyday operations with the probes and without, counted by valgrind
set -euo pipefail
sources=$1 build=$2
times=20000

# instructions VARIANT NAME TIMES
instructions() {
    WANE_NO_THREADS=1 LD_LIBRARY_PATH=$build/probes-$1/src valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null \
        "$build/probe_cost-$1" "$2" "$3" 2>&1 | sed -n 's/.*I *refs: *//p' | tr -d ,
}

for variant in enabled disabled; do
    dir=$build/probes-$variant
    [ -e "$dir/build.ninja" ] ||
        CC=gcc CXX=g++ meson setup "$dir" "$sources" --buildtype=release -Doptimization=2 -Dtests=false -Dprobes=$variant >/dev/null
    ninja -C "$dir" src/libwane.so.0.1.0 >/dev/null
    gcc -O2 -std=gnu11 -I"$sources/include" "$sources/bench/probe_cost.c" -o "$build/probe_cost-$variant" \
        -L"$dir/src" -lwane
done
printf '%-18s %14s %14s\n' operation "with probes" without
for name in "enter, leave" "retain, release" set "new, release"; do
    printf '%-18s' "$name"
    for variant in enabled disabled; do
        few=$(instructions $variant "$name" 1000)
        many=$(instructions $variant "$name" $((1000 + times)))
        awk -v n=$((many - few)) -v times=$times 'BEGIN { printf " %14.2f", n / times }'
    done
    echo
done
