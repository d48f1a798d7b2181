"""Runs the parts in namespaces of their own; prints a line for each, and why one failed."""

import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
import traceback

from bench import Bench
from parts import PARTS
from suite import Failure, play, run, sentence

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BINARY = pathlib.Path(os.environ.get("STS_RELAY_BIN", ROOT / "target/debug/sts-relay"))


def main(words):
    """Runs what was asked for; the exit status says whether all of it held."""
    if not BINARY.exists():
        print(f"power: {BINARY} is not there; build it first (cargo build)", file=sys.stderr)
        return 1
    run("ip", "link", "set", "lo", "up")
    seed = int(os.environ.get("STS_RELAY_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"STS_RELAY_SEED={seed}", flush=True)
    return play("power", PARTS, words, lambda part: attempt(part, seed))


def attempt(part, seed):
    """Runs one part on a bench of its own; keeps the folder of one that failed."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sts-power-", dir="/dev/shm"))
    authority = ROOT / "crates/relay/tests-data/authority.pem"
    bench = Bench(folder, BINARY, authority, random.Random(f"{seed} {part.__name__}"))
    start = time.monotonic()
    try:
        told = part(bench)
    except Exception as failure:  # any surprise is a failed part, never the end of the run
        print(f"FAILED {sentence(part)}: {failure}", flush=True)
        if not isinstance(failure, Failure):
            traceback.print_exc()
        print(f"{bench.tail()}\n(logs kept: {folder})", flush=True)
        return False
    finally:
        bench.end()
    shutil.rmtree(folder)
    print(f"ok {sentence(part)}: {told} ({time.monotonic() - start:.0f} s)", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
