# Every target sets up what it needs; running one twice is harmless. `make` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8080
DATA   ?= ./data
DEMO   ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup run test lint check bench docs clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: $(VENV)/.ready ## make .venv with the pinned dependencies and the tidemill command

$(VENV)/.ready: requirements-dev.txt pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh
	@touch $@

run: setup ## serve on http://127.0.0.1:$(PORT) with simulated traffic (DEMO=0 without; PORT, DATA override)
	@$(BIN)/tidemill serve --data "$(DATA)" --listen 127.0.0.1:$(PORT) $(if $(filter 0,$(DEMO)),,--demo)

test: setup ## run all tests against real processes
	@$(BIN)/python -m pytest

lint: setup ## ruff (style, format) and mypy (strict)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

check: lint test ## what CI runs

bench: setup ## print the figures of bench/, with the machine and versions
	@$(BIN)/python -m bench

docs: setup ## regenerate the generated documentation pages
	@$(BIN)/python -m tidemill.docs

clean: ## remove the virtual environment (never the data)
	rm -rf $(VENV)
