"""Runs the Docker scenarios, each in a world of its own; prints a line for each."""

import sys
import traceback

from engine import Failure
from scenarios import SCENARIOS
from world import World


def main(words):
    """Runs what was asked for; the exit status says whether all of it held."""
    chosen = [one for one in SCENARIOS if not words or any(word in one.__name__ for word in words)]
    if not chosen:
        print(f"docker: no scenario is called {words}", file=sys.stderr)
        return 1
    passed = sum(attempt(scenario, scenario.__name__.replace("_", " ")) for scenario in chosen)
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return 0 if passed == len(chosen) else 1


def attempt(scenario, name):
    """Runs one scenario; whether it held."""
    with World() as world:
        try:
            scenario(world)
        except Exception as failure:  # any surprise is a failed scenario, never the end of the run
            print(f"FAILED {name}: {failure}", flush=True)
            if not isinstance(failure, Failure):
                traceback.print_exc()
            print(world.logs(), flush=True)
            return False
    print(f"ok {name}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
