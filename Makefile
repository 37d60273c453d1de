# Two commands on a fresh machine do everything: `make demo` and `make test`.

PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.ready

.PHONY: help setup demo test test-all bench lint clean

help:            ## Show this list
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' Makefile | sed -E 's/:[^#]*## ?/\t/' | expand -t 16

setup: $(READY)  ## Make the environment in .venv and get the system's GL library
$(READY): pyproject.toml constraints.txt setup.sh
	PYTHON=$(PYTHON) bash setup.sh
	touch $@

demo: setup      ## Shards from embedded assets, a short training, an evaluation, pictures
	bash demo.sh

test: setup      ## The test suite (minutes on 2 cores)
	$(PY) -m pytest -q

test-all: setup  ## The test suite including the slow tests (an hour or more)
	$(PY) -m pytest -q -m "slow or not slow"

bench: setup     ## All speed benchmarks; refreshes docs/measured.md
	$(PY) -m benchmarks.table

lint: setup      ## Format, lint and type checks
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m pyright

clean:           ## Remove the output of demo and tests; keep .venv
	rm -rf demo .pytest_cache .ruff_cache
