#!/usr/bin/env python3
"""Runs the checks of `make check` whose tools are optional: Ruff and cargo-deny.

    python3 scripts/check.py python          lint and format of scripts/ and benches/ (ruff.toml)
    python3 scripts/check.py dependencies    licences, bans, sources and advisories (deny.toml)

A missing tool, or an advisory database that cannot be fetched, is reported and skipped; with
--strict, as in continuous integration, it is an error. `make check-tools` installs both tools.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from packages import LINTERS, RUFFS

ROOT = Path(__file__).resolve().parent.parent
PYTHON_FOLDERS = ("scripts", "benches")
RUFF_VERSION = RUFFS["x86_64"].version
# How long fetching the advisory database may take.
FETCH_TIMEOUT_S = 120


class SkippedError(Exception):
    """A check that cannot run here, and why."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("check", choices=["python", "dependencies"])
    parser.add_argument("--strict", action="store_true", help="a skipped check is an error")
    arguments = parser.parse_args()
    check = {"python": check_python, "dependencies": check_dependencies}[arguments.check]
    try:
        return check()
    except SkippedError as skipped:
        print(f"check: {'ERROR' if arguments.strict else 'SKIPPED'}: {skipped}", flush=True)
        return int(arguments.strict)


def check_python() -> int:
    ruff = find("ruff", ROOT / LINTERS)
    found = version_of([ruff, "--version"]) if ruff else None
    if found != RUFF_VERSION:
        # Another version may report other problems.
        have = f"this is Ruff {found}" if found else "Ruff is not installed"
        raise SkippedError(
            f"Python is not linted: {have}, and Ruff {RUFF_VERSION} is needed (make check-tools)"
        )
    linted = run([ruff, "check", *PYTHON_FOLDERS])
    return run([ruff, "format", "--check", *PYTHON_FOLDERS]) or linted


def check_dependencies() -> int:
    deny = find("cargo-deny", ROOT / LINTERS / "bin")
    if deny is None:
        raise SkippedError(
            "dependencies are not checked: cargo-deny is not installed (make check-tools, or cargo "
            "install cargo-deny --locked)"
        )
    # `cargo deny check` shows the warnings too: crates that are built in two versions.
    deny = [deny, "--log-level", "error"]
    offline = run([*deny, "check", "licenses", "bans", "sources"])
    if offline:
        return offline
    if not fetch_advisories(deny):
        raise SkippedError(
            "advisories are not checked: their database (github.com/rustsec/advisory-db) could not "
            "be fetched; licences, bans and sources are fine"
        )
    return run([*deny, "check", "--disable-fetch", "advisories"])


def find(program, folder: Path):
    """The project's own copy of a program, or that on the PATH; None if there is neither."""
    return shutil.which(program, path=f"{folder}{os.pathsep}{os.environ.get('PATH', '')}")


def version_of(command):
    """The version that a program prints after its name."""
    output = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return output[1] if len(output) > 1 else None


def fetch_advisories(deny) -> bool:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        finished = subprocess.run(
            [*deny, "fetch", "db"], cwd=ROOT, timeout=FETCH_TIMEOUT_S, **quiet
        )
    except subprocess.TimeoutExpired:
        return False
    return finished.returncode == 0


def run(command) -> int:
    return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
