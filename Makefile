# make up      a cluster on this machine, and the whole program on it
# make test    every test level
# make check   lint, types, unit and component tests: no cluster, under a minute
# make down    takes everything away
PYTHON ?= python3
export PYTHON
BIN = .venv/bin

.PHONY: up test check engine e2e down venv bench

up: venv
	@$(BIN)/python -m sandbox up

test: check
	@$(BIN)/python -m sandbox test

check: venv
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -q tests/unit tests/components

down: venv
	@$(BIN)/python -m sandbox down

bench: venv
	@$(BIN)/python -m sandbox exec -- $(BIN)/python bench/step

venv:
	@sandbox/venv.sh
