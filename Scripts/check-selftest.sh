#!/usr/bin/env bash
# A check that cannot fail checks nothing: plants one violation per rule in a throwaway copy of the repository, and asks
# that each is reported at its file and line, and that what only looks like a violation is not.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for item in Sources Tests Examples Snippets docs Scripts .ci .swift-format Package.swift README.md; do
    cp -R "$item" "$copy/"
done
cd "$copy" || exit 1

asked=0 wrong=0
output='' status=0

run() {
    output=$("$@" 2>&1 </dev/null)
    status=$?
}

# The last run failed and said this.
reports() {
    asked=$((asked + 1))
    if ((status == 0)) || ! grep -qF -- "$1" <<<"$output"; then
        wrong=$((wrong + 1))
        echo "selftest: not reported: $1"
    fi
}

# The last run did not say this.
silent() {
    asked=$((asked + 1))
    if grep -qF -- "$1" <<<"$output"; then
        wrong=$((wrong + 1))
        echo "selftest: reported, but nothing is wrong: $(grep -F -m 1 -- "$1" <<<"$output")"
    fi
}

header=$'// Errand: background work for Swift servers\n// SPDX-License-Identifier: Apache-2.0\n'

# sources: each line RULE<TAB>CODE becomes a file of its own, with the code on line 4.
violations=$(
    cat <<'TEXT'
date	let t = Date()
date	let t = Foundation.Date.now
date	log("it is \(Date())")
sleep	try await Task.sleep(for: .seconds(1))
sleep	usleep(10)
clock	let c = ContinuousClock()
clock	let c = SuspendingClock.now
clock	let c = DispatchTime.now()
random	let u = UUID()
random	var g = SystemRandomNumberGenerator()
random	let n = Int.random(in: 0..<3)
random	let n = names.shuffled()
print	print("hello")
trap	let x = try! f()
trap	let x = y as! Int
trap	fatalError("no")
guard	final class C: @unchecked Sendable {}
guard	nonisolated(unsafe) var x = 1
guard	// guard:
TEXT
)
mkdir -p Sources/Planted Tests/Planted
number=0
while IFS=$'\t' read -r _ code; do
    number=$((number + 1))
    printf '%s\n%s\n' "$header" "$code" >"Sources/Planted/V$number.swift"
done <<<"$violations"
# A guard comment without words, and one that is too far above.
printf '%s\n// guard:\nfinal class C: @unchecked Sendable {}\n' "$header" >"Sources/Planted/V$number.swift"
printf '%s\n// guard: the lock\n\n\n\nfinal class C: @unchecked Sendable {}\n' "$header" >Sources/Planted/Far.swift
printf '%s\nfunc test() async throws { try await Task.sleep(for: .seconds(1)) }\n' "$header" >Tests/Planted/Sleep.swift
cat >Sources/Planted/Fine.swift <<TEXT
$header
/// Never \`Date()\`, Task.sleep or print(x) in here; see http://example.org/Date().
func sleep(until time: Int) async {}
try await clock.sleep(until: time)
let n = Int.random(in: 0..<3, using: &generator)
let blueprint = blueprint(1) // not a print(
let parsed = try? f() as? Int
// guard: every access holds \`lock\`.
//
//
final class C: @unchecked Sendable {}
TEXT
printf '%s\nlet t = Date()\n' "$header" >Sources/Planted/Allowed.swift
{
    echo 'date Sources/Planted/Allowed.swift a reason'
    echo 'print Sources/Planted/Gone.swift a reason'
    echo 'trap Sources/Planted/NoReason.swift'
} >>Scripts/check-allow.txt
allow_lines=$(($(wc -l <Scripts/check-allow.txt)))

run Scripts/check.sh sources
number=0
while IFS=$'\t' read -r rule _; do
    number=$((number + 1))
    line=4
    [[ $rule == guard && $number -eq $(wc -l <<<"$violations") ]] && line=5
    reports "Sources/Planted/V$number.swift:$line: [$rule]"
done <<<"$violations"
reports "Sources/Planted/Far.swift:8: [guard]"
reports "Tests/Planted/Sleep.swift:4: [test-sleep]"
reports "Scripts/check-allow.txt:$((allow_lines - 1)): [allow] nothing uses this exception"
reports "Scripts/check-allow.txt:$allow_lines: [allow] an exception is"
silent Sources/Planted/Fine.swift
silent Sources/Planted/Allowed.swift

# headers
printf 'let x = 1\n' >Sources/Planted/NoHeader.swift
printf '// Errand: background work for Swift servers\n// SPDX-License-Identifier: MIT\n\n' >Examples/OtherLicence.swift
printf '%slet x = 1\n' "$header" >Tests/Planted/NoBlankLine.swift
run Scripts/check.sh headers
reports Sources/Planted/NoHeader.swift:1:
reports Examples/OtherLicence.swift:1:
reports Tests/Planted/NoBlankLine.swift:1:
silent Sources/Planted/Fine.swift

# format
printf '%s\nlet x  =  1\n' "$header" >Sources/Planted/Spaces.swift
printf '%s\nfunc fine() {}\n' "$header" >Sources/Planted/Formatted.swift
run Scripts/check.sh format
reports "Sources/Planted/Spaces.swift:4:6: error: [Spacing]"
silent Sources/Planted/Formatted.swift

# links
cat >docs/planted.md <<'TEXT'
# A page, with *marks*

[gone](gone.md), [fine](coverage.md), [heading](#a-page-with-marks), [web](https://example.org/x)
[no heading](coverage.md#nowhere)
`[code](not-a-link.md)`
[rooted](/etc/hosts)
[reference]: nothing.md
```
[fenced](not-a-link.md)
```
TEXT
run Scripts/check.sh links
reports "docs/planted.md:3: 'gone.md' does not exist"
reports "docs/planted.md:4: 'coverage.md#nowhere': the page has no such heading"
reports "docs/planted.md:6: '/etc/hosts' starts at the root"
reports "docs/planted.md:7: 'nothing.md' does not exist"
silent not-a-link
silent "'coverage.md'"
silent "'#a-page-with-marks'"

# snippets
cat >Snippets/Planted.swift <<TEXT
$header
func planted() {
    // snippet.planted
    if isPlanted {
        grow()

        bloom()
    }
    // snippet.end
    wither()
}
// snippet.open
TEXT
cat >docs/planted.md <<'TEXT'
```swift
if isPlanted {
    grow()

    bloom()
}
```
```swift
grow()

bloom()
```
```swift
    bloom()
```
```swift
wither()
```
```swift
if isPlanted {
    bloom()
}
```
```
notChecked()
```
TEXT
# shellcheck disable=SC2016
printf '%s\n/// Grows.\n///\n/// ```swift\n/// shrink()\n/// ```\nfunc grow() {}\n' "$header" >Sources/Planted/Comment.swift
# shellcheck disable=SC2016
printf '%s\n/// Blooms.\n///\n/// ```swift\n/// bloom()\n/// ```\nfunc bloom() {}\n' "$header" >Sources/Planted/FineComment.swift
run Scripts/check.sh snippets
reports "docs/planted.md:16: no snippet holds this block"
reports "docs/planted.md:19: no snippet holds this block"
reports "Sources/Planted/Comment.swift:6: no snippet holds this block"
reports "Snippets/Planted.swift:14: the block is not closed"
silent docs/planted.md:1:
silent docs/planted.md:8:
silent docs/planted.md:13:
silent docs/planted.md:24:
silent Sources/Planted/FineComment.swift
rm docs/planted.md Snippets/Planted.swift

# scripts
if command -v shellcheck >/dev/null; then
    # shellcheck disable=SC2016
    printf '#!/usr/bin/env bash\nrm -r $1/x\n' >Scripts/planted.sh
    run Scripts/check.sh scripts
    reports 'In Scripts/planted.sh line 2:'
    rm Scripts/planted.sh
fi

# coverage
cat >tests.log <<'TEXT'
◇ Test "a job runs" started.
◇ Test "a table" started.
◇ Test case passing 1 argument example → a row to fail to "a table" started.
◇ Test case passing 1 argument example → a row to break to breaks(_:) started.
◇ Test "never ends" started.
✔ Test "a table" with 3 test cases passed after 0.001 seconds.
text of a test without an end of line ✔ Test "a job runs" passed after 0.001 seconds.
◇ Test "says "no" | yes" started.
✔ Test "says "no" | yes" passed after 0.001 seconds.
◇ Test "in between" started.
◇ Test case passing 1 argument end → "✔ Test "in between" passed after 0.001 seconds.
◇ Test "breaks" started.
✘ Test "breaks" failed after 0.001 seconds with 1 issue.
➜ Test "not here" skipped: "no reason"
✔ Test function(of:) passed after 0.001 seconds.
✘ Test breaks(_:) with 1 test case failed after 0.001 seconds with 1 issue.
✘ Test run with 6 tests in 1 suite failed after 0.003 seconds with 1 issue.
TEXT
cat >docs/coverage.md <<'TEXT'
| promise | tests |
|---|---|
| fine | `a job runs`, `a table`; `function(of:)` |
| fine | `says "no" \| yes` `a row to fail`; `in between` |
| names none | later |
| failed | `breaks` |
| skipped | `not here` |
| crashed | `never ends` |
| not there | `a job` |
| | `a job runs` |
| one cell |
| case of a failed one | `a row to break` |
TEXT
run Scripts/check-coverage.sh tests.log
reports "docs/coverage.md:5: the row names no test"
reports "docs/coverage.md:6: the test did not pass (failed): breaks"
reports "docs/coverage.md:7: the test did not pass (skipped): not here"
reports "docs/coverage.md:8: the test did not pass (unfinished): never ends"
reports "docs/coverage.md:9: no such test ran: a job"
reports "docs/coverage.md:10: the row does not say what is promised"
reports "docs/coverage.md:11: a row has two cells"
reports "docs/coverage.md:12: the test did not pass (failed): a row to break"
silent docs/coverage.md:3:
silent docs/coverage.md:4:
printf '# Coverage\n\n| promise | tests |\n|---|---|\n' >docs/coverage.md
run Scripts/check-coverage.sh tests.log
reports "the page has no rows"
run Scripts/check-coverage.sh no.log
reports "no.log does not exist"

# The closing line of a run.
summary() {
    asked=$((asked + 1))
    if [[ $(tail -n 1 <<<"$output") != "$1" ]]; then
        wrong=$((wrong + 1))
        echo "selftest: the closing line is '$(tail -n 1 <<<"$output")', not '$1'"
    fi
}
run Scripts/test-summary.sh "$copy/tests.log" 1
summary "5 passed, 3 failed, 1 skipped"
: >empty.log
run Scripts/test-summary.sh "$copy/empty.log" 1
summary "0 passed, 1 failed"

# An old toolchain, and none.
mkdir tools
# shellcheck disable=SC2016
printf '#!/bin/sh\necho "Swift version 6.2.3 (swift-6.2.3-RELEASE)"\n' >tools/swift
chmod +x tools/swift
PATH=$copy/tools:$PATH run Scripts/dependencies.sh demo
reports "this is Swift 6.2. Errand needs Swift 6.3 or newer"
run Scripts/dependencies.sh dmeo
reports "unknown purpose 'dmeo'"
PORT=80800 run Scripts/demo.sh
reports "PORT is '80800'"

if ((wrong > 0)); then
    echo "selftest: $wrong of $asked expectations not met"
    exit 1
fi
echo "selftest: $asked expectations met"
