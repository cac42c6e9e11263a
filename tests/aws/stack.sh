#!/usr/bin/env bash
# Deploys config/aws to an emulator of AWS on this machine and looks whether what came of it is what the templates say.
# Installs the emulator (pinned in stack-requirements.txt) the first time; without Python or the registry it says so and ends well.
#
#   BONDED_STACK_PACKAGES    where the emulator lies    (default: bonded/stacks in the user's cache folder)
set -euo pipefail
cd "$(dirname "$0")"
packages=${BONDED_STACK_PACKAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/bonded/stacks}/emulator

python3 -c 'import venv, ensurepip' 2>/dev/null || { echo "skipped: Python 3 with venv is not installed"; exit 0; }
if ! cmp -s stack-requirements.txt "$packages/installed.txt"; then
    rm -rf "$packages"
    mkdir -p "$packages"
    python3 -m venv "$packages"
    "$packages/bin/pip" install --quiet -r stack-requirements.txt || { echo "skipped: the package registry does not answer"; exit 0; }
    cp stack-requirements.txt "$packages/installed.txt"
fi

work=$(mktemp -d)
port=$("$packages/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# Loopback by its own setting; its listener for MQTT has none and would be on every address, so it is off.
env --chdir="$work" BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 GATEWAY_PORT="$port" MINISTACK_REGION=us-east-1 \
    "$packages/bin/ministack" >"$work/log" 2>&1 &
emulator=$!
trap 'kill "$emulator" 2>/dev/null || true; wait "$emulator" 2>/dev/null || true; rm -rf "$work"' EXIT

for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    kill -0 "$emulator" 2>/dev/null || break
    sleep 0.1
done
timeout 300 "$packages/bin/python" stack.py ministack "http://127.0.0.1:$port" || { tail -n 5 "$work/log"; exit 1; }
