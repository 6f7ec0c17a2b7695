# make train makes the environment and trains on the demo; make test runs the tests. Both need only Python 3.11 to 3.13.
PYTHON ?= python3
ARGS ?=
MARKS ?= not slow
VENV := .venv
READY := $(VENV)/.ready
# Python keeps what it compiles, even where the environment says otherwise: each process would compile torch again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help train predict serve test lint types check pin clean

help:
	@echo "make train [ARGS='model=transformer data=ravdess paths.corpora=/data']   train, then report on test speakers"
	@echo "make predict [ARGS='model=runs/... files=calls/']                        the emotions of recordings; of the demo by a toy"
	@echo "make serve [ARGS='model=runs/... port=8001']                             a page and an API; of a toy without ARGS"
	@echo "make test  [ARGS='tests/models -k padding'] [MARKS=slow]                 run the tests, without the slow ones"
	@echo "make check                                                               lint, types and all tests"
	@echo "make pin                                                                 pin the dependencies again"
	@echo "make clean                                                               remove .venv and caches"

# Without ARGS: the demo, for a few minutes.
train: $(READY)
	$(VENV)/bin/python -m ser.train $(or $(ARGS),trainer.max_epochs=25)

# Without ARGS: a toy model of synthetic speech, which is in the package.
predict: $(READY)
	$(VENV)/bin/python -m ser.predict $(or $(ARGS),model=toy "files=ser/corpora/assets/demo/f01_s1_*.ogg")

serve: $(READY)
	$(VENV)/bin/python -m ser.serve $(or $(ARGS),model=toy)

# Up to four workers with one thread each, so that they do not compete for cores; the tests of a file share a worker.
test: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile \
		--no-loadscope-reorder -m "$(MARKS)" $(ARGS)

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(READY)
	$(VENV)/bin/mypy

check: lint types
	$(MAKE) test MARKS=

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "PYTHON must be Python 3.11, 3.12 or 3.13; got %d.%d ($(PYTHON)). Run make PYTHON=python3.12 ..." % v)'
	@echo "Making $(VENV): about a minute with a fast network, 6 GB"
	$(PYTHON) -m venv --without-pip $(VENV)  # Debian's python3 has no ensurepip
	$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet --disable-pip-version-check uv==0.13.8
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --requirement requirements.txt
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --editable .
	@touch $@

# Pin what pyproject.toml asks for. Pins that still fit stay; delete requirements.txt first for the newest of everything.
pin: $(READY)
	touch requirements.txt && cp requirements.txt requirements.new
	$(VENV)/bin/uv pip compile pyproject.toml --quiet --extra dev --universal --python-version 3.11 --no-annotate --no-header -o requirements.new
	(echo "# Everything pinned, made by \`make pin\`: what pyproject.toml asks for with its dev extra, for Python 3.11 to 3.13."; cat requirements.new) > requirements.txt
	rm requirements.new

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
