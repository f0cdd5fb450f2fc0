#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# run.sh [--part K] [MODEL.pml ...] - check the models beside this script with SPIN (or those named), and print a table
# run.sh MODEL.pml:VARIANT ...      - check these broken variants only
# run.sh MODEL.pml+NAME=N,...       - check the right protocol with these bounds
#
# --part K: of the broken variants only every K-th, another part each day; compiling them takes most of the time.
#
# The right protocol must pass, in its whole state space. Each broken variant must fail. A model's head comment says
#   VARIANTS: NAME ...       broken variants, each selected by -DNAME (several such lines are one list)
#   LARGER: NAME=N,... ...    optional: larger bounds, for long runs (tools/soak.py)
#   LIMITS: -mDEPTH -D...    optional: the search depth; options for compiling the verifier
#   ENDS: checked            optional: a process that does not reach its end is an error, too
# Each line is also left in a file of its own under $WANE_MODEL_RESULTS, if that is set (tools/evidence.py).
# Exit status: 0; 1: something came out wrong; 77: there is no spin here.
set -u
here=$(cd "$(dirname "$0")" && pwd)
command -v spin >/dev/null && command -v gcc >/dev/null || { echo "needs spin and gcc"; exit 77; }
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
start=$PWD wrong=0

# key FILE KEY: what the head comment says under the key
key() { sed -n "1,/\*\//s/^ \* $2: *//p" "$1" | tr '\n' ' '; }

# check FILE VARIANT [BOUNDS]: one line of the table; VARIANT is "" for the right protocol
check() {
    local file=$1 variant=$2 depth=-m100000 ends=-E optimise=-O1 build=() word errors states verdict=WRONG began=$SECONDS
    local bounds=()
    [ -z "${3:-}" ] || read -ra bounds <<<"-D${3//,/ -D}"
    for word in $(key "$file" LIMITS); do
        case $word in -m*) depth=$word ;; *) build+=("$word") ;; esac
    done
    [ "$(key "$file" ENDS)" = "checked " ] && ends=
    [ -n "$variant" ] && optimise=-O0 # it fails soon: compiling would take longer than running does
    rm -rf "$work/run" && mkdir "$work/run" && cd "$work/run" || exit 1
    if spin -a ${variant:+"-D$variant"} "${bounds[@]}" "$file" >log 2>&1 &&
        gcc $optimise -w -DSAFETY -DCOLLAPSE "${build[@]}" -o pan pan.c >>log 2>&1; then
        ./pan $ends "$depth" >>log 2>&1
    fi
    errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' log)
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' log)
    if [ -n "$variant" ]; then
        [ "${errors:-0}" -gt 0 ] && verdict=fails
    else
        [ "${errors:-1}" = 0 ] && ! grep -Eq 'too small|not completed|out of memory|aborted' log && verdict=passes
    fi
    printf '%-10s %-24s %-7s %12s states %4d s\n' "$(basename "$file" .pml)" "${variant:-${3:--}}" "$verdict" "${states:-?}" \
        $((SECONDS - began))
    [ -z "${WANE_MODEL_RESULTS:-}" ] ||
        echo "$(date -u +%Y-%m-%dT%H:%M:%S+00:00) $verdict ${states:-?} $((SECONDS - began))" \
            >"$WANE_MODEL_RESULTS/$(basename "$file" .pml).${variant:-${3:--}}"
    if [ $verdict = WRONG ]; then
        wrong=1
        tail -n 30 log
    fi
}

part=1
if [ "${1:-}" = --part ]; then part=$2; shift 2; fi
turn=$(($(date +%j | sed 's/^0*//') % part))
[ $# -gt 0 ] || set -- "$here"/*.pml
[ -z "${WANE_MODEL_RESULTS:-}" ] || mkdir -p "$WANE_MODEL_RESULTS"
for file; do
    cd "$start" || exit 1
    variant='' bounds=''
    case $file in
    *.pml:*) variant=${file##*:} file=${file%:*} ;;
    *.pml+*) bounds=${file##*+} file=${file%+*} ;;
    esac
    file=$(cd "$(dirname "$file")" && pwd)/$(basename "$file")
    check "$file" "$variant" "$bounds"
    [ -z "$variant$bounds" ] || continue
    for variant in $(key "$file" VARIANTS); do
        [ $turn != 0 ] || check "$file" "$variant"
        turn=$(((turn + 1) % part))
    done
done
exit $wrong
