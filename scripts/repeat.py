#!/usr/bin/env python3
"""Scans the same photos three times, in batches of 1, 16 and 16, and compares the results.

    python3 scripts/repeat.py FOLDER

Exits with 1 if any quality differs, or any score in its last bit. Each scan has its own store,
which is removed afterwards.
"""

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FACEFLEET = ROOT / "target/release/facefleet"
BATCHES = (1, 16, 16)
COMPARED = ("quality", "score")


def main():
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("repeat: name the folder of the photos: python3 scripts/repeat.py FOLDER")
    with tempfile.TemporaryDirectory() as folder:
        first, *others = (
            scan(Path(sys.argv[1]), batch, Path(folder) / f"{number}.db")
            for number, batch in enumerate(BATCHES)
        )
    total = 0
    for number, (batch, other) in enumerate(zip(BATCHES[1:], others), 2):
        if first.keys() != other.keys():
            alone = len(first.keys() ^ other.keys())
            sys.exit(f"repeat: {alone} faces were found in only one of two scans")
        for name, count in count_differences(first, other).items():
            total += count
            print(
                f"scan 1 (batches of {BATCHES[0]}) and scan {number} (of {batch}): "
                f"{name} differs in {count} of {len(first)} faces"
            )
    sys.exit(1 if total else 0)


def count_differences(first, other):
    """In how many faces each of the compared values differs. Both have the same faces."""
    return {
        name: sum(first[face][column] != other[face][column] for face in first)
        for column, name in enumerate(COMPARED)
    }


def scan(photos, batch, store):
    """The compared values of each face, by image and index."""
    environment = {
        **os.environ,
        "FACEFLEET__HOME": str(ROOT),
        "FACEFLEET__STORE__URL": f"sqlite:{store}",
        "FACEFLEET__QUEUE__URL": "memory:",
        "FACEFLEET__WORKER__BATCH": str(batch),
    }
    run = [FACEFLEET, "scan", photos, "--gallery", "repeat"]
    subprocess.run(run, env=environment, check=True, stdout=subprocess.DEVNULL)
    export = [FACEFLEET, "export", "--gallery", "repeat"]
    table = subprocess.run(export, env=environment, check=True, capture_output=True, text=True)
    return read_faces(table.stdout)


def read_faces(table):
    """The compared values of each face of an exported CSV table, by image and index."""
    rows = csv.DictReader(table.splitlines())
    return {(row["uri"], row["face"]): [row[name] for name in COMPARED] for row in rows}


if __name__ == "__main__":
    main()
