#!/usr/bin/env bash
# Builds the benchmarks as a server is built for deployment (release mode, Swift's libraries linked in) and measures:
# a table and a line of JSON for each figure, also kept in var/bench.txt. Needs a machine that does nothing else.
#
#   Scripts/bench.sh [--only drain] [--runs 9] [--quick]
#   Scripts/bench.sh soak [--jobs 10000000]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

Scripts/dependencies.sh demo
build=(swift build -c release --package-path Benchmarks)
# The system's own Swift is shared with everything else there.
[[ $(uname) == Darwin ]] || build+=(--static-swift-stdlib)
"${build[@]}"
program=$("${build[@]}" --show-bin-path)/Benchmarks
mkdir -p var
kept=var/bench.txt
[[ ${1:-} != soak ]] || kept=var/soak.txt
"$program" "$@" | tee "$kept"
