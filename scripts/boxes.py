"""Comparing the boxes (x, y, width, height) that two detectors found. Needs no package."""

MIN_IOU = 0.5  # of two boxes of the same face


def pair_up(theirs, ours):
    """Pairs of boxes of the same face, best overlap first, and the indices of unpaired boxes.

    A pair is (overlap, index in `theirs`, index in `ours`).
    """
    overlaps = sorted(
        ((iou(a, b), i, j) for i, a in enumerate(theirs) for j, b in enumerate(ours)),
        reverse=True,
    )
    only_theirs, only_ours, pairs = set(range(len(theirs))), set(range(len(ours))), []
    for overlap, i, j in overlaps:
        if overlap > MIN_IOU and i in only_theirs and j in only_ours:
            pairs.append((overlap, i, j))
            only_theirs.remove(i)
            only_ours.remove(j)
    return pairs, sorted(only_theirs), sorted(only_ours)


def iou(a, b):
    """The intersection of two boxes over their union."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def describe(box, score):
    x, y, width, height = box
    return f"a face of {width:.0f}x{height:.0f} at ({x:.0f}, {y:.0f}), score {score:.3f}"
