"""The compose files as they are shipped."""

import shutil

from engine import docker
from suite import ROOT, Failure, run

# With names of the tests' own laid over it.
EXAMPLE = (ROOT / "docker/compose.yaml", ROOT / "tests/real/images/compose.test.yaml")
DEMO = (ROOT / "docker/demo/compose.yaml",)


def program():
    """Docker Compose, as a plugin or as a program of its own."""
    if docker("compose", "version", check=False).returncode == 0:
        return ("docker", "compose")
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    raise Failure("Docker Compose is not installed (apt-get install docker-compose, or its plugin)")


class Compose:
    """A project, from `up` to `down`."""

    def __init__(self, name, files, environment):
        self.words = [*program(), "--project-name", name]
        for file in files:
            self.words += ["--file", file]
        self.environment = environment

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
