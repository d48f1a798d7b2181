"""What other programs read in the relay's TLS reports. A scenario's name is the sentence."""

import gzip
import json
import os
import pathlib

from internet import Reporting
from scenarios.signing import VERDICTS, by_opendkim
from suite import Theme, expect, run, until

scenario = Theme(Reporting)

READINGS = pathlib.Path(__file__).resolve().parents[1] / "report_readings.py"

# A Python that has parsedmarc (.ci/run makes one).
PARSEDMARC = os.environ.get("PARSEDMARC", "python3")


def reports(world, number=1):
    """The files of so many reports that came by mail, and of as many that were posted."""
    inbox = world.mx["good.test"].mail / "inbox" / "new"
    by_mail = [path for path in inbox.glob("*") if b"application/tlsrpt+gzip" in path.read_bytes()] if inbox.exists() else []
    posted = [path for path in world.posted.rglob("*") if path.is_file()]
    return [*by_mail, *posted] if len(by_mail) == len(posted) == number else None


def read(files):
    """What parsedmarc reads in them."""
    readings = [json.loads(line) for line in run(PARSEDMARC, READINGS, *files).stdout.splitlines()]
    expect([reading["type"] for reading in readings] == ["smtp_tls"] * len(files), f"{readings}")
    return [reading["report"] for reading in readings]


def verified(messages, key_records):
    """Has dkimpy verify both signatures of each message."""
    lines = run("/usr/bin/python3", VERDICTS, "--tlsrpt", key_records, "sender.test", *messages).stdout.splitlines()
    verdicts = [json.loads(line) for line in lines]
    expect(len(verdicts) == len(messages), f"dkimpy: {verdicts}")
    expect(all(verdict["signatures"] == 2 and not verdict["wrong"] for verdict in verdicts), f"dkimpy: {verdicts}")


@scenario
def parsedmarc_reads_what_a_postfix_and_an_nginx_have_got(world):
    """A message to good.test is counted; the report about it comes by mail and by POST, the same; dkimpy and opendkim verify the mail."""
    world.send("bob@good.test", "nasturtium")
    world.arrives("good.test", "nasturtium")
    # What is counted is written every five seconds.
    until("a report to send", lambda: world.relay.command("tlsrpt", "send", "good.test", "--today", check=False).returncode == 0)
    message, posted = until("both reports", lambda: reports(world))
    readings = read([message, posted])
    for report in readings:
        expect(report["organization_name"] == "Sender" and report["contact_info"] == "tls@sender.test", f"{report}")
        [policy] = report["policies"]
        expect(policy["policy_type"] == "sts" and policy["policy_domain"] == "good.test", f"{policy}")
        expect(policy["successful_session_count"] == 1 and policy["failed_session_count"] == 0, f"{policy}")
    expect(readings[0] == readings[1], f"they differ: {readings}")
    verified([message], world.key_records)
    expect(not by_opendkim([message]), f"opendkim-testmsg: {by_opendkim([message])}")
    return "one report twice by parsedmarc, two signatures by dkimpy"


@scenario
def parsedmarc_reads_what_has_failed_and_why(world):
    """down.test fails by its policy in two ways, and by the operator's demand for TLSA records; plain.test has neither policy nor TLS."""
    world.relay.stop()
    world.relay.configure([*world.settings(), 'dane.require = ["down.test"]'])
    world.relay.start()
    world.send("bob@plain.test", "anemone")
    world.arrives("plain.test", "anemone")
    world.send("bob@down.test", "hellebore")
    number = waiting(world, "TLSA")
    # What is counted is written when it stops.
    world.relay.stop()
    world.relay.configure(world.settings())
    world.relay.start()
    world.relay.command("queue", "retry", number)
    waiting(world, "STARTTLS")
    key, certificate = world.authority.issue("elsewhere.test")
    world.mx["down.test"].change(smtpd_tls_security_level="may", smtpd_tls_cert_file=certificate, smtpd_tls_key_file=key)
    world.relay.command("queue", "retry", number)
    waiting(world, "certificate")
    world.relay.stop()
    world.relay.start()
    for domain in ("down.test", "plain.test"):
        until("a report to send", lambda domain=domain: sent(world, domain))
    files = until("all reports", lambda: reports(world, 2))
    messages = [path for path in files if world.posted not in path.parents]
    verified(messages, world.key_records)
    expect(not by_opendkim(messages), f"opendkim-testmsg: {by_opendkim(messages)}")
    by_domain = {}
    for report in read(files):
        by_domain.setdefault(report["policies"][0]["policy_domain"], []).append(report)
    expect(sorted(map(len, by_domain.values())) == [2, 2], f"{by_domain}")
    for same in by_domain.values():
        expect(same[0] == same[1], f"they differ: {same}")
    failed = {(policy["policy_type"], detail["result_type"], detail["failed_session_count"])
              for [report, _] in by_domain.values() for policy in report["policies"] for detail in policy["failure_details"]}
    expected = {("tlsa", "dane-required"), ("sts", "starttls-not-supported"), ("sts", "certificate-host-mismatch"),
                ("no-policy-found", "starttls-not-supported")}
    expect({one[:2] for one in failed} == expected and all(count >= 1 for *_, count in failed), f"{failed}")
    sts = [policy for [report, _] in by_domain.values() for policy in report["policies"] if policy["policy_type"] == "sts"]
    expect(len(sts) == 1 and "mx: mx.down.test" in sts[0]["policy_strings"], f"{sts}")
    expect(sts[0]["failed_session_count"] == sum(detail["failed_session_count"] for detail in sts[0]["failure_details"]), f"{sts}")
    expect(all(detail["receiving_mx_hostname"] == "mx.down.test" for detail in sts[0]["failure_details"]), f"{sts}")
    return f"{len(failed)} failure details of 3 policies in 2 reports, four signatures by dkimpy"


@scenario
def parsedmarc_and_dkimpy_read_every_report_that_the_tests_have_left(_world):
    """What the ordinary tests have counted, row by row of what counts, is in reports that say the same to parsedmarc by mail and as a file."""
    folder = pathlib.Path(os.environ.get("STS_RELAY_REPORTS", ""))
    compressed = sorted(folder.glob("*.json.gz"))
    expect(compressed, "no reports: STS_RELAY_REPORTS names the folder in which the tests tls_ have left them (.ci/run)")
    messages = [file.with_name(file.name.removesuffix(".json.gz") + ".eml") for file in compressed]
    verified(messages, folder / "key-records")
    results = set()
    for file, posted, mailed in zip(compressed, read(compressed), read(messages)):
        expect(posted == mailed, f"{file.name} differs by mail: {posted} {mailed}")
        with gzip.open(file) as text:
            report = json.load(text)
        expect(posted["report_id"] == report["report-id"], f"{file.name}: {posted}")
        expect(sorted(map(as_read, posted["policies"])) == sorted(map(as_written, report["policies"])), f"{file.name}: {posted}")
        results |= {detail["result-type"] for policy in report["policies"] for detail in policy.get("failure-details", [])}
    missing = RESULTS - results
    expect(not missing, f"no report has {missing}")
    return f"{len(compressed)} reports with {len(results)} result types, {2 * len(messages)} signatures by dkimpy"


# All result types of RFC 8460 4.3.
RESULTS = {
    "starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted", "validation-failure",
    "tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid",
}


def as_read(policy):
    """What parsedmarc makes of a policy of a report."""
    details = [
        (detail["result_type"], detail["failed_session_count"], *(detail.get(name) or "" for name in (
            "receiving_mx_hostname", "receiving_ip", "sending_mta_ip", "failure_reason_code")))
        for detail in policy.get("failure_details", [])
    ]
    return (policy["policy_type"], policy["policy_domain"], policy.get("policy_strings") or [],
            policy["successful_session_count"], policy["failed_session_count"], sorted(details))


def as_written(policy):
    """The same of the report itself."""
    details = [
        (detail["result-type"], detail["failed-session-count"], *(detail.get(name, "") for name in (
            "receiving-mx-hostname", "receiving-ip", "sending-mta-ip", "failure-reason-code")))
        for detail in policy.get("failure-details", [])
    ]
    what, summary = policy["policy"], policy["summary"]
    return (what["policy-type"], what["policy-domain"], what.get("policy-string", []),
            summary["total-successful-session-count"], summary["total-failure-session-count"], sorted(details))


def sent(world, domain):
    """Whether there was something to send."""
    return world.relay.command("tlsrpt", "send", domain, "--today", check=False).returncode == 0


def waiting(world, reason):
    """Waits until the message to down.test waits for such a reason; its number."""
    found = until(f"a message that waits for {reason}", lambda: [
        one for one in world.relay.queue() if "down.test" in str(one) and reason in world.relay.command("queue", "show", one["id"]).stdout
    ])
    return found[0]["id"]
