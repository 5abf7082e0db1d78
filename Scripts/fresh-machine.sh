#!/usr/bin/env bash
# For maintainers, not part of CI: does the README work on a machine that has nothing but Debian and a Swift toolchain?
# Makes a bare root file system with debootstrap, binds this machine's toolchain in, read-only, clones the repository
# into it, and runs the README's two commands as root and as an ordinary user with sudo. Run it as root.
#
#   Scripts/fresh-machine.sh [STEP …]
#
# Steps: port (make demo with the default port taken), packages (system libraries, swift package resolve),
# demo (make demo on another port, a registration), test (make test). Default: port demo test.
#
# Settings, in the environment:
#   FRESH_USERS      root and ordinary, or one of them
#   FRESH_SUITE      the release of Debian; bookworm
#   FRESH_MIRROR     where debootstrap gets it; http://deb.debian.org/debian
#   FRESH_BIND       paths of this machine that are bound in, read-only, separated by spaces
#   FRESH_COPY       SOURCE:TARGET, files that are copied in, for example a git configuration; separated by spaces
#   FRESH_SETTINGS   NAME=VALUE, environment of the commands, for example a proxy; separated by spaces
#   FRESH_FOLDER     where the file systems are made and kept; a temporary one that is removed at the end
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "error: $*" >&2
    exit 1
}

steps=("$@")
((${#steps[@]} > 0)) || steps=(port demo test)
for step in "${steps[@]}"; do
    case $step in
        port | packages | demo | test) ;;
        *) fail "unknown step '$step'; one of: port packages demo test" ;;
    esac
done
read -ra users <<<"${FRESH_USERS:-root ordinary}"
for user in "${users[@]}"; do
    [[ $user == root || $user == ordinary ]] || fail "unknown user '$user'; one of: root ordinary"
done
[[ $(uname -s) == Linux ]] || fail "this needs Linux"
[[ $(id -u) -eq 0 ]] || fail "only root can mount file systems; run this as root"
command -v perl >/dev/null || fail "perl is missing"
if ! command -v debootstrap >/dev/null; then
    command -v apt-get >/dev/null || fail "debootstrap is missing; install it with this system's package manager"
    apt-get update -qq && apt-get install -qq --yes --no-install-recommends debootstrap
fi
swift=$(command -v swift) || fail "no 'swift' on the PATH"
swift=$(readlink -f "$swift")
binaries=$(dirname "$swift")
toolchain=${binaries%/usr/bin}
[[ -n $toolchain && $toolchain != "$binaries" ]] ||
    fail "the toolchain is in $binaries, among other programs; unpack one into a folder of its own"

# Mounts are of this process alone, so that whatever happens they go with it.
if [[ ${FRESH_HAS_MOUNTS:-} != yes ]]; then
    FRESH_HAS_MOUNTS=yes exec unshare --mount "$0" "${steps[@]}"
fi

folder=${FRESH_FOLDER:-$(mktemp -d)}
base=$folder/base
root=
listener=

cleanup() {
    [[ -z $listener ]] || kill "$listener" 2>/dev/null || true
    release
    [[ -n ${FRESH_FOLDER:-} ]] || rm -rf --one-file-system "$folder"
}

# Everything that is mounted below the root; without it, its removal would reach into this machine.
release() {
    [[ -n $root ]] || return 0
    local mounted
    while read -r mounted; do
        umount --lazy "$mounted"
    done < <(awk -v root="$root/" 'index($5, root) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
}
trap cleanup EXIT

bind() { # PATH: the same path inside, read-only
    if [[ -d $1 ]]; then mkdir -p "$root$1"; else mkdir -p "$(dirname "$root$1")" && touch "$root$1"; fi
    mount --bind "$1" "$root$1"
    mount -o remount,bind,ro "$root$1"
}

# A machine of its own for each user: what one installs is not there for the other.
machine() {
    root=$folder/$1
    if [[ ! -e $root/etc/debian_version ]]; then
        cp -a "$base" "$root"
        chroot "$root" useradd --create-home --shell /bin/bash ada
        echo 'ada ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/ada"
    fi
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    bind "$toolchain"
    local item
    for item in ${FRESH_BIND:-}; do bind "$item"; done
    for item in ${FRESH_COPY:-}; do
        mkdir -p "$(dirname "$root${item#*:}")"
        cp "${item%%:*}" "$root${item#*:}"
    done
    if [[ $1 == root ]]; then home=/root account=root; else home=/home/ada account=ada; fi
    if [[ ! -d $root$home/errand ]]; then
        git clone --quiet "file://$PWD" "$root$home/errand"
        chroot "$root" chown -R "$account:$account" "$home/errand"
    fi
}

inside() { # COMMAND: in the clone, as the account, with the environment of a new login
    # Settings are split into words on purpose.
    # shellcheck disable=SC2086
    chroot --userspec="$account:$account" "$root" /usr/bin/env -i HOME="$home" USER="$account" LANG=C.UTF-8 TERM=dumb \
        PATH="$binaries:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" ${FRESH_SETTINGS:-} \
        bash -c "cd $home/errand && $1"
}

free_port() {
    perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1)->sockport'
}

step_port() {
    # Unless somebody listens there anyway.
    perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:8080", Listen => 5) or exit;
        while ($c = $s->accept) { close $c }' &
    listener=$!
    until (exec 3<>/dev/tcp/127.0.0.1/8080) 2>/dev/null; do sleep 0.1; done
    local output status=0
    output=$(inside 'make demo' 2>&1) || status=$?
    kill "$listener" 2>/dev/null || true
    listener=
    echo "$output"
    ((status != 0)) || fail "make demo succeeded although its port was taken"
    grep -q 'something already listens on port 8080. Choose another one: PORT=8081 make demo' <<<"$output" ||
        fail "make demo did not say that its port is taken"
    [[ ! -e $root$home/errand/.build ]] || fail "make demo built before it looked at its port"
}

step_packages() {
    inside 'Scripts/dependencies.sh test && swift package resolve'
}

step_demo() {
    local port answer job log=$folder/demo-$account.log
    port=$(free_port)
    inside "PORT=$port exec make demo" >"$log" 2>&1 &
    local demo=$!
    until grep -qs "^The service answers at http://127.0.0.1:$port" "$log"; do
        if ! kill -0 "$demo" 2>/dev/null; then
            cat "$log"
            fail "make demo ended"
        fi
        sleep 1
    done
    grep -vE '^\[[0-9]+/[0-9]+\]' "$log"
    answer=$(ask "$port" POST /register '{"name":"Ada","email":"ada@example.com"}')
    echo "$answer"
    job=$(sed -n 's/.*"welcome":"\([^"]*\)".*/\1/p' <<<"$answer")
    [[ -n $job ]] || fail "the registration was not answered with a job"
    for ((tries = 0; tries < 100; tries++)); do
        answer=$(ask "$port" GET "/jobs/$job")
        [[ $answer != *'"state":"succeeded"'* ]] || break
        sleep 0.1
    done
    echo "$answer"
    [[ $answer == *'"state":"succeeded"'* ]] || fail "the job did not succeed"
    # The service is what make started; a signal to its own process ends it in order.
    local service
    service=$(listening "$port")
    kill -TERM "$service"
    wait "$demo" || fail "make demo ended with status $?"
    tail -n 3 "$log"
}

ask() { # PORT METHOD PATH [BODY]
    local body=${4:-}
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
        "$2" "$3" "${#body}" "$body" >&3
    cat <&3
    exec 3>&-
}

listening() { # PORT: the process of the service in this root
    local process
    for process in /proc/[0-9]*; do
        if [[ $(readlink "$process/root" 2>/dev/null) == "$root" &&
            $(tr '\0' '\n' <"$process/environ" 2>/dev/null) == *"PORT=$1"* &&
            $(readlink "$process/exe" 2>/dev/null) == */signup ]]; then
            basename "$process"
            return
        fi
    done
    fail "no process of the service found"
}

step_test() {
    local log=$folder/test-$account.log
    inside 'make test' >"$log" 2>&1 || {
        tail -n 60 "$log"
        fail "make test failed; all of its output is in $log"
    }
    tail -n 3 "$log"
}

if [[ ! -e $base/etc/debian_version ]]; then
    echo "== debootstrap ${FRESH_SUITE:-bookworm}"
    mkdir -p "$folder"
    # What a person's machine has before the first command of the README: make, and sudo for whoever is not root.
    debootstrap --variant=minbase --include=make,sudo "${FRESH_SUITE:-bookworm}" "$base" \
        "${FRESH_MIRROR:-http://deb.debian.org/debian}" >"$folder/debootstrap.log" 2>&1 || {
        tail -n 20 "$folder/debootstrap.log"
        fail "debootstrap failed"
    }
fi
for user in "${users[@]}"; do
    for step in "${steps[@]}"; do
        machine "$user"
        echo "== $step as $user ($account)"
        started=$SECONDS
        "step_$step"
        echo "== $step as $user: fine, $((SECONDS - started)) s"
        release
    done
done
