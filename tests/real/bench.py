"""The world of the power suite: a disk with a relay on it, and clients that send to it."""

import http.client
import json
import os
import pathlib
import random
import signal
import socket

from clients import MX_PORT, RELAY, Clients, Host, same
from disks import Disk
from programs import Relay
from suite import PATIENCE, Failure, run, until
from world import World

SEED = int(os.environ.get("STS_RELAY_SEED", random.SystemRandom().randrange(1 << 32)))


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the admin socket."""

    def __init__(self, path):
        super().__init__("sts-relay", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Bench(World):
    """The folder outside of the disk holds settings, socket and logs."""

    PLACE = "/dev/shm"

    def begin(self):
        """Draws the seed of this scenario."""
        run("ip", "link", "set", "lo", "up")
        self.random = random.Random(f"{SEED} {self.name}")
        self.mount_point = self.folder / "disk"
        self.relay = self.disk = self.host = None

    def __exit__(self, *_):
        """Ends the relay at once, which may stand still, before all else is stopped."""
        if self.relay is not None:
            self.relay.kill()
        super().__exit__()

    def logs(self):
        """The seed, and the logs."""
        return f"STS_RELAY_SEED={SEED}\n{super().logs()}"

    def make(self, size, free_space="16MiB"):
        """Makes the disk, and the relay with its settings."""
        self.disk = self.keep(Disk(self.folder / "image", self.mount_point, size))
        self.relay = self.keep(Relay(self.folder, *RELAY, [
            'hostname = "relay.test"', f'data_dir = "{self.mount_point}/data"',
            f'trust.ca_file = "{self.authority.certificate}"', "trust.extend = false",
            f'listener = [{{ address = "{RELAY[0]}:{RELAY[1]}" }}]', 'dns.servers = ["127.0.0.1:9"]',
            f"delivery.smtp_port = {MX_PORT}", f'limits.free_space = "{free_space}"', f'admin.socket = "{self.folder}/admin"',
        ], start=False))

    def start(self):
        """Starts the relay and waits until it takes mail and answers."""
        self.relay.start()

        def answers():
            try:
                return self.ask("/stats")[0] == 200
            except OSError:
                return False

        until("the relay to answer", answers)

    def pause(self):
        """Stops the relay where it is, so that nothing more reaches the disk."""
        self.relay.child.send_signal(signal.SIGSTOP)
        state = pathlib.Path(f"/proc/{self.relay.child.pid}/task")
        until("the relay to stand still", lambda: all(
            (task / "stat").read_text().rsplit(")", 1)[1].split()[0] in "TtZ" for task in state.iterdir()))

    def send(self, journal, name, sizes, **options):
        """Starts clients."""
        return self.keep(Clients(journal, self.random, name, sizes, **options))

    def stop(self):
        """Ends the relay in order."""
        if (status := self.relay.stop()) != 0:
            raise Failure(f"the relay ended with {status}")

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
