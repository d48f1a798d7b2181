"""What three programs say of TLSA records and certificates, and what becomes of mail. A scenario's name is the sentence."""

import json

from signed import CASES, MATCH, MISMATCH, NO_RECORDS, UNUSABLE, Forwarded, PassedOn, Revalidated, Signed, Unvalidated
from suite import BINARY, Theme, expect, run, until

scenario = Theme(Signed)

def ours(world, case, chain="leaf"):
    """The relay's verdict on the certificates, which it compares with the records by themselves."""
    if not case.records or case.top != "test":
        return NO_RECORDS
    chain = world.credentials.chains[chain]
    matched = run(BINARY, "dane", "match", "--chain", chain, "--base", case.base, "--name", case.domain, "--json", "--",
                  *case.tlsa(world.credentials), check=False)
    return json.loads(matched.stdout)["verdict"]


def looked_up(world, case):
    """The same by `dane lookup`, which asks unbound and the Postfix; it knows no next hop."""
    looked = world.relay.command("dane", "lookup", case.host, "--json", check=False)
    return {0: MATCH, 1: NO_RECORDS, 2: MISMATCH, 3: UNUSABLE}.get(looked.returncode, looked.stdout + looked.stderr)


def by_postfix(world, case):
    """Postfix's: its client looks up the domain's host and its records, and shakes hands."""
    config = world.folder / "finger"
    config.mkdir(exist_ok=True)
    (config / "main.cf").write_text("compatibility_level = 3.6\n")
    told = run("posttls-finger", "-c", "-l", "dane", case.domain, env={"MAIL_CONFIG": str(config)}, check=False).stdout
    if "Verified TLS connection established" in told:
        return MATCH
    if "unsupported TLSA certificate usage" in told:
        return UNUSABLE
    if "TLS connection established" not in told:
        return told
    return MISMATCH if "no matching DANE TLSA records" in told or "hostname mismatch" in told and case.records else NO_RECORDS


def by_ldns(world, case, chain="leaf", records=()):
    """ldns-dane's, on the same certificates; records it asks unbound for, where none are given."""
    credentials = world.credentials
    told = run("ldns-dane", "-c", credentials.chains[chain], "-f", credentials.authority, *records, "verify", case.host, 25, check=False)
    text = told.stdout + told.stderr
    if "dane-validated successfully" in text:
        return MATCH
    return MISMATCH if "did not dane-validate" in text else f"{told.returncode}: {text}"


def by_ldns_of_a_file(world, case):
    """The same of the records in a file. Without name and port ldns-dane 1.8.3 compares the certificate's names with `_25._tcp.HOST`, which
    none can have."""
    file = world.folder / "tlsa"
    file.write_text("".join(f"_25._tcp.{case.host}. 1 IN TLSA {record}\n" for record in case.tlsa(world.credentials)))
    return by_ldns(world, case, records=("-t", file))


@scenario
def postfix_and_ldns_dane_say_of_tlsa_records_what_we_say(world):
    """Ours and posttls-finger's in every case; ldns-dane's but where it goes by other rules than mail."""
    wrong = []
    for case in CASES:
        said = {"dane match": ours(world, case), "posttls-finger": by_postfix(world, case)}
        if "domain" not in case.names:
            said["dane lookup"] = looked_up(world, case)
        wrong += [f"{case.name}: {program}: {verdict}" for program, verdict in said.items() if verdict != case.verdict]
        expected = case.ldns or case.verdict
        for judge in (by_ldns, by_ldns_of_a_file):
            if expected != NO_RECORDS and (verdict := judge(world, case)) != expected:
                wrong.append(f"{case.name}: {judge.__name__}: {verdict}")
    expect(not wrong, "\n".join(wrong))
    return f"{len(CASES)} cases"


def all_is_judged(world):
    """Mail to each domain leaves or waits, as its records and the certificates have it."""
    for case in CASES:
        world.send(f"word-{case.name}", f"bob@{case.domain}")
    for case in CASES:
        if case.verdict == MISMATCH:
            world.waits(case.domain, "4.7.5")
            expect(not world.mx.received(f"The word is word-{case.name}."), f"{case.name} arrived")
        else:
            message = world.arrives(f"word-{case.name}")
            expect("TLSv1.3" in message, f"{case.name} came without TLS:\n{message}")


@scenario
def mail_leaves_to_what_matches_and_waits_for_what_does_not(world):
    """By the relay itself, with the Postfix as host of all domains."""
    all_is_judged(world)


@scenario
def a_rollover_that_is_published_holds_no_mail_and_one_that_is_not_does(world):
    """The Postfix exchanges its certificate and key; one domain has published both."""
    world.send("before", "bob@rollover.test")
    world.arrives("before")
    world.show("next")
    [rollover] = [case for case in CASES if case.name == "rollover"]
    until("the next certificate", lambda: by_postfix(world, rollover) == MATCH and looked_up(world, rollover) == MATCH)
    expect(ours(world, rollover, "next") == by_ldns(world, rollover, "next") == MATCH, "the next key does not match")
    world.send("after", "bob@rollover.test")
    world.arrives("after")
    world.send("stale", "bob@ee-key.test")
    world.waits("ee-key.test", "4.7.5")
    expect(not world.mx.received("The word is stale."), "it arrived at a host that matches no longer")


def nothing_is_held(world):
    """DANE is inactive, and says so; all mail leaves, as it would without DANE."""
    until("the log to say so", lambda: "DANE inactive" in world.relay.tail(1000))
    for case in CASES:
        world.send(f"word-{case.name}", f"bob@{case.domain}")
    for case in CASES:
        world.arrives(f"word-{case.name}")
    checked = world.relay.command("check-config", "--network", check=False)
    expect("DANE is inactive" in checked.stdout + checked.stderr, f"check-config does not say so:\n{checked.stdout}{checked.stderr}")


unvalidated, forwarded = Theme(Unvalidated), Theme(Forwarded)


@unvalidated
def a_real_resolver_that_validates_nothing_holds_no_mail(world):
    """An unbound without its validator."""
    nothing_is_held(world)


@forwarded
def dnsmasq_as_it_comes_holds_no_mail(world):
    """It clears the AD bit of the unbound behind it."""
    nothing_is_held(world)


passed_on, revalidated = Theme(PassedOn), Theme(Revalidated)


@passed_on
def behind_a_dnsmasq_that_passes_on_what_unbound_vouches_for_tlsa_records_hold(world):
    """With `proxy-dnssec`."""
    all_is_judged(world)


@revalidated
def behind_a_dnsmasq_that_validates_tlsa_records_hold(world):
    """With `dnssec`."""
    all_is_judged(world)
