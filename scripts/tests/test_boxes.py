"""Pairing the boxes of two detectors."""

import unittest

import boxes


class Iou(unittest.TestCase):
    def test_the_same_box_overlaps_fully(self):
        self.assertEqual(boxes.iou((1, 2, 10, 20), (1, 2, 10, 20)), 1)

    def test_half_of_each_of_two_boxes_is_a_third_of_both(self):
        self.assertAlmostEqual(boxes.iou((0, 0, 10, 10), (5, 0, 10, 10)), 1 / 3)

    def test_boxes_that_touch_or_lie_apart_do_not_overlap(self):
        self.assertEqual(boxes.iou((0, 0, 10, 10), (10, 0, 10, 10)), 0)
        self.assertEqual(boxes.iou((0, 0, 10, 10), (50, 50, 10, 10)), 0)


class PairUp(unittest.TestCase):
    def test_the_best_overlap_is_paired_first(self):
        theirs = [(0, 0, 10, 10), (1, 0, 10, 10)]
        ours = [(1, 0, 10, 10)]
        pairs, only_theirs, only_ours = boxes.pair_up(theirs, ours)
        self.assertEqual(pairs, [(1.0, 1, 0)])
        self.assertEqual((only_theirs, only_ours), ([0], []))

    def test_a_box_that_overlaps_by_half_or_less_stays_alone(self):
        pairs, only_theirs, only_ours = boxes.pair_up([(0, 0, 10, 10)], [(0, 0, 10, 20)])
        self.assertEqual((pairs, only_theirs, only_ours), ([], [0], [0]))

    def test_no_boxes_give_no_pairs(self):
        self.assertEqual(boxes.pair_up([], []), ([], [], []))


class Describe(unittest.TestCase):
    def test_a_face_is_described_by_size_place_and_score(self):
        sentence = boxes.describe((1.4, 2.6, 30, 40), 0.98765)
        self.assertEqual(sentence, "a face of 30x40 at (1, 3), score 0.988")
