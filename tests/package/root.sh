# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# root.sh - roots of Debian 12 with little in them, for debian.sh and newcomer.sh

# make_base BASE.tar PACKAGE,...: the smallest root, and these packages; kept, as making it is most of the time
make_base() {
    [ ! -e "$1" ] || return 0
    [ "$(id -u)" = 0 ] && command -v mmdebstrap >/dev/null || return 1
    timeout 600 mmdebstrap --format=tar --variant=minbase ${2:+"--include=$2"} bookworm "$1.new" http://deb.debian.org/debian >"$1.log" 2>&1 &&
        mv "$1.new" "$1"
}

# in_root ROOT COMMAND...: with its own /proc and the system's /dev, which are gone with the command
in_root() {
    local root=$1
    shift
    cp /etc/resolv.conf "$root/etc/" 2>/dev/null || true
    # shellcheck disable=SC2016
    unshare --mount --pid --fork sh -c 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' "$root" \
        env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
