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

# Reports go to files, one per process, so that a test which reads or drops the output of its child hides none.
mkdir "$temporary/reports"
export TSAN_OPTIONS="${TSAN_OPTIONS:-} log_path=$temporary/reports/process"

# Each takes many times longer here, and the sanitizer learns little from more.
export POWER_CUTS=${POWER_CUTS:-20}

# See the file: without it, whatever a contended Mutex protects is reported.
if [[ $(uname -s) == Linux ]]; then
    clang=$(dirname "$(readlink -f "$(command -v swift)")")/clang
    "$clang" -shared -fPIC -O1 -o "$temporary/tsan-mutex.so" Scripts/tsan-mutex.c -ldl
    export LD_PRELOAD=$temporary/tsan-mutex.so
fi

status=0
swift test --skip-build --disable-xctest --experimental-maximum-parallelization-width 4 "${settings[@]}" "$@" 2>&1 </dev/null | tee "$log" || status=$?

reports=$(find "$temporary/reports" -type f -exec cat {} +)
if [[ -n $reports ]]; then
    printf '%s\n' "$reports"
    echo "error: the thread sanitizer reported $(grep -c '^WARNING: ThreadSanitizer' <<<"$reports") times" >&2
    ((status != 0)) || status=1
fi
Scripts/test-summary.sh "$log" "$status"
exit "$status"
