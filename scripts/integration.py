#!/usr/bin/env python3
"""Runs the integration tests, on private servers that are stopped and deleted afterwards.

    python3 scripts/integration.py

The tests of faults stop their servers and wait for each other, and hardly compute: they run beside
the others, and their output comes last. Needs what `make test` has built.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STACK = [sys.executable, str(ROOT / "scripts/stack.py")]
OF_FAULTS = ["--dir", "target/tmp/faults"]
CARGO = ["cargo", "test", "--release", "--test", "it"]


def main():
    # A request to end unwinds, so that nothing is left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = subprocess.run([*STACK, "up"], cwd=ROOT)
    if started.returncode:
        sys.exit(started.returncode)
    try:
        code = run()
    except KeyboardInterrupt:
        code = 130
    finally:
        for which in ([], OF_FAULTS):
            subprocess.run([*STACK, *which, "down", "--wipe"], cwd=ROOT)
    sys.exit(code)


def run():
    """Runs both groups; the first exit status that is not 0."""
    with tempfile.TemporaryFile() as log:
        # With a group of its own: the program under test must end with cargo.
        faults = subprocess.Popen(
            [*CARGO, "--", "faults::"],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            others = subprocess.call(
                [*CARGO, "--test", "house", "--", "--skip", "faults::"], cwd=ROOT
            )
            # Both groups are heard, also after one has failed.
            return max(others, faults.wait(), key=bool)
        finally:
            end(faults)
            log.seek(0)
            sys.stdout.buffer.write(log.read())
            sys.stdout.flush()


def end(group):
    """Ends the processes of `group`, and waits until its leader has ended."""
    if group.poll() is None:
        os.killpg(group.pid, signal.SIGTERM)
        group.wait()


if __name__ == "__main__":
    main()
