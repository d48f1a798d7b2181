"""What must hold of config/sts-relay.service under a real systemd. A scenario's name is the sentence."""

from containers import Containers, queue
from suite import Theme, expect, until

scenario = Theme(Containers)

MACHINE = """hostname = "relay.test"
data_dir = "/var/lib/sts-relay"
[[listener]]
address = "127.0.0.1:25"
[dns]
servers = ["127.0.0.1:5300"]
"""


def start_service(machine):
    """Starts the unit; as it notifies, mail is taken in when this returns."""
    machine.run("systemctl", "start", "sts-relay")


@scenario
def the_unit_shuts_it_in_and_it_works_there(world):
    """config/sts-relay.service under a real systemd: port 25, a queue of its own, hardly a privilege, a clean stop."""
    machine = world.machine(MACHINE)
    score = machine.run("systemd-analyze", "security", "--offline=true", "--threshold=20",
                        "/etc/systemd/system/sts-relay.service", check=False)
    expect(score.returncode == 0, f"systemd-analyze security:\n{score.stdout[-200:]}{score.stderr}")
    start_service(machine)
    machine.run("swaks", "--server", "127.0.0.1", "--from", "app@near.test", "--to", "bob@down.test")

    process = machine.run("systemctl", "show", "--property", "MainPID", "--value", "sts-relay").stdout.strip()
    status = machine.run("cat", f"/proc/{process}/status").stdout
    expect("Uid:\t0\t" not in status, f"it runs as root:\n{status}")
    for line in ("CapEff:\t0000000000000400", "CapBnd:\t0000000000000400", "NoNewPrivs:\t1", "Seccomp:\t2"):
        expect(line in status, f"not {line}:\n{status}")
    mode = machine.run("stat", "--dereference", "--format", "%a", "/var/lib/sts-relay").stdout.strip()
    expect(mode == "700", f"the queue's directory is open: {mode}")

    machine.run("systemctl", "restart", "sts-relay")
    expect(len(queue(machine)) == 1, "a restart lost the message")
    machine.run("systemctl", "stop", "sts-relay")
    ended = machine.run("systemctl", "show", "--property", "Result,ExecMainStatus", "sts-relay").stdout
    expect("Result=success" in ended and "ExecMainStatus=0" in ended, f"it ended with {ended}")


@scenario
def a_bad_file_fails_the_reload_and_changes_nothing(world):
    """systemctl says that the file cannot be used, the journal says where, and the relay runs on."""
    machine = world.machine(MACHINE)
    start_service(machine)
    before = machine.run("systemctl", "show", "--property", "MainPID", "sts-relay").stdout
    world.file("sts-relay.toml", MACHINE.replace("hostname", "hostnaem"))
    expect(machine.run("systemctl", "reload", "sts-relay", check=False).returncode != 0, "the reload did not fail")
    journal = machine.run("journalctl", "--unit", "sts-relay", "--no-pager").stdout
    expect("/etc/sts-relay/sts-relay.toml:1:" in journal, f"the journal does not say where:\n{journal}")
    after = machine.run("systemctl", "show", "--property", "MainPID", "sts-relay").stdout
    expect(before == after, "it is another process now")


@scenario
def a_reload_takes_new_settings_over_without_a_new_process(world):
    """systemctl reload: the greeting changes, the process and the queue do not."""
    machine = world.machine(MACHINE)
    start_service(machine)
    send = ("swaks", "--server", "127.0.0.1", "--from", "app@near.test", "--to", "bob@down.test")
    expect("220 relay.test" in machine.run(*send).stdout, "another greeting")
    before = machine.run("systemctl", "show", "--property", "MainPID", "sts-relay").stdout
    world.file("sts-relay.toml", MACHINE.replace("relay.test", "renamed.test"))
    machine.run("systemctl", "reload", "sts-relay")
    until("the new name in the greeting", lambda: "220 renamed.test" in machine.run(*send).stdout)
    shown = machine.run("systemctl", "show", "--property", "MainPID", "sts-relay").stdout
    expect(before == shown, "it is another process now")
    state = machine.run("systemctl", "is-active", "sts-relay", check=False).stdout.strip()
    expect(state == "active", f"the unit is {state}")
    expect(len(queue(machine)) >= 2, "the queue is not the same")
