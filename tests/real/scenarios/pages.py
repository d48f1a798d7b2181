"""What must hold for a reader of the pages. A scenario's name is the sentence."""

import os

from blocks import blocks
from containers import inbox, queue
from engine import Named, docker
from readers import Readers
from suite import ROOT, Failure, Theme, expect, until

scenario = Theme(Readers)

# A program that is there already, instead of building one: for whoever works on these scenarios.
BINARY = os.environ.get("STS_RELAY_BIN")

PAGE = "docs/getting-started.md"
PASSWORD = "correct-horse"

# The reader's own network in the place of the page's.
PAGES_NETWORK = "192.0.2.0/24"


def built(world, block):
    """Builds the program as the page says, in a checkout, without a network; gives the path of the binary."""
    if BINARY:
        return BINARY
    image = "sts-relay-build:test"
    flags = os.environ.get("DOCKER_BUILD_FLAGS", "").split()
    docker("build", *flags, "--target", "build", "--tag", image, "--file", ROOT / "docker/Dockerfile", ROOT)
    name = world.keep(Named("container", f"{world.prefix}-build")).name
    docker("run", "--name", name, "--network", "none", image, "bash", "-euc", block.text)
    binary = world.folder / "sts-relay"
    docker("cp", f"{name}:/src/target/release/sts-relay", binary)
    return binary


def installed(world, build, install):
    """A server on which the first two blocks were copied, in the directory of the checkout."""
    server = world.server()
    server.run("rm", "/usr/local/bin/sts-relay")
    server.run("mkdir", "-p", "/src/target/release", "/src/config")
    docker("cp", built(world, build), f"{server.name}:/src/target/release/sts-relay")
    for file in ("sts-relay.toml", "sts-relay.service"):
        docker("cp", ROOT / "config" / file, f"{server.name}:/src/config/{file}")
    server.run("bash", "-euc", "cd /src\n" + install.text)
    return server


def smarthost(world):
    """A server after the page's section on smarthosts, as far as clients that are known by their address; with the blocks
    that are left."""
    build, install, settings, start, trial, *left = blocks(PAGE, "As a smarthost on a server")
    server = installed(world, build, install)
    server.copy(settings, **{PAGES_NETWORK: f"{world.subnet}.26/32"})
    said = server.copy(start)
    expect("warning" not in said, f"check-config warns on a new machine:\n{said}")
    return server, trial, left


def log_in(world, server, left):
    """The rest of that section but for local programs: users, the certificate, the whole file; with the blocks that are left."""
    users, hook, first_run, settings, restart, *left = left
    lineage = "/etc/letsencrypt/live/relay.example.org"
    key, certificate = world.certificate("relay.example.org")
    server.run("bash", "-euc", f"mkdir -p -m 0700 /etc/letsencrypt/live && mkdir -p {lineage} && "
               f"cp /world/authority/{key.name} {lineage}/privkey.pem && chmod 0600 {lineage}/privkey.pem && "
               f"cp /world/authority/{certificate.name} {lineage}/fullchain.pem")
    # The password comes from standard input where there is no terminal.
    command = "sts-relay user hash"
    server.copy(users, **{command: f"echo {PASSWORD} | {command}"})
    server.copy(hook)
    server.copy(first_run)
    server.copy(settings, **{PAGES_NETWORK: f"{world.subnet}.26/32"})
    said = server.copy(restart)
    expect("warning" not in said, f"check-config warns:\n{said}")
    return left


def protected(message):
    """Expects that a message came over TLS."""
    expect("using TLSv1.3" in message or "using TLSv1.2" in message, f"it did not come over TLS:\n{message}")
    expect("by relay.example.org" in message, f"it did not come through the relay:\n{message}")


@scenario
def a_smarthost_set_up_by_the_page_delivers_under_an_enforced_policy(world):
    """From an empty server to a message that has left over verified TLS, and to one that waits for its policy."""
    server, trial, left = smarthost(world)
    swaks = "swaks --server"
    server.copy(trial, **{swaks: "swaks --h-Subject celandine --server"})
    protected(inbox(world.mx, "celandine"))
    until("an empty queue", lambda: queue(server) == [])
    said = server.run("bash", "-euc", trial.text.splitlines()[-1]).stdout
    expect("the queue is empty" in said, f"an empty queue is: {said}")
    journal = server.run("journalctl", "--unit", "sts-relay", "--no-pager").stdout
    expect('policy="enforce"' in journal and " delivered" in journal, f"the journal does not say how it left:\n{journal}")

    server.copy(trial, **{"you@example.net": "you@down.test"})
    until("a message that waits", lambda: [one for one in queue(server) if one["attempts"] > 0])
    log = world.down.log()
    expect("from=<root@example.org>" not in log, f"the host without TLS was sent mail:\n{log}")

    socket, programs = log_in(world, server, left)
    submit = ("swaks", "--server", "relay.example.org", "--from", "ann@example.org", "--to", "you@example.net",
              "--auth", "PLAIN", "--auth-user", "ann", "--auth-password", PASSWORD)
    for subject, words in (("saffron", ("--port", "587", "--tls")), ("teasel", ("--port", "465", "--tls-on-connect"))):
        server.run(*submit, "--h-Subject", subject, *words)
        protected(inbox(world.mx, subject))
    server.copy(socket)
    server.copy(programs, **{"echo test": r"printf 'Subject: tansy\n\ntest\n'"})
    protected(inbox(world.mx, "tansy"))


@scenario
def what_the_service_cannot_read_is_found_before_it_starts(world):
    """check-config as root is content; as the service's user it names the file, and a start ends for good with status 78."""
    server, _, left = smarthost(world)
    log_in(world, server, left)
    server.run("chmod", "0600", "/etc/sts-relay/users")
    done = server.run("sts-relay", "check-config", check=False)
    expect(done.returncode == 0, f"root cannot read it: {done.stdout}{done.stderr}")
    done = server.run("sts-relay", "check-config", "--as-user", "sts-relay", check=False)
    said = done.stdout + done.stderr
    expect(done.returncode != 0 and "/etc/sts-relay/users" in said, f"not found:\n{said}")
    expect(server.run("systemctl", "restart", "sts-relay", check=False).returncode != 0, "it started")

    def given_up():
        shown = server.run("systemctl", "show", "--property", "ActiveState,ExecMainStatus,NRestarts", "sts-relay").stdout
        return shown if "ActiveState=failed" in shown else None

    shown = until("a unit that has given up", given_up)
    expect("ExecMainStatus=78" in shown and "NRestarts=0" in shown, f"it is {shown}")
    server.run("chmod", "0640", "/etc/sts-relay/users")
    server.run("systemctl", "start", "sts-relay")


@scenario
def a_queue_at_the_old_place_is_told_of_at_a_start(world):
    """Mail that a relay with other settings took in does not lie there in silence."""
    server, _, _ = smarthost(world)
    server.run("bash", "-euc", "systemctl stop sts-relay; cd /var/lib/sts-relay; mkdir sts-relay-data; "
               "mv queue sts-relay-data/; chown sts-relay: sts-relay-data; systemctl start sts-relay")
    journal = server.run("journalctl", "--unit", "sts-relay", "--no-pager").stdout
    told = "there is a queue in /var/lib/sts-relay/sts-relay-data, and data_dir is /var/lib/sts-relay"
    expect(told in journal, f"nothing is said of it:\n{journal}")


@scenario
def a_postfix_set_up_by_the_page_relays_in_each_of_its_ways(world):
    """Every block of the page in a real Postfix: self-signed, by fingerprint, by authority, with a login."""
    server, _, left = smarthost(world)
    may, fingerprint, pinned, secure, login, submission = blocks(PAGE, "Behind Postfix")
    postfix = world.readers_postfix()
    postfix.run("cp", "/etc/postfix/main.cf", "/etc/postfix/main.cf.before")

    def relays(block, subject, **changes):
        """Puts a block at the end of main.cf, and sends a message."""
        postfix.run("cp", "/etc/postfix/main.cf.before", "/etc/postfix/main.cf")
        text = block.text
        for before, after in changes.items():
            expect(before in text, f"the block has no {before}")
            text = text.replace(before, after)
        postfix.write(block.file, "\n" + text, how=">>")
        postfix.run("postfix", "check")
        postfix.run("postfix", "reload")
        postfix.run("sh", "-c", f"printf 'Subject: {subject}\\n\\nThe word.\\n' | sendmail -f ann@example.org you@example.net")
        try:
            protected(inbox(world.mx, subject))
        except Failure as failure:
            raise Failure(f"{subject}: {failure}\n{postfix.log()[-3000:]}") from None

    relays(may, "self-signed")
    digest = server.copy(fingerprint).strip()
    expect(digest.count(":") == 31, f"no fingerprint: {digest}")
    relays(pinned, "fingerprint", **{"3F:9A:...:C4": digest})
    log_in(world, server, left)
    relays(secure, "secure")
    postfix.copy(login, **{"correct-horse": PASSWORD})
    relays(submission, "submission")
    journal = server.run("journalctl", "--unit", "sts-relay", "--no-pager").stdout
    expect("ann" in journal, f"nobody logged in:\n{journal}")


@scenario
def the_compose_file_is_up_by_the_page(world):
    """The block of the page, with a name of the test's own for the project and test names for the resolver."""
    (block,) = blocks(PAGE, "In Docker, beside an application")
    with world.compose() as compose:
        expect(block.text.startswith("docker compose -f docker/compose.yaml up "), f"another command: {block.text}")
        words = block.text.split()[4:]
        # What the page has built is there already.
        compose.run(*[word for word in words if word != "--build"])
        until("the relay up", lambda: " listening " in compose.run("logs", "sts-relay").stdout)
        log = compose.run("logs", "sts-relay").stdout
        expect("can be read by every user" not in log, f"it warns of its own modes:\n{log}")
        compose.run("run", "--rm", "application", "--from", "app@near.test", "--to", "bob@down.test")
