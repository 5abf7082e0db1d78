#!/usr/bin/env bash
# Relative links and their #headings in every Markdown file of the repository resolve.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# One line per link: FILE<TAB>LINE<TAB>TARGET. Code is not read.
links() {
    awk '
        FNR == 1 { fenced = 0 }
        /^ *(```|~~~)/ { fenced = !fenced }
        fenced { next }
        {
            gsub(/`[^`]*`/, "")
            rest = $0
            while (match(rest, /\]\([^()]*(\([^()]*\)[^()]*)*\)/)) {
                target = substr(rest, RSTART + 2, RLENGTH - 3)
                rest = substr(rest, RSTART + RLENGTH)
                sub(/^</, "", target)
                sub(/>?( +"[^"]*")?$/, "", target)
                printf "%s\t%d\t%s\n", FILENAME, FNR, target
            }
            if (match($0, /^ *\[[^]]+\]: +[^ ]+/)) {
                target = substr($0, RSTART, RLENGTH)
                sub(/^ *\[[^]]+\]: +/, "", target)
                printf "%s\t%d\t%s\n", FILENAME, FNR, target
            }
        }' "$@"
}

# The names that a web page of the file gives to its headings.
headings() {
    awk '
        /^ *(```|~~~)/ { fenced = !fenced }
        !fenced && /^#+ / {
            sub(/^#+ +/, "")
            sub(/ +#* *$/, "")
            gsub(/\[|\]\([^)]*\)/, "")
            heading = tolower($0)
            gsub(/[!-,.\/:-@\[-^`{-~]/, "", heading)
            gsub(/ /, "-", heading)
            print heading (seen[heading]++ ? "-" seen[heading] - 1 : "")
        }' "$1"
}

files=()
while IFS= read -r file; do
    files+=("$file")
done < <(find . \( -name '.build*' -o -name .git -o -path ./var \) -prune -o -name '*.md' -print | sed 's|^\./||' | sort)

broken=0
while IFS=$'\t' read -r file line target; do
    case $target in
        *://* | mailto:* | doc:* | '') continue ;;
        /*)
            echo "$file:$line: '$target' starts at the root of a disk; write it relative to this file"
            broken=1
            continue
            ;;
    esac
    path=${target%%#*}
    anchor=
    [[ $target != *'#'* ]] || anchor=${target#*#}
    path=${path//%20/ }
    if [[ -z $path ]]; then path=$file; else path=$(dirname "$file")/$path; fi
    if [[ ! -e $path ]]; then
        echo "$file:$line: '$target' does not exist"
        broken=1
    elif [[ -n $anchor && $path == *.md ]] && ! headings "$path" | grep -qxF -- "$anchor"; then
        echo "$file:$line: '$target': the page has no such heading"
        broken=1
    fi
done < <(((${#files[@]} == 0)) || links "${files[@]}")
exit "$broken"
