"""Finding the optional linters."""

import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import check


class Find(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.project, self.system = Path(folder.name, "project"), Path(folder.name, "system")
        path = mock.patch.dict("os.environ", PATH=str(self.system))
        path.start()
        self.addCleanup(path.stop)

    def install(self, folder):
        folder.mkdir()
        program = folder / "linter"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        return str(program)

    def test_the_projects_own_copy_comes_before_that_on_the_path(self):
        system = self.install(self.system)
        self.assertEqual(check.find("linter", self.project), system)
        project = self.install(self.project)
        self.assertEqual(check.find("linter", self.project), project)

    def test_a_missing_program_is_none(self):
        self.assertIsNone(check.find("linter", self.project))


class Skip(unittest.TestCase):
    def run_check(self, *arguments):
        """The exit status of `check.py python` where Ruff is missing."""
        missing = mock.patch.object(check, "find", return_value=None)
        command = mock.patch.object(sys, "argv", ["check.py", "python", *arguments])
        with missing, command, mock.patch("builtins.print") as printed:
            return check.main(), printed.call_args[0][0]

    def test_a_missing_linter_is_skipped_with_a_line_that_says_so(self):
        status, line = self.run_check()
        self.assertEqual(status, 0)
        self.assertIn("SKIPPED: Python is not linted: Ruff is not installed", line)

    def test_a_missing_linter_is_an_error_where_nothing_may_be_skipped(self):
        status, line = self.run_check("--strict")
        self.assertEqual(status, 1)
        self.assertIn("ERROR", line)


class VersionOf(unittest.TestCase):
    def test_the_version_follows_the_name(self):
        self.assertEqual(check.version_of(["echo", "ruff 0.17.5"]), "0.17.5")

    def test_a_program_that_prints_nothing_has_no_version(self):
        self.assertIsNone(check.version_of(["true"]))
