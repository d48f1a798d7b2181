"""Walks through the pages, each in machines of its own; prints a line for each."""

import pathlib
import sys
import traceback

# What the suites with real programs have: not by the environment, as Docker Compose has a module of the same name as ours.
TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "docker"), str(TESTS / "interop")]

from places import Places
from suite import Failure, play, sentence
from walks import WALKS


def attempt(walk):
    """Goes one walk; whether it led where the page says."""
    with Places() as places:
        try:
            walk(places)
        except Exception as failure:  # any surprise is a failed walk, never the end of the run
            print(f"FAILED {sentence(walk)}: {failure}", flush=True)
            if not isinstance(failure, Failure):
                traceback.print_exc()
            print(places.logs(), flush=True)
            return False
    print(f"ok {sentence(walk)}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(play("real", WALKS, sys.argv[1:], attempt))
