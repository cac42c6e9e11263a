#!/usr/bin/env bash
# Attacks the running front desk with tools that others wrote: schemathesis (every endpoint, every role, thousands of
# made-up requests), sqlmap (every parameter), testssl.sh (the TLS door). Says what it found and fails on any of it.
#
# Needs Python 3 with venv and the package registries; says so and ends well without them. SECURITY_CASES bounds the
# examples of an endpoint and role (default 30), SECURITY_SEED repeats a run, SECURITY_ROLES picks roles. Servers listen on 127.0.0.1 only.
set -euo pipefail
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$PWD/../../target}
bonded=${BONDED_BIN:-$target/debug/bonded}
tools=${BONDED_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/bonded/security}
cases=${SECURITY_CASES:-30}
seed=${SECURITY_SEED:-$(date +%s)}

python3 -c 'import venv' 2>/dev/null || { echo "skipped: Python 3 with venv is not installed"; exit 0; }
if [ ! -x "$tools/bin/schemathesis" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet -r requirements.txt || { echo "skipped: the package registry does not answer"; exit 0; }
fi

work=$(mktemp -d)
servers=()
cleanup() {
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

lake() { "$bonded" --lake "$work/lake" "$@"; }
lake demo >/dev/null

# A server, on a port of its own: `serve plain` without TLS for the tools that cannot do without, `serve tls` with it.
serve() {
    local plain=false
    [ "$1" = plain ] && plain=true
    BONDED_API_PLAIN=$plain BONDED_API_LISTEN=127.0.0.1:0 BONDED_MAIL_OUTBOX="$work/outbox" BONDED_DESK_ADDRESS_FREE=1000000 \
        "$bonded" --lake "$work/lake" serve --roles api,worker >"$work/$1.ready" 2>"$work/$1.log" &
    servers+=($!)
    for _ in $(seq 100); do [ -s "$work/$1.ready" ] && break; sleep 0.1; done
    python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["api"])' "$work/$1.ready"
}

serve plain >"$work/plain.url"
url=$(cat "$work/plain.url")
echo "seed $seed, $cases examples an endpoint and role"
tenant=$(lake --json tenant list | head -1 | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["tenant"])')
failed=0

for role in ${SECURITY_ROLES:-owner admin operator viewer nobody}; do
    headers=()
    if [ "$role" != nobody ]; then
        python3 people.py "$url" "$work/outbox" "$bonded" "$work/lake" "$tenant" "$role" >"$work/$role.headers"
        while IFS= read -r line; do headers+=(-H "$line"); done <"$work/$role.headers"
    fi
    echo "== schemathesis as $role"
    "$tools/bin/schemathesis" run "$url/openapi.json" --url "$url" "${headers[@]}" \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
        --exclude-path /v1/sign-out --max-examples "$cases" --seed "$seed" --phases examples,coverage,fuzzing \
        --request-timeout 60 --no-color >"$work/$role.report" 2>&1 || { failed=1; sed -n '/= FAILURES =/,/= SUMMARY =/p' "$work/$role.report"; }
    sed -n '/= SUMMARY =/,$p' "$work/$role.report"
done

echo "== sqlmap"
cookie=$(sed -n 's/^Cookie: //p' "$work/operator.headers")
csrf=$(sed -n 's/^x-csrf-token: //p' "$work/operator.headers")
for query in "deliveries?limit=1&cursor=MTIz" "findings?state=open&check=line_duty&limit=5" "deadlines?kind=protest&within=9" \
    "drift?limit=5&cursor=MTIz" "cape/1?today=2026-06-01" "findings/abc*"; do
    "$tools/bin/sqlmap" -u "$url/v1/$query" --cookie "$cookie" --headers "x-csrf-token: $csrf" --batch --level 2 --risk 1 \
        --output-dir "$work/sqlmap" --smart --timeout 30 --retries 0 --disable-coloring >"$work/sqlmap.log" 2>&1 || true
    if grep -qE 'is vulnerable|appears to be injectable|identified the following injection' "$work/sqlmap.log"; then
        echo "sqlmap found: $query"; grep -E 'injectable|vulnerable|Payload' "$work/sqlmap.log"; failed=1
    else
        echo "nothing: $query"
    fi
done

if command -v testssl >/dev/null; then
    echo "== testssl"
    serve tls >"$work/tls.url"
    address=$(sed 's|^https://||' "$work/tls.url")
    testssl --quiet --color 0 --warnings off --protocols --server-defaults --headers --vulnerable --severity MEDIUM \
        --jsonfile "$work/tls.json" "$address" >"$work/tls.report" 2>&1 || true
    # A made certificate is one that nobody trusts, by design; everything else of weight is a finding.
    python3 - "$work/tls.json" <<'PY' || failed=1
import json, sys
found = [f for f in json.load(open(sys.argv[1])) if f["severity"] in ("MEDIUM", "HIGH", "CRITICAL")]
ours = ("cert_trust", "cert_chain_of_trust", "cert_crlDistributionPoints", "cert_ocspURL", "cert_revocation", "DNS_CAArecord")
rest = [f for f in found if not f["id"].startswith(ours)]
for f in rest:
    print(f["severity"], f["id"], f["finding"])
print(f"testssl: {len(rest)} findings of MEDIUM and above")
sys.exit(1 if rest else 0)
PY
else
    echo "skipped: testssl.sh is not installed (Debian package testssl.sh)"
fi

if grep -lE 'panicked|api.panic' "$work"/*.log; then echo "a request fell over"; failed=1; fi
exit $failed
