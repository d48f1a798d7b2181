"""docker/compose.yaml as it is shipped, with names of the tests' own laid over it."""

import pathlib
import shutil

from engine import docker
from suite import Failure, run

HERE = pathlib.Path(__file__).resolve().parent
FILES = (HERE.parents[1] / "docker/compose.yaml", HERE / "compose.test.yaml")


def program():
    """Docker Compose, as a plugin or as a program of its own."""
    if docker("compose", "version", check=False).returncode == 0:
        return ("docker", "compose")
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    raise Failure("Docker Compose is not installed (apt-get install docker-compose, or its plugin)")


class Compose:
    """The project, from `up` to `down`."""

    def __init__(self, name, zone):
        self.words = [*program(), "--project-name", name]
        for file in FILES:
            self.words += ["--file", file]
        self.environment = {"TEST_ZONE": str(zone)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run("down", "--volumes", check=False)

    def run(self, *words, check=True):
        """Runs a compose command."""
        return run(*self.words, *words, check=check, env=self.environment)

    def container(self, service):
        """The id of a service's container."""
        return self.run("ps", "--quiet", service).stdout.strip()
