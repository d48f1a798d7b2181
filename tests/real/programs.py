"""The real programs around the relay, each started with a configuration written for it and stopped by its pid."""

import json
import os
import pathlib
import socket
import subprocess

from suite import BINARY, Failure, environment, run, until

PATIENCE = 30.0


def answers(address, port):
    """Whether something listens there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
        return True
    except OSError:
        return False


class Program:
    """A child process with a folder and a log of its own."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "log"
        self.child = None

    def spawn(self, *words, env=None):
        """Starts the child, its output to the log."""
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env
            )

    def up(self, address, port):
        """Waits until the child listens."""

        def ready():
            if self.child.poll() is not None:
                raise Failure(f"{self.name} ended with {self.child.returncode}:\n{self.tail()}")
            return answers(address, port)

        until(f"{self.name} on {address}:{port}", ready)

    def stop(self):
        """Ends the child and waits for it; gives its exit status."""
        if self.child is None:
            return None
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
                raise Failure(f"{self.name} did not stop within {PATIENCE:.0f} s") from None
        status, self.child = self.child.returncode, None
        return status

    def kill(self):
        """Ends the child at once."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None

    def tail(self, lines=40):
        """The end of the log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Authority:
    """One certificate authority, made by openssl."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(mode=0o755, parents=True)
        self.key, self.certificate = self.folder / "ca.key", self.folder / "ca.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", self.key, "-out", self.certificate, "-days", "30", "-subj", "/CN=Test CA",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, *names, mode=0o600):
        """A key and a certificate for `names`: their paths. The mode is the key's."""
        key, request, certificate = (self.folder / f"{names[0]}.{end}" for end in ("key", "csr", "pem"))
        extensions = self.folder / f"{names[0]}.ext"
        extensions.write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\n")
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", request, "-subj", f"/CN={names[0]}")
        run("openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
            "-CAcreateserial", "-days", "20", "-extfile", extensions, "-out", certificate)
        key.chmod(mode)
        return key, certificate


class Knot(Program):
    """An authoritative name server for one zone that holds everything, but what is in zones `below` it; signed, or not."""

    def __init__(self, folder, address, zone, records, signed=False, below=None):
        super().__init__("knot", folder)
        self.zone, below = f"{zone}.", below or {}
        records = records + [f"{name}. NS ns.{self.zone.lstrip('.')}" for name in below]
        zones = self.zone_text(self.zone, [f"ns A {address}", *records], ["dnssec-signing: on", "dnssec-policy: signing"] if signed else [])
        zones += "".join(self.zone_text(f"{name}.", lines) for name, lines in below.items())
        (self.folder / "knot.conf").write_text(
            f"server:\n  listen: {address}@53\n  rundir: {self.folder}\n"
            f"database:\n  storage: {self.folder}\n"
            f"log:\n  - target: stderr\n    any: info\n"
            f"policy:\n  - id: signing\n    algorithm: ecdsap256sha256\n    single-type-signing: on\n"
            f"zone:\n{zones}"
        )
        self.spawn("knotd", "-c", self.folder / "knot.conf")
        self.up(address, 53)

    def zone_text(self, zone, records, options=()):
        """Writes the file of a zone, whose name server is the first one's; its part of the configuration."""
        file = self.folder / f"{zone}zone"
        head = f"$ORIGIN {zone}\n$TTL 1\n@ SOA ns.{self.zone.lstrip('.')} hostmaster 1 3600 600 86400 1\n@ NS ns.{self.zone.lstrip('.')}\n"
        file.write_text(head + "\n".join(records) + "\n")
        lines = [f"- domain: {zone}", f"file: {file}", "semantic-checks: off", "zonefile-sync: -1", "zonefile-load: whole",
                 "journal-content: none", *options]
        return "  " + "\n    ".join(lines) + "\n"

    def trust_anchor(self):
        """The DS records of its signed zone's key."""
        return run("keymgr", "-c", self.folder / "knot.conf", self.zone, "ds").stdout


class Unbound(Program):
    """A resolver beside those that ask it, which knows one root server and one key; it validates if its modules have it so."""

    def __init__(self, folder, address, root, trust_anchor, modules):
        super().__init__("unbound", folder)
        (self.folder / "hints").write_text(f". 3600 NS ns.\nns. 3600 A {root}\n")
        (self.folder / "anchor").write_text(trust_anchor)
        options = [
            f"interface: {address}", "access-control: 127.0.0.0/8 allow", "do-daemonize: no", 'username: ""', 'chroot: ""',
            f'directory: "{self.folder}"', f'pidfile: "{self.folder}/pid"', "use-syslog: no", 'logfile: ""', "ede: yes", "do-ip6: no",
            f'root-hints: "{self.folder}/hints"', f'trust-anchor-file: "{self.folder}/anchor"', f'module-config: "{modules}"',
            'local-zone: "test." nodefault',
        ]
        lines = ["server:", *(f"  {option}" for option in options), "remote-control:", "  control-enable: no"]
        (self.folder / "unbound.conf").write_text("\n".join(lines) + "\n")
        self.address = address
        self.start()

    def start(self):
        """Starts it and waits for its socket."""
        self.spawn("unbound", "-d", "-c", self.folder / "unbound.conf")
        self.up(self.address, 53)


class Dnsmasq(Program):
    """A forwarder beside those that ask it, as routers and desktops have it."""

    def __init__(self, folder, address, server, *options):
        super().__init__("dnsmasq", folder)
        self.spawn("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--bind-interfaces",
                   "--pid-file=", "--log-facility=-", f"--listen-address={address}", f"--server={server}", *options)
        self.up(address, 53)


class Resolver:
    """Lets programs that ask the system's resolver ask another one, in this mount namespace alone, and believe its AD bit."""

    name = "resolv.conf"

    def __init__(self, folder, address):
        file = folder / "resolv.conf"
        file.write_text(f"nameserver {address}\noptions trust-ad edns0\n")
        run("mount", "--bind", file, "/etc/resolv.conf")

    def tail(self):
        """It has no log."""
        return ""

    def stop(self):
        """Gives the system's own back."""
        run("umount", "/etc/resolv.conf")


class Nginx(Program):
    """The policy hosts of all domains, by name."""

    def __init__(self, folder, address, config):
        super().__init__("nginx", folder)
        (self.folder / "nginx.conf").write_text(config)
        self.spawn("nginx", "-p", self.folder, "-c", self.folder / "nginx.conf")
        self.up(address, 443)


class Postfix(Program):
    """A Postfix instance of its own: configuration, queue, log and mail folders."""

    MASTER = (
        "smtp inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\n"
        "qmgr unix n - n 5 1 qmgr\nrewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n"
        "defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\nverify unix - - n - 1 verify\n"
        "flush unix n - n 1000? 0 flush\nproxymap unix - - n - - proxymap\nsmtp unix - - n - - smtp\n"
        "relay unix - - n - - smtp\nerror unix - - n - - error\nretry unix - - n - - error\n"
        "discard unix - - n - - discard\nlocal unix - n n - - local\nvirtual unix - n n - - virtual\n"
        "anvil unix - - n - 1 anvil\nscache unix - - n - 1 scache\ntlsmgr unix - - n 1000? 1 tlsmgr\n"
        "postlog unix-dgram n - n - 1 postlogd\n"
    )

    def __init__(self, name, folder, address, **settings):
        super().__init__(f"postfix {name}", folder)
        self.address = address
        self.log = self.folder / "mail.log"
        self.config, self.mail = self.folder / "etc", self.folder / "mail"
        for part in (self.config, self.folder / "queue", self.folder / "data", self.mail):
            part.mkdir()
        run("chown", "postfix", self.folder / "data")
        run("chown", "nobody", self.mail)
        os.chmod(self.folder, 0o755)
        common = {
            "compatibility_level": "3.6", "queue_directory": self.folder / "queue",
            "data_directory": self.folder / "data", "maillog_file": self.log,
            "maillog_file_prefixes": self.folder, "inet_interfaces": address, "inet_protocols": "ipv4",
            "myhostname": name, "mydestination": "", "alias_maps": "", "virtual_mailbox_domains": "", "mynetworks": "10.77.0.0/16",
            "smtp_bind_address": address, "smtpd_banner": "$myhostname ESMTP",
            "virtual_mailbox_base": self.mail, "virtual_mailbox_maps": "static:inbox/",
            "virtual_uid_maps": f"static:{nobody()}", "virtual_gid_maps": f"static:{nobody()}",
            "virtual_minimum_uid": "1", "smtputf8_enable": "yes", "notify_classes": "",
            "smtpd_peername_lookup": "no", "smtp_host_lookup": "native", "disable_dns_lookups": "yes",
        }
        (self.config / "master.cf").write_text(self.MASTER)
        (self.config / "main.cf").write_text(
            "".join(f"{key} = {value}\n" for key, value in (common | settings).items())
        )
        self.spawn("postfix", "-c", self.config, "start-fg")
        self.up(address, 25)

    def change(self, **settings):
        """Changes settings of the running instance."""
        run("postconf", "-c", self.config, "-e", *(f"{key}={value}" for key, value in settings.items()))
        run("postfix", "-c", self.config, "reload")

    def stop(self):
        """Stops the master process, which is a child of the child, and waits for its port to close."""
        if self.child is not None and self.child.poll() is None:
            run("postfix", "-c", self.config, "stop", check=False)
            until(f"{self.name} to close its port", lambda: not answers(self.address, 25))
        return super().stop()

    def messages(self):
        """The messages in the inbox, as text."""
        inbox = self.mail / "inbox" / "new"
        return [path.read_text(errors="replace") for path in sorted(inbox.glob("*"))] if inbox.exists() else []

    def received(self, word):
        """The messages that contain `word`."""
        return [message for message in self.messages() if word in message]


def nobody():
    """The numeric id of the user that owns delivered mail."""
    return run("id", "-u", "nobody").stdout.strip()


class Relay(Program):
    """The relay under test."""

    def __init__(self, folder, address, port, settings, start=True):
        super().__init__("sts-relay", folder)
        self.address, self.port = address, port
        self.config = self.folder / "sts-relay.toml"
        self.configure(settings)
        if start:
            self.start()

    def configure(self, settings):
        """Writes its settings file, by which it goes when it is started."""
        self.config.write_text("".join(f"{line}\n" for line in settings))

    def start(self):
        """Starts it and waits for its listener."""
        self.spawn(BINARY, "serve", "--config", self.config, env=environment())
        self.up(self.address, self.port)

    def command(self, *words, check=True):
        """Runs one of its commands against the running relay."""
        return run(BINARY, *words, "--config", self.config, check=check)

    def queue(self):
        """What is queued, as scripts read it."""
        return json.loads(self.command("queue", "list", "--json").stdout)
