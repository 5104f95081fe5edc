#!/usr/bin/env python3
"""Runs a fleet on this machine: two workers on the local stack, a scan, a report from Postgres.

    python3 scripts/fleet.py [FOLDER]       default: the sample photos

The stack must be up (`make stack-up`); its addresses are read from .facefleet/stack/env. A second
run skips the images that are up to date.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FACEFLEET = ROOT / "target/release/facefleet"
STACK = ROOT / ".facefleet/stack/env"
REPORT = ROOT / ".facefleet/fleet-report.html"
WORKERS = 2


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".facefleet/samples")
    for needed, mend in (
        (FACEFLEET, "make setup"),
        (STACK, "make stack-up"),
        (folder, "make setup"),
    ):
        if not needed.exists():
            sys.exit(f"fleet: {needed} is missing: run `{mend}` first.")
    stack = read_environment(STACK.read_text())
    environment = {**os.environ, **stack, "FACEFLEET__HOME": str(ROOT)}
    run(environment, "migrate")
    workers = [start_worker(environment, folder, number) for number in range(WORKERS)]
    try:
        scan = [FACEFLEET, "scan", folder, "--gallery", "fleet", "--wait"]
        code = subprocess.run(scan, env=environment).returncode
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        ends = [worker.wait(60) for worker in workers]
    print(f"{WORKERS} workers stopped, exit status {', '.join(map(str, ends))}")
    run(environment, "report", "--gallery", "fleet", "--out", str(REPORT))
    run(environment, "campaign", "show", "latest")
    print("the stack still runs: `make stack-down` stops it")
    sys.exit(code or max(ends))


def read_environment(text):
    """The variables of a file of KEY=VALUE lines; lines that begin with # are comments."""
    lines = (line for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def run(environment, *arguments):
    subprocess.run([FACEFLEET, *arguments], env=environment, check=True)


def start_worker(environment, folder, number):
    """Starts a worker and waits until it takes jobs."""
    worker = subprocess.Popen(
        [FACEFLEET, "worker", "-v", "--root", folder],
        env={**environment, "FACEFLEET__SERVER__LISTEN": "127.0.0.1:0"},
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in worker.stderr:
        if "health and metrics" in line or "consuming jobs" in line:
            print(f"worker {number + 1}: {line.strip()}", flush=True)
        if "consuming jobs" in line:
            threading.Thread(target=show_problems, args=[worker.stderr], daemon=True).start()
            return worker
    sys.exit(f"fleet: worker {number + 1} ended at its start, with status {worker.wait()}")


def show_problems(log):
    """Reads all of the log, so that its writer never waits; prints warnings and errors."""
    for line in log:
        if "WARN" in line or "ERROR" in line:
            sys.stderr.write(line)


if __name__ == "__main__":
    main()
