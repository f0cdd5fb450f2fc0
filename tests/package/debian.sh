#!/bin/bash
# SPDX-License-Identifier: MIT
#
# debian.sh TARBALL DEBIAN PLACE PROGRAM.c BASE.tar: build packages from the tarball of meson dist and the directory debian, look at them with
# lintian, install them in a clean root, use them there, remove them. The root is BASE.tar, made by mmdebstrap if it is not there yet and
# that works; else the packages are only unpacked below a directory. Which of the two it was is printed.
set -euo pipefail
tarball=$(realpath "$1") debian=$(realpath "$2") place=$(realpath -m "$3") program=$(realpath "$4") base=$(realpath -m "$5")
version=$(basename "$tarball" .tar.gz) && version=${version#wane-}
here=$(dirname "$(realpath "$0")")

run() {
    if ! "$@" >"$place/log" 2>&1; then
        tail -n 40 "$place/log"
        printf 'FAILED: %s\n' "$*"
        exit 1
    fi
}

rm -rf "$place" && mkdir -p "$place"
cp "$tarball" "$place/wane_$version.orig.tar.gz"
tar -x -f "$tarball" -C "$place"
cp -r "$debian" "$place/wane-$version/"
cd "$place/wane-$version"
run dpkg-buildpackage -us -uc
cd "$place"
run lintian --fail-on error,warning --tag-display-limit 0 --allow-root wane_*.changes
echo "ok: packages built, lintian has no errors and no warnings"

# What is typed in the root. Depends, not luck: libwane0 brings what it needs.
use() {
    cat <<TEXT
set -e
apt-get -q update
apt-get -q install -y --no-install-recommends /tmp/packages/*.deb
cd /tmp
cc -Wall -Wextra -Werror -o shared ${program##*/} \$(pkg-config --cflags --libs wane)
./shared
apt-get -q install -y --no-install-recommends libck-dev liburcu-dev
cc -static -o static ${program##*/} \$(pkg-config --cflags --libs --static wane)
./static
wane-inspect --self-test
test -e /usr/share/wane/wane-gdb.py
for page in man3/wane_new.3 man1/wane-inspect.1; do test -e /usr/share/man/\$page.gz; done
test -e /usr/share/doc/wane-doc/html/index.html
apt-get -q purge -y libwane0 libwane-dev wane-tools wane-doc
! find /usr -name '*wane*' | grep .
TEXT
}

use_root() {
    mkdir -p "$place/root/tmp/packages"
    cp "$place"/*.deb "$place/root/tmp/packages/"
    cp "$program" "$place/root/tmp/"
    use >"$place/root/tmp/use"
    in_root "$place/root" sh -x /tmp/use
}

use_unpacked() {
    local package lib
    lib=$place/root/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
    mkdir -p "$place/root"
    for package in "$place"/*.deb; do dpkg-deb -x "$package" "$place/root"; done
    # shellcheck disable=SC2046
    cc -Wall -Wextra -Werror -o "$place/program" "$program" \
        $(PKG_CONFIG_SYSROOT_DIR=$place/root PKG_CONFIG_LIBDIR=$lib/pkgconfig PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 \
            pkg-config --cflags --libs wane)
    LD_LIBRARY_PATH=$lib "$place/program"
}

# shellcheck source=tests/package/root.sh
. "$here/root.sh"
if make_base "$base" gcc,libc6-dev,pkg-config; then
    mkdir "$place/root"
    tar -x -f "$base" -C "$place/root"
    run use_root
    echo "ok: installed, used (shared, static, tools) and purged in a root made by mmdebstrap"
else
    run use_unpacked
    echo "ok: used from an unpacked root (no mmdebstrap here, so dpkg's own installation was not tried)"
fi
rm -rf "$place/root"
