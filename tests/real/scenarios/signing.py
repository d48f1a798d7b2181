"""What other programs say of the relay's DKIM signatures, once a Postfix has taken the mail. A scenario's name is the sentence."""

import email
import json
import pathlib
import smtplib

from internet import RELAY, RELAY_PORT, Signing, inline
from suite import BINARY, Theme, expect, run, until

scenario = Theme(Signing)

VERDICTS = pathlib.Path(__file__).resolve().parents[1] / "dkim_verdicts.py"

FROM, SUBJECT = b"From: Ann <ann@sender.test>\r\n", b"Subject: awkward\r\n"
DATE, TO = b"Date: Tue, 1 Dec 2026 10:00:00 +0000\r\n", b"To: Bob <bob@good.test>\r\n"
REST = DATE + TO

# Headers: what is unusual of each.
HEADERS = {
    "usual": FROM + SUBJECT + REST + b"Message-ID: <1@sender.test>\r\n",
    "folded": b"From:\r\n Ann\r\n\t<ann@sender.test>\r\n" + REST + b"Subject: one\r\n  two\r\n\tthree  \r\n   four\r\n",
    "latin1": FROM + REST + b"Subject: Gr\xfc\xdfe aus K\xf6ln\r\n",
    "utf8": "From: J\u00f6rg <ann@sender.test>\r\nSubject: Gr\u00fc\u00dfe\r\n".encode() + REST,
    "nosubject": FROM + REST,
    "emptysubject": FROM + REST + b"Subject:\r\n",
    "twofrom": FROM + b"From: Bea <bea@sender.test>\r\n" + SUBJECT + REST,
    "twoauthors": b"From: Ann <ann@sender.test>, bea@sender.test\r\nSender: ann@sender.test\r\n" + SUBJECT + REST,
    "twice": FROM + SUBJECT + REST + b"Subject: again\r\nTo: carl@good.test\r\nCc: dora@good.test\r\nCc: e@good.test\r\n",
    "bcc": FROM + SUBJECT + REST + b"Bcc: hidden@good.test\r\n",
    "long": FROM + REST + b"Subject: " + b"many words of a long field\r\n  " * 3300 + b"end\r\n",
    "longline": FROM + REST + b"Subject: " + b"x" * 900 + b"\r\n",
    "lowercase": b"from: ann@sender.test\r\nSUBJECT: x\r\n" + REST.lower(),
    "blanks": b"From:   ann@sender.test   \r\nSubject:\tx\t y \t\r\n" + REST,
    "list": FROM + SUBJECT + REST + b"List-Id: <l.sender.test>\r\nList-Unsubscribe: <mailto:l@sender.test>,\r\n <https://sender.test/l>\r\n"
            b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
    "mime": FROM + SUBJECT + REST + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"=_b\"\r\n"
            b"Content-Transfer-Encoding: 8bit\r\n",
    "thread": FROM + SUBJECT + REST + b"In-Reply-To: <a@x.test>\r\nReferences: " + b"<r@x.test>\r\n " * 60 + b"<z@x.test>\r\n",
    "signed": b"DKIM-Signature: v=1; a=rsa-sha256; d=list.test; s=x; h=from; bh=AAAA; b=AAAA\r\n" + FROM + SUBJECT + REST
              + b"Message-ID: <2@sender.test>\r\n",
    "bare": b"From: ann@sender.test\r\n",
    "below": b"From: \"Ann (x), <y>\" (a comment) <ann@News.Sender.TEST>\r\nReply-To: ann@sender.test\r\n" + SUBJECT + REST,
}

# Headers that opendkim-testmsg cannot judge: it refuses messages with two fields that may be there once (RFC 5322 3.6), and looks at
# 64 KiB of a field alone, so that nobody else verifies what it signs itself of a longer one.
BEYOND_OPENDKIM = ("twofrom", "twice", "long")

# Bodies, with the empty line before them.
BODIES = {
    "none": b"\r\n",
    "nothing": b"",
    "emptylines": b"\r\n\r\n\r\n\r\n",
    "blanks": b"\r\n   \r\n\t\r\n \r\n",
    "noend": b"\r\nthe last line has no end",
    "trailing": b"\r\nblanks  at the\t end \t \r\n  and   within \r\n\r\n\r\n\r\n",
    "dots": b"\r\n.\r\n..\r\n...x\r\nFrom the beginning\r\n>From it\r\n.",
    "eightbit": b"\r\n" + bytes(range(0x80, 0x100)) + b"\r\n\xe2\x82\xac \xf0\x9f\x90\x98\r\n",
    "longlines": b"\r\n" + b"y" * 1500 + b"\r\n" + b" z" * 700 + b"\r\n",
    "big": b"\r\n" + b"a line of a body, with  blanks \r\n" * 10000,
}


def corpus():
    """200 messages, each with the word by which it is found."""
    for header, fields in HEADERS.items():
        for body, text in BODIES.items():
            word = f"{header}-{body}"
            yield word, b"X-Word: (" + word.encode() + b")\r\n" + fields + text


def hand_in(messages, sender="ann@sender.test", recipient="bob@good.test"):
    """Hands messages to the relay, byte for byte (RFC 3030)."""
    for start in range(0, len(messages), 40):
        with smtplib.SMTP(RELAY, RELAY_PORT, local_hostname="client.test", timeout=60) as client:
            client.ehlo()
            for _, message in messages[start:start + 40]:
                for step in (f"MAIL FROM:<{sender}> BODY=8BITMIME", f"RCPT TO:<{recipient}>"):
                    code, text = client.docmd(step)
                    expect(code == 250, f"{step}: {code} {text}")
                client.send(b"BDAT %d LAST\r\n" % len(message) + message)
                code, text = client.getreply()
                expect(code == 250, f"BDAT: {code} {text}")


def verdicts(world, domain, files):
    """What dkimpy says, by file."""
    lines = run("/usr/bin/python3", VERDICTS, world.key_records, domain, *files).stdout.splitlines()
    return [json.loads(line) for line in lines]


def by_dkimpy(world, files):
    """Each of these messages, by its word, has two signatures of sender.test, and dkimpy verifies both."""
    names = {path.name: word for word, path in files.items()}
    found = verdicts(world, "sender.test", files.values())
    wrong = [f"{names[one['file']]}: {one}" for one in found if one["signatures"] != 2 or one["wrong"]]
    expect(not wrong, "dkimpy:\n" + "\n".join(wrong))
    expect(len(found) == len(files), f"{len(found)} verdicts")


def by_opendkim(files):
    """The files whose signatures opendkim-testmsg does not verify, with what it says. It looks records up itself."""
    found = []
    for file in files:
        judged = run("opendkim-testmsg", check=False, input=file.read_bytes().replace(b"\n", b"\r\n").decode("latin-1"), encoding="latin-1")
        if judged.returncode != 0:
            found.append(f"{file.name}: {judged.returncode} {judged.stdout}{judged.stderr}")
    return found


def arrived(world, words):
    """The files of the messages with these words in the inbox of good.test."""
    def found():
        texts = {path: path.read_bytes() for path in world.new_mail.glob("*")}
        here = {word: path for path, text in texts.items() for word in words if b"X-Word: (" + word.encode() + b")" in text}
        return here if len(here) == len(words) else None

    return until(f"{len(words)} messages at mx.good.test", found, patience=180)


@scenario
def every_signature_of_200_awkward_messages_verifies_after_transport(world):
    """dkimpy verifies each signature of each message, by RSA and by Ed25519; opendkim-testmsg each message that it can read."""
    messages = list(corpus())
    expect(len(messages) == 200, f"{len(messages)} messages")
    hand_in(messages)
    files = arrived(world, [word for word, _ in messages])
    names = {path.name: word for word, path in files.items()}
    by_dkimpy(world, files)
    judged = [path for word, path in files.items() if word.split("-")[0] not in BEYOND_OPENDKIM]
    wrong = [f"{names[one.split(':')[0]]}: {one}" for one in by_opendkim(judged)]
    expect(not wrong, "opendkim-testmsg:\n" + "\n".join(wrong))
    hidden = [word for word, path in files.items() if b"hidden@" in path.read_bytes()]
    expect(not hidden, f"Bcc is there: {hidden}")
    return f"400 signatures by dkimpy, {len(judged)} messages by opendkim"


@scenario
def a_rewritten_message_verifies_after_transport(world):
    """What is signed has the rewritten addresses; the judges read them as they were meant, and nothing of the rest has changed."""
    fields = {
        "plain": b"From: root@internal.test\r\n",
        "named": b"From: =?utf-8?q?R=C3=B6ot?= (cron)\r\n <root@internal.test>\r\nSender: cron@internal.test\r\n",
        "replies": b"From: \"a, b\" <a@internal.test>, c@internal.test\r\nReply-To: d@internal.test\r\n",
        "long": b"From: " + b",\r\n ".join(b"p%d@internal.test" % number for number in range(1000)) + b"\r\n",
    }
    hand_in([(word, b"X-Word: (" + word.encode() + b")\r\n" + said + SUBJECT + REST + b"\r\nroot@internal.test\r\n")
             for word, said in fields.items()], sender="root@internal.test")
    files = arrived(world, list(fields))
    by_dkimpy(world, files)
    wrong = by_opendkim(files.values())
    expect(not wrong, "opendkim-testmsg:\n" + "\n".join(wrong))
    for word, path in files.items():
        message = email.message_from_bytes(path.read_bytes())
        expect(message["Return-Path"] == "<root@sender.test>", f"{word}: {message['Return-Path']}")
        expect("@internal.test" not in message["From"] + message.get("Sender", ""), f"{word}: {message['From']}")
        expect("@internal.test" in message["Reply-To"] and message.get_payload() == "root@internal.test\n", f"{word}: {message}")


@scenario
def a_changed_message_does_not_verify(world):
    """The judges are no rubber stamps: a field that is added, one that is changed and a changed body are seen."""
    hand_in([("usual", b"X-Word: (usual)\r\n" + HEADERS["usual"] + BODIES["trailing"])])
    path = arrived(world, ["usual"])["usual"]
    message = path.read_bytes()
    for number, (old, new) in enumerate((
        (b"\nFrom:", b"\nFrom: eve@evil.test\nFrom:"), (b"\nTo: Bob", b"\nTo: Eve"), (b"\nTo:", b"\nReply-To: eve@evil.test\nTo:"),
        (b"blanks  at", b"blanks at all"),
    )):
        changed = world.folder / f"changed-{number}"
        changed.write_bytes(message.replace(old, new, 1))
        expect(changed.read_bytes() != message, f"{old} is not there")
        [verdict] = verdicts(world, "sender.test", [changed])
        expect(len(verdict["wrong"]) == 2, f"{new}: {verdict}")
        expect(by_opendkim([changed]), f"opendkim-testmsg takes {new}")


@scenario
def a_notification_verifies_after_transport(world):
    """A report to a sender is signed by the key of the relay's own name."""
    hand_in([("x", FROM + SUBJECT + b"\r\nx\r\n")], sender="carol@good.test", recipient="nobody@nowhere.test")
    [path] = until("the notification", lambda: list(world.new_mail.glob("*")))
    [verdict] = verdicts(world, "relay.test", [path])
    expect(verdict["signatures"] == 1 and not verdict["wrong"], str(verdict))
    expect(not by_opendkim([path]), str(by_opendkim([path])))


@scenario
def dkim_check_compares_the_keys_with_what_knot_serves(world):
    """Status 0 while all records are published; a key without one is named, with what to publish."""
    checked = world.relay.command("dkim", "check", "--json", check=False)
    states = [key["state"] for key in json.loads(checked.stdout)]
    expect(checked.returncode == 0 and states == ["published"] * 3, f"{checked.returncode}: {checked.stdout}{checked.stderr}")
    table = {"domain": "relay.test", "selector": "new", "key_file": str(world.unpublished)}
    config = world.file("new.toml", world.relay.config.read_text().replace("dkim = [", f"dkim = [{inline(table)}, ", 1))
    checked = run(BINARY, "dkim", "check", "relay.test", "--config", config, check=False)
    expect(checked.returncode == 1 and "missing" in checked.stdout, f"{checked.returncode}: {checked.stdout}{checked.stderr}")
    expect("v=DKIM1; k=rsa; p=" in checked.stdout, f"what to publish is not said:\n{checked.stdout}")
