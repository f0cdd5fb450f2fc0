#!/bin/sh
# SPDX-License-Identifier: MIT
# abidump.sh check|write LIBRARY HEADERS DUMP: the binary interface as libabigail sees it, against the dump in the tree.
# Symbols that were added are shown, and are no error; what went or changed is. Dumps are compared with dumps: told about headers, abidiff
# 2.2 takes the library's own types for private ones, and says nothing about a structure that grew.
set -eu
how=$1 library=$2 headers=$3 dump=$4

write() {
    abidw --exported-interfaces-only --headers-dir "$headers" --drop-private-types --no-corpus-path --no-comp-dir-path --no-show-locs \
        --no-write-default-sizes --type-id-style hash --out-file "$1" "$library"
}

if [ "$how" = write ]; then
    write "$dump"
    exit
fi
now=$(mktemp)
trap 'rm -f "$now"' EXIT
write "$now"
status=0
abidiff --no-added-syms "$dump" "$now" || status=$?
if [ $status -ne 0 ]; then
    echo "the binary interface has changed: is WANE_ABI still the same (docs/versions.md)? Then: ./dev abi"
    exit 1
fi
abidiff "$dump" "$now" | sed -n 's/^ *\[A\]/added:/p'
