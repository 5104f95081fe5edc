#!/usr/bin/env python3
"""Runs the fleet of docker-compose.yml over a folder of photos, as fleet.py does with processes.

    python3 scripts/compose.py [FOLDER]     start the services, copy the photos into the S3 server,
                                            scan them and wait; default: the sample photos
    python3 scripts/compose.py --wanted     exit status 0 if a Docker engine can run it

Passwords are made once and kept in .env, readable by this user only. `docker compose down` stops
the fleet; with `--volumes`, its data is deleted too.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = ["docker", "compose", "--project-directory", str(ROOT)]
BUCKET = "photos"


def main():
    if sys.argv[1:] == ["--wanted"]:
        sys.exit(not has_engine())
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".facefleet/samples")
    if not folder.is_dir():
        sys.exit(f"compose: {folder} is missing: run `make setup` first.")
    if not has_engine():
        sys.exit(
            "compose: no Docker engine with the compose plugin answers: start one, or run "
            "`make fleet DOCKER=no`."
        )
    write_secrets(ROOT / ".env")
    run("up", "--detach", "--build")
    # The S3 server's buckets are folders, and its objects are files.
    run("exec", "s3", "mkdir", "-p", f"/photos/{BUCKET}")
    run("cp", f"{folder}/.", f"s3:/photos/{BUCKET}/")
    run("run", "--rm", "worker", "scan", f"s3://{BUCKET}/", "--gallery", "fleet", "--wait")
    run("run", "--rm", "worker", "campaign", "show", "latest")
    print("the fleet still runs: `docker compose down` stops it")
    print("the broker's management page: http://127.0.0.1:15672")


def has_engine():
    if shutil.which("docker") is None:
        return False
    commands = [["docker", "info"], ["docker", "compose", "version"]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return all(subprocess.run(command, **quiet).returncode == 0 for command in commands)


def write_secrets(path):
    """Fills in the empty secrets of .env; values that are set stay."""
    text = path.read_text() if path.exists() else (ROOT / ".env.example").read_text()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        file.write(with_secrets(text, lambda: secrets.token_hex(24)))


def with_secrets(text, make):
    """`text` with a new value for each empty variable that ends in _PASSWORD or _KEY."""
    return re.sub(
        r"^(\w+_(?:PASSWORD|KEY))=$",
        lambda line: f"{line[1]}={make()}",
        text,
        flags=re.MULTILINE,
    )


def run(*arguments):
    finished = subprocess.run([*COMPOSE, *arguments])
    if finished.returncode:
        sys.exit(
            f"compose: `docker compose {' '.join(arguments)}` ended with status "
            f"{finished.returncode}: see `docker compose logs`."
        )


if __name__ == "__main__":
    main()
