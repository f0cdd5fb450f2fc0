#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh ROOT PLACE: the release build as its users meet it - its binary interface, installed, uninstalled, with pkg-config, CMake, as a subproject of
# meson, from the tarball of meson dist, from Rust, as Debian packages. Everything is made under PLACE.
set -euo pipefail
root=$(realpath "$1") place=$(realpath -m "$2") passed=0
program=$root/examples/cycle.c
release=(--buildtype=release -Ddebug=true -Dtests=false -Dwerror=true)

# step WHAT COMMAND...: its output is shown if it fails
step() {
    local what=$1
    shift
    if "$@" >"$place/log" 2>&1; then
        passed=$((passed + 1))
        printf 'ok: %s\n' "$what"
    else
        cat "$place/log"
        printf 'FAILED: %s\n' "$what"
        exit 1
    fi
}

# In the directories that a distribution has: deeper than those of meson's own, which tests/install.sh meets in the other builds.
build_release() {
    meson setup "$place/release" "$root" "${release[@]}" --prefix=/usr --libdir="lib/$(gcc -print-multiarch)" && ninja -C "$place/release"
}

install_all() {
    rm -rf "$place/root"
    DESTDIR=$place/root meson install -C "$place/release" --no-rebuild
}

# A dump of a library that had a smaller structure, or one symbol more
interface_refuses() {
    local check=("$root/tools/abidump.sh" check "$place/release/src/libwane.so" "$root/include") was=$place/was.abi
    python3 - "$root/abi/libwane.abi" >"$was" <<'TEXT'
import sys
text = open(sys.argv[1]).read()
begin = text.index("<class-decl name='wane_stats' size")
end = text.index("</class-decl>", begin)
print(text[:begin] + text[begin:text.rindex("<data-member", begin, end)] + text[end:], end="")
TEXT
    ! "${check[@]}" "$was" || return 1
    sed "s/<elf-symbol name='wane_retain' .*/&<elf-symbol name='wane_gone' version='WANE_0' is-default-version='yes' type='func-type' \
binding='global-binding' visibility='default-visibility' is-defined='yes'\/>/" "$root/abi/libwane.abi" >"$was"
    ! "${check[@]}" "$was"
}

with_cmake() {
    rm -rf "$place/cmake" && mkdir "$place/cmake"
    cp "$root/tests/package/cmake/CMakeLists.txt" "$program" "$place/cmake/"
    mv "$place/cmake/cycle.c" "$place/cmake/program.c"
    cmake -S "$place/cmake" -B "$place/cmake/build" -DCMAKE_PREFIX_PATH="$place/root/usr" &&
        cmake --build "$place/cmake/build" && "$place/cmake/build/with_wane" && "$place/cmake/build/with_wane_static" &&
        ! readelf -d "$place/cmake/build/with_wane_static" | grep 'NEEDED.*wane'
}

# Another minor version may have another interface before 1.0.
cmake_refuses() {
    sed 's/find_package(wane 0.1 /find_package(wane 0.2 /' "$place/cmake/CMakeLists.txt" >"$place/cmake/new"
    mv "$place/cmake/new" "$place/cmake/CMakeLists.txt"
    ! cmake -S "$place/cmake" -B "$place/cmake/other" -DCMAKE_PREFIX_PATH="$place/root/usr"
}

as_subproject() {
    rm -rf "$place/sub" && mkdir -p "$place/sub/subprojects"
    cp "$root/tests/package/subproject/meson.build" "$place/sub/"
    cp "$program" "$place/sub/program.c"
    tar -x -f "$tarball" -C "$place/sub/subprojects"
    mv "$place/sub/subprojects"/wane-* "$place/sub/subprojects/wane"
    meson setup "$place/sub/build" "$place/sub" -Dwane:default_library="$1" --force-fallback-for=wane &&
        ninja -C "$place/sub/build" && meson test -C "$place/sub/build" --no-rebuild
}

from_tarball() {
    rm -rf "$place/tar" && mkdir "$place/tar"
    tar -x -f "$tarball" -C "$place/tar"
    (cd "$place/tar"/wane-* && meson setup build "${release[@]}" && ninja -C build && build/examples/cycle)
}

# What is in the tarball is enough for the tests: no git, nothing beside it. One program stands for the others.
tests_of_tarball() {
    (cd "$place/tar"/wane-* && meson setup with-tests -Dwerror=true && ninja -C with-tests tests/test_counts &&
        meson test -C with-tests --no-rebuild test_counts && meson test -C with-tests --no-rebuild --print-errorlogs --suite lint)
}

from_rust() {
    rustc -D warnings -L "$place/release/src" -o "$place/rust" "$root/examples/bindings/cycle.rs" &&
        LD_LIBRARY_PATH=$place/release/src "$place/rust"
}

from_python() { python3 "$root/examples/bindings/cycle.py" "$place/root/usr/lib/$(gcc -print-multiarch)/libwane.so.0"; }

uninstalled() {
    DESTDIR=$place/root ninja -C "$place/release" uninstall
    ! find "$place/root" -type f -o -type l | grep .
}

rm -rf "$place" && mkdir -p "$place"
step "a release build without warnings" build_release
step "pkg-config, shared and static; another binary interface is refused" sh "$root/tests/install.sh" "$place/release" "$program"
step "meson install into DESTDIR" install_all
step "CMake, shared and static" with_cmake
step "CMake refuses another minor version" cmake_refuses
step "the binary interface is that of abi/libwane.abi" "$root/tools/abidump.sh" check "$place/release/src/libwane.so" "$root/include" \
    "$root/abi/libwane.abi"
step "a structure that grew and a symbol that went are seen" interface_refuses
step "from Rust" from_rust
step "from Python" from_python
step "uninstall leaves nothing" uninstalled
step "meson dist" meson dist -C "$place/release" --no-tests --formats gztar
tarball=$(find "$place/release/meson-dist" -name 'wane-*.tar.gz')
step "the tarball builds by itself" from_tarball
step "the tarball's tests" tests_of_tarball
step "as a subproject of meson, static" as_subproject static
step "as a subproject of meson, shared" as_subproject shared
"$root/tests/package/debian.sh" "$tarball" "$root/debian" "$place/debian" "$program" "$place.base.tar" && passed=$((passed + 2))
printf '%d steps passed\n' "$passed"
