#!/usr/bin/env python3
"""Computes a template of every face in a folder with plain OpenCV 4, for scan_vs_opencv.py.

    python3 benches/opencv_scan.py FOLDER [--out TEMPLATES.npy]

Prints one line of JSON. The clock starts after imports and model loading, and includes reading the
files. OpenCV uses as many threads as it chooses. No quality is computed.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".facefleet/tools/python"))
try:
    import cv2
    import numpy as np
except ImportError:
    sys.exit("opencv_scan: OpenCV is missing: run `make bench-tools` first.")

MODELS = ROOT / "models/fetched"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


def scan(folder, detector, recogniser):
    images, templates = 0, []
    for path in sorted(folder.rglob("*")):
        image = cv2.imread(str(path)) if path.suffix.lower() in SUFFIXES else None
        if image is None:
            continue
        images += 1
        height, width = image.shape[:2]
        detector.setInputSize((width, height))
        faces = detector.detect(image)[1]
        for face in [] if faces is None else faces:
            templates.append(recogniser.feature(recogniser.alignCrop(image, face)))
    return images, templates


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, help="keep the templates in this .npy file")
    arguments = parser.parse_args()
    detector = cv2.FaceDetectorYN.create(
        str(MODELS / "face_detection_yunet_2023mar_int8bq.onnx"), "", (320, 320), 0.6, 0.3, 5000
    )
    recogniser = cv2.FaceRecognizerSF.create(
        str(MODELS / "face_recognition_sface_2021dec_int8bq.onnx"), ""
    )

    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        images, templates = scan(arguments.folder, detector, recogniser)
        np.save(
            arguments.out or Path(scratch) / "templates.npy",
            np.vstack(templates) if templates else np.empty((0, 128), np.float32),
        )
        seconds = time.perf_counter() - started
    print(
        json.dumps(
            {
                "images": images,
                "faces": len(templates),
                "seconds": round(seconds, 3),
                "images_per_s": round(images / seconds, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
