"""Runs the scenarios of one suite, each in a world of its own; prints a line for each, and why one failed."""

import importlib
import sys

from suite import play

# The themes of each suite: modules of scenarios.
SUITES = {
    "interop": ("delivery", "submission", "signing", "reporting", "receivers"),
    "power": ("power",),
    "docker": ("image", "service"),
    "pages": ("pages",),
}

if __name__ == "__main__":
    name, *words = sys.argv[1:]
    themes = [importlib.import_module(f"scenarios.{theme}").scenario for theme in SUITES[name]]
    sys.exit(play(name, themes, words))
