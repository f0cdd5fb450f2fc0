#!/bin/sh
# SPDX-License-Identifier: MIT
# install.sh BUILD PROGRAM.c: install into an empty place; build and run the program against that by pkg-config alone
set -eu
build=$1 program=$2
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
DESTDIR=$place meson install -C "$build" --no-rebuild >"$place/log" || { cat "$place/log"; exit 1; }
pc=$(find "$place" -name wane.pc)
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_LIBDIR="${pc%/*}" # no other .pc file is to be found
prefix=$place$(pkg-config --variable=prefix wane)
flags=$(pkg-config --define-variable=prefix="$prefix" --cflags --libs wane)
# shellcheck disable=SC2086
${CC:-cc} -o "$place/program" "$program" $flags
LD_LIBRARY_PATH=${pc%/pkgconfig/*} "$place/program"
if grep -rnE 'urcu|[<"]ck_|_LGPL_SOURCE' "$place" --include='*.h'; then
    echo "installed headers speak of the libraries underneath"
    exit 1
fi
