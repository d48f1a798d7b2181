"""The world of a scenario, on a network that leads nowhere; its parts are started when they are asked for.

    application (swaks), Postfix `sender` --> sts-relay --> Postfix `mx.far.test`
                                                       `--> `mx.down.test`, an address where nobody listens
    unbound serves the names.
"""

import json
import os
import random

from compose import DEMO, EXAMPLE, Compose
from engine import Container, Dialogue, Named, docker
from suite import ROOT, Failure, expect, until
from world import World
from zone import records, unbound

# What the compose files take from the environment.
IMAGES = {name: os.environ[name] for name in ("STS_RELAY_IMAGE", "STS_RELAY_RESOLVER_IMAGE", "STS_RELAY_APPLICATION_IMAGE")}
IMAGE, RESOLVER, APPLICATION = IMAGES.values()
POSTFIX, SYSTEMD, DEMO_INTERNET = "sts-relay-postfix:test", "sts-relay-systemd:test", "sts-relay-demo-internet:test"
PORT = 2525

# An address of the relay's own, where it has no port 25.
NOBODY = "127.0.0.2"

UNIT = ROOT / "config/sts-relay.service"

# As the least trusting of our users would run it.
CONFINED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


class Containers(World):
    """Containers, networks and volumes whose names nobody else has."""

    def begin(self):
        """Finds the names."""
        self.prefix = f"sts-relay-test-{os.getpid()}-{random.randrange(1 << 32):08x}"
        self.user = f"{random.randrange(20000, 60000)}:{random.randrange(20000, 60000)}"
        self.last = 0

    def named(self, kind, label, *options):
        """Makes a network or a volume; gives its name."""
        name = f"{self.prefix}-{label}"
        docker(kind, "create", *options, name)
        return self.keep(Named(kind, name)).name

    def network(self, label="mail", *options):
        """A network, and the part of the world that is on it."""
        return self.named("network", label, "--internal", *options)

    def volume(self):
        """A volume for the queue, as new as `docker volume create` makes it."""
        return self.named("volume", "queue")

    def container(self, label, image, *arguments, options=(), kind=Container):
        """A container."""
        container = self.keep(kind(f"{self.prefix}-{label}"))
        container.start(image, *arguments, options=options)
        return container

    def zone(self, mx):
        """A configuration of unbound: mail for far.test goes to `mx`, mail for down.test to where nobody listens."""
        hosts = {"far.test": ("mx.far.test", mx), "down.test": ("mx.down.test", NOBODY)}
        return self.file("test.conf", unbound(records(hosts)))

    def resolver(self, network, mx):
        """Serves the names; gives its address."""
        resolver = self.container("resolver", RESOLVER, "-c", "/etc/unbound/test.conf", options=(
            "--network", network, "--volume", f"{self.zone(mx)}:/etc/unbound/test.conf:ro", *CONFINED,
        ))
        resolver.said("start of service")
        return resolver.address(network)

    def compose(self):
        """The project of docker/compose.yaml."""
        return Compose(self.prefix, EXAMPLE, IMAGES | {"TEST_ZONE": str(self.zone(NOBODY))})

    def demo(self):
        """The project of docker/demo/compose.yaml."""
        return Compose(self.prefix, DEMO, IMAGES | {"STS_RELAY_DEMO_IMAGE": DEMO_INTERNET})

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
        dialogue = self.keep(Dialogue(f"{self.prefix}-client-{self.last}", APPLICATION, network, "sts-relay", PORT))
        greeting = dialogue.reply()
        expect(greeting.startswith("220 "), f"greeted by {greeting}")
        return dialogue

    def postfix(self, label, *options, kind=Container, **settings):
        """A Postfix of that name."""
        settings = [f"{key}={value}" for key, value in ({"myhostname": label} | settings).items()]
        postfix = self.container(label, POSTFIX, *settings, options=("--hostname", label, *options), kind=kind)
        postfix.said("daemon started")
        return postfix

    def systemd(self, label, *options, kind=Container):
        """A machine that systemd runs."""
        machine = self.container(label, SYSTEMD, kind=kind, options=(
            # What systemd needs to shut its services in; not --privileged, which not every engine may give.
            "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
            "--cgroupns", "private", "--tmpfs", "/run:exec", "--tmpfs", "/run/lock", "--tmpfs", "/tmp", *options,
        ))
        until("systemd up", lambda: machine.run("systemctl", "is-system-running", check=False).stdout.strip() == "running")
        return machine

    def machine(self, settings):
        """One with the relay's unit and settings."""
        file = self.file("sts-relay.toml", settings)
        machine = self.systemd(
            "machine", "--network", "none", "--volume", f"{UNIT}:/etc/systemd/system/sts-relay.service:ro",
            "--volume", f"{file.parent}:/etc/sts-relay:ro",
        )
        machine.run("useradd", "--system", "--home-dir", "/var/lib/sts-relay", "--shell", "/usr/sbin/nologin", "sts-relay")
        return machine


def queue(relay):
    """What the relay has queued."""
    return json.loads(relay.run("sts-relay", "queue", "list", "--json").stdout)


def answers(relay):
    """Waits until the relay answers its commands."""
    until("the relay up", lambda: relay.run("sts-relay", "queue", "list", check=False).returncode == 0)


def waiting(relay, patience=60):
    """Waits for one message in the queue that has been tried in vain, and gives its id."""

    def tried():
        messages = queue(relay)
        return messages[0]["id"] if len(messages) == 1 and messages[0]["attempts"] > 0 else None

    return until("a message that waits", tried, patience)


def inbox(postfix, word):
    """Waits for the message at a Postfix, and gives it back."""

    def found():
        done = postfix.run("sh", "-c", "cat /mail/inbox/new/*", check=False)
        return done.stdout if word in done.stdout else None

    message = until(f"{word} at {postfix.name}", found)
    if message.count(f"Subject: {word}") != 1:
        raise Failure(f"{word} arrived more than once:\n{message}")
    return message
