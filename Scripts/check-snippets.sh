#!/usr/bin/env bash
# Every fenced block of Swift in the documentation (README, docs, DocC catalogs, documentation comments) stands, line for
# line, between two markers of a file that the build compiles:
#
#   // snippet.NAME
#   …
#   // snippet.end
#
# in Snippets/, or in Tests/ when it is a test and can be run. Indentation that a whole block shares does not count.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

compiled=()
while IFS= read -r file; do compiled+=("$file"); done < <(
    find Snippets Tests -name '*.swift' -exec grep -l '// snippet\.' {} + | sort
)
documents=()
while IFS= read -r file; do documents+=("$file"); done < <(
    {
        find Sources \( -path '*.docc/*.md' -o -name '*.swift' \) -exec grep -l '```swift' {} +
        find docs README.md -name '*.md' -exec grep -l '```swift' {} +
    } | sort
)
if ((${#compiled[@]} == 0 || ${#documents[@]} == 0)); then
    echo "no marked snippets, or no documents with Swift in them: is this the root of the repository?"
    exit 1
fi

awk '
    # The lines without the indentation they share and without empty lines at either end.
    function dedented(text,    lines, count, first, last, least, lead, i, out) {
        count = split(text, lines, "\n")
        least = -1
        first = 0
        for (i = 1; i <= count; i++) {
            sub(/[ \t]+$/, "", lines[i])
            if (lines[i] == "") continue
            if (!first) first = i
            last = i
            match(lines[i], /^ */)
            lead = RLENGTH
            if (least < 0 || lead < least) least = lead
        }
        out = "\n"
        for (i = first; first && i <= last; i++) out = out substr(lines[i], least + 1) "\n"
        return out
    }
    FNR == 1 {
        if (inside) { print path ":" start ": the block is not closed"; broken = 1 }
        inside = 0
        path = FILENAME
        isCompiled = ++file <= compiled
        isComment = !isCompiled && path ~ /\.swift$/
    }
    isCompiled && /^ *\/\/ snippet\.end *$/ {
        if (!inside) { print path ":" FNR ": nothing was begun"; broken = 1 }
        inside = 0
        slices[++sliceCount] = dedented(text)
        next
    }
    isCompiled && /^ *\/\/ snippet\.[a-z-]+ *$/ {
        if (inside) { print path ":" FNR ": the snippet before has no end"; broken = 1 }
        inside = 1
        start = FNR
        text = ""
        next
    }
    isCompiled { if (inside) text = text $0 "\n"; next }
    {
        line = $0
        if (isComment) {
            if (line !~ /^ *\/\/\//) next
            sub(/^ *\/\/\/ ?/, "", line)
        }
        if (!inside && line ~ /^ *```swift *$/) { inside = 1; start = FNR; text = ""; next }
        if (inside && line ~ /^ *``` *$/) {
            inside = 0
            blocks++
            block = dedented(text)
            found = 0
            for (i = 1; i <= sliceCount && !found; i++) found = index(slices[i], block)
            # A single statement may stand indented in its snippet, a whole block too: compare without its depth.
            for (i = 1; i <= sliceCount && !found; i++) found = holds(slices[i], block)
            if (!found) { print path ":" start ": no snippet holds this block; add it to Snippets/"; broken = 1 }
            next
        }
        if (inside) text = text line "\n"
    }
    # Whether the lines of block stand in slice one after another, all moved right by the same number of spaces.
    function holds(slice, block,    have, want, m, n, i, j, shift, ok) {
        m = split(slice, have, "\n")
        n = split(block, want, "\n")
        for (i = 2; i + n - 3 < m; i++) {
            shift = index(have[i], want[2]) - 1
            if (shift < 1 || substr(have[i], 1, shift) !~ /^ +$/) continue
            ok = 1
            for (j = 2; j < n && ok; j++)
                ok = want[j] == "" ? have[i + j - 2] == "" : have[i + j - 2] == substr(have[i], 1, shift) want[j]
            if (ok) return 1
        }
        return 0
    }
    END {
        if (inside) { print path ":" start ": the block is not closed"; broken = 1 }
        exit broken
    }
' compiled="${#compiled[@]}" "${compiled[@]}" "${documents[@]}"
