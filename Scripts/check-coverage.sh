#!/usr/bin/env bash
# Every row of docs/coverage.md names tests, and each of them ran and passed in the given output of a whole test run.
#
#   Scripts/check-coverage.sh [LOG]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

log=${1:-var/test.log}
[[ -f $log ]] || {
    echo "error: $log does not exist; Scripts/test.sh writes it" >&2
    exit 1
}

awk -v cases=1 -f Scripts/test-results.awk "$log" | awk -v log_path="$log" '
    function complain(why) {
        printf "docs/coverage.md:%d: %s\n", FNR, why
        found = 1
    }

    # First the results of the tests.
    FILENAME == "-" {
        tab = index($0, "\t")
        name = substr($0, tab + 1)
        result = substr($0, 1, tab - 1)
        # Of several tests with one name, the worst counts.
        if (!(name in results) || results[name] == "passed") results[name] = result
        next
    }

    # Then the tables. The two lines that open each table are not rows.
    /^ *```/ { fenced = !fenced }
    fenced || !/^\|/ { line_of_table = 0; next }
    ++line_of_table <= 2 { next }
    {
        row = $0
        gsub(/\\\|/, "\001", row)
        cells = split(row, cell, "|")
        if (cells != 4) { complain("a row has two cells: what is promised, and the tests"); next }
        rows++
        if (cell[2] ~ /^ *$/) complain("the row does not say what is promised")
        rest = cell[3]
        named = 0
        while (match(rest, /`[^`]+`/)) {
            name = substr(rest, RSTART + 1, RLENGTH - 2)
            rest = substr(rest, RSTART + RLENGTH)
            gsub(/\001/, "|", name)
            named++
            if (!(name in results)) complain("no such test ran: " name)
            else if (results[name] != "passed") complain("the test did not pass (" results[name] "): " name)
        }
        if (!named) complain("the row names no test")
    }

    END {
        if (!rows) complain("the page has no rows")
        if (!found) printf "%d rows, every named test passed in %s\n", rows, log_path
        exit found
    }' - docs/coverage.md
