#!/bin/bash
# SPDX-License-Identifier: MIT
#
# portability.sh ROOT PLACE: the count and cycle tests with each compiler that is installed, at -O0 to -O3 and with LTO; what is refused
# (-m32); musl, compiled only; aarch64, compiled across and run by qemu-user. What is not installed is left out, and said.
#
# What qemu-user cannot show: it runs each thread on this machine, whose memory orders are stronger than those of aarch64, and puts
# fences where the translated code needs them, so a missing acquire or release stays hidden. It has no membarrier, so only the
# variant with fences runs. Cases that look at how a child dies (.._refused) are left out: qemu 7.2 aborts when a forked child starts a
# thread. It shows that the code compiles, that layouts and atomics are right, and that tests pass.
set -euo pipefail
root=$(realpath "$1") place=$(realpath -m "$2") passed=0 failed=0
names=(test_counts test_slots test_cycles)
mkdir -p "$place"

verdict() { # WHAT STATUS
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
        printf 'ok: %s\n' "$1"
    else
        failed=$((failed + 1))
        tail -n 30 "$place/log"
        printf 'FAILED: %s\n' "$1"
    fi
}

has() { command -v "$1" >/dev/null || { printf 'left out: no %s\n' "$1"; return 1; }; }

# leg WHAT DIRECTORY MESON_ARGUMENT...: CC is the compiler
leg() {
    local what=$1 dir=$place/$2 status=0 targets=("${names[@]/#/tests/}")
    shift 2
    rm -rf "$dir"
    { meson setup "$dir" "$root" -Dwerror=true "$@" && ninja -C "$dir" "${targets[@]}" &&
        meson test -C "$dir" --no-rebuild --timeout-multiplier 10 "${names[@]}"; } >"$place/log" 2>&1 || status=$?
    verdict "$what" $status
    rm -rf "$dir"
}

compilers() {
    local compiler level
    for compiler in gcc-12 clang-14 clang-19; do
        has $compiler || continue
        for level in 0 1 2 3; do
            CC=$compiler leg "$compiler -O$level" "$compiler-$level" -Doptimization=$level
        done
        # The linker and the archiver have to know the compiler's own format; those of the system are of clang-14.
        if [ $compiler = clang-19 ]; then export AR=llvm-ar-19 CC_LD=lld; else unset AR CC_LD; fi
        CC=$compiler leg "$compiler -O2 with LTO" "$compiler-lto" -Doptimization=2 -Db_lto=true
    done
}

narrow() {
    local status=0
    printf '#include <wane/wane.h>\n' |
        gcc -m32 -ffreestanding -fsyntax-only -I "$root/include" -x c - >"$place/log" 2>&1 && status=1
    grep -q 'wane needs 64 bits' "$place/log" || status=1
    verdict "-m32 is refused, and says why" $status
}

# The libraries underneath are not there for musl: compiled, not linked.
musl() {
    local status=0 file headers=$place/headers
    has musl-gcc || return 0
    rm -rf "$headers" && mkdir "$headers"
    cp -r /usr/include/urcu* /usr/include/ck_*.h /usr/include/gcc /usr/include/x86_64-linux-gnu/urcu* "$headers/" 2>/dev/null || true
    for dir in linux asm-generic; do cp -r "/usr/include/$dir" "$headers/"; done
    cp -r /usr/include/x86_64-linux-gnu/asm "$headers/"
    : >"$place/log"
    for file in "$root"/src/*.c; do
        musl-gcc -std=gnu11 -fsyntax-only -Wall -Wextra -I "$root/include" -idirafter "$headers" -DWANE_INSIDE -DWN_CHECKS=0 \
            -DWN_MUTANT_ID=WN_MUT_none "-DWN_VERSION=WANE_VERSION" "$file" >>"$place/log" 2>&1 || status=1
    done
    verdict "musl compiles the library (not linked: liburcu and ck are not there for it)" $status
}

# Packages of arm64, unpacked below a directory: the system's own list of architectures stays as it is.
arm_packages() {
    local arm=$place/arm64 options
    [ ! -e "$arm/complete" ] || return 0
    rm -rf "$arm" && mkdir -p "$arm/lists/partial" "$arm/cache/archives/partial" "$arm/root"
    : >"$arm/status"
    options=(-q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o "Dir::State::Lists=$arm/lists" -o "Dir::Cache=$arm/cache"
        -o "Dir::State::Status=$arm/status" -o Debug::NoLocking=true -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update &&
        (cd "$arm" && apt-get "${options[@]}" download liburcu8 liburcu-dev libck0 libck-dev libcmocka0 libcmocka-dev) &&
        for file in "$arm"/*.deb; do dpkg-deb -x "$file" "$arm/root" || return 1; done
    touch "$arm/complete"
}

aarch64() {
    local usr=$place/arm64/root/usr lib
    has aarch64-linux-gnu-gcc && has qemu-aarch64 || return 0
    if ! arm_packages >"$place/log" 2>&1; then
        tail -n 5 "$place/log"
        echo "left out: no packages of arm64 can be had"
        return 0
    fi
    lib=$usr/lib/aarch64-linux-gnu
    cat >"$place/cross" <<TEXT
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
    under_qemu "$lib"
}

under_qemu() {
    local dir=$place/aarch64 status=0 name wrong
    rm -rf "$dir"
    { meson setup "$dir" "$root" -Dwerror=true --cross-file "$place/cross" && ninja -C "$dir" "${names[@]/#/tests/}"; } >"$place/log" 2>&1 ||
        status=$?
    for name in "${names[@]}"; do
        [ $status = 0 ] || break
        timeout 600 qemu-aarch64 -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$1" "$dir/tests/$name" >"$place/log" 2>&1 || true
        # cmocka's "not ok - tests" is the sum.
        wrong=$(grep -c '^not ok [0-9]' "$place/log") || true
        [ "$(grep -c '^not ok [0-9]* - .*_refused$' "$place/log" || true)" = "$wrong" ] && grep -q '^ok 1 ' "$place/log" || status=1
    done
    verdict "aarch64 under qemu-user (no word about memory orders, see the head of this file)" $status
    rm -rf "$dir"
}

narrow
musl
aarch64
compilers
printf '%d passed, %d failed\n' $passed $failed
[ $failed = 0 ]
