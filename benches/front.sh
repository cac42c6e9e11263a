#!/usr/bin/env bash
# How the front desk bears load: small reads, uploads, idle connections, a storm of sign-ins. One release binary, one
# machine, loopback; each figure stands beside a bare one of the same run, since the machine is shared.
#
#   cargo build --release --workspace --bins --locked && benches/front.sh
#
# Needs wrk, curl and Python 3 (Debian packages). FRONT_SECONDS (10) and FRONT_UPLOAD_MB (250) set the size.
set -euo pipefail
cd "$(dirname "$0")/.."
bonded=${BONDED_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/bonded}
seconds=${FRONT_SECONDS:-10}
upload_mb=${FRONT_UPLOAD_MB:-250}
command -v wrk >/dev/null || { echo "skipped: wrk is not installed (Debian package wrk)"; exit 0; }

work=$(mktemp -d)
trap 'kill "${server:-0}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
lake() { "$bonded" --lake "$work/lake" "$@"; }
lake demo >/dev/null
tenant=$(lake --json tenant list | head -1 | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["tenant"])')
BONDED_API_PLAIN=true BONDED_API_LISTEN=127.0.0.1:0 BONDED_MAIL_OUTBOX="$work/outbox" BONDED_DESK_ADDRESS_FREE=1000000 \
    "$bonded" --lake "$work/lake" serve --roles api >"$work/ready" 2>"$work/log" &
server=$!
for _ in $(seq 100); do [ -s "$work/ready" ] && break; sleep 0.1; done
url=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["api"])' "$work/ready")
python3 tests/security/people.py "$url" "$work/outbox" "$bonded" "$work/lake" "$tenant" operator >"$work/headers"
cookie=$(sed -n 's/^Cookie: //p' "$work/headers")
csrf=$(sed -n 's/^x-csrf-token: //p' "$work/headers")
memory() { awk '/^Vm(RSS|HWM)/ {printf "%s %d MiB  ", $1, $2 / 1024}' "/proc/$server/status"; echo; }
told() { awk '/50%|99%|Requests\/sec|Non-2xx|Socket errors/ {printf "%s %s  ", $1, $2} END {print ""}'; }
read_small() { wrk -t2 -c"$1" -d"${seconds}s" --latency -H "Cookie: $cookie" "$url/v1/deliveries?limit=10" | told; }

echo "memory at the start      $(memory)"
echo "bare answer, 16 at once  $(wrk -t2 -c16 -d"${seconds}s" --latency "$url/healthz" | told)"
echo "small read, 1 at a time  $(read_small 2)"
echo "small read, 16 at once   $(read_small 16)"

head -c "${upload_mb}M" /dev/urandom >"$work/file"
sync
begun=$(date +%s.%N)
dd if="$work/file" of="$work/copy" bs=1M conv=fsync status=none
copied=$(date +%s.%N)
curl -sS -o "$work/answer" -w 'upload: HTTP %{http_code}\n' -H "Cookie: $cookie" -H "x-csrf-token: $csrf" \
    -H 'content-type: application/octet-stream' -T "$work/file" -X POST "$url/v1/deliveries?file_name=load.bin"
uploaded=$(date +%s.%N)
python3 -c "
b, c, u, mb = $begun, $copied, $uploaded, $upload_mb
print(f'copy with fsync {mb / (c - b):.0f} MB/s, upload sealed and synced {mb / (u - c):.0f} MB/s')"
echo "memory after the upload  $(memory)"

python3 - "$url" <<'PY' &
import socket, sys, time
host, port = sys.argv[1].split("//")[1].split(":")
held = []
for _ in range(1000):
    s = socket.create_connection((host, int(port)))
    s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    s.recv(4096)
    held.append(s)
time.sleep(8)
PY
idle=$!
sleep 3
echo "1,000 idle connections   $(memory)"
wait $idle

cat >"$work/storm.lua" <<'LUA'
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
local n = 0
request = function()
  n = n + 1
  return wrk.format(nil, nil, nil, '{"email":"somebody' .. n .. '@nowhere.example","password":"not the right passphrase"}')
end
LUA
wrk -t1 -c64 -d"${seconds}s" --latency -s "$work/storm.lua" "$url/v1/sign-in" >"$work/storm" 2>&1 &
storm=$!
sleep 1
echo "small read in a storm    $(wrk -t1 -c4 -d"$((seconds - 3))s" --latency -H "Cookie: $cookie" "$url/v1/deliveries?limit=10" | told)"
wait $storm
echo "the storm of sign-ins    $(told <"$work/storm")"
echo "memory at the end        $(memory)"
