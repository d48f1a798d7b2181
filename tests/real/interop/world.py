"""The small internet of the interop scenarios.

    postfix `sender` (relayhost) --> sts-relay --> postfix `mx.good.test`   STARTTLS, certificate of the interop CA
                                             `--> postfix `mx.down.test`   its policy enforces, its STARTTLS is gone
                                             `--> postfix `mx.plain.test`  no policy, no STARTTLS
    knot serves the names, nginx the policies.
"""

from programs import Knot, Nginx, Postfix, Relay, Surroundings
from suite import Failure, run, until

DNS, WEB = "10.77.0.1", "10.77.0.2"
SENDER, RELAY = "10.77.0.3", "10.77.0.4"
CLIENT = "10.77.0.5"
MX = {"good.test": "10.77.1.1", "down.test": "10.77.1.2", "plain.test": "10.77.1.3"}
RELAY_PORT = 2525
# STARTTLS for listed networks; STARTTLS and a login for everybody; TLS from the first byte on and a login.
TLS_PORT, SUBMISSION_PORT, IMPLICIT_PORT = 2526, 2587, 2465
USER, PASSWORD = "ann@sender.test", "correct-horse"


def enforce(domain):
    """The lines of a policy that names the domain's one MX host."""
    return ["version: STSv1", "mode: enforce", f"mx: mx.{domain}", "max_age: 86400"]


class World(Surroundings):
    """Everything that runs around one scenario; parts are started when they are first asked for."""

    def __init__(self, folder, binary):
        super().__init__(folder, (DNS, WEB, SENDER, RELAY, CLIENT, *MX.values()))
        self.keep(Knot(self.folder / "knot", DNS, "test", self.records()))
        policies = {domain: enforce(domain) for domain in ("good.test", "down.test")}
        self.web = self.keep(Nginx(self.folder / "nginx", WEB, policies, self.authority))
        self.mx = {domain: self.keep(self.receiver(domain, address)) for domain, address in MX.items()}
        self.key, self.certificate = self.authority.issue("relay.test")
        (self.folder / "users").write_text(run(binary, "user", "hash", USER, "--sender", "@sender.test", input=PASSWORD).stdout)
        self.relay = self.keep(Relay(self.folder / "relay", binary, RELAY, RELAY_PORT, self.settings()))
        self.sender = self.keep(Postfix(
            "sender.test", self.folder / "sender", SENDER,
            relayhost=f"[{RELAY}]:{RELAY_PORT}", smtp_tls_security_level="may",
        ))

    def records(self):
        """The zone."""
        lines = [f"relay A {RELAY}", f"sender A {SENDER}"]
        for domain, address in MX.items():
            label = domain.removesuffix(".test")
            lines += [f"{label} MX 10 mx.{label}", f"mx.{label} A {address}"]
        for label in ("good", "down"):
            lines += [f'_mta-sts.{label} TXT "v=STSv1; id=1;"', f"mta-sts.{label} A {WEB}"]
        return lines

    def receiver(self, domain, address):
        """A Postfix that is the MX of `domain`."""
        key, certificate = self.authority.issue(f"mx.{domain}")
        level = "may" if domain == "good.test" else "none"
        return Postfix(
            f"mx.{domain}", self.folder / domain, address, virtual_mailbox_domains=domain,
            smtpd_tls_cert_file=certificate, smtpd_tls_key_file=key, smtpd_tls_security_level=level,
            smtpd_tls_loglevel="1", smtpd_tls_received_header="yes",
        )

    def settings(self):
        """The relay's settings file."""
        return f"""hostname = "relay.test"
data_dir = "{self.folder}/relay/data"
[[listener]]
address = "{RELAY}:{RELAY_PORT}"
[[listener]]
address = "{RELAY}:{TLS_PORT}"
tls = "starttls"
[[listener]]
address = "{RELAY}:{SUBMISSION_PORT}"
tls = "starttls"
auth = "required"
[[listener]]
address = "{RELAY}:{IMPLICIT_PORT}"
tls = "implicit"
auth = "required"
[tls]
certificate = "{self.certificate}"
key = "{self.key}"
[access]
networks = ["10.77.0.0/16"]
users_file = "{self.folder}/users"
[dns]
servers = ["{DNS}:53"]
[trust]
ca_file = "{self.authority.certificate}"
extend = false
[mta_sts]
allow_private_policy_hosts = true
"""

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
