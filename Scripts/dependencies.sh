#!/usr/bin/env bash
# Installs the system libraries that this package needs, and nothing when nothing is missing.
#
#   Scripts/dependencies.sh demo|test|check
#
# demo and test need a Swift toolchain (never installed from here), what that needs of the system, and the headers of
# SQLite, zlib and PostgreSQL's client; test also starts servers of its own; check also uses shellcheck.
set -euo pipefail

fail() {
    echo "error: $*" >&2
    exit 1
}

[[ $# -eq 1 ]] || fail "usage: Scripts/dependencies.sh demo|test|check"
purpose=$1
case $purpose in
    demo | test | check) ;;
    *) fail "unknown purpose '$purpose'; one of: demo test check" ;;
esac

needs_swift=6.3

check_swift() {
    local printed version
    printed=$(swift --version 2>/dev/null || true)
    version=$(sed -nE 's/.*Swift version ([0-9]+\.[0-9]+).*/\1/p' <<<"$printed" | head -n 1)
    [[ -n $version ]] || fail "'swift --version' does not tell its version. Errand needs Swift $needs_swift or newer."
    if ((${version%%.*} < ${needs_swift%%.*} ||
        (${version%%.*} == ${needs_swift%%.*} && ${version#*.} < ${needs_swift#*.}))); then
        fail "this is Swift $version. Errand needs Swift $needs_swift or newer: https://www.swift.org/install"
    fi
}

# A program that includes the header and links the library: the only probe that asks what the build will ask.
#
#   links LANGUAGE LIBRARY HEADER EXPRESSION
links() {
    local compiler
    [[ $(uname -s) != Darwin ]] || return 0 # The SDK brings it.
    for compiler in clang cc gcc; do
        if command -v "$compiler" >/dev/null; then
            "$compiler" -x "$1" - -o /dev/null "-l$2" 2>/dev/null <<<"#include <$3>
int main(void) { return $4 == 0; }"
            return
        fi
    done
    command -v pkg-config >/dev/null && pkg-config --exists "$2"
}

has_sqlite() { links c sqlite3 sqlite3.h 'sqlite3_libversion_number()'; }
has_zlib() { links c z zlib.h 'zlibCompileFlags()'; }
# SwiftPM asks pkg-config where libpq's headers are.
# Homebrew keeps it out of the way, where SwiftPM finds it by the name of its package.
has_libpq() {
    command -v pkg-config >/dev/null && pkg-config --exists libpq ||
        compgen -G '/opt/homebrew/opt/libpq/lib/pkgconfig/libpq.pc' >/dev/null ||
        compgen -G '/usr/local/opt/libpq/lib/pkgconfig/libpq.pc' >/dev/null
}
has_postgres() {
    command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ||
        compgen -G '/opt/homebrew/opt/postgresql*/bin/initdb' >/dev/null
}
has_pgbouncer() { command -v pgbouncer >/dev/null || [[ -x /usr/sbin/pgbouncer ]]; }
has_psycopg() { /usr/bin/python3 -c 'import psycopg' 2>/dev/null || python3 -c 'import psycopg' 2>/dev/null; }
has_redis() { command -v redis-server >/dev/null || command -v valkey-server >/dev/null; }
has_cxx() { links c++ stdc++ string 'std::string("x").size()'; }

# Whether the toolchain's programs find their libraries; a toolchain that was only unpacked may not.
starts() { swift package --version >/dev/null 2>&1; }

# The packages are named as Debian names them; Homebrew has other names for some.
brew_name() {
    case $1 in
        libpq-dev) echo libpq ;;
        pkg-config) echo pkgconf ;;
        postgresql) echo postgresql@17 ;;
        redis-server) echo redis ;;
        python3-psycopg) echo psycopg ;;
        *) echo "$1" ;;
    esac
}

install_with_brew() {
    local -a names=()
    local package
    for package in "$@"; do names+=("$(brew_name "$package")"); done
    command -v brew >/dev/null ||
        fail "missing: ${names[*]}. Install Homebrew (https://brew.sh), then: brew install ${names[*]}"
    brew install "${names[@]}"
}

# Debian makes a database and starts every server that it installs. The tests start their own.
keep_servers_off() {
    local file=/etc/postgresql-common/createcluster.conf
    [[ -e $file ]] || printf 'create_main_cluster = false\n' | "$@" sh -c "mkdir -p ${file%/*} && cat >$file"
    file=/usr/sbin/policy-rc.d
    [[ -e $file ]] || printf '#!/bin/sh\nexit 101\n' | "$@" sh -c "cat >$file && chmod +x $file"
}

install_with_apt() {
    local line="apt-get update && apt-get install --yes --no-install-recommends $*"
    local -a as_root
    command -v apt-get >/dev/null || fail "missing: $* (Debian's names). Install them with this system's package manager."
    if [[ $(id -u) -eq 0 ]]; then
        as_root=(env)
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n env)
    elif command -v sudo >/dev/null && [[ -t 0 ]]; then
        as_root=(sudo env)
    else
        fail "missing: $*. As root, run: $line"
    fi
    echo "installing: $*"
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null ||
        fail "apt-get update failed. When it works again: $line"
    keep_servers_off "${as_root[@]}"
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@" </dev/null ||
        fail "apt-get install failed. By hand: $line"
}

command -v swift >/dev/null ||
    fail "no 'swift' on the PATH. Errand needs Swift $needs_swift or newer: https://www.swift.org/install"

missing=()
if [[ $purpose != check ]]; then
    # What swift.org lists for Debian and Ubuntu, by names that all releases have. Packages are fetched with git.
    if [[ $(uname -s) != Darwin ]]; then
        starts || missing+=(libcurl4-openssl-dev libncurses-dev libsqlite3-0 libxml2-dev)
        has_cxx || missing+=(g++)
        command -v git >/dev/null || missing+=(git)
        [[ -e /etc/ssl/certs/ca-certificates.crt || ! -e /etc/debian_version ]] || missing+=(ca-certificates)
    fi
    has_sqlite || missing+=(libsqlite3-dev)
    has_zlib || missing+=(zlib1g-dev)
    has_libpq || missing+=(libpq-dev pkg-config)
    if [[ $purpose == test ]]; then
        has_postgres || missing+=(postgresql)
        has_pgbouncer || missing+=(pgbouncer)
        has_psycopg || missing+=(python3-psycopg)
        has_redis || missing+=(redis-server)
        command -v openssl >/dev/null || missing+=(openssl)
    fi
elif ! command -v shellcheck >/dev/null; then
    missing+=(shellcheck)
fi

if ((${#missing[@]} > 0)); then
    case $(uname -s) in
        Darwin) install_with_brew "${missing[@]}" ;;
        *) install_with_apt "${missing[@]}" ;;
    esac
    # The install can succeed and still not help, for example with a second compiler that looks elsewhere.
    if [[ $purpose != check ]]; then
        has_sqlite || fail "libsqlite3-dev is installed, but a C program with <sqlite3.h> still does not compile and link."
        has_zlib || fail "zlib1g-dev is installed, but a C program with <zlib.h> still does not compile and link."
        has_libpq || fail "libpq-dev is installed, but pkg-config still does not find libpq."
    fi
fi
check_swift
