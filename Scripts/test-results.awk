# Reads the output of `swift test` (Swift Testing) and prints one line per test: RESULT<TAB>NAME, where RESULT is
# passed, failed, skipped or unfinished, and NAME is the sentence of @Test("…") or, without one, the function.
# With -v cases=1 also one line per case of a test that runs over one list: the case as it describes itself. The run
# does not print how a case ended, so each has the result of its test.
#
# A mark stands before "Test", and the output of the tests themselves may stand before the mark.

function name_in(line) {
    sub(/ with [0-9]+ test cases?$/, "", line)
    if (line ~ /^".*"$/) {
        line = substr(line, 2, length(line) - 2)
        gsub(/\\"/, "\"", line)
    }
    return line
}

function close_test(line, result) {
    line = name_in(line)
    report(result, line)
    open[line]--
}

function report(result, test,    i) {
    printf "%s\t%s\n", result, test
    for (i = 1; i <= count[test]; i++) printf "%s\t%s\n", result, of[test, i]
    count[test] = 0
}

# "case passing 1 argument NAME → CASE to TEST started."; the test comes last and may be a sentence with "to" in it.
function open_case(line,    test) {
    sub(/ started\.$/, "", line)
    if (!sub(/^case passing 1 argument [^ ]+ → /, "", line)) return
    if (match(line, / to "[^"]*"$/) || match(line, / to [^ ]+\)$/)) {
        test = name_in(substr(line, RSTART + 4))
        of[test, ++count[test]] = substr(line, 1, RSTART - 1)
    }
}

{
    sub(/\r$/, "")
    start = match($0, /(^|[^ -~] +)Test ("|[A-Za-z_`])/)
    if (!start) next
    text = substr($0, RSTART)
    sub(/^[^T]*Test /, "", text)
    # Two threads print: the line of a case may break off where that of another test begins.
    while (text ~ /^case / && match(text, /[^ -~] +Test ("|[A-Za-z_`])/)) {
        text = substr(text, RSTART)
        sub(/^[^T]*Test /, "", text)
    }
    if (cases && text ~ /^case passing 1 argument .* started\.$/) open_case(text)
    if (text ~ /^(run|case|passing|Suite) /) next
}

text ~ / started\.$/ {
    sub(/ started\.$/, "", text)
    open[name_in(text)]++
    next
}

text ~ / (passed|failed|was cancelled) after [0-9.]+ seconds( with [0-9]+ [^"]*)?(\.|: ".*")$/ {
    match(text, / (passed|failed|was cancelled) after [0-9.]+ seconds( with [0-9]+ [^"]*)?(\.|: ".*")$/)
    ending = substr(text, RSTART)
    close_test(substr(text, 1, RSTART - 1), ending ~ /^ passed/ ? "passed" : ending ~ /^ failed/ ? "failed" : "skipped")
    next
}

text ~ /^("[^\t]*"|[^ "]+\(.*\)) skipped(\.|: ".*")?$/ {
    sub(/ skipped(\.|: ".*")?$/, "", text)
    close_test(text, "skipped")
}

END {
    for (name in open) {
        for (; open[name] > 0; open[name]--) report("unfinished", name)
    }
}
