"""What must hold of the image. A scenario's name is the sentence."""

import subprocess
import time

from containers import APPLICATION, IMAGE, PORT, Containers, answers, waiting, inbox, queue
from engine import docker, inspect
from suite import Theme, expect, until

scenario = Theme(Containers)


@scenario
def the_image_says_what_it_is(world):
    """What orchestrators and registries read: user, volume, port, signal, health, labels."""
    config = inspect("image", IMAGE)["Config"]
    user = config["User"].split(":")
    expect(all(part.isdigit() and part != "0" for part in user), f"its user is {user}, not a number other than root's")
    expect(list(config["Volumes"]) == ["/var/lib/sts-relay"], f"its volumes are {config['Volumes']}")
    expect(sorted(config["ExposedPorts"]) == ["2465/tcp", "2525/tcp", "2587/tcp"], f"its ports are {config['ExposedPorts']}")
    expect(config["Entrypoint"] == ["sts-relay"], f"its entry point is {config['Entrypoint']}")
    expect(config["StopSignal"] == "SIGTERM", f"it is stopped by {config['StopSignal']}")
    expect(config["Healthcheck"]["Test"] == ["CMD", "sts-relay", "healthy"], f"its health: {config['Healthcheck']}")
    for label in ("title", "description", "licenses", "version", "revision"):
        expect(config["Labels"].get(f"org.opencontainers.image.{label}"), f"it has no label {label}")


@scenario
def any_user_runs_it_without_capabilities_on_a_read_only_root(world):
    """A user that passwd does not know, an empty volume, nothing else to write to: mail is taken in."""
    network = world.network()
    relay = world.relay(network, volume=world.volume())
    status = relay.run("cat", "/proc/1/status").stdout
    user = world.user.split(":")[0]
    expect(f"Uid:\t{user}\t{user}\t{user}\t{user}" in status, f"it runs as another user:\n{status}")
    for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        expect(f"{kind}:\t0000000000000000" in status, f"it has capabilities:\n{status}")
    expect(relay.run("touch", "/tmp/x", check=False).returncode != 0, "its root file system can be written to")
    world.send(network, "bob@down.test", "heliotrope")
    waiting(relay)
    listing = relay.run("ls", "-ln", "/var/lib/sts-relay").stdout
    expect(f" {user} " in listing, f"the queue is not on the volume:\n{listing}")


@scenario
def the_defaults_need_no_option_at_all(world):
    """`docker run sts-relay` starts, with a volume of its own, and answers its commands."""
    relay = world.container("plain", IMAGE)
    relay.said(" listening ")
    expect(queue(relay) == [], "a new queue is not empty")
    said = relay.run("sts-relay", "check-config").stdout
    expect("STS_RELAY__DATA_DIR" in said, f"check-config does not say where data_dir comes from:\n{said}")


@scenario
def the_image_brings_its_trust_roots(world):
    """Policies are fetched by HTTPS: without roots there would be none, and mail would go unprotected."""
    done = docker("run", "--rm", "--entrypoint", "grep", "--user", world.user, IMAGE,
                  "-c", "BEGIN CERTIFICATE", "/etc/ssl/certs/ca-certificates.crt")
    expect(int(done.stdout) > 50, f"{done.stdout.strip()} trust roots")


@scenario
def a_container_outside_the_networks_hands_in_nothing(world):
    """On a second network that access.networks does not name, the relay is no relay."""
    inside, outside = world.network(), world.network("outside")
    relay = world.relay(inside)
    docker("network", "connect", "--alias", "sts-relay", outside, relay.name)
    refused = world.send(outside, "bob@far.test", "crocus", check=False)
    expect(refused.returncode != 0 and "queued" not in refused.stdout, f"it was taken in:\n{refused.stdout}")
    expect(queue(relay) == [], "something is queued")
    world.send(inside, "bob@down.test", "saffron")
    waiting(relay)


@scenario
def a_setting_comes_from_a_file(world):
    """What should not be in the environment is mounted, and `_FILE` names it."""
    network = world.network()
    world.relay(network)
    secret = world.file("hostname", "secret.test\n")
    said = docker("run", "--rm", "--volume", f"{secret}:/run/secrets/hostname:ro", "--env",
                  "STS_RELAY__HOSTNAME_FILE=/run/secrets/hostname", IMAGE, "check-config").stdout
    expect("secret.test" in said, f"the file was not read:\n{said}")


@scenario
def a_program_of_another_container_sends_through_a_socket_on_a_shared_volume(world):
    """As docker/README.md has it: without a network, as a user of its own, with the volume read-only."""
    shared = world.named("volume", "submit")
    socket = "STS_RELAY__SUBMISSION__SOCKET=/run/sts-relay/submit.sock"
    relay = world.relay(world.network(), socket, "STS_RELAY__SUBMISSION__SOCKET_MODE=0666", more=("--volume", f"{shared}:/run/sts-relay"))
    words = ["docker", "run", "--rm", "--interactive", "--network", "none", "--user", "4712:4712", "--read-only", "--cap-drop", "ALL",
             "--env", socket, IMAGE, "sendmail", "-f", "job@near.test", "bob@down.test"]
    lost = subprocess.run(words, input="The word is lavender.\n", capture_output=True, text=True, check=False, timeout=60)
    expect(lost.returncode == 75, f"without the volume there is no relay to send through: {lost}")
    at = words.index(IMAGE)
    words[at:at] = ["--volume", f"{shared}:/run/sts-relay:ro"]
    subprocess.run(words, input="The word is lavender.\n", capture_output=True, text=True, check=True, timeout=60)
    waiting(relay)
    relay.said("peer=uid:4712")


LISTENERS = """[{ address = "0.0.0.0:2525" },
 { address = "0.0.0.0:2587", tls = "starttls", auth = "required" },
 { address = "0.0.0.0:2465", tls = "implicit", auth = "required" }]"""


@scenario
def users_submit_under_tls_at_ports_that_need_no_privilege(world):
    """For the ports 587 and 465, as docker/README.md has them: a login and TLS, and no mail without."""
    hashed = subprocess.run(["docker", "run", "--rm", "--interactive", IMAGE, "user", "hash", "ann", "--sender", "@near.test"],
                            input="correct-horse\n", capture_output=True, text=True, check=True, timeout=60).stdout
    users = world.file("users", hashed)
    network = world.network()
    relay = world.relay(network, f"STS_RELAY__LISTENER={LISTENERS}", "STS_RELAY__ACCESS__USERS_FILE=/run/secrets/users",
                        more=("--volume", f"{users}:/run/secrets/users:ro"))
    login = ("--auth", "PLAIN", "--auth-user", "ann", "--auth-password", "correct-horse")

    def submit(*words):
        return docker("run", "--rm", "--network", network, APPLICATION, "--from", "app@near.test", "--to", "bob@down.test",
                      *words, check=False)

    for count, words in enumerate((("--port", "2587", "--tls"), ("--port", "2465", "--tls-on-connect")), start=1):
        done = submit(*words, *login)
        expect(done.returncode == 0, f"{words} was refused:\n{done.stdout}")
        expect(len(queue(relay)) == count, f"{words} is not in the queue")
    for words in (("--port", "2587", "--tls"), ("--port", "2587", *login), ("--port", "2465", "--tls-on-connect")):
        expect(submit(*words).returncode != 0, f"{words} was let in")
    expect(len(queue(relay)) == 2, "more is queued than was let in")


@scenario
def its_health_fails_while_the_queue_cannot_be_written_and_returns(world):
    """A full disk: Docker says unhealthy, mail is put off and not lost; with room again, both end by themselves."""
    network = world.network()
    relay = world.relay(network, "STS_RELAY__LIMITS__FREE_SPACE=16MiB", more=(
        "--tmpfs", "/var/lib/sts-relay:size=256m,mode=1777", "--health-interval", "1s", "--health-retries", "1",
        "--health-start-period", "1s"))

    def health():
        return inspect("container", relay.name)["State"]["Health"]["Status"]

    until("a healthy relay", lambda: health() == "healthy")
    relay.run("sh", "-c", "cat /dev/zero > /var/lib/sts-relay/filler", check=False)
    until("an unhealthy relay", lambda: health() == "unhealthy")
    said = relay.run("sts-relay", "healthy", check=False)
    expect(said.returncode == 1 and "disk is nearly full" in said.stdout, f"it says {said.stdout}{said.stderr}")
    refused = world.send(network, "bob@down.test", "teasel", check=False)
    expect("452 4.3.1" in refused.stdout, f"not put off:\n{refused.stdout}")
    relay.run("rm", "/var/lib/sts-relay/filler")
    until("a relay that is healthy again", lambda: health() == "healthy")
    world.send(network, "bob@down.test", "thistle")
    waiting(relay)


@scenario
def its_health_is_asked_by_the_settings_it_runs_by(world):
    """A settings file elsewhere, with an admin socket elsewhere: STS_RELAY_CONFIG names it to relay, health and commands."""
    file = world.file("other.toml", 'hostname = "other.test"\nadmin.socket = "/var/lib/sts-relay/other.sock"\n')
    relay = world.container("other", IMAGE, options=(
        "--volume", f"{file}:/srv/other.toml:ro", "--env", "STS_RELAY_CONFIG=/srv/other.toml", "--health-interval", "1s",
        "--health-retries", "1", "--health-start-period", "1s"))
    relay.said(" listening ")
    expect("hostname=other.test" in relay.log(), f"another file was read:\n{relay.log()}")
    until("a healthy relay", lambda: inspect("container", relay.name)["State"]["Health"]["Status"] == "healthy")
    expect(queue(relay) == [], "a new queue is not empty")


@scenario
def docker_stop_lets_a_message_come_to_its_end(world):
    """Told to stop in the middle of DATA: the message is taken, nobody new is, and the status is 0."""
    network = world.network()
    relay = world.relay(network, volume=world.volume())
    client = world.dialogue(network)
    client.begin()
    client.say("Subject: marigold", "", "The first half,")
    started = time.monotonic()
    stop = subprocess.Popen(["docker", "stop", relay.name], stdout=subprocess.DEVNULL)
    relay.said("signal received: shutting down")
    client.ask("and the second.\r\n.", 250)
    expect(stop.wait(60) == 0, "`docker stop` failed")
    client.end()
    expect(relay.exit_status() == 0, f"it ended with {relay.exit_status()}")
    expect(time.monotonic() - started < 10, "it took longer than `docker stop` waits")

    docker("start", relay.name)
    answers(relay)
    expect(len(queue(relay)) == 1, "what was answered 250 is not in the queue")


@scenario
def docker_stop_does_not_wait_for_a_client_that_says_nothing(world):
    """An idle client is told 421; the relay ends at once with status 0."""
    network = world.network()
    relay = world.relay(network)
    client = world.dialogue(network)
    started = time.monotonic()
    docker("stop", relay.name)
    took = time.monotonic() - started
    expect(client.reply().startswith("421 "), "the client was not told")
    client.end()
    expect(relay.exit_status() == 0, f"it ended with {relay.exit_status()}")
    expect(took < 5, f"it took {took:.1f} s")


@scenario
def docker_stop_does_not_wait_for_ever_for_a_message(world):
    """A client that stalls within DATA costs the grace, and not the 10 s after which `docker stop` kills."""
    network = world.network()
    relay = world.relay(network)
    client = world.dialogue(network)
    client.begin()
    client.say("Subject: marigold")
    docker("stop", relay.name)
    client.end()
    expect(relay.exit_status() == 0, f"it ended with {relay.exit_status()}")


@scenario
def a_restart_keeps_the_queue(world):
    """Stopped, killed, removed and made anew on the same volume: the message is still there."""
    network = world.network()
    volume = world.volume()
    relay = world.relay(network, volume=volume)
    world.send(network, "bob@down.test", "celandine")
    number = waiting(relay)

    docker("stop", relay.name)
    expect(relay.exit_status() == 0, f"it ended with {relay.exit_status()}")
    docker("start", relay.name)
    relay.said(" listening ", times=2)
    expect([one["id"] for one in queue(relay)] == [number], "a restart lost it")

    docker("kill", relay.name)
    docker("start", relay.name)
    relay.said(" listening ", times=3)
    expect([one["id"] for one in queue(relay)] == [number], "a kill lost it")

    docker("rm", "--force", relay.name)
    docker("rm", "--force", f"{world.prefix}-resolver")
    relay = world.relay(network, volume=volume)
    expect([one["id"] for one in queue(relay)] == [number], "a new container does not have it")
    shown = relay.run("sts-relay", "queue", "show", number).stdout
    expect("bob@down.test" in shown, f"`queue show` does not say whom it is for:\n{shown}")


@scenario
def a_postfix_relays_through_it_to_a_postfix(world):
    """The relayhost of one, the client of the other."""
    network = world.network()
    mx = world.postfix("mx.far.test", "--network", network, virtual_mailbox_domains="far.test")
    relay = world.relay(network, mx=mx.address(network))
    sender = world.postfix("sender.test", "--network", network, relayhost="[sts-relay]:2525")
    sender.run("sh", "-c", "printf 'Subject: periwinkle\\n\\nThe word.\\n' | sendmail -f alice@sender.test bob@far.test")
    message = inbox(mx, "periwinkle")
    expect("by relay.test" in message, f"no Received header of the relay:\n{message}")
    expect("Return-Path: <alice@sender.test>" in message, f"another sender:\n{message}")
    until("an empty queue", lambda: queue(relay) == [])


@scenario
def the_compose_file_sends_an_applications_mail(world):
    """As it is shipped: the application is admitted, the network's gateway is not, the resolver answers."""
    with world.compose() as compose:
        compose.run("up", "--detach", "sts-relay")
        until("the relay up", lambda: " listening " in compose.run("logs", "sts-relay").stdout)
        compose.run("run", "--rm", "application", "--from", "app@near.test", "--to", "bob@down.test")
        compose.run("run", "--rm", "-T", "job", "sendmail", "-f", "job@near.test", "bob@down.test")
        until("mail of a program without a network", lambda: "peer=uid:" in compose.run("logs", "sts-relay").stdout)
        listing = ("exec", "-T", "sts-relay", "sts-relay", "queue", "list", "--json")
        until("a message that waits for an open port",
              lambda: "4.4.1" in compose.run(*listing).stdout)

        relay = inspect("container", compose.container("sts-relay"))["NetworkSettings"]["Networks"]
        address = next(iter(relay.values()))["IPAddress"]
        outside = docker("run", "--rm", "--network", "host", "--entrypoint", "swaks", APPLICATION, "--server", address,
                         "--port", PORT, "--from", "app@near.test", "--to", "eve@down.test", check=False)
        expect("220 relay.example.org" in outside.stdout or "554" in outside.stdout, f"not reached:\n{outside.stdout}")
        expect(outside.returncode != 0 and "queued" not in outside.stdout, f"the gateway was admitted:\n{outside.stdout}")


@scenario
def the_demo_compose_file_shows_enforcement(world):
    """As it is shipped: mail to the good domain arrives by TLS, mail to the downgraded one waits, and its host heard nothing."""
    with world.demo() as demo:
        demo.run("up", "--detach", "--no-build")

        def log(service):
            return demo.run("logs", "--no-color", service).stdout

        until("both messages handed over", lambda: all(word in log("sts-relay") for word in (" delivered ", " deferred ")))
        told = {word: next(line for line in log("sts-relay").splitlines() if f" {word} " in line)
                for word in ("delivered", "deferred")}
        for word, parts in {"delivered": ("domain=good.test", 'policy="enforce"', 'tls="TLSv1.3"'),
                            "deferred": ("domain=down.test", 'policy="enforce"', "STARTTLS was not offered")}.items():
            for part in parts:
                expect(part in told[word], f"no {part}: {told[word]}")
        until("the message in the good host's log", lambda: "to=<bob@good.test>" in log("mx-good"))
        expect("mail=" not in log("mx-down"), f"the downgraded host was told of mail:\n{log('mx-down')}")
