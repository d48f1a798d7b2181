"""Programs that call /usr/sbin/sendmail, as Debian has them; the relay has taken its place. A scenario's name is the sentence."""

import os
import pathlib

from internet import Submitting
from programs import Program
from suite import BINARY, Theme, environment, expect, run, until

NAMES = ("/usr/sbin/sendmail", "/usr/bin/mailq")


class Machine(Submitting):
    """The same, with the relay's program under the names of sendmail, and its socket where programs look for it."""

    def begin(self):
        """Puts the program and empty directories in their places, in this mount namespace alone."""
        self.keep(Mounts(self.folder / "crontab"))
        super().begin()

    def settings(self):
        """Everybody on the machine may send, and root's mail has a reader."""
        return [
            *super().settings(), 'submission.socket = "/run/sts-relay/submit.sock"', 'submission.socket_mode = "0666"',
            'submission.local_mail_to = "ops@good.test"',
        ]


class Mounts:
    """Mounts that are taken away again."""

    name = "mounts"

    def __init__(self, crontab):
        crontab.write_text("PATH=/usr/sbin:/usr/bin:/sbin:/bin\n@reboot root echo the job says wisteria\n")
        os.chmod(crontab, 0o644)
        self.places = []
        for place in ("/run", "/etc/cron.d", "/var/spool/cron"):
            self.mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", place)
        for name in ("/run/sts-relay", "/var/spool/cron/crontabs"):
            pathlib.Path(name).mkdir()
        self.mount("--bind", crontab, "/etc/crontab")
        for name in NAMES:
            self.mount("--bind", BINARY, name)

    def mount(self, *words):
        """Mounts at the place that the last word names."""
        run("mount", *words)
        self.places.insert(0, words[-1])

    @staticmethod
    def tail():
        """They have no log."""
        return ""

    def stop(self):
        """Takes all of them away."""
        for place in self.places:
            run("umount", "--lazy", place)


scenario = Theme(Machine)


def shell(line, env=None):
    """Runs a shell's line as a user's would be, with a home of no settings."""
    return run("sh", "-c", line, env={"HOME": "/nonexistent", **(env or {})}, timeout=60)


def came_from(message, sender):
    """It came through the socket, from root's program, with this sender of the envelope."""
    expect("by relay.test (from userid 0)" in message, f"not through the socket:\n{message}")
    expect(f"Return-Path: <{sender}>" in message, f"not from {sender}:\n{message}")


def both(world, word):
    """The two copies of a message for two recipients at one host."""
    def arrived():
        found = world.mx["good.test"].received(word)
        return found if len(found) == 2 else None
    return until(f"{word} twice", arrived)


@scenario
def mail_of_mailutils_sends(world):
    """mail -s, and with a file attached."""
    shell("echo body | mail -s lavender -r ann@sender.test bob@good.test")
    message = world.arrives("good.test", "lavender")
    came_from(message, "ann@sender.test")
    expect("\nDate: " in message and "\nMessage-ID: <" in message, f"a field is missing:\n{message}")
    shell(f"echo body | mail -s magnolia -r ann@sender.test -A {BINARY.parents[2]}/LICENSE-MIT bob@good.test")
    message = world.arrives("good.test", "magnolia")
    came_from(message, "ann@sender.test")
    expect("LICENSE-MIT" in message, f"nothing is attached:\n{message}")


@scenario
def mutt_sends_in_batch(world):
    """mutt -x, and with a From of its own and a Bcc, which nobody sees."""
    shell("echo body | mutt -n -F /dev/null -x -s narcissus bob@good.test")
    came_from(world.arrives("good.test", "narcissus"), "root@relay.test")
    shell("echo body | mutt -n -F /dev/null -e 'set from=ann@sender.test use_envelope_from=yes' "
          "-s oleander -b eve@good.test bob@good.test")
    for message in both(world, "oleander"):
        came_from(message, "ann@sender.test")
        expect("\nBcc:" not in message, f"the Bcc is told:\n{message}")


@scenario
def mail_of_php_sends(world):
    """mail() with a header, a Bcc and a sender of the envelope; false where it is refused."""
    php = "exit(mail('bob@good.test', '{0}', \"line\\nline\", \"From: app@sender.test\\r\\n{1}\", '-f{2}') ? 0 : 1);"
    run("php", "-r", php.format("peony", "Bcc: eve@good.test", "app@sender.test"))
    for message in both(world, "peony"):
        came_from(message, "app@sender.test")
        expect("Bcc" not in message, f"the Bcc is told:\n{message}")
    refused = run("php", "-r", php.format("quince", "X: y", "a@b@c"), check=False)
    expect(refused.returncode == 1, f"PHP was told that it is sent:\n{refused.stdout}{refused.stderr}")


@scenario
def cron_mails_the_output_of_a_job(world):
    """To root, who has no mailbox here: to whom submission.local_mail_to names, from a whole address."""
    cron = world.keep(Program("cron", world.folder / "cron"))
    cron.spawn("cron", "-f", "-L", "15", env=environment())
    message = world.arrives("good.test", "wisteria")
    came_from(message, "root@relay.test")
    expect("Subject: Cron <root@" in message, f"another subject:\n{message}")
    expect("\nTo: root@relay.test" in message, f"the name has no domain:\n{message}")


@scenario
def a_relay_that_is_gone_is_told_in_the_words_of_sysexits(world):
    """75 while it is down, so that a program tries again; and what was sent before is there."""
    world.relay.stop()
    down = run("sendmail", "bob@good.test", input="Subject: rosemary\n\n", check=False)
    expect(down.returncode == 75 and "no relay answers" in down.stderr, f"{down.returncode}: {down.stderr}")
    world.relay.start()
    run("sendmail", "-t", "-i", input="To: bob@good.test\nSubject: saffron\n\nbody\n")
    came_from(world.arrives("good.test", "saffron"), "root@relay.test")
