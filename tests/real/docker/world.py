"""The world of a scenario, on a network that leads nowhere; its parts are started when they are asked for.

    application (swaks), Postfix `sender` --> sts-relay --> Postfix `mx.far.test`
                                                       `--> `mx.down.test`, an address where nobody listens
    unbound serves the names.
"""

import json
import os
import pathlib
import random
import shutil
import tempfile

from compose import DEMO, EXAMPLE, Compose
from engine import Container, Dialogue, docker
from suite import Failure, expect, until

IMAGE = os.environ["STS_RELAY_IMAGE"]
RESOLVER = os.environ["STS_RELAY_RESOLVER_IMAGE"]
APPLICATION = os.environ["STS_RELAY_APPLICATION_IMAGE"]
POSTFIX = "sts-relay-postfix:test"
SYSTEMD = "sts-relay-systemd:test"
PORT = 2525

# An address of the relay's own, where it has no port 25.
NOBODY = "127.0.0.2"

UNIT = pathlib.Path(__file__).resolve().parents[3] / "config/sts-relay.service"

# As the least trusting of our users would run it.
CONFINED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


class World:
    """Containers, networks and volumes whose names nobody else has; all are gone at the end."""

    def __init__(self):
        self.prefix = f"sts-relay-test-{os.getpid()}-{random.randrange(1 << 32):08x}"
        self.user = f"{random.randrange(20000, 60000)}:{random.randrange(20000, 60000)}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sts-docker-"))
        os.chmod(self.folder, 0o755)
        self.containers, self.networks, self.volumes = [], [], []
        self.last = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for kind, names in (("container", self.containers), ("network", self.networks), ("volume", self.volumes)):
            for name in reversed(names):
                force = ("--force",) if kind != "network" else ()
                docker(kind, "rm", *force, *(("--volumes",) if kind == "container" else ()), name, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def name(self, label, names):
        """A name of our own, remembered for the end."""
        name = f"{self.prefix}-{label}"
        if name not in names:
            names.append(name)
        return name

    def network(self, label="mail"):
        """A network, and the part of the world that is on it."""
        name = self.name(label, self.networks)
        docker("network", "create", "--internal", name)
        return name

    def volume(self):
        """A volume for the queue, as new as `docker volume create` makes it."""
        name = self.name("queue", self.volumes)
        docker("volume", "create", name)
        return name

    def file(self, name, text):
        """A file that containers can be given."""
        path = self.folder / name
        path.write_text(text)
        os.chmod(path, 0o644)
        return path

    def container(self, label, image, *arguments, options=()):
        """A container."""
        return Container(self.name(label, self.containers), image, *arguments, options=options)

    def zone(self, mx):
        """A configuration of unbound: mail for far.test goes to `mx`, mail for down.test to where nobody listens, and
        nothing else is there, so that nobody else is asked."""
        return self.file("test.conf", f"""include: "/etc/unbound/unbound.conf"
server:
  local-zone: "." static
  local-data: "far.test. MX 10 mx.far.test."
  local-data: "mx.far.test. A {mx}"
  local-data: "down.test. MX 10 mx.down.test."
  local-data: "mx.down.test. A {NOBODY}"
""")

    def resolver(self, network, mx):
        """Serves the names; gives its address."""
        resolver = self.container("resolver", RESOLVER, "-c", "/etc/unbound/test.conf", options=(
            "--network", network, "--volume", f"{self.zone(mx)}:/etc/unbound/test.conf:ro", *CONFINED,
        ))
        resolver.said("start of service")
        return resolver.address(network)

    def compose(self):
        """The project of docker/compose.yaml."""
        return Compose(self.prefix, EXAMPLE, {"TEST_ZONE": str(self.zone(NOBODY))})

    def demo(self):
        """The project of docker/demo/compose.yaml."""
        return Compose(self.prefix, DEMO, {"STS_RELAY_DEMO_IMAGE": "sts-relay-demo-internet:test"})

    def relay(self, network, *settings, mx=NOBODY, volume=None, more=()):
        """A relay that takes mail from the network, as a user that nobody has heard of."""
        dns = self.resolver(network, mx)
        subnet = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", network).stdout.strip()
        environment = [
            "STS_RELAY__HOSTNAME=relay.test", f"STS_RELAY__ACCESS__NETWORKS={subnet}",
            f"STS_RELAY__DNS__SERVERS={dns}:5300", *settings,
        ]
        options = ["--network", network, "--network-alias", "sts-relay", "--user", self.user, *CONFINED]
        for setting in environment:
            options += ["--env", setting]
        if volume is not None:
            options += ["--volume", f"{volume}:/var/lib/sts-relay"]
        relay = self.container("relay", IMAGE, options=[*options, *more])
        relay.said(" listening ")
        return relay

    def send(self, network, recipient, word, check=True):
        """Hands a message to the relay, as an application's container would."""
        return docker(
            "run", "--rm", "--network", network, APPLICATION, "--from", "app@near.test", "--to", recipient,
            "--ehlo", "app.near.test", "--header", f"Subject: {word}", "--body", f"The word is {word}.", check=check,
        )

    def dialogue(self, network):
        """A session with the relay by hand."""
        self.last += 1
        dialogue = Dialogue(
            self.name(f"client-{self.last}", self.containers), APPLICATION, network, "sts-relay", PORT
        )
        greeting = dialogue.reply()
        expect(greeting.startswith("220 "), f"greeted by {greeting}")
        return dialogue

    def postfix(self, label, network, **settings):
        """A Postfix."""
        settings = [f"{key}={value}" for key, value in settings.items()]
        postfix = self.container(label, POSTFIX, *settings, options=("--network", network, "--hostname", label))
        postfix.said("daemon started")
        return postfix

    def machine(self, settings):
        """A machine that systemd runs, with the relay's unit and settings."""
        file = self.file("sts-relay.toml", settings)
        machine = self.container("machine", SYSTEMD, options=(
            # What systemd needs to shut its services in; not --privileged, which not every engine may give.
            "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
            "--cgroupns", "private", "--network", "none",
            "--tmpfs", "/run:exec", "--tmpfs", "/run/lock", "--tmpfs", "/tmp",
            "--volume", f"{UNIT}:/etc/systemd/system/sts-relay.service:ro",
            "--volume", f"{file.parent}:/etc/sts-relay:ro",
        ))
        until("systemd up", lambda: machine.run("systemctl", "is-system-running", check=False).stdout.strip() == "running")
        machine.run("useradd", "--system", "--home-dir", "/var/lib/sts-relay", "--shell", "/usr/sbin/nologin", "sts-relay")
        return machine

    def logs(self):
        """The ends of all logs, for the one who must find out why."""
        told = []
        for name in self.containers:
            done = docker("logs", "--tail", "40", name, check=False)
            told.append(f"--- {name}\n{done.stdout}{done.stderr}")
        return "\n".join(told)


def queue(relay):
    """What the relay has queued."""
    return json.loads(relay.run("sts-relay", "queue", "list", "--json").stdout)


def answers(relay):
    """Waits until the relay answers its commands."""
    until("the relay up", lambda: relay.run("sts-relay", "queue", "list", check=False).returncode == 0)


def held(relay, patience=60):
    """Waits for one message in the queue that has been tried in vain, and gives its id."""

    def tried():
        messages = queue(relay)
        return messages[0]["id"] if len(messages) == 1 and messages[0]["attempts"] > 0 else None

    return until("a message held", tried, patience)


def inbox(postfix, word):
    """Waits for the message at a Postfix, and gives it back."""

    def found():
        done = postfix.run("sh", "-c", "cat /mail/inbox/new/*", check=False)
        return done.stdout if word in done.stdout else None

    message = until(f"{word} at {postfix.name}", found)
    if message.count(f"Subject: {word}") != 1:
        raise Failure(f"{word} arrived more than once:\n{message}")
    return message
