"""Clients that send to a relay, what they know of it, and a host that takes what it delivers."""

import smtplib
import socketserver
import threading
from random import Random

from suite import PATIENCE, Failure

RELAY = ("127.0.0.1", 2525)
TAKING, DEAD = "127.0.0.2", "127.0.0.3"
MX_PORT = 2526


class Journal:
    """What clients have begun to send, and what of it was acknowledged: kept outside of the disk and of the relay."""

    def __init__(self):
        self.lock = threading.Lock()
        self.begun, self.acknowledged, self.refused = {}, {}, []

    def begin(self, token, message):
        with self.lock:
            self.begun[token] = message

    def acknowledge(self, token, queue_id):
        with self.lock:
            if queue_id in self.acknowledged:
                raise Failure(f"{queue_id} was given twice")
            self.acknowledged[queue_id] = token

    def refuse(self, reply):
        with self.lock:
            self.refused.append(reply)

    def count(self):
        with self.lock:
            return len(self.acknowledged)

    def last_refusal(self):
        with self.lock:
            return self.refused[-1] if self.refused else None


def message(token, random, size):
    """A message of about `size` bytes, with lines that begin with dots and bytes above 127."""
    lines = [f"Subject: {token}".encode(), b"From: ann@sender.test", b""]
    left = size
    while left > 0:
        line = random.choice([b"", b".", b"..", b"From "]) + random.randbytes(random.choice([10, 70, 400])).translate(PRINTED)
        lines.append(line)
        left -= len(line) + 2
    return b"\r\n".join(lines) + b"\r\n"


# Every byte but the controls and 127.
PRINTED = bytes(byte if byte >= 32 and byte != 127 else 46 for byte in range(256))


def token_of(body):
    """The token in a message's Subject."""
    for line in body.split(b"\r\n\r\n", 1)[0].split(b"\r\n"):
        if line.startswith(b"Subject: "):
            return line[9:].decode()
    raise Failure(f"a message without a token: {body[:200]!r}")


def same(journal, body, token=None):
    """Whether a body is what was sent under its token, below the field that the relay adds; gives the token."""
    token = token or token_of(body)
    sent = journal.begun.get(token)
    if sent is None:
        raise Failure(f"{token} was never sent")
    added = body[: len(body) - len(sent)]
    if not body.endswith(sent) or not added.startswith(b"Received: from ") or b"\r\n\r\n" in added:
        raise Failure(f"{token} is changed: {len(body)} bytes for {len(sent)}, {body[:300]!r}")
    return token


class Host(socketserver.ThreadingTCPServer):
    """An MX host that takes everything."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address=TAKING):
        super().__init__((address, MX_PORT), Dialogue)
        self.name = f"host {address}"
        self.lock, self.messages = threading.Lock(), []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def tokens(self):
        """The tokens of what was taken."""
        with self.lock:
            return [token_of(message) for message in self.messages]

    def tail(self):
        """What it has taken."""
        return f"{len(self.messages)} messages"

    def stop(self):
        """Stops listening."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that is killed in the middle of a sentence is what this is about."""


class Dialogue(socketserver.StreamRequestHandler):
    """One connection to the host."""

    def say(self, words):
        self.wfile.write(words + b"\r\n")

    def handle(self):
        self.say(b"220 mx.test")
        while line := self.rfile.readline():
            verb = line[:4].upper().strip()
            if verb == b"EHLO":
                self.say(b"250-mx.test\r\n250 8BITMIME")
            elif verb == b"DATA":
                self.say(b"354 go on")
                self.take()
            elif verb == b"QUIT":
                return self.say(b"221 bye")
            else:
                self.say(b"250 ok")

    def take(self):
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line.endswith(b"\r\n"):
                return  # broken off: nothing was handed over
            lines.append(line[1:] if line.startswith(b".") else line)
        with self.server.lock:
            self.server.messages.append(b"".join(lines))
        self.say(b"250 taken")


class Clients:
    """Clients that send one message after the other until they are told to stop or the relay is gone."""

    def __init__(self, journal, random, name, sizes, count=4):
        self.journal, self.name, self.sizes = journal, name, sizes
        self.stopping = threading.Event()
        self.surprise = None
        seeds = [random.randrange(1 << 60) for _ in range(count)]
        self.threads = [
            threading.Thread(target=self.work, args=(f"{name}-c{number}", seed), daemon=True)
            for number, seed in enumerate(seeds)
        ]
        for thread in self.threads:
            thread.start()

    def work(self, name, seed):
        random, number = Random(seed), 0
        while not self.stopping.is_set():
            try:
                with smtplib.SMTP(*RELAY, local_hostname="client.test", timeout=PATIENCE) as client:
                    while not self.stopping.is_set():
                        number += 1
                        self.send(client, f"{name}-m{number}", random)
            except (OSError, smtplib.SMTPException):
                self.stopping.wait(0.05)
            except Failure as failure:
                self.surprise = failure
                return

    def send(self, client, token, random):
        body = message(token, random, random.choice(self.sizes))
        recipient = f"bob@[{random.choice([TAKING, DEAD])}]"
        self.journal.begin(token, body)
        client.ehlo_or_helo_if_needed()
        for verb, words in (("MAIL", "FROM:<ann@sender.test> BODY=8BITMIME"), ("RCPT", f"TO:<{recipient}>")):
            code, text = client.docmd(verb, words)
            if code != 250:
                self.journal.refuse((code, text.decode(errors="replace")))
                client.rset()
                return self.stopping.wait(0.02)
        code, text = client.data(body)
        if code == 250:
            self.journal.acknowledge(token, text.decode().rsplit(" ", 1)[1])
        else:
            self.journal.refuse((code, text.decode(errors="replace")))
            self.stopping.wait(0.02)

    def tail(self):
        """How far they came."""
        return f"{self.journal.count()} acknowledged, {len(self.journal.refused)} refused"

    def stop(self):
        """Has the clients stop, and waits for them."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        surprise, self.surprise = self.surprise, None
        if surprise:
            raise surprise
