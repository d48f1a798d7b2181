"""A small internet whose names are signed: knot serves them from the root on, unbound validates, one Postfix is the host of all domains."""

import dataclasses
import hashlib
import smtplib

from internet import DNS, RELAY, RELAY_PORT, Internet, lend_names
from programs import Dnsmasq, Knot, Postfix, Relay, Resolver, Unbound
from suite import expect, run, until

MX = "10.77.3.1"
UNBOUND = "127.0.0.1"
DNSMASQ = "127.0.0.2"

MATCH, MISMATCH, UNUSABLE, NO_RECORDS = "match", "mismatch", "unusable", "no records"

# A zone that is delegated without a key, and one whose key is wrong.
UNSIGNED, FORGED = "unsigned", "forged"


@dataclasses.dataclass
class Case:
    """A domain of its own: the TLSA records of its host, and what they and the certificates of the Postfix make.

    A record is `usage selector matching-type whose`, of `leaf`, `next` (the leaf that comes after it), `authority` or `other`.
    """

    name: str
    records: tuple
    verdict: str
    # What ldns-dane says, where that is something else; the reasons are in docs/operations.md, "What other programs say".
    ldns: str = ""
    top: str = "test"
    # The names that the certificate has of it: of `host`, `base` and `domain`.
    names: tuple = ("host",)
    # Its host is an alias, and the records are at the name that it leads to.
    alias: bool = False

    @property
    def domain(self):
        """The domain."""
        return f"{self.name}.{self.top}"

    @property
    def host(self):
        """The host that its MX record names."""
        return f"mx.{self.domain}"

    @property
    def base(self):
        """The base domain of its TLSA records (RFC 7672 2.2.2)."""
        return f"real.{self.domain}" if self.alias else self.host

    def certified(self):
        """Its names in the certificate."""
        return [getattr(self, name) for name in self.names]

    def zone(self, credentials):
        """Its records in the DNS."""
        leads = [f"{self.host}. CNAME {self.base}."] if self.alias else []
        tlsa = [f"_25._tcp.{self.base}. TLSA {record}" for record in self.tlsa(credentials)]
        return [f"{self.domain}. MX 10 {self.host}.", f"{self.base}. A {MX}", *leads, *tlsa]

    def tlsa(self, credentials):
        """Its TLSA records."""
        return [credentials.record(record) for record in self.records]


CASES = [
    Case("ee-key", ("3 1 1 leaf",), MATCH),
    Case("ee-certificate", ("3 0 2 leaf",), MATCH),
    Case("ee-full", ("3 1 0 leaf",), MATCH),
    Case("ee-other", ("3 1 1 other",), MISMATCH),
    # RFC 7671 5.1: names do not count. ldns-dane looks at them all the same.
    Case("ee-name", ("3 1 1 leaf",), MATCH, names=(), ldns=MISMATCH),
    Case("ta-certificate", ("2 0 1 authority",), MATCH),
    Case("ta-key", ("2 1 1 authority",), MATCH),
    Case("ta-other", ("2 0 1 other",), MISMATCH),
    Case("ta-name", ("2 0 1 authority",), MISMATCH, names=()),
    # RFC 7672 3.2.2: the next hop's name is one that a certificate may have. ldns-dane knows no next hop.
    Case("ta-domain", ("2 0 1 authority",), MATCH, names=("domain",), ldns=MISMATCH),
    # RFC 7672 3.1.3: not for SMTP; TLS with whoever answers. ldns-dane is no mail client.
    Case("pkix", ("1 0 1 leaf",), UNUSABLE, ldns=MATCH),
    Case("pkix-other", ("0 0 1 other",), UNUSABLE, ldns=MISMATCH),
    Case("several", ("3 1 1 other", "2 1 1 other", "3 0 1 leaf"), MATCH),
    # RFC 7671 9: of two digests the stronger one counts.
    Case("agility", ("3 1 1 leaf", "3 1 2 other"), MISMATCH),
    Case("rollover", ("3 1 1 leaf", "3 1 1 next"), MATCH),
    # RFC 7672 2.2.2: the base domain is the name at the end of the aliases. ldns-dane goes by the host's.
    Case("alias", ("2 0 1 authority",), MATCH, names=("base",), alias=True, ldns=MISMATCH),
    Case("bare", (), NO_RECORDS),
    # Nobody vouches for these.
    Case("insecure", ("3 1 1 other",), NO_RECORDS, top=UNSIGNED),
]


class Credentials:
    """The keys and certificates of the Postfix, and TLSA records of them."""

    def __init__(self, authority, names):
        self.authority = authority.certificate
        self.leaf, self.next = authority.issue("leaf", *names), authority.issue("next", *names)
        self.other = authority.issue("other")
        self.chains = {"leaf": self.chain(self.leaf[1]), "next": self.chain(self.next[1])}

    def chain(self, certificate):
        """A file with the certificate and the authority's, as the Postfix shows them."""
        path = certificate.with_suffix(".chain")
        path.write_text(certificate.read_text() + self.authority.read_text())
        return path

    def record(self, text):
        """The TLSA record that a case describes."""
        *fields, whose = text.split()
        certificate = self.authority if whose == "authority" else getattr(self, whose)[1]
        return " ".join([*fields, association(certificate, *fields[1:])])


def association(certificate, selector, matching):
    """The data of a TLSA record (RFC 6698 2.1)."""
    der = certificate.with_suffix(".der")
    if selector == "0":
        run("openssl", "x509", "-in", certificate, "-outform", "DER", "-out", der)
    else:
        public = certificate.with_suffix(".pub")
        run("openssl", "x509", "-in", certificate, "-noout", "-pubkey", "-out", public)
        run("openssl", "pkey", "-pubin", "-in", public, "-outform", "DER", "-out", der)
    data = der.read_bytes()
    return {"0": data, "1": hashlib.sha256(data).digest(), "2": hashlib.sha512(data).digest()}[matching].hex()


class Signed(Internet):
    """One host, and many names for it.

        this script --> sts-relay --> postfix           the host of every case, with one chain of certificates
                            |
                            `--> unbound --> knot       the root and all below it, signed; `unsigned` and `forged`
    """

    # What unbound does with answers.
    MODULES = "validator iterator"

    # Whom the relay asks.
    ASKED = UNBOUND

    def begin(self):
        """Starts the servers of names, the Postfix, and the relay."""
        run("ip", "link", "set", "lo", "up")
        lend_names()
        for address in (DNS, RELAY, MX):
            run("ip", "address", "replace", f"{address}/32", "dev", "lo")
        self.credentials = Credentials(self.authority, [name for case in CASES for name in case.certified()])
        below = {UNSIGNED: [], FORGED: [f"{FORGED}. A {MX}"]}
        records = [f"relay.test. A {RELAY}", f"{FORGED}. DS 1 13 2 {'00' * 32}"]
        for case in CASES:
            below.get(case.top, records).extend(case.zone(self.credentials))
        self.knot = self.keep(Knot(self.folder / "knot", DNS, "", records, signed=True, below=below))
        self.unbound = self.keep(Unbound(self.folder / "unbound", UNBOUND, DNS, self.knot.trust_anchor(), self.MODULES))
        self.forward()
        self.keep(Resolver(self.folder, UNBOUND))
        self.mx = self.keep(Postfix(
            "mx.test", self.folder / "mx", MX, virtual_mailbox_domains=",".join(case.domain for case in CASES),
            smtpd_tls_security_level="may", smtpd_tls_received_header="yes", **self.shown("leaf"),
        ))
        self.relay = self.keep(Relay(self.folder / "relay", RELAY, RELAY_PORT, self.settings()))

    def forward(self):
        """Starts what stands between the relay and unbound: nothing."""

    def settings(self):
        """By unbound, or what stands before it, which is on this machine; a name that is forged is known to it."""
        return [
            *(line for line in super().settings() if not line.startswith("dns.")), f'dns.servers = ["{self.ASKED}:53"]',
            f'dns.bogus_probe = "{FORGED}"', f'listener = [{{ address = "{RELAY}:{RELAY_PORT}" }}]',
        ]

    def shown(self, which):
        """The settings by which the Postfix shows these certificates."""
        return {"smtpd_tls_cert_file": self.credentials.chains[which],
                "smtpd_tls_key_file": getattr(self.credentials, which)[0]}

    def send(self, word, recipient):
        """Hands a message to the relay."""
        with smtplib.SMTP(RELAY, RELAY_PORT, local_hostname="client.test", timeout=60) as client:
            client.sendmail("ann@sender.test", [recipient], f"Subject: {word}\r\n\r\nThe word is {word}.\r\n")

    def show(self, which):
        """Has the Postfix show other certificates."""
        self.mx.change(**self.shown(which))

    def arrives(self, word):
        """Waits for the message at the Postfix, and gives it back."""
        found = until(f"{word} at {self.mx.name}", lambda: self.mx.received(f"The word is {word}."))
        expect(len(found) == 1, f"{word} arrived {len(found)} times")
        return found[0]

    def waits(self, domain, reason):
        """Waits until mail to the domain is held for this reason."""
        until(f"mail to {domain} held: {reason}", lambda: [one for one in self.relay.queue() if domain in str(one) and reason in str(one)])


class Unvalidated(Signed):
    """The same by an unbound that validates nothing."""

    MODULES = "iterator"


class Forwarded(Signed):
    """The same by a dnsmasq as it comes, which asks an unbound that validates and passes none of its word on."""

    ASKED = DNSMASQ

    def forward(self):
        """Starts the dnsmasq."""
        self.keep(Dnsmasq(self.folder / "dnsmasq", DNSMASQ, UNBOUND, *self.options()))

    def options(self):
        """What it is told beside whom to ask."""
        return []


class PassedOn(Forwarded):
    """The same by a dnsmasq that passes on the word of unbound."""

    def options(self):
        """Documented for a trusted server on a trusted way."""
        return ["--proxy-dnssec"]


class Revalidated(Forwarded):
    """The same by a dnsmasq that validates by itself."""

    def options(self):
        """The root's key, as DS records."""
        fields = [line.split()[2:] for line in self.knot.trust_anchor().splitlines() if " DS " in line]
        return ["--dnssec", *(f"--trust-anchor=.,{','.join(ds[:3])},{''.join(ds[3:])}" for ds in fields)]
