# make demo   trains, exports, compiles, simulates, verifies and builds the bitstream of the digits network
# make test   lint, types, import rules and the test suite
# make test-long   the same with all random configurations, mutants and CNVs, about an hour
# make env    only makes the environment in .venv
# make docker-test   builds the image of docker/ without a daemon and compares a build inside with one outside
# make finn   adds FINN to it; nothing that is there changes its version
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
FINN   := $(VENV)/.finn-installed
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
# Tests side by side: one for each core, four at most, as each takes more than a gigabyte.
JOBS   ?= $(shell cores=$$(nproc 2>/dev/null || echo 2); echo $$((cores < 4 ? cores : 4)))
# One thread per process: the tests run side by side, and idle threads of the maths libraries slow each other down.
THREADS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: env finn demo test test-long lint docker-test clean

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "popshift needs Python 3.11 or newer, got " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) -e '.[rtl,dev]'
	touch $@

finn: $(FINN)

# FINN's own dependencies would replace torch and Brevitas; what it needs of them is the extra.
$(FINN): $(STAMP)
	$(PIP) -e '.[rtl,dev,finn]'
	$(PIP) --no-deps finn-plus mip
	$(BIN)/python -m popshift.hw.finn
	touch $@

demo: env
	$(THREADS) $(BIN)/popshift build digits-mlp --output build/digits-mlp

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m popshift.flows.lint_rtl
	$(BIN)/hadolint --config docker/.hadolint.yaml docker/Dockerfile*

test: lint finn
	$(THREADS) $(BIN)/pytest -n $(JOBS) --dist worksteal

test-long: lint finn
	$(THREADS) $(BIN)/pytest -n $(JOBS) --dist worksteal -m "long or not long"

docker-test: env
	docker/test.sh digits-mlp

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache
