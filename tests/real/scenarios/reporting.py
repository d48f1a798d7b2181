"""What other programs read in the relay's TLS reports. A scenario's name is the sentence."""

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


def reports(world):
    """The files of the report that came by mail, and of the one that was posted."""
    inbox = world.mx["good.test"].mail / "inbox" / "new"
    by_mail = [path for path in inbox.glob("*") if b"application/tlsrpt+gzip" in path.read_bytes()] if inbox.exists() else []
    posted = [path for path in world.posted.rglob("*") if path.is_file()]
    return (by_mail[0], posted[0]) if by_mail and posted else None


@scenario
def parsedmarc_reads_what_a_postfix_and_an_nginx_have_got(world):
    """A message to good.test is counted; the report about it comes by mail and by POST, the same; dkimpy and opendkim verify the mail."""
    world.send("bob@good.test", "nasturtium")
    world.arrives("good.test", "nasturtium")
    # What is counted is written every five seconds.
    until("a report to send", lambda: world.relay.command("tlsrpt", "send", "good.test", "--today", check=False).returncode == 0)
    message, posted = until("both reports", lambda: reports(world))
    readings = [json.loads(line) for line in run(PARSEDMARC, READINGS, message, posted).stdout.splitlines()]
    expect(len(readings) == 2, f"{readings}")
    for reading in readings:
        expect(reading["type"] == "smtp_tls", f"{reading}")
        report = reading["report"]
        expect(report["organization_name"] == "Sender" and report["contact_info"] == "tls@sender.test", f"{report}")
        [policy] = report["policies"]
        expect(policy["policy_type"] == "sts" and policy["policy_domain"] == "good.test", f"{policy}")
        expect(policy["successful_session_count"] == 1 and policy["failed_session_count"] == 0, f"{policy}")
    expect(readings[0]["report"] == readings[1]["report"], f"they differ: {readings}")
    lines = run("/usr/bin/python3", VERDICTS, "--tlsrpt", world.key_records, "sender.test", message).stdout.splitlines()
    [verdict] = [json.loads(line) for line in lines]
    expect(verdict["signatures"] == 2 and not verdict["wrong"], f"dkimpy: {verdict}")
    expect(not by_opendkim([message]), f"opendkim-testmsg: {by_opendkim([message])}")
    return "one report twice by parsedmarc, two signatures by dkimpy"
