"""Runs the Docker scenarios, each in a world of its own; prints a line for each."""

import sys
import traceback

from scenarios import SCENARIOS
from suite import Failure, play, sentence
from world import World


def main(words):
    """Runs what was asked for; the exit status says whether all of it held."""
    return play("docker", SCENARIOS, words, attempt)


def attempt(scenario):
    """Runs one scenario; whether it held."""
    with World() as world:
        try:
            scenario(world)
        except Exception as failure:  # any surprise is a failed scenario, never the end of the run
            print(f"FAILED {sentence(scenario)}: {failure}", flush=True)
            if not isinstance(failure, Failure):
                traceback.print_exc()
            print(world.logs(), flush=True)
            return False
    print(f"ok {sentence(scenario)}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
