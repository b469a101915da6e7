# Everything a person or CI calls. `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
FACTOR ?= 5
MINUTES ?= 30
CONFIG ?= serve_config.yaml
# The fast layer: tests of these start no server, apart from the few that are marked slow.
UNIT_TESTS := $(addprefix tests/,benchmarks datasets deployments evaluation experiments leaves manifests models serving storage training vector_search)
# These too keep to themselves and to no time limit; all others start servers or measure, and run one by one.
TESTS_AT_ONCE := $(UNIT_TESTS) $(addprefix tests/,cli history)
# A run for each of those that keep a service up until the run ends: idle ones take processor time from the others.
TESTS_OF_DOORS := $(addprefix tests/,client console docs)

# What makes Ray Serve fast and quiet; deployments/app.py says at start what is missing of the first five.
# Authentication tokens are Ray's own default for a cluster that `serve run` starts.
# The mask keeps what it writes, the token included, from the other users of the machine.
RAY_ENVIRONMENT := \
	RAY_SERVE_ENABLE_HA_PROXY=1 \
	RAY_SERVE_THROUGHPUT_OPTIMIZED=1 \
	RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH=268435456 \
	RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S=1 \
	RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S=2 \
	RAY_SERVE_HAPROXY_BINARY_PATH=$(CURDIR)/deployments/ray_runtime/haproxy.py \
	RAY_worker_niceness=0 \
	OMP_NUM_THREADS=1 \
	RAY_metrics_report_interval_ms=1000 \
	RAY_USAGE_STATS_ENABLED=0 \
	RAY_ENABLE_UV_RUN_RUNTIME_ENV=0

.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# Bytecode is compiled here, even where PYTHONDONTWRITEBYTECODE is set: without it Ray starts twice as slowly.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pip install --quiet --compile -c constraints.txt -e '.[dev]'
	touch $@

install: $(STAMP)  ## set up .venv

serve: $(STAMP)  ## start the service on http://127.0.0.1:8000; CONFIG=staging.yaml for one beside it
	@$(BIN)/python -m deployments.ray_runtime.orphans
	@umask 077 && own=$$($(BIN)/python -m deployments.ray_runtime.isolation $(CONFIG)) && \
		exec env $(RAY_ENVIRONMENT) $$own RAY_ADDRESS=local PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/serve run $(CONFIG)

# Ray's own port is 6379, which is Redis's. The token that every node and every operator needs is in ~/.ray/auth_token.
CLUSTER = exec env $(RAY_ENVIRONMENT) $$own RAY_AUTH_MODE=token PATH="$(CURDIR)/$(BIN):$$PATH"
OWN = umask 077 && own=$$($(BIN)/python -m deployments.ray_runtime.isolation)
DEAD_AFTER = RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=3000 RAY_health_check_failure_threshold=5

# A machine that falls silent is dead to Ray after 20 s instead of 65. With RAY_REDIS_ADDRESS set, Ray keeps in that Redis
# what it knows of the cluster, which then outlives the death of its head; Ray takes the password as an option only.
head: $(STAMP)  ## start the first node of a Ray cluster here; nodes join its port 6399
	@umask 077 && $(BIN)/ray get-auth-token --generate >/dev/null
	@$(OWN) && $(CLUSTER) $(DEAD_AFTER) $(BIN)/ray start --head --port=6399 --dashboard-host=127.0.0.1 --disable-usage-stats --block \
		$${RAY_REDIS_PASSWORD:+--redis-password="$$RAY_REDIS_PASSWORD"}

node: $(STAMP)  ## join the cluster at HEAD, as in HEAD=10.0.0.1:6399
	@$(OWN) && $(CLUSTER) $(BIN)/ray start --address=$(HEAD) --disable-usage-stats --block

deploy: $(STAMP)  ## bring CONFIG and this code onto the cluster whose head is here, without a failed request
	@umask 077 && $(CLUSTER) $(BIN)/python -m deployments.ray_runtime.deploy $(CONFIG)

environment:  ## print what `serve` sets for Ray
	@echo $(RAY_ENVIRONMENT)

unit: $(STAMP)  ## run the tests that are fast, in less than a minute
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' $(UNIT_TESTS)

test: $(STAMP)  ## run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS_AT_ONCE)
	$(BIN)/python -m pytest $(TESTS_OF_DOORS)
	$(BIN)/python -m pytest $(addprefix --ignore=,$(TESTS_AT_ONCE) $(TESTS_OF_DOORS) tests/reliability)
	$(BIN)/python -m pytest tests/reliability

screens: $(STAMP)  ## take the screenshots of the console into docs/screens
	RECOMMENDER_SCREENSHOTS=$(CURDIR)/docs/screens RECOMMENDER_BROWSER=required \
		$(BIN)/python -m pytest tests/console -k "rolling_back or fits_its_screen"

browser:  ## install Debian's chromium, which the tests of the console need, where it is missing (as root)
	command -v chromium >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-liberation; }

reliability: $(STAMP)  ## break everything, at full length; writes docs/reliability.md
	rm -f .reliability.jsonl
	RECOMMENDER_RELIABILITY=$(FACTOR) RECOMMENDER_RELIABILITY_ROWS=$(CURDIR)/.reliability.jsonl \
		$(BIN)/python -m pytest -m reliability -o timeout=3600 tests
	$(BIN)/python tests/support/reliability_table.py .reliability.jsonl

soak: $(STAMP)  ## load, a fault a minute and a model every ten seconds, for MINUTES
	$(BIN)/python -m benchmarks.service.soak $(MINUTES)

check: $(STAMP)  ## format, lint, types, layers, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

# Of its own, because it has nothing to do with what we run. Not part of `check`, which also works offline.
$(VENV)/audit:
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet 'pip-audit>=2.10,<3'

audit: $(VENV)/audit  ## look up known vulnerabilities of what constraints.txt names
	@$</bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r constraints.txt || { \
		echo 'not audited as a whole: a vulnerability is named above, or its index could not be asked from here'; exit 1; }

format: $(STAMP)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

image-check: $(STAMP)  ## build the image with buildah and run it, as root; says what is impossible here
	@$(BIN)/python deploy/image_check.py

openapi: $(STAMP)  ## write docs/openapi.json
	$(BIN)/python -m deployments.jobs.openapi_file docs/openapi.json

reference: $(STAMP)  ## write the generated parts of docs/configuration.md and docs/cli.md, and the figures of all pages
	PYTHONPATH=. $(BIN)/python docs/reference.py
	$(BIN)/python -m benchmarks.harness.tables

$(VENV)/bench: $(STAMP)
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pip install --quiet --compile -c constraints.txt -e '.[dev,bench]'
	touch $@

bench: $(VENV)/bench  ## run the benchmarks; they write JSON and plots into benchmarks/results
	$(BIN)/python -m benchmarks

$(VENV)/docs: $(STAMP)
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pip install --quiet --compile -c constraints.txt -e '.[dev,docs]'
	touch $@

# without it mkdocs-material says on every build that its next major version will differ
docs: $(VENV)/docs  ## build the documentation into build/site, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

.PHONY: help install serve head node deploy environment unit test screens browser reliability soak check audit format openapi reference image-check bench docs
