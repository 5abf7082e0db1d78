#!/usr/bin/env bash
# Every check of the repository. All gates run, and the exit status tells whether any failed.
#
#   Scripts/check.sh            everything
#   Scripts/check.sh --fast     what needs no build
#   Scripts/check.sh GATE …     the named gates
#
# Gates, fast first: scripts format headers sources links snippets selftest | docs coverage
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

fast=(scripts format headers sources links snippets selftest)
slow=(docs coverage)

folders=()
for folder in Sources Tests Examples Benchmarks Snippets; do
    [[ -d $folder ]] && folders+=("$folder")
done

gate_scripts() {
    if ! command -v shellcheck >/dev/null; then
        echo "shellcheck is not installed (Scripts/dependencies.sh check installs it)"
        [[ ${CI:-} != true ]]
        return
    fi
    shellcheck Scripts/*.sh .ci/run
}

gate_format() {
    swift format lint --strict --recursive "${folders[@]}" Package.swift
}

gate_headers() {
    # Prints each file that lacks the header; Package.swift must open with its tools version instead.
    find "${folders[@]}" -name '.build*' -prune -o -name '*.swift' ! -name Package.swift -print | sort |
        while IFS= read -r file; do
            if [[ $(head -n 3 "$file") != $'// Errand: background work for Swift servers\n// SPDX-License-Identifier: Apache-2.0' ]]; then
                echo "$file:1: the file does not open with the two lines of the licence header and a blank line"
            fi
        done | report
}

gate_sources() { Scripts/check-sources.sh; }
gate_links() { Scripts/check-links.sh; }
gate_snippets() { Scripts/check-snippets.sh; }
gate_selftest() { Scripts/check-selftest.sh; }
gate_docs() { Scripts/check-docs.sh; }

# Runs the tests first when their last whole run is older than the code.
gate_coverage() {
    local log=${TEST_LOG:-var/test.log}
    if [[ ! -f $log ]] || [[ -n $(find "${folders[@]}" Package.swift -type f -newer "$log" -print -quit) ]]; then
        TEST_LOG=$log Scripts/test.sh || return 1
    fi
    Scripts/check-coverage.sh "$log"
}

# Passes its input on, and fails when there was any.
report() {
    local found
    found=$(cat)
    [[ -z $found ]] && return 0
    printf '%s\n' "$found"
    return 1
}

case ${1:-} in
    '') gates=("${fast[@]}" "${slow[@]}") ;;
    --fast) gates=("${fast[@]}") ;;
    *) gates=("$@") ;;
esac

failed=()
for gate in "${gates[@]}"; do
    if ! declare -F "gate_$gate" >/dev/null; then
        echo "error: unknown gate '$gate'; one of: ${fast[*]} ${slow[*]}" >&2
        exit 1
    fi
    echo "== $gate"
    "gate_$gate" || failed+=("$gate")
done

if ((${#failed[@]} > 0)); then
    echo "check: failed: ${failed[*]}" >&2
    exit 1
fi
echo "check: fine: ${gates[*]}"
