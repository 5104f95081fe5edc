# Every command of the project. `make` alone lists them.
PYTHON ?= python3
# The scripts look for the binary here too, wherever the user's other projects build.
export CARGO_TARGET_DIR := target
# CMake, where the machine has none of its own.
export PATH := $(CURDIR)/.facefleet/tools/cmake/bin:$(PATH)
FACEFLEET := target/release/facefleet
DEMO_STORE := FACEFLEET__STORE__URL=sqlite:.facefleet/demo.db
RUST_NEEDED := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-servers stack-up stack-down fleet bench-fleet bench-tools bfloat16 bench parity evidence clean fetch build models rust python tools
# The targets share one folder of fetched files and one build: in parallel they would only wait for each other.
.NOTPARALLEL:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: rust fetch models ## Fetch runtime, models and sample photos, build, prepare the models

demo: setup ## Scan the sample photos and write a report
	$(DEMO_STORE) $(FACEFLEET) scan .facefleet/samples --gallery demo
	$(DEMO_STORE) $(FACEFLEET) report --gallery demo --out .facefleet/demo-report.html

test: rust tools fetch test-servers ## Check format, lints and documentation, build, run all tests
	cargo fmt --check
	cargo clippy --release --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --release
	cargo build --release
	$(FACEFLEET) model prepare yunet-2023mar sface-2021dec mtcnn
	@if pkg-config --exists 'libheif >= 1.14' 2>/dev/null; then cargo test --release --features heif --lib vision; \
	else echo "make: HEIC and AVIF are not tested: libheif is not here (Debian, Ubuntu: sudo apt-get install libheif-dev pkg-config)."; fi
	@$(PYTHON) scripts/stack.py up
	@# The stack goes down also after tests that failed.
	@cargo test --release; code=$$?; $(PYTHON) scripts/stack.py down --wipe; $(PYTHON) scripts/stack.py --dir target/tmp/faults down --wipe; exit $$code

stack-up: python ## Start a private RabbitMQ and Postgres on this machine
	@$(PYTHON) scripts/stack.py up

stack-down: python ## Stop them; their data stays
	@$(PYTHON) scripts/stack.py down

fleet: setup ## Run a fleet on this machine over the sample photos: in containers if Docker is there (not with DOCKER=no), else as processes
	@if [ "$(DOCKER)" != no ] && $(PYTHON) scripts/compose.py --wanted; then $(PYTHON) scripts/compose.py; \
	else $(PYTHON) scripts/stack.py up && $(PYTHON) scripts/fleet.py; fi

bench-fleet: setup bench-tools stack-up ## Measure the fleet on this machine: publishing, plumbing, inference, enrolment latency
	@set -a; . .facefleet/stack/env; set +a; cargo build --release --example null_worker && cargo bench --bench fleet

test-servers: python
	@$(PYTHON) scripts/setup.py test

bench-tools: python ## Install OpenCV, NumPy and Celery for parity and bench, inside the project
	@$(PYTHON) scripts/setup.py bench

bfloat16: setup ## Fetch OpenVINO and prepare the models for config/bfloat16.toml, the fast scan on processors with AVX512-BF16 or AMX
	@$(PYTHON) scripts/setup.py --runtime openvino
	$(FACEFLEET) model prepare --target gpu

bench: setup bench-tools ## Measure speed against the published algorithm and against OpenCV
	@if grep -qwE 'avx512_bf16|amx_bf16' /proc/cpuinfo; then $(MAKE) bfloat16; fi
	cargo bench --bench serfiq
	$(PYTHON) benches/scan_vs_opencv.py

parity: setup bench-tools ## Compare boxes, chips and templates with OpenCV's, and MTCNN with its package's
	$(PYTHON) scripts/parity_opencv.py
	$(FACEFLEET) model prepare mtcnn
	$(PYTHON) scripts/parity_mtcnn.py

# docs/evidence.md shows what this writes. A twelfth of the photos is enough to see sampling converge, and T = 1000 is slow.
EVIDENCE = FACEFLEET__STORE__URL=sqlite:.facefleet/evidence.db $(FACEFLEET)
evidence: setup ## Measure on labelled photos: make evidence DATA=FOLDER/labels.csv (file,subject,gender)
	@test -f "$(DATA)" || { echo "make: name a table file,subject,gender next to its photos: make evidence DATA=FOLDER/labels.csv"; exit 1; }
	awk 'NR == 1 || NR % 12 == 2' "$(DATA)" > .facefleet/evidence-part.csv
	$(EVIDENCE) evaluate "$(DATA)" --sampled 100 --out .facefleet/evidence
	$(EVIDENCE) evaluate .facefleet/evidence-part.csv --images "$(dir $(DATA))" --sampled 10 --sampled 30 --sampled 100 --sampled 300 --sampled 1000 \
	  --bootstrap 0 --out .facefleet/evidence/part
	$(EVIDENCE) bias "$(DATA)" --group gender --out .facefleet/evidence
	$(PYTHON) scripts/repeat.py "$(dir $(DATA))"
	$(EVIDENCE) calibrate "$(DATA)" --fnmr 0.002 --fnmr 0.001 --discard 0.05 --out .facefleet/evidence/calibration.toml
	mkdir -p docs/evidence
	cp .facefleet/evidence/edc-fmr*.svg .facefleet/evidence/bias-*.svg .facefleet/evidence/part/convergence.svg docs/evidence/

clean: ## Remove all that was fetched, built and prepared
	rm -rf target .facefleet models/fetched models/prepared

fetch: python
	@$(PYTHON) scripts/setup.py

build: rust tools
	cargo build --release

models: build
	$(FACEFLEET) model prepare

tools: python
	@$(PYTHON) scripts/setup.py build

python:
	@command -v $(PYTHON) >/dev/null || { echo "make: Python 3.9 or newer with pip is needed (Debian, Ubuntu: sudo apt-get install python3 python3-pip)."; exit 1; }

rust:
	@command -v cargo >/dev/null || { echo "make: Rust $(RUST_NEEDED) or newer is needed and cargo was not found: install it with rustup."; exit 1; }
	@have=$$(rustc --version | cut -d' ' -f2); \
	  [ "$$(printf '%s\n' $(RUST_NEEDED) "$$have" | sort -V | head -n1)" = $(RUST_NEEDED) ] || \
	  { echo "make: Rust $(RUST_NEEDED) or newer is needed, and this is $$have: run \`rustup update\`."; exit 1; }
	@command -v cc >/dev/null || { echo "make: a C compiler is needed to link and to build SQLite and libjpeg-turbo (Debian, Ubuntu: sudo apt-get install build-essential)."; exit 1; }
