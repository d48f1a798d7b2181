"""Runs the interop scenarios in a network namespace that holds nothing else; prints a line for each."""

import os
import pathlib
import shutil
import sys
import tempfile
import traceback

import scenarios
import scenarios_clients
import scenarios_receivers
from suite import Failure, play, run, sentence
from world import RELAY, World

HERE = pathlib.Path(__file__).resolve().parent
BINARY = pathlib.Path(os.environ.get("STS_RELAY_BIN", HERE.parents[2] / "target/debug/sts-relay"))


def main(words):
    """Runs what was asked for; the exit status says whether all of it held."""
    if not BINARY.exists():
        print(f"interop: {BINARY} is not there; build it first (cargo build)", file=sys.stderr)
        return 1
    run("ip", "link", "set", "lo", "up")
    name_the_relay()
    known = scenarios.SCENARIOS + scenarios_clients.SCENARIOS + scenarios_receivers.SCENARIOS
    return play("interop", known, words, attempt)


def name_the_relay():
    """Lets clients that ask the system find the relay's name and Exim's user: in this mount namespace alone."""
    with tempfile.NamedTemporaryFile("w", prefix="sts-interop-hosts-", delete=False) as hosts:
        hosts.write(f"127.0.0.1 localhost\n{RELAY} relay.test\n")
    os.chmod(hosts.name, 0o644)
    run("mount", "--bind", hosts.name, "/etc/hosts")
    # Exim and OpenSMTPD ask for these users before they do anything; their packages, which have them, cannot be beside Postfix's.
    names = {"Debian-exim": 65533, "opensmtpd": 65532, "opensmtpq": 65531}
    users_of = {"passwd": "{0}:x:{1}:{1}::/var/lib/opensmtpd/empty:/usr/sbin/nologin\n", "group": "{0}:x:{1}:\n"}
    for table, line in users_of.items():
        with tempfile.NamedTemporaryFile("w", prefix="sts-interop-users-", delete=False) as users:
            users.write(pathlib.Path("/etc", table).read_text() + "".join(line.format(*one) for one in names.items()))
        os.chmod(users.name, 0o644)
        run("mount", "--bind", users.name, f"/etc/{table}")


def attempt(scenario):
    """Runs one scenario in a world of its own; keeps the folder of one that failed."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sts-interop-"))
    os.chmod(folder, 0o755)
    world = None
    try:
        world = getattr(scenario, "world", World)(folder, BINARY)
        scenario(world)
    except Exception as failure:  # any surprise is a failed scenario, never the end of the run
        print(f"FAILED {sentence(scenario)}: {failure}", flush=True)
        if not isinstance(failure, Failure):
            traceback.print_exc()
        if world is not None:
            print(world.logs(), flush=True)
        print(f"(kept: {folder})", flush=True)
        return False
    finally:
        if world is not None:
            world.stop()
    shutil.rmtree(folder)
    print(f"ok {sentence(scenario)}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
