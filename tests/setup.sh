#!/usr/bin/env bash
# Gives a Debian machine with Rust what the tests need beyond it: a C compiler, PostgreSQL's server programs and a pooler
# before them, what refuses syncs (strace) and cuts the power (nbdkit over FUSE), what sends mail as others do (swaks); in a Python environment of its own, a mail
# server; and Node, on which a real OpenID provider runs.
# As root it installs what is missing; otherwise it names the packages. Does nothing, quickly, where all is there.
# It never starts a server: the catalog tests start a private PostgreSQL of their own and stop it.
set -euo pipefail

missing=()
command -v cc >/dev/null || missing+=(build-essential)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || missing+=(pgbouncer)
command -v strace >/dev/null || missing+=(strace)
command -v nbdkit >/dev/null || missing+=(nbdkit)
command -v nbdfuse >/dev/null || missing+=(libnbd-bin)
command -v fusermount3 >/dev/null || missing+=(fuse3)
command -v swaks >/dev/null || missing+=(swaks libnet-ssleay-perl)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)

# A mail server that keeps what it is sent, for the tests of letters. Without Python they say so and are left out.
venv="$HOME/.cache/bonded/venv"
mail_server() {
    "$venv/bin/python" -c 'import aiosmtpd' 2>/dev/null && return 0
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        echo "setup: Python 3 with venv is missing (Debian package python3-venv); tests that send mail are left out"
        return 0
    fi
    echo "setup: installing aiosmtpd into $venv"
    { python3 -m venv "$venv" && "$venv/bin/pip" install -q 'aiosmtpd==1.4.6'; } >/dev/null 2>&1 ||
        echo "setup: aiosmtpd could not be installed; tests that send mail are left out"
}
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
trap mail_server EXIT
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "setup: these Debian packages are missing: ${missing[*]}"
    echo "setup: as root, run: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    echo "setup: without postgresql, pgbouncer, strace, nbdkit, swaks or node the tests that need them say so and are left out; without a C compiler nothing builds"
    exit 0
fi

echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -y -qq --no-install-recommends)
quiet() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        echo "setup: \`$*\` failed; going on with what is there" >&2
        return 1
    fi
    rm -f "$log"
}
quiet apt-get update -qq || exit 0
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
    # Debian's package makes and starts a system-wide cluster; nobody here asked for one.
    quiet "${install[@]}" postgresql-common || exit 0
    settings=/etc/postgresql-common/createcluster.conf
    if [ -f "$settings" ]; then
        sed -i -E 's/^#?[[:space:]]*create_main_cluster[[:space:]]*=.*/create_main_cluster = false/' "$settings"
    fi
fi
quiet "${install[@]}" "${missing[@]}" || exit 0
