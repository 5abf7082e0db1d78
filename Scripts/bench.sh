#!/usr/bin/env bash
# Builds the benchmarks as a server is built for deployment (release mode, Swift's libraries linked in) and measures:
# a table and a line of JSON for each figure, also kept in var/bench.txt. Needs a machine that does nothing else.
#
#   Scripts/bench.sh [--engine sqlite|postgres|redis] [--only drain] [--runs 9] [--quick] [--snapshot-seconds 600]
#   Scripts/bench.sh soak [--jobs 10000000]
#
# PostgreSQL and Redis are private servers, started on a free port of 127.0.0.1 and stopped again; --postgres URL and
# --redis URL measure others. PostgreSQL keeps its own durability (synchronous_commit and fsync on) and gets memory and
# write-ahead log enough for a million jobs; Redis writes its append-only file and flushes it once a second; the
# benchmark has it rewritten between two measurements, not during one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=Scripts/servers.sh
source Scripts/servers.sh

engine='' purpose=test own=()
for ((place = 1; place <= $#; place++)); do
    next=$((place + 1))
    case ${!place} in
        soak) engine=sqlite ;;
        --engine) engine=${!next:-} ;;
        --engine=*) engine=${!place#*=} ;;
        --postgres | --postgres=*) own+=(postgres) ;;
        --redis | --redis=*) own+=(redis) ;;
    esac
done
[[ $engine != sqlite ]] || purpose=demo

Scripts/dependencies.sh "$purpose"
build=(swift build -c release --package-path Benchmarks)
# The system's own Swift is shared with everything else there.
[[ $(uname) == Darwin ]] || build+=(--static-swift-stdlib)
"${build[@]}"
program=$("${build[@]}" --show-bin-path)/Benchmarks

folder=$(mktemp -d "${TMPDIR:-/tmp}/errand-bench-XXXXXX")
chmod 755 "$folder"
stop() {
    stop_processes
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

# needs ENGINE: whether a private server of it is to be started.
needs() { [[ -z $engine || $engine == "$1" ]] && [[ " ${own[*]:-} " != *" $1 "* ]]; }

servers=()
if needs postgres; then
    start_postgres "$folder/postgres" -c shared_buffers=512MB -c max_wal_size=4GB
    servers+=(--postgres "$postgres_url")
fi
if needs redis; then
    start_redis "$folder/redis" --appendfsync everysec --auto-aof-rewrite-percentage 0
    servers+=(--redis "$redis_url")
fi

mkdir -p var
kept=var/bench.txt
[[ ${1:-} != soak ]] || kept=var/soak.txt
"$program" "$@" ${servers[@]+"${servers[@]}"} | tee "$kept"
