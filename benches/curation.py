#!/usr/bin/env python3
"""Measures `facefleet curate` on labelled photos with planted mistakes.

    python3 benches/curation.py PHOTOS [--facefleet PROGRAM] [--scan PROGRAM] [--work FOLDER]

PHOTOS has files named PERSON_NUMBER.jpg, as Labeled Faces in the Wild has them. Needs OpenCV
(scripts/bench-requirements.txt). The seeds are fixed.

Duplicates: 200 photos are copied, a third each encoded anew, scaled, and cropped by 3 %. Precision
is the share of the suggestions that name a copy and its photo; the others are printed, because
photos may have duplicates of their own. Recall is the share of the copies that were named.

Outliers: of people with three photos or more, 100 photos get another person's name (50 exchanges).
Counted is how many are among the first 150 suggestions.

Many images (--many): the gallery of the exchanges is repeated in the store under other names, with
the numbers of its templates exchanged and the bits of its picture hashes turned, each time in
another way: as many images with nothing in common with the others, and the same likenesses among
themselves. Then each view is timed.
"""

import argparse
import csv
import json
import os
import random
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy

COPIES = 200
SWAPS = 100
FIRST = 150


def person(photo: Path) -> str:
    return photo.stem.rsplit("_", 1)[0]


def copy_of(photo: Path, kind: str, rng: random.Random):
    """The picture changed, and the quality of its JPEG."""
    picture = cv2.imread(str(photo))
    height, width = picture.shape[:2]
    if kind == "scaled":
        scale = rng.uniform(0.5, 1.5)
        size = (round(width * scale), round(height * scale))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        return cv2.resize(picture, size, interpolation=how), 90
    if kind == "cropped":
        cut_x, cut_y = round(width * 0.03), round(height * 0.03)
        x, y = rng.randint(0, cut_x), rng.randint(0, cut_y)
        return picture[y : y + height - cut_y, x : x + width - cut_x], 90
    return picture, rng.randint(50, 90)


def run(program: Path, store: Path, *arguments: str) -> str:
    environment = {**os.environ, "FACEFLEET__STORE__URL": f"sqlite:{store}"}
    command = [str(program), *arguments]
    return subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def scan(program: Path, store: Path, gallery: str, rows: list) -> None:
    """Scans photos with the names of their people."""
    listed = store.with_name(f"{gallery}.csv")
    with listed.open("w", newline="") as file:
        csv.writer(file).writerows([("subject", "file"), *rows])
    folders = {str(Path(file).parent) for _, file in rows}
    allowed = [argument for folder in sorted(folders) for argument in ("--root", folder)]
    run(program, store, "scan", "--from", str(listed), *allowed, "--gallery", gallery)


def curate(program: Path, store: Path, gallery: str, view: str, limit: int) -> list:
    start = time.monotonic()
    text = run(
        program, store, "curate", view, "--gallery", gallery, "--limit", str(limit), "--json"
    )
    print(f"  curate {view}: {time.monotonic() - start:.1f} s")
    rows = [json.loads(line) for line in text.splitlines()]
    return [row for row in rows if "suggestion" in row]


def duplicates(arguments, work: Path, store: Path) -> None:
    rng = random.Random(1)
    photos = sorted(arguments.photos.glob("*.jpg"))
    folder = work / "copies"
    folder.mkdir(exist_ok=True)
    originals, rows = {}, [(person(photo), str(photo)) for photo in photos]
    for place, photo in enumerate(rng.sample(photos, COPIES)):
        kind = ("encoded", "scaled", "cropped")[place % 3]
        target = folder / f"{kind}-{place:03}-{photo.name}"
        picture, quality = copy_of(photo, kind, rng)
        cv2.imwrite(str(target), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        originals[str(target)] = str(photo)
        rows.append((person(photo), str(target)))
    if not arguments.stored:
        scan(arguments.scan, store, "copies", rows)
    found = curate(arguments.facefleet, store, "copies", "duplicates", 10_000)
    named, wrong = set(), []
    for row in found:
        pair = (row["image"], row["other"]["image"])
        copies = [image for image in pair if image in originals]
        other = [image for image in pair if image not in originals]
        if len(copies) == 1 and originals[copies[0]] == other[0]:
            named.add(copies[0])
        else:
            wrong.append((row["similarity"], *map(os.path.basename, pair)))
    missed = sorted(os.path.basename(copy) for copy in originals if copy not in named)
    precision = 1 - len(wrong) / max(len(found), 1)
    print(
        f"duplicates: {len(found)} suggestions, precision {precision:.4f}, "
        f"recall {len(named) / COPIES:.4f}"
    )
    for each in wrong:
        print("  not planted:", *each)
    for each in missed:
        print("  missed:", each)


def outliers(arguments, work: Path, store: Path) -> None:
    rng = random.Random(2)
    people = {}
    for photo in sorted(arguments.photos.glob("*.jpg")):
        people.setdefault(person(photo), []).append(photo)
    label = {photo: name for name, photos in people.items() for photo in photos}
    several = [name for name, photos in people.items() if len(photos) >= 3]
    swapped = []
    # At most one of three photos of a person, so that most of them are the person's own.
    pool = [
        photo
        for name in several
        for photo in rng.sample(people[name], max(len(people[name]) // 3, 1))
    ]
    rng.shuffle(pool)
    while len(swapped) < SWAPS:
        one = pool.pop()
        place = next(place for place in range(len(pool)) if person(pool[place]) != person(one))
        other = pool.pop(place)
        label[one], label[other] = person(other), person(one)
        swapped += [str(one), str(other)]
    if not arguments.stored:
        scan(arguments.scan, store, "swaps", [(name, str(photo)) for photo, name in label.items()])
    found = curate(arguments.facefleet, store, "swaps", "outliers", FIRST)
    first = [row["image"] for row in found[:FIRST]]
    hit = [image for image in first if image in swapped]
    to_whom = [row for row in found if row["image"] in hit and row.get("subject_suggested")]
    right = [row for row in to_whom if row["subject_suggested"] == person(Path(row["image"]))]
    print(f"outliers: {len(hit)} of {SWAPS} swaps among the first {len(first)}")
    print(f"  {len(to_whom)} with a suggested subject, {len(right)} of them right")


def repeat(database: sqlite3.Connection, time_over: int, rng: numpy.random.Generator) -> None:
    """Copies all rows of the gallery `swaps`, with other ids and other numbers."""
    (gallery,) = database.execute("SELECT id FROM galleries WHERE name = 'swaps'").fetchone()
    of_gallery = {
        "images": f"gallery_id = {gallery} AND uri NOT LIKE '%#%'",
        "results": "image_id IN (SELECT id FROM chosen)",
        "faces": "result_id IN (SELECT r.id FROM results r JOIN chosen c ON c.id = r.image_id)",
        "templates": "face_id IN (SELECT f.id FROM faces f JOIN results r ON r.id = f.result_id "
        "JOIN chosen c ON c.id = r.image_id)",
    }
    add = time_over * 1_000_000
    mask = int.from_bytes(rng.bytes(32)) >> 1
    order = rng.permutation(128)

    def changed(column: str, value):
        if column in ("id", "image_id", "result_id", "face_id"):
            return value + add
        if column == "uri":
            return f"{value}#{time_over}"
        if column in ("subject", "verdict_subject"):
            return value and f"{value} {time_over}"
        if column == "content_hash":
            return rng.bytes(32)
        if column == "picture_hash":
            return (int.from_bytes(value, "little") ^ mask).to_bytes(32, "little")
        if column == "vector":
            return numpy.frombuffer(value, numpy.float16)[order].tobytes()
        return value

    database.execute(
        "CREATE TEMP TABLE IF NOT EXISTS chosen AS SELECT id FROM images WHERE "
        + of_gallery["images"]
    )
    for table, where in of_gallery.items():
        rows = database.execute(f"SELECT * FROM {table} WHERE {where}")
        names = [column[0] for column in rows.description]
        new = [
            [changed(name, value) for name, value in zip(names, row, strict=True)] for row in rows
        ]
        places = ", ".join("?" * len(names))
        database.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", new)


def many(arguments, store: Path) -> None:
    with sqlite3.connect(store) as database:
        rng = numpy.random.default_rng(3)
        counted = (
            "SELECT count(*) FROM images i JOIN galleries g ON g.id = i.gallery_id "
            "WHERE g.name = 'swaps'"
        )
        time_over = 0
        while database.execute(counted).fetchone()[0] < arguments.many:
            time_over += 1
            repeat(database, time_over, rng)
        images = database.execute(counted).fetchone()[0]
    print(f"{images} images:")
    for view in ("lowest", "duplicates", "outliers", "collisions", "best"):
        found = curate(arguments.facefleet, store, "swaps", view, 10_000)
        print(f"    {len(found)} suggestions")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    default = Path(__file__).resolve().parent.parent / "target/release/facefleet"
    parser.add_argument("--facefleet", type=Path, default=default)
    parser.add_argument(
        "--scan",
        type=Path,
        help="another program for the scans, of the same schema or an older one",
    )
    parser.add_argument("--work", type=Path, help="keeps copies and store here")
    parser.add_argument("--many", type=int, help="times each view on at least so many images")
    parser.add_argument(
        "--stored", action="store_true", help="the store in --work has both galleries"
    )
    arguments = parser.parse_args()
    arguments.scan = arguments.scan or arguments.facefleet
    arguments.photos = arguments.photos.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        work.mkdir(exist_ok=True)
        store = work / "faces.db"
        duplicates(arguments, work, store)
        outliers(arguments, work, store)
        if arguments.many:
            many(arguments, store)


if __name__ == "__main__":
    main()
