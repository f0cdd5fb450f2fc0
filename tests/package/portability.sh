#!/bin/bash
# SPDX-License-Identifier: MIT
#
# portability.sh ROOT PLACE [LEG ...]: the count and cycle tests with other compilers, optimizations and C libraries, and on aarch64
#
# Without a LEG all of them: -m32, musl, aarch64, and each compiler at -O0 to -O3 and with LTO (gcc-12 clang-14 clang-19; gcc-12-O2 is one
# of its rows). What is not installed is left out, and said. Results stay in PLACE/results until the leg runs again, so the table at the
# end, which is PLACE/table.md too, can be made leg by leg.
#
# What qemu-user cannot show: it runs each thread on this machine, whose memory orders are stronger than those of aarch64, and puts
# fences where the translated code needs them, so a missing acquire or release stays hidden. It has no membarrier, so only the
# variant with fences runs. Cases that look at how a child dies (.._refused) may fail: qemu 7.2 aborts when a forked child starts a
# thread. It shows that the code compiles, that layouts and atomics are right, and that tests pass.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
root=$(realpath "$1") place=$(realpath -m "$2")
shift 2
names=(test_counts test_slots test_cycles)
compilers=(gcc-12 clang-14 clang-19)
mkdir -p "$place/results"
# shellcheck source=tests/package/sources.sh
. "$here/sources.sh"

# ---- Results ----

# verdict ROW STATUS SECONDS WHAT
verdict() {
    local result=passed
    [ "$2" = 0 ] || { result=FAILED; tail -n 40 "$place/log"; }
    printf '%s|%s|%s|%s|%s\n' "$1" "$result" "$3" "$(date -u +%F)" "$4" >"$place/results/$1"
    printf '%s: %s, %s (%s s)\n' "$result" "$1" "$4" "$3"
}

left_out() { # ROW WHY
    printf '%s|left out|-|%s|%s\n' "$1" "$(date -u +%F)" "$2" >"$place/results/$1"
    printf 'left out: %s, %s\n' "$1" "$2"
}

has() { command -v "$1" >/dev/null; }

# timed ROW WHAT COMMAND...
timed() {
    local row=$1 what=$2 status=0 began=$SECONDS
    shift 2
    ("$@") >"$place/log" 2>&1 || status=$?
    verdict "$row" $status $((SECONDS - began)) "$what"
}

table() {
    local row
    echo '| leg | result | seconds | date | what ran |'
    echo '| --- | --- | --- | --- | --- |'
    for row in m32 musl aarch64 "${rows[@]}"; do
        [ ! -e "$place/results/$row" ] || sed 's/|/ | /g; s/^/| /; s/$/ |/' "$place/results/$row"
    done
}

# ---- Compilers ----

# tests DIRECTORY MESON_ARGUMENT...: CC is the compiler
tests() {
    local dir=$place/$1
    shift
    # Each step by its own: this is called where errors are asked about, so set -e does not end it.
    rm -rf "$dir"
    meson setup "$dir" "$root" -Dwerror=true "$@" && ninja -C "$dir" "${names[@]/#/tests/}" &&
        meson test -C "$dir" --no-rebuild --print-errorlogs --timeout-multiplier 10 "${names[@]}" && rm -rf "$dir"
}

# compiled ROW: COMPILER-O2, COMPILER-lto
compiled() {
    local row=$1 compiler=${1%-*} level=${1##*-} options=()
    has "$compiler" || { left_out "$row" "$compiler is not installed"; return; }
    if [ "$level" = lto ]; then
        options=(-Doptimization=2 -Db_lto=true)
        # The linker and the archiver have to know the compiler's own format; those of the system are of clang-14.
        [ "$compiler" != clang-19 ] || export AR=llvm-ar-19 CC_LD=lld
    else
        options=("-Doptimization=${level#O}")
    fi
    CC=$compiler timed "$row" "${names[*]}" tests "$row" "${options[@]}"
    unset AR CC_LD
}

# ---- 32 bits ----

narrow() {
    local text
    text=$(printf '#include <wane/wane.h>\n' | gcc -m32 -ffreestanding -fsyntax-only -I "$root/include" -x c - 2>&1) && return 1
    printf '%s\n' "$text"
    grep 'wane needs 64 bits' <<<"$text"
}

# ---- musl: Debian has no packages of the libraries underneath for it, so they are made from their sources, static ----

musl() {
    local usr
    musl_libraries "$place/musl" >"$place/musl.log" 2>&1 || { tail -n 40 "$place/musl.log"; return 1; }
    usr=$place/musl/usr
    export CC=musl-gcc PKG_CONFIG_LIBDIR=$usr/lib/pkgconfig PKG_CONFIG_PATH=
    tests musl-build -Ddefault_library=static -Dprobes=disabled -Dc_args="-isystem $usr/include -idirafter $place/musl/linux" \
        -Dc_link_args="-static -L$usr/lib" -Db_pie=false
}

# ---- aarch64 ----

write_cross() {
    local lib=$1 usr=$2
    cat <<TEXT
[binaries]
c = 'aarch64-linux-gnu-gcc'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu', '-E', 'LD_LIBRARY_PATH=$lib']
[built-in options]
c_args = ['-I$usr/include', '-I$usr/include/aarch64-linux-gnu']
c_link_args = ['-L$lib', '-Wl,-rpath-link,$lib']
[properties]
pkg_config_libdir = '$lib/pkgconfig'
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
TEXT
}

aarch64() {
    local usr=$place/arm64/root/usr lib dir=$place/aarch64-build name wrong
    lib=$usr/lib/aarch64-linux-gnu
    arm_packages "$place/arm64" || return 1
    write_cross "$lib" "$usr" >"$place/cross"
    rm -rf "$dir"
    meson setup "$dir" "$root" -Dwerror=true -Dprobes=disabled --cross-file "$place/cross" &&
        ninja -C "$dir" "${names[@]/#/tests/}" || return 1
    for name in "${names[@]}"; do
        timeout 600 qemu-aarch64 -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$lib" "$dir/tests/$name" >"$place/$name.tap" 2>&1 || true
        # cmocka's "not ok - tests" is the sum.
        wrong=$(grep -c '^not ok [0-9]' "$place/$name.tap" || true)
        echo "$name: $wrong not ok, $(grep -c '^ok' "$place/$name.tap" || true) ok"
        grep -v '^ok' "$place/$name.tap" | tail -n 20
        [ "$(grep -c '^not ok [0-9]* - .*_refused$' "$place/$name.tap" || true)" = "$wrong" ] && grep -q '^ok 1 ' "$place/$name.tap" ||
            return 1
    done
    rm -rf "$dir"
}

# ---- All ----

rows=()
for compiler in "${compilers[@]}"; do
    for level in O0 O1 O2 O3 lto; do rows+=("$compiler-$level"); done
done
[ $# -gt 0 ] || set -- m32 musl aarch64 "${compilers[@]}"

for leg; do
    case $leg in
    m32) timed m32 "the headers are refused, and say why" narrow ;;
    musl) if has musl-gcc; then timed musl "${names[*]}, linked statically" musl; else left_out musl "no musl-gcc"; fi ;;
    aarch64) if has aarch64-linux-gnu-gcc && has qemu-aarch64; then
                 timed aarch64 "${names[*]}, under qemu-user: no word about memory orders" aarch64
             else
                 left_out aarch64 "no cross compiler or no qemu-aarch64"
             fi ;;
    *-O[0-3] | *-lto) compiled "$leg" ;;
    *) for level in O0 O1 O2 O3 lto; do compiled "$leg-$level"; done ;;
    esac
done
table | tee "$place/table.md"
! grep -l '|FAILED|' "$place/results"/*
