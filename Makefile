# Works from any folder: make -C PATH run. The targets are named after what they do, not files.
.PHONY: help run test bench chaos fuzz demo-reset lint lock audit sbom
.DEFAULT_GOAL := help
BIN := .venv/bin
# All tests run in three processes beside each other, for much of their time is waiting; each takes
# about as long as the others.
SECOND := tests/browser tests/demo tests/faults
THIRD := tests/index tests/journeys tests/worker

help:
	@echo 'make run         a whole region on this machine: http://127.0.0.1:8080 (PORT=, REGION_DIR=, FRONT=nginx)'
	@echo 'make demo-reset  empty the data folder of that region'
	@echo 'make test        style, types, floors and all tests, on real servers'
	@echo 'make bench       how fast: against Orthanc, over a large index, of the keeper (BENCH=--quick)'
	@echo 'make chaos       kills, freezes, cuts and wipes while studies arrive: none is lost (CHAOS="--kills 50")'
	@echo 'make fuzz        more than 100,000 hostile requests, files and rules, generated (SEED=)'
	@echo 'make lint        style, types and floors only'
	@echo 'make audit       known holes in the packages of the lock file (STRICT=1: no network is a failure)'
	@echo 'make sbom        bill of materials of the lock file: build/sbom.json (CycloneDX)'
	@echo 'make lock        write .ci/requirements.lock anew from pyproject.toml'

# Two lines, so that make starts the region itself and hands a signal on to it.
run:
	@.ci/install run
	@$(BIN)/gateway demo run

demo-reset:
	@.ci/install run
	@$(BIN)/gateway demo reset

# Every check runs, whatever the one before found; what failed is told by name at the very end.
test: SHELL := /bin/bash
test: .SHELLFLAGS := -o pipefail -c
test:
	@.ci/install test
	@failed=; mkdir -p build; rm -f build/tests*.log; \
	$(BIN)/ruff check . || failed+=' ruff-check'; \
	$(BIN)/ruff format --check . || failed+=' ruff-format'; \
	$(BIN)/mypy || failed+=' mypy'; \
	$(BIN)/lint-imports || failed+=' lint-imports'; \
	.ci/audit || failed+=' audit'; \
	$(BIN)/python -m pytest -m alone 2>&1 | tee build/tests-alone.log || failed+=' tests-alone'; \
	$(BIN)/python -m pytest -m 'not alone' $(SECOND) > build/tests-second.log 2>&1 & second=$$!; \
	$(BIN)/python -m pytest -m 'not alone' $(THIRD) > build/tests-third.log 2>&1 & third=$$!; \
	trap 'kill $$second $$third; wait; exit 130' INT TERM; \
	$(BIN)/python -m pytest -m 'not alone' $(patsubst %,--ignore=%,$(SECOND) $(THIRD)) 2>&1 \
		| tee build/tests.log || failed+=' tests'; \
	wait $$second || failed+=' tests-second'; \
	wait $$third || failed+=' tests-third'; \
	cat build/tests-second.log build/tests-third.log; \
	test -z "$$failed" || { echo "не прошло / failed:$$failed"; \
		grep -hE '^(FAILED|ERROR) ' build/tests*.log; exit 1; }

lint:
	@.ci/install run
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit:
	@.ci/install test
	@.ci/audit

sbom:
	@.ci/install test
	@mkdir -p build
	@PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements .ci/requirements.lock --pyproject pyproject.toml \
		--output-reproducible --output-format JSON --output-file build/sbom.json
	@echo build/sbom.json

bench:
	@.ci/install test
	@$(BIN)/python -m tests.bench $(BENCH) || failed=1; \
	$(BIN)/python -m tests.bench.memory $(BENCH) || failed=1; \
	$(BIN)/python -m tests.bench.index $(BENCH) || failed=1; \
	$(BIN)/python -m tests.bench.follow $(BENCH) || failed=1; \
	$(BIN)/python -m tests.bench.replay $(BENCH) || failed=1; \
	$(BIN)/python -m tests.bench.deliveries $(BENCH) || failed=1; \
	$(BIN)/python -m tests.bench.access $(BENCH) || failed=1; \
	exit $${failed:-0}

# Both databases, whatever the first one showed.
chaos:
	@.ci/install test
	@$(BIN)/python -m tests.chaos $(CHAOS) || failed=1; \
	$(BIN)/python -m tests.chaos --postgresql $(CHAOS) || failed=1; \
	exit $${failed:-0}

fuzz:
	@.ci/install test
	@$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=fuzz $(SEED:%=--hypothesis-seed=%)

lock:
	@.ci/install run
	@$(BIN)/python -m pip install -q uv
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --all-extras pyproject.toml -o .ci/requirements.lock
