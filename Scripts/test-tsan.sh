#!/usr/bin/env bash
# Builds and runs the tests under the thread sanitizer, in a build folder of its own. Any report fails the run,
# also one of a process that a test started.
#
#   Scripts/test-tsan.sh [--filter NAME …]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

Scripts/dependencies.sh test

settings=(--sanitize=thread --scratch-path .build-tsan)
swift build --build-tests "${settings[@]}"

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
log=$temporary/test.log

status=0
swift test --skip-build --disable-xctest "${settings[@]}" "$@" 2>&1 </dev/null | tee "$log" || status=$?

reports=$(grep -c 'WARNING: ThreadSanitizer' "$log" || true)
Scripts/test-summary.sh "$log" "$status"
if ((reports > 0)); then
    echo "error: the thread sanitizer reported $reports times; the first:" >&2
    grep -m 1 -A 40 'WARNING: ThreadSanitizer' "$log" >&2
    exit 1
fi
exit "$status"
