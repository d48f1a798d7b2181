"""What all scenarios share: how they are tried, and how they run commands, wait and fail."""

import os
import pathlib
import subprocess
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The binary under test, where it is not in an image.
BINARY = pathlib.Path(os.environ.get("STS_RELAY_BIN", ROOT / "target/debug/sts-relay"))

PATIENCE = 60.0

# The longest that a command may take whose caller names no time of its own.
COMMAND = 300


class Failure(Exception):
    """What a scenario expected and did not see."""


def expect(condition, what):
    """Fails the scenario where `condition` does not hold."""
    if not condition:
        raise Failure(what)


def environment():
    """This program's environment without the tests' own variables: the relay refuses what it does not know."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STS_RELAY_")}


def run(*words, check=True, timeout=COMMAND, env=None, **options):
    """Runs a command to its end and returns it, output as text; `env` is added to `environment()`."""
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, errors="replace", timeout=timeout,
        env=environment() | (env or {}), **options,
    )
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def until(what, condition, patience=PATIENCE):
    """Waits for `condition` to give something true, and gives it back."""
    end = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"waited {patience:.0f} s in vain for {what}")
        time.sleep(0.05)


class Theme(list):
    """Scenarios that share a kind of world: the functions it decorates, in their order. A scenario's name is the sentence that must hold."""

    def __init__(self, world):
        super().__init__()
        self.world = world

    def __call__(self, scenario):
        self.append(scenario)
        return scenario


def play(suite, themes, words):
    """Tries the scenarios whose names contain one of the words, or all; gives the exit status."""
    chosen = [(theme.world, one) for theme in themes for one in theme
              if not words or any(word in one.__name__ for word in words)]
    if not chosen:
        print(f"{suite}: nothing here is called {' or '.join(words)}", file=sys.stderr)
        return 1
    passed = sum(attempt(world, scenario) for world, scenario in chosen)
    print(f"{passed} passed, {len(chosen) - passed} failed", flush=True)
    return 0 if passed == len(chosen) else 1


def attempt(make, scenario):
    """Tries one scenario in a world of its own, and says whether it held."""
    sentence, start = scenario.__name__.replace("_", " "), time.monotonic()
    with make(scenario.__name__) as world:
        try:
            world.begin()
            found = scenario(world)
        except Exception as failure:  # any surprise is a failed scenario, never the end of the run
            world.failed = True
            print(f"FAILED {sentence}: {failure}", flush=True)
            if not isinstance(failure, Failure):
                traceback.print_exc()
            print(world.logs(), flush=True)
            return False
    print(f"ok {sentence}{f': {found}' if found else ''} ({time.monotonic() - start:.0f} s)", flush=True)
    return True
