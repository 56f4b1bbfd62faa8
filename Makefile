# `make help` lists the targets. Each target makes the environment it needs in .venv; nothing but
# Python 3.10 or newer, a C compiler and make must be installed. Versions of tools: .ci/tools.txt.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
SECONDS := 60
PORT := 8000
VERSIONS := 3.10 3.11 3.12 3.13 3.14
ARGS ?=
BIN := $(VENV)/bin
TOOLS := .ci/tools.txt
PIP := PIP_CONSTRAINT=$(CURDIR)/$(TOOLS) $(BIN)/python -m pip --disable-pip-version-check -qq
# An editable installation depends on the compiled sources and the metadata, not on Python files.
SOURCES := setup.py pyproject.toml $(TOOLS) $(wildcard src_pyx/*/*)
PYTEST := $(BIN)/pytest -n $(JOBS)
WORKFLOWS := $(wildcard .github/workflows/*.yml)

.PHONY: help build annotate test smoke coverage lint demo serve bench docs wheel sdist chaos soak \
	fuzz sanitize test-all test-floor format changelog clean

help:
	@echo "make demo        send 10,000 requests over 50 connections to a real server"
	@echo "make serve       start the server that the programs in README and docs use (PORT=8000)"
	@echo "make build       compile the extensions in place"
	@echo "make annotate    show how much Python each line of Cython costs, in build/annotate/"
	@echo "make test        run the test suite; ARGS='-k name' selects a part of it"
	@echo "make smoke       run the few tests that a new wheel must pass"
	@echo "make test-all    run the suite on every installed Python from 3.10 to 3.14"
	@echo "make test-floor  run the suite with the oldest supported dependencies"
	@echo "make coverage    measure the coverage of Python and Cython code; fail below the minimum"
	@echo "make lint        run ruff, mypy, pyright, cython-lint, stubtest, codespell and more"
	@echo "make format      apply the fixes that ruff can make"
	@echo "make docs        build the documentation in site/"
	@echo "make changelog   preview the changelog of the next release"
	@echo "make sdist       build the source distribution in dist/"
	@echo "make wheel       build the source distribution, and a wheel from it, in dist/"
	@echo "make bench       run the benchmarks"
	@echo "make chaos       run against servers that fail at random (SECONDS=60)"
	@echo "make soak        run under load for hours"
	@echo "make fuzz        feed random input to the parsers"
	@echo "make sanitize    run the tests with AddressSanitizer and UBSan"
	@echo "make clean       delete everything that these targets made"

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "asks_fast needs Python 3.10 or newer; set PYTHON=")'
	@echo "Making an environment in $(VENV), with the tools that compile the extension"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade "pip>=23" setuptools wheel Cython "httptools>=0.6.4"
	@touch $@

# The extensions are built in place. Their names contain the Python version, so environments of
# several versions do not disturb each other. .ci/run tests an installed wheel.
define install
	@echo "Installing asks_fast[$(1)] into $(VENV): downloads, and half a minute of compiling"
	@$(PIP) install --no-build-isolation --editable '.[$(1)]'
	@touch $@
endef

$(VENV)/.demo: $(VENV)/.made $(SOURCES)
	$(call install,demo)

$(VENV)/.test: $(VENV)/.made $(SOURCES)
	$(call install,test)

$(VENV)/.lint: $(VENV)/.made $(SOURCES)
	$(call install,test$(comma)lint)

$(VENV)/.docs: $(VENV)/.made $(SOURCES)
	$(call install,docs)

$(VENV)/.release: $(VENV)/.made
	@$(PIP) install build towncrier
	@touch $@

comma := ,

build: $(VENV)/.made
	$(BIN)/python setup.py --quiet build_ext --inplace

annotate: $(VENV)/.made
	@rm -rf build/annotate
	ASKS_FAST_ANNOTATE=1 $(BIN)/python setup.py --quiet build_ext --force \
		--build-lib build/annotate/lib --build-temp build/annotate/objects
	@find build/annotate -name '*.html'

test: $(VENV)/.test
	$(PYTEST) $(ARGS)

smoke: $(VENV)/.test
	$(PYTEST) -m smoke $(ARGS)

coverage: $(VENV)/.test
	$(PIP) install coverage
	VENV=$(VENV) JOBS=$(JOBS) bash tests/coverage.sh $(ARGS)

demo: $(VENV)/.demo
	$(BIN)/asks-fast demo $(ARGS)

serve: $(VENV)/.demo
	@$(BIN)/asks-fast demo --serve $(PORT)

bench: $(VENV)/.test
	$(PIP) install matplotlib
	$(BIN)/python bench/run.py $(ARGS)

chaos: $(VENV)/.test
	$(BIN)/python tests/robustness/chaos/chaos.py --seconds $(SECONDS) $(ARGS)

soak: $(VENV)/.test
	$(BIN)/python tests/robustness/soak/soak.py $(ARGS)

fuzz: $(VENV)/.test
	$(PIP) install atheris
	$(BIN)/python tests/robustness/fuzz/run.py $(ARGS)
	ASKS_FAST_EXPLORE=1 $(BIN)/pytest -n $(JOBS) -m hypothesis

sanitize: $(VENV)/.test
	VENV=$(VENV) bash tests/sanitize.sh $(ARGS)

lint: $(VENV)/.lint build/werror/.made
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint src_pyx
	$(BIN)/mypy
	if command -v node >/dev/null; then $(BIN)/pyright --pythonpath $(BIN)/python; else echo "pyright skipped: it needs node"; fi
	$(BIN)/stubtest --concise --ignore-missing-stub --ignore-unused-allowlist --allowlist .ci/stubtest.txt \
		--mypy-config-file pyproject.toml asks_fast._hotpath asks_fast._kernel
	$(BIN)/codespell
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/towncrier build --draft --version 0 >/dev/null

build/werror/.made: $(VENV)/.made setup.py $(wildcard src_pyx/*/*)
	@mkdir -p build/werror
	ASKS_FAST_WERROR=1 $(BIN)/python setup.py --quiet build_ext --force \
		--build-lib build/werror --build-temp build/werror-objects
	@touch $@

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-all:
	@set -e; found=0; for version in $(VERSIONS); do \
		python=; for one in python$$version $$(ls -d ~/.pyenv/versions/$$version.*/bin/python 2>/dev/null | sort -rV); do \
			if $$one -c 'pass' 2>/dev/null; then python=$$one; break; fi; done; \
		if [ -z "$$python" ]; then echo "== Python $$version is not installed"; continue; fi; \
		echo "== $$($$python --version)"; found=1; \
		$(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$version ARGS='$(ARGS)'; \
	done; test $$found = 1

# Install the lowest version of each dependency that pyproject.toml allows.
test-floor:
	$(PYTHON) -m venv .venv-floor
	.venv-floor/bin/python .ci/floor.py >.venv-floor/floor.txt
	.venv-floor/bin/python -m pip install -qq -c .venv-floor/floor.txt '.[test]'
	.venv-floor/bin/pytest -n $(JOBS) $(ARGS)

changelog: $(VENV)/.release
	$(BIN)/towncrier build --draft --version $$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

sdist wheel: $(VENV)/.release
	PIP_CONSTRAINT=$(CURDIR)/$(TOOLS) bash .ci/wheel.sh $(VENV) $@

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet $(ARGS)
	$(BIN)/python .ci/links.py site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m pytest -q -c /dev/null --noconftest -p no:cacheprovider tests/test_docs_search.py

clean:
	rm -rf build dist site asks_fast/*.so .venv .venv-* .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
