#!/usr/bin/env bash
# Asks Apache Iceberg's own Java code to read a demo lake, and compares every row, cell and sum with bonded's SQL.
# Says so and ends well where Java or Maven is missing, or where Maven can fetch nothing; fails on any difference.
#
#   BONDED_BIN     the binary under test      (default: the debug binary of the target folder)
#   MAVEN_FLAGS    more flags for Maven       (for example `-o`: never use the network)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
binary=${BONDED_BIN:-$target/debug/bonded}
build=$target/interop

skip() {
    echo "skipped: interop with Java Iceberg: $1"
    exit 0
}

for tool in java javac mvn; do
    command -v "$tool" >/dev/null || skip "no \`$tool\` on the path (Debian: apt-get install openjdk-17-jdk-headless maven)"
done
major=$(javac -version 2>&1 | sed -E 's/^javac ([0-9]+).*/\1/')
[ "$major" -ge 17 ] || skip "Java 17 or newer is needed, this is $major"
if [ ! -x "$binary" ]; then
    echo "interop: no binary at $binary; build it (\`cargo build\`) or set BONDED_BIN" >&2
    exit 1
fi

mkdir -p "$build"
# shellcheck disable=SC2086  # several flags are meant
if ! mvn -B -q ${MAVEN_FLAGS:-} -f "$here/pom.xml" -Dbuild.folder="$build" package >"$build/maven.log" 2>&1; then
    cat "$build/maven.log" >&2
    if grep -qE 'Could not transfer|Cannot access .* in offline mode|Unknown host|Connection (refused|timed out)' "$build/maven.log"; then
        skip "Maven could not fetch its libraries"
    fi
    exit 1
fi
read_lake() {
    java -cp "$build/bonded-interop-0.1.0.jar:$build/lib/*" bonded.interop.BondedInterop "$@"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lake=$work/lake
keys=$work/lake.keys
bonded() {
    "$binary" --lake "$lake" "$@"
}
bonded demo --entries 300 --seed 7 >"$work/demo.txt" || { cat "$work/demo.txt" >&2; exit 1; }

# More than one snapshot, more than one key version, and a schema that changed: each report again, cut to its first half;
# maintenance over all of it; and a third tenant, whose key was rotated before its tables were made.
field() {
    sed -n -E "s/.*\"$1\":\"([^\"]*)\".*/\1/p"
}
rotated=fictional-teapot
for tenant in $(bonded --json tenant list | field tenant); do
    bonded key rotate "$tenant" >/dev/null
    for delivery in $(bonded --json deliveries --tenant "$tenant" | field delivery_id); do
        bonded raw get --tenant "$tenant" "$delivery" >"$work/whole.csv"
        head -n "$(($(wc -l <"$work/whole.csv") / 2))" "$work/whole.csv" >"$work/half.csv"
        bonded ingest --tenant "$tenant" --as-of 2026-11-15 "$work/half.csv" >/dev/null
    done
    for fingerprint in $(bonded --json drift --tenant "$tenant" | grep '"severity":"warning"' | field fingerprint); do
        bonded drift accept --tenant "$tenant" "$fingerprint" >/dev/null
    done
done

# Joined files with their row lineage, merged manifests, keys wrapped anew: each one more snapshot beside the old ones.
BONDED_MAINTAIN_FILES_MIN=2 bonded maintain >"$work/maintain.txt"
grep -q ' files joined into ' "$work/maintain.txt" || { cat "$work/maintain.txt" >&2; exit 1; }

bonded tenant add "$rotated" >/dev/null
bonded key rotate "$rotated" >/dev/null
bonded ingest --tenant "$rotated" --as-of 2026-11-15 "$work/whole.csv" >/dev/null

echo "interop: what Java reads, one line a snapshot"
read_lake "$lake" "$keys" --against "$binary"
read_lake "$lake" "$keys" --wrong-key >"$work/wrong-key.jsonl"
