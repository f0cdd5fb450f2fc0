#!/bin/bash
# SPDX-License-Identifier: MIT
#
# newcomer.sh ROOT PLACE: what README.md says under "Try it" and "Use it", typed line by line by root in a Debian 12 that has nothing but what
# mmdebstrap --variant=minbase gives; each line is timed, the table is PLACE/table.md.
#
# The address of the repository is a clone of what is committed. WANE_NOT_TYPED is a pattern of lines that are left out, and said so: what does
# not end by itself.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
root=$(realpath "$1") place=$(realpath -m "$2") not_typed=${WANE_NOT_TYPED:-^./dev serve}
# shellcheck source=tests/package/root.sh
. "$here/root.sh"

lines() {
    awk '/^## /{on = /Try it|Use it/} /^```/{code = on && /^```sh/; next} code' "$root/README.md" | sed 's/  *#.*//; /^$/d'
}

# All lines in one shell, because some change the directory.
# shellcheck disable=SC2016
typed() {
    local line
    printf 'set -e\ncd /root\n'
    while read -r line; do
        if [[ $line =~ $not_typed ]]; then
            printf 'echo %q >>/tmp/times\n' "- | \`$line\`"
            continue
        fi
        [[ $line != 'cc -o program '* ]] || printf "awk '/^\`\`\`c\$/{p=1; next} /^\`\`\`/{p=0} p' README.md >program.c\n"
        printf 'echo "\\$ "%q; began=$SECONDS\n' "$line"
        printf '%s\n' "${line//ADDRESS-OF-THIS-REPOSITORY//srv/wane.git}"
        printf 'echo "$((SECONDS - began)) | "%q >>/tmp/times\n' "\`$line\`"
    done < <(lines)
}

table() {
    printf '%s, %s processors, %s, commit %s:\n\n' "$(date -u +%F)" "$(nproc)" "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | sort -u)" \
        "$(git -C "$root" rev-parse --short HEAD)"
    printf '| seconds | typed |\n| ---: | --- |\n'
    sed 's/.*/| & |/' "$place/root/tmp/times"
}

mkdir -p "$place"
make_base "$place/base.tar" ''
rm -rf "$place/root" && mkdir "$place/root"
tar -x -f "$place/base.tar" -C "$place/root"
git clone -q --bare "$root" "$place/root/srv/wane.git"
typed >"$place/root/tmp/typed"
if ! in_root "$place/root" bash /tmp/typed >"$place/log" 2>&1; then
    tail -n 40 "$place/log"
    echo "FAILED: the last line that was typed"
    exit 1
fi
table | tee "$place/table.md"
rm -rf "$place/root"
