#!/usr/bin/env python3
"""Verifies a history, a segment of one or a proof, by docs/history-format.md alone.

    tests/real/verify_history.py DIRECTORY|SEGMENT|PROOF

Prints each fault; exits with 1 if there is one, and with 0 if all is as it was written.
"""

import hashlib
import json
import pathlib
import re
import sqlite3
import sys

SEGMENT = re.compile(r"seg-([0-9]{20})\.sqlite$")
START = bytes(32)


def sha256(octets):
    """The SHA-256 of octets."""
    return hashlib.sha256(octets).digest()


def link_after(form, before, text):
    """The link of the record that follows, whose text this is."""
    return sha256(before + (text if form == 1 else sha256(text)))


class Segment:
    """A segment that is verified."""

    def __init__(self, path):
        self.path, self.faults = path, []
        self.database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.database.text_factory = bytes
        about = self.database.execute("SELECT name, value FROM about")
        self.about = {name.decode(): value.decode() for name, value in about}
        self.form = int(self.about["format"])

    def fault(self, what):
        """Notes a fault."""
        self.faults.append(f"{self.path.name}: {what}")

    def records(self, link):
        """Verifies the records from this link on; the last link."""
        facts = {row: text for row, text in self.database.execute("SELECT id, text FROM fact")}
        expected = int(SEGMENT.search(self.path.name)[1])
        rows = self.database.execute("SELECT number, decision, session, text, link FROM record ORDER BY number")
        for number, decision, session, text, kept in rows:
            if number != expected:
                self.fault(f"record {expected} is missing")
            link = link_after(self.form, link, text)
            if link != kept:
                self.fault(f"record {number}: its link is not that of its text")
                link = kept
            said = json.loads(text)
            if said["number"] != number:
                self.fault(f"record {number}: it says that it is {said['number']}")
            for name, row in (("decision", decision), ("session", session)):
                named, fact = said.get(name), facts.get(row)
                is_lost = fact is None and row is None and said.get("lost")
                if not is_lost and named != (fact and sha256(fact).hex()):
                    self.fault(f"record {number}: its {name} is not what it names")
            expected = number + 1
        return link

    def named(self):
        """Compares what is named by its digest with it."""
        if self.form < 2:
            return
        for table, column in (("fact", "text"), ("blob", "octets")):
            for digest, octets in self.database.execute(f"SELECT sha256, CAST({column} AS BLOB) FROM {table}"):
                if digest != sha256(octets):
                    self.fault(f"a {table} has another digest than it says")

    def ended(self, link):
        """Compares a closed segment with what it says of its end, and its file with the digest beside it."""
        is_closed = "closed_at" in self.about
        if is_closed and self.about["head"] != link.hex():
            self.fault("records at its end are missing")
        beside = self.path.with_name(self.path.name + ".sha256")
        if beside.exists() or is_closed and self.form >= 2:
            kept = beside.read_text().split()[0] if beside.exists() else "missing"
            if kept != sha256(self.path.read_bytes()).hex():
                self.fault("the file is not what it was when it closed")

    def verify(self, before):
        """Verifies all of it; the last link."""
        said = bytes.fromhex(self.about["before"])
        if before is not None and said != before:
            self.fault("it does not go on where the segment before it ends")
        link = self.records(said)
        self.named()
        self.ended(link)
        return link


def of_segments(paths):
    """The faults of segments, the oldest first."""
    faults, before = [], None
    for path in paths:
        try:
            segment = Segment(path)
            before = segment.verify(before)
            faults += segment.faults
        except (sqlite3.Error, ValueError, KeyError, TypeError, OSError) as error:
            faults.append(f"{path.name}: {error}")
            before = None
    return faults


def of_record(record, facts, named):
    """The faults of a record in a proof; `named` gets the facts that it names."""
    text = record["text"].encode()
    link = link_after(2, bytes.fromhex(record["before"]), text)
    for digest in record["after"]:
        link = sha256(link + bytes.fromhex(digest))
    if link.hex() != record["link"]:
        yield "the chain does not lead to the link"
    said = json.loads(text)
    if said["kind"] != "attempt" or said["number"] + len(record["after"]) != record["number"]:
        yield "the link is that of another number"
    for name in ("decision", "session"):
        digest = said.get(name)
        named.add(digest)
        if digest is not None and digest not in facts and not said.get("lost"):
            yield f"its {name} is missing"


def of_proof(proof):
    """The faults of a proof."""
    if proof["proof"] != 1 or not proof["records"]:
        return ["it is no proof of form 1, or has no record"]
    facts = {sha256(text.encode()).hex(): json.loads(text) for text in proof["facts"]}
    named, faults = set(), []
    for record in proof["records"]:
        faults += of_record(record, facts, named)
    if not named.issuperset(facts):
        faults.append("a fact is of no record")
    known = {("policy", fact.get("policy_sha256")) for fact in facts.values()}
    for fact in facts.values():
        known |= {("certificate", digest) for digest in fact.get("tls", {}).get("chain", [])}
    for blob in proof["blobs"]:
        if (blob["kind"], sha256(bytes.fromhex(blob["hex"])).hex()) not in known:
            faults.append(f"a {blob['kind']} is not one that a fact names")
    return faults


def faults_of(path):
    """The faults of what is at a path."""
    if path.is_dir():
        return of_segments(sorted(one for one in path.iterdir() if SEGMENT.search(one.name)))
    if SEGMENT.search(path.name):
        return of_segments([path])
    try:
        return of_proof(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"it is no proof: {error}"]


def main():
    """Verifies, and prints what is wrong."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    faults = faults_of(pathlib.Path(sys.argv[1]))
    print("\n".join(faults) or "all is as it was written")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
