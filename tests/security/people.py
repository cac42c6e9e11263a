"""Somebody of a role in a team, signed in: prints the headers that a request of theirs has.

people.py URL OUTBOX BONDED LAKE TENANT ROLE
"""
import base64, glob, hashlib, hmac, json, os, re, struct, subprocess, sys, time, urllib.request

url, outbox, bonded, lake, tenant, role = sys.argv[1:]
email = f"{role}@front-desk.example"
PASSWORD = "seven wet lanterns on a quay"
headers = {"content-type": "application/json"}


def post(path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        cookie = answer.headers.get("set-cookie")
        if cookie:
            headers["cookie"] = cookie.split(";")[0]
        text = answer.read()
        told = json.loads(text) if text else {}
        if "csrf" in told:
            headers["x-csrf-token"] = told["csrf"]
        return told


def code():
    for _ in range(300):
        letters = [open(path).read() for path in sorted(glob.glob(f"{outbox}/*.eml"), key=os.path.getmtime)]
        for letter in reversed([letter for letter in letters if email in letter]):
            found = re.search(r"\b\d{6}\b", letter.replace("\r", "").split("\n\n", 1)[1])
            if found:
                return found.group()
        time.sleep(0.1)
    raise SystemExit(f"no code came for {email}")


def totp(secret):
    digest = hmac.new(base64.b32decode(secret + "=" * (-len(secret) % 8)), struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7fffffff) % 1_000_000:06}"


environment = dict(os.environ, BONDED_MAIL_OUTBOX=outbox)
invite = [bonded, "--lake", lake, "member", "invite", "--tenant", tenant, email, "--role", role]
subprocess.run(invite, env=environment, check=True, stdout=subprocess.DEVNULL)
post("/v1/invites/accept", {"email": email, "code": code(), "password": PASSWORD})
post("/v1/sign-in", {"email": email, "password": PASSWORD})
if role in ("owner", "admin"):
    secret = post("/v1/me/authenticator", {})["secret"]
    post("/v1/me/authenticator/confirm", {"code": totp(secret)})
    me = urllib.request.Request(url + "/v1/me", headers=headers)
    headers["x-csrf-token"] = json.load(urllib.request.urlopen(me))["csrf"]
post("/v1/me/team", {"team": tenant})
print(f"Cookie: {headers['cookie']}")
print(f"x-csrf-token: {headers['x-csrf-token']}")
