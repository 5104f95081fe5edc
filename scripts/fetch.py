"""Fetches pinned packages through pip and unpacks them; installs and runs nothing of them.

A file whose sha256 is right is not fetched again. Errors are sentences for the user (SetupError).
"""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from packages import Package

ROOT = Path(__file__).resolve().parent.parent
DOWNLOADS = ROOT / ".facefleet/downloads"

# To read a source package's metadata, pip would run its setup.py and fetch setuptools for that.
# Photos need neither. For a package without pyproject.toml, PEP 517 names this module as the build
# backend, so pip imports this stand-in and runs nothing else.
STAND_IN_BACKEND = """\
import pathlib
class __legacy__:
    def prepare_metadata_for_build_wheel(folder, config_settings=None):
        info = pathlib.Path(folder, "{name}-{version}.dist-info")
        info.mkdir()
        metadata = "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"
        (info / "METADATA").write_text(metadata)
        return info.name
"""


class SetupError(Exception):
    """Ends the script with a sentence that says what is wrong and what to do."""


def say(message):
    print(f"setup: {message}", flush=True)


def shown(path):
    return os.path.relpath(path, ROOT)


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_in_place(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path.read_bytes()) == sha256


def write_whole(path: Path, data: bytes, mode: int = 0o644):
    """Renames at the end: an interrupted run leaves the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        part.chmod(mode)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def provide(package: Package) -> bool:
    """Writes the package's members to their targets; true if the package was downloaded."""
    missing = [
        member for member in package.members if not is_in_place(ROOT / member.target, member.sha256)
    ]
    if not missing:
        return False
    file = DOWNLOADS / package.file
    fresh = provide_file(package)
    contents = read_members(file, [member.source for member in missing])
    for member in missing:
        target, data = ROOT / member.target, contents[member.source]
        expect_sha256(f"{member.source} in {package.file}", member.sha256, sha256_of(data))
        if target.exists():
            say(f"{member.target} is not the pinned file and is replaced")
        write_whole(target, data, member.mode)
    return fresh


def provide_file(package: Package) -> bool:
    """Downloads the package's file unless it is in place; true if it was downloaded."""
    file = DOWNLOADS / package.file
    if is_in_place(file, package.sha256):
        return False
    if file.exists():
        say(f"{shown(file)} is damaged and is fetched again")
    download(package, file)
    return True


def download(package: Package, target: Path):
    say(f"fetching {package.name} {package.version} ({package.megabytes} MB): {package.why}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=target.parent) as folder:
        folder = Path(folder)
        # With the sha256 in a requirements file, pip itself refuses any other file unopened.
        requirement = folder / "requirement.txt"
        requirement.write_text(
            f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n"
        )
        backend = folder / "backend/setuptools/build_meta.py"
        backend.parent.mkdir(parents=True)
        (backend.parent / "__init__.py").touch()
        name = package.name.replace("-", "_")
        backend.write_text(STAND_IN_BACKEND.format(name=name, version=package.version))
        arguments = ["download", "--no-deps", *file_choice(package.file)]
        arguments += ["--dest", folder / "arrived", "--requirement", requirement]
        pip(f"{package.name} {package.version}", arguments, python_path=backend.parent.parent)
        arrived = folder / "arrived" / package.file
        if not arrived.exists():
            raise SetupError(
                f"pip fetched something other than {package.file}: the package index does not hold "
                "the pinned file."
            )
        expect_sha256(package.file, package.sha256, sha256_of(arrived.read_bytes()))
        os.replace(arrived, target)


def file_choice(file: str):
    """The pip options that select this one file of a release on any Python and machine."""
    if file.endswith(".tar.gz"):
        return ["--no-binary=:all:", "--use-pep517", "--no-build-isolation"]
    abi, platforms = file[: -len(".whl")].split("-")[-2:]
    return [
        "--only-binary=:all:",
        "--python-version=3.11",
        "--implementation=cp",
        f"--abi={abi}",
        f"--platform={platforms.split('.')[0]}",
    ]


def read_members(file: Path, sources):
    """The content of the members `sources` of a wheel or a source package."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as archive:
            return {source: archive.read(source) for source in sources}
    with tarfile.open(file) as archive:
        return {source: archive.extractfile(source).read() for source in sources}


def expect_sha256(what, expected, got):
    if got != expected:
        raise SetupError(wrong_sha256_message(what, expected, got))


def wrong_sha256_message(what, expected, got):
    return (
        f"{what} has the wrong sha256 and is not kept.\n"
        f"  expected {expected}\n  got      {got}\n"
        "It was damaged in transfer or is not the pinned file: run this again; if it repeats, ask "
        "the operator of your package index."
    )


def pip(what, arguments, python_path=None):
    """Runs pip quietly; shows its output only if it fails."""
    if importlib.util.find_spec("pip") is None:
        raise SetupError(
            f"{sys.executable} has no pip, and packages are fetched through it: install "
            "python3-pip with your system's package manager (Debian, Ubuntu: sudo apt-get install "
            "python3-pip), then run this again."
        )
    environment = dict(os.environ, PIP_USER="no")  # a user's "user = yes" contradicts --target
    if python_path:
        environment["PYTHONPATH"] = str(python_path)
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    finished = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, *quiet],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if finished.returncode:
        raise SetupError(explain(what, finished.stdout))


def explain(what, output) -> str:
    """One sentence for the usual failures of pip, its own last lines for the others."""
    wrong = re.search(r"Expected sha256 (\w+)\s.*?Got\s+(\w+)", output, re.DOTALL)
    if wrong:
        return wrong_sha256_message(what, wrong[1], wrong[2])
    if "No space left on device" in output:
        return disk_full_message()
    if re.search(r"connection broken|Max retries exceeded|timed out", output):
        cause = re.search(
            r"Connection refused|Connection reset|Network is unreachable|No route to host"
            r"|[Nn]ame resolution|Name or service not known|timed out|CERTIFICATE_VERIFY_FAILED"
            r"|Tunnel connection failed[^'\")]*|Cannot connect to proxy",
            output,
        )
        return (
            f"the package registry could not be reached for {what} "
            f"({cause[0] if cause else 'connection broken'}): check the network, the proxy "
            "(https_proxy) and pip's own settings (python3 -m pip config list), then run this "
            "again. Files that have arrived are kept."
        )
    last_lines = "\n  ".join(output.strip().splitlines()[-6:])
    return f"pip could not fetch {what}. Its last lines:\n  {last_lines}"


def disk_full_message():
    return (
        f"the disk is full: setup needs about 100 MB below {ROOT}, the bench tools another 350, "
        f"the CUDA runtime another 700, and pip works in {tempfile.gettempdir()} (TMPDIR). Free "
        "some space and run this again; files that have arrived are kept."
    )
