#!/usr/bin/env python3
"""The same photos scanned three times, in batches of 1, of 16 and of 16 again: is every quality, and every score to its last bit, the same?

    python3 scripts/repeat.py FOLDER

Ends with an error if one is not. Each scan has a store of its own, which is removed afterwards.
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
        first, *others = [
            scan(Path(sys.argv[1]), batch, Path(folder) / f"{number}.db")
            for number, batch in enumerate(BATCHES)
        ]
    differ = 0
    for number, (batch, other) in enumerate(zip(BATCHES[1:], others), 2):
        if first.keys() != other.keys():
            sys.exit(
                f"repeat: {len(first.keys() ^ other.keys())} faces were found in one of two scans only"
            )
        for place, name in enumerate(COMPARED):
            count = sum(first[face][place] != other[face][place] for face in first)
            print(
                f"scan 1 (batches of {BATCHES[0]}) and scan {number} (of {batch}): {name} differs in {count} of {len(first)} faces"
            )
            differ += count
    sys.exit(1 if differ else 0)


def scan(photos, batch, store):
    environment = {
        **os.environ,
        "FACEFLEET__HOME": str(ROOT),
        "FACEFLEET__STORE__URL": f"sqlite:{store}",
        "FACEFLEET__QUEUE__URL": "memory:",
        "FACEFLEET__WORKER__BATCH": str(batch),
    }
    subprocess.run(
        [FACEFLEET, "scan", photos, "--gallery", "repeat"],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    table = subprocess.run(
        [FACEFLEET, "export", "--gallery", "repeat"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    rows = csv.DictReader(table.stdout.splitlines())
    return {(row["image"], row["face"]): [row[name] for name in COMPARED] for row in rows}


if __name__ == "__main__":
    main()
