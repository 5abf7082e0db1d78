#!/usr/bin/env bash
# Builds the benchmarks in release mode and measures: a table and a line of JSON for each figure, also kept in
# var/bench.txt. Needs a machine that does nothing else.
#
#   Scripts/bench.sh [--only drain] [--runs 9] [--quick]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

Scripts/dependencies.sh demo
swift build -c release --package-path Benchmarks
program=$(swift build -c release --package-path Benchmarks --show-bin-path)/Benchmarks
mkdir -p var
"$program" "$@" | tee var/bench.txt
