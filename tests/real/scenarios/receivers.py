"""What must hold towards receivers of all makes. A scenario's name is the sentence."""

from internet import BEHIND, MX, NAME, OPEN, STRICT, Receiving
from receivers import Exim, OpenSmtpd, PostfixMx
from suite import Theme, expect, until

scenario = Theme(Receiving)

# The relay's turns until a message is at its end, as a cutter counts them after the greeting.
IN_CLEAR = ["EHLO", "MAIL, RCPT, DATA", "message and dot"]
IN_CLEAR_ONE_BY_ONE = ["EHLO", "MAIL", "RCPT", "DATA", "message and dot"]
UNDER_TLS = ["EHLO", "STARTTLS", "ClientHello", "Finished, EHLO", "MAIL, RCPT, DATA", "message and dot"]
# As many turns as a session may have, and more.
STEPS = 10


@scenario
def exim_with_tls_gets_all_mail_encrypted_and_its_refusals_are_heeded(world):
    """Exim: TLS, 4xx, 5xx, a 421, and greylisting by an ACL."""
    world.receiver(Exim, tls=True)
    gets_all_mail_encrypted(world, "TLS1.3")
    heeds_refusals(world, STRICT)
    comes_back(world, "grey", "4.7.1 greylisted")
    comes_back(world, "gone", "too busy for you")


@scenario
def exim_without_tls_gets_no_mail_of_an_enforced_policy(world):
    """Exim in clear."""
    world.receiver(Exim, tls=False)
    gets_only_the_open_mail(world, "STARTTLS")


@scenario
def exim_gets_mail_whole_though_connections_are_cut_at_every_step(world):
    """Exim behind a cutter, with TLS and an enforced policy: an attempt ends at every step of the handshake and of the session in it."""
    world.receiver(Exim, tls=True, address=BEHIND)
    gets_mail_through_cuts(world, STRICT, UNDER_TLS)


@scenario
def opensmtpd_with_handshakes_that_fail_gets_no_mail_of_an_enforced_policy(world):
    """OpenSMTPD of Debian 12 offers STARTTLS, and no handshake with it succeeds: a receiver that is broken in earnest."""
    world.receiver(OpenSmtpd, tls=True)
    gets_only_the_open_mail(world, "TLS handshake")
    expect("SSL routines" in world.mx.tail(1000), "there was no handshake that failed")


@scenario
def opensmtpd_without_tls_gets_no_mail_of_an_enforced_policy_and_its_refusals_are_heeded(world):
    """OpenSMTPD in clear: 4xx, 5xx, greylisting by a filter, and a 421 that ends the connection."""
    world.receiver(OpenSmtpd, tls=False)
    gets_only_the_open_mail(world, "STARTTLS")
    heeds_refusals(world, OPEN)
    comes_back(world, "grey", "4.7.1 greylisted", OPEN)
    world.send("tansy", f"gone@{OPEN}")
    put_off(world, f"gone@{OPEN}", "421")


@scenario
def opensmtpd_gets_mail_whole_though_connections_are_cut_at_every_step(world):
    """OpenSMTPD behind a cutter, without TLS and without a policy: it has no PIPELINING, so each command is a step."""
    world.receiver(OpenSmtpd, tls=False, address=BEHIND)
    gets_mail_through_cuts(world, OPEN, IN_CLEAR_ONE_BY_ONE)


@scenario
def postfix_with_tls_gets_all_mail_encrypted_and_its_refusals_are_heeded(world):
    """Postfix: TLS, 4xx, 5xx, a 421 that ends the connection, and greylisting by a policy service."""
    world.receiver(PostfixMx, tls=True)
    gets_all_mail_encrypted(world, "TLSv1.3")
    heeds_refusals(world, STRICT)
    comes_back(world, "grey", "greylisted")
    world.send("tansy", f"gone@{STRICT}")
    put_off(world, f"gone@{STRICT}", "421")


@scenario
def postfix_in_clear_gets_mail_whole_though_connections_are_cut_at_every_step(world):
    """Postfix behind a cutter, without TLS and without a policy."""
    world.receiver(PostfixMx, tls=False, address=BEHIND)
    gets_mail_through_cuts(world, OPEN, IN_CLEAR)


@scenario
def postfix_with_tls_gets_mail_whole_and_encrypted_though_connections_are_cut_at_every_step(world):
    """Postfix behind a cutter, with TLS and an enforced policy: every copy came under TLS, and the cutter heard nothing of it."""
    world.receiver(PostfixMx, tls=True, address=BEHIND)
    gets_mail_through_cuts(world, STRICT, UNDER_TLS)
    for copy in world.mx.inbox.received("freesia"):
        expect("TLSv1.3" in copy, f"no TLS in the Received field:\n{copy}")


def gets_all_mail_encrypted(world, tls):
    """Mail for both domains comes once, under TLS, as its Received field says."""
    for word, domain in (("anemone", STRICT), ("begonia", OPEN)):
        world.send(word, f"bob@{domain}")
        message = arrives(world, word)
        expect(tls in message, f"no TLS in the Received field:\n{message}")
        expect("by relay.test" in message, f"no Received field of the relay:\n{message}")


def heeds_refusals(world, domain):
    """Of one message's recipients one gets it, one is tried on, one is returned to the sender with the receiver's words."""
    world.send("camellia", f"bob@{domain}", f"later@{domain}", f"never@{domain}")
    arrives(world, "The word is camellia", unlike="5.1.1")
    returned = arrives(world, "Final-Recipient", unlike="nothing")
    for word in (f"never@{domain}", "Action: failed", "Status: 5.1.1", "nobody of that name"):
        expect(word in returned, f"the DSN does not say {word}:\n{returned}")
    expect(f"later@{domain}" not in returned.split("camellia")[0], f"the deferred recipient was given up:\n{returned}")
    put_off(world, f"later@{domain}", "4.2.1")
    expect(not world.queued(f"never@{domain}"), "the refused recipient is still queued")


def put_off(world, who, reason):
    """The recipient stays queued, and the queue says why."""
    until(f"{who} put off with {reason}", lambda: [one for one in world.queued(who) if reason in str(one)])


def comes_back(world, who, why, domain=STRICT):
    """What the receiver turns away the first time, as its log says, is delivered once, in this attempt or a later one."""
    world.send(f"word-{who}", f"{who}@{domain}")
    arrives(world, f"word-{who}")
    until("its end", lambda: not world.queued(f"{who}@{domain}"))
    turned_away = [line for line in world.mx.tail(1000).splitlines() if f"{who}@{domain}" in line and why in line]
    expect(turned_away, f"{who} was never turned away:\n{world.mx.tail()}")


def gets_only_the_open_mail(world, why):
    """The enforced domain's mail waits, with the reason, and the receiver hears nothing of it; other mail arrives."""
    world.send("dahlia", f"bob@{STRICT}")
    put_off(world, f"bob@{STRICT}", why)
    world.send("erica", f"bob@{OPEN}")
    arrives(world, "erica")
    expect(not world.mx.inbox.received("dahlia"), "enforced mail arrived in clear")
    expect(STRICT not in world.mx.tail(1000).replace(NAME, ""), "the receiver heard of enforced mail")


def gets_mail_through_cuts(world, domain, turns):
    """Cut at each of these turns in every way, one attempt after the other, the message arrives whole.

    It comes twice, because the answer to its final dot is cut off once and nobody can know better; no other cut costs a copy.
    """
    cutter = world.cutter(STEPS)
    body = "".join(f"{number} {'0123456789' * 6}\r\n" for number in range(400)) + "the end of it\r\n"
    world.send("freesia", f"bob@{domain}", body=body)
    until("an empty queue", lambda: world.relay.queue() == [], patience=60)
    until("both copies in the inbox", lambda: len(world.mx.inbox.received("freesia")) > 1)
    copies = world.mx.inbox.received("freesia")
    expected = [(0, "answer")] + [(step, part) for step in range(1, len(turns) + 1) for part in ("before", "middle", "answer")]
    expect(cutter.made == expected, f"not cut at every step of {turns}: {cutter.made}")
    expect(len(copies) == 2, f"it arrived {len(copies)} times")
    for copy in copies:
        text = copy.replace("\r", "")
        expect(text.rstrip("\n").endswith(body.replace("\r", "").rstrip("\n")), f"not whole: {text[-300:]}")
    if domain == STRICT:
        expect(b"MAIL" not in cutter.heard and b"freesia" not in cutter.heard, "enforced mail was seen in clear")
    else:
        expect(b"MAIL FROM" in cutter.heard, "the cutter saw nothing of the session")


def arrives(world, word, unlike=None):
    """Waits for the message, and gives it back; it must be the only one that has the one word and not the other."""
    def look():
        return [text for text in world.mx.inbox.received(word) if unlike is None or unlike not in text]

    found = until(f"{word} at {MX}", look)
    expect(len(found) == 1, f"{word} arrived {len(found)} times")
    return found[0]
