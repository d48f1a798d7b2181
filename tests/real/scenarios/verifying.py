"""What a receiver that verifies DKIM signatures by itself makes of the relay's. A scenario's name is the sentence."""

import re

from internet import SigningForExim
from scenarios.signing import arrived, by_dkimpy, corpus, hand_in
from suite import Theme, expect

scenario = Theme(SigningForExim)

# Headers with a field of which Exim looks at 64 KiB alone.
BEYOND_EXIM = ("long",)

# A verdict in Exim's log.
VERDICT = re.compile(r" (\S+) DKIM: d=sender\.test s=\S+ .*a=(\S+)-sha256 .*\[(.*)\]$", re.MULTILINE)


@scenario
def exim_verifies_200_awkward_messages_and_they_still_verify_after_its_transport(world):
    """Exim verifies both signatures of each message that it can read while it takes it, and dkimpy what Exim has kept of all."""
    messages = list(corpus())
    hand_in(messages)
    files = arrived(world, [word for word, _ in messages])
    said = VERDICT.findall(world.mx["good.test"].tail(100_000))
    expect(len(said) == 400, f"{len(said)} verdicts by Exim: {world.mx['good.test'].tail()}")
    beyond = {exim_id(path) for word, path in files.items() if word.split("-")[0] in BEYOND_EXIM}
    judged = [one for one in said if one[0] not in beyond]
    wrong = [one for one in judged if one[2] != "verification succeeded"]
    expect(not wrong, "Exim:\n" + "\n".join(map(str, wrong)))
    by_dkimpy(world, files)
    return f"{len(judged)} signatures by Exim, and 400 by dkimpy"


def exim_id(path):
    """Under which name Exim's log has the message in this file."""
    return re.search(rb"\tid (\S+)", path.read_bytes())[1].decode()
