# Everything a person or a machine does with this repository. `make` alone lists it.
# Needs Python 3.11 or newer; PostgreSQL for the sandbox, the demo and the tests comes with the packages.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two installers must not work on one virtual environment at a time.
.NOTPARALLEL:

PYTHON ?= python3
# Test processes at a time; each has databases of its own on the one embedded server.
WORKERS ?= 2
# Arguments for pytest, for example: make test TESTS=tests/ledger
TESTS ?= tests
# Statement and branch coverage, in percent, below which the rooms that hold the money fail the build. Their own tests
# and those nearest to them must reach it: over all tests, measuring costs half as much again as the tests.
COVERAGE_MIN := 95
COVERED_ROOMS := core ledger signing tokens
COVERED_TESTS := $(addprefix tests/,$(COVERED_ROOMS) attestations closing matching api/test_simulation.py)

# What is compiled is kept, whatever the environment says: the tests start many processes, and each would compile all of
# the service anew.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
CODE := $(wildcard src tests migrations benchmarks)

.PHONY: help
help: ## List what can be done
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: run
run: $(VENV)/.installed-run $(VENV)/.installed-project ## Start the sandbox: the service with sample data, on an embedded PostgreSQL
	$(BIN)/tallystick serve --sandbox

.PHONY: demo
demo: $(VENV)/.installed-run $(VENV)/.installed-project ## Play a deposit token's life from mint to redemption, and verify it
	$(BIN)/tallystick demo

.PHONY: test
test: $(VENV)/.installed-dev $(VENV)/.installed-project ## Run the tests (TESTS=path, WORKERS=n)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(TESTS)

.PHONY: soak
soak: $(VENV)/.installed-dev $(VENV)/.installed-project ## Run the tests at full length (TESTS=path, WORKERS=n): more of what is random, larger files
	TALLYSTICK_TEST_SOAK=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(TESTS)

.PHONY: check
check: $(VENV)/.installed-dev $(VENV)/.installed-project ## Everything that must pass: format, lint, types, import contracts, API drift, tests, coverage
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/tallystick openapi --check docs/openapi.json
	rm -rf .coverage && mkdir .coverage
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report= $(COVERED_TESTS)
	@for room in $(COVERED_ROOMS); do \
	    echo "coverage of $$room, at least $(COVERAGE_MIN)%"; \
	    $(BIN)/coverage report --include="src/tallystick/$$room/*" --fail-under=$(COVERAGE_MIN); \
	done
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests $(COVERED_TESTS:%=--ignore=%)

.PHONY: format
format: $(VENV)/.installed-dev ## Format the code and mend what can be mended safely
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format $(CODE)

.PHONY: bench
bench: $(VENV)/.installed-run $(VENV)/.installed-project ## Measure throughput and latency (QUICK=1 for a short run)
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

.PHONY: openapi
openapi: $(VENV)/.installed-run $(VENV)/.installed-project ## Write docs/openapi.json from the application
	$(BIN)/tallystick openapi --write docs/openapi.json

# uv resolves for every platform and Python at once: python3 -m pip install uv
UV ?= uv
LOCK := $(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-annotate --custom-compile-command "make lock" --quiet

.PHONY: lock
lock: ## Lock the dependencies anew (needs uv; UPGRADE=1 takes newer versions)
	$(LOCK) --group build $(if $(UPGRADE),--upgrade) --output-file requirements/run.txt
	$(LOCK) --group dev $(if $(UPGRADE),--upgrade) --constraint requirements/run.txt --output-file requirements/dev.txt

.PHONY: clean
clean: ## Remove the virtual environment and everything tools have made; the sandbox's data stays
	rm -rf $(VENV) build dist htmlcov .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache \
	    .ruff_cache .schemathesis
	find $(CODE) -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("tallystick needs Python 3.11 or newer: make PYTHON=python3.12 …" \
	    if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# What the service runs with. Hashes are required: what is installed is what was locked.
$(VENV)/.installed-run: requirements/run.txt | $(BIN)/python
	$(PIP) --no-deps --require-hashes --requirement requirements/run.txt
	@touch $@

# The development lock holds the same versions and more.
$(VENV)/.installed-dev: requirements/dev.txt | $(VENV)/.installed-run
	$(PIP) --no-deps --require-hashes --requirement requirements/dev.txt
	@touch $@

# The package itself, editable; its build backend comes from the lock.
$(VENV)/.installed-project: pyproject.toml | $(VENV)/.installed-run
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
