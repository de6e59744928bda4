# One command after `git clone`: each target makes the environment that it needs.
# make itself exits with 2 when a command fails; for the exit codes of `bench`, call .venv/bin/bench.

BIN   := .venv/bin
READY := .venv/.ready
FFCV  := .venv/.ffcv

.DEFAULT_GOAL := help
.PHONY: help setup bench bench-cifar94 test benchmark lint leaderboard report regress clean distclean

# A torch that is asked for and is not the one in .venv makes the environment stale.
ifdef TORCH
ifneq ($(TORCH),$(shell cat .venv/.torch 2>/dev/null))
.PHONY: $(READY)
endif
endif

# `make setup` by name tries again to get ffcv; every other target takes what is there.
ifneq (,$(filter setup,$(MAKECMDGOALS)))
.PHONY: $(FFCV)
endif

help:  ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo 'ARGS="..." is passed on to the command, as in: make bench ARGS="--seeds 3"'

setup: $(FFCV)  ## Make .venv with pinned versions, and ffcv where it builds (TORCH=2.7.1 takes another torch)

$(READY): pyproject.toml constraints.txt tools/setup.sh
	@TORCH='$(TORCH)' tools/setup.sh environment

$(FFCV): $(READY)
	@tools/setup.sh ffcv

bench: $(FFCV)  ## Train on embedded handwritten digits to the target; needs no network and no data
	@$(BIN)/bench run digits $(ARGS)

bench-cifar94: $(FFCV)  ## Train on CIFAR-10 to 94 %, with five seeds
	@$(BIN)/bench run cifar94 $(ARGS)

# The tests start hundreds of processes, for which the sources are compiled once. What the tests copy and change within
# a second must not be: Python tells compiled modules of other sources by the second.
test: $(FFCV)  ## Run the tests, in three processes for two cores, up to eight
	@$(BIN)/python -m compileall -q bench models pipelines
	@OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder $(ARGS)

benchmark: $(FFCV)  ## Time the harness's own parts
	@$(BIN)/python -m pytest tests/benchmarks --benchmark-only $(ARGS)

lint: $(FFCV)  ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

leaderboard: $(FFCV)  ## Print the runs as a leaderboard
	@$(BIN)/bench leaderboard $(ARGS)

report: $(FFCV)  ## Write leaderboards, plots and every cell as a folder of pages, results/report
	@$(BIN)/bench report $(ARGS)

regress: $(FFCV)  ## Judge speed by the baseline, or by ARGS="--base main", measured in turns
	@$(BIN)/bench regress $(ARGS)

clean:  ## Remove caches and build products; keep .venv, data and results
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	@find bench models pipelines tests -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean  ## Remove .venv too
	@rm -rf .venv
