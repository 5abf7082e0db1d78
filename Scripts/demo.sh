#!/usr/bin/env bash
# Builds and runs the example service on 127.0.0.1, with its data in var/demo.
#
#   PORT=8081 WEBHOOK_URL=http://127.0.0.1:9000/mail Scripts/demo.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

port=${PORT:-8080}
if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || ((port > 65535)); then
    echo "error: PORT is '$port'; a number from 1 to 65535 is needed" >&2
    exit 1
fi

# Before the build, which takes minutes: a taken port should be known now.
if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    other=$((port < 65535 ? port + 1 : port - 1))
    echo "error: something already listens on port $port. Choose another one: PORT=$other make demo" >&2
    exit 1
fi

Scripts/dependencies.sh demo
echo "building the example (the first time takes some minutes)"
swift build -c release --product signup
program=$(swift build -c release --product signup --show-bin-path)/signup

data=$PWD/var/demo
mkdir -p "$data"
export HOST=127.0.0.1 PORT=$port
export DATABASE=${DATABASE:-$data/signup.sqlite}
export MAIL_FOLDER=${MAIL_FOLDER:-$data/mail} FILE_FOLDER=${FILE_FOLDER:-$data/files}

answers() {
    local line=
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3
    read -r -t 2 line <&3
    [[ $line == HTTP/* ]]
}

# Waits for the service beside it, and gives up as soon as the service is gone.
invite() {
    local service=$1 tries
    for ((tries = 0; tries < 300; tries++)); do
        kill -0 "$service" 2>/dev/null || return 0
        if (answers) 2>/dev/null; then
            local base=http://127.0.0.1:$port json='content-type: application/json'
            cat <<TEXT

The service answers at $base and keeps its data in $data. Try, in another terminal:

  curl -i $base/register -H '$json' -d '{"name":"Ada","email":"ada@example.com"}'
  curl -i $base/register -H '$json' -d '{"name":"","email":"not an address"}'
  curl -s $base/jobs/ID          # ID: the job in the first answer
  curl -s $base/schedules        # what fires by itself, and when

Mails arrive in $MAIL_FOLDER. Ctrl-C stops the service; what it had promised is done when it starts again.

TEXT
            return 0
        fi
        sleep 0.2
    done
}

# The service takes this shell's place, so that Ctrl-C and SIGTERM reach it and its exit status is ours.
(invite $$ &)
exec "$program"
