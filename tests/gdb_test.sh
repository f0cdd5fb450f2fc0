#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# gdb_test.sh SCRIPT TARGET - the gdb commands on a live process, then the same on its core file
set -euo pipefail
script=$1 target=$2

skip() { echo "skipped: $1"; exit 77; }
command -v gdb >/dev/null || skip "no gdb"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
ask=(-ex "wane types" -ex "wane owners" -ex "wane header root" -ex "wane why leaf" -ex "print *root"
     -ex "wane header 16" -ex "wane why vec")
# gdb's own Python does not need the one that the environment was set up for.
debug() { env -u PYTHONHOME -u PYTHONPATH gdb -q -batch -nx -iex "set debuginfod enabled off" "$@" </dev/null 2>&1; }

debug -ex "python print('python')" | grep -q '^python' || skip "this gdb has no Python"
debug -ex "break here" -ex run -ex "source $script" "${ask[@]}" -ex "generate-core-file $dir/core" -ex kill "$target" >"$dir/live" ||
    true
grep -q 'Breakpoint 1, here' "$dir/live" || { cat "$dir/live"; skip "gdb cannot run programs here"; }
debug -ex "source $script" "${ask[@]}" "$target" "$dir/core" >"$dir/dead" || true

result=0
says() {
    for look in live dead; do
        if ! grep -Eq -- "$1" "$dir/$look"; then
            echo "$look: no \"$1\" in:"
            cat "$dir/$look"
            result=1
        fi
    done
}
says '^ +1 +16  branch$'
says '^ +1 +32  leaf$'
says '^ +1 +8  wane_vec$'
says '^ +1  [0-9]+.*, in a section \(depth 1\), born 4, died 0'
says "^0x[0-9a-f]+: 'branch', 16 bytes"
says '^  units: 1: 1 of the owner.s, 0 in the word'
says '^  biased to record 1, of [0-9]+'
says "^0x[0-9a-f]+: 'leaf', 32 bytes"
says '^  units: 2: 1 of the owner.s, 1 in the word'
says "^  in 0x[0-9a-f]+: 'branch'\+8$"
says "^  in 0x[0-9a-f]+: 'wane_vec_buffer'\+16$"
says '^  held by 2 places in 4 observed objects'
says "left = empty, right = 0x[0-9a-f]+ 'leaf', tag 1"
says 'is not an object|no such memory'
exit $result
