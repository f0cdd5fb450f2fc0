#!/bin/sh
# SPDX-License-Identifier: MIT
# insert.sh TABLE DOCUMENT: put what was measured between the marks in a document
set -eu
sed -i -e '/^<!-- measured: begin -->$/,/^<!-- measured: end -->$/{/^<!-- /!d}' -e "/^<!-- measured: begin -->$/r $1" "$2"
