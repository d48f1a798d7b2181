"""The world of a walk: the names and addresses that the pages use, on a network that leads nowhere.

    a machine of the reader's --> relay.example.org --> mx.example.net, a Postfix whose domain enforces a policy
                                                   `--> mx.down.test, whose policy enforces what the host does not have
    unbound serves the names, nginx the policies; an authority of the test's own is among the roots of every machine.
"""

import random

from engine import Container, docker, inspect
from programs import Authority
from suite import until
from world import POSTFIX, RESOLVER, SYSTEMD, World

INTERNET = "sts-relay-demo-internet:test"
POLICY = "version: STSv1\nmode: enforce\nmx: mx.{domain}\nmax_age: 604800\n"


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


class Places(World):
    """Names, network and the hosts of the rest of the world."""

    def __init__(self):
        super().__init__()
        # Addresses that are nobody's here, and of no special purpose: policy hosts at private addresses are not asked.
        self.subnet = f"11.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        self.authority = Authority(self.folder / "authority")
        (self.folder / "authority").chmod(0o755)
        self.mail = self.name("mail", self.networks)
        docker("network", "create", "--internal", "--subnet", f"{self.subnet}.0/24", self.mail)
        self.relay_address = f"{self.subnet}.25"
        self.start_resolver()
        self.start_policies()
        self.mx = self.receiver("example.net", "30", "may")
        self.down = self.receiver("down.test", "31", "none")

    def on_network(self, host):
        """Options that give a container an address and the resolver."""
        return ("--network", self.mail, "--ip", f"{self.subnet}.{host}", "--dns", f"{self.subnet}.53")

    def start_resolver(self):
        """Serves the names, to port 53 as everywhere."""
        records = [f"relay.example.org. A {self.relay_address}", f"postfix.example.org. A {self.subnet}.26"]
        for domain, host in (("example.net", "30"), ("down.test", "31")):
            records += [f"{domain}. MX 10 mx.{domain}.", f"mx.{domain}. A {self.subnet}.{host}",
                        f"mta-sts.{domain}. A {self.subnet}.80"]
        data = "".join(f'  local-data: "{record}"\n' for record in records)
        data += "".join(f"  local-data: '_mta-sts.{domain}. TXT \"v=STSv1; id=1;\"'\n"
                        for domain in ("example.net", "down.test"))
        data += f'  local-data-ptr: "{self.relay_address} relay.example.org."\n'
        file = self.file("names.conf", 'include: "/etc/unbound/unbound.conf"\nserver:\n'
                         "  interface: 0.0.0.0@53\n  access-control: 11.0.0.0/8 allow\n"
                         f'  local-zone: "." static\n{data}')
        names = self.container("names", RESOLVER, "-c", "/etc/unbound/names.conf", options=(
            "--network", self.mail, "--ip", f"{self.subnet}.53", "--volume", f"{file}:/etc/unbound/names.conf:ro"))
        names.said("start of service")

    def certificate(self, name):
        """The files of a key and a certificate for a name, readable in containers."""
        key, certificate = self.authority.issue(name)
        for file in (key, certificate):
            file.chmod(0o644)
        return key, certificate

    def start_policies(self):
        """Serves both policies by HTTPS."""
        servers = ""
        for domain in ("example.net", "down.test"):
            self.certificate(f"mta-sts.{domain}")
            self.file(f"{domain}.txt", POLICY.format(domain=domain))
            servers += (
                f"server {{ listen 443 ssl; server_name mta-sts.{domain};\n"
                f"  ssl_certificate /world/authority/mta-sts.{domain}.pem; ssl_certificate_key /world/authority/mta-sts.{domain}.key;\n"
                f"  location = /.well-known/mta-sts.txt {{ default_type text/plain; alias /world/{domain}.txt; }} }}\n")
        self.file("nginx.conf", "daemon off; user root; pid /tmp/nginx.pid; error_log stderr;\nevents {}\n"
                  f"http {{ access_log /dev/stdout;\n{servers}}}\n")
        self.container("policies", INTERNET, "-c", "/world/nginx.conf", options=(
            "--network", self.mail, "--ip", f"{self.subnet}.80", "--entrypoint", "nginx",
            "--volume", f"{self.folder}:/world:ro"))

    def receiver(self, domain, host, level):
        """The Postfix that is the MX host of a domain."""
        key, certificate = self.certificate(f"mx.{domain}")
        settings = {"myhostname": f"mx.{domain}", "virtual_mailbox_domains": domain, "smtpd_tls_security_level": level,
                    "smtpd_tls_received_header": "yes", "smtpd_peername_lookup": "no"}
        if level != "none":
            settings |= {"smtpd_tls_cert_file": f"/world/authority/{certificate.name}",
                         "smtpd_tls_key_file": f"/world/authority/{key.name}"}
        arguments = [f"{name}={value}" for name, value in settings.items()]
        postfix = self.container(f"mx-{domain}", POSTFIX, *arguments, options=(
            *self.on_network(host), "--hostname", f"mx.{domain}", "--volume", f"{self.folder}:/world:ro"))
        postfix.said("daemon started")
        return postfix

    def debian(self, label, image, host, name, *options, arguments=()):
        """A machine that asks the resolver of this world."""
        container = Machine(self.name(label, self.containers), image, *arguments, options=(
            *self.on_network(host), "--hostname", name, "--volume", f"{self.folder}:/world:ro", *options))
        container.run("sh", "-c", f"echo nameserver {self.subnet}.53 > /etc/resolv.conf")
        return container

    def trusting(self, machine):
        """A machine that is up; from now on its roots include the test's authority."""
        machine.run("sh", "-c", "cp /world/authority/ca.pem /usr/local/share/ca-certificates/test.crt && update-ca-certificates")
        return machine

    def server(self):
        """The reader's server: Debian with systemd, a checkout of this repository, and the program that it builds."""
        machine = self.debian(
            "server", SYSTEMD, "25", "relay.example.org",
            # What systemd needs to shut its services in; not --privileged, which not every engine may give.
            "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
            "--cgroupns", "private", "--tmpfs", "/run:exec", "--tmpfs", "/run/lock", "--tmpfs", "/tmp",
            # A disk, as a server has one: the container's own layer is none to keep mail on.
            "--volume", "/var/lib/sts-relay",
        )
        until("systemd up", lambda: machine.run("systemctl", "is-system-running", check=False).stdout.strip() == "running")
        return self.trusting(machine)

    def postfix(self):
        """The reader's Postfix, as Debian installs it."""
        machine = self.debian("postfix", POSTFIX, "26", "postfix.example.org", arguments=("myhostname=postfix.example.org",))
        machine.said("daemon started")
        return self.trusting(machine)
