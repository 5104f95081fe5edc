"""The pure parts of the scripts that run other programs."""

import struct
import unittest
import zlib
from unittest import mock

import capacity
import capacity_storage
import compose
import fleet
import program
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


class Capacity(unittest.TestCase):
    def test_a_line_through_three_points_has_their_base_and_slope(self):
        base, slope = capacity.fit_line((1, 2, 4), (300, 400, 600))
        self.assertAlmostEqual(base, 200)
        self.assertAlmostEqual(slope, 100)

    def test_gigabytes_are_those_of_each_store_and_of_postgres_with_its_index(self):
        kind = capacity_storage.ONE
        sizes = {"SQLite": {kind: 900}, "Postgres": {kind: 1400}}
        found = capacity.gigabytes(sizes, {128: 600}, kind, 10_000_000)
        self.assertEqual(found, ["9.0", "14.0", "20.0"])
        alone = capacity.gigabytes({"SQLite": {kind: 900}}, {}, kind, 10_000_000)
        self.assertEqual(alone, ["9.0"])

    def test_uris_of_different_galleries_have_one_length(self):
        uris = {capacity_storage.uri_of(name, 7) for name in ("first", "index 512")}
        self.assertEqual([len(uri) for uri in uris], [51, 51])

    def test_settings_of_the_caller_do_not_count(self):
        callers = {"PATH": "/bin", "FACEFLEET__QUEUE__URL": "amqp://fleet"}
        with mock.patch.dict("os.environ", callers, clear=True):
            environment = program.environment_of({"FACEFLEET__STORE__URL": "sqlite:x"})
        self.assertEqual(environment, {"PATH": "/bin", "FACEFLEET__STORE__URL": "sqlite:x"})


if __name__ == "__main__":
    unittest.main()
