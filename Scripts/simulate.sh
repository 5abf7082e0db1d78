#!/usr/bin/env bash
# Simulates workers, clients and a store for SECONDS (120), on all processors, and checks that two processes agree.
#
#   Scripts/simulate.sh [SECONDS]           seeds from a random one on, which is printed
#   SIMULATION_BASE=N Scripts/simulate.sh   seeds from N on
#   SIMULATION_SEED=N Scripts/simulate.sh   only this one, shrunk and told when it breaks a promise
#
# CONFIGURATION=release builds for speed, in .build-release.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-120}
configuration=${CONFIGURATION:-debug}
build=(-c "$configuration")
# Tests look inside modules, which a release build forbids unless asked.
[[ $configuration == debug ]] || build+=(-Xswiftc -enable-testing --scratch-path .build-release)

swift build --build-tests "${build[@]}"

run() {
    swift test --skip-build --disable-xctest "${build[@]}" --filter SimulationTests.SimulationTests 2>&1 </dev/null
}

export SIMULATION_THREADS=${SIMULATION_THREADS:-$(getconf _NPROCESSORS_ONLN)}
if [[ -n ${SIMULATION_SEED:-} ]]; then
    run
    exit
fi

# The order of dictionaries differs from process to process; no decision may depend on it.
digest() { SIMULATION_SEED=7 run | sed -n 's/^seed 7: .*digest //p'; }
one=$(digest)
other=$(SWIFT_DETERMINISTIC_HASHING=1 digest)
if [[ -z $one || $one != "$other" ]]; then
    echo "error: seed 7 gives digest '$one' in one process and '$other' in another" >&2
    exit 1
fi
echo "simulation: two processes agree on seed 7 (digest $one)"

SIMULATION_SECONDS=$seconds run
