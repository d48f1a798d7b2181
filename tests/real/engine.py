"""Docker as the scenarios need it: containers, networks and volumes with names, and a dialogue through one of them."""

import json
import os
import select
import subprocess
import time

from suite import PATIENCE, expect, run, until


def docker(*words, check=True, env=None):
    """Runs a docker command to its end and returns it, output as text."""
    return run("docker", *words, check=check, env=env)


def inspect(kind, name):
    """What the engine says of an image, container or network."""
    return json.loads(docker(kind, "inspect", name).stdout)[0]


class Named:
    """A container, network or volume that is there by its name until it is stopped."""

    def __init__(self, kind, name):
        self.kind, self.name = kind, name

    def tail(self):
        """Nothing: only containers have a log."""
        return ""

    def stop(self):
        """Removes it, and with a container its own volumes."""
        words = {"container": ("--force", "--volumes"), "network": (), "volume": ("--force",)}[self.kind]
        docker(self.kind, "rm", *words, self.name, check=False)


class Container(Named):
    """A container."""

    def __init__(self, name):
        super().__init__("container", name)

    def start(self, image, *arguments, options=()):
        """Starts it."""
        docker("run", "--detach", "--name", self.name, *options, image, *arguments)

    def address(self, network):
        """Its IPv4 address on the network."""
        return inspect("container", self.name)["NetworkSettings"]["Networks"][network]["IPAddress"]

    def run(self, *words, check=True):
        """Runs a program inside."""
        return docker("exec", self.name, *words, check=check)

    def log(self):
        """All that it wrote."""
        done = docker("logs", self.name, check=False)
        return done.stdout + done.stderr

    def tail(self):
        """The end of its log."""
        done = docker("logs", "--tail", "40", self.name, check=False)
        return done.stdout + done.stderr

    def said(self, word, times=1):
        """Waits until it has written `word` so many times."""

        def heard():
            if self.log().count(word) >= times:
                return True
            state = inspect("container", self.name)["State"]
            expect(state["Running"], f"{self.name} ended with {state['ExitCode']}:\n{self.log()}")
            return False

        until(f"{word!r} in the log of {self.name}", heard)

    def exit_status(self):
        """The status it ended with."""
        state = inspect("container", self.name)["State"]
        expect(not state["Running"], f"{self.name} still runs")
        return state["ExitCode"]


class Dialogue(Named):
    """An SMTP session by hand, from a container of its own."""

    def __init__(self, name, image, network, host, port):
        super().__init__("container", name)
        # The shell copies both ways; it ends when the host hangs up.
        script = f"exec 3<>/dev/tcp/{host}/{port} || exit 1; cat <&0 >&3 & cat <&3"
        self.child = subprocess.Popen(
            ["docker", "run", "--rm", "--interactive", "--name", name, "--network", network,
             "--entrypoint", "bash", image, "-c", script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
        )
        self.heard = b""

    def reply(self):
        """The next reply, all its lines."""
        lines = []
        while not lines or lines[-1][3:4] == "-":
            lines.append(self.line())
        return "\n".join(lines)

    def line(self):
        """The next line."""
        end = time.monotonic() + PATIENCE
        while b"\n" not in self.heard:
            readable, _, _ = select.select([self.child.stdout], [], [], max(0.0, end - time.monotonic()))
            expect(readable, f"waited {PATIENCE:.0f} s in vain for a reply")
            piece = os.read(self.child.stdout.fileno(), 65536)
            expect(piece, f"the session ended: {self.heard}")
            self.heard += piece
        line, self.heard = self.heard.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def say(self, *lines):
        """Sends lines."""
        self.child.stdin.write("".join(line + "\r\n" for line in lines).encode())

    def ask(self, line, code):
        """Sends a line, and expects a reply with that code."""
        self.say(line)
        reply = self.reply()
        expect(reply.startswith(str(code)), f"{line} was answered {reply}, not {code}")
        return reply

    def begin(self):
        """A transaction, as far as the message itself."""
        self.ask("EHLO app.near.test", 250)
        self.ask("MAIL FROM:<app@near.test>", 250)
        self.ask("RCPT TO:<bob@down.test>", 250)
        self.ask("DATA", 354)

    def end(self):
        """Hangs up."""
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.kill()
        self.child.wait()

    def stop(self):
        """Hangs up, and removes the container."""
        self.end()
        super().stop()
