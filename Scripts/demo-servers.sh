#!/usr/bin/env bash
# Runs the example on a private server, which it starts on a free port of 127.0.0.1 and stops again: one process that
# answers requests and two that work. What the server holds is gone at the end.
#
#   Scripts/demo-servers.sh postgres|redis
#   PORT=8081 Scripts/demo-servers.sh postgres
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=Scripts/servers.sh
source Scripts/servers.sh

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
chmod 755 "$folder"
stop() {
    stop_processes
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 0' INT TERM

"start_$engine" "$folder/server"
case $engine in
    postgres) export ERRAND_STORE=$postgres_url ;;
    redis) export ERRAND_STORE=$redis_url ;;
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
