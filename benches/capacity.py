#!/usr/bin/env python3
"""Measures what a number of images costs, and prints it as tables for docs/capacity.md.

    python3 benches/capacity.py [--photos N] [--rows N] [--jobs N]

Processor time by size of photo, place and precision; memory by threads; the size of the database
(capacity_storage.py); what the broker holds (capacity_broker.py). Postgres and RabbitMQ are those
of `make stack-up`; without them, only SQLite is measured.

Photos are the sample portraits, scaled to each size and saved as JPEG of quality 90. Each scan runs
alone, after one that is not counted, with the default settings: one thread for each core. Time is
the processor time of the whole process, less that of a scan of nothing, so that neither start and
self-test nor the server that plays S3 on the same machine count. Memory is the highest resident
size of the process.
"""

import argparse
import contextlib
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from scan_vs_opencv import FACEFLEET, ROOT, SAMPLES, available_configurations, multiplies_bfloat16

sys.path.insert(0, str(ROOT / ".facefleet/tools/python"))
import capacity_broker
import capacity_storage
from capacity_storage import LARGE, NONE, ONE, TWO
from program import environment_of
from stack_servers import running_servers

RCLONE = ROOT / ".facefleet/tools/servers/rclone"
# One whole face each.
PORTRAITS = ["biden.jpg", "obama.jpg", "obama2.jpg", "obama3.jpg"]
# Width and height, pixels.
SIZES = [(250, 250), (1200, 900), (2400, 1800), (4000, 3000)]
# Photos of each size: the larger, the fewer.
SHARES = [1, 2 / 3, 1 / 3, 1 / 6]
THREADS = (1, 2, 4)
KEY, SECRET = "bench-key", "bench-secret"
HOURS_PER_MILLION = 1_000_000 / 3600
# Cores of the machine in the example.
MACHINE = 8


def main():
    arguments = parse_arguments()
    for needed, how in (
        (FACEFLEET, "make setup"),
        (SAMPLES, "make setup"),
        (RCLONE, "python3 scripts/setup.py test"),
    ):
        if not needed.exists():
            sys.exit(f"capacity: {needed} is missing: run `{how}` first.")
    print(machine(), flush=True)
    configurations = available_configurations()
    database, broker = running_servers()
    if not (database and broker):
        print("Postgres or RabbitMQ is not measured: `make stack-up` starts both")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        folders = {
            size: make_photos(
                scratch / f"bucket/{size[0]}x{size[1]}", size, round(arguments.photos * share)
            )
            for size, share in zip(SIZES, SHARES)
        }
        hours = speeds(folders, configurations, scratch)
        lines = memory(folders[SIZES[-1]], configurations, scratch)
        storage = capacity_storage.measure(folders[SIZES[0]], arguments.rows, scratch, database)
        print_storage(*storage)
        queue = capacity_broker.measure(broker, arguments.jobs, scratch) if broker else None
        if queue:
            print_queue(queue, arguments.jobs)
        sizes = {size: mean_bytes(folder) for size, folder in folders.items()}
    print_million(sizes, hours, lines, *storage, queue)
    if database or broker:
        print("\nthe servers still run: `make stack-down` stops them")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default, what in (
        ("--photos", 192, "photos of the smallest size"),
        ("--rows", 50_000, "images of each kind in the databases"),
        ("--jobs", 200_000, "waiting jobs"),
    ):
        explained = f"{what}, default {default}"
        parser.add_argument(name, type=int, default=default, metavar="N", help=explained)
    return parser.parse_args()


def machine() -> str:
    """Date, processor, cores and bfloat16."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    bfloat16 = "with" if multiplies_bfloat16() else "without"
    name = model.group(1) if model else "unknown processor"
    today = datetime.date.today().isoformat()
    return f"{today}, {name}, {os.cpu_count()} cores, {bfloat16} instructions for bfloat16"


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


def mean_bytes(folder) -> float:
    sizes = [path.stat().st_size for path in folder.iterdir()]
    return sum(sizes) / len(sizes)


def table(*header, rows=()):
    """Prints the start of a Markdown table."""
    print(f"\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print_row(*row)


def print_row(*cells):
    print(f"| {' | '.join(cells)} |", flush=True)


def speeds(folders, configurations, scratch):
    """Core-hours a million from S3, by size and precision."""
    empty = scratch / "empty"
    empty.mkdir()
    starts = {
        name: warm_scan(str(empty), options, {}, scratch)[0]
        for name, options in configurations.items()
    }
    rates = ("images/s a core", "core-hours a million", "faces an image")
    table("photos", "from", "precision", *rates)
    hours = {}
    with s3_server(scratch) as environment:
        for (width, height), folder in folders.items():
            # S3 last: its hours are kept.
            places = {"disk": str(folder), "S3": f"s3://bucket/{folder.name}"}
            for name, options in configurations.items():
                for place, root in places.items():
                    whole, images, faces, _ = warm_scan(root, options, environment, scratch)
                    cpu = whole - starts[name]
                    hours[width, height, name] = cpu / images * HOURS_PER_MILLION
                    print_row(
                        f"{width}x{height} ({width * height / 1e6:.1f} MP)",
                        place,
                        name,
                        f"{images / cpu:.1f}",
                        f"{hours[width, height, name]:.1f}",
                        f"{faces / images:.2f}",
                    )
    shown = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in starts.items())
    print(f"\nstart and self-tests, which do not count: {shown} of processor time")
    return hours


def memory(folder, configurations, scratch):
    """Base and bytes for each thread, by precision; photos of the largest size."""
    threads_columns = (f"threads: {threads}" for threads in THREADS)
    table("highest resident memory, MB", *threads_columns, "base", "each thread")
    lines = {}
    for name, options in configurations.items():
        peaks = []
        for threads in THREADS:
            environment = {"FACEFLEET__WORKER__THREADS": str(threads)}
            *_, peak = scan(str(folder), options, environment, scratch)
            peaks.append(peak)
        lines[name] = fit_line(THREADS, peaks)
        print_row(name, *(f"{value / 1e6:.0f}" for value in (*peaks, *lines[name])))
    return lines


def fit_line(places, values):
    """Value at 0 and slope, by least squares."""
    count = len(places)
    place, value = sum(places) / count, sum(values) / count
    slope = sum((x - place) * (y - value) for x, y in zip(places, values)) / sum(
        (x - place) ** 2 for x in places
    )
    return value - slope * place, slope


def print_storage(sizes, index):
    stores = list(sizes)
    kinds = [[kind.name, lambda found, kind=kind: found[kind]] for kind in (ONE, NONE, LARGE)]
    kinds.insert(2, ["each further face, 128 numbers", lambda found: found[TWO] - found[ONE]])
    table(
        "bytes in the database for an image with",
        *stores,
        rows=[[name, *(f"{size(sizes[store]):.0f}" for store in stores)] for name, size in kinds],
    )
    if index:
        # SQLite has no index of templates.
        beside = ["-"] * (len(stores) - 1)
        for components, size in index.items():
            name = f"in the HNSW index, a face of {components} numbers"
            print_row(name, *beside, f"{size:.0f}")
    table(
        "ten million images, a face each, GB",
        *stores,
        *(["Postgres with HNSW index"] if index else []),
        rows=[
            [f"{kind.components} numbers", *gigabytes(sizes, index, kind, 10_000_000)]
            for kind in (ONE, LARGE)
        ],
    )


def gigabytes(sizes, index, kind, images):
    """The database of so many images, GB: each store, then Postgres with its index."""
    totals = [found[kind] for found in sizes.values()]
    if index:
        totals.append(sizes["Postgres"][kind] + index[kind.components])
    return [f"{total * images / 1e9:.1f}" for total in totals]


def print_queue(queue, jobs):
    names = {"message": "length of its message", "disk": "disk"}
    names["memory in the log"] = "memory, while it is in the write-ahead log"
    names["memory"] = "memory, after that"
    rows = [[name, f"{queue[key]:.0f}"] for key, name in names.items()]
    table(f"a waiting job ({jobs} measured) in RabbitMQ", "bytes", rows=rows)


def print_million(sizes, hours, lines, stored, index, queue):
    """What a million photos from S3 cost, a face each, by the size of the photos."""
    columns = [f"{width}x{height}" for width, height in sizes]
    table("a million photos from S3, a face each", *columns)
    print_row("read, GB", *(f"{size * 1e6 / 1e9:.0f}" for size in sizes.values()))
    for name in lines:
        found = [hours[(*size, name)] for size in sizes]
        print_row(f"core-hours, {name}", *(f"{value:.1f}" for value in found))
        machine_hours = (f"{value / MACHINE:.1f}" for value in found)
        print_row(f"hours on a machine of {MACHINE} cores, {name}", *machine_hours)
    same = {
        f"memory of its process, {name}, GB": f"{(base + MACHINE * thread) / 1e9:.1f}"
        for name, (base, thread) in lines.items()
    }
    stores = [*stored, *(["Postgres with HNSW index"] if index else [])]
    for store, size in zip(stores, gigabytes(stored, index, ONE, 1_000_000)):
        same[f"database, {store}, GB"] = size
    if queue:
        same["broker, disk, GB, if all jobs wait"] = f"{queue['disk'] / 1e3:.1f}"
    for name, value in same.items():
        print_row(name, *[value] * len(columns))


def warm_scan(root, options, environment, scratch):
    """The second of two scans: see `scan`."""
    scan(root, options, environment, scratch)
    return scan(root, options, environment, scratch)


def scan(root, options, environment, scratch):
    """Processor seconds, images, faces, and the highest memory, bytes."""
    # A new database each time: images that are up to date would be skipped.
    with tempfile.TemporaryDirectory(dir=scratch) as store:
        command = [str(FACEFLEET), *options, "scan", root, "--json"]
        environment = environment_of(
            {**environment, "FACEFLEET__STORE__URL": f"sqlite:{store}/x.db"}
        )
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
        [
            *(str(RCLONE), "serve", "s3", "--auth-key", f"{KEY},{SECRET}"),
            *("--addr", "127.0.0.1:0", "--config", "/dev/null", str(folder)),
        ],
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
