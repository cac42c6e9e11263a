"""Asks the policies in config/aws/policies who may do what, by the rules that AWS documents: nothing is allowed but by a
statement, and one Deny is stronger than every Allow. It is our reading of those rules, so it finds what a policy says by
mistake; it does not show what AWS does. Another folder than config/aws may be named.
"""

import fnmatch
import json
import pathlib
import sys

FOLDER = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2] / "config" / "aws") / "policies"
ACCOUNT, REGION, LAKE = "111122223333", "us-east-1", "bonded"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/"
APP, KEEPER, READER = f"{ROLE}{LAKE}-app", f"{ROLE}{LAKE}-keeper", f"{ROLE}{LAKE}-tenant-reader"
ROOT, ADMIN = f"arn:aws:iam::{ACCOUNT}:root", f"{ROLE}administrator"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"


def load(name, tenant="nordwind"):
    text = (FOLDER / name).read_text()
    for placeholder, value in {
        "AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "Lake": LAKE, "Tenant": tenant,
        "AppRoleArn": APP, "KeeperRoleArn": KEEPER, "TenantRoleArn": READER, "GlueDatabase": "bonded",
        "RetainDaysMin": "1825", "RetainDaysMax": "3654",
    }.items():
        text = text.replace("${" + placeholder + "}", value)
    return json.loads(text.replace('"${Regions}"', '["us-east-1", "us-west-2"]'))["Statement"]


def every(value):
    return value if isinstance(value, list) else [value]


def like(text, pattern):
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def meets(condition, request):
    for operator, wanted in condition.items():
        for name, values in wanted.items():
            values = [v.replace("${aws:PrincipalTag/tenant}", request.get("aws:PrincipalTag/tenant", "\0")) for v in every(values)]
            found = request.get(name)
            held = [] if found is None else every(found)
            plain = operator.removesuffix("IfExists")
            if plain == "Null":
                true = (found is None) == (values == ["true"])
            elif operator.endswith("IfExists") and found is None:
                true = True
            elif plain == "ForAllValues:StringEquals":
                true = all(h in values for h in held)
            elif plain in ("StringEquals", "ArnEquals", "Bool"):
                true = any(h in values for h in held)
            elif plain in ("StringNotEquals", "ArnNotEquals"):
                true = all(h not in values for h in held)
            elif plain in ("StringLike", "ArnLike"):
                true = any(like(h, v) for h in held for v in values)
            elif plain == "StringNotLike":
                true = all(not like(h, v) for h in held for v in values)
            elif plain == "NumericLessThan":
                true = any(float(h) < float(v) for h in held for v in values)
            elif plain == "NumericGreaterThan":
                true = any(float(h) > float(v) for h in held for v in values)
            else:
                sys.exit(f"this test does not know the operator {operator}")
            if not true:
                return False
    return True


def about(statement, resource, request):
    tenant = request.get("aws:PrincipalTag/tenant", "\0")
    named = lambda part: any(like(resource, r.replace("${aws:PrincipalTag/tenant}", tenant)) for r in every(statement[part]))
    return named("Resource") if "Resource" in statement else not named("NotResource")


def names(statement, principal):
    """In a policy of an identity nobody is named: it is about whoever it is attached to. An account's ARN stands for all in it."""
    if "Principal" not in statement:
        return True
    listed = every(statement["Principal"] if isinstance(statement["Principal"], str) else statement["Principal"].get("AWS", []))
    return any(p in ("*", principal, ROOT) for p in listed)


def may(statements, principal, action, resource=KEY, **request):
    request = {name.replace("__", ":").replace("_in_", "/"): value for name, value in request.items()} | {
        "aws:PrincipalArn": principal, "aws:RequestedRegion": request.get("region", REGION)}
    context = {name.removeprefix("kms:EncryptionContext:") for name in request if name.startswith("kms:EncryptionContext:")}
    if context:
        request["kms:EncryptionContextKeys"] = sorted(context)
    said = [s["Effect"] for s in statements
            if names(s, principal) and any(like(action, a) for a in every(s["Action"]))
            and about(s, resource, request)
            and meets(s.get("Condition", {}), request)]
    return "Allow" in said and "Deny" not in said


def bound(**context):
    return {f"kms:EncryptionContext:{name}": value for name, value in context.items()}


def through_s3(tenant):
    arn = f"arn:aws:s3:::{LAKE}-lake-{ACCOUNT}-{REGION}/lake/tenants/{tenant}/object"
    return {"kms:ViaService": f"s3.{REGION}.amazonaws.com", "kms:EncryptionContext:aws:s3:arn": arn}


def bucket(name, path):
    """Of the lake's bucket, a path in the lake; without one the bucket."""
    within = {"lake": "lake/"}.get(name, "")
    return f"arn:aws:s3:::{LAKE}-{name}-{ACCOUNT}-{REGION}" + (f"/{within}{path}" if path else "")


def main():
    key, app, keeper, reader, ses, shut = (
        load(f"{n}.json") for n in ("tenant-key", "app", "keeper", "tenant-reader", "ses", "lake-bucket"))
    # An administrator's own policy, beside the key's: it must not help.
    anything = [{"Sid": "Admin", "Effect": "Allow", "Action": "*", "Resource": "*"}]
    ours, theirs = bound(tenant="nordwind", purpose="raw"), bound(tenant="sundial", purpose="raw")
    owned = {"aws:ResourceTag/bonded:lake": LAKE, "aws:ResourceTag/bonded:tenant": "nordwind"}
    kept = {"s3:object-lock-mode": "COMPLIANCE", "s3:object-lock-remaining-retention-days": "1825.9"}
    free = {"s3:object-lock-mode": "GOVERNANCE", "s3:object-lock-remaining-retention-days": "1825.9"}
    days = lambda n: {"s3:object-lock-mode": "COMPLIANCE", "s3:object-lock-remaining-retention-days": n}
    under = lambda algorithm, **key: {"s3:x-amz-server-side-encryption": algorithm} | {
        "s3:x-amz-server-side-encryption-aws-kms-key-id": arn for arn in key.values()}
    at = lambda path: bucket("lake", path)
    whole = at("")
    made = {"aws:RequestTag/bonded:lake": LAKE, "kms:KeySpec": "SYMMETRIC_DEFAULT", "kms:KeyUsage": "ENCRYPT_DECRYPT"}
    asked = [
        ("the application opens a raw object of the tenant", True, may(key, APP, "kms:Decrypt", **ours)),
        ("and makes a data key for one", True, may(key, APP, "kms:GenerateDataKey", **ours)),
        ("and opens a table key, which has no context", True, may(key, APP, "kms:Decrypt")),
        ("another tenant's context opens nothing", False, may(key, APP, "kms:Decrypt", **theirs)),
        ("nor does IAM help", False, may(key + anything, APP, "kms:Decrypt", **theirs)),
        ("a context without a purpose is refused", False, may(key, APP, "kms:Decrypt", **bound(tenant="nordwind"))),
        ("and one with more than the two", False, may(key, APP, "kms:Decrypt", **ours, **bound(x="y"))),
        ("and one that names no tenant", False, may(key, APP, "kms:Decrypt", **bound(purpose="raw"))),
        ("S3 opens for the application in the tenant's folder", True, may(key, APP, "kms:Decrypt", **through_s3("nordwind"))),
        ("not in another tenant's", False, may(key, APP, "kms:Decrypt", **through_s3("sundial"))),
        ("nor in one whose name begins alike", False, may(key, APP, "kms:Decrypt", **through_s3("nordwind-2"))),
        ("the application does not disable the key", False, may(key, APP, "kms:DisableKey")),
        ("nor where its role is tagged not to", False, may(key, APP, "kms:DisableKey", **{"aws:PrincipalTag/bonded:keeps-keys": "false"})),
        ("it does where its role keeps keys", True, may(key, APP, "kms:ScheduleKeyDeletion", **{"aws:PrincipalTag/bonded:keeps-keys": "true"})),
        ("and even there it does not change the policy", False,
         may(key, APP, "kms:PutKeyPolicy", **{"aws:PrincipalTag/bonded:keeps-keys": "true"})),
        ("it reads what policy the key has", True, may(key, APP, "kms:GetKeyPolicy")),
        ("and whose it is", True, may(key, APP, "kms:ListResourceTags")),
        ("it names a new key where its role keeps keys", True, may(key, APP, "kms:CreateAlias", **{"aws:PrincipalTag/bonded:keeps-keys": "true"})),
        ("and lets it rotate", True, may(key, APP, "kms:EnableKeyRotation", **{"aws:PrincipalTag/bonded:keeps-keys": "true"})),
        ("elsewhere it does not", False, may(key, APP, "kms:EnableKeyRotation")),
        ("the keeper disables the key", True, may(key, KEEPER, "kms:DisableKey")),
        ("and does not decrypt", False, may(key, KEEPER, "kms:Decrypt", **ours)),
        ("not even when IAM allows everything", False, may(key + anything, KEEPER, "kms:Decrypt", **ours)),
        ("an administrator of the account does not decrypt", False, may(key + anything, ADMIN, "kms:Decrypt", **ours)),
        ("nor make a data key", False, may(key + anything, ADMIN, "kms:GenerateDataKeyWithoutPlaintext")),
        ("nor hand the key on", False, may(key + anything, ADMIN, "kms:CreateGrant")),
        ("nor does the application", False, may(key + anything, APP, "kms:CreateGrant")),
        ("an administrator cannot change the policy by the key's policy", False, may(key, ADMIN, "kms:PutKeyPolicy")),
        ("the root user can mend the policy", True, may(key, ROOT, "kms:PutKeyPolicy")),
        ("and cannot decrypt", False, may(key, ROOT, "kms:Decrypt", **ours)),
        ("a reader of the tenant opens a table key", True, may(key, READER, "kms:Decrypt", **{"aws:PrincipalTag/tenant": "nordwind"})),
        ("a reader of another tenant does not", False, may(key, READER, "kms:Decrypt", **{"aws:PrincipalTag/tenant": "sundial"})),
        ("a reader without a tenant does not", False, may(key, READER, "kms:Decrypt")),
        ("no reader opens a raw object", False, may(key, READER, "kms:Decrypt", **ours, **{"aws:PrincipalTag/tenant": "nordwind"})),

        ("the application puts into the raw zone", True, may(app, APP, "s3:PutObject", bucket("lake", "tenants/nordwind/raw/x"))),
        ("and deletes nothing there", False, may(app, APP, "s3:DeleteObject", bucket("lake", "tenants/nordwind/raw/x"))),
        ("nor a version", False, may(app, APP, "s3:DeleteObjectVersion", bucket("lake", "tenants/nordwind/raw/x"))),
        ("nor of the audit trail", False, may(app, APP, "s3:DeleteObject", bucket("lake", "tenants/nordwind/audit/x"))),
        ("it reads them by version", True, may(app, APP, "s3:GetObjectVersion", bucket("lake", "tenants/nordwind/raw/x"))),
        ("staging it removes", True, may(app, APP, "s3:DeleteObject", bucket("lake", "tenants/nordwind/raw/staging/x"))),
        ("it removes data files", True, may(app, APP, "s3:DeleteObject", bucket("lake", "tenants/nordwind/warehouse/es_003/x"))),
        ("it reads received mail", True, may(app, APP, "s3:GetObject", bucket("mail", "inbound/x"))),
        ("it writes no mail", False, may(app, APP, "s3:PutObject", bucket("mail", "inbound/x"))),
        ("it is told that an object is not there", True, may(app, APP, "s3:ListBucket", bucket("lake", ""))),
        ("and lists no folder but tenants'", False, may(app, APP, "s3:ListBucket", bucket("lake", ""), **{"s3:prefix": "inbound/"})),
        ("a tenant's it lists", True, may(app, APP, "s3:ListBucket", bucket("lake", ""), **{"s3:prefix": "lake/tenants/nordwind/raw/"})),
        ("and sees whether the lake is empty", True, may(app, APP, "s3:ListBucket", bucket("lake", ""), **{"s3:prefix": "lake/"})),
        ("nothing beside the lake's folder", False, may(app, APP, "s3:PutObject", "arn:aws:s3:::bonded-lake-111122223333-us-east-1/tenants/nordwind/raw/x")),
        ("it sees what its bucket holds to", True, may(app, APP, "s3:PutObject", bucket("lake", "bonded.probe"))),
        ("by these objects alone", False, may(app, APP, "s3:PutObject", bucket("lake", "bonded.other"))),
        ("nor removes any", False, may(app, APP, "s3:DeleteObject", bucket("mail", "inbound/x"))),
        ("it takes a notification out of its queue", True, may(app, APP, "sqs:DeleteMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{LAKE}-mail")),
        ("it takes none of the dead letters", False, may(app, APP, "sqs:ReceiveMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{LAKE}-mail-dead")),
        ("it touches no other bucket", False, may(app, APP, "s3:GetObject", "arn:aws:s3:::other/tenants/nordwind/raw/x")),
        ("it uses keys of this lake", True, may(app, APP, "kms:Decrypt", **owned)),
        ("and no others", False, may(app, APP, "kms:Decrypt", **{"aws:ResourceTag/bonded:lake": "other"})),
        ("it changes no key", False, may(app, APP, "kms:PutKeyPolicy", **owned)),
        ("it reads its own secrets", True, may(app, APP, "secretsmanager:GetSecretValue",
                                               f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{LAKE}/app/postgres-AbCdEf")),
        ("and not the owner's", False, may(app, APP, "secretsmanager:GetSecretValue",
                                           f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{LAKE}/owner/postgres-AbCdEf")),
        *[(f"it {what} in its tenants' databases", True, may(app, APP, f"glue:{call}", f"arn:aws:glue:{REGION}:{ACCOUNT}:table/bonded_nordwind_toys/es_003"))
          for what, call in {"sees a pointer": "GetTable", "makes one": "CreateTable", "moves one": "UpdateTable", "lets one go": "DeleteTable"}.items()],
        ("it probes in the lake's own", True, may(app, APP, "glue:UpdateTable", f"arn:aws:glue:{REGION}:{ACCOUNT}:table/bonded/bonded_probe")),
        ("it touches no other database", False, may(app, APP, "glue:UpdateTable", f"arn:aws:glue:{REGION}:{ACCOUNT}:table/finance/es_003")),
        ("it sends no mail to its queue", False, may(app, APP, "sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{LAKE}-mail")),
        ("outside the regions it does nothing", False,
         may(app + load("regions.json"), APP, "kms:Decrypt", **owned, region="eu-central-1")),

        # What the lake's bucket itself refuses, beside what each may do by its own policy.
        *[(f"the application puts into {folder}, by what the bucket says, too", True,
           may(app + shut, APP, "s3:PutObject", at(f"tenants/nordwind/{folder}/x"), **under("aws:kms", key=KEY)))
          for folder in ("raw", "raw/staging", "audit", "warehouse/es_003/data")],
        ("and a part of an upload, which names no key", True, may(app + shut, APP, "s3:PutObject", at("tenants/nordwind/raw/staging/x"))),
        ("nothing under S3's own key", False, may(app + shut, APP, "s3:PutObject", at("tenants/nordwind/raw/x"), **under("AES256"))),
        ("nor under another account's", False, may(app + shut, APP, "s3:PutObject", at("tenants/nordwind/raw/x"),
                                                    **under("aws:kms", key=f"arn:aws:kms:{REGION}:444455556666:key/1"))),
        ("nothing without TLS", False, may(app + shut, APP, "s3:GetObject", at("tenants/nordwind/raw/x"), **{"aws:SecureTransport": "false"})),
        ("nothing by an old TLS", False, may(app + shut, APP, "s3:GetObject", at("tenants/nordwind/raw/x"), **{"s3:TlsVersion": "1.1"})),
        ("an administrator reads no object", False, may(anything + shut, ADMIN, "s3:GetObject", at("tenants/nordwind/warehouse/x"))),
        ("a reader reads tables, by what the bucket says, too", True,
         may(reader + shut, READER, "s3:GetObject", at("tenants/nordwind/warehouse/x"), **{"aws:PrincipalTag/tenant": "nordwind"})),
        ("and nothing else, whatever IAM allows", False, may(anything + shut, READER, "s3:GetObject", at("tenants/nordwind/raw/x"))),
        ("the application removes tables, whatever the bucket refuses", True, may(app + shut, APP, "s3:DeleteObject", at("tenants/nordwind/warehouse/es_003/x"))),
        ("and staging", True, may(app + shut, APP, "s3:DeleteObject", at("tenants/nordwind/raw/staging/x"))),
        *[(f"nobody removes {path}, whatever IAM allows", False, may(anything + shut, APP, "s3:DeleteObject", at(path)))
          for path in ("tenants/nordwind/raw/x", "tenants/nordwind/audit/1-2", "root.url")],
        *[(f"nobody deletes a version in {folder}", False, may(anything + shut, ADMIN, "s3:DeleteObjectVersion", at(f"tenants/nordwind/{folder}/x")))
          for folder in ("raw", "audit")],
        *[(f"the application keeps what lies in {folder}", True, may(app + shut, APP, "s3:PutObjectRetention", at(f"tenants/nordwind/{folder}/x"), **kept))
          for folder in ("raw", "audit")],
        *[(f"and sees in {folder} what is kept", True, may(app + shut, APP, "s3:GetObjectRetention", at(f"tenants/nordwind/{folder}/x")))
          for folder in ("raw", "audit")],
        ("nobody keeps a table", False, may(anything + shut, APP, "s3:PutObjectRetention", at("tenants/nordwind/warehouse/x"), **kept)),
        ("nor what lies in staging", False, may(anything + shut, APP, "s3:PutObjectRetention", at("tenants/nordwind/raw/staging/x"), **kept)),
        ("nor in a mode that some may bypass", False, may(anything + shut, APP, "s3:PutObjectRetention", at("tenants/nordwind/raw/x"), **free)),
        ("nor in none, which would take one back", False, may(anything + shut, APP, "s3:PutObjectRetention", at("tenants/nordwind/raw/x"))),
        ("nor for less than the template's days", False, may(anything + shut, APP, "s3:PutObjectRetention", at("tenants/nordwind/raw/x"), **days("1824"))),
        ("nor for more than its most", False, may(anything + shut, APP, "s3:PutObjectRetention", at("tenants/nordwind/raw/x"), **days("36500"))),
        ("ten years are allowed", True, may(app + shut, APP, "s3:PutObjectRetention", at("tenants/nordwind/raw/x"), **days("3653"))),
        ("and an administrator keeps nothing", False, may(anything + shut, ADMIN, "s3:PutObjectRetention", at("tenants/nordwind/raw/x"), **kept)),
        ("nobody bypasses a retention", False, may(anything + shut, ADMIN, "s3:BypassGovernanceRetention", at("tenants/nordwind/warehouse/x"))),
        ("the application holds nothing for ever", False, may(anything + shut, APP, "s3:PutObjectLegalHold", at("tenants/nordwind/raw/x"))),
        *[(f"nor does it {call.removeprefix('s3:')}", False, may(anything + shut, APP, call, whole))
          for call in ("s3:PutBucketObjectLockConfiguration", "s3:PutLifecycleConfiguration", "s3:PutBucketVersioning", "s3:PutBucketPolicy")],
        ("whoever deploys sets the bucket up", True, may(anything + shut, ADMIN, "s3:PutLifecycleConfiguration", whole)),
        ("and does not delete it", False, may(anything + shut, ADMIN, "s3:DeleteBucket", whole)),
        ("outside the regions the bucket does nothing", False, may(anything + shut, APP, "s3:GetObject", at("tenants/nordwind/raw/x"), region="eu-central-1")),

        ("the keeper makes keys that it may mend", True, may(keeper, KEEPER, "kms:CreateKey", **made, **{"kms:BypassPolicyLockoutSafetyCheck": "false"})),
        ("and no others", False, may(keeper, KEEPER, "kms:CreateKey", **made, **{"kms:BypassPolicyLockoutSafetyCheck": "true"})),
        ("the application makes keys whose policy shuts it out, where its role keeps keys", True,
         may(keeper, APP, "kms:CreateKey", **made, **{"kms:BypassPolicyLockoutSafetyCheck": "true", "aws:PrincipalTag/bonded:keeps-keys": "true"})),
        ("and of no other lake", False,
         may(keeper, APP, "kms:CreateKey", **made | {"aws:RequestTag/bonded:lake": "other", "kms:BypassPolicyLockoutSafetyCheck": "true", "aws:PrincipalTag/bonded:keeps-keys": "true"})),
        ("the keeper's own policy uses no key", False, any(may(keeper, KEEPER, a, **owned) for a in ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:CreateGrant"))),
        ("a reader reads its tenant's tables", True, may(reader, READER, "s3:GetObject", bucket("lake", "tenants/nordwind/warehouse/x"), **{"aws:PrincipalTag/tenant": "nordwind"})),
        ("not another's", False, may(reader, READER, "s3:GetObject", bucket("lake", "tenants/sundial/warehouse/x"), **{"aws:PrincipalTag/tenant": "nordwind"})),
        ("and none without a tenant", False, may(reader, READER, "s3:GetObject", bucket("lake", "tenants/nordwind/warehouse/x"))),
        ("and uses no other tenant's key", False, may(reader, READER, "kms:Decrypt", **owned, **{"aws:PrincipalTag/tenant": "sundial"})),
        ("SES writes where mail comes in", True, may(ses, f"{ROLE}{LAKE}-ses", "s3:PutObject", bucket("mail", "inbound/x"))),
        ("and nowhere else", False, may(ses, f"{ROLE}{LAKE}-ses", "s3:PutObject", bucket("lake", "tenants/nordwind/raw/x"))),
        ("SES uses no tenant's key", False, may(ses, f"{ROLE}{LAKE}-ses", "kms:Decrypt", **owned, **{"aws:ResourceTag/bonded:role": "tenant"})),
    ]
    wrong = [what for what, wanted, said in asked if wanted != said]
    for what in wrong:
        print(f"FAIL {what}")
    print(f"{len(asked)} asked of the policies, {len(wrong)} answered otherwise")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
