#!/usr/bin/env bash
# Puts the emulators that stand for AWS in tests into a cache folder, with the versions in localstack.txt and
# ministack.txt, and prints the folder. Does nothing, quickly, where they are there already; says so where they cannot be.
#
#   LocalStack   KMS (authenticated ciphers, contexts, key states) and S3 that asks KMS before each encrypted put and get
#   MiniStack    Glue with version ids, SQS, SNS, SES, Secrets Manager, Cognito; not for KMS, whose ciphers it does not check
#   Ceph RGW     a real S3 server, by Debian's packages: only with `install.sh ceph`, as root
#
#   BONDED_AWS_PACKAGES    the folder    (default: bonded/aws in the user's cache folder)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${BONDED_AWS_PACKAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/bonded/aws}

without() {
    echo "aws: $1; the tests that need $2 are left out" >&2
    exit 0
}

# The first interpreter that is new enough: LocalStack's sources want `warnings.deprecated`, which came with 3.13.
python() {
    local candidate
    for candidate in "${BONDED_AWS_PYTHON:-}" "$HOME"/.pyenv/versions/3.13*/bin/python python3.13 python3; do
        if [ -n "$candidate" ] && "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

# One environment a list of pins; the list lies beside what it put there, and is written last.
environment() {
    local name=$1 pins=$here/$1.txt
    cmp -s "$pins" "$folder/$name/installed.txt" && return 0
    local interpreter
    interpreter=$(python) || without "no Python of 3.13 or newer with venv (name one in BONDED_AWS_PYTHON)" "$name"
    rm -rf "${folder:?}/$name"
    mkdir -p "$folder"
    {
        "$interpreter" -m venv "$folder/$name"
        "$folder/$name/bin/pip" install -q uv==0.9.5 && install=("$folder/$name/bin/uv" pip install -q -p "$folder/$name/bin/python") ||
            install=("$folder/$name/bin/pip" install -q)
        "${install[@]}" --no-deps -r "$pins"
    } >&2 || without "the packages of $name could not be fetched" "$name"
    cp "$pins" "$folder/$name/installed.txt"
}

case ${1:-light} in
    light)
        environment localstack
        environment ministack
        ;;
    ceph)
        command -v radosgw >/dev/null && command -v ceph-osd >/dev/null && command -v ceph-mon >/dev/null && exit 0
        [ "$(id -u)" = 0 ] || without "as root, run: apt-get install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common" "Ceph"
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends ceph-mon ceph-osd radosgw ceph-common; } >&2 ||
            without "Debian's Ceph packages could not be installed" "Ceph"
        ;;
    *) echo "aws: install.sh [light|ceph]" >&2; exit 2 ;;
esac
echo "$folder"
