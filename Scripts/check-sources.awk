# Called with check-allow.txt first, then the Swift files. Prints FILE:LINE: [RULE] why, and exits 1 if it printed anything.

function allow(    words) {
    if ($0 ~ /^[ \t]*(#|$)/) return
    if (split($0, words, " ") < 3) {
        complain(FILENAME, FNR, "allow", "an exception is: RULE PATH REASON")
        return
    }
    allowed[words[1] " " words[2]] = FNR
}

function complain(file, line, rule, why) {
    printf "%s:%d: [%s] %s\n", file, line, rule, why
    found = 1
}

function forbid(rule, why) {
    if ((rule " " FILENAME) in allowed) used[rule " " FILENAME] = 1
    else complain(FILENAME, FNR, rule, why)
}

# The line without its comment. A comment starts the line or follows a space, so that "http://" is not one.
function code_in(line) {
    if (line ~ /^[ \t]*\/\//) return ""
    if (match(line, /[ \t]\/\//)) return substr(line, 1, RSTART - 1)
    return line
}

function is_guard(line) { return line ~ /\/\/ guard: *[^ ]/ }

FNR == 1 {
    files++
    above[1] = above[2] = above[3] = ""
}

files == 1 { allow(); next }

{
    code = code_in($0)
    # A space on both sides lets every pattern ask for "not part of a longer word".
    text = " " code " "
    # A declaration is not a call.
    gsub(/func +[a-z]+[(]/, "func (", text)
}

FILENAME ~ /^Sources\// {
    if (text ~ /[^A-Za-z0-9_](Date\(\)|Date\.now|Date\(timeIntervalSinceNow)/)
        forbid("date", "the time of day comes from an ErrandClock")
    if (text ~ /(Task|Thread)\.sleep|[^A-Za-z0-9_.](sleep|usleep|nanosleep)\(/)
        forbid("sleep", "waiting goes through an ErrandClock")
    if (text ~ /(Continuous|Suspending)Clock(\(\)|\.now)|DispatchTime\.now|NIODeadline\.now|clock_gettime\(|gettimeofday\(/)
        forbid("clock", "elapsed time comes from an ErrandClock")
    if (text ~ /[^A-Za-z0-9_]UUID\(\)|SystemRandomNumberGenerator|arc4random/)
        forbid("random", "chance comes from a generator that the caller gives")
    else if (text ~ /\.(random|randomElement|shuffled|shuffle)\(/ && text !~ /using:/)
        forbid("random", "chance comes from a generator that the caller gives (using:)")
    if (text ~ /[^A-Za-z0-9_.](print|debugPrint|NSLog)\(/)
        forbid("print", "a library speaks through its logger")
    if (text ~ /[^A-Za-z0-9_]try!/)
        forbid("trap", "try! ends the process")
    if (text ~ /[^A-Za-z0-9_]as!/)
        forbid("trap", "as! ends the process")
    if (text ~ /[^A-Za-z0-9_]fatalError\(/)
        forbid("trap", "fatalError ends the process")
    if (text ~ /@unchecked +Sendable|nonisolated\(unsafe\)/ \
        && !is_guard($0) && !is_guard(above[1]) && !is_guard(above[2]) && !is_guard(above[3]))
        forbid("guard", "no '// guard: …' here or in the three lines above that names what protects this")
}

FILENAME ~ /^Tests\// {
    if (text ~ /(Task|Thread)\.sleep|[^A-Za-z0-9_.](sleep|usleep|nanosleep)\(|(Continuous|Suspending)Clock\(\)\.sleep/)
        forbid("test-sleep", "a test waits for a signal or moves a ManualClock")
}

{
    above[3] = above[2]
    above[2] = above[1]
    above[1] = $0
}

END {
    for (entry in allowed) {
        if (!(entry in used))
            complain("Scripts/check-allow.txt", allowed[entry], "allow", "nothing uses this exception: " entry)
    }
    exit found
}
