# Every command of the project. `make` alone lists them.
PYTHON ?= python3
# Scripts find the binary here, even if CARGO_TARGET_DIR is set for other projects.
export CARGO_TARGET_DIR := target
# CMake that `make tools` unpacks on machines without one.
export PATH := $(CURDIR)/.facefleet/tools/cmake/bin:$(PATH)
FACEFLEET := target/release/facefleet
DEMO_STORE := FACEFLEET__STORE__URL=sqlite:.facefleet/demo.db
RUST_NEEDED := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
# The linter of dependencies that `make check-tools` builds.
CARGO_DENY := 0.20.2
# `make check STRICT=yes`: a check that cannot run here is an error. Continuous integration sets it.
STRICT ?=
# The start of the advice where a Debian package is missing.
APT := (Debian, Ubuntu: sudo apt-get install

.DEFAULT_GOAL := help
.PHONY: help setup demo rescore-demo check check-tools test test-servers stack-up stack-down fleet \
	bench-fleet bench-export bench-search bench-tools bfloat16 bench parity evidence clean fetch build models rust python tools \
	lint unit scripts dependencies
# The targets share one folder of fetched files and one build: in parallel they would only wait.
.NOTPARALLEL:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' \
	  $(MAKEFILE_LIST)

setup: rust fetch models ## Fetch runtime, models and sample photos, build, prepare the models

demo: setup ## Scan the sample photos and write a report
	$(DEMO_STORE) $(FACEFLEET) scan .facefleet/samples --gallery demo
	$(DEMO_STORE) $(FACEFLEET) report --gallery demo --out .facefleet/demo-report.html

# A gallery in 32 bits goes over to half precision: the commands of docs/models.md, with the counts.
RESCORE = FACEFLEET__STORE__URL=sqlite:.facefleet/rescore-demo.db
HALF = $(RESCORE) FACEFLEET__MODELS__PRECISION=half $(FACEFLEET)
rescore-demo: setup ## Give a gallery of the sample photos another model: re-score, compare, activate
	$(FACEFLEET) model prepare --half
	rm -f .facefleet/rescore-demo.db*
	$(RESCORE) $(FACEFLEET) scan .facefleet/samples --gallery demo
	$(HALF) rescore --gallery demo --root .facefleet/samples
	$(RESCORE) $(FACEFLEET) profile list --gallery demo
	$(HALF) profile compare active settings --gallery demo --out .facefleet/rescore-demo.html
	$(HALF) profile activate settings --gallery demo --as demo
	$(HALF) search .facefleet/samples/obama.jpg --gallery demo -k 3
	$(RESCORE) $(FACEFLEET) profile retire settings --gallery demo --dry-run
	$(RESCORE) $(FACEFLEET) profile retire settings --gallery demo
	$(RESCORE) $(FACEFLEET) profile list --gallery demo

check: scripts dependencies lint unit ## Check what needs no server, model or photo

check-tools: rust python ## Install the linters of `make check`, inside the project (some minutes)
	@$(PYTHON) scripts/setup.py lint
	cargo install cargo-deny --locked --version $(CARGO_DENY) --root .facefleet/tools/lint \
	  --target-dir target/check-tools

lint: rust tools
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	@# With the examples, it finds what the line above has checked.
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --release --lib --examples

# Not optimised: they take seconds, and compiling the program once more for them takes minutes.
UNIT = cargo test --release --lib --config 'profile.release.package.facefleet.opt-level=0'

unit: rust tools
	$(UNIT)
	cargo test --release --test house

scripts: python
	$(PYTHON) -m unittest discover --start-directory scripts/tests --top-level-directory scripts
	@$(PYTHON) scripts/check.py python $(if $(STRICT),--strict)

dependencies: rust python
	@$(PYTHON) scripts/check.py dependencies $(if $(STRICT),--strict)

# The tests build the program too, with the features that their own crates ask of shared ones: after
# `cargo build`, seventy crates would be built a second time.
test: rust tools fetch test-servers lint scripts ## Lint, build, run all tests, with servers
	cargo build --release --examples
	cargo test --release --no-run --test house --test it
	$(UNIT)
	$(FACEFLEET) model prepare yunet-2023mar sface-2021dec mtcnn
	@if pkg-config --exists 'libheif >= 1.14' 2>/dev/null; then \
	  cargo test --release --features heif --lib vision \
	    --config 'profile.release.package.facefleet.opt-level=1'; \
	else echo "make: HEIC and AVIF are not tested: libheif is missing" \
	  "$(APT) libheif-dev pkg-config)."; fi
	@$(PYTHON) scripts/integration.py

stack-up: python ## Start a private RabbitMQ and Postgres on this machine
	@$(PYTHON) scripts/stack.py up

stack-down: python ## Stop them; their data stays
	@$(PYTHON) scripts/stack.py down

fleet: setup ## Run a fleet over the sample photos: in containers, or (DOCKER=no) as processes
	@if [ "$(DOCKER)" != no ] && $(PYTHON) scripts/compose.py --wanted; then \
	  $(PYTHON) scripts/compose.py; \
	else $(PYTHON) scripts/stack.py up && $(PYTHON) scripts/fleet.py; fi

bench-fleet: setup bench-tools stack-up ## Measure the fleet: publishing, throughput, latency
	@set -a; . .facefleet/stack/env; set +a; \
	  cargo build --release --example null_worker && cargo bench --bench fleet

bench-export: setup stack-up ## Measure exports and a remap of a million rows: speed and memory
	@set -a; . .facefleet/stack/env; set +a; cargo bench --bench export

bench-search: setup stack-up ## Measure searches of a million templates, beside float32 and HNSW
	@set -a; . .facefleet/stack/env; set +a; cargo bench --bench search

test-servers: python
	@$(PYTHON) scripts/setup.py test

bench-tools: python ## Install OpenCV, NumPy and Celery for parity and bench, inside the project
	@$(PYTHON) scripts/setup.py bench

bfloat16: setup ## Fetch OpenVINO and prepare the models for config/bfloat16.toml
	@$(PYTHON) scripts/setup.py --runtime openvino
	$(FACEFLEET) model prepare --target gpu

bench: setup bench-tools test-servers ## Measure speed, against its goals, and what a million costs
	@if grep -qwE 'avx512_bf16|amx_bf16' /proc/cpuinfo; then $(MAKE) bfloat16; fi
	cargo bench --bench serfiq
	cargo bench --bench components
	cargo bench --bench rescore
	$(PYTHON) benches/scan_vs_opencv.py
	@$(PYTHON) scripts/stack.py up || echo "make: no servers: databases other than SQLite and the" \
	  "broker are not measured"
	@if [ -f .facefleet/stack/env ]; then set -a; . .facefleet/stack/env; set +a; fi; \
	  cargo bench --bench search
	$(PYTHON) benches/capacity.py

parity: setup bench-tools ## Compare faces and templates with OpenCV's, MTCNN with its package's
	$(PYTHON) scripts/parity_opencv.py
	$(FACEFLEET) model prepare mtcnn
	$(PYTHON) scripts/parity_mtcnn.py

# docs/evidence.md shows the output. Every twelfth photo is enough to see sampling converge, because
# T = 1000 is slow.
EVIDENCE = FACEFLEET__STORE__URL=sqlite:.facefleet/evidence.db $(FACEFLEET)
DEGRADED := .facefleet/evidence/degraded
SAMPLED := --sampled 10 --sampled 30 --sampled 100 --sampled 300 --sampled 1000
evidence: setup ## Measure on labelled photos: make evidence DATA=FOLDER/labels.csv
	@test -f "$(DATA)" || { echo "make: name a table file,subject,gender next to its photos:" \
	  "make evidence DATA=FOLDER/labels.csv"; exit 1; }
	awk 'NR == 1 || NR % 12 == 2' "$(DATA)" > .facefleet/evidence-part.csv
	$(EVIDENCE) evaluate "$(DATA)" --sampled 100 --out .facefleet/evidence
	$(EVIDENCE) evaluate .facefleet/evidence-part.csv --images "$(dir $(DATA))" $(SAMPLED) \
	  --bootstrap 0 --out .facefleet/evidence/part
	$(EVIDENCE) bias "$(DATA)" --group gender --out .facefleet/evidence
	$(PYTHON) scripts/repeat.py "$(dir $(DATA))"
	$(EVIDENCE) calibrate "$(DATA)" --fnmr 0.002 --fnmr 0.001 --discard 0.05 \
	  --out .facefleet/evidence/calibration.toml
	cargo run --release --example degrade -- "$(DATA)" $(DEGRADED)
	$(EVIDENCE) evaluate $(DEGRADED)/$(notdir $(DATA)) --gallery degraded
	$(EVIDENCE) calibrate $(DEGRADED)/$(notdir $(DATA)) --gallery degraded --fuse --fnmr 0.05 \
	  --discard 0.1 --out .facefleet/evidence/fused.toml
	FACEFLEET__QUALITY__CALIBRATION=$(CURDIR)/.facefleet/evidence/fused.toml \
	  $(EVIDENCE) evaluate "$(DATA)"
	@# Exit status 1: not shown to help.
	-$(EVIDENCE) calibrate "$(DATA)" --fuse --out .facefleet/evidence/fused-undegraded.toml
	FACEFLEET__STORE__URL=sqlite:.facefleet/evidence.db cargo run --release --example left_out -- \
	  degraded $(DEGRADED)/degradations.csv
	mkdir -p docs/evidence
	cp .facefleet/evidence/edc-fmr*.svg .facefleet/evidence/bias-*.svg \
	  .facefleet/evidence/part/convergence.svg docs/evidence/

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
	@command -v $(PYTHON) >/dev/null || { echo "make: Python 3.9 or newer with pip is needed" \
	  "$(APT) python3 python3-pip)."; exit 1; }

rust:
	@command -v cargo >/dev/null || { echo "make: Rust $(RUST_NEEDED) or newer is needed, and" \
	  "cargo was not found: install it with rustup."; exit 1; }
	@have=$$(rustc --version | cut -d' ' -f2); \
	  [ "$$(printf '%s\n' $(RUST_NEEDED) "$$have" | sort -V | head -n1)" = $(RUST_NEEDED) ] || \
	  { echo "make: Rust $(RUST_NEEDED) or newer is needed, and this is $$have:" \
	  "run \`rustup update\`."; exit 1; }
	@command -v cc >/dev/null || { echo "make: a C compiler is needed, for SQLite, libjpeg-turbo" \
	  "and linking $(APT) build-essential)."; exit 1; }
