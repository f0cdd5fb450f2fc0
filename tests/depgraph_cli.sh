#!/bin/sh
# SPDX-License-Identifier: MIT
# depgraph_cli.sh PROGRAM: depgraph's options, messages and exit statuses. Prints TAP; exits 1 when a case fails.
program=$1
data=$(dirname "$0")/data
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
number=0 failed=0

# result STATUS NAME
result() {
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        printf '%s\n' "$said" | sed 's/^/# /'
        failed=1
    fi
}

# expect STATUS TEXT NAME ARGUMENTS...: exits with that status and says the text
expect() {
    status=$1 text=$2 name=$3
    shift 3
    said=$("$program" "$@" 2>&1)
    got=$?
    case $said in
    *"$text"*) [ "$got" -eq "$status" ]; result $? "$name" ;;
    *) said="exit status $got, expected $status and: $text
$said"
       result 1 "$name" ;;
    esac
}

# malformed FILE LINE REASON
malformed() {
    expect 2 "depgraph: $1:$2: $3" "malformed: $3" --seconds 1 --input "$1"
}

good=$data/good.packages
expect 0 "usage: depgraph" "help" --help
expect 2 "usage: depgraph" "unknown option" --what 3
expect 2 "usage: depgraph" "option without a value" --seconds
expect 2 "usage: depgraph" "no threads" --threads 0
expect 2 "usage: depgraph" "half a thread" --threads 1.5
expect 2 "usage: depgraph" "too many threads" --threads 65
expect 2 "usage: depgraph" "seconds that are not a number" --seconds soon
expect 2 "usage: depgraph" "negative seed" --seed -1

expect 0 "8 packages, 12 edges, 3 dependency cycles" "reads a file" --seconds 0 --input "$good"
expect 0 "leaked=0 mismatched=0" "a run on a small graph" --seconds 0.5 --threads 3 --input "$good"
expect 0 "depgraph: ok" "more threads than sources, another spelling" --seconds=0.5 --threads=8 --seed=7 "--input=$good"

malformed "$data/no_colon.packages" 5 "no \`Field:\` and no continuation"
malformed "$data/no_package.packages" 4 "stanza without a Package field"
malformed "$data/nul.packages" 2 "NUL byte"
malformed "$data/bracket.packages" 3 "Depends: a bracket is not closed"
malformed "$data/empty_alternative.packages" 3 "Depends: an alternative is empty"
malformed "$data/continuation.packages" 1 "continuation line outside of a stanza"
malformed "$data/twice.packages" 2 "field given twice in a stanza"
malformed "$data/bad_name.packages" 1 "Package: bad package name"
malformed "$data/empty.packages" 0 "no packages"
malformed "$scratch/absent" 0 "cannot open"
malformed "$scratch" 1 "cannot read"

{ cat "$good"; printf '\nPackage: long\nDescription: '; head -c 1048576 /dev/zero | tr '\0' x; echo; } >"$scratch/long"
malformed "$scratch/long" 51 "line longer than 1048576 bytes"
{ printf 'Package: long\nDescription: '; head -c 1048563 /dev/zero | tr '\0' x; echo; } >"$scratch/just"
expect 0 "1 packages" "a line of just the longest length" --seconds 0 --input "$scratch/just"

if [ -x /usr/lib/apt/apt-helper ]; then
    gzip -c "$good" >"$scratch/good.gz"
    expect 0 "8 packages, 12 edges" "reads a compressed file" --seconds 0 --input "$scratch/good.gz"
    head -c 100 "$scratch/good.gz" >"$scratch/cut.gz" # which the helper does not mind
    expect 2 "ends within a line" "a compressed file that was cut" --seconds 1 --input "$scratch/cut.gz"
    if command -v xz >"$scratch/xz"; then
        xz -c "$good" | head -c 200 >"$scratch/cut.xz"
        expect 2 "decompression failed" "another" --seconds 1 --input "$scratch/cut.xz"
    fi
    echo junk >"$scratch/junk.xz"
    expect 2 "decompression failed" "a compressed file that is none" --seconds 1 --input "$scratch/junk.xz"
fi
malformed "$scratch/absent.lz4" 0 "cannot read"

# Ended early, it still audits.
"$program" --seconds 60 --threads 2 --input "$good" >"$scratch/said" 2>&1 &
child=$!
sleep 1
kill -INT $child
wait $child
got=$?
said=$(cat "$scratch/said")
case $got,$said in
0,*"depgraph: ok"*) result 0 "interrupted" ;;
*) result 1 "interrupted" ;;
esac

echo "1..$number"
exit $failed
