#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# probes.sh LIBRARY - the library has each probe that src/probe.h names, with as many arguments
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
notes=$(readelf -n "$1")
result=0 probes=0

while read -r name arguments; do
    probes=$((probes + 1))
    commas=${arguments//[^,]/}
    found=$(awk -v name="$name" '$1 == "Provider:" { wane = $2 == "wane" } $1 == "Name:" { at = $2 }
        $1 == "Arguments:" && wane && at == name { print NF - 1; exit }' <<<"$notes")
    if [ "$found" != $((${#commas} + 1)) ]; then
        echo "$name: ${found:-no} arguments, not $((${#commas} + 1))"
        result=1
    fi
done < <(sed -nE 's/^ \*   wane:(\w+) *\(([^)]*)\).*/\1 \2/p' "$root/src/probe.h")
[ $probes -gt 0 ] || { echo "src/probe.h names no probes"; result=1; }
exit $result
