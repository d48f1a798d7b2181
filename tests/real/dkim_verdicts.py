#!/usr/bin/python3
"""What dkimpy says of the signatures of messages; for Debian's Python, which has dkimpy.

dkim_verdicts.py [--tlsrpt] RECORDS DOMAIN MESSAGE ...: with --tlsrpt the messages are TLS reports (RFC 8460). RECORDS has the key records, a name and a text on each line. Prints a line of JSON for each
message: its file, how many signatures of DOMAIN it has, and what is wrong with which.
"""

import json
import pathlib
import re
import sys

import dkim


def judge(path, domain, records, tlsrpt):
    """The verdict on one message."""
    message = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    judged = dkim.DKIM(message, minkey=2048)
    signatures = [value for name, value in judged.headers if name.lower() == b"dkim-signature"]
    wrong, count = [], 0
    for index, signature in enumerate(signatures):
        if not re.search(rb"[;\s]d=" + re.escape(domain) + rb";", signature):
            continue
        count += 1
        try:
            # A new one for each: it remembers what it has looked at.
            if not dkim.DKIM(message, minkey=2048, tlsrpt=tlsrpt).verify(idx=index, dnsfunc=lambda name, timeout=5: records.get(name)):
                wrong.append(f"{index}: does not verify")
        except dkim.DKIMException as error:
            wrong.append(f"{index}: {error}")
    return {"file": path.name, "signatures": count, "wrong": wrong}


def main(*words):
    """Judges the messages."""
    tlsrpt = words[0] == "--tlsrpt"
    records, domain, *paths = words[1:] if tlsrpt else words
    lines = (line.split(" ", 1) for line in pathlib.Path(records).read_text().splitlines())
    known = {name.encode(): text.encode() for name, text in lines}
    for path in paths:
        try:
            verdict = judge(pathlib.Path(path), domain.encode(), known, tlsrpt)
        except dkim.DKIMException as error:
            verdict = {"file": pathlib.Path(path).name, "signatures": 0, "wrong": [str(error)]}
        print(json.dumps(verdict))


if __name__ == "__main__":
    main(*sys.argv[1:])
