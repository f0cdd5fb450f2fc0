#!/bin/sh
# list_scenarios.sh - print each scenario id with the test functions that carry it; fail when one has none
# usage: list_scenarios.sh [PREFIX]: only ids that begin with it (in capitals or not): bias, LIFE-1, def_11
#
# Ids are the first words of the lines of scenarios.txt. A test carries an id when its function's name begins with it:
# cyc_08_reentered_restore carries cyc_08. Functions are found in the .c files beside this script.
dir=$(cd "$(dirname "$0")" && pwd) || exit 2
prefix=$(printf '%s' "$1" | tr 'A-Z-' 'a-z_')

awk -v prefix="$prefix" '
    FILENAME == ARGV[1] {
        if ($1 != "" && $1 !~ /^#/ && index($1, prefix) == 1)
            id[++ids] = $1
        next
    }
    /^[a-z]+_[0-9][0-9]+_[a-z0-9_]+\(void \*\*/ {
        name = substr($0, 1, index($0, "(") - 1)
        split(name, part, "_")
        key = part[1] "_" part[2]
        file = FILENAME
        sub(/.*\//, "", file)
        tests[key] = tests[key] "  " file ":" name
    }
    END {
        if (!ids) {
            print "no scenario begins with " prefix
            exit 1
        }
        for (i = 1; i <= ids; i++) {
            if (id[i] in tests) {
                print id[i] tests[id[i]]
            } else {
                print id[i] "  MISSING"
                missing++
            }
        }
        if (missing)
            print missing " of " ids " scenarios have no test"
        exit missing != 0
    }
' "$dir/scenarios.txt" "$dir"/*.c
