# Everything a person or CI calls. `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
SERVING := $(VENV)/serving
FACTOR ?= 5
MINUTES ?= 30
CONFIG ?= serve_config.yaml
# The fast layer: tests of these start no server, apart from the few that are marked slow.
UNIT_TESTS := $(addprefix tests/,benchmarks datasets deployments evaluation experiments leaves manifests models serving storage training vector_search)
# These too keep to themselves and to no time limit; all others start servers or measure, and run one by one.
TESTS_AT_ONCE := $(UNIT_TESTS) $(addprefix tests/,backup cli exposures history simulation tuning)
# A run for each of those that keep a service up until the run ends: idle ones take processor time from the others.
TESTS_OF_DOORS := $(addprefix tests/,client connect console docs)

.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# Bytecode is compiled here, even where PYTHONDONTWRITEBYTECODE is set: without it Ray starts twice as slowly.
PIP_INSTALL = env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pip install --quiet --compile -c constraints.txt
define MAKE_VENV
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
$(PYTHON) -m venv $(VENV)
endef

# What serving needs and no more; the other has that too.
$(SERVING): pyproject.toml constraints.txt
	$(MAKE_VENV)
	$(PIP_INSTALL) -e .
	touch $@

$(STAMP): pyproject.toml constraints.txt
	$(MAKE_VENV)
	$(PIP_INSTALL) -e '.[dev]'
	touch $(SERVING) $@

install: $(STAMP)  ## set up .venv for development; serve alone needs less

serve: $(SERVING)  ## start the service on http://127.0.0.1:8000; CONFIG=staging.yaml for one beside it
	@exec $(BIN)/recommender serve $(CONFIG)

head: $(SERVING)  ## start the first node of a Ray cluster here; nodes join its port 6399
	@exec $(BIN)/recommender cluster head

node: $(SERVING)  ## join the cluster at HEAD, as in HEAD=10.0.0.1:6399
	@exec $(BIN)/recommender cluster join $(HEAD)

deploy: $(SERVING)  ## bring CONFIG and this code onto the cluster whose head is here, without a failed request
	@exec $(BIN)/recommender cluster deploy $(CONFIG)

environment:  ## print what `serve` sets for Ray
	@$(BIN)/python -m deployments.ray_runtime.environment

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

$(VENV)/sbom:
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet 'cyclonedx-bom>=7.5,<8'

sbom: $(STAMP) $(VENV)/sbom  ## write the bill of materials of what we ship, as CycloneDX, into build/sbom.json
	@PYTHONPATH=. $(BIN)/python deploy/sbom.py $(VENV)/sbom/bin/python build/sbom.json

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
	$(PIP_INSTALL) -e '.[dev,bench]'
	touch $@

bench: $(VENV)/bench  ## run the benchmarks; they write JSON and plots into benchmarks/results
	$(BIN)/python -m benchmarks

$(VENV)/docs: $(STAMP)
	$(PIP_INSTALL) -e '.[dev,docs]'
	touch $@

# without it mkdocs-material says on every build that its next major version will differ
docs: $(VENV)/docs  ## build the documentation into build/site, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

.PHONY: help install serve head node deploy environment unit test screens browser reliability soak check audit sbom format openapi reference image-check bench docs
