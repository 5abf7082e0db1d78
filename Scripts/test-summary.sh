#!/usr/bin/env bash
# The closing line of a test run, counted from its output: "N passed, N failed" alone on a line.
#
#   Scripts/test-summary.sh LOG STATUS
#
# A test that started and never ended (a crash, a hang that was cut) counts as failed. A run that failed
# without a failed test (a crash at start) counts as one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

log=$1 status=$2

awk -f test-results.awk "$log" | awk -F '\t' -v status="$status" '
    { count[$1]++ }
    $1 == "failed" || $1 == "unfinished" { printf "%s: %s\n", $1, $2 }
    END {
        failed = count["failed"] + count["unfinished"]
        if (status != 0 && failed == 0) failed = 1
        closing = count["passed"] + 0 " passed, " failed " failed"
        if (count["skipped"]) closing = closing ", " count["skipped"] " skipped"
        print closing
    }'
