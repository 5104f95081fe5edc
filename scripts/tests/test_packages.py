"""The table of pinned packages."""

import re
import unittest

import packages
from servers import POSTGRES

FIXED = (packages.MTCNN, packages.MTCNN_REFERENCE, packages.AMQP_CLIENT, POSTGRES)
BY_MACHINE = (packages.RUNTIMES, packages.TEST_SERVERS, packages.CMAKES, packages.RUFFS)


def all_packages():
    yield from packages.PACKAGES
    yield from packages.DEVICE_RUNTIMES.values()
    yield from FIXED
    for table in BY_MACHINE:
        yield from table.values()


class Packages(unittest.TestCase):
    def test_every_file_and_member_has_a_sha256(self):
        for package in all_packages():
            for digest in (package.sha256, *(member.sha256 for member in package.members)):
                self.assertRegex(digest, r"^[0-9a-f]{64}$", package.file)

    def test_every_file_name_holds_its_package_and_version(self):
        for package in all_packages():
            name = re.sub("[-_.]", "[-_.]", package.name)
            self.assertRegex(package.file, rf"^{name}-{re.escape(package.version)}[-.]")

    def test_targets_lie_inside_the_project(self):
        for package in all_packages():
            for member in package.members:
                self.assertRegex(member.target, r"^(\.facefleet|models/fetched)/")
                self.assertNotIn("..", member.target)

    def test_both_machines_have_the_same_versions(self):
        for table in BY_MACHINE:
            self.assertEqual(set(table), {"x86_64", "aarch64"})
            self.assertEqual(len({(p.name, p.version) for p in table.values()}), 1)
            self.assertEqual(len({p.sha256 for p in table.values()}), 2)
