"""Passing on what tests print."""

import contextlib
import io
import unittest

import integration

OUTPUT = """running 2 tests
test a::fails ... FAILED
test a::works ... ok

failures:

---- a::fails stdout ----
thread 'a::fails' panicked at a.rs:1:1:
no such thing

failures:
    a::fails

test result: FAILED. 1 passed; 1 failed
"""


class PassesOn(unittest.TestCase):
    def test_everything_is_printed_and_what_failed_is_kept(self):
        failures, printed = [], io.StringIO()
        with contextlib.redirect_stdout(printed):
            for part in (OUTPUT, "running 1 test\ntest b::works ... ok\n"):
                integration.pass_on(io.StringIO(part), failures)
        self.assertEqual(printed.getvalue().count("\n"), OUTPUT.count("\n") + 2)
        self.assertEqual(failures[0], "failures:\n")
        self.assertEqual(failures[-2:], ["    a::fails\n", "\n"])
        self.assertIn("no such thing\n", failures)


if __name__ == "__main__":
    unittest.main()
