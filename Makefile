# Everything a person or a CI does with everfit. `make` alone lists the targets.

SHELL := bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FOLDERS := blocks tasks flows deployments infra
LINKS := build/types/everfit
# Tests wait for servers more often than for a processor. A file stays in one process, since its tests share what they
# start; in their own order, which has the long stories first.
TEST_PROCESSES ?= 2
export MYPYPATH := build/types

# pip says a line or more per package: this many tell as much.
define PIP_PROGRESS
/^(Collecting|Processing) / && ++found % 25 == 0 { print "  " found " packages found" } \
/^Installing collected packages/ { print "  installing " NF - 3 " packages" } \
{ fflush() }
endef

# What everfit stands on sends usage data unless told not to.
export DO_NOT_TRACK := 1
export GX_ANALYTICS_ENABLED := false
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo up down test check fmt bench docs wheel clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## Make .venv with everfit in it, sources in place (done once; again when pyproject.toml or constraints.txt change)

demo: $(INSTALLED) ## The loop over the year 2013 of real flights (FRESH=1 starts over, QUICK=1 is smaller)
	@$(BIN)/everfit demo $(if $(FRESH),--fresh) $(if $(QUICK),--quick)

up: $(INSTALLED) ## Start the whole stack on this machine: Prefect, MLflow, a worker, the service (EVERFIT_DB_URL=postgresql://… for PostgreSQL)
	@$(BIN)/everfit up $(MODELS)

down: $(INSTALLED) ## Stop what `make up` has started
	@$(BIN)/everfit down

test: check ## All checks, then all tests (LONG=1: also the stories that take minutes each)
	$(BIN)/python -m pytest $(if $(LONG),,-m "not long") -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

check: $(INSTALLED) $(LINKS) ## Static checks: format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict -p everfit
	$(BIN)/lint-imports --no-logo

fmt: $(INSTALLED) ## Format the code and mend what lint can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(INSTALLED) ## Measure: what the loop costs over the bare library calls, and where the time goes
	@set -e; for bench in tests/bench/bench_*.py; do echo "== $$bench"; $(BIN)/python "$$bench"; done

docs: $(INSTALLED) ## Write docs/spec.md from what the classes in blocks/ say of their keys
	PYTHONPATH=tests $(BIN)/python -m support.spec_document

wheel: $(INSTALLED) ## Build the wheel into dist/
	rm -rf build/lib build/bdist.*
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

clean: ## Remove what was built and .venv; ALL=1 removes the workspace .everfit too
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(FOLDERS) tests -type d -name __pycache__ -prune -exec rm -rf {} +
	$(if $(ALL),rm -rf .everfit)

$(INSTALLED): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "everfit needs Python 3.11 or newer, and there is no '$(PYTHON)' here: install it, or say which one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"everfit needs Python 3.11 or newer; $(PYTHON) is {sys.version.split()[0]}. Say which one to use: make PYTHON=/path/to/python3.11")'
	@echo "Installing everfit into $(VENV): about 250 packages, some minutes the first time"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@set -o pipefail; $(BIN)/python -m pip install -c constraints.txt -e '.[dev,demo,postgres,dask,onnx,server]' | awk '$(PIP_PROGRESS)'
	@touch $@
	@echo "Installed"

# A tree in which the folders have their package names, for type checkers.
$(LINKS):
	@mkdir -p $@ && for folder in $(FOLDERS); do ln -sfn "../../../$$folder" "$@/$$folder"; done
	@ln -sfn ../../../deployments/everfit/__init__.py $@/__init__.py
