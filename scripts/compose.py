#!/usr/bin/env python3
"""The same as fleet.py in containers: docker-compose.yml brought up, photos put into its S3 server, a scan that fills the queue and waits.

    python3 scripts/compose.py [FOLDER]             default: the sample photos
    python3 scripts/compose.py --wanted             exit status 0 if there is an engine to run it with

Passwords are made once and kept in .env, for this user alone. `docker compose down` stops it; with `--volumes`, its data goes too.
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
            "compose: no Docker engine with the compose plugin answers: start one, or run `make fleet DOCKER=no`."
        )
    fill_in(ROOT / ".env")
    run("up", "--detach", "--build")
    # The S3 server's buckets are folders, and its objects are files.
    run("exec", "s3", "mkdir", "-p", f"/photos/{BUCKET}")
    run("cp", f"{folder}/.", f"s3:/photos/{BUCKET}/")
    run("run", "--rm", "worker", "scan", f"s3://{BUCKET}/", "--gallery", "fleet", "--wait")
    run("run", "--rm", "worker", "campaign", "show", "latest")
    print(
        "the stack is still up: `docker compose down` stops it; the broker's page is http://127.0.0.1:15672"
    )


def has_engine():
    if shutil.which("docker") is None:
        return False
    asked = [["docker", "info"], ["docker", "compose", "version"]]
    return all(
        subprocess.run(ask, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
        for ask in asked
    )


def fill_in(path):
    """Gives every secret that .env leaves empty a value; whatever stands there stays."""
    text = path.read_text() if path.exists() else (ROOT / ".env.example").read_text()
    text = re.sub(
        r"^(\w+_(?:PASSWORD|KEY))=$",
        lambda line: f"{line[1]}={secrets.token_hex(24)}",
        text,
        flags=re.MULTILINE,
    )
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def run(*arguments):
    finished = subprocess.run([*COMPOSE, *arguments])
    if finished.returncode:
        sys.exit(
            f"compose: `docker compose {' '.join(arguments)}` ended with status {finished.returncode}; `docker compose logs` tells more."
        )


if __name__ == "__main__":
    main()
