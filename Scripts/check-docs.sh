#!/usr/bin/env bash
# Builds the documentation of every library with warnings as errors, which finds dead links to symbols and pages, and
# looks for public symbols that have none. Needs the toolchain and perl. A link to another module's symbol is written ``/ErrandCore/JobState``.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Lower modules first: a page of Errand may link to ErrandCore, not the other way round.
modules=(ErrandCore Errand ErrandSQLite ErrandPostgres RedisWire ErrandRedis ErrandHummingbird ErrandTesting)

for catalog in Sources/*/*.docc; do
    [[ -d $catalog ]] || continue
    module=$(basename "$(dirname "$catalog")")
    if [[ " ${modules[*]} " != *" $module "* ]]; then
        echo "$catalog: add $module to the list in Scripts/check-docs.sh" >&2
        exit 1
    fi
done

docc=$(command -v docc || xcrun --find docc 2>/dev/null) || {
    echo "error: the toolchain's 'docc' is not on the PATH" >&2
    exit 1
}

output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT

if ! swift package dump-symbol-graph --skip-synthesized-members >"$output/log" 2>&1; then
    cat "$output/log"
    exit 1
fi
graphs=$(sed -n 's/^Files written to //p' "$output/log")

failed=0
links=()
for module in "${modules[@]}"; do
    # Only the module's own graphs: with another module's beside them, they would count as its pages.
    mkdir "$output/$module"
    cp "$graphs/$module.symbols.json" "$output/$module/"
    for extension in "$graphs/$module@"*.symbols.json; do
        [[ ! -e $extension ]] || cp "$extension" "$output/$module/"
    done
    Scripts/check-undocumented.pl "$output/$module"/*.symbols.json || failed=1
    catalog=()
    [[ ! -d Sources/$module/$module.docc ]] || catalog=("Sources/$module/$module.docc")

    "$docc" convert ${catalog[@]+"${catalog[@]}"} ${links[@]+"${links[@]}"} \
        --additional-symbol-graph-dir "$output/$module" --output-path "$output/$module.doccarchive" \
        --fallback-display-name "$module" --fallback-bundle-identifier "$module" \
        --enable-experimental-external-link-support >"$output/log" 2>&1 || failed=1
    # Not --warnings-as-errors: it would leave no archive, and the modules above would report every link to this one.
    if grep -qE '(^|: )(warning|error): ' "$output/log"; then
        echo "$module:"
        cat "$output/log"
        failed=1
    fi
    [[ ! -d $output/$module.doccarchive ]] || links+=(--dependency "$output/$module.doccarchive")
done
exit "$failed"
