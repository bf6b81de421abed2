# Two commands are all a newcomer needs: `make up` and `make test`. `make help` lists the rest.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
COMPILED := build/compiled
# the wheel's compiled modules instead of the checkout's sources, also in child processes; PURE=1: the sources
ON_COMPILED = $(if $(PURE),,PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(COMPILED):$(CURDIR))
MAYBE_COMPILED = $(if $(PURE),,$(COMPILED)/.made)
INSTALLED := $(VENV)/.installed
PROTOS := epp/_pb/.generated
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help up test test-compiled bench soak check compiled format protos lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(INSTALLED) $(PROTOS) ## run the local stack: fake vLLM pods, the picker, a real Envoy (ARGS=--once: run, verify, exit)
	@$(BIN)/epp up $(ARGS)

test: $(INSTALLED) $(PROTOS) ## run every test (ARGS='-k name' selects)
	@$(BIN)/pytest $(ARGS)

test-compiled: $(COMPILED)/.made ## run every test on the compiled modules
	@$(ON_COMPILED) EPP_EXPECT_COMPILED=1 $(BIN)/pytest -o pythonpath="$(COMPILED) ." $(ARGS)

bench: $(INSTALLED) $(PROTOS) $(MAYBE_COMPILED) ## measure the picker behind a real Envoy (ARGS=--quick: a minute; PURE=1: not compiled)
	@$(ON_COMPILED) $(BIN)/python -m bench.gateway $(ARGS)

soak: $(INSTALLED) $(PROTOS) $(MAYBE_COMPILED) ## ten minutes of mixed load through a real Envoy: is memory flat, does all end well (ARGS=--help)
	@$(ON_COMPILED) $(BIN)/python -m bench.gateway.soak $(ARGS)

check: $(INSTALLED) $(PROTOS) ## lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

compiled: $(COMPILED)/.made ## compile the modules of a request's path (needs a C compiler and Python's headers)

$(COMPILED)/.made: $(INSTALLED) $(PROTOS) hatch_build.py pyproject.toml $(shell find epp -name '*.py' -not -path 'epp/_pb/*')
	@$(BIN)/python -c 'import sys, sysconfig, pathlib; \
	  sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' && command -v cc >/dev/null || \
	  { echo "no C compiler or no Python.h here; on Debian and Ubuntu: apt-get install gcc python3-dev; or go on with PURE=1" >&2; exit 1; }
	@echo "compiling into $(COMPILED) (about a minute)"
	@rm -rf build && mkdir build
	@EPP_COMPILE=1 $(BIN)/python -m hatchling build --target wheel --directory build/wheel >build/compile.log 2>&1 || \
	  { cat build/compile.log >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --no-deps --no-index --target $(COMPILED) build/wheel/*.whl
	@touch $@

format: $(INSTALLED) ## rewrite the sources in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: $(PROTOS) ## generate epp/_pb from protos/

$(PROTOS): $(INSTALLED) $(wildcard protos/*.proto protos/*/*.proto protos/*/*/*.proto) protos/generate.py
	@echo "generating epp/_pb from protos/"
	@$(BIN)/python protos/generate.py
	@touch $@

$(INSTALLED): requirements.lock requirements-tools.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11; try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "installing into $(VENV) (about a minute the first time)"
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "python3 has no venv module here; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	@$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: --no-deps -r requirements-tools.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

lock: $(INSTALLED) ## write the lock files anew (needs uv on the PATH)
	uv pip compile pyproject.toml --quiet --upgrade --extra fast --extra lab --extra tokenizers --group dev --generate-hashes \
	  --only-binary :all: --no-emit-index-url --no-header --no-annotate --python-version 3.11 -o requirements.lock
	uv pip compile pyproject.toml --quiet --extra fast --extra lab --extra tokenizers --constraint requirements.lock --generate-hashes \
	  --only-binary :all: --no-emit-index-url --no-header --no-annotate --python-version 3.11 -o requirements-runtime.lock
	sed -n 's/ \\$$//; /==/p' requirements-tools.lock | uv pip compile - --quiet --no-deps --generate-hashes \
	  --only-binary :all: --no-emit-index-url --no-header --no-annotate --python-version 3.11 -o requirements-tools.lock

clean: ## remove what the other commands made
	rm -rf $(VENV) build epp/_pb .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
