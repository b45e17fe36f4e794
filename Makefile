# make demo: install, real data, the main job, where its report is. make test: every check. make help lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CONSTRAINTS := --constraint constraints.txt

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A stamp for each set of extras: both targets can be repeated and install only what is missing. pip compiles to bytecode what it
# copies, and an editable install copies nothing.
$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install $(CONSTRAINTS) --editable '.[cpu,examples]'
	$(BIN)/python -m compileall -q engine kernels
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install $(CONSTRAINTS) --editable '.[cpu,examples,test]'
	$(BIN)/python -m compileall -q engine kernels
	@touch $(VENV)/.demo $@

.PHONY: demo
demo: $(VENV)/.demo ## install, make the data, run the flights job, show where the report is
	$(BIN)/headrace data flights --out data/flights
	$(BIN)/headrace run configs/flights.yaml

.PHONY: test
test: lint types pytest ## everything CI runs: ruff, mypy --strict, pytest

.PHONY: lint
lint: $(VENV)/.test ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: types
types: $(VENV)/.test ## mypy --strict
	$(BIN)/mypy

.PHONY: pytest
pytest: $(VENV)/.test ## all tests and every example in docstrings, README and docs; by file, in as many processes as there are cores, 4 at most
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: test-newest
test-newest: ## all tests with the newest version of every dependency, in .venv-newest
	$(MAKE) pytest VENV=.venv-newest CONSTRAINTS=

.PHONY: format
format: $(VENV)/.test ## let ruff put the code in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: browser
browser: ## install Chromium and its driver (Debian, Ubuntu), for the tests of the report
	apt-get update && apt-get install --yes --no-install-recommends chromium chromium-driver

.PHONY: wheel
wheel: $(VENV)/.test ## build wheel and sdist into dist/
	$(PIP) install build
	$(BIN)/python -m build

.PHONY: resolve-gpu
resolve-gpu: $(BIN)/python ## check that the GPU extra resolves with constraints.txt (downloads metadata only)
	$(BIN)/python -m pip install --dry-run --quiet --ignore-installed --constraint constraints.txt '.[gpu]'

.PHONY: gpu-api
gpu-api: ## read the GPU packages' signatures anew into tests/gpu/api (6.6 GB in a throw-away environment; needs no GPU)
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(PYTHON) -m venv $$folder/gpu && \
		$$folder/gpu/bin/python -m pip --quiet install --no-compile --constraint constraints.txt '.[gpu]' && \
		$$folder/gpu/bin/python -W ignore tests/gpu/snapshot.py

# A virtual environment of its own: CUDA's compilers are 430 MB, and nothing else needs them.
.venv-ptx/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-ptx
	.venv-ptx/bin/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt --editable '.[ptx]'
	@touch $@

.PHONY: gpu-ptx
gpu-ptx: .venv-ptx/.done ## compile every CUDA kernel for sm_80 and sm_90 without a GPU; none may take more than recorded
	.venv-ptx/bin/python -m tests.gpu.kernel_resources

.PHONY: gpu-ptx-record
gpu-ptx-record: .venv-ptx/.done ## the same, and record what they take in tests/gpu/kernels.json and docs/gpu.md
	.venv-ptx/bin/python -m tests.gpu.kernel_resources --record
	.venv-ptx/bin/python -m tests.gpu.kernel_floors --write

# On a GPU these two run in the environment that has the extra `gpu`: make GPU_PYTHON=path/to/python test-gpu
GPU_PYTHON ?= $(BIN)/python

.PHONY: test-gpu
test-gpu: ## the tests that need a GPU; fails where there is none
	$(GPU_PYTHON) -m pytest -m gpu tests/gpu tests/ops tests/laws tests/unit engine

.PHONY: bench-gpu
bench-gpu: bench-gpu-kernels ## time kernels, operators, criteo and taxi on a GPU, into benchmarks/results/gpu-<device>-*.json; fails where there is none
	set -e; for suite in operators criteo taxi; do \
		$(GPU_PYTHON) -c 'from headrace.__main__ import command; command()' bench $$suite --device gpu --peers '' --out benchmarks/results; \
	done

.PHONY: bench-gpu-kernels
bench-gpu-kernels: ## of these the CUDA kernels beside a copy: needs numba-cuda and CuPy only
	$(GPU_PYTHON) -m benchmarks.gpu.kernels

.PHONY: bench
bench: $(VENV)/.test ## time every kernel and operator, and compare with the last time (kept in .benchmarks)
	$(BIN)/python -m pytest benchmarks/test_kernels.py benchmarks/test_operators.py --benchmark-autosave --benchmark-compare \
		--benchmark-min-rounds=3 --benchmark-max-time=0.5 --benchmark-columns=median,iqr,rounds --benchmark-sort=fullname --benchmark-group-by=fullname

.PHONY: cardinality
cardinality: $(VENV)/.test ## fit 50 million distinct strings within 4 GiB (8 GB of files in TMPDIR, some minutes)
	$(BIN)/python benchmarks/cardinality.py

.PHONY: clean
clean: ## remove what runs and builds left, not the virtual environment
	rm -rf out dist build .mypy_cache .ruff_cache

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14
