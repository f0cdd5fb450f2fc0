#!/bin/sh
# SPDX-License-Identifier: MIT
# install.sh BUILD PROGRAM.c: install into an empty place; build and run the program against that, shared and static, by
# pkg-config alone; what is installed is all that should be, and says the same version
set -eu
build=$1 program=$2
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
fail() { echo "install: $*"; exit 1; }

DESTDIR=$place meson install -C "$build" --no-rebuild >"$place.log" || { cat "$place.log"; exit 1; }
rm -f "$place.log"
pc=$(find "$place" -name wane.pc)
lib=${pc%/pkgconfig/*}
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_LIBDIR="${pc%/*}" # no other .pc file is to be found
prefix=$place$(pkg-config --variable=prefix wane)
flags() { pkg-config --define-variable=prefix="$prefix" "$@" wane; }

# refuses FLAGS: a program that was compiled for another binary interface does not start
refuses() {
    sed 's/^#define WANE_ABI .*/#define WANE_ABI 4711/' "$prefix/include/wane/version.h" >"$place/version.h"
    # shellcheck disable=SC2086
    ${CC:-cc} -include "$place/version.h" -o "$place/program" "$program" $1
    if (ulimit -c 0; LD_LIBRARY_PATH=$lib "$place/program") >"$place/out" 2>&1 || ! grep -q 'interface 4711' "$place/out"; then
        cat "$place/out"
        fail "a program of another binary interface starts"
    fi
}

# ---- Shared ----
# shellcheck disable=SC2046
${CC:-cc} -o "$place/program" "$program" $(flags --cflags --libs)
LD_LIBRARY_PATH=$lib "$place/program"
readelf -d "$place/program" | grep -q 'NEEDED.*\[libwane\.so\.0\]' || fail "the program does not ask for libwane.so.0"
readelf -d "$place/program" | grep -E 'NEEDED.*(urcu|libck)' && fail "the program asks for the libraries underneath"
[ "$(readlink "$lib/libwane.so")" = libwane.so.0 ] || fail "libwane.so does not lead to libwane.so.0"
[ -e "$lib/libwane.so.$(pkg-config --modversion wane)" ] || fail "the library's file and wane.pc have different versions"

# ---- Static: this library alone, and everything ----
if [ -e "$lib/libwane.a" ]; then
    static=$(flags --static --libs | sed 's/-lwane/-Wl,-Bstatic -lwane -Wl,-Bdynamic/')
    # shellcheck disable=SC2046,SC2086
    ${CC:-cc} -o "$place/program" "$program" $(flags --cflags) $static
    readelf -d "$place/program" | grep 'NEEDED.*wane' && fail "the static program asks for the shared library"
    "$place/program"
    # shellcheck disable=SC2046
    ${CC:-cc} -static -o "$place/program" "$program" $(flags --cflags --static --libs)
    "$place/program"
    refuses "$(flags --cflags) $static"
fi
refuses "$(flags --cflags --libs)"

# ---- Files ----
for header in "$(dirname "$program")"/../include/wane/*.h*; do
    [ -e "$prefix/include/wane/${header##*/}" ] || fail "not installed: ${header##*/}"
done
[ -e "$lib/cmake/wane/waneConfig.cmake" ] || fail "no package for CMake"
if grep -rnE 'urcu|[<"]ck_|_LGPL_SOURCE' "$place" --include='*.h'; then
    fail "installed headers speak of the libraries underneath"
fi
