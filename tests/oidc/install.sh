#!/usr/bin/env bash
# Puts the OpenID provider that tests/it/oidc.rs signs in at into a cache folder, as package-lock.json has it, and prints
# that folder. Runs no script of any package. Does nothing, quickly, where it is there already; says so where it cannot be.
#
#   BONDED_OIDC_PACKAGES    the folder    (default: bonded/oidc in the user's cache folder)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${BONDED_OIDC_PACKAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/bonded/oidc}

for tool in node npm; do
    if ! command -v "$tool" >/dev/null; then
        echo "oidc: no \`$tool\` on the path (Debian: apt-get install nodejs npm); the tests that need a provider are left out" >&2
        exit 0
    fi
done
# The lock lies beside what it put there, and is written last.
if ! cmp -s "$here/package-lock.json" "$folder/installed.json"; then
    mkdir -p "$folder"
    cp "$here/package.json" "$here/package-lock.json" "$folder/"
    if ! npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error >&2; then
        echo "oidc: npm could not fetch the provider; the tests that need it are left out" >&2
        exit 0
    fi
    cp "$here/package-lock.json" "$folder/installed.json"
fi
echo "$folder"
