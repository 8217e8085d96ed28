# One command each; all of them make .venv first, by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Where it is set, as in many containers, every import compiles anew, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test test-all lint bench clean

install: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "reprolock needs Python 3.10 or newer: make PYTHON=/path/to/python3")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/python fixtures/demo/run.py

test: install
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" --hypothesis-profile=repeatable

test-all: install
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m benchmarks.run

clean:
	rm -rf $(VENV) .cache build dist
