"""The blocks of a page of the documentation, in their order."""

import re
from dataclasses import dataclass

from suite import ROOT


@dataclass(frozen=True)
class Block:
    """What a reader copies: commands, or the text of a file."""

    section: str
    language: str
    # The file that it is the text of; none for commands.
    file: str | None
    text: str


def blocks(page, section):
    """The blocks of one section of a page, those of its subsections among them."""
    found, here, block = [], None, None
    level = 0
    for line in (ROOT / page).read_text().splitlines():
        if block is not None:
            if line.startswith("```"):
                language, _, file = block[0].partition(" ")
                found.append(Block(section, language, file or None, "\n".join(block[1:]) + "\n"))
                block = None
            else:
                block.append(line)
            continue
        heading = re.match(r"(#+) (.*)", line)
        if heading:
            if here and len(heading[1]) <= level:
                break
            if heading[2] == section:
                here, level = True, len(heading[1])
        elif here and line.startswith("```"):
            block = [line[3:]]
    if not found:
        raise LookupError(f"{page} has no blocks under {section!r}")
    return found
