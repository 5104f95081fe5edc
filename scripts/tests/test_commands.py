"""The pure parts of the scripts that run other programs."""

import struct
import unittest
import zlib

import compose
import fleet
import repeat
import scan_vs_opencv
import setup
import stack


class Setup(unittest.TestCase):
    def test_columns_are_aligned_and_lines_end_without_blanks(self):
        lines = list(setup.table_lines([("a", "long", "x"), ("wide", "b", "")]))
        self.assertEqual(lines, ["a     long  x", "wide  b"])


class Stack(unittest.TestCase):
    def test_what_follows_ctl_is_for_rabbitmqctl(self):
        arguments = ["--dir", "d", "ctl", "list_users", "--wipe"]
        expected = (["--dir", "d", "ctl"], ["list_users", "--wipe"])
        self.assertEqual(stack.split_arguments(arguments), expected)
        self.assertEqual(stack.split_arguments(["down", "--wipe"]), (["down", "--wipe"], []))


class Compose(unittest.TestCase):
    def test_only_empty_secrets_are_filled_in(self):
        text = "# X_PASSWORD=\nA_PASSWORD=\nB_PASSWORD=mine\nS3_SECRET_KEY=\nWORKERS=\n"
        expected = "# X_PASSWORD=\nA_PASSWORD=new\nB_PASSWORD=mine\nS3_SECRET_KEY=new\nWORKERS=\n"
        self.assertEqual(compose.with_secrets(text, lambda: "new"), expected)

    def test_each_secret_is_its_own(self):
        values = iter("12")
        text = compose.with_secrets("A_KEY=\nB_KEY=\n", lambda: next(values))
        self.assertEqual(text, "A_KEY=1\nB_KEY=2\n")


class Fleet(unittest.TestCase):
    def test_a_value_may_hold_equals_signs_and_comments_are_left_out(self):
        text = "# A=1\nURL=postgres://h/d?sslmode=require\n\nnothing\n"
        self.assertEqual(fleet.read_environment(text), {"URL": "postgres://h/d?sslmode=require"})


class Repeat(unittest.TestCase):
    TABLE = "uri,face,quality,score\na.jpg,0,98,0.91\na.jpg,1,7,0.8\n"

    def test_faces_are_read_by_image_and_index(self):
        faces = repeat.read_faces(self.TABLE)
        self.assertEqual(faces, {("a.jpg", "0"): ["98", "0.91"], ("a.jpg", "1"): ["7", "0.8"]})

    def test_a_score_that_differs_in_its_last_digit_counts(self):
        first = repeat.read_faces(self.TABLE)
        other = repeat.read_faces(self.TABLE.replace("0.91", "0.92"))
        self.assertEqual(repeat.count_differences(first, other), {"quality": 0, "score": 1})
        self.assertEqual(repeat.count_differences(first, first), {"quality": 0, "score": 0})


class ScanVsOpencv(unittest.TestCase):
    def test_a_comment_is_put_behind_the_start_of_a_jpeg(self):
        jpeg = scan_vs_opencv.with_comment(b"\xff\xd8\xff\xd9", b"copy 1")
        self.assertEqual(jpeg, b"\xff\xd8\xff\xfe\x00\x08copy 1\xff\xd9")

    def test_a_comment_is_put_before_the_end_of_a_png(self):
        end = b"\0\0\0\0IEND\xae\x42\x60\x82"
        png = scan_vs_opencv.with_comment(b"\x89PNG" + end, b"copy 1")
        self.assertTrue(png.startswith(b"\x89PNG") and png.endswith(end))
        chunk = png[4 : -len(end)]
        length, checksum = struct.unpack(">I", chunk[:4])[0], struct.unpack(">I", chunk[-4:])[0]
        self.assertEqual(length, len(b"Comment\0copy 1"))
        self.assertEqual(checksum, zlib.crc32(chunk[4:-4]))


if __name__ == "__main__":
    unittest.main()
