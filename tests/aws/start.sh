#!/usr/bin/env bash
# Runs an emulator on loopback, with its state in a folder of its own. It ends, and the folder goes, when standard input
# does: with whoever started it, however that ended.
#
#   start.sh localstack FOLDER PORT    KMS and S3, strict: signatures, and the key of each encrypted object, are looked at
#   start.sh ministack FOLDER PORT     Glue, SQS, SNS, SES, Secrets Manager, STS
#   start.sh ceph FOLDER PORT          S3 by Ceph's RADOS Gateway over one object daemon; needs root
set -euo pipefail

packages=${BONDED_AWS_PACKAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/bonded/aws}
kind=$1 folder=$2 port=$3
mkdir -p "$folder"
trap 'kill -KILL ${emulator:-} 2>/dev/null || true; rm -rf "$folder"' EXIT
case $kind in
    localstack)
        # Hypercorn binds the address it is given; the default server binds all of them.
        env GATEWAY_LISTEN="127.0.0.1:$port" GATEWAY_SERVER=hypercorn DATA_DIR="$folder" LOCALSTACK_VOLUME_DIR="$folder" \
            FILESYSTEM_ROOT="$folder" TMPDIR="$folder" DNS_ADDRESS=0 USE_SSL=0 SKIP_SSL_CERT_DOWNLOAD=1 DISABLE_EVENTS=1 \
            SERVICES=s3,kms EAGER_SERVICE_LOADING=1 PERSISTENCE=0 DEBUG=0 S3_SKIP_SIGNATURE_VALIDATION=0 \
            S3_SKIP_KMS_KEY_VALIDATION=0 LOCALSTACK_ACKNOWLEDGE_ACCOUNT_REQUIREMENT=1 \
            "$packages/localstack/bin/python" -m localstack.runtime.main </dev/null &
        ;;
    ministack)
        # Its default is to bind all addresses, and its listener for MQTT knows no other: off.
        cd "$folder"
        env BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 GATEWAY_PORT="$port" MINISTACK_REGION="${MINISTACK_REGION:-us-east-1}" TMPDIR="$folder" \
            "$packages/ministack/bin/ministack" </dev/null &
        ;;
    ceph)
        . "$(dirname "$0")/ceph.sh"
        ;;
    *) echo "aws: start.sh localstack|ministack|ceph FOLDER PORT" >&2; exit 2 ;;
esac
emulator=${emulator:-$!}
exec 3<&0
{
    cat <&3 >/dev/null
    # Asked to end, LocalStack may wait for connections for ever.
    kill -KILL $emulator 2>/dev/null || true
} &
wait $emulator || true
