"""What RabbitMQ holds for waiting jobs: part of benches/capacity.py.

`facefleet scan --from` publishes a list of images, and no worker runs. Measured are the data folder
and the memory that the Erlang machine uses (which is less than the resident size, because the
machine keeps freed memory). New jobs are in the write-ahead log, which is in memory too, until the
log is full (512 MiB by default) and is written to the segments of the queues. That step is forced
here, as a broker with more jobs does it by itself. What a job then takes in memory is read from
the processes of the queues: it is smaller than the noise of the whole Erlang machine.
"""

import contextlib
import json
import os
import subprocess
import time
from urllib import parse

from program import run_facefleet

# No image is read: nothing listens there.
STORE_OF_IMAGES = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ALLOW_HTTP": "true",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
}
EXCHANGES = ("jobs", "waiting", "back", "events", "dead")
# How long the segments may take to be written.
SETTLE_S = 60


def measure(server, jobs, scratch):
    """Bytes for each waiting job: its message, disk, and memory in the log and after it."""
    settings = {
        **STORE_OF_IMAGES,
        "FACEFLEET__QUEUE__URL": server.url,
        "FACEFLEET__QUEUE__PREFIX": f"capacity-{os.getpid()}",
        "FACEFLEET__STORE__URL": f"sqlite:{scratch}/broker.db",
    }
    with queues_removed(server, settings["FACEFLEET__QUEUE__PREFIX"]) as queues:
        # A first job makes the queues of a fleet, so that only the further jobs are measured.
        publish(1, settings, scratch)
        empty = at_rest(server)
        publish(jobs, settings, scratch)
        in_log = usage(server)
        written = at_rest(server)
        message = message_bytes(server, queues())
    return {
        "message": message,
        "disk": (written["disk"] - empty["disk"]) / jobs,
        "memory in the log": (in_log["memory"] - empty["memory"]) / jobs,
        "memory": (written["queues"] - empty["queues"]) / jobs,
        "base memory": empty["memory"],
    }


def publish(jobs, settings, scratch):
    """Publishes a campaign of so many images, with URIs of 51 characters."""
    uris = scratch / f"list-{jobs}.txt"
    with open(uris, "w") as file:
        file.writelines(f"s3://photos/broker/2026/{number:023}.jpg\n" for number in range(jobs))
    run_facefleet(["scan", "--from", uris, "--root", "s3://photos", "--gallery", "bench"], settings)


def at_rest(server):
    """What the broker uses once its write-ahead log is in the segments."""
    server.control("eval", "ra_log_wal:force_roll_over(ra_log_wal).")
    last, now = None, disk(server)
    give_up = time.monotonic() + SETTLE_S
    while (last is None or abs(now - last) > 1e6) and time.monotonic() < give_up:
        time.sleep(3)
        last, now = now, disk(server)
    server.control("eval", "[garbage_collect(P) || P <- processes()], ok.")
    return usage(server)


def usage(server):
    memory = json.loads(server.control("status", "--formatter", "json"))["memory"]
    return {
        "disk": disk(server),
        "memory": memory["total"]["erlang"],
        "queues": memory["quorum_queue_procs"],
    }


def disk(server) -> int:
    command = ["du", "--summarize", "--block-size=1", str(server.data)]
    # Files vanish while it counts: segments replace the log.
    return int(subprocess.run(command, capture_output=True, text=True).stdout.split()[0])


@contextlib.contextmanager
def queues_removed(server, prefix):
    """A function that lists the queues of `prefix`; all are deleted at the end."""

    def queues():
        columns = ["name", "messages"]
        rows = json.loads(server.control("list_queues", *columns, "--formatter", "json"))
        return {row["name"]: row["messages"] for row in rows if row["name"].startswith(prefix)}

    try:
        yield queues
    finally:
        with connected(server.url) as channel:
            for name in queues():
                channel.queue_delete(name)
            for exchange in EXCHANGES:
                channel.exchange_delete(f"{prefix}.{exchange}")


def message_bytes(server, queues):
    """The length of the latest message body of the fullest queue, which stays there."""
    with connected(server.url) as channel:
        # Not acknowledged: the message returns when the connection ends.
        return len(channel.basic_get(max(queues, key=queues.get)).body)


@contextlib.contextmanager
def connected(url):
    import amqp

    login = parse.urlsplit(url)
    address, user = f"{login.hostname}:{login.port}", {"userid": login.username}
    connection = amqp.Connection(address, **user, password=login.password)
    connection.connect()
    try:
        yield connection.channel()
    finally:
        connection.close()
