"""Runs the parts in namespaces of their own; prints a line for each, and why one failed."""

import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

from bench import Bench, Failure
from parts import PARTS

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BINARY = pathlib.Path(os.environ.get("STS_RELAY_BIN", ROOT / "target/debug/sts-relay"))


def main(words):
    """Runs what was asked for; the exit status says whether all of it held."""
    if not BINARY.exists():
        print(f"power: {BINARY} is not there; build it first (cargo build)", file=sys.stderr)
        return 1
    chosen = [part for part in PARTS if not words or any(word in part.__name__ for word in words)]
    if not chosen:
        print(f"power: no part is called {words}", file=sys.stderr)
        return 1
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    seed = int(os.environ.get("STS_RELAY_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"STS_RELAY_SEED={seed}", flush=True)
    passed = sum(attempt(part, seed) for part in chosen)
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return 0 if passed == len(chosen) else 1


def attempt(part, seed):
    """Runs one part on a bench of its own; keeps the folder of one that failed."""
    name = part.__name__.replace("_", " ")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sts-power-", dir="/dev/shm"))
    authority = ROOT / "crates/relay/tests-data/authority.pem"
    bench = Bench(folder, BINARY, authority, random.Random(f"{seed} {part.__name__}"))
    start = time.monotonic()
    try:
        told = part(bench)
    except Exception as failure:  # any surprise is a failed part, never the end of the run
        print(f"FAILED {name}: {failure}", flush=True)
        if not isinstance(failure, Failure):
            traceback.print_exc()
        print(f"{bench.tail()}\n(logs kept: {folder})", flush=True)
        return False
    finally:
        bench.end()
    shutil.rmtree(folder)
    print(f"ok {name}: {told} ({time.monotonic() - start:.0f} s)", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
