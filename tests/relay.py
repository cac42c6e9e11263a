"""A mail server for tests: takes mail from `desk` alone, whose password is what a file says at that moment. PORT FOLDER FILE."""

import sys, asyncio
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult
port, mail, file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def judge(server, session, envelope, mechanism, data):
    good = data.login == b"desk" and data.password == open(file, "rb").read()
    return AuthResult(success=good, handled=False)
async def serve():
    make = lambda: SMTP(Mailbox(mail), auth_required=True, auth_require_tls=False, authenticator=judge)
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", port)
    await server.serve_forever()
asyncio.run(serve())
