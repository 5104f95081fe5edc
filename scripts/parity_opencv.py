#!/usr/bin/env python3
"""Compares facefleet with OpenCV 4 (FaceDetectorYN, FaceRecognizerSF): same photos, same models.

    python3 scripts/parity_opencv.py [FOLDER]       default: the sample photos

Prints how far boxes, landmarks, chips and templates differ, and exits with 1 if they differ by
more than the limits below. Needs `make setup` and `make bench-tools`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".facefleet/tools/python"))
try:
    import cv2
    import numpy as np
except ImportError:
    sys.exit("parity: OpenCV is missing: run `make bench-tools` first.")

from boxes import describe, pair_up

FACEFLEET = ROOT / "target/release/facefleet"
DETECTOR = ROOT / "models/fetched/face_detection_yunet_2023mar_int8bq.onnx"
RECOGNISER = ROOT / "models/fetched/face_recognition_sface_2021dec_int8bq.onnx"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
BATCH = 64

MIN_SCORE, NMS_IOU, TOP_K = 0.6, 0.3, 5000

# The limits: how far two implementations of the same arithmetic, and their JPEG decoders, differ.
MIN_IOU = 0.95
MAX_CHIP_DIFFERENCE = 1.0  # grey levels, averaged over all faces
MIN_COSINE, MIN_COSINE_SHARE = 0.999, 0.95


def main():
    folder = folder_of(__doc__, (FACEFLEET, DETECTOR, RECOGNISER))
    comparison = Comparison()
    for images in batches(folder):
        comparison.unreadable += sum(image is None for image in images.values())
        comparison.add({path: image for path, image in images.items() if image is not None})
    sys.exit(comparison.report())


def folder_of(doc, needed):
    """The folder of photos that the command line names."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / ".facefleet/samples")
    folder = parser.parse_args().folder.resolve()
    for path in (*needed, folder):
        if not path.exists():
            sys.exit(
                f"parity: {path} is missing: run `make setup` first; `make parity` fetches more."
            )
    return folder


def batches(folder):
    """The photos below a folder and their pixels, some at a time."""
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    for start in range(0, len(photos), BATCH):
        yield {path: read(path) for path in photos[start : start + BATCH]}


def read(path):
    """The pixels as OpenCV decodes them (BGR, EXIF orientation applied), or None to skip it."""
    # OpenCV fills the missing part of a truncated JPEG with grey; facefleet refuses such a file.
    # That is intended, so it is not compared.
    data = path.read_bytes()
    if data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data[-1024:]:
        return None
    return cv2.imread(str(path), cv2.IMREAD_COLOR)


class Comparison:
    def __init__(self):
        self.detector = cv2.FaceDetectorYN.create(
            str(DETECTOR), "", (320, 320), MIN_SCORE, NMS_IOU, TOP_K
        )
        self.recogniser = cv2.FaceRecognizerSF.create(str(RECOGNISER), "")
        self.images = self.unreadable = self.theirs = self.ours = 0
        self.unmatched = []
        (
            self.ious,
            self.landmark_distances,
            self.chip_differences,
            self.warp_differences,
            self.cosines,
        ) = [], [], [], [], []

    def add(self, images):
        with tempfile.TemporaryDirectory() as chips:
            ours = score_with_facefleet(list(images), ["--templates", "--chips", chips])
            for path, image in images.items():
                self.add_image(path, image, ours[path])
        self.images += len(images)

    def add_image(self, path, image, ours):
        self.detector.setInputSize((image.shape[1], image.shape[0]))
        theirs = self.detector.detect(image)[1]
        theirs = [] if theirs is None else list(theirs)
        self.theirs += len(theirs)
        self.ours += len(ours)
        pairs, alone_theirs, alone_ours = pair_up(
            [row[:4] for row in theirs], [face["box"] for face in ours]
        )
        self.unmatched += [
            f"{path}: only OpenCV finds {describe(theirs[i][:4], theirs[i][14])}"
            for i in alone_theirs
        ]
        self.unmatched += [
            f"{path}: only facefleet finds {describe(ours[j]['box'], ours[j]['detector_score'])}"
            for j in alone_ours
        ]
        for overlap, i, j in pairs:
            self.ious.append(overlap)
            self.add_face(image, theirs[i], ours[j])

    def add_face(self, image, row, face):
        landmarks = np.float32(face["landmarks"])
        self.landmark_distances.append(
            np.linalg.norm(row[4:14].reshape(5, 2) - landmarks, axis=1).max()
        )

        chip = self.recogniser.alignCrop(image, row)
        our_chip = cv2.imread(face["chip"], cv2.IMREAD_COLOR)
        self.chip_differences.append(np.abs(np.int16(chip) - our_chip).mean())
        # The same from our landmarks: only decoding and warping differ.
        our_row = row.copy()
        our_row[4:14] = landmarks.ravel()
        self.warp_differences.append(
            np.abs(np.int16(self.recogniser.alignCrop(image, our_row)) - our_chip).mean()
        )

        feature, template = self.recogniser.feature(chip).ravel(), np.float32(face["template"])
        self.cosines.append(
            feature @ template / (np.linalg.norm(feature) * np.linalg.norm(template))
        )

    def report(self) -> int:
        print(
            f"images      {self.images} compared, {self.unreadable} skipped (not readable by "
            "OpenCV, or truncated)"
        )
        print(
            f"faces       {self.theirs} found by OpenCV {cv2.__version__}, "
            f"{self.ours} by facefleet, {len(self.ious)} by both"
        )
        for line in self.unmatched:
            print(f"            {line}")
        if not self.ious:
            print("parity: FAILED: no face to compare")
            return 1
        share = np.mean(np.array(self.cosines) > MIN_COSINE)
        landmarks, chips, warps = (
            self.landmark_distances,
            self.chip_differences,
            self.warp_differences,
        )
        print(f"IoU         min {min(self.ious):.4f}, median {np.median(self.ious):.4f}")
        print(
            f"landmarks   median {np.median(landmarks):.3f} px, "
            f"max {max(landmarks):.3f} px (worst of five)"
        )
        print(f"chips       mean {np.mean(chips):.3f} grey levels apart, max {max(chips):.3f}")
        print(
            f"  warp only mean {np.mean(warps):.3f} grey levels apart, max {max(warps):.3f} "
            "(both from facefleet's landmarks)"
        )
        low, five, middle = np.quantile(self.cosines, (0, 0.05, 0.5))
        print(
            f"templates   cosine min {low:.5f}, 5 % {five:.5f}, median {middle:.5f}; "
            f"{share:.1%} over {MIN_COSINE}"
        )

        limits = (
            (not self.unmatched, f"{len(self.unmatched)} faces were found by one side only"),
            (
                min(self.ious) > MIN_IOU,
                f"the smallest IoU is {min(self.ious):.4f}, not over {MIN_IOU}",
            ),
            (
                np.mean(chips) <= MAX_CHIP_DIFFERENCE,
                f"chips differ by {np.mean(chips):.3f} grey levels on average, more than "
                f"{MAX_CHIP_DIFFERENCE}",
            ),
            (
                share >= MIN_COSINE_SHARE,
                f"{share:.1%} of the templates have a cosine over {MIN_COSINE}, fewer than "
                f"{MIN_COSINE_SHARE:.0%}",
            ),
        )
        return verdict(limits)


def verdict(limits) -> int:
    """Prints which limits do not hold; returns the exit status."""
    failures = [sentence for holds, sentence in limits if not holds]
    print(f"parity: FAILED: {'; '.join(failures)}" if failures else "parity: ok")
    return 1 if failures else 0


def score_with_facefleet(paths, arguments=(), **settings):
    """The faces of each photo, from one `facefleet score` for the whole batch."""
    faces = {path: [] for path in paths}
    if not paths:
        return faces
    # No photo is scaled down and no face is too small, as in the other implementation.
    settings = {"DETECTOR__MAX_SIDE": "8192", "DETECTOR__MIN_FACE_PX": "1", **settings}
    environment = dict(
        os.environ, **{f"FACEFLEET__{name}": value for name, value in settings.items()}
    )
    command = [str(FACEFLEET), "score", "--json", *arguments, "--faces", "all", *map(str, paths)]
    finished = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    if finished.returncode:
        sys.exit(f"parity: facefleet score ended with exit code {finished.returncode}")
    for line in map(json.loads, finished.stdout.splitlines()):
        faces[Path(line["image"])] = [as_arrays(face) for face in line["faces"]]
    return faces


def as_arrays(face):
    """The face with its box and its landmarks as arrays, as in the other implementations."""
    points = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
    return {
        **face,
        "box": [face["box"][name] for name in ("x", "y", "width", "height")],
        "landmarks": [[face["landmarks"][name][axis] for axis in "xy"] for name in points],
    }


if __name__ == "__main__":
    main()
