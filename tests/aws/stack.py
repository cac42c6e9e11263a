"""Deploys config/aws to an emulator on this machine and looks whether what came of it is what the templates say.

    stack.py ministack|localstack ENDPOINT

What an emulator has no type for is taken out before, named, and not tested; what it has and does not keep is named, too.
Nothing here shows that AWS enforces a policy: no emulator does. Needs boto3 and PyYAML.
"""

import base64
import datetime
import hashlib
import json
import pathlib
import re
import sys
import time

import boto3
import yaml
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "config" / "aws"
sys.dont_write_bytecode = True
sys.path.insert(0, str(FOLDER / "policies"))
from fill import filled  # noqa: E402
REGION = "us-east-1"
LAKE = "bonded-test"
# What each emulator does not have: types (and what cannot be without them), and properties that it takes and forgets. A
# property that it keeps by now fails the test, so that the second list only shrinks.
NO_TYPE = {
    "ministack": {"AWS::SES::ReceiptRuleSet", "AWS::SES::ReceiptRule", "AWS::SecretsManager::RotationSchedule"},
    # It has more of these than it says: what it does not know it calls done.
    "localstack": {
        "AWS::SES::ReceiptRuleSet", "AWS::SES::ReceiptRule", "AWS::SES::EmailIdentity", "AWS::SecretsManager::RotationSchedule",
        "AWS::Logs::MetricFilter", "AWS::EC2::SecurityGroup", "AWS::SecretsManager::Secret",
        "AWS::Cognito::UserPool", "AWS::Cognito::UserPoolClient", "AWS::Cognito::UserPoolDomain", "AWS::Glue::Database",
        "AWS::RDS::DBCluster", "AWS::RDS::DBClusterParameterGroup", "AWS::RDS::DBInstance", "AWS::RDS::DBSubnetGroup",
    },
}
NOT_KEPT = {
    "ministack": {"bucket encryption", "object lock", "lifecycle"},
    "localstack": {"bucket encryption", "lifecycle"},
}

emulator = ""
checked, failed, ignored = 0, [], []


def holds(what, true, kind=None):
    """`kind` names what an emulator may be known not to keep."""
    global checked
    if kind in NOT_KEPT[emulator]:
        ignored.append(f"{kind}: taken and forgotten")
        if true:
            failed.append(f"{what}: kept by now, so take `{kind}` off the list")
        return
    checked += 1
    if not true:
        failed.append(what)
    print(f"  {'ok  ' if true else 'FAIL'} {what}")


def asked(call, default=None, **arguments):
    """What a call answers; the default where there is nothing."""
    try:
        return call(**arguments)
    except ClientError:
        return default


class Tagged(yaml.SafeLoader):
    pass


def keep(loader, suffix, node):
    """Short forms as long ones, for what was taken out must be taken out of JSON."""
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        text = loader.construct_scalar(node)
        return {name: text.split(".", 1) if suffix == "GetAtt" else text}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


Tagged.add_multi_constructor("!", keep)


def without_unknown(path):
    document = yaml.load(path.read_text(), Tagged)
    for name, resource in list(document["Resources"].items()):
        if resource["Type"] in NO_TYPE[emulator]:
            remove(document, name)
            ignored.append(f"{path.name}: {name} ({resource['Type']}): not deployed")
    return literal(document) if emulator == "localstack" else document


def literal(value):
    """`${!x}` in Fn::Sub, the text `${x}`, said in the other way: LocalStack takes it for a reference."""
    if isinstance(value, list):
        return [literal(each) for each in value]
    if not isinstance(value, dict):
        return value
    text = value.get("Fn::Sub")
    if isinstance(text, str) and "${!" in text:
        before, tag, after = re.split(r"\$\{!([^}]+)\}", text)
        return {"Fn::Sub": [f"{before}${{Literal}}{after}", {"Literal": f"${{{tag}}}"}]}
    return {key: literal(each) for key, each in value.items()}


def remove(document, name):
    del document["Resources"][name]
    for output, value in list(document.get("Outputs", {}).items()):
        if f'"{name}"' in json.dumps(value) or f"${{{name}}}" in json.dumps(value):
            del document["Outputs"][output]


def keep_by_itself(session, url, version, days):
    """One object's retention, asked for as Bonded does (`put_retention` in connectors/src/lake/s3/retention.rs); the status."""
    until = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = (f'<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Mode>COMPLIANCE</Mode>'
            f"<RetainUntilDate>{until}</RetainUntilDate></Retention>")
    digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    request = AWSRequest("PUT", f"{url}?retention=&versionId={version}", data=body.encode(),
                         headers={"x-amz-sdk-checksum-algorithm": "SHA256", "x-amz-checksum-sha256": digest})
    S3SigV4Auth(session.get_credentials(), "s3", REGION).add_auth(request)
    return URLLib3Session().send(request.prepare()).status_code


def main(endpoint):
    config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
    session = boto3.Session("test", "test", region_name=REGION)
    client = lambda service: session.client(service, endpoint_url=endpoint, config=config)
    formation, s3, kms, sqs, iam = (client(name) for name in ("cloudformation", "s3", "kms", "sqs", "iam"))
    account = client("sts").get_caller_identity()["Account"]

    def deploy(name, document, parameters):
        body = json.dumps(document)
        s3.put_object(Bucket="templates", Key=f"{name}.json", Body=body)
        formation.create_stack(
            StackName=name,
            TemplateURL=f"{endpoint}/templates/{name}.json",
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        for _ in range(240):
            stack = formation.describe_stacks(StackName=name)["Stacks"][0]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                break
            time.sleep(0.25)
        if stack["StackStatus"] != "CREATE_COMPLETE":
            for event in formation.describe_stack_events(StackName=name)["StackEvents"]:
                if "FAILED" in event["ResourceStatus"]:
                    print(f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason')}")
            sys.exit(f"{name}: {stack['StackStatus']}")
        return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}

    # What `aws cloudformation package` does: the parts into a bucket, their addresses into the whole.
    s3.create_bucket(Bucket="templates")
    whole = without_unknown(FOLDER / "bonded.yaml")
    for name, resource in list(whole["Resources"].items()):
        part = FOLDER / resource["Properties"]["TemplateURL"]
        document = without_unknown(part)
        if not document["Resources"]:
            remove(whole, name)
            continue
        s3.put_object(Bucket="templates", Key=f"{part.stem}.part.json", Body=json.dumps(document))
        resource["Properties"]["TemplateURL"] = f"{endpoint}/templates/{part.stem}.part.json"

    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"]["SubnetId"]
               for n, zone in enumerate("ab")]
    wall = ec2.create_security_group(GroupName="app", Description="app", VpcId=vpc)["GroupId"]
    client("logs").create_log_group(logGroupName="trail")
    print("the lake")
    out = deploy(LAKE, whole, {
        "Lake": LAKE, "AppSecurityGroupId": wall, "VpcId": vpc, "SubnetIds": ",".join(subnets), "MailDomain": "in.bonded.example",
        "DeskUrl": "https://bonded.example", "SignInDomain": "bonded-test", "AlarmEmail": "operations@bonded.example",
        "TrailLogGroup": "trail",
    })

    def written(name, **more):
        """A policy of config/aws/policies, as it must stand there."""
        given = {"AWS::Partition": "aws", "AWS::AccountId": account, "AWS::Region": REGION, "Lake": LAKE, "Regions": "us-east-1,us-west-2",
                 "AppRoleArn": out["AppRoleArn"], "KeeperRoleArn": out["KeeperRoleArn"], "TenantRoleArn": out["TenantRoleArn"]}
        return filled(json.loads((FOLDER / "policies" / name).read_text()), given | more)

    for name, days in (("Lake", 7), ("Mail", 2)):
        bucket = out[f"{name}Bucket"]
        holds(f"{name}: named by lake, account and region", bucket == f"{LAKE}-{name.lower()}-{account}-{REGION}")
        encryption = asked(s3.get_bucket_encryption, Bucket=bucket) or {"ServerSideEncryptionConfiguration": {"Rules": []}}
        rules = [r["ApplyServerSideEncryptionByDefault"] for r in encryption["ServerSideEncryptionConfiguration"]["Rules"]]
        ours = [r for r in rules if r["SSEAlgorithm"] == "aws:kms" and ":key/" in r.get("KMSMasterKeyID", "")]
        holds(f"{name}: encrypted under a key of ours", len(ours) == 1, "bucket encryption")
        holds(f"{name}: versioned", s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled")
        block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        holds(f"{name}: no public access", len(block) == 4 and all(block.values()))
        lock = asked(s3.get_object_lock_configuration, {}, Bucket=bucket).get("ObjectLockConfiguration", {})
        holds(f"{name}: no default retention", "Rule" not in lock)
        rules = asked(s3.get_bucket_lifecycle_configuration, {}, Bucket=bucket).get("Rules", [])
        stale = [r for r in rules if r.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation") == days]
        holds(f"{name}: stale uploads end", len(stale) == 1, "lifecycle")
        sids = {s["Sid"] for s in json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]}
        holds(f"{name}: its policy", {"OnlyOverTls", "OnlyFromTheLakesRegions", "NobodyElseTouchesObjects"} <= sids)

    lake = out["LakeBucket"]
    holds("Lake: its URL, as `lake` has it", out["LakeUrl"] == f"s3://{lake}/lake")
    lock = asked(s3.get_object_lock_configuration, {}, Bucket=lake).get("ObjectLockConfiguration", {})
    holds("Lake: Object Lock is there, as aws.retain asks", lock.get("ObjectLockEnabled") == "Enabled", "object lock")
    rules = asked(s3.get_bucket_lifecycle_configuration, {}, Bucket=lake).get("Rules", [])
    old = [r for r in rules if r.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays") == 30]
    holds("Lake: old versions end after a month", len(old) == 1, "lifecycle")
    # LocalStack makes a number of a parameter that is one, which says the same to a condition on numbers.
    deployed = json.loads(s3.get_bucket_policy(Bucket=lake)["Policy"], parse_int=str)
    holds("Lake: its policy is policies/lake-bucket.json, filled in",
          deployed == written("lake-bucket.json", RetainDaysMin="1825", RetainDaysMax="3654"))

    # What is kept stays, and nothing else does: this much the emulator enforces by itself.
    def deleted(key, version):
        try:
            s3.delete_object(Bucket=lake, Key=key, VersionId=version)
            return 204
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"]

    kept, table, staged = (f"lake/tenants/nordwind/{path}" for path in ("raw/9f86d0", "warehouse/es_003/data", "raw/staging/one"))
    versions = {key: s3.put_object(Bucket=lake, Key=key, Body=b"sealed")["VersionId"] for key in (kept, table, staged)}
    holds("a raw object takes its retention as Bonded asks for it",
          keep_by_itself(session, f"{endpoint}/{lake}/{kept}", versions[kept], 1826) == 200, "object lock")
    told = asked(s3.get_object_retention, {}, Bucket=lake, Key=kept).get("Retention", {})
    left = (told["RetainUntilDate"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 86400 if told else 0
    holds("and tells it: compliance mode, 1826 days", told.get("Mode") == "COMPLIANCE" and 1825.9 < left <= 1826, "object lock")
    holds("its version cannot be deleted", deleted(kept, versions[kept]) == 403, "object lock")
    holds("a table's and one in staging can", [deleted(key, versions[key]) for key in (table, staged)] == [204, 204])

    queue = out["MailQueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    redrive = json.loads(attributes["RedrivePolicy"])
    holds("mail queue: six tries, then the dead-letter queue",
          int(redrive["maxReceiveCount"]) == 20 and redrive["deadLetterTargetArn"].endswith(f":{LAKE}-mail-dead"))
    holds("mail queue: encrypted under a key of ours", ":key/" in attributes.get("KmsMasterKeyId", ""))
    holds("mail queue: long poll, 14 days", (attributes["ReceiveMessageWaitTimeSeconds"], attributes["MessageRetentionPeriod"]) == ("20", "1209600"))
    holds("mail queue: only the topic fills it", "NobodyElseFillsIt" in attributes.get("Policy", ""))
    sns = client("sns")
    topic = next(t["TopicArn"] for t in sns.list_topics()["Topics"] if t["TopicArn"].endswith(f":{LAKE}-mail"))
    sns.publish(TopicArn=topic, Message="{}")
    got = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=2).get("Messages", [])
    holds("what the topic says arrives in the queue, in an envelope that names the topic",
          len(got) == 1 and json.loads(got[0]["Body"])["TopicArn"] == topic)

    for alias in ("bonded-lake", "services"):
        described = kms.describe_key(KeyId=f"alias/bonded/{LAKE}/{alias}")["KeyMetadata"]
        holds(f"{alias} key: found by alias, symmetric", described["KeySpec"] == "SYMMETRIC_DEFAULT" and described["KeyState"] == "Enabled")
        holds(f"{alias} key: rotates", kms.get_key_rotation_status(KeyId=described["KeyId"])["KeyRotationEnabled"])

    print("a tenant")
    tenant = deploy(f"{LAKE}-nordwind", without_unknown(FOLDER / "tenant-key.yaml"), {
        "Lake": LAKE, "Tenant": "nordwind", "AppRoleArn": out["AppRoleArn"], "KeeperRoleArn": out["KeeperRoleArn"],
        "TenantRoleArn": out["TenantRoleArn"],
    })
    key = kms.describe_key(KeyId=f"alias/bonded/{LAKE}/nordwind")["KeyMetadata"]
    holds("tenant key: found by alias", key["Arn"] == tenant["KeyArn"])
    rotation = kms.get_key_rotation_status(KeyId=key["KeyId"])
    holds("tenant key: rotates each year", rotation["KeyRotationEnabled"] and rotation.get("RotationPeriodInDays", 365) == 365)
    policy = json.loads(kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"])
    holds("tenant key: its policy is policies/tenant-key.json, filled in", policy == written("tenant-key.json", Tenant="nordwind"))
    tags = {t["TagKey"]: t["TagValue"] for t in kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]}
    holds("tenant key: tagged with lake and tenant", (tags.get("bonded:lake"), tags.get("bonded:tenant")) == (LAKE, "nordwind"))

    print("the rest")
    for role in ("app", "keeper", "tenant-reader", "ses"):
        attached = iam.list_attached_role_policies(RoleName=f"{LAKE}-{role}")["AttachedPolicies"]
        holds(f"role {role}: {len(attached)} policies", len(attached) == {"app": 2, "keeper": 2, "tenant-reader": 2, "ses": 1}[role])
    tags = {t["Key"]: t["Value"] for t in iam.list_role_tags(RoleName=f"{LAKE}-app")["Tags"]}
    holds("role app: keeps no keys unless asked for", tags.get("bonded:keeps-keys") == "false")
    version = iam.list_attached_role_policies(RoleName=f"{LAKE}-app")["AttachedPolicies"][0]["PolicyArn"]
    document = iam.get_policy_version(PolicyArn=version, VersionId=iam.get_policy(PolicyArn=version)["Policy"]["DefaultVersionId"])
    holds("role app: every placeholder is filled in", "${" not in json.dumps(document["PolicyVersion"]["Document"]))

    if emulator == "ministack":
        glue = client("glue").get_database(Name="bonded")["Database"]
        holds("Glue database: over the tenants' folders", glue["LocationUri"] == f"{out['LakeUrl']}/tenants/")

        rds = client("rds")
        cluster = rds.describe_db_clusters(DBClusterIdentifier=LAKE)["DBClusters"][0]
        holds("Aurora: encrypted, 30 days of backups, not deleted by mistake",
              cluster["StorageEncrypted"] and cluster["BackupRetentionPeriod"] == 30 and cluster["DeletionProtection"])
        holds("Aurora: two instances", len(rds.describe_db_instances()["DBInstances"]) == 2)
        parameters = rds.describe_db_cluster_parameters(DBClusterParameterGroupName=f"{LAKE}-postgres16").get("Parameters", [])
        forced = [p for p in parameters if p["ParameterName"] == "rds.force_ssl"]
        holds("Aurora: TLS is forced", bool(forced) and forced[0].get("ParameterValue") == "1")

        secrets = client("secretsmanager")
        for secret, role in (("PostgresSecretArn", "bonded_app"), ("PostgresOwnerSecretArn", "bonded_owner")):
            value = json.loads(secrets.get_secret_value(SecretId=out[secret])["SecretString"])
            holds(f"secret of {role}: 48 random characters, made there", value["username"] == role and len(value["password"]) == 48)

        cognito = client("cognito-idp")
        pool = out["Issuer"].rsplit("/", 1)[1]
        described = cognito.describe_user_pool(UserPoolId=pool)["UserPool"]
        holds("Cognito: a second factor of everybody", described["MfaConfiguration"] == "ON")
        app = cognito.describe_user_pool_client(UserPoolId=pool, ClientId=out["ClientId"])["UserPoolClient"]
        holds("Cognito: a public client", "ClientSecret" not in app and app["AllowedOAuthFlows"] == ["code"])
        holds("Cognito: nobody writes their own custom:tenant", app["WriteAttributes"] == ["email"])

    alarms = {a["AlarmName"]: a for a in client("cloudwatch").describe_alarms()["MetricAlarms"]}
    holds("alarms: dead mail, waiting mail, refused and changed keys, a changed bucket",
          {f"{LAKE}-{n}" for n in ("dead-mail", "mail-waits", "key-refused", "key-changed", "bucket-changed")} <= set(alarms))
    if emulator == "ministack":
        filters = {f["filterName"]: f for f in client("logs").describe_metric_filters(logGroupName="trail")["metricFilters"]}
        pattern = " ".join(f["filterPattern"] for f in filters.values())
        holds("alarm on the bucket: of the lake's alone", f'bucketName = "{lake}"' in pattern and 'eventName = "PutObjectLock*"' in pattern)
    holds("alarm on dead mail: any message", alarms[f"{LAKE}-dead-mail"]["Threshold"] == 0)

    print(f"{checked} checked, {len(failed)} failed")
    for name in sorted(set(ignored)):
        print(f"not tested by {emulator}: {name}")
    print("not tested, no emulator enforces it: key policies, bucket and queue policies, IAM, session tags, regions, TLS, rotation")
    for what in failed:
        print(f"failed: {what}")
    return 1 if failed else 0


if __name__ == "__main__":
    emulator = sys.argv[1]
    sys.exit(main(sys.argv[2].rstrip("/")))
