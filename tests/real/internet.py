"""Small internets, each program on an address of its own in a network namespace that holds nothing else.

knot serves the names, nginx the policies; what a relay and its clients look up is in these and in the authority of the world alone.
"""

import os
import pathlib
import smtplib
import tempfile

from programs import Knot, Nginx, Postfix, Program, Relay, Resolver
from receivers import Cutter, Exim
from suite import BINARY, Failure, run, until
from world import World
from zone import nginx, policies, records

DNS, WEB = "10.77.0.1", "10.77.0.2"
SENDER, RELAY, CLIENT, REPORTS = "10.77.0.3", "10.77.0.4", "10.77.0.5", "10.77.0.6"
RELAY_PORT = 2525


class Internet(World):
    """Names, policies and the relay; each kind of internet adds its hosts."""

    # The name and address of each domain's MX host, the domains whose policy is enforced, and further addresses.
    HOSTS, ENFORCED, ADDRESSES = {}, (), ()

    def begin(self):
        """Starts the servers of names and policies, and the relay."""
        run("ip", "link", "set", "lo", "up")
        lend_names()
        for address in (DNS, WEB, RELAY, *self.ADDRESSES, *(address for _, address in self.HOSTS.values())):
            run("ip", "address", "replace", f"{address}/32", "dev", "lo")
        names = [f"relay.test. A {RELAY}", *records(self.HOSTS, self.ENFORCED, WEB), *self.names()]
        self.keep(Knot(self.folder / "knot", DNS, "test", names))
        policies(self, self.HOSTS, self.ENFORCED)
        config = nginx(self.ENFORCED, f"{WEB}:443", self.folder, self.folder / "nginx")
        self.web = self.keep(Nginx(self.folder / "nginx", WEB, config))
        self.relay = self.keep(Relay(self.folder / "relay", RELAY, RELAY_PORT, self.settings()))

    def names(self):
        """Further records of the zone."""
        return []

    def settings(self):
        """The lines of the relay's settings file."""
        return [
            'hostname = "relay.test"',
            f'data_dir = "{self.folder}/relay/data"',
            'access.networks = ["10.77.0.0/16"]',
            f'dns.servers = ["{DNS}:53"]',
            f'trust.ca_file = "{self.authority.certificate}"',
            "trust.extend = false",
            "mta_sts.allow_private_policy_hosts = true",
        ]


def lend_names():
    """Lets clients that ask the system find the relay's name, and Exim and OpenSMTPD their users, without which they do nothing:
    their packages, which have them, cannot be beside Postfix's. In this mount namespace alone."""
    if "relay.test" in pathlib.Path("/etc/hosts").read_text():
        return
    users = {"Debian-exim": 65533, "opensmtpd": 65532, "opensmtpq": 65531}
    line = {"passwd": "{0}:x:{1}:{1}::/var/lib/opensmtpd/empty:/usr/sbin/nologin\n", "group": "{0}:x:{1}:\n"}
    texts = {"hosts": f"127.0.0.1 localhost\n{RELAY} relay.test\n"}
    for table, line in line.items():
        texts[table] = pathlib.Path("/etc", table).read_text() + "".join(line.format(*user) for user in users.items())
    for table, text in texts.items():
        with tempfile.NamedTemporaryFile("w", prefix="sts-real-", delete=False) as file:
            file.write(text)
        os.chmod(file.name, 0o644)
        run("mount", "--bind", file.name, f"/etc/{table}")


# STARTTLS for listed networks; STARTTLS and a login for everybody; TLS from the first byte on and a login.
TLS_PORT, SUBMISSION_PORT, IMPLICIT_PORT = 2526, 2587, 2465
USER, PASSWORD = "ann@sender.test", "correct-horse"


class Delivering(Internet):
    """Between a sending Postfix and three domains.

        postfix `sender` (relayhost) --> sts-relay --> postfix `mx.good.test`   STARTTLS, certificate of the test's authority
                                                 `--> postfix `mx.down.test`   its policy enforces, its STARTTLS is gone
                                                 `--> postfix `mx.plain.test`  no policy, no STARTTLS
    """

    HOSTS = {domain: (f"mx.{domain}", f"10.77.1.{number}") for number, domain in enumerate(("good.test", "down.test", "plain.test"), 1)}
    ENFORCED, ADDRESSES = ("good.test", "down.test"), (SENDER, CLIENT)

    def begin(self):
        """Starts the Postfixes as well."""
        super().begin()
        self.mx = {domain: self.keep(self.receiver(domain)) for domain in self.HOSTS}
        self.sender = self.keep(Postfix(
            "sender.test", self.folder / "sender", SENDER,
            relayhost=f"[{RELAY}]:{RELAY_PORT}", smtp_tls_security_level="may",
        ))

    def receiver(self, domain):
        """A Postfix that is the MX of `domain`."""
        host, address = self.HOSTS[domain]
        key, certificate = self.authority.issue(host)
        return Postfix(
            host, self.folder / domain, address, virtual_mailbox_domains=domain, smtpd_tls_cert_file=certificate,
            smtpd_tls_key_file=key, smtpd_tls_security_level="may" if domain == "good.test" else "none",
            smtpd_tls_loglevel="1", smtpd_tls_received_header="yes",
        )

    def settings(self):
        """All kinds of listeners, and a user."""
        self.key, self.certificate = self.authority.issue("relay.test")
        users = self.file("users", run(BINARY, "user", "hash", USER, "--sender", "@sender.test", input=PASSWORD).stdout, mode=0o600)
        listeners = {RELAY_PORT: "", TLS_PORT: ', tls = "starttls"', SUBMISSION_PORT: ', tls = "starttls", auth = "required"',
                     IMPLICIT_PORT: ', tls = "implicit", auth = "required"'}
        listener = ", ".join(f'{{ address = "{RELAY}:{port}"{more} }}' for port, more in listeners.items())
        return [
            *super().settings(), f'access.users_file = "{users}"',
            f'tls.certificate = "{self.certificate}"', f'tls.key = "{self.key}"',
            f"listener = [{listener}]",
        ]

    def send(self, recipient, word, sender="alice@sender.test", through=SENDER, port=25):
        """Hands a message to the sending Postfix, as a user's program would."""
        run("swaks", "--server", through, "--port", port, "--from", sender, "--to", recipient, "--ehlo", "client.test",
            "--header", f"Subject: {word}", "--body", f"The word is {word}.", "--hide-all", timeout=120)

    def client(self, port, **settings):
        """A further Postfix whose relayhost is one of the relay's other listeners."""
        return self.keep(Postfix(
            "client.sender.test", self.folder / "client", CLIENT, relayhost=f"[{RELAY}]:{port}",
            smtp_tls_CAfile=self.authority.certificate, smtp_tls_loglevel="1", **settings,
        ))

    def arrives(self, domain, word):
        """Waits for the message at the domain's MX, and gives it back."""
        found = until(f"{word} at mx.{domain}", lambda: self.mx[domain].received(word))
        if len(found) != 1:
            raise Failure(f"{word} arrived {len(found)} times at mx.{domain}")
        return found[0]


class Submitting(Delivering):
    """The same with one domain: what is tried is the way to the relay."""

    HOSTS, ENFORCED = {"good.test": Delivering.HOSTS["good.test"]}, ("good.test",)


class Signing(Submitting):
    """The same, with keys that sign: RSA and Ed25519 for sender.test, RSA for the relay's own notifications. Mail from internal.test
    leaves from sender.test."""

    def names(self):
        """Makes the keys; their records."""
        self.keys, lines, known = [], [], []
        for domain, more in (("sender.test", []), ("sender.test", ["--ed25519"]), ("relay.test", [])):
            file = self.folder / f"{len(self.keys)}.key"
            said = run(BINARY, "dkim", "keygen", domain, *more, "--output", file).stdout.splitlines()
            [record] = [line for line in said if " IN TXT " in line]
            [value] = [line.removeprefix("value  ") for line in said if line.startswith("value  ")]
            name = record.split()[0]
            self.keys.append({"domain": domain, "selector": name.split(".")[0], "key_file": str(file)})
            lines.append(record)
            known.append(f"{name} {value}")
        self.key_records = self.file("key-records", "\n".join(known) + "\n")
        self.unpublished = self.folder / "unpublished.key"
        run(BINARY, "dkim", "keygen", "relay.test", "--selector", "new", "--output", self.unpublished)
        self.keep(Resolver(self.folder, DNS))
        return lines

    def settings(self):
        """With the keys."""
        rewrite = inline({"from": "@internal.test", "to": "@sender.test"})
        return [*super().settings(), f"dkim = [{', '.join(map(inline, self.keys))}]", f"rewrite = [{rewrite}]"]

    @property
    def new_mail(self):
        """The folder where the mail of good.test arrives."""
        return self.mx["good.test"].mail / "inbox" / "new"


class SigningForExim(Signing):
    """The same, with an Exim as the MX, which verifies signatures by itself."""

    def receiver(self, domain):
        """An Exim that is the MX of `domain`."""
        host, address = self.HOSTS[domain]
        return Exim(self.folder / domain, host, [domain], address, True, self.authority)

    @property
    def new_mail(self):
        """The folder where the mail of good.test arrives."""
        return self.mx["good.test"].inbox.folder / "new"


class Reporting(Signing):
    """The same with all domains, which want TLS reports by mail to good.test, and by HTTPS at an nginx that keeps what is posted."""

    HOSTS, ENFORCED, ADDRESSES = Delivering.HOSTS, Delivering.ENFORCED, (*Signing.ADDRESSES, REPORTS)

    def names(self):
        """Where reports go."""
        wanted = 'TXT "v=TLSRPTv1; rua=mailto:tls@good.test,https://reports.test/v1/tlsrpt"'
        return [*super().names(), *(f"_smtp._tls.{domain}. {wanted}" for domain in self.HOSTS), f"reports.test. A {REPORTS}"]

    def settings(self):
        """With an address for questions."""
        return [
            *super().settings(), 'tls_rpt.contact = "tls@sender.test"', 'tls_rpt.organization = "Sender"',
            "tls_rpt.allow_private_destinations = true",
        ]

    def begin(self):
        """Starts the server of reports as well."""
        super().begin()
        work = self.folder / "reports"
        self.posted = work / "client_body"
        key, certificate = self.authority.issue("reports.test", mode=0o644)
        temporary = "".join(f"{kind}_temp_path {work}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.keep(Nginx(work, REPORTS, (
            f"daemon off; user root; pid {work}/pid; error_log stderr;\nevents {{}}\nhttp {{ access_log /dev/stdout;\n{temporary}"
            f"server {{ listen {REPORTS}:443 ssl; server_name reports.test; ssl_certificate {certificate}; ssl_certificate_key {key};\n"
            f"  location = /v1/tlsrpt {{ client_body_in_file_only on; proxy_pass http://{REPORTS}:8080; }} }}\n"
            f"server {{ listen {REPORTS}:8080; location / {{ return 204; }} }} }}\n"
        )))


def inline(table):
    """A table of texts as TOML has it on one line."""
    return "{ " + ", ".join(f'{key} = "{value}"' for key, value in table.items()) + " }"


STRICT, OPEN = "strict.test", "open.test"
# The MX host of both, and where it stands when a cutter is before it.
NAME, MX, BEHIND = "mx.strict.test", "10.77.2.1", "10.77.2.2"


class Receiving(Internet):
    """Before a receiver of any make, which the scenario starts.

        this script --> sts-relay --> a receiver        Exim, OpenSMTPD or Postfix: the MX of strict.test and of open.test
                                    `--> a cutter --> the receiver
    """

    HOSTS = {STRICT: (NAME, MX), OPEN: (NAME, MX)}
    ENFORCED, ADDRESSES = (STRICT,), (BEHIND,)

    def settings(self):
        """What is put off is tried again at once."""
        return [*super().settings(), f'listener = [{{ address = "{RELAY}:{RELAY_PORT}" }}]',
                'delivery.retry.first = "200ms"', 'delivery.retry.longest = "200ms"']

    def receiver(self, program, tls, address=MX):
        """Starts the receiver."""
        self.mx = self.keep(program(self.folder / "mx", NAME, list(self.HOSTS), address, tls, self.authority))
        return self.mx

    def cutter(self, steps):
        """Starts a cutter where the MX should be; the receiver is behind it."""
        return self.keep(Cutter((MX, 25), (BEHIND, 25), steps))

    def send(self, word, *recipients, body="", sender=f"ann@{OPEN}"):
        """Hands a message to the relay."""
        with smtplib.SMTP(RELAY, RELAY_PORT, local_hostname="client.test", timeout=60) as client:
            client.sendmail(sender, recipients, f"Subject: {word}\r\nFrom: {sender}\r\n\r\nThe word is {word}.\r\n{body}")

    def queued(self, recipient):
        """What the queue holds for the address."""
        return [one for one in self.relay.queue() if recipient in str(one)]
