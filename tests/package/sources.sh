# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# sources.sh - for portability.sh: what other C libraries and other machines lack, from Debian's archive, below a directory of their own

# apt_below PLACE ARGUMENT...: apt-get whose lists and packages are below PLACE; the system's stay as they are
apt_below() {
    local place=$1
    shift
    mkdir -p "$place/lists/partial" "$place/cache/archives/partial"
    touch "$place/status"
    apt-get -q -o "Dir::State::Lists=$place/lists" -o "Dir::Cache=$place/cache" -o "Dir::State::Status=$place/status" \
        -o Debug::NoLocking=true -o APT::Sandbox::User=root "$@"
}

# arm_packages PLACE: packages of arm64, unpacked below PLACE/root
arm_packages() {
    local place=$1 options=(-o APT::Architecture=arm64 -o APT::Architectures::=arm64) file
    [ ! -e "$place/complete" ] || return 0
    rm -rf "$place" && mkdir -p "$place/root"
    apt_below "$place" "${options[@]}" update && cd "$place" &&
        apt_below "$place" "${options[@]}" download liburcu8 liburcu-dev libck0 libck-dev libcmocka0 libcmocka-dev || return 1
    for file in "$place"/*.deb; do dpkg-deb -x "$file" "$place/root" || return 1; done
    touch "$place/complete"
}

# musl_libraries PLACE: liburcu, ck and cmocka for musl, static, below PLACE/usr; the kernel's headers below PLACE/linux
musl_libraries() {
    local place=$1
    [ ! -e "$place/complete" ] || return 0
    rm -rf "$place" && mkdir -p "$place/linux"
    cp -r /usr/include/linux /usr/include/asm-generic "/usr/include/$(gcc -print-multiarch)/asm" "$place/linux/" || return 1
    echo 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main' \
        >"$place/sources.list"
    local options=(-o "Dir::Etc::SourceList=$place/sources.list" -o Dir::Etc::SourceParts=/dev/null)
    apt_below "$place" "${options[@]}" update && cd "$place" && apt_below "$place" "${options[@]}" source liburcu ck cmocka || return 1
    (cd "$place"/liburcu-* && urcu_for_musl "$place") && (cd "$place"/ck-* && ck_for_musl "$place") &&
        (cd "$place"/cmocka-* && cmocka_for_musl "$place") && touch "$place/complete"
}

urcu_for_musl() {
    ./configure CC=musl-gcc CFLAGS="-O2 -idirafter $1/linux" --disable-shared --prefix="$1/usr" --disable-dependency-tracking &&
        make AUTOMAKE=: ACLOCAL=: AUTOCONF=: AUTOHEADER=: -C include install &&
        make AUTOMAKE=: ACLOCAL=: AUTOCONF=: AUTOHEADER=: -C src install
}

ck_for_musl() {
    CC=musl-gcc ./configure --prefix="$1/usr" && make && make install && rm -f "$1"/usr/lib/libck.so*
}

# The static one has another name than cmocka.pc gives.
cmocka_for_musl() {
    cmake -B build -DCMAKE_C_COMPILER=musl-gcc -DWITH_STATIC_LIB=ON -DWITH_EXAMPLES=OFF -DCMAKE_INSTALL_PREFIX="$1/usr" \
        -DCMAKE_INSTALL_LIBDIR=lib && make -C build install && rm -f "$1"/usr/lib/libcmocka.so* &&
        cp "$(find . -name 'libcmocka-static.a')" "$1/usr/lib/libcmocka.a"
}
