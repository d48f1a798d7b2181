"""Walks through the pages, each in machines of its own; prints a line for each."""

import pathlib
import sys

# What the suites with real programs have: not by the environment, as Docker Compose has a module of the same name as ours.
TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "docker"), str(TESTS / "interop")]

from places import Places
from suite import attempt_in, play
from walks import WALKS

if __name__ == "__main__":
    sys.exit(play("real", WALKS, sys.argv[1:], attempt_in(Places)))
