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
broken aws/buckets.yaml 'DaysAfterInitiation: 7 }' 'DaysAfterInitiation: seven }' 'E3012'
# The rest is lint.py's alone, and cfn-lint is slow.
lint=(env PYTHONDONTWRITEBYTECODE=1 "${BONDED_STACK_PACKAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/bonded/stacks}/lint/bin/python" aws/lint.py)
broken aws/buckets.yaml 'SSEAlgorithm: aws:kms' 'SSEAlgorithm: AES256' 'not encrypted under a key of ours'
broken aws/buckets.yaml 'ObjectLockEnabled: true' 'ObjectLockEnabled: false' 'has no Object Lock'
broken aws/buckets.yaml 'ObjectLockEnabled: true' 'ObjectLockEnabled: true
      ObjectLockConfiguration:
        ObjectLockEnabled: Enabled
        Rule: { DefaultRetention: { Mode: COMPLIANCE, Days: 1827 } }' 'LakeBucket: a default retention keeps tables'
broken aws/buckets.yaml $'      VersioningConfiguration: { Status: Enabled }\n      LifecycleConfiguration:\n        Rules:\n          - Id: stale-uploads\n            Status: Enabled\n            AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 }' \
    $'      VersioningConfiguration: { Status: Enabled }\n      ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: GOVERNANCE, Days: 1 } } }\n      LifecycleConfiguration:\n        Rules:\n          - Id: stale-uploads\n            Status: Enabled\n            AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 }' 'Mail: a default retention keeps'
broken aws/buckets.yaml 'NoncurrentVersionExpiration: { NoncurrentDays: 30 }' 'ExpirationInDays: 30' 'a lifecycle rule deletes what is in use'
broken aws/buckets.yaml 'NoncurrentVersionExpiration: { NoncurrentDays: 30 }' 'Prefix: tenants/' 'is kept for ever, as old versions'
broken aws/buckets.yaml '[s3:BypassGovernanceRetention]' '[s3:RestoreObject]' 'allows a retention to be bypassed'
broken aws/buckets.yaml '[s3:DeleteObjectVersion, s3:PutObjectAcl]' '[s3:PutObjectAcl]' 'allows versions of what is written once to be deleted'
broken aws/buckets.yaml 'NumericLessThan: { s3:object-lock' 'NumericEquals: { s3:object-lock' 'allows a short retention'
broken aws/buckets.yaml 's3:object-lock-mode: COMPLIANCE' 's3:object-lock-mode: GOVERNANCE' 'allows a retention that some may bypass'
broken aws/buckets.yaml '[s3:PutObjectLegalHold]' '[s3:PutObjectTagging]' 'allows the application to hold objects for ever'
broken aws/buckets.yaml '- s3:PutBucketObjectLockConfiguration' '- s3:PutBucketTagging' 'allows the application to change the lock'
broken aws/policies/lake-bucket.json '"Effect": "Deny"' '"Effect": "Allow"' 'allows everybody'
broken aws/policies/lake-bucket.json '"${RetainDaysMin}"' '"1"' 'lake-bucket.json: is not what buckets.yaml says'
broken aws/policies/app.json '"s3:PutObjectRetention",' '' 'may not s3:PutObjectRetention in raw'
broken aws/policies/app.json '"s3:GetObjectRetention",' '' 'may not s3:GetObjectRetention in audit'
broken aws/policies/app.json '"s3:GetObjectVersion",' '' 'may not s3:GetObjectVersion in raw'
broken aws/roles.yaml $'              - s3:PutObjectRetention\n' '' 'app.json: is not what roles.yaml says'
broken aws/buckets.yaml 'aws:SecureTransport' 'aws:ViaAWSService' 'does not hold it to TLS'
broken aws/mail.yaml 'RedrivePolicy:' 'RedriveAllowPolicy:' 'no dead-letter queue'
broken aws/mail.yaml 'KmsMasterKeyId: !Ref ServicesKeyArn' 'DisplayName: mail' 'the topic is not encrypted'
broken aws/mail.yaml $'QueueName: !Sub "${Lake}-mail"\n      KmsMasterKeyId: !Ref ServicesKeyArn' 'QueueName: !Sub "${Lake}-mail"' 'the queue is not encrypted'
broken aws/keys.yaml 'EnableKeyRotation: true' 'EnableKeyRotation: false' 'does not rotate'
broken aws/keys.yaml '- kms:GetKeyPolicy' '- kms:Decrypt' 'lets the keeper use the key'
broken aws/keys.yaml 'Condition:
              StringEquals: { kms:ViaService: !Sub "sqs.${AWS::Region}.amazonaws.com" }' 'Condition:
              StringEquals: { kms:ViaService: [!Sub "sqs.${AWS::Region}.amazonaws.com", !Sub "s3.${AWS::Region}.amazonaws.com"] }' 'lets the keeper use the key'
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
broken aws/policies/app.json '"s3:PutObjectRetention",' '' 'FAIL the application keeps what lies in raw'
broken aws/policies/app.json '"s3:GetObjectVersion",' '' 'FAIL it reads them by version'
broken aws/policies/lake-bucket.json '"NumericLessThan": {
          "s3:object-lock' '"NumericGreaterThan": {
          "s3:object-lock' 'FAIL nor for less than'
broken aws/policies/lake-bucket.json '"${RetainDaysMax}"' '"40000"' 'FAIL nor for more than its most'
broken aws/policies/lake-bucket.json '"s3:object-lock-mode": "COMPLIANCE"' '"s3:object-lock-mode": ["COMPLIANCE", "GOVERNANCE"]' 'FAIL nor in a mode that some may bypass'
broken aws/policies/lake-bucket.json '"s3:DeleteObjectVersion",' '' 'FAIL nobody deletes a version in audit'
broken aws/policies/lake-bucket.json '/tenants/*/raw/staging/*"
      ]' '/tenants/*/raw/*"
      ]' 'FAIL nobody removes tenants/nordwind/raw/x'
broken aws/policies/lake-bucket.json '"Sid": "NotWhatLiesInStaging",
      "Effect": "Deny"' '"Sid": "NotWhatLiesInStaging",
      "Effect": "Allow"' 'FAIL nor what lies in staging'
broken aws/policies/lake-bucket.json '"Sid": "ReadersReachTablesAlone",
      "Effect": "Deny"' '"Sid": "ReadersReachTablesAlone",
      "Effect": "Allow"' 'FAIL and nothing else, whatever IAM allows'
broken aws/policies/lake-bucket.json ':${AWS::AccountId}:key/*' ':*:key/*' "FAIL nor under another account's"
broken aws/policies/lake-bucket.json '"s3:x-amz-server-side-encryption": "aws:kms"' '"s3:x-amz-server-side-encryption": ["aws:kms", "AES256"]' "FAIL nothing under S3's own key"
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
bucket="Regions=us-east-1,us-west-2 TenantRoleArn=t RetainDaysMax=3654"
# shellcheck disable=SC2086
if aws/policies/fill.py lake-bucket.json $given $bucket >/dev/null 2>&1; then echo "FAIL fill.py left a placeholder"; failed=1; fi
# shellcheck disable=SC2086
if aws/policies/fill.py lake-bucket.json $given $bucket RetainDaysMin=1825 | grep -F '${'; then echo "FAIL fill.py left a placeholder"; failed=1; fi

echo "$tried ways to break it"
exit $failed
