# One command each: demo, test, lint, bench, docs, wheel. Every target makes its own environment
# (.venv), and needs no more than Python >= 3.10, a C compiler and make.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
SECONDS := 60
PORT := 8000
ARGS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# What an installation depends on: Python files count as they are, since it is an editable one.
SOURCES := setup.py pyproject.toml $(wildcard src_pyx/*/*)
PYTEST := $(BIN)/pytest -n $(JOBS)

.PHONY: help test smoke lint demo serve bench docs wheel sdist chaos soak fuzz sanitize test-all test-floor format clean

help:
	@echo "make demo      ten thousand requests over fifty connections, against a real server"
	@echo "make serve     the server that the programs of README and docs use (PORT=8000)"
	@echo "make test      the test suite (ARGS='-k name' for a part of it)"
	@echo "make test-all  the suite on every installed Python from 3.10 to 3.13"
	@echo "make lint      ruff, mypy, pyright, cython-lint, stubtest, and a build in which warnings are errors"
	@echo "make bench     the benchmarks; make chaos (SECONDS=60), soak, fuzz, sanitize: the long tests"
	@echo "make docs      the documentation, in site/"
	@echo "make wheel     sdist, and the wheel built from it, in dist/"

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "asks_fast needs Python 3.10 or newer; set PYTHON=")'
	@echo "Making an environment in $(VENV), with the tools that compile the extension"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade "pip>=23" "setuptools>=77" wheel "Cython>=3.1" "httptools>=0.6.4"
	@touch $@

# The extension is built in place (its name tells the Python it is for), whatever is there is rebuilt
# if a source is newer. That a wheel holds all it needs is what .ci/run looks at.
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

comma := ,

test: $(VENV)/.test
	$(PYTEST) $(ARGS)

smoke: $(VENV)/.test
	$(PYTEST) -m smoke $(ARGS)

demo: $(VENV)/.demo
	$(BIN)/asks-fast demo $(ARGS)

serve: $(VENV)/.demo
	@$(BIN)/asks-fast demo --serve $(PORT)

bench: $(VENV)/.test
	$(PIP) install "matplotlib>=3.8"
	$(BIN)/python bench/run.py $(ARGS)

chaos: $(VENV)/.test
	$(BIN)/python tests/robustness/chaos/chaos.py --seconds $(SECONDS) $(ARGS)

soak: $(VENV)/.test
	$(BIN)/python tests/robustness/soak/soak.py $(ARGS)

fuzz: $(VENV)/.test
	$(PIP) install "atheris>=2.3"
	$(BIN)/python tests/robustness/fuzz/run.py $(ARGS)
	ASKS_FAST_EXPLORE=1 $(BIN)/pytest -n $(JOBS) -m hypothesis

sanitize: $(VENV)/.test
	VENV=$(VENV) bash tests/sanitize.sh $(ARGS)

lint: $(VENV)/.lint build/werror/.made
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint src_pyx
	$(BIN)/mypy
	if command -v node >/dev/null; then $(BIN)/pyright --pythonpath $(BIN)/python; else echo "pyright needs node: left out"; fi
	$(BIN)/stubtest --concise --ignore-missing-stub --ignore-unused-allowlist --allowlist .ci/stubtest.txt \
		--mypy-config-file pyproject.toml asks_fast._hotpath asks_fast._kernel

build/werror/.made: $(VENV)/.made setup.py $(wildcard src_pyx/*/*)
	@mkdir -p build/werror
	ASKS_FAST_WERROR=1 $(BIN)/python setup.py --quiet build_ext --force \
		--build-lib build/werror --build-temp build/werror-objects
	@touch $@

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-all:
	@set -e; found=0; for version in 3.10 3.11 3.12 3.13; do \
		python=; for one in python$$version $$(ls -d ~/.pyenv/versions/$$version.*/bin/python 2>/dev/null | sort -rV); do \
			if $$one -c 'pass' 2>/dev/null; then python=$$one; break; fi; done; \
		if [ -z "$$python" ]; then echo "== Python $$version is not installed"; continue; fi; \
		echo "== $$($$python --version)"; found=1; \
		$(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$version ARGS='$(ARGS)'; \
	done; test $$found = 1

# The oldest versions of all dependencies that pyproject.toml promises to work with.
test-floor:
	$(PYTHON) -m venv .venv-floor
	.venv-floor/bin/python .ci/floor.py >.venv-floor/floor.txt
	.venv-floor/bin/python -m pip install -qq -c .venv-floor/floor.txt '.[test]'
	.venv-floor/bin/pytest -n $(JOBS) $(ARGS)

sdist wheel: $(VENV)/.made
	bash .ci/wheel.sh $(VENV) $@

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet $(ARGS)
	$(BIN)/python .ci/links.py site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m pytest -q -c /dev/null --noconftest -p no:cacheprovider tests/test_docs_search.py

clean:
	rm -rf build dist site asks_fast/*.so .venv .venv-* .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
