"""Runs the scenarios of one suite, each in a world of its own; prints a line for each, and why one failed."""

import importlib
import sys

from suite import Theme, play

# The themes of each suite: modules of scenarios.
SUITES = {
    "interop": ("delivery", "submission", "local_programs", "signing", "verifying", "reporting", "receivers", "dane", "notices"),
    "power": ("power",),
    "docker": ("image", "service"),
    "pages": ("pages",),
}

if __name__ == "__main__":
    name, *words = sys.argv[1:]
    modules = [importlib.import_module(f"scenarios.{theme}") for theme in SUITES[name]]
    themes = [theme for module in modules for theme in vars(module).values() if isinstance(theme, Theme)]
    sys.exit(play(name, themes, words))
