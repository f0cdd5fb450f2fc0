#!/bin/sh
# SPDX-License-Identifier: MIT
# abidump.sh check|write LIBRARY HEADERS DUMP: the binary interface as libabigail sees it, against the dump in the tree.
# Symbols that were added are shown, and are no error; what went or changed is.
set -eu
how=$1 library=$2 headers=$3 dump=$4
if [ "$how" = write ]; then
    abidw --exported-interfaces-only --headers-dir "$headers" --drop-private-types --no-corpus-path --no-comp-dir-path --no-show-locs \
        --no-write-default-sizes --type-id-style hash --out-file "$dump" "$library"
    exit
fi
status=0
abidiff --no-show-locs --no-added-syms "$dump" "$library" || status=$?
if [ $status -ne 0 ]; then
    echo "the binary interface has changed: is WANE_ABI still the same (docs/versions.md)? Then: ./dev abi"
    exit 1
fi
abidiff --no-show-locs "$dump" "$library" | sed -n 's/^ *\[A\]/added:/p'
