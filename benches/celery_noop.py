#!/usr/bin/env python3
"""Prints the tasks a second of one Celery worker on RabbitMQ; the task does nothing.

    FACEFLEET__QUEUE__URL=amqp://... python3 benches/celery_noop.py TASKS

The worker acknowledges after the task, as a worker that must not lose tasks does. The clock runs
from the first task to the last.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".facefleet/tools/python"))
try:
    from celery import Celery
    from kombu import Connection
except ImportError:
    sys.exit("celery_noop: Celery is missing: run `make bench-tools` first.")

URL = os.environ.get("FACEFLEET__QUEUE__URL", "")
QUEUE = f"celery-noop-{os.environ.get('CELERY_NOOP_RUN', os.getpid())}"
app = Celery("celery_noop", broker=URL)
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=64,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop(path):
    return None


def main():
    tasks = int(sys.argv[1])
    for _ in range(tasks):
        noop.delay("file:///nowhere/a.jpg")
    environment = dict(
        os.environ,
        CELERY_NOOP_RUN=QUEUE.rsplit("-", 1)[1],
        PYTHONPATH=f"{ROOT}/.facefleet/tools/python:{ROOT}/benches",
    )
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "celery_noop",
        "worker",
        "--concurrency",
        "2",
        "-Q",
        QUEUE,
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        "--loglevel",
        "ERROR",
    ]
    worker = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        with Connection(URL) as connection:
            channel = connection.channel()

            def left():
                return channel.queue_declare(QUEUE, passive=True).message_count

            while left() > tasks - 100:
                time.sleep(0.01)
            first, started = left(), time.perf_counter()
            while (now := left()) > 0:
                time.sleep(0.02)
            print(f"{(first - now) / (time.perf_counter() - started):.1f}")
            worker.terminate()
            worker.wait(30)
            channel.queue_delete(QUEUE)
    finally:
        worker.kill()


if __name__ == "__main__":
    main()
