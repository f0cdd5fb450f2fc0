#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# leaks.sh PROGRAM [address | valgrind] - detectors of leaks say nothing of a live heap, and find a lost object
#
# And the environment's variables: WANE_LEAK_EXIT fails where objects live, others say what they cannot do.
set -euo pipefail
program=$1 detector=${2:-}
root=$(cd "$(dirname "$0")/.." && pwd)
said=$(mktemp)
trap 'rm -f "$said"' EXIT
result=0

# expect STATUS TEXT COMMAND...: it ends so and says so; without TEXT it says nothing
expect() {
    local status=$1 text=$2 got=0
    shift 2
    "$@" >"$said" 2>&1 || got=$?
    if [ "$got" != "$status" ] || { [ -n "$text" ] && ! grep -q "$text" "$said"; } || { [ -z "$text" ] && [ -s "$said" ]; }; then
        echo "$*: exit status $got, not $status, or not '$text':"
        cat "$said"
        result=1
    fi
}

expect 0 '' "$program"
expect 23 'objects alive' env WANE_LEAK_EXIT=23 "$program"
expect 23 "held from outside -> wane_vec" env WANE_LEAK_EXIT=23 WANE_OBSERVE=1 "$program"
expect 0 '' env WANE_LEAK_EXIT=23 "$program" clear
expect 0 '' env WANE_PROFILE=1 "$program"
expect 0 'WANE_STALL_SIGNAL=4711: Invalid argument' env WANE_STALL_SIGNAL=4711 "$program"
expect 0 'WANE_PAGE=/no/such/place: No such file' env WANE_PAGE=/no/such/place "$program"
expect 0 "WANE_PAGE=$said: File exists" env WANE_PAGE="$said" "$program"
expect 0 '' env WANE_PAGE="$said.page" "$program"
[ ! -e "$said.page" ] || { echo "its page is left"; result=1; }
if [ "$detector" = address ]; then
    expect 67 'LeakSanitizer: detected memory leaks' "$program" lose
elif [ "$detector" = valgrind ] && command -v valgrind >/dev/null; then
    memcheck=(env WANE_OBJECTS=malloc valgrind -q --leak-check=full --error-exitcode=9 --suppressions="$root/tools/wane.supp")
    expect 0 '' "${memcheck[@]}" "$program"
    expect 9 'definitely lost' "${memcheck[@]}" "$program" lose
fi
exit $result
