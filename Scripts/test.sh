#!/usr/bin/env bash
# Builds once, runs the tests, and closes with "N passed, N failed".
#
#   Scripts/test.sh [--filter NAME …]     arguments go to `swift test`
#
# A run that takes longer than TEST_MINUTES (30) is ended, and the tests that were under way are named.
# A run of every test leaves its output in TEST_LOG (var/test.log), where Scripts/check-coverage.sh looks for the names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

Scripts/dependencies.sh test

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
log=$temporary/test.log
touch "$temporary/started"

# An import that the manifest does not declare builds or fails by luck of the order; here it always fails.
swift build --build-tests --explicit-target-dependency-import-check error

minutes=${TEST_MINUTES:-30}
limited=()
# Not part of macOS. By the line: what was under way is known also when a run is ended.
if command -v timeout >/dev/null; then
    limited=(timeout --foreground --signal=INT --kill-after=30 "${minutes}m" stdbuf -oL)
fi

# Eight at a time: hundreds at once starve each other, and a time limit then says nothing about a test.
status=0
${limited[@]+"${limited[@]}"} swift test --skip-build --disable-xctest --experimental-maximum-parallelization-width 8 "$@" 2>&1 </dev/null |
    tee "$log" || status=$?
if ((status == 124 || status == 137)); then echo "error: the tests did not end within $minutes minutes" >&2; fi

if (($# == 0)); then
    kept=${TEST_LOG:-var/test.log}
    mkdir -p "$(dirname "$kept")"
    cp "$log" "$kept"
    # Dated at the start: code edited while the tests ran was not tested.
    touch -r "$temporary/started" "$kept"
fi

Scripts/test-summary.sh "$log" "$status"
exit "$status"
