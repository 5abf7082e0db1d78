#!/usr/bin/env bash
# Every attack for a long time, one after the other. Seeds are printed and repeat what they found.
#
#   SOAK_SECONDS=3600 SOAK_JOBS=100000000 Scripts/soak.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${SOAK_SECONDS:-600}
stage() { echo "-- $* ($SECONDS s)"; }

Scripts/dependencies.sh test
swift build --build-tests --explicit-target-dependency-import-check error
attack() { swift test --skip-build --disable-xctest --no-parallel --filter "$1" </dev/null; }

stage simulation
Scripts/simulate.sh "$seconds"
stage "power cuts"
# About seven cuts at both durabilities take a second.
POWER_CUTS=$((seconds * 5)) attack PowerLossTests
stage starvation
STARVATION_SECONDS=60 attack StarvationTests
stage "two processes on one file"
CONTENTION_SECONDS=$((seconds < 300 ? seconds : 300)) attack SQLiteContentionTests
stage "chaos: three processes, killed and frozen"
CHAOS_JOBS=$((seconds * 500)) CHAOS_FAULTS=$((seconds * 2)) attack ChaosTests
stage "schedules: eight processes, calm, killed every second, one frozen"
SCHEDULE_SECONDS=$seconds SCHEDULE_PROCESSES=8 SCHEDULE_COUNT=200 attack ScheduleDrillTests
stage fuzzing
FUZZ_SECONDS=$((seconds < 960 ? seconds / 4 + 1 : 240)) attack FuzzTests
stage "memory over ${SOAK_JOBS:-10000000} jobs"
Scripts/bench.sh soak --jobs "${SOAK_JOBS:-10000000}"
stage "done"
