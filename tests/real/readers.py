"""The world of a reader: the names and addresses that the pages use, on a network that leads nowhere.

    a machine of the reader's --> relay.example.org --> mx.example.net, a Postfix whose domain enforces a policy
                                                   `--> mx.down.test, whose policy enforces what the host does not have
    unbound serves the names, nginx the policies; the world's authority is among the roots of every machine.
"""

import random

from containers import DEMO_INTERNET, RESOLVER, Containers
from engine import Container
from zone import nginx, policies, records, unbound

ENFORCED = ("example.net", "down.test")


class Machine(Container):
    """A machine on which a reader copies blocks."""

    def copy(self, block, **changes):
        """Does what the block says, as root, with the reader's own words for those of the page; gives what was printed."""
        text = block.text
        for before, after in changes.items():
            if before not in text:
                raise LookupError(f"the block has no {before!r}:\n{text}")
            text = text.replace(before, after)
        if block.file is None:
            return self.run("bash", "-euo", "pipefail", "-c", text).stdout
        self.write(block.file, text)
        return ""

    def write(self, file, text, how=">"):
        """Writes a file, as an editor would: owner and mode of one that is there stay."""
        self.run("bash", "-euc", f'mkdir -p "$(dirname "$0")"; printf %s "$1" {how} "$0"', file, text)


class Readers(Containers):
    """Names, network and the hosts of the rest of the world."""

    def begin(self):
        """Starts the hosts."""
        super().begin()
        # Addresses that are nobody's here, and of no special purpose: policy hosts at private addresses are not asked.
        self.subnet = f"11.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        self.mail = self.network("mail", "--subnet", f"{self.subnet}.0/24")
        self.relay_address = f"{self.subnet}.25"
        self.hosts = {domain: (f"mx.{domain}", f"{self.subnet}.{number}") for number, domain in enumerate(ENFORCED, 30)}
        self.start_resolver()
        self.start_policies()
        self.mx = self.receiver("example.net", "may")
        self.down = self.receiver("down.test", "none")

    def at(self, address):
        """Options that give a container an address, the resolver and the folder of this world."""
        return ("--network", self.mail, "--ip", address, "--dns", f"{self.subnet}.53", "--volume", f"{self.folder}:/world:ro")

    def start_resolver(self):
        """Serves the names, at port 53 as everywhere."""
        names = records(self.hosts, ENFORCED, f"{self.subnet}.80")
        names += [f"relay.example.org. A {self.relay_address}", f"postfix.example.org. A {self.subnet}.26"]
        self.file("names.conf", unbound(
            names, "interface: 0.0.0.0@53", "access-control: 11.0.0.0/8 allow",
            f'local-data-ptr: "{self.relay_address} relay.example.org."'))
        resolver = self.container("names", RESOLVER, "-c", "/world/names.conf", options=self.at(f"{self.subnet}.53"))
        resolver.said("start of service")

    def start_policies(self):
        """Serves both policies by HTTPS."""
        policies(self, self.hosts, ENFORCED)
        self.file("nginx.conf", nginx(ENFORCED, 443, "/world", "/tmp"))
        options = (*self.at(f"{self.subnet}.80"), "--entrypoint", "nginx")
        self.container("policies", DEMO_INTERNET, "-c", "/world/nginx.conf", options=options)

    def certificate(self, name):
        """The files of a key and a certificate for a name, readable in containers."""
        return self.authority.issue(name, mode=0o644)

    def receiver(self, domain, level):
        """The Postfix that is the MX host of a domain."""
        host, address = self.hosts[domain]
        key, certificate = self.certificate(host)
        settings = {"virtual_mailbox_domains": domain, "smtpd_tls_security_level": level,
                    "smtpd_tls_received_header": "yes", "smtpd_peername_lookup": "no"}
        if level != "none":
            settings |= {"smtpd_tls_cert_file": f"/world/authority/{certificate.name}",
                         "smtpd_tls_key_file": f"/world/authority/{key.name}"}
        return self.postfix(host, *self.at(address), **settings)

    def prepared(self, machine):
        """A machine that is up: it asks the resolver of this world, and its roots include the world's authority."""
        machine.run("sh", "-c", f"echo nameserver {self.subnet}.53 > /etc/resolv.conf")
        machine.run("sh", "-c", "cp /world/authority/ca.pem /usr/local/share/ca-certificates/test.crt && update-ca-certificates")
        return machine

    def server(self):
        """The reader's server: Debian with systemd, a checkout of this repository, and the program that it builds."""
        return self.prepared(self.systemd(
            "server", *self.at(self.relay_address), "--hostname", "relay.example.org",
            # A disk, as a server has one: the container's own layer is none to keep mail on.
            "--volume", "/var/lib/sts-relay", kind=Machine,
        ))

    def readers_postfix(self):
        """The reader's Postfix, as Debian installs it."""
        return self.prepared(self.postfix("postfix.example.org", *self.at(f"{self.subnet}.26"), kind=Machine))
