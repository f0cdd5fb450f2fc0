#!/bin/sh
# SPDX-License-Identifier: MIT
# tinylisp.sh TINYLISP PROGRAM.lisp ...: each prints, on several threads, what stands in PROGRAM.out, and leaves no object behind;
# or, PROGRAM being errors, each line of it is refused with the text after its semicolon
set -u
tinylisp=$(realpath "$1")
shift
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
fail() { echo "tinylisp: $*"; cat "$place/out" "$place/errors"; exit 1; }

# What is wrong is said, with status 1: no crash, no leak.
refused() {
    while IFS= read -r line; do
        [ "${line%%;*}" != "$line" ] || continue
        printf '%s\n' "${line%%;*}" >"$place/line.lisp"
        "$tinylisp" --threads 2 "$place/line.lisp" >"$place/out" 2>"$place/errors"
        [ $? = 1 ] || fail "the status is not 1: $line"
        grep -qF -- "${line#*;}" "$place/errors" || fail "another error: $line"
        ! grep -q 'objects are left' "$place/errors" || fail "a leak: $line"
    done <"$1"
}

for program; do
    case $program in
    *errors.lisp) refused "$program"; continue ;;
    esac
    (cd "$place" && "$tinylisp" --threads 4 "$program" >out 2>errors) || fail "$program: status $?"
    cmp "$place/out" "${program%.lisp}.out" || fail "$program: the output differs"
    [ ! -s "$place/errors" ] || fail "$program: something is wrong"
done
