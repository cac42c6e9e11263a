#!/usr/bin/env bash
# Breaks the templates, policies and settings of config one way at a time; the lint must name each breach, and pass what is
# whole. What only shows in who may do what, policies.py must name.
set -euo pipefail
tests=$(cd "$(dirname "$0")" && pwd)
cd "$tests/../../config"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if aws/lint.sh | grep '^skipped'; then exit 0; fi

aws/lint.sh >/dev/null || { echo "FAIL the lint refuses what is whole"; exit 1; }
python3 "$tests/policies.py"
failed=0 tried=0

# broken FILE FROM TO MESSAGE: the first FROM in the file becomes TO; the lint must fail and say MESSAGE.
broken() {
    rm -rf "$work/config"
    mkdir "$work/config"
    cp -r aws ./*.toml "$work/config/"
    tried=$((tried + 1))
    FROM=$2 TO=$3 python3 - "$work/config/$1" <<'PYTHON'
import os, pathlib, sys
path = pathlib.Path(sys.argv[1])
text = path.read_text()
if os.environ["FROM"] not in text:
    sys.exit(f"{path.name} does not hold what this test changes: {os.environ['FROM']}")
path.write_text(text.replace(os.environ["FROM"], os.environ["TO"], 1))
PYTHON
    if "${lint[@]}" "$work/config/aws" >"$work/said" 2>&1; then
        echo "FAIL $1: '$2' became '$3' and the lint saw nothing"
        failed=1
    elif ! grep -q -- "$4" "$work/said"; then
        echo "FAIL $1: '$2' became '$3' and the lint said something else:"
        cat "$work/said"
        failed=1
    else
        echo "ok   $4"
    fi
}

lint=(aws/lint.sh)
broken aws/buckets.yaml 'Type: AWS::S3::BucketPolicy' 'Type: AWS::S3::BucketPoliccy' 'E3006\|E3001'
broken aws/buckets.yaml 'BlockPublicPolicy: true' 'BlockPublicPolicy: false' 'does not block public access'
broken aws/buckets.yaml 'DaysAfterInitiation: 2 }' 'DaysAfterInitiation: two }' 'E3012'
# The rest is lint.py's alone, and cfn-lint is slow.
lint=(env PYTHONDONTWRITEBYTECODE=1 "${BONDED_STACK_PACKAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/bonded/stacks}/lint/bin/python" aws/lint.py)
broken aws/buckets.yaml 'SSEAlgorithm: aws:kms' 'SSEAlgorithm: AES256' 'not encrypted under a key of ours'
broken aws/buckets.yaml 'Mode: COMPLIANCE' 'Mode: GOVERNANCE' 'not write-once'
broken aws/buckets.yaml 'aws:SecureTransport' 'aws:ViaAWSService' 'does not hold it to TLS'
broken aws/mail.yaml 'RedrivePolicy:' 'RedriveAllowPolicy:' 'no dead-letter queue'
broken aws/mail.yaml 'KmsMasterKeyId: !Ref ServicesKeyArn' 'DisplayName: mail' 'the topic is not encrypted'
broken aws/mail.yaml $'QueueName: !Sub "${Lake}-mail"\n      KmsMasterKeyId: !Ref ServicesKeyArn' 'QueueName: !Sub "${Lake}-mail"' 'the queue is not encrypted'
broken aws/keys.yaml 'EnableKeyRotation: true' 'EnableKeyRotation: false' 'does not rotate'
broken aws/keys.yaml '- kms:GetKeyPolicy' '- kms:Decrypt' 'lets the keeper use the key'
broken aws/tenant-key.yaml '- Sid: NoOtherTenantsContext
            Effect: Deny' '- Sid: NoOtherTenantsContext
            Effect: Allow' "no Deny keeps another tenant's context out"
broken aws/tenant-key.yaml 'ArnNotEquals: { aws:PrincipalArn' 'ArnNotEquals: { aws:SourceArn' 'no Deny keeps everybody else'
broken aws/tenant-key.yaml '"kms:EncryptionContext:tenant": !Sub "${Tenant}"' '"kms:EncryptionContext:tenant": nordwind' 'is not what tenant-key.yaml says'
broken aws/policies/app.json '"s3:GetObject",' '"s3:*",' 'allows the wildcard action'
broken aws/policies/app.json '"Sid": "OwnSecrets"' '"Sid": "AnySecrets"' 'does not say what AnySecrets stops'
broken aws/policies/ses.json '"Version"' '"Version": "2008-10-17", "Version"' 'is not JSON'
broken aws/policies/keeper.json ']' '' 'is not JSON'
broken aws/roles.yaml 'secret:${Lake}/app/*"' '*"' 'is not what roles.yaml says'
broken aws/roles.yaml 'Resource: !Sub "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${Lake}/app/*"' 'Resource: "*"' 'on every resource'
broken aws/roles.yaml 'arn:${AWS::Partition}:s3:::${Lake}-mail' 'arn:${AWS::Partition}:s3:::other-mail' "not this lake's"
broken aws/database.yaml 'rds.force_ssl: "1"' 'rds.force_ssl: "0"' 'connections without TLS'
broken aws/database.yaml 'PubliclyAccessible: false' 'PubliclyAccessible: true' 'reached from outside'
broken aws/database.yaml 'ManageMasterUserPassword: true' 'MasterUserPassword: nordwind-2026' 'holds a literal secret'
broken aws/identity.yaml 'MfaConfiguration: "ON"' 'MfaConfiguration: "OPTIONAL"' 'does not require an authenticator'
broken aws/identity.yaml 'WriteAttributes: [email]' 'WriteAttributes: [email, "custom:tenant"]' 'write their own custom:tenant'
broken prod.example.toml 'smtp = "file:/run/secrets/bonded-smtp"' 'smtp = "smtps://bonded:wet-lantern@mail.example"' 'holds a URL with a password'
broken prod.example.toml 'smtp = "file:' 'password = "wet lanterns' 'holds a literal secret'

lint=(python3 "$tests/policies.py")
broken aws/policies/tenant-key.json '"Null": {
          "kms:EncryptionContextKeys": "true"
        }' '"Null": {
          "kms:EncryptionContextKeys": "false"
        }' 'FAIL and one that names no tenant'
broken aws/policies/tenant-key.json '"purpose"
          ]' '"purpose", "x"
          ]' 'FAIL and one with more than the two'
broken aws/policies/tenant-key.json '/tenants/${Tenant}/*' '/tenants/${Tenant}*' 'FAIL nor in one whose name begins alike'
broken aws/policies/tenant-key.json '"Sid": "NobodyElseDecrypts",
      "Effect": "Deny"' '"Sid": "NobodyElseDecrypts",
      "Effect": "Allow"' 'FAIL an administrator of the account does not decrypt'
broken aws/policies/tenant-key.json '"kms:EncryptionContext:tenant": "false"' '"kms:EncryptionContext:tenant": "true"' 'FAIL nor does IAM help'
broken aws/policies/tenant-key.json '"aws:PrincipalTag/tenant": "${Tenant}"' '"aws:PrincipalTag/tenant": ["${Tenant}", "sundial"]' 'FAIL a reader of another tenant'
broken aws/policies/tenant-key.json '"kms:CreateGrant"' '"kms:RetireGrant"' 'FAIL nor hand the key on'
broken aws/policies/tenant-key.json '"aws:PrincipalTag/bonded:keeps-keys": "true"' '"aws:PrincipalTag/bonded:keeps-keys": "false"' 'FAIL nor where its role is tagged not to'
broken aws/policies/app.json '"s3:ListMultipartUploadParts"' '"s3:ListMultipartUploadParts", "s3:DeleteObject"' 'FAIL and deletes nothing there'
broken aws/policies/app.json '/app/*' '/*' "FAIL and not the owner's"
broken aws/policies/app.json '"aws:ResourceTag/bonded:lake": "${Lake}"' '"aws:ResourceTag/bonded:lake": ["${Lake}", "other"]' 'FAIL and no others'
broken aws/policies/keeper.json '"aws:PrincipalTag/bonded:keeps-keys": "true",' '' 'FAIL and no others'
broken aws/policies/app.json '"StringLikeIfExists"' '"StringLike"' 'FAIL it is told that an object'
broken aws/policies/app.json 'bonded.probe"' 'bonded.*"' 'FAIL by these objects alone'
broken aws/policies/keeper.json '"kms:DescribeKey"' '"kms:Decrypt"' "FAIL the keeper's own policy"
broken aws/policies/tenant-reader.json '/tenants/${aws:PrincipalTag/tenant}/warehouse/*"
    }' '/tenants/*"
    }' "FAIL not another's"
broken aws/policies/regions.json '"kms:*",' '' 'FAIL outside the regions'

# A policy is filled whole or not at all.
given="AWS::AccountId=111122223333 AWS::Region=us-east-1 Lake=bonded Tenant=nordwind AppRoleArn=a KeeperRoleArn=k"
# shellcheck disable=SC2086
if aws/policies/fill.py tenant-key.json $given >/dev/null 2>&1; then echo "FAIL fill.py left a placeholder"; failed=1; fi
# shellcheck disable=SC2086
if aws/policies/fill.py tenant-key.json $given TenantRoleArn=t | grep -F '${'; then echo "FAIL fill.py left a placeholder"; failed=1; fi

echo "$tried ways to break it"
exit $failed
