#!/usr/bin/env python3
"""Load on the listener: idle connections and slow senders by the thousand, while good mail flows.

    tests/benches/listener_load.py [--idle 10000] [--slow 500] [--mails 500]

Starts the relay (STS_RELAY_BIN, default target/debug/sts-relay) on loopback with limits that let it happen, and prints what
good mail took and what memory the relay took. Nothing is delivered: its names are asked of a resolver that is not there.
Needs as many file descriptors as connections, twice (ulimit -n).
"""

import argparse
import asyncio
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BINARY = pathlib.Path(os.environ.get("STS_RELAY_BIN", HERE.parents[1] / "target/debug/sts-relay"))
PORT = 25250


def settings(folder):
    """A relay that bears all of it."""
    return f"""hostname = "relay.test"
data_dir = "{folder}/data"
[[listener]]
address = "127.0.0.1:{PORT}"
[limits]
connections = 20000
connections_per_client = 20000
connection_rate = 0
message_rate = 0
recipient_rate = 0
free_space = "0B"
[dns]
servers = ["127.0.0.1:9"]
[log]
level = "warn"
"""


def memory(pid):
    """Resident memory in MiB."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0


async def greeted(address):
    """A connection that has said EHLO and heard the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT, local_addr=(address, 0))
    await expect(reader, b"220")
    writer.write(b"EHLO client.test\r\n")
    await expect(reader, b"250")
    return reader, writer


async def expect(reader, code):
    """Reads one reply and holds it to its code."""
    while True:
        line = await asyncio.wait_for(reader.readline(), 60)
        if line[3:4] != b"-":
            assert line.startswith(code), line
            return


async def idle(count, kept):
    """Opens `count` connections, some at a time, and keeps them."""
    turns = asyncio.Semaphore(100)

    async def one(number):
        async with turns:
            kept.append(await greeted(f"127.0.{1 + number // 5000}.1"))

    await asyncio.gather(*(one(number) for number in range(count)))


async def slow(number, stop):
    """A sender that sends a line of a message each second."""
    reader, writer = await greeted(f"127.0.9.{1 + number % 250}")
    writer.write(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n")
    for code in (b"250", b"250", b"354"):
        await expect(reader, code)
    while not stop.is_set():
        writer.write(b"x" * 120 + b"\r\n")
        await asyncio.sleep(1)
    writer.close()


async def mail(count):
    """Sends messages one after the other; gives the seconds each took, sorted."""
    reader, writer = await greeted("127.0.0.1")
    took = []
    for _ in range(count):
        begun = time.monotonic()
        writer.write(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n")
        for code in (b"250", b"250", b"354"):
            await expect(reader, code)
        writer.write(b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 300 + b".\r\n")
        await expect(reader, b"250")
        took.append(time.monotonic() - begun)
    writer.close()
    return sorted(took)


def tell(what, pid, took):
    """One line of figures."""
    middle, late = took[len(took) // 2] * 1000, took[len(took) * 99 // 100] * 1000
    print(f"{what:45} {memory(pid):7.1f} MiB   mail p50 {middle:6.1f} ms   p99 {late:6.1f} ms", flush=True)


async def run(pid, options):
    """Alone, with idle connections, with slow senders besides."""
    while True:
        try:
            await greeted("127.0.0.1")
            break
        except OSError:
            await asyncio.sleep(0.05)
    tell("alone", pid, await mail(options.mails))
    kept = []
    await idle(options.idle, kept)
    tell(f"{options.idle} idle connections", pid, await mail(options.mails))
    stop = asyncio.Event()
    senders = [asyncio.create_task(slow(number, stop)) for number in range(options.slow)]
    await asyncio.sleep(3)
    tell(f"and {options.slow} slow senders", pid, await mail(options.mails))
    broken = sum(1 for task in senders if task.done())
    print(f"{broken} slow senders were cut off, {sum(1 for _, w in kept if w.is_closing())} idle connections closed")
    stop.set()
    await asyncio.gather(*senders)


def main():
    """Runs the relay around the load."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--idle", type=int, default=10000)
    words.add_argument("--slow", type=int, default=500)
    words.add_argument("--mails", type=int, default=500)
    options = words.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sts-load-"))
    (folder / "settings.toml").write_text(settings(folder))
    with (folder / "log").open("wb") as log:
        relay = subprocess.Popen([BINARY, "serve", "--config", folder / "settings.toml"], stdout=log, stderr=log, env={})
    try:
        asyncio.run(run(relay.pid, options))
    finally:
        relay.send_signal(signal.SIGKILL)
        relay.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
