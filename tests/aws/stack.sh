#!/usr/bin/env bash
# Deploys config/aws to emulators of AWS on this machine and looks whether what came of it is what the templates say.
# MiniStack (pinned in stack-requirements.txt) is installed the first time; without Python or the registry it says so and
# ends well. LocalStack, which keeps object lock where MiniStack forgets it, is used where install.sh put it.
#
#   BONDED_STACK_PACKAGES    where MiniStack lies     (default: bonded/stacks in the user's cache folder)
#   BONDED_AWS_PACKAGES      where LocalStack lies    (default: bonded/aws there)
set -euo pipefail
cd "$(dirname "$0")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/bonded
packages=${BONDED_STACK_PACKAGES:-$cache/stacks}/emulator
localstack=${BONDED_AWS_PACKAGES:-$cache/aws}/localstack/bin/python

python3 -c 'import venv, ensurepip' 2>/dev/null || { echo "skipped: Python 3 with venv is not installed"; exit 0; }
if ! cmp -s stack-requirements.txt "$packages/installed.txt"; then
    rm -rf "$packages"
    mkdir -p "$packages"
    python3 -m venv "$packages"
    "$packages/bin/pip" install --quiet -r stack-requirements.txt || { echo "skipped: the package registry does not answer"; exit 0; }
    cp stack-requirements.txt "$packages/installed.txt"
fi

work=$(mktemp -d)
emulator=
stop() {
    [ -z "$emulator" ] || kill "$emulator" 2>/dev/null || true
    wait 2>/dev/null || true
    emulator=
}
trap 'stop; rm -rf "$work"' EXIT

free_port() {
    "$packages/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Each on an empty folder, at a free port of loopback, and gone after its run.
run() {
    local kind=$1 port
    port=$(free_port)
    mkdir "$work/$kind"
    case $kind in
        ministack)
            # Its listener for MQTT heeds no BIND_HOST and would be on every address: off.
            env --chdir="$work/$kind" BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 GATEWAY_PORT="$port" MINISTACK_REGION=us-east-1 \
                "$packages/bin/ministack" >"$work/$kind.log" 2>&1 &
            ;;
        localstack)
            # Its usual server heeds no address either; hypercorn does.
            env --chdir="$work/$kind" GATEWAY_LISTEN="127.0.0.1:$port" GATEWAY_SERVER=hypercorn FILESYSTEM_ROOT="$work/$kind" \
                LOCALSTACK_VOLUME_DIR="$work/$kind" TMPDIR="$work/$kind" DNS_ADDRESS=0 USE_SSL=0 SKIP_SSL_CERT_DOWNLOAD=1 \
                DISABLE_EVENTS=1 PERSISTENCE=0 LOCALSTACK_ACKNOWLEDGE_ACCOUNT_REQUIREMENT=1 \
                "$localstack" -m localstack.runtime.main </dev/null >"$work/$kind.log" 2>&1 &
            ;;
    esac
    emulator=$!
    for _ in $(seq 600); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
        kill -0 "$emulator" 2>/dev/null || break
        sleep 0.1
    done
    local failed=0
    timeout 300 "$packages/bin/python" stack.py "$kind" "http://127.0.0.1:$port" || failed=1
    [ $failed = 0 ] || tail -n 5 "$work/$kind.log"
    stop
    return $failed
}

failed=0
run ministack || failed=1
if [ -x "$localstack" ]; then run localstack || failed=1; else echo "localstack is not installed: object lock is not tested"; fi
exit $failed
