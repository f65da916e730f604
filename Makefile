# Everything a person or a CI does with everfit. `make` alone lists the targets.

SHELL := bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FOLDERS := blocks tasks flows deployments infra
LINKS := build/types/everfit
# A process that has no test left takes some of another's. What is slow to prepare is shared (tests/support/prepared.py).
# Three keep two cores busy, since many tests wait for a process that they started.
TEST_PROCESSES ?= 3
# By a name of its own, `make -n test` runs no checks.
SUBMAKE := $(MAKE)
PYTEST = $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal
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
# Without bytecode every process that a test starts would compile everfit first.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo up down test unit coverage check format lint spelling prose types contracts site fmt bench campaign schedules fuzz docs \
	release-notes wheel clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## Make .venv with everfit in it, sources in place (done once; again when pyproject.toml or constraints.txt change)

demo: $(INSTALLED) ## The loop over the year 2013 of real flights (FRESH=1 starts over, QUICK=1 is smaller)
	@$(BIN)/everfit demo $(if $(FRESH),--fresh) $(if $(QUICK),--quick)

up: $(INSTALLED) ## Start the whole stack on this machine: Prefect, MLflow, a worker, the service (EVERFIT_DB_URL=postgresql://… for PostgreSQL)
	@$(BIN)/everfit up $(MODELS)

down: $(INSTALLED) ## Stop what `make up` has started
	@$(BIN)/everfit down

test: $(INSTALLED) $(LINKS) ## All checks beside all tests (LONG=1: also the stories that take minutes each)
	@$(SUBMAKE) --no-print-directory check > build/check.log 2>&1 & checks=$$!; \
	$(PYTEST) $(if $(LONG),,-m "not long") tests; code=$$?; \
	wait $$checks && echo "The checks passed" || { cat build/check.log; echo "The checks failed" >&2; code=1; }; \
	exit $$code

unit: $(INSTALLED) $(LINKS) ## The quick tests that start no server: the inner loop (SLOW=1: also the slow ones, LONG=1: also the long ones)
	$(PYTEST) $(if $(LONG),,-m "not long$(if $(SLOW),, and not slow)") tests/unit

coverage: $(INSTALLED) $(LINKS) ## Which lines tests/unit and tests/contract run; fails below the floor in pyproject.toml
	$(PYTEST) tests/unit tests/contract --cov --cov-report=term --cov-report=html:build/coverage

check: $(INSTALLED) $(LINKS) format lint spelling prose types contracts site ## Static checks: format, lint, prose, types, import contracts, documents

format lint spelling prose types contracts site: $(INSTALLED) $(LINKS)

format:
	$(BIN)/ruff format --check .

lint:
	$(BIN)/ruff check .

spelling:
	$(BIN)/codespell

prose:
	PYTHONPATH=tests $(BIN)/python -m support.prose

types:
	$(BIN)/mypy --strict -p everfit

contracts:
	PYTHONPATH=build/types $(BIN)/lint-imports --no-logo
	PYTHONPATH=build/types:tests $(BIN)/python -m support.import_cycles

site: ## Build the documents into build/site, without network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

fmt: $(INSTALLED) ## Format the code and fix what lint can fix
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(INSTALLED) ## Measure: what the loop costs over the bare library calls, and where the time goes
	@set -e; for bench in tests/bench/bench_*.py; do echo "== $$bench"; $(BIN)/python "$$bench"; done

campaign: $(INSTALLED) ## Kills, faults, attacks and odd tables from seeds, and the invariants that they break (SECONDS=600 SEED=1)
	PYTHONPATH=tests $(BIN)/python -m campaign --seconds $(or $(SECONDS),120) --seed $(or $(SEED),1)

schedules: $(INSTALLED) ## Processes that interleave, die, stall and get errors, in a simulated world (COUNT=100000 SEED=0)
	PYTHONPATH=tests $(BIN)/python -m campaign.many_schedules --count $(or $(COUNT),1000) --seed $(or $(SEED),0)

fuzz: $(INSTALLED) ## Odd tables through the loop, and the errors that no user should see (SECONDS=600 SEED=1)
	PYTHONPATH=tests $(BIN)/python -m campaign --only tables --seconds $(or $(SECONDS),120) --seed $(or $(SEED),1)

docs: $(INSTALLED) ## Write docs/spec.md and the tables of verdicts and evidence areas from their declarations
	PYTHONPATH=tests $(BIN)/python -m support.spec_document
	PYTHONPATH=tests $(BIN)/python -m support.declared_tables

release-notes: $(INSTALLED) ## Print what CHANGELOG.md says of the version in pyproject.toml
	@PYTHONPATH=tests $(BIN)/python -m support.release_notes

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
	@test -x $(BIN)/python || { command -v uv >/dev/null && uv venv --quiet --seed --python $(PYTHON) $(VENV); } || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@set -o pipefail; packages='.[dev,demo,postgres,dask,onnx,server]'; if command -v uv >/dev/null; \
	then VIRTUAL_ENV=$(VENV) uv pip install -c constraints.txt -e "$$packages"; \
	else $(BIN)/python -m pip install -c constraints.txt -e "$$packages" | awk '$(PIP_PROGRESS)'; fi
	@touch $@
	@echo "Installed"

# A tree in which the folders have their package names, for type checkers.
$(LINKS):
	@mkdir -p $@ && for folder in $(FOLDERS); do ln -sfn "../../../$$folder" "$@/$$folder"; done
	@ln -sfn ../../../deployments/everfit/__init__.py $@/__init__.py
