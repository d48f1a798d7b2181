"""Runs the Docker scenarios, each in a world of its own; prints a line for each."""

import sys

from scenarios import SCENARIOS
from suite import attempt_in, play
from world import World

if __name__ == "__main__":
    sys.exit(play("docker", SCENARIOS, sys.argv[1:], attempt_in(World)))
