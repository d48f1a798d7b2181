"""What may happen to the disk of a relay, and what must be left of the mail that it has acknowledged."""

import json
import os
import shutil
import time

from bench import Bench
from clients import DEAD, Host, Journal
from suite import Failure, Theme, run, until

scenario = Theme(Bench)

ROUNDS = int(os.environ.get("STS_RELAY_POWER_ROUNDS", 10))

# Most are small; a few have a file of their own.
SIZES = [0, 300, 300, 2_000, 2_000, 2_000, 20_000, 100_000, 1_000_000]

# What a record begins with, and how long its header is (docs/queue-format.md).
MAGIC, HEADER = bytes.fromhex("8f5354534d41494c"), 64


@scenario
def a_power_cut_loses_nothing_that_was_acknowledged(bench):
    """What has not reached the device is gone; then the index that came through is damaged on top of it."""
    total = kept = rebuilt = 0
    for number in range(ROUNDS):
        journal, bench.host = Journal(), bench.keep(Host())
        bench.make("600M")
        bench.start()
        # Now and then a queue that has been restarted in order, and has old segments.
        clients = bench.send(journal, f"r{number}", SIZES)
        if bench.random.random() < 0.3:
            until("some mail", lambda: journal.count() > 20)
            clients.stop()
            bench.stop()
            bench.start()
            clients = bench.send(journal, f"r{number}b", SIZES)
        least = journal.count() + bench.random.randrange(1, 150)
        until("mail to be acknowledged", lambda: journal.count() >= least)
        # The index is written down once a second: cut before, within and after that.
        time.sleep(bench.random.random() * bench.random.choice([0.05, 2.5]))
        cut = bench.folder / "image.cut"
        power_fails(bench, cut)
        clients.stop()
        total += journal.count()
        before = rebuilds(bench)
        kept += comes_back(bench, journal, cut, None)
        rebuilt += rebuilds(bench) - before
        comes_back(bench, journal, cut, DAMAGES[number % len(DAMAGES)])
        bench.host.stop()
        os.unlink(bench.disk.image)
        os.unlink(cut)
    # sled may come through a cut damaged; hardly ever, or attempts, reasons and holds would be forgotten.
    if rebuilt * 10 > ROUNDS:
        raise Failure(f"the index had to be built anew after {rebuilt} of {ROUNDS} cuts")
    return (
        f"{ROUNDS} cuts, and as many with a damaged index; {total} acknowledged, {kept} of them in the queue then; "
        f"after {rebuilt} cuts alone the index had to be built anew"
    )


def rebuilds(bench):
    """How often the log says that the index could not be used."""
    return bench.relay.log.read_text(errors="replace").count("index damaged: rebuilding from spool")


def power_fails(bench, cut):
    """Copies what has reached the device while the relay stands still; then the relay is gone."""
    bench.pause()
    run("cp", "--sparse=always", bench.disk.image, cut)
    bench.relay.kill()
    bench.disk.unmount()


def comes_back(bench, journal, cut, damage):
    """Starts the relay on a copy of the copy, and compares; how many messages were in the queue."""
    image = bench.folder / "image.now"
    run("cp", "--sparse=always", cut, image)
    bench.disk.mount(image)
    if damage is not None:
        damage(bench.mount_point / "data/queue/index", bench.random)
    try:
        bench.start()
        queued = bench.nothing_is_lost(journal)
        # What was settled in the last second may be known to the index alone.
        problems = [one for one in verified(bench)["problems"] if one["kind"] != "unknown"]
        if problems:
            raise Failure(f"the queue is not whole: {problems[:3]}")
        before = journal.count()
        clients = bench.send(journal, f"after-{image.stat().st_mtime_ns}", [300], count=1)
        until("new mail to be taken", lambda: journal.count() > before)
        clients.stop()
        for queue_id in list(journal.acknowledged)[before:]:
            del journal.acknowledged[queue_id]
        bench.stop()
    except Failure as failure:
        name = damage.__name__ if damage else "undamaged"
        raise Failure(f"{failure} (index: {name.replace('_', ' ')})") from None
    bench.disk.unmount()
    os.unlink(image)
    return queued


def verified(bench):
    """What `queue verify` says of the running relay."""
    return json.loads(bench.ask("/verify")[1])


def some_file(index, random):
    """One of the files that sled has; mostly the large one."""
    files = [path for path in index.rglob("*") if path.is_file()]
    if not files:
        raise Failure("the index has no file")
    return index / "db" if random.random() < 0.8 and (index / "db").exists() else random.choice(files)


def truncated(index, random):
    path = some_file(index, random)
    os.truncate(path, random.randrange(path.stat().st_size + 1))


def zeroed(index, random):
    path = some_file(index, random)
    start = random.randrange(path.stat().st_size + 1)
    overwrite(path, start, bytes(random.choice([512, 4096, 65_536, 1 << 20])))


def bit_flipped(index, random):
    path = some_file(index, random)
    data = bytearray(path.read_bytes())
    for _ in range(random.choice([1, 8, 64, 1000]) if data else 0):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def removed(index, _random):
    shutil.rmtree(index)


def without_its_file(index, _random):
    (index / "db").unlink()


DAMAGES = [truncated, zeroed, bit_flipped, removed, without_its_file]


def overwrite(path, start, data):
    """Writes within a file, never beyond its end."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data[: max(0, path.stat().st_size - start)])


@scenario
def a_full_disk_loses_nothing_and_mail_is_taken_again_when_there_is_room(bench):
    """Room ends twice: once little by little, once in the middle of writing."""
    bench.host, journal = bench.keep(Host()), Journal()
    bench.make("400M", free_space="32MiB")
    bench.start()
    filler = bench.mount_point / "filler"
    clients = bench.send(journal, "full", SIZES)
    until("mail to be acknowledged", lambda: journal.count() > 20)
    replies = []
    for leave in (16 << 20, 0):
        fill(filler, leave)
        journal.refused.clear()
        refusal = until("mail to be refused", journal.last_refusal)
        until("a while of refusals", lambda: len(journal.refused) > 20)
        # Also where no byte can be written any more, and the store has failed (RFC 5321 4.2.3).
        if wrong := [reply for reply in journal.refused if reply[0] != 452 or not reply[1].startswith("4.3.1")]:
            raise Failure(f"not refused with 452 4.3.1, but with {set(wrong)}")
        replies.append(f"{refusal[0]} {refusal[1][:5]}")
        filler.unlink()
        before = journal.count()
        until("mail to be taken again", lambda: journal.count() > before + 5)
    clients.stop()
    bench.nothing_is_lost(journal)
    bench.relay.kill()
    bench.start()
    bench.nothing_is_lost(journal)
    bench.stop()
    bench.disk.unmount()
    return f"{journal.count()} acknowledged; refused with {', '.join(replies)}, and taken again without a restart"


def fill(filler, leave):
    """Takes all room but `leave` bytes, at once."""
    with filler.open("wb") as file:
        while True:
            found = os.fstatvfs(file.fileno())
            take = found.f_bavail * found.f_frsize - leave
            if take < found.f_frsize * 4:
                return
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, take)
            except OSError:
                # Somebody else was quicker; what is left is less now.
                time.sleep(0.01)


@scenario
def a_bit_that_turns_over_costs_its_message_alone(bench):
    """Damaged messages are set aside and told of, whether the index knows them or not; all others are delivered."""
    journal = Journal()
    bench.make("400M")
    bench.start()
    clients = bench.send(journal, "bits", [300, 2_000, 20_000])
    until("mail to be acknowledged", lambda: journal.count() >= 60)
    clients.stop()
    bench.relay.kill()
    segment = bench.mount_point / "data/queue/spool/seg-00000001"
    data = bytearray(segment.read_bytes())
    damaged = {}
    for queue_id in bench.random.sample(sorted(journal.acknowledged), 6):
        token = journal.acknowledged[queue_id]
        body = data.index(journal.begun[token])
        record = data.rindex(MAGIC, 0, body)
        spot, length = (record, HEADER) if len(damaged) >= 4 else (body, len(journal.begun[token]))
        data[spot + bench.random.randrange(length)] ^= 1 << bench.random.randrange(8)
        damaged[queue_id] = token
    segment.write_bytes(data)
    bench.host, second = bench.keep(Host()), bench.keep(Host(DEAD))
    bench.start()
    for _ in range(2):
        bench.relay.command("queue", "retry", "--all", check=False)  # status 1 where nothing is left to be tried
        until("all whole messages to be delivered", lambda: len(bench.queued()) == len(damaged))
    arrived = bench.host.tokens() + second.tokens()
    whole = [token for queue_id, token in journal.acknowledged.items() if queue_id not in damaged]
    if missing := set(whole) - set(arrived):
        raise Failure(f"{len(missing)} whole messages did not arrive: {sorted(missing)[:3]}")
    if wrong := set(arrived) & set(damaged.values()):
        raise Failure(f"damaged messages were delivered: {wrong}")
    listed = {one["id"]: one["damage"] for one in bench.queued("&state=quarantined")}
    if set(listed) != set(damaged) or not all(listed.values()):
        raise Failure(f"quarantined are {listed}, damaged {sorted(damaged)}")
    log = bench.relay.log.read_text(errors="replace")
    if quiet := [one for one in damaged if not any("message quarantined" in line and one in line for line in log.splitlines())]:
        raise Failure(f"the log does not tell of {quiet}")
    bench.relay.kill()
    return f"{len(whole)} delivered, {len(damaged)} quarantined; " + without_the_index(bench, damaged, second)


def without_the_index(bench, damaged, second):
    """Loses the index of a queue that holds nothing but damaged messages."""
    shutil.rmtree(bench.mount_point / "data/queue/index")
    bench.start()
    bench.relay.command("queue", "retry", "--all", check=False)  # status 1 where nothing is left to be tried
    # A damaged body can still be told from its header; a damaged header cannot.
    until("what is left to be quarantined", lambda: all(
        one["state"] == "quarantined" for one in bench.queued() if one["id"] in damaged))
    stats = bench.relay.command("queue", "stats", "--json").stdout
    kept = json.loads(stats)["quarantine"]
    left = [one["id"] for one in bench.queued() if one["id"] in damaged]
    if len(left) + len(kept) < len(damaged):
        raise Failure(f"of {len(damaged)} damaged messages {len(left)} are listed and {len(kept)} files are kept")
    if wrong := set(damaged.values()) & set(bench.host.tokens() + second.tokens()):
        raise Failure(f"damaged messages were delivered: {wrong}")
    bench.stop()
    bench.disk.unmount()
    return f"without the index {len(left)} listed, {len(kept)} kept as bytes"
