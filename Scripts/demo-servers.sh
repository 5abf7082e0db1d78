#!/usr/bin/env bash
# Runs the example on a private server, which it starts on a free port of 127.0.0.1 and stops again: one process that
# answers requests and two that work. What the server holds is gone at the end.
#
#   Scripts/demo-servers.sh postgres|redis
#   PORT=8081 Scripts/demo-servers.sh postgres
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

engine=${1:-}
if [[ $engine != postgres && $engine != redis ]]; then
    echo "error: name the engine: Scripts/demo-servers.sh postgres, or redis" >&2
    exit 1
fi
port=${PORT:-8080}
if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || ((port > 65535)); then
    echo "error: PORT is '$port'; a number from 1 to 65535 is needed" >&2
    exit 1
fi
if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    other=$((port < 65535 ? port + 1 : port - 1))
    echo "error: something already listens on port $port. Choose another one: PORT=$other make demo-$engine" >&2
    exit 1
fi

Scripts/dependencies.sh test
echo "building the example (the first time takes some minutes)"
swift build -c release --product signup
program=$(swift build -c release --product signup --show-bin-path)/signup

folder=$(mktemp -d "${TMPDIR:-/tmp}/errand-demo-XXXXXX")
processes=()

# The processes that use the server first, each with the time that it needs to give its jobs back.
stop() {
    local index
    for ((index = ${#processes[@]} - 1; index >= 0; index--)); do
        kill -TERM "${processes[index]}" 2>/dev/null || continue
        wait "${processes[index]}" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 0' INT TERM

free_port() {
    local candidate
    for ((tries = 0; tries < 100; tries++)); do
        candidate=$((20000 + RANDOM))
        (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || { echo "$candidate" && return; }
    done
    echo "error: no free port on 127.0.0.1" >&2
    return 1
}
server_port=$(free_port)

start_postgres() {
    local binaries as=() tries
    # Debian keeps the server's programs off the PATH.
    binaries=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -1) || true
    binaries=$(dirname "${binaries:-$(readlink -f "$(command -v initdb)")}")
    # PostgreSQL refuses to run as root.
    if [[ $(id -u) -eq 0 ]]; then
        chown postgres "$folder"
        as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    fi
    (cd / && "${as[@]}" "$binaries/initdb" -D "$folder/data" -U errand --auth=trust --no-sync >"$folder/log" 2>&1)
    (cd / && exec "${as[@]}" "$binaries/postgres" -D "$folder/data" -p "$server_port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories="$folder" >>"$folder/log" 2>&1) &
    processes+=($!)
    for ((tries = 0; tries < 300; tries++)); do
        "$binaries/pg_isready" -q -h 127.0.0.1 -p "$server_port" && return 0
        sleep 0.1
    done
    cat "$folder/log" >&2
    return 1
}

start_redis() {
    local server tries
    server=$(command -v redis-server || command -v valkey-server)
    "$server" --bind 127.0.0.1 --port "$server_port" --dir "$folder" --appendonly yes --save '' >"$folder/log" 2>&1 &
    processes+=($!)
    for ((tries = 0; tries < 300; tries++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$server_port") 2>/dev/null && return 0
        sleep 0.1
    done
    cat "$folder/log" >&2
    return 1
}

"start_$engine"
case $engine in
    postgres) export ERRAND_STORE=postgres://errand@127.0.0.1:$server_port/postgres ;;
    redis) export ERRAND_STORE=redis://127.0.0.1:$server_port ;;
esac

data=$PWD/var/demo-$engine
mkdir -p "$data"
export HOST=127.0.0.1 PORT=$port
export MAIL_FOLDER=${MAIL_FOLDER:-$data/mail} FILE_FOLDER=${FILE_FOLDER:-$data/files}
for _ in 1 2; do
    ROLE=worker "$program" &
    processes+=($!)
done
ROLE=web "$program" &
web=$!
processes+=("$web")
cat <<TEXT

One process answers at http://127.0.0.1:$port, two work; the jobs are in $ERRAND_STORE. Try, in another terminal:

  curl -i http://127.0.0.1:$port/register -H 'content-type: application/json' -d '{"name":"Ada","email":"ada@example.com"}'

Mails arrive in $MAIL_FOLDER. Ctrl-C stops everything, the private server too.

TEXT
wait "$web"
