#!/usr/bin/env python3
"""Runs the integration tests, on private servers that are stopped and deleted afterwards.

    python3 scripts/integration.py

The tests of faults stop their servers and wait for each other, and hardly compute: they run beside
the others, and their output comes after it. What failed is printed once more, last. Needs what
`make test` has built.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STACK = [sys.executable, str(ROOT / "scripts/stack.py")]
OF_FAULTS = ["--dir", "target/tmp/faults"]
CARGO = ["cargo", "test", "--release", "--test", "it"]
TEXT = {"encoding": "utf-8", "errors": "replace"}


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
    failures = []
    with tempfile.TemporaryFile("w+", **TEXT) as log:
        faults = start(["--", "faults::"], stdout=log, stderr=subprocess.STDOUT)
        try:
            others = start(["--test", "house", "--", "--skip", "faults::"], stdout=subprocess.PIPE)
            reader = threading.Thread(target=pass_on, args=(others.stdout, failures))
            reader.start()
            try:
                code = others.wait()
            finally:
                # With what a test that died may have left, which keeps the pipe open.
                end(others)
                reader.join()
            # Both groups are heard, also after one has failed.
            return max(code, faults.wait(), key=bool)
        finally:
            end(faults)
            log.seek(0)
            pass_on(log, failures)
            sys.stdout.writelines(failures)
            sys.stdout.flush()


def start(tests, **output):
    """Starts a group of tests, as a group of processes: all of them end with it."""
    return subprocess.Popen([*CARGO, *tests], cwd=ROOT, start_new_session=True, **output, **TEXT)


def pass_on(output, failures):
    """Prints the lines of tests, and adds to `failures` those that say what failed."""
    failing = False
    for line in output:
        sys.stdout.write(line)
        sys.stdout.flush()
        failing = (failing or line == "failures:\n") and not line.startswith("test result:")
        if failing:
            failures.append(line)


def end(group):
    """Ends the processes of `group`, and waits until its leader has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group.pid, signal.SIGTERM)
    group.wait()


if __name__ == "__main__":
    main()
