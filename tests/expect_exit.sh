#!/bin/sh
# SPDX-License-Identifier: MIT
# expect_exit.sh STATUS TEXT PROGRAM [ARGUMENTS]: the program must end with that status and have said that
status=$1 text=$2
shift 2
said=$("$@" 2>&1)
got=$?
printf '%s\n' "$said"
if [ "$got" -ne "$status" ]; then
    echo "expected exit status $status, got $got"
    exit 1
fi
case $said in
*"$text"*) ;;
*) echo "expected it to say: $text"
   exit 1 ;;
esac
