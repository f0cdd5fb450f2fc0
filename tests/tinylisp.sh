#!/bin/sh
# SPDX-License-Identifier: MIT
# tinylisp.sh TINYLISP PROGRAM.lisp: it prints, on several threads, what stands in PROGRAM.out, and leaves no object behind.
# errors.lisp is typed line by line, as on a terminal: what goes wrong in a line is said, and the next one is run
set -u
tinylisp=$(realpath "$1") program=$2
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
fail() { echo "$program: $*"; cat "$place"/*; exit 1; }

case $program in
*errors.lisp)
    "$tinylisp" --threads 2 <"$program" >"$place/out" 2>&1
    [ $? = 1 ] || fail "the status is not 1" ;; # tasks that wait for ever are left
*)
    (cd "$place" && "$tinylisp" --threads 4 "$program" >out 2>errors) || fail "status $?"
    [ ! -s "$place/errors" ] || fail "something is wrong" ;;
esac
cmp "$place/out" "${program%.lisp}.out" || fail "the output differs"
