# The commands of this repository. `make demo` and `make test` need nothing but a Debian machine with Rust.
# CARGO_TARGET_DIR is respected; --locked keeps every build on the versions of Cargo.lock.

TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
DEMO_LAKE ?= ./demo-lake

.DEFAULT_GOAL := help
.PHONY: help demo test test-aws test-interop chaos bench drill security infra lint setup

help:
	@echo "make demo          build the release binary and show the main job on a lake in ./demo-lake"
	@echo "make test          everything the tests need, then the whole suite"
	@echo "make test-aws      the same doors on AWS's side: KMS, S3, Glue, SES and SQS on emulators, S3 on Ceph as well (as root)"
	@echo "make test-interop  Java Iceberg reads a demo lake (needs Java 17 and Maven; says so without)"
	@echo "make chaos         faults at every door in random histories, kills, full disks, power cuts (an hour; CHAOS_SEED replays)"
	@echo "make bench         ingest speed beside Polars and arrow-csv, and each stage beside its limit"
	@echo "make drill         backup, disaster, restore, and proof that every view is as it was"
	@echo "make security      schemathesis, sqlmap and testssl against the running front desk (needs Python and the registries)"
	@echo "make infra         the templates, policies and units in config/: linted, broken on purpose, deployed to emulators"
	@echo "make lint          rustfmt and clippy, warnings are errors"

demo: setup
	cargo build --release --workspace --bins --locked
	"$(TARGET)/release/bonded" --lake "$(DEMO_LAKE)" demo

test: setup
	cargo test --workspace --locked

# `make test` runs these too, but for what needs Ceph, which it does not install.
test-aws: setup
	tests/aws/install.sh ceph >/dev/null
	cargo test --workspace --locked -- --nocapture aws:: s3:: glue ses:: end_to_end:: bucket conditions at_once

# Same feature set and profile as the tests, so that nothing is built twice. BONDED_BIN names another binary.
test-interop: setup
	$(if $(BONDED_BIN),,cargo test --workspace --locked --no-run)
	tests/interop/run.sh

# CHAOS_HISTORIES (10000) and CHAOS_SECONDS (3600) bound the histories; the seed is printed, and each failure with its own.
# Every part runs, also after one that failed.
chaos: setup
	@failed=0; \
	run() { cargo test --workspace --locked --test it -- --nocapture --test-threads 1 "$$@" || failed=1; }; \
	run --ignored chaos:: kill::; CHAOS_FULL=1 run crash::; exit $$failed

bench: setup
	cargo build --release --workspace --bins --locked
	cargo bench --workspace --locked --bench ingest --bench stages

# SQLite and PostgreSQL; it says what was compared and how long each step took.
drill: setup
	cargo test --workspace --locked --test it -- drill_ --nocapture --test-threads 1

# Tools that others wrote attack the running front desk; see tests/security/run.sh.
security: setup
	$(if $(BONDED_BIN),,cargo build --workspace --bins --locked)
	tests/security/run.sh

# Nothing is built, and nothing leaves this machine but the installation of the tools (Python and the registry, or it says so).
infra:
	config/systemd/lint.sh
	tests/aws/lint.sh
	tests/aws/stack.sh

lint:
	@if cargo fmt --version >/dev/null 2>&1; then \
		echo "cargo fmt --all --check"; cargo fmt --all --check; \
	else \
		echo "lint: this toolchain has no rustfmt, the format is not checked (rustup component add rustfmt)"; \
	fi
	@if cargo clippy --version >/dev/null 2>&1; then \
		echo "cargo clippy --workspace --all-targets --locked -- -D warnings"; \
		cargo clippy --workspace --all-targets --locked -- -D warnings; \
	else \
		echo "lint: this toolchain has no clippy, the lints are not checked (rustup component add clippy)"; \
	fi

setup:
	@tests/setup.sh
	@tests/oidc/install.sh >/dev/null
	@tests/aws/install.sh >/dev/null
