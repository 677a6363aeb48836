# Two commands need nothing but Python 3.11 or newer:
#   make demo    the environment, the package, and the main example on scikit-learn's digits
#   make test    the environment, the package, linter, type checker, every test and doctest
# Others: make docs, make figures, make dist, make lowest, make clean. PYTHON picks the interpreter of the environment:
#   make test PYTHON=python3.12

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
# Test processes. One thread each, so that two cores are not asked for four.
JOBS   ?= 2
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --require-virtualenv
INSTALL := $(PIP) install --constraint constraints.txt
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo test lint types tests contract lowest docs figures dist clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed-demo
	$(BIN)/python examples/quickstart.py $(ARGS)

test: lint types tests contract

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# Unit tests, and the doctests of the package, of README.md and of docs/ (see pyproject.toml).
# scikit-learn's checks are left to `contract`.
tests: $(VENV)/.installed-dev
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(JOBS) -m "not sklearn_contract" $(ARGS)

# Without SCIPY_ARRAY_API scikit-learn leaves its array API checks out, and it is read once, when
# SciPy is imported: hence a process of its own.
contract: $(VENV)/.installed-dev
	SCIPY_ARRAY_API=1 $(ONE_THREAD) $(BIN)/python -m pytest -q -n $(JOBS) -m sklearn_contract tests

# The oldest dependencies that pyproject.toml admits, in an environment of their own. Python 3.11 or
# 3.12: for newer ones there are no such old wheels.
lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip --disable-pip-version-check install \
	  --constraint constraints-lowest.txt --editable '.[test,molecules]'
	$(ONE_THREAD) .venv-lowest/bin/python -m pytest -q -n $(JOBS) $(ARGS)

docs: $(VENV)/.installed-dev
	$(ONE_THREAD) $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

# The images of the tutorials, the guide and the examples on larger data, and the notebook as it was run, which
# are under version control.
# MNIST and QM9 lie where SKCCVAE_DATA says, or in the folder of: make figures ARGS="--data FOLDER".
# Faces need scikit-image. One image: make figures ARGS="--only STEM".
figures: $(VENV)/.installed-dev
	cd docs && $(ONE_THREAD) $(abspath $(BIN))/python -m figures $(ARGS)

# The source distribution, and the wheel made from it.
dist: $(VENV)/.installed-dev
	rm -rf dist build
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) .venv-lowest build dist *.egg-info docs/_build docs/auto_examples docs/reference/generated docs/reference/backreferences
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

# One environment, installed once per state of pyproject.toml and constraints.txt.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "skccvae needs Python 3.11 or newer; choose one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-demo: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[plot]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.installed-demo
