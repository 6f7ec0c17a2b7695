# make train makes the environment and trains on the demo; make test passes the tests. Both need python3 (3.11 to 3.13) only.
PYTHON ?= python3
ARGS ?=
VENV := .venv
READY := $(VENV)/.ready

.PHONY: help train test lint types check pin clean

help:
	@echo "make train [ARGS='model=transformer data=ravdess paths.corpora=/data']   train and report"
	@echo "make test  [ARGS='tests/models -k padding']                              pass the tests"
	@echo "make check                                                               lint, types and tests"

train: $(READY)
	$(VENV)/bin/python -m ser.train $(ARGS)

# Up to four workers, a file's tests in one of them, and one thread each, so that they do not fight for the cores.
test: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile $(ARGS)

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(READY)
	$(VENV)/bin/mypy

check: lint types test

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "ser needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d: make PYTHON=python3.12 ..." % v)'
	@echo "Making $(VENV): about a minute and 6 GB with a fast network"
	$(PYTHON) -m venv --without-pip $(VENV)  # Debian's python3 has no ensurepip
	$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet --disable-pip-version-check uv==0.13.8
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --requirement requirements.txt
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --editable .
	@touch $@

# Pin anew what pyproject.toml asks for.
pin: $(READY)  # what is pinned already stays, where it may; delete requirements.txt first for the newest of everything
	touch requirements.txt && cp requirements.txt requirements.new
	$(VENV)/bin/uv pip compile pyproject.toml --quiet --extra dev --universal --python-version 3.11 --no-annotate --no-header -o requirements.new
	(echo "# Everything pinned, made by \`make pin\`: what pyproject.toml asks for with its dev extra, for Python 3.11 to 3.13."; cat requirements.new) > requirements.txt
	rm requirements.new

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
