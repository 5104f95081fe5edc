#!/usr/bin/env python3
"""Measures what a number of images costs: processor time and memory, by the size of the photos.

    python3 benches/capacity.py [--photos N]      default: 96 photos of the smallest size

Photos are the sample portraits, scaled to each size and saved as JPEG of quality 90. Each scan runs
alone, after one that is not counted, with the default settings: one thread for each core. Time is
the processor time of the whole process, less that of a scan of nothing, so that neither start and
self-test nor the server that plays S3 on the same machine count. Memory is the highest resident
size of the process.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from scan_vs_opencv import FACEFLEET, ROOT, SAMPLES, available_configurations

sys.path.insert(0, str(ROOT / ".facefleet/tools/python"))
RCLONE = ROOT / ".facefleet/tools/servers/rclone"
# One whole face each.
PORTRAITS = ["biden.jpg", "obama.jpg", "obama2.jpg", "obama3.jpg"]
# Width and height, pixels.
SIZES = [(250, 250), (1200, 900), (2400, 1800), (4000, 3000)]
# Photos of each size: the larger, the fewer.
SHARES = [1, 2 / 3, 1 / 3, 1 / 6]
KEY, SECRET = "bench-key", "bench-secret"
HOURS_PER_MILLION = 1_000_000 / 3600


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=96, metavar="N")
    photos = parser.parse_args().photos
    for needed, how in (
        (FACEFLEET, "make setup"),
        (SAMPLES, "make setup"),
        (RCLONE, "python3 scripts/setup.py test"),
    ):
        if not needed.exists():
            sys.exit(f"capacity: {needed} is missing: run `{how}` first.")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        folders = {
            size: make_photos(scratch / f"bucket/{size[0]}x{size[1]}", size, round(photos * share))
            for size, share in zip(SIZES, SHARES)
        }
        speeds(folders, scratch)
        memory(folders[SIZES[-1]], scratch)


def make_photos(folder, size, count):
    """`count` JPEGs of `size` from the sample portraits, each with its own bytes."""
    import cv2

    folder.mkdir(parents=True)
    portraits = [cv2.imread(str(SAMPLES / name)) for name in PORTRAITS]
    for number in range(count):
        picture = cv2.resize(
            fill(portraits[number % len(portraits)], size), size, interpolation=cv2.INTER_AREA
        )
        # One pixel makes every file another one.
        picture[0, 0] = (number % 256, number // 256, 0)
        path = folder / f"{number:05}.jpg"
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return folder


def fill(picture, size):
    """`picture` with the proportions of `size`: its edges are continued, so that no face is cut."""
    import cv2

    height, width = picture.shape[:2]
    wanted = size[0] / size[1]
    across, down = max(0, round(height * wanted) - width), max(0, round(width / wanted) - height)
    above, left = down // 2, across // 2
    border = (above, down - above, left, across - left)
    return cv2.copyMakeBorder(picture, *border, cv2.BORDER_REPLICATE)


def speeds(folders, scratch):
    empty = scratch / "empty"
    empty.mkdir()
    configurations = available_configurations()
    starts = {
        name: warm_scan(str(empty), options, {}, scratch)[0]
        for name, options in configurations.items()
    }
    print("| photos | from | precision | images/s a core | core-hours a million | faces an image |")
    print("|---|---|---|---|---|---|")
    with s3_server(scratch) as environment:
        for (width, height), folder in folders.items():
            places = {"disk": str(folder), "S3": f"s3://bucket/{folder.name}"}
            for name, options in configurations.items():
                for place, root in places.items():
                    whole, images, faces, _ = warm_scan(root, options, environment, scratch)
                    cpu = whole - starts[name]
                    print(
                        f"| {width}x{height} ({width * height / 1e6:.1f} MP) | {place} | {name} "
                        f"| {images / cpu:.1f} | {cpu / images * HOURS_PER_MILLION:.1f} "
                        f"| {faces / images:.2f} |",
                        flush=True,
                    )


def memory(folder, scratch):
    """The highest resident memory by the number of threads, photos of the largest size."""
    print("\n| threads | highest resident memory, MB |\n|---|---|")
    for threads in (1, 2, 4):
        environment = {"FACEFLEET__WORKER__THREADS": str(threads)}
        *_, peak = scan(str(folder), [], environment, scratch)
        print(f"| {threads} | {peak / 1e6:.0f} |", flush=True)


def warm_scan(root, options, environment, scratch):
    """The second of two scans: see `scan`."""
    scan(root, options, environment, scratch)
    return scan(root, options, environment, scratch)


def scan(root, options, environment, scratch):
    """Processor seconds, images, faces, and the highest memory, bytes."""
    # A new database each time: images that are up to date would be skipped.
    with tempfile.TemporaryDirectory(dir=scratch) as store:
        command = [str(FACEFLEET), *options, "scan", root, "--json"]
        environment = {
            **os.environ,
            **environment,
            "FACEFLEET__STORE__URL": f"sqlite:{store}/x.db",
        }
        with open(f"{store}/out", "w+") as out, open(f"{store}/err", "w+") as err:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=err)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            if process.returncode:
                sys.exit(f"capacity: {' '.join(command)} failed:\n{err.read()[-2000:]}")
            summary = json.loads(out.read().splitlines()[-1])["summary"]
        if summary["outcomes"]["scored"] + summary["outcomes"]["no_face"] != summary["listed"]:
            sys.exit(f"capacity: some photos of {root} were not read: {summary['outcomes']}")
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
    return cpu, summary["listed"], summary["face_count"], peak


@contextlib.contextmanager
def s3_server(folder):
    """An S3 server over the subfolders of `folder`; the environment of its clients."""
    server = subprocess.Popen(
        [str(RCLONE), "serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--addr", "127.0.0.1:0"]
        + ["--config", "/dev/null", str(folder)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        listening = (re.search(r"on \[(\S+?)/?\]", line) for line in server.stderr)
        url = next((found.group(1) for found in listening if found), None)
        if url is None:
            sys.exit("capacity: rclone ended before it listened")
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
