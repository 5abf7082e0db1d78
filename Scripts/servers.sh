# shellcheck shell=bash disable=SC2034
# Private servers on a free port of 127.0.0.1, for scripts that source this file. Such a script stops the processes that it
# adds to `processes`, the last one first, before it removes the folder that it gave.
processes=()

# stop_processes: those that use a server stand behind it, so that they have the time to give their jobs back.
stop_processes() {
    local index
    for ((index = ${#processes[@]} - 1; index >= 0; index--)); do
        kill -TERM "${processes[index]}" 2>/dev/null || continue
        wait "${processes[index]}" 2>/dev/null || true
    done
}

free_port() {
    local candidate tries
    for ((tries = 0; tries < 100; tries++)); do
        candidate=$((20000 + RANDOM))
        (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || { echo "$candidate" && return; }
    done
    echo "error: no free port on 127.0.0.1" >&2
    return 1
}

# start_postgres FOLDER [-c SETTING=VALUE]…: leaves its address in `postgres_url`.
start_postgres() {
    local folder=$1 port binaries as=() tries
    shift
    port=$(free_port)
    # Debian keeps the server's programs off the PATH.
    binaries=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -1) || true
    binaries=$(dirname "${binaries:-$(readlink -f "$(command -v initdb)")}")
    mkdir -p "$folder"
    # PostgreSQL refuses to run as root.
    if [[ $(id -u) -eq 0 ]]; then
        chown postgres "$folder"
        as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    fi
    (cd / && "${as[@]}" "$binaries/initdb" -D "$folder/data" -U errand --auth=trust --no-sync >"$folder/log" 2>&1)
    (cd / && exec "${as[@]}" "$binaries/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories="$folder" "$@" >>"$folder/log" 2>&1) &
    processes+=($!)
    postgres_url=postgres://errand@127.0.0.1:$port/postgres
    for ((tries = 0; tries < 300; tries++)); do
        "$binaries/pg_isready" -q -h 127.0.0.1 -p "$port" && return 0
        sleep 0.1
    done
    cat "$folder/log" >&2
    return 1
}

# start_redis FOLDER [--SETTING VALUE]…: leaves its address in `redis_url`.
start_redis() {
    local folder=$1 port server tries
    shift
    port=$(free_port)
    server=$(command -v redis-server || command -v valkey-server)
    mkdir -p "$folder"
    "$server" --bind 127.0.0.1 --port "$port" --dir "$folder" --appendonly yes --save '' "$@" >"$folder/log" 2>&1 &
    processes+=($!)
    redis_url=redis://127.0.0.1:$port
    for ((tries = 0; tries < 300; tries++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return 0
        sleep 0.1
    done
    cat "$folder/log" >&2
    return 1
}
