#!/bin/bash
# SPDX-License-Identifier: MIT
#
# debian.sh TARBALL DEBIAN PLACE PROGRAM.c: build packages from the tarball of meson dist and the directory debian, look at them with lintian, install them
# in a clean root, compile and run a program there. The root is made by debootstrap where that works, and else the packages are
# unpacked below a directory; which of the two it was is printed.
set -euo pipefail
tarball=$(realpath "$1") debian=$(realpath "$2") place=$(realpath -m "$3") program=$(realpath "$4")
version=$(basename "$tarball" .tar.gz) && version=${version#wane-}

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
lintian --fail-on error,warning --tag-display-limit 0 --allow-root wane_*.changes
echo "ok: packages built, lintian has nothing to say"

# in_root COMMAND...
in_root() { chroot "$place/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }

use_chroot() {
    cp "$place"/*.deb "$program" "$place/root/tmp/"
    in_root sh -c 'apt-get -q install -y --no-install-recommends /tmp/*.deb &&
        cc -Wall -Wextra -Werror -o /tmp/program /tmp/'"${program##*/}"' $(pkg-config --cflags --libs wane) && /tmp/program &&
        test -e /usr/share/man/man3/wane_new.3.gz && test -e /usr/share/doc/wane-doc/html/index.html &&
        apt-get -q purge -y libwane0 libwane-dev wane-doc && ! find /usr -name "*wane*" | grep .'
}

use_unpacked() {
    local package
    mkdir -p "$place/root"
    for package in "$place"/*.deb; do dpkg-deb -x "$package" "$place/root"; done
    local lib
    lib=$place/root/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
    # shellcheck disable=SC2046
    cc -Wall -Wextra -Werror -o "$place/program" "$program" \
        $(PKG_CONFIG_SYSROOT_DIR=$place/root PKG_CONFIG_LIBDIR=$lib/pkgconfig PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 \
            pkg-config --cflags --libs wane)
    LD_LIBRARY_PATH=$lib "$place/program"
}

# The base is kept: making it is most of the time.
base=${WANE_BASE_ROOT:-$place/../base.tar}
if [ ! -e "$base" ] && [ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null; then
    if timeout 400 debootstrap --variant=minbase --include=gcc,libc6-dev,pkg-config bookworm "$place/root" \
        http://deb.debian.org/debian >"$place/debootstrap.log" 2>&1; then
        tar -c -f "$base" -C "$place/root" .
    fi
    rm -rf "$place/root"
fi
if [ -e "$base" ]; then
    mkdir "$place/root"
    tar -x -f "$base" -C "$place/root"
    cp /etc/resolv.conf "$place/root/etc/" 2>/dev/null || true
    run use_chroot
    echo "ok: installed, used and purged in a root made by debootstrap"
else
    run use_unpacked
    echo "ok: used from an unpacked root (no debootstrap here, so dpkg's own installation was not tried)"
fi
rm -rf "$place/root"
