"""The relay on a disk that can lose its power, clients that send to it, and a host that takes what it delivers."""

import http.client
import json
import os
import pathlib
import signal
import smtplib
import socket
import socketserver
import subprocess
import threading

from suite import PATIENCE, Failure, run, until

RELAY = ("127.0.0.1", 2525)
TAKING, DEAD = "127.0.0.2", "127.0.0.3"
MX_PORT = 2526


class Disk:
    """An ext4 file system on a loop device, whose image is a file in memory: what reached the device, and nothing else."""

    def __init__(self, image, mount_point, size):
        self.image, self.mount_point = pathlib.Path(image), pathlib.Path(mount_point)
        self.mount_point.mkdir(exist_ok=True)
        run("fallocate", "-l", size, self.image)
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", self.image)
        self.mount(self.image)

    def mount(self, image):
        """Mounts an image; the journal is committed by who asks for it, not by the clock."""
        run("mount", "-o", "loop,commit=300", image, self.mount_point)

    def unmount(self):
        """Unmounts, and waits until nobody uses the file system any more."""
        until(f"{self.mount_point} to be unmounted",
              lambda: run("umount", self.mount_point, check=False).returncode == 0)

    def end(self):
        """Unmounts whatever is mounted."""
        run("umount", "--lazy", self.mount_point, check=False)


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
        self.lock, self.messages = threading.Lock(), []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def tokens(self):
        """The tokens of what was taken."""
        with self.lock:
            return [token_of(message) for message in self.messages]

    def close(self):
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

    def __init__(self, journal, random, name, sizes, count=4, pause=0.0):
        self.journal, self.sizes, self.pause = journal, sizes, pause
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
        from random import Random
        random, number = Random(seed), 0
        while not self.stopping.is_set():
            try:
                with smtplib.SMTP(*RELAY, local_hostname="client.test", timeout=PATIENCE) as client:
                    while not self.stopping.is_set():
                        number += 1
                        self.send(client, f"{name}-m{number}", random)
                        if self.pause:
                            self.stopping.wait(self.pause)
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

    def stop(self):
        """Has the clients stop, and waits for them."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        surprise, self.surprise = self.surprise, None
        if surprise:
            raise surprise


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the admin socket."""

    def __init__(self, path):
        super().__init__("sts-relay", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Bench:
    """A disk with a relay on it; the folder outside of the disk holds settings, socket and logs."""

    def __init__(self, folder, binary, authority, random):
        self.folder, self.binary, self.authority, self.random = folder, binary, authority, random
        self.mount_point = folder / "disk"
        self.config, self.log = folder / "sts-relay.toml", folder / "log"
        self.disk = self.child = self.host = None
        self.clients = []

    def make(self, size, free_space="16MiB"):
        """Makes the disk and the settings."""
        self.disk = Disk(self.folder / "image", self.mount_point, size)
        self.config.write_text(
            f'hostname = "relay.test"\ndata_dir = "{self.mount_point}/data"\n'
            f'trust.ca_file = "{self.authority}"\ntrust.extend = false\n'
            f'listener = [{{ address = "{RELAY[0]}:{RELAY[1]}" }}]\ndns.servers = ["127.0.0.1:9"]\n'
            f'delivery.smtp_port = {MX_PORT}\nlimits.free_space = "{free_space}"\nadmin.socket = "{self.folder}/admin"\n'
        )

    def start(self):
        """Starts the relay and waits until it takes mail."""
        with self.log.open("ab") as log:
            self.child = subprocess.Popen([self.binary, "serve", "--config", self.config],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={})

        def ready():
            if self.child.poll() is not None:
                raise Failure(f"the relay ended with {self.child.returncode}")
            try:
                socket.create_connection(RELAY, timeout=1).close()
                return self.ask("/stats")[0] == 200
            except OSError:
                return False

        until("the relay to take connections", ready)

    def pause(self):
        """Stops the relay where it is, so that nothing more reaches the disk."""
        self.child.send_signal(signal.SIGSTOP)
        state = pathlib.Path(f"/proc/{self.child.pid}/task")
        until("the relay to stand still", lambda: all(
            (task / "stat").read_text().rsplit(")", 1)[1].split()[0] in "TtZ" for task in state.iterdir()))

    def send(self, journal, name, sizes, **options):
        """Starts clients."""
        self.clients.append(Clients(journal, self.random, name, sizes, **options))
        return self.clients[-1]

    def kill(self):
        """Ends the relay at once."""
        self.child.kill()
        self.child.wait()

    def stop(self):
        """Ends the relay in order."""
        self.child.terminate()
        if self.child.wait(PATIENCE) != 0:
            raise Failure(f"the relay ended with {self.child.returncode}")

    def command(self, *words, check=True):
        """Runs one of the relay's commands."""
        return run(self.binary, *words, "--config", self.config, check=check)

    def ask(self, path, connection=None):
        """The answer of the admin interface: status and bytes."""
        connection = connection or UnixConnection(f"{self.folder}/admin")
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def queued(self, query=""):
        """All messages in the queue."""
        found, after = [], ""
        while True:
            page = json.loads(self.ask(f"/queue?limit=1000{query}{after}")[1])
            if not page:
                return found
            found += page
            after = f"&after={page[-1]['id']}"

    def bodies(self):
        """The bodies of all messages that are in the queue, by id; None for one that cannot be read."""
        connection, found = UnixConnection(f"{self.folder}/admin"), {}
        for one in self.queued():
            status, body = self.ask(f"/queue/{one['id']}/body", connection)
            # One that is delivered in between is at the host.
            if status == 200:
                found[one["id"]] = body
            elif status != 404:
                found[one["id"]] = None
        return found

    def nothing_is_lost(self, journal):
        """Everything that was acknowledged is in the queue or at the host, byte for byte, and nothing else is."""
        bodies = self.bodies()
        with self.host.lock:
            arrived = {same(journal, body) for body in self.host.messages}
        readable = {queue_id for queue_id, body in bodies.items() if body is not None}
        for queue_id in readable:
            same(journal, bodies[queue_id], journal.acknowledged.get(queue_id))
        lost = [f"{queue_id} ({token})" for queue_id, token in journal.acknowledged.items()
                if queue_id not in readable and token not in arrived]
        if lost:
            raise Failure(f"{len(lost)} of {len(journal.acknowledged)} acknowledged messages are lost: {lost[:5]}")
        unreadable = set(bodies) - readable
        if unreadable:
            raise Failure(f"in the queue and not readable: {sorted(unreadable)}")
        return len(readable)

    def tail(self, lines=25):
        """The end of the relay's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else "(no log)"

    def end(self):
        """Ends what runs, and takes the disk away."""
        for clients in self.clients:
            clients.stopping.set()
        if self.child is not None and self.child.poll() is None:
            self.kill()
        for clients in self.clients:
            clients.stop()
        if self.host is not None:
            self.host.close()
        if self.disk is not None:
            self.disk.end()
            for image in self.folder.glob("*image*"):
                os.unlink(image)
