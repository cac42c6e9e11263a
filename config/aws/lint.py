"""What cfn-lint does not know of these templates: the promises that Bonded makes about them.

Reads the templates and policies beside it (or in the folder that is named), prints each breach with its file, and ends
with 1 when there is any. Needs PyYAML, which comes with cfn-lint. Talks to nobody.
"""

import json
import pathlib
import re
import sys

import yaml

CRYPTO = re.compile(r"^kms:(Encrypt|Decrypt|GenerateDataKey.*|ReEncrypt.*|CreateGrant|\*)$")
# Actions that AWS grants on everything or not at all.
WITHOUT_RESOURCE = {"kms:CreateKey", "kms:ListAliases", "kms:ListKeys"}
# Which policy file says the same as which part of which template.
TWINS = {
    "tenant-key.json": ("tenant-key.yaml", "Key", "KeyPolicy"),
    "app.json": ("roles.yaml", "AppPolicy", "PolicyDocument"),
    "keeper.json": ("roles.yaml", "KeeperPolicy", "PolicyDocument"),
    "tenant-reader.json": ("roles.yaml", "TenantPolicy", "PolicyDocument"),
    "ses.json": ("roles.yaml", "SesPolicy", "PolicyDocument"),
    "regions.json": ("roles.yaml", "RegionsPolicy", "PolicyDocument"),
    "lake-bucket.json": ("buckets.yaml", "LakePolicy", "PolicyDocument"),
}
# What the lake's bucket must refuse, and by which condition, where there is one.
REFUSED = [
    ("s3:BypassGovernanceRetention", "", "a retention to be bypassed"),
    ("s3:DeleteObjectVersion", "", "versions of what is written once to be deleted"),
    ("s3:PutObjectRetention", '"NumericLessThan": {"s3:object-lock-remaining-retention-days"', "a short retention"),
    ("s3:PutObjectRetention", '"StringNotEquals": {"s3:object-lock-mode": "COMPLIANCE"', "a retention that some may bypass"),
    ("s3:PutObjectLegalHold", "", "the application to hold objects for ever"),
    ("s3:PutBucketObjectLockConfiguration", "", "the application to change the lock"),
]
SECRETS = [
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"), "an AWS access key"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), "a private key"),
    (re.compile(r"[a-z]+://(?!user:password@)[^\s/:@\"'{}$]+:[^\s/@\"'{}$]+@"), "a URL with a password"),
    (re.compile(r"(?i)^\s*\"?(password|secret|token|api_?key|passphrase|secretstring|masteruserpassword)\"?\s*[:=]\s*"
                r"[\"']?(?!\s*(\[|\{|!|\"?(env|file|secret):|$))[^\s#\[{!]", re.MULTILINE), "a literal secret"),
]

breaches = []


def breach(where, what):
    breaches.append(f"{where}: {what}")


class Template(yaml.SafeLoader):
    """CloudFormation's short forms as the text that Fn::Sub would take, so that policies can be compared."""


def short_form(loader, tag, node):
    if isinstance(node, yaml.ScalarNode):
        text = loader.construct_scalar(node)
        if tag in ("Ref", "GetAtt"):
            return "${" + text + "}"
        return text if tag == "Sub" else {tag: text}
    if isinstance(node, yaml.SequenceNode):
        return {tag: loader.construct_sequence(node, deep=True)}
    return {tag: loader.construct_mapping(node, deep=True)}


Template.add_multi_constructor("!", short_form)


def every(value):
    return value if isinstance(value, list) else [value] if value is not None else []


def once(pairs):
    seen = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f"the key `{key}` stands there twice")
        seen[key] = value
    return seen


def statements(where, document):
    if document.get("Version") != "2012-10-17":
        breach(where, "the policy's Version is not 2012-10-17")
    sids = [statement.get("Sid") for statement in document["Statement"]]
    for sid in sids:
        if not sid or sids.count(sid) > 1:
            breach(where, f"a statement has no Sid of its own ({sid})")
    return document["Statement"]


def policy(where, document, key_policy=False):
    for statement in statements(where, document):
        named = f"{where}: {statement.get('Sid')}"
        if statement.get("Effect") == "Deny":
            continue
        actions = every(statement.get("Action"))
        if not actions or "NotAction" in statement or "NotResource" in statement or "NotPrincipal" in statement:
            breach(named, "an Allow must name its actions, resources and principals")
        for action in actions:
            if "*" in action:
                breach(named, f"allows the wildcard action {action}")
        principals = every(statement.get("Principal"))
        if any("*" in every(p if isinstance(p, str) else [v for l in p.values() for v in every(l)]) for p in principals):
            breach(named, "allows everybody")
        for resource in every(statement.get("Resource")):
            if resource == "*" and not key_policy and not set(actions) <= WITHOUT_RESOURCE:
                breach(named, "allows its actions on every resource")
            if isinstance(resource, str) and ":s3:::" in resource and ":s3:::${Lake}-" not in resource:
                breach(named, f"names a bucket that is not this lake's: {resource}")
            if isinstance(resource, str) and resource.endswith(":key/*") and "aws:" not in json.dumps(statement.get("Condition", {})):
                breach(named, "allows any key of the account: a condition on a tag is missing")


def key(where, resource):
    properties = resource["Properties"]
    if properties.get("EnableKeyRotation") is not True:
        breach(where, "the key does not rotate")
    if resource.get("DeletionPolicy") != "Retain" or resource.get("UpdateReplacePolicy") != "Retain":
        breach(where, "the key is deleted with its stack")
    document = properties["KeyPolicy"]
    policy(where, document, key_policy=True)
    for statement in document["Statement"]:
        crypto = [a for a in every(statement["Action"]) if CRYPTO.match(a)]
        if statement["Effect"] != "Allow" or not crypto:
            continue
        named = f"{where}: {statement['Sid']}"
        # Dead letters that go back into their queue are the one thing.
        via = json.dumps(statement.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService", ""))
        through_queue = "ServicesKey" in where and re.fullmatch(r'[^,]*"sqs\.\$\{AWS::Region\}\.amazonaws\.com"[^,]*', via)
        if "KeeperRoleArn" in json.dumps(statement["Principal"]) and not through_queue:
            breach(named, f"lets the keeper use the key: {crypto}")
        if not statement.get("Condition"):
            breach(named, "lets the key be used without any condition")
    if where.startswith("tenant-key.yaml") or where.endswith("LakeKey"):
        shut = [s for s in document["Statement"] if s["Effect"] == "Deny" and "kms:Decrypt" in every(s["Action"])
                and "aws:PrincipalArn" in json.dumps(s.get("Condition", {}))]
        if not shut:
            breach(where, "no Deny keeps everybody else from decrypting")
    if where.startswith("tenant-key.yaml"):
        contexts = [json.dumps(s.get("Condition", {})) for s in document["Statement"] if s["Effect"] == "Deny"]
        if not any("kms:EncryptionContext:tenant" in c for c in contexts):
            breach(where, "no Deny keeps another tenant's context out")


def bucket(where, name, resource, policies):
    properties = resource["Properties"]
    block = properties.get("PublicAccessBlockConfiguration", {})
    for switch in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"):
        if block.get(switch) is not True:
            breach(where, f"the bucket does not block public access ({switch})")
    rules = properties.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
    by_default = [rule.get("ServerSideEncryptionByDefault", {}) for rule in rules]
    if not by_default or any(d.get("SSEAlgorithm") != "aws:kms" or not d.get("KMSMasterKeyID") for d in by_default):
        breach(where, "the bucket is not encrypted under a key of ours by default")
    if properties.get("VersioningConfiguration", {}).get("Status") != "Enabled":
        breach(where, "the bucket has no versions")
    if not any("AbortIncompleteMultipartUpload" in r for r in properties.get("LifecycleConfiguration", {}).get("Rules", [])):
        breach(where, "stale uploads stay for ever")
    if resource.get("DeletionPolicy") != "Retain":
        breach(where, "the bucket is deleted with its stack")
    if "DefaultRetention" in json.dumps(properties.get("ObjectLockConfiguration", {})):
        breach(where, "a default retention keeps tables, staging and mail as well")
    own = [p for p in policies if p["Properties"]["Bucket"] == "${" + name + "}"]
    denied = [json.dumps(s.get("Condition", {})) for p in own for s in p["Properties"]["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
    for condition, what in (("aws:SecureTransport", "TLS"), ("aws:RequestedRegion", "the lake's regions"), ("aws:PrincipalArn", "the roles of this lake")):
        if not any(condition in d for d in denied):
            breach(where, f"its policy does not hold it to {what}")
    if name == "LakeBucket":
        lake_bucket(where, properties, own)


def lake_bucket(where, properties, policies):
    if properties.get("ObjectLockEnabled") is not True:
        breach(where, "the bucket has no Object Lock, so that aws.retain is refused; nobody can add it later")
    rules = properties.get("LifecycleConfiguration", {}).get("Rules", [])
    if any(name in rule for rule in rules for name in ("ExpirationInDays", "ExpirationDate", "Expiration")):
        breach(where, "a lifecycle rule deletes what is in use")
    if not any(rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays") for rule in rules):
        breach(where, "what maintenance removes is kept for ever, as old versions")
    denied = [s for p in policies for s in p["Properties"]["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
    for action, condition, what in REFUSED:
        if not any(action in every(s["Action"]) and condition in json.dumps(s.get("Condition", {})) for s in denied):
            breach(where, f"its policy allows {what}")


def application(where, document):
    """What the application cannot run without, where its settings say aws.retain and the bucket has versions."""
    for folder in ("raw", "audit"):
        may = {a for s in document["Statement"] for r in every(s["Resource"]) if r.endswith(f"/tenants/*/{folder}/*") for a in every(s["Action"])}
        for action in ("s3:GetObjectVersion", "s3:GetObjectRetention", "s3:PutObjectRetention"):
            if action not in may:
                breach(where, f"the application may not {action} in {folder}")


def template(path):
    document = yaml.load(path.read_text(), Template)
    resources = document["Resources"]
    of = lambda kind: {n: r for n, r in resources.items() if r["Type"] == kind}
    file = path.name
    for name, resource in of("AWS::KMS::Key").items():
        key(f"{file}: {name}", resource)
    for name, resource in of("AWS::S3::Bucket").items():
        bucket(f"{file}: {name}", name, resource, list(of("AWS::S3::BucketPolicy").values()))
    queues = of("AWS::SQS::Queue")
    dead = {r["Properties"].get("RedrivePolicy", {}).get("deadLetterTargetArn") for r in queues.values()} - {None}
    for name, resource in queues.items():
        where, properties = f"{file}: {name}", resource["Properties"]
        if not properties.get("KmsMasterKeyId"):
            breach(where, "the queue is not encrypted under a key of ours")
        target = properties.get("RedrivePolicy", {}).get("deadLetterTargetArn")
        if "${" + name + ".Arn}" not in dead and target not in {"${" + n + ".Arn}" for n in queues}:
            breach(where, "the queue has no dead-letter queue")
    for name, resource in of("AWS::SNS::Topic").items():
        if not resource["Properties"].get("KmsMasterKeyId"):
            breach(f"{file}: {name}", "the topic is not encrypted under a key of ours")
    for name, resource in of("AWS::SecretsManager::Secret").items():
        if not resource["Properties"].get("KmsKeyId") or "SecretString" in resource["Properties"]:
            breach(f"{file}: {name}", "the secret has no key of ours, or stands in the template")
    for name, resource in of("AWS::RDS::DBCluster").items():
        where, properties = f"{file}: {name}", resource["Properties"]
        if properties.get("StorageEncrypted") is not True or properties.get("BackupRetentionPeriod", 0) < 30:
            breach(where, "the database is not encrypted, or its backups do not reach back 30 days")
        if "MasterUserPassword" in properties or properties.get("ManageMasterUserPassword") is not True:
            breach(where, "the admin's password is not kept by Secrets Manager")
    for name, resource in of("AWS::RDS::DBClusterParameterGroup").items():
        if str(resource["Properties"]["Parameters"].get("rds.force_ssl")) != "1":
            breach(f"{file}: {name}", "the database takes connections without TLS")
    for name, resource in of("AWS::RDS::DBInstance").items():
        if resource["Properties"].get("PubliclyAccessible") is not False:
            breach(f"{file}: {name}", "the database can be reached from outside")
    for name, resource in of("AWS::Cognito::UserPool").items():
        properties = resource["Properties"]
        if properties.get("MfaConfiguration") != "ON" or properties.get("EnabledMfas") != ["SOFTWARE_TOKEN_MFA"]:
            breach(f"{file}: {name}", "the pool does not require an authenticator of everybody")
    for name, resource in of("AWS::Cognito::UserPoolClient").items():
        properties = resource["Properties"]
        if "custom:tenant" in properties.get("WriteAttributes", ["custom:tenant"]):
            breach(f"{file}: {name}", "users can write their own custom:tenant")
        if properties.get("GenerateSecret") is not False or properties.get("AllowedOAuthFlows") != ["code"]:
            breach(f"{file}: {name}", "the client is not a public one with code and PKCE")
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        for part in ("PolicyDocument", "AssumeRolePolicyDocument"):
            if part in properties:
                trust = part == "AssumeRolePolicyDocument"
                policy(f"{file}: {name}", properties[part], key_policy=trust)
    return document


def literals(path):
    for pattern, what in SECRETS:
        for found in pattern.finditer(path.read_text()):
            line = path.read_text()[: found.start()].count("\n") + 1 + found.group(0).startswith("\n")
            breach(f"{path.name}:{line}", f"holds {what}")


def main(folder):
    templates = {path.name: template(path) for path in sorted(folder.glob("*.yaml"))}
    told = (folder / "policies" / "README.md").read_text()
    for path in sorted((folder / "policies").glob("*.json")):
        try:
            document = json.loads(path.read_text(), object_pairs_hook=once)
        except ValueError as error:
            breach(path.name, f"is not JSON: {error}")
            continue
        policy(path.name, document, key_policy=path.name == "tenant-key.json")
        if path.name == "app.json":
            application(path.name, document)
        for statement in document["Statement"]:
            if f"`{statement.get('Sid')}`" not in told:
                breach(path.name, f"policies/README.md does not say what {statement.get('Sid')} stops")
        if path.name not in TWINS:
            breach(path.name, "no template says the same")
            continue
        file, resource, part = TWINS[path.name]
        twin = templates[file]["Resources"][resource]["Properties"][part]
        # In Fn::Sub `${!x}` is the text `${x}`.
        if json.loads(json.dumps(twin).replace("${!", "${")) != document:
            breach(path.name, f"is not what {file} says of {resource}")
    for missing in sorted(set(TWINS) - {path.name for path in (folder / "policies").glob("*.json")}):
        breach(missing, "is missing")
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("policies/*.json"), *folder.parent.glob("*.toml")]):
        literals(path)
    for line in breaches:
        print(line)
    if not breaches:
        print(f"{len(templates)} templates and {len(TWINS)} policies hold")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)))
