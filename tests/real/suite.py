"""What the suites that run real programs share; each one's `run` puts this folder on Python's path."""

import os
import subprocess
import sys
import time
import traceback

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


def sentence(scenario):
    """What a scenario shows: its name as words."""
    return scenario.__name__.replace("_", " ")


def play(suite, scenarios, words, attempt):
    """Has `attempt` try the scenarios whose names contain one of the words, or all; gives the exit status."""
    chosen = [one for one in scenarios if not words or any(word in one.__name__ for word in words)]
    if not chosen:
        print(f"{suite}: nothing here is called {' or '.join(words)}", file=sys.stderr)
        return 1
    passed = sum(attempt(scenario) for scenario in chosen)
    print(f"{passed} passed, {len(chosen) - passed} failed", flush=True)
    return 0 if passed == len(chosen) else 1


def attempt_in(make):
    """What tries a scenario in a world of its own that `make` gives, and says whether it held."""

    def attempt(scenario):
        with make() as world:
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

    return attempt
