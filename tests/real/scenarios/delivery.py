"""What must hold between real programs. A scenario's name is the sentence."""

from internet import Delivering
from suite import Theme, expect, until

scenario = Theme(Delivering)


@scenario
def postfix_as_client_reaches_a_postfix_mx_over_verified_tls(world):
    """The main job: relayhost -> sts-relay -> MX with STARTTLS, under an enforced policy."""
    world.send("bob@good.test", "heliotrope")
    message = world.arrives("good.test", "heliotrope")
    expect("TLSv1.3" in message, f"no TLS in the MX's Received header:\n{message}")
    expect("by relay.test" in message, f"no Received header of the relay:\n{message}")
    until("an empty queue", lambda: world.relay.queue() == [])


@scenario
def mail_for_a_domain_without_policy_goes_out_as_well_as_it_can(world):
    """No policy, no STARTTLS: ordinary mail flows."""
    world.send("bob@plain.test", "periwinkle")
    world.arrives("plain.test", "periwinkle")


@scenario
def a_downgraded_mx_gets_nothing_until_it_is_mended(world):
    """Enforce without STARTTLS: it waits with the reason, delivered after the mending and `queue retry`."""
    world.send("bob@down.test", "marigold")
    waiting = until("the message waiting", lambda: [one for one in world.relay.queue() if waits_at(one, "down.test")])
    number = waiting[0]["id"]
    shown = world.relay.command("queue", "show", number).stdout
    for word in ("down.test", "mx.down.test", "enforce", "STARTTLS"):
        expect(word in shown, f"`queue show` does not say {word}:\n{shown}")
    expect(not world.mx["down.test"].messages(), "the message arrived in clear")
    expect("MAIL FROM" not in world.mx["down.test"].tail(1000), "the downgraded MX saw a MAIL FROM")

    world.mx["down.test"].change(smtpd_tls_security_level="may")
    world.relay.command("queue", "retry", number)
    message = world.arrives("down.test", "marigold")
    expect("TLSv1.3" in message, f"no TLS in the MX's Received header:\n{message}")
    until("an empty queue", lambda: world.relay.queue() == [])


@scenario
def check_says_what_would_happen_and_what_is_wrong(world):
    """`sts-relay check` walks the way of a message: well for one domain, waiting for the other."""
    good = world.relay.command("check", "good.test", check=False)
    expect(good.returncode == 0, f"check of the good domain ended with {good.returncode}:\n{good.stdout}{good.stderr}")
    expect("mx.good.test" in good.stdout, f"it names no host:\n{good.stdout}")
    down = world.relay.command("check", "down.test", check=False)
    expect(down.returncode == 2, f"check of the downgraded domain ended with {down.returncode}:\n{down.stdout}")
    for word in ("mx.down.test", "STARTTLS"):
        expect(word in down.stdout, f"it does not say {word}:\n{down.stdout}")
    expect("MAIL FROM" not in world.mx["down.test"].tail(1000), "check began a message")


@scenario
def held_mail_and_cached_policy_survive_a_restart(world):
    """The queue and the policy are on disk: after a restart with the policy host gone, enforcement goes on."""
    world.send("bob@down.test", "celandine")
    until("the message waiting", lambda: [one for one in world.relay.queue() if waits_at(one, "down.test")])
    status = world.relay.stop()
    expect(status == 0, f"SIGTERM ended the relay with {status}")
    world.web.stop()
    world.relay.start()
    expect([one for one in world.relay.queue() if "down.test" in str(one)], "the waiting message is gone")
    shown = world.relay.command("policy", "show", "down.test").stdout
    expect("enforce" in shown, f"the policy is gone:\n{shown}")
    world.send("bob@down.test", "saffron")
    until("both waiting", lambda: len([one for one in world.relay.queue() if waits_at(one, "down.test")]) == 2)
    expect(not world.mx["down.test"].messages(), "a message arrived in clear")


def waits_at(one, domain):
    """Whether the queue's entry is for `domain` and has been tried."""
    text = str(one)
    return domain in text and ("4.7." in text)
