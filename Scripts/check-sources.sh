#!/usr/bin/env bash
# What must not stand in the code, line by line: time and chance that are not arguments, output, traps, unguarded state.
# The rules are in check-sources.awk, the exceptions in check-allow.txt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find Sources Tests -name '*.swift' -print | sort | xargs awk -f Scripts/check-sources.awk Scripts/check-allow.txt
