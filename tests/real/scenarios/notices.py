"""What others make of the relay's notices. A scenario's name is the sentence."""

import http.server
import json
import os
import threading

from internet import Submitting
from suite import Theme, expect, run, until

scenario = Theme(Submitting)

# A Python that has standardwebhooks (.ci/run makes one).
PYTHON = os.environ.get("PARSEDMARC", "python3")

VERIFIES = """
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
given = json.load(sys.stdin)
hook = Webhook(given["secret"])
hook.verify(given["body"], given["headers"])
try:
    hook.verify(given["body"].replace("firing", "resolved"), given["headers"])
except WebhookVerificationError:
    print("verified")
"""


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes every POST, and remembers it."""

    got = []

    def do_POST(self):
        """Remembers it, and answers."""
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        Hook.got.append((body, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """Says nothing."""


@scenario
def standardwebhooks_verifies_a_signature_and_finds_a_change(world):
    """The package of the specification takes what the relay has signed, and nothing that was changed."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secret = run("openssl", "rand", "-base64", "32").stdout.strip()
    file = world.folder / "notify.secret"
    file.write_text(f"whsec_{secret}\n")
    world.relay.stop()
    world.relay.configure([
        *world.settings(),
        f'notify = [{{ name = "hook", kind = "webhook", url = "http://127.0.0.1:{server.server_port}/", secret_file = "{file}" }}]',
    ])
    world.relay.start()
    world.relay.command("notify", "test")
    body, headers = until("a notice", lambda: Hook.got)[0]
    given = json.dumps({"secret": secret, "body": body, "headers": headers})
    expect(run(PYTHON, "-c", VERIFIES, input=given).stdout.strip() == "verified", "it is not verified")
    server.shutdown()
    return "one signature by standardwebhooks"
